//! The committer: a synchronous state machine that turns what all sessions asked for into one durable commit.
//!
//! In production it has a thread of its own ([`crate::shell`]); in a simulation it is run in line.

mod answers;
mod app_passwords;
mod carry_out;
mod peers;

use std::collections::BTreeMap;
use std::sync::Arc;

use crdt::clock::Millis;
use crdt::identity::{AccountId, Incarnation, MailboxId, NodeSlot};
use crdt::left_out::{LeftOut, leaves_out};
use crdt::placement::surroundings::Policy;
use crdt::replica::{ArchiveError, Commit, Meeting, Replica};
use crdt::writer::Author;
use storage::{Batch, CommitError, Reader, Storage};

use answers::Unanswered;

use crate::history::{Foreign, History, RETENTION_DAYS};
use crate::identity::NodeIdentity;
use crate::job::{Job, Queue};
use crate::notices::{Notices, Told};
use crate::published::Published;
use crate::request::{Reply, RequestError};
use crate::rows::{self, DiskArchive};

/// The most jobs of one batch.
pub const MOST_JOBS: usize = 512;
/// The most accounts that stay in memory without anybody looking at them.
const MOST_IDLE_ACCOUNTS: usize = 1000;

/// The milliseconds of a day.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// How long after a batch that was not committed what time asks for is tried again, in milliseconds.
const RETRY_MILLISECONDS: u64 = 500;

/// New names for lives: 16 random octets each.
pub type Entropy = Box<dyn FnMut() -> [u8; 16] + Send>;

/// An answer that is given when the batch is durable, or an error that is given when it is not.
type Outcome = Box<dyn FnOnce(Result<&mut Finished<'_>, RequestError>) + Send>;

/// What answers are made of, once everything is durable.
pub(crate) struct Finished<'a> {
    pub(crate) replica: &'a mut Replica<DiskArchive>,
    pub(crate) published: &'a Published,
}

/// The one writer of a node.
pub struct Committer {
    storage: Arc<Storage>,
    identity: NodeIdentity,
    entropy: Entropy,
    replica: Replica<DiskArchive>,
    published: Arc<Published>,
    pub(crate) queue: Queue,
    policy: Policy,
    /// Requests that need UIDs or slots, while it is not settled whether this life may give any (rule 8).
    deferred: Vec<Job>,
    /// Requests that the present batch accepted, whose answers name UIDs.
    accepted: Vec<Unanswered>,
    /// The same of former batches: what they accepted is durable, and some of it has no UID yet.
    unanswered: Vec<Unanswered>,
    /// After a batch that was not committed: nothing is tried again for the sake of time alone before this moment.
    failed_until: Option<Millis>,
    notices: Notices,
    heard_changed: bool,
    history: History,
    /// What peers had when their links came up.
    meetings: BTreeMap<NodeSlot, Meeting>,
    /// Set by an error after which nobody knows what the disk holds.
    stopped: Option<String>,
}

impl Committer {
    pub(crate) fn open(
        storage: Arc<Storage>,
        identity: NodeIdentity,
        mut entropy: Entropy,
        queue: Queue,
        now: Millis,
    ) -> Result<(Self, Arc<Published>), ArchiveError> {
        let reader = storage.reader().map_err(|error| ArchiveError(error.to_string()))?;
        let beginning = rows::read_beginning(&reader)?;
        let heads = rows::read_heads(&reader)?;
        let author = Author { slot: identity.slot, incarnation: Incarnation(entropy()) };
        let notices = Notices::open(&reader, identity.slot)?;
        let history = History::open(&reader, RETENTION_DAYS * DAY)?;
        let published = Arc::new(Published::new(
            author.incarnation,
            heads,
            beginning.vector.clone(),
            beginning.cluster.clone(),
        ));
        published.set_heard(notices.heard().clone());
        let replica = Replica::start(DiskArchive(Arc::clone(&storage)), author, beginning, now);
        published.set_life((author.incarnation, replica.began()), replica.unknown_values());
        let mut committer = Committer {
            storage,
            identity,
            entropy,
            replica,
            published: Arc::clone(&published),
            queue,
            policy: Policy::default(),
            deferred: Vec::new(),
            accepted: Vec::new(),
            unanswered: Vec::new(),
            failed_until: None,
            notices,
            heard_changed: false,
            history,
            meetings: BTreeMap::new(),
            stopped: None,
        };
        committer.replica.set_heard(committer.notices.heard().clone().into());
        // The first record of the new life is durable before anything else of it.
        committer.run(now, vec![]);
        match &committer.stopped {
            None => Ok((committer, published)),
            Some(reason) => Err(ArchiveError(reason.clone())),
        }
    }

    /// When there is something to do that nobody asked for.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let asked = match self.replica.waits_until() {
            Some(until) => Some(until).filter(|_| !self.deferred.is_empty() || !self.unanswered.is_empty()),
            None => self.answers_until(),
        };
        let over = self.history.poll_timeout();
        let due = self.replica.poll_timeout().into_iter().chain(asked).chain(over).min();
        due.map(|due| self.failed_until.map_or(due, |until| due.max(until)))
    }

    /// Why the committer takes no more work, if it does not.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// Does these jobs, and what time asks for, in one durable commit; then gives all answers.
    pub(crate) fn run(&mut self, now: Millis, jobs: Vec<Job>) {
        if let Some(reason) = &self.stopped {
            let error = RequestError::Storage(reason.clone());
            std::mem::take(&mut self.unanswered).into_iter().for_each(|one| one.refuse(error.clone()));
            jobs.into_iter().for_each(|job| job.refuse(error.clone()));
            return;
        }
        self.replica.begin(now);
        let mut batch = Batch::new();
        let mut outcomes = Vec::new();
        for job in jobs {
            if job.needs_standing() && self.replica.waits_until().is_some() {
                self.deferred.push(job);
            } else {
                outcomes.extend(self.carry_out(job, &mut batch));
            }
        }
        if self.replica.waits_until().is_none() {
            for job in std::mem::take(&mut self.deferred) {
                outcomes.extend(self.carry_out(job, &mut batch));
            }
        }
        if let Err(error) = self.release_bodies(&batch) {
            // They wait on, and are shown when a peer sends the bodies once more.
            tracing::warn!(%error, "it cannot be read which messages wait for bodies that came in");
        }
        self.place_wanted();
        self.replica.handle_timeout();
        let commit = self.replica.commit();
        if leaves_out(LeftOut::PeersLast) {
            self.published.set_vector(self.replica.vector().clone());
            self.published.announce();
        }
        if leaves_out(LeftOut::CommitFirst) {
            self.finish(&commit, std::mem::take(&mut outcomes));
        }
        match self.make_durable(batch, &commit) {
            Ok(()) => {
                self.failed_until = None;
                self.finish(&commit, outcomes);
            }
            Err(error) => self.fail(now, error, outcomes),
        }
    }

    fn make_durable(&mut self, mut batch: Batch, commit: &Commit) -> Result<(), CommitError> {
        let reader = self.storage.reader()?;
        self.write(&mut batch, &reader, commit).map_err(|error| CommitError::Damaged(error.0))?;
        if batch.is_empty() { Ok(()) } else { self.storage.commit(batch) }
    }

    /// Puts what the batch changed beside what its jobs put there: the log, the views, and what this node tells of itself.
    fn write(&mut self, batch: &mut Batch, reader: &Reader, commit: &Commit) -> Result<(), ArchiveError> {
        let now = self.replica.now();
        if !commit.is_empty() {
            rows::clear_views(batch, reader, commit)?;
            let accounts: BTreeMap<AccountId, &crdt::account::Account> =
                self.replica.loaded().map(|account| (account.id(), account)).collect();
            rows::write_commit(batch, commit, &accounts, self.replica.cluster());
            let own = self.replica.author().incarnation;
            rows::write_incarnation(batch, &own);
            let foreign = Foreign { cluster: self.replica.cluster(), own };
            self.history.write((batch, reader), &mut self.notices, now, commit, &accounts, &foreign)?;
            // Those of others were kept as they came.
            for announcement in commit.announcements.iter().filter(|told| told.incarnation == own) {
                self.notices.tell(batch, reader, now, &Told::Announcement(announcement.clone()))?;
            }
        }
        for told in self.verdicts(commit) {
            self.notices.tell(batch, reader, now, &told)?;
        }
        self.history.turn((batch, reader), &mut self.notices, now)?;
        self.heard_changed = self.notices.finish(batch, reader)?;
        Ok(())
    }

    fn finish(&mut self, commit: &Commit, outcomes: Vec<Outcome>) {
        for changed in &commit.accounts {
            let Ok(Some(account)) = self.replica.account(changed.account) else { continue };
            for mailbox in &changed.dirty.foreign {
                self.published.set_foreign(account.view(*mailbox));
            }
            for mailbox in changed.dirty.shown.keys() {
                self.published.set_view(account.view(*mailbox));
            }
            // After the views: sessions that are told of the account alone look then whether their mailbox is still there.
            // One that looked too early never heard that its mailbox was deleted.
            if changed.dirty.head || changed.dirty.listing {
                self.published.set_account(account, changed.dirty.head);
            }
            self.published.tell_activity(account, &changed.dirty);
        }
        if commit.firm.is_some() {
            self.published.set_unknown_values(self.replica.unknown_values());
        }
        if commit.cluster_changed {
            self.published.set_cluster(self.replica.cluster().clone());
        }
        if !commit.records.is_empty() {
            self.published.set_vector(self.replica.vector().clone());
        }
        let looks_changed = self.replica.take_looks_changed();
        if looks_changed {
            self.published.set_looks(self.replica.looks().own());
        }
        let heard_changed = std::mem::take(&mut self.heard_changed);
        if heard_changed {
            self.published.set_heard(self.notices.heard().clone());
        }
        if looks_changed || heard_changed || !commit.records.is_empty() {
            self.published.announce();
        }
        let mut finished = Finished { replica: &mut self.replica, published: &self.published };
        for outcome in outcomes {
            outcome(Ok(&mut finished));
        }
        self.answer_placed();
        self.forget_idle_accounts();
        if let Some(slot) = self.replica.successor().filter(|slot| *slot != self.identity.slot) {
            self.move_to(slot);
        }
    }

    /// Another member gave this node another slot, because its disk was rolled back (rule 8): its next life lives there.
    fn move_to(&mut self, slot: NodeSlot) {
        let identity = NodeIdentity { slot, ..self.identity.clone() };
        match identity.write(&self.storage) {
            Ok(()) => {
                tracing::warn!(from = %self.identity.slot, to = %slot, "this node goes on in another slot with its next start");
                self.identity = identity;
                self.published.set_moved(slot);
            }
            Err(error) => tracing::error!(%error, "the slot that another member gave could not be stored"),
        }
    }

    /// Nothing of the batch is there: what is in memory runs ahead of the disk and is given up for a new life.
    fn fail(&mut self, now: Millis, error: CommitError, outcomes: Vec<Outcome>) {
        tracing::error!(%error, "a batch was not committed");
        // What was due is due still: without a pause a full disk would see one new life after another.
        self.failed_until = Some(now.after(RETRY_MILLISECONDS));
        let answer = match &error {
            CommitError::DiskFull(_) => RequestError::DiskFull,
            other => RequestError::Storage(other.to_string()),
        };
        if let CommitError::Stopped(reason) | CommitError::Damaged(reason) = &error {
            self.stopped = Some(reason.clone());
        } else if let Err(error) = self.begin_new_life(now) {
            self.stopped = Some(error.0);
        }
        for outcome in outcomes {
            outcome(Err(answer.clone()));
        }
        std::mem::take(&mut self.accepted).into_iter().for_each(|one| one.refuse(answer.clone()));
    }

    fn begin_new_life(&mut self, now: Millis) -> Result<(), ArchiveError> {
        let reader = self.storage.reader().map_err(|error| ArchiveError(error.to_string()))?;
        let mut beginning = rows::read_beginning(&reader)?;
        beginning.continues = self.replica.is_confirmed();
        let author = Author { slot: self.identity.slot, incarnation: Incarnation((self.entropy)()) };
        self.notices = Notices::open(&reader, self.identity.slot)?;
        self.history = History::open(&reader, self.history.retention())?;
        let looks = self.replica.looks().clone();
        let looked_at: Vec<(AccountId, MailboxId)> = looks.own().into_iter().collect();
        self.replica = Replica::start(DiskArchive(Arc::clone(&self.storage)), author, beginning, now);
        let life = (author.incarnation, self.replica.began());
        self.published.set_life(life, self.replica.unknown_values());
        self.replica.set_heard(self.notices.heard().clone().into());
        for (slot, meeting) in &self.meetings {
            self.replica.meet(*slot, Some(meeting.clone()));
        }
        self.published.announce();
        self.replica.restore_looks(looks);
        self.replica.set_policy(self.policy);
        for (account, _) in looked_at {
            self.replica.account(account)?;
        }
        Ok(())
    }

    fn forget_idle_accounts(&mut self) {
        let loaded: Vec<AccountId> = self.replica.loaded().map(crdt::account::Account::id).collect();
        if loaded.len() > MOST_IDLE_ACCOUNTS {
            for account in loaded.into_iter().take(MOST_IDLE_ACCOUNTS / 4) {
                self.replica.forget(account);
            }
        }
    }
}

/// Wraps an answer so that it is given what the batch has made of the state.
pub(crate) fn outcome<T: 'static>(
    answer: crate::job::Answer<T, RequestError>,
    make: impl FnOnce(&mut Finished<'_>) -> Result<T, RequestError> + Send + 'static,
) -> Outcome {
    Box::new(move |finished| answer(finished.and_then(make)))
}

/// The same for an answer that is known already.
pub(crate) fn settled(
    answer: crate::job::Answer<Reply, RequestError>,
    reply: Result<Reply, RequestError>,
) -> Outcome {
    Box::new(move |finished| {
        let durable = finished.map(|_| ());
        answer(reply.and_then(|reply| durable.map(|()| reply)));
    })
}
