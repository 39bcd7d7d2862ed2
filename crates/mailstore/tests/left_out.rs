//! The checks can fail: what the mail store does for the rules is left out in turn, and one of these stories has to notice
//! (`docs/uid-mapping.md`).
#![cfg(debug_assertions)]
#![allow(clippy::disallowed_methods, reason = "measures how long the search takes, on all processors")]
#![allow(clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "../../crdt/tests/common/left_out.rs"]
mod harness;

use common::{Node, mail};
use harness::Check;
use peerpost_mailstore as mailstore;

use mailstore::crdt::identity::{AccountId, MailboxId, NodeSlot};
use mailstore::crdt::left_out::{LeftOut, leave_out};
use mailstore::crdt::replica::Verdict;
use mailstore::{Look, Reply, Request, notices};

#[test]
fn whatever_is_left_out_is_noticed() {
    harness::each_is_noticed(harness::of_crate("mailstore"), leave_out, checks);
}

fn checks() -> Box<dyn Iterator<Item = Check>> {
    harness::told(&[
        ("a commit that fails", failed_commit),
        ("STATUS before SELECT", status_before_select),
        ("a notice that is lost", lost_notice),
        ("a start at the end of a line", start_at_the_end),
    ])
}

fn looked(node: &mut Node, account: AccountId, mailbox: MailboxId, lasting: bool) -> Look {
    match node.ask(Request::Look { account, mailbox, lasting }) {
        Ok(Reply::Looked(look)) => look,
        other => panic!("a look was answered with {other:?}"),
    }
}

/// Mail that nobody looked at has no UIDs. A STATUS counts what a SELECT shows, and so is the first look at it.
fn status_before_select() -> Result<(), String> {
    let mut node = Node::new(0);
    let account = node.add_account("alice");
    let inbox = node.inbox(account);
    for number in 0..3 {
        node.deliver(account, &mail(number));
        let told = looked(&mut node, account, inbox, false).view.borrow().clone();
        let shown = looked(&mut node, account, inbox, true).view.borrow().clone();
        if (told.rows.len(), told.uid_next) != (shown.rows.len(), shown.uid_next) {
            let (told, shown) = (told.rows.len(), shown.rows.len());
            return Err(format!("STATUS: MESSAGES {told} and then {shown} EXISTS"));
        }
    }
    Ok(())
}

/// What clients of a first mailbox were told is lost on the way, what those of a second were told comes.
fn lost_notice() -> Result<(), String> {
    let (mut a, mut b) = (Node::new(0), Node::new(1));
    let account = a.add_account("alice");
    a.sync_to(&mut b);
    for mailbox in ["INBOX", "Archive"] {
        let mailbox = MailboxId::of_default(account, mailbox);
        let message = a.message(&mail(7));
        a.ask(Request::Append { account, mailbox, messages: vec![message] }).expect("appended");
        a.run();
    }
    let mut told = a.store.notices_since(&b.store.heard(), usize::MAX).expect("readable");
    for telling in &mut told {
        if telling.notices.len() > 1 {
            telling.after = telling.notices.remove(0).at;
        }
    }
    // It may be refused: it comes again with what was lost.
    let _ = b.hear(told);
    a.sync_to(&mut b);
    b.sync_to(&mut a);
    let announced = |node: &Node| {
        let reader = node.store.storage().reader().expect("readable");
        let all = notices::announcements(&reader, &account).expect("readable");
        all.into_iter().filter(|told| told.slot() == NodeSlot::FIRST).count()
    };
    let (here, there) = (announced(&a), announced(&b));
    if here == there {
        Ok(())
    } else {
        Err(format!("U5: of {here} announcements {there} are heard for good"))
    }
}

/// Three nodes in a line: the ends have no link, and each has to confirm the starts of the other.
fn start_at_the_end() -> Result<(), String> {
    let (mut a, mut b, mut c) = (Node::new(0), Node::new(1), Node::new(2));
    for _ in 0..2 {
        a.sync_to(&mut b);
        b.sync_to(&mut c);
        c.sync_to(&mut b);
        b.sync_to(&mut a);
    }
    let mut a = a.restart();
    a.sync_to(&mut b);
    b.sync_to(&mut c);
    c.sync_to(&mut b);
    b.sync_to(&mut a);
    let last = NodeSlot::new(2).expect("a slot");
    match a.store.verdicts().get(&last) {
        Some(Verdict::Confirmed) => Ok(()),
        other => Err(format!("cost: it leaps after every start: the other end says {other:?}")),
    }
}

/// The disk breaks while it stores what peers might have been told already, and the machine goes down with it.
fn failed_commit() -> Result<(), String> {
    let mut node = Node::new(0);
    let account = node.add_account("alice");
    node.disk.fail_next_sync();
    let created = Request::CreateMailbox { account, name: "work".into(), special_use: None };
    if node.ask(created).is_ok() {
        return Err("the story needs a commit that fails".to_owned());
    }
    let told = node.store.vector();
    let survives = |seed| common::open(node.disk.survivor(seed), 0, 1, node.now).store.vector().covers(&told);
    if (1..=8).all(survives) {
        Ok(())
    } else {
        Err("U1: peers were told of a record that is not stored, and its UIDs may be given again".to_owned())
    }
}
