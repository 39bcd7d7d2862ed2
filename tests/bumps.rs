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
use kit::imap::Client;
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
        let emails = |listing: &kit::imap::Listing| -> Vec<String> {
            listing.messages.values().map(|message| message.email_id.clone()).collect()
        };
        assert_eq!(emails(&listing), emails(&before), "EMAILID stays, in the order of acceptance");
        assert_ne!(mailbox_id(&mut Client::open(node, &Witness::default())), object, "MAILBOXID changes");
        eventually("the history gives the reason", || {
            let reasons = reasons(node);
            if reasons.iter().any(|reason| reason.contains("operator")) {
                Ok(())
            } else {
                Err(format!("{reasons:?}"))
            }
        });
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
        deliver(node, &format!("apart-{}", node.name), 2);
        eventually("the session sees it", || {
            session.follow();
            if session.view().len() == 4 { Ok(()) } else { Err(session.view().len().to_string()) }
        });
    }
    cluster.meet();
    for node in [a, b] {
        eventually("the mailbox has another UIDVALIDITY, and all mail", || {
            let listing = Client::open(node, &Witness::default()).list("INBOX");
            let bumped = listing.uid_validity > before.uid_validity && listing.messages.len() == 6;
            if bumped { Ok(()) } else { Err(format!("{} {}", listing.uid_validity, listing.messages.len())) }
        });
        eventually("the history gives the reason", || {
            let reasons = reasons(node);
            if reasons.iter().any(|reason| reason.contains("on_reorder")) {
                Ok(())
            } else {
                Err(format!("{reasons:?}"))
            }
        });
    }
}
