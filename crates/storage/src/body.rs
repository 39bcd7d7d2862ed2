//! Bodies: bytes named by their hash, kept in packs beside the tables, verified whenever they are read.

pub(crate) mod hashing;
pub(crate) mod location;
pub(crate) mod packs;
pub(crate) mod verify;
pub(crate) mod writer;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::disk::File;
use crate::error::ReadError;
use location::Location;

/// Bytes of a body that are verified together: a partial read reads whole blocks.
pub const BLOCK_BYTES: usize = 64 * 1024;

/// The longest body that the store takes, in bytes.
pub const MAXIMUM_BODY_BYTES: u64 = 1 << 30;

/// The BLAKE3 hash of a body, its name everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct BodyHash([u8; 32]);

impl BodyHash {
    /// Length of a hash in bytes.
    pub const BYTES: usize = 32;

    /// The name of these bytes.
    #[must_use]
    pub fn of(body: &[u8]) -> BodyHash {
        BodyHash(*blake3::hash(body).as_bytes())
    }

    /// A hash that was computed elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; BodyHash::BYTES]) -> BodyHash {
        BodyHash(bytes)
    }

    /// The hash as bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; BodyHash::BYTES] {
        &self.0
    }
}

impl fmt::Display for BodyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BodyHash({self})")
    }
}

/// A body in the store, open for reading. Reads may go on in any number of threads, while commits go on, and after
/// the body has left the index.
#[derive(Clone)]
pub struct Body {
    hash: BodyHash,
    location: Arc<Location>,
    file: Arc<dyn File>,
}

impl Body {
    pub(crate) fn new(hash: BodyHash, location: Location, file: Arc<dyn File>) -> Body {
        Body { hash, location: Arc::new(location), file }
    }

    /// The body's name.
    #[must_use]
    pub fn hash(&self) -> BodyHash {
        self.hash
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.location.length
    }

    /// Whether it is the body without bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`Body::read`].
    pub fn read_all(&self) -> Result<Vec<u8>, ReadError> {
        self.read(0..self.len())
    }

    /// The bytes of a range, cut to what the body has. Whole blocks of [`BLOCK_BYTES`] are read and verified, so a
    /// large body is best read in ranges that start at a multiple of it.
    ///
    /// # Errors
    /// [`ReadError::BodyDamaged`] where the bytes on the disk are not the body's; never wrong bytes.
    pub fn read(&self, range: Range<u64>) -> Result<Vec<u8>, ReadError> {
        let (start, end) = (range.start.min(self.len()), range.end.min(self.len()));
        if start >= end {
            return Ok(Vec::new());
        }
        let block = BLOCK_BYTES as u64;
        let first = start - start % block;
        let last = end.div_ceil(block).saturating_mul(block).min(self.len());
        let mut bytes = self.read_blocks(first, last)?;
        bytes.truncate(usize_of(end - first));
        bytes.drain(..usize_of(start - first));
        Ok(bytes)
    }

    fn read_blocks(&self, start: u64, end: u64) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; usize_of(end - start)];
        let read = self.file.read_at(self.location.offset.saturating_add(start), &mut bytes);
        read.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.damaged("the pack is too short"),
            _ => ReadError::Disk {
                subject: format!("body {} in pack {:06}", self.hash, self.location.pack),
                reason: error.to_string(),
            },
        })?;
        let first = usize_of(start) / BLOCK_BYTES;
        for (number, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
            if !self.location.holds_block(&self.hash, first + number, block) {
                let at = (first + number) * BLOCK_BYTES;
                return Err(self.damaged(format!("the block at {at} of {} bytes differs", self.len())));
            }
        }
        Ok(bytes)
    }

    pub(crate) fn damaged(&self, problem: impl Into<String>) -> ReadError {
        ReadError::BodyDamaged { hash: self.hash, pack: self.location.pack, problem: problem.into() }
    }

    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    pub(crate) fn file(&self) -> &dyn File {
        self.file.as_ref()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Body").field("hash", &self.hash).field("location", &self.location).finish()
    }
}

/// A length within a body, which [`MAXIMUM_BODY_BYTES`] keeps within any `usize` of 32 bits or more.
pub(crate) fn usize_of(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
