//! Which accounts give rights to whom: an index over the heads of all accounts, so that whoever lists mailboxes reads those
//! accounts alone that share something with him.

use std::collections::{BTreeMap, BTreeSet};

use crdt::account::AccountHead;
use crdt::fold::access::Grantee;
use crdt::identity::AccountId;

/// The most accounts whose shared mailboxes one account is shown.
pub const MOST_SHARING: usize = 1_000;

/// The accounts that give rights, by whom they give them to. It holds as much as the access control lists themselves; a mailbox that
/// is gone may still be in it, so whoever is found here is asked.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    owners: BTreeMap<Grantee, BTreeSet<AccountId>>,
    grantees: BTreeMap<AccountId, BTreeSet<Grantee>>,
}

impl Sharing {
    /// Takes note of what an account gives to whom now; whether it gives to others than before.
    pub(crate) fn set(&mut self, owner: AccountId, head: &AccountHead) -> bool {
        let now: BTreeSet<Grantee> = head.rights().grantees().collect();
        let before = match now.is_empty() {
            true => self.grantees.remove(&owner),
            false => self.grantees.insert(owner, now.clone()),
        };
        let before = before.unwrap_or_default();
        for grantee in before.difference(&now) {
            if let Some(owners) = self.owners.get_mut(grantee) {
                owners.remove(&owner);
                if owners.is_empty() {
                    self.owners.remove(grantee);
                }
            }
        }
        for grantee in now.difference(&before) {
            self.owners.entry(*grantee).or_default().insert(owner);
        }
        before != now
    }

    /// The accounts that give rights to somebody by name or to anyone, in the order of their identities.
    pub(crate) fn with(&self, grantee: Grantee) -> BTreeSet<AccountId> {
        let of = |grantee| self.owners.get(&grantee).into_iter().flatten().copied();
        of(grantee).chain(of(Grantee::Anyone)).collect()
    }
}
