//! NOTIFY (RFC 5465): a client hears of changes all the time, also of mailboxes that it has not selected.
//!
//! The session keeps what the client wants ([`Notices`]), and the number of the last happening in the account that it took
//! note of. Whatever happens is told from what is there when its turn comes: as long as a client takes nothing, nothing piles up.
//! A mailbox that is watched does not count as looked at. The session glances at it when it tells of it, as STATUS does.

mod deliver;
mod listed;
mod set;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use mailstore::account::AccountView;
use mailstore::activity::{Activity, Happened};
use mailstore::crdt::clock::Millis;
use mailstore::crdt::identity::{MailboxId, Uid};
use tokio::sync::watch;

use super::idle::Idling;
use super::selected::Hears;
use super::{Action, Session, Telling};
use crate::command::{EventGroup, Events, MailboxFilter, NotifySelected, StatusItem};
use listed::{Listed, is_within};
pub(super) use set::Setting;

/// How long a mailbox is left alone in which something waits that could not be shown, in milliseconds. Nodes leave each other
/// half a second.
const RETRY_FIRST: u64 = 1000;
/// The same after many times.
const RETRY_AT_MOST: u64 = 64 * 1000;

/// What a client wants to hear of, and how far it was told. There is one once it used NOTIFY.
pub(super) struct Notices {
    selected: NotifySelected,
    groups: Vec<EventGroup>,
    /// The mailboxes and subscriptions that the client knows of.
    known: Arc<AccountView>,
    /// What happens in the account; `None` where no group has events of messages.
    activity: Option<watch::Receiver<Activity>>,
    /// The number of the last happening that was taken note of.
    seen: u64,
    /// Mailboxes of which more is told already.
    told: BTreeMap<MailboxId, u64>,
    /// Mailboxes of which a STATUS is to be told, if something happened after this happening.
    due: BTreeMap<MailboxId, u64>,
    /// Names of which a LIST is to be told.
    listed: VecDeque<Listed>,
    /// Mailboxes in which something waits to be shown.
    waiting: BTreeSet<MailboxId>,
    retry_at: Option<Millis>,
    retry_after: u64,
    /// The IDLE that goes on afterwards.
    idling: Option<Idling>,
    /// The mailbox whose STATUS is being asked for.
    asked: Option<(MailboxId, u64)>,
}

impl Notices {
    fn new(selected: NotifySelected, groups: Vec<EventGroup>, known: Arc<AccountView>) -> Self {
        Notices {
            selected,
            groups,
            known,
            activity: None,
            seen: 0,
            told: BTreeMap::new(),
            due: BTreeMap::new(),
            listed: VecDeque::new(),
            waiting: BTreeSet::new(),
            retry_at: None,
            retry_after: RETRY_FIRST,
            idling: None,
            asked: None,
        }
    }

    /// The events that count for a mailbox: those of the first group that it belongs to under one of these names. RFC 5465 does not
    /// say which one counts; so clients can put exceptions first.
    fn events(&self, names: &[&str], accounts: &[&AccountView]) -> Events {
        let belongs =
            |group: &&EventGroup| names.iter().any(|name| belongs(&group.mailboxes, name, accounts));
        self.groups.iter().find(belongs).map(|group| group.events).unwrap_or_default()
    }

    fn hears_annotations(&self) -> bool {
        self.groups.iter().any(|group| group.events.annotations || group.events.account_annotations)
    }

    /// The mailboxes, subscriptions and annotations that the client knows of.
    pub(super) fn known(&mut self) -> &mut Arc<AccountView> {
        &mut self.known
    }

    /// When something is to be tried again.
    pub(super) fn retry_at(&self) -> Option<Millis> {
        self.retry_at
    }

    /// Whether the selected mailbox is told of while no command runs.
    pub(super) fn pushes(&self) -> bool {
        self.selected.messages
    }

    /// What of the selected mailbox is told while no command runs.
    pub(super) fn telling(&self) -> Telling {
        match (self.pushes(), self.selected.delayed) {
            (false, _) => Telling::Nothing,
            (true, false) => Telling::Everything,
            (true, true) => Telling::Additions,
        }
    }

    fn hears(&self) -> Hears {
        // RFC 5465 section 5.1 wants the UID.
        Hears { messages: self.selected.messages, flags: self.selected.flags, uids: true }
    }

    /// Takes note of what happened, except in the mailbox that is selected.
    fn take_note(&mut self, account: &AccountView, selected: Option<MailboxId>) {
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
        let is_watched = |name: &str, mailbox: &MailboxId| {
            self.due.contains_key(mailbox) && self.events(&[name], &[account]).messages
        };
        let mailboxes = account.mailboxes.iter().map(|(name, entry)| (name, entry.mailbox));
        let watched: BTreeSet<MailboxId> = mailboxes
            .filter(|(name, mailbox)| is_watched(name, mailbox))
            .map(|(_, mailbox)| mailbox)
            .collect();
        self.due.retain(|mailbox, _| watched.contains(mailbox));
    }

    fn happened(&self, mailbox: &MailboxId) -> Option<Happened> {
        self.activity.as_ref()?.borrow().of(mailbox)
    }

    /// The STATUS items that tell what happened after a happening.
    fn items(&self, happened: Happened, after: u64, events: Events, condstore: bool) -> Vec<StatusItem> {
        let mut items = match (happened.messages > after, events.flags && happened.shown > after) {
            (false, false) => return Vec::new(),
            (true, _) => vec![StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity],
            (false, true) => vec![StatusItem::UidValidity],
        };
        if events.flags || condstore {
            items.push(StatusItem::HighestModseq);
        }
        items
    }

    /// A mailbox was looked at after this had happened there, so that it is told, but for what waits. It has to be asked for before the
    /// view is: then something may be told twice, and nothing not at all.
    fn looked(&mut self, mailbox: MailboxId, happened: Option<Happened>, waits: bool, now: Millis) {
        if let Some(happened) = happened {
            self.told.insert(mailbox, happened.any);
        }
        if waits {
            self.waiting.insert(mailbox);
            self.retry_at.get_or_insert(now.after(self.retry_after));
        } else if self.waiting.is_empty() {
            self.retry_after = RETRY_FIRST;
        }
    }

    /// Tries again to show what waited.
    fn retry(&mut self) {
        self.retry_at = None;
        self.retry_after = self.retry_after.saturating_mul(2).min(RETRY_AT_MOST);
        for mailbox in std::mem::take(&mut self.waiting) {
            self.due.entry(mailbox).or_insert(self.told.get(&mailbox).copied().unwrap_or(0).max(self.seen));
        }
    }
}

impl Session {
    /// What the client hears of the mailbox that it selects.
    pub(super) fn hears(&self) -> Hears {
        self.notices.as_ref().map_or(Hears::EVERYTHING, |notices| notices.hears())
    }

    /// The time has come to try again.
    pub(super) fn retry_notices(&mut self, out: &mut Vec<u8>) -> Action {
        if let Some(notices) = &mut self.notices {
            notices.retry();
        }
        self.notice(out)
    }

    /// These names, and all below them, were changed by the client itself, and what is above them made where it was missing.
    pub(super) fn pass_over_names(&mut self, names: &[String]) {
        if let (Some(account), Some(notices)) = (self.mailboxes(), &mut self.notices) {
            let is_above = |name: &str| names.iter().any(|own| is_within(own, &[name.to_owned()]));
            notices.know(&account, |name| is_within(name, names) || is_above(name));
        }
    }

    /// What happened last in a mailbox to which this client is about to add messages.
    pub(super) fn mark(&self, mailbox: MailboxId) -> Option<Happened> {
        self.notices.as_ref()?.happened(&mailbox)
    }

    /// The client has added these messages to a mailbox since the mark: nobody is told what he did himself (RFC 5465 sections 5 and
    /// 5.2). If anything else happened there meanwhile, all of it is told.
    pub(super) fn pass_over(
        &mut self,
        mailbox: MailboxId,
        mark: Option<Happened>,
        added: impl ExactSizeIterator<Item = Uid>,
    ) {
        let Some(notices) = &mut self.notices else { return };
        match &mut self.selected {
            Some(selected) if selected.mailbox == mailbox => {
                if !notices.selected.items.is_empty() {
                    selected.add_own(added);
                }
            }
            _ => {
                let (Some(before), Some(now)) = (mark, notices.happened(&mailbox)) else { return };
                let told = notices.told.get(&mailbox).copied().unwrap_or(0).max(notices.seen);
                if before.any <= told && now.is_addition(&before, added.len()) {
                    notices.told.insert(mailbox, now.any);
                }
            }
        }
    }
}

/// Whether a mailbox belongs to a group. All mailboxes are personal ones.
fn belongs(filter: &MailboxFilter, name: &str, accounts: &[&AccountView]) -> bool {
    match filter {
        MailboxFilter::Inboxes | MailboxFilter::Personal => true,
        MailboxFilter::Subscribed => accounts.iter().any(|account| account.subscriptions.contains(name)),
        MailboxFilter::Subtree(tops) => is_within(name, tops),
        MailboxFilter::Mailboxes(names) => names.iter().any(|wanted| wanted == name),
    }
}
