//! POP3 on two nodes: a session keeps the picture of its login, and deletes what its client meant.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::collections::BTreeMap;

use kit::alike::alike;
use kit::cluster::{ACCOUNT, Cluster};
use kit::imap;
use kit::lmtp;
use kit::node::Node;
use kit::pop3::Client;
use kit::witness::Witness;
use kit::{delivered, message};

fn deliver(node: &Node, ids: &[&str]) {
    let mut lmtp = lmtp::Client::open(node);
    ids.iter().for_each(|id| lmtp.deliver(&message(id, "for POP3")));
}

/// All that a session is told of its messages.
#[derive(Debug, PartialEq, Eq)]
struct Picture {
    stat: String,
    sizes: Vec<String>,
    unique_ids: Vec<String>,
    messages: Vec<Vec<u8>>,
}

impl Picture {
    /// Reads everything, and checks that sizes are those of what is sent.
    #[track_caller]
    fn of(client: &mut Client) -> Self {
        let (stat, sizes, unique_ids) = (client.ok("STAT"), client.list("LIST"), client.list("UIDL"));
        let count = unique_ids.len();
        let messages: Vec<_> = (1..=count).map(|number| client.octets(&format!("RETR {number}"))).collect();
        let lengths: Vec<usize> = messages.iter().map(Vec::len).collect();
        assert_eq!(stat, format!("{count} {}", lengths.iter().sum::<usize>()));
        assert_eq!(sizes, lengths.iter().map(usize::to_string).collect::<Vec<_>>());
        Picture { stat, sizes, unique_ids, messages }
    }

    /// The number of the message with this Message-ID.
    #[track_caller]
    fn number(&self, id: &str) -> usize {
        let wanted = delivered(&message(id, "for POP3"));
        let place = self.messages.iter().position(|message| *message == wanted);
        place.unwrap_or_else(|| panic!("{id} is not there")) + 1
    }
}

/// The Message-IDs that IMAP shows in INBOX.
fn ids(node: &Node, witness: &Witness) -> Vec<String> {
    let mut client = imap::Client::open(node, witness);
    client.select("INBOX");
    let mut ids: Vec<String> = client.message_ids().into_values().collect();
    ids.sort();
    ids
}

fn uids(client: &mut imap::Client) -> BTreeMap<String, u32> {
    client.message_ids().into_iter().map(|(uid, id)| (id, uid)).collect()
}

/// Info-cyrus, 2009: two replicas that both took mail were merged, messages got other UIDs and some went away, while POP3
/// sessions were open. Their numbers have to go on meaning the messages that they meant, or DELE deletes others.
#[test]
fn sessions_that_are_open_over_a_merge_delete_what_was_meant() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    deliver(a, &["c1", "c2", "c3", "c4"]);
    alike("alike before", &cluster.nodes, &witness, 4);

    cluster.part();
    let mut readers = [imap::Client::open(a, &witness), imap::Client::open(b, &witness)];
    deliver(a, &["a1", "a2"]);
    deliver(b, &["b1", "b2", "b3"]);
    for reader in &mut readers {
        reader.list("INBOX");
    }
    let before = readers.each_mut().map(uids);
    let gone = before[1]["c2"];
    readers[1].ok(&format!("UID STORE {gone} +FLAGS (\\Deleted)"));
    readers[1].ok(&format!("UID EXPUNGE {gone}"));
    let mut sessions = [Client::open(a), Client::open(b)];
    let pictures = sessions.each_mut().map(Picture::of);
    assert_eq!(pictures.each_ref().map(|picture| picture.messages.len()), [6, 6]);

    cluster.meet();
    alike("alike after the merge", &cluster.nodes, &witness, 8);
    for reader in &mut readers {
        reader.follow();
    }
    let after = uids(&mut readers[0]);
    let other = |id: &str, uid: &u32| after.get(id).is_some_and(|now| now != uid);
    let reissued: Vec<_> = before.iter().flatten().filter(|(id, uid)| other(id, uid)).collect();
    println!("reissued: {reissued:?}");
    assert!(!reissued.is_empty(), "the merge gave no message another UID");
    assert!(!after.contains_key("c2"), "the merge expunged nothing");

    // The sessions see nothing of it, and read what is gone.
    assert_eq!(sessions.each_mut().map(Picture::of), pictures);
    // Messages that were reissued, one that is gone already, and one that both sessions delete.
    for (side, deleted) in [&["a1", "c2", "c3"][..], &["b2", "c3"][..]].iter().enumerate() {
        for id in *deleted {
            sessions[side].ok(&format!("DELE {}", pictures[side].number(id)));
        }
    }
    assert_eq!(sessions[0].ok("QUIT"), "3 messages were deleted; goodbye");
    assert_eq!(sessions[1].ok("QUIT"), "2 messages were deleted; goodbye");
    alike("alike after both have deleted", &cluster.nodes, &witness, 5);
    let left = ["a2", "b1", "b3", "c1", "c4"].map(str::to_owned).to_vec();
    assert_eq!([ids(a, &witness), ids(b, &witness)], [left.clone(), left]);

    // On either node the next session finds what the other would, under the names that were told before.
    let now = [a, b].map(|node| Picture::of(&mut Client::open(node)));
    assert_eq!(now[0], now[1]);
    for id in ["a2", "c1", "c4"] {
        let name = |picture: &Picture| picture.unique_ids[picture.number(id) - 1].clone();
        assert_eq!(name(&now[1]), name(&pictures[0]), "{id}");
    }
    for node in [a, b] {
        node.succeeds(&["verify"]);
        node.succeeds(&["history", ACCOUNT]);
    }
}

/// What was deleted on both sides while they were apart is gone once, and nothing else is.
#[test]
fn deletions_on_both_sides_meet() {
    let cluster = Cluster::two();
    let witness = Witness::default();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    deliver(a, &["1", "2", "3", "4"]);
    alike("alike before", &cluster.nodes, &witness, 4);
    cluster.part();
    for (node, deleted) in [(a, ["1", "2"]), (b, ["2", "3"])] {
        let mut session = Client::open(node);
        let picture = Picture::of(&mut session);
        for id in deleted {
            session.ok(&format!("DELE {}", picture.number(id)));
        }
        // Marks that are taken back, and a session that hangs up, delete nothing.
        let mut other = Client::open(node);
        other.ok("DELE 4");
        other.ok("RSET");
        other.ok("QUIT");
        Client::open(node).ok("DELE 4");
        assert_eq!(session.ok("QUIT"), "2 messages were deleted; goodbye");
        assert_eq!(ids(node, &witness).len(), 2);
    }
    cluster.meet();
    alike("alike after the merge", &cluster.nodes, &witness, 1);
    assert_eq!(ids(a, &witness), ["4"]);
}
