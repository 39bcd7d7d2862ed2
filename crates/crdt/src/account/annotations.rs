//! Annotations of mailboxes and of the account (RFC 5464): a last-writer-wins register for each name.
//!
//! A mailbox keeps its annotations over a rename, as they belong to its identity. Where one mailbox goes by several identities, of
//! each name the register that was written last counts. A register that was taken away is remembered, so that a write that was
//! made before, and arrives after, does not bring it back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Account;
use crate::clock::Stamp;
use crate::fold::register::Latest;
use crate::identity::MailboxId;
use crate::operation::{DocumentId, Operation};
use crate::writer::Writer;

type Value = Option<Vec<u8>>;

/// The annotations of one account, by mailbox (none: of the account itself) and by name in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Annotations(BTreeMap<(Option<MailboxId>, String), Latest<Value>>);

/// How many annotations there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnnotationCount {
    /// Those that have a value.
    pub held: usize,
    /// The octets of their names and values.
    pub octets: usize,
    /// Those that ever had one.
    pub remembered: usize,
}

impl Annotations {
    /// Takes a write in, in whatever order it comes. What was written before the account was removed last does not count.
    pub(super) fn write(
        &mut self,
        removed: Option<Stamp>,
        stamp: Stamp,
        (mailbox, name): (Option<MailboxId>, &str),
        value: &Value,
    ) {
        if Some(stamp) <= removed {
            return;
        }
        let key = (mailbox, name.to_owned());
        match self.0.get_mut(&key) {
            Some(register) => drop(register.write(stamp, value.clone())),
            None => drop(self.0.insert(key, Latest { stamp, value: value.clone() })),
        }
    }

    /// The account was removed: what was written before is gone.
    pub(super) fn forget(&mut self, removed: Option<Stamp>) {
        self.0.retain(|_, register| Some(register.stamp) > removed);
    }

    /// Those of a mailbox that goes by these identities, or of the account (`None`), by name.
    pub fn of(&self, mailbox: Option<&[MailboxId]>) -> BTreeMap<String, Vec<u8>> {
        let identities: Vec<Option<MailboxId>> = match mailbox {
            Some(identities) => identities.iter().copied().map(Some).collect(),
            None => vec![None],
        };
        let mut latest: BTreeMap<&str, &Latest<Value>> = BTreeMap::new();
        for (name, register) in identities.into_iter().flat_map(|identity| self.under(identity)) {
            let known = latest.entry(name).or_insert(register);
            if known.stamp < register.stamp {
                *known = register;
            }
        }
        let held =
            |(name, register): (&str, &Latest<Value>)| Some((name.to_owned(), register.value.clone()?));
        latest.into_iter().filter_map(held).collect()
    }

    /// How many there would be once these changes of a mailbox, or of the account, were made.
    pub fn count_with<'a>(
        &self,
        mailbox: Option<MailboxId>,
        changes: impl IntoIterator<Item = (&'a str, Option<usize>)>,
    ) -> AnnotationCount {
        let mut sizes: BTreeMap<(Option<MailboxId>, &str), Option<usize>> = BTreeMap::new();
        for ((of, name), register) in &self.0 {
            sizes.insert((*of, name), register.value.as_ref().map(Vec::len));
        }
        sizes.extend(changes.into_iter().map(|(name, size)| ((mailbox, name), size)));
        let mut count = AnnotationCount { remembered: sizes.len(), ..AnnotationCount::default() };
        for ((_, name), size) in sizes {
            if let Some(size) = size {
                count.held += 1;
                count.octets = count.octets.saturating_add(name.len()).saturating_add(size);
            }
        }
        count
    }

    /// The registers of one identity, by name.
    fn under(&self, identity: Option<MailboxId>) -> impl Iterator<Item = (&str, &Latest<Value>)> {
        let own = self.0.range((identity, String::new())..).take_while(move |((of, _), _)| *of == identity);
        own.map(|((_, name), register)| (name.as_str(), register))
    }
}

impl Account {
    /// Gives annotations of a mailbox, or of the account, other values; none takes one away.
    pub(crate) fn annotate(
        &mut self,
        writer: &mut Writer,
        mailbox: Option<MailboxId>,
        changes: Vec<(String, Option<Vec<u8>>)>,
    ) {
        for (name, value) in changes {
            let annotate = Operation::Annotate { mailbox, name, value };
            self.write(writer, DocumentId::Account(self.id()), annotate);
        }
    }

    /// Takes away what annotates a mailbox (RFC 5464 section 4.1: with the mailbox its annotations go). Mail that the deletion did
    /// not know of brings the mailbox back, without them.
    pub(super) fn take_annotations(&mut self, writer: &mut Writer, identity: MailboxId) {
        let held = self.head().annotations().under(Some(identity));
        let held = held.filter(|(_, register)| register.value.is_some());
        let changes = held.map(|(name, _)| (name.to_owned(), None)).collect();
        self.annotate(writer, Some(identity), changes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Millis, Timestamp};
    use crate::identity::{Incarnation, NodeSlot};

    fn at(counter: u16) -> Stamp {
        let timestamp = Timestamp::from_parts(Millis(1), counter, NodeSlot::FIRST);
        Stamp { timestamp, incarnation: Incarnation([1; 16]) }
    }

    const A: MailboxId = MailboxId([1; 16]);
    const B: MailboxId = MailboxId([2; 16]);

    fn value(text: &str) -> Value {
        Some(text.as_bytes().to_vec())
    }

    /// The same writes and removals of the account, in every order, leave the same.
    #[test]
    fn the_order_in_which_writes_come_does_not_matter() {
        type Step = fn(&mut (Annotations, Option<Stamp>));
        let steps: [Step; 4] = [
            |(all, removed)| all.write(*removed, at(1), (Some(A), "/shared/x"), &value("first")),
            |(all, removed)| {
                *removed = (*removed).max(Some(at(2)));
                all.forget(*removed);
            },
            |(all, removed)| all.write(*removed, at(3), (Some(A), "/shared/x"), &value("second")),
            |(all, removed)| all.write(*removed, at(4), (Some(A), "/shared/y"), &None),
        ];
        let mut results = Vec::new();
        for first in 0..4 {
            for second in (0..4).filter(|second| *second != first) {
                for third in (0..4).filter(|third| ![first, second].contains(third)) {
                    let last = 6 - first - second - third;
                    let mut state = (Annotations::default(), None);
                    for step in [first, second, third, last] {
                        steps[step](&mut state);
                    }
                    results.push(state.0);
                }
            }
        }
        assert_eq!(results.len(), 24);
        assert!(results.iter().all(|state| *state == results[0]));
        assert_eq!(results[0].of(Some(&[A])), BTreeMap::from([("/shared/x".to_owned(), b"second".to_vec())]));
    }

    #[test]
    fn of_several_identities_the_latest_write_counts() {
        let mut all = Annotations::default();
        all.write(None, at(1), (Some(A), "/shared/x"), &value("older"));
        all.write(None, at(2), (Some(B), "/shared/x"), &value("newer"));
        all.write(None, at(3), (None, "/shared/x"), &value("of the account"));
        assert_eq!(all.of(Some(&[A, B]))["/shared/x"], b"newer");
        assert_eq!(all.of(Some(&[A]))["/shared/x"], b"older");
        all.write(None, at(4), (Some(A), "/shared/x"), &None);
        assert!(all.of(Some(&[A, B])).is_empty(), "taken away later than set under the other identity");
        assert_eq!(all.of(None)["/shared/x"], b"of the account");
    }

    #[test]
    fn counts_tell_what_changes_would_make_of_them() {
        let mut all = Annotations::default();
        all.write(None, at(1), (Some(A), "/shared/x"), &value("12345"));
        all.write(None, at(2), (Some(A), "/shared/y"), &None);
        let count =
            |changes: &[(&'static str, Option<usize>)]| all.count_with(Some(A), changes.iter().copied());
        assert_eq!(count(&[]), AnnotationCount { held: 1, octets: 14, remembered: 2 });
        assert_eq!(count(&[("/shared/x", Some(1))]), AnnotationCount { held: 1, octets: 10, remembered: 2 });
        assert_eq!(count(&[("/shared/x", None)]), AnnotationCount { held: 0, octets: 0, remembered: 2 });
        assert_eq!(count(&[("/shared/z", Some(1))]), AnnotationCount { held: 2, octets: 24, remembered: 3 });
    }
}
