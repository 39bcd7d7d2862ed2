//! redb's storage trait over a [`File`], with a memory of what failed first.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::File;

/// The first failure of the file under a set of tables. redb refuses all work after it until the file is opened again,
/// and says only that something went wrong before; what is safe to do next depends on what it was.
#[derive(Debug, Clone, Default)]
pub(super) struct FirstFailure(Arc<Mutex<Option<Failure>>>);

/// A failed operation.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) operation: Operation,
    pub(super) kind: io::ErrorKind,
    pub(super) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Write,
    Sync,
}

impl FirstFailure {
    pub(super) fn read(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record<T>(&self, operation: Operation, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let failure = Failure { operation, kind: error.kind(), message: error.to_string() };
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // A failed sync is the one thing that must not be overlooked, whatever failed before it.
            if first.is_none() || operation == Operation::Sync {
                *first = Some(failure);
            }
        }
        result
    }
}

pub(super) struct Backend {
    pub(super) file: Arc<dyn File>,
    pub(super) failure: FirstFailure,
}

impl fmt::Debug for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Backend").finish_non_exhaustive()
    }
}

impl redb::StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.failure.record(Operation::Read, self.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.failure.record(Operation::Read, self.file.read_at(offset, out))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.failure.record(Operation::Write, self.file.set_len(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.failure.record(Operation::Sync, self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.failure.record(Operation::Write, self.file.write_at(offset, data))
    }
}
