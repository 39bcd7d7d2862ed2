//! Every interleaving of a small world: two nodes, three messages, looks on both sides, an expunge, a cut, deltas both ways.
//!
//! What a node is depends on its own history alone (its clock counts its own steps), so two interleavings that give both nodes the
//! same histories are one state, and are explored once.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::Witness;
use peerpost_crdt::account::NewEntry;
use peerpost_crdt::clock::Millis;
use peerpost_crdt::flag::{Flag, FlagChange};
use peerpost_crdt::identity::{
    AccountId, BodyHash, EntryId, Incarnation, MailboxId, NodeSlot, Uid, Validity,
};
use peerpost_crdt::operation::DefaultMailbox;
use peerpost_crdt::record::Record;
use peerpost_crdt::replica::{Beginning, NoArchive, Replica};
use peerpost_crdt::view::ReceivedAt;
use peerpost_crdt::writer::Author;

const START: u64 = 1_790_000_000_000;
/// Between courtesy (500 ms) and none: some steps find it over, others do not.
const STEP_MILLISECONDS: u64 = 200;

/// What a node may do, once each in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Deliver,
    Look,
    Expunge,
    /// A second goes by.
    Wait,
    /// Everything that the peer has written until its n-th step.
    Receive(usize),
    /// The peer can no longer be reached.
    Cut,
}

#[derive(Clone)]
struct Node {
    replica: Replica<NoArchive>,
    log: Vec<Record>,
    history: Vec<Step>,
    /// What is left of its own program.
    program: &'static [Step],
    receives: usize,
    waited: u64,
    looks: Vec<MailboxId>,
}

#[derive(Clone)]
struct World {
    nodes: [Node; 2],
    cut: bool,
    cuts: usize,
    witness: Witness,
}

type Picture = BTreeMap<(Option<Validity>, Uid), EntryId>;

fn account() -> AccountId {
    AccountId::of_name("alice")
}

fn inbox() -> MailboxId {
    MailboxId::of_default(account(), "INBOX")
}

impl Node {
    fn new(number: u8, program: &'static [Step], receives: usize) -> Self {
        let slot = NodeSlot::new(number).expect("a slot");
        let author = Author { slot, incarnation: Incarnation([number + 1; 16]) };
        Node {
            replica: Replica::start(NoArchive, author, Beginning::default(), Millis(START)),
            log: vec![],
            history: vec![],
            program,
            receives,
            waited: 0,
            looks: vec![],
        }
    }

    fn now(&self) -> Millis {
        Millis(START + 1000 + self.waited + self.history.len() as u64 * STEP_MILLISECONDS)
    }

    fn commit(&mut self) {
        self.log.extend(self.replica.commit().records);
    }

    fn receive(&mut self, records: &[Record]) {
        let vector = self.replica.vector().clone();
        let missing = records.iter().filter(|record| record.sequence > vector.last(&record.incarnation));
        self.replica.apply(missing.cloned().collect(), |_| true).expect("a delta of an honest node");
    }

    fn visible(&self) -> Option<EntryId> {
        self.replica.loaded().next()?.view(inbox()).rows.at(0).map(|row| row.facts.entry)
    }

    fn picture(&self) -> Picture {
        let view = self.replica.loaded().next().expect("alice").view(inbox());
        view.rows.iter().map(|row| ((view.validity, row.uid), row.facts.entry)).collect()
    }
}

impl World {
    fn new(programs: [&'static [Step]; 2], receives: [usize; 2], cuts: usize) -> Self {
        let [a, b] = programs;
        let mut nodes = [Node::new(0, a, receives[0]), Node::new(1, b, receives[1])];
        let defaults = [DefaultMailbox { name: "INBOX".to_owned(), special_use: None }];
        nodes[0].replica.add_account("alice", "hash", &defaults).expect("added");
        nodes.iter_mut().for_each(Node::commit);
        let log = nodes[0].log.clone();
        nodes[1].receive(&log);
        nodes[1].commit();
        World { nodes, cut: false, cuts, witness: Witness::default() }
    }

    /// What may happen next, and at which node.
    fn steps(&self) -> Vec<(usize, Step)> {
        let mut steps = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let own = node.program.first().filter(|step| **step != Step::Expunge || node.visible().is_some());
            steps.extend(own.map(|step| (number, *step)));
            let heard =
                |step: &Step| matches!(step, Step::Receive(n) if *n == self.nodes[1 - number].history.len());
            if !self.cut && node.receives > 0 && !node.history.iter().any(heard) {
                steps.push((number, Step::Receive(self.nodes[1 - number].history.len())));
            }
        }
        let more = self.nodes.iter().any(|node| node.receives > 0);
        if more && (self.cuts > 0 || self.cut) {
            // A cut, or its end: of no node's own making.
            steps.push((0, Step::Cut));
        }
        steps
    }

    fn go(&mut self, number: usize, step: Step) {
        if step == Step::Cut {
            self.cut = !self.cut;
            self.cuts -= usize::from(self.cut);
            if self.cut {
                for (node, peer) in [(0, 1), (1, 0)] {
                    let slot = NodeSlot::new(peer).expect("a slot");
                    self.nodes[node].replica.set_peer_looks(slot, None);
                    self.done(node, Step::Cut);
                }
            }
            return;
        }
        let peer = self.nodes[1 - number].clone();
        let node = &mut self.nodes[number];
        node.replica.begin(node.now());
        match step {
            Step::Deliver => {
                let new = NewEntry {
                    body: BodyHash([number as u8; 32]),
                    size: 1,
                    received: ReceivedAt::default(),
                    flags: vec![],
                    email: None,
                    delivery: None,
                };
                node.replica.deliver(account(), inbox(), new).expect("delivered");
            }
            Step::Look => {
                node.replica.look(account(), inbox()).expect("no disk");
                node.looks.push(inbox());
            }
            Step::Expunge => {
                let entry = node.visible().expect("visible");
                let deleted = [Flag::Deleted];
                node.replica
                    .change_flags(account(), inbox(), &[entry], FlagChange::Add, &deleted, None)
                    .expect("stored");
                node.replica.expunge(account(), inbox(), &[entry]).expect("expunged");
            }
            Step::Wait => {
                node.waited += 1000;
                node.replica.begin(node.now());
                node.replica.handle_timeout();
            }
            Step::Receive(_) => {
                node.receives -= 1;
                node.receive(&peer.log);
                let slot = peer.replica.author().slot;
                node.replica.set_peer_looks(slot, Some(peer.replica.looks().own()));
            }
            Step::Cut => {}
        }
        if !matches!(step, Step::Receive(_)) {
            node.program = node.program.get(1..).unwrap_or_default();
        }
        self.done(number, step);
    }

    fn done(&mut self, number: usize, step: Step) {
        let node = &mut self.nodes[number];
        node.commit();
        node.history.push(step);
        self.witness.observe(number, &self.nodes[number].replica, &self.nodes[number].looks);
    }

    /// Everything is delivered, both look, nothing waits: both show the same.
    fn check_rest(mut self) {
        self.cut = false;
        for _round in 0..4 {
            for number in 0..2 {
                let log = self.nodes[1 - number].log.clone();
                let node = &mut self.nodes[number];
                node.waited += 1000;
                node.replica.begin(node.now());
                node.receive(&log);
                node.replica.glance(account(), inbox()).expect("no disk");
                node.commit();
                self.witness.observe(number, &self.nodes[number].replica, &self.nodes[number].looks);
            }
        }
        let [a, b] = &self.nodes;
        let pending = |node: &Node| node.replica.loaded().map(|account| account.pending()).sum::<usize>();
        let histories = || format!("{:?} and {:?}", a.history, b.history);
        assert_eq!((pending(a), pending(b)), (0, 0), "U4: something waits for ever after {}", histories());
        assert_eq!(a.picture(), b.picture(), "U4: the nodes differ after {}", histories());
    }
}

/// Goes through every state; tells how many there are, and how many of them are final.
fn explore(world: World) -> (usize, usize) {
    let mut known = BTreeSet::new();
    let mut open = vec![world];
    let mut last = 0;
    while let Some(world) = open.pop() {
        let steps = world.steps();
        if steps.is_empty() {
            last += 1;
            world.check_rest();
            continue;
        }
        for (number, step) in steps {
            let mut next = world.clone();
            next.go(number, step);
            let key = (next.nodes[0].history.clone(), next.nodes[1].history.clone(), next.cut);
            if known.insert(key) {
                open.push(next);
            }
        }
    }
    (known.len(), last)
}

#[test]
fn every_order_of_deliveries_looks_an_expunge_and_deltas_keeps_the_invariants() {
    let a = &[Step::Deliver, Step::Look, Step::Deliver];
    let b = &[Step::Look, Step::Deliver, Step::Expunge];
    let (states, last) = explore(World::new([a, b], [2, 2], 0));
    println!("{states} states, {last} of them final");
    assert!(states > 1_000);
}

#[test]
fn every_order_with_a_cut_and_waiting_keeps_the_invariants() {
    let a = &[Step::Look, Step::Deliver];
    let b = &[Step::Deliver, Step::Wait, Step::Look];
    let (states, last) = explore(World::new([a, b], [1, 2], 1));
    println!("{states} states, {last} of them final");
    assert!(states > 1_000);
}

#[test]
fn every_order_with_a_cut_while_both_look_keeps_the_invariants() {
    let program = &[Step::Look, Step::Deliver];
    let (states, last) = explore(World::new([program, program], [2, 2], 1));
    println!("{states} states, {last} of them final");
    assert!(states > 1_000);
}
