//! Snapshots of documents: with the log they give the same operations, and what is wrong with them is found.
#![allow(clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "common/life.rs"]
mod life;

use common::{Node, mail};
use life::Life;
use peerpost_mailstore::crdt::document::Document;
use peerpost_mailstore::crdt::identity::AccountId;
use peerpost_mailstore::crdt::operation::DocumentId;
use peerpost_mailstore::snapshots::{self, CHANGES_PER_SNAPSHOT, Maintenance, Progress, Snapshot};
use peerpost_mailstore::verify::{repair, verify};
use peerpost_mailstore::{Storage, rows};
use storage::{Batch, Table};

fn maintain(maintenance: &mut Maintenance, storage: &Storage, records: usize) -> usize {
    let mut steps = 0;
    while maintenance.step(storage, records).expect("a step") == Progress::More {
        steps += 1;
        assert!(steps < 100_000);
    }
    steps
}

fn saved(storage: &Storage) -> Vec<(DocumentId, Snapshot)> {
    let reader = storage.reader().expect("readable");
    let rows = reader.prefixed(Table::Snapshots, &[]).expect("readable");
    rows.map(|row| {
        let document = rows::decode(Table::Snapshots, &row.expect("readable").0).expect("a document");
        (document, snapshots::read(&reader, &document).expect("readable").expect("a snapshot"))
    })
    .collect()
}

fn deliver(node: &mut Node, account: AccountId, mails: std::ops::Range<u32>) {
    for number in mails {
        node.deliver(account, &mail(number));
    }
}

fn node(mails: u32) -> Node {
    let mut node = Node::new(0);
    let account = node.add_account("alice");
    deliver(&mut node, account, 0..mails);
    node
}

#[test]
fn a_document_is_saved_when_it_has_grown_and_again_when_it_has_grown_more() {
    let mut node = node(CHANGES_PER_SNAPSHOT as u32 + 20);
    let storage = std::sync::Arc::clone(node.store.storage());
    let mut maintenance = Maintenance::new(CHANGES_PER_SNAPSHOT);
    maintain(&mut maintenance, &storage, 64);
    let first = saved(&storage);
    let [(document @ DocumentId::Segment(account, _), snapshot)] = first.as_slice() else {
        panic!("{first:?}")
    };
    let covered: u64 = snapshot.covered.values().map(|covered| covered.chain.length).sum();
    let loaded = Document::load(&snapshot.saved).expect("loads").operations().expect("operations");
    assert_eq!((covered, loaded.len()), (CHANGES_PER_SNAPSHOT + 20, CHANGES_PER_SNAPSHOT as usize + 20));
    assert_eq!(verify(&storage, &mut |_| {}), Ok(vec![]));

    deliver(&mut node, *account, 1000..1010);
    assert_eq!(maintain(&mut maintenance, &storage, 10_000), 0, "ten more changes are no reason");
    deliver(&mut node, *account, 2000..2400);
    // A later life of the node goes on where the snapshot ends.
    let mut restarted = Maintenance::new(CHANGES_PER_SNAPSHOT);
    maintain(&mut restarted, &storage, 100);
    let second = saved(&storage);
    assert_eq!((second.len(), second[0].0), (1, *document));
    assert!(second[0].1.covered.values().all(|covered| covered.chain.length == 686));
    assert_eq!(verify(&storage, &mut |_| {}), Ok(vec![]));
    // Every way leads to the same document.
    maintain(&mut maintenance, &storage, 10_000);
    assert_eq!(verify(&storage, &mut |_| {}), Ok(vec![]));
}

#[test]
fn snapshots_of_merged_lives_are_sound() {
    for seed in 100..102 {
        let mut life = Life::new(seed);
        let mut maintenance = [Maintenance::new(40), Maintenance::new(40)];
        for _ in 0..4 {
            (0..150).for_each(|_| life.step());
            for (node, maintenance) in maintenance.iter_mut().enumerate() {
                maintain(maintenance, life.storage(node), 50);
                assert_eq!(verify(life.storage(node), &mut |_| {}), Ok(vec![]), "seed {seed}");
            }
        }
        life.merge();
        assert!((0..2).any(|node| !saved(life.storage(node)).is_empty()), "seed {seed}");
    }
}

#[test]
fn a_wrong_snapshot_is_found_forgotten_and_made_again() {
    let node = node(CHANGES_PER_SNAPSHOT as u32 + 20);
    let storage = node.store.storage();
    maintain(&mut Maintenance::new(CHANGES_PER_SNAPSHOT), storage, 10_000);
    let (document, good) = saved(storage).pop().expect("a snapshot");
    let mut short = good.clone();
    short.covered.values_mut().for_each(|covered| covered.chain.length -= 1);
    let mut damaged = good.clone();
    let middle = damaged.saved.len() / 2;
    damaged.saved[middle] ^= 0xff;
    let mut other = good.clone();
    other.saved = Document::default().save().expect("saved");
    for wrong in [short, damaged, other] {
        let mut batch = Batch::new();
        batch.put(Table::Snapshots, rows::encode(&document), rows::encode(&wrong));
        storage.commit(batch).expect("committed");
        let found = verify(storage, &mut |_| {}).expect("readable");
        assert!(found.len() == 1 && found[0].what.contains("its snapshot is wrong"), "{found:#?}");
        assert_eq!(repair(storage, &mut |_| {}).expect("writable").remaining, vec![]);
        assert_eq!(saved(storage), vec![]);
        maintain(&mut Maintenance::new(CHANGES_PER_SNAPSHOT), storage, 10_000);
        assert_eq!(saved(storage), vec![(document, good.clone())]);
        assert_eq!(verify(storage, &mut |_| {}), Ok(vec![]));
    }
}

#[test]
fn a_document_that_cannot_be_saved_goes_to_quarantine_and_the_node_goes_on() {
    let node = node(CHANGES_PER_SNAPSHOT as u32 + 20);
    let storage = node.store.storage();
    let records = node.store.delta_since(&Default::default(), usize::MAX).expect("readable");
    let record = &records[records.len() / 2];
    let mut bytes = record.bytes.clone();
    let end = bytes.len() - 2;
    bytes[end] ^= 0x20;
    let mut batch = Batch::new();
    let key = rows::log_key(&record.incarnation, record.sequence);
    batch.put(Table::Log, key.clone(), bytes);
    storage.commit(batch).expect("committed");
    let mut maintenance = Maintenance::new(CHANGES_PER_SNAPSHOT);
    maintain(&mut maintenance, storage, 10_000);
    assert_eq!(saved(storage), vec![]);
    let found = verify(storage, &mut |_| {}).expect("readable");
    assert!(found.iter().any(|finding| finding.what.contains("in quarantine")), "{found:#?}");
    // Neither this maintenance nor that of a later life tries again, until a repair takes it out.
    maintain(&mut Maintenance::new(CHANGES_PER_SNAPSHOT), storage, 10_000);
    assert_eq!(saved(storage), vec![]);
    let mut batch = Batch::new();
    batch.put(Table::Log, key, record.bytes.clone());
    storage.commit(batch).expect("committed");
    assert_eq!(repair(storage, &mut |_| {}).expect("writable").remaining, vec![]);
    maintain(&mut Maintenance::new(CHANGES_PER_SNAPSHOT), storage, 10_000);
    assert_eq!(saved(storage).len(), 1);
    assert_eq!(verify(storage, &mut |_| {}), Ok(vec![]));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the shell is tested with its own clock and thread")]
fn an_idle_node_saves_its_documents() {
    use peerpost_mailstore::{Request, identity::NodeIdentity, message::Scanner, shell};
    use std::sync::{Arc, mpsc};
    let storage = Arc::new(Storage::open(Arc::new(storage::SimulatedDisk::new())).expect("the store opens"));
    let slot = peerpost_mailstore::crdt::identity::NodeSlot::FIRST;
    let identity = NodeIdentity { cluster: [1; 16], slot, name: "a".into() };
    let (store, running) =
        shell::start(Arc::clone(&storage), identity, Box::new(|| [7; 16])).expect("started");
    let (answered, answers) = mpsc::channel();
    let ask = |request| {
        let answered = answered.clone();
        store.submit(request, move |answer| answered.send(answer.is_ok()).expect("somebody waits"));
        assert!(answers.recv().expect("an answer"));
    };
    ask(Request::AddAccount { name: "alice".into(), password: "hash".into() });
    for number in 0..CHANGES_PER_SNAPSHOT as u32 {
        let octets = mail(number);
        let mut body = store.body_writer();
        body.write(&octets).expect("room");
        let mut scanner = Scanner::new();
        scanner.push(&octets);
        let (body, structure) = (body.finish().expect("staged"), Arc::new(scanner.finish()));
        let message = peerpost_mailstore::NewMessage { body, structure, flags: vec![], received: None };
        let account = AccountId::of_name("alice");
        ask(Request::Deliver { account, mailbox: "INBOX".into(), sender: "a@example.com".into(), message });
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while saved(&storage).is_empty() {
        assert!(std::time::Instant::now() < deadline, "no snapshot within 30 s");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(verify(&storage, &mut |_| {}), Ok(vec![]));
    assert_eq!(running.stop(), None);
}
