//! MODSEQ between nodes (RFC 7162): a client that was at another node brings a value of that node.
//!
//! Every node stamps changes when they become visible on it, so values of two nodes say nothing of each other. A peer tells
//! "at my value, these records were visible here". Its value then means the largest own value before which nothing
//! was visible here but effects of those records: the client may hear some things twice, and misses nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::identity::{Incarnation, NodeSlot};
use crate::left_out::{LeftOut, leaves_out};
use crate::vector::{Sequence, Vector};

/// The most own values of a mailbox that are remembered with what was visible at them.
const MOST_CHECKPOINTS: usize = 128;
/// The most values of one peer for a mailbox whose meaning is remembered.
const MOST_VALUES: usize = 64;

/// What values of other nodes mean in one mailbox on this node. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignValues(Arc<BTreeMap<NodeSlot, OfPeer>>);

/// What clients' values mean decides nothing that a replica does: states that differ in it alone have one hash.
impl Hash for ForeignValues {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// The values of one life of a peer, ascending, each with the own value that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OfPeer {
    incarnation: Incarnation,
    values: VecDeque<(Timestamp, Timestamp)>,
    /// The last value of which anything is known.
    until: Timestamp,
}

impl OfPeer {
    fn begin(incarnation: Incarnation) -> Self {
        OfPeer { incarnation, values: VecDeque::new(), until: Timestamp::ZERO }
    }
}

impl ForeignValues {
    /// The own value that a value of another node stands for; zero where nothing is known of it.
    ///
    /// Nothing is known of values above the last one that was told: a client that brings one may have seen effects of records
    /// that are not here, or comes from a life whose disk was rolled back.
    pub fn translate(&self, value: Timestamp) -> Timestamp {
        if leaves_out(LeftOut::Translation) {
            return value;
        }
        let is_told = |peer: &&OfPeer| value <= peer.until || leaves_out(LeftOut::ToldValues);
        let peer = self.0.get(&value.slot()).filter(is_told);
        let Some(peer) = peer else { return Timestamp::ZERO };
        let below = peer.values.partition_point(|(theirs, _)| *theirs <= value);
        let known = below.checked_sub(1).and_then(|place| peer.values.get(place));
        known.map_or(Timestamp::ZERO, |(_, ours)| *ours)
    }

    /// Whether it is known already what this value of a peer stands for, or a later one of the same life.
    pub(crate) fn knows(&self, incarnation: Incarnation, theirs: Timestamp) -> bool {
        let known = self.0.get(&theirs.slot()).filter(|peer| peer.incarnation == incarnation);
        known.is_some_and(|peer| theirs <= peer.until)
    }

    /// Takes note of what a peer's value stands for. What an earlier life of the peer said is forgotten. Tells whether
    /// anything is new.
    fn learn(&mut self, incarnation: Incarnation, theirs: Timestamp, ours: Timestamp) -> bool {
        let known = self.0.get(&theirs.slot()).filter(|peer| peer.incarnation == incarnation);
        let meaning = known.and_then(|peer| peer.values.back()).map_or(Timestamp::ZERO, |(_, ours)| *ours);
        if self.knows(incarnation, theirs) || ours < meaning {
            return false;
        }
        let peers = Arc::make_mut(&mut self.0);
        let peer = peers.entry(theirs.slot()).or_insert_with(|| OfPeer::begin(incarnation));
        if peer.incarnation != incarnation {
            *peer = OfPeer::begin(incarnation);
        }
        peer.until = theirs;
        if ours > meaning {
            if peer.values.len() == MOST_VALUES {
                peer.values.pop_front();
            }
            peer.values.push_back((theirs, ours));
        }
        true
    }

    /// Slots in which two lives continue from one: which of them issued a value cannot be told. Tells whether anything was known.
    pub(crate) fn forget(&mut self, slots: &BTreeSet<NodeSlot>) -> bool {
        let known = self.0.keys().any(|slot| slots.contains(slot));
        if known {
            Arc::make_mut(&mut self.0).retain(|slot, _| !slots.contains(slot));
        }
        known
    }
}

/// What was visible in one mailbox on this node at which of its own values.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnValues {
    /// At this value nothing was visible but effects of these records.
    first: (Timestamp, Vector),
    /// Later values, ascending, with the records that came in between.
    later: VecDeque<(Timestamp, Vec<(Incarnation, Sequence)>)>,
    /// Everything up to the last of them.
    last: Vector,
}

/// It serves [`ForeignValues`] alone.
impl Hash for OwnValues {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl OwnValues {
    /// The values of a mailbox that stands at `value` when everything that ever touched its account is `touched`.
    pub(crate) fn begin(value: Timestamp, touched: Vector) -> Self {
        OwnValues { first: (value, touched.clone()), later: VecDeque::new(), last: touched }
    }

    /// At this value everything visible is an effect of these records.
    pub(crate) fn checkpoint(&mut self, value: Timestamp, touched: &Vector) {
        let latest = self.later.back().map_or(self.first.0, |(value, _)| *value);
        if value <= latest {
            return;
        }
        let new = |(incarnation, sequence): &(Incarnation, Sequence)| *sequence > self.last.last(incarnation);
        let raised: Vec<_> = touched.iter().filter(new).collect();
        self.last.join(touched);
        self.later.push_back((value, raised));
        if self.later.len() > MOST_CHECKPOINTS
            && let Some((value, raised)) = self.later.pop_front()
        {
            self.first.0 = value;
            raised.into_iter().for_each(|(incarnation, sequence)| self.first.1.raise(incarnation, sequence));
        }
    }

    /// The largest own value before which nothing was visible but effects of `visible`.
    fn covered_by(&self, visible: &Vector) -> Option<Timestamp> {
        if !visible.covers(&self.first.1) {
            return None;
        }
        let covered = |raised: &[(Incarnation, Sequence)]| {
            raised.iter().all(|(incarnation, sequence)| visible.last(incarnation) >= *sequence)
        };
        let within = self.later.iter().take_while(|(_, raised)| covered(raised));
        Some(within.last().map_or(self.first.0, |(value, _)| *value))
    }

    /// Works out what a peer's value stands for, given what was visible there. Tells whether anything new was learnt.
    pub(crate) fn learn(
        &self,
        foreign: &mut ForeignValues,
        incarnation: Incarnation,
        theirs: Timestamp,
        visible: &Vector,
    ) -> bool {
        self.covered_by(visible).is_some_and(|ours| foreign.learn(incarnation, theirs, ours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;

    const HERE: u8 = 1;
    const THERE: u8 = 2;

    fn value(slot: u8, millis: u64) -> Timestamp {
        Timestamp::from_parts(Millis(millis), 0, NodeSlot::new(slot).expect("a slot"))
    }

    fn vector(parts: &[(u8, u64)]) -> Vector {
        let mut vector = Vector::new();
        parts.iter().for_each(|(life, last)| vector.raise(Incarnation([*life; 16]), Sequence(*last)));
        vector
    }

    fn own() -> OwnValues {
        let mut own = OwnValues::begin(Timestamp::ZERO, Vector::new());
        own.checkpoint(value(HERE, 10), &vector(&[(1, 1)]));
        own.checkpoint(value(HERE, 20), &vector(&[(1, 1), (2, 5)]));
        own.checkpoint(value(HERE, 30), &vector(&[(1, 3), (2, 5)]));
        own
    }

    #[test]
    fn a_value_stands_for_the_last_moment_at_which_nothing_else_was_visible() {
        let life = Incarnation([2; 16]);
        for (visible, ours) in [
            (vector(&[]), 0),
            (vector(&[(1, 1)]), 10),
            (vector(&[(1, 2), (2, 9)]), 20),
            // More than was visible here at the end, and yet not everything of the middle.
            (vector(&[(1, 9), (2, 4)]), 10),
            (vector(&[(1, 3), (2, 5)]), 30),
        ] {
            let mut foreign = ForeignValues::default();
            own().learn(&mut foreign, life, value(THERE, 100), &visible);
            let expected = if ours == 0 { Timestamp::ZERO } else { value(HERE, ours) };
            assert_eq!(foreign.translate(value(THERE, 100)), expected, "{visible:?}");
            assert_eq!(
                foreign.translate(value(THERE, 170)),
                Timestamp::ZERO,
                "it may have seen what is not here"
            );
            assert_eq!(foreign.translate(value(THERE, 99)), Timestamp::ZERO);
            assert_eq!(foreign.translate(value(3, 100)), Timestamp::ZERO, "an unknown issuer");
        }
    }

    #[test]
    fn another_life_of_the_peer_starts_anew() {
        let mut foreign = ForeignValues::default();
        let (one, two) = (Incarnation([2; 16]), Incarnation([3; 16]));
        own().learn(&mut foreign, one, value(THERE, 100), &vector(&[(1, 3), (2, 5)]));
        own().learn(&mut foreign, two, value(THERE, 200), &vector(&[(1, 1)]));
        assert_eq!(foreign.translate(value(THERE, 100)), Timestamp::ZERO);
        assert_eq!(foreign.translate(value(THERE, 200)), value(HERE, 10));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_stays_sound() {
        let mut own = OwnValues::begin(Timestamp::ZERO, Vector::new());
        let mut foreign = ForeignValues::default();
        for n in 1..1_000 {
            own.checkpoint(value(HERE, n), &vector(&[(1, n)]));
            own.learn(
                &mut foreign,
                Incarnation([2; 16]),
                value(THERE, n),
                &vector(&[(1, n.saturating_sub(2))]),
            );
        }
        assert!(own.later.len() <= MOST_CHECKPOINTS);
        assert_eq!(foreign.translate(value(THERE, 999)), value(HERE, 997));
        assert_eq!(
            foreign.translate(value(THERE, 500)),
            Timestamp::ZERO,
            "forgotten, and so counted as nothing"
        );
        let mut late = ForeignValues::default();
        own.learn(&mut late, Incarnation([2; 16]), value(THERE, 5), &vector(&[(1, 5)]));
        assert_eq!(late.translate(value(THERE, 5)), Timestamp::ZERO);
    }
}
