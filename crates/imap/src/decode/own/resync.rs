//! The QRESYNC parameter of SELECT and EXAMINE (RFC 7162 section 7: `select-param`).

use std::ops::RangeInclusive;

use mailstore::crdt::identity::{Uid, Validity};

use crate::command::{Bound, MatchRun, Number, NumberSet, Resync, SequenceNumber, match_runs};

use super::super::cursor::{Cursor, Expected, Read};

/// `"(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"`
pub(super) fn parameter(cursor: &mut Cursor<'_>) -> Read<Resync> {
    cursor.expect(b'(', "an opening parenthesis")?;
    let validity = Validity(cursor.positive("a UIDVALIDITY")?.get());
    cursor.space()?;
    let since = cursor.number64("a mod-sequence")?;
    if since == 0 {
        return Err(Expected::Grammar("a mod-sequence above 0"));
    }
    let mut resync = Resync { validity, since, known: None, matches: Vec::new() };
    if cursor.accept(b' ') && cursor.peek() != Some(b'(') {
        let known: NumberSet<Uid> = cursor.number_set()?;
        if known.ranges().iter().any(|(start, end)| [start, end].contains(&&Bound::Last)) {
            return Err(Expected::Grammar("known UIDs without \"*\""));
        }
        resync.known = Some(known);
        cursor.accept(b' ');
    }
    if cursor.peek() == Some(b'(') {
        resync.matches = match_data(cursor)?;
    }
    cursor.expect(b')', "a closing parenthesis")?;
    Ok(resync)
}

/// `"(" known-sequence-set SP known-uid-set ")"`
fn match_data(cursor: &mut Cursor<'_>) -> Read<Vec<MatchRun>> {
    cursor.expect(b'(', "an opening parenthesis")?;
    let numbers = ascending::<SequenceNumber>(cursor)?;
    cursor.space()?;
    let uids = ascending::<Uid>(cursor)?;
    cursor.expect(b')', "a closing parenthesis")?;
    match_runs(&numbers, &uids).ok_or(Expected::Grammar("as many UIDs as sequence numbers"))
}

/// A set whose numbers stand in ascending order, without `*`.
fn ascending<N: Number>(cursor: &mut Cursor<'_>) -> Read<Vec<RangeInclusive<N>>> {
    let set: NumberSet<N> = cursor.number_set()?;
    let mut ranges: Vec<RangeInclusive<N>> = Vec::new();
    for range in set.ranges() {
        let (Bound::Number(start), Bound::Number(end)) = *range else {
            return Err(Expected::Grammar("numbers without \"*\""));
        };
        if start > end || ranges.last().is_some_and(|last| *last.end() >= start) {
            return Err(Expected::Grammar("numbers in ascending order"));
        }
        ranges.push(start..=end);
    }
    Ok(ranges)
}
