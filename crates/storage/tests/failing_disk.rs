//! A disk that fails now and then costs a batch, never a wrong answer; one that fails to sync the tables stops the
//! store instead of letting it guess.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{check, open, try_commit};
use peerpost_storage::{Batch, CommitError, ReadError, Reader, SimulatedDisk, Storage, Table};

#[test]
fn one_failure_at_any_change_costs_one_batch_at_most() {
    let lengths = [1_000, 70_000, 300_000, 2_000, 10, 4_000, 50, 600];
    let whole = SimulatedDisk::new();
    let storage = open(&whole);
    let start = whole.operations();
    (0..).zip(lengths).for_each(|(number, length)| assert!(try_commit(&storage, number, length).is_ok()));
    let (mut refused, mut stopped, mut opened_again) = (0, 0, 0);
    for failing in 0..whole.operations() - start {
        let disk = SimulatedDisk::new();
        let storage = open(&disk);
        disk.fail_after(failing);
        let mut kept = BTreeMap::new();
        let mut unknown = None;
        for (number, length) in (0..).zip(lengths) {
            match try_commit(&storage, number, length) {
                Ok(hash) => assert_eq!(kept.insert(number, hash), None),
                Err(CommitError::Disk { .. }) => refused += 1,
                Err(CommitError::Stopped(_)) => {
                    stopped += 1;
                    unknown = Some(number);
                    break;
                }
                Err(other) => panic!("failing {failing}: {other}"),
            }
        }
        opened_again += storage.statistics().tables_opened_again;
        assert!(kept.len() >= lengths.len() - 1 || unknown.is_some(), "failing {failing}: {}", kept.len());
        if unknown.is_none() {
            check(&storage, &kept);
        }
        disk.crash();
        for seed in 0..3 {
            let survivor = open(&disk.survivor(seed));
            let mut kept = kept.clone();
            if let Some(number) = unknown.filter(|number| has(&survivor, *number)) {
                kept.insert(number, try_commit(&survivor, number, lengths[number as usize]).unwrap());
            }
            check(&survivor, &kept);
        }
    }
    assert!(refused > 5 && stopped > 5 && opened_again > 5, "{refused} {stopped} {opened_again}");
}

fn has(storage: &Storage, number: u32) -> bool {
    storage.reader().unwrap().get(Table::Log, &number.to_be_bytes()).unwrap().is_some()
}

/// What is in memory may still be read, what is not may not.
fn right_or_interrupted(reader: &Reader) -> bool {
    [b"refused".as_slice(), &1u32.to_be_bytes()].iter().zip([None, Some(vec![3; 3000])]).all(
        |(key, value)| match reader.get(Table::Log, key) {
            Ok(found) => found == value,
            Err(error) => matches!(error, ReadError::Interrupted | ReadError::Disk { .. }),
        },
    )
}

#[test]
fn a_reader_is_right_or_fails_when_its_tables_are_closed_or_opened_again() {
    let disk = SimulatedDisk::new();
    let storage = open(&disk);
    try_commit(&storage, 1, 10).unwrap();
    let reader = storage.reader().unwrap();
    disk.fail_after(0);
    let mut batch = Batch::new();
    batch.put(Table::Log, "refused", "");
    assert!(matches!(storage.commit(batch), Err(CommitError::Disk { .. })));
    assert_eq!(storage.statistics().tables_opened_again, 1);
    assert!(right_or_interrupted(&reader));
    let reader = storage.reader().unwrap();
    assert!(reader.get(Table::Log, b"refused").unwrap().is_none());
    storage.close().unwrap();
    assert!(right_or_interrupted(&reader));
    Storage::open(Arc::new(disk)).unwrap();
}

#[test]
fn a_failed_sync_of_the_tables_stops_the_store() {
    let disk = SimulatedDisk::new();
    let storage = open(&disk);
    let hash = try_commit(&storage, 1, 1000).unwrap();
    let body = storage.body(&hash).unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Log, "lost?", "");
    disk.fail_next_sync();
    assert!(matches!(storage.commit(batch), Err(CommitError::Stopped(_))));
    let mut batch = Batch::new();
    batch.put(Table::Log, "later", "");
    assert!(matches!(storage.commit(batch), Err(CommitError::Stopped(_))));
    assert!(matches!(storage.reader(), Err(ReadError::Stopped(_))));
    assert_eq!(body.read_all().unwrap().len(), 1004);
    drop(storage);
    let storage = open(&disk);
    let reader = storage.reader().unwrap();
    assert!(reader.get(Table::Log, &1u32.to_be_bytes()).unwrap().is_some());
    assert!(reader.get(Table::Log, b"later").unwrap().is_none());
}

#[test]
fn a_failed_sync_of_a_pack_refuses_one_batch() {
    let disk = SimulatedDisk::new();
    let storage = open(&disk);
    let mut kept = BTreeMap::from([(1, try_commit(&storage, 1, 1000).unwrap())]);
    disk.fail_next_sync();
    assert!(matches!(try_commit(&storage, 2, 1000), Err(CommitError::Disk { .. })));
    disk.fail_next_sync();
    assert!(matches!(try_commit(&storage, 3, 500_000), Err(CommitError::Disk { .. })));
    kept.insert(4, try_commit(&storage, 4, 1000).unwrap());
    check(&storage, &kept);
    drop(storage);
    check(&open(&disk), &kept);
}
