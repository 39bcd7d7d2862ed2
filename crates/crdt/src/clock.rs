//! Hybrid logical time: wall clock and causality in one 63-bit number.
//!
//! Kulkarni and others, "Logical Physical Clocks and Consistent Snapshots in Globally Distributed Databases" (2014).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::{Incarnation, NodeSlot};
use crate::left_out::{LeftOut, leaves_out};

/// Milliseconds of wall time since 1970, as the shell reads it; the core never looks at a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millis(pub u64);

impl Millis {
    /// The moment this many milliseconds later.
    pub fn after(self, milliseconds: u64) -> Millis {
        Millis(self.0.saturating_add(milliseconds))
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

/// How far ahead of our own a peer's clock may be before its operations are refused, in milliseconds.
pub const GREATEST_SKEW_MILLISECONDS: u64 = 5 * 60 * 1000;

const SLOT_BITS: u32 = 7;
const COUNTER_BITS: u32 = 12;
const GREATEST_MILLIS: u64 = (1 << 44) - 1;

/// A moment of hybrid logical time: 44 bits of milliseconds, 12 of counter, 7 of slot, below 2^63.
///
/// The same layout serves as MODSEQ (RFC 7162 section 3.1: positive, 63 bits), so that any node can tell who issued one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Before every operation.
    pub const ZERO: Timestamp = Timestamp(0);

    /// The moment of these parts; milliseconds beyond 44 bits (the year 2527) are cut to the greatest value.
    pub fn from_parts(millis: Millis, counter: u16, slot: NodeSlot) -> Self {
        let counter = u64::from(counter) & ((1 << COUNTER_BITS) - 1);
        Timestamp(
            (millis.0.min(GREATEST_MILLIS) << (COUNTER_BITS + SLOT_BITS))
                | (counter << SLOT_BITS)
                | u64::from(slot.number()),
        )
    }

    /// The moment that this number spells, unless it has a 64th bit.
    pub fn from_bits(bits: u64) -> Option<Self> {
        (bits >> 63 == 0).then_some(Timestamp(bits))
    }

    /// The number, below 2^63.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The wall time in it.
    pub fn millis(self) -> Millis {
        Millis(self.0 >> (COUNTER_BITS + SLOT_BITS))
    }

    /// The slot of the node that issued it.
    pub fn slot(self) -> NodeSlot {
        NodeSlot::from_low_bits(self.0)
    }

    /// The first moment of `slot` after this one.
    fn successor(self, slot: NodeSlot) -> Timestamp {
        let ticks = (self.0 >> SLOT_BITS) + 1;
        Timestamp((ticks << SLOT_BITS) | u64::from(slot.number()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The moment and author of an operation; no two operations have equal stamps, so the later one always exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Decides.
    pub timestamp: Timestamp,
    /// Breaks the tie between two lives of one slot.
    pub incarnation: Incarnation,
}

impl Stamp {
    /// Before every operation: the stamp of what an entry has from its own beginning.
    pub const ZERO: Stamp = Stamp { timestamp: Timestamp::ZERO, incarnation: Incarnation([0; 16]) };
}

/// The hybrid logical clock of one node. Persisted, so that it never goes backwards over a restart.
#[derive(Clone, Debug, Hash)]
pub struct HybridClock {
    slot: NodeSlot,
    last: Timestamp,
}

impl HybridClock {
    /// A clock that continues after `last`.
    pub fn new(slot: NodeSlot, last: Timestamp) -> Self {
        HybridClock { slot, last }
    }

    /// The greatest moment that was issued or observed.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// A new moment, above every one that was issued or observed before.
    pub fn tick(&mut self, now: Millis) -> Timestamp {
        let wall = Timestamp::from_parts(now, 0, self.slot);
        self.last = if wall > self.last { wall } else { self.last.successor(self.slot) };
        self.last
    }

    /// Takes note of a moment seen in a peer's operation.
    pub fn observe(&mut self, seen: Timestamp) {
        self.last = self.last.max(seen);
    }

    /// Whether a moment lies so far ahead of `now` that its author's clock must be wrong.
    pub fn is_ahead(seen: Timestamp, now: Millis) -> bool {
        seen.millis() > now.after(GREATEST_SKEW_MILLISECONDS) && !leaves_out(LeftOut::ClockIsChecked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: u8) -> NodeSlot {
        NodeSlot::new(number).expect("a slot")
    }

    #[test]
    fn parts_come_back() {
        let t = Timestamp::from_parts(Millis(1_790_000_000_123), 77, slot(5));
        assert_eq!(t.millis(), Millis(1_790_000_000_123));
        assert_eq!(t.slot(), slot(5));
        assert!(t.bits() < 1 << 63);
    }

    #[test]
    fn ticks_rise_when_the_wall_stands_still_or_goes_back() {
        let mut clock = HybridClock::new(slot(1), Timestamp::ZERO);
        let mut before = clock.tick(Millis(1000));
        for now in [1000, 1000, 900, 0, 1000, 1001] {
            let next = clock.tick(Millis(now));
            assert!(next > before && next.slot() == slot(1));
            before = next;
        }
    }

    #[test]
    fn the_counter_runs_over_into_the_milliseconds() {
        let mut clock = HybridClock::new(slot(1), Timestamp::ZERO);
        for _ in 0..5000 {
            clock.tick(Millis(1000));
        }
        assert_eq!(clock.last().millis(), Millis(1001));
    }

    #[test]
    fn what_was_observed_is_passed() {
        let mut clock = HybridClock::new(slot(1), Timestamp::ZERO);
        let seen = Timestamp::from_parts(Millis(5000), 3, slot(9));
        clock.observe(seen);
        assert!(clock.tick(Millis(1000)) > seen);
    }
}
