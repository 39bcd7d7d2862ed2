//! Reads every body and compares.

use std::ops::{Bound, ControlFlow};

use super::hashing::Hashing;
use super::location::Location;
use super::packs::{RECORD_HEADER_BYTES, record_header};
use super::{Body, BodyHash};
use crate::error::ReadError;
use crate::schema::Place;
use crate::storage::Storage;

/// Bytes read at a time: a whole number of blocks.
const STEP_BYTES: u64 = 16 * super::BLOCK_BYTES as u64;

/// How far a verification is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Bodies read.
    pub bodies: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A body whose bytes are missing or differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedBody {
    /// The body.
    pub hash: BodyHash,
    /// What is wrong, and in which pack.
    pub problem: ReadError,
}

pub(crate) fn verify(
    storage: &Storage,
    mut progress: impl FnMut(&VerifyProgress) -> ControlFlow<()>,
) -> Result<Vec<DamagedBody>, ReadError> {
    let reader = storage.reader()?;
    let mut done = VerifyProgress::default();
    let mut damaged = Vec::new();
    for entry in reader.snapshot().range(Place::Bodies, (Bound::Unbounded, Bound::Unbounded))? {
        if progress(&done).is_break() {
            break;
        }
        let (key, value) = entry?;
        let hash = key.as_slice().try_into().map(BodyHash::from_bytes);
        let hash = hash.map_err(|_| ReadError::Damaged("a key of the index of bodies is no hash".into()))?;
        match verify_body(storage, &hash, &value) {
            Ok(length) => done.bytes += length,
            Err(problem @ (ReadError::BodyDamaged { .. } | ReadError::Disk { .. })) => {
                damaged.push(DamagedBody { hash, problem });
            }
            Err(other) => return Err(other),
        }
        done.bodies += 1;
    }
    Ok(damaged)
}

fn verify_body(storage: &Storage, hash: &BodyHash, entry: &[u8]) -> Result<u64, ReadError> {
    let body = storage.open_body(*hash, Location::decode(hash, entry)?)?;
    verify_header(&body)?;
    let mut hashing = Hashing::default();
    let mut start = 0;
    while start < body.len() {
        hashing.update(&body.read(start..start.saturating_add(STEP_BYTES))?);
        start = start.saturating_add(STEP_BYTES);
    }
    if hashing.finish().hash != *hash {
        return Err(body.damaged("its blocks are as they were written, and are not the body"));
    }
    Ok(body.len())
}

fn verify_header(body: &Body) -> Result<(), ReadError> {
    let mut header = [0; RECORD_HEADER_BYTES];
    let start = body.location().offset.checked_sub(RECORD_HEADER_BYTES as u64);
    let start = start.ok_or_else(|| body.damaged("there is no room for its header"))?;
    let read = body.file().read_at(start, &mut header);
    read.map_err(|error| body.damaged(format!("its header cannot be read: {error}")))?;
    if header != record_header(&body.hash(), body.len()) {
        return Err(body.damaged("its header differs"));
    }
    Ok(())
}
