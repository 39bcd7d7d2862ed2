//! Nodes, what is between them, and those who watch.

use std::collections::{BTreeMap, BTreeSet};

use peerpost_crdt::account::Account;
use peerpost_crdt::clock::Millis;
use peerpost_crdt::identity::{AccountId, Incarnation, MailboxId, NodeSlot};
use peerpost_crdt::operation::{DefaultMailbox, Member};
use peerpost_crdt::placement::surroundings::{OnReorder, Policy};
use peerpost_crdt::replica::{Replica, Wanted};
use peerpost_crdt::writer::Author;

use super::chance::Chance;
use super::clients::Client;
use super::disk::{Disk, Found, Life};
use super::faults::Doubtful;
use super::ledger::Ledger;
use super::step::{DEFAULTS, NAMES};
use super::witness::Witness;

/// When everything begins, in milliseconds since 1970.
pub const START: u64 = 1_790_000_000_000;

/// What must not happen.
#[derive(Clone, Debug)]
pub struct Violation(pub String);

pub type Checked<T = ()> = Result<T, Violation>;

pub fn violated<T>(what: impl Into<String>) -> Checked<T> {
    Err(Violation(what.into()))
}

/// One machine: a disk, and the life that runs on it.
#[derive(Clone)]
pub struct Node {
    pub disk: Disk,
    pub life: Life,
    /// Whether it will never be heard of again.
    pub dead: bool,
    /// Of which clients are still to be told UIDs, and in which mailbox.
    pub unanswered: Vec<(Wanted, MailboxId)>,
    /// What its clock is off, in milliseconds.
    pub off: i64,
    /// What its clock shows while it stands.
    pub stopped: Option<Millis>,
}

impl Node {
    pub fn account(&self) -> Option<&Account> {
        self.life.loaded().next()
    }

    pub fn named(&self, name: usize) -> Option<MailboxId> {
        self.account()?.unit_by_name(NAMES[name]).map(|unit| unit.public)
    }

    /// The machine's own, in whatever slot it is.
    pub fn key(&self) -> Option<[u8; 32]> {
        self.life.cluster().member(self.slot()).map(|member| member.key)
    }

    pub fn slot(&self) -> NodeSlot {
        self.life.author().slot
    }
}

/// A copy of a node's disk.
#[derive(Clone)]
pub struct Copy {
    pub node: usize,
    pub disk: Disk,
}

#[derive(Clone)]
pub struct World {
    pub now: u64,
    pub nodes: Vec<Node>,
    /// From whom nothing reaches whom.
    pub cut: BTreeSet<(usize, usize)>,
    /// Who has been greeted by whom since the link came up.
    pub met: BTreeSet<(usize, usize)>,
    pub copies: Vec<Copy>,
    /// Records that a rolled-back disk lost, by node: somebody else must have some of each.
    pub lost: Vec<(usize, Vec<(Incarnation, u64)>)>,
    /// Of two lives.
    pub doubtful: Vec<Doubtful>,
    pub policy: Policy,
    pub ledger: Ledger,
    pub witness: Witness,
    pub clients: Vec<Client>,
    pub next_body: u64,
    seed: u64,
    next_life: u64,
}

pub fn account() -> AccountId {
    AccountId::of_name("alice")
}

pub fn member(slot: NodeSlot) -> Member {
    let number = slot.number();
    Member { slot, name: format!("node{number}"), key: [number; 32], advertise: String::new() }
}

impl World {
    /// Some nodes that know each other and an account, each confirmed by all.
    pub fn new(nodes: usize) -> Checked<World> {
        let mut world = World {
            now: START,
            nodes: Vec::new(),
            cut: BTreeSet::new(),
            met: BTreeSet::new(),
            copies: Vec::new(),
            lost: Vec::new(),
            doubtful: Vec::new(),
            policy: Policy::default(),
            ledger: Ledger::default(),
            witness: Witness::default(),
            clients: vec![Client::default(), Client::default()],
            next_body: 0,
            seed: nodes as u64,
            next_life: 0,
        };
        world.add_node(NodeSlot::FIRST)?;
        let life = world.wake(0);
        life.admit_member(member(NodeSlot::FIRST));
        let default = |name: &&str| DefaultMailbox { name: (*name).to_owned(), special_use: None };
        let defaults: Vec<DefaultMailbox> = NAMES[..DEFAULTS].iter().map(default).collect();
        life.add_account("alice", "hash", &defaults).map_err(|error| Violation(error.to_string()))?;
        life.create_mailbox(account(), NAMES[DEFAULTS], None)
            .map_err(|error| Violation(error.to_string()))?;
        world.commit(0)?;
        for _ in 1..nodes {
            world.join(0)?;
        }
        for _ in 0..2 {
            world.exchange()?;
        }
        for node in &world.nodes {
            if !node.life.is_confirmed() {
                return violated("a life is not confirmed at the beginning");
            }
        }
        world.pass(5_000)?;
        Ok(world)
    }

    /// The same world under another seed and policy.
    pub fn under(&self, seed: u64, on_reorder: OnReorder) -> World {
        let mut world = self.clone();
        world.seed = seed;
        world.policy.on_reorder = on_reorder;
        world.nodes.iter_mut().for_each(|node| node.life.set_policy(world.policy));
        world
    }

    /// The living nodes.
    pub fn living(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| !self.nodes[*node].dead).collect()
    }

    /// A living node, whatever the number.
    pub fn node(&self, number: u8) -> usize {
        let living = self.living();
        living[usize::from(number) % living.len()]
    }

    pub fn clock(&self, node: usize) -> Millis {
        let node = &self.nodes[node];
        node.stopped.unwrap_or(Millis(self.now.saturating_add_signed(node.off)))
    }

    /// A node's life, at the present moment.
    pub fn wake(&mut self, node: usize) -> &mut Life {
        let clock = self.clock(node);
        let life = &mut self.nodes[node].life;
        life.begin(clock);
        life
    }

    /// Ends the batch of a node: it is durable, and then clients see it.
    pub fn commit(&mut self, node: usize) -> Checked {
        self.commit_seen(node, None)
    }

    pub fn commit_seen(&mut self, node: usize, seen: Option<MailboxId>) -> Checked {
        let unanswered = std::mem::take(&mut self.nodes[node].unanswered);
        let waits = self.nodes[node].life.waits_until().is_some();
        for (wanted, _) in unanswered.iter().filter(|_| !waits) {
            self.nodes[node].life.place_wanted(wanted);
        }
        self.commit_batch(node, seen)?;
        for (wanted, mailbox) in unanswered {
            let answer = Some(()).filter(|()| !waits).and_then(|()| self.nodes[node].life.answer(&wanted));
            match answer {
                None => self.nodes[node].unanswered.push((wanted, mailbox)),
                // The client sees what it is answered.
                Some(_) => self.witness.observe(node, &self.nodes[node], Some(mailbox), self.policy)?,
            }
        }
        Ok(())
    }

    fn commit_batch(&mut self, node: usize, seen: Option<MailboxId>) -> Checked {
        for _ in 0..4 {
            let Node { life, disk, .. } = &mut self.nodes[node];
            let commit = life.commit();
            let nothing = commit.is_empty();
            if !nothing {
                disk.write(&commit, life);
            }
            if !nothing || seen.is_some() {
                self.witness.observe(node, &self.nodes[node], seen, self.policy)?;
            }
            if commit.announcements.is_empty() {
                return Ok(());
            }
            let heard = self.nodes[node].disk.heard();
            self.wake(node).set_heard(heard);
        }
        Ok(())
    }

    /// A new machine with an empty disk.
    pub fn add_node(&mut self, slot: NodeSlot) -> Checked<usize> {
        let disk = Disk::empty(slot);
        let life = self.first_breath(&disk, START, false);
        let node = Node { disk, life, dead: false, unanswered: vec![], off: 0, stopped: None };
        self.nodes.push(node);
        let node = self.nodes.len() - 1;
        self.begin_life(node, false)?;
        Ok(node)
    }

    fn first_breath(&mut self, disk: &Disk, clock: u64, continues: bool) -> Life {
        self.next_life += 1;
        let name = Chance::new(self.seed.wrapping_mul(0x0100_0000_01b3) ^ self.next_life).octets();
        let author = Author { slot: disk.slot, incarnation: Incarnation(name) };
        Replica::start(Found::on(disk), author, disk.beginning(continues), Millis(clock))
    }

    /// A life begins from what is on the disk.
    pub fn begin_life(&mut self, node: usize, continues: bool) -> Checked {
        let clock = self.clock(node);
        let disk = self.nodes[node].disk.clone();
        let mut life = self.first_breath(&disk, clock.0, continues);
        life.set_policy(self.policy);
        life.account(account()).map_err(|error| Violation(error.to_string()))?;
        let incarnation = life.author().incarnation;
        self.nodes[node].life = life;
        if !continues {
            self.nodes[node].unanswered.clear();
        }
        self.nodes[node].disk.lives.push(incarnation);
        let heard = self.nodes[node].disk.heard();
        self.commit(node)?;
        self.wake(node).set_heard(heard);
        self.commit(node)
    }

    /// A node can no longer be reached by anybody: its links are gone.
    pub fn unlink(&mut self, node: usize, slot: NodeSlot) -> Checked {
        for other in self.living() {
            if other != node {
                self.met.remove(&(node, other));
                self.met.remove(&(other, node));
                self.lose_sight(slot, other)?;
            }
        }
        Ok(())
    }

    /// A node notices that a peer cannot be heard.
    pub fn lose_sight(&mut self, of: NodeSlot, here: usize) -> Checked {
        let life = self.wake(here);
        life.meet(of, None);
        life.set_peer_looks(of, None);
        self.commit(here)
    }

    /// Time passes, and what was due is done.
    pub fn pass(&mut self, milliseconds: u64) -> Checked {
        self.now += milliseconds;
        for node in self.living() {
            if milliseconds > 60_000 {
                // No clock stands for long.
                self.nodes[node].stopped = None;
            }
            if milliseconds >= 3_000 {
                self.notice_silence(node)?;
            }
            if milliseconds >= 400 {
                self.follow_the_slot(node)?;
            }
            self.wake(node).handle_timeout();
            self.commit(node)?;
        }
        Ok(())
    }

    fn notice_silence(&mut self, node: usize) -> Checked {
        for other in self.living() {
            if other != node && self.cut.contains(&(other, node)) && self.met.remove(&(other, node)) {
                self.lose_sight(self.nodes[other].slot(), node)?;
            }
        }
        Ok(())
    }

    /// A node that was given another slot goes on there.
    pub fn follow_the_slot(&mut self, node: usize) -> Checked<bool> {
        let slot = self.nodes[node].slot();
        let Some(new) = self.nodes[node].life.successor().filter(|new| *new != slot) else {
            return Ok(false);
        };
        self.nodes[node].disk.slot = new;
        self.unlink(node, slot)?;
        self.begin_life(node, false)?;
        Ok(true)
    }

    /// The last record of each life that anybody has who lives.
    pub fn survives(&self) -> BTreeMap<Incarnation, u64> {
        let mut lasts: BTreeMap<Incarnation, u64> = BTreeMap::new();
        for node in self.nodes.iter().filter(|node| !node.dead) {
            for (life, records) in &node.disk.log {
                let last = lasts.entry(*life).or_default();
                *last = (*last).max(records.len() as u64);
            }
        }
        lasts
    }
}
