//! The maildrop of a session: INBOX as it was at login (RFC 1939 section 3: a snapshot), and what the client did to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use mailstore::crdt::identity::{AccountId, EntryId, MailboxId};
use mailstore::crdt::view::{MailboxView, Row};

use super::answer::Refusal;
use super::login::Login;
use super::{Action, Session};
use crate::command::Number;

/// The mailbox that POP3 shows.
pub(super) const MAILDROP: &str = "INBOX";

/// INBOX as it was at login.
///
/// Merges, deliveries and other clients change what there is; this session shows none of it. Bodies are named by their
/// content and outlive the messages that name them, so what others expunge can be read here to the end.
pub(super) struct Maildrop {
    login: Login,
    view: Arc<MailboxView>,
    /// The places of messages that were marked by DELE.
    marked: BTreeSet<usize>,
    /// The lengths of messages as they are sent, as far as they were asked for.
    lengths: Vec<Option<u64>>,
}

/// What UIDL tells of a message (RFC 1939 section 7): its entry, which is the same on every node and for ever, whatever
/// becomes of its UID. At most 49 characters.
pub(super) fn unique_id(row: &Row) -> EntryId {
    row.facts.entry
}

impl Maildrop {
    pub(super) fn new(login: Login, view: Arc<MailboxView>) -> Self {
        let lengths = vec![None; view.rows.len()];
        Maildrop { login, view, marked: BTreeSet::new(), lengths }
    }

    pub(super) fn account(&self) -> AccountId {
        self.login.account
    }

    pub(super) fn mailbox(&self) -> MailboxId {
        self.view.mailbox
    }

    /// Whether somebody removed the account in the meantime.
    pub(super) fn account_is_removed(&self) -> bool {
        self.login.view.borrow().removed
    }

    /// How many messages there are that were not marked.
    pub(super) fn count(&self) -> usize {
        self.view.rows.len() - self.marked.len()
    }

    /// The place of the message of this number, unless it was marked.
    pub(super) fn place(&self, number: Number) -> Result<usize, Refusal> {
        let place = number.place();
        if place >= self.view.rows.len() {
            let count = self.view.rows.len();
            return Err(Refusal::plain("").because(format!("There is no such message, only {count} of them")));
        }
        if self.marked.contains(&place) {
            return Err(Refusal::plain("This message was deleted"));
        }
        Ok(place)
    }

    /// The message at this place.
    pub(super) fn row(&self, place: usize) -> Option<&Row> {
        self.view.rows.at(place)
    }

    /// The place after which the next message comes that was not marked, at or after this one.
    pub(super) fn next_place(&self, from: usize) -> Option<usize> {
        (from..self.view.rows.len()).find(|place| !self.marked.contains(place))
    }

    /// The length of the message at this place, if it is known.
    pub(super) fn length(&self, place: usize) -> Option<u64> {
        self.lengths.get(place).copied().flatten()
    }

    pub(super) fn set_length(&mut self, place: usize, length: u64) {
        if let Some(known) = self.lengths.get_mut(place) {
            *known = Some(length);
        }
    }

    /// The entries of the messages that were marked.
    pub(super) fn marked(&self) -> Vec<EntryId> {
        let rows = self.marked.iter().filter_map(|place| self.row(*place));
        rows.map(|row| row.facts.entry).collect()
    }
}

impl Session {
    /// DELE marks; only QUIT deletes (RFC 1939 sections 5 and 6).
    pub(super) fn delete(&mut self, number: Number, out: &mut Vec<u8>) -> Action {
        let Some(maildrop) = &mut self.maildrop else { return Action::WaitForInput };
        match maildrop.place(number) {
            Ok(place) => {
                maildrop.marked.insert(place);
                self.done("Marked; QUIT deletes it", out)
            }
            Err(refusal) => self.refuse(&refusal, out),
        }
    }

    pub(super) fn reset(&mut self, out: &mut Vec<u8>) -> Action {
        let Some(maildrop) = &mut self.maildrop else { return Action::WaitForInput };
        maildrop.marked.clear();
        let text = format!("The maildrop has {} messages", maildrop.count());
        self.done(&text, out)
    }
}
