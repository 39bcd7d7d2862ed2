//! The mailboxes of an account: which exist, under which names, and what their current epochs are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::register::Latest;
use crate::clock::Stamp;
use crate::identity::{MailboxId, Uid, Validity};
use crate::left_out::{LeftOut, leaves_out};
use crate::operation::FoundingReason;
use crate::placement::blocks::Dealing;

/// One epoch of a mailbox.
///
/// Ordered by UIDVALIDITY. Two records of one UIDVALIDITY do not come from honest nodes; the rest of the order makes every
/// node choose the same of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// UIDVALIDITY.
    pub validity: Validity,
    /// Why it was founded.
    pub reason: FoundingReason,
    /// Who owns which UIDs.
    pub dealing: Dealing,
    /// How many messages the founding record numbers.
    pub founded: u32,
    /// When and by whom.
    pub by: Stamp,
}

/// What is known of one mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MailboxState {
    /// First, and with which name.
    created: Option<(Stamp, String)>,
    /// Last: the default mailboxes come again with an account that is added again.
    given: Option<Stamp>,
    special_use: Option<String>,
    renamed: Option<Latest<String>>,
    deleted: Option<Stamp>,
    epoch: Option<Epoch>,
    /// The highest UID placed in the current epoch, and in each that was heard of before its founding record.
    tops: BTreeMap<Validity, Uid>,
}

impl MailboxState {
    /// The mailbox is created.
    pub fn create(&mut self, stamp: Stamp, name: &str, special_use: Option<&str>) {
        self.given = self.given.max(Some(stamp));
        // An account that is added on two sides creates its default mailboxes twice: the earlier counts.
        if self.created.as_ref().is_none_or(|(known, _)| stamp < *known) {
            self.created = Some((stamp, name.to_owned()));
            self.special_use = special_use.map(str::to_owned);
        }
    }

    /// The mailbox has another name.
    pub fn rename(&mut self, stamp: Stamp, name: &str) {
        match &mut self.renamed {
            Some(register) => {
                register.write(stamp, name.to_owned());
            }
            None => self.renamed = Some(Latest { stamp, value: name.to_owned() }),
        }
    }

    /// The mailbox is deleted.
    pub fn delete(&mut self, stamp: Stamp) {
        self.deleted = self.deleted.max(Some(stamp));
    }

    /// An epoch begins.
    pub fn found(&mut self, epoch: Epoch) {
        let numbered = if leaves_out(LeftOut::BlocksAboveNumbering) { 0 } else { epoch.founded };
        self.raise_top(epoch.validity, Uid(numbered));
        let is_later = |known: &Epoch| *known < epoch || leaves_out(LeftOut::GreatestEpoch);
        if self.epoch.as_ref().is_none_or(is_later) {
            self.tops = self.tops.split_off(&epoch.validity);
            self.epoch = Some(epoch);
        }
    }

    /// A UID is placed.
    pub fn raise_top(&mut self, validity: Validity, uid: Uid) {
        if leaves_out(LeftOut::RecordFirst)
            && let Some(epoch) = self.epoch.as_mut().filter(|epoch| epoch.validity < validity)
        {
            *epoch = Epoch { validity, founded: 0, ..epoch.clone() };
        }
        if self.epoch.as_ref().is_none_or(|epoch| epoch.validity <= validity) {
            let top = self.tops.entry(validity).or_insert(uid);
            *top = uid.max(*top);
        }
    }

    /// The greatest epoch whose founding record is here.
    pub fn epoch(&self) -> Option<&Epoch> {
        self.epoch.as_ref()
    }

    /// The highest UID known to be placed in an epoch.
    pub fn top(&self, validity: Validity) -> Uid {
        self.tops.get(&validity).copied().unwrap_or(Uid(0))
    }

    /// The special use of RFC 6154.
    pub fn special_use(&self) -> Option<&str> {
        self.special_use.as_deref()
    }

    /// Whether it is there by itself; mail that came in unheard of keeps a mailbox that was deleted. Of an account that was
    /// `removed` and added again nothing counts that happened before.
    pub fn exists(&self, removed: Option<Stamp>) -> bool {
        self.given > removed && self.deleted.is_none_or(|deleted| Some(deleted) <= removed)
    }

    fn name(&self, removed: Option<Stamp>) -> Option<Claim<'_>> {
        let renamed = self.renamed.as_ref().filter(|renamed| Some(renamed.stamp) > removed);
        match (renamed, &self.created) {
            (Some(renamed), Some(_)) => {
                Some(Claim { name: &renamed.value, stamp: renamed.stamp, by_rename: true })
            }
            (None, Some((stamp, name))) => Some(Claim { name, stamp: *stamp, by_rename: false }),
            _ => None,
        }
    }
}

/// What a mailbox would be called, and since when.
struct Claim<'a> {
    name: &'a str,
    stamp: Stamp,
    by_rename: bool,
}

/// Which claims of one name, sorted by stamp, are one mailbox: all creations, and all identities of one rename.
fn unite_claims(claimants: &[(Claim<'_>, MailboxId)]) -> Vec<Vec<MailboxId>> {
    let mut groups: Vec<Vec<MailboxId>> = Vec::new();
    let mut created = None;
    let mut renamed: Option<(Stamp, usize)> = None;
    for (claim, id) in claimants {
        let known = match claim.by_rename {
            true => renamed.filter(|(stamp, _)| *stamp == claim.stamp).map(|(_, group)| group),
            false => created.filter(|_| !leaves_out(LeftOut::OneNameOneMailbox)),
        };
        if let Some(group) = known.and_then(|group| groups.get_mut(group)) {
            group.push(*id);
            continue;
        }
        match claim.by_rename {
            true => renamed = Some((claim.stamp, groups.len())),
            false => created = Some(groups.len()),
        }
        groups.push(vec![*id]);
    }
    groups
}

/// One mailbox as clients know it: usually one identity; several where one name was created on several sides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unit {
    /// The name that clients see.
    pub name: String,
    /// The identity that clients are given: the holder of the current epoch.
    pub public: MailboxId,
    /// All identities, ascending by creation.
    pub identities: Vec<MailboxId>,
    /// The special use of RFC 6154.
    pub special_use: Option<String>,
}

/// Which identities are which mailbox under which name: a pure function of the states of the mailboxes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resolution {
    units: Vec<Unit>,
    of_identity: BTreeMap<MailboxId, usize>,
}

impl Resolution {
    /// Resolves names. `removed` is when the account was removed last.
    ///
    /// A mailbox is there while it is not deleted, or holds live messages. Creations of one name are one mailbox, and stay
    /// one when they are renamed as one. Of several mailboxes that end on one name by renames the first keeps it, the others get a `~` and digits of their identity.
    pub fn new(
        mailboxes: &BTreeMap<MailboxId, MailboxState>,
        removed: Option<Stamp>,
        holds_mail: impl Fn(MailboxId) -> bool,
    ) -> Self {
        let mut claims: BTreeMap<&str, Vec<(Claim<'_>, MailboxId)>> = BTreeMap::new();
        for (id, state) in mailboxes {
            if let Some(claim) = state.name(removed)
                && (state.exists(removed) || holds_mail(*id) && !leaves_out(LeftOut::MailOutlivesDeletion))
            {
                claims.entry(claim.name).or_default().push((claim, *id));
            }
        }
        let mut resolution = Resolution::default();
        let mut displaced = Vec::new();
        for (name, mut claimants) in claims {
            claimants.sort_by_key(|(claim, id)| (claim.stamp, *id));
            let mut groups = unite_claims(&claimants).into_iter();
            if let Some(first) = groups.next() {
                resolution.add(mailboxes, name.to_owned(), first);
            }
            displaced.extend(groups.map(|identities| (name, identities)));
        }
        if leaves_out(LeftOut::DistinctNames) {
            displaced.clear();
        }
        for (name, identities) in displaced {
            let free = resolution.free_name(name, &identities);
            resolution.add(mailboxes, free, identities);
        }
        resolution
    }

    /// A name for a mailbox whose own is taken: with a `~` and digits of its identity, and more `~` if somebody has that too.
    fn free_name(&self, name: &str, identities: &[MailboxId]) -> String {
        let digits = identities.first().map(MailboxId::to_string).unwrap_or_default();
        let mut free = format!("{name}~{}", digits.get(..8).unwrap_or(&digits));
        if self.by_name(&free).is_some() {
            free = format!("{name}~{digits}");
        }
        while self.by_name(&free).is_some() {
            free.push('~');
        }
        free
    }

    fn add(
        &mut self,
        mailboxes: &BTreeMap<MailboxId, MailboxState>,
        name: String,
        identities: Vec<MailboxId>,
    ) {
        let validity =
            |id: &MailboxId| mailboxes.get(id).and_then(|state| state.epoch()).map(|epoch| epoch.validity);
        let holder = identities.iter().rev().max_by_key(|id| validity(id));
        let first = identities.first().filter(|_| leaves_out(LeftOut::GreaterStays));
        let Some(public) = first.or(holder).copied() else {
            return;
        };
        let special_use =
            identities.iter().find_map(|id| mailboxes.get(id)?.special_use().map(str::to_owned));
        for id in &identities {
            self.of_identity.insert(*id, self.units.len());
        }
        self.units.push(Unit { name, public, identities, special_use });
    }

    /// All mailboxes.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// The mailbox that an identity belongs to.
    pub fn of(&self, identity: MailboxId) -> Option<&Unit> {
        self.of_identity.get(&identity).and_then(|place| self.units.get(*place))
    }

    /// The mailbox of this name.
    pub fn by_name(&self, name: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Millis, Timestamp};
    use crate::identity::{Incarnation, NodeSlot};

    fn stamp(n: u64) -> Stamp {
        Stamp {
            timestamp: Timestamp::from_parts(Millis(n), 0, NodeSlot::FIRST),
            incarnation: Incarnation([9; 16]),
        }
    }

    fn id(n: u8) -> MailboxId {
        MailboxId([n; 16])
    }

    fn created(n: u64, name: &str) -> MailboxState {
        let mut state = MailboxState::default();
        state.create(stamp(n), name, None);
        state
    }

    fn epoch(validity: u32) -> Epoch {
        Epoch {
            validity: Validity(validity),
            reason: FoundingReason::First,
            dealing: Dealing::new(vec![]),
            founded: 0,
            by: Stamp::ZERO,
        }
    }

    #[test]
    fn one_name_created_twice_is_one_mailbox_with_the_greater_epoch() {
        let mut two = created(2, "x");
        two.found(epoch(9));
        let mailboxes = BTreeMap::from([(id(1), created(1, "x")), (id(2), two)]);
        let resolution = Resolution::new(&mailboxes, None, |_| false);
        assert_eq!(resolution.units().len(), 1);
        let unit = resolution.by_name("x").expect("x");
        assert_eq!((unit.public, unit.identities.as_slice()), (id(2), [id(1), id(2)].as_slice()));
        assert_eq!(resolution.of(id(1)), resolution.of(id(2)));
    }

    #[test]
    fn two_renamed_to_one_name_get_distinct_names() {
        let (mut a, mut b) = (created(1, "a"), created(2, "b"));
        a.rename(stamp(5), "x");
        b.rename(stamp(4), "x");
        let mailboxes = BTreeMap::from([(id(1), a), (id(2), b)]);
        let resolution = Resolution::new(&mailboxes, None, |_| false);
        assert_eq!(resolution.by_name("x").map(|unit| unit.public), Some(id(2)));
        assert_eq!(resolution.by_name("x~01010101").map(|unit| unit.public), Some(id(1)));
    }

    #[test]
    fn a_mailbox_of_two_identities_stays_one_when_it_is_renamed() {
        let (mut a, mut b) = (created(1, "a"), created(2, "a"));
        a.rename(stamp(5), "x");
        b.rename(stamp(5), "x");
        let mailboxes = BTreeMap::from([(id(1), a), (id(2), b)]);
        let resolution = Resolution::new(&mailboxes, None, |_| false);
        assert_eq!(resolution.units().len(), 1);
        assert_eq!(resolution.by_name("x").map(|unit| unit.identities.len()), Some(2));
    }

    #[test]
    fn a_name_given_to_a_displaced_mailbox_is_nobody_elses() {
        let (mut a, mut b) = (created(1, "a"), created(2, "b"));
        a.rename(stamp(5), "x");
        b.rename(stamp(4), "x");
        let (short, long) = (created(3, "x~01010101"), created(4, &format!("x~{}", id(1))));
        let mailboxes = BTreeMap::from([(id(1), a), (id(2), b), (id(3), short), (id(4), long)]);
        let resolution = Resolution::new(&mailboxes, None, |_| false);
        let names: std::collections::BTreeSet<_> = resolution.units().iter().map(|unit| &unit.name).collect();
        assert_eq!(names.len(), 4, "{names:?}");
    }

    #[test]
    fn a_placement_in_an_epoch_to_come_does_not_hide_the_top_of_this_one() {
        let mut state = created(1, "x");
        state.found(epoch(5));
        state.raise_top(Validity(5), Uid(64));
        state.raise_top(Validity(9), Uid(3));
        assert_eq!((state.top(Validity(5)), state.top(Validity(9))), (Uid(64), Uid(3)));
        state.found(epoch(9));
        assert_eq!((state.top(Validity(5)), state.top(Validity(9))), (Uid(0), Uid(3)));
        let before = state.clone();
        state.raise_top(Validity(5), Uid(70));
        state.found(epoch(5));
        assert_eq!(state, before);
    }

    #[test]
    fn a_deleted_mailbox_with_mail_is_still_there() {
        let mut gone = created(1, "x");
        gone.delete(stamp(2));
        let mailboxes = BTreeMap::from([(id(1), gone)]);
        assert!(Resolution::new(&mailboxes, None, |_| false).units().is_empty());
        assert_eq!(Resolution::new(&mailboxes, None, |_| true).units().len(), 1);
    }
}
