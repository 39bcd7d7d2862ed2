//! One document becomes a snapshot: its new changes are gathered, checked along their chains, united with the last snapshot,
//! and what was saved is loaded again and compared before anybody relies on it.

use std::collections::BTreeMap;
use std::ops::Bound;

use crdt::document::{self, Chain, ChangeError, Document};
use crdt::identity::Incarnation;
use crdt::operation::DocumentId;
use crdt::record::Record;
use crdt::replica::ArchiveError;
use crdt::vector::Sequence;
use storage::{Batch, MAXIMUM_VALUE_BYTES, Reader, Storage, Table};

use super::{Covered, MaintenanceError, Snapshot};
use crate::rows::{self, failed};

/// The longest saved document, in octets: room is left in its row for what it covers.
const LONGEST_SNAPSHOT: usize = MAXIMUM_VALUE_BYTES / 2;

/// Why a document goes to quarantine.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("record {sequence} of {author}: {error}", sequence = .sequence.0)]
    Change { author: Incarnation, sequence: Sequence, error: ChangeError },
    #[error("{0}")]
    Document(#[from] ChangeError),
    #[error("the saved document does not hold the operations of its changes")]
    Differs,
    #[error("the saved document has {0} octets, {LONGEST_SNAPSHOT} are allowed")]
    TooLong(usize),
}

/// A document that is being saved.
#[derive(Debug)]
pub(super) struct Building {
    pub(super) document: DocumentId,
    /// What of the log is still to be read: author, next record, last record. The last first.
    ranges: Vec<(Incarnation, Sequence, Sequence)>,
    /// How far each author's records have been looked through.
    read: BTreeMap<Incarnation, Sequence>,
    /// The new changes, each author's in order.
    changes: BTreeMap<Incarnation, Vec<Record>>,
}

impl Building {
    pub(super) fn new(
        document: DocumentId,
        ranges: impl Iterator<Item = (Incarnation, Sequence, Sequence)>,
    ) -> Self {
        Building { document, ranges: ranges.collect(), read: BTreeMap::new(), changes: BTreeMap::new() }
    }

    /// Reads at most `records` records of the log. Tells whether all changes are at hand.
    pub(super) fn gather(&mut self, reader: &Reader, records: usize) -> Result<bool, ArchiveError> {
        let mut left = records;
        while let Some((author, next, last)) = self.ranges.last_mut() {
            let (start, end) = (rows::log_key(author, *next), rows::log_key(author, *last));
            let (start, end) = (Bound::Included(start.as_slice()), Bound::Included(end.as_slice()));
            for row in reader.range(Table::Log, start, end).map_err(failed)? {
                if left == 0 {
                    return Ok(false);
                }
                left -= 1;
                let (key, value) = row.map_err(failed)?;
                let record = rows::record(&key, value)?;
                *next = record.sequence.next();
                if record.parts().is_some_and(|(document, _)| document == self.document) {
                    self.changes.entry(*author).or_default().push(record);
                }
            }
            self.read.insert(*author, *last);
            self.ranges.pop();
        }
        Ok(true)
    }

    /// Saves the document, or puts it into quarantine. Tells whether it was saved.
    pub(super) fn finish(&self, storage: &Storage, reader: &Reader) -> Result<bool, MaintenanceError> {
        let key = rows::encode(&self.document);
        let base = super::read(reader, &self.document).unwrap_or_default().unwrap_or_default();
        let mut batch = Batch::new();
        let made = self.make(base);
        match &made {
            Ok(snapshot) => batch.put(Table::Snapshots, key, rows::encode(snapshot)),
            Err(failure) => {
                tracing::error!(
                    document = ?self.document, reason = %failure,
                    "no snapshot can be made of a document; the node goes on without it: run `peerpost verify`"
                );
                batch.put(Table::Quarantine, key, rows::encode(&failure.to_string()));
            }
        }
        storage.commit(batch)?;
        Ok(made.is_ok())
    }

    fn make(&self, base: Snapshot) -> Result<Snapshot, Failure> {
        let mut covered = base.covered;
        let mut document =
            if base.saved.is_empty() { Document::default() } else { Document::load(&base.saved)? };
        for (author, records) in &self.changes {
            let before = covered.get(author).copied().unwrap_or_default();
            // The snapshot may have grown since the changes were counted.
            let new = records.get(records.partition_point(|record| record.sequence <= before.last)..);
            let new = new.unwrap_or_default();
            let chain = check(*author, before.chain, new)?;
            document.apply(new.iter().filter_map(|record| Some(record.parts()?.1)))?;
            let last = self.read.get(author).copied().unwrap_or_default().max(before.last);
            covered.insert(*author, Covered { last, chain });
        }
        let saved = document.save()?;
        if saved.len() > LONGEST_SNAPSHOT {
            return Err(Failure::TooLong(saved.len()));
        }
        let operations = Document::load(&saved)?.operations()?;
        let expected: u64 = covered.values().map(|covered| covered.chain.operations).sum();
        if operations.len() as u64 != expected || operations != document.operations()? {
            return Err(Failure::Differs);
        }
        Ok(Snapshot { covered, saved })
    }
}

/// The end of an author's chain with these changes.
fn check(author: Incarnation, mut chain: Chain, records: &[Record]) -> Result<Chain, Failure> {
    for record in records {
        let failure = |error| Failure::Change { author, sequence: record.sequence, error };
        let (_, change) =
            record.parts().ok_or(ChangeError::BadStructure("it is no record")).map_err(failure)?;
        chain = document::check(author, &chain, change).map_err(failure)?.chain;
    }
    Ok(chain)
}
