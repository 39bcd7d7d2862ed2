//! The access control lists of an account's mailboxes (RFC 4314), by the identities of mailboxes: a list stays over a rename.
//! Where one mailbox goes by several identities, of each right the write that was made last counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Account;
use super::mailboxes::SEPARATOR;
use crate::clock::Stamp;
use crate::fold::access::{AccessList, Grantee, Identifier, RightsRegister};
use crate::fold::mailbox::Unit;
use crate::identity::MailboxId;
use crate::operation::{DocumentId, Operation};
use crate::rights::Rights;
use crate::writer::Writer;

/// The access control lists of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccessLists(BTreeMap<(MailboxId, Identifier), RightsRegister>);

impl AccessLists {
    /// Takes a write in, in whatever order it comes; whether it changed what the identifier has. What was written before the
    /// account was removed last does not count.
    pub(super) fn write(
        &mut self,
        removed: Option<Stamp>,
        stamp: Stamp,
        of: (MailboxId, Identifier),
        (given, taken): (Rights, Rights),
    ) -> bool {
        if Some(stamp) <= removed {
            return false;
        }
        let register = self.0.entry(of).or_default();
        let before = (register.rights(Rights::NONE), register.rights(Rights::ALL));
        register.write(stamp, given, taken);
        before != (register.rights(Rights::NONE), register.rights(Rights::ALL))
    }

    /// The account was removed: what was written before is gone.
    pub(super) fn forget(&mut self, removed: Option<Stamp>) {
        self.0.values_mut().for_each(|register| register.forget(removed));
        self.0.retain(|_, register| !register.is_empty());
    }

    /// How many identifiers mailboxes ever had rights under, those that have none any more included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no mailbox ever had rights under an identifier.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a mailbox ever had rights under this identifier.
    pub fn remember(&self, mailbox: MailboxId, identifier: Identifier) -> bool {
        self.0.contains_key(&(mailbox, identifier))
    }

    /// Everybody who has some right to some mailbox, as often as there are such mailboxes.
    pub fn grantees(&self) -> impl Iterator<Item = Grantee> + '_ {
        let gives = |((_, identifier), register): (&(MailboxId, Identifier), &RightsRegister)| {
            let any = !identifier.negative && !register.rights(Rights::NONE).is_empty();
            any.then_some(identifier.grantee)
        };
        self.0.iter().filter_map(gives)
    }

    /// The list of a mailbox that goes by these identities.
    fn of(&self, owner: Grantee, identities: &[MailboxId]) -> AccessList {
        let mut united: BTreeMap<Identifier, RightsRegister> = BTreeMap::new();
        for (identifier, register) in identities.iter().flat_map(|identity| self.under(*identity)) {
            united.entry(identifier).or_default().unite(register);
        }
        AccessList::new(owner, &united)
    }

    /// The registers of one identity.
    fn under(&self, identity: MailboxId) -> impl Iterator<Item = (Identifier, &RightsRegister)> {
        let first = Identifier { grantee: Grantee::Anyone, negative: false };
        let own = self.0.range((identity, first)..).take_while(move |((of, _), _)| *of == identity);
        own.map(|((_, identifier), register)| (*identifier, register))
    }
}

impl Account {
    /// What rights are given to the account itself under.
    pub fn grantee(&self) -> Grantee {
        Grantee::Account(self.id(), self.head().life())
    }

    /// Who may do what with a mailbox.
    pub fn access(&self, unit: &Unit) -> AccessList {
        self.head().rights().of(self.grantee(), &unit.identities)
    }

    /// The access control list that a new mailbox of this name begins with: that of the nearest mailbox above it.
    pub fn inherited_by(&self, name: &str) -> Option<AccessList> {
        let superior = |(end, _): (usize, &str)| self.unit_by_name(name.get(..end)?);
        name.rmatch_indices(SEPARATOR).find_map(superior).map(|unit| self.access(unit))
    }

    /// Gives and takes rights to a mailbox.
    pub(crate) fn change_rights(
        &mut self,
        writer: &mut Writer,
        mailbox: MailboxId,
        identifier: Identifier,
        (given, taken): (Rights, Rights),
    ) {
        if !(given | taken).is_empty() {
            let change = Operation::ChangeRights { mailbox, identifier, given, taken: taken - given };
            self.write(writer, DocumentId::Account(self.id()), change);
        }
    }

    /// A new mailbox has the list of the one above.
    pub(super) fn inherit(&mut self, writer: &mut Writer, mailbox: MailboxId, from: &AccessList) {
        let owner = Identifier::of(from.owner());
        for (identifier, rights) in from.inherited() {
            // The owner has everything that is not taken from him, and everybody else nothing.
            let change = match identifier == owner {
                true => (Rights::NONE, Rights::ALL - rights),
                false => (rights, Rights::NONE),
            };
            self.change_rights(writer, mailbox, identifier, change);
        }
    }

    /// Takes all rights to a mailbox: with the mailbox its list goes. Mail that the deletion did not know of brings the mailbox back
    /// for its owner alone.
    pub(super) fn take_rights(&mut self, writer: &mut Writer, identity: MailboxId) {
        let owner = Identifier::of(self.grantee());
        let change = |(identifier, register): (Identifier, &RightsRegister)| match identifier == owner {
            true => (identifier, (Rights::ALL - register.rights(Rights::ALL), Rights::NONE)),
            false => (identifier, (Rights::NONE, register.rights(Rights::NONE))),
        };
        let changes: Vec<_> = self.head().rights().under(identity).map(change).collect();
        for (identifier, change) in changes {
            self.change_rights(writer, identity, identifier, change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Millis, Timestamp};
    use crate::fold::access::Life;
    use crate::identity::{AccountId, Incarnation, NodeSlot};

    fn at(counter: u16) -> Stamp {
        let timestamp = Timestamp::from_parts(Millis(1), counter, NodeSlot::FIRST);
        Stamp { timestamp, incarnation: Incarnation([1; 16]) }
    }

    const MAILBOX: MailboxId = MailboxId([1; 16]);

    fn account(name: &str) -> Grantee {
        Grantee::Account(AccountId::of_name(name), Life::default())
    }

    /// The same writes and removals of the account, in every order, leave the same.
    #[test]
    fn the_order_in_which_writes_come_does_not_matter() {
        type Step = fn(&mut (AccessLists, Option<Stamp>));
        fn write(lists: &mut AccessLists, removed: Option<Stamp>, stamp: Stamp, given: &str, taken: &str) {
            let rights = |letters| Rights::parse(letters).expect("rights");
            let of = (MAILBOX, Identifier::of(account("bob")));
            lists.write(removed, stamp, of, (rights(given), rights(taken)));
        }
        let steps: [Step; 4] = [
            |(lists, removed)| write(lists, *removed, at(1), "lrsa", ""),
            |(lists, removed)| {
                *removed = (*removed).max(Some(at(2)));
                lists.forget(*removed);
            },
            |(lists, removed)| write(lists, *removed, at(3), "lri", ""),
            |(lists, removed)| write(lists, *removed, at(4), "w", "i"),
        ];
        let mut results = Vec::new();
        for order in 0..256usize {
            let order = [order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6];
            if (0..4).all(|step| order.contains(&step)) {
                let mut state = (AccessLists::default(), None);
                order.iter().for_each(|step| steps[*step](&mut state));
                results.push(state.0);
            }
        }
        assert_eq!(results.len(), 24);
        assert!(results.iter().all(|lists| *lists == results[0]), "{results:?}");
        let list = results[0].of(account("alice"), &[MAILBOX]);
        assert_eq!(list.rights(account("bob")).to_string(), "lrw");
    }

    #[test]
    fn of_two_identities_the_later_write_counts() {
        let other = MailboxId([2; 16]);
        let (lookup, read) = (Rights::LOOKUP, Rights::READ);
        let bob = Identifier::of(account("bob"));
        let mut lists = AccessLists::default();
        assert!(lists.write(None, at(3), (MAILBOX, bob), (lookup, read)));
        assert!(!lists.write(None, at(3), (MAILBOX, bob), (lookup, read)), "again");
        assert!(lists.write(None, at(1), (other, bob), (read, Rights::NONE)));
        let rights = |identities: &[MailboxId]| lists.of(account("alice"), identities).rights(account("bob"));
        assert_eq!((rights(&[MAILBOX]), rights(&[other])), (lookup, read));
        assert_eq!(rights(&[MAILBOX, other]), lookup);
        assert_eq!(rights(&[other, MAILBOX]), lookup);
    }
}
