//! Which events a client wants to hear of which mailbox (RFC 5465 section 6).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Deref;

use mailstore::account::{AccountView, HIERARCHY_SEPARATOR, MailboxEntry, OTHER_USERS, canonical_name};
use mailstore::crdt::identity::AccountId;
use mailstore::crdt::rights::Rights;

use super::super::access::other_name;
use super::listed::is_within;
use super::viewer::Viewer;
use crate::command::{EventGroup, Events, MailboxFilter};

/// The event groups of a NOTIFY SET.
pub(super) struct Groups(Vec<EventGroup>);

impl Deref for Groups {
    type Target = [EventGroup];

    fn deref(&self) -> &[EventGroup] {
        &self.0
    }
}

/// Accounts whose mailboxes may belong to a group.
pub(super) enum Owners {
    All,
    These(BTreeSet<AccountId>),
}

impl Owners {
    pub(super) fn contain(&self, owner: &AccountId) -> bool {
        match self {
            Owners::All => true,
            Owners::These(owners) => owners.contains(owner),
        }
    }
}

impl Groups {
    pub(super) fn new(mut groups: Vec<EventGroup>) -> Self {
        for group in &mut groups {
            if let MailboxFilter::Subtree(names) | MailboxFilter::Mailboxes(names) = &mut group.mailboxes {
                names.iter_mut().for_each(|name| *name = folded(name).into_owned());
            }
        }
        Groups(groups)
    }

    /// The events that count for a mailbox: those of all groups that it belongs to under one of these names (RFC 5465 section 6), up
    /// to the first that wants none. So clients can put exceptions first.
    pub(super) fn events(&self, is_own: bool, names: &[&str], accounts: &[&AccountView]) -> Events {
        let belongs =
            |group: &&EventGroup| names.iter().any(|name| belongs(&group.mailboxes, is_own, name, accounts));
        let groups = self.iter().filter(belongs).map(|group| group.events);
        groups.take_while(|events| *events != Events::default()).fold(Events::default(), Events::and)
    }

    /// The events that count for a mailbox, where the client has the rights that they take (RFC 5465 section 5).
    pub(super) fn told(
        &self,
        viewer: Viewer,
        (view, name, entry): (&AccountView, &str, &MailboxEntry),
        own: [&AccountView; 2],
    ) -> Events {
        match viewer.rights(entry).contain(Rights::LOOKUP | Rights::READ) {
            true => self.events(viewer.owns(view), &[&viewer.name(view, name)], &own),
            false => Events::default(),
        }
    }

    pub(super) fn hear_messages(&self) -> bool {
        self.iter().any(|group| group.events.messages)
    }
}

/// Whether mailboxes of others may ever belong to one of the groups.
pub(super) fn may_reach_others(groups: &[EventGroup]) -> bool {
    let top = OTHER_USERS.trim_end_matches(HIERARCHY_SEPARATOR);
    let is_other = |name: &String| name == top || name.starts_with(OTHER_USERS);
    groups.iter().filter(|group| group.events.concern_mailboxes()).any(|group| match &group.mailboxes {
        MailboxFilter::Inboxes | MailboxFilter::Personal => false,
        MailboxFilter::Subscribed => true,
        MailboxFilter::Subtree(names) | MailboxFilter::Mailboxes(names) => names.iter().any(is_other),
    })
}

/// The owners of other mailboxes that may belong to one of the groups.
pub(super) fn owners(groups: &[EventGroup], subscriptions: &BTreeSet<String>) -> Owners {
    let mut owners = BTreeSet::new();
    for group in groups.iter().filter(|group| group.events.concern_mailboxes()) {
        let names: &mut dyn Iterator<Item = &String> = match &group.mailboxes {
            MailboxFilter::Inboxes | MailboxFilter::Personal => continue,
            MailboxFilter::Subscribed => &mut subscriptions.range(OTHER_USERS.to_owned()..),
            MailboxFilter::Subtree(names) | MailboxFilter::Mailboxes(names) => &mut names.iter(),
        };
        for name in names {
            match name
                .strip_prefix(OTHER_USERS)
                .map(|rest| rest.split(HIERARCHY_SEPARATOR).next().unwrap_or(rest))
            {
                Some(owner) => _ = owners.insert(AccountId::of_name(owner)),
                None if name == OTHER_USERS.trim_end_matches(HIERARCHY_SEPARATOR) => return Owners::All,
                None => {}
            }
        }
    }
    Owners::These(owners)
}

/// Whether a mailbox belongs to a group. Personal ones are the session's own, and mail is delivered to any of them.
fn belongs(filter: &MailboxFilter, is_own: bool, name: &str, accounts: &[&AccountView]) -> bool {
    match filter {
        MailboxFilter::Inboxes | MailboxFilter::Personal => is_own,
        MailboxFilter::Subscribed => accounts.iter().any(|account| account.subscriptions.contains(name)),
        MailboxFilter::Subtree(tops) => is_within(&folded(name), tops),
        MailboxFilter::Mailboxes(names) => names.iter().any(|wanted| *wanted == folded(name)),
    }
}

/// The name of another's mailbox in a form that is the same however a client spells its owner.
fn folded(name: &str) -> Cow<'_, str> {
    let Some(rest) = name.strip_prefix(OTHER_USERS) else { return name.into() };
    match rest.split_once(HIERARCHY_SEPARATOR) {
        Some((owner, local)) => other_name(&owner.to_ascii_lowercase(), &canonical_name(local)).into(),
        None => format!("{OTHER_USERS}{}", rest.to_ascii_lowercase()).into(),
    }
}
