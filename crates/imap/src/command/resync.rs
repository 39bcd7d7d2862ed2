//! What a client says that it knows of a mailbox, when it comes back to it.

use std::ops::RangeInclusive;

use mailstore::crdt::identity::{Uid, Validity};

use super::{SequenceNumber, UidSet};

/// The QRESYNC parameter of SELECT and EXAMINE (RFC 7162 section 3.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resync {
    /// The UIDVALIDITY that the client knows; under another one the rest means nothing.
    pub validity: Validity,
    /// The MODSEQ up to which it knows everything.
    pub since: u64,
    /// The UIDs that it knows, without `*`; none for all.
    pub known: Option<UidSet>,
    /// Some messages by place and UID.
    pub matches: Vec<MatchRun>,
}

/// Message sequence match data (RFC 7162 section 3.2.5.2): `count` messages in a row, whose places and UIDs both ascend by
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchRun {
    /// The place of the first.
    pub number: SequenceNumber,
    /// Its UID.
    pub uid: Uid,
    /// How many they are, at least 1.
    pub count: u32,
}

/// Pairs the numbers of two ascending sets, in runs; none where one set has more numbers than the other.
pub(crate) fn match_runs(
    numbers: &[RangeInclusive<SequenceNumber>],
    uids: &[RangeInclusive<Uid>],
) -> Option<Vec<MatchRun>> {
    let (mut runs, mut numbers, mut uids) = (Vec::new(), numbers.iter().cloned(), uids.iter().cloned());
    let (mut number, mut uid) = (numbers.next(), uids.next());
    loop {
        let (numbers_left, uids_left) = match (number, uid) {
            (Some(numbers_left), Some(uids_left)) => (numbers_left, uids_left),
            (None, None) => return Some(runs),
            _ => return None,
        };
        let ((first, last), (first_uid, last_uid)) =
            ((numbers_left.start().0, numbers_left.end().0), (uids_left.start().0, uids_left.end().0));
        let more = (last - first).min(last_uid - first_uid);
        runs.push(MatchRun {
            number: SequenceNumber(first),
            uid: Uid(first_uid),
            count: more.saturating_add(1),
        });
        number = match first + more == last {
            true => numbers.next(),
            false => Some(SequenceNumber(first + more + 1)..=SequenceNumber(last)),
        };
        uid = match first_uid + more == last_uid {
            true => uids.next(),
            false => Some(Uid(first_uid + more + 1)..=Uid(last_uid)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sets_are_paired_in_runs() {
        let number = |first, last| SequenceNumber(first)..=SequenceNumber(last);
        let uid = |first, last| Uid(first)..=Uid(last);
        let run = |number, uid, count| MatchRun { number: SequenceNumber(number), uid: Uid(uid), count };
        assert_eq!(
            match_runs(&[number(1, 3), number(9, 9)], &[uid(4, 5), uid(8, 8), uid(20, 20)]),
            Some(vec![run(1, 4, 2), run(3, 8, 1), run(9, 20, 1)])
        );
        assert_eq!(match_runs(&[number(1, 3)], &[uid(1, 2)]), None);
        let whole = match_runs(&[number(1, u32::MAX)], &[uid(1, u32::MAX)]);
        assert_eq!(whole, Some(vec![run(1, 1, u32::MAX)]));
    }
}
