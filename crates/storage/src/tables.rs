//! The tables, in one redb file: the only module that names redb.
//!
//! **How redb is told to commit.** One phase with checksums (redb's default): pages, the new commit slot and the byte
//! that makes it current are written together, then synced once. A loss of power in between is found at the next open
//! by the checksums, and the older slot is used. Two-phase commit would sync twice for every batch, to defend against
//! somebody who crafts values, knows the file and chooses the order in which the kernel writes its pages; nobody who
//! sends mail can do the last two. Quick repair would write the allocator's state with every commit (and sync
//! twice), to save a walk over the tables after a crash; bodies live in packs, so the tables are small enough to walk.
//!
//! **After an I/O error** redb refuses everything until it is opened again. What may be done depends on the operation:
//! a failed write or read leaves the file as redb's recovery expects it, so the tables can be opened again in place;
//! after a failed sync nobody knows what the disk holds, so nothing is promised until the process starts anew.

mod backend;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition, TableError};

use crate::disk::{File, is_full};
use crate::left_out::{LeftOut, leaves_out};
use crate::schema::Place;
use backend::{Backend, FirstFailure, Operation};

/// Memory for pages, filled as they are used.
const CACHE_BYTES: usize = 256 * 1024 * 1024;

type Bytes = &'static [u8];

const fn definition(place: Place) -> TableDefinition<'static, Bytes, Bytes> {
    TableDefinition::new(place.name())
}

/// Puts (`Some`) and removals (`None`), by table and key.
pub(crate) type Changes = BTreeMap<Place, BTreeMap<Vec<u8>, Option<Vec<u8>>>>;

/// The open tables.
pub(crate) struct Tables {
    database: Database,
    failure: FirstFailure,
    file: Arc<dyn File>,
}

/// Why the tables did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TablesError {
    /// No room. The tables must be opened again.
    Full(String),
    /// A read or a write failed. The tables must be opened again.
    Interrupted(String),
    /// A sync failed: what is on the disk is unknown.
    SyncFailed(String),
    /// The tables were closed under a reader, to be opened again.
    Closed,
    /// The file does not hold what it should.
    Damaged(String),
}

impl Tables {
    /// Opens the tables in a file, or creates them in an empty one. Recovers from a crash where there was one, which
    /// reads all of the file.
    pub(crate) fn open(file: Arc<dyn File>) -> Result<Tables, TablesError> {
        let failure = FirstFailure::default();
        let backend = Backend { file: Arc::clone(&file), failure: failure.clone() };
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        builder.set_repair_callback(|session| {
            tracing::info!(progress = session.progress(), "checking the tables after an unclean stop");
        });
        let opened = builder.create_with_backend(backend);
        match opened {
            Ok(database) => Ok(Tables { database, failure, file }),
            Err(error) => Err(explain(&failure, error.into())),
        }
    }

    /// Closes the tables cleanly, so that the next open need not check them.
    pub(crate) fn close(self) -> Result<(), TablesError> {
        self.database.close().map_err(|error| explain(&self.failure, error.into()))
    }

    /// Whether a failure makes these tables useless until they are opened again.
    pub(crate) fn failure(&self) -> Option<TablesError> {
        self.failure.read().map(|failure| classify(&failure))
    }

    /// Length of the file in bytes.
    pub(crate) fn file_bytes(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    /// One consistent state, as of the last commit.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, TablesError> {
        let transaction = self.database.begin_read().map_err(|error| explain(&self.failure, error.into()))?;
        let opened = std::array::from_fn(|_| OnceLock::new());
        Ok(Snapshot { transaction, opened, failure: self.failure.clone() })
    }

    /// Makes all changes durable, or none.
    pub(crate) fn commit(&self, changes: &Changes) -> Result<(), TablesError> {
        self.write(changes).map_err(|error| explain(&self.failure, error))
    }

    fn write(&self, changes: &Changes) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        if leaves_out(LeftOut::Tables) {
            transaction.set_durability(redb::Durability::None)?;
        }
        for (place, entries) in changes {
            let mut table = transaction.open_table(definition(*place))?;
            for (key, value) in entries {
                match value {
                    Some(value) => table.insert(key.as_slice(), value.as_slice())?,
                    None => table.remove(key.as_slice())?,
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn classify(failure: &backend::Failure) -> TablesError {
    let message = failure.message.clone();
    match failure.operation {
        Operation::Sync => TablesError::SyncFailed(message),
        Operation::Write if is_full(failure.kind) => TablesError::Full(message),
        Operation::Write | Operation::Read => TablesError::Interrupted(message),
    }
}

/// The first failure of the file explains more than what redb makes of it.
fn explain(failure: &FirstFailure, error: redb::Error) -> TablesError {
    match (failure.read(), error) {
        (Some(failure), _) => classify(&failure),
        (None, redb::Error::DatabaseClosed) => TablesError::Closed,
        (None, redb::Error::Io(error)) if error.kind() != std::io::ErrorKind::InvalidData => {
            TablesError::Interrupted(error.to_string())
        }
        (None, error) => TablesError::Damaged(error.to_string()),
    }
}

/// One consistent state of all tables.
pub(crate) struct Snapshot {
    transaction: ReadTransaction,
    /// Tables as they were first asked for; `None` where nothing was ever written to them.
    opened: [OnceLock<Option<ReadOnlyTable<Bytes, Bytes>>>; Place::COUNT],
    failure: FirstFailure,
}

impl Snapshot {
    fn table(&self, place: Place) -> Result<Option<&ReadOnlyTable<Bytes, Bytes>>, TablesError> {
        let damaged = || TablesError::Damaged(format!("no place for table {}", place.name()));
        let cell = self.opened.get(place.index()).ok_or_else(damaged)?;
        if let Some(table) = cell.get() {
            return Ok(table.as_ref());
        }
        let table = match self.transaction.open_table(definition(place)) {
            Ok(table) => Some(table),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(explain(&self.failure, error.into())),
        };
        Ok(cell.get_or_init(|| table).as_ref())
    }

    pub(crate) fn get(&self, place: Place, key: &[u8]) -> Result<Option<Vec<u8>>, TablesError> {
        let Some(table) = self.table(place)? else { return Ok(None) };
        let found = table.get_owned(key).map_err(|error| explain(&self.failure, error.into()))?;
        Ok(found.map(|value| value.value().to_vec()))
    }

    /// The entries between two keys, from either end.
    pub(crate) fn range(
        &self,
        place: Place,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Result<Entries, TablesError> {
        let failure = self.failure.clone();
        let range = match self.table(place)? {
            // redb panics on bounds that cross, as BTreeMap does; here they hold nothing.
            Some(table) if !is_empty(bounds) => {
                let range = table.range_owned::<&[u8]>(bounds);
                Some(range.map_err(|error| explain(&failure, error.into()))?)
            }
            _ => None,
        };
        Ok(Entries { range, failure })
    }
}

fn is_empty(bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match bounds {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
            start >= end
        }
    }
}

/// The entries of a range, ascending; from the end with [`DoubleEndedIterator`].
pub(crate) struct Entries {
    range: Option<redb::OwnedRange<Bytes, Bytes>>,
    failure: FirstFailure,
}

/// A key and its value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

type Guards = (redb::OwnedAccessGuard<Bytes>, redb::OwnedAccessGuard<Bytes>);

impl Entries {
    fn copy(&self, item: Result<Guards, redb::StorageError>) -> Result<Entry, TablesError> {
        match item {
            Ok((key, value)) => Ok((key.value().to_vec(), value.value().to_vec())),
            Err(error) => Err(explain(&self.failure, error.into())),
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, TablesError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.range.as_mut()?.next()?;
        Some(self.copy(item))
    }
}

impl DoubleEndedIterator for Entries {
    fn next_back(&mut self) -> Option<Self::Item> {
        let item = self.range.as_mut()?.next_back()?;
        Some(self.copy(item))
    }
}
