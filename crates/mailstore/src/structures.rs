//! The scanned structure of each body, kept beside it so that it is scanned once.

use crdt::identity::BodyHash;
use message::{Scanner, Structure};
use storage::{Batch, Body, ReadError, Reader, StagedBody, Table};

/// The octets read at a time where a body has to be scanned again.
const STEP: u64 = 256 * 1024;

/// The name of a staged body in the words of the core.
pub(crate) fn hash(staged: &StagedBody) -> BodyHash {
    BodyHash(*staged.hash().as_bytes())
}

/// The name of a body in the words of the store.
pub(crate) fn stored(hash: &BodyHash) -> storage::BodyHash {
    storage::BodyHash::from_bytes(hash.0)
}

/// Keeps a structure with the batch that keeps its body.
pub(crate) fn put(batch: &mut Batch, hash: &BodyHash, structure: &Structure) {
    let mut value = Structure::VERSION.to_be_bytes().to_vec();
    value.extend(crate::rows::encode(structure));
    batch.put(Table::Summaries, hash.0, value);
}

/// The kept structure; none where there is none, or one of another version.
pub(crate) fn read(reader: &Reader, hash: &BodyHash) -> Result<Option<Structure>, ReadError> {
    let Some(value) = reader.get(Table::Summaries, &hash.0)? else { return Ok(None) };
    let (version, rest) = value.split_at_checked(2).unwrap_or_default();
    let current = version == Structure::VERSION.to_be_bytes();
    Ok(current.then(|| postcard::from_bytes(rest).ok()).flatten())
}

/// Scans a body in pieces.
pub(crate) fn scan(
    length: u64,
    mut read: impl FnMut(std::ops::Range<u64>) -> Result<Vec<u8>, ReadError>,
) -> Result<Structure, ReadError> {
    let mut scanner = Scanner::new();
    let mut at = 0;
    while at < length {
        let end = length.min(at + STEP);
        scanner.push(&read(at..end)?);
        at = end;
    }
    Ok(scanner.finish())
}

/// Scans a body of the store.
pub(crate) fn scan_body(body: &Body) -> Result<Structure, ReadError> {
    scan(body.len(), |range| body.read(range))
}
