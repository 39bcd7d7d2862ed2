//! A loss of power at every single change to the disk leaves a store that opens, with every acknowledged batch whole.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use peerpost_storage::{Batch, BodyHash, SMALL_BODY_BYTES, SimulatedDisk, Storage, Table};

const COMMITS: u64 = 30;
const SURVIVORS: u64 = 4;

/// What a store should hold.
#[derive(Clone, Default, Debug, PartialEq)]
struct Contents {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    bodies: BTreeMap<BodyHash, Vec<u8>>,
}

/// The body that one commit adds: small ones, the same one again, one of several blocks, one with a pack of its own.
fn body_of(commit: u64) -> Vec<u8> {
    let length = match commit % 10 {
        3 => 100_000,
        7 => SMALL_BODY_BYTES + 5_000,
        _ => 700 + usize::try_from(commit).unwrap(),
    };
    let seed = if commit % 10 == 5 { commit - 1 } else { commit };
    let mut bytes = vec![0; if commit % 10 == 5 { 700 + usize::try_from(seed).unwrap() } else { length }];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn stage(storage: &Storage, bytes: &[u8]) -> Option<peerpost_storage::StagedBody> {
    let mut writer = storage.body_writer();
    bytes.chunks(50_000).try_for_each(|piece| writer.write(piece)).ok()?;
    writer.finish().ok()
}

/// One commit of the workload; `None` where the disk failed.
fn commit(storage: &Storage, number: u64, contents: &Contents) -> Option<Contents> {
    let mut after = contents.clone();
    let mut batch = Batch::new();
    for key in [number.to_be_bytes().to_vec(), (number % 7).to_be_bytes().to_vec(), b"same".to_vec()] {
        let value = vec![u8::try_from(number).unwrap(); 50 + usize::try_from(number).unwrap() * 40];
        batch.put(Table::Entries, key.clone(), value.clone());
        after.entries.insert(key, value);
    }
    if number % 4 == 3 {
        let key = (number - 2).to_be_bytes().to_vec();
        batch.remove(Table::Entries, key.clone());
        after.entries.remove(&key);
    }
    for bytes in [body_of(number), body_of(number + 1000)] {
        let body = stage(storage, &bytes)?;
        after.bodies.insert(body.hash(), bytes);
        batch.add_body(body);
    }
    if number % 6 == 5 {
        let hash = BodyHash::of(&body_of(number - 3));
        batch.remove_body(hash);
        after.bodies.remove(&hash);
    }
    storage.commit(batch).ok()?;
    Some(after)
}

/// Runs the workload until it is through or the disk fails; the contents after each acknowledged commit, and after
/// the one in flight.
fn run(disk: &SimulatedDisk, states: &[Contents]) -> usize {
    let Ok(storage) = Storage::open(Arc::new(disk.clone())) else { return 0 };
    let acknowledged = (0..COMMITS)
        .zip(states)
        .take_while(|(number, contents)| commit(&storage, *number, contents).is_some())
        .count();
    drop(storage);
    acknowledged
}

fn expected_states() -> (Vec<Contents>, u64) {
    let disk = SimulatedDisk::new();
    let storage = Storage::open(Arc::new(disk.clone())).unwrap();
    let mut states = vec![Contents::default()];
    for number in 0..COMMITS {
        let next = commit(&storage, number, states.last().unwrap()).unwrap();
        states.push(next);
    }
    storage.close().unwrap();
    (states, disk.operations())
}

fn contents(storage: &Storage, known: &Contents) -> Contents {
    let reader = storage.reader().unwrap();
    let entries = reader
        .scan(Table::Entries, Bound::Unbounded, Bound::Unbounded, usize::MAX)
        .unwrap()
        .into_iter()
        .collect();
    let mut bodies = BTreeMap::new();
    for hash in known.bodies.keys() {
        if let Some(body) = storage.body(hash).unwrap() {
            bodies.insert(*hash, body.read_all().unwrap());
        }
    }
    Contents { entries, bodies }
}

/// Opens a survivor; checks that it holds one of two neighbouring states, whole, and goes on working.
fn check(disk: &SimulatedDisk, states: &[Contents], acknowledged: usize, every: &Contents, place: &str) {
    let storage = Storage::open(Arc::new(disk.clone())).unwrap_or_else(|error| panic!("{place}: {error}"));
    let found = contents(&storage, every);
    let possible = [Some(&states[acknowledged]), states.get(acknowledged + 1)];
    assert!(possible.contains(&Some(&found)), "{place}: neither before nor after commit {acknowledged}");
    assert_eq!(storage.verify_bodies(|_| ControlFlow::Continue(())).unwrap(), [], "{place}");
    assert_eq!(storage.statistics().bodies, found.bodies.len() as u64, "{place}");
    let after = commit(&storage, COMMITS + 5, &found).unwrap();
    let mut every = every.clone();
    every.bodies.extend(after.bodies.clone());
    assert_eq!(contents(&storage, &every), after, "{place}");
    storage.close().unwrap();
    let storage = Storage::open(Arc::new(disk.clone())).unwrap();
    assert_eq!(contents(&storage, &every), after, "{place}");
}

fn every_body(states: &[Contents]) -> Contents {
    let bodies = states.iter().flat_map(|state| state.bodies.clone()).collect();
    Contents { entries: BTreeMap::new(), bodies }
}

#[test]
fn a_loss_of_power_at_any_change_loses_nothing_acknowledged() {
    let (states, operations) = expected_states();
    let every = every_body(&states);
    for crash in 0..operations {
        let disk = SimulatedDisk::new();
        disk.crash_after(crash);
        let acknowledged = run(&disk, &states);
        assert!(disk.has_crashed());
        for seed in 0..SURVIVORS {
            let survivor = disk.survivor(crash * SURVIVORS + seed);
            check(&survivor, &states, acknowledged, &every, &format!("crash {crash}, survivor {seed}"));
        }
    }
}

#[test]
fn a_loss_of_power_while_recovering_from_one_loses_nothing_either() {
    let (states, operations) = expected_states();
    let every = every_body(&states);
    for crash in (5..operations).step_by(7) {
        let disk = SimulatedDisk::new();
        disk.crash_after(crash);
        let acknowledged = run(&disk, &states);
        for second in 0..30 {
            let survivor = disk.survivor(crash);
            survivor.crash_after(second);
            if Storage::open(Arc::new(survivor.clone())).is_ok() && !survivor.has_crashed() {
                break;
            }
            let place = format!("crash {crash}, then {second}");
            check(&survivor.survivor(second), &states, acknowledged, &every, &place);
        }
    }
}

#[test]
fn one_seed_gives_one_disk() {
    let (states, operations) = expected_states();
    let images = [0, 1].map(|_| {
        let disk = SimulatedDisk::new();
        disk.crash_after(operations * 2 / 3);
        run(&disk, &states);
        let survivor = disk.survivor(9);
        let mut image = Vec::new();
        for (directory, names) in ["", "packs"]
            .map(|directory| (directory, peerpost_storage::Disk::list(&survivor, directory).unwrap()))
        {
            for name in names.iter().filter(|name| *name != "packs") {
                let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
                let file =
                    peerpost_storage::Disk::open(&survivor, &path, peerpost_storage::Create::Never).unwrap();
                let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
                file.read_at(0, &mut bytes).unwrap();
                image.push((path, blake3::hash(&bytes)));
            }
        }
        image
    });
    assert_eq!(images[0], images[1]);
}
