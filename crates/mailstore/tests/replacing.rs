//! REPLACE (RFC 8508): a message takes the place of another one in one commit.
#![allow(clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, Mutex};

use common::{Node, mail, open};
use peerpost_mailstore::crdt::identity::{AccountId, BodyHash, EntryId, MailboxId};
use peerpost_mailstore::crdt::view::MailboxView;
use peerpost_mailstore::{Reply, Request, RequestError, verify};

/// Power is lost after each of this many changes of the disk, at most; with fewer the request was done before.
const MOST_CHANGES: u64 = 500;
/// What of unsynced data a loss of power leaves is drawn this many times.
const SURVIVORS: u64 = 6;

fn account() -> AccountId {
    AccountId::of_name("alice")
}

fn mailbox(name: &str) -> MailboxId {
    MailboxId::of_default(account(), name)
}

/// A node whose mailbox Drafts holds mail 1, in a place of its own.
fn node_with_draft(slot: u8) -> (Node, EntryId) {
    let mut node = Node::new(slot);
    node.add_account("alice");
    let message = node.message(&mail(1));
    let append = Request::Append { account: account(), mailbox: mailbox("Drafts"), messages: vec![message] };
    node.ask(append).expect("appended");
    let entry = rows(&mut node, "Drafts").first().expect("a draft").0;
    (node, entry)
}

fn view(node: &mut Node, name: &str) -> Arc<MailboxView> {
    node.look(account(), mailbox(name)).view.borrow().clone()
}

fn rows(node: &mut Node, name: &str) -> Vec<(EntryId, BodyHash)> {
    view(node, name).rows.iter().map(|row| (row.facts.entry, row.facts.body)).collect()
}

fn replace(node: &Node, entry: EntryId, to: &str, number: u32) -> Request {
    let message = Box::new(node.message(&mail(number)));
    Request::Replace {
        account: account(),
        from: mailbox("Drafts"),
        replaced: entry,
        to: mailbox(to),
        message,
    }
}

fn check(node: &Node) {
    assert_eq!(verify::verify(node.store.storage(), &mut |_| {}).expect("readable"), vec![]);
}

#[test]
fn the_new_message_is_there_and_the_old_one_is_not() {
    let (mut node, entry) = node_with_draft(0);
    let look = node.look(account(), mailbox("Drafts"));
    let request = replace(&node, entry, "Drafts", 2);
    match node.ask(request) {
        Ok(Reply::Replaced { uid, source, .. }) => {
            assert_eq!(source.rows.len(), 1);
            assert_eq!(source.rows.at(0).map(|row| row.uid), uid);
        }
        other => panic!("{other:?}"),
    }
    let now = rows(&mut node, "Drafts");
    assert!(now.len() == 1 && now[0].0 != entry);
    let request = replace(&node, now[0].0, "Sent", 3);
    let answer = node.ask(request);
    assert!(matches!(&answer, Ok(Reply::Replaced { source, .. }) if source.rows.is_empty()), "{answer:?}");
    assert_eq!((rows(&mut node, "Drafts").len(), rows(&mut node, "Sent").len()), (0, 1));
    // One that is gone is no reason not to keep the new one.
    let request = replace(&node, entry, "Drafts", 4);
    assert!(node.ask(request).is_ok());
    assert_eq!(rows(&mut node, "Drafts").len(), 1);
    drop(look);
    check(&node);
}

/// It was an APPEND, a STORE and an EXPUNGE: power lost between them left both messages, one of them \Deleted.
#[test]
fn a_loss_of_power_leaves_one_of_the_two_messages() {
    let (node, entry) = node_with_draft(0);
    let (disk, now) = (node.disk.clone(), node.now);
    drop(node);
    let mut outcomes = [0; 2];
    for changes in 0..MOST_CHANGES {
        let mut node = open(disk.snapshot(), 0, 7, now);
        node.disk.crash_after(changes);
        let answer = try_replace(&mut node, entry);
        let crashed = node.disk.has_crashed();
        for seed in 0..SURVIVORS {
            let survivor = node.disk.survivor(changes * SURVIVORS + seed);
            let mut survivor = open(survivor, 0, 8, node.now);
            let left = rows(&mut survivor, "Drafts");
            let place = format!("after {changes} changes, survivor {seed}: {left:?}");
            assert_eq!(left.len(), 1, "{place}");
            let is_new = left[0].0 != entry;
            assert!(is_new || !matches!(answer, Some(Ok(_))), "it was answered, and is lost: {place}");
            outcomes[usize::from(is_new)] += 1;
            check(&survivor);
        }
        if !crashed {
            assert!(matches!(answer, Some(Ok(Reply::Replaced { .. }))), "{answer:?}");
            assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
            return;
        }
    }
    panic!("a REPLACE makes more than {MOST_CHANGES} changes");
}

/// Asks, where the disk may be gone before the message is staged.
fn try_replace(node: &mut Node, entry: EntryId) -> Option<Result<Reply, RequestError>> {
    let octets = mail(2);
    let mut writer = node.store.body_writer();
    writer.write(&octets).ok()?;
    let body = writer.finish().ok()?;
    let mut message = Node::new(9).message(&octets);
    message.body = body;
    let answer = Arc::new(Mutex::new(None));
    let into = Arc::clone(&answer);
    let request = Request::Replace {
        account: account(),
        from: mailbox("Drafts"),
        replaced: entry,
        to: mailbox("Drafts"),
        message: Box::new(message),
    };
    node.store.submit(request, move |reply| *into.lock().expect("a lock") = Some(reply));
    node.run();
    answer.lock().expect("a lock").take()
}

/// Two nodes replace one draft while they are apart: both texts are kept, and the old one is gone. One that was moved elsewhere
/// meanwhile stays there.
#[test]
fn what_several_nodes_replace_is_never_lost() {
    let (mut a, entry) = node_with_draft(0);
    let mut b = Node::new(1);
    a.sync_to(&mut b);
    assert_eq!(rows(&mut b, "Drafts"), rows(&mut a, "Drafts"));
    for (node, number) in [(&mut a, 2), (&mut b, 3)] {
        let request = replace(node, entry, "Drafts", number);
        node.ask(request).expect("replaced");
    }
    come_together(&mut a, &mut b);
    let drafts = rows(&mut a, "Drafts");
    assert!(drafts.len() == 2 && drafts.iter().all(|(there, _)| *there != entry), "{drafts:?}");
    let moved = drafts[0].0;
    let (from, to) = (mailbox("Drafts"), mailbox("Archive"));
    b.ask(Request::Move { account: account(), from, entries: vec![moved], to }).expect("moved");
    let request = replace(&a, moved, "Sent", 4);
    a.ask(request).expect("replaced");
    come_together(&mut a, &mut b);
    assert_eq!(rows(&mut a, "Archive").first().map(|(entry, _)| *entry), Some(moved));
    assert_eq!((rows(&mut a, "Drafts").len(), rows(&mut a, "Sent").len()), (1, 1));
    check(&a);
    check(&b);
}

fn come_together(a: &mut Node, b: &mut Node) {
    for _ in 0..4 {
        a.sync_to(b);
        b.sync_to(a);
        (a.now, b.now) = (a.now.after(1000), b.now.after(1000));
    }
    for name in ["Drafts", "Archive", "Sent"] {
        let (mut on_a, mut on_b) = (rows(a, name), rows(b, name));
        on_a.sort();
        on_b.sort();
        assert_eq!(on_a, on_b, "{name}");
    }
}
