//! Reads one consistent state of the tables.

use std::ops::Bound;

use crate::body::BodyHash;
use crate::body::location::Location;
use crate::error::ReadError;
use crate::schema::{Place, Table};
use crate::tables::{self, Snapshot};

/// The state of all tables as one commit left them; later commits do not show. It may be shared by threads.
///
/// The space of what was replaced since is kept for as long as a reader lives, so a reader is for one answer, not for
/// a session.
pub struct Reader {
    snapshot: Snapshot,
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

impl Reader {
    pub(crate) fn new(snapshot: Snapshot) -> Reader {
        Reader { snapshot }
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The value of a key.
    ///
    /// # Errors
    /// Where the disk refuses; here and below.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.snapshot.get(Place::Public(table), key)?)
    }

    /// The entries between two keys in the order of their keys, from either end. Bounds that cross hold nothing.
    pub fn range(&self, table: Table, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<Entries, ReadError> {
        Ok(Entries(self.snapshot.range(Place::Public(table), (start, end))?))
    }

    /// The entries whose keys begin with `prefix`, in the order of their keys, from either end.
    pub fn prefixed(&self, table: Table, prefix: &[u8]) -> Result<Entries, ReadError> {
        let end = after_prefix(prefix);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.range(table, Bound::Included(prefix), end)
    }

    /// At most `limit` entries between two keys.
    pub fn scan(
        &self,
        table: Table,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        self.range(table, start, end)?.take(limit).collect()
    }

    /// At most `limit` entries whose keys begin with `prefix`.
    pub fn scan_prefix(&self, table: Table, prefix: &[u8], limit: usize) -> Result<Vec<Entry>, ReadError> {
        self.prefixed(table, prefix)?.take(limit).collect()
    }

    /// The first entry whose key begins with `prefix`.
    pub fn first_in_prefix(&self, table: Table, prefix: &[u8]) -> Result<Option<Entry>, ReadError> {
        self.prefixed(table, prefix)?.next().transpose()
    }

    /// The last entry whose key begins with `prefix`.
    pub fn last_in_prefix(&self, table: Table, prefix: &[u8]) -> Result<Option<Entry>, ReadError> {
        self.prefixed(table, prefix)?.next_back().transpose()
    }

    /// Whether the store has a body.
    pub fn has_body(&self, hash: &BodyHash) -> Result<bool, ReadError> {
        Ok(self.snapshot.get(Place::Bodies, hash.as_bytes())?.is_some())
    }

    /// Length in bytes of a body that the store has.
    pub fn body_length(&self, hash: &BodyHash) -> Result<Option<u64>, ReadError> {
        Ok(self.location(hash)?.map(|location| location.length))
    }

    pub(crate) fn location(&self, hash: &BodyHash) -> Result<Option<Location>, ReadError> {
        let bytes = self.snapshot.get(Place::Bodies, hash.as_bytes())?;
        bytes.map(|bytes| Location::decode(hash, &bytes)).transpose()
    }
}

/// The entries of a range; [`DoubleEndedIterator`] reads them from the end. It stays in the state of its reader, and
/// may outlive it.
pub struct Entries(tables::Entries);

impl Iterator for Entries {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map_err(ReadError::from))
    }
}

impl DoubleEndedIterator for Entries {
    fn next_back(&mut self) -> Option<Self::Item> {
        Some(self.0.next_back()?.map_err(ReadError::from))
    }
}

/// The first key after all that begin with `prefix`; `None` where there is no such key.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_the_next_begins() {
        assert_eq!(after_prefix(b""), None);
        assert_eq!(after_prefix(b"a"), Some(b"b".to_vec()));
        assert_eq!(after_prefix(b"a\xFF"), Some(b"b".to_vec()));
        assert_eq!(after_prefix(b"\xFF\xFF"), None);
    }
}
