//! Takes a body in as it arrives.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::hashing::{Hashes, Hashing};
use super::location::Location;
use super::packs::{Packs, RECORD_HEADER_BYTES, record_header};
use super::{Body, BodyHash, MAXIMUM_BODY_BYTES, usize_of};
use crate::disk::File;
use crate::error::{BodyError, ReadError};
use crate::left_out::{LeftOut, leaves_out};

/// Bodies up to this length, in bytes, wait in memory and are written by the commit, together; longer ones go to a
/// pack of their own as they arrive, so that neither memory nor the committer waits for them.
pub const SMALL_BODY_BYTES: usize = 256 * 1024;

/// Takes one body in, piece by piece. Dropping it forgets the body.
pub struct BodyWriter {
    packs: Arc<Packs>,
    hashing: Hashing,
    /// What is not in a pack yet; never more than [`SMALL_BODY_BYTES`].
    buffer: Vec<u8>,
    pack: Option<SinglePack>,
}

/// A body that was taken in whole and is in the store once a batch with it is committed. Dropping it forgets the body.
pub struct StagedBody {
    pub(crate) hashes: Hashes,
    pub(crate) contents: Contents,
}

/// Where a staged body is.
pub(crate) enum Contents {
    Memory(Vec<u8>),
    Pack(SinglePack),
}

/// A pack that holds one body, removed unless it is kept.
pub(crate) struct SinglePack {
    packs: Arc<Packs>,
    pub(crate) number: u64,
    file: Arc<dyn File>,
    /// Length so far, the header included.
    pub(crate) end: u64,
    kept: bool,
}

impl BodyWriter {
    pub(crate) fn new(packs: Arc<Packs>) -> BodyWriter {
        BodyWriter { packs, hashing: Hashing::default(), buffer: Vec::new(), pack: None }
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.hashing.length()
    }

    /// Whether nothing was taken so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next piece, of any length.
    ///
    /// # Errors
    /// After an error the body is lost: drop the writer.
    pub fn write(&mut self, mut data: &[u8]) -> Result<(), BodyError> {
        if self.len().saturating_add(data.len() as u64) > MAXIMUM_BODY_BYTES {
            return Err(BodyError::TooLarge(MAXIMUM_BODY_BYTES));
        }
        self.hashing.update(data);
        while self.buffer.len() + data.len() > SMALL_BODY_BYTES {
            let (piece, rest) = data.split_at(SMALL_BODY_BYTES - self.buffer.len());
            self.buffer.extend_from_slice(piece);
            self.flush()?;
            data = rest;
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BodyError> {
        let pack = match &mut self.pack {
            Some(pack) => pack,
            empty => empty.insert(SinglePack::create(&self.packs)?),
        };
        pack.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the body. A body in a pack of its own is durable then, though nothing leads to it yet.
    ///
    /// # Errors
    /// Where the pack cannot be written or synced.
    pub fn finish(mut self) -> Result<StagedBody, BodyError> {
        if self.pack.is_some() {
            self.flush()?;
        }
        let hashes = self.hashing.finish();
        let contents = match self.pack {
            Some(pack) => Contents::Pack(pack.finish(&hashes)?),
            None => Contents::Memory(self.buffer),
        };
        Ok(StagedBody { hashes, contents })
    }
}

impl StagedBody {
    /// The body's name.
    #[must_use]
    pub fn hash(&self) -> BodyHash {
        self.hashes.hash
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.hashes.length
    }

    /// Whether it is the body without bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a range, cut to what the body has; as [`Body::read`], before the body is committed.
    ///
    /// # Errors
    /// As [`Body::read`].
    pub fn read(&self, range: Range<u64>) -> Result<Vec<u8>, ReadError> {
        match &self.contents {
            Contents::Memory(bytes) => {
                let (start, end) = (range.start.min(self.len()), range.end.min(self.len()));
                Ok(bytes.get(usize_of(start)..usize_of(end)).unwrap_or_default().to_vec())
            }
            Contents::Pack(pack) => {
                Body::new(self.hash(), pack.location(&self.hashes), Arc::clone(&pack.file)).read(range)
            }
        }
    }
}

impl fmt::Debug for StagedBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StagedBody").field("hash", &self.hash()).field("length", &self.len()).finish()
    }
}

impl SinglePack {
    fn create(packs: &Arc<Packs>) -> Result<SinglePack, BodyError> {
        let (number, file) = packs.create().map_err(|error| BodyError::disk("create a pack", &error))?;
        Ok(SinglePack {
            packs: Arc::clone(packs),
            number,
            file,
            end: RECORD_HEADER_BYTES as u64,
            kept: false,
        })
    }

    fn append(&mut self, data: &[u8]) -> Result<(), BodyError> {
        let failed = |error| BodyError::disk(format!("write pack {:06}", self.number), &error);
        self.file.write_at(self.end, data).map_err(failed)?;
        self.end += data.len() as u64;
        Ok(())
    }

    /// The header comes last: it names the hash.
    fn finish(self, hashes: &Hashes) -> Result<SinglePack, BodyError> {
        let failed = |error| BodyError::disk(format!("sync pack {:06}", self.number), &error);
        self.file.write_at(0, &record_header(&hashes.hash, hashes.length)).map_err(failed)?;
        if !leaves_out(LeftOut::Bodies) {
            self.file.sync_data().map_err(failed)?;
        }
        self.packs.sync_names().map_err(failed)?;
        Ok(self)
    }

    pub(crate) fn location(&self, hashes: &Hashes) -> Location {
        Location {
            pack: self.number,
            offset: RECORD_HEADER_BYTES as u64,
            length: hashes.length,
            checksums: hashes.checksums.clone(),
        }
    }

    /// From here on the pack stays, whatever becomes of this value.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for SinglePack {
    fn drop(&mut self) {
        if !self.kept {
            self.packs.discard(self.number);
        }
    }
}
