//! Who is told: what he sees of an account, and under which names.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mailstore::account::{AccountView, MailboxEntry};
use mailstore::crdt::fold::access::Grantee;
use mailstore::crdt::identity::AccountId;
use mailstore::crdt::rights::Rights;

use super::super::access::other_name;

/// The mailboxes of an account that somebody sees, by the names that he has for them.
pub(super) type Seen<'a> = BTreeMap<Cow<'a, str>, &'a MailboxEntry>;

/// A session's account.
#[derive(Clone, Copy)]
pub(super) struct Viewer {
    account: AccountId,
    grantee: Grantee,
}

impl Viewer {
    pub(super) fn of(own: &AccountView) -> Self {
        Viewer { account: own.account, grantee: own.grantee }
    }

    pub(super) fn owns(self, view: &AccountView) -> bool {
        view.account == self.account
    }

    pub(super) fn rights(self, entry: &MailboxEntry) -> Rights {
        entry.access.rights(self.grantee)
    }

    /// What he calls a mailbox.
    pub(super) fn name<'n>(self, view: &AccountView, name: &'n str) -> Cow<'n, str> {
        if self.owns(view) { name.into() } else { other_name(&view.name, name).into() }
    }

    pub(super) fn seen(self, view: &AccountView) -> Seen<'_> {
        let sees = |entry: &MailboxEntry| !view.removed && self.rights(entry).contain(Rights::LOOKUP);
        let mailboxes = view.mailboxes.iter().filter(|(_, entry)| sees(entry));
        mailboxes.map(|(name, entry)| (self.name(view, name), entry)).collect()
    }
}
