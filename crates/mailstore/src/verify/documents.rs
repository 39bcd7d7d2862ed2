//! One document: its changes along the chains of their authors, the ends of these chains as stored, and the automerge
//! document of snapshot and changes, which has to hold exactly the operations of the log.

use std::collections::BTreeMap;

use crdt::clock::Stamp;
use crdt::document::{self, Chain, ChangeError, Document};
use crdt::identity::Incarnation;
use crdt::operation::{DocumentId, Operation};
use crdt::record::Record;
use crdt::replica::ArchiveError;
use crdt::vector::Sequence;
use storage::Table;

use super::log::Index;
use super::{Remedy, Verification};
use crate::rows::{self, failed};
use crate::snapshots::{self, Snapshot};

/// The operations of a document by their stamps.
pub(super) type Operations = BTreeMap<Stamp, Operation>;

/// The log of one document.
#[derive(Default)]
struct Changes {
    records: Vec<Record>,
    operations: Operations,
    /// Every author's chain after each of its records.
    chains: BTreeMap<Incarnation, Vec<(Sequence, Chain)>>,
}

impl Verification<'_> {
    /// Checks a document; its operations, where its log is sound.
    pub(super) fn document(
        &mut self,
        index: &Index,
        document: &DocumentId,
    ) -> Result<Option<Operations>, ArchiveError> {
        let mut changes = Changes::default();
        let mut sound = true;
        for (author, sequences) in index.authors(document) {
            match self.read_chain(document, author, &sequences, &mut changes)? {
                Ok(chain) => self.compare_chain(document, author, chain)?,
                Err(what) => {
                    sound = false;
                    let what = format!("{}: {what}", self.title(document));
                    self.find(what, Remedy::JoinAnew);
                }
            }
        }
        if !sound {
            return Ok(None);
        }
        self.compare_automerge(document, &changes)?;
        Ok(Some(changes.operations))
    }

    /// Follows one author's chain to its end, or to what breaks it.
    fn read_chain(
        &mut self,
        document: &DocumentId,
        author: Incarnation,
        sequences: &[Sequence],
        changes: &mut Changes,
    ) -> Result<Result<Chain, String>, ArchiveError> {
        let mut chain = Chain::default();
        for sequence in sequences {
            let row = self.reader.get(Table::Log, &rows::log_key(&author, *sequence)).map_err(failed)?;
            let record = Record { incarnation: author, sequence: *sequence, bytes: row.unwrap_or_default() };
            let checked = match self.check(document, &chain, &record) {
                Ok(checked) => checked,
                Err(what) => {
                    self.chains_seen += u64::from(self.stored_chain(document, &author)?.is_some());
                    return Ok(Err(format!("record {} of {}: {what}", sequence.0, self.node(&author))));
                }
            };
            chain = checked.chain;
            changes.chains.entry(author).or_default().push((*sequence, chain));
            changes.operations.extend(checked.operations);
            changes.records.push(record);
        }
        let count: u64 =
            changes.chains.values().filter_map(|chains| chains.last()).map(|(_, c)| c.operations).sum();
        if count != changes.operations.len() as u64 {
            return Ok(Err(format!("two operations of {} have one stamp", self.node(&author))));
        }
        Ok(Ok(chain))
    }

    fn check(
        &self,
        document: &DocumentId,
        chain: &Chain,
        record: &Record,
    ) -> Result<document::Checked, String> {
        let (_, change) = record.parts().ok_or("it is no record")?;
        let checked =
            document::check(record.incarnation, chain, change).map_err(|error| error.to_string())?;
        let slot = self.cluster.slot_of(&record.incarnation);
        for (stamp, operation) in &checked.operations {
            operation.check(document).map_err(|error| error.to_string())?;
            // While the cluster's own document is read nobody's slot is known yet.
            if slot.is_some_and(|slot| slot != stamp.timestamp.slot()) {
                return Err("an operation is stamped by another slot than its author's".into());
            }
        }
        Ok(checked)
    }

    fn stored_chain(
        &self,
        document: &DocumentId,
        author: &Incarnation,
    ) -> Result<Option<Vec<u8>>, ArchiveError> {
        self.reader.get(Table::Chains, &rows::chain_key(document, author)).map_err(failed)
    }

    /// The ends of chains are kept, so that what a peer sends can be checked.
    fn compare_chain(
        &mut self,
        document: &DocumentId,
        author: Incarnation,
        chain: Chain,
    ) -> Result<(), ArchiveError> {
        let stored = self.stored_chain(document, &author)?;
        self.chains_seen += u64::from(stored.is_some());
        let read = stored.as_ref().map(|row| rows::decode::<Chain>(Table::Chains, row));
        let right = matches!(read, Some(Ok(stored)) if stored == chain);
        if !right {
            let title = self.title(document);
            let what = match stored {
                Some(_) => "the table chains has another end of the chain of",
                None => "the table chains lacks the end of the chain of",
            };
            let what = format!("{title}: {what} {}", self.node(&author));
            if self.find_repairable(what) {
                self.batch.put(Table::Chains, rows::chain_key(document, &author), rows::encode(&chain));
            }
        }
        Ok(())
    }

    fn compare_automerge(&mut self, document: &DocumentId, changes: &Changes) -> Result<(), ArchiveError> {
        let title = self.title(document);
        let key = rows::encode(document);
        match snapshots::read(&self.reader, document) {
            Ok(None) => {}
            Ok(Some(snapshot)) => {
                let Err(what) = from_snapshot(&snapshot, changes) else { return Ok(()) };
                if self.find_repairable(format!("{title}: its snapshot is wrong: {what}")) {
                    self.batch.remove(Table::Snapshots, key);
                }
            }
            Err(error) => {
                if self.find_repairable(format!("{title}: its snapshot cannot be read: {error}")) {
                    self.batch.remove(Table::Snapshots, key);
                }
            }
        }
        if let Err(what) = build(Document::default(), changes.records.iter(), &changes.operations) {
            self.find(
                format!("{title}: the automerge document of its log is wrong: {what}"),
                Remedy::JoinAnew,
            );
        }
        Ok(())
    }

    /// Snapshots and quarantined documents that have no log, and what is in quarantine.
    pub(super) fn compare_snapshot_rows(&mut self, index: &Index) -> Result<(), ArchiveError> {
        for row in self.reader.prefixed(Table::Snapshots, &[]).map_err(failed)? {
            let (key, _) = row.map_err(failed)?;
            let known = rows::decode(Table::Snapshots, &key).is_ok_and(|document| index.has(&document));
            if !known
                && self
                    .find_repairable("the table snapshots has a document that the log does not know".into())
            {
                self.batch.remove(Table::Snapshots, key);
            }
        }
        for (document, reason) in snapshots::read_quarantine(&self.reader)? {
            let what = format!(
                "{} is in quarantine: no snapshot of it can be made ({reason}); its log and views are used all the same",
                self.title(&document)
            );
            if self.find_repairable(what) {
                self.batch.remove(Table::Quarantine, rows::encode(&document));
            }
        }
        Ok(())
    }

    /// A document in words.
    fn title(&self, document: &DocumentId) -> String {
        match document {
            DocumentId::Cluster => "the document of the cluster".into(),
            DocumentId::Account(account) => format!("the document of the account {account}"),
            DocumentId::Mailbox(_, mailbox) => format!("the document of the mailbox {mailbox}"),
            DocumentId::Segment(_, segment) => {
                format!("the document of the segment {}.{}", segment.incarnation, segment.number)
            }
        }
    }
}

/// What the snapshot does not cover is applied to it: the outcome shows whether it holds what it says.
fn from_snapshot(snapshot: &Snapshot, changes: &Changes) -> Result<(), String> {
    for (author, covered) in &snapshot.covered {
        let chains = changes.chains.get(author).map_or(&[][..], Vec::as_slice);
        let there = chains.iter().rev().find(|(sequence, _)| *sequence <= covered.last);
        if there.map(|(_, chain)| *chain) != Some(covered.chain) {
            return Err(format!("it covers changes of life {author} that the log does not have"));
        }
    }
    let document = Document::load(&snapshot.saved).map_err(|error| error.to_string())?;
    let covered = |record: &&Record| {
        snapshot.covered.get(&record.incarnation).is_none_or(|covered| covered.last < record.sequence)
    };
    build(document, changes.records.iter().filter(covered), &changes.operations)
}

/// Applies changes and compares the operations of the document with those of the log.
fn build<'a>(
    mut document: Document,
    records: impl Iterator<Item = &'a Record>,
    expected: &Operations,
) -> Result<(), String> {
    let changes: Vec<&[u8]> = records.filter_map(|record| Some(record.parts()?.1)).collect();
    let operations = (|| -> Result<Operations, ChangeError> {
        document.apply(changes)?;
        document.operations()
    })()
    .map_err(|error| error.to_string())?;
    if operations == *expected {
        return Ok(());
    }
    let missing =
        expected.iter().filter(|(stamp, operation)| operations.get(stamp) != Some(operation)).count();
    let extra = operations.keys().filter(|stamp| !expected.contains_key(stamp)).count();
    Err(format!("{missing} of its {} operations are missing or differ, {extra} are too many", expected.len()))
}
