//! Lives of messages as `explain` tells them.
#![allow(clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Node, mail};
use peerpost_mailstore::crdt::flag::{Flag, FlagChange};
use peerpost_mailstore::crdt::identity::{AccountId, EntryId, MailboxId, Uid};
use peerpost_mailstore::explain::{Acceptance, ExplainError, Explanation, Now, What, explain};
use peerpost_mailstore::{Look, Request};

fn life(node: &Node, mailbox: &str, uid: u32) -> Explanation {
    let life = explain(node.store.storage(), "alice", mailbox, Uid(uid)).expect("a life");
    let text = life.to_string();
    assert!(text.lines().count() >= life.events.len() + 4, "{text}");
    assert!(life.events.is_sorted_by(|a, b| a.at <= b.at), "{text}");
    serde_json::to_string(&life).expect("JSON");
    life
}

fn whats(life: &Explanation) -> Vec<&What> {
    life.events.iter().map(|event| &event.what).collect()
}

fn entry(look: &mut Look, uid: u32) -> EntryId {
    look.view.borrow_and_update().rows.find(Uid(uid)).expect("a row").facts.entry
}

fn store(
    node: &mut Node,
    account: AccountId,
    mailbox: MailboxId,
    entry: EntryId,
    change: FlagChange,
    flag: Flag,
) {
    let (entries, flags) = (vec![entry], vec![flag]);
    node.ask(Request::Store { account, mailbox, entries, change, flags, unchanged_since: None })
        .expect("stored");
}

#[test]
fn a_visible_message_is_told_from_its_delivery_on() {
    let mut node = Node::new(0);
    let account = node.add_account("alice");
    let inbox = node.inbox(account);
    node.deliver(account, &mail(1));
    let mut look = node.look(account, inbox);
    let message = entry(&mut look, 1);
    store(&mut node, account, inbox, message, FlagChange::Add, Flag::Seen);
    let life = life(&node, "inbox", 1);
    assert_eq!((life.octets, life.uid, life.events_left_out), (mail(1).len() as u64, 1, 0));
    let [What::Accepted { by: Acceptance::Delivery, mailbox, .. }, What::Placed { uid: 1, .. }, flags] =
        whats(&life)[..]
    else {
        panic!("{life:#?}")
    };
    assert_eq!(mailbox, "INBOX");
    assert_eq!(*flags, What::FlagsChanged { set: vec!["\\Seen".into()], cleared: vec![] });
    assert_eq!(life.now, Now::Visible { flags: vec!["\\Seen".into()] });
    assert!(life.events[0].at.starts_with("2026-09-21T") && life.events[0].at.ends_with('Z'), "{life}");
}

#[test]
fn a_reissued_message_is_told_under_both_uids() {
    let (mut a, mut b) = (Node::new(0), Node::new(1));
    let account = a.add_account("alice");
    a.sync_to(&mut b);
    let inbox = a.inbox(account);
    let (_on_a, mut on_b) = (a.look(account, inbox), b.look(account, inbox));
    a.deliver(account, &mail(1));
    b.deliver(account, &mail(2));
    let late = 1;
    let early = on_b.view.borrow_and_update().rows.last().expect("a row").uid.0;
    assert!(late < early);
    for _ in 0..3 {
        a.sync_to(&mut b);
        b.sync_to(&mut a);
        (a.now, b.now) = (a.now.after(1_000), b.now.after(1_000));
        a.run();
        b.run();
    }
    let told = life(&b, "INBOX", late);
    let Now::Reissued { uid, .. } = told.now else { panic!("{told:#?}") };
    assert!(uid > early);
    assert!(whats(&told).iter().any(|what| matches!(what, What::Held { uid: 1, .. })), "{told}");
    let again = life(&b, "INBOX", uid);
    assert_eq!((&again.entry, &again.events), (&told.entry, &told.events));
    assert_eq!(again.now, Now::Visible { flags: vec![] });
    assert_eq!(life(&a, "INBOX", late).events, told.events);
    assert!(told.to_string().contains("now: reissued, visible as UID"), "{told}");
}

#[test]
fn an_expunged_and_a_moved_message_are_told() {
    let mut node = Node::new(0);
    let account = node.add_account("alice");
    let (inbox, archive) = (node.inbox(account), MailboxId::of_default(account, "Archive"));
    for number in 1..=3 {
        node.deliver(account, &mail(number));
    }
    let mut look = node.look(account, inbox);
    let (first, second) = (entry(&mut look, 1), entry(&mut look, 2));
    store(&mut node, account, inbox, first, FlagChange::Add, Flag::Deleted);
    node.ask(Request::Expunge { account, mailbox: inbox, entries: vec![first] }).expect("expunged");
    node.ask(Request::Move { account, from: inbox, entries: vec![second], to: archive }).expect("moved");
    drop(look);

    let expunged = life(&node, "INBOX", 1);
    assert_eq!(expunged.now, Now::Expunged);
    assert_eq!(whats(&expunged).last(), Some(&&What::Expunged { because_deleted: true }));
    let moved = life(&node, "INBOX", 2);
    assert!(matches!(&moved.now, Now::Moved { mailbox, .. } if mailbox == "Archive"), "{moved}");
    assert!(whats(&moved).contains(&&What::Moved { to: "Archive".into() }));
    let there = life(&node, "Archive", 1);
    assert_eq!((&there.entry, there.now), (&moved.entry, Now::Visible { flags: vec![] }));

    node.ask(Request::RemoveAccount { account }).expect("removed");
    assert!(matches!(
        explain(node.store.storage(), "alice", "INBOX", Uid(3)).map(|life| life.now),
        Ok(Now::AccountRemoved) | Err(ExplainError::NoSuchUid { .. })
    ));
}

#[test]
fn copies_and_second_deliveries_are_told_apart() {
    let (mut a, mut b) = (Node::new(0), Node::new(1));
    let account = a.add_account("alice");
    a.sync_to(&mut b);
    let inbox = a.inbox(account);
    a.deliver(account, &mail(1));
    b.deliver(account, &mail(1));
    a.sync_to(&mut b);
    b.sync_to(&mut a);
    let mut look = a.look(account, inbox);
    let message = entry(&mut look, 1);
    let told = life(&a, "INBOX", 1);
    assert!(whats(&told).iter().any(|what| matches!(what, What::AcceptedAgain { .. })), "{told}");
    let copy = Request::Copy { account, from: inbox, entries: vec![message], to: inbox };
    a.ask(copy).expect("copied");
    let copied = look.view.borrow_and_update().rows.last().expect("a row").uid.0;
    let copy = life(&a, "INBOX", copied);
    assert!(matches!(whats(&copy)[0], What::Accepted { by: Acceptance::Copy, .. }), "{copy}");
    assert_eq!(copy.email_id, told.email_id);
}

#[test]
fn what_does_not_exist_is_said() {
    let mut node = Node::new(0);
    node.add_account("alice");
    let ask = |account: &str, mailbox: &str, uid| explain(node.store.storage(), account, mailbox, Uid(uid));
    assert!(matches!(ask("bob", "INBOX", 1), Err(ExplainError::NoSuchAccount(_))));
    assert!(matches!(ask("alice", "Nowhere", 1), Err(ExplainError::NoSuchMailbox { .. })));
    for uid in [0, 1, u32::MAX] {
        assert!(matches!(ask("alice", "INBOX", uid), Err(ExplainError::NoSuchUid { .. })));
    }
}
