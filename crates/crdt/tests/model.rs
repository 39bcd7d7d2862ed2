//! Every interleaving of small worlds over the real replica: messages, looks, expunges, cuts, crashes, disks that are rolled
//! back, bumps, and what goes between the nodes.
//!
//! Worlds are told apart by a hash of everything that their future depends on, so interleavings that come to the same are
//! explored once. The witness sees only what clients saw and what was accepted. `PEERPOST_MODEL=full` explores the large
//! worlds as well. `PEERPOST_MODEL=deep` takes the largest with more messages, some of which nobody has waited for to the end, or with
//! as many as `PEERPOST_MESSAGES` says. Without `--release`, `LEFT_OUT=NAME` leaves a rule out.

#![allow(clippy::disallowed_methods, reason = "shell: uses all processors, and tells how long it took")]

#[path = "model/disk.rs"]
mod disk;
#[path = "model/explore.rs"]
mod explore;
#[path = "model/found.rs"]
mod found;
#[path = "model/library.rs"]
mod library;
#[path = "model/node.rs"]
mod node;
#[path = "model/witness.rs"]
mod witness;
#[path = "model/word.rs"]
mod word;
#[path = "model/world.rs"]
mod world;

use explore::explore;
use world::{Left, Setting};

/// Which worlds are explored: small ones within a second, those of `full` within minutes, those of `deep` within hours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Extent {
    Short,
    Full,
    Deep,
}

fn extent() -> Extent {
    match std::env::var("PEERPOST_MODEL").as_deref() {
        Ok("full") => Extent::Full,
        Ok("deep") => Extent::Deep,
        _ => Extent::Short,
    }
}

/// So many messages in the whole world, fewer in the short one.
fn messages(all: u8) -> u8 {
    if extent() == Extent::Short { 1 } else { all }
}

/// So many messages, more in the deep world: as many as `PEERPOST_MESSAGES` says.
fn deep_messages(usual: u8, deep: u8) -> u8 {
    let asked = std::env::var("PEERPOST_MESSAGES").ok().and_then(|asked| asked.parse().ok());
    if extent() == Extent::Deep { asked.unwrap_or(deep) } else { usual }
}

const NOTHING: Left =
    Left { deliveries: 0, appends: 0, expunges: 0, waits: 0, cuts: 0, crashes: 0, rollbacks: 0, bumps: 0 };

/// Two nodes with clients on both.
const PAIR: Setting = Setting {
    nodes: 2,
    looking: 0b11,
    delivering: 0b11,
    crashing: 0b10,
    victims: 0b10,
    bumping: 0b11,
    cut_off: 0b01,
    clocks: [0; 3],
    left: NOTHING,
};

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

/// A cut, a crash, a rolled-back disk and a bump; in the short world no bump.
fn every_fault() -> Left {
    let bumps = u8::from(extent() > Extent::Short);
    Left { deliveries: deep_messages(1, 3), cuts: 1, crashes: 1, rollbacks: 1, bumps, ..NOTHING }
}

/// All of it in one world.
#[test]
fn two_nodes_and_every_fault() {
    let left = every_fault();
    explore("of 2 nodes with every fault", Setting { left, ..PAIR });
}

/// The same with clients on one node alone, where the operator asks for the UIDVALIDITY: of three messages there are millions of states.
#[test]
fn two_nodes_every_fault_and_clients_on_one() {
    let left = every_fault();
    for (node, name) in [(0b01, "the first"), (0b10, "the second")] {
        let setting = Setting { left, looking: node, bumping: node, ..PAIR };
        explore(&format!("of 2 nodes with every fault, clients on {name}"), setting);
    }
}

/// Three nodes with clients on all.
const THREE: Setting = Setting { nodes: 3, looking: 0b111, ..PAIR };

#[test]
fn three_nodes() {
    let left = Left { deliveries: messages(2), ..NOTHING };
    explore("of 3 nodes", Setting { left, ..THREE });
}

/// Of three messages with clients on all three nodes there would be some thousand times as many states as of two.
#[test]
fn three_nodes_and_a_cut() {
    let left = Left { deliveries: deep_messages(1, 2), cuts: 1, ..NOTHING };
    explore("of 3 nodes with a cut", Setting { left, ..THREE });
}

/// Clients on one or two of three nodes: who places and who reissues is another one in each of these worlds.
#[test]
fn three_nodes_a_cut_and_clients_on_some() {
    let worlds = [
        (0b001, "the first"),
        (0b010, "the second"),
        (0b100, "the third"),
        (0b011, "the first and the second"),
        (0b110, "the second and the third"),
    ];
    // These two are the farthest apart by rank, and take the longest.
    let farthest = [(0b101, "the first and the third")];
    let farthest = farthest.into_iter().filter(|_| extent() != Extent::Full);
    for (looking, nodes) in worlds.into_iter().chain(farthest) {
        let left = Left { deliveries: messages(3), cuts: 1, ..NOTHING };
        explore(&format!("of 3 nodes with a cut, clients on {nodes}"), Setting { left, looking, ..THREE });
    }
}
