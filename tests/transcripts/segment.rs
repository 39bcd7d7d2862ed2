//! Whether the untagged responses to a command are those that a transcript expects.

use std::collections::BTreeSet;

use super::matching::{self, Names};
use super::pattern::Pattern;
use super::play::{Response, readable};
use super::steps::{Expectation, Group};
use super::value::Value;

/// Finds a place for every response that is expected, and what names stand for then. Nothing else may have come but what
/// says nothing: see [`says_nothing`].
pub fn place(expectation: &Expectation, responses: &[Response], names: &Names) -> Option<Names> {
    let groups: Vec<Wanted> = expectation.groups.iter().map(Wanted::of).collect();
    place_groups(&groups, responses, expectation.more, names)
}

/// What is left of a group.
#[derive(Clone)]
enum Wanted {
    Patterns(Vec<Vec<Pattern>>),
    /// The numbers that messages had before anything was expunged, in the place that they have now; and those to go.
    Expunges {
        left: Vec<u64>,
        to_go: BTreeSet<u64>,
    },
}

impl Wanted {
    fn of(group: &Group) -> Self {
        match group {
            Group::InPlace(patterns) => Wanted::Patterns(vec![patterns.clone()]),
            Group::Somewhere(several) => Wanted::Patterns(several.clone()),
            Group::Expunged(numbers) => {
                let last = numbers.last().copied().unwrap_or_default();
                Wanted::Expunges { left: (1..=last).collect(), to_go: numbers.clone() }
            }
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Wanted::Patterns(several) => several.is_empty(),
            Wanted::Expunges { to_go, .. } => to_go.is_empty(),
        }
    }

    /// What is left once this response was taken, for each way to take it.
    fn take(&self, response: &Response, names: &Names) -> Vec<(Self, Names)> {
        match self {
            Wanted::Patterns(several) => {
                let taken = several.iter().enumerate().filter_map(|(at, patterns)| {
                    let names = matching::response(patterns, &response.values, names)?;
                    let mut left = several.clone();
                    left.remove(at);
                    Some((Wanted::Patterns(left), names))
                });
                taken.collect()
            }
            Wanted::Expunges { left, to_go } => expunge(left, to_go, response)
                .map(|(left, to_go)| (Wanted::Expunges { left, to_go }, names.clone()))
                .into_iter()
                .collect(),
        }
    }
}

/// What is there, and what has still to go, after an EXPUNGE (RFC 9051 section 7.5.1): the numbers above it fall by one.
fn expunge(left: &[u64], to_go: &BTreeSet<u64>, response: &Response) -> Option<(Vec<u64>, BTreeSet<u64>)> {
    let [_, Value::Word(number), word] = response.values.as_slice() else { return None };
    let place = number.parse::<usize>().ok()?.checked_sub(1)?;
    let (mut left, mut to_go) = (left.to_vec(), to_go.clone());
    let gone = *left.get(place).filter(|_| word.is_word("EXPUNGE"))?;
    left.remove(place);
    to_go.remove(&gone).then_some((left, to_go))
}

fn place_groups(groups: &[Wanted], responses: &[Response], more: bool, names: &Names) -> Option<Names> {
    let Some((first, rest)) = groups.split_first() else {
        return responses.iter().all(|response| more || says_nothing(response)).then(|| names.clone());
    };
    if first.is_done() {
        return place_groups(rest, responses, more, names);
    }
    let (response, later) = responses.split_first()?;
    let placed = first.take(response, names).into_iter().find_map(|(left, names)| {
        let groups: Vec<_> = [left].into_iter().chain(rest.iter().cloned()).collect();
        place_groups(&groups, later, more, &names)
    });
    placed.or_else(|| {
        let skip = more || says_nothing(response);
        skip.then(|| place_groups(groups, later, more, names)).flatten()
    })
}

/// What a server may send at any time without saying anything (RFC 9051 sections 7.1.1 and 7.3.5, RFC 3501 section 7.3.2):
/// OK, FLAGS and RECENT. A transcript that wants them names them.
fn says_nothing(response: &Response) -> bool {
    let word = |at: usize, wanted: &str| response.values.get(at).is_some_and(|value| value.is_word(wanted));
    word(1, "OK") || word(1, "FLAGS") || word(2, "RECENT")
}

/// Whether nothing came that may not come.
///
/// # Errors
/// With what came.
pub fn nothing_forbidden(
    expectation: &Expectation,
    responses: &[Response],
    names: &Names,
) -> Result<(), String> {
    for (patterns, line) in &expectation.never {
        let forbidden =
            responses.iter().find(|response| matching::response(patterns, &response.values, names).is_some());
        if let Some(response) = forbidden {
            return Err(format!("{line} may not come, and did: {}", readable(&response.octets)));
        }
    }
    Ok(())
}
