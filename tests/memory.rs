//! A large message that is appended or fetched passes through a node in pieces: it never sits in memory.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use kit::cluster::Cluster;
use kit::memory::Peak;
use kit::node::Node;
use kit::witness::Witness;
use kit::{delivered, imap, lmtp, message, pop3};

/// What each session may add to the process while it works on a message of [`LARGE_OCTETS`], in KiB.
const MOST_ADDED_KIB: u64 = 2 * 1024;
const LARGE_OCTETS: usize = 50 * 1000 * 1000;

#[test]
fn fifty_megabytes_by_imap_add_less_than_two() {
    let mut cluster = Cluster::one();
    let node = &cluster.nodes[0];
    let mut client = imap::Client::open(node, &Witness::default());
    client.select("INBOX");
    // Once before, so that the code is loaded and the threads run.
    append_and_fetch(node, &mut client, &large(2 * 1000 * 1000), 1);
    let added = append_and_fetch(node, &mut client, &large(LARGE_OCTETS), 2);
    assert!(added < MOST_ADDED_KIB, "{added} KiB");
    cluster.nodes[0].assert_alive();
}

/// How much more memory than before the node had at the most, in KiB.
fn append_and_fetch(node: &Node, client: &mut imap::Client, message: &[u8], number: usize) -> u64 {
    let peak = Peak::from_now(node);
    client.append("INBOX", "", message);
    let after_append = peak.added();
    let reply = client.ok(&format!("FETCH {number} (BODY.PEEK[] ENVELOPE BODYSTRUCTURE BODY.PEEK[TEXT])"));
    assert!(!reply.untagged.is_empty());
    let added = peak.added();
    println!("APPEND of {} octets added {after_append} KiB, with FETCH {added}", message.len());
    added
}

#[test]
fn sessions_of_pop3_that_read_fifty_megabytes_add_less_than_two_each() {
    let mut cluster = Cluster::one();
    let node = &cluster.nodes[0];
    let octets = large(LARGE_OCTETS);
    lmtp::Client::open(node).deliver(&octets);
    let octets = delivered(&octets);
    let mut clients: Vec<pop3::Client> = (0..3).map(|_| pop3::Client::open(node)).collect();
    let peak = Peak::from_now(node);
    for client in &mut clients {
        assert_eq!(client.ok("STAT"), format!("1 {}", octets.len()));
        // They wait for nothing, so two of them have their sockets full while the third is served.
        client.send(b"RETR 1\r\n");
    }
    for client in &mut clients {
        assert!(client.octets_after("RETR 1") == octets, "another message than was delivered");
    }
    let added = peak.added();
    println!("three sessions that read {LARGE_OCTETS} octets at the same time added {added} KiB");
    assert!(added < 3 * MOST_ADDED_KIB, "{added} KiB");
    cluster.nodes[0].assert_alive();
}

/// A message of about that many octets, whose lines begin with dots.
fn large(octets: usize) -> Vec<u8> {
    let line = |line| format!(".{line:016}: a line of a large message, as long as they are wont to be.\r\n");
    let lines: String = (0..1000).map(line).collect();
    let mut large = message("large", "a large one");
    while large.len() < octets {
        large.extend_from_slice(lines.as_bytes());
    }
    large
}
