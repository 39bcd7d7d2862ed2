//! The thread of the committer, and the clock of a real node.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the shell: the one place where the store meets threads and clocks"
)]

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crdt::clock::Millis;
use crdt::replica::ArchiveError;
use storage::Storage;

use crate::committer::{Committer, Entropy, MOST_JOBS};
use crate::identity::NodeIdentity;
use crate::job::{Job, Queue};
use crate::password::{self, PasswordCost};
use crate::snapshots::{CHANGES_PER_SNAPSHOT, Maintenance, MaintenanceError, Progress, RECORDS_PER_STEP};
use crate::store::Mailstore;

/// How long nothing has to be asked for before the store looks after its snapshots, and between two steps of it.
const IDLE: Duration = Duration::from_secs(1);
/// How long the committer sleeps where nothing is to do at all.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

/// Milliseconds since 1970 by this machine's clock.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A running committer.
pub struct Running {
    queue: Queue,
    thread: JoinHandle<Option<String>>,
}

impl Running {
    /// Ends the committer after everything that was asked of it; says why it had stopped before, if it had.
    pub fn stop(self) -> Option<String> {
        self.queue.push(Job::Stop(Box::new(|| {})));
        self.thread.join().unwrap_or_else(|_| Some("the committer panicked".into()))
    }

    /// Whether the committer has ended by itself: the node cannot go on.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Opens the mail of a node, with a committer on a thread of its own and password checks on others.
pub fn start(
    storage: Arc<Storage>,
    identity: NodeIdentity,
    mut entropy: Entropy,
) -> Result<(Mailstore, Running), ArchiveError> {
    let (queue, jobs) = Queue::new();
    let decoy = password::hash_without_scram("decoy", entropy(), PasswordCost::STANDARD).unwrap_or_default();
    let (committer, published) =
        Committer::open(Arc::clone(&storage), identity.clone(), entropy, queue.clone(), now())?;
    let offload: crate::store::Offload = Arc::new(|check| {
        std::thread::spawn(check);
    });
    let upkeep = Upkeep::new(Arc::clone(&storage));
    let store = Mailstore::new(storage, identity, published, queue.clone(), offload, decoy);
    let thread = std::thread::Builder::new()
        .name("committer".into())
        .spawn(move || run(committer, upkeep, &jobs))
        .map_err(|error| ArchiveError(format!("cannot start the committer's thread: {error}")))?;
    Ok((store, Running { queue, thread }))
}

/// Collects what sessions ask for while the last batch is being synced, and commits it as one.
fn run(mut committer: Committer, mut upkeep: Upkeep, jobs: &Receiver<Job>) -> Option<String> {
    loop {
        let deadline = committer.poll_timeout().map(|deadline| deadline.0.saturating_sub(now().0).max(1));
        let deadline = deadline.map_or(LONGEST_SLEEP, Duration::from_millis);
        let first = match jobs.recv_timeout(deadline.min(upkeep.patience())) {
            Ok(job) => Some(job),
            Err(RecvTimeoutError::Timeout) if deadline > upkeep.patience() => {
                upkeep.step();
                continue;
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        upkeep.wake();
        let batch: Vec<Job> = first.into_iter().chain(jobs.try_iter()).take(MOST_JOBS).collect();
        let stop = batch.iter().any(|job| matches!(job, Job::Stop(_)));
        committer.run(now(), batch);
        if stop || committer.stopped().is_some() {
            let reason = committer.stopped().map(str::to_owned);
            let error = crate::request::RequestError::ShuttingDown;
            jobs.try_iter().for_each(|job| job.refuse(error.clone()));
            return reason;
        }
    }
}

/// What is done about snapshots where nobody asks for anything.
struct Upkeep {
    storage: Arc<Storage>,
    maintenance: Maintenance,
    is_done: bool,
    /// What went wrong last: told once, not every second.
    failed: Option<MaintenanceError>,
}

impl Upkeep {
    fn new(storage: Arc<Storage>) -> Self {
        Upkeep { storage, maintenance: Maintenance::new(CHANGES_PER_SNAPSHOT), is_done: false, failed: None }
    }

    /// There may be new records.
    fn wake(&mut self) {
        self.is_done = false;
    }

    /// How long it waits for jobs before it does something.
    fn patience(&self) -> Duration {
        if self.is_done { LONGEST_SLEEP } else { IDLE }
    }

    fn step(&mut self) {
        let outcome = self.maintenance.step(&self.storage, RECORDS_PER_STEP);
        self.is_done = !matches!(outcome, Ok(Progress::More));
        let failed = outcome.err();
        if let Some(error) = &failed
            && self.failed != failed
        {
            tracing::warn!(%error, "the store looks after its snapshots again when there is new mail");
        }
        self.failed = failed;
    }
}
