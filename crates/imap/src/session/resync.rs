//! What a client missed of a mailbox while it was away: VANISHED (EARLIER), and what changed (RFC 7162 section 3.2).

use std::ops::RangeInclusive;

use mailstore::crdt::identity::Uid;
use mailstore::crdt::left_out::{LeftOut, leaves_out};
use mailstore::crdt::view::MailboxView;

use super::answer::Answer;
use super::fetch::Fetching;
use super::numbers::uid_places;
use super::put::put;
use super::{Action, Session};
use crate::command::{MatchRun, Resync, Tag};

/// UIDs in ascending ranges that neither touch nor overlap.
type Ranges = Vec<RangeInclusive<Uid>>;

/// How many UIDs above all that are known here a range of a client may have and still be told to have vanished: a client
/// may look at every single one.
const MOST_UNHEARD_OF: u32 = 1 << 20;

/// Up to when a client knows everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    /// As this node counts.
    pub(super) modseq: u64,
    /// Whether the client comes from another node. It may then know UIDs that this node shows later, or never, and whose end
    /// it could not be told of within the session, in which they were not announced.
    elsewhere: bool,
}

impl Session {
    /// What a MODSEQ counts as by which a client makes a change depend in the selected mailbox.
    pub(super) fn unchanged_since(&self, brought: u64) -> u64 {
        if leaves_out(LeftOut::ConditionIsTranslated) {
            return brought;
        }
        let told = self.selected.as_ref().map(|selected| selected.told());
        told.map_or(0, |told| self.store.condition_from_client(told, brought))
    }

    /// What a MODSEQ that a client brings means here.
    pub(super) fn since(&self, brought: u64) -> Since {
        if leaves_out(LeftOut::SinceIsTranslated) {
            return Since { modseq: brought, elsewhere: false };
        }
        let told = self.selected.as_ref().map(|selected| selected.told());
        let modseq = told.map_or(0, |told| self.store.modseq_from_client(told, brought));
        Since { modseq, elsewhere: modseq != brought }
    }

    /// Tells what a client missed since it knew the mailbox, and answers its SELECT.
    pub(super) fn resynchronize(
        &mut self,
        tag: Tag,
        resync: &Resync,
        answer: Answer,
        out: &mut Vec<u8>,
    ) -> Action {
        let since = self.since(resync.since);
        let Some(selected) = &self.selected else { return self.waiting() };
        let view = selected.told().clone();
        let known = match &resync.known {
            Some(known) => known.resolve(None),
            None => std::iter::once(Uid::FIRST..=view.highest_known()).collect(),
        };
        // Places and UIDs that match say what is known below them, if what the client knew was visible here.
        let matched = match since.elsewhere || view.remembers(since.modseq) {
            true => Uid(0),
            false => last_match(&resync.matches, &view),
        };
        write_vanished_earlier(&earlier(&view, since, known.clone(), matched), out);
        let places = uid_places(&known, &view);
        self.produce_fetch(Box::new(Fetching::resync(tag, since.modseq, places, selected, answer)), out)
    }
}

/// Those of the UIDs that a client knows which vanished since, those up to `matched` aside.
pub(super) fn earlier(view: &MailboxView, since: Since, known: Ranges, matched: Uid) -> Ranges {
    if since.elsewhere {
        let highest = view.highest_known();
        return view.not_visible(&without_unheard_of(known, highest));
    }
    let above = matched.next()..=Uid(u32::MAX);
    intersection(&intersection(&view.vanished_since(since.modseq), &known), &[above])
}

/// Appends `* VANISHED (EARLIER) ...`, where there is something to tell.
pub(super) fn write_vanished_earlier(vanished: &[RangeInclusive<Uid>], out: &mut Vec<u8>) {
    for (place, range) in vanished.iter().enumerate() {
        out.extend_from_slice(if place == 0 { b"* VANISHED (EARLIER) " } else { b"," });
        put!(out, "{}", range.start());
        if range.end() > range.start() {
            put!(out, ":{}", range.end());
        }
    }
    if !vanished.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
}

/// The highest UID of which the client knows the right place (RFC 7162 section 3.2.5.2).
fn last_match(matches: &[MatchRun], view: &MailboxView) -> Uid {
    let last = |run: &MatchRun| {
        let (first, count) = (run.number.0 as usize - 1, run.count as usize);
        let uid = |place: usize| view.rows.at(first + place).map(|row| row.uid.0);
        // UIDs ascend by one at least, so they lie below those of the run, then match, then lie above.
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            match uid(middle) {
                Some(there) if there <= run.uid.0.saturating_add(middle as u32) => low = middle + 1,
                _ => high = middle,
            }
        }
        let place = low.checked_sub(1)?;
        let expected = run.uid.0.saturating_add(place as u32);
        (uid(place) == Some(expected)).then_some(Uid(expected))
    };
    matches.iter().rev().find_map(last).unwrap_or(Uid(0))
}

/// The ranges without what lies above `highest` of those that have very many UIDs there.
fn without_unheard_of(ranges: Ranges, highest: Uid) -> Ranges {
    let bounded = |range: RangeInclusive<Uid>| {
        let unheard_of = range.end().0.saturating_sub(highest.0.max(range.start().0));
        if unheard_of <= MOST_UNHEARD_OF { range } else { *range.start()..=highest }
    };
    ranges.into_iter().map(bounded).filter(|range| !range.is_empty()).collect()
}

/// What two lists of ascending, separate ranges have in common.
fn intersection(one: &[RangeInclusive<Uid>], other: &[RangeInclusive<Uid>]) -> Ranges {
    let (mut common, mut i, mut j) = (Vec::new(), 0, 0);
    while let (Some(a), Some(b)) = (one.get(i), other.get(j)) {
        let range = *a.start().max(b.start())..=*a.end().min(b.end());
        if !range.is_empty() {
            common.push(range);
        }
        if a.end() < b.end() {
            i += 1;
        } else {
            j += 1;
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u32, last: u32) -> RangeInclusive<Uid> {
        Uid(first)..=Uid(last)
    }

    #[test]
    fn what_ranges_have_in_common() {
        let one = [range(1, 4), range(7, 9), range(20, 30)];
        assert_eq!(
            intersection(&one, &[range(3, 8), range(9, 9), range(25, 99)]),
            [range(3, 4), range(7, 8), range(9, 9), range(25, 30)]
        );
        assert_eq!(intersection(&one, &[]), []);
        assert_eq!(intersection(&one, &[range(5, 6)]), []);
    }

    #[test]
    fn a_client_need_not_look_at_millions_of_uids() {
        let ranges = vec![range(1, 5), range(40, 60), range(70, u32::MAX)];
        assert_eq!(without_unheard_of(ranges, Uid(50)), [range(1, 5), range(40, 60)]);
        assert_eq!(without_unheard_of(vec![range(1, u32::MAX)], Uid(50)), [range(1, 50)]);
    }

    #[test]
    fn vanished_uids_are_told_as_a_set() {
        let mut out = Vec::new();
        write_vanished_earlier(&[], &mut out);
        assert_eq!(out, b"");
        write_vanished_earlier(&[range(1, 1), range(3, 5)], &mut out);
        assert_eq!(out, b"* VANISHED (EARLIER) 1,3:5\r\n");
    }
}
