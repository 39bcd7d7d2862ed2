//! Who does what may block on the disk, so that no async task ever does.

#![allow(clippy::disallowed_methods, reason = "shell: owns the threads that read and write the store")]

use std::io;
use std::sync::mpsc;
use std::thread;

type Job = Box<dyn FnOnce() + Send>;

/// Does jobs in the order in which they were given.
#[derive(Clone, Debug)]
pub struct Worker(Place);

#[derive(Clone, Debug)]
enum Place {
    Thread(mpsc::Sender<Job>),
    Inline,
}

impl Worker {
    /// Starts a thread of this name. It ends when every handle is gone and all jobs are done.
    pub fn thread(name: &str) -> Result<Self, io::Error> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || inbox.into_iter().for_each(|job| job()))?;
        Ok(Worker(Place::Thread(jobs)))
    }

    /// Does every job where it is given: for simulations, where a thread would make one seed give different runs.
    #[must_use]
    pub fn inline() -> Self {
        Worker(Place::Inline)
    }

    /// Gives it a job. The number of jobs that wait is bounded by those who give them.
    pub(super) fn give(&self, job: impl FnOnce() + Send + 'static) {
        match &self.0 {
            Place::Inline => job(),
            // It fails only if a job panicked and took the thread with it; whoever waits for an answer sees the channel close.
            Place::Thread(jobs) => {
                if jobs.send(Box::new(job)).is_err() {
                    tracing::error!("a thread of replication is gone; restart the node");
                }
            }
        }
    }
}
