//! Whose mailbox a name means, and what the session may do with it (RFC 2342, RFC 4314).
//!
//! Mailboxes of other accounts are called `Other Users/owner/mailbox`. They are the owner's own, and no copies: a session that may use
//! one asks the store for the owner's mailbox, and the store checks once more that it may ([`Request::Permitted`]). What
//! somebody may not know of looks to him as if it were not there.

use std::sync::Arc;

use mailstore::account::{AccountView, HIERARCHY_SEPARATOR, MailboxEntry, OTHER_USERS, canonical_name};
use mailstore::crdt::fold::access::Grantee;
use mailstore::crdt::identity::{AccountId, MailboxId};
use mailstore::crdt::rights::Rights;
use mailstore::request::{Reply, Request, RequestError};
use tokio::sync::watch;

use super::answer::Answer;
use super::pattern::Pattern;
use super::waiting::renewed;
use super::{Action, Running, Session};
use crate::command::{AppendMessage, Command, CommandBody, Messages, SearchSource, Tag};

/// A mailbox, as its name was found.
pub(super) struct Found {
    pub(super) account: AccountId,
    pub(super) entry: MailboxEntry,
    /// What the session may do with it.
    pub(super) rights: Rights,
    pub(super) is_own: bool,
    /// What its owner calls it.
    name: String,
    view: watch::Receiver<Arc<AccountView>>,
}

impl Found {
    pub(super) fn mailbox(&self) -> MailboxId {
        self.entry.mailbox
    }
}

/// A command that waits until an account is loaded of which it names a mailbox.
pub(super) enum Opening {
    Command(Box<Command>),
    Append(Box<OpeningAppend>),
}

/// An APPEND or REPLACE that waits.
pub(super) struct OpeningAppend {
    pub(super) tag: Tag,
    pub(super) mailbox: String,
    pub(super) replaced: Option<Messages>,
    pub(super) message: AppendMessage,
}

/// What the session may do with the mailbox that is selected, whatever becomes of it meanwhile.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) account: AccountId,
    mailbox: MailboxId,
    grantee: Grantee,
    view: watch::Receiver<Arc<AccountView>>,
    /// The view that `name` and `rights` are taken of.
    known: Arc<AccountView>,
    name: String,
    rights: Rights,
    /// What the client was told.
    told: Rights,
}

impl Access {
    pub(super) fn new(found: Found, grantee: Grantee) -> Self {
        let Found { account, entry, rights, name, view, .. } = found;
        let known = view.borrow().clone();
        Access { account, mailbox: entry.mailbox, grantee, view, known, name, rights, told: rights }
    }

    pub(super) fn rights(&self) -> Rights {
        self.rights
    }

    /// The name of the mailbox, as the session has to spell it.
    pub(super) fn full_name(&self) -> String {
        match self.grantee {
            Grantee::Account(account, _) if account == self.account => self.name.clone(),
            _ => other_name(&self.known.name, &self.name),
        }
    }

    /// Takes note of the rights as they are now. Those to a mailbox that is gone stay what they were: the view of its messages tells
    /// of that.
    pub(super) fn refresh(&mut self) {
        let view = self.view.borrow_and_update().clone();
        if Arc::ptr_eq(&view, &self.known) {
            return;
        }
        let is_it = |(_, entry): &(&String, &MailboxEntry)| entry.mailbox == self.mailbox;
        let named = view.mailboxes.get_key_value(&self.name).filter(is_it);
        if view.removed {
            self.rights = Rights::NONE;
        } else if let Some((name, entry)) = named.or_else(|| view.mailboxes.iter().find(is_it)) {
            self.rights = entry.access.rights(self.grantee);
            self.name.clone_from(name);
        }
        self.known = view;
    }

    /// Which rights are others than the client was told; it counts as told from now on.
    pub(super) fn take_changes(&mut self) -> Rights {
        let changed = (self.rights - self.told) | (self.told - self.rights);
        self.told = self.rights;
        changed
    }

    /// Comes back when something changed in the account. Never, where the store is gone.
    pub(super) async fn changed(&mut self) {
        renewed(&mut self.view).await;
    }
}

impl Session {
    /// What rights are given to the session under.
    pub(super) fn grantee(&self) -> Option<Grantee> {
        self.login.as_ref().map(|login| login.view.borrow().grantee)
    }

    /// The mailbox of this name; whether the session may know of it is for the caller to see.
    pub(super) fn find(&self, name: &str) -> Option<Found> {
        let (view, local) = self.view_of(name)?;
        let current = view.borrow().clone();
        let entry = current.find(local)?.clone();
        Some(Found {
            account: current.account,
            rights: entry.access.rights(self.grantee()?),
            is_own: Some(current.account) == self.account(),
            name: canonical_name(local).into_owned(),
            entry,
            view,
        })
    }

    /// The mailbox of this name, if the session has these rights to it.
    pub(super) fn permit(&self, name: &str, rights: Rights) -> Result<Found, Answer> {
        match self.find(name) {
            Some(found) if found.rights.contain(rights) => Ok(found),
            Some(found) if found.rights.contain(Rights::LOOKUP) => Err(no_permission(rights - found.rights)),
            _ => Err(nonexistent()),
        }
    }

    /// The mailbox of this name, if messages may be put there.
    pub(super) fn permit_target(&self, name: &str) -> Result<Found, Answer> {
        let unknown =
            self.find(name).is_none_or(|found| !found.rights.intersect(Rights::LOOKUP | Rights::INSERT));
        // RFC 9051 section 6.3.12: unless it is certain that it cannot be created.
        match unknown && self.may_create(name).is_ok() {
            true => Err(Answer::no("TRYCREATE", "There is no such mailbox; create it first")),
            false => self.permit(name, Rights::INSERT),
        }
    }

    /// Whether a mailbox of this name may be created: below which one, and none for one at the top of the own ones.
    pub(super) fn may_create(&self, name: &str) -> Result<Option<Found>, Answer> {
        let above = |(end, _): (usize, &str)| self.find(name.get(..end)?);
        match name.rmatch_indices(HIERARCHY_SEPARATOR).find_map(above) {
            Some(superior) if superior.rights.contain(Rights::CREATE) => Ok(Some(superior)),
            None if !name.starts_with(OTHER_USERS) => Ok(None),
            // Nobody learns by this which accounts and mailboxes there are.
            _ => Err(Answer::no("NOPERM", "You may not create a mailbox there")),
        }
    }

    /// The request, such that the store checks the rights at the moment of it. The owner could only be in his own way.
    pub(super) fn permitted(
        &self,
        (account, mailbox): (AccountId, MailboxId),
        rights: Rights,
        request: Request,
    ) -> Request {
        match self.account() {
            Some(actor) if actor != account => {
                Request::Permitted { actor, account, mailbox, rights, request: Box::new(request) }
            }
            _ => request,
        }
    }

    /// Whose mailbox a name means, and what its owner calls it.
    pub(super) fn local_name<'n>(&self, name: &'n str) -> Option<(AccountId, &'n str)> {
        let (view, local) = self.view_of(name)?;
        let account = view.borrow().account;
        Some((account, local))
    }

    /// The name as LIST tells it.
    pub(super) fn canonical(&self, name: &str) -> String {
        let name = canonical_name(name);
        match self.view_of(&name) {
            Some((view, local)) if Some(view.borrow().account) != self.account() && self.may_know(&view) => {
                other_name(&view.borrow().name, &canonical_name(local))
            }
            _ => name.into_owned(),
        }
    }

    /// Whether the session may know that there is such an account.
    fn may_know(&self, view: &watch::Receiver<Arc<AccountView>>) -> bool {
        let owner = view.borrow().account;
        self.account().is_some_and(|account| self.store.sharing_with(&account).contains(&owner))
    }

    /// The account that a name belongs to, and the rest of the name. A mailbox that somebody called like this before the names were
    /// those of other accounts' is still his.
    fn view_of<'n>(&self, name: &'n str) -> Option<(watch::Receiver<Arc<AccountView>>, &'n str)> {
        let login = self.login.as_ref()?;
        match other_user(name).filter(|_| !login.view.borrow().mailboxes.contains_key(name)) {
            None => Some((login.view.clone(), name)),
            Some((owner, _)) if owner == login.account => None,
            Some((owner, local)) => {
                let view = self.store.account_view(&owner)?;
                let removed = view.borrow().removed;
                (!removed).then_some((view, local))
            }
        }
    }

    /// Loads an account, before a command that names mailboxes of it.
    pub(super) fn open_first(&mut self, account: AccountId, tag: Tag, body: CommandBody) -> Action {
        self.running = Running::Opening(Opening::Command(Box::new(Command { tag, body })));
        Action::Ask(Request::OpenAccount { account })
    }

    /// An account that is not at hand, and of which the command names mailboxes.
    pub(super) fn unopened(&self, body: &CommandBody) -> Option<AccountId> {
        match body {
            CommandBody::List { reference, patterns, .. } => {
                let reaches = |pattern: &String| Pattern::new(reference, pattern).reaches(OTHER_USERS);
                patterns.iter().any(reaches).then(|| self.unopened_sharing())?
            }
            CommandBody::MultiSearch(asked) => {
                let reaches = |source: &SearchSource| match source {
                    SearchSource::Selected | SearchSource::Inboxes | SearchSource::Personal => false,
                    SearchSource::Subscribed => true,
                    SearchSource::Subtree(names) | SearchSource::SubtreeOne(names) => {
                        names.iter().any(|root| Pattern::new(root, "*").reaches(OTHER_USERS))
                    }
                    SearchSource::Mailboxes(names) => names.iter().any(|name| name.starts_with(OTHER_USERS)),
                };
                let reaches = asked.sources.iter().flatten().any(reaches);
                reaches.then(|| self.unopened_sharing())?
            }
            CommandBody::Notify(notify) => self.unopened_watched(notify),
            body => named(body).into_iter().flatten().find_map(|name| self.unopened_owner(name)),
        }
    }

    /// An account that shares mailboxes with the session and is not loaded.
    fn unopened_sharing(&self) -> Option<AccountId> {
        let sharing = self.store.sharing_with(&self.account()?);
        sharing.into_iter().find(|owner| self.store.account_view(owner).is_none())
    }

    /// The owner of the mailbox of this name, where he shares some and is not loaded.
    pub(super) fn unopened_owner(&self, name: &str) -> Option<AccountId> {
        let (owner, _) = other_user(name)?;
        let unopened = self.store.account_view(&owner).is_none();
        (unopened && self.store.sharing_with(&self.account()?).contains(&owner)).then_some(owner)
    }

    pub(super) fn opened(
        &mut self,
        opening: Opening,
        answer: &Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        match (opening, answer) {
            (Opening::Command(command), Ok(_)) => {
                let Command { tag, body } = *command;
                self.command_logged_in(self.last_heard, tag, body, out)
            }
            (Opening::Append(append), Ok(_)) => self.append_start(*append, out),
            (Opening::Command(command), Err(error)) => self.fail(&command.tag, Answer::refused(error), out),
            (Opening::Append(append), Err(error)) => self.fail(&append.tag, Answer::refused(error), out),
        }
    }
}

/// The answer where somebody knows of a mailbox and lacks a right to it.
pub(super) fn no_permission(missing: Rights) -> Answer {
    Answer::no("NOPERM", format!("For this mailbox you do not have the rights {missing}"))
}

/// The answer where there is no mailbox, or none that the session may know of (RFC 4314 section 6).
pub(super) fn nonexistent() -> Answer {
    Answer::no("NONEXISTENT", "There is no such mailbox")
}

/// The name that others know a mailbox by.
pub(super) fn other_name(owner: &str, mailbox: &str) -> String {
    format!("{OTHER_USERS}{owner}{HIERARCHY_SEPARATOR}{mailbox}")
}

/// The owner of a mailbox of another account, and what he calls it.
pub(super) fn other_user(name: &str) -> Option<(AccountId, &str)> {
    let (owner, local) = name.strip_prefix(OTHER_USERS)?.split_once(HIERARCHY_SEPARATOR)?;
    (!local.is_empty()).then(|| (AccountId::of_name(owner), local))
}

/// The mailboxes that a command names.
fn named(body: &CommandBody) -> [Option<&str>; 2] {
    use CommandBody::*;
    match body {
        Select { mailbox, .. } | Create { mailbox, .. } | Delete { mailbox } | Status { mailbox, .. } => {
            [Some(mailbox), None]
        }
        Subscribe { mailbox } | Copy { mailbox, .. } | Move { mailbox, .. } => [Some(mailbox), None],
        GetAcl { mailbox } | SetAcl { mailbox, .. } | DeleteAcl { mailbox, .. } => [Some(mailbox), None],
        ListRights { mailbox, .. } | MyRights { mailbox } => [Some(mailbox), None],
        GetMetadata { mailbox, .. } | SetMetadata { mailbox, .. } | GetQuotaRoot { mailbox } => {
            [Some(mailbox), None]
        }
        Rename { from, to } => [Some(from), Some(to)],
        _ => [None, None],
    }
}
