//! Large messages: they cross links that break, and hold nothing else up.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::thread;
use std::time::Duration;

use kit::alike::alike;
use kit::cluster::Cluster;
use kit::imap::{Client, Value};
use kit::lmtp;
use kit::message;
use kit::relay::Direction;
use kit::wait::eventually;
use kit::witness::Witness;

const LARGE_OCTETS: usize = 24 << 20;

/// Lines of text that repeat nowhere, so that no octet can stand for another.
fn large() -> Vec<u8> {
    let mut octets = message("large", "a large one");
    for line in 0.. {
        octets.extend_from_slice(
            format!("{line:016}: a line of a large message, as long as they are wont to be.\r\n").as_bytes(),
        );
        if octets.len() >= LARGE_OCTETS {
            break;
        }
    }
    octets
}

#[test]
fn a_large_message_crosses_a_link_that_breaks_and_a_small_one_overtakes_it() {
    let mut cluster = Cluster::two();
    let witness = Witness::default();
    let slow = Direction { delay: Duration::from_millis(30), ..Direction::default() };
    cluster.relay.set_both(0, 1, slow);
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    // Clients look on both sides, so that the large one has its UID long before its body is on b.
    let (mut sender, mut reader) = (Client::open(a, &witness), Client::open(b, &witness));
    sender.select("INBOX");
    reader.select("INBOX");
    let octets = large();
    sender.append("INBOX", "", &octets);
    sender.follow();
    lmtp::Client::open(a).deliver(&message("small", "a small one"));

    eventually("the small one is on b", || {
        reader.follow();
        let there = reader.message_ids().into_values().any(|id| id == "small");
        if there { Ok(()) } else { Err(format!("{} messages", reader.view().len())) }
    });
    for _ in 0..2 {
        cluster.part();
        thread::sleep(Duration::from_millis(500));
        cluster.relay.set_both(0, 1, slow);
        thread::sleep(Duration::from_millis(700));
    }
    cluster.meet();
    alike("the large one is on b", &cluster.nodes, &witness, 2);
    for node in &cluster.nodes {
        let mut client = Client::open(node, &witness);
        client.select("INBOX");
        let ids = client.message_ids();
        let (uid, _) = ids.iter().find(|(_, id)| *id == "large").unwrap();
        let reply = client.ok(&format!("UID FETCH {uid} (BODY.PEEK[])"));
        let there = reply.untagged.iter().flatten().flat_map(Value::list).any(|value| match value {
            Value::Text(text) => *text == octets,
            Value::Word(_) | Value::List(_) => false,
        });
        assert!(there, "{} gives other octets than were appended", node.name);
    }
    for node in &mut cluster.nodes {
        node.assert_alive();
        node.succeeds(&["verify"]);
    }
}

#[test]
fn a_node_killed_while_it_fetches_a_large_message_fetches_it_again() {
    let mut cluster = Cluster::two();
    let witness = Witness::default();
    let slow = Direction { delay: Duration::from_millis(30), ..Direction::default() };
    cluster.relay.set_both(0, 1, slow);
    let octets = large();
    Client::open(&cluster.nodes[0], &witness).append("INBOX", "", &octets);
    for round in 0..3 {
        thread::sleep(Duration::from_millis(100 + 150 * round));
        cluster.nodes[1].kill();
        cluster.nodes[1].start();
    }
    cluster.meet();
    alike("the large one is on b", &cluster.nodes, &witness, 1);
    for node in &mut cluster.nodes {
        node.assert_alive();
        node.succeeds(&["verify"]);
    }
}
