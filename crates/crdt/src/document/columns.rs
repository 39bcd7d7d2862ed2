//! What automerge must not be asked to unpack: columns are run-length encoded, so a few octets can stand for 2^60 operations,
//! keys or predecessors, and automerge takes them at their word.
//!
//! The changes that nodes write have one shape: N first writes of octets to keys of the root map. This reads only as much of a
//! change chunk (automerge's binary format, version 1) as it takes to tell that shape.

use super::{KEY_LENGTH, MOST_OPERATIONS};

/// Columns of a change of first writes to the root map, by automerge's specification numbers.
const KEY: u64 = 0x15;
const INSERT: u64 = 0x34;
const ACTION: u64 = 0x42;
const VALUE_METADATA: u64 = 0x56;
const VALUE: u64 = 0x57;
const PREDECESSORS: u64 = 0x70;
/// The action of a put.
const PUT: u64 = 1;

/// Whether the octets are a change chunk whose columns are those of first writes to the root, and no more than a change may have.
pub(super) fn are_plain(chunk: &[u8]) -> bool {
    Reader(chunk).plain().is_some()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn plain(mut self) -> Option<()> {
        self.header()?;
        let mut columns = Vec::new();
        for _ in 0..self.bounded(6)? {
            columns.push((self.number()?, self.number()?));
        }
        let mut count = None;
        for (specification, length) in columns {
            let column = Reader(self.take(length)?);
            match specification {
                KEY => count = Some(column.keys()?),
                INSERT => column.runs_of_false(count?)?,
                ACTION => column.run_of(count?, PUT)?,
                PREDECESSORS => column.run_of(count?, 0)?,
                VALUE_METADATA | VALUE => {}
                _ => return None,
            }
        }
        self.0.is_empty().then_some(())
    }

    /// Magic, checksum, kind and length of the chunk; predecessors, author, numbers, time, no message, no other actors.
    fn header(&mut self) -> Option<()> {
        self.take(9)?;
        let length = self.number()?;
        (length == self.0.len() as u64).then_some(())?;
        let predecessors = self.bounded(1)?;
        self.take(32 * predecessors)?;
        let author = self.number()?;
        self.take(author)?;
        self.number()?;
        self.number()?;
        self.number()?;
        let (message, other_actors) = (self.number()?, self.number()?);
        (message == 0 && other_actors == 0).then_some(())
    }

    /// The key column: all different, so one literal run. Tells how many.
    fn keys(mut self) -> Option<u64> {
        let count = self.signed()?.checked_neg().and_then(|count| u64::try_from(count).ok())?;
        let fits = count > 0 && count <= MOST_OPERATIONS as u64;
        let length = (KEY_LENGTH as u64 + 1).checked_mul(count)?;
        (fits && self.0.len() as u64 == length).then_some(count)
    }

    /// A column of one value, repeated.
    fn run_of(mut self, count: u64, value: u64) -> Option<()> {
        // A single value is written as a literal run of one.
        let run = self.signed()?;
        let fits = run == i64::try_from(count).ok()? || (count == 1 && run == -1);
        let right = fits && self.number()? == value && self.0.is_empty();
        right.then_some(())
    }

    /// A column of booleans that are all false.
    fn runs_of_false(mut self, count: u64) -> Option<()> {
        (self.number()? == count && self.0.is_empty()).then_some(())
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn bounded(&mut self, most: u64) -> Option<u64> {
        self.number().filter(|number| *number <= most)
    }

    /// An unsigned LEB128 number; of signed ones as much as it takes to pass them.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let octet = *self.take(1)?.first()?;
            number |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A signed LEB128 number.
    fn signed(&mut self) -> Option<i64> {
        let mut number = 0i64;
        for shift in (0..63).step_by(7) {
            let octet = *self.take(1)?.first()?;
            number |= i64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                let sign = if octet & 0x40 != 0 && shift + 7 < 64 { -1i64 << (shift + 7) } else { 0 };
                return Some(number | sign);
            }
        }
        None
    }
}
