//! Mail goes in on either node and reads the same on both.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::collections::{BTreeMap, BTreeSet};

use kit::alike::alike;
use kit::cluster::{Cluster, Setup};
use kit::imap::{Client, Listing};
use kit::lmtp;
use kit::message;
use kit::node::Node;
use kit::relay::Direction;
use kit::wait::eventually;
use kit::witness::Witness;

/// Messages that go in on each side while the nodes are apart, and flag changes made there.
const MESSAGES: usize = 100;
const FLAG_CHANGES: usize = 50;
/// Messages that are there before.
const EARLIER: usize = 60;

fn deliver(node: &Node, prefix: &str, count: usize) {
    let mut lmtp = lmtp::Client::open(node);
    for number in 0..count {
        lmtp.deliver(&message(&format!("{prefix}-{number}"), "delivered"));
    }
}

/// The Message-IDs that a node shows in INBOX.
fn ids(node: &Node, witness: &Witness) -> Vec<String> {
    let mut client = Client::open(node, witness);
    client.select("INBOX");
    let mut ids: Vec<String> = client.message_ids().into_values().collect();
    ids.sort();
    ids
}

fn expected(prefixes: &[(&str, usize)]) -> Vec<String> {
    let all = prefixes.iter().flat_map(|(prefix, count)| (0..*count).map(move |n| format!("{prefix}-{n}")));
    let mut all: Vec<String> = all.collect();
    all.sort();
    all
}

/// EMAILIDs by the flags their messages have.
fn flagged<'a>(listing: &'a Listing, flag: &str) -> BTreeSet<&'a str> {
    let with = listing.messages.values().filter(|message| message.flags.contains(flag));
    with.map(|message| message.email_id.as_str()).collect()
}

#[test]
fn mail_in_on_both_reads_alike_on_both() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    deliver(a, "lmtp-a", 10);
    deliver(b, "lmtp-b", 10);
    for node in [a, b] {
        let mut client = Client::open(node, &witness);
        for number in 0..5 {
            let id = format!("append-{}-{number}", node.name);
            client.append("INBOX", "\\Seen", &message(&id, "appended"));
        }
    }
    let listing = alike("mail in on both, alike on both", &cluster.nodes, &witness, 30);
    assert_eq!(flagged(&listing, "\\Seen").len(), 10);
    let wanted = expected(&[("lmtp-a", 10), ("lmtp-b", 10), ("append-a", 5), ("append-b", 5)]);
    assert_eq!((ids(a, &witness), ids(b, &witness)), (wanted.clone(), wanted));
}

#[test]
fn a_slow_and_lossy_link_gives_the_same() {
    let cluster = Cluster::start(Setup { seed: 3, ..Setup::default() });
    let witness = Witness::default();
    let millis = std::time::Duration::from_millis;
    let bad = Direction { delay: millis(40), jitter: millis(20), loss_per_mille: 50, cut: false };
    cluster.relay.set_both(0, 1, bad);
    deliver(&cluster.nodes[0], "a", 20);
    deliver(&cluster.nodes[1], "b", 20);
    alike("alike over a link that delays 40 to 60 ms and loses 5 %", &cluster.nodes, &witness, 40);
}

#[test]
fn a_link_cut_one_way_heals() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    cluster.relay.cut_one_way(0, 1);
    deliver(&cluster.nodes[0], "a", 10);
    deliver(&cluster.nodes[1], "b", 10);
    cluster.meet();
    alike("alike after a cut in one direction", &cluster.nodes, &witness, 20);
}

#[test]
fn idle_tells_of_mail_that_came_in_on_the_other_node() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    let mut reader = Client::open(&cluster.nodes[1], &witness);
    reader.select("INBOX");
    deliver(&cluster.nodes[0], "a", 1);
    assert!(reader.idle(kit::wait::LONGEST, |view| view.len() == 1), "IDLE told of no message");
    reader.follow();
    assert_eq!(reader.view().uids().len(), 1);
}

/// Offers a message; it must be accepted.
fn offer(node: &Node, bytes: &[u8]) {
    lmtp::Client::open(node).deliver(bytes);
}

/// An MTA that hears nothing from one node offers the message to the other.
#[test]
fn a_message_offered_to_both_nodes_while_apart_is_there_once_after_the_merge() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let (seen, unseen) = (message("seen", "offered twice"), message("unseen", "offered twice"));
    cluster.part();
    // The first is looked at on both sides, and gets a flag of its own on each.
    let mut sessions = [Client::open(a, &witness), Client::open(b, &witness)];
    for ((session, node), flag) in sessions.iter_mut().zip([a, b]).zip(["\\Seen", "\\Flagged"]) {
        offer(node, &seen);
        session.list("INBOX");
        assert_eq!(session.view().len(), 1, "{} while apart", node.name);
        session.ok(&format!("STORE 1 +FLAGS ({flag})"));
        session.ok("UNSELECT");
    }
    offer(a, &unseen);
    offer(b, &unseen);
    offer(b, &message("other", "offered once"));

    cluster.meet();
    let merged = alike("alike after the merge", &cluster.nodes, &witness, 3);
    let wanted = vec!["other".to_owned(), "seen".to_owned(), "unseen".to_owned()];
    assert_eq!((ids(a, &witness), ids(b, &witness)), (wanted.clone(), wanted));
    let flags: Vec<_> = merged.messages.values().filter(|message| !message.flags.is_empty()).collect();
    assert_eq!(flags.len(), 1, "{merged:?}");
    assert_eq!(flags[0].flags, ["\\Flagged", "\\Seen"].map(str::to_owned).into());

    // Offered once more, on either side, it stays one.
    offer(a, &seen);
    offer(b, &unseen);
    assert_eq!(alike("alike after a third offer", &cluster.nodes, &witness, 3), merged);
}

/// One side while the nodes are apart: mail in, each tenth followed by the session that looks on.
fn live_apart(node: &Node, session: Option<&mut Client>) {
    let mut lmtp = lmtp::Client::open(node);
    let mut session = session;
    for number in 0..MESSAGES {
        lmtp.deliver(&message(&format!("{}-{number}", node.name), "apart"));
        if number % 10 == 9
            && let Some(session) = session.as_deref_mut()
        {
            session.follow();
        }
    }
}

/// Each of the flag changes is a command of its own, on the messages `first` and later of `order`.
fn change_flags(session: &mut Client, order: &[u32], first: usize, flag: &str) {
    for uid in &order[first..first + FLAG_CHANGES] {
        session.ok(&format!("UID STORE {uid} +FLAGS ({flag})"));
    }
}

#[test]
fn apart_with_clients_on_both_sides_merges_without_loss() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    deliver(a, "earlier", EARLIER);
    let before = alike("alike before", &cluster.nodes, &witness, EARLIER);
    let mut sessions = [Client::open(a, &witness), Client::open(b, &witness)];
    for session in &mut sessions {
        session.list("INBOX");
    }

    cluster.part();
    let order: Vec<u32> = before.messages.keys().copied().collect();
    live_apart(a, Some(&mut sessions[0]));
    change_flags(&mut sessions[0], &order, 0, "\\Seen");
    live_apart(b, Some(&mut sessions[1]));
    change_flags(&mut sessions[1], &order, EARLIER - FLAG_CHANGES, "\\Flagged");
    for (session, node) in sessions.iter_mut().zip(&cluster.nodes) {
        session.follow();
        assert_eq!(session.view().len(), EARLIER + MESSAGES, "{} while apart", node.name);
    }

    let forced = forced_reissues(&sessions);
    cluster.meet();
    let total = EARLIER + 2 * MESSAGES;
    let merged = alike("alike after the merge", &cluster.nodes, &witness, total);
    assert_eq!(merged.uid_validity, before.uid_validity, "no reason to bump");
    let wanted = expected(&[("earlier", EARLIER), ("a", MESSAGES), ("b", MESSAGES)]);
    assert_eq!((ids(a, &witness), ids(b, &witness)), (wanted.clone(), wanted));
    let email_ids: Vec<&str> = before.messages.values().map(|message| message.email_id.as_str()).collect();
    assert_eq!(flagged(&merged, "\\Seen"), email_ids[..FLAG_CHANGES].iter().copied().collect());
    assert_eq!(flagged(&merged, "\\Flagged"), email_ids[EARLIER - FLAG_CHANGES..].iter().copied().collect());

    // The sessions that stayed open come to the same, told in a legal order (the client panics otherwise).
    for (session, node) in sessions.iter_mut().zip(&cluster.nodes) {
        eventually(&format!("the session on {} kept over the merge", node.name), || {
            session.follow();
            let wanted: Vec<u32> = merged.messages.keys().copied().collect();
            let shown = session.view().uids();
            if shown == wanted {
                Ok(())
            } else {
                Err(format!("{} of {} messages", shown.len(), wanted.len()))
            }
        });
    }
    for ((session, forced), node) in sessions.iter().zip(forced).zip(&cluster.nodes) {
        let reissued = session.view().expunged;
        println!(
            "on {} {reissued} of {MESSAGES} messages were reissued, {forced} of them had to be",
            node.name
        );
        assert!((forced..=MESSAGES).contains(&reissued), "the merge was none, or reissued twice");
    }
}

/// How many messages of each session lie below what the other side has announced: no rule can leave them where they are.
fn forced_reissues(sessions: &[Client; 2]) -> [usize; 2] {
    let [one, other] = [0, 1].map(|side: usize| sessions[side].view().uids());
    let below = |uids: &[u32], others: &[u32]| {
        let announced = others.iter().max().map_or(0, |highest| highest + 1);
        uids.iter().filter(|uid| **uid < announced && !others.contains(uid)).count()
    };
    [below(&one, &other), below(&other, &one)]
}

#[test]
fn apart_with_clients_on_one_side_changes_no_uid() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    deliver(a, "earlier", EARLIER);
    let mut session = Client::open(a, &witness);
    let before = session.list("INBOX");
    assert_eq!(before.messages.len(), EARLIER);

    cluster.part();
    let order: Vec<u32> = before.messages.keys().copied().collect();
    live_apart(b, None);
    live_apart(a, Some(&mut session));
    change_flags(&mut session, &order, 0, "\\Seen");
    let seen: BTreeMap<u32, String> = {
        let listing = Client::open(a, &witness).list("INBOX");
        listing.messages.into_iter().map(|(uid, message)| (uid, message.email_id)).collect()
    };
    assert_eq!(seen.len(), EARLIER + MESSAGES);

    cluster.meet();
    let total = EARLIER + 2 * MESSAGES;
    eventually("the session that looks on has everything", || {
        session.follow();
        let count = session.view().len();
        if count == total { Ok(()) } else { Err(format!("{count} of {total} messages")) }
    });
    assert_eq!(session.view().expunged, 0, "a UID that was seen went away");
    let merged = alike("alike after the merge", &cluster.nodes, &witness, total);
    for (uid, email_id) in &seen {
        let now = merged.messages.get(uid).map(|message| &message.email_id);
        assert_eq!(now, Some(email_id), "UID {uid} that a client has seen");
    }
}
