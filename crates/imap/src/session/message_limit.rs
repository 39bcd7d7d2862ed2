//! MESSAGELIMIT (RFC 9738): how many messages one command changes at most.
//!
//! What changes messages is one commit of the store, and every session waits for it; so STORE, MOVE and UID EXPUNGE stop after the
//! messages with the highest UIDs and say so, and COPY and APPEND, which may not be done in part, are refused. FETCH and SEARCH are
//! made in pieces between which others have their turn. They are not cut: a client that has never heard of the limit would take the
//! messages that it is not told of for gone.

use mailstore::crdt::identity::Uid;
use mailstore::crdt::view::{MailboxView, Row};

use super::answer::Answer;
use super::numbers::{Places, last_part, rows};

/// A command stopped before it was through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    limit: u32,
    /// The lowest UID that the command was about.
    lowest: Uid,
}

impl Cut {
    /// The places with the highest UIDs, as many as the limit allows; and what to say where others are left out.
    pub(super) fn of(places: Places, view: &MailboxView, limit: u32) -> (Places, Option<Cut>) {
        let count: usize = places.iter().map(ExactSizeIterator::len).sum();
        if count <= limit as usize {
            return (places, None);
        }
        let kept = last_part(&places, limit as usize);
        let cut = rows(&kept, view).next().map(|(_, row)| Cut { limit, lowest: row.uid });
        (kept, cut)
    }

    /// The same for messages in ascending order of UID.
    pub(super) fn of_rows(mut rows: Vec<&Row>, limit: u32) -> (Vec<&Row>, Option<Cut>) {
        let left_out = rows.len().saturating_sub(limit as usize);
        rows.drain(..left_out);
        let cut = rows.first().filter(|_| left_out > 0).map(|row| Cut { limit, lowest: row.uid });
        (rows, cut)
    }
}

/// The answer of a command that was done as far as it goes. Where it has a code already, an untagged NO tells of the limit.
pub(super) fn told(cut: Option<Cut>, answer: Answer, out: &mut Vec<u8>) -> Answer {
    let Some(Cut { limit, lowest }) = cut.filter(|_| answer.is_ok()) else { return answer };
    let code = format!("MESSAGELIMIT {limit} {lowest}");
    let text = format!("Only the {limit} messages with the highest UIDs; go on below {lowest}");
    if answer.is_plain_ok() {
        return answer.code(code).saying(text);
    }
    Answer::no(code, text).write_untagged(out);
    answer
}

/// The answer to a command that would be about too many messages and may not be done in part.
pub(super) fn refusal(limit: u32) -> Answer {
    Answer::no(format!("MESSAGELIMIT {limit}"), format!("At most {limit} messages at once; nothing was done"))
}
