//! A new UIDVALIDITY: what clients are told of it, and what the history says.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::collections::BTreeSet;

use kit::cluster::{ACCOUNT, Cluster, Setup};
use kit::imap::{Client, Listing};
use kit::node::Node;
use kit::wait::eventually;
use kit::witness::Witness;
use kit::{lmtp, message};

fn deliver(node: &Node, prefix: &str, count: usize) {
    let mut client = lmtp::Client::open(node);
    (0..count).for_each(|number| client.deliver(&message(&format!("{prefix}-{number}"), "kept")));
}

/// The reasons that the history of INBOX gives for bumps, on whichever node they were seen.
fn reasons(node: &Node) -> BTreeSet<String> {
    let history: serde_json::Value =
        serde_json::from_str(&node.succeeds(&["history", ACCOUNT, "INBOX", "--json"])).unwrap();
    let merges = history["merges"].as_array().unwrap();
    let mailboxes = merges.iter().flat_map(|merge| merge["mailboxes"].as_array().unwrap());
    mailboxes.filter_map(|mailbox| mailbox["bumped"]["reason"].as_str()).map(str::to_owned).collect()
}

/// Delivers while the nodes cannot talk, until a session shows so many messages in all.
fn deliver_apart(node: &Node, session: &mut Client, count: usize, all: usize) {
    deliver(node, &format!("apart-{}", node.name), count);
    eventually("the session sees it", || {
        session.follow();
        if session.view().len() == all { Ok(()) } else { Err(session.view().len().to_string()) }
    });
}

fn await_reason(node: &Node, wanted: &str) {
    eventually("the history gives the reason", || {
        let reasons = reasons(node);
        if reasons.iter().any(|reason| reason.contains(wanted)) {
            Ok(())
        } else {
            Err(format!("{reasons:?}"))
        }
    });
}

fn await_bump(node: &Node, before: &Listing, messages: usize) {
    eventually("the mailbox has another UIDVALIDITY, and all mail", || {
        let listing = Client::open(node, &Witness::default()).list("INBOX");
        let bumped = listing.uid_validity > before.uid_validity && listing.messages.len() == messages;
        if bumped { Ok(()) } else { Err(format!("{} {}", listing.uid_validity, listing.messages.len())) }
    });
}

fn mailbox_id(client: &mut Client) -> String {
    let reply = client.ok("STATUS INBOX (MAILBOXID)");
    let lines = reply.untagged.iter().map(|values| format!("{values:?}"));
    lines.filter(|line| line.contains("MAILBOXID")).collect()
}

#[test]
fn an_operator_bumps_a_mailbox() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    deliver(a, "before", 3);
    let before = Client::open(a, &witness).list("INBOX");
    let mut sessions = [Client::open(a, &witness), Client::open(b, &witness)];
    let object = mailbox_id(&mut sessions[0]);
    for session in &mut sessions {
        session.select("INBOX");
    }
    let told = a.succeeds(&["bump", ACCOUNT, "INBOX", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    for session in &mut sessions {
        assert!(session.is_bidden_farewell(), "a session of the old UIDVALIDITY goes on");
    }
    for node in [a, b] {
        let listing = eventually("the new UIDVALIDITY is there", || {
            let listing = Client::open(node, &Witness::default()).list("INBOX");
            let whole =
                u64::from(listing.uid_validity) == told["uid_validity"] && listing.messages.len() == 3;
            if whole { Ok(listing) } else { Err(format!("{}", listing.uid_validity)) }
        });
        assert!(listing.uid_validity > before.uid_validity);
        let emails = |listing: &Listing| -> Vec<String> {
            listing.messages.values().map(|message| message.email_id.clone()).collect()
        };
        assert_eq!(emails(&listing), emails(&before), "EMAILID stays, in the order of acceptance");
        assert_ne!(mailbox_id(&mut Client::open(node, &Witness::default())), object, "MAILBOXID changes");
        await_reason(node, "operator");
    }
}

#[test]
fn a_reorder_bumps_where_the_operator_wants_it() {
    let more = "[uid]\non_reorder = \"bump\"\n".to_owned();
    let cluster = Cluster::start(Setup { more, ..Setup::default() });
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    deliver(a, "before", 2);
    let before = Client::open(a, &witness).list("INBOX");
    let mut sessions = [Client::open(a, &witness), Client::open(b, &witness)];
    sessions.iter_mut().for_each(|session| drop(session.select("INBOX")));
    cluster.part();
    for (node, session) in [a, b].into_iter().zip(&mut sessions) {
        deliver_apart(node, session, 2, 4);
    }
    cluster.meet();
    for node in [a, b] {
        await_bump(node, &before, 6);
        await_reason(node, "on_reorder");
    }
}

#[test]
fn a_merge_that_would_renumber_most_of_a_large_mailbox_bumps_it() {
    const APART: [usize; 2] = [900, 500];
    let cluster = Cluster::two();
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    deliver(a, "before", 1);
    let before = Client::open(a, &witness).list("INBOX");
    let mut sessions = [Client::open(a, &witness), Client::open(b, &witness)];
    sessions.iter_mut().for_each(|session| drop(session.select("INBOX")));
    cluster.part();
    for ((node, session), count) in [a, b].into_iter().zip(&mut sessions).zip(APART) {
        deliver_apart(node, session, count, 1 + count);
    }
    cluster.meet();
    let all = 1 + APART.iter().sum::<usize>();
    for node in [a, b] {
        await_bump(node, &before, all);
        await_reason(node, "reissue_limit");
    }
}
