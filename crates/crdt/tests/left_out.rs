//! The checks can fail: each rule, and each trap that naive rules fall into, is left out in turn, and a story or a walk has to
//! notice. With nothing left out none of them may.
//!
//! ```text
//! cargo test -p peerpost-crdt --test left_out -- --nocapture
//! ```
//!
//! prints the table of `docs/uid-mapping.md`; `LEFT_OUT=NAME` tells what is found of one. Rules of the crates above are left out by
//! the tests of the same name there.
#![cfg(debug_assertions)]
#![allow(clippy::disallowed_methods, reason = "measures how long the search takes, on all processors")]

#[path = "common/left_out.rs"]
mod harness;
#[allow(dead_code, reason = "what fails is told whole by the test `walks`")]
#[path = "walks/mod.rs"]
mod walks;

use harness::Check;
use peerpost_crdt::left_out::{LeftOut, leave_out};
use walks::stories::{stories, walk_of};

/// The walks that are tried where no story notices.
const SEEDS: u64 = 400;
/// The page that has the table.
const PAGE: &str = include_str!("../../../docs/uid-mapping.md");

/// Every story in its order, and then the walks.
fn checks() -> Box<dyn Iterator<Item = Check>> {
    let stories = stories().map(|story| Check {
        finder: format!("“{}”", story.name),
        run: Box::new(|| (story.tell)().map_err(|violation| violation.0)),
    });
    let walks = (0..SEEDS).map(|seed| Check {
        finder: format!("walk {seed}"),
        run: Box::new(move || walk_of(seed).map_err(|violation| violation.0)),
    });
    Box::new(stories.chain(walks))
}

#[test]
fn whatever_is_left_out_is_noticed() {
    harness::each_is_noticed(LeftOut::ALL.iter().copied(), leave_out, checks);
}

#[test]
fn the_page_has_a_row_for_each() {
    let all = LeftOut::ALL.iter().chain(LeftOut::ABOVE.iter().map(|(_, what)| what));
    let has = |what: &&LeftOut| PAGE.contains(&format!("| {} | {} |", what.rule(), what.what()));
    let missing: Vec<_> = all.filter(|what| !has(what)).collect();
    assert!(missing.is_empty(), "docs/uid-mapping.md lacks {missing:?}: print the table anew");
}
