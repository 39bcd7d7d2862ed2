//! A full disk refuses batches whole, goes on reading, and takes batches again once there is room.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use common::{check, open, try_commit};
use peerpost_storage::{BodyError, CommitError, SimulatedDisk};

#[test]
fn a_full_disk_refuses_batches_whole_and_takes_them_again_with_room() {
    for (case, body_bytes) in (0..60).zip([100, 5_000, 70_000, 400_000].into_iter().cycle()) {
        let disk = SimulatedDisk::new();
        let storage = open(&disk);
        disk.set_capacity(Some(disk.used() + 200_000 + case * 4096 * 3));
        let mut kept = BTreeMap::new();
        let mut refused = 0;
        for number in 0.. {
            match try_commit(&storage, number, body_bytes) {
                Ok(hash) => assert_eq!(kept.insert(number, hash), None),
                Err(CommitError::DiskFull(_)) => refused += 1,
                Err(other) => panic!("case {case}: {other}"),
            }
            if refused == 3 {
                break;
            }
        }
        check(&storage, &kept);
        let opened_again = storage.statistics().tables_opened_again;
        assert!(opened_again <= 3, "case {case}: opened again {opened_again} times");
        disk.set_capacity(None);
        kept.insert(1_000_000, try_commit(&storage, 1_000_000, body_bytes).unwrap());
        check(&storage, &kept);
        disk.crash();
        check(&open(&disk.survivor(case)), &kept);
    }
}

#[test]
fn a_full_disk_at_any_block_is_told_and_survived() {
    // What a run without a bound takes, so that every place where room runs out is met.
    let probe = SimulatedDisk::new();
    let storage = open(&probe);
    let start = probe.used();
    (0..12).for_each(|number| assert!(try_commit(&storage, number, 3_000).is_ok()));
    let end = probe.used();
    let mut reopened = 0;
    for capacity in (start..end).step_by(4096) {
        let disk = SimulatedDisk::new();
        let storage = open(&disk);
        disk.set_capacity(Some(capacity));
        let mut kept = BTreeMap::new();
        for number in 0..12 {
            match try_commit(&storage, number, 3_000) {
                Ok(hash) => assert_eq!(kept.insert(number, hash), None),
                Err(CommitError::DiskFull(_)) => {}
                Err(other) => panic!("capacity {capacity}: {other}"),
            }
        }
        check(&storage, &kept);
        reopened += storage.statistics().tables_opened_again;
        disk.set_capacity(None);
        kept.insert(77, try_commit(&storage, 77, 3_000).unwrap());
        check(&storage, &kept);
        storage.close().unwrap();
        check(&open(&disk), &kept);
    }
    assert!(reopened > 10, "the tables never ran out of room: {reopened}");
}

#[test]
fn a_large_body_that_does_not_fit_leaves_nothing_behind() {
    let disk = SimulatedDisk::new();
    let storage = open(&disk);
    let used = disk.used();
    disk.set_capacity(Some(used + 1_000_000));
    let mut writer = storage.body_writer();
    let error = (0..100).find_map(|_| writer.write(&[1; 100_000]).err()).unwrap();
    assert!(matches!(error, BodyError::DiskFull(_)), "{error}");
    drop(writer);
    assert_eq!(peerpost_storage::Disk::list(&disk, "packs").unwrap(), Vec::<String>::new());
    try_commit(&storage, 1, 1000).unwrap();
}
