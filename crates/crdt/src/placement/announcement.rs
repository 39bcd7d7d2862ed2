//! What a node tells the others of what it told clients of a mailbox (rule 6).

use serde::{Deserialize, Serialize};

use crate::clock::{HybridClock, Millis, Timestamp};
use crate::identity::{AccountId, Incarnation, MailboxId, NodeSlot, Uid, Validity};
use crate::vector::{Sequence, Vector};

/// The most lives that an announcement may name.
const MOST_LIVES: usize = 10_000;

/// What one node had told clients of one mailbox at one moment. Of several of one node for one mailbox the newest counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Announcement {
    /// The account.
    pub account: AccountId,
    /// The mailbox, by its public identity on that node.
    pub mailbox: MailboxId,
    /// The life that tells it.
    pub incarnation: Incarnation,
    /// When; later announcements of one node have later moments. Its slot is the node's.
    pub at: Timestamp,
    /// UIDVALIDITY.
    pub validity: Validity,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// HIGHESTMODSEQ.
    pub modseq: Timestamp,
    /// Records of the account whose effects on this mailbox clients of that node could see by then, as far as it knows.
    pub visible: Vector,
    /// How far it had more records of the account, where something waited: effects of those may have been visible as well.
    pub beyond: Vector,
}

impl Announcement {
    /// The node that tells it.
    pub fn slot(&self) -> NodeSlot {
        self.at.slot()
    }

    /// What clients were told: UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ.
    pub(crate) fn told(&self) -> (Validity, Uid, Timestamp) {
        (self.validity, self.uid_next, self.modseq)
    }

    /// The records for which what it tells stands: those whose effects were visible, or, as after a start its author does not know what
    /// an entry waits for and tells none as visible, all that it had.
    pub(crate) fn may_show(&self) -> &Vector {
        if self.visible.is_empty() { &self.beyond } else { &self.visible }
    }

    /// Whether its author had told clients more, or something else, when it announced `before`.
    pub(crate) fn falls_behind(&self, before: &Announcement) -> bool {
        let of_epoch = self.uid_next < before.uid_next || self.modseq < before.modseq;
        self.validity < before.validity || self.validity == before.validity && of_epoch
    }

    /// Whether all fields are within bounds, and no moment lies so far ahead of `now` that a clock must be wrong.
    pub fn is_valid(&self, now: Millis) -> bool {
        let uids = self.uid_next >= Uid::FIRST && self.uid_next <= Uid::GREATEST.next();
        let times = !HybridClock::is_ahead(self.at, now) && !HybridClock::is_ahead(self.modseq, now);
        let is_bounded = |vector: &Vector| {
            vector.len() <= MOST_LIVES && vector.iter().all(|(_, sequence)| sequence < Sequence(u64::MAX))
        };
        let lives = is_bounded(&self.visible) && is_bounded(&self.beyond);
        uids && times && lives && self.validity.0 > 0
    }
}
