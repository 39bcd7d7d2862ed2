//! From the numbers of a client to the messages of the view that it was told.

use std::ops::Range;

use mailstore::crdt::identity::Uid;
use mailstore::crdt::view::{MailboxView, Row};

use super::answer::Answer;
use crate::command::{Messages, SequenceNumber};

/// Places of messages in a view, from 0: ascending ranges that neither touch nor overlap, none of them empty.
pub(super) type Places = Vec<Range<usize>>;

/// The places that a command names. UIDs of no message are passed over; a sequence number beyond the mailbox is an error
/// of the client (RFC 9051 section 9: `seq-number`).
pub(super) fn places(messages: &Messages, view: &MailboxView) -> Result<Places, Answer> {
    match messages {
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
