//! What clients saw and what was accepted, and what must hold of it (`docs/uid-mapping.md`: U1 to U4, and nothing lost).

mod losses;
mod moves;
mod names;
mod pop;
mod replacements;
mod rest;
mod views;

use std::collections::{BTreeMap, BTreeSet};

use crdt::flag::{Flag, FlagChange, FlagSet};
use crdt::identity::{AccountId, BodyHash, EntryId, MailboxId};
use crdt::vector::Sequence;
use mailstore::Reply;
use mailstore::account::DEFAULT_MAILBOXES;

use crate::client::{Command, Token};
use losses::{Deed, What};
pub(crate) use losses::{Memory, Records};
pub(crate) use moves::Moved;
use names::Names;
pub(crate) use rest::Rest;
use views::{Named, Seen};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {what}")]
pub struct Violation {
    /// What was violated.
    pub rule: &'static str,
    /// How.
    pub what: String,
    /// The messages and mailboxes concerned, as the trace names them.
    pub subjects: Vec<String>,
}

impl Violation {
    pub(crate) fn new(rule: &'static str, what: String, subjects: impl IntoIterator<Item = String>) -> Self {
        Violation { rule, what, subjects: subjects.into_iter().collect() }
    }
}

/// What is known of one message from the outside.
#[derive(Clone, Debug)]
struct Mail {
    body: BodyHash,
    /// Whether no disk is left that holds its octets.
    body_lost: bool,
    /// Whether an MTA offers it: then it is stored once, however often it is offered.
    delivered: bool,
    offered: u32,
    refused: u32,
    accepted: u32,
    copies_asked: u32,
    copies_answered: u32,
    /// Whether somebody asked to expunge one of its entries.
    expunge_asked: bool,
    /// Whether it was meant for a mailbox that may be deleted.
    fleeting: bool,
}

/// What is known of one entry that was shown.
#[derive(Clone, Debug)]
struct Entry {
    message: Token,
    facts: (String, u64, i64),
    expunges_asked: u32,
    expunges_answered: u32,
    /// Whether \Deleted was taken off at some time, or the entry was moved: then an expunge need not hold.
    spared: bool,
    moved: bool,
    flags: BTreeMap<Flag, Register>,
    replaced: bool,
    /// The life that opened its segment had written so much, at most, when it wrote it.
    record: Sequence,
    /// Whether no disk is left that held it.
    lost: bool,
}

impl Entry {
    fn new(message: Token, facts: (String, u64, i64), record: Sequence) -> Self {
        Entry {
            message,
            facts,
            expunges_asked: 0,
            expunges_answered: 0,
            spared: false,
            moved: false,
            flags: BTreeMap::new(),
            replaced: false,
            record,
            lost: false,
        }
    }
}

/// What was asked of one flag of one entry.
#[derive(Clone, Debug, Default)]
struct Register {
    asked: u32,
    answered: Option<bool>,
}

/// Everything that was asked, answered and shown.
pub struct Ledger {
    mail: BTreeMap<Token, Mail>,
    of_hash: BTreeMap<BodyHash, Token>,
    entries: BTreeMap<EntryId, Entry>,
    named: BTreeMap<(String, u32, u32), Named>,
    seen: BTreeMap<(usize, MailboxId, u32), Seen>,
    names: Names,
    /// What UIDL told of each entry.
    uidls: BTreeMap<EntryId, String>,
    /// Entries that somebody asked to replace, and by what.
    replacements: Vec<(EntryId, Token)>,
    /// What was answered and is not lost.
    deeds: Vec<Deed>,
    /// The mailboxes that nobody deletes.
    lasting: BTreeSet<MailboxId>,
    /// Whether somebody asked to delete another one.
    deletes_asked: bool,
    /// Whether an operator asked for a new UIDVALIDITY.
    bumps_asked: bool,
    /// How many views were looked at.
    pub views: u64,
}

impl Ledger {
    pub(crate) fn new(account: AccountId) -> Self {
        let names = DEFAULT_MAILBOXES.iter();
        Ledger {
            lasting: names.map(|(name, _)| MailboxId::of_default(account, name)).collect(),
            deletes_asked: false,
            bumps_asked: false,
            mail: BTreeMap::new(),
            of_hash: BTreeMap::new(),
            entries: BTreeMap::new(),
            named: BTreeMap::new(),
            seen: BTreeMap::new(),
            names: Names::new(),
            uidls: BTreeMap::new(),
            replacements: vec![],
            deeds: vec![],
            views: 0,
        }
    }

    /// How many messages were accepted.
    pub fn accepted(&self) -> u64 {
        self.mail.values().filter(|mail| mail.accepted > 0).map(|_| 1).sum()
    }

    /// A new message; its octets follow from its number.
    pub(crate) fn compose(&mut self, delivered: bool, octets: impl FnOnce(Token) -> Vec<u8>) -> Token {
        let message = Token(u32::try_from(self.mail.len()).unwrap_or(u32::MAX));
        let hash = BodyHash(*storage::BodyHash::of(&octets(message)).as_bytes());
        let mail = Mail {
            body: hash,
            body_lost: false,
            delivered,
            offered: 0,
            refused: 0,
            accepted: 0,
            copies_asked: 0,
            copies_answered: 0,
            expunge_asked: false,
            fleeting: false,
        };
        self.mail.insert(message, mail);
        self.of_hash.insert(hash, message);
        message
    }

    /// The message that has these octets.
    pub(crate) fn message(&self, body: &BodyHash) -> Option<Token> {
        self.of_hash.get(body).copied()
    }

    /// The messages of these entries, for the trace.
    pub(crate) fn names(&self, entries: &[EntryId]) -> String {
        let name = |entry: &EntryId| match self.entries.get(entry) {
            Some(entry) => entry.message.to_string(),
            None => "m?".to_owned(),
        };
        entries.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    fn mail_of(&mut self, entry: &EntryId) -> Option<&mut Mail> {
        let message = self.entries.get(entry)?.message;
        self.mail.get_mut(&message)
    }

    /// A client asks: from now on it may happen.
    pub(crate) fn asked(&mut self, command: &Command) {
        match command {
            Command::Deliver { message, mailbox } => self.offer(&[*message], mailbox != "INBOX"),
            Command::Append { messages, mailbox, .. } => {
                self.offer(messages, !self.lasting.contains(mailbox));
            }
            Command::Store { entries, change, flag, .. } => {
                for id in entries {
                    let Some(entry) = self.entries.get_mut(id) else { continue };
                    entry.flags.entry(flag.clone()).or_default().asked += 1;
                    entry.replaced |= *change == FlagChange::Replace;
                    entry.spared |= match change {
                        FlagChange::Add => false,
                        FlagChange::Remove => *flag == Flag::Deleted,
                        FlagChange::Replace | FlagChange::ReplaceWithin(_) => *flag != Flag::Deleted,
                    };
                }
            }
            Command::Expunge { entries, .. } => {
                entries.iter().for_each(|id| self.may_go(id));
            }
            Command::Copy { entries, to, .. } => {
                let fleeting = !self.lasting.contains(to);
                for id in entries {
                    if let Some(mail) = self.mail_of(id) {
                        mail.copies_asked += 1;
                        mail.fleeting |= fleeting;
                    }
                }
            }
            Command::Move { entries, to, .. } => {
                let fleeting = !self.lasting.contains(to);
                for id in entries {
                    if let Some(mail) = self.mail_of(id) {
                        mail.fleeting |= fleeting;
                    }
                    if let Some(entry) = self.entries.get_mut(id) {
                        entry.spared = true;
                        entry.moved = true;
                    }
                }
            }
            Command::Replace { entry, to, message, .. } => {
                self.offer(&[*message], !self.lasting.contains(to));
                self.replaces(*entry, *message);
            }
            Command::Delete { .. } => self.deletes_asked = true,
            Command::Bump { .. } => self.bumps_asked = true,
            Command::Look { .. } | Command::Create { .. } | Command::Rename { .. } => {}
        }
    }

    /// Somebody asked to expunge this entry.
    fn may_go(&mut self, id: &EntryId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.expunges_asked += 1;
        }
        if let Some(mail) = self.mail_of(id) {
            mail.expunge_asked = true;
        }
    }

    fn offer(&mut self, messages: &[Token], fleeting: bool) {
        for message in messages {
            if let Some(mail) = self.mail.get_mut(message) {
                mail.offered += 1;
                mail.fleeting |= fleeting;
            }
        }
    }

    /// The node said no: nothing of it may happen.
    pub(crate) fn refused(&mut self, command: &Command) {
        let messages = match command {
            Command::Deliver { message, .. } => std::slice::from_ref(message),
            Command::Append { messages, .. } => messages.as_slice(),
            Command::Replace { message, .. } => std::slice::from_ref(message),
            Command::Copy { entries, .. } => {
                for id in entries {
                    if let Some(mail) = self.mail_of(id) {
                        mail.copies_asked -= 1;
                    }
                }
                return;
            }
            _ => return,
        };
        for message in messages {
            if let Some(mail) = self.mail.get_mut(message) {
                mail.refused += 1;
            }
        }
    }

    /// The node said yes: it has happened, for good, while a disk is left that holds these records. `target` is the name of the
    /// mailbox that new UIDs are in.
    pub(crate) fn accepted_by(
        &mut self,
        command: &Command,
        reply: &Reply,
        target: Option<&str>,
        records: &Records,
    ) -> Result<(), Violation> {
        match (command, reply) {
            (Command::Deliver { message, .. }, Reply::Delivered { .. }) => {
                self.accept(&[*message], records);
            }
            (Command::Append { messages, .. }, Reply::Appended { validity, uids, .. }) => {
                self.accept(messages, records);
                let are_distinct = uids.iter().collect::<BTreeSet<_>>().len() == uids.len();
                if !(uids.is_empty() || messages.len() == uids.len() && are_distinct) {
                    return Err(Violation::new("APPENDUID", format!("{messages:?} got {uids:?}"), vec![]));
                }
                for (message, uid) in messages.iter().zip(uids) {
                    self.promised(target, validity.0, uid.0, *message)?;
                }
            }
            (Command::Copy { .. } | Command::Move { .. }, Reply::Copied { validity, pairs, .. }) => {
                for (entry, uid) in pairs {
                    let Some(message) = self.entries.get(entry).map(|entry| entry.message) else { continue };
                    if matches!(command, Command::Copy { .. })
                        && let Some(mail) = self.mail.get_mut(&message)
                    {
                        mail.copies_answered += 1;
                        self.stands_on(records, What::Copied(message));
                    }
                    self.promised(target, validity.0, uid.0, message)?;
                }
            }
            (Command::Replace { entry, message, .. }, Reply::Replaced { validity, uid, .. }) => {
                self.accept(&[*message], records);
                self.has_replaced(*entry, records);
                if let Some(uid) = uid {
                    self.promised(target, validity.0, uid.0, *message)?;
                }
            }
            (Command::Store { entries, change, flag, .. }, Reply::Stored { modified, gone, .. }) => {
                for id in entries.iter().filter(|id| !modified.contains(id) && !gone.contains(id)) {
                    if let Some(register) =
                        self.entries.get_mut(id).and_then(|entry| entry.flags.get_mut(flag))
                    {
                        register.answered = Some(*change != FlagChange::Remove);
                        self.stands_on(records, What::Flagged(*id, flag.clone()));
                    }
                }
            }
            (Command::Bump { name }, Reply::Bumped(validity)) => {
                self.promised_validity(name, *validity, records);
            }
            (Command::Expunge { entries, .. }, Reply::View(view)) => {
                let left: BTreeSet<EntryId> = view.rows.iter().map(|row| row.facts.entry).collect();
                for id in entries.iter().filter(|id| !left.contains(id)) {
                    if let Some(entry) = self.entries.get_mut(id) {
                        entry.expunges_answered += 1;
                        self.stands_on(records, What::Expunged(*id));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether an entry of the message may have gone with its mailbox.
    fn may_be_deleted(&self, message: Token) -> bool {
        self.deletes_asked && self.mail.get(&message).is_some_and(|mail| mail.fleeting)
    }

    fn accept(&mut self, messages: &[Token], records: &Records) {
        for message in messages {
            if let Some(mail) = self.mail.get_mut(message) {
                mail.accepted += 1;
                self.stands_on(records, What::Accepted(*message));
            }
        }
    }
}

/// Flags as text.
fn flags_text(flags: &FlagSet) -> String {
    flags.iter().map(Flag::to_string).collect::<Vec<_>>().join(" ")
}
