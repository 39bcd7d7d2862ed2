//! A data directory that is put back to an older state: no UID that a client saw ever names another message, and the node
//! goes on in another slot without anybody's help.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kit::cluster::Cluster;
use kit::imap::Client;
use kit::node::Node;
use kit::wait::eventually;
use kit::witness::Witness;
use kit::{lmtp, message};

/// What clients of any node saw: (UIDVALIDITY, UID) and the message's EMAILID.
#[derive(Default)]
struct Seen(BTreeMap<(u32, u32), String>);

impl Seen {
    /// Lists INBOX on a node. A witness of its own each time: UIDNEXT of a disk that was put back may be lower.
    #[track_caller]
    fn list(&mut self, node: &Node) -> usize {
        let listing = Client::open(node, &Witness::default()).list("INBOX");
        for (uid, message) in &listing.messages {
            let known =
                self.0.entry((listing.uid_validity, *uid)).or_insert_with(|| message.email_id.clone());
            assert_eq!(known, &message.email_id, "alias: UID {uid} on {}", node.name);
        }
        listing.messages.len()
    }

    #[track_caller]
    fn await_count(&mut self, node: &Node, count: usize) {
        eventually(&format!("{} shows {count} messages", node.name), || match self.list(node) {
            shown if shown == count => Ok(()),
            shown => Err(format!("{shown} messages")),
        });
    }
}

fn deliver(node: &Node, prefix: &str, count: usize) {
    let mut client = lmtp::Client::open(node);
    (0..count).for_each(|number| client.deliver(&message(&format!("{prefix}-{number}"), "kept")));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&path, &target),
            kind if kind.is_file() => drop(fs::copy(&path, &target).unwrap()),
            _ => {}
        }
    }
}

#[test]
fn a_data_directory_that_is_put_back_aliases_nothing() {
    let mut cluster = Cluster::two();
    let mut seen = Seen::default();
    let backup = cluster.directory().join("backup");
    deliver(&cluster.nodes[1], "early", 3);
    seen.await_count(&cluster.nodes[1], 3);
    seen.await_count(&cluster.nodes[0], 3);

    cluster.nodes[1].stop();
    copy(&cluster.nodes[1].data(), &backup);
    cluster.nodes[1].start();
    cluster.nodes[1].await_confirmation();
    deliver(&cluster.nodes[1], "witnessed", 4);
    seen.await_count(&cluster.nodes[1], 7);
    seen.await_count(&cluster.nodes[0], 7);
    cluster.part();
    deliver(&cluster.nodes[1], "unwitnessed", 4);
    seen.await_count(&cluster.nodes[1], 11);

    cluster.nodes[1].kill();
    fs::remove_dir_all(cluster.nodes[1].data()).unwrap();
    copy(&backup, &cluster.nodes[1].data());
    cluster.nodes[1].start();
    // It knows nothing of the four that were witnessed, and must not give their UIDs to these.
    deliver(&cluster.nodes[1], "after", 5);
    seen.await_count(&cluster.nodes[1], 8);
    cluster.meet();
    let moved = eventually("b lives in another slot", || {
        // A node that goes down just now may end the conversation.
        let told = cluster.nodes[1].run(&["status", "--json"], "").stdout;
        let status: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
        let node = &status["node"];
        match (node["slot"].as_u64(), node["confirmation"].as_str()) {
            (Some(slot), Some("confirmed")) if slot > 1 => Ok(slot),
            other => Err(format!("{other:?}")),
        }
    });
    // What only the lost state of the disk held is lost with it; everything else is there, on both.
    for node in &cluster.nodes {
        seen.await_count(node, 12);
    }
    let members = cluster.nodes[0].status()["members"].as_array().unwrap().clone();
    let slots: Vec<u64> = members.iter().map(|member| member["slot"].as_u64().unwrap()).collect();
    assert_eq!(slots, [0, moved], "the old slot is given up");
    deliver(&cluster.nodes[1], "late", 3);
    deliver(&cluster.nodes[0], "late too", 3);
    for node in &cluster.nodes {
        seen.await_count(node, 18);
    }
    for node in &mut cluster.nodes {
        node.assert_alive();
    }
}

#[test]
fn an_ordinary_restart_leaps_nowhere() {
    let mut cluster = Cluster::two();
    deliver(&cluster.nodes[1], "before", 3);
    let mut seen = Seen::default();
    seen.await_count(&cluster.nodes[1], 3);
    for round in 0..3 {
        for node in [1, 0] {
            cluster.nodes[node].kill();
            cluster.nodes[node].start();
            cluster.nodes[node].await_confirmation();
        }
        deliver(&cluster.nodes[1], &format!("round-{round}"), 2);
        seen.await_count(&cluster.nodes[1], 5 + 2 * round);
        seen.await_count(&cluster.nodes[0], 5 + 2 * round);
    }
    let highest = seen.0.keys().map(|(_, uid)| *uid).max();
    assert!(highest < Some(1 << 20), "a leap: UID {highest:?}");
}
