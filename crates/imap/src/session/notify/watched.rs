//! What a session watches of one account, and how far the client was told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mailstore::account::{AccountView, MailboxEntry};
use mailstore::activity::{Activity, Happened};
use mailstore::crdt::identity::MailboxId;
use tokio::sync::watch;

use super::super::waiting::{or_never, renewed};
use super::viewer::Viewer;
use crate::command::Events;

/// One account that is watched.
pub(super) struct Watched {
    /// What the client knows of the account: the mailboxes of it that it sees, and their annotations.
    pub(super) known: Arc<AccountView>,
    /// What happens in the account; `None` where no group has events of messages.
    activity: Option<watch::Receiver<Activity>>,
    /// The number of the last happening that was taken note of.
    seen: u64,
    /// Mailboxes of which more is told already.
    told: BTreeMap<MailboxId, u64>,
    /// Mailboxes of which a STATUS is to be told, if something happened after this happening.
    due: BTreeMap<MailboxId, u64>,
    /// Mailboxes in which something waits to be shown.
    pub(super) waiting: BTreeSet<MailboxId>,
    /// Mailboxes of which the client was told that it has no access to them.
    pub(super) denied: BTreeSet<MailboxId>,
}

impl Watched {
    pub(super) fn new(known: Arc<AccountView>) -> Self {
        Watched {
            known,
            activity: None,
            seen: 0,
            told: BTreeMap::new(),
            due: BTreeMap::new(),
            waiting: BTreeSet::new(),
            denied: BTreeSet::new(),
        }
    }

    /// From now on what happens in the mailboxes counts.
    pub(super) fn watch(&mut self, activity: watch::Receiver<Activity>) {
        self.seen = activity.borrow().count();
        self.activity = Some(activity);
    }

    /// Whether there is something to take note of, or to tell.
    pub(super) fn has_news(&self) -> bool {
        let happened = self.activity.as_ref().is_some_and(|activity| activity.borrow().count() > self.seen);
        happened || !self.due.is_empty()
    }

    /// Comes back when something happens. Never, where the store is gone.
    pub(super) async fn changed(&mut self) {
        or_never(self.activity.as_mut().map(renewed)).await;
    }

    /// Takes note of what happened in the mailboxes of which messages are told, except in the one that is selected.
    pub(super) fn take_note(
        &mut self,
        selected: Option<MailboxId>,
        events: impl Fn(&AccountView, &str, &MailboxEntry) -> Events,
    ) {
        let Some(activity) = &mut self.activity else { return };
        let activity = activity.borrow_and_update();
        let seen = std::mem::replace(&mut self.seen, activity.count());
        for (mailbox, happened) in activity.since(seen) {
            let told = self.told.get(&mailbox).copied().unwrap_or(0).max(seen);
            if happened.any > told && Some(mailbox) != selected {
                self.due.entry(mailbox).or_insert(told);
            }
        }
        self.told.retain(|_, told| *told > activity.count());
        drop(activity);
        if self.due.is_empty() {
            return;
        }
        let due = self.known.mailboxes.iter().filter(|(_, entry)| self.due.contains_key(&entry.mailbox));
        let watched: BTreeSet<MailboxId> = due
            .filter(|(name, entry)| events(&self.known, name, entry).messages)
            .map(|(_, entry)| entry.mailbox)
            .collect();
        self.due.retain(|mailbox, _| watched.contains(mailbox));
    }

    /// The next mailbox of which a STATUS is due, and after which happening.
    pub(super) fn next_due(&mut self) -> Option<(MailboxId, u64)> {
        self.due.pop_first()
    }

    pub(super) fn entry(&self, mailbox: MailboxId) -> Option<(&String, &MailboxEntry)> {
        self.known.mailboxes.iter().find(|(_, entry)| entry.mailbox == mailbox)
    }

    pub(super) fn happened(&self, mailbox: MailboxId) -> Option<Happened> {
        self.activity.as_ref()?.borrow().of(&mailbox)
    }

    /// A mailbox was looked at after this had happened there, so that it is told, but for what waits. It has to be asked for before the
    /// view is: then something may be told twice, and nothing not at all.
    pub(super) fn looked(&mut self, mailbox: MailboxId, happened: Option<Happened>, waits: bool) {
        if let Some(happened) = happened {
            self.told.insert(mailbox, happened.any);
        }
        if waits {
            self.waiting.insert(mailbox);
        }
    }

    /// Has the mailboxes looked at again in which something waits.
    pub(super) fn retry(&mut self) {
        for mailbox in std::mem::take(&mut self.waiting) {
            let told = self.told_until(mailbox);
            self.due.entry(mailbox).or_insert(told);
        }
    }

    /// The client added so many messages to a mailbox itself. Unless something else happened there since the mark, nothing is told.
    pub(super) fn pass_over(&mut self, mailbox: MailboxId, mark: Option<Happened>, added: usize) {
        let Some(now) = self.happened(mailbox) else { return };
        let is_own = match mark {
            Some(before) => before.any <= self.told_until(mailbox) && now.is_addition(&before, added),
            None => now.is_first_addition(added),
        };
        if is_own {
            self.told.insert(mailbox, now.any);
        }
    }

    fn told_until(&self, mailbox: MailboxId) -> u64 {
        self.told.get(&mailbox).copied().unwrap_or(0).max(self.seen)
    }

    /// What the client did to these names itself it knows: it is not told of that (RFC 5465 section 5).
    pub(super) fn know(&mut self, now: &AccountView, viewer: Viewer, is_changed: impl Fn(&str) -> bool) {
        let mut known = AccountView::clone(&self.known);
        let is_changed = |name: &str| is_changed(&viewer.name(now, name));
        known.mailboxes.retain(|name, _| !is_changed(name));
        let mailboxes = now.mailboxes.iter().filter(|(name, _)| is_changed(name));
        known.mailboxes.extend(mailboxes.map(|(name, entry)| (name.clone(), entry.clone())));
        if viewer.owns(now) {
            known.subscriptions.retain(|name| !is_changed(name));
            known.subscriptions.extend(now.subscriptions.iter().filter(|name| is_changed(name)).cloned());
        }
        self.known = known.into();
    }
}
