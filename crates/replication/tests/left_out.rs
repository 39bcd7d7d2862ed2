//! The checks can fail: what replication does for the rules is left out in turn, and one of these stories has to notice
//! (`docs/uid-mapping.md`).
#![cfg(debug_assertions)]
#![allow(clippy::disallowed_methods, reason = "measures how long the search takes, on all processors")]

mod common;
#[path = "../../crdt/tests/common/left_out.rs"]
mod harness;
#[path = "common/network.rs"]
mod network;

use crdt::identity::NodeSlot;
use crdt::left_out::{LeftOut, leave_out};
use harness::Check;
use network::Network;

/// Longer than any courtesy, in milliseconds.
const LONG: u64 = 10_000;
/// A record takes so many milliseconds from one log to the next, give or take a few.
const ONE_WAY: std::ops::Range<u64> = 8..18;

#[test]
fn whatever_is_left_out_is_noticed() {
    harness::each_is_noticed(harness::of_crate("replication"), leave_out, checks);
}

fn checks() -> Box<dyn Iterator<Item = Check>> {
    harness::told(&[
        ("a notice by way of a third node", notice_by_way_of_a_third),
        ("a record by way of a third node", record_by_way_of_a_third),
        ("a record while another's is being stored", record_beside_anothers),
        ("two that meet again", meet_again),
    ])
}

fn expect(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn notice_by_way_of_a_third() -> Result<(), String> {
    let mut network = Network::new(3);
    network.cut(0, 2);
    network.run(LONG);
    network.tell(0, vec![1; 100]);
    network.run(LONG);
    expect(
        network.have_all_heard(),
        "U5: a node without a link to the author never hears what that announced",
    )
}

fn record_by_way_of_a_third() -> Result<(), String> {
    let mut network = Network::new(3);
    network.cut(0, 2);
    network.run(LONG);
    network.commit(0, None);
    network.run(LONG);
    expect(network.is_converged(), "U4: a node without a link to the author never gets a record of it")
}

/// The author's own link to the third is slow. The second has two records of it; its log has the later one when it is read for one of
/// its own, before its links know of it.
fn record_beside_anothers() -> Result<(), String> {
    for between in ONE_WAY {
        let mut network = Network::new(3);
        network.run(LONG);
        network.cut(0, 2);
        network.commit(0, None);
        network.run(100);
        network.commit(0, None);
        network.run(between);
        network.commit(1, None);
        network.run(1);
        network.commit(1, None);
        network.run(200);
        let broken = network.status(1).peers.iter().find_map(|peer| peer.last_error.clone());
        if let Some(why) = broken {
            return Err(format!("cost: a link broke: {why}"));
        }
    }
    Ok(())
}

fn meet_again() -> Result<(), String> {
    let mut network = Network::new(2);
    network.run(LONG);
    network.cut(0, 1);
    network.run(LONG);
    network.commit(1, None);
    network.tell(1, vec![1; 10]);
    let vector = network.nodes[1].store.vector.clone();
    network.heal(0, 1);
    let slot = NodeSlot::new(1).expect("a slot");
    let met = network.run_until(LONG, |network| network.nodes[0].store.meetings.contains_key(&slot));
    let of_first = network.nodes[0].store.meetings.get(&slot).map(|meeting| meeting.vector.clone());
    expect(
        met.is_some() && of_first == Some(vector),
        "cost: it is not known what the other brings, so nobody waits for it before reissuing",
    )
}
