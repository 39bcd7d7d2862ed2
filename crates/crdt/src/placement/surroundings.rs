//! What the placing of a mailbox's entries depends on outside its account.

use crate::clock::{Millis, Timestamp};
use crate::identity::NodeSlot;
use crate::placement::looks::Looks;
use crate::vector::Vector;

/// What to do about a merge that reorders what clients have seen (`uid.on_reorder`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnReorder {
    /// The messages that came late get new UIDs.
    #[default]
    Reissue,
    /// The mailbox gets a new UIDVALIDITY.
    Bump,
}

/// What an operator decides about UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// `uid.on_reorder`.
    pub on_reorder: OnReorder,
    /// `uid.reissue_limit`: where a merge would reissue more than this share of a mailbox of more than
    /// [`LARGE_MAILBOX`] messages, in percent, the mailbox is bumped instead.
    pub reissue_limit_percent: u8,
}

/// Mailboxes of at most so many messages are never bumped because of their share of reissues.
pub const LARGE_MAILBOX: usize = 1_000;

impl Default for Policy {
    fn default() -> Self {
        Policy { on_reorder: OnReorder::Reissue, reissue_limit_percent: 50 }
    }
}

impl Policy {
    /// Whether so many reissues of a mailbox with so many messages are too many.
    pub(crate) fn is_over_limit(&self, reissues: usize, messages: usize) -> bool {
        messages > LARGE_MAILBOX && reissues * 100 > messages * usize::from(self.reissue_limit_percent)
    }
}

/// The ground on which a life stands (rule 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Nothing is known against it. Losses of other members up to this moment have to be leapt over.
    Firm { loss: Timestamp },
    /// Members have not answered yet: nothing new is shown or placed until this moment, unless it must be.
    Waiting { until: Millis, start: Timestamp, loss: Timestamp },
    /// Not every member has confirmed it: it leaps for its own start, or founds where its last record is too old for that.
    Unconfirmed { start: Timestamp, loss: Timestamp, long_asleep: bool },
    /// Its disk was rolled back: it shows and places nothing new in its slot.
    RolledBack,
}

impl Ground {
    /// When the last member was lost; none where nothing is to be shown.
    pub(crate) fn loss(self) -> Option<Timestamp> {
        match self {
            Ground::Firm { loss } | Ground::Waiting { loss, .. } | Ground::Unconfirmed { loss, .. } => {
                Some(loss)
            }
            Ground::RolledBack => None,
        }
    }
}

/// What the placing of entries depends on, beside the account itself.
pub(crate) struct Surroundings<'a> {
    pub(crate) looks: &'a Looks,
    /// The slots of the members, ascending: ranks in epochs founded now.
    pub(crate) members: &'a [NodeSlot],
    /// What this node has.
    pub(crate) known: &'a Vector,
    pub(crate) ground: Ground,
    /// Until when what a peer brings to a meeting is waited for.
    pub(crate) meeting_until: Option<Millis>,
    /// What was accepted up to then, by this node's peer or by itself, was accepted before the last link came up.
    pub(crate) met: Timestamp,
    pub(crate) policy: Policy,
}
