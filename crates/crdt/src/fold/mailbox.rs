//! The mailboxes of an account: which exist, under which names, and what their current epochs are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::register::Latest;
use crate::clock::Stamp;
use crate::identity::{MailboxId, Uid, Validity};
use crate::placement::blocks::Dealing;

/// One epoch of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// UIDVALIDITY.
    pub validity: Validity,
    /// Who owns which UIDs.
    pub dealing: Dealing,
    /// How many messages the founding record numbers.
    pub founded: u32,
}

/// What is known of one mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxState {
    created: Option<(Stamp, String)>,
    special_use: Option<String>,
    renamed: Option<Latest<String>>,
    deleted: Option<Stamp>,
    epoch: Option<Epoch>,
    /// The highest UID placed in the greatest epoch heard of.
    top: Option<(Validity, Uid)>,
}

impl MailboxState {
    /// The mailbox is created.
    pub fn create(&mut self, stamp: Stamp, name: &str, special_use: Option<&str>) {
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
        self.raise_top(epoch.validity, Uid(epoch.founded));
        if self.epoch.as_ref().is_none_or(|known| known.validity < epoch.validity) {
            self.epoch = Some(epoch);
        }
    }

    /// A UID is placed.
    pub fn raise_top(&mut self, validity: Validity, uid: Uid) {
        self.top = self.top.max(Some((validity, uid)));
    }

    /// The greatest epoch whose founding record is here.
    pub fn epoch(&self) -> Option<&Epoch> {
        self.epoch.as_ref()
    }

    /// The highest UID known to be placed in an epoch.
    pub fn top(&self, validity: Validity) -> Uid {
        match self.top {
            Some((known, uid)) if known == validity => uid,
            _ => Uid(0),
        }
    }

    /// The special use of RFC 6154.
    pub fn special_use(&self) -> Option<&str> {
        self.special_use.as_deref()
    }

    /// Whether it was deleted; mail that came in unheard of keeps it alive all the same.
    pub fn is_deleted(&self) -> bool {
        self.deleted.is_some()
    }

    fn name(&self) -> Option<Claim<'_>> {
        match (&self.renamed, &self.created) {
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

/// One mailbox as clients know it: usually one identity; several where one name was created on several sides.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    units: Vec<Unit>,
    of_identity: BTreeMap<MailboxId, usize>,
}

impl Resolution {
    /// Resolves names.
    ///
    /// A mailbox is there while it is not deleted, or holds live messages. Creations of one name are one mailbox. Of
    /// several mailboxes that end on one name by renames the first keeps it, the others get a `~` and digits of their identity.
    pub fn new(
        mailboxes: &BTreeMap<MailboxId, MailboxState>,
        holds_mail: impl Fn(MailboxId) -> bool,
    ) -> Self {
        let mut claims: BTreeMap<&str, Vec<(Claim<'_>, MailboxId)>> = BTreeMap::new();
        for (id, state) in mailboxes {
            if let Some(claim) = state.name()
                && (!state.is_deleted() || holds_mail(*id))
            {
                claims.entry(claim.name).or_default().push((claim, *id));
            }
        }
        let mut resolution = Resolution::default();
        let mut displaced = Vec::new();
        for (name, mut claimants) in claims {
            claimants.sort_by_key(|(claim, id)| (claim.stamp, *id));
            let created: Vec<MailboxId> =
                claimants.iter().filter(|(claim, _)| !claim.by_rename).map(|(_, id)| *id).collect();
            let mut united = false;
            let mut taken = false;
            for (claim, id) in claimants {
                if !claim.by_rename && std::mem::replace(&mut united, true) {
                    continue;
                }
                let identities = if claim.by_rename { vec![id] } else { created.clone() };
                match std::mem::replace(&mut taken, true) {
                    false => resolution.add(mailboxes, name.to_owned(), identities),
                    true => displaced.push((name, id, identities)),
                }
            }
        }
        for (name, id, identities) in displaced {
            let digits = id.to_string();
            let short = format!("{name}~{}", digits.get(..8).unwrap_or(&digits));
            let free = resolution.by_name(&short).is_none();
            resolution.add(mailboxes, if free { short } else { format!("{name}~{digits}") }, identities);
        }
        resolution
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
        let Some(public) = holder.copied() else {
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
        Epoch { validity: Validity(validity), dealing: Dealing::new(vec![]), founded: 0 }
    }

    #[test]
    fn one_name_created_twice_is_one_mailbox_with_the_greater_epoch() {
        let mut two = created(2, "x");
        two.found(epoch(9));
        let mailboxes = BTreeMap::from([(id(1), created(1, "x")), (id(2), two)]);
        let resolution = Resolution::new(&mailboxes, |_| false);
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
        let resolution = Resolution::new(&mailboxes, |_| false);
        assert_eq!(resolution.by_name("x").map(|unit| unit.public), Some(id(2)));
        assert_eq!(resolution.by_name("x~01010101").map(|unit| unit.public), Some(id(1)));
    }

    #[test]
    fn a_deleted_mailbox_with_mail_is_still_there() {
        let mut gone = created(1, "x");
        gone.delete(stamp(2));
        let mailboxes = BTreeMap::from([(id(1), gone)]);
        assert!(Resolution::new(&mailboxes, |_| false).units().is_empty());
        assert_eq!(Resolution::new(&mailboxes, |_| true).units().len(), 1);
    }
}
