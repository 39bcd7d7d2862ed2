//! Bodies: streamed in and out, kept once, verified always.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::sync::Arc;

use peerpost_storage::{
    BLOCK_BYTES, Batch, BodyHash, Create, Disk, OpenError, ReadError, RealDisk, SMALL_BODY_BYTES,
    SimulatedDisk, StagedBody, Storage, Table, VerifyProgress,
};

fn open(disk: &SimulatedDisk) -> Storage {
    Storage::open(Arc::new(disk.clone())).unwrap()
}

fn bytes_of(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn stage(storage: &Storage, bytes: &[u8]) -> StagedBody {
    let mut writer = storage.body_writer();
    bytes.chunks(33_333).for_each(|piece| writer.write(piece).unwrap());
    writer.finish().unwrap()
}

fn add(storage: &Storage, bytes: &[u8]) -> BodyHash {
    let body = stage(storage, bytes);
    let hash = body.hash();
    let mut batch = Batch::new();
    batch.add_body(body);
    storage.commit(batch).unwrap();
    hash
}

fn packs(disk: &SimulatedDisk) -> Vec<String> {
    disk.list("packs").unwrap()
}

#[test]
fn bodies_of_every_length_read_back_in_every_range() {
    let disk = SimulatedDisk::new();
    let storage = open(&disk);
    let block = BLOCK_BYTES;
    let lengths = [
        0,
        1,
        block - 1,
        block,
        block + 1,
        3 * block,
        SMALL_BODY_BYTES,
        SMALL_BODY_BYTES + 1,
        20 * block + 7,
    ];
    for (seed, length) in (0..).zip(lengths) {
        let bytes = bytes_of(seed, length);
        let staged = stage(&storage, &bytes);
        assert_eq!(staged.hash(), BodyHash::of(&bytes));
        let staged_start = staged.read(0..100).unwrap();
        assert_eq!(staged_start, bytes[..length.min(100)]);
        let hash = add(&storage, &bytes);
        let body = storage.body(&hash).unwrap().unwrap();
        assert_eq!((body.len(), body.is_empty()), (length as u64, length == 0));
        assert_eq!(body.read_all().unwrap(), bytes);
        for start in [0, 1, block - 1, block, length.saturating_sub(1), length, length + 5] {
            for end in [0, start, start + 1, start + block, length, usize::MAX] {
                let expected = bytes.get(start.min(length)..end.min(length)).unwrap_or_default();
                assert_eq!(
                    body.read(start as u64..end as u64).unwrap(),
                    expected,
                    "{length}: {start}..{end}"
                );
            }
        }
    }
    assert!(storage.body(&BodyHash::of(b"nobody sent this")).unwrap().is_none());
}

#[test]
fn a_body_is_kept_once() {
    let disk = SimulatedDisk::new();
    let storage = open(&disk);
    for length in [1000, SMALL_BODY_BYTES + 1] {
        let bytes = bytes_of(1, length);
        let hash = add(&storage, &bytes);
        let before = storage.statistics();
        assert_eq!(add(&storage, &bytes), hash);
        let mut batch = Batch::new();
        batch.add_body(stage(&storage, &bytes));
        batch.add_body(stage(&storage, &bytes));
        storage.commit(batch).unwrap();
        let after = storage.statistics();
        assert_eq!(
            (after.pack_bytes, after.bodies, after.packs),
            (before.pack_bytes, before.bodies, before.packs)
        );
        assert_eq!(after.bodies_known_already, before.bodies_known_already + 2);
    }
    assert_eq!(packs(&disk).len(), 2);
}

#[test]
fn a_large_body_has_a_pack_of_its_own_that_goes_when_it_is_not_committed() {
    let disk = SimulatedDisk::new();
    let storage = open(&disk);
    let mut writer = storage.body_writer();
    writer.write(&bytes_of(1, 2 * SMALL_BODY_BYTES)).unwrap();
    assert_eq!(packs(&disk).len(), 1);
    drop(writer);
    assert_eq!(packs(&disk).len(), 0);
    drop(stage(&storage, &bytes_of(1, 2 * SMALL_BODY_BYTES)));
    assert_eq!(packs(&disk).len(), 0);
    // Forgotten in the hard way, and swept at the next start.
    std::mem::forget(stage(&storage, &bytes_of(1, 2 * SMALL_BODY_BYTES)));
    let kept = add(&storage, &bytes_of(2, 2 * SMALL_BODY_BYTES));
    assert_eq!(packs(&disk).len(), 2);
    drop(storage);
    let storage = open(&disk);
    assert_eq!(packs(&disk).len(), 1);
    assert_eq!(storage.body(&kept).unwrap().unwrap().read_all().unwrap(), bytes_of(2, 2 * SMALL_BODY_BYTES));
}

#[test]
fn a_removed_body_leaves_the_index_and_comes_back_when_added_again() {
    let disk = SimulatedDisk::new();
    let storage = open(&disk);
    let bytes = bytes_of(1, 5000);
    let hash = add(&storage, &bytes);
    let held = storage.body(&hash).unwrap().unwrap();
    let before = storage.reader().unwrap();
    let mut batch = Batch::new();
    batch.remove_body(hash);
    batch.remove_body(BodyHash::of(b"never there"));
    storage.commit(batch).unwrap();
    assert!(storage.body(&hash).unwrap().is_none());
    assert_eq!(storage.statistics().bodies, 0);
    assert_eq!(held.read_all().unwrap(), bytes);
    assert_eq!(storage.body_as_of(&before, &hash).unwrap().unwrap().read_all().unwrap(), bytes);
    add(&storage, &bytes);
    assert_eq!(storage.body(&hash).unwrap().unwrap().read_all().unwrap(), bytes);
    assert_eq!(storage.statistics().body_bytes, 5000);
}

#[test]
fn a_damaged_body_is_an_error_in_the_block_that_is_damaged_and_can_be_repaired() {
    let disk = SimulatedDisk::new();
    let storage = open(&disk);
    for (seed, length) in [(1, 500), (2, 3 * BLOCK_BYTES), (3, SMALL_BODY_BYTES + BLOCK_BYTES)] {
        let bytes = bytes_of(seed, length);
        let hash = add(&storage, &bytes);
        let (pack, _) = (packs(&disk).last().unwrap().clone(), ());
        let end = disk.open(&format!("packs/{pack}"), Create::Never).unwrap().len().unwrap();
        disk.corrupt(&format!("packs/{pack}"), end - 1, 1).unwrap();
        let body = storage.body(&hash).unwrap().unwrap();
        let error = body.read_all().unwrap_err();
        assert!(matches!(&error, ReadError::BodyDamaged { hash: named, .. } if *named == hash));
        assert!(
            error.to_string().contains(&hash.to_string()) && error.to_string().contains(&pack),
            "{error}"
        );
        let sound = length.saturating_sub(BLOCK_BYTES) / BLOCK_BYTES * BLOCK_BYTES;
        assert_eq!(body.read(0..sound as u64).unwrap(), bytes[..sound]);

        let damaged = storage.verify_bodies(|_| ControlFlow::Continue(())).unwrap();
        assert_eq!(damaged.iter().map(|damaged| damaged.hash).collect::<Vec<_>>(), [hash]);
        let mut batch = Batch::new();
        batch.repair_body(stage(&storage, &bytes));
        storage.commit(batch).unwrap();
        assert_eq!(storage.body(&hash).unwrap().unwrap().read_all().unwrap(), bytes);
        assert_eq!(storage.verify_bodies(|_| ControlFlow::Continue(())).unwrap(), []);
        assert_eq!(storage.statistics().bodies, seed);
    }
}

#[test]
fn verification_tells_of_missing_packs_and_can_be_ended() {
    let disk = SimulatedDisk::new();
    let storage = open(&disk);
    let small = add(&storage, &bytes_of(1, 500));
    let large = add(&storage, &bytes_of(2, SMALL_BODY_BYTES + 1));
    drop(storage);
    disk.remove("packs/000002").unwrap();
    let file = disk.open("packs/000001", Create::Never).unwrap();
    file.set_len(100).unwrap();
    let storage = open(&disk);
    let mut hashes: Vec<_> =
        storage.verify_bodies(|_| ControlFlow::Continue(())).unwrap().iter().map(|body| body.hash).collect();
    hashes.sort();
    let mut expected = [small, large];
    expected.sort();
    assert_eq!(hashes, expected);
    assert!(matches!(storage.body(&large), Err(ReadError::BodyDamaged { .. })));
    let mut calls = Vec::new();
    storage
        .verify_bodies(|progress: &VerifyProgress| {
            calls.push(progress.bodies);
            if calls.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(calls, [0, 1]);
    // New bodies do not go to the pack that is too short.
    let new = add(&storage, &bytes_of(3, 500));
    assert_eq!(storage.body(&new).unwrap().unwrap().read_all().unwrap(), bytes_of(3, 500));
}

#[test]
fn bodies_are_written_and_read_beside_commits() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(Arc::new(RealDisk::open(directory.path()).unwrap())).unwrap();
    #[allow(clippy::disallowed_methods, reason = "a test of threads")]
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let storage = &storage;
            scope.spawn(move || {
                for round in 0..10 {
                    let length = if round % 3 == 0 { SMALL_BODY_BYTES + 100 } else { 3000 };
                    let bytes = bytes_of(thread * 100 + round, length);
                    let hash = add(storage, &bytes);
                    assert_eq!(storage.body(&hash).unwrap().unwrap().read_all().unwrap(), bytes);
                }
            });
        }
    });
    assert_eq!(storage.statistics().bodies, 40);
    storage.close().unwrap();
    let storage = Storage::open(Arc::new(RealDisk::open(directory.path()).unwrap())).unwrap();
    assert_eq!(storage.verify_bodies(|_| ControlFlow::Continue(())).unwrap(), []);
    assert_eq!(storage.statistics().bodies, 40);
}

#[test]
fn packs_without_tables_are_not_taken_for_a_new_store() {
    let disk = SimulatedDisk::new();
    let storage = open(&disk);
    add(&storage, b"a message");
    drop(storage);
    disk.remove("tables.redb").unwrap();
    assert!(matches!(Storage::open(Arc::new(disk.clone())), Err(OpenError::TablesMissing(_))));
    assert_eq!(packs(&disk).len(), 1);
}

#[test]
fn tables_that_are_no_tables_are_refused() {
    let disk = SimulatedDisk::new();
    let file = disk.open("tables.redb", Create::New).unwrap();
    file.write_at(0, &[b'x'; 100_000]).unwrap();
    let error = Storage::open(Arc::new(disk)).err().unwrap();
    assert!(matches!(error, OpenError::Damaged(_)), "{error}");
}

#[test]
fn bounds_are_kept() {
    let storage = open(&SimulatedDisk::new());
    let mut batch = Batch::new();
    batch.put(Table::Meta, vec![0; peerpost_storage::MAXIMUM_KEY_BYTES + 1], "");
    let error = storage.commit(batch).unwrap_err();
    assert!(error.to_string().contains("meta"), "{error}");
    let mut batch = Batch::new();
    batch.put(Table::Meta, "key", vec![0; peerpost_storage::MAXIMUM_VALUE_BYTES + 1]);
    assert!(storage.commit(batch).is_err());
    assert_eq!(storage.reader().unwrap().get(Table::Meta, b"key").unwrap(), None);
}
