//! EXPUNGE, UID EXPUNGE (RFC 4315), and the end of CLOSE.

use mailstore::crdt::flag::Flag;
use mailstore::crdt::rights::Rights;
use mailstore::crdt::view::Row;
use mailstore::request::{Reply, Request, RequestError};

use super::answer::Answer;
use super::message_limit::{self, Cut};
use super::numbers::{places, rows};
use super::selected::entries;
use super::{Action, Running, Session, Telling};
use crate::command::{Messages, Tag};

/// An expunge under way.
pub(super) struct Expunging {
    pub(super) tag: Tag,
    /// Whether it is CLOSE, after which no mailbox is selected.
    pub(super) closing: bool,
    /// Where it stops, if it is not about all that were named.
    pub(super) cut: Option<Cut>,
}

impl Session {
    pub(super) fn expunge(&mut self, tag: Tag, messages: Option<&Messages>, out: &mut Vec<u8>) -> Action {
        let Some(selected) = &mut self.selected else { return self.waiting() };
        if let Err(refusal) = selected.check(Rights::EXPUNGE) {
            return self.fail(&tag, refusal, out);
        }
        selected.refresh();
        let told = selected.told();
        let all = || std::iter::once(0..told.rows.len()).collect();
        let places = match messages.map_or_else(|| Ok(all()), |messages| places(messages, selected)) {
            Ok(places) => places,
            Err(answer) => return self.fail(&tag, answer, out),
        };
        let deleted = |row: &&_| selected.current_newest(row).flags.contains(&Flag::Deleted);
        let candidates: Vec<&Row> = rows(&places, told).map(|(_, row)| row).filter(deleted).collect();
        // EXPUNGE alone, as CLOSE, means all; only that with UIDs can go on where it stopped.
        let limit = if messages.is_some() { self.config.message_limit } else { u32::MAX };
        let (candidates, cut) = Cut::of_rows(candidates, limit);
        let candidates = entries(candidates.into_iter());
        if candidates.is_empty() || selected.ended().is_some() {
            return self.done(&tag, "Nothing was to be expunged", out);
        }
        let (account, mailbox) = (selected.access.account, selected.mailbox);
        self.running = Running::Expunge(Expunging { tag, closing: false, cut });
        let expunge = Request::Expunge { account, mailbox, entries: candidates };
        Action::Ask(self.permitted((account, mailbox), Rights::EXPUNGE, expunge))
    }

    pub(super) fn expunge_answered(
        &mut self,
        expunging: &Expunging,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let Expunging { tag, closing, cut } = expunging;
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
        let answer = message_limit::told(*cut, answer, out);
        self.finish(tag, Telling::Departures, answer, out)
    }
}
