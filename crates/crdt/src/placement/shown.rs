//! What a node has shown and announced: primary data, durable before any client sees it (rule 1).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::account::events::{BumpReason, Event};
use crate::clock::Timestamp;
use crate::identity::{EntryId, MailboxId, Uid, Validity};
use crate::left_out::{LeftOut, leaves_out};
use crate::modseq::ForeignValues;
use crate::operation::FoundingReason;
use crate::placement::reach::Reach;
use crate::view::vanished::Vanished;
use crate::view::{MailboxView, Row, Rows};
use crate::writer::Writer;

/// A row as it is kept on disk; flags and facts are the entry's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowImage {
    /// The UID.
    pub uid: Uid,
    /// The message.
    pub entry: EntryId,
    /// When its last visible change became visible.
    pub modseq: Timestamp,
}

/// What is kept on disk of what a node shows of a mailbox, beside the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownHead {
    /// The epoch.
    pub validity: Option<Validity>,
    /// UIDNEXT.
    pub announced: Uid,
    /// HIGHESTMODSEQ.
    pub highest_modseq: Timestamp,
    /// Up to which MODSEQ vanished UIDs are forgotten.
    pub vanished_floor: Timestamp,
    /// Leaps, and own placements of the last days.
    pub reach: Reach,
}

/// All that is kept on disk of what a node shows of a mailbox.
#[derive(Clone, Debug)]
pub struct ShownImage {
    /// The mailbox, by its public identity.
    pub mailbox: MailboxId,
    /// Epoch and announcements.
    pub head: ShownHead,
    /// Rows in ascending order of UID.
    pub rows: Vec<RowImage>,
    /// Vanished UIDs with their MODSEQs, in ascending order of MODSEQ.
    pub vanished: Vec<(Timestamp, Uid)>,
}

impl Account {
    /// Builds the views again after a start.
    pub(crate) fn restore_views(&mut self, shown: Vec<ShownImage>) {
        for image in shown {
            let mut view = MailboxView::unseen(self.id(), image.mailbox);
            view.validity = image.head.validity;
            view.object = self.object_of(image.mailbox, image.head.validity);
            view.uid_next = image.head.announced;
            view.highest_modseq = image.head.highest_modseq;
            view.highest_placed = self.highest_placed(image.mailbox, image.head.validity);
            view.vanished = Arc::new(Vanished::restore(image.head.vanished_floor, image.vanished));
            self.reaches.insert(image.mailbox, image.head.reach);
            for row in image.rows {
                let Some(state) = self.effective(&row.entry) else { continue };
                let Some(facts) = state.facts().cloned() else { continue };
                let flags = Arc::new(state.flags());
                let saved = state.saved().unwrap_or_default();
                view.rows.push(Row { uid: row.uid, modseq: row.modseq, flags, saved, facts });
                self.set_shown_at(row.entry, image.mailbox, row.uid);
            }
            if leaves_out(LeftOut::AnnouncedIsKept) {
                view.uid_next = view.rows.iter().last().map_or(Uid::FIRST, |row| row.uid.next());
            }
            self.views.insert(image.mailbox, view);
        }
    }

    /// Makes an entry visible at a UID. Whoever saw it under a lower one sees that one expunged.
    ///
    /// # Panics
    ///
    /// If the UID lies below an announced UIDNEXT (invariant U2).
    pub(crate) fn show(&mut self, writer: &mut Writer, mailbox: MailboxId, entry: EntryId, uid: Uid) {
        let before = self.shown_at(&entry);
        if let Some((old_mailbox, old_uid)) = before
            && !leaves_out(LeftOut::OldUidGoes)
        {
            self.hide(writer, old_mailbox, old_uid);
        }
        let Some(state) = self.effective(&entry) else { return };
        let Some(facts) = state.facts().cloned() else { return };
        let flags = Arc::new(state.flags());
        let saved = state.saved().unwrap_or_default();
        let accepted = facts.added.timestamp;
        let modseq = if leaves_out(LeftOut::StampWhenVisible) { accepted } else { writer.tick() };
        let view = self.view_mut(mailbox);
        assert!(
            uid >= view.uid_next,
            "U2: UID {uid} would be shown below the announced UIDNEXT {}",
            view.uid_next
        );
        view.uid_next = uid.next();
        view.highest_modseq = modseq.max(view.highest_modseq);
        view.rows.push(Row { uid, modseq, flags, saved, facts });
        self.set_shown_at(entry, mailbox, uid);
        self.dirty.row(mailbox, uid);
        self.events.push(match before {
            Some((_, from)) => Event::Reissued { mailbox, entry, from, to: uid },
            None => Event::Shown { mailbox, entry, uid },
        });
    }

    /// Takes a visible message out of the view.
    pub(crate) fn hide(&mut self, writer: &mut Writer, mailbox: MailboxId, uid: Uid) {
        if let Some(row) = self.view_mut(mailbox).rows.remove(uid) {
            self.vanish(writer, mailbox, uid);
            self.forget_shown_at(&row.facts.entry);
            self.dirty.row(mailbox, uid);
        }
    }

    /// Brings the flags of a visible message up to date.
    ///
    /// One whose flags were written and are what they were has a fresh MODSEQ as well: at the node that wrote them they were others
    /// in between, and a client may come from there (RFC 7162).
    pub(crate) fn refresh_flags(
        &mut self,
        writer: &mut Writer,
        mailbox: MailboxId,
        entry: EntryId,
        uid: Uid,
    ) {
        let Some(state) = self.effective(&entry) else { return };
        let (flags, saved) = (state.flags(), state.saved());
        let Some(row) = self.views.get(&mailbox).and_then(|view| view.rows.find(uid)) else { return };
        if let Some(saved) = saved.filter(|saved| *saved != row.saved) {
            // Two nodes moved it here while they were apart. No MODSEQ tells of that: it is neither flag nor message.
            self.view_mut(mailbox).rows.update(uid, |row| row.saved = saved);
        }
        let Some(row) = self.views.get(&mailbox).and_then(|view| view.rows.find(uid)) else { return };
        let changed = *row.flags != flags;
        if !changed && (!self.is_rewritten(&entry) || leaves_out(LeftOut::EveryWriteStamps)) {
            return;
        }
        let modseq = writer.tick();
        let view = self.view_mut(mailbox);
        view.rows.update(uid, |row| {
            if changed {
                row.flags = Arc::new(flags);
            }
            row.modseq = modseq;
        });
        view.highest_modseq = modseq;
        self.dirty.row(mailbox, uid);
        if changed {
            self.events.push(Event::Flagged { mailbox, entry, uid });
        }
    }

    /// Begins a view of the mailbox's current epoch; what was visible of an older one is void.
    pub(crate) fn begin_epoch(&mut self, writer: &mut Writer, mailbox: MailboxId, validity: Validity) {
        let modseq = writer.tick();
        let highest_placed = self.highest_placed(mailbox, Some(validity));
        let object = self.object_of(mailbox, Some(validity));
        let view = self.view_mut(mailbox);
        view.object = object;
        let before = view.validity.replace(validity);
        view.uid_next = Uid::FIRST;
        view.highest_modseq = modseq;
        view.highest_placed = highest_placed;
        view.vanished = Arc::new(Vanished::since(modseq));
        view.foreign = ForeignValues::default();
        let rows = std::mem::take(&mut view.rows);
        for row in rows.iter() {
            self.forget_shown_at(&row.facts.entry);
        }
        self.dirty.clear(mailbox);
        self.own_values.remove(&mailbox);
        self.ordered.remove(&mailbox);
        self.reaches.insert(mailbox, Reach::default());
        if let Some(from) = before {
            let founded = self.epoch(mailbox).filter(|epoch| epoch.validity == validity);
            let reason = match founded.map(|epoch| epoch.reason) {
                // A first epoch takes the place of another one where two sides founded one each.
                None | Some(FoundingReason::First) => BumpReason::BornTwice,
                Some(reason) => BumpReason::Founded(reason),
            };
            self.events.push(Event::Bumped { mailbox, from, to: validity, reason });
        }
    }

    /// MAILBOXID of a mailbox in an epoch.
    fn object_of(&self, mailbox: MailboxId, validity: Option<Validity>) -> MailboxId {
        let epoch = self.epoch(mailbox).filter(|epoch| Some(epoch.validity) == validity);
        match epoch.map(|epoch| epoch.reason) {
            None | Some(FoundingReason::First) => mailbox,
            Some(_) if leaves_out(LeftOut::NewObject) => mailbox,
            Some(_) => validity.map_or(mailbox, |validity| MailboxId::of_epoch(mailbox, validity)),
        }
    }

    /// The highest UID known to be placed in an epoch.
    fn highest_placed(&self, mailbox: MailboxId, validity: Option<Validity>) -> Uid {
        let state = self.mailbox_state(&mailbox);
        state.zip(validity).map_or(Uid(0), |(state, validity)| state.top(validity))
    }

    /// The view of a mailbox that is no longer there, or goes by another identity: sessions that have it open end.
    pub(crate) fn end_view(&mut self, mailbox: MailboxId) {
        self.view_mut(mailbox).deleted = true;
        self.dirty.shown.entry(mailbox).or_default();
    }

    /// The view of a mailbox, to be changed; its head is written with the batch.
    pub(crate) fn view_mut(&mut self, mailbox: MailboxId) -> &mut MailboxView {
        self.dirty.shown.entry(mailbox).or_default();
        let account = self.id();
        self.views.entry(mailbox).or_insert_with(|| MailboxView::unseen(account, mailbox))
    }
}

/// The rows of one chunk of UIDs, as they are kept on disk.
pub fn row_images(rows: &Rows, chunk: u32) -> Vec<RowImage> {
    let first = Uid(chunk * crate::account::dirty::ROW_CHUNK);
    let end = Uid(first.0.saturating_add(crate::account::dirty::ROW_CHUNK));
    let image = |row: &Row| RowImage { uid: row.uid, entry: row.facts.entry, modseq: row.modseq };
    rows.from(first).take_while(|row| row.uid < end).map(image).collect()
}
