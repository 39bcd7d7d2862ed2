//! Everything at once: time, the queue of events, nodes, network, clients.

mod clients;
pub(crate) mod cost;
mod disks;
mod faults;
mod founding;
mod joins;
mod links;
mod readers;
mod rest;
mod stored;

use std::collections::BTreeMap;

use crdt::clock::Millis;
use crdt::identity::{AccountId, Incarnation, MailboxId, NodeSlot};
use crdt::vector::Sequence;
use mailstore::Look;
use replication::event::{Event as Told, LinkId};

use crate::chance::Chance;
use crate::client::Client;
use crate::counts::Counts;
use crate::ledger::{Ledger, Violation};
use crate::network::{Network, Packet};
use crate::node::{Answer, Due, Node};
use crate::settings::Settings;
use crate::trace::Trace;
use disks::PutBack;
use faults::Repair;
use joins::Join;

const ACCOUNT: &str = "alice";
/// More steps than this without any time passing are a loop.
const MOST_STEPS_AT_ONCE: u32 = 20_000;
/// More steps than this in one run are a storm: nodes that answer each other for ever. The busiest of five nodes take 100,000.
const MOST_STEPS: u64 = 400_000;
/// Of a hundred runs in which nodes join, so many part the members before.
const PARTED_JOINS: u64 = 60;
/// Of a hundred runs in which disks are put back, in so many it is planned.
const PLANNED_ROLLBACKS: u64 = 80;
/// The longest that the committer leaves a question alone, in milliseconds.
const COMMIT_DELAY: u64 = 4;

/// Something that will happen.
enum Event {
    /// A client does the next thing.
    Wake {
        client: usize,
    },
    /// An answer of the store for replication, in this life of a node.
    Tell {
        node: usize,
        life: u64,
        event: Told,
    },
    Arrive {
        link: LinkId,
        packet: Packet,
    },
    /// A path may be whole again.
    Release {
        link: LinkId,
    },
    Handshake {
        from: usize,
        life: u64,
        to: usize,
        slot: NodeSlot,
    },
    /// A node that is to join takes its next step.
    Join {
        node: usize,
    },
    Fault,
    /// The members are parted while others are about to join.
    Part,
    Repair(Repair),
}

pub(crate) struct World {
    seed: u64,
    settings: Settings,
    now: Millis,
    queue: BTreeMap<(Millis, u64), Event>,
    next: u64,
    nodes: Vec<Node>,
    network: Network,
    clients: Vec<Client>,
    /// Nodes on their way into the cluster.
    joins: BTreeMap<usize, Join>,
    /// For every record that a node was sent: by whom last.
    came_from: BTreeMap<(usize, Incarnation, Sequence), usize>,
    /// Disks that were put back, while their nodes live in their old slots.
    put_back: Vec<PutBack>,
    /// Short looks of this commit, and the clients that gave them.
    polls: Vec<(usize, Look)>,
    /// Up to when a node has heard another: when the latest frame of it that came was sent, on a connection that had been up for long
    /// enough to bring everything that was announced before.
    heard: BTreeMap<(usize, usize), Millis>,
    account: AccountId,
    chance: Chance,
    /// Whether clients and faults have come to rest.
    resting: bool,
    pub(crate) ledger: Ledger,
    pub(crate) trace: Trace,
    pub(crate) counts: Counts,
}

impl World {
    pub(crate) fn new(seed: u64, settings: Settings) -> Self {
        let mut chance = Chance::new(seed);
        let nodes = (0..settings.nodes)
            .map(|number| Node::new(number, settings.skew_milliseconds, chance.branch()))
            .collect();
        let network = Network::new(settings.nodes, settings.distance, chance.branch());
        let client = |number| Client::new(number % settings.nodes, chance.branch());
        let clients = (0..settings.nodes * settings.clients_a_node).map(client).collect();
        World {
            seed,
            settings,
            now: Millis(1_000),
            queue: BTreeMap::new(),
            next: 0,
            nodes,
            network,
            clients,
            joins: BTreeMap::new(),
            came_from: BTreeMap::new(),
            put_back: vec![],
            polls: vec![],
            heard: BTreeMap::new(),
            account: AccountId::of_name(ACCOUNT),
            chance,
            resting: false,
            ledger: Ledger::new(AccountId::of_name(ACCOUNT)),
            trace: Trace::default(),
            counts: Counts::default(),
        }
    }

    /// Plays the whole of it.
    pub(crate) fn play(&mut self) -> Result<(), Violation> {
        self.found()?;
        for client in 0..self.clients.len() {
            let at = self.chance.below(1_000);
            self.schedule(at, Event::Wake { client });
        }
        for node in self.settings.nodes - self.settings.joining..self.settings.nodes {
            // Where nobody invites it earlier, because others are cut apart.
            let busy = self.settings.busy_milliseconds;
            let at = self.chance.between(busy / 3, busy);
            self.schedule(at, Event::Join { node });
        }
        if self.settings.joining > 0 && self.chance.percent(PARTED_JOINS) {
            let at = self.chance.between(2_000, self.settings.busy_milliseconds / 2);
            self.schedule(at, Event::Part);
        }
        if self.settings.rollbacks && self.chance.percent(PLANNED_ROLLBACKS) {
            self.plan_rollback();
        }
        if self.settings.fault_milliseconds > 0 {
            self.schedule(2_000, Event::Fault);
        }
        let end = self.now.after(self.settings.busy_milliseconds);
        while self.step(end)? {}
        self.now = end;
        self.come_to_rest()
    }

    /// How often what happened.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            accepted: self.ledger.accepted(),
            views: self.ledger.views,
            lost_packets: self.network.lost,
            cut_off_packets: self.network.cut_off,
            ..self.counts
        }
    }

    fn note(&mut self, what: impl Into<String>) {
        self.trace.write(self.now.0, what);
    }

    fn schedule(&mut self, delay: u64, event: Event) {
        self.schedule_at(self.now.after(delay), event);
    }

    fn schedule_at(&mut self, at: Millis, event: Event) {
        self.next += 1;
        self.queue.insert((at, self.next), event);
    }

    /// Takes the next thing that is due by `end`.
    fn step(&mut self, end: Millis) -> Result<bool, Violation> {
        let mut steps = 0;
        let now = self.now;
        while self.now == now {
            if !self.step_once(end)? {
                return Ok(false);
            }
            steps += 1;
            if steps > MOST_STEPS_AT_ONCE {
                let due: Vec<_> = self.nodes.iter().map(Node::poll_timeout).collect();
                return Err(Violation::new("time goes on", format!("a loop without time: {due:?}"), vec![]));
            }
        }
        Ok(true)
    }

    fn step_once(&mut self, end: Millis) -> Result<bool, Violation> {
        self.counts.steps += 1;
        if self.counts.steps > MOST_STEPS {
            let what = format!("{MOST_STEPS} steps until {}: {}", self.now.0, self.counts());
            return Err(Violation::new("a run ends", what, vec![]));
        }
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let due = self.nodes.iter().enumerate();
        let due = due.filter_map(|(node, state)| state.poll_timeout().map(|(at, due)| (at, node, due))).min();
        match (due, queued) {
            (Some((at, node, due)), queued) if queued.is_none_or(|queued| at < queued) => {
                if at > end {
                    return Ok(false);
                }
                self.now = self.now.max(at);
                match due {
                    Due::Replication => self.tell(node, Told::Timeout)?,
                    Due::Commit => self.commit(node)?,
                }
            }
            (_, Some(at)) if at <= end => {
                self.now = self.now.max(at);
                if let Some((_, event)) = self.queue.pop_first() {
                    self.happen(event)?;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Wake { client } => self.wake(client),
            Event::Tell { node, life, event } if self.nodes[node].lives == life => self.tell(node, event),
            Event::Tell { .. } => Ok(()),
            Event::Arrive { link, packet } => self.arrive(link, packet),
            Event::Release { link } => self.release(link),
            Event::Handshake { from, life, to, slot } => self.shake_hands(from, life, to, slot),
            Event::Join { node } => self.join(node),
            Event::Fault => self.strike(),
            Event::Part => {
                self.part();
                Ok(())
            }
            Event::Repair(repair) => self.repair(repair),
        }
    }

    /// The store was asked for something: its committer takes it up soon.
    fn kick(&mut self, node: usize) {
        let at = self.now.after(self.chance.below(COMMIT_DELAY));
        if let Some(life) = &mut self.nodes[node].life {
            life.commit_at.get_or_insert(at);
        }
    }

    /// Runs the committer of a node, and gives everybody what came of it.
    fn commit(&mut self, node: usize) -> Result<(), Violation> {
        let wall = self.nodes[node].wall(self.now);
        let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
        life.commit_at = None;
        life.inline.run(wall);
        self.committed(node)
    }

    fn committed(&mut self, node: usize) -> Result<(), Violation> {
        let crashed = self.nodes[node].disk.has_crashed();
        let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
        if let Some(why) = life.inline.stopped().filter(|_| !crashed) {
            let what = format!("the committer of n{node} stopped: {why}");
            return Err(Violation::new("nodes go on", what, vec![]));
        }
        let mut told = Vec::new();
        for answer in life.answers.take() {
            match answer {
                // An error at this moment is one of the dying process: nobody hears it.
                Answer::Client { result: Err(_), .. } if crashed => {}
                Answer::Client { client, ticket, result } => self.answered(node, client, ticket, result)?,
                Answer::Replication(event) => told.push(event),
            }
        }
        self.look_around(node)?;
        if crashed {
            return self.die(node);
        }
        let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
        told.extend(life.news());
        for event in told {
            self.tell(node, event)?;
        }
        self.move_on(node)
    }

    /// The mailboxes of the account, by name, as a node shows them.
    fn mailboxes(&self, node: usize) -> Vec<(String, MailboxId)> {
        let view = self.nodes[node].life.as_ref().and_then(|life| life.store.account_view(&self.account));
        let list = view.map(|view| view.borrow().mailboxes.clone()).unwrap_or_default();
        list.into_iter().map(|(name, entry)| (name, entry.mailbox)).collect()
    }

    fn name_of(&self, node: usize, mailbox: MailboxId) -> Option<String> {
        self.mailboxes(node).into_iter().find(|(_, id)| *id == mailbox).map(|(name, _)| name)
    }
}

/// A node does not work although nothing was done to it.
fn broken(node: usize, why: String) -> Violation {
    Violation::new("nodes go on", format!("n{node}: {why}"), vec![])
}
