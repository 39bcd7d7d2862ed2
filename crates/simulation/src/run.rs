//! Plays seeds.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::counts::Counts;
use crate::ledger::Violation;
use crate::settings::Settings;
use crate::trace::{Line, Trace};
use crate::world::World;

/// How many lines of history a failure tells.
const HISTORY_LINES: usize = 60;

/// A seed that was played to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Everything that happened.
    pub trace: Trace,
    /// How often what happened.
    pub counts: Counts,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lines, hash) = (self.trace.lines().len(), self.trace.hash());
        let hash = hash.get(..16).unwrap_or_default();
        write!(f, "seed {}: {lines} lines, {hash}, {}", self.seed, self.counts)
    }
}

/// A seed that showed something that must not be.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What was violated.
    pub violation: Violation,
    /// What concerns it, the oldest first.
    pub history: Vec<Line>,
    /// Everything.
    pub trace: Trace,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.violation)?;
        self.history.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(f, "play it again: PEERPOST_SEEDS={0}..{0} cargo test -p peerpost-simulation", self.seed)
    }
}

/// Plays one seed.
///
/// # Errors
/// With what was violated, and the lines of the trace that concern it.
pub fn run(seed: u64, settings: Settings) -> Result<Report, Box<Failure>> {
    let mut world = World::new(seed, settings);
    let played = catch_unwind(AssertUnwindSafe(|| world.play())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation::new("nothing panics", text.unwrap_or_default(), vec![]))
    });
    match played {
        Ok(()) => Ok(Report { seed, trace: std::mem::take(&mut world.trace), counts: world.counts() }),
        Err(violation) => {
            let history =
                world.trace.history(&violation.subjects, HISTORY_LINES).into_iter().cloned().collect();
            let trace = std::mem::take(&mut world.trace);
            // What a panic left behind is not asked to clean up after itself.
            std::mem::forget(world);
            Err(Box::new(Failure { seed, violation, history, trace }))
        }
    }
}

/// The seeds that a text such as `1..20` names, both ends included.
pub fn seeds_from(text: &str) -> Option<std::ops::RangeInclusive<u64>> {
    let (first, last) = text.split_once("..")?;
    Some(first.trim().parse().ok()?..=last.trim().trim_start_matches('=').parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_seeds() {
        assert_eq!(seeds_from("3..7"), Some(3..=7));
        assert_eq!(seeds_from("3..=7"), Some(3..=7));
        assert_eq!(seeds_from("x..7"), None);
    }
}
