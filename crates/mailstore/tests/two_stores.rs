//! Two stores with real tables and packs on simulated disks, their deltas carried by hand.
#![allow(clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Node, mail};
use peerpost_mailstore::crdt::flag::{Flag, FlagChange};
use peerpost_mailstore::crdt::identity::Uid;
use peerpost_mailstore::{Reply, Request};

fn picture(look: &mut peerpost_mailstore::Look) -> Vec<(u32, u32, String, Vec<String>)> {
    let view = look.view.borrow_and_update().clone();
    let validity = view.validity.expect("an epoch").0;
    let row = |row: &peerpost_mailstore::crdt::view::Row| {
        (
            validity,
            row.uid.0,
            row.facts.entry.to_string(),
            row.flags.iter().map(|flag| flag.to_string()).collect(),
        )
    };
    view.rows.iter().map(row).collect()
}

#[test]
fn mail_on_both_sides_reads_the_same_on_both() {
    let (mut a, mut b) = (Node::new(0), Node::new(1));
    let account = a.add_account("alice");
    a.sync_to(&mut b);
    for number in 0..5 {
        assert!(a.deliver(account, &mail(number)));
        assert!(b.deliver(account, &mail(100 + number)));
    }
    a.sync_to(&mut b);
    b.sync_to(&mut a);
    let inbox = a.inbox(account);
    let mut on_a = a.look(account, inbox);
    a.sync_to(&mut b);
    let mut on_b = b.look(account, inbox);
    b.sync_to(&mut a);
    assert_eq!(picture(&mut on_a).len(), 10);
    assert_eq!(picture(&mut on_a), picture(&mut on_b));
}

#[test]
fn the_same_delivery_offered_to_both_nodes_is_stored_once() {
    let (mut a, mut b) = (Node::new(0), Node::new(1));
    let account = a.add_account("alice");
    a.sync_to(&mut b);
    let inbox = a.inbox(account);
    let (mut on_a, mut on_b) = (a.look(account, inbox), b.look(account, inbox));
    assert!(a.deliver(account, &mail(1)));
    assert!(!a.deliver(account, &mail(1)), "known on the same node");
    assert!(b.deliver(account, &mail(1)), "b cannot know yet");
    for _ in 0..3 {
        a.sync_to(&mut b);
        b.sync_to(&mut a);
        (a.now, b.now) = (a.now.after(1000), b.now.after(1000));
        a.run();
        b.run();
    }
    assert_eq!(picture(&mut on_a).len(), 1);
    assert_eq!(picture(&mut on_a), picture(&mut on_b));
}

#[test]
fn a_restart_shows_what_was_shown() {
    let mut a = Node::new(0);
    let account = a.add_account("alice");
    let inbox = a.inbox(account);
    for number in 0..100 {
        a.deliver(account, &mail(number));
    }
    let mut look = a.look(account, inbox);
    let entries: Vec<_> = look.view.borrow().rows.iter().take(3).map(|row| row.facts.entry).collect();
    let store = Request::Store {
        account,
        mailbox: inbox,
        entries: entries.clone(),
        change: FlagChange::Add,
        flags: vec![Flag::Deleted, Flag::parse("$Keep").expect("a keyword")],
        unchanged_since: None,
    };
    a.ask(store).expect("stored");
    match a.ask(Request::Expunge { account, mailbox: inbox, entries: entries[..1].to_vec() }) {
        Ok(Reply::View(view)) => assert_eq!(view.rows.len(), 99),
        other => panic!("{other:?}"),
    }
    let before = picture(&mut look);
    let modseq = look.view.borrow().highest_modseq;
    drop(look);
    let mut a = a.restart();
    let mut look = a.look(account, inbox);
    assert_eq!(picture(&mut look), before);
    assert_eq!(look.view.borrow().highest_modseq, modseq);
    // The second block of 64 is another node's: the hundredth message lies in the third.
    assert_eq!(look.view.borrow().uid_next, Uid(165));
    // A new message of the new life lies above everything announced.
    a.deliver(account, &mail(500));
    assert_eq!(look.view.borrow_and_update().rows.last().map(|row| row.uid.0 >= 165), Some(true));
    let structure =
        a.store.structure(&look.view.borrow().rows.last().expect("a row").facts.body).expect("kept");
    assert!(structure.message.envelope.message_id.is_some());
}

#[test]
fn a_damaged_or_gapped_delta_changes_nothing() {
    let (mut a, mut b) = (Node::new(0), Node::new(1));
    let account = a.add_account("alice");
    a.deliver(account, &mail(1));
    let delta = a.store.delta_since(&b.store.vector(), usize::MAX).expect("readable");
    let before = b.store.vector();
    let mut gap = delta.clone();
    gap.remove(1);
    let mut bad = delta.clone();
    if let Some(last) = bad.last_mut() {
        let middle = last.bytes.len() / 2;
        last.bytes[middle] ^= 1;
    }
    for wrong in [gap, bad] {
        b.store.apply_delta(wrong, |applied| assert!(applied.is_err()));
        b.run();
        assert_eq!(b.store.vector(), before);
        assert!(b.store.account("alice").is_none());
    }
    a.sync_to(&mut b);
    assert!(b.store.account("alice").is_some());
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let mut a = Node::new(0);
    let account = a.add_account("alice");
    let inbox = a.inbox(account);
    a.deliver(account, &mail(1));
    a.disk.set_capacity(Some(a.disk.used()));
    let mut refused = 0;
    for number in 2..40 {
        let big = [mail(number), vec![b'x'; 60_000]].concat();
        let message = a.message(&big);
        let deliver =
            Request::Deliver { account, mailbox: "INBOX".into(), sender: "a@example.com".into(), message };
        refused += usize::from(a.ask(deliver).is_err());
    }
    assert!(refused > 0);
    a.disk.set_capacity(None);
    assert!(a.deliver(account, &mail(1000)));
    let look = a.look(account, inbox);
    assert_eq!(look.view.borrow().rows.len(), 2 + 38 - refused);
}

/// A merge brings bodies one by one, the smallest first. Messages that came too late for their UIDs were reissued as their
/// bodies came, and stood in another order than that in which they had been accepted.
#[test]
fn late_messages_are_reissued_in_the_order_of_their_acceptance() {
    let (mut a, mut b) = (Node::new(0), Node::new(1));
    let account = a.add_account("alice");
    a.sync_to(&mut b);
    let inbox = a.inbox(account);
    let (mut on_a, _on_b) = (a.look(account, inbox), b.look(account, inbox));
    b.deliver(account, &[mail(1), vec![b'x'; 5000]].concat());
    b.deliver(account, &mail(2));
    // Beyond b's first block, so that both of b's messages are too late here.
    for number in 100..170 {
        a.deliver(account, &mail(number));
    }
    let delta = b.store.delta_since(&a.store.vector(), usize::MAX).expect("readable");
    a.store.apply_delta(delta, |applied| {
        applied.expect("a good delta");
    });
    a.run();
    let mut wanted = a.store.wanted_bodies(10).expect("readable");
    wanted.sort_by_key(|(_, size)| *size);
    for (hash, size) in wanted {
        let mut writer = a.store.body_writer();
        writer.write(&b.store.body(&hash).expect("here").read(0..size).expect("readable")).expect("room");
        a.store.add_body(writer.finish().expect("staged"), |kept| kept.expect("kept"));
        a.run();
    }
    let view = on_a.view.borrow_and_update().clone();
    let sizes: Vec<u64> = view.rows.iter().skip(70).map(|row| row.facts.size).collect();
    assert_eq!(sizes.len(), 2);
    assert!(sizes[0] > sizes[1], "the large one was accepted first: {sizes:?}");
}
