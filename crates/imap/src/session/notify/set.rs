//! The command NOTIFY itself (RFC 5465 section 3.1).

use mailstore::crdt::identity::{AccountId, MailboxId};
use mailstore::crdt::rights::Rights;
use mailstore::request::{Look, Reply, Request, RequestError};

use super::super::answer::Answer;
use super::super::selected::Hears;
use super::super::status::write_status;
use super::super::{Action, Running, Session, Telling};
use super::others::MOST_OWNERS;
use super::{Listed, Notices};
use crate::command::{Events, Notify, NotifySet, StatusItem, Tag};

/// What the answer to an event that is not known lists (RFC 5465 section 3.1).
const EVENTS: &str = "FlagChange MailboxMetadataChange MailboxName MessageExpunge MessageNew ServerMetadataChange SubscriptionChange";

/// A NOTIFY SET that is not answered yet.
pub(in super::super) struct Setting {
    tag: Tag,
    notices: Box<Notices>,
    /// The accounts that are still to be watched.
    accounts: Vec<AccountId>,
    /// Of which mailboxes STATUS is still to be told, the next one last.
    mailboxes: Vec<Glance>,
    asked: Option<Asked>,
}

/// A mailbox of which STATUS is told.
struct Glance {
    name: String,
    account: AccountId,
    mailbox: MailboxId,
    events: Events,
}

/// What the store is being asked.
enum Asked {
    Watch(AccountId),
    Look(Glance),
}

impl Session {
    pub(in super::super) fn notify(&mut self, tag: Tag, notify: Notify, out: &mut Vec<u8>) -> Action {
        let Some(known) = self.mailboxes() else { return self.waiting() };
        match notify {
            Notify::None => {
                self.set_notices(Notices::new(Default::default(), Vec::new(), known));
                self.finish(&tag, Telling::Nothing, Answer::ok("Completed"), out)
            }
            Notify::Unsupported { event } => {
                let answer = Answer::no(
                    format!("BADEVENT ({EVENTS})"),
                    format!("The event {event} is not known here"),
                );
                self.fail(&tag, answer, out)
            }
            Notify::TooMuch => self.fail(
                &tag,
                Answer::no("NOTIFICATIONOVERFLOW", "That is too much to keep; name fewer"),
                out,
            ),
            Notify::Set(set) => self.set(tag, set, Notices::new(Default::default(), Vec::new(), known), out),
        }
    }

    fn set(&mut self, tag: Tag, set: NotifySet, nothing: Notices, out: &mut Vec<u8>) -> Action {
        let NotifySet { status, selected, groups } = set;
        // What is shared from here on is noticed.
        let sharing = self.store.sharing_changes();
        let (own, owners) = (nothing.own.known, self.owners(&groups));
        if owners.len() > MOST_OWNERS {
            let text = format!("More than {MOST_OWNERS} other users share such mailboxes; name fewer");
            return self.fail(&tag, Answer::no("NOTIFICATIONOVERFLOW", text), out);
        }
        let account = own.account;
        let notices = Notices::new(selected, groups, own).with_others(&self.store, sharing, owners);
        let mut accounts = Vec::new();
        if notices.groups.hear_messages() {
            accounts.extend(notices.others.iter().flat_map(|others| others.owners()).chain([account]));
        }
        let selected = self.selected.as_ref().map(|selected| selected.mailbox);
        let (mailboxes, denied) = first(&notices, selected, status);
        let notices = Box::new(Notices { listed: denied.into(), ..notices });
        self.next_first(Setting { tag, notices, accounts, mailboxes, asked: None }, out)
    }

    pub(in super::super) fn notify_answered(
        &mut self,
        mut setting: Setting,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        match (answer, setting.asked.take()) {
            (Ok(Reply::Watched(activity)), Some(Asked::Watch(account))) => {
                let notices = &mut setting.notices;
                if let Some(watched) = notices.watched_mut().find(|watched| watched.known.account == account)
                {
                    watched.watch(activity);
                }
            }
            (Ok(Reply::Looked(look)), Some(Asked::Look(glance))) => {
                self.tell_first(&mut setting, &glance, &look, out);
            }
            // It is gone meanwhile, or not for this client any more.
            (Err(RequestError::NoSuchMailbox(_) | RequestError::NotPermitted), Some(Asked::Look(_))) => {}
            (
                Err(RequestError::NoSuchAccount(_)),
                Some(Asked::Watch(account) | Asked::Look(Glance { account, .. })),
            ) if Some(account) != self.account() => {}
            (Ok(_), _) => return self.fail(&setting.tag, Answer::misfit(), out),
            (Err(error), _) => return self.fail(&setting.tag, Answer::refused(&error), out),
        }
        self.next_first(setting, out)
    }

    fn tell_first(&self, setting: &mut Setting, glance: &Glance, look: &Look, out: &mut Vec<u8>) {
        let notices = &mut setting.notices;
        let happened = notices.happened(glance.mailbox);
        let view = look.view.borrow().clone();
        let mut items = vec![StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity];
        if glance.events.flags || self.condstore {
            items.push(StatusItem::HighestModseq);
        }
        write_status(&glance.name, &view, &items, &self.config, self.name_encoding(), out);
        if let Some(watched) = notices.watched_mut().find(|watched| watched.known.account == glance.account) {
            watched.looked(glance.mailbox, happened, look.waits);
        }
        notices.looked(look.waits, self.now);
    }

    /// Goes on with the next account or mailbox, or takes the wish up.
    pub(in super::super) fn next_first(&mut self, mut setting: Setting, out: &mut Vec<u8>) -> Action {
        if let Some(account) = setting.accounts.pop() {
            setting.asked = Some(Asked::Watch(account));
            self.running = Running::Notify(setting);
            return Action::Ask(Request::Watch { account });
        }
        if let Some(glance) = setting.mailboxes.pop() {
            let Glance { account, mailbox, .. } = glance;
            setting.asked = Some(Asked::Look(glance));
            self.running = Running::Notify(setting);
            let look = Request::Look { account, mailbox, lasting: false };
            return Action::Ask(self.permitted((account, mailbox), Rights::READ, look));
        }
        if setting.notices.write_lists(&self.store, self.name_encoding(), out) {
            self.running = Running::Notify(setting);
            return Action::Continue;
        }
        let Setting { tag, notices, .. } = setting;
        // Whatever the client wanted to hear before: it is told everything once (RFC 5465 section 3.1).
        self.notices = None;
        if let Some(selected) = &mut self.selected {
            selected.hears = Hears::EVERYTHING;
        }
        self.tell(Telling::Everything, out);
        self.set_notices(*notices);
        self.finish(&tag, Telling::Nothing, Answer::ok("Completed"), out)
    }

    fn set_notices(&mut self, notices: Notices) {
        self.notices = Some(Box::new(notices));
        let hears = self.hears();
        if let Some(selected) = &mut self.selected {
            selected.hears = hears;
            selected.take_added();
        }
    }

    /// The client is told of nothing any more (RFC 5465 section 5.8).
    pub(super) fn overflow(&mut self, text: &str, out: &mut Vec<u8>) {
        let Some(notices) = self.notices.take() else { return };
        Answer::ok(text).code("NOTIFICATIONOVERFLOW").write_untagged(out);
        let Notices { own, idling, .. } = *notices;
        self.set_notices(Notices { idling, ..Notices::new(Default::default(), Vec::new(), own.known) });
    }
}

/// Of which mailboxes STATUS is told first, the next one last, and of which it is told that the client lacks a right that it takes to
/// hear of them (RFC 5465 section 3.1). The selected one is none of them.
fn first(notices: &Notices, selected: Option<MailboxId>, status: bool) -> (Vec<Glance>, Vec<Listed>) {
    let (viewer, own) = (notices.viewer(), &notices.own.known);
    let (mut glances, mut denied) = (Vec::new(), Vec::new());
    for view in notices.watched().map(|watched| &watched.known) {
        let seen = viewer.seen(view).into_iter().filter(|(_, entry)| Some(entry.mailbox) != selected);
        for (name, entry) in seen {
            let events = notices.groups.events(viewer.owns(view), &[&name], &[own]);
            let (name, account, mailbox) = (name.into_owned(), view.account, entry.mailbox);
            match viewer.rights(entry).contain(Rights::READ) {
                true if status && events.messages => glances.push(Glance { name, account, mailbox, events }),
                false if events.concern_mailboxes() => denied.push(Listed { name, ..Listed::default() }),
                _ => {}
            }
        }
    }
    glances.reverse();
    (glances, denied)
}
