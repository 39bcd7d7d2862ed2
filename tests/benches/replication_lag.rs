//! How long after the OK of an APPEND on one node a client in IDLE on the other is told EXISTS, at 0 and at 40 ms of one-way
//! delay between the nodes.
//!
//! ```text
//! cargo bench -p peerpost --bench replication_lag
//! ```
#![allow(clippy::disallowed_methods, reason = "a benchmark measures wall time")]

#[path = "../kit/mod.rs"]
mod kit;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use kit::cluster::{ACCOUNT, Cluster, PASSWORD};
use kit::relay::Direction;

const MESSAGES: usize = 300;

fn main() {
    println!("| one-way delay | p50 | p99 |");
    println!("|---|---|---|");
    for milliseconds in [0, 40] {
        let mut times = measure(milliseconds);
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!("| {milliseconds} ms | {:.1} ms | {:.1} ms |", at(0.5), at(0.99));
    }
}

/// The milliseconds from sending an APPEND on one node to EXISTS on the other.
fn measure(delay: u64) -> Vec<f64> {
    let cluster = Cluster::two();
    let direction = Direction { delay: Duration::from_millis(delay), ..Direction::default() };
    cluster.relay.set_both(0, 1, direction);
    std::thread::sleep(Duration::from_secs(2));
    let mut writer = Session::open(cluster.nodes[0].imap);
    let mut reader = Session::open(cluster.nodes[1].imap);
    reader.write(b"i IDLE\r\n");
    reader.read_to("+");
    let append = |number: usize| {
        let message = kit::message(&format!("lag-{delay}-{number}"), "lag");
        let mut command = format!("a APPEND INBOX {{{}+}}\r\n", message.len()).into_bytes();
        command.extend(message);
        command.extend(b"\r\n");
        command
    };
    (0..MESSAGES)
        .map(|number| {
            let command = append(number);
            let start = Instant::now();
            writer.write(&command);
            writer.read_to("a OK");
            reader.read_to(&format!("* {} EXISTS", number + 1));
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect()
}

/// A session with INBOX selected, and nothing between the clock and the socket.
struct Session {
    reading: BufReader<TcpStream>,
    writing: TcpStream,
}

impl Session {
    fn open(address: SocketAddr) -> Self {
        let writing = TcpStream::connect(address).expect("the node answers");
        writing.set_nodelay(true).expect("an option of TCP");
        writing.set_read_timeout(Some(Duration::from_secs(30))).expect("an option of TCP");
        let mut session =
            Session { reading: BufReader::new(writing.try_clone().expect("a handle")), writing };
        session.write(format!("l LOGIN {ACCOUNT} \"{PASSWORD}\"\r\n").as_bytes());
        session.read_to("l OK");
        session.write(b"s SELECT INBOX\r\n");
        session.read_to("s OK");
        session
    }

    fn write(&mut self, octets: &[u8]) {
        self.writing.write_all(octets).expect("the node reads");
    }

    /// Reads lines to the one that begins so.
    fn read_to(&mut self, beginning: &str) {
        loop {
            let mut line = String::new();
            let count = self.reading.read_line(&mut line).expect("a line");
            assert!(count > 0, "the node closed the connection before {beginning:?}");
            if line.starts_with(beginning) {
                return;
            }
        }
    }
}
