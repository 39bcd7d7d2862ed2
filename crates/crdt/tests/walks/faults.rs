//! Crashes, disks that are put back, nodes that come and go.

use std::collections::BTreeSet;

use peerpost_crdt::clock::Timestamp;
use peerpost_crdt::identity::{Incarnation, NodeSlot};

use super::disk::{Disk, Life};
use super::step::Step;
use super::world::{Checked, Copy, World, member};

/// The most machines of a walk.
const MOST_NODES: usize = 6;

/// Values that may be those of a life that is lost, and of the one after it: the clock of the first ran ahead.
#[derive(Clone, Copy)]
pub struct Doubtful {
    slot: NodeSlot,
    from: Timestamp,
    until: Timestamp,
}

impl World {
    /// Whether a node cannot tell which of two lives issued a value, because it has not heard that the first is lost, and is not
    /// the second, which knows that nobody has confirmed it yet.
    pub fn is_doubtful(&self, value: Timestamp, node: usize) -> bool {
        let life = &self.nodes[node].life;
        let knows = life.cluster().forked().contains(&value.slot())
            || value.slot() == self.nodes[node].slot() && !life.is_confirmed();
        let may_be = |doubtful: &Doubtful| {
            doubtful.slot == value.slot() && doubtful.from <= value && value <= doubtful.until
        };
        !knows && self.doubtful.iter().any(may_be)
    }

    pub fn fault(&mut self, step: Step) -> Checked {
        match step {
            Step::Restart { node, continues } => self.restart(self.node(node), continues),
            Step::Backup { node } => {
                let node = self.node(node);
                self.copies.push(Copy { node, disk: self.nodes[node].disk.clone() });
                Ok(())
            }
            Step::RollBack { copy } => {
                let copies: Vec<usize> =
                    (0..self.copies.len()).filter(|copy| !self.nodes[self.copies[*copy].node].dead).collect();
                match copies.len() {
                    0 => Ok(()),
                    count => {
                        let Copy { node, disk } = self.copies[copies[usize::from(copy) % count]].clone();
                        self.roll_back(node, &disk)
                    }
                }
            }
            Step::Kill { node } => self.kill(self.node(node)),
            Step::Bury { at } => self.bury(self.node(at)),
            Step::Join { at, parted } => {
                if self.nodes.len() < MOST_NODES {
                    let at = self.node(at);
                    if let Some(new) = self.join(at)?
                        && parted
                    {
                        for other in self.living().into_iter().filter(|other| *other != at && *other != new) {
                            self.cut.extend([(new, other), (other, new)]);
                        }
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The process ends, and the batch that it was in is lost. Within one process looks go on, and nobody has to confirm.
    fn restart(&mut self, node: usize, continues: bool) -> Checked {
        let continues = continues && self.nodes[node].life.is_confirmed();
        let looks = self.nodes[node].life.looks().clone();
        let slot = self.nodes[node].slot();
        if let Some(new) = self.nodes[node].life.successor() {
            self.nodes[node].disk.slot = new;
        }
        let same_slot = self.nodes[node].disk.slot == slot;
        self.unlink(node, slot)?;
        self.begin_life(node, continues && same_slot)?;
        if continues {
            let looks_at = looks.own();
            for (account, mailbox) in looks_at {
                if self.wake(node).look(account, mailbox).is_err() {
                    return super::world::violated("no disk can fail here");
                }
            }
            self.commit(node)?;
        }
        Ok(())
    }

    /// The disk of a node is put back to what it was. Only where somebody else knows of what is lost: the order of two lives
    /// that nobody witnessed cannot be had.
    fn roll_back(&mut self, node: usize, copy: &Disk) -> Checked {
        let now = &self.nodes[node].disk;
        let last = now.clock;
        self.lost.push((node, now.lost_since(copy)));
        if !self.is_witnessed(node, copy) || !self.somebody_grants(node) {
            self.lost.pop();
            return Ok(());
        }
        let slot = self.nodes[node].slot();
        self.unlink(node, slot)?;
        let lost = std::mem::replace(&mut self.nodes[node].disk, copy.clone());
        self.witness.put_back(node, &lost, &self.nodes[node]);
        // What a clock ahead made the lost life issue lies above the start of the next.
        let start = Timestamp::from_parts(self.clock(node), 0, NodeSlot::FIRST).max(copy.clock);
        self.doubtful.extend((start < last).then_some(Doubtful { slot, from: start, until: last }));
        self.begin_life(node, false)
    }

    /// Whether another node can give slots to those that were rolled back: where all were, or no slots are left, only the operator can
    /// help.
    fn somebody_grants(&self, besides: usize) -> bool {
        let asks = |node: &usize| *node == besides || !self.nodes[*node].life.is_confirmed();
        let asking = self.living().into_iter().filter(asks).count() as u32;
        self.living().into_iter().filter(|node| *node != besides).any(|node| {
            let life = &self.nodes[node].life;
            // Whoever gets a slot gets half of what is left as well.
            let slots = life.cluster().reserve(life.author().slot).count_ones();
            life.is_confirmed() && life.may_place() && slots >> asking > 0
        })
    }

    /// Whether a node waits for another slot, and nobody has one to give: each disk that was put back took its reserve with it.
    pub fn is_out_of_slots(&self) -> bool {
        let lives = || self.living().into_iter().map(|node| &self.nodes[node].life);
        let grants = |life: &Life| {
            life.may_place() && life.is_confirmed() && life.cluster().reserve(life.author().slot) != 0
        };
        lives().any(|life| !life.may_place()) && !lives().any(grants)
    }

    /// Whether of everything that was ever lost somebody else still has a record, should this disk be put back: somebody of whom
    /// the node that lost it knows, or can hear from those whose confirmation it misses until it has heard from them.
    fn is_witnessed(&self, node: usize, copy: &Disk) -> bool {
        let disk = |other: usize| if other == node { copy } else { &self.nodes[other].disk };
        let has = |other: usize, (life, last): &(Incarnation, u64)| disk(other).last(life).0 > *last;
        self.lost.iter().all(|(of, lost)| {
            let others = self.heard_of_by(*of, &disk).into_iter();
            let others = others.filter(|other| other != of && !self.nodes[*other].dead);
            others.into_iter().any(|other| lost.iter().any(|record| has(other, record)))
        })
    }

    /// The machines that a node takes for members, and those that these take for members, and so on.
    fn heard_of_by<'a>(&'a self, node: usize, disk: &impl Fn(usize) -> &'a Disk) -> BTreeSet<usize> {
        let mut heard_of = BTreeSet::from([node]);
        let mut unasked = vec![node];
        while let Some(asked) = unasked.pop() {
            let members: Vec<_> = disk(asked).cluster.living().map(|member| member.key).collect();
            let is_member =
                |other: &usize| self.nodes[*other].key().is_some_and(|key| members.contains(&key));
            let new: Vec<usize> = (0..self.nodes.len()).filter(is_member).collect();
            unasked.extend(new.into_iter().filter(|other| heard_of.insert(*other)));
        }
        heard_of
    }

    /// A machine burns. Two are always left, and whoever witnessed what others lost.
    fn kill(&mut self, node: usize) -> Checked {
        if self.living().len() < 3 {
            return Ok(());
        }
        self.nodes[node].dead = true;
        let copy = Disk::empty(self.nodes[node].slot());
        if !self.is_witnessed(node, &copy) || !self.somebody_grants(node) {
            self.nodes[node].dead = false;
            return Ok(());
        }
        let slot = self.nodes[node].slot();
        self.unlink(node, slot)
    }

    /// A living node is told by its operator that those who are gone do not come back. Nobody is gone who was given another slot and
    /// has not heard of it.
    pub fn bury(&mut self, at: usize) -> Checked {
        let mut living: BTreeSet<_> = BTreeSet::new();
        for node in self.living() {
            let life = self.nodes[node].life.author().incarnation;
            living.extend([self.nodes[node].slot(), self.nodes[node].disk.slot]);
            let others = self.living().into_iter();
            living.extend(others.filter_map(|other| self.nodes[other].life.cluster().successor(&life)));
        }
        let gone: Vec<_> = self.nodes[at].life.cluster().living().map(|member| member.slot).collect();
        for slot in gone.into_iter().filter(|slot| !living.contains(slot)) {
            self.wake(at).bury(slot);
        }
        self.commit(at)
    }

    /// A node is invited, and brings itself up to date with whoever invited it.
    pub fn join(&mut self, at: usize) -> Checked<Option<usize>> {
        let Some((slot, _)) = self.wake(at).grant() else {
            self.commit(at)?;
            return Ok(None);
        };
        self.wake(at).admit_member(member(slot));
        self.commit(at)?;
        let new = self.add_node(slot)?;
        self.carry(at, new, super::carry::Load::ALL)?;
        Ok(Some(new))
    }
}
