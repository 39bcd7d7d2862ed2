//! What the index of bodies and the table of packs say. Values begin with a version.

use serde::{Deserialize, Serialize};

use super::hashing::{BlockChecksum, block_checksum};
use super::{BLOCK_BYTES, BodyHash, MAXIMUM_BODY_BYTES};
use crate::error::{CommitError, ReadError};

const VERSION: u8 = 1;

/// Where a body is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Location {
    pub(crate) pack: u64,
    /// Where the body itself begins in the pack, after its header.
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// See [`super::hashing::Hashes::checksums`].
    pub(crate) checksums: Vec<BlockChecksum>,
}

impl Location {
    pub(crate) fn holds_block(&self, hash: &BodyHash, number: usize, block: &[u8]) -> bool {
        match self.checksums.get(number) {
            Some(checksum) => *checksum == block_checksum(block),
            None => self.checksums.is_empty() && number == 0 && BodyHash::of(block) == *hash,
        }
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, CommitError> {
        encode(self)
    }

    pub(crate) fn decode(hash: &BodyHash, bytes: &[u8]) -> Result<Location, ReadError> {
        let location: Location = decode(bytes, || format!("the index entry of body {hash}"))?;
        let blocks = location.length.div_ceil(BLOCK_BYTES as u64);
        let expected = if blocks > 1 { blocks } else { 0 };
        if location.length > MAXIMUM_BODY_BYTES || location.checksums.len() as u64 != expected {
            return Err(ReadError::Damaged(format!("the index entry of body {hash} contradicts itself")));
        }
        Ok(location)
    }
}

/// What a pack is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PackKind {
    /// Many bodies, appended by commits.
    Shared,
    /// One large body.
    Single,
}

/// What is committed of a pack. What lies beyond `end` in the file was never acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackState {
    pub(crate) kind: PackKind,
    pub(crate) end: u64,
    /// Bodies that the index leads to, and their bytes: when few are left the pack is worth rewriting.
    pub(crate) bodies: u64,
    pub(crate) body_bytes: u64,
}

impl PackState {
    pub(crate) fn empty(kind: PackKind) -> PackState {
        PackState { kind, end: 0, bodies: 0, body_bytes: 0 }
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, CommitError> {
        encode(self)
    }

    pub(crate) fn decode(pack: u64, bytes: &[u8]) -> Result<PackState, ReadError> {
        decode(bytes, || format!("the entry of pack {pack:06}"))
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CommitError> {
    // Plain numbers into memory: there is nothing for postcard to fail on, and if it did, nothing is written.
    postcard::to_extend(value, vec![VERSION])
        .map_err(|error| CommitError::Damaged(format!("an entry of the store cannot be encoded: {error}")))
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], subject: impl Fn() -> String) -> Result<T, ReadError> {
    let damaged = |problem: &str| ReadError::Damaged(format!("{}: {problem}", subject()));
    match bytes.split_first() {
        Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            Ok(_) => Err(damaged("bytes are left over")),
            Err(error) => Err(damaged(&error.to_string())),
        },
        Some((version, _)) => Err(damaged(&format!("unknown version {version}"))),
        None => Err(damaged("empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_and_nothing_else_does() {
        let hash = BodyHash::of(b"x");
        let location = Location { pack: 7, offset: 48, length: 100_000, checksums: vec![1, u64::MAX] };
        let bytes = location.encode().unwrap();
        assert_eq!(Location::decode(&hash, &bytes), Ok(location.clone()));
        assert!((0..bytes.len()).all(|end| Location::decode(&hash, &bytes[..end]).is_err()));
        let contradiction = Location { length: 200_000, ..location };
        assert!(Location::decode(&hash, &contradiction.encode().unwrap()).is_err());
        let state = PackState { end: 9, ..PackState::empty(PackKind::Single) };
        assert_eq!(PackState::decode(1, &state.encode().unwrap()), Ok(state));
        assert!(PackState::decode(1, &[2, 0, 0, 0, 0]).is_err());
    }
}
