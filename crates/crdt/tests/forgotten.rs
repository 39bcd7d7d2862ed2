//! An account that a node forgets and loads again is as it was.

use std::cell::RefCell;

use peerpost_crdt::account::{Account, AccountImage, NewEntry, REDELIVERY_MILLISECONDS};
use peerpost_crdt::clock::Millis;
use peerpost_crdt::document::Chain;
use peerpost_crdt::identity::{AccountId, BodyHash, DeliveryKey, Incarnation, MailboxId, NodeSlot, Uid};
use peerpost_crdt::operation::{DefaultMailbox, DocumentId};
use peerpost_crdt::placement::shown::{RowImage, ShownHead, ShownImage};
use peerpost_crdt::replica::{Archive, ArchiveError, Beginning, Replica};
use peerpost_crdt::view::ReceivedAt;
use peerpost_crdt::writer::Author;

const START: u64 = 1_790_000_000_000;

/// A disk for one account.
#[derive(Default)]
struct Shelf(RefCell<Option<AccountImage>>);

impl Archive for &Shelf {
    fn account(&self, id: AccountId, here: NodeSlot, now: Millis) -> Result<Option<Account>, ArchiveError> {
        Ok(self.0.borrow_mut().take().map(|image| Account::load(id, here, image, now)))
    }

    fn chain(&self, _: &DocumentId, _: &Incarnation) -> Result<Option<Chain>, ArchiveError> {
        Ok(None)
    }
}

fn shown(account: &Account, mailbox: MailboxId) -> ShownImage {
    let view = account.view(mailbox);
    let row = |row: &peerpost_crdt::view::Row| RowImage {
        uid: row.uid,
        entry: row.facts.entry,
        modseq: row.modseq,
    };
    ShownImage {
        mailbox: view.mailbox,
        head: ShownHead {
            validity: view.validity,
            announced: view.uid_next,
            highest_modseq: view.highest_modseq,
            vanished_floor: view.vanished.floor(),
            reach: account.reach(mailbox),
        },
        rows: view.rows.iter().map(row).collect(),
        vanished: view.vanished.iter().collect(),
    }
}

fn image(account: &Account) -> AccountImage {
    AccountImage {
        head: account.head().clone(),
        mailboxes: account.mailbox_states().map(|(id, state)| (*id, state.clone())).collect(),
        segments: account.segments().map(|(id, entries)| (*id, entries.to_vec())).collect(),
        absent: account.absent().clone(),
        shown: account.units().iter().map(|unit| shown(account, unit.public)).collect(),
        announcements: vec![],
        touched_by: account.touched_by().clone(),
    }
}

fn account() -> AccountId {
    AccountId::of_name("alice")
}

fn inbox() -> MailboxId {
    MailboxId::of_default(account(), "INBOX")
}

fn start(shelf: &Shelf) -> Replica<&Shelf> {
    let author = Author { slot: NodeSlot::FIRST, incarnation: Incarnation([1; 16]) };
    let mut replica = Replica::start(shelf, author, Beginning::default(), Millis(START));
    let defaults = [DefaultMailbox { name: "INBOX".to_owned(), special_use: None }];
    replica.add_account("alice", "hash", &defaults).expect("added");
    replica.commit();
    replica
}

fn new(delivery: Option<u8>) -> NewEntry {
    NewEntry {
        body: BodyHash([1; 32]),
        size: 1,
        received: ReceivedAt::default(),
        flags: vec![],
        email: None,
        delivery: delivery.map(|delivery| DeliveryKey([delivery; 16])),
    }
}

fn deliver(replica: &mut Replica<&Shelf>, count: usize) {
    for _ in 0..count {
        assert!(replica.deliver(account(), inbox(), new(None)).expect("delivered"));
    }
    replica.commit();
}

fn uids(replica: &mut Replica<&Shelf>) -> Vec<Uid> {
    replica.glance(account(), inbox()).expect("no disk");
    replica.commit();
    let account = replica.account(account()).expect("no disk").expect("alice");
    account.view(inbox()).rows.iter().map(|row| row.uid).collect()
}

fn forget(replica: &mut Replica<&Shelf>, shelf: &Shelf) {
    let account = replica.account(account()).expect("no disk").expect("alice");
    *shelf.0.borrow_mut() = Some(image(account));
    let id = account.id();
    assert!(replica.forget(id));
}

#[test]
fn segments_go_on_where_they_were() {
    let shelf = Shelf::default();
    let mut replica = start(&shelf);
    deliver(&mut replica, 1003);
    forget(&mut replica, &shelf);
    // The first segment is full and the second begun: what comes now must not be written over it.
    deliver(&mut replica, 4);
    assert_eq!(uids(&mut replica).len(), 1007);
}

#[test]
fn what_was_shown_stays_and_waits_no_more() {
    let shelf = Shelf::default();
    let mut replica = start(&shelf);
    deliver(&mut replica, 300);
    let before = uids(&mut replica);
    forget(&mut replica, &shelf);
    assert_eq!(uids(&mut replica), before);
    let account = replica.account(account()).expect("no disk").expect("alice");
    assert_eq!(account.pending(), 0);
}

#[test]
fn the_same_octets_are_delivered_again_when_no_mta_retries_any_more() {
    let shelf = Shelf::default();
    let mut replica = start(&shelf);
    assert!(replica.deliver(account(), inbox(), new(Some(1))).expect("delivered"));
    assert!(!replica.deliver(account(), inbox(), new(Some(1))).expect("delivered"));
    replica.begin(Millis(START + REDELIVERY_MILLISECONDS + 1000));
    assert!(replica.deliver(account(), inbox(), new(Some(1))).expect("delivered"));
    assert_eq!(uids(&mut replica).len(), 2);
}

#[test]
fn an_account_added_again_has_nothing_of_what_was_removed() {
    let shelf = Shelf::default();
    let mut replica = start(&shelf);
    replica.create_mailbox(account(), "work", None).expect("created");
    let work = replica.existing(account()).expect("alice").unit_by_name("work").expect("work").public;
    replica.deliver(account(), work, new(Some(2))).expect("delivered");
    assert!(replica.deliver(account(), inbox(), new(Some(1))).expect("delivered"));
    replica.begin(Millis(START + 10));
    replica.remove_account(account()).expect("removed");
    let defaults = [DefaultMailbox { name: "INBOX".to_owned(), special_use: None }];
    replica.add_account("alice", "hash", &defaults).expect("added");
    let names: Vec<_> =
        replica.existing(account()).expect("alice").units().iter().map(|unit| unit.name.clone()).collect();
    assert_eq!(names, ["INBOX"]);
    assert_eq!(uids(&mut replica).len(), 0);
    assert!(replica.deliver(account(), inbox(), new(Some(1))).expect("delivered"));
    assert_eq!(uids(&mut replica).len(), 1);
}

#[test]
fn a_rename_that_would_make_a_name_no_peer_accepts_is_refused() {
    let shelf = Shelf::default();
    let mut replica = start(&shelf);
    replica.create_mailbox(account(), &format!("a/{}", "x".repeat(900)), None).expect("created");
    assert!(replica.rename_mailbox(account(), "a", &"y".repeat(900)).is_err());
    replica.create_mailbox(account(), "b/c", None).expect("created");
    replica.create_mailbox(account(), "d/c", None).expect("created");
    replica.delete_mailbox(account(), replica_mailbox(&mut replica.clone(), "d")).expect("deleted");
    assert!(replica.rename_mailbox(account(), "b", "d").is_err(), "d/c is taken");
}

fn replica_mailbox(replica: &mut Replica<&Shelf>, name: &str) -> MailboxId {
    replica.existing(account()).expect("alice").unit_by_name(name).expect("a mailbox").public
}
