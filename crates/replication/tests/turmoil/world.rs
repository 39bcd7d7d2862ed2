//! The machines, the network between them, and the clients that send mail to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use crdt::clock::Millis;
use crdt::identity::{AccountId, BodyHash, MailboxId, NodeSlot};
use crdt::operation::Member;
use crdt::replica::Confirmation;
use crdt::vector::Vector;
use mailstore::message::Scanner;
use mailstore::{Look, NewMessage, Reply, Request, rows, verify};
use peerpost_replication::frame::ClusterId;
use peerpost_replication::join::Token;
use turmoil::Sim;

use crate::chance::Chance;
use crate::machine::{Life, Machine, name_of};
use crate::process;
use crate::trace::Trace;

/// The wall clock when a cluster is founded, a second before the simulation begins.
const FOUNDING: u64 = 1_790_000_000_000;
/// How long the nodes have to go on agreeing.
const CALM: u64 = 3_000;
const ACCOUNT: &str = "alice";
const SENDER: &str = "bob@example.com";

pub struct World {
    pub machines: Vec<Arc<Machine>>,
    pub chance: Chance,
    pub trace: Trace,
    seed: u64,
    sim: Sim<'static>,
    /// What clients were told is durable, and who told them.
    accepted: Arc<Mutex<BTreeMap<BodyHash, usize>>>,
    looks: BTreeMap<usize, Look>,
    sent: u64,
}

/// The seeds to play.
pub fn seeds() -> impl Iterator<Item = u64> {
    let text = std::env::var("PEERPOST_SEEDS").unwrap_or_else(|_| "1..3".into());
    let (first, last) = text.split_once("..").expect("PEERPOST_SEEDS is first..last");
    let number = |text: &str| text.parse::<u64>().expect("PEERPOST_SEEDS is first..last");
    number(first)..=number(last)
}

impl World {
    /// A cluster of so many members, and machines that may join it.
    pub fn new(seed: u64, members: usize, joiners: usize) -> World {
        let (mut chance, trace) = (Chance::new(seed), Trace::default());
        let machine = |number| Machine::new(number, trace.clone(), chance.branch());
        let machines: Vec<Arc<Machine>> = (0..members + joiners).map(machine).collect();
        found(&machines[..members]).unwrap();
        let mut sim = turmoil::Builder::new()
            .rng_seed(chance.next())
            .epoch(UNIX_EPOCH + Duration::from_millis(FOUNDING + 1_000))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(40))
            .repair_rate(0.4)
            .udp_capacity(256)
            .build();
        for machine in &machines {
            let machine = Arc::clone(machine);
            sim.host(name_of(machine.number), move || process::run(Arc::clone(&machine)));
        }
        let (accepted, looks) = (Arc::default(), BTreeMap::new());
        World { machines, chance, trace, seed, sim, accepted, looks, sent: 0 }
    }

    /// Something happens that no node does.
    pub fn note(&self, what: impl std::fmt::Display) {
        self.trace.note_outside(what);
    }

    pub fn run(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            if let Err(why) = self.sim.step() {
                self.fail(why);
            }
            self.trace.set_time(self.sim.elapsed());
        }
    }

    /// Runs until the condition holds; gives how many milliseconds that took.
    pub fn until(&mut self, what: &str, limit: u64, condition: impl Fn(&mut World) -> bool) -> u64 {
        const STEP: u64 = 20;
        for took in (0..=limit).step_by(STEP as usize) {
            if condition(self) {
                return took;
            }
            self.run(STEP);
        }
        self.fail(format!("waited {limit} ms in vain: {what}"))
    }

    pub fn fail(&self, why: impl std::fmt::Display) -> ! {
        panic!("seed {}: {why}\n{}", self.seed, self.trace.tail(60));
    }

    fn now(&self) -> Millis {
        Millis(self.sim.since_epoch().as_millis() as u64)
    }

    // --- the network ---

    pub fn cut(&mut self, a: usize, b: usize) {
        self.note(format_args!("n{a} and n{b} are cut apart"));
        self.sim.partition(name_of(a), name_of(b));
    }

    /// Nothing gets from one to the other; back it does.
    pub fn cut_one_way(&mut self, from: usize, to: usize) {
        self.note(format_args!("n{to} no longer hears n{from}"));
        // A random loss would end in a link that is whole both ways.
        self.sim.set_link_fail_rate(name_of(from), name_of(to), 0.0);
        self.sim.partition_oneway(name_of(from), name_of(to));
    }

    pub fn mend(&mut self, a: usize, b: usize) {
        self.note(format_args!("n{a} and n{b} reach each other"));
        self.sim.repair(name_of(a), name_of(b));
    }

    /// So many of a thousand datagrams begin an outage, which lasts for two or three.
    pub fn lose(&mut self, a: usize, b: usize, thousandths: usize) {
        self.note(format_args!("n{a} and n{b} lose {thousandths} of 1000"));
        self.sim.set_link_fail_rate(name_of(a), name_of(b), thousandths as f64 / 1_000.0);
    }

    /// A datagram may take so long.
    pub fn delay(&mut self, a: usize, b: usize, milliseconds: u64) {
        self.note(format_args!("n{a} and n{b} are up to {milliseconds} ms apart"));
        let longest = Duration::from_millis(milliseconds);
        self.sim.set_link_max_message_latency(name_of(a), name_of(b), longest);
    }

    pub fn mend_everything(&mut self) {
        for (a, b) in self.pairs() {
            self.lose(a, b, 0);
            self.mend(a, b);
        }
        let stopped: Vec<usize> = (0..self.machines.len()).filter(|node| !self.is_running(*node)).collect();
        stopped.into_iter().for_each(|node| self.start(node));
    }

    pub fn pairs(&self) -> Vec<(usize, usize)> {
        let nodes = self.machines.len();
        (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b))).collect()
    }

    // --- the nodes ---

    /// The power of a machine goes, without a word to anybody.
    pub fn crash(&mut self, node: usize) {
        self.note(format_args!("n{node} loses power"));
        self.looks.remove(&node);
        self.machines[node].lose_power();
        self.sim.crash(name_of(node));
        self.machines[node].set_life(None);
        self.machines[node].restore_power();
    }

    pub fn start(&mut self, node: usize) {
        self.note(format_args!("n{node} starts"));
        self.sim.bounce(name_of(node));
    }

    pub fn is_running(&mut self, node: usize) -> bool {
        self.sim.is_host_running(name_of(node))
    }

    pub fn life(&self, node: usize) -> Option<Life> {
        self.machines[node].life()
    }

    /// Gives a machine a token of a member; says whether the member could give one.
    pub fn invite(&mut self, inviter: usize, joiner: usize) -> bool {
        let Some(life) = self.life(inviter) else { return false };
        // A grant waits until the life is confirmed; asked for again and again meanwhile, each of them takes a slot.
        let standing = life.committer.ask(self.now(), life.store.confirmation());
        if standing != Ok(Confirmation::Confirmed) {
            return false;
        }
        let Ok(Some(granted)) = life.committer.ask(self.now(), life.store.grant()) else { return false };
        let machine = &self.machines[inviter];
        let token = Token {
            cluster: ClusterId(life.store.identity().cluster),
            address: machine.advertise(),
            key: machine.key.fingerprint(),
            secret: self.chance.octets(),
            slot: granted.slot,
            reserve: granted.reserve,
        };
        *machine.given.lock().unwrap() = Some((token.clone(), None));
        *self.machines[joiner].token.lock().unwrap() = Some(token);
        self.note(format_args!("n{inviter} invites n{joiner} into slot {}", granted.slot));
        true
    }

    /// Whether a node has a link to every other member.
    pub fn is_linked(&self, node: usize) -> bool {
        self.links(node).is_some_and(|(up, of)| up == of && of > 0)
    }

    /// Whether it has no link at all, and knows it.
    pub fn is_alone(&self, node: usize) -> bool {
        self.links(node).is_some_and(|(up, _)| up == 0)
    }

    fn links(&self, node: usize) -> Option<(usize, usize)> {
        let life = self.life(node)?;
        let peers = &life.status.lock().unwrap().peers;
        Some((peers.iter().filter(|peer| peer.connected_since.is_some()).count(), peers.len()))
    }

    // --- clients ---

    /// A message for the account comes to a node.
    pub fn deliver(&mut self, node: usize, length: usize) {
        let Some(life) = self.life(node) else { return };
        self.sent += 1;
        let octets = mail(self.sent, length);
        let hash = BodyHash(*blake3::hash(&octets).as_bytes());
        let (accepted, trace) = (Arc::clone(&self.accepted), self.trace.clone());
        let request = Request::Deliver {
            account: AccountId::of_name(ACCOUNT),
            mailbox: "INBOX".into(),
            sender: SENDER.into(),
            message: message(&life, &octets),
        };
        life.store.submit(request, move |answer| {
            trace.note(node, format_args!("answers a delivery of {hash}: {:?}", answer.as_ref().map(|_| ())));
            if matches!(answer, Ok(Reply::Delivered { duplicate: false })) {
                accepted.lock().unwrap().insert(hash, node);
            }
        });
        life.committer.wake();
    }

    /// A client opens the mailbox and stays.
    pub fn look(&mut self, node: usize) {
        let (Some(life), false) = (self.life(node), self.looks.contains_key(&node)) else { return };
        let account = AccountId::of_name(ACCOUNT);
        let mailbox = MailboxId::of_default(account, "INBOX");
        let now = self.now();
        let request = Request::Look { account, mailbox, lasting: true };
        let looked = life
            .committer
            .ask(now, life.store.opened_account(account))
            .and_then(|_| life.committer.ask(now, life.store.ask(request)));
        match looked {
            Ok(Reply::Looked(look)) => drop(self.looks.insert(node, look)),
            // It joined a moment ago, and has not heard of the account.
            other => self.note(format_args!("a look at n{node} is answered with {other:?}")),
        }
    }

    pub fn accepted(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }

    // --- the end ---

    /// Whether all nodes have the same records, and all that they name.
    pub fn has_converged(&self) -> bool {
        let lives: Option<Vec<Life>> = (0..self.machines.len()).map(|node| self.life(node)).collect();
        let Some(lives) = lives else { return false };
        let first = lives[0].store.vector();
        let alike = |life: &Life| {
            life.store.vector() == first && life.store.wanted_bodies(1).is_ok_and(|wanted| wanted.is_empty())
        };
        lives.iter().all(alike)
    }

    /// Everybody looks, and sees the same under the same UIDs: everything that anybody was told is durable.
    pub fn settle(&mut self, limit: u64) {
        let agree = |world: &mut World| {
            (0..world.machines.len()).for_each(|node| world.look(node));
            world.has_converged() && world.sees_the_same()
        };
        let took = self.until("everybody has and shows the same", limit, agree);
        self.run(CALM);
        if !agree(self) {
            self.fail("they agreed, and do not any more");
        }
        self.check_stores();
        let lines = self.trace.len();
        println!("seed {}: {} messages, agreed after {took} ms, {lines} events", self.seed, self.accepted());
    }

    fn sees_the_same(&self) -> bool {
        let shown: Option<Vec<Shown>> = (0..self.machines.len()).map(|node| self.shown(node)).collect();
        shown.is_some_and(|shown| shown.iter().all(|other| *other == shown[0]))
    }

    /// What the client that looks at a node sees.
    fn shown(&self, node: usize) -> Option<Shown> {
        let view = self.looks.get(&node)?.view.borrow().clone();
        let rows = view.rows.iter().map(|row| (row.uid.0, row.facts.body)).collect();
        Some((view.validity?.0, rows))
    }

    fn check_stores(&self) {
        let mut digests = Vec::new();
        for node in 0..self.machines.len() {
            let Some(life) = self.life(node) else { self.fail(format_args!("n{node} is gone")) };
            let shown = self.shown(node).unwrap_or_default();
            for (hash, by) in self.accepted.lock().unwrap().iter() {
                if !shown.1.iter().any(|(_, body)| body == hash) {
                    self.fail(format_args!("n{node} does not show {hash}, which n{by} accepted"));
                }
                if !has_whole(&life, hash) {
                    self.fail(format_args!("n{node} cannot read {hash}, which n{by} accepted"));
                }
            }
            let storage = life.store.storage();
            let findings = verify::verify(storage, &mut |_| {}).unwrap();
            if let Some(finding) = findings.first() {
                self.fail(format_args!("verify on n{node} finds {finding:?}"));
            }
            digests.push(rows::digest(&storage.reader().unwrap(), &AccountId::of_name(ACCOUNT)).unwrap());
        }
        if digests.iter().any(|digest| *digest != digests[0]) {
            self.fail("the accounts differ");
        }
    }
}

/// UIDVALIDITY, and bodies under their UIDs.
type Shown = (u32, Vec<(u32, BodyHash)>);

fn has_whole(life: &Life, hash: &BodyHash) -> bool {
    let Ok(body) = life.store.body(hash) else { return false };
    body.read(0..body.len()).is_ok_and(|octets| blake3::hash(&octets).as_bytes() == &hash.0)
}

fn mail(number: u64, length: usize) -> Vec<u8> {
    let header = format!("From: {SENDER}\r\nMessage-ID: <{number}@example.com>\r\nSubject: {number}\r\n\r\n");
    let text = format!("message {number}\r\n").into_bytes().into_iter().cycle().take(length);
    header.into_bytes().into_iter().chain(text).collect()
}

fn message(life: &Life, octets: &[u8]) -> NewMessage {
    let mut writer = life.store.body_writer();
    writer.write(octets).unwrap();
    let mut scanner = Scanner::new();
    scanner.push(octets);
    let structure = Arc::new(scanner.finish());
    NewMessage { body: writer.finish().unwrap(), structure, flags: vec![], received: None }
}

/// Makes the stores of the members of a new cluster, with an account; their processes begin later.
fn found(machines: &[Arc<Machine>]) -> Result<(), String> {
    let now = Millis(FOUNDING);
    let founder = machines[0].open(now, NodeSlot::FIRST);
    let admit = |member: Member| founder.committer.ask(now, founder.store.admit(member));
    admit(machines[0].member(NodeSlot::FIRST))?;
    let mut lives = Vec::new();
    for machine in &machines[1..] {
        let granted = founder.committer.ask(now, founder.store.grant())?.ok_or("it has no slots")?;
        admit(machine.member(granted.slot))?;
        lives.push(machine.open(now, granted.slot));
    }
    let account = Request::AddAccount { name: ACCOUNT.into(), password: "hash".into() };
    founder.committer.ask(now, founder.store.ask(account))?;
    for life in lives {
        let records =
            founder.store.delta_since(&Vector::new(), usize::MAX).map_err(|error| error.to_string())?;
        life.committer.apply(now, &life.store, records)?;
    }
    Ok(())
}
