//! The merge history: what merges did to what clients see, on every node, for operators.
//!
//! While a merge goes on here, its record is a row of its own that each batch writes anew. When it is over it is told as a
//! notice, which the other nodes keep too ([`crate::notices`]).

use std::collections::{BTreeMap, BTreeSet};

use crdt::account::Account;
use crdt::account::events::{BumpReason, Event};
use crdt::clock::{Millis, Timestamp};
use crdt::fold::cluster::ClusterState;
use crdt::identity::{AccountId, EntryId, Incarnation, MailboxId, NodeSlot, Uid, Validity};
use crdt::operation::LONGEST_TEXT;
use crdt::replica::{ArchiveError, Commit};
use serde::{Deserialize, Serialize};
use storage::{Batch, Reader, Table};

use crate::notices::{self, Notices, Told};
use crate::rows::{self, failed};

/// Deltas of one node that follow one another within this time are told as one merge, in milliseconds.
const ONE_MERGE_MILLISECONDS: u64 = 2_000;
/// A merge that goes on for longer is told in parts of this length, in milliseconds.
const LONGEST_MERGE_MILLISECONDS: u64 = 60_000;
/// The most reissues that one record lists; the rest is counted.
const MOST_REISSUES: usize = 1_000;
/// The most mailboxes of one record; what happened in others is not told.
const MOST_MAILBOXES: usize = 1_000;
/// For how many days it is kept what merges did, where the configuration does not say.
pub const RETENTION_DAYS: u64 = 90;
/// How often it is looked for merges that are older, in milliseconds.
const PRUNING_INTERVAL: u64 = 60 * 60 * 1000;

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

/// Another UIDVALIDITY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bump {
    /// What clients knew.
    pub from: Validity,
    /// What they know now.
    pub to: Validity,
    /// Why, where there were several the last.
    pub reason: BumpReason,
}

/// What one merge did to one mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxMerge {
    /// The name of the mailbox then.
    pub name: String,
    /// Messages that other nodes had accepted.
    pub arrived: u64,
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
    /// UIDVALIDITY before and after, if it was bumped, and why.
    pub bumped: Option<Bump>,
}

impl MailboxMerge {
    fn add(&mut self, event: &Event, room: usize) {
        match event {
            Event::Arrived { .. } => self.arrived += 1,
            Event::Shown { .. } => self.shown += 1,
            Event::Flagged { .. } => self.flagged += 1,
            Event::Gone { moved: true, .. } => self.moved += 1,
            Event::Gone { moved: false, .. } => self.expunged += 1,
            Event::Held { .. } => self.held += 1,
            Event::Reissued { entry, from, to, .. } => {
                self.reissued += 1;
                if room > 0 {
                    self.reissues.push(Reissue { entry: *entry, from: *from, to: *to });
                }
            }
            Event::RightsChanged { .. } => {}
            Event::Bumped { from, to, reason, .. } => {
                let from = self.bumped.map_or(*from, |bump| bump.from);
                self.bumped = Some(Bump { from, to: *to, reason: *reason });
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
    /// How often the merge changed who may do what with them. It stands behind the rest ([`MergeRecord::encode`]).
    #[serde(skip)]
    pub rights: BTreeMap<MailboxId, u64>,
}

impl MergeRecord {
    /// The record as a row or the end of a notice. In the first format there were no changes of rights, and there are none at the
    /// end where there are none.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = rows::encode(self);
        row.extend(self.encode_rights());
        row
    }

    /// What stands behind a record, or behind a notice of one.
    pub(crate) fn encode_rights(&self) -> Vec<u8> {
        if self.rights.is_empty() { Vec::new() } else { rows::encode(&self.rights) }
    }

    /// Takes what stands behind the record; whether it was that, and nothing else.
    pub(crate) fn decode_rights(&mut self, rest: &[u8]) -> bool {
        let rights = match rest.is_empty() {
            true => Ok((BTreeMap::new(), rest)),
            false => postcard::take_from_bytes(rest),
        };
        match rights {
            Ok((rights, [])) => {
                self.rights = rights;
                true
            }
            _ => false,
        }
    }

    fn decode(row: &[u8]) -> Result<Self, ArchiveError> {
        let record = postcard::take_from_bytes::<MergeRecord>(row).ok();
        let whole = record.and_then(|(mut record, rest)| record.decode_rights(rest).then_some(record));
        whole.ok_or_else(|| ArchiveError("a row of the table history is damaged".into()))
    }

    /// Whether a node can have told it.
    pub(crate) fn is_valid(&self) -> bool {
        let names = self.mailboxes.values().all(|merge| merge.name.len() <= LONGEST_TEXT);
        let most = self.mailboxes.len().max(self.rights.len());
        names && most <= MOST_MAILBOXES && self.reissues() <= MOST_REISSUES
    }

    /// How many reissues it lists.
    fn reissues(&self) -> usize {
        self.mailboxes.values().map(|merge| merge.reissues.len()).sum()
    }

    fn add(&mut self, event: &Event, account: &Account) {
        let room = MOST_REISSUES.saturating_sub(self.reissues());
        let unit = account.unit(event.mailbox());
        let mailbox = unit.map_or(event.mailbox(), |unit| unit.public);
        if self.mailboxes.len() >= MOST_MAILBOXES && !self.mailboxes.contains_key(&mailbox) {
            return;
        }
        let merge = self.mailboxes.entry(mailbox).or_default();
        if let Some(unit) = unit {
            merge.name.clone_from(&unit.name);
        }
        merge.add(event, room);
        if matches!(event, Event::RightsChanged { .. }) {
            *self.rights.entry(mailbox).or_default() += 1;
        }
    }
}

/// The merges that go on at this node, and how long the past ones are kept.
#[derive(Debug)]
pub(crate) struct History {
    open: BTreeMap<AccountId, OpenMerge>,
    /// In milliseconds.
    retention: u64,
    /// When it is next looked for merges that are too old.
    prune_at: Millis,
}

/// A merge that goes on.
#[derive(Debug)]
struct OpenMerge {
    key: Vec<u8>,
    record: MergeRecord,
    /// By the wall clock, as `last`.
    began: Millis,
    last: Millis,
}

impl OpenMerge {
    /// When it is over, if nothing more comes.
    fn over_at(&self) -> Millis {
        self.last.after(ONE_MERGE_MILLISECONDS).min(self.began.after(LONGEST_MERGE_MILLISECONDS))
    }
}

impl History {
    /// What the tables hold. Merges that another life left are over.
    pub(crate) fn open(reader: &Reader, retention: u64) -> Result<Self, ArchiveError> {
        let mut open = BTreeMap::new();
        for row in reader.prefixed(Table::History, &[]).map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let record = MergeRecord::decode(&value)?;
            let account = key.get(..AccountId::LENGTH).and_then(AccountId::from_slice);
            let account =
                account.ok_or_else(|| ArchiveError("a key of the table history is damaged".into()))?;
            open.insert(account, OpenMerge { key, record, began: Millis(0), last: Millis(0) });
        }
        Ok(History { open, retention, prune_at: Millis(0) })
    }

    /// For how long it is kept what merges did, in milliseconds.
    pub(crate) fn retention(&self) -> u64 {
        self.retention
    }

    /// Keeps what merges did for this many milliseconds.
    pub(crate) fn retain(&mut self, milliseconds: u64) {
        self.retention = milliseconds;
        self.prune_at = Millis(0);
    }

    /// When a merge is over.
    pub(crate) fn poll_timeout(&self) -> Option<Millis> {
        self.open.values().map(OpenMerge::over_at).min()
    }

    /// Puts what a batch merged into the records of its accounts.
    pub(crate) fn write(
        &mut self,
        (batch, reader): (&mut Batch, &Reader),
        notices: &mut Notices,
        now: Millis,
        commit: &Commit,
        accounts: &BTreeMap<AccountId, &Account>,
        foreign: &Foreign<'_>,
    ) -> Result<(), ArchiveError> {
        for changed in &commit.accounts {
            let repaired = |event: &Event| {
                matches!(event, Event::Held { .. } | Event::Reissued { .. } | Event::Bumped { .. })
            };
            let from = foreign.records(commit, changed.account);
            if changed.events.is_empty() || (from.is_empty() && !changed.events.iter().any(repaired)) {
                continue;
            }
            let Some(account) = accounts.get(&changed.account) else { continue };
            let other = |open: &OpenMerge| from.keys().any(|slot| !open.record.from.contains(slot));
            if self.open.get(&changed.account).is_some_and(|open| open.over_at() <= now || other(open)) {
                self.tell((batch, reader), notices, now, changed.account)?;
            }
            let open = self.open.entry(changed.account).or_insert_with(|| {
                let key = rows::key(&[&changed.account.0, &notices.tick(now).bits().to_be_bytes()]);
                OpenMerge { key, record: MergeRecord::default(), began: now, last: now }
            });
            open.last = now;
            open.record.at = commit.last;
            open.record.records += from.values().sum::<u64>();
            open.record.from.extend(from.keys());
            for event in &changed.events {
                open.record.add(event, account);
            }
            batch.put(Table::History, open.key.clone(), open.record.encode());
        }
        Ok(())
    }

    /// Tells what is over, and forgets what is too old.
    pub(crate) fn turn(
        &mut self,
        (batch, reader): (&mut Batch, &Reader),
        notices: &mut Notices,
        now: Millis,
    ) -> Result<(), ArchiveError> {
        let over = self.open.iter().filter(|(_, open)| open.over_at() <= now);
        let over: Vec<AccountId> = over.map(|(account, _)| *account).collect();
        for account in over {
            self.tell((batch, reader), notices, now, account)?;
        }
        if self.prune_at <= now {
            let before = Millis(now.0.saturating_sub(self.retention));
            if notices::forget_before(batch, reader, before)? {
                self.prune_at = now.after(PRUNING_INTERVAL);
            }
        }
        Ok(())
    }

    fn tell(
        &mut self,
        (batch, reader): (&mut Batch, &Reader),
        notices: &mut Notices,
        now: Millis,
        account: AccountId,
    ) -> Result<(), ArchiveError> {
        let Some(open) = self.open.remove(&account) else { return Ok(()) };
        batch.remove(Table::History, open.key);
        notices.tell(batch, reader, now, &Told::Merge(account, open.record))
    }
}

/// Tells whose records of a batch are not this node's own.
pub(crate) struct Foreign<'a> {
    pub(crate) cluster: &'a ClusterState,
    pub(crate) own: Incarnation,
}

impl Foreign<'_> {
    /// How many records of other nodes the batch brought for an account, by node.
    fn records(&self, commit: &Commit, account: AccountId) -> BTreeMap<NodeSlot, u64> {
        let mut counts = BTreeMap::new();
        for record in commit.records.iter().filter(|record| record.incarnation != self.own) {
            let concerned = record.parts().and_then(|(document, _)| document.account()) == Some(account);
            if let Some(slot) = self.cluster.slot_of(&record.incarnation).filter(|_| concerned) {
                *counts.entry(slot).or_default() += 1;
            }
        }
        counts
    }
}

/// A merge, and the node on which it did what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeMerge {
    /// The node.
    pub node: NodeSlot,
    /// What happened there.
    pub merge: MergeRecord,
}

/// The merges of an account on all nodes, as far as they told, the oldest first; of one mailbox if its name is given.
pub fn read(
    reader: &Reader,
    account: AccountId,
    mailbox: Option<&str>,
) -> Result<Vec<NodeMerge>, ArchiveError> {
    let mut records = notices::read_merges(reader, &account)?;
    for row in reader.prefixed(Table::History, &account.0).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        let began = key.last_chunk().copied().map(u64::from_be_bytes).and_then(Timestamp::from_bits);
        let began = began.ok_or_else(|| ArchiveError("a key of the table history is damaged".into()))?;
        records.push((began.slot(), MergeRecord::decode(&value)?));
    }
    let mut merges = Vec::new();
    for (node, mut merge) in records {
        if let Some(name) = mailbox {
            merge.mailboxes.retain(|_, merge| merge.name == name);
        }
        if !merge.mailboxes.is_empty() {
            merges.push(NodeMerge { node, merge });
        }
    }
    merges.sort_by_key(|told| (told.merge.at, told.node));
    Ok(merges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_the_first_format_has_no_changes_of_rights() {
        let mailbox = MailboxId([7; 16]);
        let mut record = MergeRecord { records: 3, ..MergeRecord::default() };
        record.mailboxes.insert(mailbox, MailboxMerge { arrived: 2, ..MailboxMerge::default() });
        assert_eq!(record.encode(), rows::encode(&record));
        assert_eq!(MergeRecord::decode(&record.encode()), Ok(record.clone()));
        record.rights.insert(mailbox, 5);
        let row = record.encode();
        assert_eq!(MergeRecord::decode(&row), Ok(record));
        for damaged in [row.get(..row.len() - 1).expect("shorter"), &[row.as_slice(), &[0]].concat()] {
            assert!(MergeRecord::decode(damaged).is_err());
        }
    }
}
