//! The members of the cluster, their slots, their keys and their lives.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::register::Latest;
use crate::clock::{Stamp, Timestamp};
use crate::identity::{Incarnation, NodeSlot, SLOTS};
use crate::left_out::{LeftOut, leaves_out};
use crate::operation::{Member, Operation, Seal};

/// What is folded of the cluster's document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClusterState {
    members: BTreeMap<NodeSlot, Latest<Member>>,
    lives: BTreeMap<Incarnation, (NodeSlot, Option<Seal>)>,
    grants: BTreeMap<Stamp, (NodeSlot, NodeSlot, u128)>,
    /// Lives whose disk was rolled back, and whom they asked for another slot first.
    yielded: BTreeMap<Incarnation, (Stamp, NodeSlot)>,
    /// What they were given: the first that was given counts.
    succeeded: BTreeMap<Incarnation, (Stamp, NodeSlot)>,
    /// Slots of members that were declared dead.
    buried: BTreeMap<NodeSlot, Stamp>,
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
            Operation::Yield { witness } => {
                let yielded = self.yielded.entry(stamp.incarnation).or_insert((stamp, *witness));
                *yielded = (*yielded).min((stamp, *witness));
            }
            Operation::Succeed { life, slot } => {
                let succeeded = self.succeeded.entry(*life).or_insert((stamp, *slot));
                *succeeded = (*succeeded).min((stamp, *slot));
            }
            Operation::Bury { slot } => {
                let buried = self.buried.entry(*slot).or_insert(stamp);
                *buried = stamp.min(*buried);
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

    /// Whether a life has started.
    pub fn has_started(&self, incarnation: &Incarnation) -> bool {
        self.lives.contains_key(incarnation)
    }

    /// Another life that continues from the same life as this one, or that is a first one in the same slot as this one.
    pub fn rival(&self, incarnation: &Incarnation) -> Option<Incarnation> {
        let (slot, seal) = self.lives.get(incarnation)?;
        let before = seal.map(|seal| seal.incarnation);
        let rival = |(other, (other_slot, other_seal)): (&Incarnation, &(NodeSlot, Option<Seal>))| {
            let same = other_seal.map(|seal| seal.incarnation) == before;
            other != incarnation && same && (before.is_some() || other_slot == slot)
        };
        self.lives.iter().find(|life| rival((life.0, life.1))).map(|(other, _)| *other)
    }

    /// What the first record of a life says of its predecessor.
    pub fn seal(&self, incarnation: &Incarnation) -> Option<Seal> {
        self.lives.get(incarnation).and_then(|(_, seal)| *seal)
    }

    /// The slots in which two lives continue from one, or one was found to have lost what another wrote.
    pub fn forked(&self) -> BTreeSet<NodeSlot> {
        let mut forked: BTreeSet<NodeSlot> =
            self.yielded.keys().filter_map(|life| self.slot_of(life)).collect();
        let mut befores = BTreeSet::new();
        for (slot, seal) in self.lives.values() {
            if !befores.insert((*slot, seal.map(|seal| seal.incarnation))) {
                forked.insert(*slot);
            }
        }
        forked
    }

    /// Whom a life has asked for another slot.
    pub fn witness(&self, life: &Incarnation) -> Option<NodeSlot> {
        self.yielded.get(life).map(|(_, witness)| *witness)
    }

    /// Lives that this member has to give another slot, and that were not given one yet: those that asked it, and those that
    /// asked somebody who is gone since.
    pub fn yielded_to(&self, member: NodeSlot) -> impl Iterator<Item = Incarnation> + '_ {
        let open = move |(life, (_, asked)): &(&Incarnation, &(Stamp, NodeSlot))| {
            !self.succeeded.contains_key(*life) && self.heir(*asked) == Some(member)
        };
        self.yielded.iter().filter(open).map(|(life, _)| *life)
    }

    /// Who does what a member was asked for: itself, or whoever said that it is gone, or whom it asked in its turn because its own
    /// disk was rolled back. Where that one has no slots left, whoever has: grants come before the admissions of those who get
    /// them, so that nobody takes a reserve for empty because it has not heard of it.
    fn heir(&self, asked: NodeSlot) -> Option<NodeSlot> {
        if leaves_out(LeftOut::HeirsGrant) {
            return Some(asked);
        }
        let next = |slot: NodeSlot| self.retired_by(slot).or_else(|| self.asked_by(slot));
        let gives = |slot: &NodeSlot| next(*slot).is_none() && self.reserve(*slot) != 0;
        let mut heir = asked;
        // Two may have asked, or buried, each other.
        for _ in 0..SLOTS {
            match next(heir) {
                None => break,
                Some(other) => heir = other,
            }
        }
        let mut others = self.living().map(|member| member.slot);
        if gives(&heir) { Some(heir) } else { others.find(gives) }
    }

    /// Whom the life in a slot asked for another one.
    fn asked_by(&self, slot: NodeSlot) -> Option<NodeSlot> {
        let of_slot = self.yielded.iter().filter(|(life, _)| self.slot_of(life) == Some(slot));
        of_slot.map(|(_, asked)| *asked).min().map(|(_, witness)| witness)
    }

    /// The slot in which a life that yielded goes on.
    pub fn successor(&self, life: &Incarnation) -> Option<NodeSlot> {
        self.succeeded.get(life).map(|(_, slot)| *slot)
    }

    /// The slot that the node with this key was given last, when, and in which slot it asked for it. It lives in no other for
    /// long: one that was given before went to a life that ended before it could use it, or to a disk that was put back.
    fn home(&self, key: &[u8; 32]) -> Option<(Stamp, NodeSlot, Option<NodeSlot>)> {
        let has_key = |slot: &NodeSlot| self.member(*slot).is_some_and(|member| member.key == *key);
        let given = self.succeeded.iter().filter(|(_, (_, slot))| has_key(slot));
        given.map(|(life, (stamp, slot))| (*stamp, *slot, self.slot_of(life))).max()
    }

    /// Who said that nobody places in this slot any more; none while somebody may.
    pub fn retired_by(&self, slot: NodeSlot) -> Option<NodeSlot> {
        let moved = self.succeeded.iter().filter(|(life, _)| self.slot_of(life) == Some(slot));
        let stamps = moved.map(|(_, (stamp, _))| stamp).chain(self.buried.get(&slot));
        let stamps = stamps.chain(self.passed_by(slot)).copied();
        let key = self.member(slot).map(|member| member.key);
        let elsewhere = key.and_then(|key| self.home(&key)).filter(|(_, home, _)| *home != slot);
        stamps.chain(elsewhere.map(|(stamp, ..)| stamp)).min().map(|stamp| stamp.timestamp.slot())
    }

    /// The slot that a member still is in which was given this one.
    pub fn not_yet_moved(&self, slot: NodeSlot) -> Option<NodeSlot> {
        self.given_to(slot).and_then(|life| self.slot_of(life))
    }

    /// The life that was given a slot, until one starts there.
    fn given_to(&self, slot: NodeSlot) -> Option<&Incarnation> {
        let started = self.lives.values().any(|(of, _)| *of == slot);
        let mut given = self.succeeded.iter().filter(|(_, (_, to))| !started && *to == slot);
        given.next().map(|(life, _)| life)
    }

    /// What gave another slot to a later life of one that was given this one: it ended before it heard of it.
    fn passed_by(&self, slot: NodeSlot) -> Option<&Stamp> {
        let given = self.given_to(slot)?;
        let later = self.succeeded.iter().filter(|(later, _)| self.continues(later, given));
        later.map(|(_, (stamp, _))| stamp).min()
    }

    /// Whether a life is a later one of another in the same slot.
    fn continues(&self, later: &Incarnation, earlier: &Incarnation) -> bool {
        let slot = self.slot_of(earlier);
        let mut life = *later;
        // Honest lives never come round to themselves; others end with the last one that is known.
        for _ in 0..self.lives.len() {
            let Some(before) = self.seal(&life).map(|seal| seal.incarnation) else { return false };
            if self.slot_of(&life) != slot {
                return false;
            }
            if before == *earlier {
                return true;
            }
            life = before;
        }
        false
    }

    /// When the last member was lost of which it is not known what it had placed: everybody leaps once after that.
    pub fn latest_loss(&self) -> Timestamp {
        let moved = self.succeeded.values().map(|(stamp, _)| stamp.timestamp);
        moved.chain(self.buried.values().map(|stamp| stamp.timestamp)).max().unwrap_or_default()
    }

    /// Members that somebody may be in, by slot.
    pub fn living(&self) -> impl Iterator<Item = &Member> {
        self.members().filter(|member| self.retired_by(member.slot).is_none())
    }

    /// Members that links are kept with. A member that goes on in another slot is one of the old slot until it has started in
    /// the new one: it may not have heard of it.
    pub fn linked(&self) -> impl Iterator<Item = &Member> {
        let started = |slot: NodeSlot| self.lives.values().any(|(started, _)| *started == slot);
        let moving = move |member: &Member| {
            let home = self.home(&member.key);
            let moves = home.is_some_and(|(_, to, from)| from == Some(member.slot) && !started(to));
            !self.buried.contains_key(&member.slot) && moves
        };
        self.members().filter(move |member| self.retired_by(member.slot).is_none() || moving(member))
    }

    /// All lives and the ends of their predecessors.
    pub fn lives(&self) -> impl Iterator<Item = (&Incarnation, NodeSlot, Option<Seal>)> {
        self.lives.iter().map(|(incarnation, (slot, seal))| (incarnation, *slot, *seal))
    }

    /// These lives, and each after the one that it seals: the order in which their records can be applied.
    pub fn in_order(&self, lives: &BTreeSet<Incarnation>) -> Vec<Incarnation> {
        let mut ordered: Vec<Incarnation> = Vec::new();
        let mut placed: BTreeSet<Incarnation> = BTreeSet::new();
        for life in lives {
            let begin = ordered.len();
            let mut next = Some(*life);
            while let Some(life) = next.filter(|life| lives.contains(life) && placed.insert(*life)) {
                ordered.push(life);
                next = self.seal(&life).map(|seal| seal.incarnation);
            }
            ordered.get_mut(begin..).into_iter().for_each(<[Incarnation]>::reverse);
        }
        ordered
    }

    /// The slots that a node may still give to nodes it invites, one bit for each (rule 2).
    ///
    /// The first node starts with all slots, an invited one with what its invitation granted; each grants less what it gave.
    pub fn reserve(&self, slot: NodeSlot) -> u128 {
        let granted = self.grants.values().filter(|(_, to, _)| *to == slot).map(|(_, _, reserve)| *reserve);
        let initial =
            if slot == NodeSlot::FIRST { !bit(slot) } else { granted.fold(0, |all, more| all | more) };
        if self.retired_by(slot).is_some() {
            return 0;
        }
        if leaves_out(LeftOut::ReserveIsShared) {
            let taken = self.grants.values().map(|(_, to, _)| *to).chain([NodeSlot::FIRST]);
            return !taken.fold(0, |all, slot| all | bit(slot));
        }
        let given = self.grants.values().filter(|(inviter, ..)| *inviter == slot);
        given.fold(initial, |rest, (_, slot, reserve)| rest & !bit(*slot) & !reserve)
    }

    /// What the next invitation of a node grants: its lowest free slot, and every fourth of the rest of its reserve.
    ///
    /// Slots rank by number in epochs that are older than they are, and high ranks have blocks far apart. So a reserve is
    /// not cut at one place: all nodes go on inviting into low slots. And the smaller part is given away, for a node that
    /// is lost takes its reserve with it.
    pub fn next_grant(&self, inviter: NodeSlot) -> Option<(NodeSlot, u128)> {
        let free = self.free(inviter);
        let (first, rest) = free.split_first()?;
        if leaves_out(LeftOut::ReserveIsSpread) {
            return Some((*first, bits(rest.iter().skip(rest.len() / 2))));
        }
        Some((*first, bits(rest.iter().skip(1).step_by(4))))
    }

    /// What a member hands over, unasked, to another that has no slot left to grant: half of what it has, to one at a time.
    /// Of all that could, the one does so that has most.
    pub fn next_handover(&self, from: NodeSlot) -> Option<(NodeSlot, u128)> {
        let mut poor = None;
        let mut richest = (0, from);
        for slot in self.living().map(|member| member.slot) {
            let free = self.reserve(slot).count_ones();
            if free == 0 {
                poor = poor.or(Some(slot));
            }
            if free > richest.0 {
                richest = (free, slot);
            }
        }
        let handed = bits(self.free(from).iter().skip(1).step_by(2));
        poor.filter(|_| richest.1 == from && handed != 0).map(|to| (to, handed))
    }

    /// The slots that a node may still give away, ascending.
    fn free(&self, slot: NodeSlot) -> Vec<NodeSlot> {
        let reserve = self.reserve(slot);
        (0..SLOTS).filter_map(NodeSlot::new).filter(|slot| reserve & bit(*slot) != 0).collect()
    }
}

fn bits<'a>(slots: impl Iterator<Item = &'a NodeSlot>) -> u128 {
    slots.fold(0, |all, slot| all | bit(*slot))
}

fn bit(slot: NodeSlot) -> u128 {
    1 << slot.number()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;
    use crate::vector::Sequence;

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

    /// Upper halves gave the first node that a second one invited slot 65, and so a rank whose blocks lie 2^19 UIDs apart in every
    /// mailbox that was there before: eight turns used up what a node may place in thirty days, and INBOX was bumped.
    #[test]
    fn whoever_invites_invites_into_low_slots() {
        let mut state = ClusterState::default();
        let by_first: Vec<_> = (0..5).map(|n| grant(&mut state, n, NodeSlot::FIRST).number()).collect();
        assert_eq!(by_first, [1, 2, 4, 6, 9]);
        let by_second: Vec<_> =
            (5..8).map(|n| grant(&mut state, n, NodeSlot::new(1).expect("a slot")).number()).collect();
        assert_eq!(by_second, [3, 7, 15]);
    }

    #[test]
    fn a_member_with_no_slot_left_is_given_half_of_the_largest_reserve() {
        let second = NodeSlot::new(1).expect("a slot");
        let mut state = ClusterState::default();
        grant(&mut state, 1, NodeSlot::FIRST);
        for (n, slot) in [(2, NodeSlot::FIRST), (3, second)] {
            let member = Member { slot, name: "b".into(), key: [0; 32], advertise: String::new() };
            let stamp = Stamp {
                timestamp: Timestamp::from_parts(Millis(n), 0, NodeSlot::FIRST),
                incarnation: Incarnation([1; 16]),
            };
            state.fold(stamp, &Operation::Admit(member));
        }
        assert_eq!(state.next_handover(NodeSlot::FIRST), None);
        let mut n = 4;
        while state.next_grant(second).is_some() {
            grant(&mut state, n, second);
            n += 1;
        }
        assert_eq!(state.next_handover(second), None);
        let before = state.reserve(NodeSlot::FIRST);
        let (to, reserve) = state.next_handover(NodeSlot::FIRST).expect("a handover");
        assert_eq!((to, reserve & before), (second, reserve));
        let stamp = Stamp {
            timestamp: Timestamp::from_parts(Millis(n), 0, NodeSlot::FIRST),
            incarnation: Incarnation([1; 16]),
        };
        state.fold(stamp, &Operation::Grant { inviter: NodeSlot::FIRST, slot: to, reserve });
        assert_eq!(state.reserve(second), reserve);
        assert_eq!(state.reserve(NodeSlot::FIRST), before & !reserve);
        assert_eq!(state.next_handover(NodeSlot::FIRST), None);
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

    /// A life that has another slot asked for ends before it can use it; the next life on the same disk is given another one. And
    /// a disk is put back to a copy from before its node moved. In both cases a slot was left behind that nobody would ever live
    /// in, and whose confirmation every start waited for.
    #[test]
    fn a_node_lives_in_the_slot_that_it_was_given_last() {
        let slot = |number| NodeSlot::new(number).expect("a slot");
        let life = |number| Incarnation([number; 16]);
        let by = |n| Stamp {
            timestamp: Timestamp::from_parts(Millis(n), 0, NodeSlot::FIRST),
            incarnation: life(100),
        };
        let member = |slot, key| Member { slot, name: "b".into(), key: [key; 32], advertise: String::new() };
        let mut state = ClusterState::default();
        state.fold(by(1), &Operation::Admit(member(NodeSlot::FIRST, 1)));
        state.fold(by(2), &Operation::Admit(member(slot(1), 2)));
        for (number, to) in [(1, slot(65)), (2, slot(66))] {
            let stamp = Stamp { incarnation: life(number), ..by(10 * u64::from(number)) };
            state.fold(stamp, &Operation::Start { slot: slot(1), seals: None });
            state.fold(by(10 * u64::from(number) + 1), &Operation::Admit(member(to, 2)));
            state.fold(by(10 * u64::from(number) + 2), &Operation::Succeed { life: life(number), slot: to });
        }
        let slots =
            |members: Vec<&Member>| members.iter().map(|member| member.slot.number()).collect::<Vec<_>>();
        assert_eq!(slots(state.living().collect()), [0, 66]);
        // Until it has started there it may be met in the slot that it asked in.
        assert_eq!(slots(state.linked().collect()), [0, 1, 66]);
        let stamp = Stamp { incarnation: life(3), ..by(50) };
        state.fold(stamp, &Operation::Start { slot: slot(66), seals: None });
        assert_eq!(slots(state.linked().collect()), [0, 66]);
    }

    #[test]
    fn lives_come_after_those_that_they_seal() {
        let life = |n: u8| Incarnation([n; 16]);
        let slot = NodeSlot::FIRST;
        let mut state = ClusterState::default();
        for (n, before) in [(1, None), (9, Some(1)), (4, Some(9)), (2, Some(4)), (3, None)] {
            let incarnation = life(n);
            let seals =
                before.map(|before| Seal { incarnation: life(before), sequence: Sequence(1), hash: [0; 32] });
            let stamp = Stamp { timestamp: Timestamp::ZERO, incarnation };
            state.fold(stamp, &Operation::Start { slot, seals });
        }
        let order = |lives: &[u8]| state.in_order(&lives.iter().map(|n| life(*n)).collect());
        assert_eq!(order(&[1, 2, 3, 4, 9]), [1, 9, 4, 2, 3].map(life));
        assert_eq!(order(&[2, 4]), [4, 2].map(life));
        assert_eq!(order(&[7]), [life(7)]);
    }
}
