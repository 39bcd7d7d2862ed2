//! Opens a store: creates it where there is none, checks its format, sweeps what was never committed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use super::Storage;
use super::commit::{Appending, Committer, PROBE_FILE};
use crate::body::location::{PackKind, PackState};
use crate::body::packs::{PACK_LIMIT_BYTES, PACKS_DIRECTORY, Packs, pack_name, pack_number};
use crate::disk::{Create, Disk};
use crate::error::{OpenError, ReadError};
use crate::schema::Place;
use crate::statistics::Statistics;
use crate::tables::{Changes, Snapshot, Tables};

/// The file of the tables.
pub(super) const TABLES_FILE: &str = "tables.redb";

/// The file of the tables while it is made; it gets its name when it is whole.
const TABLES_FILE_UNFINISHED: &str = "tables.unfinished";

/// The format of everything below the store's directory.
///
/// - 1: the first.
/// - 2: rows of `accounts` may go on behind what they held in format 1, and the log may hold operations that were not known then. Whoever
///   reads them reads both, so a store of format 1 is one of format 2 once it says so.
pub const FORMAT: u32 = 2;

/// The oldest format that can be opened.
const OLDEST_FORMAT: u32 = 1;

const FORMAT_KEY: &[u8] = b"version";

pub(super) fn open(disk: Arc<dyn Disk>) -> Result<Storage, OpenError> {
    let failed = |action: &'static str| move |error| OpenError::disk(action, &error);
    disk.create_directory(PACKS_DIRECTORY).map_err(failed("create the directory of packs"))?;
    let names = disk.list("").map_err(failed("list the store's directory"))?;
    if names.iter().any(|name| name == PROBE_FILE) {
        disk.remove(PROBE_FILE).map_err(failed("remove a file left over"))?;
    }
    if !names.iter().any(|name| name == TABLES_FILE) {
        create_tables(disk.as_ref())?;
    }
    // For the directory of packs, and for a rename that a crash left unsynced.
    disk.sync_directory("").map_err(failed("sync the store's directory"))?;
    let file = disk.open(TABLES_FILE, Create::Never).map_err(failed("open the tables"))?;
    let tables = Tables::open(file)?;
    if read_format(&tables.snapshot()?)? != FORMAT {
        // Before anything is written that a program of the older format would misread.
        write_format(&tables)?;
    }
    let snapshot = tables.snapshot()?;
    let states = pack_states(&snapshot)?;
    let next = sweep(disk.as_ref(), &states)?;
    let packs = Arc::new(Packs::new(Arc::clone(&disk), next));
    let appending = resume(&packs, &states)?;
    Ok(Storage {
        disk,
        tables: RwLock::new(Some(tables)),
        packs,
        committer: Mutex::new(Committer::new(appending)),
        statistics: Mutex::new(sizes(&states)),
        stopped: OnceLock::new(),
    })
}

/// Makes the file of the tables beside its place and moves it there whole, so that a crash leaves it or nothing.
fn create_tables(disk: &dyn Disk) -> Result<(), OpenError> {
    let failed = |error| OpenError::disk("create the tables", &error);
    let packs = disk.list(PACKS_DIRECTORY).map_err(failed)?;
    if packs.iter().any(|name| pack_number(name).is_some()) {
        return Err(OpenError::TablesMissing(TABLES_FILE));
    }
    let file = disk.open(TABLES_FILE_UNFINISHED, Create::IfMissing).map_err(failed)?;
    file.set_len(0).map_err(failed)?;
    let tables = Tables::open(file)?;
    write_format(&tables)?;
    tables.close()?;
    disk.rename(TABLES_FILE_UNFINISHED, TABLES_FILE).map_err(failed)
}

/// The format of a store, where it can be opened. Conversions go behind this, one module for each older format that needs one.
fn read_format(snapshot: &Snapshot) -> Result<u32, OpenError> {
    let bytes = snapshot.get(Place::Format, FORMAT_KEY)?;
    let number = bytes.as_deref().and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    match number {
        Some(found) if (OLDEST_FORMAT..=FORMAT).contains(&found) => Ok(found),
        Some(found) if found > FORMAT => Err(OpenError::NewerFormat { found, known: FORMAT }),
        other => Err(OpenError::Damaged(format!("they name no format that ever was: {other:?}"))),
    }
}

fn write_format(tables: &Tables) -> Result<(), OpenError> {
    let format = BTreeMap::from([(FORMAT_KEY.to_vec(), Some(FORMAT.to_be_bytes().to_vec()))]);
    Ok(tables.commit(&Changes::from([(Place::Format, format)]))?)
}

fn damaged(error: ReadError) -> OpenError {
    OpenError::Damaged(error.to_string())
}

fn pack_states(snapshot: &Snapshot) -> Result<BTreeMap<u64, PackState>, OpenError> {
    let mut states = BTreeMap::new();
    for entry in snapshot.range(Place::Packs, (Bound::Unbounded, Bound::Unbounded))? {
        let (key, value) = entry?;
        let number = key.as_slice().try_into().map(u64::from_be_bytes);
        let number = number.map_err(|_| OpenError::Damaged("the key of a pack is no number".into()))?;
        states.insert(number, PackState::decode(number, &value).map_err(damaged)?);
    }
    Ok(states)
}

/// Removes packs that no commit knows of. Gives the first number that no pack has.
fn sweep(disk: &dyn Disk, states: &BTreeMap<u64, PackState>) -> Result<u64, OpenError> {
    let failed = |error| OpenError::disk("sweep the packs", &error);
    let names = disk.list(PACKS_DIRECTORY).map_err(failed)?;
    let present: BTreeSet<u64> = names.iter().filter_map(|name| pack_number(name)).collect();
    let unknown: Vec<u64> = present.iter().copied().filter(|number| !states.contains_key(number)).collect();
    for number in &unknown {
        disk.remove(&pack_name(*number)).map_err(failed)?;
    }
    if !unknown.is_empty() {
        tracing::info!(packs = unknown.len(), "removed packs that no commit names");
        disk.sync_directory(PACKS_DIRECTORY).map_err(failed)?;
    }
    for number in states.keys().filter(|number| !present.contains(number)) {
        tracing::error!(pack = number, "a pack is missing, and the bodies in it: verify the store");
    }
    let last = present.last().copied().max(states.keys().last().copied()).unwrap_or(0);
    Ok(last.saturating_add(1))
}

/// The pack that commits go on appending to, cut to what was committed.
fn resume(packs: &Packs, states: &BTreeMap<u64, PackState>) -> Result<Option<Appending>, OpenError> {
    let open = |state: &PackState| state.kind == PackKind::Shared && state.end < PACK_LIMIT_BYTES;
    let Some((&number, &state)) = states.iter().rev().find(|(_, state)| open(state)) else { return Ok(None) };
    let failed = |error| OpenError::disk(format!("open pack {number:06}"), &error);
    let file = match packs.open(number) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let length = file.len().map_err(failed)?;
    if length < state.end {
        tracing::error!(
            pack = number,
            length,
            committed = state.end,
            "a pack is too short: verify the store"
        );
        return Ok(None);
    }
    if length > state.end {
        file.set_len(state.end).map_err(failed)?;
    }
    Ok(Some(Appending { number, file, state }))
}

fn sizes(states: &BTreeMap<u64, PackState>) -> Statistics {
    Statistics {
        packs: states.len() as u64,
        pack_bytes: states.values().map(|state| state.end).sum(),
        bodies: states.values().map(|state| state.bodies).sum(),
        body_bytes: states.values().map(|state| state.body_bytes).sum(),
        ..Statistics::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;

    /// Rewrites the format of a store.
    fn disk_with_format(value: Option<Vec<u8>>) -> SimulatedDisk {
        let disk = SimulatedDisk::new();
        open(Arc::new(disk.clone())).unwrap().close().unwrap();
        let tables = Tables::open(disk.open(TABLES_FILE, Create::Never).unwrap()).unwrap();
        let format = BTreeMap::from([(FORMAT_KEY.to_vec(), value)]);
        tables.commit(&Changes::from([(Place::Format, format)])).unwrap();
        tables.close().unwrap();
        disk
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let disk = disk_with_format(Some((FORMAT + 1).to_be_bytes().to_vec()));
        let error = open(Arc::new(disk)).err().unwrap();
        assert!(matches!(error, OpenError::NewerFormat { found, known: FORMAT } if found == FORMAT + 1));
        assert!(error.to_string().contains("a later one"), "{error}");
    }

    #[test]
    fn an_older_format_becomes_this_one() {
        let disk = disk_with_format(Some(OLDEST_FORMAT.to_be_bytes().to_vec()));
        open(Arc::new(disk.clone())).unwrap().close().unwrap();
        let tables = Tables::open(disk.open(TABLES_FILE, Create::Never).unwrap()).unwrap();
        assert_eq!(read_format(&tables.snapshot().unwrap()).unwrap(), FORMAT);
    }

    #[test]
    fn a_store_without_a_format_is_refused() {
        for value in [None, Some(vec![]), Some(vec![0; 4]), Some(vec![1; 5])] {
            let error = open(Arc::new(disk_with_format(value))).err().unwrap();
            assert!(matches!(error, OpenError::Damaged(_)), "{error}");
        }
    }
}
