//! Entries of segments as runs: which ones, and at which UIDs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SEGMENT_ENTRIES;
use crate::identity::{SegmentId, Uid};

/// The most runs of a founding record.
pub const MOST_FOUNDED_RUNS: usize = 200_000;
/// The most entries that a founding record makes its readers keep: of each segment that it names, all up to the last
/// entry that it names. Entries beyond are placed singly after the founding.
pub const MOST_FOUNDED_PLACES: usize = 500_000;

/// Entries of one segment: runs of indexes, ascending, neither touching nor overlapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IndexSet(Vec<(u16, u16)>);

impl IndexSet {
    /// The indexes in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().flat_map(|(start, count)| *start..start.saturating_add(*count))
    }

    pub(super) fn is_valid(&self) -> bool {
        let mut free_from = 0u32;
        !self.0.is_empty()
            && self.0.iter().all(|(start, count)| {
                let fits = u32::from(*start) >= free_from && *count > 0;
                free_from = u32::from(*start) + u32::from(*count) + 1;
                fits && free_from <= u32::from(SEGMENT_ENTRIES) + 1
            })
    }
}

impl FromIterator<u16> for IndexSet {
    fn from_iter<I: IntoIterator<Item = u16>>(indexes: I) -> Self {
        let mut indexes: Vec<u16> = indexes.into_iter().collect();
        indexes.sort_unstable();
        indexes.dedup();
        let mut runs: Vec<(u16, u16)> = Vec::new();
        for index in indexes {
            match runs.last_mut() {
                Some((start, count)) if *start + *count == index => *count += 1,
                _ => runs.push((index, 1)),
            }
        }
        IndexSet(runs)
    }
}

/// Consecutive entries of a segment at consecutive UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlacedRun {
    /// The first entry.
    pub index: u16,
    /// How many.
    pub count: u16,
    /// The UID of the first.
    pub uid: Uid,
}

impl PlacedRun {
    /// The entries and their UIDs.
    pub fn iter(self) -> impl Iterator<Item = (u16, Uid)> {
        (0..self.count).map(move |i| (self.index + i, Uid(self.uid.0 + u32::from(i))))
    }

    pub(super) fn is_valid(self) -> bool {
        let last_index = u32::from(self.index) + u32::from(self.count);
        let last_uid = (u64::from(self.uid.0) + u64::from(self.count)).saturating_sub(1);
        self.count > 0
            && last_index <= u32::from(SEGMENT_ENTRIES)
            && self.uid.0 > 0
            && last_uid <= u64::from(Uid::GREATEST.0)
    }

    /// Joins single placements into runs, in the order given.
    pub fn join(placements: impl IntoIterator<Item = (u16, Uid)>) -> Vec<PlacedRun> {
        let mut runs: Vec<PlacedRun> = Vec::new();
        for (index, uid) in placements {
            match runs.last_mut() {
                Some(run) if run.index + run.count == index && run.uid.0 + u32::from(run.count) == uid.0 => {
                    run.count += 1
                }
                _ => runs.push(PlacedRun { index, count: 1, uid }),
            }
        }
        runs
    }
}

/// Consecutive entries in a founding record: they have consecutive UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FoundedRun {
    /// The segment.
    pub segment: SegmentId,
    /// The first entry.
    pub index: u16,
    /// How many.
    pub count: u16,
}

/// Whether runs are within bounds, and do not place more than a segment has.
pub(super) fn are_placements(runs: &[PlacedRun]) -> bool {
    let entries = usize::from(SEGMENT_ENTRIES);
    let within = !runs.is_empty() && runs.len() <= entries && runs.iter().all(|run| run.is_valid());
    within && runs.iter().map(|run| usize::from(run.count)).sum::<usize>() <= entries
}

/// Whether a numbering is within bounds and numbers no entry twice.
pub(super) fn is_numbering(runs: &[FoundedRun]) -> bool {
    let mut size = FoundingSize::default();
    let mut sorted: Vec<&FoundedRun> = runs.iter().collect();
    sorted.sort_by_key(|run| (run.segment, run.index));
    let apart = sorted.windows(2).all(|pair| match pair {
        [a, b] => a.segment != b.segment || a.index.saturating_add(a.count) <= b.index,
        _ => true,
    });
    let valid = |run: &FoundedRun| {
        run.count > 0 && u32::from(run.index) + u32::from(run.count) <= u32::from(SEGMENT_ENTRIES)
    };
    apart && runs.iter().all(|run| valid(run) && size.add(run))
}

/// Counts what a founding record costs its readers.
#[derive(Debug, Default)]
pub(crate) struct FoundingSize {
    runs: usize,
    places: usize,
    ends: BTreeMap<SegmentId, u16>,
}

impl FoundingSize {
    /// Counts one more run, and tells whether there was room for it.
    pub(crate) fn add(&mut self, run: &FoundedRun) -> bool {
        let end = self.ends.entry(run.segment).or_default();
        let more = run.index.saturating_add(run.count).saturating_sub(*end);
        let fits = self.runs < MOST_FOUNDED_RUNS && self.places + usize::from(more) <= MOST_FOUNDED_PLACES;
        if fits {
            *end += more;
            self.places += usize::from(more);
            self.runs += 1;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Incarnation;

    #[test]
    fn indexes_join_to_runs_and_come_back() {
        let set: IndexSet = [5, 1, 2, 3, 9, 5].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 2, 3, 5, 9]);
        assert!(set.is_valid());
        for bad in [
            vec![],
            vec![(0, 0)],
            vec![(0, 2), (2, 1)],
            vec![(3, 1), (1, 1)],
            vec![(999, 2)],
            vec![(65535, 65535)],
        ] {
            assert!(!IndexSet(bad).is_valid());
        }
    }

    #[test]
    fn runs_beyond_the_space_are_refused() {
        let run = PlacedRun { index: 0, count: 2, uid: Uid::GREATEST };
        assert!(!run.is_valid());
        assert!(PlacedRun { count: 1, ..run }.is_valid());
        assert!(!PlacedRun { count: 0, ..run }.is_valid());
        assert!(!PlacedRun { uid: Uid(0), ..run }.is_valid());
        assert!(!PlacedRun { uid: Uid(0), count: 0, ..run }.is_valid());
    }

    fn founded(segment: u8, index: u16, count: u16) -> FoundedRun {
        let segment = SegmentId { incarnation: Incarnation([segment; 16]), number: 0 };
        FoundedRun { segment, index, count }
    }

    #[test]
    fn a_numbering_that_names_an_entry_twice_is_refused() {
        assert!(is_numbering(&[founded(1, 5, 5), founded(2, 0, 1), founded(1, 0, 5)]));
        assert!(!is_numbering(&[founded(1, 5, 5), founded(2, 0, 1), founded(1, 0, 6)]));
        assert!(!is_numbering(&[founded(1, 999, 2)]));
        assert!(!is_numbering(&[founded(1, 9, 0)]));
    }

    #[test]
    fn a_numbering_that_would_fill_the_memory_is_refused() {
        let segment = |number| SegmentId { incarnation: Incarnation([1; 16]), number };
        let sparse = |number| FoundedRun { segment: segment(number), index: 999, count: 1 };
        let most = MOST_FOUNDED_PLACES as u32 / 1000;
        assert!(is_numbering(&(0..most).map(sparse).collect::<Vec<_>>()));
        assert!(!is_numbering(&(0..=most).map(sparse).collect::<Vec<_>>()));
    }

    #[test]
    fn placements_of_more_than_a_segment_are_refused() {
        let run = PlacedRun { index: 0, count: 1000, uid: Uid(1) };
        assert!(are_placements(&[run]));
        assert!(!are_placements(&[run, run]));
        assert!(!are_placements(&[]));
    }
}
