//! Annotations that are made on one node are read on the other, and subscriptions with them (RFC 5464).

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::collections::BTreeMap;

use kit::cluster::Cluster;
use kit::imap::{Client, Status, Value};
use kit::node::Node;
use kit::wait::eventually;
use kit::witness::Witness;

/// What annotates a mailbox, or with the empty name the account; private and shared ones. None where there is no such mailbox.
fn annotations(client: &mut Client, mailbox: &str) -> Option<BTreeMap<String, String>> {
    let command = format!("GETMETADATA (DEPTH infinity) \"{mailbox}\" (/private/vendor /shared/comment)");
    let reply = client.command(&command);
    if reply.text.contains("[NONEXISTENT]") {
        return None;
    }
    assert_eq!(reply.status, Status::Ok, "{command}: {}", reply.text);
    let told = reply.untagged.iter().filter(|values| values[0].text() == "METADATA");
    let pairs = told.flat_map(|values| values[2].list().chunks_exact(2)).filter(|pair| pair[1] != nil());
    Some(pairs.map(|pair| (pair[0].text(), pair[1].text())).collect())
}

fn nil() -> Value {
    Value::Word("NIL".to_owned())
}

fn subscribed(client: &mut Client) -> Vec<String> {
    let reply = client.ok("LIST (SUBSCRIBED) \"\" *");
    let names = reply.untagged.iter().filter(|values| values[0].text() == "LIST");
    names.filter_map(|values| values.last()).map(Value::text).collect()
}

fn of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Waits until a node tells these.
#[track_caller]
fn await_annotations(node: &Node, witness: &Witness, mailbox: &str, expected: &[(&str, &str)]) {
    eventually(&format!("{mailbox:?} is annotated on {}", node.name), || {
        let told = annotations(&mut Client::open(node, witness), mailbox);
        if told == Some(of(expected)) { Ok(()) } else { Err(format!("{told:?} instead of {expected:?}")) }
    });
}

#[test]
fn annotations_and_subscriptions_come_to_the_same() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let (mut on_a, mut on_b) = (Client::open(a, &witness), Client::open(b, &witness));

    on_a.ok("CREATE Work");
    on_a.ok("SETMETADATA Work (/private/vendor/color \"blue\" /shared/comment {5+}\r\na\r\nb.)");
    on_a.ok("SETMETADATA \"\" (/private/vendor/greeting \"hello\")");
    let work = [("/private/vendor/color", "blue"), ("/shared/comment", "a\r\nb.")];
    await_annotations(b, &witness, "Work", &work);
    await_annotations(b, &witness, "", &[("/private/vendor/greeting", "hello")]);
    // A client that wants to know hears which others change.
    on_b.ok("ENABLE METADATA");
    on_a.ok("SETMETADATA INBOX (/private/vendor/order \"7\")");
    eventually("b tells that annotations of INBOX changed", || {
        let told = on_b.ok("NOOP").untagged;
        let expected = ["METADATA", "INBOX", "/private/vendor/order"];
        let is_expected = |values: &Vec<Value>| values.iter().map(Value::text).eq(expected);
        if told.iter().any(is_expected) { Ok(()) } else { Err(format!("{told:?}")) }
    });

    // Apart, both write: of one name the later counts, whichever comes first; others stay side by side. A rename takes them along.
    cluster.part();
    on_a.ok("SETMETADATA Work (/private/vendor/color \"green\" /private/vendor/a \"1\")");
    on_a.ok("SUBSCRIBE Elsewhere");
    on_b.ok("RENAME Work Play");
    on_b.ok("SETMETADATA Play (/private/vendor/color \"red\" /private/vendor/b \"2\" /shared/comment NIL)");
    on_b.ok("UNSUBSCRIBE Sent");
    cluster.meet();
    let play = [("/private/vendor/a", "1"), ("/private/vendor/b", "2"), ("/private/vendor/color", "red")];
    for node in [a, b] {
        await_annotations(node, &witness, "Play", &play);
    }
    let names = ["Archive", "Drafts", "Elsewhere", "INBOX", "Junk", "Trash"];
    eventually("subscriptions are the same", || {
        let all = [a, b].map(|node| subscribed(&mut Client::open(node, &witness)));
        if all.iter().all(|told| told == &names) { Ok(()) } else { Err(format!("{all:?}")) }
    });

    // They are there after a start, and gone with the mailbox.
    let mut cluster = cluster;
    cluster.nodes[1].stop();
    cluster.nodes[1].start();
    await_annotations(&cluster.nodes[1], &witness, "Play", &play);
    Client::open(&cluster.nodes[1], &witness).ok("DELETE Play");
    eventually("the mailbox is gone", || {
        let reply = Client::open(&cluster.nodes[0], &witness).command("GETMETADATA Play /shared/comment");
        if reply.text.contains("[NONEXISTENT]") { Ok(()) } else { Err(reply.text) }
    });
    Client::open(&cluster.nodes[0], &witness).ok("CREATE Play");
    assert_eq!(annotations(&mut Client::open(&cluster.nodes[0], &witness), "Play"), Some(of(&[])));
    for node in &cluster.nodes {
        node.succeeds(&["verify"]);
    }
}
