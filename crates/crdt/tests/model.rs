//! Every interleaving of small worlds over the real replica: messages, looks, expunges, cuts, crashes, disks that are rolled
//! back, bumps, and what goes between the nodes.
//!
//! Worlds are told apart by a hash of everything that their future depends on, so interleavings that come to the same are
//! explored once. The witness sees only what clients saw and what was accepted. `PEERPOST_MODEL=full` explores the large
//! worlds as well.

#![allow(clippy::disallowed_methods, reason = "shell: tells how long it took")]

#[path = "model/disk.rs"]
mod disk;
#[path = "model/node.rs"]
mod node;
#[path = "model/witness.rs"]
mod witness;
#[path = "model/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::time::Instant;

use world::{Left, Setting, Step, World};

/// Says what had happened when an assertion fails.
struct Story<'a>(&'a [Step]);

impl Drop for Story<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("after {:?}", self.0);
        }
    }
}

/// Goes through every state, and from every final one to rest.
fn explore(name: &str, setting: Setting) {
    let started = Instant::now();
    let mut known = BTreeSet::new();
    let mut open = vec![World::new(setting)];
    let (mut finals, mut steps_taken) = (0_u64, 0_u64);
    while let Some(world) = open.pop() {
        let steps = world.steps();
        if steps.is_empty() {
            finals += 1;
            let history = world.history.clone();
            let _story = Story(&history);
            world.check_rest();
            continue;
        }
        for step in steps {
            let mut next = world.clone();
            let mut history = world.history.clone();
            history.push(step);
            let story = Story(&history);
            next.go(step);
            drop(story);
            steps_taken += 1;
            if known.insert(next.digest()) {
                open.push(next);
            }
        }
    }
    println!(
        "model {name}: {} states, {finals} of them final, {steps_taken} steps, {:.1} s",
        known.len() + 1,
        started.elapsed().as_secs_f64()
    );
}

/// The larger worlds are explored on demand only.
fn is_full() -> bool {
    std::env::var("PEERPOST_MODEL").is_ok_and(|extent| extent == "full")
}

/// So many messages in the whole world, fewer in the short one.
fn messages(all: u8) -> u8 {
    if is_full() { all } else { 1 }
}

const NOTHING: Left = Left {
    deliveries: 0,
    appends: 0,
    expunges: 0,
    waits: 0,
    cuts: 0,
    crashes: 0,
    rollbacks: 0,
    bumps: 0,
    looks: 0,
};

/// Two nodes with clients on both.
const PAIR: Setting =
    Setting { nodes: 2, looking: 0b11, victims: 0b10, cut_off: 0b01, clocks: [0; 3], left: NOTHING };

#[test]
fn two_nodes_messages_and_an_expunge() {
    let left = Left { deliveries: messages(2), appends: 1, expunges: 1, ..NOTHING };
    explore("of 2 nodes with an expunge", Setting { left, ..PAIR });
}

#[test]
fn two_nodes_and_a_cut() {
    let left = Left { deliveries: messages(3), cuts: 1, ..NOTHING };
    explore("of 2 nodes with a cut", Setting { left, ..PAIR });
}

#[test]
fn two_nodes_a_cut_and_a_crash() {
    let left = Left { deliveries: messages(3), cuts: 1, crashes: 1, ..NOTHING };
    explore("of 2 nodes with a cut and a crash", Setting { left, ..PAIR });
}

#[test]
fn two_nodes_a_cut_and_a_rolled_back_disk() {
    let left = Left { deliveries: messages(3), cuts: 1, rollbacks: 1, ..NOTHING };
    explore("of 2 nodes with a cut and a rolled-back disk", Setting { left, ..PAIR });
}

#[test]
fn two_nodes_a_cut_and_a_bump() {
    let left = Left { deliveries: messages(3), cuts: 1, bumps: 1, ..NOTHING };
    explore("of 2 nodes with a cut and a bump", Setting { left, ..PAIR });
}

#[test]
fn three_nodes_and_a_cut() {
    let left = Left { deliveries: 1, cuts: u8::from(is_full()), ..NOTHING };
    explore("of 3 nodes with a cut", Setting { nodes: 3, looking: 0b111, left, ..PAIR });
}
