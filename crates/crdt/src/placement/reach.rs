//! Rule 8: how far the numbers of an epoch may have reached without anybody here knowing, and how a node leaps over them.
//!
//! A leap is sound because no node's own placements advance an epoch by more than twice [`MOST_ADVANCE`] in any thirty days: what
//! a lost life may have placed, or shown, since its last record that is known lies below the leap.

use serde::{Deserialize, Serialize};

use crate::clock::{Millis, Timestamp};
use crate::identity::Uid;
use crate::left_out::{LeftOut, leaves_out};
use crate::placement::blocks::BLOCK;

/// For how long a node counts its own placements, and for how long after its last record a life may leap, in milliseconds.
pub const LEAP_WINDOW_MILLISECONDS: u64 = 30 * 24 * 60 * 60 * 1000;
/// The most UIDs by which a node's own placements advance an epoch within one window, leaps not counted. A stretch of thirty days
/// touches two windows at most.
pub const MOST_ADVANCE: u32 = 1 << 22;
/// The least number of UIDs that a leap skips: above what two windows allow.
pub const LEAP: u32 = 1 << 24;

/// What a node keeps of a mailbox's epoch beside what it announced: primary data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reach {
    /// Nothing new is shown or placed below this UID; 0 where there was no leap.
    pub floor: Uid,
    /// What the last leap was for: a loss, or the start of a life that nobody confirmed.
    pub leaped: Timestamp,
    window: Millis,
    advanced: u32,
}

impl Reach {
    /// What an epoch begins with where it is founded: nobody can have placed in it unknown, whatever was lost before.
    pub fn of_new_epoch(loss: Timestamp) -> Self {
        Reach { leaped: loss, ..Reach::default() }
    }

    /// Leaps over everything below `next` and what may be unknown above it, because of a loss at this moment. The distance
    /// contains a random part, so that two lives that leap from one place do not meet. Tells whether the UIDs last.
    pub fn leap(&mut self, next: Uid, loss: Timestamp, chance: u64) -> bool {
        let blocks = u64::from(LEAP / BLOCK);
        let chance = if leaves_out(LeftOut::LeapAtRandom) { 0 } else { chance % blocks };
        let distance = u64::from(LEAP) + chance * u64::from(BLOCK);
        let floor = u64::from(next.0.max(self.floor.0)) + distance;
        let lasts = floor <= u64::from(Uid::GREATEST.0) || leaves_out(LeftOut::SpaceEnds);
        if lasts {
            self.floor = Uid(floor as u32);
            self.leaped = loss;
        }
        lasts
    }

    /// Counts that own placements advance the epoch by this much. Tells whether they may.
    pub fn advance(&mut self, now: Millis, by: u32) -> bool {
        if now.0 >= self.window.0.saturating_add(LEAP_WINDOW_MILLISECONDS) {
            self.window = now;
            self.advanced = 0;
        }
        let advanced = self.advanced.saturating_add(by);
        let may = advanced <= MOST_ADVANCE || leaves_out(LeftOut::AdvanceIsBounded);
        if may {
            self.advanced = advanced;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_lies_above_what_a_lost_life_can_have_placed() {
        const { assert!(LEAP > 2 * MOST_ADVANCE, "two windows touch any thirty days") };
        let mut reach = Reach::default();
        let lost = Uid(100 + 2 * MOST_ADVANCE);
        for chance in [0, 1, u64::MAX] {
            let mut leaped = reach;
            assert!(leaped.leap(Uid(100), Timestamp::ZERO, chance));
            assert!(leaped.floor > lost && leaped.floor.0 <= 100 + 2 * LEAP);
        }
        assert!(reach.leap(Uid(100), Timestamp::ZERO, 1));
        let first = reach.floor;
        assert!(reach.leap(Uid(100), Timestamp::ZERO, 0) && reach.floor > first, "leaps add up");
    }

    #[test]
    fn the_uids_end_before_two_to_the_thirty_first() {
        let mut reach = Reach::default();
        let mut leaps = 0;
        while reach.leap(Uid::FIRST, Timestamp::ZERO, u64::MAX) {
            leaps += 1;
        }
        assert!(leaps > 60 && reach.floor <= Uid::GREATEST, "{leaps}");
    }

    #[test]
    fn own_placements_advance_an_epoch_by_a_bounded_amount() {
        let mut reach = Reach::default();
        let start = Millis(1_790_000_000_000);
        assert!(reach.advance(start, MOST_ADVANCE) && !reach.advance(start.after(5), 1));
        assert!(reach.advance(start.after(LEAP_WINDOW_MILLISECONDS), 1));
        assert!(!reach.advance(start.after(LEAP_WINDOW_MILLISECONDS + 1), u32::MAX));
    }
}
