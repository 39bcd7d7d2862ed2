//! UIDs that clients may know and that name nothing any more (RFC 7162 section 5.3).
//!
//! Clients of any node: a UID that was placed and is superseded, expunged or moved away counts, whether it was ever shown
//! here or not. Otherwise a client that knew it from another node would keep a ghost.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;

use super::MailboxView;
use crate::clock::Timestamp;
use crate::identity::Uid;

/// How many vanished UIDs of one mailbox are remembered.
pub const MOST_VANISHED: usize = 2_000;

/// The UIDs that vanished last, each with the MODSEQ at which this node learned it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vanished {
    floor: Timestamp,
    entries: VecDeque<(Timestamp, Uid)>,
}

/// It decides nothing that a replica does: states that differ in it alone have one hash.
impl Hash for Vanished {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Vanished {
    /// Nothing has vanished since this moment.
    pub fn since(floor: Timestamp) -> Self {
        Vanished { floor, entries: VecDeque::new() }
    }

    /// What was remembered, as it was kept on disk: what is not above the floor was forgotten already.
    pub fn restore(floor: Timestamp, entries: impl IntoIterator<Item = (Timestamp, Uid)>) -> Self {
        let mut vanished = Vanished::since(floor);
        for (modseq, uid) in entries {
            if vanished.last() < modseq {
                vanished.note(modseq, uid);
            }
        }
        vanished
    }

    /// What is remembered is all that vanished above this MODSEQ.
    pub fn floor(&self) -> Timestamp {
        self.floor
    }

    /// The remembered UIDs with their MODSEQs, in ascending order of MODSEQ.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Timestamp, Uid)> + '_ {
        self.entries.iter().copied()
    }

    /// Takes note of a UID that names nothing any more. Tells whether an older one was forgotten for it.
    ///
    /// # Panics
    ///
    /// If the MODSEQ does not lie above all others.
    pub(crate) fn note(&mut self, modseq: Timestamp, uid: Uid) -> bool {
        assert!(
            modseq > self.last(),
            "what vanishes gets a fresh MODSEQ: {modseq} is not above {}",
            self.last()
        );
        self.entries.push_back((modseq, uid));
        if self.entries.len() <= MOST_VANISHED {
            return false;
        }
        if let Some((oldest, _)) = self.entries.pop_front() {
            self.floor = oldest;
        }
        true
    }

    fn last(&self) -> Timestamp {
        self.entries.back().map_or(self.floor, |(modseq, _)| *modseq)
    }
}

impl MailboxView {
    /// Whether everything that vanished after this MODSEQ is remembered (RFC 7162 section 3.2.6).
    pub fn remembers(&self, since: u64) -> bool {
        since >= self.vanished.floor.bits()
    }

    /// The UIDs to report to somebody who knows everything up to a MODSEQ, in ascending ranges that neither touch nor
    /// overlap; never one that is visible.
    ///
    /// Where the memory does not reach back so far, they are all that are not visible (RFC 7162 sections 3.2.6 and 5.3).
    pub fn vanished_since(&self, since: u64) -> Vec<RangeInclusive<Uid>> {
        if !self.remembers(since) {
            return self.not_visible(&[Uid::FIRST..=self.highest_known()]);
        }
        let entries = &self.vanished.entries;
        let first = entries.partition_point(|(modseq, _)| modseq.bits() <= since);
        let mut uids: Vec<Uid> = entries.range(first..).map(|(_, uid)| *uid).collect();
        uids.sort_unstable();
        uids.dedup();
        uids.retain(|uid| self.rows.find(*uid).is_none());
        joined(uids.into_iter().map(|uid| uid..=uid))
    }

    /// Those UIDs of ascending, separate ranges at which nothing is visible.
    pub fn not_visible(&self, ranges: &[RangeInclusive<Uid>]) -> Vec<RangeInclusive<Uid>> {
        let mut gaps = Vec::new();
        for range in ranges {
            let mut next = *range.start();
            for row in self.rows.from(next).take_while(|row| row.uid <= *range.end()) {
                if next < row.uid {
                    gaps.push(next..=Uid(row.uid.0 - 1));
                }
                next = row.uid.next();
            }
            if next <= *range.end() {
                gaps.push(next..=*range.end());
            }
        }
        joined(gaps)
    }

    /// The highest UID that is known to be placed in this epoch, here or elsewhere; one below the first where none is.
    pub fn highest_known(&self) -> Uid {
        self.highest_placed.max(Uid(self.uid_next.0.saturating_sub(1)))
    }
}

/// Joins ascending ranges that touch.
fn joined(ranges: impl IntoIterator<Item = RangeInclusive<Uid>>) -> Vec<RangeInclusive<Uid>> {
    let mut joined: Vec<RangeInclusive<Uid>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end().next() >= *range.start() => {
                *last = *last.start()..=*range.end().max(last.end());
            }
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Millis, Stamp};
    use crate::flag::FlagSet;
    use crate::identity::{
        AccountId, BodyHash, EmailId, EntryId, Incarnation, MailboxId, NodeSlot, SegmentId,
    };
    use crate::view::{Facts, Row};

    fn modseq(n: u64) -> Timestamp {
        Timestamp::from_parts(Millis(n), 0, NodeSlot::FIRST)
    }

    pub(in super::super) fn row(uid: u32) -> Row {
        let segment = SegmentId { incarnation: Incarnation([1; 16]), number: uid };
        let entry = EntryId { segment, index: 0 };
        let added = Stamp { timestamp: modseq(1), incarnation: Incarnation([1; 16]) };
        let facts = Facts {
            added,
            entry,
            body: BodyHash([0; 32]),
            size: 1,
            received: Default::default(),
            email: EmailId::of_entry(entry),
        };
        let flags = Arc::new(FlagSet::default());
        Row { uid: Uid(uid), modseq: modseq(1), flags, saved: Millis::default(), facts: Arc::new(facts) }
    }

    fn view(visible: &[u32], vanished: Vanished) -> MailboxView {
        let mut view = MailboxView::unseen(AccountId([1; 16]), MailboxId([2; 16]));
        visible.iter().for_each(|uid| view.rows.push(row(*uid)));
        view.uid_next = Uid(visible.last().map_or(1, |last| last + 1));
        view.vanished = Arc::new(vanished);
        view
    }

    #[test]
    fn what_vanished_after_a_modseq_is_told_in_ranges() {
        let mut vanished = Vanished::since(modseq(10));
        for (at, uid) in [(11, 4), (12, 9), (13, 3), (14, 5), (15, 4)] {
            assert!(!vanished.note(modseq(at), Uid(uid)));
        }
        let view = view(&[1, 2, 7], vanished);
        assert_eq!(view.vanished_since(modseq(10).bits()), [Uid(3)..=Uid(5), Uid(9)..=Uid(9)]);
        assert_eq!(view.vanished_since(modseq(12).bits()), [Uid(3)..=Uid(5)]);
        assert_eq!(view.vanished_since(modseq(14).bits()), [Uid(4)..=Uid(4)]);
        assert_eq!(view.vanished_since(modseq(15).bits()), []);
    }

    #[test]
    fn before_the_floor_everything_that_is_not_visible_is_told() {
        let mut view = view(&[2, 3, 7], Vanished::since(modseq(10)));
        view.highest_placed = Uid(12);
        assert_eq!(
            view.vanished_since(modseq(9).bits()),
            [Uid(1)..=Uid(1), Uid(4)..=Uid(6), Uid(8)..=Uid(12)]
        );
        assert_eq!(view.vanished_since(modseq(10).bits()), []);
        view.highest_placed = Uid(0);
        assert_eq!(view.vanished_since(0), [Uid(1)..=Uid(1), Uid(4)..=Uid(6)]);
    }

    #[test]
    fn a_visible_uid_never_vanished() {
        let mut vanished = Vanished::since(modseq(10));
        vanished.note(modseq(11), Uid(2));
        vanished.note(modseq(12), Uid(3));
        assert_eq!(view(&[2], vanished).vanished_since(modseq(10).bits()), [Uid(3)..=Uid(3)]);
    }

    #[test]
    fn the_oldest_are_forgotten_and_raise_the_floor() {
        let mut vanished = Vanished::since(modseq(1));
        let notes =
            (0..MOST_VANISHED as u64 + 5).map(|n| vanished.note(modseq(n + 2), Uid(n as u32 * 2 + 1)));
        assert_eq!(notes.filter(|forgot| *forgot).count(), 5);
        assert_eq!((vanished.iter().len(), vanished.floor()), (MOST_VANISHED, modseq(6)));
        let view = view(&[], vanished.clone());
        assert!(view.remembers(modseq(6).bits()) && !view.remembers(modseq(5).bits()));
        assert_eq!(view.vanished_since(modseq(6).bits()).len(), MOST_VANISHED);
        let restored = Vanished::restore(vanished.floor(), vanished.iter());
        assert_eq!(restored, vanished);
    }

    #[test]
    fn ranges_reach_to_the_greatest_number_of_a_client() {
        let view = view(&[1, 5], Vanished::default());
        let ranges = [Uid(1)..=Uid(2), Uid(4)..=Uid(u32::MAX)];
        assert_eq!(view.not_visible(&ranges), [Uid(2)..=Uid(2), Uid(4)..=Uid(4), Uid(6)..=Uid(u32::MAX)]);
        assert_eq!(view.not_visible(&[Uid(1)..=Uid(1)]), []);
    }
}
