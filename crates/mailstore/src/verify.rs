//! `peerpost verify`: everything that is kept twice is compared, and everything that leads somewhere is followed.
//!
//! From one state of the tables: the log and its chains, automerge's documents against the log, the stored views against a
//! fold of the log from its first operation, what is shown against placements, bodies against their hashes and against
//! what entries name. Memory stays bounded by the largest account and the number of records (16 octets each).

mod account;
mod bodies;
mod cluster;
mod documents;
mod log;
mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crdt::fold::cluster::ClusterState;
use crdt::identity::{AccountId, BodyHash, Incarnation};
use crdt::replica::ArchiveError;
use serde::Serialize;
use storage::{Batch, Reader, Storage, Table};

use crate::rows::{self, failed};

/// The most findings that are listed; the rest is counted.
pub const MOST_FINDINGS: usize = 10_000;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The account that it concerns, by name where that can be read.
    pub account: Option<String>,
    /// What is wrong, and where.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// How far a verification is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum VerifyStep {
    /// The log is read; so many records so far.
    Log {
        /// Records read.
        records: u64,
    },
    /// Bodies are read; so many so far.
    Bodies {
        /// Bodies read.
        bodies: u64,
        /// Their octets.
        octets: u64,
    },
    /// An account is folded anew.
    Account {
        /// Its name.
        name: String,
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
}

/// What a repair did and what it had to leave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Written anew from the log.
    pub repaired: Vec<Finding>,
    /// Left as it was: each says what to do.
    pub remaining: Vec<Finding>,
}

/// Compares, and lists what differs; nothing is written. A committer may run beside it.
///
/// # Errors
///
/// Where the store itself cannot be read.
pub fn verify(storage: &Storage, progress: &mut dyn FnMut(VerifyStep)) -> Result<Vec<Finding>, ArchiveError> {
    Ok(Verification::run(storage, progress, false)?.remaining)
}

/// The same, and writes anew what follows from a sound log: folded accounts, mailboxes, entries and the cluster, ends of
/// chains, lists of missing bodies; snapshots that are wrong are forgotten. The log, what was shown and the bodies are
/// never touched. To be run only while nobody serves.
///
/// # Errors
///
/// Where the store itself cannot be read, or not be written.
pub fn repair(storage: &Storage, progress: &mut dyn FnMut(VerifyStep)) -> Result<Repaired, ArchiveError> {
    Verification::run(storage, progress, true)
}

/// What helps.
#[derive(Clone, Copy)]
enum Remedy {
    /// What is wrong follows from what is right.
    Rewrite,
    /// It is primary data, and damaged.
    JoinAnew,
    /// A body is needed from a peer.
    FetchBody,
}

impl Remedy {
    fn text(self) -> &'static str {
        match self {
            Remedy::Rewrite => {
                "stop the node and run `peerpost verify --repair`: it is written anew from the log, which is sound"
            }
            Remedy::JoinAnew => {
                "this node cannot mend it: stop it, move its data directory away and join the cluster anew, so that it \
                 fetches everything from its peers; where there is no peer, restore a backup"
            }
            Remedy::FetchBody => {
                "if a peer has the message, stop this node, move its data directory away and join the cluster anew, so \
                 that it fetches everything; else restore a backup; check the disk"
            }
        }
    }
}

/// One run.
struct Verification<'a> {
    storage: &'a Storage,
    reader: Reader,
    progress: &'a mut dyn FnMut(VerifyStep),
    mends: bool,
    /// What a repair is going to write.
    batch: Batch,
    found: Repaired,
    /// Findings beyond the bound.
    more: usize,
    /// The cluster as folded from the log.
    cluster: ClusterState,
    /// Rows of the table of chains that were compared.
    chains_seen: u64,
    /// Bodies whose bytes are wrong, and why.
    damaged_bodies: BTreeMap<BodyHash, String>,
    /// Those of them that were told with a message.
    damaged_messages: BTreeSet<BodyHash>,
    /// The account that is looked at, in words.
    account: Option<String>,
}

impl<'a> Verification<'a> {
    fn run(
        storage: &'a Storage,
        progress: &'a mut dyn FnMut(VerifyStep),
        mends: bool,
    ) -> Result<Repaired, ArchiveError> {
        let mut run = Verification {
            storage,
            reader: storage.reader().map_err(failed)?,
            progress,
            mends,
            batch: Batch::new(),
            found: Repaired::default(),
            more: 0,
            cluster: ClusterState::default(),
            chains_seen: 0,
            damaged_bodies: BTreeMap::new(),
            damaged_messages: BTreeSet::new(),
            account: None,
        };
        let index = run.read_log()?;
        run.read_bodies()?;
        run.compare_cluster(&index)?;
        let accounts = run.accounts(&index)?;
        for (number, account) in accounts.iter().enumerate() {
            run.compare_account(&index, *account, number + 1, accounts.len())?;
            run.write()?;
        }
        run.account = None;
        run.compare_rest(&index)?;
        run.write()?;
        run.count_the_rest();
        Ok(run.found)
    }

    /// Every account that a record or a row names.
    fn accounts(&self, index: &log::Index) -> Result<BTreeSet<AccountId>, ArchiveError> {
        let mut accounts: BTreeSet<AccountId> = index.accounts().collect();
        let tables = [
            Table::Accounts,
            Table::Mailboxes,
            Table::Entries,
            Table::Announced,
            Table::Shown,
            Table::Vanished,
            Table::EntriesAbsent,
        ];
        for table in tables {
            let mut start = Bound::Unbounded;
            while let Some(row) = self.first_after(table, &start)? {
                let Some(account) = row.get(..AccountId::LENGTH).and_then(AccountId::from_slice) else {
                    break;
                };
                accounts.insert(account);
                // The last key that an account's row could have.
                start = Bound::Excluded([account.0.as_slice(), &[0xff; 64]].concat());
            }
        }
        Ok(accounts)
    }

    fn first_after(&self, table: Table, start: &Bound<Vec<u8>>) -> Result<Option<Vec<u8>>, ArchiveError> {
        let start = start.as_ref().map(Vec::as_slice);
        let first = self.reader.range(table, start, Bound::Unbounded).map_err(failed)?.next();
        Ok(first.transpose().map_err(failed)?.map(|(key, _)| key))
    }

    /// Rows that belong to no account of their own.
    fn compare_rest(&mut self, index: &log::Index) -> Result<(), ArchiveError> {
        let rows = self.reader.prefixed(Table::Chains, &[]).map_err(failed)?.count() as u64;
        if rows > self.chains_seen {
            let extra = rows - self.chains_seen;
            let what = format!("{extra} rows of the table chains belong to no document of the log");
            self.find(what, Remedy::JoinAnew);
        }
        self.compare_snapshot_rows(index)?;
        for (hash, problem) in std::mem::take(&mut self.damaged_bodies) {
            if !self.damaged_messages.contains(&hash) {
                let what =
                    format!("the body {hash}, which no message that is there needs, is damaged: {problem}");
                self.find(what, Remedy::FetchBody);
            }
        }
        Ok(())
    }

    // --- findings ---

    /// Something is wrong, and stays so.
    fn find(&mut self, what: String, remedy: Remedy) {
        self.put(what, remedy, false);
    }

    /// Something is wrong that a repair writes anew; tells whether it is to do so.
    fn find_repairable(&mut self, what: String) -> bool {
        self.put(what, Remedy::Rewrite, self.mends);
        self.mends
    }

    fn put(&mut self, what: String, remedy: Remedy, repaired: bool) {
        if self.found.remaining.len() + self.found.repaired.len() >= MOST_FINDINGS {
            self.more += 1;
            return;
        }
        let remedy = if repaired { "none needed any more" } else { remedy.text() };
        let finding = Finding { account: self.account.clone(), what, remedy: remedy.into() };
        if repaired { &mut self.found.repaired } else { &mut self.found.remaining }.push(finding);
    }

    fn count_the_rest(&mut self) {
        if self.more > 0 {
            let what = format!("{} more findings are not listed", self.more);
            let remedy = "follow the remedies above, then verify again".into();
            self.found.remaining.push(Finding { account: None, what, remedy });
        }
    }

    /// Writes what was repaired so far.
    fn write(&mut self) -> Result<(), ArchiveError> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        self.storage.commit(batch).map_err(|error| ArchiveError(error.to_string()))
    }

    /// Removes all rows of a prefix, before they are put anew.
    fn clear(&mut self, table: Table, prefix: &[u8]) -> Result<(), ArchiveError> {
        for row in self.reader.prefixed(table, prefix).map_err(failed)? {
            self.batch.remove(table, row.map_err(failed)?.0);
        }
        Ok(())
    }

    /// The node that a life belongs to, for people.
    fn node(&self, life: &Incarnation) -> String {
        let slot = self.cluster.slot_of(life);
        let name = slot.and_then(|slot| self.cluster.member(slot)).map(|member| member.name.clone());
        match (name, slot) {
            (Some(name), _) => format!("{name} (life {life})"),
            (None, Some(slot)) => format!("the node in slot {slot} (life {life})"),
            (None, None) => format!("an unknown node (life {life})"),
        }
    }
}

/// The name of an account as stored; its identity where that cannot be read.
fn account_name(reader: &Reader, id: AccountId) -> String {
    let row = reader.get(Table::Accounts, &id.0).ok().flatten();
    let head = row.and_then(|row| rows::decode_head(&row).ok());
    match head {
        Some(head) if !head.name().is_empty() => head.name().to_owned(),
        _ => id.to_string(),
    }
}
