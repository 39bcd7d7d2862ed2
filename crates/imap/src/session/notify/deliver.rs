//! Telling what happened, between commands and during IDLE (RFC 5465 sections 4 and 5).

use std::sync::Arc;

use mailstore::crdt::identity::MailboxId;
use mailstore::request::{Reply, Request, RequestError};

use super::super::fetch::Fetching;
use super::super::list::write_unasked;
use super::super::numbers::Places;
use super::super::status::write_status;
use super::super::visible::Visible;
use super::super::{Action, PIECE_OCTETS, Running, Session};

impl Session {
    /// Whether there is something to tell now. Only while the session waits for the client.
    pub(in super::super) fn has_notices(&mut self) -> bool {
        let (Some(notices), Some(login)) = (&self.notices, &self.login) else { return false };
        let activity = notices.activity.as_ref().map_or(0, |activity| activity.borrow().count());
        let names = !notices.groups.is_empty() && !Arc::ptr_eq(&notices.known, &login.view.borrow());
        let selected = self.selected.as_mut().filter(|_| notices.pushes());
        activity > notices.seen
            || names
            || !notices.due.is_empty()
            || selected.is_some_and(|selected| selected.has_news() || selected.has_added())
    }

    /// Comes back when something happens in a mailbox that is watched.
    pub(in super::super) async fn activity(notices: &mut Option<Box<super::Notices>>) {
        let activity = notices.as_mut().and_then(|notices| notices.activity.as_mut());
        let changed = match activity {
            Some(activity) => activity.changed().await.is_ok(),
            None => false,
        };
        // An account whose store is gone has no more activity.
        if !changed {
            std::future::pending::<()>().await;
        }
    }

    /// Tells all there is to tell, or goes on with it; what was waited for before is waited for again afterwards.
    pub(in super::super) fn notice(&mut self, out: &mut Vec<u8>) -> Action {
        // Who enabled METADATA is told of all annotations, and once is enough.
        let spelling = Some(self.name_encoding()).filter(|_| self.annotated.is_none());
        if spelling.is_none() && self.notices.as_ref().is_some_and(|notices| notices.hears_annotations()) {
            self.tell_annotated(out);
        }
        let (Some(account), Some(notices)) = (self.mailboxes(), &mut self.notices) else {
            return self.waiting();
        };
        if let Running::Idle(idling) = std::mem::take(&mut self.running) {
            notices.idling = Some(idling);
        }
        notices.take_names(&account, spelling, out);
        notices.take_note(&account, self.selected.as_ref().map(|selected| selected.mailbox));
        self.running = Running::Notices;
        if self.write_lists(out) {
            return Action::Continue;
        }
        if let Some(fetching) = self.new_messages() {
            return self.produce_fetch(fetching, out);
        }
        if let Some(mailbox) = self.next_due() {
            return Action::Ask(Request::Look { account: account.account, mailbox, lasting: false });
        }
        self.running = Running::Nothing;
        if let Some(idling) = self.notices.as_mut().and_then(|notices| notices.idling.take()) {
            self.running = Running::Idle(idling);
        }
        self.waiting()
    }

    /// Appends the LISTs that are to be told; whether there are more.
    fn write_lists(&mut self, out: &mut Vec<u8>) -> bool {
        let spelling = self.name_encoding();
        let Some(notices) = &mut self.notices else { return false };
        let known = Visible::own(notices.known.clone());
        let full = out.len().saturating_add(PIECE_OCTETS);
        while let Some(listed) = notices.listed.pop_front() {
            write_unasked(&known, &listed.name, listed.before.as_deref(), true, spelling, out);
            if out.len() >= full {
                return true;
            }
        }
        false
    }

    /// What is to be told of new messages of the selected mailbox, whose EXISTS is told already.
    fn new_messages(&mut self) -> Option<Box<Fetching>> {
        let (notices, selected) = (self.notices.as_ref()?, self.selected.as_mut()?);
        let places: Places = selected.take_added();
        let items = &notices.selected.items;
        let wanted = !items.is_empty() && !places.is_empty();
        wanted.then(|| Box::new(Fetching::unasked(items.clone(), self.condstore, places, selected)))
    }

    fn next_due(&mut self) -> Option<MailboxId> {
        let notices = self.notices.as_mut()?;
        notices.asked = notices.due.pop_first();
        notices.asked.map(|(mailbox, _)| mailbox)
    }

    /// A mailbox of which a STATUS may be due was looked at.
    pub(in super::super) fn notices_answered(
        &mut self,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let (now, spelling) = (self.now, self.name_encoding());
        let Some(notices) = &mut self.notices else { return self.waiting() };
        match (answer, notices.asked.take()) {
            (Ok(Reply::Looked(look)), Some((mailbox, after))) => {
                let happened = notices.happened(&mailbox);
                let view = look.view.borrow().clone();
                let known = notices.known.clone();
                let entry = known.mailboxes.iter().find(|(_, entry)| entry.mailbox == mailbox);
                notices.looked(mailbox, happened, look.waits, now);
                if let (Some(happened), Some((name, _))) = (happened, entry) {
                    let events = notices.events(&[name.as_str()], &[known.as_ref()]);
                    let items = notices.items(happened, after, events, self.condstore);
                    if !items.is_empty() {
                        write_status(name, &view, &items, &self.config, spelling, out);
                    }
                }
            }
            // It is gone, of which the names tell.
            (Err(RequestError::NoSuchMailbox(_)), _) => {}
            (Ok(_), _) => self.overflow("Mailboxes cannot be watched any more", out),
            (Err(error), _) => {
                self.overflow(&format!("Mailboxes cannot be watched any more: {error}"), out);
            }
        }
        self.notice(out)
    }
}
