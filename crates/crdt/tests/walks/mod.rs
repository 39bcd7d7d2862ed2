//! Random walks of the pure core: nodes that take mail, lose links, crash, are put back to older disks, join and die, with
//! clients that move between them. A walk is its seed. Those who check see only what clients saw and what was accepted.

mod carry;
mod chance;
mod clients;
mod disk;
mod faults;
mod ledger;
mod mail;
mod rest;
mod step;
#[cfg(debug_assertions)]
#[allow(dead_code, unused_imports, reason = "the test `left_out` alone tells them")]
#[path = "../left_out/mod.rs"]
pub mod stories;
mod witness;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use peerpost_crdt::clock::Millis;
use peerpost_crdt::placement::surroundings::OnReorder;

use carry::Load;
use step::Plan;
pub use step::Step;
use world::{Checked, Violation, World};

thread_local! {
    /// What walks of so many nodes begin with: made once.
    static BEGINNINGS: RefCell<BTreeMap<usize, World>> = const { RefCell::new(BTreeMap::new()) };
}

/// What a walk did that is worth counting.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walked {
    pub steps: u64,
    pub records: u64,
    pub bumps: u64,
    pub rolled_back: u64,
    /// Of the walks those that ended where no slot was left to give: an operator has to help there.
    pub out_of_slots: u64,
}

impl Walked {
    pub fn add(&mut self, other: Walked) {
        self.steps += other.steps;
        self.records += other.records;
        self.bumps += other.bumps;
        self.rolled_back += other.rolled_back;
        self.out_of_slots += other.out_of_slots;
    }
}

/// Walks the walk of a seed; tells the story, as short as can be, of one that fails.
pub fn walk(seed: u64) -> Result<Walked, String> {
    let plan = Plan::of_seed(seed);
    match run(seed, &plan, plan.steps.len()) {
        Ok(walked) => Ok(walked),
        Err(violation) => Err(story(seed, plan, violation)),
    }
}

/// Walks these steps, under the names of lives that a seed gives.
#[allow(dead_code, reason = "the tests tell single stories, the runner does not")]
pub fn tell(seed: u64, nodes: usize, steps: &[Step]) -> Result<(), String> {
    let plan = Plan { nodes, bumps: false, steps: steps.to_vec() };
    run(seed, &plan, plan.steps.len()).map(drop).map_err(|violation| violation.0)
}

fn run(seed: u64, plan: &Plan, steps: usize) -> Result<Walked, Violation> {
    let walk = || walk_along(seed, plan, &plan.steps[..steps]);
    match catch_unwind(AssertUnwindSafe(walk)) {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Violation(format!("panic: {}", text.unwrap_or_default())))
        }
    }
}

fn walk_along(seed: u64, plan: &Plan, steps: &[Step]) -> Result<Walked, Violation> {
    let on_reorder = if plan.bumps { OnReorder::Bump } else { OnReorder::Reissue };
    let mut world = beginning(plan.nodes)?.under(seed, on_reorder);
    for step in steps {
        world.now += 1;
        world.take(*step)?;
        world.check_gone()?;
    }
    world.come_to_rest()?;
    world.check_gone()?;
    Ok(Walked {
        steps: steps.len() as u64,
        records: world.survives().values().sum(),
        bumps: world.witness.bumps,
        rolled_back: world.lost.len() as u64,
        out_of_slots: u64::from(world.is_out_of_slots()),
    })
}

fn beginning(nodes: usize) -> Checked<World> {
    BEGINNINGS.with_borrow_mut(|beginnings| {
        if let Some(world) = beginnings.get(&nodes) {
            return Ok(world.clone());
        }
        let world = World::new(nodes)?;
        Ok(beginnings.entry(nodes).or_insert(world).clone())
    })
}

impl World {
    fn check_gone(&mut self) -> Checked {
        self.witness.check_gone(&self.ledger)
    }

    fn take(&mut self, step: Step) -> Checked {
        match step {
            Step::Visit { client, node, mailbox } => {
                let client = usize::from(client) % self.clients.len();
                self.visit(client, self.node(node), usize::from(mailbox))
            }
            Step::Carry { from, to, most, bodies, announcements_first } => {
                let most = most.map_or(usize::MAX, usize::from);
                let load = Load { most, bodies, announcements_first };
                self.carry(self.node(from), self.node(to), load)
            }
            Step::Exchange => self.exchange(),
            Step::Bodies { node } => self.bring_bodies(self.node(node), 1),
            Step::Pass { milliseconds } => {
                self.witness.long_asleep |= milliseconds > 30 * 24 * 60 * 60_000;
                self.pass(milliseconds)
            }
            Step::SetClock { node, off_seconds } => {
                let node = self.node(node);
                self.nodes[node].off = i64::from(off_seconds) * 1_000;
                self.nodes[node].stopped = None;
                Ok(())
            }
            Step::StopClock { node } => {
                let node = self.node(node);
                self.nodes[node].stopped = Some(Millis(self.clock(node).0));
                Ok(())
            }
            Step::Cut { .. } | Step::Heal { .. } | Step::Part { .. } | Step::HealAll => {
                self.link(step);
                Ok(())
            }
            Step::Restart { .. } | Step::Backup { .. } | Step::RollBack { .. } => self.fault(step),
            Step::Kill { .. } | Step::Bury { .. } | Step::Join { .. } => self.fault(step),
            _ => self.mail(step),
        }
    }

    fn link(&mut self, step: Step) {
        match step {
            Step::Cut { from, to, both_ways } => {
                let (from, to) = (self.node(from), self.node(to));
                self.cut.insert((from, to));
                if both_ways {
                    self.cut.insert((to, from));
                }
            }
            Step::Heal { from, to } => {
                let (from, to) = (self.node(from), self.node(to));
                self.cut.remove(&(from, to));
                self.cut.remove(&(to, from));
            }
            Step::Part { node } => {
                let node = self.node(node);
                let pairs = self.living().into_iter().filter(|other| *other != node);
                let pairs: Vec<_> = pairs.flat_map(|other| [(node, other), (other, node)]).collect();
                self.cut.extend(pairs);
            }
            _ => self.cut.clear(),
        }
    }
}

/// Leaves out what the violation does not need, and tells the rest.
fn story(seed: u64, plan: Plan, mut violation: Violation) -> String {
    let rule = |violation: &Violation| violation.0.split(':').next().unwrap_or_default().to_owned();
    let kind = rule(&violation);
    let mut plan = plan;
    let mut width = plan.steps.len() / 2;
    while width > 0 {
        let mut at = 0;
        while at < plan.steps.len() {
            let end = plan.steps.len().min(at + width);
            let rest = [&plan.steps[..at], &plan.steps[end..]].concat();
            let shorter = Plan { nodes: plan.nodes, bumps: plan.bumps, steps: rest };
            match run(seed, &shorter, shorter.steps.len()) {
                Err(other) if rule(&other) == kind => {
                    violation = other;
                    plan = shorter;
                }
                _ => at += width,
            }
        }
        width = if width == 1 { 0 } else { width.div_ceil(2) };
        if width == 0 {
            break;
        }
    }
    let steps: Vec<String> = plan.steps.iter().map(|step| format!("    {step:?}")).collect();
    let policy = if plan.bumps { ", on_reorder = bump" } else { "" };
    format!("seed {seed}, {} nodes{policy}:\n{}\n  {}", plan.nodes, steps.join("\n"), violation.0)
}
