//! Whole networks of replication state machines under one event queue.

#![allow(clippy::unwrap_used, reason = "test")]

mod common;
#[path = "common/network.rs"]
mod network;

use common::body;
use crdt::identity::{AccountId, MailboxId};
use network::Network;
use peerpost_replication::limits::{DELTA_WINDOW_BYTES, SILENCE_LIMIT};
use proptest::prelude::*;

const MINUTE: u64 = 60_000;

fn looked_at(number: u8) -> (AccountId, MailboxId) {
    (AccountId([number; 16]), MailboxId([number; 16]))
}

#[test]
fn two_nodes_exchange_records_and_bodies() {
    let mut network = Network::new(2);
    for number in 0..20 {
        network.commit(0, Some(body(number, 4000)));
        network.commit(1, Some(body(100 + number, 200_000)));
    }
    let took = network.run_until(MINUTE, Network::is_converged).expect("converges");
    assert!(took < 2_000, "{took} ms");
    // And on an open link a commit is pushed at once: one way for the delta, a round trip for the body.
    network.commit(0, Some(body(999, 3000)));
    let took = network.run_until(MINUTE, Network::is_converged).expect("converges");
    assert!(took <= 60, "{took} ms");
    let status = network.status(0);
    assert_eq!(status.peers[0].last_error, None);
}

#[test]
fn a_line_of_three_forwards() {
    let mut network = Network::new(3);
    network.cut(0, 2);
    network.run(5_000);
    network.commit(0, Some(body(1, 300_000)));
    network.commit(2, Some(body(2, 3_000)));
    let took = network.run_until(MINUTE, Network::is_converged).expect("converges");
    assert!(took < 1_000, "{took} ms");
}

#[test]
fn in_a_triangle_nothing_travels_twice() {
    let mut network = Network::new(3);
    network.run(3_000);
    for number in 0..300 {
        network.commit((number % 3) as usize, Some(body(number, 2_000)));
        network.run(7);
    }
    assert!(network.run_until(MINUTE, Network::is_converged).is_some());
    let duplicates: u64 = network.nodes.iter().map(|node| node.store.duplicates).sum();
    assert_eq!(duplicates, 0, "of 600 records");
}

#[test]
fn a_cut_is_noticed_and_mended() {
    let mut network = Network::new(2);
    network.run(2_000);
    let linked = |network: &Network| network.status(0).peers[0].connected_since.is_some();
    assert!(linked(&network));
    network.cut(0, 1);
    let took = network.run_until(MINUTE, |network| !linked(network)).expect("noticed");
    assert!(took <= SILENCE_LIMIT, "{took} ms");
    network.run(10_000);
    network.commit(0, Some(body(1, 10)));
    network.heal(0, 1);
    let took = network.run_until(MINUTE, Network::is_converged).expect("converges");
    assert!(took <= 2_500, "{took} ms");
}

#[test]
fn looks_travel_and_end_with_the_link() {
    let mut network = Network::new(2);
    network.look(0, looked_at(1), true);
    network.run(2_000);
    network.look(0, looked_at(2), true);
    network.look(0, looked_at(1), false);
    network.run(100);
    let slot = crdt::identity::NodeSlot::FIRST;
    assert_eq!(network.nodes[1].store.peer_looks[&slot], [looked_at(2)].into());
    network.cut(0, 1);
    network.run(3_000);
    assert_eq!(network.nodes[1].store.peer_looks.get(&slot), None);
}

#[test]
fn a_peer_that_never_acknowledges_costs_one_window() {
    let mut network = Network::new(2);
    network.nodes[1].apply_delay = 10 * MINUTE;
    for number in 0..100_000 {
        network.nodes[0]
            .store
            .commit(crdt::identity::Incarnation([0; 16]), (number == 0).then(|| body(1, 10)));
    }
    network.commit(0, None);
    for _ in 0..100 {
        network.run(100);
        let status = network.status(0);
        assert!(status.peers[0].delta_bytes_in_flight <= DELTA_WINDOW_BYTES + 100, "one record more");
    }
    assert!(network.status(0).peers[0].delta_bytes_in_flight > DELTA_WINDOW_BYTES / 2);
    assert!(network.nodes[0].outputs_at_most < 1_000);
    // The clock stands still for nobody: the link is alive all the while.
    assert_eq!(network.status(0).peers[0].last_error, None);
}

#[test]
fn a_refused_delta_drops_the_link_with_growing_pauses() {
    let mut network = Network::new(2);
    network.nodes[1].store.refuses = true;
    network.commit(0, None);
    network.run(2_000);
    let before = network.frames_sent;
    network.run(10 * MINUTE);
    assert!(network.frames_sent - before < 2_000, "{} frames in ten minutes", network.frames_sent - before);
    let error = network.status(0).peers[0].last_error.clone().unwrap_or_default();
    assert!(!error.is_empty());
    network.nodes[1].store.refuses = false;
    let took = network.run_until(2 * MINUTE, Network::is_converged).expect("converges");
    assert!(took <= 62_000, "{took} ms");
}

#[test]
fn clocks_that_differ_by_more_than_five_minutes_are_refused() {
    let mut network = Network::new(2);
    network.nodes[1].skew = 5 * MINUTE + 1_000;
    network.commit(0, None);
    network.run(MINUTE);
    assert!(!network.is_converged());
    let error = network.status(0).peers[0].last_error.clone().unwrap_or_default();
    assert!(error.contains("clock") || error.contains("wait"), "{error}");
    network.nodes[1].skew = 0;
    assert!(network.run_until(2 * MINUTE, Network::is_converged).is_some());
}

#[test]
fn a_wrong_body_is_fetched_again_from_another() {
    let mut network = Network::new(3);
    network.run(2_000);
    let (hash, octets) = body(5, 5_000);
    network.commit(0, Some((hash, octets.clone())));
    network.nodes[0].store.bodies.insert(hash, vec![0; 5_000]);
    network.run(3_000);
    assert!(!network.nodes[1].store.bodies.contains_key(&hash));
    network.nodes[2].store.bodies.insert(hash, octets.clone());
    network.run(30_000);
    assert_eq!(network.nodes[1].store.bodies.get(&hash), Some(&octets));
}

#[derive(Clone, Debug)]
enum Step {
    Commit(usize, u64),
    Cut(usize, usize),
    Heal(usize, usize),
    Kill(usize, usize),
    Restart(usize),
    Look(usize, u8, bool),
    Tell(usize, u8),
}

fn steps(nodes: usize) -> impl Strategy<Value = Vec<(u64, Step)>> {
    let pair = (0..nodes, 1..nodes).prop_map(move |(a, by)| (a, (a + by) % nodes));
    let step = prop_oneof![
        6 => (0..nodes, 0..4u64).prop_map(|(node, kind)| Step::Commit(node, kind)),
        2 => pair.clone().prop_map(|(a, b)| Step::Cut(a, b)),
        2 => pair.clone().prop_map(|(a, b)| Step::Heal(a, b)),
        2 => pair.prop_map(|(a, b)| Step::Kill(a, b)),
        3 => (0..nodes, 0..6u8).prop_map(|(node, subject)| Step::Tell(node, subject)),
        1 => (0..nodes).prop_map(Step::Restart),
        1 => (0..nodes, 0..4u8, any::<bool>()).prop_map(|(node, look, on)| Step::Look(node, look, on)),
    ];
    let wait = prop_oneof![3 => 0..40u64, 1 => 0..4_000u64];
    proptest::collection::vec((wait, step), 1..60)
}

fn play(network: &mut Network, steps: &[(u64, Step)]) {
    for (number, (wait, step)) in steps.iter().enumerate() {
        network.run(*wait);
        match step {
            Step::Commit(node, kind) => {
                let length = [0, 3_000, 65_536, 200_001][*kind as usize];
                network.commit(*node, (*kind > 0).then(|| body(number as u64, length)));
            }
            Step::Cut(a, b) => network.cut(*a, *b),
            Step::Heal(a, b) => network.heal(*a, *b),
            Step::Kill(a, b) => network.kill(*a, *b),
            Step::Restart(node) => network.restart(*node),
            Step::Look(node, look, on) => network.look(*node, looked_at(*look), *on),
            Step::Tell(node, subject) => network.tell(*node, vec![*subject; 1 + number * 1_000]),
        }
    }
}

fn looks_agree(network: &Network) -> bool {
    let nodes = || network.nodes.iter().enumerate();
    nodes().all(|(here, node)| {
        let others = nodes().filter(|(there, _)| *there != here);
        let known =
            |there: usize| node.store.peer_looks.get(&crdt::identity::NodeSlot::new(there as u8).unwrap());
        others.into_iter().all(|(there, other)| known(there) == Some(&other.looks))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_schedule_of_cuts_all_nodes_are_alike(steps in steps(3), delays in proptest::array::uniform3(1..150u64)) {
        let run = || {
            let mut network = Network::new(3);
            network.delay(0, 1, delays[0]);
            network.delay(0, 2, delays[1]);
            network.delay(1, 2, delays[2]);
            play(&mut network, &steps);
            network.heal_all();
            let took = network.run_until(2 * MINUTE, |network| {
                network.is_converged() && network.have_all_heard() && looks_agree(network)
            });
            (took, network.trace.finalize())
        };
        let (took, trace) = run();
        prop_assert!(took.is_some());
        prop_assert!(took < Some(20_000), "{:?} ms", took);
        prop_assert_eq!(run(), (took, trace), "one seed, two traces");
    }

    #[test]
    fn a_line_converges_after_any_schedule(steps in steps(3)) {
        let mut network = Network::new(3);
        network.cut(0, 2);
        let steps: Vec<_> = steps
            .into_iter()
            .filter(|(_, step)| !matches!(step, Step::Heal(a, b) if (*a.min(b), *a.max(b)) == (0, 2)))
            .collect();
        play(&mut network, &steps);
        network.heal(0, 1);
        network.heal(1, 2);
        let alike = |network: &Network| network.is_converged() && network.have_all_heard();
        prop_assert!(network.run_until(2 * MINUTE, alike).is_some());
    }
}
