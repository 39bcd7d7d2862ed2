//! Rule 6: a node tells what it told clients, and adopts what the others told theirs.
//!
//! Without adoption UIDNEXT and HIGHESTMODSEQ would go backwards for a client that moves. A node first shows everything that an
//! announcement covers: adopting before would make late what is only about to be shown, and that would be reissued for ever.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::announcement::Announcement;
use super::surroundings::Surroundings;
use crate::account::{Account, Pending};
use crate::clock::Timestamp;
use crate::identity::{Incarnation, MailboxId, NodeSlot, Uid, Validity};
use crate::left_out::{LeftOut, leaves_out};
use crate::modseq::OwnValues;
use crate::vector::Vector;
use crate::view::MailboxView;
use crate::writer::Writer;

impl Account {
    /// Takes in what a peer announced; of several the newest counts. Tells whether it is new.
    pub(crate) fn hear(&mut self, announcement: Announcement) -> bool {
        let of_mailbox = self.heard.entry(announcement.mailbox).or_default();
        let known = of_mailbox.get(&announcement.slot());
        if known.is_some_and(|known| known.at >= announcement.at) {
            return false;
        }
        let (mailbox, slot) = (announcement.mailbox, announcement.slot());
        let fell = known.filter(|known| announcement.falls_behind(known)).cloned();
        of_mailbox.insert(slot, announcement);
        if let Some(fell) = fell {
            self.keep_fallen(fell);
        }
        self.learn_values(mailbox);
        true
    }

    /// The disk of who announced this was put back, and it tells less now. Clients that were told more come from there.
    fn keep_fallen(&mut self, fell: Announcement) {
        // If it was adopted here, nobody else tells of it any more.
        if self.told.get(&fell.mailbox) == Some(&fell.told()) && !leaves_out(LeftOut::AdoptedIsTold) {
            self.tell_again(fell.mailbox);
        }
        let of_mailbox = self.fallen.entry(fell.mailbox).or_default();
        let is_greatest = of_mailbox.get(&fell.slot()).is_none_or(|before| !fell.falls_behind(before));
        if is_greatest && !leaves_out(LeftOut::FallenIsKept) {
            of_mailbox.insert(fell.slot(), fell);
        }
    }

    /// Adopts what lives told that are lost, whether anybody looks or not: this node alone may still know of it.
    pub(crate) fn adopt_fallen(&mut self, writer: &mut Writer, surroundings: &Surroundings<'_>) {
        let mailboxes: Vec<MailboxId> = self.fallen.keys().copied().collect();
        mailboxes.into_iter().for_each(|mailbox| self.adopt(writer, surroundings, mailbox));
        let views = &self.views;
        self.fallen.retain(|mailbox, of_slots| {
            of_slots.retain(|_, fell| views.get(mailbox).is_none_or(|view| tells_more(fell, view)));
            !of_slots.is_empty()
        });
    }

    /// What was told of a mailbox has to be told again: a life that this disk has lost told more, and later, so that peers passed it
    /// over; or its author does not tell it any more; or it stands for more now.
    pub(crate) fn tell_again(&mut self, mailbox: MailboxId) {
        self.told.remove(&mailbox);
        self.unannounced.insert(mailbox);
    }

    /// Works out what the values of peers mean here: those at which nothing can have been visible there whose effects are not
    /// visible here. A client that brings any other may know messages under UIDs that are still on their way, and not those that
    /// are here.
    pub(crate) fn learn_values(&mut self, mailbox: MailboxId) {
        let Some(view) = self.views.get_mut(&mailbox) else { return };
        let pending = self.pending.get(&mailbox);
        let own = self.own_values.entry(mailbox).or_default();
        for announcement in self.heard.get(&mailbox).into_iter().flat_map(|heard| heard.values()) {
            if self.forked.contains(&announcement.slot()) {
                continue;
            }
            let (theirs, visible) = (announcement.modseq, &announcement.visible);
            let none = Vector::new();
            let beyond = if leaves_out(LeftOut::LearnedWithAll) { &none } else { &announcement.beyond };
            let by_author = theirs.slot() == announcement.slot();
            let of_epoch = view.validity == Some(announcement.validity);
            let mut waiting = pending.into_iter().flat_map(|entries| entries.values());
            let may_wait =
                |pending: &Pending| pending.may_be_effect_of(visible) || pending.may_be_effect_of(beyond);
            let all_here = self.touched_by.covers(visible) && self.touched_by.covers(beyond);
            if by_author
                && of_epoch
                && !view.foreign.knows(announcement.incarnation, theirs)
                && (leaves_out(LeftOut::LearnedWhenVisible) || all_here && !waiting.any(may_wait))
                && own.learn(&mut view.foreign, announcement.incarnation, theirs, visible)
            {
                self.dirty.foreign.insert(mailbox);
            }
        }
    }

    /// What peers announced of the epoch that this node shows of a mailbox, also in lives that are lost.
    fn heard_of(&self, mailbox: MailboxId) -> impl Iterator<Item = &Announcement> {
        let validity = self.views.get(&mailbox).and_then(|view| view.validity);
        let heard = self.heard.get(&mailbox).into_iter().chain(self.fallen.get(&mailbox));
        let announcements = heard.flat_map(|of_slots| of_slots.values());
        announcements.filter(move |announcement| Some(announcement.validity) == validity)
    }

    /// The greatest UIDNEXT that any peer is known to have announced in the current epoch.
    pub(crate) fn greatest_announced(&self, mailbox: MailboxId) -> Uid {
        self.heard_of(mailbox).map(|announcement| announcement.uid_next).max().unwrap_or(Uid::FIRST)
    }

    /// Whether a peer is known to have announced more than this node.
    pub(crate) fn is_behind(&self, mailbox: MailboxId) -> bool {
        let Some(view) = self.views.get(&mailbox) else { return false };
        self.heard_of(mailbox).any(|announcement| tells_more(announcement, view))
    }

    /// Adopts what peers announced, as far as everything that they had shown by then is shown or held here.
    pub(crate) fn adopt(&mut self, writer: &mut Writer, surroundings: &Surroundings<'_>, mailbox: MailboxId) {
        if !self.is_behind(mailbox) || leaves_out(LeftOut::Adoption) {
            return;
        }
        let announcements: Vec<Announcement> = self.heard_of(mailbox).cloned().collect();
        for announcement in announcements {
            // UIDs that lie below its UIDNEXT may have been given by any of these.
            let Announcement { visible, beyond, .. } = &announcement;
            let beyond = Some(beyond).filter(|_| visible.is_empty() || !leaves_out(LeftOut::BeyondIsMerged));
            let mut shown_there = std::iter::once(visible).chain(beyond);
            let merged = shown_there.clone().all(|records| surroundings.known.covers(records));
            let waits = shown_there.any(|records| self.is_about_to_show(writer, mailbox, records));
            let merged = merged || leaves_out(LeftOut::MergeBeforeAdopting);
            if !merged || waits && !leaves_out(LeftOut::ShowBeforeAdopting) {
                continue;
            }
            if announcement.uid_next > self.uid_next(mailbox) {
                self.view_mut(mailbox).uid_next = announcement.uid_next;
            }
            self.adopt_modseq(writer, mailbox, &announcement);
        }
    }

    /// Whether an effect of these records waits to become visible here at a UID that is still timely.
    fn is_about_to_show(&self, writer: &Writer, mailbox: MailboxId, covered: &Vector) -> bool {
        let next = self.uid_next(mailbox);
        let pending = self.pending.get(&mailbox).into_iter().flatten();
        pending
            .filter(|(_, pending)| pending.may_be_effect_of(covered))
            .filter(|(entry, _)| self.current_uid(entry, mailbox).is_none_or(|uid| uid >= next))
            .any(|(entry, pending)| self.has_body(entry) || pending.awaits_body(writer.now()))
    }

    /// Where both show effects of the same records, equal values say so; else an own value above the peer's says that
    /// there is more here. While something waits here it is not raised again above one that stands for no more than the last: two
    /// nodes where something waits would raise each other's without end.
    fn adopt_modseq(&mut self, writer: &mut Writer, mailbox: MailboxId, announcement: &Announcement) {
        let highest = self.views.get(&mailbox).map_or(Timestamp::ZERO, |view| view.highest_modseq);
        if announcement.modseq <= highest || leaves_out(LeftOut::HighestIsAdopted) {
            return;
        }
        let waits = self.pending.contains_key(&mailbox);
        let all_shown = !waits && !writer.has_written();
        let equal = all_shown
            && announcement.visible.covers(&self.touched_by)
            && (announcement.beyond.is_empty() || leaves_out(LeftOut::LearnedWithAll));
        let key = (mailbox, announcement.slot());
        let is_raised = waits && self.raised_above.get(&key) == Some(announcement.may_show());
        let modseq = if equal || leaves_out(LeftOut::EqualMeansEqual) {
            announcement.modseq
        } else if is_raised && !leaves_out(LeftOut::RaisedOnce) {
            return;
        } else {
            self.raised_above.insert(key, announcement.may_show().clone());
            writer.tick()
        };
        self.view_mut(mailbox).highest_modseq = modseq;
    }

    /// What peers are to be told: of each mailbox of which clients may have been told something new in this batch.
    ///
    /// What is exactly what a peer announced is left to the peer, as long as the life goes on that did. The disk of one that `ended`
    /// may have been put back behind it.
    pub(crate) fn announce(
        &mut self,
        writer: &mut Writer,
        ended: &BTreeSet<Incarnation>,
    ) -> Vec<Announcement> {
        self.unannounced.extend(self.dirty.shown.keys().copied());
        let mut announcements = Vec::new();
        for mailbox in std::mem::take(&mut self.unannounced) {
            let Some(view) = self.views.get(&mailbox).filter(|view| !view.deleted) else { continue };
            let (uid_next, modseq) = (view.uid_next, view.highest_modseq);
            let Some(validity) = view.validity else { continue };
            let told = (validity, uid_next, modseq);
            let own = self.own_values.entry(mailbox).or_default();
            own.checkpoint(modseq, &self.touched_by);
            if self.told.get(&mailbox) == Some(&told) {
                continue;
            }
            if let Some(author) = self.author_of(mailbox, told, ended) {
                self.told.insert(mailbox, told);
                self.adopted.insert(mailbox, author);
                continue;
            }
            let visible = self.visible(mailbox);
            if leaves_out(LeftOut::StartIsTold) && visible.is_empty() {
                self.unannounced.insert(mailbox);
                continue;
            }
            self.told.insert(mailbox, told);
            self.adopted.remove(&mailbox);
            if self.pending.contains_key(&mailbox) && !leaves_out(LeftOut::WaitedIsTold) {
                self.told_waiting.insert(mailbox);
            }
            let beyond = self.touched_by.beyond(&visible);
            let at = writer.tick();
            let (account, incarnation) = (self.id(), writer.author().incarnation);
            announcements.push(Announcement {
                account,
                mailbox,
                incarnation,
                at,
                validity,
                uid_next,
                modseq,
                visible,
                beyond,
            });
        }
        announcements
    }

    /// The life of a peer that announced exactly this and goes on.
    fn author_of(
        &self,
        mailbox: MailboxId,
        told: (Validity, Uid, Timestamp),
        ended: &BTreeSet<Incarnation>,
    ) -> Option<Incarnation> {
        let goes_on = |announcement: &&Announcement| {
            !ended.contains(&announcement.incarnation) || leaves_out(LeftOut::AdoptedIsTold)
        };
        let mut heard = self.heard.get(&mailbox)?.values().filter(goes_on);
        heard.find(|announcement| announcement.told() == told).map(|announcement| announcement.incarnation)
    }

    /// Lives have ended: what was adopted from them is told by this node from now on.
    pub(crate) fn tell_for_ended(&mut self, ended: &BTreeSet<Incarnation>) {
        let of_ended = |(_, life): &(&MailboxId, &Incarnation)| ended.contains(life);
        let mailboxes: Vec<MailboxId> =
            self.adopted.iter().filter(of_ended).map(|(mailbox, _)| *mailbox).collect();
        for mailbox in mailboxes {
            self.adopted.remove(&mailbox);
            self.tell_again(mailbox);
        }
    }

    /// The records whose effects on a mailbox are all visible; none where it is not known what an entry waits for.
    fn visible(&self, mailbox: MailboxId) -> Vector {
        let mut visible = self.touched_by.clone();
        if leaves_out(LeftOut::VisibleVector) {
            return visible;
        }
        for pending in self.pending.get(&mailbox).into_iter().flatten().map(|(_, pending)| pending) {
            pending.end_before(&mut visible);
        }
        visible
    }

    /// After the account was loaded on the node in slot `here`: what is visible now are effects of what touched it until now.
    pub(crate) fn begin_values(&mut self, here: NodeSlot, announcements: Vec<Announcement>) {
        for (mailbox, view) in &self.views {
            self.own_values.insert(*mailbox, OwnValues::begin(view.highest_modseq, self.touched_by.clone()));
        }
        let (own, of_peers): (Vec<_>, Vec<_>) =
            announcements.into_iter().partition(|announcement| announcement.slot() == here);
        for told in own {
            let waits = self.pending.contains_key(&told.mailbox);
            if !told.beyond.is_empty() && waits {
                self.told_waiting.insert(told.mailbox);
            }
            if told.beyond.is_empty() || waits {
                self.told.insert(told.mailbox, told.told());
            }
        }
        for announcement in of_peers {
            self.hear(announcement);
        }
        let told = |(mailbox, view): &(&MailboxId, &MailboxView)| {
            self.told.get(*mailbox).copied()
                == view.validity.map(|validity| (validity, view.uid_next, view.highest_modseq))
        };
        self.unannounced =
            self.views.iter().filter(|view| !told(view)).map(|(mailbox, _)| *mailbox).collect();
    }

    /// Slots whose values mean nothing any more: it cannot be told which of two lives issued one.
    pub(crate) fn set_forked(&mut self, forked: &BTreeSet<NodeSlot>) {
        if self.forked == *forked || leaves_out(LeftOut::ForksAreForgotten) {
            return;
        }
        self.forked.clone_from(forked);
        for (mailbox, view) in &mut self.views {
            if view.foreign.forget(forked) {
                self.dirty.foreign.insert(*mailbox);
            }
        }
    }
}

/// Whether what was announced is above what is shown here.
fn tells_more(announcement: &Announcement, view: &MailboxView) -> bool {
    match view.validity.cmp(&Some(announcement.validity)) {
        Ordering::Less => true,
        Ordering::Equal => announcement.uid_next > view.uid_next || announcement.modseq > view.highest_modseq,
        Ordering::Greater => false,
    }
}
