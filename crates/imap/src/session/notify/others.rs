//! Other accounts that a session watches: those that share mailboxes with it that the groups reach.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use mailstore::Mailstore;
use mailstore::account::AccountView;
use mailstore::activity::Activity;
use mailstore::crdt::identity::AccountId;
use mailstore::request::Request;
use tokio::sync::watch;

use super::super::Session;
use super::super::access::other_user;
use super::super::waiting::renewed;
use super::viewer::Viewer;
use super::watched::Watched;
use super::{Asked, Notices, groups};
use crate::command::{EventGroup, Notify};

/// The most other accounts that are watched for one session: it waits for each of them.
pub(in super::super) const MOST_OWNERS: usize = 100;

/// The other accounts of one session.
pub(super) struct Others {
    /// Tells when other accounts may share something with this one.
    sharing: watch::Receiver<u64>,
    /// Whether the subscriptions are others than when it was looked up which accounts are to be watched.
    outdated: bool,
    watched: BTreeMap<AccountId, Owner>,
    /// Accounts that are to be watched as well.
    missing: BTreeMap<AccountId, Missing>,
}

struct Owner {
    view: watch::Receiver<Arc<AccountView>>,
    watched: Watched,
}

/// What the client knows of an account that is to be watched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// Nothing: it shares something since now.
    New,
    /// What LIST tells.
    Listed,
}

impl Others {
    pub(super) fn watched(&self) -> impl Iterator<Item = &Watched> {
        self.watched.values().map(|owner| &owner.watched)
    }

    pub(super) fn watched_mut(&mut self) -> impl Iterator<Item = &mut Watched> {
        self.watched.values_mut().map(|owner| &mut owner.watched)
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = AccountId> {
        self.watched.keys().copied()
    }

    /// The accounts with what they are now.
    pub(super) fn changing(&mut self) -> impl Iterator<Item = (&mut Watched, Arc<AccountView>)> {
        self.watched.values_mut().map(|owner| {
            let now = owner.view.borrow_and_update().clone();
            (&mut owner.watched, now)
        })
    }

    pub(super) fn has_news(&self) -> bool {
        let has_news = |owner: &Owner| {
            !Arc::ptr_eq(&owner.watched.known, &owner.view.borrow()) || owner.watched.has_news()
        };
        self.outdated
            || self.sharing.has_changed().unwrap_or(false)
            || !self.missing.is_empty()
            || self.watched.values().any(has_news)
    }

    /// Comes back when something changes in one of the accounts, or another one shares something.
    pub(super) async fn changed(&mut self) {
        let mut changes: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::new();
        changes.push(Box::pin(renewed(&mut self.sharing)));
        for owner in self.watched.values_mut() {
            changes.push(Box::pin(renewed(&mut owner.view)));
            changes.push(Box::pin(owner.watched.changed()));
        }
        poll_fn(|context| {
            let any = changes.iter_mut().any(|change| change.as_mut().poll(context).is_ready());
            if any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The subscriptions have changed.
    pub(super) fn look_again(&mut self) {
        self.outdated = true;
    }

    /// The client did something to these names itself.
    pub(super) fn know(&mut self, viewer: Viewer, names: &[String], is_changed: impl Fn(&str) -> bool) {
        let owners = names.iter().filter_map(|name| other_user(name)).map(|(owner, _)| owner);
        for owner in owners.collect::<BTreeSet<AccountId>>() {
            if let Some(owner) = self.watched.get_mut(&owner) {
                let now = owner.view.borrow().clone();
                owner.watched.know(&now, viewer, &is_changed);
            }
        }
    }

    /// Watches an account from now on.
    pub(super) fn add(
        &mut self,
        owner: AccountId,
        view: watch::Receiver<Arc<AccountView>>,
        activity: Option<watch::Receiver<Activity>>,
    ) {
        let now = view.borrow().clone();
        let known = match self.missing.remove(&owner) {
            Some(Missing::New) => Arc::new(without_mailboxes(&now)),
            _ => now,
        };
        let mut watched = Watched::new(known);
        if let Some(activity) = activity {
            watched.watch(activity);
        }
        self.watched.insert(owner, Owner { view, watched });
    }

    /// It cannot be watched.
    pub(super) fn give_up(&mut self, owner: &AccountId) {
        self.missing.remove(owner);
    }

    /// These accounts are to be watched; those that are not any more come back.
    fn set_owners(&mut self, owners: &BTreeSet<AccountId>, missing: Missing) -> Vec<AccountId> {
        self.missing.retain(|owner, _| owners.contains(owner));
        for owner in owners {
            if !self.watched.contains_key(owner) {
                self.missing.entry(*owner).or_insert(missing);
            }
        }
        self.watched.keys().filter(|owner| !owners.contains(owner)).copied().collect()
    }
}

impl Notices {
    /// With the other accounts that the groups reach now, all of them loaded.
    pub(super) fn with_others(
        mut self,
        store: &Mailstore,
        sharing: watch::Receiver<u64>,
        owners: Vec<AccountId>,
    ) -> Self {
        if groups::may_reach_others(&self.groups) {
            let (watched, missing) = (BTreeMap::new(), BTreeMap::new());
            let mut others = Others { sharing, outdated: false, watched, missing };
            for owner in owners {
                match store.account_view(&owner) {
                    Some(view) => others.add(owner, view, None),
                    None => _ = others.missing.insert(owner, Missing::New),
                }
            }
            self.others = Some(Box::new(others));
        }
        self
    }
}

impl Session {
    /// The accounts that share mailboxes with the session which may belong to one of these groups.
    pub(super) fn owners(&self, groups: &[EventGroup]) -> Vec<AccountId> {
        let Some(own) = self.mailboxes().filter(|_| groups::may_reach_others(groups)) else {
            return Vec::new();
        };
        let reached = groups::owners(groups, &own.subscriptions);
        let sharing = self.store.sharing_with(&own.account);
        sharing.into_iter().filter(|owner| reached.contain(owner)).collect()
    }

    /// An account that NOTIFY is to watch and that is not loaded.
    pub(in super::super) fn unopened_watched(&self, notify: &Notify) -> Option<AccountId> {
        let Notify::Set(set) = notify else { return None };
        let owners = self.owners(&set.groups);
        let few = owners.len() <= MOST_OWNERS;
        let unopened = |owner: &AccountId| self.store.account_view(owner).is_none();
        // What is too much is refused, and not loaded first.
        owners.into_iter().find(unopened).filter(|_| few)
    }

    /// Looks up which accounts are to be watched, where that may have changed: those that are not any more come back, or none where they
    /// are too many.
    pub(super) fn look_up_owners(&mut self) -> Option<Vec<AccountId>> {
        let account = self.account();
        let Some(others) = self.notices.as_mut().and_then(|notices| notices.others.as_mut()) else {
            return Some(Vec::new());
        };
        let shares = others.sharing.has_changed().unwrap_or(false);
        if account.is_none() || !(shares || others.outdated) {
            return Some(Vec::new());
        }
        // What comes while it is looked up is looked up once more.
        others.sharing.borrow_and_update();
        others.outdated = false;
        let groups = self.notices.as_ref().map(|notices| &notices.groups);
        let owners: BTreeSet<AccountId> =
            groups.map(|groups| self.owners(groups)).into_iter().flatten().collect();
        if owners.len() > MOST_OWNERS {
            return None;
        }
        let missing = if shares { Missing::New } else { Missing::Listed };
        let others = self.notices.as_mut()?.others.as_mut()?;
        Some(others.set_owners(&owners, missing))
    }

    /// Goes on with watching the accounts that are missing; what the store has to be asked for that.
    pub(super) fn watch_missing(&mut self) -> Option<Request> {
        let notices = self.notices.as_mut()?;
        let others = notices.others.as_mut()?;
        while let Some((owner, _)) = others.missing.first_key_value() {
            let account = *owner;
            let (asked, request) = match self.store.account_view(&account) {
                None => (Asked::Open(account), Request::OpenAccount { account }),
                Some(_) if notices.groups.hear_messages() => {
                    (Asked::Watch(account), Request::Watch { account })
                }
                Some(view) => {
                    others.add(account, view, None);
                    continue;
                }
            };
            notices.asked = Some(asked);
            return Some(request);
        }
        None
    }

    /// These accounts are not watched any more.
    pub(super) fn leave_owners(&mut self, owners: &[AccountId]) {
        if let Some(others) = self.notices.as_mut().and_then(|notices| notices.others.as_mut()) {
            others.watched.retain(|owner, _| !owners.contains(owner));
        }
    }
}

/// An account as it looks to somebody who knows of no mailbox there.
fn without_mailboxes(view: &AccountView) -> AccountView {
    AccountView {
        account: view.account,
        grantee: view.grantee,
        name: view.name.clone(),
        removed: false,
        mailboxes: BTreeMap::new(),
        subscriptions: BTreeSet::new(),
        annotations: BTreeMap::new(),
    }
}
