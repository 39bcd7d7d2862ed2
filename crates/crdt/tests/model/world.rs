//! A small world: nodes, links, disks, and what may happen next.

use std::fmt::Write as _;
use std::rc::Rc;

use peerpost_crdt::account::NewEntry;
use peerpost_crdt::flag::{Flag, FlagChange};
use peerpost_crdt::identity::{BodyHash, EntryId, Incarnation, NodeSlot};
use peerpost_crdt::operation::{DefaultMailbox, Member};
use peerpost_crdt::vector::Sequence;
use peerpost_crdt::view::ReceivedAt;

use super::disk::Disk;
use super::node::{Digest, News, Node, Store, account, inbox};
use super::witness::{Seen, Witness};

/// One thing that happens, at one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A message is accepted.
    Deliver(usize),
    /// A client appends a message, and is told its UID.
    Append(usize),
    /// A client looks from now on.
    Look(usize),
    /// A client expunges the first message that it sees.
    Expunge(usize),
    /// Time passes until the node's next deadline.
    Wait(usize),
    /// Everything that a peer can tell now. What is told later than it could be is the same for two nodes as what is told at once,
    /// and then followed by what the peer did meanwhile.
    Receive { to: usize, from: usize },
    /// Nobody can reach a node any more.
    Cut(usize),
    /// All reach each other again.
    Heal,
    /// A new life from what is durable.
    Crash(usize),
    /// The disk is copied.
    Save(usize),
    /// A new life from the copy.
    RollBack(usize),
    /// A new life in the slot that a peer gave.
    Move(usize),
    /// The operator asks for a new UIDVALIDITY.
    Bump(usize),
}

/// How often something may still happen, at whichever node unless its name is missing here.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub struct Left {
    pub deliveries: u8,
    pub appends: u8,
    pub expunges: u8,
    pub waits: u8,
    pub cuts: u8,
    pub crashes: u8,
    pub rollbacks: u8,
    pub bumps: u8,
    /// Nodes where a client may begin to look.
    pub looks: u8,
}

/// Which world is explored.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub nodes: usize,
    /// Nodes where clients look from the beginning, one bit each.
    pub looking: u8,
    /// Nodes that crash and are rolled back, one bit each.
    pub victims: u8,
    /// Nodes that are cut off from all others, one bit each.
    pub cut_off: u8,
    /// How far each node's clock is ahead, in milliseconds.
    pub clocks: [u64; 3],
    pub left: Left,
}

/// A copy of a disk, and what clients had seen when it was made.
struct Saved {
    node: usize,
    disk: Disk,
    digest: [u8; 32],
    seen: Seen,
    slot: NodeSlot,
    life: Incarnation,
    sequence: Sequence,
}

#[derive(Clone)]
pub struct World {
    setting: Setting,
    left: Left,
    nodes: Vec<Rc<Node>>,
    store: Store,
    witness: Rc<Witness>,
    cut_off: Option<usize>,
    saved: Option<Rc<Saved>>,
    rolled_back: bool,
    pub history: Vec<Step>,
}

fn is(mask: u8, number: usize) -> bool {
    mask & (1 << number) != 0
}

fn slot(number: usize) -> NodeSlot {
    NodeSlot::new(number as u8).expect("a slot")
}

impl World {
    /// Nodes that know each other and the account, with clients where the setting says so.
    pub fn new(setting: Setting) -> Self {
        let mut store = Store::new();
        let mut nodes: Vec<Node> =
            (0..setting.nodes).map(|number| Node::new(number, 10_000 + setting.clocks[number])).collect();
        for number in 0..setting.nodes {
            let first = &mut nodes[0].replica;
            let granted = (number > 0).then(|| first.grant().expect("a free slot").0);
            assert!(granted.is_none_or(|granted| granted == slot(number)));
            let (name, advertise) = (format!("node{number}"), format!("node{number}:4420"));
            first.admit_member(Member { slot: slot(number), name, key: [number as u8; 32], advertise });
        }
        let defaults = [DefaultMailbox { name: "INBOX".to_owned(), special_use: None }];
        nodes[0].replica.add_account("alice", "hash", &defaults).expect("added");
        nodes.iter_mut().for_each(|node| node.commit(&mut store));
        let mut world = World {
            setting,
            left: setting.left,
            nodes: nodes.into_iter().map(Rc::new).collect(),
            store,
            witness: Rc::default(),
            cut_off: None,
            saved: None,
            rolled_back: false,
            history: vec![],
        };
        while world.exchange() {}
        for number in (0..setting.nodes).filter(|number| is(setting.looking, *number)) {
            world.go(Step::Look(number));
        }
        while world.exchange() {}
        world.left = setting.left;
        world.history.clear();
        world
    }

    fn linked(&self, a: usize, b: usize) -> bool {
        a != b && self.cut_off.is_none_or(|node| a != node && b != node)
    }

    fn linked_with(&self, node: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|peer| self.linked(node, *peer)).collect()
    }

    /// What may happen next.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for node in &self.nodes {
            self.steps_of(node, &mut steps);
        }
        if self.cut_off.is_some() {
            steps.push(Step::Heal);
        }
        steps
    }

    fn steps_of(&self, node: &Node, steps: &mut Vec<Step>) {
        let (number, left) = (node.number, &self.left);
        let may_place = node.replica.may_place();
        let victim = is(self.setting.victims, number);
        let saved = self.saved.as_ref().map(|saved| saved.node);
        let waits = node.replica.poll_timeout().or(node.replica.waits_until()).is_some();
        let moves = node.replica.successor().is_some_and(|slot| slot != node.slot());
        let own = [
            (left.deliveries > 0, Step::Deliver(number)),
            (left.appends > 0 && may_place, Step::Append(number)),
            (is(left.looks, number) && !node.looking, Step::Look(number)),
            (left.expunges > 0 && first_visible(node).is_some(), Step::Expunge(number)),
            (left.waits > 0 && waits, Step::Wait(number)),
            (left.cuts > 0 && is(self.setting.cut_off, number), Step::Cut(number)),
            (left.crashes > 0 && victim, Step::Crash(number)),
            (left.rollbacks > 0 && victim && saved.is_none(), Step::Save(number)),
            (left.rollbacks > 0 && saved == Some(number), Step::RollBack(number)),
            (moves, Step::Move(number)),
            (left.bumps > 0 && may_place, Step::Bump(number)),
        ];
        steps.extend(own.into_iter().filter(|(may, _)| *may).map(|(_, step)| step));
        let heard = self.linked_with(number).into_iter().filter(|from| !self.news(number, *from).is_empty());
        steps.extend(heard.map(|from| Step::Receive { to: number, from }));
    }

    /// What a node may hear from a peer.
    fn news(&self, to: usize, from: usize) -> News {
        self.nodes[to].news(from, &self.nodes[from].told)
    }

    /// Does one step, and lets the witness see what came of it.
    pub fn go(&mut self, step: Step) {
        const MOST_RECEIVED: usize = 40;
        self.history.push(step);
        let received = self.history.iter().rev().take_while(|step| matches!(step, Step::Receive { .. }));
        assert!(received.count() < MOST_RECEIVED, "U4: the nodes tell each other for ever");
        match step {
            Step::Receive { to, from } => self.receive(to, from),
            Step::Cut(number) => {
                self.left.cuts -= 1;
                self.cut(number);
            }
            Step::Heal => self.heal(),
            Step::Crash(number) => {
                self.left.crashes -= 1;
                let disk = self.nodes[number].disk.image(&self.nodes[number].replica);
                self.restart(number, &disk, self.nodes[number].slot());
            }
            Step::Move(number) => {
                let disk = self.nodes[number].disk.image(&self.nodes[number].replica);
                let slot = self.nodes[number].replica.successor().expect("another slot");
                self.restart(number, &disk, slot);
            }
            Step::Save(number) => self.save(number),
            Step::RollBack(number) => self.roll_back(number),
            step => self.act(step),
        }
        self.observe();
    }

    fn act(&mut self, step: Step) {
        let World { nodes, store, left, witness, .. } = self;
        match step {
            Step::Deliver(number) => {
                left.deliveries -= 1;
                let node = begin(nodes, number);
                node.replica.deliver(account(), inbox(), new_entry()).expect("delivered");
                node.commit(store);
                Rc::make_mut(witness).accepted(Witness::newest(node), node);
            }
            Step::Append(number) => {
                left.appends -= 1;
                let node = begin(nodes, number);
                let placed = node.replica.append(account(), inbox(), vec![new_entry()]).expect("appended");
                node.commit(store);
                let entry = Witness::newest(node);
                let view = node.replica.loaded().next().expect("alice").view(inbox());
                let named = placed.1.first().and_then(|uid| view.rows.find(*uid)).map(|row| row.facts.entry);
                assert_eq!(
                    (Some(placed.0), Some(entry)),
                    (view.validity, named),
                    "an answer that is not true"
                );
                Rc::make_mut(witness).accepted(entry, node);
            }
            Step::Look(number) => {
                begin(nodes, number).look(store);
            }
            Step::Expunge(number) => {
                left.expunges -= 1;
                let node = begin(nodes, number);
                let entry = first_visible(node).expect("visible");
                let (add, deleted) = (FlagChange::Add, [Flag::Deleted]);
                let change = node.replica.change_flags(account(), inbox(), &[entry], add, &deleted, None);
                change.expect("stored");
                node.replica.expunge(account(), inbox(), &[entry]).expect("expunged");
                node.commit(store);
                Rc::make_mut(witness).expunged(entry, node);
            }
            Step::Wait(number) => {
                left.waits -= 1;
                let node = Rc::make_mut(&mut nodes[number]);
                let now = node.now();
                let until = node.replica.poll_timeout().or(node.replica.waits_until()).expect("a deadline");
                node.clock += until.0.saturating_sub(now.0);
                begin(nodes, number).commit(store);
            }
            Step::Bump(number) => {
                left.bumps -= 1;
                let node = begin(nodes, number);
                node.replica.bump(account(), inbox()).expect("a UIDVALIDITY");
                node.commit(store);
            }
            _ => unreachable!("not of one node alone: {step:?}"),
        }
    }

    fn receive(&mut self, to: usize, from: usize) {
        let (slot, news) = (self.nodes[from].slot(), self.news(to, from));
        begin(&mut self.nodes, to).receive(from, slot, news, &mut self.store);
    }

    fn cut(&mut self, number: usize) {
        for peer in (0..self.nodes.len()).filter(|peer| *peer != number) {
            self.unlink(number, peer);
            self.unlink(peer, number);
        }
        self.cut_off = Some(number);
    }

    fn unlink(&mut self, node: usize, peer: usize) {
        let slot = self.nodes[peer].slot();
        begin(&mut self.nodes, node).link(peer, slot, None, &mut self.store);
    }

    fn heal(&mut self) {
        let number = self.cut_off.take().expect("a cut");
        self.connect(number);
    }

    /// A node's links come up: both sides tell first what they have.
    fn connect(&mut self, number: usize) {
        for peer in self.linked_with(number) {
            let meetings = [(number, peer), (peer, number)]
                .map(|(node, peer)| (node, peer, self.nodes[peer].slot(), self.nodes[peer].meeting()));
            for (node, peer, slot, meeting) in meetings {
                begin(&mut self.nodes, node).link(peer, slot, Some(meeting), &mut self.store);
            }
        }
    }

    fn restart(&mut self, number: usize, disk: &Disk, slot: NodeSlot) {
        for peer in self.linked_with(number) {
            self.unlink(peer, number);
        }
        begin(&mut self.nodes, number).restart(disk, slot, &mut self.store);
        self.connect(number);
    }

    fn save(&mut self, number: usize) {
        let node = &self.nodes[number];
        self.saved = Some(Rc::new(Saved {
            node: number,
            disk: node.disk.image(&node.replica),
            digest: *node.digest(),
            seen: self.witness.seen(number),
            slot: node.slot(),
            life: node.life(),
            sequence: node.replica.sequence(),
        }));
    }

    fn roll_back(&mut self, number: usize) {
        self.left.rollbacks -= 1;
        self.rolled_back = true;
        let saved = Rc::clone(self.saved.as_ref().expect("a copy"));
        let others = self.nodes.iter().filter(|node| node.number != number);
        let kept: Vec<_> = others.map(|node| node.replica.vector()).chain([saved.disk.vector()]).collect();
        let mut witness = Witness::clone(&self.witness);
        for lost in [saved.life, self.nodes[number].life()] {
            witness.rolled_back(number, lost, &kept);
        }
        self.witness = Rc::new(witness);
        self.restart(number, &saved.disk, saved.slot);
    }

    fn observe(&mut self) {
        self.forgive();
        let witness = Rc::make_mut(&mut self.witness);
        self.nodes.iter().for_each(|node| witness.observe(node));
    }

    /// The one thing that cannot be promised: all members confirmed, in good faith, a life on a disk that was rolled back behind
    /// what nobody else had heard of.
    fn forgive(&mut self) {
        let Some(saved) = self.saved.clone().filter(|_| self.rolled_back) else { return };
        let node = &self.nodes[saved.node];
        if node.slot() != saved.slot || !node.replica.is_confirmed() {
            return;
        }
        let others = self.nodes.iter().filter(|other| other.number != saved.node);
        let heard = others.map(|other| other.replica.vector().last(&saved.life)).max();
        assert!(
            heard <= Some(saved.sequence),
            "rule 8: a life is confirmed, and a node has {heard:?} of the life before, which ended at {:?}",
            saved.sequence
        );
        Rc::make_mut(&mut self.witness).nobody_witnessed(saved.node, saved.slot, &saved.seen);
        self.saved = None;
    }

    /// Everybody hears everything once. Tells whether there was anything.
    fn exchange(&mut self) -> bool {
        let mut any = false;
        for to in 0..self.nodes.len() {
            for from in (0..self.nodes.len()).filter(|from| *from != to) {
                if !self.news(to, from).is_empty() {
                    any = true;
                    self.receive(to, from);
                    self.observe();
                }
            }
        }
        any
    }

    /// Everything is delivered, all look, time passes, until nothing changes any more: all show the same.
    pub fn check_rest(mut self) {
        const MOST_ROUNDS: usize = 24;
        if self.cut_off.is_some() {
            self.go(Step::Heal);
        }
        let mut quiet = 0;
        for _round in 0..MOST_ROUNDS {
            let mut any = false;
            for number in 0..self.nodes.len() {
                Rc::make_mut(&mut self.nodes[number]).clock += 3000;
                let node = begin(&mut self.nodes, number);
                if node.looking {
                    node.commit(&mut self.store)
                } else {
                    node.look(&mut self.store)
                }
                self.observe();
                if self.steps().contains(&Step::Move(number)) {
                    any = true;
                    self.go(Step::Move(number));
                }
            }
            any |= self.exchange();
            quiet = if any { 0 } else { quiet + 1 };
            if quiet == 2 {
                break;
            }
        }
        assert_eq!(quiet, 2, "U4: the nodes do not come to rest");
        self.witness.observe_rest(&self.nodes.iter().map(Rc::as_ref).collect::<Vec<_>>());
    }

    /// A word for everything that the future depends on.
    pub fn digest(&self) -> [u8; 16] {
        let mut digest = Digest::default();
        self.nodes.iter().for_each(|node| digest.add(node.digest()));
        if let Some(saved) = &self.saved {
            digest.add(&saved.digest);
            write!(digest, "{:?}", (saved.node, &saved.seen)).expect("a digest takes everything");
        }
        let own = (&self.left, self.cut_off, self.rolled_back, &self.witness);
        write!(digest, "{own:?}").expect("a digest takes everything");
        let [word @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = digest.end();
        word
    }
}

/// A node, at its own time, to be changed.
fn begin(nodes: &mut [Rc<Node>], number: usize) -> &mut Node {
    let node = Rc::make_mut(&mut nodes[number]);
    node.replica.begin(node.now());
    node
}

fn first_visible(node: &Node) -> Option<EntryId> {
    node.replica.loaded().next()?.view(inbox()).rows.at(0).map(|row| row.facts.entry)
}

fn new_entry() -> NewEntry {
    NewEntry {
        body: BodyHash([7; 32]),
        size: 1,
        received: ReceivedAt::default(),
        flags: vec![],
        email: None,
        delivery: None,
    }
}
