//! What may be missing although it was accepted: that of which no disk is left that held it. And what a node told clients, as
//! far as its disk remembers: one that was put back to an older state remembers less.

use std::collections::BTreeMap;

use crdt::flag::Flag;
use crdt::identity::{BodyHash, EntryId, Incarnation, MailboxId};
use crdt::vector::Sequence;

use super::Ledger;
use super::views::Seen;
use crate::client::Token;

/// The records that something stands on: of each life the last one.
pub(crate) type Records = Vec<(Incarnation, Sequence)>;

/// What a node had told clients when its disk was copied.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    seen: BTreeMap<(usize, MailboxId, u32), Seen>,
    greatest: BTreeMap<(usize, String), u32>,
}

/// Something that was answered, and what it stands on.
#[derive(Clone, Debug)]
pub(super) struct Deed {
    pub(super) records: Records,
    pub(super) what: What,
}

/// What was answered.
#[derive(Clone, Debug)]
pub(super) enum What {
    Accepted(Token),
    Copied(Token),
    Flagged(EntryId, Flag),
    Expunged(EntryId),
    Validity(String, u32),
}

impl Ledger {
    /// What a node has told so far.
    pub(crate) fn memory(&self, node: usize) -> Memory {
        let seen = self.seen.iter().filter(|(key, _)| key.0 == node);
        let greatest = self.names.greatest.iter().filter(|(key, _)| key.0 == node);
        Memory {
            seen: seen.map(|(key, seen)| (*key, seen.clone())).collect(),
            greatest: greatest.map(|(key, validity)| (key.clone(), *validity)).collect(),
        }
    }

    /// The disk of a node was put back: U2, U3 and U6 hold for what it remembers. U1 holds for everything.
    pub(crate) fn remember(&mut self, node: usize, memory: Memory) {
        self.seen.retain(|key, _| key.0 != node);
        self.names.greatest.retain(|key, _| key.0 != node);
        self.seen.extend(memory.seen);
        self.names.greatest.extend(memory.greatest);
    }

    pub(super) fn stands_on(&mut self, records: &Records, what: What) {
        self.deeds.push(Deed { records: records.clone(), what });
    }

    /// A disk is gone. What stands on records that no disk holds any more, or on a body that none does, is lost. Gives the messages
    /// whose octets are.
    pub(crate) fn lose(
        &mut self,
        hold_records: impl Fn(&[(Incarnation, Sequence)]) -> bool,
        hold_body: impl Fn(&BodyHash) -> bool,
    ) -> Vec<Token> {
        let mut without_octets = Vec::new();
        for (message, mail) in self.mail.iter_mut().filter(|(_, mail)| mail.offered > 0 && !mail.body_lost) {
            mail.body_lost = !hold_body(&mail.body);
            if mail.body_lost {
                without_octets.push(*message);
            }
        }
        let body_lost = |mail: &BTreeMap<Token, super::Mail>, message: &Token| {
            mail.get(message).is_some_and(|mail| mail.body_lost)
        };
        for (id, entry) in self.entries.iter_mut().filter(|(_, entry)| !entry.lost) {
            let held = hold_records(&[(id.segment.incarnation, entry.record)]);
            entry.lost = !held || body_lost(&self.mail, &entry.message);
        }
        let (kept, lost): (Vec<Deed>, Vec<Deed>) =
            std::mem::take(&mut self.deeds).into_iter().partition(|deed| {
                let body_lost = match &deed.what {
                    What::Accepted(message) | What::Copied(message) => body_lost(&self.mail, message),
                    _ => false,
                };
                hold_records(&deed.records) && !body_lost
            });
        self.deeds = kept;
        for deed in lost {
            self.undo(deed.what);
        }
        without_octets
    }

    /// Whether no disk is left that held this body.
    pub(crate) fn is_body_lost(&self, body: &BodyHash) -> bool {
        self.message(body).and_then(|message| self.mail.get(&message)).is_some_and(|mail| mail.body_lost)
    }

    /// Whether octets of any message are lost for good.
    pub(crate) fn has_lost_octets(&self) -> bool {
        self.mail.values().any(|mail| mail.body_lost)
    }

    fn undo(&mut self, what: What) {
        match what {
            What::Accepted(message) => {
                if let Some(mail) = self.mail.get_mut(&message) {
                    mail.accepted -= 1;
                }
            }
            What::Copied(message) => {
                if let Some(mail) = self.mail.get_mut(&message) {
                    mail.copies_answered -= 1;
                }
            }
            What::Flagged(entry, flag) => {
                let entry = self.entries.get_mut(&entry);
                if let Some(register) = entry.and_then(|entry| entry.flags.get_mut(&flag)) {
                    register.answered = None;
                }
            }
            What::Expunged(entry) => {
                if let Some(entry) = self.entries.get_mut(&entry) {
                    entry.expunges_answered -= 1;
                }
            }
            What::Validity(name, validity) => self.names.forget(&name, validity),
        }
    }
}
