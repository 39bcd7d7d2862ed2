//! The merge history: what merges did to what clients of this node see, for operators.

use std::collections::{BTreeMap, BTreeSet};

use crdt::account::Account;
use crdt::account::events::Event;
use crdt::clock::{Millis, Timestamp};
use crdt::fold::cluster::ClusterState;
use crdt::identity::{AccountId, EntryId, Incarnation, MailboxId, NodeSlot, Uid, Validity};
use crdt::replica::{ArchiveError, Commit};
use serde::{Deserialize, Serialize};
use storage::{Batch, Reader, Table};

use crate::rows;

/// Deltas of one node that follow one another within this time are told as one merge, in milliseconds.
const ONE_MERGE_MILLISECONDS: u64 = 2_000;
/// The most reissues that one record lists; the rest is counted.
const MOST_REISSUES: usize = 1_000;
/// The most records that are kept of one account.
pub const MOST_RECORDS: usize = 1_000;

/// A message under another UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reissue {
    /// Which.
    pub entry: EntryId,
    /// What clients knew.
    pub from: Uid,
    /// What they know now.
    pub to: Uid,
}

/// What one merge did to one mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxMerge {
    /// The name of the mailbox then.
    pub name: String,
    /// Messages that became visible.
    pub shown: u64,
    /// Messages whose flags changed.
    pub flagged: u64,
    /// Messages that were expunged.
    pub expunged: u64,
    /// Messages that went to another mailbox.
    pub moved: u64,
    /// Messages that came too late for their UIDs.
    pub held: u64,
    /// Messages that have other UIDs now.
    pub reissued: u64,
    /// The first of them.
    pub reissues: Vec<Reissue>,
    /// UIDVALIDITY before and after, if it was bumped.
    pub bumped: Option<(Validity, Validity)>,
}

impl MailboxMerge {
    fn add(&mut self, event: &Event) {
        match event {
            Event::Shown { .. } => self.shown += 1,
            Event::Flagged { .. } => self.flagged += 1,
            Event::Gone { moved: true, .. } => self.moved += 1,
            Event::Gone { moved: false, .. } => self.expunged += 1,
            Event::Held { .. } => self.held += 1,
            Event::Reissued { entry, from, to, .. } => {
                self.reissued += 1;
                if self.reissues.len() < MOST_REISSUES {
                    self.reissues.push(Reissue { entry: *entry, from: *from, to: *to });
                }
            }
            Event::Bumped { from, to, .. } => {
                let first = self.bumped.map_or(*from, |(first, _)| first);
                self.bumped = Some((first, *to));
            }
        }
    }
}

/// One merge: what came from which nodes, and what it did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeRecord {
    /// When the last of it was applied.
    pub at: Timestamp,
    /// The nodes whose records it brought.
    pub from: BTreeSet<NodeSlot>,
    /// How many records.
    pub records: u64,
    /// What became of mailboxes.
    pub mailboxes: BTreeMap<MailboxId, MailboxMerge>,
}

/// Puts what a batch merged into the history of its accounts.
pub(crate) fn write(
    batch: &mut Batch,
    reader: &Reader,
    commit: &Commit,
    accounts: &BTreeMap<AccountId, &Account>,
    cluster: &ClusterState,
    own: &Incarnation,
) -> Result<(), ArchiveError> {
    for changed in &commit.accounts {
        let repaired = |event: &Event| {
            matches!(event, Event::Held { .. } | Event::Reissued { .. } | Event::Bumped { .. })
        };
        let foreign = foreign_records(commit, changed.account, cluster, own);
        if changed.events.is_empty() || (foreign.is_empty() && !changed.events.iter().any(repaired)) {
            continue;
        }
        let Some(account) = accounts.get(&changed.account) else { continue };
        let (key, mut record) = open_record(reader, changed.account, commit.last, &foreign)?;
        record.at = commit.last;
        record.records += foreign.values().sum::<u64>();
        record.from.extend(foreign.keys());
        for event in &changed.events {
            let merge = record.mailboxes.entry(event.mailbox()).or_default();
            if let Some(unit) = account.unit(event.mailbox()) {
                merge.name.clone_from(&unit.name);
            }
            merge.add(event);
        }
        batch.put(Table::History, key, rows::encode(&record));
        forget_oldest(batch, reader, changed.account)?;
    }
    Ok(())
}

/// How many records of other nodes the batch brought for an account, by node.
fn foreign_records(
    commit: &Commit,
    account: AccountId,
    cluster: &ClusterState,
    own: &Incarnation,
) -> BTreeMap<NodeSlot, u64> {
    let mut counts = BTreeMap::new();
    for record in commit.records.iter().filter(|record| record.incarnation != *own) {
        let concerned = record.parts().and_then(|(document, _)| document.account()) == Some(account);
        if let Some(slot) = cluster.slot_of(&record.incarnation).filter(|_| concerned) {
            *counts.entry(slot).or_default() += 1;
        }
    }
    counts
}

/// The record of the merge that is going on, or a new one.
fn open_record(
    reader: &Reader,
    account: AccountId,
    now: Timestamp,
    from: &BTreeMap<NodeSlot, u64>,
) -> Result<(Vec<u8>, MergeRecord), ArchiveError> {
    let failed = |error: storage::ReadError| ArchiveError(error.to_string());
    if let Some((key, value)) = reader.last_in_prefix(Table::History, &account.0).map_err(failed)? {
        let record: MergeRecord = rows::decode(Table::History, &value)?;
        let recent = record.at.millis().after(ONE_MERGE_MILLISECONDS) > now.millis();
        if recent && (from.is_empty() || from.keys().all(|slot| record.from.contains(slot))) {
            return Ok((key, record));
        }
    }
    Ok(([account.0.as_slice(), &now.bits().to_be_bytes()].concat(), MergeRecord::default()))
}

/// Keeps the history of an account within its bound.
fn forget_oldest(batch: &mut Batch, reader: &Reader, account: AccountId) -> Result<(), ArchiveError> {
    let failed = |error: storage::ReadError| ArchiveError(error.to_string());
    let count = reader.prefixed(Table::History, &account.0).map_err(failed)?.count();
    for row in
        reader.scan_prefix(Table::History, &account.0, count.saturating_sub(MOST_RECORDS)).map_err(failed)?
    {
        batch.remove(Table::History, row.0);
    }
    Ok(())
}

/// The merges of an account, the oldest first; of one mailbox if its name is given.
pub fn read(
    reader: &Reader,
    account: AccountId,
    mailbox: Option<&str>,
) -> Result<Vec<MergeRecord>, ArchiveError> {
    let mut records = Vec::new();
    for row in reader.prefixed(Table::History, &account.0).map_err(|error| ArchiveError(error.to_string()))? {
        let (_, value) = row.map_err(|error| ArchiveError(error.to_string()))?;
        let mut record: MergeRecord = rows::decode(Table::History, &value)?;
        if let Some(name) = mailbox {
            record.mailboxes.retain(|_, merge| merge.name == name);
        }
        if !record.mailboxes.is_empty() {
            records.push(record);
        }
    }
    Ok(records)
}

/// The wall time of a record.
pub fn millis(record: &MergeRecord) -> Millis {
    record.at.millis()
}
