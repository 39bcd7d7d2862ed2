//! Rules 3, 4 and 5: how entries that wait become visible in a mailbox that somebody looks at.
//!
//! An entry is placed when a client first can see it (3), is held when its UID lies below the announced UIDNEXT (4), and
//! then gets a new, higher placement (5). Who does so first is a courtesy, to spare UIDs and reissues; blocks (rule 1) and the
//! greatest placement keep it safe whoever does it.

use std::collections::{BTreeMap, BTreeSet};

use super::looks::Looks;
use crate::account::Account;
use crate::account::events::Event;
use crate::clock::Millis;
use crate::fold::mailbox::Epoch;
use crate::identity::{EntryId, MailboxId, NodeSlot, SegmentId, Uid, Validity};
use crate::operation::{DocumentId, FoundedRun, FoundingSize, Operation, PlacedRun};
use crate::writer::Writer;

/// How long a node leaves the placing of an entry to the node whose turn it is, in milliseconds.
pub const COURTESY_MILLISECONDS: u64 = 500;
/// How long an entry waits for bodies of lower UIDs that are on their way, in milliseconds.
pub const BODY_WAIT_MILLISECONDS: u64 = 2_000;
/// How far ahead of a node's clock, in seconds, a UIDVALIDITY may lie that a peer founds. A node itself keeps to half.
pub const GREATEST_VALIDITY_LEAD_SECONDS: u64 = 400 * 24 * 60 * 60;

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
struct Circumstances<'a> {
    account: crate::identity::AccountId,
    mailbox: MailboxId,
    epoch: Epoch,
    /// The slots that look, this one included.
    lookers: BTreeSet<NodeSlot>,
    here: NodeSlot,
    now: Millis,
    eagerness: Eagerness<'a>,
}

impl Circumstances<'_> {
    fn must(&self, entry: &EntryId) -> bool {
        matches!(self.eagerness, Eagerness::Now(entries) if entries.contains(entry))
    }

    /// Whether it is this node's turn, with the lowest looking slot first.
    fn is_first_looker(&self) -> bool {
        self.lookers.first() == Some(&self.here)
    }

    fn may_place(&self, entry: &EntryId, origin: NodeSlot) -> bool {
        let turn = if self.lookers.contains(&origin) { origin == self.here } else { self.is_first_looker() };
        turn || self.must(entry)
    }
}

impl Account {
    /// Shows what can be shown in a mailbox, because somebody looks at it: founds the first epoch, shows entries in order
    /// of their UIDs, places those without, reissues those that came late.
    pub(crate) fn admit(
        &mut self,
        writer: &mut Writer,
        looks: &Looks,
        members: &[NodeSlot],
        mailbox: MailboxId,
        eagerness: Eagerness<'_>,
    ) {
        self.deadlines.remove(&mailbox);
        if self.unit(mailbox).is_none_or(|unit| unit.public != mailbox) {
            return;
        }
        if self.must_found(mailbox) && !self.found(writer, members, mailbox) {
            return;
        }
        self.bear_name(writer, mailbox);
        if self.view(mailbox).validity != self.epoch(mailbox).map(|epoch| epoch.validity) {
            self.begin_current_epoch(writer, mailbox);
        }
        for _round in 0..2 {
            let Some(circumstances) = self.circumstances(writer, looks, mailbox, eagerness) else { return };
            let queue = self.queue(mailbox);
            self.show_timely(writer, &circumstances, &queue);
            let again = self.place_waiting(writer, &circumstances);
            self.settle(writer);
            match again {
                Placed::Nothing => return,
                Placed::Some => {}
                Placed::SpaceUsedUp => {
                    if !self.found(writer, members, mailbox) {
                        return;
                    }
                    self.settle(writer);
                }
            }
        }
        // The second round showed what the first placed.
    }

    fn circumstances<'a>(
        &self,
        writer: &Writer,
        looks: &Looks,
        mailbox: MailboxId,
        eagerness: Eagerness<'a>,
    ) -> Option<Circumstances<'a>> {
        let unit = self.unit(mailbox)?;
        let here = writer.author().slot;
        let lookers = looks.peers_at(self.id(), unit).chain([here]).collect();
        let epoch = self.epoch(mailbox)?.clone();
        Some(Circumstances {
            account: self.id(),
            mailbox,
            epoch,
            lookers,
            here,
            now: writer.now(),
            eagerness,
        })
    }

    fn queue(&self, mailbox: MailboxId) -> Queue {
        let announced = self.view(mailbox).uid_next;
        let mut queue = Queue::default();
        for entry in self.pending.get(&mailbox).into_iter().flatten().map(|(entry, _)| *entry) {
            match self.current_uid(&entry, mailbox) {
                None => queue.unplaced.push(entry),
                Some(uid) if uid >= announced => {
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
                self.await_admission(*entry, circumstances.mailbox, circumstances.now);
            } else if must_reach.is_none_or(|must| must < *uid)
                && self.waits(circumstances, entry, BODY_WAIT_MILLISECONDS)
            {
                return;
            }
        }
    }

    /// Whether an entry is still within the time that others have for it; if so the mailbox is looked at again when it ends.
    fn waits(&mut self, circumstances: &Circumstances<'_>, entry: &EntryId, milliseconds: u64) -> bool {
        let pending = self.pending.get(&circumstances.mailbox).and_then(|entries| entries.get(entry));
        let Some(until) = pending.map(|pending| pending.since.after(milliseconds)) else {
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
    fn place_waiting(&mut self, writer: &mut Writer, circumstances: &Circumstances<'_>) -> Placed {
        let queue = self.queue(circumstances.mailbox);
        self.hold(writer, circumstances, &queue.late);
        let mut chosen = Vec::new();
        // A small message must not overtake a large one here either: one whose body is on its way holds up those that were
        // accepted after it.
        let mut held_up = false;
        for (entry, _) in &queue.late {
            if !self.has_body(entry) {
                held_up |= self.waits(circumstances, entry, BODY_WAIT_MILLISECONDS);
                continue;
            }
            let turn = circumstances.is_first_looker();
            let due = !held_up && (turn || !self.waits(circumstances, entry, COURTESY_MILLISECONDS));
            if due || circumstances.must(entry) {
                chosen.push(*entry);
            }
        }
        for entry in &queue.unplaced {
            let Some(origin) =
                self.state(entry).and_then(|state| state.facts()).map(|facts| facts.added.timestamp.slot())
            else {
                continue;
            };
            let turn = circumstances.may_place(entry, origin);
            if self.has_body(entry) && (turn || !self.waits(circumstances, entry, COURTESY_MILLISECONDS)) {
                chosen.push(*entry);
            }
        }
        self.place(writer, circumstances, &chosen)
    }

    /// Rule 4: tells the others what cannot be shown here, since lateness is local and nobody else can see it.
    fn hold(&mut self, writer: &mut Writer, circumstances: &Circumstances<'_>, late: &[(EntryId, Uid)]) {
        let mailbox = circumstances.mailbox;
        let visible =
            |account: &Account, entry: &EntryId, uid: Uid| account.shown_at(entry) == Some((mailbox, uid));
        let unheard: Vec<(EntryId, Uid)> = late
            .iter()
            .filter(|(entry, uid)| {
                self.has_body(entry) && !self.is_held(entry, mailbox) && !visible(self, entry, *uid)
            })
            .copied()
            .collect();
        for (entry, uid) in &unheard {
            self.events.push(Event::Held { mailbox, entry: *entry, uid: *uid });
        }
        let validity = circumstances.epoch.validity;
        for (segment, runs) in runs_by_segment(&unheard) {
            let document = DocumentId::Segment(circumstances.account, segment);
            self.write(writer, document, Operation::Hold { mailbox, validity, runs });
        }
    }

    /// Rule 1: gives UIDs of own blocks, above everything known of the epoch.
    fn place(
        &mut self,
        writer: &mut Writer,
        circumstances: &Circumstances<'_>,
        entries: &[EntryId],
    ) -> Placed {
        let mailbox = circumstances.mailbox;
        let validity = circumstances.epoch.validity;
        let announced = self.view(mailbox).uid_next;
        let top = self.mailbox_state(&mailbox).map_or(Uid(0), |state| state.top(validity));
        let mut above = top.max(Uid(announced.0.saturating_sub(1)));
        let mut placements = Vec::new();
        for entry in entries {
            match circumstances.epoch.dealing.next(circumstances.here, above) {
                Some(uid) => {
                    placements.push((*entry, uid));
                    above = uid;
                }
                None => return Placed::SpaceUsedUp,
            }
        }
        for (segment, runs) in runs_by_segment(&placements) {
            let document = DocumentId::Segment(circumstances.account, segment);
            self.write(writer, document, Operation::Place { mailbox, validity, runs });
        }
        if placements.is_empty() { Placed::Nothing } else { Placed::Some }
    }

    /// Whether there is something to do when somebody looks.
    pub(crate) fn needs_admission(&self, mailbox: MailboxId) -> bool {
        self.pending.contains_key(&mailbox) || self.must_found(mailbox)
    }

    /// Whether the mailbox needs a new epoch: it has none, or its name has borne a UIDVALIDITY above its own (invariant U6).
    fn must_found(&self, mailbox: MailboxId) -> bool {
        let Some(epoch) = self.epoch(mailbox) else { return true };
        let of_name = self.unit(mailbox).and_then(|unit| self.validity_of_name(&unit.name));
        of_name.is_some_and(|known| known > epoch.validity)
    }

    /// Makes sure that the name remembers the UIDVALIDITY that it is about to be shown with.
    fn bear_name(&mut self, writer: &mut Writer, mailbox: MailboxId) {
        let Some(name) = self.unit(mailbox).map(|unit| unit.name.clone()) else { return };
        let Some(validity) = self.epoch(mailbox).map(|epoch| epoch.validity) else { return };
        if self.validity_of_name(&name) < Some(validity) {
            let document = DocumentId::Account(self.id());
            self.write(writer, document, Operation::BearName { name, validity });
        }
    }

    /// Rule 9: founds an epoch. The record contains its numbering: the live entries, in the order of their acceptance, as
    /// many as a record may number; others are placed singly, above them.
    fn found(&mut self, writer: &mut Writer, members: &[NodeSlot], mailbox: MailboxId) -> bool {
        let Some(unit) = self.unit(mailbox).cloned() else { return false };
        let Some(validity) = self.next_validity(writer) else { return false };
        let mut entries: Vec<EntryId> =
            self.pending.get(&mailbox).into_iter().flatten().map(|(entry, _)| *entry).collect();
        entries.extend(self.view(mailbox).rows.iter().map(|row| row.facts.entry));
        entries.retain(|entry| self.has_body(entry));
        entries.sort_by_key(|entry| (self.added(entry), *entry));
        entries.dedup();
        let document = DocumentId::Mailbox(self.id(), mailbox);
        let numbering = founded_runs(&entries);
        self.write(
            writer,
            document,
            Operation::Found { validity, name: unit.name, members: members.to_vec(), numbering },
        );
        self.settle(writer);
        true
    }

    /// A UIDVALIDITY for a new epoch, above all of the account; none where it would run so far ahead of the clock that
    /// peers refuse it.
    pub(crate) fn next_validity(&self, writer: &Writer) -> Option<Validity> {
        let seconds = writer.now().seconds();
        let validity = Validity::found(writer.author().slot, seconds, self.greatest_validity())?;
        (u64::from(validity.0) <= seconds + GREATEST_VALIDITY_LEAD_SECONDS / 2).then_some(validity)
    }
}

enum Placed {
    Nothing,
    Some,
    SpaceUsedUp,
}

/// One operation for each segment: a run names many entries.
fn runs_by_segment(placements: &[(EntryId, Uid)]) -> BTreeMap<SegmentId, Vec<PlacedRun>> {
    let mut segments: BTreeMap<SegmentId, Vec<(u16, Uid)>> = BTreeMap::new();
    for (entry, uid) in placements {
        segments.entry(entry.segment).or_default().push((entry.index, *uid));
    }
    segments.into_iter().map(|(segment, placements)| (segment, PlacedRun::join(placements))).collect()
}

fn founded_runs(entries: &[EntryId]) -> Vec<FoundedRun> {
    let mut runs: Vec<FoundedRun> = Vec::new();
    for entry in entries {
        match runs.last_mut() {
            Some(run) if run.segment == entry.segment && run.index + run.count == entry.index => {
                run.count += 1
            }
            _ => runs.push(FoundedRun { segment: entry.segment, index: entry.index, count: 1 }),
        }
    }
    let mut size = FoundingSize::default();
    runs.into_iter().take_while(|run| size.add(run)).collect()
}
