//! Rule 9: how an epoch begins, and why. A founding record contains its numbering.

use super::surroundings::{Ground, Surroundings};
use crate::account::Account;
use crate::identity::{EntryId, MailboxId, NodeSlot, Validity};
use crate::left_out::{LeftOut, leaves_out};
use crate::operation::{DocumentId, FoundedRun, FoundingReason, FoundingSize, Operation};
use crate::placement::reach::Reach;
use crate::writer::Writer;

/// How far ahead of a node's clock, in seconds, a UIDVALIDITY may lie that a peer founds. A node itself keeps to half.
pub const GREATEST_VALIDITY_LEAD_SECONDS: u64 = 400 * 24 * 60 * 60;
/// Below this many times 128 a life that nobody confirmed adds to a UIDVALIDITY at random: two lives of one slot that found at the
/// same time do not choose the same.
const MOST_RANDOM_ROUNDS: u64 = (1 << 14) / 128;

impl Account {
    /// Why a mailbox needs a new epoch before it is shown: it has none, or its name has borne a UIDVALIDITY above its own (U6).
    pub(crate) fn must_found(&self, mailbox: MailboxId) -> Option<FoundingReason> {
        let Some(epoch) = self.epoch(mailbox) else { return Some(FoundingReason::First) };
        let of_name = self.unit(mailbox).and_then(|unit| self.validity_of_name(&unit.name));
        let is_borne = of_name.is_some_and(|known| known > epoch.validity);
        (is_borne && !leaves_out(LeftOut::NameRemembers)).then_some(FoundingReason::NameBorne)
    }

    /// The name of a mailbox, which does not remember the UIDVALIDITY that it is shown with.
    fn unborne_name(&self, mailbox: MailboxId) -> Option<(&str, Validity)> {
        let name = &self.unit(mailbox)?.name;
        let validity = self.epoch(mailbox)?.validity;
        let is_borne = self.validity_of_name(name) >= Some(validity) || leaves_out(LeftOut::NameIsBorne);
        (!is_borne).then_some((name, validity))
    }

    /// Whether the name of a mailbox does not remember the UIDVALIDITY that it is shown with.
    pub(crate) fn must_bear_name(&self, mailbox: MailboxId) -> bool {
        self.unborne_name(mailbox).is_some()
    }

    /// Makes sure that the name remembers the UIDVALIDITY that it is about to be shown with.
    pub(crate) fn bear_name(&mut self, writer: &mut Writer, mailbox: MailboxId) {
        if let Some((name, validity)) = self.unborne_name(mailbox) {
            let bearing = Operation::BearName { name: name.to_owned(), validity };
            self.write(writer, DocumentId::Account(self.id()), bearing);
        }
    }

    /// Founds an epoch: the live entries in the order of their acceptance are numbered from 1, as many as a record may number; others
    /// are placed singly, above them. Tells whether there was a UIDVALIDITY left.
    pub(crate) fn found(
        &mut self,
        writer: &mut Writer,
        surroundings: &Surroundings<'_>,
        mailbox: MailboxId,
        reason: FoundingReason,
    ) -> bool {
        let Some(unit) = self.unit(mailbox).cloned() else { return false };
        let Some(validity) = self.next_validity(writer, surroundings.ground) else { return false };
        let mut entries: Vec<EntryId> =
            self.pending.get(&mailbox).into_iter().flatten().map(|(entry, _)| *entry).collect();
        entries.extend(self.view(mailbox).rows.iter().map(|row| row.facts.entry));
        entries.retain(|entry| self.has_body(entry) && !leaves_out(LeftOut::FoundingNumbers));
        entries.sort_by_key(|entry| (self.added(entry), *entry));
        entries.dedup();
        let numbering = founded_runs(&entries);
        let members = surroundings.members.to_vec();
        let founding = Operation::Found { validity, reason, name: unit.name, members, numbering };
        self.write(writer, DocumentId::Mailbox(self.id(), mailbox), founding);
        self.settle(writer);
        if self.shown_validity(mailbox) != Some(validity)
            && self.epoch(mailbox).map(|epoch| epoch.validity) == Some(validity)
        {
            self.begin_current_epoch(writer, mailbox);
        }
        self.begin_reach(surroundings.ground, mailbox, validity);
        true
    }

    /// Nobody whose loss this life knows of can have placed in an epoch that it has only now founded: there is nothing to leap over.
    fn begin_reach(&mut self, ground: Ground, mailbox: MailboxId, validity: Validity) {
        let loss = match ground {
            Ground::Firm { loss } => loss,
            Ground::Waiting { start, .. } | Ground::Unconfirmed { start, .. } => start,
            Ground::RolledBack => return,
        };
        if self.shown_validity(mailbox) == Some(validity) {
            self.set_reach(mailbox, Reach::of_new_epoch(loss));
        }
    }

    /// Founds the epoch of a mailbox that has just been created.
    pub(crate) fn found_empty(
        &mut self,
        writer: &mut Writer,
        (members, ground): (&[NodeSlot], Ground),
        mailbox: MailboxId,
        name: &str,
    ) {
        if self.epoch(mailbox).is_some() {
            return;
        }
        if let Some(validity) = self.next_validity(writer, ground) {
            let founding = Operation::Found {
                validity,
                reason: FoundingReason::First,
                name: name.to_owned(),
                members: members.to_vec(),
                numbering: vec![],
            };
            self.write(writer, DocumentId::Mailbox(self.id(), mailbox), founding);
        }
    }

    /// A UIDVALIDITY for a new epoch, above all of the account; none where it would run so far ahead of the clock that
    /// peers refuse it.
    fn next_validity(&self, writer: &mut Writer, ground: Ground) -> Option<Validity> {
        let seconds = writer.now().seconds();
        let known = self.greatest_validity().filter(|_| !leaves_out(LeftOut::ValidityRises));
        let least = Validity::found(writer.author().slot, seconds, known)?;
        let is_firm = matches!(ground, Ground::Firm { .. }) || leaves_out(LeftOut::ValidityAtRandom);
        let rounds = if is_firm { 0 } else { writer.chance() % MOST_RANDOM_ROUNDS };
        let validity = least.later(rounds as u32)?;
        (u64::from(validity.0) <= seconds + GREATEST_VALIDITY_LEAD_SECONDS / 2).then_some(validity)
    }
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
