//! What clients of this node are made to see, told for the merge history.

use serde::{Deserialize, Serialize};

use crate::identity::{EntryId, MailboxId, Uid, Validity};
use crate::operation::FoundingReason;

/// Why a mailbox has another UIDVALIDITY (rule 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BumpReason {
    /// The name was created on two sides: the greater UIDVALIDITY stays.
    BornTwice,
    /// A new epoch was founded.
    Founded(FoundingReason),
}

/// One thing that a merge or a placement did to what this node shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// A message that another node accepted is here, to be seen by whoever looks.
    Arrived {
        /// Where.
        mailbox: MailboxId,
        /// Which.
        entry: EntryId,
    },
    /// A message became visible for the first time.
    Shown {
        /// Where.
        mailbox: MailboxId,
        /// Which.
        entry: EntryId,
        /// As what.
        uid: Uid,
    },
    /// A visible message has other flags.
    Flagged {
        /// Where.
        mailbox: MailboxId,
        /// Which.
        entry: EntryId,
        /// As what.
        uid: Uid,
    },
    /// A visible message is no longer there.
    Gone {
        /// Where.
        mailbox: MailboxId,
        /// Which.
        entry: EntryId,
        /// As what it was visible.
        uid: Uid,
        /// Whether it is in another mailbox now.
        moved: bool,
    },
    /// A message could not be shown at its UID, because clients here had been told a higher UIDNEXT.
    Held {
        /// Where.
        mailbox: MailboxId,
        /// Which.
        entry: EntryId,
        /// The UID that came too late.
        uid: Uid,
    },
    /// A visible message is visible under another UID.
    Reissued {
        /// Where.
        mailbox: MailboxId,
        /// Which.
        entry: EntryId,
        /// The UID that clients knew.
        from: Uid,
        /// The new one.
        to: Uid,
    },
    /// Somebody has other rights to a mailbox.
    RightsChanged {
        /// Which.
        mailbox: MailboxId,
    },
    /// What was visible of a mailbox is void: it has another UIDVALIDITY.
    Bumped {
        /// Which.
        mailbox: MailboxId,
        /// What clients knew.
        from: Validity,
        /// The new one.
        to: Validity,
        /// Why.
        reason: BumpReason,
    },
}

impl Event {
    /// The mailbox that it happened in.
    pub fn mailbox(&self) -> MailboxId {
        match self {
            Event::Arrived { mailbox, .. }
            | Event::Shown { mailbox, .. }
            | Event::Flagged { mailbox, .. }
            | Event::Gone { mailbox, .. }
            | Event::Held { mailbox, .. }
            | Event::Reissued { mailbox, .. }
            | Event::RightsChanged { mailbox }
            | Event::Bumped { mailbox, .. } => *mailbox,
        }
    }
}
