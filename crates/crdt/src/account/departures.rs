//! UIDs that no longer name anything, shown here or not: each is reported as expunged under a fresh MODSEQ, when the batch
//! is settled. A client that comes from another node knows UIDs that this one never showed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Account;
use crate::fold::entry::Placement;
use crate::identity::{EntryId, MailboxId, Uid, Validity};
use crate::left_out::{LeftOut, leaves_out};
use crate::view::MailboxView;
use crate::writer::Writer;

/// What a batch did to UIDs of epochs that are shown here.
///
/// Of other epochs nothing is noted: what an epoch forgot before this node began to show it lies below the floor of its
/// view.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Departures {
    /// Where entries were placed, and what they were placed at before.
    placed: Vec<(MailboxId, EntryId, Placement)>,
    /// What names nothing any more. One that is still visible vanishes as it is hidden.
    gone: BTreeSet<(MailboxId, Validity, Uid)>,
}

impl Departures {
    /// A UID is hidden, and thereby noted already.
    pub(super) fn forget(&mut self, mailbox: MailboxId, validity: Validity, uid: Uid) {
        self.gone.remove(&(mailbox, validity, uid));
    }
}

impl Account {
    /// Folds the placement of one entry.
    pub(super) fn fold_placement(&mut self, entry: EntryId, mailbox: MailboxId, placement: Placement) {
        let validity = placement.validity;
        let shown = self.views.get(&mailbox).is_some_and(|view| view.validity == Some(validity));
        let state = self.entry_mut(entry);
        let before = state.placement(mailbox, validity);
        state.place(mailbox, placement);
        if leaves_out(LeftOut::CopiesAreEntries) {
            self.place_copies(entry, mailbox, placement);
        }
        if shown {
            let before = before.map(|uid| Placement { validity, uid });
            let placed = before.into_iter().chain([placement]);
            self.departures.placed.extend(placed.map(|placement| (mailbox, entry, placement)));
        }
    }

    /// What a placement by EMAILID would do.
    fn place_copies(&mut self, entry: EntryId, mailbox: MailboxId, placement: Placement) {
        let email = |entry: &EntryId| self.state(entry)?.facts().map(|facts| facts.email);
        let is_copy = |other: &EntryId| email(other).is_some() && email(other) == email(&entry);
        let copies: Vec<EntryId> = self.all_entries().into_iter().filter(is_copy).collect();
        copies.into_iter().for_each(|copy| self.entry_mut(copy).place(mailbox, placement));
    }

    /// Finds out which of the UIDs that were placed in this batch name nothing: superseded ones, whatever came first, and
    /// those of entries that were gone before it was known where they had been.
    pub(super) fn find_superseded(&mut self) {
        for (mailbox, entry, Placement { validity, uid }) in std::mem::take(&mut self.departures.placed) {
            let top = self.mailbox_state(&mailbox).map_or(uid, |state| state.top(validity));
            let lower = |view: &MailboxView| view.validity == Some(validity) && view.highest_placed < top;
            if self.views.get(&mailbox).is_some_and(lower) {
                self.view_mut(mailbox).highest_placed = top;
            }
            let stands =
                self.current_uid(&entry, mailbox) == Some(uid) && self.target(&entry) == Some(mailbox);
            if !stands && !leaves_out(LeftOut::SupersededVanish) {
                self.departures.gone.insert((mailbox, validity, uid));
            }
        }
    }

    /// Takes note that an entry leaves a mailbox in which it waited to be shown.
    pub(super) fn leave_unshown(&mut self, entry: &EntryId, mailbox: MailboxId) {
        let validity = self.epoch(mailbox).map(|epoch| epoch.validity);
        if let (Some(validity), Some(uid)) = (validity, self.current_uid(entry, mailbox)) {
            self.departures.gone.insert((mailbox, validity, uid));
        }
    }

    /// Reports what names nothing any more.
    pub(super) fn vanish_departed(&mut self, writer: &mut Writer) {
        for (mailbox, validity, uid) in std::mem::take(&mut self.departures.gone) {
            let invisible = self
                .views
                .get(&mailbox)
                .is_some_and(|view| view.validity == Some(validity) && view.rows.find(uid).is_none());
            if invisible {
                self.vanish(writer, mailbox, uid);
            }
        }
    }

    /// Remembers that a UID of the epoch that is shown names nothing any more.
    pub(crate) fn vanish(&mut self, writer: &mut Writer, mailbox: MailboxId, uid: Uid) {
        let modseq = writer.tick();
        let view = self.view_mut(mailbox);
        view.highest_modseq = modseq;
        let vanished = Arc::make_mut(&mut view.vanished);
        let forgot = vanished.note(modseq, uid);
        let (validity, floor) = (view.validity, vanished.floor());
        self.dirty.vanish(mailbox, modseq, uid, forgot.then_some(floor));
        if let Some(validity) = validity {
            self.departures.forget(mailbox, validity, uid);
        }
    }
}
