//! The checks can fail: what only whole nodes show is left out in turn, and one of the first seeds has to notice
//! (`docs/uid-mapping.md`).
#![cfg(debug_assertions)]
#![allow(clippy::disallowed_methods, reason = "measures how long the search takes, on all processors")]

#[path = "../../crdt/tests/common/left_out.rs"]
mod harness;

use std::ops::RangeInclusive;

use crdt::left_out::LeftOut;
use harness::Check;
use peerpost_simulation::{Settings, run};

/// The seeds that are played.
const SEEDS: RangeInclusive<u64> = 1..=20;

#[test]
fn whatever_is_left_out_is_noticed() {
    harness::each_is_noticed(harness::of_crate("simulation"), leave_out, checks);
}

/// Leaves it out of every crate that knows it.
fn leave_out(what: Option<LeftOut>) {
    crdt::left_out::leave_out(what);
    storage::left_out::leave_out(match what {
        Some(LeftOut::SyncFirst) => Some(storage::left_out::LeftOut::Tables),
        Some(LeftOut::BodiesFirst) => Some(storage::left_out::LeftOut::Bodies),
        _ => None,
    });
}

fn checks() -> Box<dyn Iterator<Item = Check>> {
    let play = |seed| {
        let played = run(seed, Settings::of_seed(seed));
        played.map(|_| ()).map_err(|failure| failure.violation.to_string())
    };
    Box::new(
        SEEDS.map(move |seed| Check { finder: format!("seed {seed}"), run: Box::new(move || play(seed)) }),
    )
}
