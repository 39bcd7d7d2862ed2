//! The order of SORT (RFC 5256 section 3, RFC 5957).

use std::cmp::Reverse;
use std::collections::BTreeSet;

use mailstore::ReadError;
use mailstore::crdt::view::Row;
use message::{Address, BaseSubject, Envelope, casemap};

use super::candidate::Candidate;
use super::found::Found;
use crate::command::{SortCriterion, SortKey};

/// Messages in the order of some criteria. Each is put into its place as it is found, so that no turn is long.
pub(super) struct Sorting {
    criteria: Vec<SortCriterion>,
    sorted: BTreeSet<Entry>,
    octets: usize,
}

/// What a message is compared by; in the end by its place in the mailbox (RFC 5256 section 3).
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    fields: Box<[Field]>,
    found: Found,
}

/// What it is compared by under one criterion. All entries have the same kinds in the same order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Upward(Value),
    Downward(Reverse<Value>),
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i64),
    /// A text as the collation has it.
    Text(Box<str>),
}

impl Sorting {
    pub(super) fn new(criteria: Vec<SortCriterion>) -> Self {
        Sorting { criteria, sorted: BTreeSet::new(), octets: 0 }
    }

    pub(super) fn take(&mut self, found: Found, candidate: &mut Candidate<'_, '_>) -> Result<(), ReadError> {
        let mut fields = Vec::with_capacity(self.criteria.len());
        for criterion in &self.criteria {
            let value = value(criterion.key, candidate)?;
            self.octets += value.octets();
            fields.push(match criterion.reverse {
                false => Field::Upward(value),
                true => Field::Downward(Reverse(value)),
            });
        }
        self.sorted.insert(Entry { fields: fields.into(), found });
        Ok(())
    }

    /// The octets of all texts.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    pub(super) fn finish(self) -> Vec<Found> {
        self.sorted.into_iter().map(|entry| entry.found).collect()
    }
}

impl Value {
    fn octets(&self) -> usize {
        match self {
            Value::Number(_) => 0,
            Value::Text(text) => text.len(),
        }
    }
}

fn value(key: SortKey, candidate: &mut Candidate<'_, '_>) -> Result<Value, ReadError> {
    let row = &candidate.row;
    match key {
        SortKey::Arrival => return Ok(Value::Number(row.facts.received.seconds)),
        SortKey::Size => return Ok(Value::Number(i64::try_from(row.facts.size).unwrap_or(i64::MAX))),
        _ => {}
    }
    let structure = candidate.structure()?;
    let envelope = structure.envelope();
    Ok(match key {
        SortKey::Cc => mailbox(&envelope.cc),
        SortKey::From => mailbox(&envelope.from),
        SortKey::To => mailbox(&envelope.to),
        SortKey::DisplayFrom => displayed(&envelope.from),
        SortKey::DisplayTo => displayed(&envelope.to),
        SortKey::Subject => Value::Text(subject(envelope).0.into()),
        _ => Value::Number(sent(envelope, &candidate.row)),
    })
}

/// The `addr-mailbox` of the first address; without one the empty text.
fn mailbox(addresses: &[Address]) -> Value {
    let mailbox = addresses.first().map(Address::sorted_mailbox).unwrap_or_default();
    Value::Text(casemap(&String::from_utf8_lossy(mailbox)).into())
}

fn displayed(addresses: &[Address]) -> Value {
    let shown = addresses.first().map(Address::displayed).unwrap_or_default();
    Value::Text(casemap(&shown).into())
}

/// The base subject as it is compared, and whether marks of a reply or forward were taken off.
pub(super) fn subject(envelope: &Envelope) -> (String, bool) {
    let base = BaseSubject::of(envelope.subject.as_deref().unwrap_or_default());
    (casemap(&base.text), base.is_reply_or_forward)
}

/// The sent date in seconds; without a valid one the internal date (RFC 5256 section 2.2).
pub(super) fn sent(envelope: &Envelope, row: &Row) -> i64 {
    envelope.sent.map_or(row.facts.received.seconds, |sent| sent.seconds)
}
