//! How long UIDNEXT and HIGHESTMODSEQ stand behind for a client that moves from one node to another, at 0 and at 40 ms of one-way
//! delay between the nodes: under load, when the load stops, and after a message was appended and expunged again on the first
//! node, which the second one may never have shown (the window of invariant U5, `docs/uid-mapping.md`).
//!
//! ```text
//! cargo bench -p peerpost --bench u5_window [-- [--json] [--rounds COUNT]]
//! ```
//!
//! A probe asks for the STATUS of INBOX on the first node, then on the second one until it tells no less. The table goes to
//! standard output; with `--json` figures for programs do, and the table goes to standard error, where progress goes too.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a benchmark measures wall time, drives its load from threads, and fails by panicking"
)]

#[path = "../kit/mod.rs"]
mod kit;
#[path = "session.rs"]
mod session;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kit::cluster::Cluster;
use kit::lmtp;
use kit::node::Node;
use kit::relay::Direction;
use serde_json::{Value, json};
use session::Session;

const DELAYS: [u64; 2] = [0, 40];
const ROUNDS: usize = 20;
/// How long probes begin under the load of one round; it goes on until the last of them ends.
const BURST: Duration = Duration::from_millis(1_500);
/// How long a probe waits for the second node.
const PATIENCE: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Between two probes, so that they do not fall into step with the load.
const PROBE_PAUSES: [u64; 5] = [2, 11, 5, 17, 7];
/// What each writer waits between two messages: on the first node, on the second one.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = arguments.iter().skip_while(|word| *word != "--rounds").nth(1);
    let rounds = rounds.and_then(|count| count.parse().ok()).unwrap_or(ROUNDS);
    let windows: Vec<Window> = DELAYS.into_iter().flat_map(|delay| measure(delay, rounds)).collect();
    let table = table(&windows);
    if arguments.iter().any(|word| word == "--json") {
        eprint!("{table}");
        println!("{}", Value::Array(windows.iter().map(Window::figures).collect()));
    } else {
        print!("{table}");
    }
}

/// All probes of one kind.
struct Window {
    delay: u64,
    when: &'static str,
    what: &'static str,
    /// As in [`Behind`], ascending.
    times: Vec<f64>,
}

impl Window {
    fn both(delay: u64, when: &'static str, times: &[Behind]) -> [Window; 2] {
        let window = |what, value: fn(&Behind) -> f64| {
            let mut times: Vec<f64> = times.iter().map(value).collect();
            times.sort_by(f64::total_cmp);
            Window { delay, when, what, times }
        };
        [window("UIDNEXT", |behind| behind.uid_next), window("HIGHESTMODSEQ", |behind| behind.highest_modseq)]
    }

    fn at(&self, share: f64) -> Option<f64> {
        let place = (self.times.len().saturating_sub(1) as f64 * share).ceil() as usize;
        self.times.get(place).copied()
    }

    fn behind(&self) -> usize {
        self.times.iter().filter(|time| **time > 0.0).count()
    }

    fn late(&self) -> usize {
        self.times.iter().filter(|time| time.is_infinite()).count()
    }

    fn figures(&self) -> Value {
        // JSON knows no infinity: null where the second node did not catch up in time.
        json!({
            "one_way_delay_ms": self.delay,
            "when": self.when,
            "what": self.what,
            "p50_ms": self.at(0.5),
            "p99_ms": self.at(0.99),
            "probes": self.times.len(),
            "behind": self.behind(),
            "not_in_time": self.late(),
            "patience_ms": PATIENCE.as_millis() as u64,
        })
    }
}

fn table(windows: &[Window]) -> String {
    let patience = PATIENCE.as_secs();
    let mut table = format!(
        "| one-way delay | when | what | p50 | p99 | probes | behind | not within {patience} s |\n|---|---|---|---|---|---|---|---|\n"
    );
    for window in windows {
        let milliseconds = |share| match window.at(share) {
            Some(time) if time.is_finite() => format!("{time:.1} ms"),
            Some(_) => format!("> {patience} s"),
            None => "-".to_owned(),
        };
        let Window { delay, when, what, times } = window;
        let (p50, p99) = (milliseconds(0.5), milliseconds(0.99));
        table += &format!(
            "| {delay} ms | {when} | {what} | {p50} | {p99} | {} | {} | {} |\n",
            times.len(),
            window.behind(),
            window.late()
        );
    }
    table
}

/// What a node tells of INBOX.
#[derive(Clone, Copy, Debug)]
struct Status {
    uid_validity: u64,
    uid_next: u64,
    highest_modseq: u64,
}

/// How long the second node stood behind, in milliseconds: 0 where its first answer tells no less than the first node's,
/// infinite where it did not catch up in time.
#[derive(Clone, Copy, Debug)]
struct Behind {
    uid_next: f64,
    highest_modseq: f64,
}

fn measure(delay: u64, rounds: usize) -> Vec<Window> {
    let cluster = Cluster::two();
    let direction = Direction { delay: Duration::from_millis(delay), ..Direction::default() };
    cluster.relay.set_both(0, 1, direction);
    thread::sleep(Duration::from_secs(2));
    let mut writers: Vec<Writer> = cluster.nodes.iter().zip(PAUSES).flat_map(Writer::two).collect();
    let mut probe = Probe::open(&cluster);
    let mut client = Session::open(cluster.nodes[0].imap);
    let (mut loaded, mut stopped, mut left) = (Vec::new(), Vec::new(), Vec::new());
    let messages = AtomicU64::new(0);
    for round in 1..=rounds {
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            for writer in &mut writers {
                scope.spawn(|| writer.write_until(&ended, &messages));
            }
            // Also where a probe panics.
            let _ended = EndOnDrop(&ended);
            let until = Instant::now() + BURST;
            for pause in PROBE_PAUSES.into_iter().cycle() {
                thread::sleep(Duration::from_millis(pause));
                if Instant::now() >= until {
                    break;
                }
                loaded.push(probe.measure());
            }
        });
        stopped.push(probe.measure());
        let number = messages.fetch_add(1, Ordering::Relaxed);
        let uid = append(&mut client, number);
        expunge(&mut client, &uid);
        left.push(probe.measure());
        eprintln!("{delay} ms one way: round {round} of {rounds}, {number} messages");
    }
    let kinds = [("under load", loaded), ("when it stops", stopped), ("after one came and went", left)];
    kinds.into_iter().flat_map(|(when, times)| Window::both(delay, when, &times)).collect()
}

/// Tells writers to end.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A client that moves from the first node to the second.
struct Probe {
    from: Session,
    to: Session,
}

impl Probe {
    fn open(cluster: &Cluster) -> Self {
        Probe { from: Session::login(cluster.nodes[0].imap), to: Session::login(cluster.nodes[1].imap) }
    }

    fn measure(&mut self) -> Behind {
        let told = status(&mut self.from);
        let began = Instant::now();
        let (mut uid_next, mut highest_modseq) = (None, None);
        for asked in 0.. {
            let now = status(&mut self.to);
            let elapsed = began.elapsed();
            let milliseconds = if asked == 0 { 0.0 } else { elapsed.as_secs_f64() * 1000.0 };
            assert_eq!(told.uid_validity, now.uid_validity, "nothing here is a reason for a new UIDVALIDITY");
            if now.uid_next >= told.uid_next {
                uid_next.get_or_insert(milliseconds);
            }
            if now.highest_modseq >= told.highest_modseq {
                highest_modseq.get_or_insert(milliseconds);
            }
            if elapsed >= PATIENCE || (uid_next.is_some() && highest_modseq.is_some()) {
                break;
            }
            thread::sleep(POLL_INTERVAL);
        }
        Behind {
            uid_next: uid_next.unwrap_or(f64::INFINITY),
            highest_modseq: highest_modseq.unwrap_or(f64::INFINITY),
        }
    }
}

fn status(session: &mut Session) -> Status {
    session.write(b"p STATUS INBOX (UIDVALIDITY UIDNEXT HIGHESTMODSEQ)\r\n");
    let line = session.read_to("* STATUS");
    session.read_to("p OK");
    let number = |name: &str| {
        let after = line.split_once(&format!("{name} ")).map(|(_, after)| after);
        let digits = after.and_then(|after| after.split(|c: char| !c.is_ascii_digit()).next());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no {name} in {line:?}"))
    };
    Status {
        uid_validity: number("UIDVALIDITY"),
        uid_next: number("UIDNEXT"),
        highest_modseq: number("HIGHESTMODSEQ"),
    }
}

/// A part of the load, on one node.
struct Writer {
    door: Door,
    pause: Duration,
}

enum Door {
    /// A client that has INBOX selected, appends, flags a quarter and expunges a tenth of what it appended.
    Imap(Session),
    /// An MTA.
    Lmtp(lmtp::Client),
}

impl Writer {
    fn two((node, pause): (&Node, Duration)) -> [Writer; 2] {
        let doors = [Door::Imap(Session::open(node.imap)), Door::Lmtp(lmtp::Client::open(node))];
        doors.map(|door| Writer { door, pause })
    }

    fn write_until(&mut self, ended: &AtomicBool, messages: &AtomicU64) {
        while !ended.load(Ordering::Relaxed) {
            let number = messages.fetch_add(1, Ordering::Relaxed);
            match &mut self.door {
                Door::Lmtp(client) => client.deliver(&message(number)),
                Door::Imap(session) => {
                    let uid = append(session, number);
                    if number.is_multiple_of(4) {
                        session.write(format!("b UID STORE {uid} +FLAGS.SILENT (\\Seen)\r\n").as_bytes());
                        session.read_to("b OK");
                    }
                    if number.is_multiple_of(10) {
                        expunge(session, &uid);
                    }
                }
            }
            thread::sleep(self.pause);
        }
    }
}

fn message(number: u64) -> Vec<u8> {
    kit::message(&format!("window-{number}"), "window")
}

/// Appends a message to INBOX; gives its UID.
fn append(session: &mut Session, number: u64) -> String {
    let message = message(number);
    let mut command = format!("a APPEND INBOX {{{}+}}\r\n", message.len()).into_bytes();
    command.extend(message);
    command.extend(b"\r\n");
    session.write(&command);
    let line = session.read_to("a ");
    let uid = line.strip_prefix("a OK [APPENDUID ").and_then(|code| code.split([' ', ']']).nth(1));
    uid.unwrap_or_else(|| panic!("APPEND was answered with {line:?}")).to_owned()
}

fn expunge(session: &mut Session, uid: &str) {
    session.write(format!("c UID STORE {uid} +FLAGS.SILENT (\\Deleted)\r\n").as_bytes());
    session.read_to("c OK");
    session.write(format!("d UID EXPUNGE {uid}\r\n").as_bytes());
    session.read_to("d OK");
}
