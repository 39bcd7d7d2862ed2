//! NOTIFY (RFC 5465): a client hears of changes all the time, also of mailboxes that it has not selected.
//!
//! The session keeps what the client wants ([`Notices`]), and for each account that it watches the number of the last happening that
//! it took note of ([`Watched`]). Whatever happens is told from what is there when its turn comes: as long as a client takes nothing,
//! nothing piles up. A mailbox that is watched does not count as looked at. The session glances at it when it tells of it, as
//! STATUS does.

mod deliver;
mod groups;
mod listed;
mod others;
mod set;
mod viewer;
mod watched;

use std::collections::VecDeque;
use std::sync::Arc;

use mailstore::account::AccountView;
use mailstore::activity::Happened;
use mailstore::crdt::clock::Millis;
use mailstore::crdt::identity::{AccountId, MailboxId, Uid};

use super::idle::Idling;
use super::selected::Hears;
use super::{Action, Session, Telling};
use crate::command::{EventGroup, Events, NotifySelected, StatusItem};
use groups::Groups;
use listed::{Listed, is_within};
use others::Others;
pub(super) use set::Setting;
use viewer::Viewer;
use watched::Watched;

/// How long a mailbox is left alone in which something waits that could not be shown, in milliseconds. Nodes leave each other
/// half a second.
const RETRY_FIRST: u64 = 1000;
/// The same after many times.
const RETRY_AT_MOST: u64 = 64 * 1000;

/// What a client wants to hear of, and how far it was told. There is one once it used NOTIFY.
pub(super) struct Notices {
    selected: NotifySelected,
    groups: Groups,
    /// The session's own account.
    own: Watched,
    /// Other accounts, where groups may reach their mailboxes.
    others: Option<Box<Others>>,
    /// Names of which a LIST is to be told.
    listed: VecDeque<Listed>,
    retry_at: Option<Millis>,
    retry_after: u64,
    /// The IDLE that goes on afterwards.
    idling: Option<Idling>,
    /// What the store is being asked.
    asked: Option<Asked>,
}

/// What the store is asked for the sake of notices.
enum Asked {
    /// To load an account that shares mailboxes since a moment ago.
    Open(AccountId),
    /// To tell what happens in it.
    Watch(AccountId),
    /// For the mailbox of which a STATUS may be due, if something happened after this happening.
    Look { account: AccountId, mailbox: MailboxId, after: u64 },
}

impl Notices {
    fn new(selected: NotifySelected, groups: Vec<EventGroup>, known: Arc<AccountView>) -> Self {
        Notices {
            selected,
            groups: Groups::new(groups),
            own: Watched::new(known),
            others: None,
            listed: VecDeque::new(),
            retry_at: None,
            retry_after: RETRY_FIRST,
            idling: None,
            asked: None,
        }
    }

    /// Who is told.
    fn viewer(&self) -> Viewer {
        Viewer::of(&self.own.known)
    }

    fn hears_annotations(&self) -> bool {
        self.groups.iter().any(|group| group.events.annotations || group.events.account_annotations)
    }

    /// The accounts that are watched.
    fn watched(&self) -> impl Iterator<Item = &Watched> {
        std::iter::once(&self.own).chain(self.others.iter().flat_map(|others| others.watched()))
    }

    fn watched_mut(&mut self) -> impl Iterator<Item = &mut Watched> {
        std::iter::once(&mut self.own).chain(self.others.iter_mut().flat_map(|others| others.watched_mut()))
    }

    /// What the client knows of the account that a mailbox belongs to; without one, of its own.
    pub(super) fn known_of(&mut self, mailbox: Option<MailboxId>) -> Option<&mut Arc<AccountView>> {
        let holds = |watched: &&mut Watched| mailbox.is_none_or(|mailbox| watched.entry(mailbox).is_some());
        self.watched_mut().find(holds).map(|watched| &mut watched.known)
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
    fn take_note(&mut self, selected: Option<MailboxId>) {
        let (viewer, own, groups) = (self.viewer(), self.own.known.clone(), &self.groups);
        let others = self.others.iter_mut().flat_map(|others| others.watched_mut());
        for watched in std::iter::once(&mut self.own).chain(others) {
            watched.take_note(selected, |view, name, entry| {
                groups.told(viewer, (view, name, entry), [&own, &own])
            });
        }
    }

    fn happened(&self, mailbox: MailboxId) -> Option<Happened> {
        self.watched().find_map(|watched| watched.happened(mailbox))
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

    /// A mailbox was looked at, and something may wait there that could not be shown.
    fn looked(&mut self, waits: bool, now: Millis) {
        if waits {
            self.retry_at.get_or_insert(now.after(self.retry_after));
        } else if self.watched().all(|watched| watched.waiting.is_empty()) {
            self.retry_after = RETRY_FIRST;
        }
    }

    /// Tries again to show what waited.
    fn retry(&mut self) {
        self.retry_at = None;
        self.retry_after = self.retry_after.saturating_mul(2).min(RETRY_AT_MOST);
        self.watched_mut().for_each(Watched::retry);
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
            let is_changed = |name: &str| is_within(name, names) || is_above(name);
            let viewer = notices.viewer();
            notices.own.know(&account, viewer, is_changed);
            if let Some(others) = &mut notices.others {
                others.know(viewer, names, is_changed);
            }
        }
    }

    /// What happened last in a mailbox to which this client is about to add messages.
    pub(super) fn mark(&self, mailbox: MailboxId) -> Option<Happened> {
        self.notices.as_ref()?.happened(mailbox)
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
                let added = added.len();
                notices.watched_mut().for_each(|watched| watched.pass_over(mailbox, mark, added));
            }
        }
    }
}
