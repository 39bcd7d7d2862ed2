//! Stories, each as small as the rule or the trap that it is about allows, told by the worlds of the walks.

mod bumps;
mod cost;
mod found;
mod lives;
mod mail;
mod modseq;
mod peers;
mod placing;
mod slots;
mod waits;

use peerpost_crdt::account::NewEntry;
use peerpost_crdt::identity::{BodyHash, EntryId, MailboxId, NodeSlot, Uid};
use peerpost_crdt::replica::Verdict;
use peerpost_crdt::view::{MailboxView, ReceivedAt};

use super::disk::Disk;
use super::step::{NAMES, Step};
pub use super::world::Violation;
use super::world::{Checked, World, account, violated};
use super::{Plan, run};

pub const INBOX: u8 = 0;
pub const ARCHIVE: u8 = 1;
pub const WORK: u8 = 2;
pub const OTHER: u8 = 3;

/// What is told, and by what.
pub struct Story {
    pub name: &'static str,
    pub tell: fn() -> Checked,
}

/// All stories.
pub fn stories() -> impl Iterator<Item = &'static Story> {
    [
        placing::STORIES,
        cost::STORIES,
        slots::STORIES,
        lives::STORIES,
        bumps::STORIES,
        mail::STORIES,
        modseq::STORIES,
        found::STORIES,
        peers::STORIES,
        waits::STORIES,
    ]
    .into_iter()
    .flatten()
}

/// The walk of a seed, as it is.
pub fn walk_of(seed: u64) -> Checked {
    let plan = Plan::of_seed(seed);
    run(seed, &plan, plan.steps.len()).map(|_| ())
}

/// What has to hold in a story.
fn expect(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { violated(what()) }
}

fn deliver(node: u8) -> Step {
    Step::Deliver { node, mailbox: INBOX, delivery: None }
}

fn deliver_to(node: u8, mailbox: u8) -> Step {
    Step::Deliver { node, mailbox, delivery: None }
}

fn look(node: u8) -> Step {
    Step::Look { node, mailbox: INBOX }
}

fn expunge(node: u8) -> Step {
    Step::Expunge { node, mailbox: INBOX, place: 0 }
}

fn pass(milliseconds: u64) -> Step {
    Step::Pass { milliseconds }
}

fn part(node: u8) -> Step {
    Step::Part { node }
}

fn carry(from: u8, to: u8) -> Step {
    Step::Carry { from, to, most: None, bodies: true, announcements_first: false }
}

fn carry_bare(from: u8, to: u8) -> Step {
    Step::Carry { from, to, most: None, bodies: false, announcements_first: false }
}

/// What a peer says of the life on a node, and nothing else.
fn judge(from: u8, to: u8) -> Step {
    Step::Carry { from, to, most: Some(0), bodies: false, announcements_first: false }
}

impl World {
    fn tell(&mut self, steps: &[Step]) -> Checked {
        for step in steps {
            self.now += 1;
            self.take(*step)?;
            self.check_gone()?;
        }
        Ok(())
    }

    fn mailbox(&self, node: usize, name: &str) -> Checked<MailboxId> {
        let unit = self.nodes[node].account().and_then(|account| account.unit_by_name(name));
        unit.map(|unit| unit.public).ok_or_else(|| Violation(format!("n{node} has no {name}")))
    }

    fn view(&self, node: usize, name: u8) -> Checked<MailboxView> {
        let mailbox = self.mailbox(node, NAMES[usize::from(name)])?;
        self.view_of(node, mailbox)
    }

    fn view_of(&self, node: usize, mailbox: MailboxId) -> Checked<MailboxView> {
        let account = self.nodes[node].account();
        account
            .map(|account| account.view(mailbox))
            .ok_or_else(|| Violation(format!("n{node} has no account")))
    }

    /// The messages that a node shows.
    fn rows(&self, node: usize, name: u8) -> Checked<Vec<(Uid, EntryId)>> {
        Ok(self.view(node, name)?.rows.iter().map(|row| (row.uid, row.facts.entry)).collect())
    }

    /// How many UIDs a node has reported as expunged: where no client expunged anything, those that were given in vain.
    fn in_vain(&self, node: usize, name: u8) -> Checked<usize> {
        Ok(self.view(node, name)?.vanished.iter().len())
    }

    /// A disk is put back, whoever knows of what is lost.
    fn put_back(&mut self, node: usize, disk: &Disk) -> Checked {
        let slot = self.nodes[node].slot();
        self.unlink(node, slot)?;
        let lost = std::mem::replace(&mut self.nodes[node].disk, disk.clone());
        self.witness.put_back(node, &lost, &self.nodes[node]);
        self.begin_life(node, false)
    }

    /// A second machine is started from a copy of a disk; nobody can reach it, and nobody the first.
    fn start_twin(&mut self, node: usize, disk: &Disk) -> Checked<usize> {
        let mut twin = self.nodes[node].clone();
        twin.disk = disk.clone();
        self.nodes.push(twin);
        let twin = self.nodes.len() - 1;
        self.begin_life(twin, false)?;
        for other in 0..twin {
            self.cut.extend([(twin, other), (other, twin)]);
        }
        Ok(twin)
    }

    /// Links are up, and there is time enough for every courtesy.
    fn calm_down(&mut self) -> Checked {
        self.tell(&[Step::HealAll, Step::Exchange, Step::Exchange])?;
        for _ in 0..4 {
            self.tell(&[pass(700), Step::Exchange])?;
        }
        Ok(())
    }

    /// A node takes in what the present life of another wrote, and nothing else.
    fn hear_of_life(&mut self, node: usize, of: usize) -> Checked {
        let life = self.nodes[of].life.author().incarnation;
        let known = self.nodes[node].life.vector().last(&life).0 as usize;
        let log = self.nodes[of].disk.log.get(&life).map_or(&[][..], Vec::as_slice);
        let records = log.get(known..).unwrap_or_default().to_vec();
        self.wake(node).apply(records, |_| false).map_err(|error| Violation(error.to_string()))?;
        self.commit(node)
    }

    fn new_message(&mut self, node: usize) -> NewEntry {
        self.next_body += 1;
        let mut hash = [1; 32];
        hash[..8].copy_from_slice(&self.next_body.to_be_bytes());
        let body = BodyHash(hash);
        self.nodes[node].disk.bodies.insert(body);
        NewEntry {
            body,
            size: 1,
            received: ReceivedAt::default(),
            flags: vec![],
            email: None,
            delivery: None,
        }
    }

    /// What one node says of the life on another, whose first record it has.
    fn verdict(&self, from: usize, on: usize) -> Option<Verdict> {
        self.nodes[from].life.judge(&self.nodes[on].life.author().incarnation)
    }
}
