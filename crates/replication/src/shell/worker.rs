//! Threads that may block on the disk, so that no async task ever does.

#![allow(clippy::disallowed_methods, reason = "shell: owns the threads that read and write the store")]

use std::io;
use std::sync::mpsc;
use std::thread;

/// A thread that does jobs in the order in which they were given.
#[derive(Clone)]
pub(super) struct Worker {
    jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>,
}

impl Worker {
    /// Starts a thread of this name. It ends when every handle is gone and all jobs are done.
    pub(super) fn start(name: &str) -> Result<Self, io::Error> {
        let (jobs, inbox) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || inbox.into_iter().for_each(|job| job()))?;
        Ok(Worker { jobs })
    }

    /// Gives the thread a job. The number of jobs that wait is bounded by those who give them.
    pub(super) fn give(&self, job: impl FnOnce() + Send + 'static) {
        // It fails only if a job panicked and took the thread with it; whoever waits for an answer sees the channel close.
        if self.jobs.send(Box::new(job)).is_err() {
            tracing::error!("a thread of replication is gone; restart the node");
        }
    }
}
