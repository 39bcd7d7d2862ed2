//! Three nodes in a line: a and c never reach each other, b reaches both.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use kit::alike::alike;
use kit::cluster::Cluster;
use kit::imap::Client;
use kit::lmtp;
use kit::message;
use kit::node::Node;
use kit::wait::eventually;
use kit::witness::Witness;

/// Messages that go in on a node at a time.
const MESSAGES: usize = 30;

fn deliver(node: &Node, prefix: &str) {
    let mut lmtp = lmtp::Client::open(node);
    for number in 0..MESSAGES {
        lmtp.deliver(&message(&format!("{prefix}-{number}"), "in a line"));
    }
}

fn is_up(node: &Node, peer: &str) -> bool {
    !node.peer(peer)["connected_since"].is_null()
}

#[test]
fn mail_from_one_end_is_read_at_the_other() {
    let cluster = Cluster::line_of_three();
    let witness = Witness::default();
    let [a, b, c] = &cluster.nodes[..] else { panic!("three nodes") };
    eventually("b has both links", || {
        if is_up(b, "a") && is_up(b, "c") { Ok(()) } else { Err("a link of b is down".to_owned()) }
    });
    assert!(!is_up(a, "c") && !is_up(c, "a"), "the ends reach each other");

    deliver(a, "from-a");
    let mut reader = Client::open(c, &witness);
    reader.select("INBOX");
    assert!(
        reader.idle(kit::wait::LONGEST, |view| view.len() == MESSAGES),
        "c has {} messages of {MESSAGES}",
        reader.view().len()
    );
    deliver(c, "from-c");
    alike("mail from both ends, alike on all", &cluster.nodes, &witness, 2 * MESSAGES);
    assert!(!is_up(a, "c") && !is_up(c, "a"), "the ends reach each other");
}

#[test]
fn what_the_ends_took_while_the_middle_was_away_merges() {
    let mut cluster = Cluster::line_of_three();
    let witness = Witness::default();
    deliver(&cluster.nodes[1], "earlier");
    let before = alike("alike before", &cluster.nodes, &witness, MESSAGES);
    cluster.nodes[1].stop();

    let mut sessions: Vec<Client> =
        [0, 2].map(|index: usize| Client::open(&cluster.nodes[index], &witness)).into();
    for (session, index) in sessions.iter_mut().zip([0, 2]) {
        session.list("INBOX");
        deliver(&cluster.nodes[index], &format!("apart-{index}"));
        session.follow();
        assert_eq!(session.view().len(), 2 * MESSAGES);
        session.ok(&format!("STORE {} +FLAGS ($From{index})", index + 1));
    }
    cluster.nodes[1].start();
    let merged = alike("alike after the merge", &cluster.nodes, &witness, 3 * MESSAGES);
    assert_eq!(merged.uid_validity, before.uid_validity, "no reason to bump");
    for keyword in ["$From0", "$From2"] {
        let flagged = merged.messages.values().filter(|message| message.flags.contains(keyword)).count();
        assert_eq!(flagged, 1, "{keyword}");
    }
    for session in &mut sessions {
        eventually("a session kept over the merge", || {
            session.follow();
            let (shown, wanted) =
                (session.view().uids(), merged.messages.keys().copied().collect::<Vec<u32>>());
            if shown == wanted { Ok(()) } else { Err(format!("{} of {}", shown.len(), wanted.len())) }
        });
    }
}
