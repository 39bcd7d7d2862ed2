//! Operations, in whatever order they come, become the state of the account.

use super::events::Event;
use super::{Account, AccountHead};
use crate::clock::Stamp;
use crate::flag::Flag;
use crate::fold::entry::{EntryState, Placement};
use crate::fold::mailbox::{Epoch, MailboxState};
use crate::fold::register::Latest;
use crate::identity::{EntryId, MailboxId, NodeSlot, SegmentId, Uid, Validity};
use crate::left_out::{LeftOut, leaves_out};
use crate::operation::{
    DocumentId, FoundedRun, FoundingReason, IndexSet, Operation, PlacedRun, SEGMENT_ENTRIES,
};
use crate::placement::blocks::Dealing;
use crate::writer::Writer;

impl Account {
    /// Writes an operation: stamps it, folds it, and leaves it with the writer.
    pub(crate) fn write(&mut self, writer: &mut Writer, document: DocumentId, operation: Operation) -> Stamp {
        debug_assert_eq!(operation.check(&document), Ok(()), "every peer would refuse {operation:?}");
        let stamp = writer.write(document, operation.clone());
        self.fold(stamp, &document, &operation);
        stamp
    }

    /// Takes an operation in, in whatever order it comes. What becomes visible is decided by [`Account::settle`].
    pub(crate) fn fold(&mut self, stamp: Stamp, document: &DocumentId, operation: &Operation) {
        match (document, operation) {
            (DocumentId::Account(_), operation) => self.fold_account(stamp, operation),
            (
                DocumentId::Mailbox(_, mailbox),
                Operation::Found { validity, reason, name, members, numbering },
            ) => {
                self.remember_validity(name, Some(*validity));
                if leaves_out(LeftOut::GreaterBumpWins)
                    && let Some(known) = self.epoch(*mailbox).cloned()
                    && known.by.timestamp.slot() != stamp.timestamp.slot()
                {
                    self.remember_validity(name, Some(Validity(known.validity.max(*validity).0 + 1)));
                }
                self.fold_founding((stamp, *mailbox), (*validity, *reason), members.clone(), numbering);
            }
            (DocumentId::Segment(_, segment), operation) => self.fold_entries(stamp, *segment, operation),
            _ => {}
        }
    }

    fn fold_account(&mut self, stamp: Stamp, operation: &Operation) {
        self.dirty.head = true;
        match operation {
            Operation::CreateAccount { name, mailboxes } => {
                self.head.created = self.head.created.max(Some(stamp));
                write_latest(&mut self.head.name, stamp, name);
                for mailbox in mailboxes {
                    let id = MailboxId::of_default(self.id, &mailbox.name);
                    self.mailbox_mut(id).create(stamp, &mailbox.name, mailbox.special_use.as_deref());
                }
                self.mailboxes_changed = true;
            }
            Operation::SetQuota(quota) => match &mut self.head.quota {
                Some(register) => drop(register.write(stamp, *quota)),
                None => self.head.quota = Some(Latest { stamp, value: *quota }),
            },
            Operation::SetPassword(hash) => write_latest(&mut self.head.password, stamp, hash),
            Operation::AddAppPassword(new) => self.head.app_passwords.add(stamp, new),
            Operation::RemoveAppPassword(id) => self.head.app_passwords.remove(*id),
            Operation::RemoveAccount => {
                self.head.removed = self.head.removed.max(Some(stamp));
                self.head.annotations.forget(self.head.removed);
                self.head.rights.forget(self.head.removed);
                self.mailboxes_changed = true;
                // Its mail is no longer to be seen on any node, and no longer counts as delivered.
                self.touched.extend(self.all_entries());
            }
            Operation::CreateMailbox { mailbox, name, special_use } => {
                self.mailbox_mut(*mailbox).create(stamp, name, special_use.as_deref());
                self.mailboxes_changed = true;
            }
            Operation::RenameMailbox { mailboxes, name, validity } => {
                for mailbox in mailboxes {
                    self.mailbox_mut(*mailbox).rename(stamp, name);
                }
                self.remember_validity(name, *validity);
                self.mailboxes_changed = true;
            }
            Operation::BearName { name, validity } => self.remember_validity(name, Some(*validity)),
            Operation::DeleteMailbox { mailbox } => {
                self.mailbox_mut(*mailbox).delete(stamp);
                self.mailboxes_changed = true;
            }
            Operation::Subscribe { name, subscribed } => match self.head.subscriptions.get_mut(name) {
                Some(register) => {
                    register.write(stamp, *subscribed);
                }
                None => {
                    self.head.subscriptions.insert(name.clone(), Latest { stamp, value: *subscribed });
                }
            },
            Operation::ChangeRights { mailbox, identifier, given, taken } => {
                let AccountHead { rights, removed, .. } = &mut self.head;
                if rights.write(*removed, stamp, (*mailbox, *identifier), (*given, *taken)) {
                    self.events.push(Event::RightsChanged { mailbox: *mailbox });
                }
                self.dirty.listing = true;
            }
            Operation::Annotate { mailbox, name, value } => {
                let AccountHead { annotations, removed, .. } = &mut self.head;
                annotations.write(*removed, stamp, (*mailbox, name), value);
                self.dirty.listing = true;
            }
            _ => {}
        }
    }

    fn fold_founding(
        &mut self,
        (by, mailbox): (Stamp, MailboxId),
        (validity, reason): (Validity, FoundingReason),
        members: Vec<NodeSlot>,
        runs: &[FoundedRun],
    ) {
        let mut uid = Uid(0);
        for run in runs {
            for index in run.index..run.index + run.count {
                uid = uid.next();
                let entry = EntryId { segment: run.segment, index };
                self.fold_placement(entry, mailbox, Placement { validity, uid });
            }
        }
        let epoch = Epoch { validity, reason, dealing: Dealing::new(members), founded: uid.0, by };
        self.mailbox_mut(mailbox).found(epoch);
        self.mailboxes_changed = true;
        self.head.greatest_validity = self.head.greatest_validity.max(Some(validity));
        self.dirty.head = true;
    }

    fn remember_validity(&mut self, name: &str, validity: Option<Validity>) {
        if let Some(validity) = validity {
            let known = self.head.validity_of_name.entry(name.to_owned()).or_insert(validity);
            *known = validity.max(*known);
            // The founding record that is meant may still be on its way; what is founded here must come to lie above it.
            self.head.greatest_validity = self.head.greatest_validity.max(Some(validity));
            self.dirty.head = true;
        }
    }

    fn fold_entries(&mut self, stamp: Stamp, segment: SegmentId, operation: &Operation) {
        match operation {
            Operation::Add(addition) => {
                let entry = EntryId { segment, index: addition.index };
                self.entry_mut(entry).add(stamp, entry, addition);
                self.index_twin(entry);
                if !addition.flags.is_empty() {
                    self.rewritten.insert(entry);
                }
            }
            Operation::ChangeFlags { entries, set, clear } => {
                for index in entries.iter() {
                    self.write_flags(stamp, EntryId { segment, index }, set, clear);
                }
            }
            Operation::Move { entries, to } => self.each(segment, entries, |state| state.move_to(stamp, *to)),
            Operation::Expunge { entries, moved, deleted } => {
                let comes_first = |state: &EntryState| state.facts().is_none();
                self.each(segment, entries, |state| {
                    if !(leaves_out(LeftOut::ExpungeComesFirst) && comes_first(state)) {
                        state.expunge(*moved, *deleted);
                    }
                });
            }
            Operation::Place { mailbox, validity, runs } => {
                for (index, uid) in runs.iter().flat_map(|run| run.iter()) {
                    let placement = Placement { validity: *validity, uid };
                    self.fold_placement(EntryId { segment, index }, *mailbox, placement);
                }
                if let Some(top) = runs.iter().map(|run| run.uid.0 + u32::from(run.count) - 1).max() {
                    self.mailbox_mut(*mailbox).raise_top(*validity, Uid(top));
                }
            }
            Operation::Hold { mailbox, validity, runs } => {
                self.each_placed(segment, runs, |state, uid| {
                    state.hold(*mailbox, Placement { validity: *validity, uid })
                });
            }
            _ => {}
        }
    }

    fn write_flags(&mut self, stamp: Stamp, entry: EntryId, set: &[Flag], clear: &[Flag]) {
        let state = self.entry_mut(entry);
        let set = set.iter().map(|flag| (flag, true));
        let written = set.chain(clear.iter().map(|flag| (flag, false)));
        if written.fold(false, |any, (flag, value)| state.write_flag(stamp, flag, value) | any) {
            self.rewritten.insert(entry);
        }
    }

    fn each(&mut self, segment: SegmentId, entries: &IndexSet, change: impl Fn(&mut EntryState)) {
        for index in entries.iter() {
            change(self.entry_mut(EntryId { segment, index }));
        }
    }

    fn each_placed(&mut self, segment: SegmentId, runs: &[PlacedRun], change: impl Fn(&mut EntryState, Uid)) {
        for (index, uid) in runs.iter().flat_map(|run| run.iter()) {
            change(self.entry_mut(EntryId { segment, index }), uid);
        }
    }

    /// The state of an entry, to be changed: it is looked at again when the batch is settled.
    pub(super) fn entry_mut(&mut self, entry: EntryId) -> &mut EntryState {
        debug_assert!(entry.index < SEGMENT_ENTRIES);
        self.touched.insert(entry);
        self.dirty.entry(entry);
        let entries = self.segments.entry(entry.segment).or_default();
        let index = usize::from(entry.index);
        if entries.len() <= index {
            entries.resize_with(index + 1, EntryState::default);
        }
        &mut entries[index]
    }

    fn mailbox_mut(&mut self, mailbox: MailboxId) -> &mut MailboxState {
        self.dirty.mailboxes.insert(mailbox);
        self.mailboxes.entry(mailbox).or_default()
    }

    /// Takes note of an entry's delivery; the others of the same delivery are looked at again.
    pub(super) fn index_twin(&mut self, entry: EntryId) {
        let Some(key) = self.state(&entry).and_then(EntryState::delivery) else {
            return;
        };
        let mut twins = self.twins.remove(&key).unwrap_or_default();
        if !twins.contains(&entry) {
            twins.push(entry);
            self.touched.extend(&twins);
            twins.sort_by_key(|twin| (self.added(twin), *twin));
        }
        self.twins.insert(key, twins);
    }
}

fn write_latest(register: &mut Option<Latest<String>>, stamp: Stamp, value: &str) {
    match register {
        Some(register) => {
            register.write(stamp, value.to_owned());
        }
        None => *register = Some(Latest { stamp, value: value.to_owned() }),
    }
}
