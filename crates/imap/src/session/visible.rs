//! The mailboxes that a session is shown: its own, and those of other accounts to which it has the right `l`.

use std::collections::BTreeMap;
use std::sync::Arc;

use mailstore::account::{AccountView, HIERARCHY_SEPARATOR, MailboxEntry};
use mailstore::crdt::fold::access::Grantee;
use mailstore::crdt::identity::AccountId;
use mailstore::crdt::rights::Rights;

use super::Session;
use super::access::other_name;

/// The most mailboxes of other accounts that are listed.
const MOST_SHARED: usize = 20_000;

/// What one answer of LIST or LSUB is made of.
pub(super) struct Visible {
    own: Arc<AccountView>,
    grantee: Grantee,
    others: BTreeMap<String, (AccountId, MailboxEntry)>,
}

/// One mailbox of them.
pub(super) struct Listed<'a> {
    pub(super) account: AccountId,
    pub(super) entry: &'a MailboxEntry,
    pub(super) rights: Rights,
    pub(super) is_own: bool,
}

impl Listed<'_> {
    /// The special use of RFC 6154, which one of another account has for its owner alone.
    pub(super) fn special_use(&self) -> Option<&str> {
        self.entry.special_use.as_deref().filter(|_| self.is_own)
    }
}

impl Session {
    /// What the session is shown, those of other accounts only where they are asked for.
    pub(super) fn visible(&self, others: bool) -> Option<Visible> {
        let mut visible = Visible::own(self.mailboxes()?);
        if others {
            for owner in self.store.sharing_with(&visible.own.account) {
                // One that is not loaded shares something since the command began.
                if let Some(view) = self.store.account_view(&owner) {
                    visible.add(&view.borrow());
                }
            }
        }
        Some(visible)
    }
}

impl Visible {
    /// The mailboxes of an account alone.
    pub(super) fn own(own: Arc<AccountView>) -> Self {
        Visible { grantee: own.grantee, own, others: BTreeMap::new() }
    }

    /// With those of another account that the session sees.
    pub(super) fn add(&mut self, view: &AccountView) {
        let listed = |entry: &MailboxEntry| entry.access.rights(self.grantee).contain(Rights::LOOKUP);
        let entries = view.mailboxes.iter().filter(|(_, entry)| !view.removed && listed(entry));
        for (name, entry) in entries {
            if self.others.len() < MOST_SHARED {
                self.others.insert(other_name(&view.name, name), (view.account, entry.clone()));
            }
        }
    }

    /// The names that the session is subscribed to.
    pub(super) fn subscriptions(&self) -> &std::collections::BTreeSet<String> {
        &self.own.subscriptions
    }

    /// The mailbox of this name.
    pub(super) fn find(&self, name: &str) -> Option<Listed<'_>> {
        let (account, entry, is_own) = match (self.own.mailboxes.get(name), self.others.get(name)) {
            (Some(entry), _) => (self.own.account, entry, true),
            (None, Some((account, entry))) => (*account, entry, false),
            (None, None) => return None,
        };
        Some(Listed { account, entry, rights: entry.access.rights(self.grantee), is_own })
    }

    /// The names of all of them.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.own.mailboxes.keys().chain(self.others.keys()).map(String::as_str)
    }

    /// The mailboxes below a name.
    pub(super) fn inferiors(&self, name: &str) -> impl Iterator<Item = &str> {
        let start = format!("{name}{HIERARCHY_SEPARATOR}");
        let own = self.own.mailboxes.range(start.clone()..).map(|(name, _)| name.as_str());
        let others = self.others.range(start.clone()..).map(|(name, _)| name.as_str());
        let within = start.clone();
        own.take_while(move |name| name.starts_with(&within))
            .chain(others.take_while(move |name| name.starts_with(&start)))
    }

    /// The subscribed names below a name.
    pub(super) fn subscribed_inferiors(&self, name: &str) -> impl Iterator<Item = &str> {
        let start = format!("{name}{HIERARCHY_SEPARATOR}");
        self.subscriptions()
            .range(start.clone()..)
            .map(String::as_str)
            .take_while(move |name| name.starts_with(&start))
    }
}
