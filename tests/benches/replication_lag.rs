//! How long after the OK of an APPEND on one node a client in IDLE on the other is told EXISTS, at 0 and at 40 ms of one-way
//! delay between the nodes.
//!
//! ```text
//! cargo bench -p peerpost --bench replication_lag
//! ```
#![allow(clippy::disallowed_methods, reason = "a benchmark measures wall time")]

#[path = "../kit/mod.rs"]
mod kit;
#[path = "session.rs"]
mod session;

use std::time::{Duration, Instant};

use kit::cluster::Cluster;
use kit::relay::Direction;
use session::Session;

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
