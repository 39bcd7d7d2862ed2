//! The members of the cluster, their slots, their keys and their lives.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::register::Latest;
use crate::clock::Stamp;
use crate::identity::{Incarnation, NodeSlot, SLOTS};
use crate::operation::{Member, Operation, Seal};

/// What is folded of the cluster's document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    members: BTreeMap<NodeSlot, Latest<Member>>,
    lives: BTreeMap<Incarnation, (NodeSlot, Option<Seal>)>,
    grants: BTreeMap<Stamp, (NodeSlot, NodeSlot, u128)>,
}

impl ClusterState {
    /// Takes an operation in, in whatever order it comes.
    pub fn fold(&mut self, stamp: Stamp, operation: &Operation) {
        match operation {
            Operation::Start { slot, seals } => {
                self.lives.entry(stamp.incarnation).or_insert((*slot, *seals));
            }
            Operation::Admit(member) => match self.members.get_mut(&member.slot) {
                Some(register) => {
                    register.write(stamp, member.clone());
                }
                None => {
                    self.members.insert(member.slot, Latest { stamp, value: member.clone() });
                }
            },
            Operation::Grant { inviter, slot, reserve } => {
                self.grants.insert(stamp, (*inviter, *slot, *reserve));
            }
            _ => {}
        }
    }

    /// The members by slot.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().map(|register| &register.value)
    }

    /// The member in a slot.
    pub fn member(&self, slot: NodeSlot) -> Option<&Member> {
        self.members.get(&slot).map(|register| &register.value)
    }

    /// The slots of all members, ascending.
    pub fn slots(&self) -> Vec<NodeSlot> {
        self.members.keys().copied().collect()
    }

    /// The slot that a life lives in.
    pub fn slot_of(&self, incarnation: &Incarnation) -> Option<NodeSlot> {
        self.lives.get(incarnation).map(|(slot, _)| *slot)
    }

    /// All lives and the ends of their predecessors.
    pub fn lives(&self) -> impl Iterator<Item = (&Incarnation, NodeSlot, Option<Seal>)> {
        self.lives.iter().map(|(incarnation, (slot, seal))| (incarnation, *slot, *seal))
    }

    /// The slots that a node may still give to nodes it invites, one bit for each (rule 2).
    ///
    /// The first node starts with all slots, an invited one with what its invitation granted; each grants less what it gave.
    pub fn reserve(&self, slot: NodeSlot) -> u128 {
        let granted = self.grants.values().filter(|(_, to, _)| *to == slot).map(|(_, _, reserve)| *reserve);
        let initial =
            if slot == NodeSlot::FIRST { !bit(slot) } else { granted.fold(0, |all, more| all | more) };
        let given = self.grants.values().filter(|(inviter, ..)| *inviter == slot);
        given.fold(initial, |rest, (_, slot, reserve)| rest & !bit(*slot) & !reserve)
    }

    /// What the next invitation of a node grants: its lowest free slot, and the upper half of the rest of its reserve.
    pub fn next_grant(&self, inviter: NodeSlot) -> Option<(NodeSlot, u128)> {
        let reserve = self.reserve(inviter);
        let free: Vec<NodeSlot> =
            (0..SLOTS).filter_map(NodeSlot::new).filter(|slot| reserve & bit(*slot) != 0).collect();
        let (first, rest) = free.split_first()?;
        let upper = rest.iter().skip(rest.len() / 2).fold(0, |all, slot| all | bit(*slot));
        Some((*first, upper))
    }
}

fn bit(slot: NodeSlot) -> u128 {
    1 << slot.number()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Millis, Timestamp};

    fn grant(state: &mut ClusterState, n: u64, inviter: NodeSlot) -> NodeSlot {
        let (slot, reserve) = state.next_grant(inviter).expect("a free slot");
        let stamp = Stamp {
            timestamp: Timestamp::from_parts(Millis(n), 0, inviter),
            incarnation: Incarnation([1; 16]),
        };
        state.fold(stamp, &Operation::Grant { inviter, slot, reserve });
        slot
    }

    #[test]
    fn nodes_that_cannot_talk_never_grant_the_same_slot() {
        let mut first = ClusterState::default();
        let second = grant(&mut first, 1, NodeSlot::FIRST);
        assert_eq!(second.number(), 1);
        // Both know of the first grant and then invite apart.
        let mut apart = first.clone();
        let a: Vec<_> = (2..40).map(|n| grant(&mut first, n, NodeSlot::FIRST)).take(6).collect();
        let b: Vec<_> = (2..8).map(|n| grant(&mut apart, n, second)).collect();
        assert!(a.iter().all(|slot| !b.contains(slot)), "{a:?} {b:?}");
    }

    #[test]
    fn a_reserve_runs_out() {
        let mut state = ClusterState::default();
        let mut given = 0;
        while state.next_grant(NodeSlot::FIRST).is_some() {
            grant(&mut state, given, NodeSlot::FIRST);
            given += 1;
        }
        assert!(given >= 6 && state.reserve(NodeSlot::FIRST) == 0);
    }
}
