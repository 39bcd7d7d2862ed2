//! REPLACE and UID REPLACE (RFC 8508): an APPEND, and then the message that it replaces goes.
//!
//! The store carries these out one after the other. Whatever goes wrong between them, the client's text is there: then the
//! old message is there beside the new one, and never neither of them.

use mailstore::crdt::flag::{Flag, FlagChange};
use mailstore::crdt::identity::{AccountId, EntryId, MailboxId};
use mailstore::request::{Reply, Request, RequestError};

use super::answer::Answer;
use super::numbers::{places, rows};
use super::{Action, Running, Session, Telling, uid_only};
use crate::command::{Messages, Tag};

/// The message that is to be replaced.
#[derive(Clone, Copy)]
pub(super) struct Replaced {
    mailbox: MailboxId,
    entry: EntryId,
}

/// A REPLACE whose new message is there already.
pub(super) struct Replacing {
    tag: Tag,
    account: AccountId,
    replaced: Replaced,
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
        if selected.read_only {
            return Err(Answer::no("READ-ONLY", "The mailbox is selected read-only"));
        }
        let places = places(message, selected)?;
        let Some((_, row)) = rows(&places, selected.told()).next() else {
            return Err(Answer::no("NONEXISTENT", "There is no such message"));
        };
        Ok(Replaced { mailbox: selected.mailbox, entry: row.facts.entry })
    }

    /// The new message is there, which `appended` tells: removes the old one.
    pub(super) fn replace(
        &mut self,
        tag: Tag,
        account: AccountId,
        replaced: Replaced,
        appended: &Answer,
        out: &mut Vec<u8>,
    ) -> Action {
        // RFC 8508 section 4.3: APPENDUID comes before the EXPUNGE.
        appended.write_untagged(out);
        self.tell(Telling::Everything, out);
        let Replaced { mailbox, entry } = replaced;
        self.running = Running::Replace(Replacing { tag, account, replaced });
        Action::Ask(Request::Store {
            account,
            mailbox,
            entries: vec![entry],
            change: FlagChange::Add,
            flags: vec![Flag::Deleted],
            unchanged_since: None,
        })
    }

    pub(super) fn replace_answered(
        &mut self,
        replacing: Replacing,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let Replaced { mailbox, entry } = replacing.replaced;
        match answer {
            // Nothing of \Deleted is told (RFC 8508 section 3.4). Somebody else may have been faster, which is as good.
            Ok(Reply::Stored { gone, .. }) if gone.is_empty() => {
                let account = replacing.account;
                self.running = Running::Replace(replacing);
                Action::Ask(Request::Expunge { account, mailbox, entries: vec![entry] })
            }
            Ok(Reply::Stored { view, .. } | Reply::View(view)) => {
                if let Some(selected) = &mut self.selected {
                    selected.offer(&view);
                }
                self.done(&replacing.tag, "Replaced", out)
            }
            Ok(_) => self.finish(&replacing.tag, Telling::Everything, Answer::misfit(), out),
            Err(error) => {
                let text = format!("The new message is there, and so is the old one: {error}");
                self.finish(&replacing.tag, Telling::Everything, Answer::refused(&error).saying(text), out)
            }
        }
    }
}
