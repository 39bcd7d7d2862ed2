//! Disks that are put back to an older state, nodes that never come back, and members that operators declare dead (rule 8).
//!
//! One thing cannot be promised, and is left out exactly: a disk that is put back behind things of which no other disk has
//! heard, while every member confirms its start in good faith. So at every time each disk that was put back has a witness: a
//! member, known to it, that holds a record of what was lost. That lasts until the node lives in another slot. And where all disks
//! were put back nobody may give slots: two that were each other's witnesses wait for an operator (seed 1698).

use std::collections::{BTreeMap, BTreeSet};

use crdt::identity::Incarnation;
use crdt::vector::Sequence;

use super::faults::Repair;
use super::{Event, Violation, World, broken};
use crate::client::Token;
use crate::node::{Backup, Contents, Node};

/// The most disks that are put back in one run: each costs a slot, and a part of what a member has left of them.
const MOST_PUT_BACK: u64 = 3;
/// The most members that are declared dead in one run.
const MOST_BURIED: u64 = 2;
/// How often a node that dies is put back to a copy that there is, of a hundred times.
const PUT_BACK: u64 = 80;
/// The least and the longest time until a node whose disk was put back starts, in milliseconds.
const REPLACED_MILLISECONDS: (u64, u64) = (50, 12_000);

/// A disk that was put back, while its node lives in its old slot.
pub(super) struct PutBack {
    node: usize,
    /// For each life of which something was lost, the last record that the copy has.
    left: Vec<(Incarnation, Sequence)>,
    /// The keys of the members that the copy knows.
    members: BTreeSet<[u8; 32]>,
}

impl PutBack {
    /// Whether the node with this key can speak against the start of the copy.
    fn is_witnessed_by(&self, key: &[u8; 32], contents: &Contents) -> bool {
        let lost = |(life, left): &(Incarnation, Sequence)| contents.vector.last(life) > *left;
        self.members.contains(key) && self.left.iter().any(lost)
    }
}

impl World {
    /// In many runs a disk is copied early on, and the node dies in the middle of its work.
    pub(super) fn plan_rollback(&mut self) {
        let members = self.settings.nodes - self.settings.joining;
        let (node, busy) = (self.chance.index(members), self.settings.busy_milliseconds);
        let copied = self.chance.between(500, busy / 2);
        let put_back = self.chance.between(copied, busy);
        self.schedule(copied, Event::Repair(Repair::Copy { node }));
        self.schedule(put_back, Event::Repair(Repair::PlanKill { node }));
    }

    /// Something happens to a disk, or an operator gives a member up.
    pub(super) fn strike_disk(&mut self, node: usize) -> Result<(), Violation> {
        let copied = self.nodes.iter().filter(|node| node.backup.is_some()).map(|node| node.number);
        let copied: Vec<usize> = copied.collect();
        let copied = self.chance.pick(&copied).copied();
        match (self.chance.below(100), copied) {
            (0..20, _) | (20..70, None) => self.back_up(node),
            (20..70, Some(copied)) => {
                self.plan_kill(copied);
                Ok(())
            }
            (70..88, _) => self.bury(node),
            _ => self.lose(node),
        }
    }

    /// Somebody copies the disk of a node, running or not.
    pub(super) fn back_up(&mut self, node: usize) -> Result<(), Violation> {
        let state = &mut self.nodes[node];
        if !self.settings.rollbacks || !state.joined || state.gone || state.disk.has_crashed() {
            return Ok(());
        }
        let memory = self.ledger.memory(node);
        let disk = state.disk.snapshot();
        // It goes on a disk of its own: that this one is full is no matter there (seed 2150).
        disk.set_capacity(None);
        state.backup = Some(Backup { disk, memory });
        self.note(format!("! the disk of n{node} is copied"));
        Ok(())
    }

    /// What every node holds to which the others speak, or will again, one left out.
    fn contents_but(&self, but: usize) -> Result<BTreeMap<usize, Contents>, Violation> {
        let there = self.nodes.iter().filter(|node| node.joined && node.is_member() && node.number != but);
        let read = |node: &Node| Ok((node.number, node.contents().map_err(|why| broken(node.number, why))?));
        there.map(read).collect()
    }

    /// Whether every disk that was put back has a witness among these, and one of these is left that may give slots.
    fn are_witnessed(&self, contents: &BTreeMap<usize, Contents>) -> bool {
        let gives_slots = contents.keys().any(|node| !self.is_put_back(*node));
        (gives_slots || self.put_back.is_empty())
            && self.put_back.iter().all(|put_back| {
                let mut others = contents.iter().filter(|(node, _)| **node != put_back.node);
                others.any(|(node, contents)| put_back.is_witnessed_by(&self.nodes[*node].key(), contents))
            })
    }

    /// Whether each of these is a member in the eyes of another: whom only a lost disk admitted has to join anew.
    fn is_everybody_known(&self, contents: &BTreeMap<usize, Contents>) -> bool {
        contents.keys().all(|node| {
            let mut others = contents.iter().filter(|(other, _)| *other != node);
            others.any(|(_, of_other)| of_other.knows(&self.nodes[*node].key()))
        })
    }

    /// Whether a node still lives in the slot in which its disk was put back.
    pub(super) fn is_put_back(&self, node: usize) -> bool {
        self.put_back.iter().any(|put_back| put_back.node == node)
    }

    /// Whether somebody is on the way into the cluster with an invitation of this node.
    fn is_inviting(&self, node: usize) -> bool {
        self.joins.contains_key(&node) || self.joins.values().any(|join| join.inviter() == node)
    }

    /// The disk of a dead node becomes what it was when somebody copied it. Says whether it did.
    pub(super) fn put_back(&mut self, node: usize) -> Result<bool, Violation> {
        let may = self.nodes[node].backup.is_some()
            && self.counts.rollbacks < MOST_PUT_BACK
            && !self.resting
            && !self.is_inviting(node)
            && self.chance.percent(PUT_BACK);
        let Some(backup) = self.nodes[node].backup.take().filter(|_| may) else { return Ok(false) };
        let read = |contents: Result<Contents, String>| contents.map_err(|why| broken(node, why));
        let lost = read(Contents::of_disk(&self.nodes[node].disk))?;
        let copy = read(Contents::of_disk(&backup.disk))?;
        let left: Vec<_> = lost
            .lives_in(&self.nodes[node].slots)
            .map(|life| (life, copy.vector.last(&life)))
            .filter(|(life, left)| lost.vector.last(life) > *left)
            .collect();
        let members = self.nodes.iter().map(Node::key).filter(|key| copy.knows(key)).collect();
        let loses = !left.is_empty();
        self.put_back.push(PutBack { node, left, members });
        let mut contents = self.contents_but(node)?;
        contents.insert(node, copy);
        if loses && !(self.are_witnessed(&contents) && self.is_everybody_known(&contents)) {
            self.put_back.pop();
            self.note(format!("n{node} goes on: nobody else knows of what its copy lacks"));
            return Ok(false);
        }
        if !loses {
            self.put_back.pop();
        }
        self.counts.rollbacks += 1;
        let state = &mut self.nodes[node];
        state.disk = backup.disk;
        state.put_back += 1;
        self.ledger.remember(node, backup.memory);
        self.heard.retain(|(hearer, _), _| *hearer != node);
        self.note(format!("! the disk of n{node} is put back to an older state"));
        self.count_losses(&contents);
        Ok(true)
    }

    /// Tells the ledger what is left.
    fn count_losses(&mut self, contents: &BTreeMap<usize, Contents>) {
        let holds = |records: &[(Incarnation, Sequence)]| {
            let all = |of: &Contents| records.iter().all(|(life, last)| of.vector.last(life) >= *last);
            contents.values().any(all)
        };
        let lost = self.ledger.lose(holds, |body| contents.values().any(|contents| contents.has_body(body)));
        if !lost.is_empty() {
            let lost: Vec<String> = lost.iter().map(Token::to_string).collect();
            self.note(format!("! no disk is left that holds {}", lost.join(" ")));
        }
    }

    /// A node is lost for good, its disk included.
    fn lose(&mut self, node: usize) -> Result<(), Violation> {
        let left =
            self.nodes.iter().filter(|other| other.joined && !other.gone && other.number != node).count();
        let contents = self.contents_but(node)?;
        let may = self.nodes[node].joined
            && self.nodes.iter().all(|node| !node.gone)
            && left >= 2
            && !self.is_inviting(node)
            && self.are_witnessed(&contents)
            && self.is_everybody_known(&contents);
        if !may {
            return Ok(());
        }
        self.put_back.retain(|put_back| put_back.node != node);
        self.counts.lost_nodes += 1;
        self.nodes[node].gone = true;
        self.note(format!("! n{node} is lost for good"));
        self.count_losses(&contents);
        self.end_life(node);
        let later = self.chance.between(500, 15_000);
        self.schedule(later, Event::Repair(Repair::Bury { node }));
        Ok(())
    }

    /// An operator declares a member dead: rightly, or because it does not answer. Then it may go on alone, until it is taken away.
    pub(super) fn bury(&mut self, node: usize) -> Result<(), Violation> {
        if !self.nodes[node].gone && !self.may_be_removed(node)? {
            return Ok(());
        }
        let key = self.nodes[node].key();
        let slots_of = |other: &Node| {
            let life = other.life.as_ref().filter(|_| other.joined && other.is_member())?;
            let cluster = life.store.cluster();
            let slots: Vec<_> =
                cluster.borrow().living().filter(|of| of.key == key).map(|of| of.slot).collect();
            (other.number != node && !slots.is_empty()).then_some((other.number, slots))
        };
        let operators: Vec<_> = self.nodes.iter().filter_map(slots_of).collect();
        let Some((operator, slots)) = self.chance.pick(&operators).cloned() else { return Ok(()) };
        let wall = self.nodes[operator].wall(self.now);
        for slot in slots {
            let Some(life) = &mut self.nodes[operator].life else { break };
            let store = life.store.clone();
            // A disk without room, or one that is dying: another time.
            if life.ask(wall, store.bury(slot)).is_ok() {
                self.counts.burials += 1;
                self.nodes[node].removed = true;
                self.note(format!("! n{node} in slot {slot} is declared dead on n{operator}"));
            }
        }
        self.committed(operator)
    }

    /// Whether an operator may come to declare this node dead, although it lives.
    fn may_be_removed(&mut self, node: usize) -> Result<bool, Violation> {
        let apart = |other: usize| self.network.is_cut(node, other) || self.network.is_cut(other, node);
        let silent = self.nodes[node].life.is_none() || (0..self.nodes.len()).any(apart);
        let others =
            self.nodes.iter().filter(|other| other.joined && other.is_member() && other.number != node);
        let may = self.counts.burials < MOST_BURIED
            && silent
            && others.count() > 0
            && self.nodes[node].joined
            && !self.nodes[node].removed
            && !self.resting
            && !self.is_inviting(node);
        let contents = self.contents_but(node)?;
        // A node that it alone has admitted is a stranger to the others, whose links it could not use.
        Ok(may && self.are_witnessed(&contents) && self.is_everybody_known(&contents))
    }

    /// What was declared dead is taken away in the end, with whatever it alone has.
    pub(super) fn take_away_the_removed(&mut self) -> Result<(), Violation> {
        for node in 0..self.nodes.len() {
            if self.nodes[node].removed && !self.nodes[node].gone {
                self.note(format!("! n{node} was declared dead and is taken away"));
                self.nodes[node].gone = true;
                self.end_life(node);
                let left = self.contents_but(node)?;
                self.count_losses(&left);
            }
        }
        Ok(())
    }

    /// At rest operators declare dead what is gone, wherever it is still a member.
    pub(super) fn bury_the_gone(&mut self) -> Result<(), Violation> {
        let gone: Vec<usize> = self.nodes.iter().filter(|node| node.gone).map(|node| node.number).collect();
        gone.into_iter().try_for_each(|node| self.bury(node))
    }

    /// How long it takes until a node whose disk was put back is started.
    pub(super) fn replacing(&mut self) -> u64 {
        self.chance.between(REPLACED_MILLISECONDS.0, REPLACED_MILLISECONDS.1)
    }

    /// A node that another member gave another slot starts again in it.
    pub(super) fn move_on(&mut self, node: usize) -> Result<(), Violation> {
        let Some(life) = &self.nodes[node].life else { return Ok(()) };
        let Some(slot) = *life.store.moved().borrow() else { return Ok(()) };
        self.counts.moves += 1;
        self.note(format!("! n{node} was given slot {slot} and starts again"));
        self.put_back.retain(|put_back| put_back.node != node);
        let state = &mut self.nodes[node];
        state.disk = state.disk.snapshot();
        self.end_life(node);
        let pause = self.chance.between(10, 400);
        self.schedule(pause, Event::Repair(Repair::Start { node }));
        Ok(())
    }
}
