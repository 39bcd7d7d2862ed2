//! From the numbers of a client to the messages of the view that it was told.

use std::ops::Range;

use mailstore::crdt::identity::Uid;
use mailstore::crdt::view::{MailboxView, Row};

use super::answer::Answer;
use super::selected::Selected;
use crate::command::{Messages, PartialRange, SequenceNumber};

/// Places of messages in a view, from 0: ascending ranges that neither touch nor overlap, none of them empty.
pub(super) type Places = Vec<Range<usize>>;

/// The places that a command names. UIDs of no message are passed over; a sequence number beyond the mailbox is an error
/// of the client (RFC 9051 section 9: `seq-number`).
pub(super) fn places(messages: &Messages, selected: &Selected) -> Result<Places, Answer> {
    let view = selected.told();
    match messages {
        Messages::Saved { .. } => Ok(uid_places(selected.saved(), view)),
        Messages::Uids(uids) => Ok(uid_places(&uids.resolve(view.rows.last().map(|row| row.uid)), view)),
        Messages::Sequence(numbers) => {
            let count = u32::try_from(view.rows.len()).unwrap_or(u32::MAX);
            let last = (count > 0).then_some(SequenceNumber(count));
            let ranges = numbers.resolve(last);
            if ranges.last().is_some_and(|range| range.end().0 > count) {
                let text = format!("There are {count} messages; a sequence number beyond them names none");
                return Err(Answer::bad(text).code("CLIENTBUG"));
            }
            let place = |number: &SequenceNumber| number.0.saturating_sub(1) as usize;
            Ok(ranges.iter().map(|range| place(range.start())..place(range.end()) + 1).collect())
        }
    }
}

/// The places of those messages whose UIDs lie in the ranges.
pub(super) fn uid_places(ranges: &[std::ops::RangeInclusive<Uid>], view: &MailboxView) -> Places {
    let mut places: Places = Vec::new();
    for range in ranges {
        let (start, end) = (view.rows.rank(*range.start()), view.rows.rank(range.end().next()));
        match places.last_mut() {
            _ if start >= end => {}
            Some(last) if last.end == start => last.end = end,
            _ => places.push(start..end),
        }
    }
    places
}

/// Those of the places that a range of their order names.
pub(super) fn part(places: &[Range<usize>], part: &PartialRange) -> Places {
    within(places, part.places(count(places)))
}

/// The last of the places, so many of them.
pub(super) fn last_part(places: &[Range<usize>], most: usize) -> Places {
    let count = count(places);
    within(places, count.saturating_sub(most)..count)
}

fn count(places: &[Range<usize>]) -> usize {
    places.iter().map(ExactSizeIterator::len).sum()
}

fn within(places: &[Range<usize>], wanted: Range<usize>) -> Places {
    let mut before = 0;
    let mut kept = Places::new();
    for range in places {
        let place = |count: usize| range.start + count.saturating_sub(before).min(range.len());
        let within = place(wanted.start)..place(wanted.end);
        if !within.is_empty() {
            kept.push(within);
        }
        before += range.len();
    }
    kept
}

/// The rows at these places, with their places, in ascending order.
pub(super) fn rows<'a>(
    places: &'a [Range<usize>],
    view: &'a MailboxView,
) -> impl Iterator<Item = (usize, &'a Row)> {
    places.iter().flat_map(move |range| range.clone().zip(view.rows.iter().skip(range.start)))
}

/// The sequence number of a place.
pub(super) fn sequence(place: usize) -> u32 {
    u32::try_from(place).map_or(u32::MAX, |place| place.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn a_part_of_places_crosses_ranges() {
        let range = |start: u32, end: u32, from_last| PartialRange {
            start: NonZeroU32::new(start).unwrap(),
            end: NonZeroU32::new(end).unwrap(),
            from_last,
        };
        let places = [2..5, 7..8, 10..14];
        assert_eq!(part(&places, &range(2, 4, false)), [3..5, 7..8]);
        assert_eq!(part(&places, &range(3, 5, false)), [4..5, 7..8, 10..11]);
        assert_eq!(part(&places, &range(1, 5, true)), [7..8, 10..14]);
        assert_eq!(part(&places, &range(9, 20, false)), []);
        assert_eq!(part(&[], &range(1, 5, true)), []);
        assert_eq!(last_part(&places, 5), [7..8, 10..14]);
        assert_eq!(last_part(&places, 9), places);
    }
}
