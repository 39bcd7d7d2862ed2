//! Rules 3, 4, 5 and 7: how entries that wait become visible in a mailbox that somebody looks at.
//!
//! An entry is placed when a client first can see it (3), is held when its UID lies below the announced UIDNEXT (4), and
//! then gets a new, higher placement (5). Who does so first is a courtesy, to spare UIDs and reissues; blocks (rule 1) and the
//! greatest placement keep it safe whoever does it. Where the courtesy of rule 3 led to a reissue, one node alone places for a
//! while (7).

use std::collections::{BTreeMap, BTreeSet};

use super::surroundings::{Ground, Surroundings};
use crate::account::Account;
use crate::account::Pending;
use crate::account::events::Event;
use crate::clock::{GREATEST_SKEW_MILLISECONDS, Millis, Timestamp};
use crate::fold::mailbox::Epoch;
use crate::identity::{AccountId, EntryId, MailboxId, NodeSlot, SegmentId, Uid};
use crate::left_out::{LeftOut, leaves_out};
use crate::operation::{DocumentId, FoundingReason, Operation, PlacedRun};
use crate::placement::blocks::Dealing;
use crate::placement::looks::Looks;
use crate::placement::reach::Reach;
use crate::writer::Writer;

/// How long a node leaves the placing of an entry to the node whose turn it is, in milliseconds.
pub const COURTESY_MILLISECONDS: u64 = 500;
/// How long an entry waits for bodies of lower UIDs that are on their way, in milliseconds.
pub const BODY_WAIT_MILLISECONDS: u64 = 2_000;
/// For how long the placer alone places in a mailbox after a reissue, in milliseconds.
pub const ORDERED_MILLISECONDS: u64 = 10 * 60 * 1000;
/// How hard to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eagerness<'a> {
    /// Whatever it is this node's turn to do.
    InTurn,
    /// These entries have to be visible now, because an answer to a client names their UIDs.
    Now(&'a BTreeSet<EntryId>),
}

/// The entries that wait, sorted by what is to be done about them.
#[derive(Default)]
struct Queue {
    /// At or above the announced UIDNEXT, by UID.
    timely: BTreeMap<Uid, EntryId>,
    /// Below it.
    late: Vec<(EntryId, Uid)>,
    /// Without a UID in this epoch.
    unplaced: Vec<EntryId>,
}

/// The circumstances under which a mailbox admits entries.
pub(super) struct Circumstances<'a> {
    account: AccountId,
    pub(super) mailbox: MailboxId,
    epoch: Epoch,
    /// The slots that look, this one included.
    lookers: BTreeSet<NodeSlot>,
    /// The lowest rank of those that look: it has the most blocks.
    placer: NodeSlot,
    here: NodeSlot,
    pub(super) now: Millis,
    /// Whether the placer alone places (rule 7).
    ordered: bool,
    eagerness: Eagerness<'a>,
}

impl Circumstances<'_> {
    fn must(&self, entry: &EntryId) -> bool {
        matches!(self.eagerness, Eagerness::Now(entries) if entries.contains(entry))
    }

    pub(super) fn is_placer(&self) -> bool {
        self.placer == self.here
    }

    fn may_place(&self, entry: &EntryId, origin: NodeSlot) -> bool {
        let by_origin =
            !self.ordered && self.lookers.contains(&origin) && !self.epoch.dealing.is_sparse(origin);
        let turn = if by_origin { origin == self.here } else { self.is_placer() };
        turn || self.must(entry) || leaves_out(LeftOut::PlaceInTurn)
    }
}

impl Account {
    /// Shows what can be shown in a mailbox, because somebody looks at it: founds the first epoch, shows entries in order
    /// of their UIDs, adopts what peers announced, places entries without a UID, reissues those that came late.
    pub(crate) fn admit(
        &mut self,
        writer: &mut Writer,
        surroundings: &Surroundings<'_>,
        mailbox: MailboxId,
        eagerness: Eagerness<'_>,
    ) {
        self.deadlines.remove(&mailbox);
        if self.unit(mailbox).is_none_or(|unit| unit.public != mailbox) {
            return;
        }
        if let Some(reason) = self.must_found(mailbox)
            && !self.found(writer, surroundings, mailbox, reason)
        {
            return;
        }
        self.bear_name(writer, mailbox);
        if self.shown_validity(mailbox) != self.epoch(mailbox).map(|epoch| epoch.validity) {
            self.begin_current_epoch(writer, mailbox);
        }
        let may_show =
            may_show_known_at_start(surroundings.ground, eagerness) || leaves_out(LeftOut::KnownWaits);
        // Of what came after a loss a lost life may have shown more.
        let is_leapt = surroundings.ground.loss().is_none_or(|loss| self.is_loss_leapt(mailbox, loss));
        let may_show = may_show && (is_leapt || leaves_out(LeftOut::KnownIsLeapt));
        if may_show && !leaves_out(LeftOut::KnownIsServed) {
            self.show_known(writer, mailbox, Pending::was_known_at_start);
        }
        if !self.is_on_firm_ground(writer, surroundings, mailbox, eagerness) {
            return;
        }
        for _round in 0..2 {
            let Some(circumstances) = self.circumstances(writer, surroundings, mailbox, eagerness) else {
                return;
            };
            let queue = self.queue(mailbox);
            self.show_timely(writer, &circumstances, &queue);
            self.adopt(writer, surroundings, mailbox);
            let again = self.place_waiting(writer, surroundings, &circumstances);
            self.settle(writer);
            self.learn_values(mailbox);
            match again {
                Placed::Nothing => return,
                Placed::Some => {}
                Placed::MustFound(reason) => {
                    if !self.found(writer, surroundings, mailbox, reason) {
                        return;
                    }
                    self.settle(writer);
                }
            }
        }
        // The second round showed what the first placed.
    }

    /// Shows what is not new although it was not shown yet, with its body here (rule 8).
    ///
    /// That is what had its UID, and its body here, before this life began. Had the disk lost a life, that life would have shown the
    /// same at the same UIDs before anything else. Only what others had moved or expunged before that life looked it would not
    /// have shown; here it is seen until that is heard of again.
    fn show_known(
        &mut self,
        writer: &mut Writer,
        mailbox: MailboxId,
        is_known: impl Fn(&Pending, Uid) -> bool,
    ) {
        let next = self.uid_next(mailbox);
        let mut known: BTreeMap<Uid, EntryId> = BTreeMap::new();
        for (entry, pending) in self.pending.get(&mailbox).into_iter().flatten() {
            let uid = self.current_uid(entry, mailbox).filter(|uid| *uid >= next);
            if let Some(uid) = uid.filter(|uid| is_known(pending, *uid) && self.has_body(entry)) {
                known.insert(uid, *entry);
            }
        }
        for (uid, entry) in known {
            self.show(writer, mailbox, entry, uid);
            let causes = self.causes(writer);
            self.await_admission(entry, mailbox, writer.now(), Some(causes));
        }
    }

    /// When the account was loaded in the state in which the life before left it: what waits with a UID and a body is not new.
    pub(crate) fn mark_known_at_start(&mut self) {
        let waiting: Vec<(MailboxId, EntryId)> =
            self.pending.iter().flat_map(|(id, entries)| entries.keys().map(|entry| (*id, *entry))).collect();
        for (mailbox, entry) in waiting {
            let uid = self.current_uid(&entry, mailbox).filter(|_| self.has_body(&entry));
            let pending = self.pending.get_mut(&mailbox).and_then(|entries| entries.get_mut(&entry));
            if let (Some(uid), Some(pending)) = (uid, pending) {
                pending.set_known_at_start(uid);
            }
        }
    }

    /// Rule 8: whether something new may be shown or placed in a mailbox now. Leaps over what may have been lost first.
    fn is_on_firm_ground(
        &mut self,
        writer: &mut Writer,
        surroundings: &Surroundings<'_>,
        mailbox: MailboxId,
        eagerness: Eagerness<'_>,
    ) -> bool {
        if !self.pending.contains_key(&mailbox) {
            return surroundings.ground != Ground::RolledBack;
        }
        let (loss, own_start, long_asleep) = match surroundings.ground {
            Ground::RolledBack => return false,
            Ground::Waiting { until, .. } if eagerness == Eagerness::InTurn => {
                self.deadlines.insert(mailbox, until);
                return false;
            }
            Ground::Firm { loss } => (loss, false, false),
            Ground::Waiting { start, .. } => (start, true, false),
            Ground::Unconfirmed { start, long_asleep, .. } => (start, true, long_asleep),
        };
        let Some(epoch) = self.epoch(mailbox).cloned() else { return false };
        let leapt = match own_start {
            true => self.reach(mailbox).leaped >= loss || epoch.by.incarnation == writer.author().incarnation,
            false => self.is_loss_leapt(mailbox, loss),
        };
        let mut reach = self.reach(mailbox);
        if leapt || own_start && leaves_out(LeftOut::LeapUnconfirmed) {
            return true;
        }
        // Those who were lost showed what the founding record numbers before anything else of the epoch.
        self.show_known(writer, mailbox, |_, uid| uid.0 <= epoch.founded);
        let top = self.mailbox_state(&mailbox).map_or(Uid(0), |state| state.top(epoch.validity));
        let next = self.uid_next(mailbox).max(top.next()).max(self.greatest_announced(mailbox));
        let lasts = !long_asleep && reach.leap(next, loss, writer.chance());
        if !lasts {
            let reason = if long_asleep { FoundingReason::LongAsleep } else { FoundingReason::SpaceUsedUp };
            return self.found(writer, surroundings, mailbox, reason);
        }
        self.set_reach(mailbox, reach);
        true
    }

    /// Whether nothing can be unknown of what members placed who were lost up to then: this node leapt since, or the epoch is younger.
    fn is_loss_leapt(&self, mailbox: MailboxId, loss: Timestamp) -> bool {
        // Clocks may differ, by less than what is refused.
        let certain = loss.millis().after(2 * GREATEST_SKEW_MILLISECONDS);
        let is_younger = self.epoch(mailbox).is_some_and(|epoch| epoch.by.timestamp.millis() > certain);
        self.reach(mailbox).leaped >= loss || is_younger
    }

    pub(super) fn set_reach(&mut self, mailbox: MailboxId, reach: Reach) {
        self.reaches.insert(mailbox, reach);
        // It is kept with what was announced.
        self.view_mut(mailbox);
    }

    fn circumstances<'a>(
        &self,
        writer: &Writer,
        surroundings: &Surroundings<'_>,
        mailbox: MailboxId,
        eagerness: Eagerness<'a>,
    ) -> Option<Circumstances<'a>> {
        let here = writer.author().slot;
        let lookers = self.lookers(mailbox, surroundings.looks, here)?;
        let mut epoch = self.epoch(mailbox)?.clone();
        if leaves_out(LeftOut::FoundersDeal) {
            epoch.dealing = Dealing::new(surroundings.members.to_vec());
        }
        let placer = first_in_rank(&lookers, &epoch).unwrap_or(here);
        let now = writer.now();
        Some(Circumstances {
            account: self.id(),
            mailbox,
            ordered: self.is_ordered(mailbox, now),
            epoch,
            lookers,
            placer,
            here,
            now,
            eagerness,
        })
    }

    /// The slots that look at a mailbox, this one included.
    fn lookers(&self, mailbox: MailboxId, looks: &Looks, here: NodeSlot) -> Option<BTreeSet<NodeSlot>> {
        let unit = self.unit(mailbox)?;
        let peers = looks.peers_at(self.id(), unit).filter(|_| !leaves_out(LeftOut::LookGossip));
        Some(peers.chain([here]).collect())
    }

    /// The one of those who look at a mailbox that places in ordered mode: the lowest rank, which has the most blocks.
    pub(crate) fn placer(&self, mailbox: MailboxId, looks: &Looks, here: NodeSlot) -> Option<NodeSlot> {
        first_in_rank(&self.lookers(mailbox, looks, here)?, self.epoch(mailbox)?)
    }

    /// Whether the placer alone places in a mailbox (rule 7).
    pub(crate) fn is_ordered(&self, mailbox: MailboxId, now: Millis) -> bool {
        self.ordered.get(&mailbox).is_some_and(|until| now < *until) && !leaves_out(LeftOut::OrderedMode)
    }

    /// The least UID at which something new may be shown.
    fn least_showable(&self, mailbox: MailboxId) -> Uid {
        self.uid_next(mailbox).max(self.reach(mailbox).floor)
    }

    fn queue(&self, mailbox: MailboxId) -> Queue {
        let least = self.least_showable(mailbox);
        let mut queue = Queue::default();
        for entry in self.pending.get(&mailbox).into_iter().flatten().map(|(entry, _)| *entry) {
            match self.current_uid(&entry, mailbox) {
                None => queue.unplaced.push(entry),
                Some(uid) if uid >= least || leaves_out(LeftOut::Hold) => {
                    queue.timely.insert(uid, entry);
                }
                Some(uid) => queue.late.push((entry, uid)),
            }
        }
        let accepted = |entry: &EntryId| {
            (self.state(entry).and_then(|state| state.facts()).map(|facts| facts.added), *entry)
        };
        queue.unplaced.sort_by_key(accepted);
        queue.late.sort_by_key(|(entry, _)| accepted(entry));
        queue
    }

    /// Shows entries at or above the announced UIDNEXT in order of their UIDs; one whose body is on its way holds up those
    /// above it for a bounded time.
    fn show_timely(&mut self, writer: &mut Writer, circumstances: &Circumstances<'_>, queue: &Queue) {
        let must_reach =
            queue.timely.iter().rev().find(|(_, entry)| circumstances.must(entry)).map(|(uid, _)| *uid);
        for (uid, entry) in &queue.timely {
            if self.has_body(entry) {
                self.show(writer, circumstances.mailbox, *entry, *uid);
                let causes = self.causes(writer);
                self.await_admission(*entry, circumstances.mailbox, circumstances.now, Some(causes));
            } else if must_reach.is_none_or(|must| must < *uid)
                && !leaves_out(LeftOut::LowerBodiesFirst)
                && (self.waits(circumstances, entry, Pending::body_until)
                    || leaves_out(LeftOut::BodyWaitEnds))
            {
                return;
            }
        }
    }

    /// Whether an entry is still within the time that others have for it; if so the mailbox is looked at again when it ends.
    fn waits(
        &mut self,
        circumstances: &Circumstances<'_>,
        entry: &EntryId,
        until: impl Fn(&Pending) -> Millis,
    ) -> bool {
        let pending = self.pending.get(&circumstances.mailbox).and_then(|entries| entries.get(entry));
        let Some(until) = pending.map(until) else {
            return false;
        };
        let waits = circumstances.now < until;
        if waits {
            let deadline = self.deadlines.entry(circumstances.mailbox).or_insert(until);
            *deadline = until.min(*deadline);
        }
        waits
    }

    /// Places what has no UID and what came too late, as far as it is this node's turn.
    fn place_waiting(
        &mut self,
        writer: &mut Writer,
        surroundings: &Surroundings<'_>,
        circumstances: &Circumstances<'_>,
    ) -> Placed {
        let queue = self.queue(circumstances.mailbox);
        self.hold(writer, circumstances, &queue.late);
        if !queue.late.is_empty() {
            let until = circumstances.now.after(ORDERED_MILLISECONDS);
            self.ordered.insert(circumstances.mailbox, until);
        }
        let mut chosen = self.due_reissues(surroundings, circumstances, &queue.late);
        let next = self.uid_next(circumstances.mailbox);
        // What is late because of a leap alone is in no other order than clients were told.
        let reorders = |entry: &&EntryId| {
            let uid = self.current_uid(entry, circumstances.mailbox);
            !circumstances.must(entry) && uid.is_some_and(|uid| uid < next)
        };
        let reordered: Vec<EntryId> = chosen.iter().filter(reorders).copied().collect();
        if let Some(reason) = self.reason_to_bump(writer, surroundings, circumstances, &reordered) {
            return Placed::MustFound(reason);
        }
        for entry in &queue.unplaced {
            let Some(origin) = self.added(entry).map(|added| added.timestamp.slot()) else { continue };
            let turn = circumstances.may_place(entry, origin);
            let courtesy = !turn
                && (self.waits(circumstances, entry, Pending::turn_until)
                    || leaves_out(LeftOut::OthersPlace));
            if self.has_body(entry) && !courtesy {
                chosen.push(*entry);
            }
        }
        self.place(writer, circumstances, &chosen)
    }

    /// The late entries that this node has to give new UIDs now.
    fn due_reissues(
        &mut self,
        surroundings: &Surroundings<'_>,
        circumstances: &Circumstances<'_>,
        late: &[(EntryId, Uid)],
    ) -> Vec<EntryId> {
        let is_on = |until: &Millis| circumstances.now < *until && !leaves_out(LeftOut::MeetFirst);
        let meeting = surroundings.meeting_until.filter(is_on);
        let in_turn = circumstances.is_placer() || leaves_out(LeftOut::OnePlacer);
        let mut due = Vec::new();
        if leaves_out(LeftOut::Reissue) {
            return due;
        }
        // A small message must not overtake a large one here either: one whose body is on its way holds up those that were
        // accepted after it.
        let mut held_up = false;
        // What lies below a leap cannot be left to the placer: it does not know how far this node leapt, and would go on giving
        // UIDs below.
        let floor = self.reach(circumstances.mailbox).floor;
        for (entry, uid) in late {
            if !self.has_body(entry) {
                held_up |= self.waits(circumstances, entry, Pending::body_until);
                continue;
            }
            let free = meeting.is_none() && !held_up;
            let is_turn = in_turn || *uid < floor && !leaves_out(LeftOut::LeaperReissues);
            let courtesy = !is_turn
                && free
                && (self.waits(circumstances, entry, Pending::turn_until)
                    || leaves_out(LeftOut::OthersReissue));
            let is_due = free && !courtesy;
            if is_due || circumstances.must(entry) {
                due.push(*entry);
            }
        }
        if let Some(until) = meeting
            && due.len() < late.len()
        {
            let deadline = self.deadlines.entry(circumstances.mailbox).or_insert(until);
            *deadline = until.min(*deadline);
        }
        due
    }

    /// Rule 4: tells the others what cannot be shown here, since lateness is local and nobody else can see it.
    fn hold(&mut self, writer: &mut Writer, circumstances: &Circumstances<'_>, late: &[(EntryId, Uid)]) {
        let mailbox = circumstances.mailbox;
        if leaves_out(LeftOut::VisibleStays) {
            let visible: Vec<_> = late.iter().filter_map(|(entry, _)| self.shown_at(entry)).collect();
            visible.into_iter().for_each(|(mailbox, uid)| self.hide(writer, mailbox, uid));
        }
        let visible =
            |account: &Account, entry: &EntryId, uid: Uid| account.shown_at(entry) == Some((mailbox, uid));
        let unheard: Vec<(EntryId, Uid)> = late
            .iter()
            .filter(|(entry, uid)| {
                let has_body = self.has_body(entry) || leaves_out(LeftOut::HoldWithBody);
                has_body && !self.is_held(entry, mailbox) && !visible(self, entry, *uid)
            })
            .copied()
            .collect();
        for (entry, uid) in &unheard {
            self.events.push(Event::Held { mailbox, entry: *entry, uid: *uid });
        }
        if leaves_out(LeftOut::LatenessIsTold) {
            return;
        }
        let validity = circumstances.epoch.validity;
        for (segment, runs) in runs_by_segment(&unheard) {
            let document = DocumentId::Segment(circumstances.account, segment);
            self.write(writer, document, Operation::Hold { mailbox, validity, runs });
        }
    }

    /// Rule 1: gives UIDs of own blocks, above everything known of the epoch, and above what peers are known to have announced.
    fn place(
        &mut self,
        writer: &mut Writer,
        circumstances: &Circumstances<'_>,
        entries: &[EntryId],
    ) -> Placed {
        if entries.is_empty() {
            return Placed::Nothing;
        }
        let mailbox = circumstances.mailbox;
        let validity = circumstances.epoch.validity;
        let state = self.mailbox_state(&mailbox).filter(|_| !leaves_out(LeftOut::AboveAllKnown));
        let top = state.map_or(Uid(0), |state| state.top(validity));
        let next = top.next().max(self.least_showable(mailbox)).max(self.greatest_announced(mailbox));
        let mut above = Uid(next.0.saturating_sub(1));
        let mut placements = Vec::new();
        for entry in entries {
            match circumstances.epoch.dealing.next(circumstances.here, above) {
                Some(uid) => {
                    placements.push((*entry, uid));
                    above = uid;
                }
                None => return Placed::MustFound(FoundingReason::SpaceUsedUp),
            }
        }
        let mut reach = self.reach(mailbox);
        if !reach.advance(circumstances.now, above.0.saturating_sub(next.0)) {
            return Placed::MustFound(FoundingReason::SpaceUsedUp);
        }
        self.set_reach(mailbox, reach);
        for (segment, runs) in runs_by_segment(&placements) {
            let document = DocumentId::Segment(circumstances.account, segment);
            self.write(writer, document, Operation::Place { mailbox, validity, runs });
        }
        Placed::Some
    }

    /// Whether there is something to do when somebody looks.
    pub(crate) fn needs_admission(&self, mailbox: MailboxId) -> bool {
        self.pending.contains_key(&mailbox)
            || self.must_found(mailbox).is_some()
            || self.must_bear_name(mailbox)
            || self.is_behind(mailbox)
    }
}

fn first_in_rank(slots: &BTreeSet<NodeSlot>, epoch: &Epoch) -> Option<NodeSlot> {
    slots.iter().copied().min_by_key(|slot| epoch.dealing.rank(*slot))
}

/// Whether what was known at the start may be shown. While members may still know better it waits for them, as what is new does,
/// but for an answer that names a UID above it.
fn may_show_known_at_start(ground: Ground, eagerness: Eagerness<'_>) -> bool {
    match ground {
        Ground::Firm { .. } | Ground::Unconfirmed { .. } => true,
        Ground::Waiting { .. } => eagerness != Eagerness::InTurn,
        Ground::RolledBack => false,
    }
}

enum Placed {
    Nothing,
    Some,
    MustFound(FoundingReason),
}

/// One operation for each segment: a run names many entries.
fn runs_by_segment(placements: &[(EntryId, Uid)]) -> BTreeMap<SegmentId, Vec<PlacedRun>> {
    let mut segments: BTreeMap<SegmentId, Vec<(u16, Uid)>> = BTreeMap::new();
    for (entry, uid) in placements {
        segments.entry(entry.segment).or_default().push((entry.index, *uid));
    }
    segments.into_iter().map(|(segment, placements)| (segment, PlacedRun::join(placements))).collect()
}
