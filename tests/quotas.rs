//! A quota that is set on one node holds on both, both count the same, and a merge that goes beyond it loses nothing (RFC 9208).

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use kit::alike::alike;
use kit::cluster::{ACCOUNT, Cluster};
use kit::imap::{Client, Status, Value};
use kit::lmtp;
use kit::message;
use kit::node::Node;
use kit::wait::eventually;
use kit::witness::Witness;

/// Messages that may be held.
const MOST: u64 = 12;

/// What `user quota --json` tells.
fn quota(node: &Node) -> serde_json::Value {
    serde_json::from_str(&node.succeeds(&["user", "quota", ACCOUNT, "--json"])).unwrap()
}

/// The code of the answer to a delivery.
fn offer(node: &Node, id: &str) -> (u16, String) {
    let replies = lmtp::Client::open(node).offer(&[ACCOUNT], &message(id, "delivered")).unwrap();
    (replies[0].code, replies[0].text.clone())
}

/// APPEND, whatever comes of it.
fn append(client: &mut Client, id: &str) -> (Status, String) {
    let octets = String::from_utf8(message(id, "appended")).unwrap();
    let reply = client.command(&format!("APPEND INBOX {{{}+}}\r\n{octets}", octets.len()));
    (reply.status, reply.text)
}

/// GETQUOTAROOT of INBOX: name, usage and limit of every resource.
fn resources(client: &mut Client) -> Vec<(String, u32, u32)> {
    let reply = client.ok("GETQUOTAROOT INBOX");
    let told = reply.untagged.iter().filter(|values| values[0].text() == "QUOTA");
    let triples = told.flat_map(|values| values[2].list().chunks_exact(3));
    let number = |value: &Value| value.number().unwrap();
    triples.map(|triple| (triple[0].text(), number(&triple[1]), number(&triple[2]))).collect()
}

/// Waits until both nodes count the same, and so many messages.
#[track_caller]
fn await_usage(cluster: &Cluster, messages: u64) -> serde_json::Value {
    eventually(&format!("both nodes count {messages} messages"), || {
        let told = [0, 1].map(|index: usize| quota(&cluster.nodes[index]));
        let counts = told[0]["messages"]["used"] == messages && told[0] == told[1];
        if counts { Ok(told[0].clone()) } else { Err(format!("{told:?}")) }
    })
}

#[test]
fn a_quota_holds_on_both_nodes_and_loses_nothing() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    assert_eq!(quota(a)["messages"], serde_json::json!({ "used": 0, "limit": null }));
    a.succeeds(&["user", "quota", ACCOUNT, "--storage", "1M", "--messages", &MOST.to_string()]);
    eventually("b knows the quota", || {
        let told = quota(b);
        let limits = [&told["storage"]["limit"], &told["messages"]["limit"]];
        if limits == [1 << 20, MOST] { Ok(()) } else { Err(told.to_string()) }
    });
    for number in 0..8 {
        assert_eq!(offer(a, &format!("before-{number}")).0, 250);
    }
    await_usage(&cluster, 8);

    // Apart, each keeps it by what it knows: four fit on either side, and one more is refused there.
    cluster.part();
    let mut on_b = Client::open(b, &witness);
    for number in 0..4 {
        assert_eq!(offer(a, &format!("a-{number}")).0, 250);
        assert_eq!(append(&mut on_b, &format!("b-{number}")).0, Status::Ok);
    }
    let (code, text) = offer(a, "refused");
    assert!(code == 452 && text.starts_with("4.2.2"), "{code} {text}");
    let (status, text) = append(&mut on_b, "refused");
    assert!(status == Status::No && text.contains("[OVERQUOTA]"), "{text}");
    on_b.select("INBOX");
    let copied = on_b.command("COPY 1 Archive");
    assert!(copied.status == Status::No && copied.text.contains("[OVERQUOTA]"), "{}", copied.text);
    on_b.ok("MOVE 1 Archive");
    on_b.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)");
    on_b.ok("EXPUNGE");
    let refused = on_b.command("SETQUOTA \"\" (MESSAGE 1000)");
    assert!(refused.status == Status::No && refused.text.contains("[NOPERM]"), "{}", refused.text);

    // Together: 8 before, 4 of each side, 2 expunged. All that was accepted is there, and nothing more is taken.
    cluster.meet();
    let told = await_usage(&cluster, 14);
    alike("alike beyond the quota", &cluster.nodes, &witness, 13);
    let mut on_a = Client::open(a, &witness);
    let octets = told["storage"]["used"].as_u64().unwrap();
    let expected =
        [("STORAGE".to_owned(), octets.div_ceil(1024) as u32, 1024), ("MESSAGE".to_owned(), 14, 12)];
    for client in [&mut on_a, &mut on_b] {
        assert_eq!(resources(client), expected);
        assert_eq!(append(client, "refused").0, Status::No);
    }
    assert_eq!((offer(a, "refused").0, offer(b, "refused").0), (452, 452));

    // Until there is room again; and it is as the operator says.
    on_a.select("INBOX");
    on_a.ok("STORE 1:3 +FLAGS.SILENT (\\Deleted)");
    on_a.ok("EXPUNGE");
    await_usage(&cluster, 11);
    assert_eq!(offer(b, "fits").0, 250);
    await_usage(&cluster, 12);
    b.succeeds(&["user", "quota", ACCOUNT, "--messages", "none"]);
    eventually("a knows that messages are not counted", || {
        let told = quota(a);
        let is_so = told["messages"]["limit"].is_null() && told["storage"]["limit"] == 1 << 20;
        if is_so { Ok(()) } else { Err(told.to_string()) }
    });
    assert_eq!(offer(a, "fits, too").0, 250);
    await_usage(&cluster, 13);
    for node in &cluster.nodes {
        node.succeeds(&["verify"]);
    }
}
