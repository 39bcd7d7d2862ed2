//! What a batch changed, so that exactly this is written to disk.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Timestamp;
use crate::identity::{EntryId, MailboxId, SegmentId, Uid};

/// The entries that are stored together.
pub const ENTRY_CHUNK: u16 = 32;
/// The UIDs whose rows are stored together.
pub const ROW_CHUNK: u32 = 64;

/// What a batch changed of one account.
#[derive(Clone, Debug, Default, Hash)]
pub struct Dirty {
    /// The account itself.
    pub head: bool,
    /// Folded states of mailboxes.
    pub mailboxes: BTreeSet<MailboxId>,
    /// Chunks of entries: the segment, and the index divided by [`ENTRY_CHUNK`].
    pub entries: BTreeSet<(SegmentId, u16)>,
    /// What is shown: mailboxes by public identity, with the chunks of UIDs (divided by [`ROW_CHUNK`]) that changed.
    pub shown: BTreeMap<MailboxId, BTreeSet<u32>>,
    /// Mailboxes of which nothing that was shown before is shown any more.
    pub cleared: BTreeSet<MailboxId>,
    /// UIDs that vanished, with their MODSEQs, in ascending order of MODSEQ.
    pub vanished: BTreeMap<MailboxId, Vec<(Timestamp, Uid)>>,
    /// Mailboxes of which older vanished UIDs are forgotten: those up to this MODSEQ.
    pub forgotten: BTreeMap<MailboxId, Timestamp>,
    /// Entries whose bodies are known to be missing, or here, since.
    pub absent: BTreeMap<EntryId, bool>,
    /// Whether mailboxes or subscriptions look different to clients.
    pub listing: bool,
    /// Mailboxes in which values of other nodes mean something new; it is not stored.
    pub foreign: BTreeSet<MailboxId>,
    /// Mailboxes in which something waits to be shown, since; it is not stored.
    pub waiting: BTreeSet<MailboxId>,
    /// Whether records concerned the account.
    pub touched_by: bool,
}

impl Dirty {
    pub(crate) fn entry(&mut self, entry: EntryId) {
        self.entries.insert((entry.segment, entry.index / ENTRY_CHUNK));
    }

    pub(crate) fn row(&mut self, mailbox: MailboxId, uid: Uid) {
        self.shown.entry(mailbox).or_default().insert(uid.0 / ROW_CHUNK);
    }

    pub(crate) fn clear(&mut self, mailbox: MailboxId) {
        self.cleared.insert(mailbox);
        self.shown.insert(mailbox, BTreeSet::new());
        self.vanished.remove(&mailbox);
        self.forgotten.remove(&mailbox);
    }

    /// A UID vanished; where older ones were forgotten for it, `floor` is the last of them.
    pub(crate) fn vanish(
        &mut self,
        mailbox: MailboxId,
        modseq: Timestamp,
        uid: Uid,
        floor: Option<Timestamp>,
    ) {
        self.vanished.entry(mailbox).or_default().push((modseq, uid));
        if let Some(floor) = floor {
            self.forgotten.insert(mailbox, floor);
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        !self.head
            && !self.listing
            && !self.touched_by
            && self.foreign.is_empty()
            && self.mailboxes.is_empty()
            && self.entries.is_empty()
            && self.shown.is_empty()
            && self.cleared.is_empty()
            && self.vanished.is_empty()
            && self.absent.is_empty()
    }
}
