//! A deterministic network of state machines: one event queue, paths with a delay that can be cut.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};

use crdt::clock::{Millis, Timestamp};
use crdt::identity::{BodyHash, Incarnation, NodeSlot};
use peerpost_replication::event::{Departure, Event, LinkId, Now, Output};
use peerpost_replication::frame::{ClusterId, Frame, LENGTH_PREFIX, LookedAt};
use peerpost_replication::limits::DIAL_LIMIT;
use peerpost_replication::status::Status;
use peerpost_replication::{Identity, Replicator};

use crate::common::{FakeStore, member};

const STORE_DELAY: u64 = 2;

/// Nodes, paths and what is under way.
pub struct Network {
    pub nodes: Vec<Node>,
    pub now: Millis,
    queue: BTreeMap<(Millis, u64), Pending>,
    next: u64,
    connections: BTreeMap<LinkId, Connection>,
    cut: BTreeSet<(usize, usize)>,
    /// What met a cut path: QUIC sends it again once the path is whole.
    held: BTreeMap<(Millis, u64), Pending>,
    delays: BTreeMap<(usize, usize), u64>,
    /// What happened, for comparing two runs.
    pub trace: blake3::Hasher,
    pub frames_sent: u64,
}

pub struct Node {
    pub replicator: Replicator,
    pub store: FakeStore,
    pub incarnation: Incarnation,
    pub looks: BTreeSet<LookedAt>,
    /// Milliseconds that this node's wall clock is ahead.
    pub skew: u64,
    /// Extra time that this node's store takes to apply a delta.
    pub apply_delay: u64,
    pub outputs_at_most: usize,
    /// How many frames of notices it sent.
    pub notice_frames: u64,
    told: u16,
    life: u64,
    staged: BTreeMap<BodyHash, Vec<u8>>,
}

/// One end of a connection: the node and its life there, and the other end's link.
#[derive(Clone, Copy)]
struct Connection {
    node: usize,
    life: u64,
    other: LinkId,
    open: bool,
}

enum Pending {
    /// For a life of a node.
    Event(usize, u64, Event),
    /// Octets on a path.
    Wire(LinkId, Event),
    Handshake {
        from: usize,
        life: u64,
        to: usize,
    },
}

impl Network {
    pub fn new(nodes: u8) -> Self {
        let mut network = Network {
            nodes: (0..nodes).map(Node::new).collect(),
            now: Millis(1_000_000),
            queue: BTreeMap::new(),
            next: 0,
            connections: BTreeMap::new(),
            cut: BTreeSet::new(),
            held: BTreeMap::new(),
            delays: BTreeMap::new(),
            trace: blake3::Hasher::new(),
            frames_sent: 0,
        };
        (0..network.nodes.len()).for_each(|node| network.introduce(node));
        network
    }

    fn introduce(&mut self, node: usize) {
        let members = (0..self.nodes.len()).map(|slot| member(slot as u8, &slot.to_string())).collect();
        let looks = self.nodes[node].looks.clone();
        let heard = self.nodes[node].store.heard.clone();
        self.handle(node, Event::Members(members));
        self.handle(node, Event::Heard(heard));
        self.handle(node, Event::Looks(looks));
    }

    pub fn delay(&mut self, a: usize, b: usize, milliseconds: u64) {
        self.delays.insert((a.min(b), a.max(b)), milliseconds);
    }

    /// A cut path holds everything back; nobody is told.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut.insert((a.min(b), a.max(b)));
    }

    pub fn heal(&mut self, a: usize, b: usize) {
        self.cut.remove(&(a.min(b), a.max(b)));
        self.queue.append(&mut self.held);
    }

    pub fn heal_all(&mut self) {
        self.cut.clear();
        self.queue.append(&mut self.held);
    }

    /// Breaks the connections between two nodes; both are told.
    pub fn kill(&mut self, a: usize, b: usize) {
        let ends: Vec<LinkId> =
            self.connections.iter().filter(|(_, end)| end.open).map(|(id, _)| *id).collect();
        for link in ends {
            let (node, peer) = (self.connections[&link].node, self.peer_of(link));
            if (node, peer) == (a, b) || (node, peer) == (b, a) {
                self.close_end(link, Departure::Lost("killed".into()));
            }
        }
    }

    /// Ends a node's life and starts the next one on the same store; staged bodies are lost.
    pub fn restart(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        let store = std::mem::take(&mut state.store);
        let mut next = Node::new(node as u8);
        next.life = state.life + 1;
        next.incarnation =
            Incarnation([node as u8, next.life as u8, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
        next.looks = state.looks.clone();
        next.skew = state.skew;
        next.replicator = Node::replicator(node as u8, next.incarnation, &store);
        next.store = store;
        next.store.peer_looks.clear();
        next.store.meetings.clear();
        next.told = self.nodes[node].told;
        self.nodes[node] = next;
        for end in self.connections.values_mut().filter(|end| end.node == node) {
            end.open = false;
        }
        self.introduce(node);
    }

    pub fn commit(&mut self, node: usize, body: Option<(BodyHash, Vec<u8>)>) {
        let state = &mut self.nodes[node];
        state.store.commit(state.incarnation, body);
        let vector = state.store.vector.clone();
        self.handle(node, Event::Committed(vector));
    }

    /// Tells a notice of this node.
    pub fn tell(&mut self, node: usize, bytes: Vec<u8>) {
        let wall = self.clocks(node).wall;
        let state = &mut self.nodes[node];
        state.told += 1;
        let slot = NodeSlot::new(node as u8).expect("a slot");
        state.store.tell(slot, Timestamp::from_parts(wall, state.told, slot), bytes);
        let heard = state.store.heard.clone();
        self.handle(node, Event::Heard(heard));
    }

    /// Whether all nodes have heard the same.
    pub fn have_all_heard(&self) -> bool {
        let first = &self.nodes[0].store;
        self.nodes.iter().all(|node| node.store.heard == first.heard && node.store.notices == first.notices)
    }

    pub fn look(&mut self, node: usize, look: LookedAt, looked_at: bool) {
        let looks = &mut self.nodes[node].looks;
        if looked_at {
            looks.insert(look);
        } else {
            looks.remove(&look);
        }
        let looks = looks.clone();
        self.handle(node, Event::Looks(looks));
    }

    pub fn status(&self, node: usize) -> Status {
        self.nodes[node].replicator.status(self.clocks(node))
    }

    /// Runs for this many milliseconds.
    pub fn run(&mut self, milliseconds: u64) {
        let end = self.now.after(milliseconds);
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until the condition holds; gives how many milliseconds that took, `None` if longer than the limit.
    pub fn run_until(&mut self, limit: u64, condition: impl Fn(&Network) -> bool) -> Option<u64> {
        let start = self.now;
        while !condition(self) {
            if !self.step(start.after(limit)) {
                return None;
            }
        }
        Some(self.now.0 - start.0)
    }

    /// Whether all nodes have the same records and all bodies.
    pub fn is_converged(&self) -> bool {
        let first = &self.nodes[0].store;
        self.nodes.iter().all(|node| {
            node.store.vector == first.vector
                && node.store.bodies == first.bodies
                && node.store.wanted(1).is_empty()
        })
    }

    /// Takes the next thing that is due by `end`.
    fn step(&mut self, end: Millis) -> bool {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let timers = self.nodes.iter().map(|node| node.replicator.poll_timeout());
        let timer = timers.enumerate().filter_map(|(node, at)| at.map(|at| (at, node))).min();
        let timer = timer.filter(|(at, _)| queued.is_none_or(|queued| *at < queued));
        match (timer, queued) {
            (Some((at, node)), _) if at <= end => {
                self.now = self.now.max(at);
                self.handle(node, Event::Timeout);
            }
            (None, Some(at)) if at <= end => {
                self.now = self.now.max(at);
                if let Some((key, pending)) = self.queue.pop_first() {
                    self.carry_out(key, pending);
                }
            }
            _ => return false,
        }
        true
    }

    fn carry_out(&mut self, key: (Millis, u64), pending: Pending) {
        match pending {
            Pending::Event(node, life, event) if self.nodes[node].life == life => self.handle(node, event),
            Pending::Event(..) => {}
            Pending::Wire(link, event) => {
                let (node, peer) = (self.connections[&link].node, self.peer_of(link));
                if !self.connections[&link].open {
                    return;
                }
                if self.cut.contains(&(node.min(peer), node.max(peer))) {
                    self.held.insert(key, Pending::Wire(link, event));
                } else {
                    if matches!(event, Event::Disconnected { .. }) {
                        self.connections.get_mut(&link).expect("an end").open = false;
                    }
                    self.handle(node, event);
                }
            }
            Pending::Handshake { from, life, to } => self.shake_hands(from, life, to),
        }
    }

    fn shake_hands(&mut self, from: usize, life: u64, to: usize) {
        if self.cut.contains(&(from.min(to), from.max(to))) {
            let slot = NodeSlot::new(to as u8).expect("a slot");
            return self.schedule(
                DIAL_LIMIT,
                Pending::Event(from, life, Event::DialFailed { slot, why: "no answer".into() }),
            );
        }
        if self.nodes[from].life != life {
            return;
        }
        let (here, there) = (LinkId(self.next + 1), LinkId(self.next + 2));
        self.next += 2;
        let end = |node: usize, other| Connection { node, life: self.nodes[node].life, other, open: true };
        let (first, second) = (end(from, there), end(to, here));
        self.connections.insert(here, first);
        self.connections.insert(there, second);
        let slot = |node: usize| NodeSlot::new(node as u8).expect("a slot");
        let delay = self.delay_between(from, to);
        let event = Event::Connected { slot: slot(from), link: there, dialled: false };
        self.schedule(delay, Pending::Wire(there, event));
        self.handle(from, Event::Connected { slot: slot(to), link: here, dialled: true });
    }

    fn handle(&mut self, node: usize, event: Event) {
        self.trace.update(format!("{} {node} {event:?}\n", self.now.0).as_bytes());
        let now = self.clocks(node);
        self.nodes[node].replicator.handle(now, event);
        let mut outputs = 0;
        while let Some(output) = self.nodes[node].replicator.poll_output() {
            outputs += 1;
            self.obey(node, output);
        }
        self.nodes[node].outputs_at_most = self.nodes[node].outputs_at_most.max(outputs);
    }

    fn obey(&mut self, node: usize, output: Output) {
        match output {
            Output::Dial { slot, .. } => {
                let to = usize::from(slot.number());
                let (life, delay) = (self.nodes[node].life, 2 * self.delay_between(node, to));
                self.schedule(delay, Pending::Handshake { from: node, life, to });
            }
            Output::Send { link, frame } => {
                self.nodes[node].notice_frames += u64::from(matches!(frame, Frame::Notices { .. }));
                self.send(link, &frame);
            }
            Output::Met { slot, meeting } => self.nodes[node].store.meet(slot, meeting),
            Output::Verdict { slot, life, verdict } => {
                self.nodes[node].store.verdicts.push((slot, life, verdict));
            }
            Output::Disconnect { link, reason } => {
                let end = self.connections.get_mut(&link).expect("an end");
                end.open = false;
                let (other, peer) = (end.other, self.peer_of(link));
                let delay = self.delay_between(node, peer);
                let event = Event::Disconnected { link: other, departure: Departure::Goodbye(reason) };
                self.schedule(delay, Pending::Wire(other, event));
            }
            Output::PeerLooks { slot, looks } => {
                let known = &mut self.nodes[node].store.peer_looks;
                match looks {
                    Some(looks) => known.insert(slot, looks),
                    None => known.remove(&slot),
                };
            }
            store => self.ask_store(node, store),
        }
    }

    fn ask_store(&mut self, node: usize, output: Output) {
        let state = &mut self.nodes[node];
        let mut delay = STORE_DELAY;
        let event = match output {
            Output::ReadDelta { link, after, limit } => {
                Event::DeltaRead { link, records: Ok(state.store.delta_since(&after, limit)) }
            }
            Output::Apply { link, records } => {
                delay += state.apply_delay;
                Event::Applied { link, result: state.store.apply(records) }
            }
            Output::ReadNotices { link, after, limit } => {
                Event::NoticesRead { link, tellings: Ok(state.store.notices_since(&after, limit)) }
            }
            Output::Keep { link, tellings } => {
                delay += state.apply_delay;
                Event::Kept { link, result: state.store.keep(tellings) }
            }
            Output::Judge { link, life } => Event::Judged { link, life, verdict: state.store.judge(&life) },
            Output::ReadWanted { limit } => Event::WantedRead(Ok(state.store.wanted(limit))),
            Output::ReadBody { link, hash, offset, length } => Event::BodyRead {
                link,
                hash,
                offset,
                piece: Ok(state.store.read_body(&hash, offset, length)),
            },
            Output::WriteBody { hash, bytes } => {
                let length = bytes.len() as u64;
                state.staged.entry(hash).or_default().extend(bytes);
                Event::BodyWritten { length }
            }
            Output::FinishBody { hash } => {
                let octets = state.staged.remove(&hash).unwrap_or_default();
                Event::BodyStored { hash, result: state.store.add_body(hash, octets) }
            }
            Output::AbandonBody { hash } => {
                state.staged.remove(&hash);
                return;
            }
            other => unreachable!("not for the store: {other:?}"),
        };
        let life = state.life;
        self.schedule(delay, Pending::Event(node, life, event));
    }

    fn send(&mut self, link: LinkId, frame: &Frame) {
        self.frames_sent += 1;
        let octets = frame.encode().expect("a frame within bounds");
        let frame = Frame::decode(&octets[LENGTH_PREFIX..]).expect("what was encoded decodes");
        let end = self.connections[&link];
        let delay = self.delay_between(end.node, self.peer_of(link));
        self.schedule(delay, Pending::Wire(end.other, Event::Frame { link: end.other, frame }));
    }

    fn close_end(&mut self, link: LinkId, departure: Departure) {
        let end = self.connections.get_mut(&link).expect("an end");
        end.open = false;
        let (node, life) = (end.node, end.life);
        self.schedule(1, Pending::Event(node, life, Event::Disconnected { link, departure }));
    }

    fn schedule(&mut self, delay: u64, pending: Pending) {
        self.next += 1;
        self.queue.insert((self.now.after(delay), self.next), pending);
    }

    fn peer_of(&self, link: LinkId) -> usize {
        self.connections[&self.connections[&link].other].node
    }

    fn delay_between(&self, a: usize, b: usize) -> u64 {
        self.delays.get(&(a.min(b), a.max(b))).copied().unwrap_or(10)
    }

    fn clocks(&self, node: usize) -> Now {
        Now { steady: self.now, wall: self.now.after(1_790_000_000_000 + self.nodes[node].skew) }
    }
}

impl Node {
    fn new(slot: u8) -> Self {
        let incarnation = Incarnation([slot; 16]);
        let store = FakeStore::default();
        Node {
            replicator: Self::replicator(slot, incarnation, &store),
            store,
            incarnation,
            looks: BTreeSet::new(),
            skew: 0,
            apply_delay: 0,
            outputs_at_most: 0,
            notice_frames: 0,
            told: 0,
            life: 0,
            staged: BTreeMap::new(),
        }
    }

    fn replicator(slot: u8, incarnation: Incarnation, store: &FakeStore) -> Replicator {
        let slot = NodeSlot::new(slot).expect("a slot");
        let identity = Identity { cluster: ClusterId([7; 16]), slot, incarnation };
        Replicator::new(identity, store.vector.clone(), u64::from(slot.number()))
    }
}
