//! Plays the loads of [`crate::cost`] on whole nodes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use crdt::clock::Millis;
use crdt::flag::{Flag, FlagChange};
use crdt::identity::{EntryId, MailboxId};
use mailstore::{Look, NewMessage, Reply, Request, RequestError};
use message::Scanner;

use super::{Violation, World, broken};
use crate::chance::Chance;
use crate::cost::{Cost, Load, Scenario, Tally};
use crate::settings::Settings;

const INBOX: &str = "INBOX";
/// One way, in milliseconds; the network adds up to a quarter, so that a round trip takes 80 on average.
const LATENCY: u64 = 36;
/// How many of a hundred messages are followed by an expunge, within a second.
const EXPUNGED_PERCENT: u64 = 10;
/// How long the nodes may take to agree at the end, in milliseconds.
const PATIENCE: u64 = 120_000;
/// How long they have to go on agreeing.
const CALM: u64 = 5_000;

/// Plays one load under one seed.
///
/// # Errors
/// Where the nodes do not agree at the end, lose a message or do not work.
pub fn measure(scenario: Scenario, seed: u64) -> Result<Cost, Violation> {
    let settings = Settings {
        nodes: scenario.nodes,
        joining: 0,
        clients_a_node: 0,
        fault_milliseconds: 0,
        distance: 1,
        ..Settings::of_seed(seed)
    };
    let mut world = World::new(seed, settings);
    for node in 0..scenario.nodes {
        world.nodes[node].skew = 0;
        (0..node).for_each(|other| world.network.set_latency(node, other, LATENCY));
    }
    world.found()?;
    Course::new(&mut world, scenario, seed).play(scenario.load)
}

/// What happens at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Accept { node: usize },
    Expunge { node: usize },
    Cut,
    Mend,
}

/// A load on its way through a world.
struct Course<'a> {
    world: &'a mut World,
    inbox: MailboxId,
    looks: Vec<Option<Look>>,
    tally: Tally,
    expunged: BTreeSet<EntryId>,
    chance: Chance,
    refusals: (Sender<RequestError>, Receiver<RequestError>),
    everywhere: bool,
    /// Whether clients append what comes in where they are.
    appends: bool,
}

impl<'a> Course<'a> {
    fn new(world: &'a mut World, scenario: Scenario, seed: u64) -> Self {
        let inbox = MailboxId::of_default(world.account, INBOX);
        Course {
            world,
            inbox,
            looks: (0..scenario.nodes).map(|_| None).collect(),
            tally: Tally::new(scenario.nodes),
            expunged: BTreeSet::new(),
            chance: Chance::new(seed ^ 0x0c05_7ab1),
            refusals: channel(),
            everywhere: scenario.clients_everywhere,
            appends: scenario.load == Load::Appended,
        }
    }

    fn play(mut self, load: Load) -> Result<Cost, Violation> {
        let began = self.world.now;
        let looking = if self.everywhere { self.looks.len() } else { 1 };
        (0..looking).try_for_each(|node| self.look(node))?;
        for (at, step) in self.plan(load) {
            self.run_to(began.after(at))?;
            self.take(step)?;
        }
        self.run_to(began.after(load.duration() + 100_000))?;
        (looking..self.looks.len()).try_for_each(|node| self.look(node))?;
        self.agree()?;
        Ok(self.tally.finish())
    }

    /// Everything that will happen, by the time since the beginning.
    fn plan(&mut self, load: Load) -> Vec<(u64, Step)> {
        let mut plan = Vec::new();
        for node in 0..self.looks.len() {
            let mut at = self.pause(load.interval());
            while at < load.duration() {
                plan.push((at, Step::Accept { node }));
                if self.chance.percent(EXPUNGED_PERCENT) {
                    plan.push((at + self.chance.below(1_000), Step::Expunge { node }));
                }
                at += self.pause(load.interval());
            }
        }
        if let Some((cut, mend)) = load.cut() {
            plan.extend([(cut, Step::Cut), (mend, Step::Mend)]);
        }
        plan.sort_unstable();
        plan
    }

    /// The time to the next of many independent arrivals.
    fn pause(&mut self, mean: u64) -> u64 {
        const STEPS: u64 = 1 << 32;
        let share = (self.chance.below(STEPS) + 1) as f64 / STEPS as f64;
        (-share.ln() * mean as f64).round() as u64
    }

    fn take(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Accept { node } => self.accept(node),
            Step::Expunge { node } => {
                self.expunge(node);
                Ok(())
            }
            Step::Cut => {
                self.paths().into_iter().for_each(|(from, to)| self.world.network.cut(from, to));
                Ok(())
            }
            Step::Mend => {
                self.tally.mended(&self.expunged);
                self.paths().into_iter().for_each(|(from, to)| self.world.mend(from, to));
                Ok(())
            }
        }
    }

    /// Both directions between the first node and each other one.
    fn paths(&self) -> Vec<(usize, usize)> {
        (1..self.looks.len()).flat_map(|other| [(0, other), (other, 0)]).collect()
    }

    /// Lets time pass; every view that a client is told on the way is counted.
    fn run_to(&mut self, until: Millis) -> Result<(), Violation> {
        while self.world.step(until)? {
            self.observe();
        }
        self.observe();
        self.world.now = until;
        match self.refusals.1.try_recv() {
            Ok(why) => Err(Violation::new("nodes go on", format!("a request was refused: {why}"), vec![])),
            Err(_) => Ok(()),
        }
    }

    fn observe(&mut self) {
        for (node, look) in self.looks.iter_mut().enumerate() {
            if let Some(look) = look
                && look.view.has_changed().unwrap_or(false)
            {
                self.tally.observe(node, &look.view.borrow_and_update());
            }
        }
    }

    /// A client selects INBOX and stays.
    fn look(&mut self, node: usize) -> Result<(), Violation> {
        let (account, mailbox) = (self.world.account, self.inbox);
        let wall = self.world.nodes[node].wall(self.world.now);
        let Some(life) = &mut self.world.nodes[node].life else {
            return Err(broken(node, "it is gone".into()));
        };
        let store = life.store.clone();
        match life.ask(wall, store.ask(Request::Look { account, mailbox, lasting: true })) {
            Ok(Reply::Looked(mut look)) => {
                self.tally.observe(node, &look.view.borrow_and_update());
                self.looks[node] = Some(look);
                self.world.committed(node)
            }
            other => Err(broken(node, format!("a look was answered with {other:?}"))),
        }
    }

    fn accept(&mut self, node: usize) -> Result<(), Violation> {
        let Some(life) = &self.world.nodes[node].life else { return Err(broken(node, "it is gone".into())) };
        let number = self.tally.cost.messages;
        let octets = format!(
            "From: a@example.com\r\nTo: alice@example.com\r\nMessage-ID: <{number}@example.com>\r\n\r\nThis is {number}.\r\n"
        );
        let mut writer = life.store.body_writer();
        writer.write(octets.as_bytes()).map_err(|why| broken(node, why.to_string()))?;
        let body = writer.finish().map_err(|why| broken(node, why.to_string()))?;
        let mut scanner = Scanner::new();
        scanner.push(octets.as_bytes());
        let structure = Arc::new(scanner.finish());
        self.tally.cost.messages += 1;
        let message = NewMessage { body, structure, flags: vec![], received: None };
        let (account, mailbox, sender) = (self.world.account, INBOX.into(), "a@example.com".into());
        let request = if self.appends && self.looks[node].is_some() {
            Request::Append { account, mailbox: self.inbox, messages: vec![message] }
        } else {
            Request::Deliver { account, mailbox, sender, message }
        };
        self.submit(node, request);
        Ok(())
    }

    /// A client of this node, if it has one, expunges a message that it sees.
    fn expunge(&mut self, node: usize) {
        let Some(Some(look)) = self.looks.get(node) else { return };
        let view = look.view.borrow().clone();
        let Some(row) = view.rows.at(self.chance.index(view.rows.len())) else { return };
        let (account, mailbox, entries) = (self.world.account, self.inbox, vec![row.facts.entry]);
        self.expunged.insert(row.facts.entry);
        let (change, flags) = (FlagChange::Add, vec![Flag::Deleted]);
        let store = Request::Store {
            account,
            mailbox,
            entries: entries.clone(),
            change,
            flags,
            unchanged_since: None,
        };
        self.submit(node, store);
        self.submit(node, Request::Expunge { account, mailbox, entries });
    }

    fn submit(&mut self, node: usize, request: Request) {
        let Some(life) = &self.world.nodes[node].life else { return };
        let refusals = self.refusals.0.clone();
        life.store.submit(request, move |result| {
            if let Err(why) = result {
                // The receiver lives as long as the world does, whose store calls this.
                let _ = refusals.send(why);
            }
        });
        self.world.kick(node);
    }

    /// Everybody looks: the nodes come to show the same, and nothing else than what is live.
    fn agree(&mut self) -> Result<(), Violation> {
        let end = self.world.now.after(PATIENCE);
        let mut calm_since = self.world.now;
        loop {
            self.run_to(self.world.now.after(500))?;
            match self.disagreement() {
                None if self.world.now >= calm_since.after(CALM) => return Ok(()),
                None => {}
                Some(violation) if self.world.now >= end => return Err(violation),
                Some(_) => calm_since = self.world.now,
            }
        }
    }

    fn disagreement(&self) -> Option<Violation> {
        let mut views = self.tally.visible();
        let first = views.next()?;
        if let Some(other) = views.find(|view| *view != first) {
            let what = format!("one node shows {} messages, another {}", first.len(), other.len());
            return Some(Violation::new("U4 convergence", what, vec![]));
        }
        let live = self.tally.cost.messages - self.expunged.len() as u64;
        (first.len() as u64 != live).then(|| {
            let what = format!("{live} messages are live, {} are shown", first.len());
            Violation::new("nothing is lost", what, vec![])
        })
    }
}
