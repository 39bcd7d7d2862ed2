//! UIDBATCHES (RFC 10022): ranges of UIDs that part a mailbox into batches of equal size, so that a client without sequence
//! numbers can go through it in steps.

use mailstore::crdt::identity::Uid;
use mailstore::crdt::view::Rows;

use super::answer::Answer;
use super::put::put;
use super::{Action, Session, Telling};
use crate::command::{Tag, UidBatches};

/// The smallest batch that can be asked for: with smaller ones sequence numbers could be put together again.
const SMALLEST_BATCH: u32 = 500;
/// The most batches of one answer. They span five million messages at least.
const MOST_BATCHES: usize = 10_000;

impl Session {
    pub(super) fn uid_batches(&mut self, tag: Tag, asked: UidBatches, out: &mut Vec<u8>) -> Action {
        if asked.size.get() < SMALLEST_BATCH {
            let text = format!("The smallest batch is {SMALLEST_BATCH}");
            return self.fail(&tag, Answer::no("TOOFEW", text), out);
        }
        if asked.part.is_some_and(|(first, last)| last < first) {
            let text = "The first of the batches comes first in a range";
            return self.fail(&tag, Answer::bad(text).code("CLIENTBUG"), out);
        }
        // What is new belongs to the first batch, and what is gone to none: the client is told of it first.
        self.tell(Telling::Everything, out);
        let Some(selected) = &self.selected else { return self.waiting() };
        // A batch that a command cannot be about as a whole is of no use.
        let size = asked.size.get().min(self.config.message_limit.max(SMALLEST_BATCH));
        let part = asked.part.map_or(0..usize::MAX, |(first, last)| {
            first.get().saturating_sub(1) as usize..last.get() as usize
        });
        let ranges = ranges(&selected.told().rows, size as usize, part);
        if ranges.len() > MOST_BATCHES {
            let text =
                format!("At most {MOST_BATCHES} batches are told at once; ask for larger ones or fewer");
            return self.fail(&tag, Answer::no("TOOMANY", text), out);
        }
        out.extend_from_slice(b"* UIDBATCHES (TAG ");
        crate::encode::string(tag.as_str().as_bytes(), out);
        out.push(b')');
        for (place, (highest, lowest)) in ranges.iter().enumerate() {
            put!(out, "{}{highest}:{lowest}", if place == 0 { ' ' } else { ',' });
        }
        out.extend_from_slice(b"\r\n");
        self.finish(&tag, Telling::Nothing, Answer::ok("Completed"), out)
    }
}

/// Of those batches that `part` names by their place, from the highest UIDs downwards, the highest and the lowest UID. They leave no
/// UID out: each reaches down to the next, the last one to 1. At most one more than [`MOST_BATCHES`].
fn ranges(rows: &Rows, size: usize, part: std::ops::Range<usize>) -> Vec<(Uid, Uid)> {
    let highest = rows.iter().rev().step_by(size.max(1)).map(|row| row.uid);
    // One more, by which it is known where the last one ends.
    let count = part.len().min(MOST_BATCHES + 1).saturating_add(1);
    let highest: Vec<Uid> = highest.skip(part.start).take(count).collect();
    let lowest = highest.iter().skip(1).map(|next| next.next()).chain([Uid::FIRST]);
    highest.iter().copied().zip(lowest).take(count - 1).collect()
}
