//! What vanished is remembered over a restart, in tables that stay bounded.
#![allow(clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::{Node, mail};
use peerpost_mailstore::crdt::clock::Timestamp;
use peerpost_mailstore::crdt::flag::{Flag, FlagChange};
use peerpost_mailstore::crdt::identity::{AccountId, EntryId, MailboxId, Uid};
use peerpost_mailstore::crdt::view::MailboxView;
use peerpost_mailstore::crdt::view::vanished::MOST_VANISHED;
use peerpost_mailstore::{Reply, Request, rows, verify};
use storage::Table;

fn view(node: &mut Node, account: AccountId, mailbox: MailboxId) -> Arc<MailboxView> {
    node.look(account, mailbox).view.borrow().clone()
}

/// Flags the first `count` messages as \Deleted and expunges them.
fn expunge(node: &mut Node, account: AccountId, mailbox: MailboxId, count: usize) {
    let view = view(node, account, mailbox);
    let entries: Vec<EntryId> = view.rows.iter().take(count).map(|row| row.facts.entry).collect();
    let (change, flags) = (FlagChange::Add, vec![Flag::Deleted]);
    let store =
        Request::Store { account, mailbox, entries: entries.clone(), change, flags, unchanged_since: None };
    node.ask(store).expect("stored");
    node.ask(Request::Expunge { account, mailbox, entries }).expect("expunged");
}

fn check(node: &Node) {
    assert_eq!(verify::verify(node.store.storage(), &mut |_| {}).expect("readable"), vec![]);
}

#[test]
fn what_vanished_is_known_after_a_restart() {
    let (mut a, mut b) = (Node::new(0), Node::new(1));
    let account = a.add_account("alice");
    a.sync_to(&mut b);
    let inbox = a.inbox(account);
    let looks = (a.look(account, inbox), b.look(account, inbox));
    for number in 0..3 {
        a.deliver(account, &mail(number));
        b.deliver(account, &mail(100 + number));
    }
    let known = looks.0.view.borrow().highest_modseq.bits();
    for _ in 0..4 {
        a.sync_to(&mut b);
        b.sync_to(&mut a);
        (a.now, b.now) = (a.now.after(1000), b.now.after(1000));
    }
    expunge(&mut a, account, inbox, 1);
    let before = view(&mut a, account, inbox);
    // 1 to 3 came too late on the other node and were reissued; 64 is the first of those that stayed.
    assert_eq!(before.vanished_since(known), [Uid(1)..=Uid(3), Uid(64)..=Uid(64)]);
    drop(looks);
    let mut a = a.restart();
    let after = view(&mut a, account, inbox);
    assert_eq!(after.vanished, before.vanished);
    assert_eq!(after.highest_placed, before.highest_placed);
    assert_eq!(after.vanished_since(known), before.vanished_since(known));
    assert_eq!(after.vanished_since(0), before.vanished_since(0));
    check(&a);
}

#[test]
fn what_is_forgotten_leaves_the_table() {
    let mut node = Node::new(0);
    let account = node.add_account("alice");
    let inbox = node.inbox(account);
    let total = MOST_VANISHED + 500;
    for first in (0..total).step_by(250) {
        let messages = (first..first + 250).map(|number| node.message(&mail(number as u32))).collect();
        let appended = node.ask(Request::Append { account, mailbox: inbox, messages });
        assert!(matches!(appended, Ok(Reply::Appended { .. })), "{appended:?}");
    }
    let known = view(&mut node, account, inbox).highest_modseq.bits();
    for _ in 0..5 {
        expunge(&mut node, account, inbox, total / 5);
    }
    let before = view(&mut node, account, inbox);
    assert_eq!(before.vanished.iter().len(), MOST_VANISHED);
    assert!(!before.remembers(known) && before.remembers(before.vanished.floor().bits()));
    assert_eq!(before.vanished_since(known), [Uid(1)..=before.highest_known()]);
    let reader = node.store.storage().reader().expect("readable");
    let rows = reader.prefixed(Table::Vanished, &account.0).expect("readable").count();
    assert_eq!(rows, 4, "the first of five batches is forgotten");
    drop(reader);
    let mut node = node.restart();
    assert_eq!(view(&mut node, account, inbox).vanished, before.vanished);
    check(&node);
}

#[test]
fn a_damaged_memory_is_found() {
    let mut node = Node::new(0);
    let account = node.add_account("alice");
    let inbox = node.inbox(account);
    node.deliver(account, &mail(1));
    node.deliver(account, &mail(2));
    expunge(&mut node, account, inbox, 2);
    check(&node);
    let storage = node.store.storage();
    let row = storage.reader().and_then(|reader| reader.first_in_prefix(Table::Vanished, &account.0));
    let (key, value) = row.expect("readable").expect("a row");
    let mut uids: Vec<(Timestamp, Uid)> = rows::decode(Table::Vanished, &value).expect("UIDs");
    uids.swap(0, 1);
    let mut batch = storage::Batch::new();
    batch.put(Table::Vanished, key, rows::encode(&uids));
    storage.commit(batch).expect("written");
    let found = verify::verify(storage, &mut |_| {}).expect("readable");
    assert!(found.iter().any(|finding| finding.what.contains("table vanished")), "{found:#?}");
}
