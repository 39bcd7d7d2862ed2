//! Rule 1: the UID space of an epoch is cut into blocks of 64, dealt by a prefix code that has no last slot.
//!
//! The number c of trailing one bits of a block's index chooses a class, and the c bits above the zero that ends them choose the
//! member of the class. So rank 0 owns every 2nd block, ranks 1 and 2 every 8th, 3 to 6 every 32nd. Two nodes can never
//! choose the same UID, even when each believes the other dead, and a node that joins changes no owner.

use serde::{Deserialize, Serialize};

use crate::identity::{NodeSlot, SLOTS, Uid};
use crate::left_out::{LeftOut, leaves_out};

/// The UIDs of a block.
pub const BLOCK: u32 = 64;

/// From this distance of its blocks on a node leaves placing to others that look, where it can reach any: ranks from 3 on.
const SPARSE_BLOCKS: u64 = 32;

/// Who owns which blocks in one epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dealing {
    /// The members when the epoch was founded, by rank.
    members: Vec<NodeSlot>,
}

impl Dealing {
    /// The dealing of an epoch with these founding members. A slot that is named twice has its first rank.
    pub fn new(members: Vec<NodeSlot>) -> Self {
        Dealing { members }
    }

    /// The rank of a slot: its place among the founding members; slots not listed follow by number, joined or not.
    pub fn rank(&self, slot: NodeSlot) -> u32 {
        if let Some(place) = self.members.iter().position(|member| *member == slot) {
            return place as u32;
        }
        let listed = self.members.len() as u32;
        let unlisted_before = (0..slot.number())
            .filter_map(NodeSlot::new)
            .filter(|before| !self.members.contains(before))
            .count();
        listed + unlisted_before as u32
    }

    /// Whether blocks of the slot lie so far apart that a message it places in turn with others uses up
    /// [`SPARSE_BLOCKS`] of them. Such a node joined after the epoch was founded, or is one of many.
    pub(crate) fn is_sparse(&self, slot: NodeSlot) -> bool {
        lattice(self.rank(slot)).1 >= SPARSE_BLOCKS && !leaves_out(LeftOut::SparseLeaves)
    }

    /// Whether the UID lies in a block of the slot.
    pub fn owns(&self, slot: NodeSlot, uid: Uid) -> bool {
        let (first, period) = lattice(self.rank(slot));
        u64::from(uid.0 / BLOCK) % period == first
    }

    /// The lowest UID of the slot above `above`; `None` when the space below 2^31 is used up.
    pub fn next(&self, slot: NodeSlot, above: Uid) -> Option<Uid> {
        let (first, period) = lattice(self.rank(slot));
        let least = u64::from(above.0) + 1;
        let block = least / u64::from(BLOCK);
        let own_block = block + (first + period - block % period) % period;
        let uid = least.max(own_block * u64::from(BLOCK)).max(1);
        (uid <= u64::from(Uid::GREATEST.0) || leaves_out(LeftOut::SpaceEnds)).then_some(Uid(uid as u32))
    }
}

/// The index of a rank's first block, and the distance of its blocks.
fn lattice(rank: u32) -> (u64, u64) {
    debug_assert!(rank < 2 * u32::from(SLOTS));
    if leaves_out(LeftOut::OwnBlocks) {
        return (0, 1);
    }
    let class = (rank + 1).ilog2();
    let ones = (1u64 << class) - 1;
    let member = u64::from(rank) - ones;
    (ones | (member << (class + 1)), 1 << (2 * class + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: u8) -> NodeSlot {
        NodeSlot::new(number).expect("a slot")
    }

    #[test]
    fn every_block_has_exactly_one_owner() {
        for members in [vec![], vec![slot(3)], vec![slot(5), slot(0), slot(77)]] {
            let dealing = Dealing::new(members);
            for block in 0..1_500 {
                let uid = Uid(block * BLOCK + 1);
                let owners = (0..SLOTS).filter(|number| dealing.owns(slot(*number), uid)).count();
                assert!(owners <= 1, "block {block}");
                // Classes above 6 have more members than there are slots: their blocks lie idle.
                assert!(owners == 1 || block.trailing_ones() >= 7, "block {block}");
            }
        }
    }

    #[test]
    fn shares_are_as_the_design_says() {
        let dealing = Dealing::new(vec![slot(9), slot(4), slot(2), slot(1)]);
        let share =
            |number: u8| (0..1024).filter(|block| dealing.owns(slot(number), Uid(block * BLOCK + 1))).count();
        assert_eq!([share(9), share(4), share(2), share(1)], [512, 128, 128, 32]);
        assert_eq!([dealing.rank(slot(0)), dealing.rank(slot(3)), dealing.rank(slot(127))], [4, 5, 127]);
    }

    #[test]
    fn ranks_from_three_on_are_sparse() {
        let dealing = Dealing::new(vec![slot(9)]);
        let sparse = [9, 0, 1, 2, 127].map(|number| dealing.is_sparse(slot(number)));
        assert_eq!(sparse, [false, false, false, true, true]);
    }

    #[test]
    fn the_next_uid_is_the_lowest_own_one() {
        let dealing = Dealing::new(vec![slot(0), slot(1), slot(2)]);
        for number in [0, 1, 2, 3, 60, 127] {
            let mut above = Uid(0);
            for _ in 0..300 {
                let next = dealing.next(slot(number), above).expect("room");
                assert!(next > above && dealing.owns(slot(number), next));
                let skipped =
                    (above.0 + 1..next.0).take(5000).all(|uid| !dealing.owns(slot(number), Uid(uid)));
                assert!(skipped, "slot {number} skips own UIDs between {above} and {next}");
                above = next;
            }
        }
    }

    #[test]
    fn the_space_ends_below_two_to_the_thirty_first() {
        let dealing = Dealing::new(vec![slot(0)]);
        assert_eq!(dealing.next(slot(0), Uid::GREATEST), None);
        assert!(dealing.next(slot(0), Uid(0)).is_some_and(|uid| uid == Uid(1)));
    }
}
