//! What each job does to the replica, and what its answer will be made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use crdt::account::NewEntry;
use crdt::fold::access::Grantee;
use crdt::identity::{AccountId, BodyHash, DeliveryKey, EntryId, MailboxId};
use crdt::left_out::{LeftOut, leaves_out};
use crdt::operation::DefaultMailbox;
use crdt::replica::{ArchiveError, CommandError, DeltaError};
use crdt::rights::Rights;
use crdt::view::MailboxView;
use storage::Batch;
use tokio::sync::watch;

use super::{Committer, Finished, Outcome, outcome, settled};
use crate::account::{AccountView, DEFAULT_MAILBOXES, HIERARCHY_SEPARATOR, canonical_name};
use crate::job::{Answer, Granted, Job};
use crate::names;
use crate::request::{
    Look, LookGuard, MOST_ANNOTATION_NAMES, MOST_ANNOTATION_OCTETS, MOST_ANNOTATIONS, MOST_GRANTS,
    MOST_MAILBOXES, NewMessage, Reply, Request, RequestError, received_now,
};
use crate::rows;
use crate::structures;

impl Committer {
    pub(super) fn carry_out(&mut self, job: Job, batch: &mut Batch) -> Option<Outcome> {
        match job {
            Job::Request(request, answer) => self.request(request, answer, batch),
            Job::Apply(records, answer) => Some(self.apply(records, answer, batch)),
            Job::Body(staged, hash, structure, answer) => {
                keep(batch, &hash, &structure, staged);
                Some(outcome(answer, |_| Ok(())))
            }
            Job::Open(account, answer) => Some(self.open_account(account, answer)),
            Job::LookAway(account, mailbox) => {
                self.replica.look_away(account, mailbox);
                None
            }
            Job::PeerLooks(slot, looks) => {
                self.replica.set_peer_looks(slot, looks);
                None
            }
            Job::Hear(tellings, answer) => Some(self.hear(tellings, answer, batch)),
            Job::Met(slot, meeting) => {
                self.meet(slot, meeting);
                None
            }
            Job::Judge(life, answer) => {
                let verdict = self.replica.judge(&life);
                Some(outcome(answer, move |_| Ok(verdict)))
            }
            Job::Verdict(slot, life, verdict) => {
                self.take_verdict(slot, life, verdict);
                None
            }
            Job::RetainHistory(milliseconds) => {
                self.history.retain(milliseconds);
                None
            }
            Job::Grant(answer) => {
                let granted = self.replica.grant().map(|(slot, reserve)| Granted { slot, reserve });
                Some(outcome(answer, move |_| Ok(granted)))
            }
            Job::Admit(member, answer) => {
                self.replica.admit_member(member);
                Some(outcome(answer, |_| Ok(())))
            }
            Job::Bury(slot, answer) => {
                self.replica.bury(slot);
                Some(outcome(answer, |_| Ok(())))
            }
            Job::Confirmation(answer) => {
                let confirmation = self.replica.confirmation();
                Some(outcome(answer, move |_| Ok(confirmation)))
            }
            Job::Policy(policy) => {
                self.policy = policy;
                self.replica.set_policy(policy);
                None
            }
            Job::Stop(done) => Some(Box::new(move |_| done())),
        }
    }

    /// Loads an account and publishes its mailboxes.
    fn open_account(
        &mut self,
        account: AccountId,
        answer: Answer<watch::Receiver<Arc<AccountView>>, RequestError>,
    ) -> Outcome {
        let existing = self.replica.existing(account).map(|_| ()).map_err(|error| explain(error, ""));
        outcome(answer, move |finished| {
            existing?;
            let state = finished.replica.existing(account).map_err(|error| explain(error, ""))?;
            finished.published.set_account(state, true);
            finished.published.account_view(&account).ok_or(RequestError::NoSuchAccount(String::new()))
        })
    }

    fn apply(
        &mut self,
        records: Vec<crdt::record::Record>,
        answer: Answer<crdt::replica::Applied, DeltaError>,
        batch: &Batch,
    ) -> Outcome {
        let failed = |error: String| DeltaError::Archive(crdt::replica::ArchiveError(error));
        let applied = match self.storage.reader() {
            // A body that cannot be looked up counts as missing: it is asked for again, and known by then.
            Ok(reader) => self.replica.apply(records, |hash| {
                let hash = structures::stored(hash);
                batch.keeps_body(&hash) || reader.has_body(&hash).unwrap_or(false)
            }),
            Err(error) => Err(failed(error.to_string())),
        };
        Box::new(move |finished| {
            let durable = finished.map(|_| ()).map_err(|error| failed(error.to_string()));
            answer(applied.and_then(|applied| durable.map(|()| applied)));
        })
    }

    /// Bodies have come in, from peers or with messages of their own: the entries that wait for them can be shown.
    pub(super) fn release_bodies(&mut self, batch: &Batch) -> Result<(), ArchiveError> {
        if batch.kept_bodies().next().is_none() {
            return Ok(());
        }
        let mut waiting: BTreeMap<AccountId, Vec<EntryId>> = BTreeMap::new();
        for account in self.replica.loaded() {
            let kept = |entry: &&EntryId| {
                let facts = account.entry(entry).and_then(|state| state.facts());
                facts.is_some_and(|facts| batch.keeps_body(&structures::stored(&facts.body)))
            };
            let entries: Vec<EntryId> = account.newly_absent().filter(kept).copied().collect();
            if !entries.is_empty() {
                waiting.insert(account.id(), entries);
            }
        }
        let reader = self.storage.reader().map_err(|error| ArchiveError(error.to_string()))?;
        for hash in batch.kept_bodies() {
            for (account, entries) in rows::waiting_for(&reader, &BodyHash(*hash.as_bytes()))? {
                waiting.entry(account).or_default().extend(entries);
            }
        }
        for (account, entries) in waiting {
            self.replica.body_arrived(account, &entries)?;
        }
        Ok(())
    }

    fn request(
        &mut self,
        request: Request,
        answer: Answer<Reply, RequestError>,
        batch: &mut Batch,
    ) -> Option<Outcome> {
        Some(match request {
            Request::Append { account, mailbox, messages } => {
                self.append(account, mailbox, messages, answer, batch);
                return None;
            }
            Request::Replace { account, from, replaced, to, message } => {
                self.replace((account, from, replaced), to, *message, answer, batch);
                return None;
            }
            Request::Copy { account, from, entries, to } => {
                let wanted = self.replica.copy_in_turn(account, from, &entries, to);
                self.relocated(account, from, wanted, answer);
                return None;
            }
            Request::Move { account, from, entries, to } => {
                let wanted = self.replica.move_in_turn(account, from, &entries, to);
                self.relocated(account, from, wanted, answer);
                return None;
            }
            Request::CopyAcross { account, from, entries, target, to, flags, moving } => {
                let (source, target) = ((account, from), (target, to));
                let wanted = self.replica.copy_across_in_turn(source, &entries, target, flags, moving);
                self.relocated(account, from, wanted, answer);
                return None;
            }
            Request::Permitted { actor, account, mailbox, rights, request } => {
                return match self.check_rights(actor, (account, mailbox), rights) {
                    Ok(()) => self.request(*request, answer, batch),
                    Err(error) => Some(settled(answer, Err(error))),
                };
            }
            Request::Deliver { account, mailbox, sender, message } => {
                let reply = self.deliver(account, &mailbox, &sender, message, batch);
                settled(answer, reply)
            }
            Request::Store { account, mailbox, entries, change, flags, unchanged_since } => {
                let stored =
                    self.replica.change_flags(account, mailbox, &entries, change, &flags, unchanged_since);
                with(answer, stored, move |finished, stored| {
                    if !stored.overfull.is_empty() && stored.overfull.len() == entries.len() {
                        return Err(RequestError::OverLimit {
                            what: "the number of flags of a message",
                            limit: 128,
                        });
                    }
                    let view = view(finished, account, mailbox)?;
                    Ok(Reply::Stored { modified: stored.modified, gone: stored.gone, view })
                })
            }
            Request::Expunge { account, mailbox, entries } => {
                let expunged = self.replica.expunge(account, mailbox, &entries);
                with(answer, expunged, move |finished, ()| Ok(Reply::View(view(finished, account, mailbox)?)))
            }
            Request::Remove { account, mailbox, entries } => {
                let removed = self.replica.remove(account, mailbox, &entries);
                with(answer, removed, move |finished, ()| Ok(Reply::View(view(finished, account, mailbox)?)))
            }
            Request::OpenAccount { account } => {
                let open: Answer<_, RequestError> = Box::new(|opened| answer(opened.map(|_| Reply::Done)));
                self.open_account(account, open)
            }
            Request::Look { account, mailbox, lasting } => self.look(account, mailbox, lasting, answer),
            Request::Watch { account } => outcome(answer, move |finished| {
                let state = finished.replica.existing(account).map_err(|error| explain(error, ""))?;
                Ok(Reply::Watched(finished.published.watch_activity(state)))
            }),
            other => {
                let reply = self.administer(other);
                settled(answer, reply)
            }
        })
    }

    /// Whether somebody may do what takes these rights, as everything stands that was asked for before.
    fn check_rights(
        &mut self,
        actor: AccountId,
        (account, mailbox): (AccountId, MailboxId),
        rights: Rights,
    ) -> Result<(), RequestError> {
        let life = self.replica.existing(actor).map_err(|error| explain(error, ""))?.head().life();
        let owner = self.replica.existing(account).map_err(|error| explain(error, ""))?;
        let unit = owner.unit(mailbox).ok_or_else(|| RequestError::NoSuchMailbox(String::new()))?;
        match owner.access(unit).rights(Grantee::Account(actor, life)).contain(rights) {
            true => Ok(()),
            false => Err(RequestError::NotPermitted),
        }
    }

    /// Whether there is room for so many more entries of access control lists.
    fn check_grants(&mut self, account: AccountId, more: usize) -> Result<(), RequestError> {
        let granted =
            self.replica.existing(account).map_err(|error| explain(error, ""))?.head().rights().len();
        match more > 0 && granted + more > MOST_GRANTS {
            true => Err(RequestError::OverLimit {
                what: "the number of entries of access control lists",
                limit: MOST_GRANTS as u64,
            }),
            false => Ok(()),
        }
    }

    fn deliver(
        &mut self,
        account: AccountId,
        mailbox: &str,
        sender: &str,
        message: NewMessage,
        batch: &mut Batch,
    ) -> Result<Reply, RequestError> {
        let name = canonical_name(mailbox).into_owned();
        let hash = structures::hash(&message.body);
        let target = self.replica.existing(account).map_err(|error| explain(error, ""))?;
        let named = target.unit_by_name(&name).or_else(|| target.unit_by_name("INBOX"));
        let unit = named.ok_or_else(|| RequestError::NoSuchMailbox(name.clone()))?.clone();
        // Without a Message-ID two equal messages are two messages: nothing says that they are one.
        let recognisable = message.structure.message.envelope.message_id.is_some();
        let key = recognisable.then(|| DeliveryKey::of_delivery(account, &unit.name, sender, &hash));
        let (entry, (hash, structure, staged)) = self.entry(message, key);
        let new = self.replica.deliver(account, unit.public, entry).map_err(|error| explain(error, &name))?;
        if new {
            keep(batch, &hash, &structure, staged);
        }
        Ok(Reply::Delivered { duplicate: !new })
    }

    pub(super) fn entry(
        &self,
        message: NewMessage,
        delivery: Option<DeliveryKey>,
    ) -> (NewEntry, (BodyHash, Arc<message::Structure>, storage::StagedBody)) {
        let body = structures::hash(&message.body);
        let received = message.received.unwrap_or_else(|| received_now(self.replica.now()));
        let entry = NewEntry {
            body,
            size: message.body.len(),
            received,
            flags: message.flags,
            email: None,
            delivery,
        };
        (entry, (body, message.structure, message.body))
    }

    fn look(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        lasting: bool,
        answer: Answer<Reply, RequestError>,
    ) -> Outcome {
        let public = match self.replica.existing(account) {
            Ok(state) => state.unit(mailbox).map(|unit| unit.public).ok_or(CommandError::NoSuchMailbox),
            Err(error) => Err(error),
        };
        let looked = public.and_then(|public| {
            let done = if lasting {
                self.replica.look(account, public)
            } else if leaves_out(LeftOut::StatusIsALook) {
                Ok(())
            } else {
                self.replica.glance(account, public)
            };
            done.map(|()| public).map_err(CommandError::from)
        });
        // Made before the commit: when that fails, the guard is dropped with the answer and the look ends.
        let queue = self.queue.clone();
        let guarded = looked.map(|public| {
            let end = move || queue.push(Job::LookAway(account, public));
            (public, lasting.then(|| LookGuard { end: Some(Box::new(end)) }))
        });
        with(answer, guarded, move |finished, (public, guard)| {
            let view = Arc::unwrap_or_clone(view(finished, account, public)?);
            let waits = finished.replica.existing(account).is_ok_and(|state| state.has_pending(public));
            Ok(Reply::Looked(Look { view: finished.published.watch(view), waits, _guard: guard }))
        })
    }

    /// Requests that are answered without a view.
    fn administer(&mut self, request: Request) -> Result<Reply, RequestError> {
        let done = |result: Result<(), CommandError>, name: &str| {
            result.map(|()| Reply::Done).map_err(|error| explain(error, name))
        };
        match request {
            Request::CreateMailbox { account, name, special_use } => {
                let name = names::mailbox(&name)?;
                let count =
                    self.replica.existing(account).map_err(|error| explain(error, &name))?.units().len();
                if count >= MOST_MAILBOXES {
                    return Err(RequestError::OverLimit {
                        what: "the number of mailboxes",
                        limit: MOST_MAILBOXES as u64,
                    });
                }
                // Every mailbox that is created with it has the entries of the one above.
                let state = self.replica.existing(account).map_err(|error| explain(error, &name))?;
                let inherited = state.inherited_by(&name).map_or(0, |access| access.entries().count() - 1);
                let levels = name.matches(HIERARCHY_SEPARATOR).count() + 1;
                self.check_grants(account, inherited * levels)?;
                let created = self.replica.create_mailbox(account, &name, special_use.as_deref());
                let mailbox = created.map_err(|error| explain(error, &name))?;
                Ok(Reply::Created(mailbox))
            }
            Request::DeleteMailbox { account, mailbox } => {
                done(self.replica.delete_mailbox(account, mailbox), "")
            }
            Request::RenameMailbox { account, from, to } => {
                let (from, to) = (canonical_name(&from).into_owned(), names::mailbox(&to)?);
                if to
                    .strip_prefix(&from)
                    .is_some_and(|rest| rest.starts_with(crate::account::HIERARCHY_SEPARATOR))
                    && from != "INBOX"
                {
                    return Err(RequestError::NotPossible(format!(
                        "{from:?} cannot become its own inferior {to:?}"
                    )));
                }
                let renamed = self.replica.rename_mailbox(account, &from, &to);
                let name = if renamed == Err(CommandError::AlreadyExists) { &to } else { &from };
                done(renamed, name)
            }
            Request::Subscribe { account, name, subscribed } => {
                let name = canonical_name(&name).into_owned();
                names::subscription(&name)?;
                done(self.replica.subscribe(account, &name, subscribed), &name)
            }
            Request::ChangeRights { account, mailbox, identifier, given, taken } => {
                let state = self.replica.existing(account).map_err(|error| explain(error, ""))?;
                let new = !state.head().rights().remember(mailbox, identifier);
                self.check_grants(account, usize::from(new))?;
                done(self.replica.change_rights(account, mailbox, identifier, given, taken), "")
            }
            Request::Annotate { account, mailbox, changes } => {
                self.check_annotations(account, mailbox, &changes)?;
                done(self.replica.annotate(account, mailbox, changes), "")
            }
            Request::AddAccount { name, password } => {
                names::account(&name)?;
                let mailbox = |(name, special_use): &(&str, Option<&str>)| DefaultMailbox {
                    name: (*name).to_owned(),
                    special_use: special_use.map(str::to_owned),
                };
                let mailboxes: Vec<DefaultMailbox> = DEFAULT_MAILBOXES.iter().map(mailbox).collect();
                done(self.replica.add_account(&name, &password, &mailboxes).map(|_| ()), &name)
            }
            Request::SetPassword { account, password } => {
                done(self.replica.set_password(account, &password), "")
            }
            Request::SetQuota { account, quota } => done(self.replica.set_quota(account, quota), ""),
            Request::Usage { account } => {
                let state = self.replica.existing(account).map_err(|error| explain(error, ""))?;
                Ok(Reply::Usage { usage: state.usage(), quota: state.head().quota() })
            }
            Request::AddAppPassword { account, password } => self.add_app_password(account, password),
            Request::RemoveAppPassword { account, id } => {
                match self.replica.remove_app_password(account, id).map_err(|error| explain(error, ""))? {
                    true => Ok(Reply::Done),
                    false => Err(RequestError::NotPossible("there is no such app password".to_owned())),
                }
            }
            Request::RemoveAccount { account } => done(self.replica.remove_account(account), ""),
            Request::Bump { account, mailbox } => {
                let name = canonical_name(&mailbox).into_owned();
                let state = self.replica.existing(account).map_err(|error| explain(error, &name))?;
                let unit = state.unit_by_name(&name).map(|unit| unit.public);
                let public = unit.ok_or_else(|| RequestError::NoSuchMailbox(name.clone()))?;
                let bumped = self.replica.bump(account, public);
                bumped.map(Reply::Bumped).map_err(|error| explain(error, &name))
            }
            other => Err(RequestError::NotPossible(format!("{other:?} is answered elsewhere"))),
        }
    }

    /// Refuses changes after which an account would have more annotations than it may.
    fn check_annotations(
        &mut self,
        account: AccountId,
        mailbox: Option<MailboxId>,
        changes: &[(String, Option<Vec<u8>>)],
    ) -> Result<(), RequestError> {
        let state = self.replica.existing(account).map_err(|error| explain(error, ""))?;
        let sizes = changes.iter().map(|(name, value)| (name.as_str(), value.as_ref().map(Vec::len)));
        let annotations = state.head().annotations();
        let (now, then) = (annotations.count_with(mailbox, []), annotations.count_with(mailbox, sizes));
        let limits = [
            ("the number of annotations", now.held, then.held, MOST_ANNOTATIONS),
            ("the octets of annotations", now.octets, then.octets, MOST_ANNOTATION_OCTETS),
            ("the number of names of annotations", now.remembered, then.remembered, MOST_ANNOTATION_NAMES),
        ];
        // Beyond a limit, by a merge, less may still be made of it.
        match limits.into_iter().find(|(_, now, then, most)| then > most && then > now) {
            Some((what, _, _, most)) => Err(RequestError::OverLimit { what, limit: most as u64 }),
            None => Ok(()),
        }
    }
}

pub(super) fn keep(
    batch: &mut Batch,
    hash: &BodyHash,
    structure: &message::Structure,
    staged: storage::StagedBody,
) {
    structures::put(batch, hash, structure);
    batch.add_body(staged);
}

/// The mailbox as it is now, under whichever identity the session knows it.
pub(super) fn view(
    finished: &mut Finished<'_>,
    account: AccountId,
    mailbox: MailboxId,
) -> Result<Arc<MailboxView>, RequestError> {
    let state = finished.replica.existing(account).map_err(|error| explain(error, ""))?;
    let public = state.unit(mailbox).map_or(mailbox, |unit| unit.public);
    Ok(Arc::new(state.view(public)))
}

/// An answer that is made of what a command returned and of the state afterwards.
fn with<T: Send + 'static>(
    answer: Answer<Reply, RequestError>,
    result: Result<T, CommandError>,
    make: impl FnOnce(&mut Finished<'_>, T) -> Result<Reply, RequestError> + Send + 'static,
) -> Outcome {
    match result {
        Ok(value) => outcome(answer, move |finished| make(finished, value)),
        Err(error) => settled(answer, Err(explain(error, ""))),
    }
}

/// The error of the core in the words of a client's request.
pub(super) fn explain(error: CommandError, name: &str) -> RequestError {
    match error {
        CommandError::NoSuchAccount => RequestError::NoSuchAccount(name.to_owned()),
        CommandError::NoSuchMailbox => RequestError::NoSuchMailbox(name.to_owned()),
        CommandError::AlreadyExists => RequestError::AlreadyExists(name.to_owned()),
        CommandError::Inbox | CommandError::NoUids | CommandError::RolledBack | CommandError::NameTooLong => {
            RequestError::NotPossible(error.to_string())
        }
        CommandError::OverQuota => RequestError::OverQuota,
        CommandError::Archive(error) => RequestError::Storage(error.0),
    }
}
