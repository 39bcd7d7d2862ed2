//! Sets of UIDs and of sequence numbers (RFC 9051 section 9: `sequence-set`).

use std::ops::RangeInclusive;

use mailstore::crdt::identity::Uid;

/// The place of a message in the selected mailbox, from 1 (RFC 9051 section 2.3.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SequenceNumber(pub u32);

/// A kind of number that sets can be made of.
pub trait Number: Copy + Ord {
    /// The number of this kind with this value.
    fn of(value: u32) -> Self;
    /// The value.
    fn value(self) -> u32;
}

impl Number for SequenceNumber {
    fn of(value: u32) -> Self {
        SequenceNumber(value)
    }

    fn value(self) -> u32 {
        self.0
    }
}

impl Number for Uid {
    fn of(value: u32) -> Self {
        Uid(value)
    }

    fn value(self) -> u32 {
        self.0
    }
}

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound<N> {
    /// A number, not 0.
    Number(N),
    /// `*`: the highest number in use.
    Last,
}

/// A set as the client wrote it: not empty, ends in any order, ranges perhaps overlapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberSet<N>(Vec<(Bound<N>, Bound<N>)>);

/// Sequence numbers.
pub type SequenceSet = NumberSet<SequenceNumber>;
/// UIDs.
pub type UidSet = NumberSet<Uid>;

impl<N: Number> NumberSet<N> {
    /// A set of these ranges, a single number being a range of equal ends; `None` where there is no range or a 0.
    pub fn new(ranges: Vec<(Bound<N>, Bound<N>)>) -> Option<Self> {
        let fits = |bound: &Bound<N>| !matches!(bound, Bound::Number(number) if number.value() == 0);
        let valid = !ranges.is_empty() && ranges.iter().all(|(start, end)| fits(start) && fits(end));
        valid.then_some(NumberSet(ranges))
    }

    /// The ranges as the client wrote them.
    pub fn ranges(&self) -> &[(Bound<N>, Bound<N>)] {
        &self.0
    }

    /// The set as ascending ranges that neither touch nor overlap, `*` replaced by `last`.
    ///
    /// `last` is `None` in an empty mailbox: ranges with `*` then hold nothing. By RFC 9051 section 6.4.9 `559:*` holds the
    /// last UID even where that is below 559. Numbers beyond `last` are kept: for sequence numbers that is an error of
    /// the client, for UIDs it is not.
    pub fn resolve(&self, last: Option<N>) -> Vec<RangeInclusive<N>> {
        let value = |bound: Bound<N>| match bound {
            Bound::Number(number) => Some(number),
            Bound::Last => last,
        };
        let mut ranges: Vec<(N, N)> = self
            .0
            .iter()
            .filter_map(|(start, end)| Some((value(*start)?, value(*end)?)))
            .map(|(start, end)| (start.min(end), start.max(end)))
            .collect();
        ranges.sort();
        let mut united: Vec<(N, N)> = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            match united.last_mut() {
                Some((_, before)) if start.value() <= before.value().saturating_add(1) => {
                    *before = end.max(*before)
                }
                _ => united.push((start, end)),
            }
        }
        united.into_iter().map(|(start, end)| start..=end).collect()
    }
}

/// Which messages a command is about, and by which numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Messages {
    /// By place in the mailbox.
    Sequence(SequenceSet),
    /// By UID: the UID form of the command.
    Uids(UidSet),
    /// `$`: those of the last search with SAVE (RFC 5182).
    Saved {
        /// Whether it was the UID form of the command.
        uid: bool,
    },
}

impl Messages {
    /// Whether it was the UID form of the command.
    pub fn by_uid(&self) -> bool {
        match self {
            Messages::Sequence(_) => false,
            Messages::Uids(_) => true,
            Messages::Saved { uid } => *uid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u32, u32)]) -> UidSet {
        let bound = |value| if value == u32::MAX { Bound::Last } else { Bound::Number(Uid(value)) };
        NumberSet::new(ranges.iter().map(|(a, b)| (bound(*a), bound(*b))).collect()).unwrap()
    }

    #[test]
    fn a_set_resolves_to_ascending_separate_ranges() {
        let resolved = set(&[(9, 7), (1, 1), (2, 3), (8, 12), (u32::MAX, 20)]).resolve(Some(Uid(15)));
        assert_eq!(resolved, [Uid(1)..=Uid(3), Uid(7)..=Uid(12), Uid(15)..=Uid(20)]);
    }

    #[test]
    fn the_star_of_an_empty_mailbox_is_nothing() {
        assert_eq!(set(&[(559, u32::MAX), (4, 5)]).resolve(None), [Uid(4)..=Uid(5)]);
        assert_eq!(set(&[(559, u32::MAX)]).resolve(Some(Uid(10))), [Uid(10)..=Uid(559)]);
    }

    #[test]
    fn zero_is_no_number() {
        assert_eq!(UidSet::new(vec![(Bound::Number(Uid(0)), Bound::Last)]), None);
        assert_eq!(UidSet::new(vec![]), None);
    }
}
