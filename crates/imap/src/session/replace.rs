//! REPLACE and UID REPLACE (RFC 8508): an APPEND whose message takes the place of another one, by one request to the store.

use std::sync::Arc;

use mailstore::crdt::identity::{EntryId, MailboxId, Uid, Validity};
use mailstore::crdt::view::MailboxView;

use super::answer::Answer;
use super::numbers::{places, rows};
use super::{Action, Session, Telling, uid_only};
use crate::command::{Messages, Tag};

/// The message that is to be replaced.
#[derive(Clone, Copy)]
pub(super) struct Replaced {
    pub(super) mailbox: MailboxId,
    pub(super) entry: EntryId,
}

impl Session {
    /// The message that a REPLACE names (RFC 8508 section 3.2); the number is one that the client was told.
    pub(super) fn replaced(&self, message: &Messages) -> Result<Replaced, Answer> {
        let Some(selected) = &self.selected else {
            return Err(Answer::bad("Select a mailbox first").code("CLIENTBUG"));
        };
        if selected.uid_only && !message.by_uid() {
            return Err(uid_only::refusal());
        }
        if selected.read_only {
            return Err(Answer::no("READ-ONLY", "The mailbox is selected read-only"));
        }
        let places = places(message, selected)?;
        let Some((_, row)) = rows(&places, selected.told()).next() else {
            return Err(Answer::no("NONEXISTENT", "There is no such message"));
        };
        Ok(Replaced { mailbox: selected.mailbox, entry: row.facts.entry })
    }

    /// The new message is there, and the old one is gone.
    pub(super) fn replace_answered(
        &mut self,
        tag: &Tag,
        (validity, uid): (Validity, Option<Uid>),
        source: &Arc<MailboxView>,
        out: &mut Vec<u8>,
    ) -> Action {
        // RFC 8508 section 4.3: APPENDUID, then EXISTS, then EXPUNGE.
        let appended = Answer::ok("Appended");
        let appended = match uid {
            Some(uid) => appended.code(format!("APPENDUID {validity} {uid}")),
            None => appended,
        };
        appended.write_untagged(out);
        let departing = self.departing();
        if let Some(selected) = &mut self.selected {
            selected.offer(source);
            selected.tell_arrivals_first(departing, out);
        }
        self.finish(tag, Telling::Everything, Answer::ok("Replaced"), out)
    }
}
