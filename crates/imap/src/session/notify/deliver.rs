//! Telling what happened, between commands and during IDLE (RFC 5465 sections 4 and 5).

use std::collections::BTreeSet;
use std::sync::Arc;

use mailstore::Mailstore;
use mailstore::crdt::identity::{AccountId, MailboxId};
use mailstore::crdt::rights::Rights;
use mailstore::request::{Look, Reply, Request, RequestError};

use super::super::access::other_user;
use super::super::fetch::Fetching;
use super::super::list::{Unasked, write_unasked};
use super::super::numbers::Places;
use super::super::status::write_status;
use super::super::visible::Visible;
use super::super::waiting::or_never;
use super::super::{Action, PIECE_OCTETS, Running, Session};
use super::{Asked, Listed, Notices};
use crate::mailbox_name::NameEncoding;

impl Notices {
    /// Comes back when something happens in an account that is watched.
    pub(in super::super) async fn changed(&mut self) {
        let others = or_never(self.others.as_mut().map(|others| others.changed()));
        tokio::select! {
            biased;
            () = self.own.changed() => {}
            () = others => {}
        }
    }

    /// Appends the LISTs that are to be told; whether there are more.
    pub(super) fn write_lists(
        &mut self,
        store: &Mailstore,
        spelling: NameEncoding,
        out: &mut Vec<u8>,
    ) -> bool {
        if self.listed.is_empty() {
            return false;
        }
        let known = self.listable(store);
        let full = out.len().saturating_add(PIECE_OCTETS);
        while let Some(Listed { name, before, denied }) = self.listed.pop_front() {
            let unasked = Unasked { tell_subscribed: true, before: before.as_deref(), denied: Some(denied) };
            write_unasked(&known, &name, &unasked, spelling, out);
            if out.len() >= full {
                return true;
            }
        }
        false
    }

    /// What the LISTs are taken from that are to be told. A subscribed mailbox may be one of an account that is not watched.
    fn listable(&self, store: &Mailstore) -> Visible {
        let mut visible = Visible::own(self.own.known.clone());
        let shared = self.listed.iter().filter_map(|listed| other_user(&listed.name));
        for owner in shared.map(|(owner, _)| owner).collect::<BTreeSet<AccountId>>() {
            let watched = self.watched().find(|watched| watched.known.account == owner);
            match (watched, store.account_view(&owner)) {
                (Some(watched), _) => visible.add(&watched.known),
                (None, Some(view)) => visible.add(&view.borrow()),
                (None, None) => {}
            }
        }
        visible
    }
}

impl Session {
    /// Whether there is something to tell now. Only while the session waits for the client.
    pub(in super::super) fn has_notices(&mut self) -> bool {
        let (Some(notices), Some(login)) = (&self.notices, &self.login) else { return false };
        let names = !notices.groups.is_empty() && !Arc::ptr_eq(&notices.own.known, &login.view.borrow());
        let others = notices.others.as_ref().is_some_and(|others| others.has_news());
        let selected = self.selected.as_mut().filter(|_| notices.pushes());
        notices.own.has_news()
            || names
            || others
            || selected.is_some_and(|selected| selected.has_news() || selected.has_added())
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
        self.running = Running::Notices;
        if let Some(request) = self.take_others(out) {
            return Action::Ask(request);
        }
        let selected = self.selected.as_ref().map(|selected| selected.mailbox);
        if let Some(notices) = &mut self.notices {
            notices.take_note(selected);
        }
        let spelling = self.name_encoding();
        if let Some(notices) = &mut self.notices
            && notices.write_lists(&self.store, spelling, out)
        {
            return Action::Continue;
        }
        if let Some(fetching) = self.new_messages() {
            return self.produce_fetch(fetching, out);
        }
        if let Some(request) = self.next_due() {
            return Action::Ask(request);
        }
        self.running = Running::Nothing;
        if let Some(idling) = self.notices.as_mut().and_then(|notices| notices.idling.take()) {
            self.running = Running::Idle(idling);
        }
        self.waiting()
    }

    /// Takes note of what other accounts share now; what the store has to be asked for that.
    fn take_others(&mut self, out: &mut Vec<u8>) -> Option<Request> {
        let Some(left) = self.look_up_owners() else {
            self.overflow("Too many other users share mailboxes that were asked for", out);
            return None;
        };
        let request = self.watch_missing();
        let spelling = self.name_encoding();
        if let Some(notices) = &mut self.notices {
            notices.take_shared_names(spelling, out);
        }
        self.leave_owners(&left);
        request
    }

    /// What is to be told of new messages of the selected mailbox, whose EXISTS is told already.
    fn new_messages(&mut self) -> Option<Box<Fetching>> {
        let (notices, selected) = (self.notices.as_ref()?, self.selected.as_mut()?);
        let places: Places = selected.take_added();
        let items = &notices.selected.items;
        let wanted = !items.is_empty() && !places.is_empty();
        wanted.then(|| Box::new(Fetching::unasked(items.clone(), self.condstore, places, selected)))
    }

    fn next_due(&mut self) -> Option<Request> {
        let notices = self.notices.as_mut()?;
        let next =
            notices.watched_mut().find_map(|watched| Some((watched.known.account, watched.next_due()?)));
        let (account, (mailbox, after)) = next?;
        notices.asked = Some(Asked::Look { account, mailbox, after });
        let look = Request::Look { account, mailbox, lasting: false };
        Some(self.permitted((account, mailbox), Rights::READ, look))
    }

    /// The store has answered what it was asked for the sake of notices.
    pub(in super::super) fn notices_answered(
        &mut self,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let Some(notices) = &mut self.notices else { return self.waiting() };
        match (answer, notices.asked.take()) {
            (Ok(Reply::Looked(look)), Some(Asked::Look { mailbox, after, .. })) => {
                self.tell_status(mailbox, after, &look, out);
            }
            (Ok(Reply::Watched(activity)), Some(Asked::Watch(owner))) => {
                if let (Some(others), Some(view)) = (&mut notices.others, self.store.account_view(&owner)) {
                    others.add(owner, view, Some(activity));
                }
            }
            (Ok(Reply::Done), Some(Asked::Open(_))) => {}
            (Err(RequestError::NoSuchAccount(_)), Some(Asked::Open(owner) | Asked::Watch(owner))) => {
                if let Some(others) = &mut notices.others {
                    others.give_up(&owner);
                }
            }
            // It is gone, or not for this client any more, of which the names tell.
            (Err(RequestError::NoSuchMailbox(_) | RequestError::NotPermitted), _) => {}
            (Err(RequestError::NoSuchAccount(_)), Some(Asked::Look { account, .. }))
                if Some(account) != self.account() => {}
            (Ok(_), _) => self.overflow("Mailboxes cannot be watched any more", out),
            (Err(error), _) => {
                self.overflow(&format!("Mailboxes cannot be watched any more: {error}"), out);
            }
        }
        self.notice(out)
    }

    /// Tells what happened in a mailbox after a happening that the client was told of.
    fn tell_status(&mut self, mailbox: MailboxId, after: u64, look: &Look, out: &mut Vec<u8>) {
        let (now, spelling) = (self.now, self.name_encoding());
        let Some(notices) = &mut self.notices else { return };
        let (viewer, own) = (notices.viewer(), notices.own.known.clone());
        let Some(watched) = notices.watched_mut().find(|watched| watched.entry(mailbox).is_some()) else {
            return;
        };
        let happened = watched.happened(mailbox);
        let view = look.view.borrow().clone();
        watched.looked(mailbox, happened, look.waits);
        let known = watched.known.clone();
        notices.looked(look.waits, now);
        let entry = known.mailboxes.iter().find(|(_, entry)| entry.mailbox == mailbox);
        if let (Some(happened), Some((name, entry))) = (happened, entry) {
            let events = notices.groups.told(viewer, (&known, name, entry), [&own, &own]);
            let items = notices.items(happened, after, events, self.condstore);
            if events.messages && !items.is_empty() {
                write_status(&viewer.name(&known, name), &view, &items, &self.config, spelling, out);
            }
        }
    }
}
