//! Sessions that stay open while two nodes merge: the picture of the login holds, and what is deleted is what was meant.

use std::collections::BTreeSet;

use mailstore::crdt::identity::EntryId;
use proptest::prelude::*;

use super::client::{Client, Store, mail, store};

/// The texts that a session reads, by number, and what they are called.
fn read_all(client: &mut Client, ids: &[String]) -> Vec<String> {
    let numbers = 1..=ids.len();
    numbers.map(|number| client.send(&format!("RETR {number}"))).collect()
}

/// Two nodes that know the same account.
fn two_nodes() -> [Store; 2] {
    let nodes = [store(), Store::new(1)];
    nodes[0].sync_to(&nodes[1]);
    nodes
}

/// Until both have and show the same.
fn settle(nodes: &[Store; 2]) {
    for _ in 0..6 {
        nodes[0].sync_to(&nodes[1]);
        nodes[1].sync_to(&nodes[0]);
        for node in nodes {
            node.look();
            node.pass(60_000);
        }
    }
}

fn entries(store: &Store) -> BTreeSet<EntryId> {
    store.look().rows.iter().map(|row| row.facts.entry).collect()
}

/// The case of the Info-cyrus list of 2009: a merge gives other UIDs to messages of an open session, and takes some away.
#[test]
fn a_session_lives_through_a_merge_that_reissues_and_expunges() {
    let nodes = two_nodes();
    nodes[0].deliver(mail("common").as_bytes());
    settle(&nodes);
    // Apart: each gives UIDs to clients of its own, and the second takes the common one away.
    ["a1", "a2"].iter().for_each(|id| nodes[0].deliver(mail(id).as_bytes()));
    let before = nodes[0].look();
    ["b1", "b2", "b3"].iter().for_each(|id| nodes[1].deliver(mail(id).as_bytes()));
    let other = nodes[1].look();
    let common = before.rows.at(0).unwrap().facts.entry;
    nodes[1].expunge(&[common]);

    let mut client = Client::logged_in(&nodes[0]);
    let (stat, listed, ids) = (client.send("STAT"), client.list("LIST"), client.unique_ids());
    assert_eq!(ids.len(), 3);
    let texts = read_all(&mut client, &ids);
    settle(&nodes);
    let merged = nodes[0].look();
    let reissued = |row: &&mailstore::crdt::view::Row| {
        merged.rows.iter().any(|now| now.facts.entry == row.facts.entry && now.uid != row.uid)
    };
    let reissues = before.rows.iter().filter(reissued).count() + other.rows.iter().filter(reissued).count();
    assert!(reissues > 0, "the merge reissued nothing");
    assert!(!entries(&nodes[0]).contains(&common), "the merge expunged nothing");

    // Nothing of this is seen.
    assert_eq!((client.send("STAT"), client.list("LIST")), (stat, listed));
    assert_eq!(client.unique_ids(), ids);
    assert_eq!(read_all(&mut client, &ids), texts);
    // What was expunged, and one that is there.
    assert!(client.send("DELE 1").starts_with("+OK ") && client.send("DELE 2").starts_with("+OK "));
    let deleted = before.rows.at(1).unwrap().facts.entry;
    let mut expected = entries(&nodes[0]);
    assert!(expected.remove(&deleted));
    assert_eq!(client.send("QUIT"), "+OK 2 messages were deleted; goodbye\r\n");
    assert_eq!(entries(&nodes[0]), expected);
    settle(&nodes);
    assert_eq!(nodes.each_ref().map(entries), [expected.clone(), expected]);
    let ids = nodes.each_ref().map(|node| Client::logged_in(node).unique_ids());
    assert_eq!(ids[0], ids[1], "UIDLs are the same on every node");
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    Deliver(usize),
    /// An IMAP client looks, so that what is there is numbered.
    Look(usize),
    /// An IMAP client deletes.
    Expunge(usize, usize),
    /// A POP3 client marks a message.
    Mark(usize, usize),
    Sync(usize),
    /// A POP3 client ends its session and begins another.
    Quit(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0usize..2).prop_map(Event::Deliver),
        1 => (0usize..2).prop_map(Event::Look),
        1 => (0usize..2, 0usize..8).prop_map(|(node, place)| Event::Expunge(node, place)),
        2 => (0usize..2, 0usize..8).prop_map(|(node, place)| Event::Mark(node, place)),
        2 => (0usize..2).prop_map(Event::Sync),
        1 => (0usize..2).prop_map(Event::Quit),
    ]
}

/// A POP3 client, and what it was told at its login.
struct Seat {
    client: Client,
    ids: Vec<String>,
    texts: Vec<String>,
    marked: BTreeSet<usize>,
}

impl Seat {
    fn new(node: &Store) -> Self {
        let mut client = Client::logged_in(node);
        let ids = client.unique_ids();
        let texts = read_all(&mut client, &ids);
        Seat { client, ids, texts, marked: BTreeSet::new() }
    }

    /// What was told holds, and what was marked is not to be had.
    fn check(&mut self) {
        for (place, id) in self.ids.iter().enumerate() {
            let (number, gone) = (place + 1, "-ERR This message was deleted\r\n");
            let [told, text] = ["UIDL", "RETR"].map(|word| self.client.send(&format!("{word} {number}")));
            match self.marked.contains(&place) {
                true => assert_eq!([told.as_str(), text.as_str()], [gone; 2]),
                false => {
                    assert_eq!((told, text), (format!("+OK {number} {id}\r\n"), self.texts[place].clone()))
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn pictures_hold_and_deletions_hit_what_was_meant(events in prop::collection::vec(event(), 1..40)) {
        let nodes = two_nodes();
        let mut seats = nodes.each_ref().map(Seat::new);
        let (mut delivered, mut deleted) = (0, BTreeSet::new());
        for event in &events {
            match event {
                Event::Deliver(node) => {
                    nodes[*node].deliver(mail(&format!("m{delivered}")).as_bytes());
                    delivered += 1;
                }
                Event::Look(node) => drop(nodes[*node].look()),
                Event::Expunge(node, place) => {
                    if let Some(row) = nodes[*node].look().rows.at(*place) {
                        nodes[*node].expunge(&[row.facts.entry]);
                        deleted.insert(row.facts.entry.to_string());
                    }
                }
                Event::Mark(node, place) => {
                    let seat = &mut seats[*node];
                    if *place < seat.ids.len() && seat.marked.insert(*place) {
                        let answer = seat.client.send(&format!("DELE {}", place + 1));
                        prop_assert!(answer.starts_with("+OK "));
                    }
                }
                Event::Sync(from) => nodes[*from].sync_to(&nodes[1 - from]),
                Event::Quit(node) => {
                    let seat = &mut seats[*node];
                    prop_assert!(seat.client.send("QUIT").starts_with("+OK "));
                    deleted.extend(seat.marked.iter().map(|place| seat.ids[*place].clone()));
                    *seat = Seat::new(&nodes[*node]);
                }
            }
            seats.iter_mut().for_each(Seat::check);
        }
        settle(&nodes);
        let ids = nodes.each_ref().map(|node| Client::logged_in(node).unique_ids());
        prop_assert_eq!(&ids[0], &ids[1]);
        prop_assert_eq!(ids[0].len(), delivered - deleted.len(), "deleted {:?} of {}", deleted, delivered);
        prop_assert!(ids[0].iter().all(|id| !deleted.contains(id)));
    }
}
