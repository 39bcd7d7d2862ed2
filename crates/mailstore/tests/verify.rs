//! What `verify` says of sound stores (nothing), and of damaged ones.
#![allow(clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "common/life.rs"]
mod life;

use common::{Node, mail};
use life::Life;
use peerpost_mailstore::crdt::identity::AccountId;
use peerpost_mailstore::crdt::placement::shown::{RowImage, ShownHead};
use peerpost_mailstore::verify::{Finding, VerifyStep, repair, verify};
use peerpost_mailstore::{Storage, rows};
use storage::{Batch, Table};

fn findings(storage: &Storage) -> Vec<Finding> {
    verify(storage, &mut |_| {}).expect("a readable store")
}

fn only_finding(storage: &Storage, parts: &[&str]) {
    let found = findings(storage);
    let [finding] = found.as_slice() else { panic!("{found:#?}") };
    for part in parts {
        assert!(finding.what.contains(part), "{part:?} is not in {finding:#?}");
    }
}

/// A node with some mail in INBOX, a little of it flagged and expunged.
fn node() -> (Node, AccountId) {
    let mut node = Node::new(0);
    let account = node.add_account("alice");
    let inbox = node.inbox(account);
    for number in 0..40 {
        node.deliver(account, &mail(number));
    }
    drop(node.look(account, inbox));
    node.run();
    assert_eq!(findings(node.store.storage()), vec![]);
    (node, account)
}

fn change(storage: &Storage, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
    let mut batch = Batch::new();
    match value {
        Some(value) => batch.put(table, key, value),
        None => batch.remove(table, key),
    }
    storage.commit(batch).expect("committed");
}

fn first(storage: &Storage, table: Table, prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    storage.reader().expect("readable").first_in_prefix(table, prefix).expect("readable").expect("a row")
}

#[test]
fn two_nodes_are_sound_over_random_lives() {
    for seed in 0..12 {
        let mut life = Life::new(seed);
        for step in 0..160 {
            life.step();
            if step % 40 == 39 {
                for node in 0..2 {
                    assert_eq!(findings(life.storage(node)), vec![], "seed {seed}, step {step}, node {node}");
                }
            }
        }
        life.merge();
        for node in 0..2 {
            assert_eq!(findings(life.storage(node)), vec![], "seed {seed}, node {node}");
        }
    }
}

#[test]
fn progress_is_told() {
    let (node, _) = node();
    let mut steps = Vec::new();
    verify(node.store.storage(), &mut |step| steps.push(step)).expect("readable");
    assert!(matches!(steps.first(), Some(VerifyStep::Log { records }) if *records > 40));
    assert!(steps.contains(&VerifyStep::Account { name: "alice".into(), number: 1, of: 1 }));
    assert!(steps.iter().any(|step| matches!(step, VerifyStep::Bodies { .. })));
}

#[test]
fn a_missing_record_is_found() {
    let (node, account) = node();
    let storage = node.store.storage();
    let records = node.store.delta_since(&Default::default(), usize::MAX).expect("readable");
    let of_account = |record: &&peerpost_mailstore::crdt::record::Record| {
        record.parts().and_then(|(document, _)| document.account()) == Some(account)
    };
    let lost = records.iter().rev().filter(of_account).nth(5).expect("a record");
    change(storage, Table::Log, rows::log_key(&lost.incarnation, lost.sequence), None);
    let found = findings(storage);
    let gap = format!("record {} of life {}", lost.sequence.0, lost.incarnation);
    assert!(found.iter().any(|f| f.what.contains(&gap) && f.what.contains("missing")), "{found:#?}");
    let chain = |f: &Finding| f.account.as_deref() == Some("alice") && f.what.contains("does not continue");
    assert!(found.iter().any(chain), "{found:#?}");
    assert!(found.iter().all(|finding| finding.remedy.contains("join")), "{found:#?}");
    // A repair has nothing sound to go by.
    let repaired = repair(storage, &mut |_| {}).expect("readable");
    assert_eq!((repaired.repaired, repaired.remaining), (vec![], found));
}

#[test]
fn the_last_record_missing_is_found_too() {
    let (node, _) = node();
    let records = node.store.delta_since(&Default::default(), usize::MAX).expect("readable");
    let last = records.last().expect("a record");
    change(node.store.storage(), Table::Log, rows::log_key(&last.incarnation, last.sequence), None);
    let found = findings(node.store.storage());
    assert!(found.iter().any(|finding| finding.what.contains("the log ends with record")), "{found:#?}");
}

#[test]
fn a_changed_record_is_found() {
    let (node, _) = node();
    let storage = node.store.storage();
    let records = node.store.delta_since(&Default::default(), usize::MAX).expect("readable");
    let changed = &records[records.len() / 2];
    let mut bytes = changed.bytes.clone();
    let middle = bytes.len() - 3;
    bytes[middle] ^= 0x10;
    change(storage, Table::Log, rows::log_key(&changed.incarnation, changed.sequence), Some(bytes));
    let found = findings(storage);
    let named = format!("record {} of", changed.sequence.0);
    assert!(found.iter().any(|finding| finding.what.contains(&named)), "{found:#?}");
}

#[test]
fn changed_views_are_found_and_written_anew() {
    for table in [Table::Accounts, Table::Mailboxes, Table::Entries, Table::Cluster] {
        for lost in [false, true] {
            let (node, _) = node();
            let storage = node.store.storage();
            let (key, value) = first(storage, table, &[]);
            let changed = match (table, lost) {
                (_, true) => None,
                (Table::Entries, false) => Some(rows::encode(&{
                    let mut entries: Vec<peerpost_mailstore::crdt::fold::entry::EntryState> =
                        rows::decode(table, &value).expect("entries");
                    entries.swap(3, 4);
                    entries
                })),
                (_, false) => Some(value[..value.len() - 1].to_vec()),
            };
            change(storage, table, key.clone(), changed);
            let found = findings(storage);
            assert!(!found.is_empty(), "{table:?}");
            assert!(found.iter().all(|finding| finding.remedy.contains("--repair")), "{found:#?}");
            let repaired = repair(storage, &mut |_| {}).expect("writable");
            assert_eq!((repaired.repaired.len(), repaired.remaining), (found.len(), vec![]));
            assert_eq!(findings(storage), vec![], "{table:?}");
            assert_eq!(first(storage, table, &key).1, value, "{table:?}");
        }
    }
}

#[test]
fn a_wrong_chain_end_is_found_and_written_anew() {
    let (a, account) = node();
    let (mut a, mut b) = (a, Node::new(1));
    a.sync_to(&mut b);
    let storage = b.store.storage();
    for lost in [false, true] {
        let (key, mut value) = first(storage, Table::Chains, &[]);
        let before = value.clone();
        value[0] ^= 1;
        change(storage, Table::Chains, key.clone(), (!lost).then_some(value));
        only_finding(storage, &["table chains"]);
        assert_eq!(repair(storage, &mut |_| {}).expect("writable").remaining, vec![]);
        assert_eq!(first(storage, Table::Chains, &key).1, before);
    }
    change(storage, Table::Chains, vec![9; 40], Some(vec![]));
    only_finding(storage, &["1 rows of the table chains belong to no document"]);
    drop(a.look(account, a.inbox(account)));
}

#[test]
fn a_corrupted_body_is_found_with_the_message_that_needs_it() {
    let (node, _) = node();
    let storage = node.store.storage();
    let pack = node.disk.clone();
    pack.corrupt("packs/000001", 900, 0x40).expect("a pack");
    only_finding(storage, &["the message", "in the mailbox \"INBOX\", UID", "is damaged"]);
}

#[test]
fn a_body_that_nobody_asks_for_is_found_and_asked_for() {
    let (node, _) = node();
    let storage = node.store.storage();
    let (key, _) = first(storage, Table::Summaries, &[]);
    let hash = storage::BodyHash::from_bytes(key.as_slice().try_into().expect("a hash"));
    let mut batch = Batch::new();
    batch.remove_body(hash);
    storage.commit(batch).expect("committed");
    only_finding(storage, &["neither here nor listed as missing", &hash.to_string()]);
    assert_eq!(repair(storage, &mut |_| {}).expect("writable").remaining, vec![]);
    assert_eq!(findings(storage), vec![]);
    assert_eq!(node.store.wanted_bodies(10).expect("readable").len(), 1);
}

#[test]
fn a_body_listed_as_missing_that_is_here_is_found() {
    let (node, account) = node();
    let storage = node.store.storage();
    let (key, _) = first(storage, Table::Entries, &account.0);
    let entry = [&key[..36], &7u16.to_be_bytes()].concat();
    change(storage, Table::EntriesAbsent, entry, Some(vec![]));
    only_finding(storage, &["is here, and listed as missing"]);
    assert_eq!(repair(storage, &mut |_| {}).expect("writable").remaining, vec![]);
    assert_eq!(findings(storage), vec![]);
}

/// Changes the rows of the first chunk of what is shown in INBOX.
fn change_shown(storage: &Storage, account: AccountId, change_rows: impl FnOnce(&mut Vec<RowImage>)) {
    let (key, value) = first(storage, Table::Shown, &account.0);
    let mut shown: Vec<RowImage> = rows::decode(Table::Shown, &value).expect("rows");
    change_rows(&mut shown);
    change(storage, Table::Shown, key, Some(rows::encode(&shown)));
}

#[test]
fn wrong_shown_rows_are_found() {
    type Change = fn(&mut Vec<RowImage>);
    let changes: [(Change, &str); 4] = [
        (|rows| rows.swap(2, 3), "does not lie above"),
        (|rows| rows[5].entry = rows[4].entry, "is shown twice"),
        (|rows| rows[4].entry.index = 900, "is not there"),
        (|rows| rows.last_mut().expect("a row").uid.0 = 60, "not below the announced UIDNEXT"),
    ];
    for (change_rows, what) in changes {
        let (node, account) = node();
        change_shown(node.store.storage(), account, change_rows);
        let found = findings(node.store.storage());
        assert!(found.iter().any(|finding| finding.what.contains(what)), "{what}: {found:#?}");
        assert!(found.iter().all(|finding| finding.account.as_deref() == Some("alice")), "{found:#?}");
    }
}

#[test]
fn a_stale_shown_row_is_found() {
    let (mut node, account) = node();
    let inbox = node.inbox(account);
    let (key, value) = first(node.store.storage(), Table::Shown, &account.0);
    let look = node.look(account, inbox);
    let entries = vec![look.view.borrow().rows.at(3).expect("a row").facts.entry];
    use peerpost_mailstore::Request;
    use peerpost_mailstore::crdt::flag::{Flag, FlagChange};
    let (flags, change_of) = (vec![Flag::Deleted], FlagChange::Add);
    let store = Request::Store {
        account,
        mailbox: inbox,
        entries: entries.clone(),
        change: change_of,
        flags,
        unchanged_since: None,
    };
    node.ask(store).expect("stored");
    node.ask(Request::Expunge { account, mailbox: inbox, entries }).expect("expunged");
    assert_eq!(findings(node.store.storage()), vec![]);
    change(node.store.storage(), Table::Shown, key, Some(value));
    only_finding(node.store.storage(), &["\"INBOX\", UID 4", "is shown and is not there"]);
}

#[test]
fn a_lost_announcement_is_found() {
    let (node, account) = node();
    let storage = node.store.storage();
    let (shown, _) = first(storage, Table::Shown, &account.0);
    let key = shown[..32].to_vec();
    let (_, value) = first(storage, Table::Announced, &key);
    let head: ShownHead = rows::decode(Table::Announced, &value).expect("a head");
    assert!(head.validity.is_some());
    change(storage, Table::Announced, key, None);
    only_finding(storage, &["table announced", "is missing"]);
}

#[test]
fn a_body_releases_whoever_waits_for_it_in_the_same_batch_or_before() {
    let (mut a, mut b) = (Node::new(0), Node::new(1));
    let account = a.add_account("alice");
    a.sync_to(&mut b);
    for (number, before) in [(1, true), (2, false)] {
        a.deliver(account, &mail(number));
        let delta = a.store.delta_since(&b.store.vector(), usize::MAX).expect("readable");
        let (message, deliver) = (b.message(&mail(number)), |message| peerpost_mailstore::Request::Deliver {
            account,
            mailbox: "Archive".into(),
            sender: "other@example.com".into(),
            message,
        });
        if before {
            b.store.submit(deliver(message), |answer| drop(answer.expect("delivered")));
            b.store.apply_delta(delta, |applied| drop(applied.expect("a good delta")));
        } else {
            b.store.apply_delta(delta, |applied| drop(applied.expect("a good delta")));
            b.store.submit(deliver(message), |answer| drop(answer.expect("delivered")));
        }
        b.run();
        assert_eq!(findings(b.store.storage()), vec![]);
        assert_eq!(b.store.wanted_bodies(10).expect("readable"), vec![]);
    }
    let inbox = b.inbox(account);
    assert_eq!(b.look(account, inbox).view.borrow().rows.len(), 2);
}

#[test]
fn a_restored_disk_learns_its_own_past_from_peers() {
    let (mut a, mut b) = (Node::new(0), Node::new(1));
    let account = a.add_account("alice");
    a.deliver(account, &mail(1));
    let backup = a.disk.snapshot();
    a.deliver(account, &mail(2));
    a.sync_to(&mut b);
    let now = a.now;
    drop(a);
    let mut a = common::open(backup, 0, 9, now);
    b.sync_to(&mut a);
    assert_eq!(findings(a.store.storage()), vec![]);
    let inbox = a.inbox(account);
    assert_eq!(a.look(account, inbox).view.borrow().rows.len(), 2);
}
