//! What can go wrong, by family of calls.

use std::io;

use crate::body::BodyHash;
use crate::tables::TablesError;

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Written by a later version of this program.
    #[error(
        "the store has format {found}, this program knows formats up to {known}: start the version that wrote it, or a later one"
    )]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The newest format this program knows.
        known: u32,
    },
    /// There are bodies, but no tables that say whose they are.
    #[error("there are packs of bodies but no tables beside them: restore the file {0:?} before starting")]
    TablesMissing(&'static str),
    /// The tables are there and do not hold what they should.
    #[error("the tables are damaged: {0}; restore the store from a backup, or join the cluster anew")]
    Damaged(String),
    /// The disk has no room to open the store.
    #[error("the disk is full, cannot open the store: {0}")]
    DiskFull(String),
    /// The disk refused.
    #[error("cannot {action}: {reason}")]
    Disk {
        /// What was tried, on what.
        action: String,
        /// What the system said.
        reason: String,
    },
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes on the disk are not the body's. They are not given out.
    #[error(
        "body {hash} is damaged in pack {pack:06}: {problem}; verify the store, and fetch the body again from another node"
    )]
    BodyDamaged {
        /// The body.
        hash: BodyHash,
        /// The pack that holds it.
        pack: u64,
        /// What is wrong.
        problem: String,
    },
    /// The tables hold something that cannot be.
    #[error("the tables are damaged: {0}; restore the store from a backup, or join the cluster anew")]
    Damaged(String),
    /// An I/O error made the store open its tables again under this reader: take a new one.
    #[error("the store was opened again after an I/O error: start the read again")]
    Interrupted,
    /// The disk refused.
    #[error("cannot read {subject}: {reason}")]
    Disk {
        /// What was read.
        subject: String,
        /// What the system said.
        reason: String,
    },
    /// A sync failed before; see [`CommitError::Stopped`].
    #[error("the store has stopped: {0}; check the disk, then start the program again")]
    Stopped(String),
}

/// Why a batch was not committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// No room. Nothing of the batch is there; later batches are accepted once there is room.
    #[error("the disk is full, nothing of the batch was kept: {0}")]
    DiskFull(String),
    /// A key, a value or the batch is larger than its bound. Nothing of the batch is there.
    #[error("the batch is refused: {0}")]
    TooLarge(String),
    /// The disk refused, nothing of the batch is there; a later batch may succeed.
    #[error("cannot {action}, nothing of the batch was kept: {reason}")]
    Disk {
        /// What was tried, on what.
        action: String,
        /// What the system said.
        reason: String,
    },
    /// The tables hold something that cannot be. Nothing of the batch is there.
    #[error("the tables are damaged: {0}; restore the store from a backup, or join the cluster anew")]
    Damaged(String),
    /// A sync of the tables failed, so that nobody knows what the disk holds: of **this** batch all may be there or
    /// nothing, and the store does nothing more until it is opened in a new process. Do not answer the client with
    /// success, nor assume that the batch is lost.
    #[error(
        "the store has stopped, the last batch may or may not be kept: {0}; check the disk, then start the program again"
    )]
    Stopped(String),
}

/// Why a body could not be taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// No room.
    #[error("the disk is full, the body was not kept: {0}")]
    DiskFull(String),
    /// Longer than [`crate::MAXIMUM_BODY_BYTES`].
    #[error("the body is longer than {0} bytes")]
    TooLarge(u64),
    /// The disk refused.
    #[error("cannot {action}, the body was not kept: {reason}")]
    Disk {
        /// What was tried, on what.
        action: String,
        /// What the system said.
        reason: String,
    },
}

impl OpenError {
    pub(crate) fn disk(action: impl Into<String>, error: &io::Error) -> OpenError {
        match crate::disk::is_full(error.kind()) {
            true => OpenError::DiskFull(error.to_string()),
            false => OpenError::Disk { action: action.into(), reason: error.to_string() },
        }
    }
}

impl BodyError {
    pub(crate) fn disk(action: impl Into<String>, error: &io::Error) -> BodyError {
        match crate::disk::is_full(error.kind()) {
            true => BodyError::DiskFull(error.to_string()),
            false => BodyError::Disk { action: action.into(), reason: error.to_string() },
        }
    }
}

impl CommitError {
    pub(crate) fn disk(action: impl Into<String>, error: &io::Error) -> CommitError {
        BodyError::disk(action, error).into()
    }
}

impl From<BodyError> for CommitError {
    fn from(error: BodyError) -> CommitError {
        match error {
            BodyError::DiskFull(reason) => CommitError::DiskFull(reason),
            BodyError::TooLarge(bound) => {
                CommitError::TooLarge(format!("a body is longer than {bound} bytes"))
            }
            BodyError::Disk { action, reason } => CommitError::Disk { action, reason },
        }
    }
}

impl From<ReadError> for CommitError {
    fn from(error: ReadError) -> CommitError {
        match error {
            ReadError::Stopped(reason) => CommitError::Stopped(reason),
            ReadError::Damaged(reason) => CommitError::Damaged(reason),
            other => CommitError::Disk { action: "read the tables".into(), reason: other.to_string() },
        }
    }
}

impl From<TablesError> for OpenError {
    fn from(error: TablesError) -> OpenError {
        match error {
            TablesError::Full(reason) => OpenError::DiskFull(reason),
            TablesError::Damaged(reason) => OpenError::Damaged(reason),
            TablesError::Interrupted(reason) | TablesError::SyncFailed(reason) => {
                OpenError::Disk { action: "open the tables".into(), reason }
            }
            TablesError::Closed => {
                OpenError::Disk { action: "open the tables".into(), reason: "they were closed".into() }
            }
        }
    }
}

impl From<TablesError> for ReadError {
    fn from(error: TablesError) -> ReadError {
        match error {
            TablesError::Damaged(reason) => ReadError::Damaged(reason),
            TablesError::SyncFailed(reason) => ReadError::Stopped(reason),
            TablesError::Closed | TablesError::Full(_) => ReadError::Interrupted,
            TablesError::Interrupted(reason) => ReadError::Disk { subject: "the tables".into(), reason },
        }
    }
}
