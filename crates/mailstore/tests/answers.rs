//! APPEND, COPY and MOVE on two nodes at the same time: answered with the UIDs that the placer gives (rule 7), told once.
#![allow(clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, Mutex};

use common::{Node, mail};
use peerpost_mailstore::crdt::identity::{AccountId, EntryId, MailboxId, NodeSlot, Uid};
use peerpost_mailstore::{Look, Reply, Request, RequestError};

type Answer = Arc<Mutex<Option<Result<Reply, RequestError>>>>;

/// Two nodes with clients that both look at INBOX, where a message was reissued: the first of them is the placer.
struct Contested {
    nodes: [Node; 2],
    account: AccountId,
    inbox: MailboxId,
    looks: [Look; 2],
}

impl Contested {
    fn new() -> Self {
        let (mut a, mut b) = (Node::new(0), Node::new(1));
        let account = a.add_account("alice");
        a.sync_to(&mut b);
        let inbox = a.inbox(account);
        let looks = [a.look(account, inbox), b.look(account, inbox)];
        let mut contested = Contested { nodes: [a, b], account, inbox, looks };
        contested.share_looks();
        for node in 0..2 {
            contested.append(node, 900 + node as u32);
        }
        contested.sync(4);
        assert_eq!(contested.uids(0), contested.uids(1));
        assert_eq!(contested.uids(0).len(), 2);
        contested
    }

    fn share_looks(&mut self) {
        let slot = |node: usize| NodeSlot::new(node as u8).expect("a slot");
        let [a, b] = &mut self.nodes;
        a.store.peer_looks(slot(1), Some((*b.store.looks()).clone()));
        b.store.peer_looks(slot(0), Some((*a.store.looks()).clone()));
        a.run();
        b.run();
    }

    fn sync(&mut self, times: usize) {
        let [a, b] = &mut self.nodes;
        for _ in 0..times {
            a.sync_to(b);
            b.sync_to(a);
        }
    }

    fn ask(&mut self, node: usize, request: Request) -> Answer {
        let answer = Answer::default();
        let into = Arc::clone(&answer);
        self.nodes[node].store.submit(request, move |reply| *into.lock().expect("a lock") = Some(reply));
        self.nodes[node].run();
        answer
    }

    fn append(&mut self, node: usize, number: u32) -> Answer {
        let message = self.nodes[node].message(&mail(number));
        let (account, mailbox) = (self.account, self.inbox);
        self.ask(node, Request::Append { account, mailbox, messages: vec![message] })
    }

    fn pass(&mut self, node: usize, milliseconds: u64) {
        self.nodes[node].now = self.nodes[node].now.after(milliseconds);
        self.nodes[node].run();
    }

    fn rows(&mut self, node: usize) -> Vec<(Uid, EntryId)> {
        let view = self.looks[node].view.borrow_and_update().clone();
        view.rows.iter().map(|row| (row.uid, row.facts.entry)).collect()
    }

    fn uids(&mut self, node: usize) -> Vec<Uid> {
        self.rows(node).into_iter().map(|(uid, _)| uid).collect()
    }
}

fn appended(answer: &Answer) -> Option<Uid> {
    match answer.lock().expect("a lock").take()? {
        Ok(Reply::Appended { uids, .. }) if uids.len() == 1 => uids.first().copied(),
        other => panic!("an APPEND was answered with {other:?}"),
    }
}

#[test]
fn an_append_is_answered_with_the_uid_that_the_placer_gives() {
    let mut contested = Contested::new();
    let before = contested.uids(1);
    let on_b = contested.append(1, 1);
    assert_eq!(appended(&on_b), None, "b leaves it to a");
    assert_eq!(contested.uids(1), before);
    let on_a = contested.append(0, 2);
    let of_a = appended(&on_a).expect("a is the placer");
    contested.sync(2);
    let of_b = appended(&on_b).expect("a has placed it");
    assert!(of_b > of_a);
    contested.sync(2);
    let uids = contested.uids(0);
    assert_eq!(uids, contested.uids(1));
    assert_eq!(uids, [before, vec![of_a, of_b]].concat(), "nothing was reissued");
}

#[test]
fn where_the_placer_is_silent_an_append_is_answered_after_half_a_second() {
    let mut contested = Contested::new();
    let on_b = contested.append(1, 1);
    contested.pass(1, 490);
    assert_eq!(appended(&on_b), None);
    contested.pass(1, 20);
    let uid = appended(&on_b).expect("b places by itself");
    assert_eq!(contested.uids(1).last(), Some(&uid));
}

#[test]
fn a_move_leaves_its_mailbox_at_once_and_is_answered_when_it_is_placed() {
    let mut contested = Contested::new();
    let drafts = MailboxId::of_default(contested.account, "Drafts");
    let draft = contested.nodes[1].message(&mail(1));
    let account = contested.account;
    let append = Request::Append { account, mailbox: drafts, messages: vec![draft] };
    assert!(appended(&contested.ask(1, append)).is_some(), "nobody else looks at Drafts");
    let look = contested.nodes[1].look(account, drafts);
    let entry = look.view.borrow().rows.at(0).expect("a draft").facts.entry;
    let request = Request::Move { account, from: drafts, entries: vec![entry], to: contested.inbox };
    let on_b = contested.ask(1, request);
    assert!(look.view.borrow().rows.is_empty());
    assert!(on_b.lock().expect("a lock").is_none());
    contested.sync(2);
    match on_b.lock().expect("a lock").take() {
        Some(Ok(Reply::Copied { pairs, gone, source, .. })) => {
            assert_eq!(contested.uids(1).last(), pairs.first().map(|(_, uid)| uid));
            assert_eq!((pairs.len(), gone.len(), source.rows.len()), (1, 0, 0));
        }
        other => panic!("a MOVE was answered with {other:?}"),
    };
}

/// What was accepted is durable: a later batch that is not does not make it refused.
#[test]
fn a_batch_that_fails_meanwhile_refuses_nothing_that_was_accepted_before() {
    let mut contested = Contested::new();
    let on_b = contested.append(1, 1);
    contested.nodes[1].disk.fail_next_sync();
    let other = contested.append(1, 2);
    assert!(other.lock().expect("a lock").take().is_some_and(|answer| answer.is_err()));
    assert_eq!(appended(&on_b), None);
    contested.pass(1, 3_000);
    let uid = appended(&on_b).expect("the new life places it");
    assert_eq!(contested.uids(1).last(), Some(&uid));
}

/// Nobody has selected anything: peers hear for a while where clients append.
#[test]
fn a_mailbox_that_is_only_appended_to_counts_as_looked_at_for_a_while() {
    let Contested { nodes, account, inbox, looks } = Contested::new();
    drop(looks);
    let [mut a, mut b] = nodes;
    a.run();
    b.run();
    assert!(a.store.looks().is_empty() && b.store.looks().is_empty());
    let message = a.message(&mail(1));
    a.ask(Request::Append { account, mailbox: inbox, messages: vec![message] }).expect("appended");
    assert!(a.store.looks().contains(&(account, inbox)));
    a.now = a.now.after(9_990);
    a.run();
    assert!(a.store.looks().contains(&(account, inbox)));
    a.now = a.now.after(10);
    a.run();
    assert!(a.store.looks().is_empty());
}
