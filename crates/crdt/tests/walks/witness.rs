//! What clients of all nodes saw: U1, U2, U3, U6, U8, and that no UIDVALIDITY changes without a reason.

use std::collections::{BTreeMap, BTreeSet};

use peerpost_crdt::clock::Timestamp;
use peerpost_crdt::identity::{EntryId, MailboxId, Uid, Validity};
use peerpost_crdt::operation::FoundingReason;
use peerpost_crdt::placement::surroundings::{OnReorder, Policy};
use peerpost_crdt::replica::Confirmation;
use peerpost_crdt::view::MailboxView;

use super::ledger::Ledger;
use super::step::{DEFAULTS, NAMES};
use super::world::{Checked, Node, violated};

/// What clients of one node saw of one epoch last.
#[derive(Clone)]
struct Seen {
    visible: BTreeMap<Uid, EntryId>,
    uid_next: Uid,
    highest: Timestamp,
    /// The greatest UIDNEXT ever, whatever disk was put back.
    announced: Uid,
    /// Everything that was visible before the disk was put back, and may be so again.
    before: BTreeSet<Uid>,
    /// What was placed on the disk when it was put back, with its body there: a life that nobody can tell that it was put back
    /// shows it at its UID.
    placed: BTreeMap<Uid, EntryId>,
    ever: BTreeSet<Uid>,
}

/// Knows what clients saw, and nothing else.
#[derive(Clone, Default)]
pub struct Witness {
    /// U1, over all nodes, lives and times.
    named: BTreeMap<(usize, Validity, Uid), EntryId>,
    seen: BTreeMap<(usize, MailboxId, Validity), Seen>,
    /// U6, for each node and name.
    validity: BTreeMap<(usize, usize), Validity>,
    /// What happened that can be a reason for a new UIDVALIDITY.
    pub asked_for: bool,
    pub long_asleep: bool,
    /// Rows that went: judged when it is known what clients did.
    gone: Vec<(usize, EntryId, Uid)>,
    /// Whether disks were put back, nodes lost.
    pub bumps: u64,
}

impl Witness {
    /// Takes note of what a node shows in the mailboxes that are looked at, or that one client saw at this moment.
    pub fn observe(&mut self, node: usize, at: &Node, glanced: Option<MailboxId>, policy: Policy) -> Checked {
        let Some(account) = at.account() else { return Ok(()) };
        let mut looked_at: BTreeSet<MailboxId> = at.life.looks().own().iter().map(|(_, id)| *id).collect();
        looked_at.extend(glanced);
        for mailbox in looked_at {
            let Some(unit) = account.unit(mailbox).filter(|unit| unit.public == mailbox) else { continue };
            let Some(name) = NAMES.iter().position(|name| *name == unit.name) else { continue };
            let view = account.view(mailbox);
            let Some(validity) = view.validity else { continue };
            let reason =
                account.mailbox_state(&mailbox).and_then(|state| state.epoch()).map(|epoch| epoch.reason);
            self.check_validity(node, name, validity, (reason, policy))?;
            let unjudged =
                matches!(at.life.confirmation(), Confirmation::Waiting | Confirmation::Unconfirmed);
            self.check_rows((node, unjudged), name, validity, &view)?;
        }
        Ok(())
    }

    fn check_validity(
        &mut self,
        node: usize,
        name: usize,
        validity: Validity,
        (reason, policy): (Option<FoundingReason>, Policy),
    ) -> Checked {
        let known = self.validity.insert((node, name), validity);
        let Some(known) = known.filter(|known| *known != validity) else { return Ok(()) };
        let place = format!("{} on n{node}", NAMES[name]);
        if validity < known {
            return violated(format!("U6: UIDVALIDITY of {place} fell from {known} to {validity}"));
        }
        self.bumps += 1;
        let allowed = match reason {
            Some(FoundingReason::Policy) => policy.on_reorder == OnReorder::Bump,
            Some(FoundingReason::Operator) => self.asked_for,
            Some(FoundingReason::LongAsleep) => self.long_asleep,
            Some(FoundingReason::First | FoundingReason::NameBorne) => name >= DEFAULTS,
            Some(FoundingReason::SpaceUsedUp | FoundingReason::ReissueLimit) | None => false,
        };
        if allowed { Ok(()) } else { violated(format!("rule 9: {place} was bumped because of {reason:?}")) }
    }

    fn check_rows(
        &mut self,
        (node, unjudged): (usize, bool),
        name: usize,
        validity: Validity,
        view: &MailboxView,
    ) -> Checked {
        let place = format!("{} {validity} on n{node}", NAMES[name]);
        let rows: BTreeMap<Uid, EntryId> = view.rows.iter().map(|row| (row.uid, row.facts.entry)).collect();
        let before = self.seen.get(&(node, view.mailbox, validity));
        let announced = before.map_or(Uid(0), |before| before.announced);
        for (uid, entry) in &rows {
            if before.and_then(|before| before.visible.get(uid)) == Some(entry) {
                continue;
            }
            let named = *self.named.entry((name, validity, *uid)).or_insert(*entry);
            if named != *entry {
                return violated(format!("U1: {uid} of {place} names {entry:?}, and named {named:?}"));
            }
            let again = before.is_some_and(|before| {
                before.before.contains(uid) || (unjudged && before.placed.get(uid) == Some(entry))
            });
            if *uid < announced && !again {
                return violated(format!("U2: {uid} of {place} became visible below UIDNEXT {announced}"));
            }
            if *uid >= view.uid_next || uid.0 >= 1 << 31 {
                return violated(format!("U8: {uid} of {place}, where UIDNEXT is {}", view.uid_next));
            }
        }
        if let Some(before) = before {
            if view.uid_next < before.uid_next || view.highest_modseq < before.highest {
                return violated(format!(
                    "U5: {place} went back from UIDNEXT {} and HIGHESTMODSEQ {} to {} and {}",
                    before.uid_next, before.highest, view.uid_next, view.highest_modseq
                ));
            }
            let still: BTreeSet<&EntryId> = rows.values().collect();
            let changed = before.visible.iter().filter(|(uid, _)| !rows.contains_key(uid));
            for (uid, entry) in changed.clone().filter(|(_, entry)| !still.contains(entry)) {
                // Those of mailboxes that come and go may go with them.
                if name < DEFAULTS {
                    self.gone.push((node, *entry, *uid));
                }
            }
            if changed.count() > 0 && view.highest_modseq == before.highest {
                return violated(format!("MODSEQ: messages of {place} went without a new value"));
            }
        }
        let announced = announced.max(view.uid_next);
        let before = self.seen.remove(&(node, view.mailbox, validity));
        let (before, placed, mut ever) =
            before.map_or_else(Default::default, |seen| (seen.before, seen.placed, seen.ever));
        ever.extend(rows.keys());
        let (uid_next, highest) = (view.uid_next, view.highest_modseq);
        let seen = Seen { visible: rows, uid_next, highest, announced, before, placed, ever };
        self.seen.insert((node, view.mailbox, validity), seen);
        Ok(())
    }

    /// U3: what was visible went only because a client did something to it.
    pub fn check_gone(&mut self, ledger: &Ledger) -> Checked {
        for (node, entry, uid) in std::mem::take(&mut self.gone) {
            if !ledger.may_leave(&entry) && !ledger.is_delivery(&entry) {
                return violated(format!("U3: {entry:?} was visible at {uid} on n{node}, and went"));
            }
        }
        Ok(())
    }

    /// The UIDNEXTs that a node announced.
    pub fn announced_by(&self, node: usize) -> impl Iterator<Item = (MailboxId, Validity, Uid)> + '_ {
        let of_node = self.seen.iter().filter(move |((of, ..), _)| *of == node);
        of_node.map(|((_, mailbox, validity), seen)| (*mailbox, *validity, seen.announced))
    }

    /// The disk of a node was put back: what its clients see now is what was on it then.
    pub fn put_back(&mut self, node: usize, at: &Node) {
        for ((_, mailbox, validity), seen) in self.seen.iter_mut().filter(|((of, ..), _)| *of == node) {
            let shown =
                at.disk.kept.shown.get(mailbox).filter(|shown| shown.head.validity == Some(*validity));
            seen.visible = shown.map_or_else(BTreeMap::new, |shown| {
                shown.rows.values().map(|row| (row.uid, row.entry)).collect()
            });
            seen.before = seen.ever.clone();
            seen.placed = at.disk.placed(*mailbox, *validity);
            seen.uid_next = shown.map_or(Uid::FIRST, |shown| shown.head.announced);
            seen.highest = shown.map_or(Timestamp::ZERO, |shown| shown.head.highest_modseq);
        }
        self.validity.retain(|(of, _), _| *of != node);
    }
}
