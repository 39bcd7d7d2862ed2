//! What clients and MTAs do to messages: each becomes operations, one for each segment and kind of change.

use std::collections::BTreeMap;

use super::Account;
use crate::clock::{Stamp, Timestamp};
use crate::flag::{Flag, FlagChange, FlagSet, MOST_FLAGS};
use crate::fold::entry::EntryState;
use crate::identity::{BodyHash, DeliveryKey, EmailId, EntryId, MailboxId, SegmentId};
use crate::left_out::{LeftOut, leaves_out};
use crate::operation::{Addition, DocumentId, IndexSet, Operation, SEGMENT_ENTRIES};
use crate::rights::Rights;
use crate::view::ReceivedAt;
use crate::writer::Writer;

/// A message to be accepted.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// Its octets.
    pub body: BodyHash,
    /// Their number.
    pub size: u64,
    /// INTERNALDATE.
    pub received: ReceivedAt,
    /// The flags it starts with.
    pub flags: Vec<Flag>,
    /// The identity of its content; none where the content is new.
    pub email: Option<EmailId>,
    /// What an MTA offered to whom.
    pub delivery: Option<DeliveryKey>,
}

/// What a STORE could not do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Changed since the moment that the client named.
    pub modified: Vec<EntryId>,
    /// No longer in the mailbox.
    pub gone: Vec<EntryId>,
    /// Left alone, because they carry too many flags already.
    pub overfull: Vec<EntryId>,
}

/// What a COPY or MOVE did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relocated {
    /// The entry that the client named, and the entry in the target.
    pub pairs: Vec<(EntryId, EntryId)>,
    /// No longer in the source.
    pub gone: Vec<EntryId>,
}

/// What copies of messages are made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessageCopies {
    /// The copies, in the order in which their originals were named.
    pub(crate) copies: Vec<MessageCopy>,
    /// No longer in the source.
    pub(crate) gone: Vec<EntryId>,
}

/// A copy to be.
#[derive(Clone, Debug)]
pub(crate) struct MessageCopy {
    /// The original.
    pub(crate) of: EntryId,
    /// What it is made of.
    pub(crate) new: NewEntry,
    /// Whether its octets are not here.
    pub(crate) absent: bool,
}

/// Operations for entries that change in the same way, by segment.
struct Groups<K>(BTreeMap<(SegmentId, K), Vec<u16>>);

impl<K: Ord> Groups<K> {
    fn new() -> Self {
        Groups(BTreeMap::new())
    }

    fn add(&mut self, entry: EntryId, kind: K) {
        self.0.entry((entry.segment, kind)).or_default().push(entry.index);
    }

    fn into_sets(self) -> impl Iterator<Item = (SegmentId, K, IndexSet)> {
        self.0.into_iter().map(|((segment, kind), indexes)| (segment, kind, indexes.into_iter().collect()))
    }
}

impl Account {
    /// Accepts a message into a mailbox. It needs no UID yet.
    pub(crate) fn add(&mut self, writer: &mut Writer, mailbox: MailboxId, new: NewEntry) -> EntryId {
        let entry = self.next_entry(writer);
        let addition = Addition {
            index: entry.index,
            mailbox,
            body: new.body,
            size: new.size,
            received: new.received,
            flags: bounded(new.flags),
            email: new.email.unwrap_or_else(|| EmailId::of_entry(entry)),
            delivery: new.delivery,
        };
        self.write(writer, DocumentId::Segment(self.id(), entry.segment), Operation::Add(addition));
        entry
    }

    /// The next free place in the segment that this life is filling; a new segment when it is full.
    fn next_entry(&mut self, writer: &Writer) -> EntryId {
        let incarnation = writer.author().incarnation;
        let mut number = self.open_segment.unwrap_or(0);
        let used = |number| self.segment(&SegmentId { incarnation, number }).len();
        // An account that was forgotten and loaded again starts its search anew.
        while used(number) >= usize::from(SEGMENT_ENTRIES) {
            number += 1;
        }
        let index = used(number) as u16;
        self.open_segment = Some(number);
        EntryId { segment: SegmentId { incarnation, number }, index }
    }

    /// The entry of this delivery, accepted here or elsewhere at or after `since`.
    pub fn delivered(&self, key: &DeliveryKey, since: Timestamp) -> Option<EntryId> {
        let twins = self.twins.get(key)?;
        let recent = |entry: &&EntryId| {
            let counts = |added: Stamp| added.timestamp >= since && Some(added) > self.head().removed;
            self.added(entry).is_some_and(counts)
        };
        twins.iter().find(recent).copied()
    }

    /// Changes flags of those entries that are in the mailbox.
    pub(crate) fn change_flags(
        &mut self,
        writer: &mut Writer,
        mailbox: MailboxId,
        entries: &[EntryId],
        change: FlagChange,
        flags: &[Flag],
        unchanged_since: Option<u64>,
    ) -> Stored {
        let mut stored = Stored::default();
        let mut groups = Groups::new();
        for entry in entries {
            if self.target(entry) != Some(mailbox) {
                stored.gone.push(*entry);
            } else if unchanged_since.is_some_and(|since| self.modseq(entry) > since) {
                stored.modified.push(*entry);
            } else if let Some(state) = self.effective(entry) {
                let (set, clear) = difference(&state, change, flags);
                if !set.is_empty() && state.flag_registers() + set.len() > MOST_FLAGS {
                    stored.overfull.push(*entry);
                } else if !set.is_empty() || !clear.is_empty() {
                    groups.add(*entry, (set, clear));
                }
            }
        }
        for (segment, (set, clear), entries) in groups.into_sets() {
            let document = DocumentId::Segment(self.id(), segment);
            self.write(writer, document, Operation::ChangeFlags { entries, set, clear });
        }
        stored
    }

    /// The MODSEQ under which this node shows an entry; 0 where it does not.
    fn modseq(&self, entry: &EntryId) -> u64 {
        let row = self.shown_at(entry).and_then(|(mailbox, uid)| self.views.get(&mailbox)?.rows.find(uid));
        row.map_or(0, |row| row.modseq.bits())
    }

    /// Expunges those entries that are in the mailbox and carry \Deleted.
    pub(crate) fn expunge(&mut self, writer: &mut Writer, mailbox: MailboxId, entries: &[EntryId]) {
        let mut groups = Groups::new();
        for entry in entries {
            if let Some((moved, deleted)) = self.expungeable(entry, mailbox)
                && let Some(deleted) = deleted
            {
                groups.add(*entry, (moved, Some(deleted)));
            }
        }
        self.write_expunges(writer, groups);
    }

    /// Expunges entries of the mailbox whatever flags they carry.
    pub(crate) fn remove(&mut self, writer: &mut Writer, mailbox: MailboxId, entries: &[EntryId]) {
        let mut groups = Groups::new();
        for entry in entries {
            if let Some((moved, _)) = self.expungeable(entry, mailbox) {
                groups.add(*entry, (moved, None));
            }
        }
        self.write_expunges(writer, groups);
    }

    /// The stamps of the move and of the \Deleted that an expunge of the entry goes by.
    fn expungeable(&self, entry: &EntryId, mailbox: MailboxId) -> Option<(Stamp, Option<Stamp>)> {
        if self.target(entry) != Some(mailbox) {
            return None;
        }
        let state = self.effective(entry)?;
        let deleted = state.has(&Flag::Deleted).then(|| state.flag_stamp(&Flag::Deleted)).flatten();
        Some((state.mailbox()?.stamp, deleted))
    }

    fn write_expunges(&mut self, writer: &mut Writer, groups: Groups<(Stamp, Option<Stamp>)>) {
        for (segment, (moved, deleted), entries) in groups.into_sets() {
            let document = DocumentId::Segment(self.id(), segment);
            self.write(writer, document, Operation::Expunge { entries, moved, deleted });
        }
    }

    /// Copies those entries that are in the mailbox: same content, flags and dates, new entries.
    pub(crate) fn copy(
        &mut self,
        writer: &mut Writer,
        from: MailboxId,
        entries: &[EntryId],
        to: MailboxId,
    ) -> Relocated {
        let MessageCopies { copies, gone } = self.copies(from, entries);
        let mut relocated = Relocated { gone, ..Relocated::default() };
        for copy in copies {
            relocated.pairs.push((copy.of, self.add_copy(writer, to, copy)));
        }
        relocated
    }

    /// What copies of those entries that are in the mailbox are made of.
    pub(crate) fn copies(&self, from: MailboxId, entries: &[EntryId]) -> MessageCopies {
        let mut copies = MessageCopies::default();
        for entry in entries {
            let here = self.target(entry) == Some(from);
            let state = here.then(|| self.effective(entry)).flatten();
            let Some((facts, flags)) = state.and_then(|state| Some((state.facts()?.clone(), state.flags())))
            else {
                copies.gone.push(*entry);
                continue;
            };
            let new = NewEntry {
                body: facts.body,
                size: facts.size,
                received: facts.received,
                flags: flags.iter().cloned().collect(),
                email: Some(facts.email),
                delivery: None,
            };
            copies.copies.push(MessageCopy { of: *entry, new, absent: !self.has_body(entry) });
        }
        copies
    }

    /// Takes in a copy, which may be of a message of another account.
    pub(crate) fn add_copy(&mut self, writer: &mut Writer, to: MailboxId, copy: MessageCopy) -> EntryId {
        let entry = self.add(writer, to, copy.new);
        if copy.absent {
            self.body_missing(entry);
        }
        entry
    }

    /// Takes in a message that is being moved here from another account. What two nodes move at the same time is one
    /// message, as what an MTA delivers to two nodes; and a move that was broken off goes on with the copy that it left.
    pub(crate) fn add_moved(&mut self, writer: &mut Writer, to: MailboxId, mut copy: MessageCopy) -> EntryId {
        let key = DeliveryKey::of_move(self.id(), copy.of);
        match self.delivered(&key, Timestamp::ZERO) {
            Some(moved) if self.target(&moved) == Some(to) => return moved,
            // The copy was moved on or expunged: this is another message than that one.
            Some(_) => {}
            None => copy.new.delivery = Some(key),
        }
        self.add_copy(writer, to, copy)
    }

    /// Moves those entries that are in the mailbox. Two concurrent moves leave one message, where the later put it.
    pub(crate) fn move_entries(
        &mut self,
        writer: &mut Writer,
        from: MailboxId,
        entries: &[EntryId],
        to: MailboxId,
    ) -> Relocated {
        if from == to || leaves_out(LeftOut::MoveIsARegister) {
            let relocated = self.copy(writer, from, entries, to);
            let originals: Vec<EntryId> = relocated.pairs.iter().map(|(original, _)| *original).collect();
            self.remove(writer, from, &originals);
            return relocated;
        }
        let mut relocated = Relocated::default();
        let mut groups = Groups::new();
        for entry in entries {
            if self.target(entry) == Some(from) {
                relocated.pairs.push((*entry, *entry));
                groups.add(*entry, ());
            } else {
                relocated.gone.push(*entry);
            }
        }
        for (segment, (), entries) in groups.into_sets() {
            let document = DocumentId::Segment(self.id(), segment);
            self.write(writer, document, Operation::Move { entries, to });
        }
        relocated
    }

    /// The live entries of a mailbox, shown or not, in the order of their acceptance.
    pub(crate) fn live_entries(&self, mailbox: MailboxId) -> Vec<EntryId> {
        let mut entries: Vec<EntryId> =
            self.live_in.keys().filter(|entry| self.target(entry) == Some(mailbox)).copied().collect();
        entries.sort_by_key(|entry| (self.added(entry), *entry));
        entries
    }
}

/// As many flags as a message may have, each once, system flags first.
fn bounded(flags: Vec<Flag>) -> Vec<Flag> {
    let flags: FlagSet = flags.into_iter().collect();
    flags.iter().take(MOST_FLAGS).cloned().collect()
}

/// Which flags have to be written so that the entry carries what STORE asks for. What is so already is not written again.
fn difference(state: &EntryState, change: FlagChange, flags: &[Flag]) -> (Vec<Flag>, Vec<Flag>) {
    let unset = || flags.iter().filter(|flag| !state.has(flag)).cloned().collect::<Vec<_>>();
    let within = match change {
        FlagChange::ReplaceWithin(rights) => rights,
        _ => Rights::ALL,
    };
    let (mut set, mut clear) = match change {
        FlagChange::Add => (unset(), vec![]),
        FlagChange::Remove => (vec![], flags.iter().filter(|flag| state.has(flag)).cloned().collect()),
        FlagChange::Replace | FlagChange::ReplaceWithin(_) => {
            (unset(), state.flags().iter().filter(|flag| !flags.contains(flag)).cloned().collect())
        }
    };
    if leaves_out(LeftOut::FlagByFlag) {
        let system = [Flag::Answered, Flag::Deleted, Flag::Draft, Flag::Flagged, Flag::Seen];
        set.extend(state.flags().iter().filter(|flag| !clear.contains(flag)).cloned());
        clear.extend(system.into_iter().filter(|flag| !set.contains(flag)));
    }
    set.retain(|flag| within.contain(flag.right()));
    clear.retain(|flag| within.contain(flag.right()));
    set.sort();
    set.dedup();
    clear.sort();
    clear.dedup();
    (set, clear)
}
