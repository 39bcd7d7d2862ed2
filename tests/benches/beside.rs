//! Mail servers side by side, in one run, with one client: what a delivery, an APPEND, a FETCH and a SELECT cost.
//!
//! ```text
//! cargo bench -p peerpost --bench beside -- NAME=IMAP_ADDRESS,LMTP_ADDRESS …
//! ```
//!
//! Every server needs the accounts `u1` to `u16` with the password `pass`. Without a server on the command line a node of
//! Peerpost is started. The first server is what the others are compared with. Loopback only.
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures wall time, with a thread for each connection"
)]

#[path = "../kit/mod.rs"]
mod kit;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long each measurement of a rate takes at most.
const LONGEST: Duration = Duration::from_secs(5);
/// Messages of the large mailbox.
const LARGE: usize = 10_000;

struct Target {
    name: String,
    imap: SocketAddr,
    lmtp: SocketAddr,
}

/// One figure of one server: operations a second, or milliseconds.
#[derive(Clone, Copy)]
enum Figure {
    Rate { per_second: f64, p50: f64, p99: f64 },
    Time { milliseconds: f64 },
}

struct Connection {
    reading: BufReader<TcpStream>,
    writing: TcpStream,
    tag: u32,
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let writing = TcpStream::connect(address).expect("the server answers");
        writing.set_nodelay(true).expect("an option of TCP");
        writing.set_read_timeout(Some(Duration::from_secs(120))).expect("an option of TCP");
        let reading = BufReader::with_capacity(256 * 1024, writing.try_clone().expect("a second handle"));
        let mut connection = Connection { reading, writing, tag: 0 };
        connection.line();
        connection
    }

    fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        let count = self.reading.read_until(b'\n', &mut line).expect("an answer");
        assert!(count > 0, "the server closed the connection");
        line
    }

    fn write(&mut self, octets: &[u8]) {
        self.writing.write_all(octets).expect("the server reads");
    }

    /// Sends a command of IMAP and reads to its tagged answer; gives the octets that came.
    fn imap(&mut self, command: &str) -> usize {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.write(format!("{tag} {command}\r\n").as_bytes());
        self.imap_answer(&tag)
    }

    fn imap_answer(&mut self, tag: &str) -> usize {
        let mut octets = 0;
        loop {
            let line = self.line();
            octets += line.len();
            if let Some(length) = literal(&line) {
                let mut rest = vec![0; length];
                self.reading.read_exact(&mut rest).expect("a literal");
                octets += length;
            } else if line.starts_with(tag.as_bytes()) {
                let text = String::from_utf8_lossy(&line);
                assert!(text.contains(" OK"), "a command failed: {text}");
                return octets;
            }
        }
    }

    fn append(&mut self, mailbox: &str, messages: &[Vec<u8>]) {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        let mut command = format!("{tag} APPEND {mailbox}").into_bytes();
        for message in messages {
            command.extend(format!(" {{{}+}}\r\n", message.len()).as_bytes());
            command.extend(message);
        }
        command.extend(b"\r\n");
        self.write(&command);
        self.imap_answer(&tag);
    }

    fn lmtp(&mut self, command: &str, expected: u8) {
        self.write(command.as_bytes());
        self.lmtp_reply(expected);
    }

    fn lmtp_reply(&mut self, expected: u8) {
        loop {
            let line = self.line();
            assert_eq!(line.first(), Some(&expected), "{}", String::from_utf8_lossy(&line));
            if line.get(3) != Some(&b'-') {
                return;
            }
        }
    }

    fn deliver(&mut self, account: &str, message: &[u8]) {
        self.lmtp("MAIL FROM:<a@example.com>\r\n", b'2');
        self.lmtp(&format!("RCPT TO:<{account}>\r\n"), b'2');
        self.lmtp("DATA\r\n", b'3');
        self.write(message);
        self.lmtp(".\r\n", b'2');
    }
}

fn literal(line: &[u8]) -> Option<usize> {
    let text = line.strip_suffix(b"}\r\n")?;
    let start = text.iter().rposition(|octet| *octet == b'{')?;
    std::str::from_utf8(&text[start + 1..]).ok()?.parse().ok()
}

fn log_in(target: &Target, account: usize) -> Connection {
    let mut connection = Connection::open(target.imap);
    connection.imap(&format!("LOGIN u{account} pass"));
    connection
}

/// A message of exactly this many octets, unlike every other.
fn message(run: u32, connection: usize, number: usize, octets: usize) -> Vec<u8> {
    let mut text = format!(
        "From: Ann <ann@example.com>\r\nTo: Bob <bob@example.com>\r\nSubject: figures {number}\r\n\
         Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{run}.{connection}.{number}@example.com>\r\n\r\n"
    )
    .into_bytes();
    while text.len() + 78 < octets {
        let line =
            format!("{number:>8} the quick brown fox jumps over the lazy dog and the rest of them\r\n");
        text.extend(line.as_bytes());
    }
    text.resize(octets - 2, b'.');
    text.extend(b"\r\n");
    text
}

/// Repeats something on some connections at once, for a bounded time.
fn rate(connections: usize, most: usize, prepare: impl Fn(usize) -> Box<dyn FnMut(usize)> + Sync) -> Figure {
    let start_line = std::sync::Barrier::new(connections + 1);
    let (times, elapsed) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|connection| {
                let (prepare, start_line) = (&prepare, &start_line);
                scope.spawn(move || {
                    let mut once = prepare(connection);
                    start_line.wait();
                    let began = Instant::now();
                    let mut times = Vec::new();
                    for number in 0..most / connections {
                        let start = Instant::now();
                        once(number);
                        times.push(start.elapsed().as_secs_f64() * 1000.0);
                        if began.elapsed() > LONGEST {
                            break;
                        }
                    }
                    times
                })
            })
            .collect();
        start_line.wait();
        let began = Instant::now();
        let times: Vec<f64> =
            threads.into_iter().flat_map(|thread| thread.join().expect("a client")).collect();
        (times, began.elapsed().as_secs_f64())
    });
    let mut sorted = times;
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
    Figure::Rate { per_second: sorted.len() as f64 / elapsed, p50: at(0.5), p99: at(0.99) }
}

fn deliveries(target: &Target, run: u32, connections: usize, octets: usize) -> Figure {
    rate(connections, 4000, |connection| {
        let mut lmtp = Connection::open(target.lmtp);
        lmtp.lmtp("LHLO bench\r\n", b'2');
        let account = format!("u{}", connection + 1);
        Box::new(move |number| lmtp.deliver(&account, &message(run, connection, number, octets)))
    })
}

fn appends(target: &Target, run: u32, connections: usize, octets: usize) -> Figure {
    rate(connections, 4000, |connection| {
        let mut imap = log_in(target, connection + 1);
        Box::new(move |number| imap.append("INBOX", &[message(run, connection, number, octets)]))
    })
}

fn fill(target: &Target, run: u32) {
    let mut imap = log_in(target, 1);
    imap.imap("CREATE large");
    for part in 0..LARGE / 100 {
        let messages: Vec<_> = (0..100).map(|i| message(run, 99, part * 100 + i, 4096)).collect();
        imap.append("large", &messages);
    }
}

/// The median of some runs of one command, in milliseconds.
fn time(target: &Target, before: &str, command: &str, runs: usize) -> Figure {
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let mut imap = log_in(target, 1);
            if !before.is_empty() {
                imap.imap(before);
            }
            let start = Instant::now();
            imap.imap(command);
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    Figure::Time { milliseconds: times[times.len() / 2] }
}

/// What the disk alone takes: an append and fdatasync of 4 KiB, median in milliseconds.
fn raw_disk() -> f64 {
    let mut file = tempfile::tempfile().expect("a file");
    let mut times: Vec<f64> = (0..300)
        .map(|_| {
            let start = Instant::now();
            file.write_all(&[7; 4096]).expect("room");
            file.sync_data().expect("synced");
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn print(name: &str, figures: &[Figure]) {
    let mut line = format!("| {name} |");
    for figure in figures {
        let cell = match (figure, figures[0]) {
            (Figure::Rate { per_second, p50, p99 }, Figure::Rate { per_second: first, .. }) => {
                format!(" {per_second:.0}/s, p50 {p50:.2}, p99 {p99:.2} ms ({:.2}) |", per_second / first)
            }
            (Figure::Time { milliseconds }, Figure::Time { milliseconds: first }) => {
                format!(" {milliseconds:.2} ms ({:.2}) |", first / milliseconds)
            }
            _ => " ? |".to_owned(),
        };
        line.push_str(&cell);
    }
    println!("{line}");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument.contains('=')).collect();
    let mut own = None;
    let mut targets: Vec<Target> = arguments.iter().map(|argument| parse(argument)).collect();
    if targets.is_empty() {
        let cluster = kit::cluster::Cluster::one();
        for account in 1..=16 {
            cluster.nodes[0].add_user(&format!("u{account}"), "pass");
        }
        targets.push(Target {
            name: "peerpost".into(),
            imap: cluster.nodes[0].imap,
            lmtp: cluster.nodes[0].lmtp,
        });
        own = Some(cluster);
    }
    assert!(targets.iter().all(|target| target.imap.ip().is_loopback()), "loopback only");
    let run = std::process::id();
    println!("an append of 4 KiB and fdatasync on this disk: {:.2} ms (median)\n", raw_disk());
    println!("in brackets: the rate or speed as a multiple of the first server's\n");
    println!("| | {} |", targets.iter().map(|target| target.name.clone()).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(targets.len()));
    let each = |name: &str, measure: &dyn Fn(&Target) -> Figure| {
        print(name, &targets.iter().map(measure).collect::<Vec<_>>())
    };
    for octets in [4096, 65536] {
        for connections in [1, 16] {
            let kib = octets / 1024;
            let run = run.wrapping_add(connections as u32 * 7919 + octets as u32);
            each(&format!("LMTP {kib} KiB, {connections} connections"), &|target| {
                deliveries(target, run, connections, octets)
            });
            each(&format!("APPEND {kib} KiB, {connections} connections"), &|target| {
                appends(target, run, connections, octets)
            });
        }
    }
    targets.iter().for_each(|target| fill(target, run));
    each("SELECT 10,000", &|target| time(target, "", "SELECT large", 15));
    each("FETCH FLAGS of 10,000", &|target| time(target, "SELECT large", "FETCH 1:* (UID FLAGS)", 9));
    each("FETCH ENVELOPE of 10,000", &|target| time(target, "SELECT large", "FETCH 1:* (UID ENVELOPE)", 9));
    each("FETCH BODY.PEEK[] of 10,000", &|target| {
        time(target, "SELECT large", "FETCH 1:* (UID BODY.PEEK[])", 5)
    });
    drop(own);
}

fn parse(argument: &str) -> Target {
    let (name, addresses) = argument.split_once('=').expect("NAME=IMAP,LMTP");
    let (imap, lmtp) = addresses.split_once(',').expect("NAME=IMAP,LMTP");
    Target {
        name: name.into(),
        imap: imap.parse().expect("an address"),
        lmtp: lmtp.parse().expect("an address"),
    }
}
