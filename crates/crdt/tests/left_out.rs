//! The checks can fail: each rule, and each trap that naive rules fall into, is left out in turn, and a story or a walk has to
//! notice. With nothing left out none of them may.
//!
//! ```text
//! cargo test -p peerpost-crdt --features leave-out --test left_out -- --nocapture
//! ```
//!
//! prints the table of `docs/uid-mapping.md`; `LEFT_OUT=NAME` tells all that is found of one.
#![allow(clippy::disallowed_methods, reason = "measures how long the search takes, on all processors")]

#[allow(dead_code, reason = "what fails is told whole by the test `walks`")]
#[path = "walks/mod.rs"]
mod walks;

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use peerpost_crdt::left_out::{LeftOut, leave_out};
use walks::stories::{Violation, stories, walk_of};

/// The walks that are tried where no story notices.
const SEEDS: u64 = 400;
/// The page that has the table.
const PAGE: &str = include_str!("../../../docs/uid-mapping.md");

/// Who noticed, what it said, and after how long a search.
struct Finding {
    what: Option<LeftOut>,
    finder: String,
    said: String,
    time: Duration,
}

/// Every story in its order, and then the walks.
fn search(what: Option<LeftOut>) -> Option<Finding> {
    leave_out(what);
    let from = Instant::now();
    let finding = |finder: String, said| Finding { what, finder, said, time: from.elapsed() };
    let told = stories().find_map(|story| Some(finding(format!("“{}”", story.name), tells(story.tell)?)));
    told.or_else(|| {
        (0..SEEDS).find_map(|seed| Some(finding(format!("walk {seed}"), tells(|| walk_of(seed))?)))
    })
}

fn tells(check: impl FnOnce() -> Result<(), Violation>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(check)) {
        Ok(outcome) => outcome.err().map(|violation| violation.0),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Some(
                text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                    .unwrap_or_default(),
            )
        }
    }
}

/// Searches for each on all processors; what is left out is left out of one thread.
fn search_all(all: &[Option<LeftOut>]) -> Vec<(Option<LeftOut>, Option<Finding>)> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(what) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // A thread of its own: nothing that was made while something else was left out is used again.
                    let finding = thread::scope(|own| own.spawn(|| search(*what)).join());
                    found.lock().expect("nobody panics").push((*what, finding.expect("nobody panics")));
                }
            });
        }
    });
    let mut found = found.into_inner().expect("nobody panics");
    found.sort_by_key(|(what, _)| *what);
    found
}

/// What it said, up to where it names lives and values.
fn short(said: &str) -> String {
    const MOST: usize = 80;
    let line = said.lines().next().unwrap_or_default().replace('|', "/");
    let names =
        ["EntryId {", "MailboxId(", "[(", "(Some(", "by what "].iter().filter_map(|name| line.find(name));
    let most = line.char_indices().nth(MOST).map_or(line.len(), |(end, _)| end);
    let end = names.chain([most]).min().unwrap_or(most);
    let cut = if end < line.len() { "…" } else { "" };
    format!("{}{cut}", line.get(..end).unwrap_or_default())
}

fn row(finding: &Finding) -> String {
    let (rule, what) = finding.what.map_or(("", "nothing"), |what| (what.rule(), what.what()));
    let milliseconds = finding.time.as_secs_f64() * 1_000.0;
    format!("| {rule} | {what} | {} | {} | {milliseconds:.1} ms |", finding.finder, short(&finding.said))
}

#[test]
fn whatever_is_left_out_is_noticed() {
    let only = std::env::var("LEFT_OUT").ok();
    let is_asked_for = |what: &LeftOut| only.as_ref().is_none_or(|only| format!("{what:?}") == *only);
    let mut all = vec![None];
    all.extend(LeftOut::ALL.iter().copied().filter(is_asked_for).map(Some));
    let hook = take_hook();
    // What is caught is told in the table.
    set_hook(Box::new(|_| {}));
    let found = search_all(&all);
    set_hook(hook);
    println!("| rule | left out | finder | what it said | time to find |\n|---|---|---|---|---|");
    found.iter().filter_map(|(_, finding)| finding.as_ref()).for_each(|finding| println!("{}", row(finding)));
    let missed: Vec<_> = found.iter().filter(|(what, finding)| what.is_some() == finding.is_none()).collect();
    let missed: Vec<_> = missed.iter().map(|(what, finding)| (what, finding.as_ref().map(row))).collect();
    assert!(missed.is_empty(), "left out and not noticed, or noticed with nothing left out: {missed:?}");
}

#[test]
fn the_page_has_a_row_for_each() {
    let has = |what: &LeftOut| PAGE.contains(&format!("| {} | {} |", what.rule(), what.what()));
    let missing: Vec<_> = LeftOut::ALL.iter().filter(|what| !has(what)).collect();
    assert!(missing.is_empty(), "docs/uid-mapping.md lacks {missing:?}: print the table anew");
}
