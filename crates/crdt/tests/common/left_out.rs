//! Leaves one thing out after another and looks who notices. The tests `left_out` of all crates share it.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::LeftOut;

/// Somebody who may notice, and what is checked; a panic counts as well.
pub struct Check {
    /// As the table names it.
    pub finder: String,
    /// Gives what was noticed.
    pub run: Box<dyn FnOnce() -> Result<(), String>>,
}

/// A short story: its name, and what it notices.
#[allow(dead_code, reason = "where there are stories of this form")]
pub type Story = (&'static str, fn() -> Result<(), String>);

/// Stories as checks.
#[allow(dead_code, reason = "where there are stories of this form")]
pub fn told(stories: &'static [Story]) -> Box<dyn Iterator<Item = Check>> {
    let check = |(name, tell): &Story| Check { finder: format!("“{name}”"), run: Box::new(*tell) };
    Box::new(stories.iter().map(check))
}

/// Who can notice, in the order in which they are asked.
pub type Checks = fn() -> Box<dyn Iterator<Item = Check>>;

/// Who noticed, what it said, and after how long a search.
struct Finding {
    what: Option<LeftOut>,
    finder: String,
    said: String,
    time: Duration,
}

fn search(what: Option<LeftOut>, leave_out: fn(Option<LeftOut>), checks: Checks) -> Option<Finding> {
    leave_out(what);
    let from = Instant::now();
    checks().find_map(|check| {
        let said = tells(check.run)?;
        Some(Finding { what, finder: check.finder, said, time: from.elapsed() })
    })
}

fn tells(run: Box<dyn FnOnce() -> Result<(), String>>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => outcome.err(),
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
fn search_all(
    all: &[Option<LeftOut>],
    leave_out: fn(Option<LeftOut>),
    checks: Checks,
) -> Vec<(Option<LeftOut>, Option<Finding>)> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(what) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // A thread of its own: nothing that was made while something else was left out is used again.
                    let finding = thread::scope(|own| own.spawn(|| search(*what, leave_out, checks)).join());
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

/// Each of these has to be noticed, and nothing with nothing left out. `LEFT_OUT=NAME` asks for one only.
pub fn each_is_noticed(all: impl Iterator<Item = LeftOut>, leave_out: fn(Option<LeftOut>), checks: Checks) {
    let only = std::env::var("LEFT_OUT").ok();
    let is_asked_for = |what: &LeftOut| only.as_ref().is_none_or(|only| format!("{what:?}") == *only);
    let all: Vec<_> = [None].into_iter().chain(all.filter(is_asked_for).map(Some)).collect();
    let hook = take_hook();
    // What is caught is told in the table.
    set_hook(Box::new(|_| {}));
    let found = search_all(&all, leave_out, checks);
    set_hook(hook);
    println!("| rule | left out | finder | what it said | time to find |\n|---|---|---|---|---|");
    found.iter().filter_map(|(_, finding)| finding.as_ref()).for_each(|finding| println!("{}", row(finding)));
    let missed: Vec<_> = found.iter().filter(|(what, finding)| what.is_some() == finding.is_none()).collect();
    let missed: Vec<_> = missed.iter().map(|(what, finding)| (what, finding.as_ref().map(row))).collect();
    assert!(missed.is_empty(), "left out and not noticed, or noticed with nothing left out: {missed:?}");
}

/// What can be left out of one of the crates above `crdt`.
#[allow(dead_code, reason = "not for the test of crdt")]
pub fn of_crate(place: &'static str) -> impl Iterator<Item = LeftOut> {
    LeftOut::ABOVE.iter().filter(move |(of, _)| *of == place).map(|(_, what)| *what)
}
