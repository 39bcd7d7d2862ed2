//! What a batch changed, so that exactly this is written to disk.

use std::collections::{BTreeMap, BTreeSet};

use crate::identity::{EntryId, MailboxId, SegmentId, Uid};

/// The entries that are stored together.
pub const ENTRY_CHUNK: u16 = 32;
/// The UIDs whose rows are stored together.
pub const ROW_CHUNK: u32 = 64;

/// What a batch changed of one account.
#[derive(Clone, Debug, Default)]
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
    /// Entries whose bodies are known to be missing, or here, since.
    pub absent: BTreeMap<EntryId, bool>,
    /// Whether mailboxes or subscriptions look different to clients.
    pub listing: bool,
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
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        !self.head
            && !self.listing
            && self.mailboxes.is_empty()
            && self.entries.is_empty()
            && self.shown.is_empty()
            && self.cleared.is_empty()
            && self.absent.is_empty()
    }
}
