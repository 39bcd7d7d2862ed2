//! Snapshots of documents: made again from the log at any time, so they are written lazily, while nothing else is to do.
//!
//! The log is never shortened for them. They spare `verify`, and whoever else wants a document, its first changes.
//!
//! [`Maintenance`] works in bounded steps: it counts which documents have grown, gathers the changes of one of them, and saves
//! it. A document that automerge fails on goes to [`Table::Quarantine`]; the node goes on, its log and views do not need it.

mod build;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crdt::document::Chain;
use crdt::identity::Incarnation;
use crdt::operation::DocumentId;
use crdt::replica::ArchiveError;
use crdt::vector::{Sequence, Vector};
use serde::{Deserialize, Serialize};
use storage::{CommitError, Reader, Storage, Table};

use crate::rows::{self, failed};
use build::Building;

/// The changes after which a document is saved, the first time; later it has to grow by a quarter more.
pub const CHANGES_PER_SNAPSHOT: u64 = 256;
/// The records of the log that one step reads.
pub const RECORDS_PER_STEP: usize = 4_096;

/// How far a snapshot covers the changes of one author.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// The last record of the author that may be in it; everything of the document up to here is.
    pub last: Sequence,
    /// The end of the author's chain there.
    pub chain: Chain,
}

/// A saved document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What it is made of.
    pub covered: BTreeMap<Incarnation, Covered>,
    /// The document as automerge saved it.
    pub saved: Vec<u8>,
}

/// The snapshot of a document, if there is one.
///
/// # Errors
///
/// Where the disk refuses, or the row is damaged.
pub fn read(reader: &Reader, document: &DocumentId) -> Result<Option<Snapshot>, ArchiveError> {
    let row = reader.get(Table::Snapshots, &rows::encode(document)).map_err(failed)?;
    row.map(|bytes| rows::decode(Table::Snapshots, &bytes)).transpose()
}

/// What a snapshot covers, without the document; a damaged one covers nothing, and is made again.
fn read_covered(
    reader: &Reader,
    document: &DocumentId,
) -> Result<BTreeMap<Incarnation, Covered>, ArchiveError> {
    let row = reader.get(Table::Snapshots, &rows::encode(document)).map_err(failed)?;
    let covered = row.and_then(|bytes| Some(postcard::take_from_bytes(&bytes).ok()?.0));
    Ok(covered.unwrap_or_default())
}

/// Why a step was not done. The next one tries again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaintenanceError {
    /// The log could not be read.
    #[error("snapshots of documents are not made: {0}")]
    Read(#[from] ArchiveError),
    /// A snapshot could not be written.
    #[error("a snapshot of a document was not kept: {0}")]
    Commit(#[from] CommitError),
}

/// What a step left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do at once.
    More,
    /// Nothing, until there are new records.
    Done,
}

/// How a document has grown since its snapshot.
#[derive(Debug, Default)]
struct Growth {
    covered: BTreeMap<Incarnation, Covered>,
    /// The first record of each author that is not in the snapshot.
    first: BTreeMap<Incarnation, Sequence>,
    changes: u64,
}

impl Growth {
    fn is_due(&self, changes_per_snapshot: u64) -> bool {
        let saved: u64 = self.covered.values().map(|covered| covered.chain.length).sum();
        self.changes >= changes_per_snapshot + saved / 4
    }
}

/// Keeps snapshots up to date, a bounded step at a time.
#[derive(Debug)]
pub struct Maintenance {
    changes_per_snapshot: u64,
    /// What of the log has been counted.
    counted: Vector,
    grown: BTreeMap<DocumentId, Growth>,
    due: BTreeSet<DocumentId>,
    building: Option<Building>,
    /// Documents that are left alone; read with the first step.
    quarantined: Option<BTreeSet<DocumentId>>,
}

impl Maintenance {
    /// Begins with the first record of the log; saves a document once it has so many new changes.
    pub fn new(changes_per_snapshot: u64) -> Self {
        Maintenance {
            changes_per_snapshot,
            counted: Vector::new(),
            grown: BTreeMap::new(),
            due: BTreeSet::new(),
            building: None,
            quarantined: None,
        }
    }

    /// Reads at most `records` records, and saves at most one document.
    ///
    /// # Errors
    ///
    /// Where the log cannot be read, or the snapshot not be written; a full disk is one of the reasons.
    pub fn step(&mut self, storage: &Storage, records: usize) -> Result<Progress, MaintenanceError> {
        let reader = storage.reader().map_err(failed)?;
        if self.quarantined.is_none() {
            self.quarantined = Some(read_quarantine(&reader)?.into_keys().collect());
        }
        if self.building.is_none() {
            self.building = self.due.pop_first().map(|document| self.begin(document));
        }
        let Some(building) = &mut self.building else {
            return Ok(self.count(&reader, records)?);
        };
        if building.gather(&reader, records)? {
            let document = building.document;
            if !building.finish(storage, &reader)? {
                self.quarantined.get_or_insert_default().insert(document);
            }
            self.building = None;
            self.grown.remove(&document);
        }
        Ok(Progress::More)
    }

    /// Counts new records by document.
    fn count(&mut self, reader: &Reader, records: usize) -> Result<Progress, ArchiveError> {
        let mut left = records;
        for (incarnation, last) in rows::read_vector(reader)?.iter() {
            let next = self.counted.last(&incarnation).next();
            if next > last {
                continue;
            }
            let (start, end) = (rows::log_key(&incarnation, next), rows::log_key(&incarnation, last));
            for row in
                reader.range(Table::Log, Bound::Included(&start), Bound::Included(&end)).map_err(failed)?
            {
                if left == 0 {
                    return Ok(Progress::More);
                }
                left -= 1;
                let (key, value) = row.map_err(failed)?;
                let record = rows::record(&key, value)?;
                if let Some((document, _)) = record.parts() {
                    self.count_change(reader, document, incarnation, record.sequence)?;
                }
                self.counted.raise(incarnation, record.sequence);
            }
            // Records that are missing are for `verify` to tell.
            self.counted.raise(incarnation, last);
        }
        Ok(if self.due.is_empty() { Progress::Done } else { Progress::More })
    }

    fn count_change(
        &mut self,
        reader: &Reader,
        document: DocumentId,
        author: Incarnation,
        sequence: Sequence,
    ) -> Result<(), ArchiveError> {
        if self.quarantined.as_ref().is_some_and(|quarantined| quarantined.contains(&document)) {
            return Ok(());
        }
        let growth = match self.grown.entry(document) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                new.insert(Growth { covered: read_covered(reader, &document)?, ..Growth::default() })
            }
        };
        if growth.covered.get(&author).is_none_or(|covered| covered.last < sequence) {
            growth.first.entry(author).or_insert(sequence);
            growth.changes += 1;
            if growth.is_due(self.changes_per_snapshot) {
                self.due.insert(document);
            }
        }
        Ok(())
    }

    fn begin(&self, document: DocumentId) -> Building {
        let first = self.grown.get(&document).map(|growth| growth.first.clone()).unwrap_or_default();
        let range = |(author, first): (Incarnation, Sequence)| (author, first, self.counted.last(&author));
        Building::new(document, first.into_iter().map(range))
    }
}

/// The documents of which no snapshot can be made, and why.
pub(crate) fn read_quarantine(reader: &Reader) -> Result<BTreeMap<DocumentId, String>, ArchiveError> {
    let mut quarantined = BTreeMap::new();
    for row in reader.prefixed(Table::Quarantine, &[]).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        let reason = rows::decode(Table::Quarantine, &value)?;
        quarantined.insert(rows::decode(Table::Quarantine, &key)?, reason);
    }
    Ok(quarantined)
}
