//! Notices in the tables: what nodes told of themselves, own and foreign, kept as they were told and passed on.
//!
//! There are three kinds. Of the announcements of one node for one mailbox the newest counts, and takes the place of the one before;
//! so it is with what a node says of the life of another, which thereby reaches nodes that have no link to it. What merges did is kept by number and age, each node by itself. Everything is written with the commit of the batch that brought it.

mod merges;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use crdt::clock::{HybridClock, Millis, Timestamp};
use crdt::identity::{AccountId, Incarnation, NodeSlot};
use crdt::left_out::{LeftOut, leaves_out};
use crdt::notice::{Heard, LONGEST_NOTICE, NoticeError, Telling};
use crdt::placement::announcement::Announcement;
use crdt::replica::{ArchiveError, Verdict};
use serde::{Deserialize, Serialize};
use storage::{Batch, Reader, Table};

use crate::history::MergeRecord;
use crate::rows::{self, failed, key};

pub use merges::MOST_MERGES;
pub(crate) use merges::forget_before;
pub(crate) use read::merges as read_merges;
pub use read::{announcements, read_heard, since};

/// Before the slot, in [`Table::Meta`]: up to when that node was heard.
const HEARD: &[u8] = b"heard:";

/// What a notice says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// What clients of a mailbox were told.
    Announcement(Announcement),
    /// What a merge did to what clients of an account see.
    Merge(AccountId, MergeRecord),
    /// What the author has to say of the latest life of another node.
    Verdict(Judged),
}

impl Told {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = rows::encode(self);
        if let Told::Merge(_, merge) = self {
            bytes.extend(merge.encode_rights());
        }
        bytes
    }

    /// What these octets say, if it is a notice and nothing else.
    fn decode(bytes: &[u8]) -> Option<Told> {
        let (mut told, rest) = postcard::take_from_bytes::<Told>(bytes).ok()?;
        let whole = match &mut told {
            Told::Merge(_, merge) => merge.decode_rights(rest),
            Told::Announcement(_) | Told::Verdict(_) => rest.is_empty(),
        };
        whole.then_some(told)
    }
}

/// What a node says of a life of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The slot that the life lives in.
    pub slot: NodeSlot,
    /// The life.
    pub life: Incarnation,
    /// What is said.
    pub verdict: Verdict,
}

/// Why nothing of what a peer passed on was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HearError {
    /// It cannot have been told.
    #[error(transparent)]
    Impossible(#[from] NoticeError),
    /// Something before it was not heard.
    #[error("what slot {slot} told begins after {after}, and it was heard up to {heard} here")]
    Gap {
        /// Whose notices.
        slot: NodeSlot,
        /// Where they begin.
        after: Timestamp,
        /// What is here.
        heard: Timestamp,
    },
    /// The author's clock is more than five minutes ahead.
    #[error(
        "slot {0} told something more than five minutes ahead of this node's clock: set the clocks right"
    )]
    ClockAhead(NodeSlot),
    /// The octets are no notice, or one that the author cannot have meant.
    #[error("a notice of slot {0} is malformed")]
    Malformed(NodeSlot),
    /// The tables could not be read, or nothing became durable.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Writes notices into batches, and knows up to when each node was heard.
#[derive(Debug)]
pub(crate) struct Notices {
    slot: NodeSlot,
    /// The present batch included.
    heard: Heard,
    /// Gives the moments of own notices.
    clock: HybridClock,
    /// The newest of the present batch, by the row that leads to it.
    newest: BTreeMap<(Table, Vec<u8>), Timestamp>,
    /// The merges of the present batch.
    merges: BTreeMap<(AccountId, NodeSlot), BTreeSet<Timestamp>>,
    /// Who was heard in the present batch.
    changed: BTreeSet<NodeSlot>,
}

/// What was new in what a peer passed on.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) announcements: Vec<Announcement>,
    /// With the node that says it.
    pub(crate) verdicts: Vec<(NodeSlot, Judged)>,
}

impl Notices {
    /// What the tables hold.
    pub(crate) fn open(reader: &Reader, slot: NodeSlot) -> Result<Self, ArchiveError> {
        let heard = read_heard(reader)?;
        let clock = HybridClock::new(slot, heard.last(slot));
        let (newest, merges, changed) = Default::default();
        Ok(Notices { slot, heard, clock, newest, merges, changed })
    }

    /// The slot of this node.
    pub(crate) fn slot(&self) -> NodeSlot {
        self.slot
    }

    /// Up to when each node was heard, the present batch included.
    pub(crate) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// A peer has heard this of this very node: what this node tells from now on is later, also where its disk was rolled back.
    pub(crate) fn observe(&mut self, at: Timestamp, now: Millis) {
        if !HybridClock::is_ahead(at, now) {
            self.clock.observe(at);
        }
    }

    /// A moment of this node, later than all its notices.
    pub(crate) fn tick(&mut self, now: Millis) -> Timestamp {
        self.clock.observe(self.heard.last(self.slot));
        self.clock.tick(now)
    }

    /// Tells something of this node.
    pub(crate) fn tell(
        &mut self,
        batch: &mut Batch,
        reader: &Reader,
        now: Millis,
        told: &Told,
    ) -> Result<(), ArchiveError> {
        let bytes = told.encode();
        if bytes.len() > LONGEST_NOTICE {
            tracing::error!(
                octets = bytes.len(),
                "a notice is too long to be told; other nodes do without it"
            );
            return Ok(());
        }
        let at = self.tick(now);
        self.put(batch, reader, (self.slot, at), told, bytes)?;
        self.heard.raise(self.slot, at);
        self.changed.insert(self.slot);
        Ok(())
    }

    /// Keeps what a peer passed on: all of it or, where something in it is wrong, nothing.
    pub(crate) fn hear(
        &mut self,
        batch: &mut Batch,
        reader: &Reader,
        now: Millis,
        tellings: Vec<Telling>,
    ) -> Result<Taken, HearError> {
        let mut heard = self.heard.clone();
        let mut checked = Vec::new();
        for telling in tellings {
            telling.check()?;
            let (slot, until) = (telling.slot, telling.until);
            checked.extend(check(&heard, telling, now)?);
            heard.raise(slot, until);
        }
        let mut taken = Taken::default();
        for Checked { slot, at, told, bytes } in checked {
            self.put(batch, reader, (slot, at), &told, bytes)?;
            match told {
                Told::Announcement(announcement) => taken.announcements.push(announcement),
                Told::Verdict(judged) => taken.verdicts.push((slot, judged)),
                Told::Merge(..) => {}
            }
        }
        let risen = heard.iter().filter(|(slot, until)| *until > self.heard.last(*slot));
        self.changed.extend(risen.map(|(slot, _)| slot));
        self.heard = heard;
        Ok(taken)
    }

    /// Ends the batch: everything that was heard in it, and what had to make room.
    pub(crate) fn finish(&mut self, batch: &mut Batch, reader: &Reader) -> Result<bool, ArchiveError> {
        for ((account, slot), added) in std::mem::take(&mut self.merges) {
            merges::bound(batch, reader, &account, slot, &added)?;
        }
        self.newest.clear();
        let changed = std::mem::take(&mut self.changed);
        for slot in &changed {
            let at = self.heard.last(*slot).bits().to_be_bytes();
            batch.put(Table::Meta, key(&[HEARD, &[slot.number()]]), at);
        }
        Ok(!changed.is_empty())
    }

    fn put(
        &mut self,
        batch: &mut Batch,
        reader: &Reader,
        (slot, at): (NodeSlot, Timestamp),
        told: &Told,
        bytes: Vec<u8>,
    ) -> Result<(), ArchiveError> {
        batch.put(Table::Notices, notice_key(slot, at), bytes);
        match told {
            Told::Announcement(Announcement { account, mailbox, .. }) => {
                let row = key(&[&account.0, &mailbox.0, &[slot.number()]]);
                self.supersede((batch, reader), Table::Announcements, row, (slot, at))?;
            }
            Told::Verdict(judged) => {
                let row = vec![judged.slot.number(), slot.number()];
                self.supersede((batch, reader), Table::Verdicts, row, (slot, at))?;
            }
            Told::Merge(account, _) => {
                batch.put(Table::Merges, merge_key(account, slot, at), vec![]);
                self.merges.entry((*account, slot)).or_default().insert(at);
            }
        }
        Ok(())
    }

    /// Lets a row lead to a notice; the one that it led to before is forgotten.
    fn supersede(
        &mut self,
        (batch, reader): (&mut Batch, &Reader),
        table: Table,
        row: Vec<u8>,
        (slot, at): (NodeSlot, Timestamp),
    ) -> Result<(), ArchiveError> {
        let before = match self.newest.insert((table, row.clone()), at) {
            Some(before) => Some(before),
            None => reader.get(table, &row).map_err(failed)?.and_then(read::timestamp),
        };
        if let Some(before) = before {
            batch.remove(Table::Notices, notice_key(slot, before));
        }
        batch.put(table, row, at.bits().to_be_bytes());
        Ok(())
    }
}

/// A notice that may be kept.
struct Checked {
    slot: NodeSlot,
    at: Timestamp,
    told: Told,
    bytes: Vec<u8>,
}

/// What is new in a telling, checked.
fn check(heard: &Heard, telling: Telling, now: Millis) -> Result<Vec<Checked>, HearError> {
    let (slot, known) = (telling.slot, heard.last(telling.slot));
    if telling.after > known && !leaves_out(LeftOut::NoticesWithoutGap) {
        return Err(HearError::Gap { slot, after: telling.after, heard: known });
    }
    if HybridClock::is_ahead(telling.until, now) {
        return Err(HearError::ClockAhead(slot));
    }
    let mut new = Vec::new();
    for notice in telling.notices.into_iter().filter(|notice| notice.at > known) {
        let told = Told::decode(&notice.bytes).ok_or(HearError::Malformed(slot))?;
        let meant = match &told {
            Told::Announcement(announcement) => announcement.slot() == slot && announcement.is_valid(now),
            Told::Merge(_, merge) => merge.is_valid(),
            Told::Verdict(judged) => judged.slot != slot,
        };
        if !meant {
            return Err(HearError::Malformed(slot));
        }
        new.push(Checked { slot, at: notice.at, told, bytes: notice.bytes });
    }
    Ok(new)
}

fn notice_key(slot: NodeSlot, at: Timestamp) -> Vec<u8> {
    key(&[&[slot.number()], &at.bits().to_be_bytes()])
}

fn merge_key(account: &AccountId, slot: NodeSlot, at: Timestamp) -> Vec<u8> {
    key(&[&account.0, &[slot.number()], &at.bits().to_be_bytes()])
}
