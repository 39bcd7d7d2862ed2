//! What must hold at rest: every node shows the same (U4), nothing accepted is lost, nothing expunged or refused is back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crdt::flag::{Flag, FlagSet};
use crdt::identity::{EntryId, MailboxId};
use crdt::view::MailboxView;

use super::moves::ANNOUNCEMENTS_ARE_ADOPTED;
use super::{Entry, Ledger, Mail, Violation, flags_text};
use crate::client::Token;

/// What one node shows at rest, by the names of the mailboxes.
pub(crate) struct Rest {
    pub(crate) node: usize,
    pub(crate) mailboxes: BTreeMap<String, Arc<MailboxView>>,
    /// Those in which an entry waits, here or elsewhere, for octets that no disk holds any more: HIGHESTMODSEQ may differ in them.
    pub(crate) without_octets: BTreeSet<MailboxId>,
}

impl Rest {
    /// The mapping as clients see it, a line for each mailbox and message. UIDNEXT and HIGHESTMODSEQ are part of it where
    /// announcements are adopted: else a node that never showed what another showed and expunged has announced less.
    fn lines(&self, ledger: &Ledger) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, view) in &self.mailboxes {
            let validity = view.validity.map_or(0, |validity| validity.0);
            let announced = if ANNOUNCEMENTS_ARE_ADOPTED {
                let is_whole = !self.without_octets.contains(&view.mailbox);
                let modseq = is_whole.then_some(view.highest_modseq);
                format!(", UIDNEXT {}, HIGHESTMODSEQ {modseq:?}", view.uid_next)
            } else {
                String::new()
            };
            lines.push(format!("{name} {} {validity}{announced}", view.mailbox));
            lines.extend(view.rows.iter().map(|row| {
                let message = ledger.of_hash.get(&row.facts.body).map_or("m?".into(), Token::to_string);
                let (email, flags) = (row.facts.email, flags_text(&row.flags));
                format!(
                    "{name} {validity}:{} {message} {email} {} ({flags})",
                    row.uid, row.facts.received.seconds
                )
            }));
        }
        lines
    }

    fn rows(&self) -> impl Iterator<Item = &crdt::view::Row> {
        self.mailboxes.values().flat_map(|view| view.rows.iter())
    }
}

impl Ledger {
    /// U4: the first difference between two nodes, if there is one.
    pub(crate) fn difference(&self, a: &Rest, b: &Rest) -> Option<Violation> {
        let (here, there) = (a.lines(self), b.lines(self));
        let only = |these: &[String], those: &[String]| {
            let those: BTreeSet<&String> = those.iter().collect();
            these.iter().find(|line| !those.contains(line)).cloned()
        };
        let (left, right) = (only(&here, &there), only(&there, &here));
        if left.is_none() && right.is_none() {
            return None;
        }
        let text = |line: &Option<String>| line.clone().unwrap_or_else(|| "nothing".into());
        let what = format!("n{} shows [{}] where n{} shows [{}]", a.node, text(&left), b.node, text(&right));
        let lines = [left, right];
        let words = lines.iter().flatten().flat_map(|line| line.split(' '));
        let messages = words.filter(|word| word.starts_with('m') && word.len() > 1).map(str::to_owned);
        Some(Violation::new("U4 convergence", what, messages.collect::<Vec<_>>()))
    }

    /// That what was accepted is there, and what was refused or expunged is not.
    pub(crate) fn check_rest(&self, rest: &Rest) -> Result<(), Violation> {
        for (name, view) in &rest.mailboxes {
            self.check_validity(rest.node, name, view)?;
        }
        let mut occurrences: BTreeMap<Token, u32> = BTreeMap::new();
        let mut flags: BTreeMap<EntryId, &FlagSet> = BTreeMap::new();
        for row in rest.rows() {
            if let Some(message) = self.of_hash.get(&row.facts.body) {
                *occurrences.entry(*message).or_default() += 1;
            }
            flags.insert(row.facts.entry, &row.flags);
        }
        for (message, mail) in &self.mail {
            let may_be_gone = mail.expunge_asked || self.may_be_deleted(*message);
            let count = occurrences.get(message).copied().unwrap_or(0);
            check_count(rest.node, *message, mail, may_be_gone, count)?;
        }
        for (id, entry) in &self.entries {
            self.check_entry(rest.node, entry, flags.get(id).copied())?;
        }
        self.check_replacements(rest.node, &occurrences, &flags)
    }

    fn check_entry(&self, node: usize, entry: &Entry, flags: Option<&FlagSet>) -> Result<(), Violation> {
        let message = entry.message;
        let fail = |rule, what: &str| {
            Err(Violation::new(rule, format!("n{node}: {message} {what}"), [message.to_string()]))
        };
        // Of a delivery that both nodes took, one entry is dropped.
        let single = self.mail.get(&message).is_some_and(|mail| !mail.delivered || mail.offered < 2);
        let Some(flags) = flags else {
            let lost = single && !entry.lost && entry.expunges_asked == 0 && !self.may_be_deleted(message);
            return if lost { fail("nothing is lost", "was shown and is gone") } else { Ok(()) };
        };
        if entry.expunges_answered > 0 && !entry.spared {
            return fail("expunged mail stays gone", "was expunged and is back");
        }
        for (flag, register) in &entry.flags {
            // An expunge that a move escaped leaves the \Deleted behind that it went by.
            let left_behind = *flag == Flag::Deleted && entry.expunges_asked > 0 && entry.moved;
            let decided = single && register.asked == 1 && !entry.replaced && !left_behind;
            if decided && register.answered.is_some_and(|set| set != flags.contains(flag)) {
                return fail("nothing is lost", &format!("lost what was said of {flag}"));
            }
        }
        Ok(())
    }
}

/// How many entries of a message there are, against how many there must and may be.
fn check_count(
    node: usize,
    message: Token,
    mail: &Mail,
    may_be_gone: bool,
    count: u32,
) -> Result<(), Violation> {
    let (least, most) = if mail.delivered {
        (mail.accepted.min(1), (mail.offered - mail.refused).min(1))
    } else {
        (mail.accepted, mail.offered - mail.refused)
    };
    let least = if may_be_gone { 0 } else { least + mail.copies_answered };
    let most = most + mail.copies_asked;
    let fail = |rule, bound| {
        let what = format!("n{node} shows {count} of {message}, expected {bound}");
        Err(Violation::new(rule, what, [message.to_string()]))
    };
    if count < least {
        return fail("nothing is lost", format!("at least {least}"));
    }
    if count > most {
        return fail("nothing is doubled, nothing refused is there", format!("at most {most}"));
    }
    Ok(())
}
