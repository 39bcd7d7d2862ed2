//! After a batch of operations: what this node shows follows what was folded.
//!
//! Departures and flags become visible at once, each with a MODSEQ of its own (stamped at visibility, not when the operation
//! was written). What arrives waits for [`Account::admit`].

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use super::events::{BumpReason, Event};
use super::{Account, Pending};
use crate::clock::{Millis, Stamp};
use crate::fold::mailbox::{MailboxState, Resolution};
use crate::identity::{EntryId, Incarnation, MailboxId, Uid};
use crate::vector::Sequence;
use crate::writer::Writer;

impl Account {
    /// Brings views up to date with what was folded since the last call.
    pub(crate) fn settle(&mut self, writer: &mut Writer) {
        self.touch_twins();
        self.recount();
        if std::mem::take(&mut self.mailboxes_changed) {
            self.resolve(writer);
        }
        self.find_superseded();
        for entry in std::mem::take(&mut self.touched) {
            self.reconcile(writer, entry);
        }
        self.rewritten.clear();
        self.vanish_departed(writer);
    }

    /// Derives everything from what was loaded.
    pub(super) fn reindex(&mut self, now: Millis) {
        self.touched = self.all_entries().into_iter().collect();
        self.recount();
        self.resolution = self.resolution_now();
        for entry in std::mem::take(&mut self.touched) {
            if let Some(target) = self.target(&entry) {
                self.await_admission(entry, target, now, None);
            }
        }
        self.rewritten.clear();
        self.mailboxes_changed = false;
    }

    /// What happens to one of several entries of a delivery concerns the one that is shown.
    fn touch_twins(&mut self) {
        let keys: BTreeSet<_> =
            self.touched.iter().filter_map(|entry| self.state(entry)?.delivery()).collect();
        let more: Vec<EntryId> = keys
            .iter()
            .filter_map(|key| self.twins.get(key))
            .filter(|twins| twins.len() > 1)
            .flatten()
            .copied()
            .collect();
        self.touched.extend(more);
    }

    /// Counts live entries by mailbox anew where touched entries may have changed it: a deleted mailbox is there while it holds mail.
    fn recount(&mut self) {
        let removed = self.reset();
        let is_gone = |state: &MailboxState| !state.exists(removed);
        for entry in &self.touched {
            let live = self.effective(entry).filter(|state| state.is_live() && !self.is_removed(state));
            let now = live.and_then(|state| state.mailbox()).map(|mailbox| mailbox.value);
            let size = self.counted_size(entry);
            let counted = match size {
                Some(size) => self.counted.insert(*entry, size),
                None => self.counted.remove(entry),
            };
            self.usage = self.usage.with(counted, size);
            let before = match now {
                Some(mailbox) => self.live_in.insert(*entry, mailbox),
                None => self.live_in.remove(entry),
            };
            if before == now {
                continue;
            }
            if let Some(mailbox) = before {
                let count = self.live.entry(mailbox).or_default();
                *count = count.saturating_sub(1);
                self.mailboxes_changed |= *count == 0 && self.mailboxes.get(&mailbox).is_some_and(is_gone);
            }
            if let Some(mailbox) = now {
                let count = self.live.entry(mailbox).or_default();
                *count += 1;
                self.mailboxes_changed |= *count == 1 && self.mailboxes.get(&mailbox).is_some_and(is_gone);
            }
        }
    }

    fn resolution_now(&self) -> Resolution {
        let holds_mail = |mailbox| self.live.get(&mailbox).is_some_and(|count| *count > 0);
        Resolution::new(&self.mailboxes, self.reset(), holds_mail)
    }

    /// What happened to mailboxes up to then no longer counts: the account was removed and added again. One that was only removed
    /// keeps its names, so that operators can ask what became of its mail.
    fn reset(&self) -> Option<Stamp> {
        self.head.removed.filter(|_| self.head.exists())
    }

    /// Resolves names and identities anew; entries of mailboxes that are other ones now are looked at again.
    fn resolve(&mut self, writer: &mut Writer) {
        let new = self.resolution_now();
        let old = std::mem::replace(&mut self.resolution, new);
        self.dirty.listing = true;
        let mut moved: BTreeSet<MailboxId> = BTreeSet::new();
        let identities: Vec<MailboxId> = self.mailboxes.keys().copied().collect();
        for identity in identities {
            let before = old.of(identity).map(|unit| unit.public);
            let now = self.resolution.of(identity).map(|unit| unit.public);
            let epoch = self.epoch(identity).map(|epoch| epoch.validity);
            let shown = self.views.get(&identity).and_then(|view| view.validity);
            let is_public = now == Some(identity);
            if is_public && epoch.is_some() && shown != epoch && shown.is_some() {
                self.begin_current_epoch(writer, identity);
                moved.insert(identity);
            }
            if before != now {
                moved.insert(identity);
            }
            if self.views.contains_key(&identity) {
                if is_public {
                    self.revive(identity);
                } else {
                    self.retire(writer, identity);
                }
            }
        }
        if moved.is_empty() {
            return;
        }
        let concerned = |entry: &EntryId| {
            let mailbox = self.live_in.get(entry);
            mailbox.is_some_and(|mailbox| {
                moved.contains(mailbox)
                    || self.unit(*mailbox).is_some_and(|unit| moved.contains(&unit.public))
            })
        };
        let again: Vec<EntryId> = self.live_in.keys().filter(|entry| concerned(entry)).copied().collect();
        self.touched.extend(again);
    }

    /// The view of an identity under which no mailbox is known any more: its clients are told, its rows are void.
    fn retire(&mut self, writer: &mut Writer, identity: MailboxId) {
        if self.views.get(&identity).is_some_and(|view| view.deleted) {
            return;
        }
        let successor = self.unit(identity).map(|unit| unit.public);
        let from = self.views.get(&identity).and_then(|view| view.validity);
        let to = successor.and_then(|public| self.epoch(public)).map(|epoch| epoch.validity);
        if let (Some(mailbox), Some(from), Some(to)) = (successor, from, to) {
            self.events.push(Event::Bumped { mailbox, from, to, reason: BumpReason::BornTwice });
        }
        let shown: Vec<Uid> =
            self.views.get(&identity).map_or(vec![], |view| view.rows.iter().map(|row| row.uid).collect());
        for uid in shown {
            self.hide(writer, identity, uid);
        }
        self.end_view(identity);
        for entry in self.pending.remove(&identity).unwrap_or_default().into_keys() {
            self.leave_unshown(&entry, identity);
            self.pending_in.remove(&entry);
        }
        self.deadlines.remove(&identity);
    }

    /// A mailbox that was deleted is there again, because mail came in that the deletion had not heard of.
    fn revive(&mut self, identity: MailboxId) {
        if self.views.get(&identity).is_some_and(|view| view.deleted) {
            self.view_mut(identity).deleted = false;
        }
    }

    /// The mailbox is shown in its current epoch from now on.
    pub(crate) fn begin_current_epoch(&mut self, writer: &mut Writer, mailbox: MailboxId) {
        if let Some(validity) = self.epoch(mailbox).map(|epoch| epoch.validity) {
            self.begin_epoch(writer, mailbox, validity);
        }
        self.view_mut(mailbox).deleted = false;
    }

    /// Brings what is shown of one entry up to date.
    fn reconcile(&mut self, writer: &mut Writer, entry: EntryId) {
        let target = self.target(&entry);
        if let Some(mailbox) = self.pending_in.get(&entry).copied().filter(|mailbox| Some(*mailbox) != target)
        {
            self.leave_unshown(&entry, mailbox);
        }
        if let Some((mailbox, uid)) = self.shown_at(&entry) {
            if target == Some(mailbox) {
                self.refresh_flags(writer, mailbox, entry, uid);
            } else {
                self.hide(writer, mailbox, uid);
                self.events.push(Event::Gone { mailbox, entry, uid, moved: target.is_some() });
            }
        }
        self.forget_pending(&entry, target);
        if let Some(target) = target {
            let causes = self.causes(writer);
            self.await_admission(entry, target, writer.now(), Some(causes));
        }
    }

    fn forget_pending(&mut self, entry: &EntryId, target: Option<MailboxId>) {
        let Some(mailbox) = self.pending_in.get(entry).copied().filter(|mailbox| Some(*mailbox) != target)
        else {
            return;
        };
        self.pending_in.remove(entry);
        if let Some(entries) = self.pending.get_mut(&mailbox) {
            entries.remove(entry);
            if entries.is_empty() {
                self.pending.remove(&mailbox);
                if self.told_waiting.remove(&mailbox) {
                    // What was told then stands for more now, also where nothing became visible.
                    self.tell_again(mailbox);
                }
            }
        }
    }

    /// The first records whose effects are being brought up to date: those of the delta that is taken in, or own ones.
    pub(crate) fn causes(&self, writer: &Writer) -> Vec<(Incarnation, Sequence)> {
        match self.arriving.as_slice() {
            [] => vec![writer.next_record()],
            arriving => arriving.to_vec(),
        }
    }

    /// Puts an entry that is not shown as it should be with those that wait; takes out one that is. `None` for causes says
    /// that they are not known.
    pub(crate) fn await_admission(
        &mut self,
        entry: EntryId,
        mailbox: MailboxId,
        now: Millis,
        causes: Option<Vec<(Incarnation, Sequence)>>,
    ) {
        let uid = self.current_uid(&entry, mailbox);
        let in_order = uid.is_some_and(|uid| self.shown_at(&entry) == Some((mailbox, uid)))
            && !self.is_held(&entry, mailbox);
        if in_order {
            return self.forget_pending(&entry, None);
        }
        self.forget_pending(&entry, Some(mailbox));
        self.pending_in.insert(entry, mailbox);
        self.dirty.waiting.insert(mailbox);
        match self.pending.entry(mailbox).or_default().entry(entry) {
            Entry::Vacant(place) => drop(place.insert(Pending::new(now, uid, causes))),
            Entry::Occupied(mut place) => {
                place.get_mut().set_uid(uid, now);
                place.get_mut().add(&causes.unwrap_or_default());
            }
        }
    }

    /// After a start: views of mailboxes that are no longer there, or go by another identity.
    pub(super) fn end_former_views(&mut self) {
        let resolution = &self.resolution;
        for (identity, view) in &mut self.views {
            view.deleted = resolution.of(*identity).is_none_or(|unit| unit.public != *identity);
        }
    }

    pub(crate) fn set_shown_at(&mut self, entry: EntryId, mailbox: MailboxId, uid: Uid) {
        self.shown_at.insert(entry, (mailbox, uid));
    }

    pub(crate) fn forget_shown_at(&mut self, entry: &EntryId) {
        self.shown_at.remove(entry);
    }

    // --- bodies ---

    /// The body of an entry is not here yet.
    pub(crate) fn body_missing(&mut self, entry: EntryId) {
        if self.absent.insert(entry) {
            self.dirty.absent.insert(entry, true);
        }
    }

    /// The body of an entry is here: it can be shown.
    pub(crate) fn body_arrived(&mut self, entry: EntryId) {
        if self.absent.remove(&entry) {
            self.dirty.absent.insert(entry, false);
            self.touched.insert(entry);
        }
    }

    /// Entries that came in this batch without their bodies.
    pub fn newly_absent(&self) -> impl Iterator<Item = &EntryId> {
        self.dirty.absent.iter().filter(|(_, absent)| **absent).map(|(entry, _)| entry)
    }

    pub(crate) fn has_body(&self, entry: &EntryId) -> bool {
        !self.absent.contains(entry)
    }
}
