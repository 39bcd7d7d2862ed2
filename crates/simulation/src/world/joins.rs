//! Nodes that join while others run, some of them cut apart: as an operator does it, with a token that is good for one node.
//!
//! A member grants a slot, durably. The joiner asks it to be admitted, fetches its log batch by batch into a store of its
//! own, and starts. Whatever breaks off is taken up again with the same token, as `peerpost cluster join` does.

use crdt::identity::NodeSlot;
use crdt::vector::Vector;

use super::{Event, Violation, World, broken};
use crate::node::Life;

/// How long it takes until a step that failed is tried again, in milliseconds.
const TRY_AGAIN_MILLISECONDS: u64 = 500;
/// The size of a delta on the way to a joiner, in octets: small, so that there are several.
const BATCH_BYTES: usize = 16 * 1024;
/// How often an answer to a joiner is lost, of a hundred.
const LOST_ANSWERS: u64 = 15;
/// How often a joiner loses power while it fetches, of a hundred batches.
const JOINER_CRASHES: u64 = 5;

/// A node on its way into the cluster.
pub(super) struct Join {
    inviter: usize,
    slot: NodeSlot,
    /// What the inviter had when it admitted the node, once it did.
    admitted: Option<Vector>,
    /// The process of the joiner while it fetches.
    process: Option<Life>,
}

impl Join {
    /// Who invited the node.
    pub(super) fn inviter(&self) -> usize {
        self.inviter
    }
}

impl World {
    /// The next step of a node that joins.
    pub(super) fn join(&mut self, node: usize) -> Result<(), Violation> {
        if self.nodes[node].joined {
            return Ok(());
        }
        let Some(join) = self.joins.remove(&node) else { return self.invite(node) };
        let inviter = join.inviter;
        let reached = !self.network.is_cut(node, inviter) && !self.network.is_cut(inviter, node);
        if !reached || self.nodes[inviter].life.is_none() {
            // The process of the joiner ends with an error; the operator starts it again.
            self.joins.insert(node, Join { process: None, ..join });
            self.schedule(TRY_AGAIN_MILLISECONDS, Event::Join { node });
            return Ok(());
        }
        match join.admitted.clone() {
            None => self.ask_to_join(node, join),
            Some(admitted) => self.fetch(node, join, &admitted),
        }
    }

    /// Some member grants a slot; who is cut off from it may do the same for somebody else.
    fn invite(&mut self, node: usize) -> Result<(), Violation> {
        let serving = |node: &usize| {
            let node = &self.nodes[*node];
            node.joined && node.is_member() && node.life.is_some()
        };
        let members: Vec<usize> = (0..self.nodes.len()).filter(serving).collect();
        let inviter = self.chance.pick(&members).copied();
        let wall = inviter.map(|inviter| self.nodes[inviter].wall(self.now));
        let (Some(inviter), Some(wall)) = (inviter, wall) else {
            self.schedule(TRY_AGAIN_MILLISECONDS, Event::Join { node });
            return Ok(());
        };
        let Some(life) = &mut self.nodes[inviter].life else { return Ok(()) };
        let store = life.store.clone();
        let granted = life.ask(wall, store.grant());
        let delay = match granted {
            Ok(Some(granted)) => {
                let parted = members.iter().any(|member| {
                    self.network.is_cut(*member, inviter) || self.network.is_cut(inviter, *member)
                });
                self.counts.joins_while_parted += u64::from(parted);
                let apart = if parted { ", some members being cut off" } else { "" };
                self.note(format!("! n{inviter} invites n{node} into slot {}{apart}", granted.slot));
                self.nodes[node].settle_in(granted.slot);
                let join = Join { inviter, slot: granted.slot, admitted: None, process: None };
                self.joins.insert(node, join);
                // Somebody carries the token over.
                self.chance.between(20, 3_000)
            }
            // It has no slots left, its disk is full, or it is dying: another one, later.
            _ => TRY_AGAIN_MILLISECONDS,
        };
        self.schedule(delay, Event::Join { node });
        self.committed(inviter)
    }

    fn ask_to_join(&mut self, node: usize, join: Join) -> Result<(), Violation> {
        let inviter = join.inviter;
        let wall = self.nodes[inviter].wall(self.now);
        let (member, life) = (self.nodes[node].member(), &mut self.nodes[inviter].life);
        let (Some(member), Some(life)) = (member, life) else { return Ok(()) };
        let store = life.store.clone();
        let admitted = life.ask(wall, store.admit(member));
        let vector = store.vector();
        let heard = admitted.is_ok() && !self.chance.percent(LOST_ANSWERS);
        if heard {
            self.note(format!("! n{inviter} admits n{node}"));
        }
        self.joins.insert(node, Join { admitted: heard.then_some(vector), ..join });
        let delay = if heard { self.round_trip(node, inviter) } else { TRY_AGAIN_MILLISECONDS };
        self.schedule(delay, Event::Join { node });
        self.committed(inviter)
    }

    /// One batch of the log; after the last one the node is a member like any other.
    fn fetch(&mut self, node: usize, mut join: Join, admitted: &Vector) -> Result<(), Violation> {
        if join.process.is_none() && !self.resting && self.chance.percent(JOINER_CRASHES) {
            let operations = self.chance.below(40);
            self.nodes[node].disk.crash_after(operations);
        }
        let inviter = join.inviter;
        let fetched = self.fetch_batch(node, &mut join, admitted);
        if self.nodes[node].disk.has_crashed() {
            drop(join.process.take());
            let seed = self.chance.next();
            self.nodes[node].disk = self.nodes[node].disk.survivor(seed);
            self.note(format!("! n{node} loses power while it joins"));
            self.joins.insert(node, join);
            self.schedule(TRY_AGAIN_MILLISECONDS, Event::Join { node });
            return Ok(());
        }
        match fetched {
            Ok(true) => {
                drop(join.process.take());
                self.nodes[node].joined = true;
                self.counts.joins += 1;
                self.note(format!("! n{node} has joined in slot {}", join.slot));
                self.start(node)
            }
            Ok(false) => {
                self.joins.insert(node, join);
                let delay = self.round_trip(node, inviter);
                self.schedule(delay, Event::Join { node });
                Ok(())
            }
            // A disk without room; else there is no reason.
            Err(_) if self.nodes[node].is_full => {
                drop(join.process.take());
                self.joins.insert(node, join);
                self.schedule(TRY_AGAIN_MILLISECONDS, Event::Join { node });
                Ok(())
            }
            Err(why) => Err(broken(node, format!("it cannot join: {why}"))),
        }
    }

    /// Says whether everything is there now.
    fn fetch_batch(&mut self, node: usize, join: &mut Join, admitted: &Vector) -> Result<bool, String> {
        let (now, wall) = (self.now, self.nodes[node].wall(self.now));
        let giver = self.nodes[join.inviter].life.as_ref().ok_or("the inviter is gone")?.store.clone();
        let process = match &mut join.process {
            Some(process) => process,
            process => process.insert(self.nodes[node].open(now)?),
        };
        let have = process.store.vector();
        if have.covers(admitted) {
            let member = self.nodes[node].member().ok_or("it has no slot")?;
            let store = process.store.clone();
            return process.ask(wall, store.admit(member)).map(|()| true);
        }
        let records = giver.delta_since(&have, BATCH_BYTES).map_err(|why| why.to_string())?;
        process.apply(wall, records)?;
        if process.store.vector() == have {
            return Err("nothing came of a batch of records".into());
        }
        Ok(false)
    }

    fn round_trip(&self, a: usize, b: usize) -> u64 {
        self.network.latency(a, b) + self.network.latency(b, a)
    }
}
