//! EXPUNGE, UID EXPUNGE (RFC 4315), and the end of CLOSE.

use mailstore::crdt::flag::Flag;
use mailstore::request::{Reply, Request, RequestError};

use super::answer::Answer;
use super::numbers::{places, rows};
use super::selected::entries;
use super::{Action, Running, Session, Telling};
use crate::command::{Messages, Tag};

/// An expunge under way.
pub(super) struct Expunging {
    pub(super) tag: Tag,
    /// Whether it is CLOSE, after which no mailbox is selected.
    pub(super) closing: bool,
}

impl Session {
    pub(super) fn expunge(&mut self, tag: Tag, messages: Option<&Messages>, out: &mut Vec<u8>) -> Action {
        let Some(account) = self.account() else { return self.waiting() };
        let Some(selected) = &mut self.selected else { return self.waiting() };
        if selected.read_only {
            return self.fail(&tag, Answer::no("READ-ONLY", "The mailbox is selected read-only"), out);
        }
        selected.refresh();
        let told = selected.told();
        let all = || std::iter::once(0..told.rows.len()).collect();
        let places = match messages.map_or_else(|| Ok(all()), |messages| places(messages, selected)) {
            Ok(places) => places,
            Err(answer) => return self.fail(&tag, answer, out),
        };
        let deleted = |row: &&_| selected.current_newest(row).flags.contains(&Flag::Deleted);
        let candidates = entries(rows(&places, told).map(|(_, row)| row).filter(deleted));
        if candidates.is_empty() || selected.ended().is_some() {
            return self.done(&tag, "Nothing was to be expunged", out);
        }
        let mailbox = selected.mailbox;
        self.running = Running::Expunge(Expunging { tag, closing: false });
        Action::Ask(Request::Expunge { account, mailbox, entries: candidates })
    }

    pub(super) fn expunge_answered(
        &mut self,
        expunging: &Expunging,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let Expunging { tag, closing } = expunging;
        let answer = match answer {
            Ok(Reply::View(view)) => {
                if let Some(selected) = &mut self.selected {
                    selected.offer(&view);
                }
                Answer::ok(if *closing { "Closed" } else { "Expunged" })
            }
            Ok(_) => Answer::misfit(),
            // The mailbox is closed all the same, and its messages keep \Deleted.
            Err(error) if *closing => Answer::ok(format!("Closed; nothing was expunged: {error}")),
            Err(error) => Answer::refused(&error),
        };
        self.finish(tag, Telling::Everything, answer, out)
    }
}
