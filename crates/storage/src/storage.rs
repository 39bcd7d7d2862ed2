//! The store of one node.

mod commit;
mod open;
mod plan;

pub use open::FORMAT;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use crate::body::location::Location;
use crate::body::packs::Packs;
use crate::body::verify::{DamagedBody, VerifyProgress};
use crate::body::writer::BodyWriter;
use crate::body::{Body, BodyHash};
use crate::disk::{Create, Disk};
use crate::error::{OpenError, ReadError};
use crate::reader::Reader;
use crate::statistics::Statistics;
use crate::tables::{Tables, TablesError};
use commit::Committer;

/// The store of one node: tables and bodies. All methods may be called from any thread; commits follow one another.
///
/// Dropping it closes it cleanly, so that the next open is fast; [`Storage::close`] says whether that worked.
pub struct Storage {
    disk: Arc<dyn Disk>,
    /// `None` only while, or after, opening them again failed.
    tables: RwLock<Option<Tables>>,
    packs: Arc<Packs>,
    committer: Mutex<Committer>,
    statistics: Mutex<Statistics>,
    /// Set once, by a failed sync of the tables.
    stopped: OnceLock<String>,
}

impl Storage {
    /// Opens the store on a disk, or creates it on an empty one. After a crash this reads all tables once.
    ///
    /// # Errors
    /// See [`OpenError`]; a store of a newer format is refused and left as it is.
    pub fn open(disk: Arc<dyn Disk>) -> Result<Storage, OpenError> {
        open::open(disk)
    }

    /// The present state of the tables, to be read at leisure.
    ///
    /// # Errors
    /// Where the tables cannot be read.
    pub fn reader(&self) -> Result<Reader, ReadError> {
        match self.snapshot_of_open_tables() {
            Err(TablesError::Closed | TablesError::Interrupted(_) | TablesError::Full(_)) => {
                self.open_tables_again()?;
                Ok(Reader::new(self.snapshot_of_open_tables()?))
            }
            other => Ok(Reader::new(other?)),
        }
    }

    /// Starts to take a body in. Writers work beside each other and beside commits.
    #[must_use]
    pub fn body_writer(&self) -> BodyWriter {
        BodyWriter::new(Arc::clone(&self.packs))
    }

    /// Opens a body for reading, where the store has it.
    ///
    /// # Errors
    /// [`ReadError::BodyDamaged`] where its pack is missing.
    pub fn body(&self, hash: &BodyHash) -> Result<Option<Body>, ReadError> {
        self.body_as_of(&self.reader()?, hash)
    }

    /// Opens a body for reading, where the store had it in a reader's state.
    ///
    /// # Errors
    /// As [`Storage::body`].
    pub fn body_as_of(&self, reader: &Reader, hash: &BodyHash) -> Result<Option<Body>, ReadError> {
        let location = reader.location(hash)?;
        location.map(|location| self.open_body(*hash, location)).transpose()
    }

    pub(crate) fn open_body(&self, hash: BodyHash, location: Location) -> Result<Body, ReadError> {
        let pack = location.pack;
        self.packs.open(pack).map(|file| Body::new(hash, location, file)).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                return ReadError::BodyDamaged { hash, pack, problem: "the pack is missing".into() };
            }
            ReadError::Disk { subject: format!("pack {pack:06}"), reason: error.to_string() }
        })
    }

    /// Reads every body of the index, and lists those whose bytes are missing or differ. `progress` is called before
    /// each body and may end the work.
    ///
    /// # Errors
    /// Where the index itself cannot be read.
    pub fn verify_bodies(
        &self,
        progress: impl FnMut(&VerifyProgress) -> std::ops::ControlFlow<()>,
    ) -> Result<Vec<DamagedBody>, ReadError> {
        crate::body::verify::verify(self, progress)
    }

    /// What the store did since it was opened, and how large it is.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let table_bytes = self.read_tables(|tables| tables.file_bytes().unwrap_or_default());
        let statistics = lock(&self.statistics);
        Statistics { table_bytes: table_bytes.unwrap_or_default(), ..statistics.clone() }
    }

    /// Closes the store. Readers that still live may fail from now on; bodies that are open go on working.
    ///
    /// # Errors
    /// Where the disk refuses; the next open then checks the tables, as after a crash.
    pub fn close(self) -> Result<(), OpenError> {
        let tables = self.tables.write().unwrap_or_else(PoisonError::into_inner).take();
        tables.map_or(Ok(()), |tables| Ok(tables.close()?))
    }

    fn read_tables<T>(&self, read: impl FnOnce(&Tables) -> T) -> Option<T> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(read)
    }

    fn snapshot_of_open_tables(&self) -> Result<crate::tables::Snapshot, TablesError> {
        if let Some(reason) = self.stopped.get() {
            return Err(TablesError::SyncFailed(reason.clone()));
        }
        let snapshot = |tables: &Tables| match tables.failure() {
            Some(failure) => Err(failure),
            None => tables.snapshot(),
        };
        self.read_tables(snapshot).unwrap_or(Err(TablesError::Closed))
    }

    /// Opens the tables again after a failed read or write. Readers of the old ones fail from then on.
    fn open_tables_again(&self) -> Result<(), ReadError> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        match tables.as_ref().map(Tables::failure) {
            // Somebody else was faster.
            Some(None) => return Ok(()),
            Some(Some(TablesError::SyncFailed(reason))) => {
                let reason = self.stopped.get_or_init(|| reason);
                return Err(ReadError::Stopped(reason.clone()));
            }
            Some(Some(_)) | None => {}
        }
        // The old ones must let go of the file first. They cannot close cleanly, and do not write any more.
        drop(tables.take());
        tracing::warn!("opening the tables again after an I/O error");
        let file = self.disk.open(open::TABLES_FILE, Create::Never);
        let file = file.map_err(|error| ReadError::Disk {
            subject: open::TABLES_FILE.into(),
            reason: error.to_string(),
        })?;
        *tables = Some(Tables::open(file)?);
        lock(&self.statistics).tables_opened_again += 1;
        Ok(())
    }
}

/// A panic elsewhere leaves what these locks guard as the last commit left it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
