//! Clients that read as POP3 does: a picture taken at login, deletions at the end (RFC 1939).

use std::sync::Arc;

use crdt::flag::{Flag, FlagChange};
use crdt::identity::{EntryId, MailboxId};
use crdt::left_out::{LeftOut, leaves_out};
use crdt::view::{MailboxView, Row};
use mailstore::Look;

use super::{Command, Wish};
use crate::chance::Chance;

/// The mailbox that POP3 shows.
const MAILDROP: &str = "INBOX";

/// A session that has logged in.
pub(crate) struct Pop {
    /// The mailbox as it was then; whatever happens, the session knows these messages and no others.
    pub(crate) snapshot: Arc<MailboxView>,
    /// DELE.
    marked: Vec<EntryId>,
    /// Whether QUIT was given and the deletions are under way.
    updating: bool,
    /// The mailbox as it is now, where a test leaves the picture out.
    now: Option<Box<dyn Fn() -> Arc<MailboxView>>>,
    /// A message that the client named by its number, where the session took it for another.
    pub(crate) mistaken: Option<EntryId>,
}

/// What UIDL tells of a message: its entry, which is the same on every node and whatever becomes of its UID.
pub(crate) fn uidl(view: &MailboxView, row: &Row) -> String {
    match leaves_out(LeftOut::UidlIsTheEntry) {
        true => format!("{:?}.{}", view.validity, row.uid),
        false => format!("{:?}", row.facts.entry),
    }
}

impl Pop {
    pub(crate) fn new(look: &Look) -> Self {
        let view = look.view.clone();
        let now: Box<dyn Fn() -> Arc<MailboxView>> = Box::new(move || view.borrow().clone());
        Pop {
            snapshot: look.view.borrow().clone(),
            marked: vec![],
            updating: false,
            now: Some(now).filter(|_| leaves_out(LeftOut::SnapshotAtLogin)),
            mistaken: None,
        }
    }

    /// The message of a number: that of the picture.
    fn resolve(&mut self, number: usize) -> Option<Row> {
        let listed = self.snapshot.rows.at(number)?.clone();
        let Some(now) = &self.now else { return Some(listed) };
        let named = now().rows.at(number).cloned();
        if named.as_ref().is_none_or(|named| named.facts.entry != listed.facts.entry) {
            self.mistaken = Some(listed.facts.entry);
        }
        named
    }

    /// What the session does next; none where it is over.
    fn step(&mut self, chance: &mut Chance) -> Option<Wish> {
        let mailbox = self.snapshot.mailbox;
        if self.updating {
            return None;
        }
        let row = self.resolve(chance.index(self.snapshot.rows.len()));
        match (row, chance.below(10)) {
            (Some(row), 0..3) => {
                self.marked.push(row.facts.entry);
                Some(Wish::Nothing)
            }
            (Some(row), 3..7) => Some(Wish::Read(Arc::clone(&row.facts))),
            (_, 9) => Some(Wish::HangUp),
            _ if self.marked.is_empty() => None,
            _ => {
                self.updating = true;
                let (entries, change, flag) = (self.marked.clone(), FlagChange::Add, Flag::Deleted);
                Some(Wish::Command(Command::Store { mailbox, entries, change, flag }))
            }
        }
    }
}

/// What a POP3 client wants now.
pub(super) fn wish(
    pop: &mut Option<Pop>,
    mailboxes: &[(String, MailboxId)],
    chance: &mut Chance,
) -> Option<Wish> {
    let Some(session) = pop else {
        let (_, mailbox) = mailboxes.iter().find(|(name, _)| name == MAILDROP)?;
        return Some(Wish::Command(Command::Look { mailbox: *mailbox, lasting: false }));
    };
    if let Some(wish) = session.step(chance) {
        return Some(wish);
    }
    let (mailbox, entries) = (session.snapshot.mailbox, std::mem::take(&mut session.marked));
    *pop = None;
    Some(if entries.is_empty() { Wish::HangUp } else { Wish::Command(Command::Expunge { mailbox, entries }) })
}
