//! Search keys made ready for many messages: numbers resolved in the told view, texts folded once, cheap tests first.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use jiff::civil::Date;
use mailstore::crdt::clock::Millis;
use mailstore::crdt::flag::Flag;
use mailstore::crdt::identity::Uid;
use mailstore::crdt::view::{MailboxView, ReceivedAt};
use mailstore::request::modseq;
use message::InternalDate;

use super::super::numbers::sequence;
use super::super::put;
use super::candidate::{Candidate, Place, TextTest, Unsettled};
use crate::command::{SearchKey, SequenceNumber};

/// A search key as it is put to messages.
#[derive(Debug)]
pub(super) enum Test {
    /// Whether every message passes, or none.
    Always(bool),
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Sequence(Vec<RangeInclusive<SequenceNumber>>),
    Uid(Vec<RangeInclusive<Uid>>),
    Flag(Flag),
    Received(std::cmp::Ordering, bool, Date),
    /// Before a moment, in seconds since 1970, or after it; at that moment both hold.
    ReceivedBy(std::cmp::Ordering, i64),
    Saved(std::cmp::Ordering, bool, Date),
    Sent(std::cmp::Ordering, bool, Date),
    Larger(u64),
    Smaller(u64),
    Modseq(u64),
    EmailId(String),
    Text(TextTest),
}

/// Whether MODSEQ is among the keys, so that the answer has to tell the highest one (RFC 7162 section 3.1.5).
pub(super) fn asks_modseq(key: &SearchKey) -> bool {
    any(key, &|key| matches!(key, SearchKey::Modseq(_)))
}

/// Whether sequence numbers are among the keys.
pub(in super::super) fn asks_sequence(key: &SearchKey) -> bool {
    any(key, &|key| matches!(key, SearchKey::Sequence(_)))
}

/// Whether a key within this one is of a kind.
fn any(key: &SearchKey, kind: &impl Fn(&SearchKey) -> bool) -> bool {
    match key {
        SearchKey::And(keys) => keys.iter().any(|key| any(key, kind)),
        SearchKey::Or(one, other) => any(one, kind) || any(other, kind),
        SearchKey::Not(key) => any(key, kind),
        key => kind(key),
    }
}

/// The key with each MODSEQ as this node understands it. A client asks from one above the value it knows, or from that value
/// itself (RFC 7162 section 3.1.5): `known` is asked about both.
pub(super) fn with_modseqs(key: SearchKey, known: &impl Fn(u64) -> u64) -> SearchKey {
    let boxed = |key: Box<SearchKey>| Box::new(with_modseqs(*key, known));
    match key {
        SearchKey::Modseq(value) if known(value) == 0 && known(value.saturating_sub(1)) == 0 => {
            SearchKey::Modseq(0)
        }
        SearchKey::And(keys) => {
            SearchKey::And(keys.into_iter().map(|key| with_modseqs(key, known)).collect())
        }
        SearchKey::Or(one, other) => SearchKey::Or(boxed(one), boxed(other)),
        SearchKey::Not(key) => SearchKey::Not(boxed(key)),
        key => key,
    }
}

/// What the numbers and times of a search mean.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) told: &'a MailboxView,
    /// What `$` stands for.
    pub(super) saved: &'a [RangeInclusive<Uid>],
    pub(super) now: Millis,
}

impl Test {
    /// The test for a key. Its depth is bounded by the decoder.
    pub(super) fn new(key: SearchKey, asked: Asked<'_>) -> Self {
        let mut test = Test::unnumbered(key, asked);
        test.number(&mut 0);
        test
    }

    /// Gives each text test a number of its own, from here on.
    fn number(&mut self, next: &mut usize) {
        match self {
            Test::And(tests) | Test::Or(tests) => tests.iter_mut().for_each(|test| test.number(next)),
            Test::Not(test) => test.number(next),
            Test::Text(test) => {
                test.number = *next;
                *next += 1;
            }
            _ => {}
        }
    }

    fn unnumbered(key: SearchKey, asked: Asked<'_>) -> Self {
        let Asked { told, saved, now } = asked;
        use std::cmp::Ordering::{Equal, Greater, Less};
        let text = |place, text: &str| Test::Text(TextTest::new(place, text));
        match key {
            SearchKey::All => Test::Always(true),
            SearchKey::And(keys) => Test::And(sorted(keys, asked)),
            SearchKey::Or(one, other) => Test::Or(sorted(vec![*one, *other], asked)),
            SearchKey::Not(key) => Test::Not(Box::new(Test::unnumbered(*key, asked))),
            SearchKey::Sequence(set) => {
                let count = told.rows.len();
                let last = count.checked_sub(1).map(|place| SequenceNumber(sequence(place)));
                Test::Sequence(set.resolve(last))
            }
            SearchKey::Uid(set) => Test::Uid(set.resolve(told.rows.last().map(|row| row.uid))),
            SearchKey::Saved => Test::Uid(saved.to_vec()),
            SearchKey::Flag(flag) => Test::Flag(flag),
            // \Recent is never set, THREADID is NIL everywhere.
            SearchKey::Recent | SearchKey::ThreadId(_) => Test::Always(false),
            SearchKey::Before(day) => Test::Received(Less, false, day),
            SearchKey::On(day) => Test::Received(Equal, false, day),
            SearchKey::Since(day) => Test::Received(Greater, true, day),
            SearchKey::Older(seconds) => Test::ReceivedBy(Less, seconds_before(now, seconds)),
            SearchKey::Younger(seconds) => Test::ReceivedBy(Greater, seconds_before(now, seconds)),
            SearchKey::SavedBefore(day) => Test::Saved(Less, false, day),
            SearchKey::SavedOn(day) => Test::Saved(Equal, false, day),
            SearchKey::SavedSince(day) => Test::Saved(Greater, true, day),
            SearchKey::SentBefore(day) => Test::Sent(Less, false, day),
            SearchKey::SentOn(day) => Test::Sent(Equal, false, day),
            SearchKey::SentSince(day) => Test::Sent(Greater, true, day),
            SearchKey::Larger(size) => Test::Larger(size),
            SearchKey::Smaller(size) => Test::Smaller(size),
            SearchKey::Header { name, text: value } => text(Place::Field(name), &value),
            SearchKey::Body(value) => text(Place::Body, &value),
            SearchKey::Text(value) => text(Place::Everywhere, &value),
            SearchKey::Modseq(value) => Test::Modseq(value),
            SearchKey::EmailId(id) => Test::EmailId(id),
        }
    }

    /// Whether a message passes.
    pub(super) fn holds(&self, candidate: &mut Candidate<'_, '_>) -> Result<bool, Unsettled> {
        let row = &candidate.row;
        Ok(match self {
            Test::Always(passes) => *passes,
            Test::And(tests) => return all(tests, candidate, true),
            Test::Or(tests) => return Ok(!all(tests, candidate, false)?),
            Test::Not(test) => !test.holds(candidate)?,
            Test::Sequence(ranges) => holds_number(ranges, SequenceNumber(sequence(candidate.place))),
            Test::Uid(ranges) => holds_number(ranges, row.uid),
            Test::Flag(flag) => row.flags.contains(flag),
            Test::Received(wanted, or_equal, day) => {
                compares(local_date(row.facts.received).cmp(day), *wanted, *or_equal)
            }
            Test::Saved(wanted, or_equal, day) => {
                compares(local_date(put::wall_time(row.saved)).cmp(day), *wanted, *or_equal)
            }
            Test::ReceivedBy(wanted, moment) => {
                compares(row.facts.received.seconds.cmp(moment), *wanted, true)
            }
            Test::Sent(wanted, or_equal, day) => {
                let sent = candidate.structure()?.envelope().sent;
                sent.is_some_and(|sent| compares(sent.local_date().cmp(day), *wanted, *or_equal))
            }
            Test::Larger(size) => row.facts.size > *size,
            Test::Smaller(size) => row.facts.size < *size,
            Test::Modseq(value) => modseq(row.modseq) >= *value,
            Test::EmailId(id) => put::email_id(row.facts.email) == *id,
            Test::Text(test) => candidate.contains(test)?,
        })
    }

    /// What a test costs, in rough steps: a row, a structure, a header, a body.
    fn cost(&self) -> u8 {
        match self {
            Test::And(tests) | Test::Or(tests) => tests.iter().map(Test::cost).max().unwrap_or(0),
            Test::Not(test) => test.cost(),
            Test::Sent(..) => 1,
            Test::Text(test) if matches!(test.place, Place::Field(_)) => 2,
            Test::Text(_) => 3,
            _ => 0,
        }
    }
}

/// The tests for these keys, those first that cost least.
fn sorted(keys: Vec<SearchKey>, asked: Asked<'_>) -> Vec<Test> {
    let mut tests: Vec<Test> = keys.into_iter().map(|key| Test::unnumbered(key, asked)).collect();
    tests.sort_by_key(Test::cost);
    tests
}

/// Whether every test comes out as `expected`; stops at the first that does not.
fn all(tests: &[Test], candidate: &mut Candidate<'_, '_>, expected: bool) -> Result<bool, Unsettled> {
    for test in tests {
        if test.holds(candidate)? != expected {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether ascending ranges that do not overlap hold the number.
fn holds_number<N: Ord + Copy>(ranges: &[RangeInclusive<N>], number: N) -> bool {
    let place = ranges.partition_point(|range| *range.end() < number);
    ranges.get(place).is_some_and(|range| range.contains(&number))
}

/// The moment that lies so many seconds before, as INTERNALDATE tells it.
fn seconds_before(now: Millis, seconds: NonZeroU32) -> i64 {
    let now = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
    now.saturating_sub(i64::from(seconds.get()))
}

/// The day of a date in its own zone.
fn local_date(date: ReceivedAt) -> Date {
    InternalDate { seconds: date.seconds, offset_minutes: date.offset_minutes }.local_date()
}

fn compares(found: std::cmp::Ordering, wanted: std::cmp::Ordering, or_equal: bool) -> bool {
    found == wanted || (or_equal && found.is_eq())
}
