//! REPLACE and UID REPLACE (RFC 8508): an APPEND whose message takes the place of another one, by one request to the store.
//!
//! Between two accounts there are two, each durable before the next: first the new message comes, and then the old one goes.

use std::sync::Arc;

use mailstore::crdt::identity::{AccountId, EntryId, MailboxId, Uid, Validity};
use mailstore::crdt::rights::Rights;
use mailstore::crdt::view::MailboxView;
use mailstore::request::{Reply, Request, RequestError};

use super::answer::Answer;
use super::numbers::{places, rows};
use super::{Action, Running, Session, Telling, uid_only};
use crate::command::{Messages, Tag};

/// The message that is to be replaced.
#[derive(Clone, Copy)]
pub(super) struct Replaced {
    pub(super) account: AccountId,
    pub(super) mailbox: MailboxId,
    pub(super) entry: EntryId,
}

/// A REPLACE between two accounts whose new message is there already.
pub(super) struct Replacing {
    tag: Tag,
    /// UIDVALIDITY and UID of the new message.
    placed: (Validity, Option<Uid>),
}

impl Replacing {
    pub(super) fn tag(&self) -> &Tag {
        &self.tag
    }
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
        selected.check(Rights::MOVING)?;
        let places = places(message, selected)?;
        let Some((_, row)) = rows(&places, selected.told()).next() else {
            return Err(Answer::no("NONEXISTENT", "There is no such message"));
        };
        let (account, mailbox) = (selected.access.account, selected.mailbox);
        Ok(Replaced { account, mailbox, entry: row.facts.entry })
    }

    /// The new message is there, in another account than the old one, which may go now.
    pub(super) fn replace_across(
        &mut self,
        tag: Tag,
        replaced: Replaced,
        placed: (Validity, Option<Uid>),
    ) -> Action {
        let Replaced { account, mailbox, entry } = replaced;
        self.running = Running::Replace(Replacing { tag, placed });
        let remove = Request::Remove { account, mailbox, entries: vec![entry] };
        Action::Ask(self.permitted((account, mailbox), Rights::MOVING, remove))
    }

    pub(super) fn replaced_across(
        &mut self,
        replacing: &Replacing,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        match answer {
            Ok(Reply::View(source)) => self.replace_answered(&replacing.tag, replacing.placed, &source, out),
            Ok(_) => self.finish(&replacing.tag, Telling::Everything, Answer::misfit(), out),
            Err(error) => {
                appended(replacing.placed).write_untagged(out);
                let text = format!("The new message is there, and so is the old one: {error}");
                self.finish(&replacing.tag, Telling::Everything, Answer::refused(&error).saying(text), out)
            }
        }
    }

    /// The new message is there, and the old one is gone.
    pub(super) fn replace_answered(
        &mut self,
        tag: &Tag,
        placed: (Validity, Option<Uid>),
        source: &Arc<MailboxView>,
        out: &mut Vec<u8>,
    ) -> Action {
        // RFC 8508 section 4.3: APPENDUID, then EXISTS, then EXPUNGE.
        appended(placed).write_untagged(out);
        let departing = self.departing();
        if let Some(selected) = &mut self.selected {
            selected.offer(source);
            selected.tell_arrivals_first(departing, out);
        }
        self.finish(tag, Telling::Everything, Answer::ok("Replaced"), out)
    }
}

fn appended((validity, uid): (Validity, Option<Uid>)) -> Answer {
    let appended = Answer::ok("Appended");
    match uid {
        Some(uid) => appended.code(format!("APPENDUID {validity} {uid}")),
        None => appended,
    }
}
