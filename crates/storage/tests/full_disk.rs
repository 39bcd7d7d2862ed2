//! A full disk refuses batches whole, goes on reading, and takes batches again once there is room. A disk that fails
//! to sync stops the store instead of guessing.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use peerpost_storage::{Batch, BodyError, BodyHash, CommitError, ReadError, SimulatedDisk, Storage, Table};

fn open(disk: &SimulatedDisk) -> Storage {
    Storage::open(Arc::new(disk.clone())).unwrap()
}

/// A batch with a value and a body made of its number.
fn try_commit(storage: &Storage, number: u32, body_bytes: usize) -> Result<BodyHash, CommitError> {
    let mut writer = storage.body_writer();
    let mut bytes = vec![7; body_bytes];
    bytes.extend_from_slice(&number.to_be_bytes());
    writer.write(&bytes)?;
    let body = writer.finish()?;
    let hash = body.hash();
    let mut batch = Batch::new();
    batch.add_body(body);
    batch.put(Table::Log, number.to_be_bytes(), vec![3; 3000]);
    storage.commit(batch)?;
    Ok(hash)
}

fn check(storage: &Storage, kept: &BTreeMap<u32, BodyHash>) {
    let found =
        storage.reader().unwrap().scan(Table::Log, Bound::Unbounded, Bound::Unbounded, 10_000).unwrap();
    let keys: Vec<Vec<u8>> = kept.keys().map(|number| number.to_be_bytes().to_vec()).collect();
    assert_eq!(found.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), keys);
    for hash in kept.values() {
        storage.body(hash).unwrap().unwrap().read_all().unwrap();
    }
    assert_eq!(storage.statistics().bodies, kept.len() as u64);
}

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
