//! What one commit changes.

use std::collections::BTreeMap;

use crate::body::BodyHash;
use crate::body::writer::StagedBody;
use crate::error::CommitError;
use crate::schema::{Place, Table};
use crate::tables::Changes;

/// The longest key, in bytes.
pub const MAXIMUM_KEY_BYTES: usize = 4 * 1024;

/// The longest value, in bytes. What may grow beyond it is cut into several, or is a body.
pub const MAXIMUM_VALUE_BYTES: usize = 64 * 1024 * 1024;

/// The most keys and values of one batch together, in bytes.
pub const MAXIMUM_BATCH_BYTES: usize = 512 * 1024 * 1024;

/// Changes that are committed together: all of them, or none. Of two changes to one key, or to one body, the later
/// counts.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) changes: Changes,
    pub(crate) bodies: BTreeMap<BodyHash, BodyChange>,
}

#[derive(Debug)]
pub(crate) enum BodyChange {
    /// Written unless it is indexed already.
    Add(StagedBody),
    /// Written whatever the index says.
    Repair(StagedBody),
    Remove,
}

impl Batch {
    /// A batch that changes nothing.
    #[must_use]
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Gives a key a value, in place of the one it has.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.entry(Place::Public(table)).or_default().insert(key.into(), Some(value.into()));
    }

    /// Takes a key's value away; a key without one stays so.
    pub fn remove(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.changes.entry(Place::Public(table)).or_default().insert(key.into(), None);
    }

    /// Keeps a body. One that the store has already is not written again.
    pub fn add_body(&mut self, body: StagedBody) {
        self.bodies.insert(body.hash(), BodyChange::Add(body));
    }

    /// The bodies that it keeps.
    pub fn kept_bodies(&self) -> impl Iterator<Item = &BodyHash> {
        self.bodies.iter().filter(|(_, change)| !matches!(change, BodyChange::Remove)).map(|(hash, _)| hash)
    }

    /// Whether it keeps this body.
    #[must_use]
    pub fn keeps_body(&self, hash: &BodyHash) -> bool {
        self.bodies.get(hash).is_some_and(|change| !matches!(change, BodyChange::Remove))
    }

    /// Keeps a body even where the index says that the store has it: for one that turned out damaged.
    pub fn repair_body(&mut self, body: StagedBody) {
        self.bodies.insert(body.hash(), BodyChange::Repair(body));
    }

    /// Takes a body out of the index. Its bytes stay in their pack until packs are rewritten, which is yet to come; a
    /// [`crate::Body`] that is open goes on working.
    pub fn remove_body(&mut self, hash: BodyHash) {
        self.bodies.insert(hash, BodyChange::Remove);
    }

    /// Whether committing it would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.bodies.is_empty()
    }

    /// Keys and values, in bytes.
    ///
    /// # Errors
    /// Where a bound is passed.
    pub(crate) fn check(&self) -> Result<u64, CommitError> {
        let mut total = 0usize;
        for (place, entries) in &self.changes {
            for (key, value) in entries {
                let value_bytes = value.as_ref().map_or(0, Vec::len);
                check_bound(*place, "key", key.len(), MAXIMUM_KEY_BYTES)?;
                check_bound(*place, "value", value_bytes, MAXIMUM_VALUE_BYTES)?;
                total = total.saturating_add(key.len()).saturating_add(value_bytes);
            }
        }
        if total > MAXIMUM_BATCH_BYTES {
            let message =
                format!("it has {total} bytes of keys and values, {MAXIMUM_BATCH_BYTES} are allowed");
            return Err(CommitError::TooLarge(message));
        }
        Ok(total as u64)
    }
}

fn check_bound(place: Place, what: &str, length: usize, bound: usize) -> Result<(), CommitError> {
    if length > bound {
        let message = format!("a {what} of table {} has {length} bytes, {bound} are allowed", place.name());
        return Err(CommitError::TooLarge(message));
    }
    Ok(())
}
