//! A large message that is appended or fetched passes through a node in pieces: it never sits in memory.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::fs;

use kit::cluster::Cluster;
use kit::imap::Client;
use kit::node::Node;
use kit::witness::Witness;

/// What may come on top while a message of [`LARGE_OCTETS`] is worked on, in KiB.
const MOST_ADDED_KIB: u64 = 2 * 1024;
const LARGE_OCTETS: usize = 50 * 1000 * 1000;

#[test]
fn fifty_megabytes_add_less_than_two() {
    let cluster = Cluster::one();
    let node = &cluster.nodes[0];
    let witness = Witness::default();
    let mut client = Client::open(node, &witness);
    client.select("INBOX");
    let large = message_of(LARGE_OCTETS);
    // Once before, so that the code is loaded and the threads run.
    let small = message_of(2 * 1000 * 1000);
    append_and_fetch(node, &mut client, &small, 1);
    let added = append_and_fetch(node, &mut client, &large, 2);
    assert!(added < MOST_ADDED_KIB, "{} octets added {added} KiB to the process at most", large.len());
}

/// How much more memory the node had at its peak than before, in KiB.
fn append_and_fetch(node: &Node, client: &mut Client, message: &[u8], number: usize) -> u64 {
    let before = status(node, "VmRSS:");
    // The peak is counted from now on (proc(5), clear_refs).
    fs::write(format!("/proc/{}/clear_refs", node.pid()), "5").unwrap();
    client.append("INBOX", "", message);
    let after_append = status(node, "VmHWM:");
    let reply = client.ok(&format!("FETCH {number} (BODY.PEEK[] ENVELOPE BODYSTRUCTURE BODY.PEEK[TEXT])"));
    assert!(!reply.untagged.is_empty());
    let peak = status(node, "VmHWM:");
    println!(
        "{} octets: {before} KiB before, {after_append} at the peak of APPEND, {peak} of all",
        message.len()
    );
    peak - before
}

fn status(node: &Node, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn message_of(octets: usize) -> Vec<u8> {
    let mut message = kit::message("large", "a large one");
    while message.len() < octets {
        message.extend_from_slice(
            b"A line of a large message, as long as they are wont to be, and then some.\r\n",
        );
    }
    message
}
