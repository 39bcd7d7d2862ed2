//! What goes from node to node: records, announcements, looks, verdicts, bodies.

use std::collections::BTreeSet;

use peerpost_crdt::identity::{BodyHash, EntryId};
use peerpost_crdt::placement::announcement::Announcement;
use peerpost_crdt::record::Record;
use peerpost_crdt::replica::{DeltaError, Meeting};

use super::world::{Checked, World, account, violated};

/// What one delivery brings.
#[derive(Clone, Copy)]
pub struct Load {
    /// How many records and announcements at most.
    pub most: usize,
    pub bodies: bool,
    pub announcements_first: bool,
}

impl Load {
    pub const ALL: Load = Load { most: usize::MAX, bodies: true, announcements_first: false };
}

impl World {
    /// One node tells another what it lacks.
    pub fn carry(&mut self, from: usize, to: usize, load: Load) -> Checked {
        if from == to || self.cut.contains(&(from, to)) {
            return Ok(());
        }
        self.greet(from, to)?;
        let (slot, looks) = (self.nodes[from].slot(), self.nodes[from].life.looks().own());
        self.wake(to).set_peer_looks(slot, Some(looks));
        self.commit(to)?;
        if load.announcements_first {
            self.carry_announcements(from, to, load.most)?;
        }
        if !self.carry_records(from, to, load)? {
            return Ok(());
        }
        if !load.announcements_first {
            self.carry_announcements(from, to, load.most)?;
        }
        let life = self.nodes[to].life.author().incarnation;
        if let Some(verdict) = self.nodes[from].life.judge(&life) {
            self.wake(to).take_verdict(slot, verdict);
            self.commit(to)?;
        }
        Ok(())
    }

    /// A link came up.
    fn greet(&mut self, from: usize, to: usize) -> Checked {
        if !self.met.insert((from, to)) {
            return Ok(());
        }
        let peer = &self.nodes[from];
        let meeting = Meeting { vector: peer.life.vector().clone(), heard: peer.disk.heard() };
        let slot = peer.slot();
        self.wake(to).meet(slot, Some(meeting));
        self.commit(to)
    }

    /// Life by life, each in order. Tells whether they were taken.
    fn carry_records(&mut self, from: usize, to: usize, load: Load) -> Checked<bool> {
        let have = self.nodes[to].life.vector();
        let peer = &self.nodes[from];
        let lives = peer.life.cluster().in_order(&peer.disk.log.keys().copied().collect());
        let missing = lives.iter().flat_map(|life| {
            let last = have.last(life).0 as usize;
            peer.disk.log.get(life).and_then(|records| records.get(last..)).unwrap_or_default()
        });
        let records: Vec<Record> = missing.take(load.most).cloned().collect();
        if records.is_empty() {
            return Ok(true);
        }
        let bodies: BTreeSet<BodyHash> = self.nodes[to].disk.bodies.clone();
        let here = |hash: &BodyHash| load.bodies || bodies.contains(hash);
        match self.wake(to).apply(records, here) {
            Ok(_) => {}
            // It is refused loudly, and comes again when the clocks are right.
            Err(DeltaError::ClockAhead { .. }) => return Ok(false),
            Err(error) => return violated(format!("n{to} refuses what n{from} has: {error}")),
        }
        self.commit(to)?;
        Ok(true)
    }

    /// What a node heard, the newest of each, without records.
    pub fn carry_announcements(&mut self, from: usize, to: usize, most: usize) -> Checked {
        // Those of the node's own slot as well: its disk may have lost the life that told them.
        let known = &self.nodes[to].disk.kept.announcements;
        let is_new = |(key, announcement): &(&_, &Announcement)| {
            known.get(key).is_none_or(|known| known.at < announcement.at)
        };
        let new = self.nodes[from].disk.kept.announcements.iter().filter(is_new);
        let mut new: Vec<Announcement> = new.map(|(_, announcement)| announcement.clone()).collect();
        if new.is_empty() {
            return Ok(());
        }
        new.sort_by_key(|announcement| (announcement.slot(), announcement.at));
        new.truncate(most);
        if self.wake(to).hear(new).is_err() {
            return violated("no disk can fail here");
        }
        self.commit(to)
    }

    /// Everybody tells everybody who can be reached.
    pub fn exchange(&mut self) -> Checked {
        let living = self.living();
        for from in &living {
            for to in &living {
                self.carry(*from, *to, Load::ALL)?;
            }
        }
        Ok(())
    }

    /// Some bodies that a node lacks come in.
    pub fn bring_bodies(&mut self, node: usize, most: usize) -> Checked {
        let Some(state) = self.nodes[node].account() else { return Ok(()) };
        let body = |entry: &EntryId| {
            state.segment(&entry.segment).get(usize::from(entry.index))?.facts().map(|facts| facts.body)
        };
        let mut brought: BTreeSet<BodyHash> = BTreeSet::new();
        let mut entries = Vec::new();
        for entry in state.absent() {
            let Some(body) = body(entry) else { continue };
            if brought.contains(&body) || brought.len() < most {
                brought.insert(body);
                entries.push(*entry);
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        self.nodes[node].disk.bodies.extend(brought);
        if self.wake(node).body_arrived(account(), &entries).is_err() {
            return violated("no disk can fail here");
        }
        self.commit(node)
    }
}
