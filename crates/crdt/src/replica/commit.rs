//! The end of a batch: what was written becomes records, and everything that changed is told, to be made durable as one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Archive, Replica};
use crate::account::Account;
use crate::account::dirty::Dirty;
use crate::account::events::Event;
use crate::clock::Timestamp;
use crate::document::{self, Chain};
use crate::identity::{AccountId, Incarnation};
use crate::left_out::{LeftOut, leaves_out};
use crate::operation::{DocumentId, LogHash, Operation};
use crate::placement::announcement::Announcement;
use crate::record::Record;
use crate::vector::Vector;

/// What changed in one account.
#[derive(Debug)]
pub struct AccountCommit {
    /// Which.
    pub account: AccountId,
    /// What of it has to be written.
    pub dirty: Dirty,
    /// What clients are made to see.
    pub events: Vec<Event>,
}

/// How the last life ended that stood on firm ground.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FirmEnd {
    /// What was here. What came since is new to a life that begins (rule 8): a lost life may have shown more without it.
    pub vector: Vector,
    /// The last moment that it issued or observed. Values that clients bring and that are later may be those of a lost life.
    pub last: Timestamp,
}

/// What has to become durable, as one, before anybody is told.
#[derive(Debug, Default)]
pub struct Commit {
    /// New records, own and foreign.
    pub records: Vec<Record>,
    /// The ends of the chains that grew. Own ones too: should the disk be rolled back, peers send their rest.
    pub chains: Vec<(DocumentId, Incarnation, Chain)>,
    /// Changed accounts.
    pub accounts: Vec<AccountCommit>,
    /// Whether the cluster's state changed.
    pub cluster_changed: bool,
    /// What peers are to be told of what clients were told, own and heard from others: the newest for each mailbox and node.
    pub announcements: Vec<Announcement>,
    /// The chained hashes of the lives that have new records.
    pub hashes: Vec<(Incarnation, LogHash)>,
    /// To be stored where it changes: how the last life that stood on firm ground ended, or that the present one stands on it.
    pub firm: Option<Option<FirmEnd>>,
    /// The greatest moment issued or observed.
    pub last: Timestamp,
}

impl Commit {
    /// Whether nothing has to be written.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.accounts.is_empty()
            && !self.cluster_changed
            && self.announcements.is_empty()
            && self.firm.is_none()
    }
}

impl<A: Archive> Replica<A> {
    /// Ends the batch. What it returns must become durable before any answer or delta leaves the node; when that fails,
    /// this replica must not be used any more, and a new life begins from what is on disk.
    pub fn commit(&mut self) -> Commit {
        self.keep_standing();
        let mut commit = Commit {
            records: std::mem::take(&mut self.foreign),
            announcements: std::mem::take(&mut self.announcements),
            ..Commit::default()
        };
        self.encode_written(&mut commit.records);
        self.writer.set_sequence(self.sequence());
        commit.hashes = self.chain_hashes(&commit.records);
        self.find_ended();
        for account in self.accounts.values_mut() {
            if !account.dirty.is_empty() || !account.unannounced.is_empty() {
                commit.announcements.extend(account.announce(&mut self.writer, &self.ended));
            }
        }
        for (document, author) in std::mem::take(&mut self.changed_chains) {
            if let Some(chain) = self.chains.get(&(document, author)) {
                commit.chains.push((document, author, *chain));
            }
        }
        for account in self.accounts.values_mut() {
            if let Some(changed) = changed(account) {
                commit.accounts.push(changed);
            }
        }
        commit.cluster_changed = std::mem::take(&mut self.cluster_changed);
        let firm = (!self.is_confirmed()).then(|| self.firm_end.clone());
        if firm != self.stored_firm {
            self.stored_firm.clone_from(&firm);
            commit.firm = Some(firm);
        }
        commit.last = self.writer.last();
        self.bound_chains();
        commit
    }

    /// Lives that another one has sealed: what was adopted from them is told here now.
    fn find_ended(&mut self) {
        if !self.cluster_changed {
            return;
        }
        let seals = self.cluster.lives().filter_map(|(_, _, seal)| seal);
        let ended: BTreeSet<Incarnation> = seals.map(|seal| seal.incarnation).collect();
        if ended != self.ended {
            self.ended = ended;
            if !leaves_out(LeftOut::AdoptedIsTold) {
                self.accounts.values_mut().for_each(|account| account.tell_for_ended(&self.ended));
            }
        }
    }

    /// One change for each document that was written to, more where one would be too long.
    fn encode_written(&mut self, records: &mut Vec<Record>) {
        let author = self.author().incarnation;
        let mut documents: Vec<DocumentId> = Vec::new();
        let mut operations: BTreeMap<DocumentId, Vec<(Timestamp, Operation)>> = BTreeMap::new();
        for written in self.writer.take() {
            let of_document = operations.entry(written.document).or_default();
            if of_document.is_empty() {
                documents.push(written.document);
            }
            of_document.push((written.timestamp, written.operation));
        }
        for document in documents {
            let operations = operations.remove(&document).unwrap_or_default();
            self.changed_chains.insert((document, author));
            let chain = self.chains.entry((document, author)).or_default();
            for change in document::encode_all(author, chain, &operations) {
                let sequence = self.vector.last(&author).next();
                self.vector.raise(author, sequence);
                records.push(Record::new(author, sequence, &document, &change));
                let account = document.account().and_then(|account| self.accounts.get_mut(&account));
                if let Some(account) = account {
                    account.touched(author, sequence);
                }
            }
        }
    }

    /// Chains the hash of every new record to those of its life.
    fn chain_hashes(&mut self, records: &[Record]) -> Vec<(Incarnation, LogHash)> {
        let mut changed = BTreeSet::new();
        for record in records {
            let hash = self.hashes.entry(record.incarnation).or_default();
            let mut hasher = blake3::Hasher::new_derive_key("peerpost log");
            hasher.update(hash.as_slice()).update(&record.bytes);
            *hash = *hasher.finalize().as_bytes();
            changed.insert(record.incarnation);
        }
        let hash = |incarnation| Some((incarnation, *self.hashes.get(&incarnation)?));
        changed.into_iter().filter_map(hash).collect()
    }

    /// Chains can be read again from disk; those of this life are needed most, and stay.
    fn bound_chains(&mut self) {
        const MOST_CHAINS: usize = 10_000;
        let own = self.author().incarnation;
        if self.chains.len() > MOST_CHAINS {
            self.chains.retain(|(_, author), _| *author == own);
        }
    }
}

fn changed(account: &mut Account) -> Option<AccountCommit> {
    if account.dirty.is_empty() && account.events.is_empty() {
        return None;
    }
    Some(AccountCommit {
        account: account.id(),
        dirty: std::mem::take(&mut account.dirty),
        events: std::mem::take(&mut account.events),
    })
}
