//! What a node's commits made durable: it survives the node, can be copied, and can be put back.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use peerpost_crdt::account::dirty::{Dirty, ENTRY_CHUNK, ROW_CHUNK};
use peerpost_crdt::account::{Account, AccountHead, AccountImage};
use peerpost_crdt::clock::{Millis, Timestamp};
use peerpost_crdt::document::Chain;
use peerpost_crdt::fold::cluster::ClusterState;
use peerpost_crdt::fold::entry::EntryState;
use peerpost_crdt::fold::mailbox::MailboxState;
use peerpost_crdt::identity::{
    AccountId, BodyHash, EntryId, Incarnation, MailboxId, NodeSlot, SegmentId, Uid, Validity,
};
use peerpost_crdt::operation::{DocumentId, LogHash};
use peerpost_crdt::placement::announcement::Announcement;
use peerpost_crdt::placement::shown::{RowImage, ShownHead, ShownImage, row_images};
use peerpost_crdt::record::Record;
use peerpost_crdt::replica::{Archive, ArchiveError, Beginning, Commit, FirmEnd, Replica};
use peerpost_crdt::vector::{Sequence, Vector};

/// What a life found on the disk when it began.
#[derive(Clone)]
pub struct Found(Rc<Kept>);
pub type Life = Replica<Found>;

/// What is kept of the account and of the chains.
#[derive(Clone, Default)]
pub struct Kept {
    head: Option<AccountHead>,
    mailboxes: BTreeMap<MailboxId, MailboxState>,
    segments: BTreeMap<SegmentId, Vec<EntryState>>,
    absent: BTreeSet<EntryId>,
    pub shown: BTreeMap<MailboxId, Shown>,
    touched_by: Vector,
    chains: BTreeMap<(DocumentId, Incarnation), Chain>,
    pub announcements: BTreeMap<(MailboxId, NodeSlot), Announcement>,
}

#[derive(Clone)]
pub struct Shown {
    pub head: ShownHead,
    pub rows: BTreeMap<Uid, RowImage>,
    vanished: Vec<(Timestamp, Uid)>,
}

impl Archive for Found {
    fn account(&self, id: AccountId, here: NodeSlot, now: Millis) -> Result<Option<Account>, ArchiveError> {
        let kept = &self.0;
        let Some(head) = kept.head.clone() else { return Ok(None) };
        let shown = |(mailbox, shown): (&MailboxId, &Shown)| ShownImage {
            mailbox: *mailbox,
            head: shown.head,
            rows: shown.rows.values().copied().collect(),
            vanished: shown.vanished.clone(),
        };
        let image = AccountImage {
            head,
            mailboxes: kept.mailboxes.clone(),
            segments: kept.segments.clone(),
            absent: kept.absent.clone(),
            shown: kept.shown.iter().map(shown).collect(),
            announcements: kept.announcements.values().cloned().collect(),
            touched_by: kept.touched_by.clone(),
        };
        Ok(Some(Account::load(id, here, image, now)))
    }

    fn chain(&self, document: &DocumentId, author: &Incarnation) -> Result<Option<Chain>, ArchiveError> {
        Ok(self.0.chains.get(&(*document, *author)).copied())
    }
}

impl Found {
    pub fn on(disk: &Disk) -> Self {
        Found(Rc::new(disk.kept.clone()))
    }
}

/// One node's disk.
#[derive(Clone)]
pub struct Disk {
    /// The slot in which the next life on it lives.
    pub slot: NodeSlot,
    /// The lives that were written here, in order.
    pub lives: Vec<Incarnation>,
    pub log: BTreeMap<Incarnation, Vec<Record>>,
    pub bodies: BTreeSet<BodyHash>,
    pub kept: Kept,
    pub cluster: ClusterState,
    hashes: BTreeMap<Incarnation, LogHash>,
    pub clock: Timestamp,
    firm: Option<FirmEnd>,
}

impl Disk {
    pub fn empty(slot: NodeSlot) -> Self {
        Disk {
            slot,
            lives: Vec::new(),
            log: BTreeMap::new(),
            bodies: BTreeSet::new(),
            kept: Kept::default(),
            cluster: ClusterState::default(),
            hashes: BTreeMap::new(),
            clock: Timestamp::ZERO,
            firm: None,
        }
    }

    pub fn last(&self, life: &Incarnation) -> Sequence {
        Sequence(self.log.get(life).map_or(0, |records| records.len() as u64))
    }

    /// Of each life that was written here, the last record that a copy has of it, where it does not have all.
    pub fn lost_since(&self, copy: &Disk) -> Vec<(Incarnation, u64)> {
        let lost =
            |life: &Incarnation| (self.last(life) > copy.last(life)).then(|| (*life, copy.last(life).0));
        self.lives.iter().filter_map(lost).collect()
    }

    pub fn vector(&self) -> Vector {
        let mut vector = Vector::new();
        self.log.keys().for_each(|life| vector.raise(*life, self.last(life)));
        vector
    }

    /// The messages in a mailbox that have UIDs of an epoch and bodies here.
    pub fn placed(&self, mailbox: MailboxId, validity: Validity) -> BTreeMap<Uid, EntryId> {
        let loaded = Found::on(self).account(super::world::account(), self.slot, Millis(0));
        let Ok(Some(account)) = loaded else { return BTreeMap::new() };
        let epoch = account.mailbox_state(&mailbox).and_then(|state| state.epoch());
        if epoch.is_none_or(|epoch| epoch.validity != validity) {
            return BTreeMap::new();
        }
        let of_segment = |(segment, entries): (&SegmentId, &[EntryState])| {
            (0..entries.len() as u16).map(|index| EntryId { segment: *segment, index }).collect::<Vec<_>>()
        };
        let here =
            |entry: &EntryId| account.mailbox_of(entry) == Some(mailbox) && !account.absent().contains(entry);
        let entries = account.segments().flat_map(of_segment).filter(here);
        entries.filter_map(|entry| Some((account.uid_of(&entry, mailbox)?, entry))).collect()
    }

    /// Whether a UID lies in a block of the slot on this disk.
    pub fn owns(&self, mailbox: MailboxId, uid: Uid) -> bool {
        let epoch = self.kept.mailboxes.get(&mailbox).and_then(|state| state.epoch());
        epoch.is_some_and(|epoch| epoch.dealing.owns(self.slot, uid))
    }

    /// Up to where UIDs of an epoch are known to reach: a life that begins here leaps from there.
    pub fn reaches(&self, mailbox: MailboxId, validity: Validity) -> Uid {
        let shown = self.kept.shown.get(&mailbox).filter(|shown| shown.head.validity == Some(validity));
        let shown = shown.map_or(Uid(0), |shown| shown.head.announced.max(shown.head.reach.floor));
        let placed = self.kept.mailboxes.get(&mailbox).map_or(Uid(0), |state| state.top(validity));
        let of_epoch = |announcement: &&Announcement| {
            announcement.mailbox == mailbox && announcement.validity == validity
        };
        let announced = self.kept.announcements.values().filter(of_epoch);
        announced.map(|announcement| announcement.uid_next).fold(shown.max(placed), Uid::max)
    }

    /// Up to when each node was heard.
    pub fn heard(&self) -> BTreeMap<NodeSlot, Timestamp> {
        let mut heard: BTreeMap<NodeSlot, Timestamp> = BTreeMap::new();
        for announcement in self.kept.announcements.values() {
            let last = heard.entry(announcement.slot()).or_default();
            *last = announcement.at.max(*last);
        }
        heard
    }

    /// What a life begins with that finds this disk.
    pub fn beginning(&self, continues: bool) -> Beginning {
        Beginning {
            vector: self.vector(),
            cluster: self.cluster.clone(),
            last: self.clock,
            predecessor: self.lives.last().copied(),
            hashes: self.hashes.clone(),
            firm: self.firm.clone(),
            continues,
        }
    }

    /// One batch, whole.
    pub fn write(&mut self, commit: &Commit, life: &Life) {
        for record in &commit.records {
            let records = self.log.entry(record.incarnation).or_default();
            assert_eq!(record.sequence.0, records.len() as u64 + 1, "a log without gaps");
            records.push(record.clone());
        }
        self.hashes.extend(commit.hashes.iter().copied());
        let chain =
            |(document, author, chain): &(DocumentId, Incarnation, Chain)| ((*document, *author), *chain);
        self.kept.chains.extend(commit.chains.iter().map(chain));
        if commit.cluster_changed {
            self.cluster = life.cluster().clone();
        }
        for announcement in &commit.announcements {
            let key = (announcement.mailbox, announcement.slot());
            let known = self.kept.announcements.get(&key);
            if known.is_none_or(|known| known.at < announcement.at) {
                self.kept.announcements.insert(key, announcement.clone());
            }
        }
        for changed in &commit.accounts {
            if let Some(account) = life.loaded().find(|account| account.id() == changed.account) {
                self.kept.write(account, &changed.dirty);
            }
        }
        self.clock = commit.last;
        if let Some(firm) = &commit.firm {
            self.firm.clone_from(firm);
        }
    }
}

impl Kept {
    fn write(&mut self, account: &Account, dirty: &Dirty) {
        if dirty.head {
            self.head = Some(account.head().clone());
        }
        if dirty.touched_by {
            self.touched_by = account.touched_by().clone();
        }
        for mailbox in &dirty.mailboxes {
            if let Some(state) = account.mailbox_state(mailbox) {
                self.mailboxes.insert(*mailbox, state.clone());
            }
        }
        for (segment, chunk) in &dirty.entries {
            let now = account.segment(segment);
            let first = usize::from(*chunk) * usize::from(ENTRY_CHUNK);
            let end = now.len().min(first + usize::from(ENTRY_CHUNK));
            let kept = self.segments.entry(*segment).or_default();
            kept.resize_with(kept.len().max(end), EntryState::default);
            kept[first..end].clone_from_slice(&now[first..end]);
        }
        for (entry, absent) in &dirty.absent {
            match absent {
                true => self.absent.insert(*entry),
                false => self.absent.remove(entry),
            };
        }
        self.write_shown(account, dirty);
    }

    fn write_shown(&mut self, account: &Account, dirty: &Dirty) {
        for mailbox in &dirty.cleared {
            self.shown.remove(mailbox);
        }
        for (mailbox, chunks) in &dirty.shown {
            let view = account.view(*mailbox);
            let head = ShownHead {
                validity: view.validity,
                announced: view.uid_next,
                highest_modseq: view.highest_modseq,
                vanished_floor: view.vanished.floor(),
                reach: account.reach(*mailbox),
            };
            let empty = || Shown { head, rows: BTreeMap::new(), vanished: Vec::new() };
            let shown = self.shown.entry(*mailbox).or_insert_with(empty);
            shown.head = head;
            for chunk in chunks {
                shown.rows.retain(|uid, _| uid.0 / ROW_CHUNK != *chunk);
                shown.rows.extend(row_images(&view.rows, *chunk).into_iter().map(|row| (row.uid, row)));
            }
        }
        for (mailbox, vanished) in &dirty.vanished {
            if let Some(shown) = self.shown.get_mut(mailbox) {
                shown.vanished.extend(vanished);
            }
        }
    }
}
