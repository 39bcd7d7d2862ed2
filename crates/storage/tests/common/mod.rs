//! Batches that tests recognise.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use peerpost_storage::{Batch, BodyHash, CommitError, SimulatedDisk, Storage, Table};

/// Opens the store on a disk.
pub fn open(disk: &SimulatedDisk) -> Storage {
    Storage::open(Arc::new(disk.clone())).unwrap()
}

/// Commits a batch with a value and a body made of its number.
pub fn try_commit(storage: &Storage, number: u32, body_bytes: usize) -> Result<BodyHash, CommitError> {
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

/// Checks that a store holds these batches and no others.
pub fn check(storage: &Storage, kept: &BTreeMap<u32, BodyHash>) {
    let found =
        storage.reader().unwrap().scan(Table::Log, Bound::Unbounded, Bound::Unbounded, 10_000).unwrap();
    let keys: Vec<Vec<u8>> = kept.keys().map(|number| number.to_be_bytes().to_vec()).collect();
    assert_eq!(found.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), keys);
    for hash in kept.values() {
        storage.body(hash).unwrap().unwrap().read_all().unwrap();
    }
    assert_eq!(storage.statistics().bodies, kept.len() as u64);
}
