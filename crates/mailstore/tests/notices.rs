//! What nodes tell of themselves, in real tables: kept, superseded, passed on, bounded.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, Mutex};

use common::{Node, START, mail};
use peerpost_mailstore as mailstore;

use mailstore::Request;
use mailstore::crdt::clock::{Millis, Timestamp};
use mailstore::crdt::flag::{Flag, FlagChange};
use mailstore::crdt::identity::{AccountId, Incarnation, MailboxId, NodeSlot, Uid, Validity};
use mailstore::crdt::notice::{Heard, Notice, Telling};
use mailstore::crdt::placement::announcement::Announcement;
use mailstore::crdt::replica::{Meeting, Verdict};
use mailstore::crdt::vector::{Sequence, Vector};
use mailstore::history::{MergeRecord, NodeMerge};
use mailstore::notices::{HearError, MOST_MERGES, Told};
use mailstore::rows;
use storage::Table;

const DAY: u64 = 24 * 60 * 60 * 1000;

fn slot(number: u8) -> NodeSlot {
    NodeSlot::new(number).unwrap()
}

/// A moment of slot 5, some milliseconds after the start.
fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_parts(Millis(START + milliseconds), 0, slot(5))
}

fn announced(mailbox: u8, milliseconds: u64, uid_next: u32) -> Notice {
    let mut visible = Vector::new();
    visible.raise(Incarnation([5; 16]), Sequence(milliseconds));
    let announcement = Announcement {
        account: AccountId::of_name("alice"),
        mailbox: MailboxId([mailbox; 16]),
        incarnation: Incarnation([5; 16]),
        at: at(milliseconds),
        validity: Validity(7),
        uid_next: Uid(uid_next),
        modseq: at(milliseconds),
        visible,
        beyond: Vector::new(),
    };
    Notice { at: at(milliseconds), bytes: rows::encode(&Told::Announcement(announcement)) }
}

fn merged(milliseconds: u64) -> Notice {
    let mut record = MergeRecord { at: at(milliseconds), records: 1, ..MergeRecord::default() };
    record.mailboxes.entry(MailboxId([1; 16])).or_default().name = "INBOX".into();
    let told = Told::Merge(AccountId::of_name("alice"), record);
    Notice { at: at(milliseconds), bytes: rows::encode(&told) }
}

fn telling(after: Timestamp, notices: Vec<Notice>) -> Telling {
    Telling { slot: slot(5), after, until: notices.last().unwrap().at, notices }
}

fn announcements(node: &Node) -> Vec<(u8, u32)> {
    let reader = node.store.storage().reader().unwrap();
    let kept = mailstore::notices::announcements(&reader, &AccountId::of_name("alice")).unwrap();
    kept.iter()
        .filter(|told| told.slot() == slot(5))
        .map(|told| (told.mailbox.0[0], told.uid_next.0))
        .collect()
}

/// How many rows the tables of notices have for slot 5.
fn rows_of_five(node: &Node) -> usize {
    let reader = node.store.storage().reader().unwrap();
    reader.prefixed(Table::Notices, &[5]).unwrap().count()
}

#[test]
fn the_newest_announcement_takes_the_place_of_the_one_before() {
    let mut node = Node::new(0);
    node.hear(vec![telling(
        Timestamp::ZERO,
        vec![announced(1, 10, 4), announced(2, 11, 9), announced(1, 12, 6)],
    )])
    .unwrap();
    assert_eq!(announcements(&node), [(1, 6), (2, 9)]);
    node.hear(vec![telling(at(12), vec![announced(2, 20, 12)])]).unwrap();
    assert_eq!(announcements(&node), [(1, 6), (2, 12)]);
    assert_eq!(rows_of_five(&node), 2, "what was superseded is forgotten");
    assert_eq!(node.store.heard().last(slot(5)), at(20));

    // What came before is skipped, also where it comes again with something new.
    node.hear(vec![telling(Timestamp::ZERO, vec![announced(2, 11, 9), announced(1, 30, 8)])]).unwrap();
    assert_eq!(announcements(&node), [(1, 8), (2, 12)]);
    let node = node.restart();
    assert_eq!(announcements(&node), [(1, 8), (2, 12)]);
    assert_eq!(node.store.heard().last(slot(5)), at(30));
}

#[test]
fn a_third_node_hears_everything_over_a_relay_in_small_parts() {
    let (mut relay, mut third) = (Node::new(0), Node::new(1));
    let all: Vec<Notice> = (1..=100).map(|n| announced(n, u64::from(n), 3)).collect();
    relay.hear(vec![telling(Timestamp::ZERO, all)]).unwrap();
    let mut parts = 0;
    loop {
        let part = relay.store.notices_since(&third.store.heard(), 1_000).unwrap();
        if part.is_empty() {
            break;
        }
        parts += 1;
        third.hear(part).unwrap();
        third = third.restart();
    }
    assert!(parts > 5, "{parts}");
    assert_eq!(announcements(&third).len(), 100);
    assert!(third.store.heard().covers(&relay.store.heard()));
    // The last notices may be gone while they were heard: whoever asks still learns up to when.
    relay.hear(vec![telling(at(100), vec![merged(200)])]).unwrap();
    relay.store.retain_history(0);
    relay.now = relay.now.after(1_000);
    relay.run();
    let rest = relay.store.notices_since(&third.store.heard(), 1_000).unwrap();
    let of_five: Vec<&Telling> = rest.iter().filter(|telling| telling.slot == slot(5)).collect();
    assert_eq!(of_five, [&Telling { slot: slot(5), after: at(100), until: at(200), notices: vec![] }]);
}

type Expected = fn(&HearError) -> bool;

#[test]
fn what_is_wrong_leaves_nothing_behind() {
    let mut node = Node::new(0);
    node.hear(vec![telling(Timestamp::ZERO, vec![announced(1, 10, 4)])]).unwrap();
    let good = announced(3, 20, 9);
    let future = announced(1, 6 * 60 * 1000, 9);
    let foreign = {
        let mut notice = announced(1, 30, 9);
        let moment = Timestamp::from_parts(Millis(START + 30), 0, slot(6));
        notice.at = moment;
        Telling { slot: slot(6), after: Timestamp::ZERO, until: moment, notices: vec![notice] }
    };
    let trailing = {
        let mut notice = announced(1, 30, 9);
        notice.bytes.push(0);
        notice
    };
    let descending = Telling {
        slot: slot(5),
        after: at(10),
        until: at(40),
        notices: vec![announced(1, 40, 9), announced(2, 30, 9)],
    };
    let cases: Vec<(Telling, Expected)> = vec![
        (telling(at(25), vec![announced(1, 30, 9)]), |error| matches!(error, HearError::Gap { .. })),
        (telling(at(10), vec![future]), |error| matches!(error, HearError::ClockAhead(_))),
        (telling(at(10), vec![trailing]), |error| matches!(error, HearError::Malformed(_))),
        (telling(at(10), vec![Notice { at: at(30), bytes: vec![9, 9] }]), |error| {
            matches!(error, HearError::Malformed(_))
        }),
        (foreign, |error| matches!(error, HearError::Malformed(_))),
        (descending, |error| matches!(error, HearError::Impossible(_))),
    ];
    for (wrong, expected) in cases {
        let before = (node.store.heard(), announcements(&node));
        let error = node.hear(vec![telling(at(10), vec![good.clone()]), wrong.clone()]).unwrap_err();
        assert!(expected(&error), "{wrong:?}: {error}");
        assert_eq!((node.store.heard(), announcements(&node)), before);
    }
}

/// Both take mail and look while they are apart, and meet.
fn merge_of_two() -> (Node, Node, AccountId, Vec<mailstore::Look>) {
    let (mut a, mut b) = (Node::new(0), Node::new(1));
    let account = a.add_account("alice");
    a.sync_to(&mut b);
    let inbox = a.inbox(account);
    let looks = vec![a.look(account, inbox), b.look(account, inbox)];
    for number in 0..3 {
        a.deliver(account, &mail(number));
        b.deliver(account, &mail(100 + number));
    }
    for _ in 0..4 {
        a.sync_to(&mut b);
        b.sync_to(&mut a);
        (a.now, b.now) = (a.now.after(700), b.now.after(700));
        a.run();
        b.run();
    }
    (a, b, account, looks)
}

fn nodes_of(merges: &[NodeMerge]) -> Vec<u8> {
    let mut nodes: Vec<u8> = merges.iter().map(|told| told.node.number()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

#[test]
fn each_node_lists_what_merges_did_on_all() {
    let (mut a, mut b, account, _looks) = merge_of_two();
    (a.now, b.now) = (a.now.after(3_000), b.now.after(3_000));
    for node in [&mut a, &mut b] {
        assert!(node.inline.poll_timeout().is_none_or(|at| at <= node.now), "the merge is over by now");
        node.run();
        assert_eq!(node.inline.poll_timeout(), None, "nothing is left to wait for");
    }
    a.sync_to(&mut b);
    b.sync_to(&mut a);
    let on_a = a.store.history(account, Some("INBOX")).unwrap();
    assert_eq!(nodes_of(&on_a), [0, 1]);
    assert_eq!(on_a, b.store.history(account, Some("INBOX")).unwrap());
    let reissued: u64 =
        on_a.iter().flat_map(|told| told.merge.mailboxes.values()).map(|merge| merge.reissued).sum();
    assert!(reissued > 0, "{on_a:?}");
    let a = a.restart();
    assert_eq!(on_a, a.store.history(account, Some("INBOX")).unwrap());
    assert!(a.store.history(account, Some("Sent")).unwrap().is_empty());
}

#[test]
fn a_merge_that_a_life_left_behind_is_told_by_the_next() {
    let (a, mut b, account, looks) = merge_of_two();
    let open = a.store.history(account, None).unwrap();
    let own = |merges: &[NodeMerge]| -> Vec<NodeMerge> {
        merges.iter().filter(|told| told.node == slot(0)).cloned().collect()
    };
    assert!(!own(&open).is_empty());
    drop(looks);
    let mut a = a.restart();
    assert_eq!(own(&a.store.history(account, None).unwrap()), own(&open));
    let rows = a.store.storage().reader().unwrap().prefixed(Table::History, &[]).unwrap().count();
    assert_eq!(rows, 0, "it is a notice now");
    a.tell(&mut b);
    assert_eq!(own(&b.store.history(account, None).unwrap()), own(&open));
}

#[test]
fn of_each_node_so_many_merges_are_kept_and_none_that_is_too_old() {
    let mut node = Node::new(0);
    let most = MOST_MERGES as u64;
    let account = AccountId::of_name("alice");
    let first: Vec<Notice> = (1..=most - 10).map(merged).collect();
    node.hear(vec![telling(Timestamp::ZERO, first)]).unwrap();
    let second: Vec<Notice> = (most - 9..=most + 25).map(merged).collect();
    node.hear(vec![telling(at(most - 10), second)]).unwrap();
    let kept = node.store.history(account, None).unwrap();
    assert_eq!(kept.len(), MOST_MERGES);
    assert_eq!(kept[0].merge.at, at(26), "the oldest had to make room");
    assert_eq!(rows_of_five(&node), MOST_MERGES);
    // One batch with more than are kept.
    let third: Vec<Notice> = (10_000..10_000 + 2 * most).map(merged).collect();
    node.hear(vec![telling(at(most + 25), third)]).unwrap();
    let kept = node.store.history(account, None).unwrap();
    assert_eq!((kept.len(), kept[0].merge.at), (MOST_MERGES, at(10_000 + most)));

    let last = 10_000 + 2 * most - 1;
    node.hear(vec![telling(at(last), vec![announced(1, 20_000, 5)])]).unwrap();
    node.now = Millis(START + last - 6 + 89 * DAY);
    node.run();
    assert_eq!(node.store.history(account, None).unwrap().len(), MOST_MERGES);
    node.store.retain_history(89);
    node.run();
    assert_eq!(node.store.history(account, None).unwrap().len(), 5);
    assert_eq!(announcements(&node), [(1, 5)], "an announcement does not age");
    assert_eq!(node.store.heard().last(slot(5)), at(20_000));
}

#[test]
fn a_life_on_a_disk_that_was_rolled_back_is_found_out() {
    let (mut a, mut b) = (Node::new(0), Node::new(1));
    let account = a.add_account("alice");
    a.sync_to(&mut b);
    let judged = |judge: &mut Node, life: Incarnation| {
        let slot = Arc::new(Mutex::new(None));
        let answer = Arc::clone(&slot);
        judge.store.judge(life, move |verdict| *answer.lock().unwrap() = Some(verdict.unwrap()));
        judge.run();
        let verdict = slot.lock().unwrap().take();
        verdict.unwrap()
    };
    let mut a = a.restart();
    assert_eq!(judged(&mut b, a.store.incarnation()), None, "its first record is not here");
    a.sync_to(&mut b);
    assert_eq!(judged(&mut b, a.store.incarnation()), Some(Verdict::Confirmed));

    let image = a.disk.snapshot();
    let left = a.store.incarnation();
    a.deliver(account, &mail(1));
    a.sync_to(&mut b);
    drop(a);
    let mut rolled_back = common::open(image, 0, 9, Millis(START + 60_000));
    rolled_back.sync_to(&mut b);
    let verdict = judged(&mut b, rolled_back.store.incarnation()).unwrap();
    assert_eq!(verdict, Verdict::HoldsMore { held: b.store.vector().last(&left) });
    // Only what is said of the present life counts.
    rolled_back.store.take_verdict(slot(1), left, Verdict::Confirmed);
    rolled_back.run();
    assert!(rolled_back.store.verdicts().is_empty());
    rolled_back.store.take_verdict(slot(1), rolled_back.store.incarnation(), verdict);
    rolled_back.run();
    assert_eq!(rolled_back.store.verdicts(), [(slot(1), verdict)].into());
}

#[test]
fn a_node_without_a_link_to_another_hears_what_that_says_of_its_life() {
    let (mut a, mut b, mut c) = (Node::new(0), Node::new(1), Node::new(2));
    for _ in 0..2 {
        a.sync_to(&mut b);
        b.sync_to(&mut c);
        c.sync_to(&mut b);
        b.sync_to(&mut a);
    }
    let both = [(slot(1), Verdict::Confirmed), (slot(2), Verdict::Confirmed)].into();
    assert_eq!(a.store.verdicts(), both);
    // What was said of one life says nothing of the next, and is forgotten once there is something to say of that.
    let mut a = a.restart();
    b.tell(&mut a);
    assert!(a.store.verdicts().is_empty());
    a.sync_to(&mut b);
    b.sync_to(&mut c);
    c.sync_to(&mut b);
    b.sync_to(&mut a);
    assert_eq!(a.store.verdicts(), both);
    let reader = c.store.storage().reader().unwrap();
    assert_eq!(reader.prefixed(Table::Notices, &[2]).unwrap().count(), 2, "one for each other node");
    // A node that hears of all lives at once judges those that go on.
    let mut d = Node::new(3);
    b.sync_to(&mut d);
    d.tell(&mut a);
    assert_eq!(a.store.verdicts().get(&slot(3)), Some(&Verdict::Confirmed));
    let reader = d.store.storage().reader().unwrap();
    assert_eq!(reader.prefixed(Table::Notices, &[3]).unwrap().count(), 3);
}

#[test]
fn what_a_node_tells_lies_above_what_peers_have_heard_of_it() {
    let (mut a, mut b, account, looks) = merge_of_two();
    // A peer heard it later than its own disk knows; one whose clock is wrong is not followed.
    let later = Timestamp::from_parts(a.now.after(60_000), 0, slot(0));
    let absurd = Timestamp::from_parts(a.now.after(DAY), 0, slot(0));
    for heard in [later, absurd] {
        let meeting = Meeting { vector: b.store.vector(), heard: [(slot(0), heard)].into() };
        a.store.met(slot(1), Some(meeting.clone()));
        a.run();
        assert_eq!(a.store.meetings(), [(slot(1), meeting)].into());
    }
    let entries = looks[1].view.borrow().rows.iter().map(|row| row.facts.entry).collect();
    let (mailbox, change, flags) = (b.inbox(account), FlagChange::Add, vec![Flag::Seen]);
    b.ask(Request::Store { account, mailbox, entries, change, flags, unchanged_since: None }).unwrap();
    b.sync_to(&mut a);
    a.now = a.now.after(3_000);
    a.run();
    let told = a.store.notices_since(&Heard::new(), usize::MAX).unwrap();
    let own = told.iter().find(|telling| telling.slot == slot(0)).unwrap();
    assert!(own.until > later && own.until < absurd, "{own:?}");
    assert!(!a.store.history(account, None).unwrap().is_empty());
    a.store.met(slot(1), None);
    a.run();
    assert!(a.store.meetings().is_empty());
}
