//! Crashes, disks that are put back, nodes that come and go.

use std::collections::BTreeSet;

use peerpost_crdt::identity::{Incarnation, Uid};
use peerpost_crdt::placement::reach::LEAP;

use super::disk::Disk;
use super::step::Step;
use super::world::{Checked, Copy, World, member};

/// The most machines of a walk.
const MOST_NODES: usize = 6;

impl World {
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
        let lost =
            |life: &Incarnation| (now.last(life) > copy.last(life)).then(|| (*life, copy.last(life).0));
        let lost: Vec<(Incarnation, u64)> = now.lives.iter().filter_map(lost).collect();
        let clock_ran_ahead = now.clock.millis() >= self.clock(node);
        self.lost.push((node, lost));
        let witnessed = self.is_witnessed(node, copy) && self.somebody_grants(node);
        // What a clock ahead made a lost life issue lies above the start of the next, which cannot tell it from its own.
        if clock_ran_ahead || self.loses_a_leap(node, copy) || !witnessed {
            self.lost.pop();
            return Ok(());
        }
        let slot = self.nodes[node].slot();
        self.unlink(node, slot)?;
        self.nodes[node].disk = copy.clone();
        let at = &self.nodes[node];
        self.witness.put_back(node, at);
        self.begin_life(node, false)
    }

    /// Whether clients of a life that is lost saw what lies above a leap, its own or another's, that the copy does not know of:
    /// leaps say nothing of leaps.
    fn loses_a_leap(&self, node: usize, copy: &Disk) -> bool {
        let leapt = |(mailbox, validity, announced): (_, _, Uid)| {
            let then = copy.kept.shown.get(&mailbox).filter(|then| then.head.validity == Some(validity));
            let known = then.map_or(Uid(0), |then| then.head.announced.max(then.head.reach.floor));
            announced.0 >= known.0.saturating_add(LEAP)
        };
        let mut floors =
            self.nodes[node].disk.kept.shown.iter().filter_map(|(mailbox, shown)| {
                Some((*mailbox, shown.head.validity?, shown.head.reach.floor))
            });
        floors.any(leapt) || self.witness.announced_by(node).any(leapt)
    }

    /// Whether another node can give slots to those that were rolled back: where all were, only the operator can help.
    fn somebody_grants(&self, besides: usize) -> bool {
        self.living().into_iter().filter(|node| *node != besides).any(|node| {
            let life = &self.nodes[node].life;
            life.is_confirmed() && life.may_place()
        })
    }

    /// Whether of everything that was ever lost somebody else still has a record, should this disk be put back.
    fn is_witnessed(&self, node: usize, copy: &Disk) -> bool {
        let has = |other: usize, (life, last): &(Incarnation, u64)| {
            let disk = if other == node { copy } else { &self.nodes[other].disk };
            disk.last(life).0 > *last
        };
        self.lost.iter().all(|(of, lost)| {
            let others = self.living().into_iter().filter(|other| other != of);
            others.into_iter().any(|other| lost.iter().any(|record| has(other, record)))
        })
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

    /// A living node is told by its operator that those who are gone do not come back.
    pub fn bury(&mut self, at: usize) -> Checked {
        let mut living: BTreeSet<_> = BTreeSet::new();
        for node in self.living() {
            living.extend([self.nodes[node].slot(), self.nodes[node].disk.slot]);
            living.extend(self.nodes[node].life.successor());
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
