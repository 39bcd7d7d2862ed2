//! What waits for the committer.

use std::collections::BTreeSet;
use std::sync::Arc;

use crdt::identity::{AccountId, BodyHash, Incarnation, MailboxId, NodeSlot};
use crdt::notice::Telling;
use crdt::operation::Member;
use crdt::placement::surroundings::Policy;
use crdt::record::Record;
use crdt::replica::{Applied, Confirmation, DeltaError, Meeting, Verdict};
use message::Structure;
use storage::StagedBody;
use tokio::sync::watch;

use crate::account::AccountView;
use crate::notices::HearError;
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
    /// Keeps what nodes told of themselves, as a peer passed it on.
    Hear(Vec<Telling>, Answer<(), HearError>),
    /// A link to a peer is up, and what the peer had then; `None` when the link has gone.
    Met(NodeSlot, Option<Meeting>),
    /// Asks what this node has to say of a life.
    Judge(Incarnation, Answer<Option<Verdict>, RequestError>),
    /// What a peer says of a life of this node.
    Verdict(NodeSlot, Incarnation, Verdict),
    /// For how many milliseconds it is kept what merges did.
    RetainHistory(u64),
    Grant(Answer<Option<Granted>, RequestError>),
    Admit(Member, Answer<(), RequestError>),
    /// Declares a member dead.
    Bury(NodeSlot, Answer<(), RequestError>),
    /// How this life stands with the other members.
    Confirmation(Answer<Confirmation, RequestError>),
    Policy(Policy),
    /// Stops the committer after everything before it.
    Stop(Box<dyn FnOnce() + Send>),
}

impl Job {
    /// Whether it is answered with UIDs or slots, which a life gives once it is settled how it stands with the other members.
    pub(crate) fn needs_standing(&self) -> bool {
        let request = match self {
            Job::Request(request, _) => request,
            other => return matches!(other, Job::Grant(_)),
        };
        gives_uids(request)
    }

    /// Tells whoever waits that nothing of it was done.
    pub(crate) fn refuse(self, error: RequestError) {
        match self {
            Job::Request(_, answer) => answer(Err(error)),
            Job::Apply(_, answer) => {
                answer(Err(DeltaError::Archive(crdt::replica::ArchiveError(error.to_string()))))
            }
            Job::Hear(_, answer) => {
                answer(Err(HearError::Archive(crdt::replica::ArchiveError(error.to_string()))))
            }
            Job::Judge(_, answer) => answer(Err(error)),
            Job::Body(_, _, _, answer) => answer(Err(error)),
            Job::Open(_, answer) => answer(Err(error)),
            Job::Grant(answer) => answer(Err(error)),
            Job::Admit(_, answer) | Job::Bury(_, answer) => answer(Err(error)),
            Job::Confirmation(answer) => answer(Err(error)),
            Job::Stop(done) => done(),
            Job::LookAway(..)
            | Job::PeerLooks(..)
            | Job::Met(..)
            | Job::Verdict(..)
            | Job::RetainHistory(_)
            | Job::Policy(_) => {}
        }
    }
}

fn gives_uids(request: &Request) -> bool {
    match request {
        Request::Append { .. } | Request::Copy { .. } | Request::Move { .. } => true,
        Request::Replace { .. } | Request::Bump { .. } | Request::CopyAcross { .. } => true,
        Request::Permitted { request, .. } => gives_uids(request),
        _ => false,
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
