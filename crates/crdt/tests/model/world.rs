//! A small world: nodes, links, disks, and what may happen next.

use std::collections::BTreeMap;
use std::sync::Arc;

use peerpost_crdt::clock::Timestamp;
use peerpost_crdt::identity::{Incarnation, NodeSlot};
use peerpost_crdt::operation::{DefaultMailbox, Member};
use peerpost_crdt::vector::{Sequence, Vector};

use super::library::Library;
use super::node::{Act, Node, slot};
use super::witness::{Seen, Witness};
use super::word::{Timed, Word, join, word_of};

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
}

/// Which world is explored.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub nodes: usize,
    /// Nodes where clients look from the beginning, one bit each.
    pub looking: u8,
    /// Nodes that take deliveries, one bit each.
    pub delivering: u8,
    /// Nodes that crash, one bit each.
    pub crashing: u8,
    /// Nodes whose disks are rolled back, one bit each.
    pub victims: u8,
    /// Nodes where a UIDVALIDITY is asked for, one bit each.
    pub bumping: u8,
    /// Nodes that are cut off from all others, one bit each.
    pub cut_off: u8,
    /// How far each node's clock is ahead, in milliseconds.
    pub clocks: [u64; 3],
    pub left: Left,
}

/// A copy of a disk, and what clients had seen when it was made.
struct Saved {
    node: Arc<Node>,
    seen: Seen,
    /// Everything that a life from the copy depends on, and what is still of interest once it has begun.
    states: [Timed; 2],
}

impl Saved {
    fn slot(&self) -> NodeSlot {
        self.node.slot()
    }

    fn life(&self) -> Incarnation {
        self.node.life()
    }

    fn sequence(&self) -> Sequence {
        self.node.replica.sequence()
    }
}

/// What has happened, the last first.
struct Past {
    step: Step,
    before: Option<Arc<Past>>,
}

#[derive(Clone)]
pub struct World {
    library: Arc<Library>,
    setting: Setting,
    left: Left,
    nodes: Vec<Arc<Node>>,
    witness: Arc<Witness>,
    cut_off: Option<usize>,
    saved: Option<Arc<Saved>>,
    /// The last step was to save.
    just_saved: bool,
    rolled_back: bool,
    /// How many of the last steps were nothing but hearing each other.
    received: u8,
    past: Option<Arc<Past>>,
}

fn is(mask: u8, number: usize) -> bool {
    mask & (1 << number) != 0
}

impl World {
    /// Nodes that know each other and the account, with clients where the setting says so.
    pub fn new(setting: Setting) -> Self {
        let mut nodes: Vec<Node> =
            (0..setting.nodes).map(|number| Node::new(number, 10_000 + setting.clocks[number])).collect();
        nodes[0].prepare(|first| {
            for number in 0..setting.nodes {
                let granted = (number > 0).then(|| first.grant().expect("a free slot").0);
                assert!(granted.is_none_or(|granted| granted == slot(number)));
                let (name, advertise) = (format!("node{number}"), format!("node{number}:4420"));
                first.admit_member(Member { slot: slot(number), name, key: [number as u8; 32], advertise });
            }
            let defaults = [DefaultMailbox { name: "INBOX".to_owned(), special_use: None }];
            first.add_account("alice", "hash", &defaults).expect("added");
        });
        nodes.iter_mut().skip(1).for_each(|node| node.prepare(|_| ()));
        let mut world = World {
            library: Arc::default(),
            setting,
            left: setting.left,
            nodes: nodes.into_iter().map(Arc::new).collect(),
            witness: Arc::default(),
            cut_off: None,
            saved: None,
            just_saved: false,
            rolled_back: false,
            received: 0,
            past: None,
        };
        while world.exchange() {}
        for number in (0..setting.nodes).filter(|number| is(setting.looking, *number)) {
            world.go(Step::Look(number));
        }
        while world.exchange() {}
        World { received: 0, past: None, ..world }
    }

    /// What has happened, from the beginning.
    pub fn history(&self) -> Vec<Step> {
        let past = std::iter::successors(self.past.as_ref(), |past| past.before.as_ref());
        let mut steps: Vec<_> = past.map(|past| past.step).collect();
        steps.reverse();
        steps
    }

    /// What was worked out for it and all others that came of the same beginning.
    pub fn library(&self) -> &Library {
        &self.library
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
        if let Some(saved) = self.saved.as_ref().filter(|_| self.just_saved) {
            // The copy could as well be made after whatever leaves the node alone: so it is made only right before what does not.
            // Nobody sees a copy before it is put back, so no state is lost but those that differ in it alone.
            steps.retain(|step| self.concerns(*step, saved.node.number));
        }
        steps
    }

    /// Whether a step does anything at this node.
    fn concerns(&self, step: Step, number: usize) -> bool {
        match step {
            Step::Cut(_) | Step::Heal => true,
            Step::Crash(node) | Step::RollBack(node) | Step::Move(node) => {
                node == number || self.linked(node, number)
            }
            Step::Deliver(node)
            | Step::Append(node)
            | Step::Look(node)
            | Step::Expunge(node)
            | Step::Wait(node)
            | Step::Save(node)
            | Step::Bump(node)
            | Step::Receive { to: node, .. } => node == number,
        }
    }

    fn steps_of(&self, node: &Node, steps: &mut Vec<Step>) {
        let (number, left, setting) = (node.number, &self.left, &self.setting);
        let may_place = node.replica.may_place();
        let saved = self.saved.as_ref().map(|saved| saved.node.number);
        let own = [
            (left.deliveries > 0 && is(setting.delivering, number), Step::Deliver(number)),
            (left.appends > 0 && may_place, Step::Append(number)),
            (left.expunges > 0 && node.first_visible().is_some(), Step::Expunge(number)),
            (left.waits > 0 && node.waits_until().is_some(), Step::Wait(number)),
            (left.cuts > 0 && is(setting.cut_off, number), Step::Cut(number)),
            (left.crashes > 0 && is(setting.crashing, number), Step::Crash(number)),
            (left.rollbacks > 0 && is(setting.victims, number) && saved.is_none(), Step::Save(number)),
            (left.rollbacks > 0 && saved == Some(number), Step::RollBack(number)),
            (moves(node), Step::Move(number)),
            (left.bumps > 0 && may_place && is(setting.bumping, number), Step::Bump(number)),
        ];
        steps.extend(own.into_iter().filter(|(may, _)| *may).map(|(_, step)| step));
        let heard = self.linked_with(number).into_iter().filter(|from| self.heard(number, *from).is_some());
        steps.extend(heard.map(|from| Step::Receive { to: number, from }));
    }

    /// What a node is once it has heard what a peer can tell; none where that is nothing new.
    fn heard(&self, to: usize, from: usize) -> Option<Arc<Node>> {
        self.library.heard(&self.nodes[to], &self.nodes[from])
    }

    /// Does one step, and lets the witness see what came of it.
    pub fn go(&mut self, step: Step) {
        const MOST_RECEIVED: u8 = 40;
        self.past = Some(Arc::new(Past { step, before: self.past.take() }));
        self.just_saved = false;
        self.received = if matches!(step, Step::Receive { .. }) { self.received + 1 } else { 0 };
        assert!(self.received < MOST_RECEIVED, "U4: the nodes tell each other for ever");
        match step {
            Step::Receive { to, from } => self.nodes[to] = self.heard(to, from).expect("news"),
            Step::Cut(number) => {
                self.left.cuts -= 1;
                self.cut(number);
            }
            Step::Heal => {
                let number = self.cut_off.take().expect("a cut");
                self.connect(number);
            }
            Step::Crash(number) => {
                self.left.crashes -= 1;
                self.restart(number, &Arc::clone(&self.nodes[number]), self.nodes[number].slot());
            }
            Step::Move(number) => {
                let slot = self.nodes[number].replica.successor().expect("another slot");
                self.restart(number, &Arc::clone(&self.nodes[number]), slot);
            }
            Step::Save(number) => self.save(number),
            Step::RollBack(number) => self.roll_back(number),
            Step::Expunge(number) => {
                self.left.expunges -= 1;
                let entry = self.nodes[number].first_visible().expect("visible");
                self.act(number, &Act::Expunge);
                self.witness = self.library.expunged(&self.witness, entry, &self.nodes[number]);
            }
            step => self.simple(step),
        }
        self.observe();
    }

    /// What happens at one node, and is no more than an act of it.
    fn simple(&mut self, step: Step) {
        let left = &mut self.left;
        let (number, act, count) = match step {
            Step::Deliver(number) => (number, Act::Deliver, Some(&mut left.deliveries)),
            Step::Append(number) => (number, Act::Append, Some(&mut left.appends)),
            Step::Wait(number) => (number, Act::Wait, Some(&mut left.waits)),
            Step::Bump(number) => (number, Act::Bump, Some(&mut left.bumps)),
            Step::Look(number) => (number, Act::Look, None),
            _ => unreachable!("not of one node alone: {step:?}"),
        };
        if let Some(count) = count {
            *count -= 1;
        }
        let accepts = matches!(act, Act::Deliver | Act::Append);
        self.act(number, &act);
        if accepts {
            self.witness = self.library.accepted(&self.witness, &self.nodes[number]);
        }
    }

    fn act(&mut self, number: usize, act: &Act<'_>) {
        self.nodes[number] = self.library.after(&self.nodes[number], act).expect("something happens");
    }

    fn cut(&mut self, number: usize) {
        for peer in (0..self.nodes.len()).filter(|peer| *peer != number) {
            self.unlink(number, peer);
            self.unlink(peer, number);
        }
        self.cut_off = Some(number);
    }

    fn unlink(&mut self, node: usize, peer: usize) {
        self.act(node, &Act::Unlink(peer, self.nodes[peer].slot()));
    }

    /// A node's links come up: both sides tell first what they have.
    fn connect(&mut self, number: usize) {
        for peer in self.linked_with(number) {
            let hellos = [(number, peer), (peer, number)]
                .map(|(node, peer)| (node, peer, self.nodes[peer].slot(), self.nodes[peer].hello()));
            for (node, peer, slot, hello) in hellos {
                self.act(node, &Act::Link(peer, slot, &hello));
            }
        }
    }

    fn restart(&mut self, number: usize, disk: &Node, slot: NodeSlot) {
        for peer in self.linked_with(number) {
            self.unlink(peer, number);
        }
        self.act(number, &Act::Restart(disk, slot));
        self.connect(number);
    }

    fn save(&mut self, number: usize) {
        let node = Arc::clone(&self.nodes[number]);
        let seen = self.witness.seen(number);
        let later = Timed::of(&(number, node.slot(), node.life(), node.replica.sequence()));
        let states = [Timed::of(&(node.state(), &later, &seen)), later];
        self.saved = Some(Arc::new(Saved { node, seen, states }));
        self.just_saved = true;
    }

    fn roll_back(&mut self, number: usize) {
        self.left.rollbacks -= 1;
        self.rolled_back = true;
        let saved = Arc::clone(self.saved.as_ref().expect("a copy"));
        let others = self.nodes.iter().filter(|node| node.number != number);
        let kept: Vec<&Vector> = others.chain([&saved.node]).map(|node| node.replica.vector()).collect();
        let mut witness = self.witness.next();
        witness.rolled_back(number, [saved.life(), self.nodes[number].life()], &kept, &saved.seen);
        self.witness = self.library.share(witness);
        self.restart(number, &saved.node, saved.slot());
    }

    fn observe(&mut self) {
        self.forgive();
        for node in &self.nodes {
            self.witness = self.library.observed(&self.witness, node);
        }
    }

    /// The one thing that cannot be promised: all members confirmed, in good faith, a life on a disk that was rolled back behind
    /// what nobody else had heard of.
    fn forgive(&mut self) {
        let Some(saved) = self.saved.clone().filter(|_| self.rolled_back) else { return };
        let node = &self.nodes[saved.node.number];
        if node.slot() != saved.slot() {
            // It was found out, and has another slot for good.
            self.saved = None;
            return;
        }
        if !node.replica.is_confirmed() {
            return;
        }
        let others = self.nodes.iter().filter(|other| other.number != node.number);
        let heard = others.map(|other| other.replica.vector().last(&saved.life())).max();
        assert!(
            heard <= Some(saved.sequence()),
            "rule 8: a life is confirmed, and a node has {heard:?} of the life before, which ended at {:?}",
            saved.sequence()
        );
        let mut witness = self.witness.next();
        witness.nobody_witnessed(node.number, saved.slot());
        self.witness = self.library.share(witness);
        self.saved = None;
    }

    /// Everybody hears everything once. Tells whether there was anything.
    fn exchange(&mut self) -> bool {
        let mut any = false;
        for to in 0..self.nodes.len() {
            for from in (0..self.nodes.len()).filter(|from| *from != to) {
                if let Some(node) = self.heard(to, from) {
                    any = true;
                    self.nodes[to] = node;
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
            // Who came here before goes the whole way: time passes, so that nobody comes round to where they were.
            if !self.library.rests.insert(join(&[self.word(), quiet])) {
                return;
            }
            quiet = if self.pause() { 0 } else { quiet + 1 };
            if quiet == 2 {
                break;
            }
        }
        assert_eq!(quiet, 2, "U4: the nodes do not come to rest");
        self.witness.observe_rest(&self.nodes.iter().map(Arc::as_ref).collect::<Vec<_>>());
    }

    /// Time passes, all look, all hear everything once. Tells whether there was anything.
    fn pause(&mut self) -> bool {
        let mut any = false;
        for number in 0..self.nodes.len() {
            self.act(number, &Act::Pause);
            self.observe();
            if moves(&self.nodes[number]) {
                any = true;
                self.go(Step::Move(number));
            }
        }
        self.exchange() || any
    }

    /// A word for everything that the future depends on.
    pub fn word(&self) -> Word {
        let Left { deliveries, appends, expunges, waits, cuts, crashes, rollbacks, bumps } = self.left;
        let left = (deliveries, appends, expunges, waits, cuts, crashes, rollbacks, bumps);
        let own = (left, self.cut_off, self.rolled_back, self.just_saved);
        let saved = self.saved.as_ref().map(|saved| &saved.states[usize::from(self.rolled_back)]);
        let unheard = self.unheard();
        let records: Vec<_> = unheard.keys().copied().collect();
        let nodes = self.nodes.iter().map(|node| node.state());
        let parts: Vec<&Timed> =
            nodes.chain([self.witness.state()]).chain(saved).chain(unheard.into_values()).collect();
        let words: Vec<Word> = parts.iter().map(|part| part.word).collect();
        let moments: Vec<&[Timestamp]> = parts.iter().map(|part| &part.moments[..]).collect();
        let passed = self.passed();
        word_of(&(own, records, words, moments_apart(&moments, passed)))
    }

    /// All moments that anybody issues from now on come after this one: the clock of every node has passed it, and so has that of the
    /// disk that was copied. None where a clock may jump.
    fn passed(&self) -> Option<Timestamp> {
        let saved = self.saved.iter().filter(|_| !self.rolled_back).map(|saved| &saved.node);
        let clocks = self.nodes.iter().chain(saved).map(|node| node.last_moment());
        clocks.map(|(last, follows)| follows.then_some(last)).min().flatten()
    }

    /// What records say that some node still lacks, or will once its disk is put back. What all have is in the state of all.
    fn unheard(&self) -> BTreeMap<&(Incarnation, Sequence), &Timed> {
        let saved = self.saved.iter().filter(|_| !self.rolled_back).map(|saved| &saved.node);
        let vectors: Vec<_> = self.nodes.iter().chain(saved).map(|node| node.replica.vector()).collect();
        let mut all = Vector::default();
        for (life, _) in vectors.iter().flat_map(|vector| vector.iter()) {
            all.raise(life, vectors.iter().map(|vector| vector.last(&life)).min().unwrap_or_default());
        }
        self.nodes.iter().flat_map(|node| node.contents_after(&all)).collect()
    }
}

/// Moments in a form in which those are equal that nobody can tell apart.
///
/// Moments are compared, and a new one is one more than the last of its node. Those that every clock has passed are followed by all new
/// ones, so of them the order alone counts, and the milliseconds, which waiting goes by; of later ones also how far they are from
/// there, since a clock may come between them. All that counts is kept, and kept by every step.
fn moments_apart(moments: &[&[Timestamp]], passed: Option<Timestamp>) -> Vec<(u64, u64, NodeSlot)> {
    const TICK: u32 = 7;
    let ticks = |moment: &Timestamp| moment.bits() >> TICK;
    let passed = passed.unwrap_or(Timestamp::ZERO);
    let mut order: Vec<u64> =
        moments.iter().copied().flatten().filter(|moment| **moment <= passed).map(ticks).collect();
    order.sort_unstable();
    order.dedup();
    let apart = |moment: &Timestamp| match order.binary_search(&ticks(moment)) {
        Ok(place) if *moment <= passed => (moment.millis().0, place as u64, moment.slot()),
        _ => (0, ticks(moment) - ticks(&passed), moment.slot()),
    };
    moments.iter().copied().flatten().map(apart).collect()
}

/// Whether a node was given another slot.
fn moves(node: &Node) -> bool {
    node.replica.successor().is_some_and(|slot| slot != node.slot())
}
