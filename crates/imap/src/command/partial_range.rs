//! A page of results (RFC 9394 section 4: `partial-range`).

use std::num::NonZeroU32;
use std::ops::Range;

/// Some of the results in their order, by their places from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialRange {
    /// One end, as the client wrote it.
    pub start: NonZeroU32,
    /// The other; in any order.
    pub end: NonZeroU32,
    /// Whether places are counted from the last result backwards.
    pub from_last: bool,
}

impl PartialRange {
    /// The places, from 0, that there are of `count` results.
    pub fn places(&self, count: usize) -> Range<usize> {
        let (low, high) = (self.start.min(self.end).get() as usize, self.start.max(self.end).get() as usize);
        let (before, until) = ((low - 1).min(count), high.min(count));
        if self.from_last { count - until..count - before } else { before..until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9394 sections 3.1 and 4.
    #[test]
    fn a_page_may_be_short_or_missing() {
        let range = |start: u32, end: u32, from_last| PartialRange {
            start: NonZeroU32::new(start).unwrap(),
            end: NonZeroU32::new(end).unwrap(),
            from_last,
        };
        for (start, end, from_last, expected) in [
            (1, 3, false, 0..3),
            (3, 1, false, 0..3),
            (4, 9, false, 3..5),
            (6, 9, false, 5..5),
            (1, u32::MAX, true, 0..5),
            (1, 2, true, 3..5),
            (2, 1, true, 3..5),
            (5, 7, true, 0..1),
            (6, 7, true, 0..0),
        ] {
            assert_eq!(range(start, end, from_last).places(5), expected, "{start}:{end} {from_last}");
        }
        assert!(range(1, 1, true).places(0).is_empty());
    }
}
