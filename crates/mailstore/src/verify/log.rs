//! The log: every life's records from the first to the last without a gap, as many as the vector says.

use std::collections::{BTreeMap, BTreeSet};

use crdt::identity::{AccountId, Incarnation};
use crdt::operation::DocumentId;
use crdt::replica::ArchiveError;
use crdt::vector::{Sequence, Vector};
use storage::Table;

use super::{Remedy, Verification, VerifyStep};
use crate::rows::{self, failed};

/// The records between two tellings of progress.
const RECORDS_BETWEEN_STEPS: u64 = 10_000;

/// A life, by its place among the lives, and a sequence.
type Position = (u32, Sequence);

/// Where the changes of each document lie in the log: 16 octets for each record.
#[derive(Default)]
pub(super) struct Index {
    lives: Vec<Incarnation>,
    /// For each document its records, in order of lives and sequences.
    documents: BTreeMap<(Option<AccountId>, DocumentId), Vec<Position>>,
}

impl Index {
    /// The accounts that have documents.
    pub(super) fn accounts(&self) -> impl Iterator<Item = AccountId> {
        self.documents.keys().filter_map(|(account, _)| *account)
    }

    /// The documents of an account: itself, its mailboxes, its segments. The cluster's has none.
    pub(super) fn documents(&self, account: Option<AccountId>) -> Vec<DocumentId> {
        let documents = self.documents.range((account, DocumentId::Cluster)..);
        documents.take_while(|((of, _), _)| *of == account).map(|((_, document), _)| *document).collect()
    }

    /// The authors of a document and their records, in order.
    pub(super) fn authors(&self, document: &DocumentId) -> Vec<(Incarnation, Vec<Sequence>)> {
        let mut authors: Vec<(Incarnation, Vec<Sequence>)> = Vec::new();
        for (life, sequence) in self.documents.get(&(document.account(), *document)).into_iter().flatten() {
            let Some(author) = self.lives.get(*life as usize) else { continue };
            match authors.last_mut() {
                Some((last, sequences)) if last == author => sequences.push(*sequence),
                _ => authors.push((*author, vec![*sequence])),
            }
        }
        authors
    }

    /// Whether the log has changes of the document.
    pub(super) fn has(&self, document: &DocumentId) -> bool {
        self.documents.contains_key(&(document.account(), *document))
    }

    fn put(&mut self, document: DocumentId, author: Incarnation, sequence: Sequence) {
        if self.lives.last() != Some(&author) {
            self.lives.push(author);
        }
        let life = (self.lives.len() - 1) as u32;
        self.documents.entry((document.account(), document)).or_default().push((life, sequence));
    }
}

impl Verification<'_> {
    /// Reads the log once: tells what is missing, and remembers where each document's changes lie.
    pub(super) fn read_log(&mut self) -> Result<Index, ArchiveError> {
        let vector = rows::read_vector(&self.reader)?;
        let mut index = Index::default();
        let mut read = Vector::new();
        let mut records = 0;
        for row in self.reader.prefixed(Table::Log, &[]).map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let Ok(record) = rows::record(&key, value) else {
                self.find(
                    format!("a row of the table log has a key of {} octets", key.len()),
                    Remedy::JoinAnew,
                );
                continue;
            };
            let (author, sequence) = (record.incarnation, record.sequence);
            self.expect_next(&read, author, sequence);
            read.raise(author, sequence);
            match record.parts() {
                Some((document, _)) => index.put(document, author, sequence),
                None => {
                    let what = format!("record {} of life {author} in the log is no record", sequence.0);
                    self.find(what, Remedy::JoinAnew);
                }
            }
            records += 1;
            if records % RECORDS_BETWEEN_STEPS == 0 {
                (self.progress)(VerifyStep::Log { records });
            }
        }
        (self.progress)(VerifyStep::Log { records });
        self.compare_vectors(&vector, &read);
        Ok(index)
    }

    fn expect_next(&mut self, read: &Vector, author: Incarnation, sequence: Sequence) {
        let expected = read.last(&author).next();
        if sequence == expected {
            return;
        }
        let what = match sequence.0 - expected.0.min(sequence.0) {
            1 => format!("record {} of life {author} is missing in the log", expected.0),
            _ => {
                let last = sequence.0.saturating_sub(1);
                format!("records {} to {last} of life {author} are missing in the log", expected.0)
            }
        };
        self.find(what, Remedy::JoinAnew);
    }

    /// What the node says that it has, to its peers, is what it has.
    fn compare_vectors(&mut self, told: &Vector, read: &Vector) {
        let lives: BTreeSet<Incarnation> = told.iter().chain(read.iter()).map(|(life, _)| life).collect();
        for life in lives {
            let (told, read) = (told.last(&life), read.last(&life));
            if told != read {
                let what = format!(
                    "the node tells its peers that it has {} records of life {life}, and the log ends with record {}",
                    told.0, read.0
                );
                self.find(what, Remedy::JoinAnew);
            }
        }
    }
}
