//! The seam to the disk: one directory of files, small enough that a simulation can lose power in the middle of it.
//!
//! Everything this crate keeps goes through [`Disk`] and [`File`]. The contract is that of a POSIX file system, at
//! its weakest: a write is durable only after [`File::sync_data`] of that file, a name only after
//! [`Disk::sync_directory`] of its directory. What is not synced may survive a loss of power whole, in part or not at all.

mod real;
mod simulated;

pub use real::{LockError, RealDisk};
pub use simulated::SimulatedDisk;

use std::io;
use std::sync::Arc;

/// What [`Disk::open`] does about a file that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// Fail with [`io::ErrorKind::NotFound`].
    Never,
    /// Create it empty.
    IfMissing,
    /// Create it empty, and fail with [`io::ErrorKind::AlreadyExists`] where it is there.
    New,
}

/// One directory: plain names (`"tables"`), or one level below (`"packs/000001"`). `""` names the directory itself.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file for reading and writing.
    fn open(&self, name: &str, create: Create) -> io::Result<Arc<dyn File>>;
    /// Creates a directory one level below; succeeds where it is there already.
    fn create_directory(&self, name: &str) -> io::Result<()>;
    /// Gives a file another name, replacing what had that name. After a loss of power one of both names stands.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Handles that are open go on working.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The names in a directory, sorted, without the directory's own name.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;
    /// Makes the names in a directory durable: what was created, renamed and removed there.
    fn sync_directory(&self, directory: &str) -> io::Result<()>;
}

/// An open file. All methods may be called from any thread at the same time.
pub trait File: Send + Sync + 'static {
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file holds nothing.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills the buffer from `offset`; [`io::ErrorKind::UnexpectedEof`] where the file is too short for that.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all of `data` at `offset`, extending the file where needed. After an error any part may be written.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Cuts the file or extends it with zeros.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Makes what was written, and the length, durable. After an error nothing may be assumed about unsynced writes.
    fn sync_data(&self) -> io::Result<()>;
}

/// Whether the error says that the disk (or the quota) has no room left.
pub(crate) fn is_full(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
