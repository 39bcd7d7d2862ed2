//! A store whose committer is run in line: for simulations and tests, where nothing may happen by itself.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crdt::clock::Millis;
use crdt::replica::ArchiveError;
use storage::Storage;

use crate::committer::{Committer, Entropy, MOST_JOBS};
use crate::identity::NodeIdentity;
use crate::job::{Job, Queue};
use crate::password::{self, PasswordCost};
use crate::store::Mailstore;

/// The committer of a store that is run in line.
pub struct Inline {
    committer: Committer,
    jobs: Receiver<Job>,
}

/// Opens the mail of a node. Nothing happens until [`Inline::run`] is called.
pub fn open(
    storage: Arc<Storage>,
    identity: NodeIdentity,
    mut entropy: Entropy,
    now: Millis,
) -> Result<(Mailstore, Inline), ArchiveError> {
    let (queue, jobs) = Queue::new();
    let decoy = password::hash_without_scram("decoy", entropy(), PasswordCost::TEST).unwrap_or_default();
    let (committer, published) =
        Committer::open(Arc::clone(&storage), identity.clone(), entropy, queue.clone(), now)?;
    let offload: crate::store::Offload = Arc::new(|check| check());
    let store = Mailstore::new(storage, identity, published, queue, offload, decoy);
    Ok((store, Inline { committer, jobs }))
}

impl Inline {
    /// Commits everything that was asked for, and what time asks for, once: a deadline that is still due afterwards is the
    /// caller's to see. Says whether there was anything to do.
    pub fn run(&mut self, now: Millis) -> bool {
        let mut any = false;
        loop {
            let batch: Vec<Job> = self.jobs.try_iter().take(MOST_JOBS).collect();
            let due = !any && self.committer.poll_timeout().is_some_and(|deadline| deadline <= now);
            if batch.is_empty() && !due {
                return any;
            }
            any = true;
            self.committer.run(now, batch);
        }
    }

    /// When there is something to do that nobody asked for.
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.committer.poll_timeout()
    }

    /// Why the store takes no more work, if it does not.
    pub fn stopped(&self) -> Option<&str> {
        self.committer.stopped()
    }
}
