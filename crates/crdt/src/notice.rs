//! Notices: small things that a node tells of itself beside the log, which others keep and pass on.
//!
//! What a notice says is no matter of those who carry it. A newer notice may supersede an older one of its author, which
//! is then forgotten everywhere; so the notices of a node have moments, and whoever has heard it up to a moment
//! lacks nothing of it before that but what was superseded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::identity::NodeSlot;

/// The longest notice, in octets.
pub const LONGEST_NOTICE: usize = 2 * 1024 * 1024;

/// One thing that a node told of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When, by the author: above all its notices before.
    pub at: Timestamp,
    /// What; at most [`LONGEST_NOTICE`] octets.
    pub bytes: Vec<u8>,
}

/// A part of what one node told, with nothing left out but what was superseded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telling {
    /// Who told it.
    pub slot: NodeSlot,
    /// It begins after this moment.
    pub after: Timestamp,
    /// It ends with this moment, above the one before.
    pub until: Timestamp,
    /// What was told in between, in order.
    pub notices: Vec<Notice>,
}

/// Why something cannot be part of what a node told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// A moment is none of the node's.
    #[error("a notice of slot {0} has a moment of another node")]
    OtherNode(NodeSlot),
    /// The moments do not rise.
    #[error("the notices of slot {0} are out of order")]
    OutOfOrder(NodeSlot),
    /// A notice is too long.
    #[error("a notice of slot {0} has more than {LONGEST_NOTICE} octets")]
    TooLong(NodeSlot),
}

impl Telling {
    /// Checks lengths, authors and order.
    pub fn check(&self) -> Result<(), NoticeError> {
        let slot = self.slot;
        let own = |at: Timestamp| at.slot() == slot && Timestamp::from_bits(at.bits()).is_some();
        if !own(self.until) || !(own(self.after) || self.after == Timestamp::ZERO) {
            return Err(NoticeError::OtherNode(slot));
        }
        let mut last = self.after;
        for notice in &self.notices {
            if !own(notice.at) {
                return Err(NoticeError::OtherNode(slot));
            }
            if notice.at <= last {
                return Err(NoticeError::OutOfOrder(slot));
            }
            if notice.bytes.len() > LONGEST_NOTICE {
                return Err(NoticeError::TooLong(slot));
            }
            last = notice.at;
        }
        if self.after < self.until && last <= self.until {
            Ok(())
        } else {
            Err(NoticeError::OutOfOrder(slot))
        }
    }
}

/// Up to which moment a node has heard each other, itself included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard(BTreeMap<NodeSlot, Timestamp>);

impl Heard {
    /// Nothing was heard of anybody.
    pub fn new() -> Self {
        Heard::default()
    }

    /// Up to when a node was heard; zero where it never was.
    pub fn last(&self, slot: NodeSlot) -> Timestamp {
        self.0.get(&slot).copied().unwrap_or(Timestamp::ZERO)
    }

    /// Takes note that a node was heard up to this moment.
    pub fn raise(&mut self, slot: NodeSlot, at: Timestamp) {
        if at > Timestamp::ZERO {
            let last = self.0.entry(slot).or_default();
            *last = at.max(*last);
        }
    }

    /// Takes note of everything that `other` has heard.
    pub fn join(&mut self, other: &Heard) {
        other.iter().for_each(|(slot, at)| self.raise(slot, at));
    }

    /// Whether everything that `other` has heard was heard here.
    pub fn covers(&self, other: &Heard) -> bool {
        other.iter().all(|(slot, at)| self.last(slot) >= at)
    }

    /// The nodes that were heard, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (NodeSlot, Timestamp)> + '_ {
        self.0.iter().map(|(slot, at)| (*slot, *at))
    }

    /// Whether nobody was heard.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that every moment is one of its node.
    pub fn check(&self) -> Result<(), NoticeError> {
        let own = |slot, at: Timestamp| at.slot() == slot && Timestamp::from_bits(at.bits()).is_some();
        match self.iter().find(|(slot, at)| !own(*slot, *at)) {
            Some((slot, _)) => Err(NoticeError::OtherNode(slot)),
            None => Ok(()),
        }
    }
}

impl From<Heard> for BTreeMap<NodeSlot, Timestamp> {
    fn from(heard: Heard) -> Self {
        heard.0
    }
}

impl From<BTreeMap<NodeSlot, Timestamp>> for Heard {
    fn from(heard: BTreeMap<NodeSlot, Timestamp>) -> Self {
        Heard(heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;

    fn at(millis: u64, slot: u8) -> Timestamp {
        Timestamp::from_parts(Millis(millis), 0, NodeSlot::new(slot).expect("a slot"))
    }

    fn telling(after: Timestamp, until: Timestamp, notices: &[Timestamp]) -> Telling {
        let notice = |at: &Timestamp| Notice { at: *at, bytes: vec![1] };
        let slot = NodeSlot::new(3).expect("a slot");
        Telling { slot, after, until, notices: notices.iter().map(notice).collect() }
    }

    #[test]
    fn a_telling_rises_within_its_bounds() {
        let slot = NodeSlot::new(3).expect("a slot");
        assert_eq!(telling(Timestamp::ZERO, at(9, 3), &[at(4, 3), at(9, 3)]).check(), Ok(()));
        // Everything in between may have been superseded.
        assert_eq!(telling(at(4, 3), at(9, 3), &[]).check(), Ok(()));
        let out_of_order = [
            telling(at(4, 3), at(9, 3), &[at(4, 3)]),
            telling(at(4, 3), at(9, 3), &[at(6, 3), at(5, 3)]),
            telling(at(4, 3), at(9, 3), &[at(10, 3)]),
            telling(at(4, 3), at(4, 3), &[]),
        ];
        for telling in out_of_order {
            assert_eq!(telling.check(), Err(NoticeError::OutOfOrder(slot)), "{telling:?}");
        }
        for telling in [
            telling(at(4, 2), at(9, 3), &[]),
            telling(at(4, 3), at(9, 2), &[]),
            telling(at(4, 3), at(9, 3), &[at(5, 4)]),
        ] {
            assert_eq!(telling.check(), Err(NoticeError::OtherNode(slot)), "{telling:?}");
        }
        let mut long = telling(at(4, 3), at(9, 3), &[at(5, 3)]);
        long.notices[0].bytes = vec![0; LONGEST_NOTICE + 1];
        assert_eq!(long.check(), Err(NoticeError::TooLong(slot)));
    }

    #[test]
    fn hearing_only_grows() {
        let (one, two) = (NodeSlot::new(1).expect("a slot"), NodeSlot::new(2).expect("a slot"));
        let mut heard = Heard::new();
        heard.raise(one, at(5, 1));
        heard.raise(one, at(4, 1));
        let mut other = Heard::new();
        other.raise(two, at(7, 2));
        assert!(!heard.covers(&other) && heard.covers(&Heard::new()));
        heard.join(&other);
        assert!(heard.covers(&other) && heard.last(one) == at(5, 1));
        assert_eq!(heard.check(), Ok(()));
        heard.raise(one, at(9, 2));
        assert_eq!(heard.check(), Err(NoticeError::OtherNode(one)));
    }
}
