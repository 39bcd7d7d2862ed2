//! Every view that a client was shown: U1, U2, U3, U6, and what RFC 7162 says of MODSEQ.

use std::fmt::Write;
use std::sync::Arc;

use crdt::identity::EntryId;
use crdt::vector::{Sequence, Vector};
use crdt::view::{MailboxView, Row};

use super::{Entry, Ledger, Violation, flags_text};
use crate::client::Token;

/// What a (mailbox name, UIDVALIDITY, UID) names.
#[derive(Clone, Debug)]
pub(super) struct Named {
    message: Token,
    /// Known once a view has shown it.
    entry: Option<EntryId>,
}

/// What a node has shown last of a mailbox and epoch, all lives of its disk taken together.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    name: String,
    view: MailboxView,
}

impl Ledger {
    /// A UID was told in an answer: it has to name this message.
    pub(super) fn promised(
        &mut self,
        mailbox: Option<&str>,
        validity: u32,
        uid: u32,
        message: Token,
    ) -> Result<(), Violation> {
        let Some(mailbox) = mailbox else { return Ok(()) };
        let key = (mailbox.to_owned(), validity, uid);
        let named = self.named.entry(key).or_insert(Named { message, entry: None });
        if named.message != message {
            let what =
                format!("{mailbox} {validity}:{uid} named {} and was promised for {message}", named.message);
            return Err(Violation::new(
                "U1 no alias",
                what,
                [named.message.to_string(), message.to_string()],
            ));
        }
        Ok(())
    }

    /// A node that has `vector` shows a mailbox to a client that knows it by this name. Gives a line for the trace where something changed.
    pub(crate) fn observe(
        &mut self,
        node: usize,
        name: &str,
        view: &MailboxView,
        vector: &Vector,
    ) -> Result<Option<String>, Violation> {
        let Some(validity) = view.validity else { return Ok(None) };
        self.views += 1;
        let place = format!("n{node} {name} {validity}");
        let key = (node, view.mailbox, validity.0);
        let before = self.seen.remove(&key);
        let known = before.as_ref().filter(|seen| seen.name == name).map(|seen| &seen.view);
        let mut old = known.into_iter().flat_map(|view| view.rows.iter()).peekable();
        for row in view.rows.iter() {
            while old.next_if(|old| old.uid < row.uid).is_some() {}
            // What is the very same as before, in memory, was checked then.
            let same = |old: &&Row| Arc::ptr_eq(&old.facts, &row.facts) && old.uid == row.uid;
            if old.next_if(same).is_none() {
                let record = vector.last(&row.facts.entry.segment.incarnation);
                self.check_row(name, validity.0, (row, record), &place)?;
            }
        }
        let text = match &before {
            Some(seen) => self.check_step(&seen.view, view, &place)?,
            None => self.check_step(&MailboxView::unseen(view.account, view.mailbox), view, &place)?,
        };
        self.seen.insert(key, Seen { name: name.to_owned(), view: view.clone() });
        Ok(text.map(|text| format!("{place}:{text}")))
    }

    /// U1, and that what a UID names never changes.
    fn check_row(
        &mut self,
        name: &str,
        validity: u32,
        (row, record): (&Row, Sequence),
        place: &str,
    ) -> Result<(), Violation> {
        let entry = row.facts.entry;
        let Some(message) = self.of_hash.get(&row.facts.body).copied() else {
            let what = format!("{place} shows a body at {} that nobody wrote", row.uid);
            return Err(Violation::new("nothing is made up", what, vec![]));
        };
        let facts = (format!("{:?}", row.facts.email), row.facts.size, row.facts.received.seconds);
        let known = self.entries.entry(entry).or_insert_with(|| Entry::new(message, facts.clone(), record));
        known.record = known.record.min(record);
        if (known.message, &known.facts) != (message, &facts) {
            let what = format!("{place}: an entry was {} and is {message}", known.message);
            return Err(Violation::new("U3 facts never change", what, [message.to_string()]));
        }
        let key = (name.to_owned(), validity, row.uid.0);
        let named = self.named.entry(key).or_insert(Named { message, entry: None });
        let other = named.entry.is_some_and(|named| named != entry);
        if named.message != message || other {
            let what = format!("{place}: UID {} named {} and now {message}", row.uid, named.message);
            return Err(Violation::new(
                "U1 no alias",
                what,
                [named.message.to_string(), message.to_string()],
            ));
        }
        named.entry = Some(entry);
        Ok(())
    }

    /// U2, U3 and MODSEQ between two views of one node; tells the difference.
    fn check_step(
        &self,
        before: &MailboxView,
        now: &MailboxView,
        place: &str,
    ) -> Result<Option<String>, Violation> {
        let fail = |rule, what: String, row: Option<&Row>| {
            let message = row.map(|row| self.token(row));
            Err(Violation::new(rule, format!("{place}: {what}"), message))
        };
        if now.uid_next < before.uid_next {
            let what = format!("UIDNEXT {} after {}", now.uid_next, before.uid_next);
            return fail("U2 only upward", what, None);
        }
        if now.highest_modseq < before.highest_modseq {
            let what = format!("HIGHESTMODSEQ {} after {}", now.highest_modseq, before.highest_modseq);
            return fail("MODSEQ only rises", what, None);
        }
        let mut changes = Changes::default();
        let mut old = before.rows.iter().peekable();
        for row in now.rows.iter() {
            if row.modseq > now.highest_modseq || row.uid >= now.uid_next {
                let what = format!("{} lies above what is announced", row.uid);
                return fail("a view is consistent", what, Some(row));
            }
            while let Some(gone) = old.next_if(|old| old.uid < row.uid) {
                changes.removed(gone, &self.token(gone));
            }
            match old.next_if(|old| old.uid == row.uid) {
                None if row.uid < before.uid_next => {
                    let what = format!("it appears at {}, below UIDNEXT {}", row.uid, before.uid_next);
                    return fail("U2 only upward", what, Some(row));
                }
                None => changes.added(row, &self.token(row)),
                Some(old) => {
                    if let Err((rule, what)) = check_kept(old, row, before) {
                        return fail(rule, what, Some(row));
                    }
                    if old.flags != row.flags {
                        changes.flagged(row, &self.token(row));
                    }
                }
            }
        }
        old.for_each(|gone| changes.removed(gone, &self.token(gone)));
        if changes.any_gone && now.highest_modseq <= before.highest_modseq {
            let what = format!("a message vanished and HIGHESTMODSEQ stayed {}", now.highest_modseq);
            return fail("MODSEQ only rises", what, None);
        }
        if changes.any_new && !each_once(now) {
            return fail("U3 stable", "an entry is shown twice".into(), None);
        }
        let numbers = |view: &MailboxView| (view.uid_next, view.highest_modseq);
        if changes.text.is_empty() && numbers(before) != numbers(now) {
            let _ = write!(changes.text, " next {} modseq {}", now.uid_next, now.highest_modseq);
        }
        Ok((!changes.text.is_empty()).then_some(changes.text))
    }

    fn token(&self, row: &Row) -> String {
        self.message(&row.facts.body).map_or_else(|| "m?".to_owned(), |message| message.to_string())
    }
}

/// What differs between two views, as the trace tells it.
#[derive(Default)]
struct Changes {
    text: String,
    any_gone: bool,
    any_new: bool,
}

impl Changes {
    fn removed(&mut self, row: &Row, message: &str) {
        self.any_gone = true;
        let _ = write!(self.text, " -{}={message}", row.uid);
    }

    fn added(&mut self, row: &Row, message: &str) {
        self.any_new = true;
        let _ = write!(self.text, " +{}={message}", row.uid);
    }

    fn flagged(&mut self, row: &Row, message: &str) {
        let _ = write!(self.text, " *{}={message}({})", row.uid, flags_text(&row.flags));
    }
}

/// What must hold of a UID that was there and still is.
fn check_kept(old: &Row, row: &Row, before: &MailboxView) -> Result<(), (&'static str, String)> {
    if old.facts.entry != row.facts.entry {
        return Err(("U3 stable", format!("{} names another entry", row.uid)));
    }
    if old.flags != row.flags && row.modseq <= before.highest_modseq {
        let what = format!("flags of {} changed without a MODSEQ above {}", row.uid, before.highest_modseq);
        return Err(("MODSEQ only rises", what));
    }
    if row.modseq < old.modseq {
        return Err(("MODSEQ only rises", format!("MODSEQ of {} fell", row.uid)));
    }
    Ok(())
}

fn each_once(view: &MailboxView) -> bool {
    let mut entries: Vec<EntryId> = view.rows.iter().map(|row| row.facts.entry).collect();
    entries.sort_unstable();
    entries.windows(2).all(|pair| pair[0] != pair[1])
}
