//! What clients of all nodes saw: U1, U2, U3, U6, U8, and that no UIDVALIDITY changes without a reason.

use std::collections::{BTreeMap, BTreeSet};

use peerpost_crdt::clock::Timestamp;
use peerpost_crdt::identity::{EntryId, MailboxId, Uid, Validity};
use peerpost_crdt::operation::FoundingReason;
use peerpost_crdt::placement::reach::LEAP;
use peerpost_crdt::placement::surroundings::{OnReorder, Policy};
use peerpost_crdt::replica::Confirmation;
use peerpost_crdt::view::MailboxView;

use super::disk::{Disk, Life};
use super::ledger::{Ledger, Written};
use super::step::{DEFAULTS, NAMES};
use super::world::{Checked, Node, violated};

/// What clients of one node saw of one epoch last.
#[derive(Clone, Default)]
struct Seen {
    visible: BTreeMap<Uid, EntryId>,
    uid_next: Uid,
    highest: Timestamp,
    /// The greatest UIDNEXT ever, whatever disk was put back.
    announced: Uid,
    /// Whether the disk was put back: what the founding record numbers is visible then, though the lost life may have had no body of
    /// it, or have moved or expunged it.
    put_back: bool,
    /// Everything that was visible before the disk was put back, and may be so again.
    before: BTreeSet<Uid>,
    /// What was placed on the disk when it was put back, with its body there: a life that nobody can tell that it was put back
    /// shows it at its UID.
    placed: BTreeMap<Uid, EntryId>,
    /// What was ever visible, with the last record of the node by then.
    ever: BTreeMap<Uid, Written>,
    /// From where on the UIDs of a life that is lost lie, which had leapt: leaps say nothing of leaps.
    lost_above: Option<Uid>,
    /// What was visible above the last leap, with the record by which it had placed it, at the latest.
    lost: Vec<(Uid, Option<Written>)>,
}

/// What is seen of one mailbox of one node at one moment, beside its rows.
struct Observed {
    node: usize,
    name: usize,
    /// How many messages the founding record numbers.
    founded: u32,
    /// Whether the members have not said yet whether this life goes on where the one before ended.
    unjudged: bool,
    /// What a lost life had above its last leap.
    knows: bool,
    /// The last record of the node.
    written: Written,
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
    /// UIDs of lives that are lost and had leapt, or had seen another's leap: another life may leap among them.
    beyond_leaps: BTreeSet<(Validity, Uid)>,
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
            let epoch = account.mailbox_state(&mailbox).and_then(|state| state.epoch());
            self.check_validity(node, name, validity, (epoch.map(|epoch| epoch.reason), policy))?;
            let founded = epoch.map_or(0, |epoch| epoch.founded);
            let unjudged =
                matches!(at.life.confirmation(), Confirmation::Waiting | Confirmation::Unconfirmed);
            let uid_of = |entry: &EntryId| account.uid_of(entry, mailbox);
            let knows = self.knows_of_leap((node, name), &view, &at.life, uid_of);
            let written = (at.life.author().incarnation, at.life.sequence().0);
            let look = Observed { node, name, founded, unjudged, knows, written };
            self.check_rows(&look, validity, &view)?;
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

    /// Whether a node whose disk was put back knows of anything that its lost life had shown above its last leap, or another's: until
    /// then the order in which it comes, should it leap, cannot be had, and from then on it places nothing there.
    fn knows_of_leap(
        &self,
        (node, name): (usize, usize),
        view: &MailboxView,
        life: &Life,
        uid_of: impl Fn(&EntryId) -> Option<Uid>,
    ) -> bool {
        let seen = view.validity.and_then(|validity| self.seen.get(&(node, view.mailbox, validity)));
        let Some(seen) = seen.filter(|seen| seen.lost_above.is_some()) else { return false };
        let has = |(of, sequence): &Written| life.vector().last(of).0 >= *sequence;
        let is_there = |uid: &Uid| {
            let entry = view.validity.and_then(|validity| self.named.get(&(name, validity, *uid)));
            entry.and_then(&uid_of) == Some(*uid)
        };
        seen.lost.iter().any(|(uid, written)| written.as_ref().is_some_and(has) || is_there(uid))
    }

    fn check_rows(&mut self, look: &Observed, validity: Validity, view: &MailboxView) -> Checked {
        let Observed { node, name, founded, unjudged, knows, written } = *look;
        let place = || format!("{} {validity} on n{node}", NAMES[name]);
        let rows: BTreeMap<Uid, EntryId> = view.rows.iter().map(|row| (row.uid, row.facts.entry)).collect();
        let before = self.seen.get(&(node, view.mailbox, validity));
        let mut announced = before.map_or(Uid(0), |before| before.announced);
        let mut lost_above = before.and_then(|before| before.lost_above);
        if let (Some(before), Some(above), true) = (before, lost_above, knows) {
            before.ever.range(above..).for_each(|(uid, _)| {
                self.beyond_leaps.remove(&(validity, *uid));
            });
            lost_above = None;
        }
        for (uid, entry) in &rows {
            if before.and_then(|before| before.visible.get(uid)) == Some(entry) {
                continue;
            }
            let named = *self.named.entry((name, validity, *uid)).or_insert(*entry);
            if named != *entry && self.beyond_leaps.contains(&(validity, *uid)) {
                self.named.insert((name, validity, *uid), *entry);
            } else if named != *entry {
                return violated(format!("U1: {uid} of {} names {entry:?}, and named {named:?}", place()));
            }
            let again = before.is_some_and(|before| {
                before.before.contains(uid)
                    || (before.put_back && uid.0 <= founded)
                    || (unjudged && before.placed.get(uid) == Some(entry))
            });
            let below = *uid < announced && !again;
            if below && lost_above.is_some_and(|above| above <= *uid) {
                // From here on the leap of the second life alone counts.
                announced = Uid(0);
            } else if below {
                let place = place();
                return violated(format!("U2: {uid} of {place} became visible below UIDNEXT {announced}"));
            }
            if *uid >= view.uid_next || uid.0 >= 1 << 31 {
                return violated(format!("U8: {uid} of {}, where UIDNEXT is {}", place(), view.uid_next));
            }
        }
        if let Some(before) = before {
            if view.uid_next < before.uid_next || view.highest_modseq < before.highest {
                return violated(format!(
                    "U5: {} went back from UIDNEXT {} and HIGHESTMODSEQ {} to {} and {}",
                    place(),
                    before.uid_next,
                    before.highest,
                    view.uid_next,
                    view.highest_modseq
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
                return violated(format!("MODSEQ: messages of {} went without a new value", place()));
            }
        }
        let mut seen = self.seen.remove(&(node, view.mailbox, validity)).unwrap_or_default();
        rows.keys().for_each(|uid| {
            seen.ever.entry(*uid).or_insert(written);
        });
        seen.visible = rows;
        (seen.uid_next, seen.highest) = (view.uid_next, view.highest_modseq);
        (seen.announced, seen.lost_above) = (announced.max(view.uid_next), lost_above);
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

    /// The disk of a node was put back: what its clients see now is what was on it then.
    pub fn put_back(&mut self, node: usize, lost: &Disk, at: &Node) {
        for ((_, mailbox, validity), seen) in self.seen.iter_mut().filter(|((of, ..), _)| *of == node) {
            let shown =
                at.disk.kept.shown.get(mailbox).filter(|shown| shown.head.validity == Some(*validity));
            seen.visible = shown.map_or_else(BTreeMap::new, |shown| {
                shown.rows.values().map(|row| (row.uid, row.entry)).collect()
            });
            let reaches = at.disk.reaches(*mailbox, *validity);
            let leap = Uid(reaches.0.saturating_add(LEAP));
            seen.lost_above = (seen.announced >= leap).then_some(leap);
            let own = |uid: &Uid| lost.owns(*mailbox, *uid);
            self.beyond_leaps.extend(
                seen.ever.range(leap..).filter(|(uid, _)| own(uid)).map(|(uid, _)| (*validity, *uid)),
            );
            let last = last_leap(reaches, seen.ever.range(leap..).map(|(uid, _)| *uid));
            let last = seen.ever.range(last..).map(|(uid, written)| (*uid, own(uid).then_some(*written)));
            seen.lost = last.collect();
            seen.before = seen.ever.keys().copied().collect();
            seen.put_back = true;
            seen.placed = at.disk.placed(*mailbox, *validity);
            seen.uid_next = shown.map_or(Uid::FIRST, |shown| shown.head.announced);
            seen.highest = shown.map_or(Timestamp::ZERO, |shown| shown.head.highest_modseq);
        }
        self.validity.retain(|(of, _), _| *of != node);
    }
}

/// Where the last leap among these UIDs led.
fn last_leap(from: Uid, uids: impl Iterator<Item = Uid>) -> Uid {
    let (mut before, mut last) = (from, from);
    for uid in uids {
        if uid.0 >= before.0.saturating_add(LEAP) {
            last = uid;
        }
        before = uid;
    }
    last
}
