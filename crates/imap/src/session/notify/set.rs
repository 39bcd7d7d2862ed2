//! The command NOTIFY itself (RFC 5465 section 3.1).

use mailstore::crdt::identity::MailboxId;
use mailstore::request::{Reply, Request, RequestError};

use super::super::answer::Answer;
use super::super::selected::Hears;
use super::super::status::write_status;
use super::super::{Action, Running, Session, Telling};
use super::Notices;
use crate::command::{Events, Notify, NotifySet, StatusItem, Tag};

/// What the answer to an event that is not known lists (RFC 5465 section 3.1).
const EVENTS: &str = "FlagChange MailboxMetadataChange MailboxName MessageExpunge MessageNew ServerMetadataChange SubscriptionChange";

/// A NOTIFY SET that is not answered yet.
pub(in super::super) struct Setting {
    tag: Tag,
    notices: Box<Notices>,
    /// Of which mailboxes STATUS is still to be told, the next one last.
    mailboxes: Vec<(String, MailboxId, Events)>,
    /// The mailbox that is being looked at.
    asked: Option<(String, Events)>,
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
            Notify::Set(NotifySet { status, selected, groups }) => {
                let account = known.account;
                let watches = groups.iter().any(|group| group.events.messages);
                let notices = Box::new(Notices::new(selected, groups, known));
                let setting = Setting { tag, notices, mailboxes: Vec::new(), asked: None };
                let setting = if status { self.with_mailboxes(setting) } else { setting };
                if !watches {
                    return self.next_status(setting, out);
                }
                self.running = Running::Notify(setting);
                Action::Ask(Request::Watch { account })
            }
        }
    }

    /// With the mailboxes of which STATUS is to be told.
    fn with_mailboxes(&self, setting: Setting) -> Setting {
        let selected = self.selected.as_ref().map(|selected| selected.mailbox);
        let Setting { notices, .. } = &setting;
        let known = &notices.known;
        let others = known.mailboxes.iter().rev().filter(|(_, entry)| Some(entry.mailbox) != selected);
        let mailboxes = others
            .map(|(name, entry)| {
                (name.clone(), entry.mailbox, notices.events(&[name.as_str()], &[known.as_ref()]))
            })
            .filter(|(_, _, events)| events.messages)
            .collect();
        Setting { mailboxes, ..setting }
    }

    pub(in super::super) fn notify_answered(
        &mut self,
        mut setting: Setting,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        match (answer, setting.asked.take()) {
            (Ok(Reply::Watched(activity)), None) => {
                setting.notices.seen = activity.borrow().count();
                setting.notices.activity = Some(activity);
            }
            (Ok(Reply::Looked(look)), Some((name, events))) => {
                let mailbox = look.view.borrow().mailbox;
                let happened = setting.notices.happened(&mailbox);
                let view = look.view.borrow().clone();
                let mut items = vec![StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity];
                if events.flags || self.condstore {
                    items.push(StatusItem::HighestModseq);
                }
                write_status(&name, &view, &items, &self.config, self.name_encoding(), out);
                setting.notices.looked(mailbox, happened, look.waits, self.now);
            }
            // It is gone meanwhile.
            (Err(RequestError::NoSuchMailbox(_)), Some(_)) => {}
            (Ok(_), _) => return self.fail(&setting.tag, Answer::misfit(), out),
            (Err(error), _) => return self.fail(&setting.tag, Answer::refused(&error), out),
        }
        self.next_status(setting, out)
    }

    /// Goes on with the next mailbox, or takes the wish up.
    fn next_status(&mut self, mut setting: Setting, out: &mut Vec<u8>) -> Action {
        if let Some((name, mailbox, events)) = setting.mailboxes.pop() {
            let account = setting.notices.known.account;
            setting.asked = Some((name, events));
            self.running = Running::Notify(setting);
            return Action::Ask(Request::Look { account, mailbox, lasting: false });
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
        let Notices { known, idling, .. } = *notices;
        self.set_notices(Notices { idling, ..Notices::new(Default::default(), Vec::new(), known) });
    }
}
