//! The UPDATE state (RFC 1939 section 6): what DELE marked is deleted, as IMAP does it.
//!
//! The messages are named by their entries. So one that a merge gave another UID meanwhile is deleted all the same, and
//! once; one that somebody expunged is gone already; and one that somebody moved is no longer in the maildrop, and stays.

use std::collections::BTreeSet;

use mailstore::crdt::flag::{Flag, FlagChange};
use mailstore::crdt::identity::EntryId;
use mailstore::request::{Reply, Request, RequestError};

use super::answer::{Refusal, err, ok};
use super::{Action, Running, Session};

/// Messages that are being deleted.
pub(super) struct Updating {
    entries: Vec<EntryId>,
    step: Step,
}

enum Step {
    /// They are being flagged `\Deleted`.
    Flagging,
    /// They are being expunged.
    Expunging,
}

impl Session {
    pub(super) fn quit(&mut self, out: &mut Vec<u8>) -> Action {
        let marked = self.maildrop.as_ref().map(|maildrop| (maildrop, maildrop.marked()));
        let Some((maildrop, entries)) = marked.filter(|(_, entries)| !entries.is_empty()) else {
            ok("Goodbye", out);
            return Action::Close;
        };
        let request = Request::Store {
            account: maildrop.account(),
            mailbox: maildrop.mailbox(),
            entries: entries.clone(),
            change: FlagChange::Add,
            flags: vec![Flag::Deleted],
            unchanged_since: None,
        };
        self.running = Running::Updating(Updating { entries, step: Step::Flagging });
        Action::Ask(request)
    }

    pub(super) fn updated(
        &mut self,
        updating: Updating,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let Some(maildrop) = &self.maildrop else { return Action::Close };
        match (updating.step, answer) {
            (Step::Flagging, Ok(Reply::Stored { .. })) => {
                let request = Request::Expunge {
                    account: maildrop.account(),
                    mailbox: maildrop.mailbox(),
                    entries: updating.entries.clone(),
                };
                self.running = Running::Updating(Updating { step: Step::Expunging, ..updating });
                return Action::Ask(request);
            }
            (Step::Expunging, Ok(Reply::View(view))) => {
                let entries: BTreeSet<EntryId> = updating.entries.into_iter().collect();
                let left = view.rows.iter().filter(|row| entries.contains(&row.facts.entry)).count();
                match left {
                    0 => ok(&format!("{} messages were deleted; goodbye", entries.len()), out),
                    _ => not_removed(format!("{left} deleted messages could not be removed"), out),
                }
            }
            (_, Ok(_)) => not_removed("The store answered with something else".to_owned(), out),
            (_, Err(error)) => {
                let refusal = Refusal::of_request(&error);
                err(&refusal.because(format!("Deleted messages were not removed: {error}")), out);
            }
        }
        Action::Close
    }
}

fn not_removed(text: String, out: &mut Vec<u8>) {
    tracing::error!(text, "the maildrop could not be updated");
    err(&Refusal::temporary("").because(text), out);
}
