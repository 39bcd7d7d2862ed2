//! What waits for the committer.

use std::collections::BTreeSet;
use std::sync::Arc;

use crdt::identity::{AccountId, BodyHash, MailboxId, NodeSlot};
use crdt::operation::Member;
use crdt::record::Record;
use crdt::replica::{Applied, DeltaError};
use message::Structure;
use storage::StagedBody;
use tokio::sync::watch;

use crate::account::AccountView;
use crate::request::{Reply, Request, RequestError};

/// Called once the outcome is durable.
pub(crate) type Answer<T, E> = Box<dyn FnOnce(Result<T, E>) + Send>;

/// The invitation of a node, durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The slot of the invited node.
    pub slot: NodeSlot,
    /// What it may grant in turn, a bit for each slot.
    pub reserve: u128,
}

/// One thing for the committer to do.
pub(crate) enum Job {
    Request(Request, Answer<Reply, RequestError>),
    Apply(Vec<Record>, Answer<Applied, DeltaError>),
    Body(StagedBody, BodyHash, Box<Structure>, Answer<(), RequestError>),
    /// Loads an account for somebody who logs in.
    Open(AccountId, Answer<watch::Receiver<Arc<AccountView>>, RequestError>),
    LookAway(AccountId, MailboxId),
    PeerLooks(NodeSlot, Option<BTreeSet<(AccountId, MailboxId)>>),
    Grant(Answer<Option<Granted>, RequestError>),
    Admit(Member, Answer<(), RequestError>),
    /// Stops the committer after everything before it.
    Stop(Box<dyn FnOnce() + Send>),
}

impl Job {
    /// Whether it is answered with UIDs.
    pub(crate) fn needs_uids(&self) -> bool {
        let Job::Request(request, _) = self else { return false };
        matches!(request, Request::Append { .. } | Request::Copy { .. } | Request::Move { .. })
    }

    /// Tells whoever waits that nothing of it was done.
    pub(crate) fn refuse(self, error: RequestError) {
        match self {
            Job::Request(_, answer) => answer(Err(error)),
            Job::Apply(_, answer) => {
                answer(Err(DeltaError::Archive(crdt::replica::ArchiveError(error.to_string()))))
            }
            Job::Body(_, _, _, answer) => answer(Err(error)),
            Job::Open(_, answer) => answer(Err(error)),
            Job::Grant(answer) => answer(Err(error)),
            Job::Admit(_, answer) => answer(Err(error)),
            Job::Stop(done) => done(),
            Job::LookAway(..) | Job::PeerLooks(..) => {}
        }
    }
}

/// Where jobs wait. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Queue(std::sync::mpsc::Sender<Job>);

impl Queue {
    pub(crate) fn new() -> (Self, std::sync::mpsc::Receiver<Job>) {
        let (sender, receiver) = std::sync::mpsc::channel();
        (Queue(sender), receiver)
    }

    /// Leaves a job for the committer; where that has ended, whoever waits is told.
    pub(crate) fn push(&self, job: Job) {
        if let Err(refused) = self.0.send(job) {
            refused.0.refuse(RequestError::ShuttingDown);
        }
    }
}
