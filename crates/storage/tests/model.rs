//! Batches and readers against a `BTreeMap`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use peerpost_storage::{Batch, Reader, SimulatedDisk, Storage, Table};
use proptest::prelude::*;

const TABLES: [Table; 3] = [Table::Meta, Table::Log, Table::Entries];

type Range = (Bound<Vec<u8>>, Bound<Vec<u8>>);

type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    /// `None` removes.
    Commit(Vec<(Table, Vec<u8>, Option<Vec<u8>>)>),
    Reopen,
    LosePower(u64),
    KeepReader,
}

/// Few and similar keys, so that prefixes, neighbours and collisions are met.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0), Just(1), Just(0xFF)], 0..4)
}

fn table() -> impl Strategy<Value = Table> {
    prop::sample::select(&TABLES[..])
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..20));
    let change = (table(), key(), value);
    prop_oneof![
        6 => prop::collection::vec(change, 0..12).prop_map(Step::Commit),
        1 => Just(Step::Reopen),
        1 => any::<u64>().prop_map(Step::LosePower),
        1 => Just(Step::KeepReader),
    ]
}

fn of_table(model: &Model, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let own = model.iter().filter(|((of, _), _)| *of == table);
    own.map(|((_, key), value)| (key.clone(), value.clone())).collect()
}

fn check(reader: &Reader, model: &Model, probes: &[Range]) {
    for table in TABLES {
        let entries = of_table(model, table);
        for (start, end) in probes {
            let inside = |key: &[u8]| {
                (match start {
                    Bound::Included(start) => key >= start.as_slice(),
                    Bound::Excluded(start) => key > start.as_slice(),
                    Bound::Unbounded => true,
                }) && (match end {
                    Bound::Included(end) => key <= end.as_slice(),
                    Bound::Excluded(end) => key < end.as_slice(),
                    Bound::Unbounded => true,
                })
            };
            let expected: Vec<_> = entries.iter().filter(|(key, _)| inside(key)).cloned().collect();
            let (start, end) = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
            assert_eq!(reader.scan(table, start, end, usize::MAX).unwrap(), expected);
            assert_eq!(reader.scan(table, start, end, 2).unwrap(), expected[..expected.len().min(2)]);
            let mut backwards: Vec<_> =
                reader.range(table, start, end).unwrap().rev().map(Result::unwrap).collect();
            backwards.reverse();
            assert_eq!(backwards, expected);
            let (Bound::Included(prefix) | Bound::Excluded(prefix)) = start else { continue };
            let prefixed: Vec<_> =
                entries.iter().filter(|(key, _)| key.starts_with(prefix)).cloned().collect();
            assert_eq!(reader.scan_prefix(table, prefix, usize::MAX).unwrap(), prefixed);
            assert_eq!(reader.first_in_prefix(table, prefix).unwrap().as_ref(), prefixed.first());
            assert_eq!(reader.last_in_prefix(table, prefix).unwrap().as_ref(), prefixed.last());
            let value = entries.iter().find(|(key, _)| key == prefix).map(|(_, value)| value.clone());
            assert_eq!(reader.get(table, prefix).unwrap(), value);
        }
    }
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        3 => key().prop_map(Bound::Included),
        2 => key().prop_map(Bound::Excluded),
        1 => Just(Bound::Unbounded),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_a_sorted_map_for_each_table(
        steps in prop::collection::vec(step(), 1..25),
        probes in prop::collection::vec((bound(), bound()), 6),
    ) {
        let mut disk = SimulatedDisk::new();
        let mut storage = Storage::open(Arc::new(disk.clone())).unwrap();
        let mut model = Model::new();
        let mut kept = None;
        for step in steps {
            match step {
                Step::Commit(changes) => {
                    let mut batch = Batch::new();
                    for (table, key, value) in changes {
                        match value {
                            Some(value) => {
                                batch.put(table, key.clone(), value.clone());
                                model.insert((table, key), value);
                            }
                            None => {
                                batch.remove(table, key.clone());
                                model.remove(&(table, key));
                            }
                        }
                    }
                    storage.commit(batch).unwrap();
                }
                Step::Reopen => {
                    kept = None;
                    storage.close().unwrap();
                    storage = Storage::open(Arc::new(disk.clone())).unwrap();
                }
                Step::LosePower(seed) => {
                    kept = None;
                    disk.crash();
                    disk = disk.survivor(seed);
                    storage = Storage::open(Arc::new(disk.clone())).unwrap();
                }
                Step::KeepReader => kept = Some((storage.reader().unwrap(), model.clone())),
            }
            check(&storage.reader().unwrap(), &model, &probes);
        }
        // What a reader saw first it sees still.
        if let Some((reader, model)) = kept {
            check(&reader, &model, &probes);
        }
    }
}
