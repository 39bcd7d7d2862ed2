//! Every view that a client was shown: U1, U2, U3, U6, and what RFC 7162 says of MODSEQ.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use crdt::flag::FlagSet;
use crdt::identity::EntryId;
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

/// What a node has shown last of a mailbox and epoch, all its lives taken together.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    announced: u32,
    highest_modseq: u64,
    rows: BTreeMap<u32, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    entry: EntryId,
    message: Token,
    modseq: u64,
    flags: Arc<FlagSet>,
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

    /// A node shows a mailbox to a client that knows it by this name. Gives a line for the trace where something changed.
    pub(crate) fn observe(
        &mut self,
        node: usize,
        name: &str,
        view: &MailboxView,
    ) -> Result<Option<String>, Violation> {
        let Some(validity) = view.validity else { return Ok(None) };
        self.views += 1;
        let place = format!("n{node} {name} {validity}");
        let mut rows = BTreeMap::new();
        for row in view.rows.iter() {
            let known = self.check_row(name, validity.0, row, &place)?;
            rows.insert(row.uid.0, known);
        }
        let before = self.seen.entry((node, view.mailbox, validity.0)).or_default();
        let now = Seen { announced: view.uid_next.0, highest_modseq: view.highest_modseq.bits(), rows };
        let text = check_step(before, &now, &place)?;
        *before = now;
        Ok(text.map(|text| format!("{place}:{text}")))
    }

    /// U6: a client that selects a name finds a UIDVALIDITY that only grows.
    pub(crate) fn selected(&mut self, node: usize, name: &str, view: &MailboxView) -> Result<(), Violation> {
        let Some(validity) = view.validity.map(|validity| validity.0) else { return Ok(()) };
        let greatest = self.validities.entry((node, name.to_owned())).or_default();
        if validity < *greatest {
            let what = format!("n{node} shows {name} with UIDVALIDITY {validity} after {greatest}");
            return Err(Violation::new("U6 validity rises", what, [name.to_owned()]));
        }
        *greatest = validity;
        Ok(())
    }

    /// U1, and that what a UID names never changes.
    fn check_row(&mut self, name: &str, validity: u32, row: &Row, place: &str) -> Result<Known, Violation> {
        let entry = row.facts.entry;
        let Some(message) = self.of_hash.get(&row.facts.body).copied() else {
            let what = format!("{place} shows a body at {} that nobody wrote", row.uid);
            return Err(Violation::new("nothing is made up", what, vec![]));
        };
        let facts = (format!("{:?}", row.facts.email), row.facts.size, row.facts.received.seconds);
        let known = self.entries.entry(entry).or_insert_with(|| Entry {
            message,
            facts: facts.clone(),
            expunge_asked: false,
            expunge_answered: false,
            spared: false,
            flags: BTreeMap::new(),
            replaced: false,
        });
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
        Ok(Known { entry, message, modseq: row.modseq.bits(), flags: Arc::clone(&row.flags) })
    }
}

/// U2, U3 and MODSEQ between two views of one node; tells the difference.
fn check_step(before: &Seen, now: &Seen, place: &str) -> Result<Option<String>, Violation> {
    let fail = |rule, what: String, message: Option<Token>| {
        Err(Violation::new(rule, format!("{place}: {what}"), message.map(|message| message.to_string())))
    };
    let mut text = String::new();
    if now.announced < before.announced {
        return fail("U2 only upward", format!("UIDNEXT {} after {}", now.announced, before.announced), None);
    }
    if now.highest_modseq < before.highest_modseq {
        let what = format!("HIGHESTMODSEQ {} after {}", now.highest_modseq, before.highest_modseq);
        return fail("MODSEQ only rises", what, None);
    }
    for (uid, row) in &now.rows {
        let message = Some(row.message);
        if row.modseq > now.highest_modseq || *uid >= now.announced {
            return fail("a view is consistent", format!("{uid} lies above what is announced"), message);
        }
        match before.rows.get(uid) {
            None if *uid < before.announced => {
                let what = format!("{} appears at {uid}, below UIDNEXT {}", row.message, before.announced);
                return fail("U2 only upward", what, message);
            }
            None => {
                let _ = write!(text, " +{uid}={}", row.message);
            }
            Some(known) if known.entry != row.entry => {
                return fail("U3 stable", format!("{uid} names another entry"), message);
            }
            Some(known) if known.flags != row.flags => {
                if row.modseq <= before.highest_modseq {
                    let what =
                        format!("flags of {uid} changed without a MODSEQ above {}", before.highest_modseq);
                    return fail("MODSEQ only rises", what, message);
                }
                let _ = write!(text, " *{uid}={}({})", row.message, flags_text(&row.flags));
            }
            Some(known) if row.modseq < known.modseq => {
                return fail("MODSEQ only rises", format!("MODSEQ of {uid} fell"), message);
            }
            Some(_) => {}
        }
    }
    let mut entries: Vec<EntryId> = now.rows.values().map(|row| row.entry).collect();
    entries.sort_unstable();
    if let Some(twice) = entries.windows(2).find(|pair| pair[0] == pair[1]) {
        return fail("U3 stable", format!("entry {} is shown twice", twice[0]), None);
    }
    for (uid, row) in before.rows.iter().filter(|(uid, _)| !now.rows.contains_key(uid)) {
        if now.highest_modseq <= before.highest_modseq {
            let what = format!("{uid} vanished and HIGHESTMODSEQ stayed {}", now.highest_modseq);
            return fail("MODSEQ only rises", what, Some(row.message));
        }
        let _ = write!(text, " -{uid}={}", row.message);
    }
    if text.is_empty() && (now.announced, now.highest_modseq) != (before.announced, before.highest_modseq) {
        let _ = write!(text, " next {} modseq {}", now.announced, now.highest_modseq);
    }
    Ok((!text.is_empty()).then_some(text))
}
