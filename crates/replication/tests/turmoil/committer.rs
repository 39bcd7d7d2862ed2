//! The committer of a mail store: on a thread of its own in production, a task here.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crdt::clock::Millis;
use crdt::record::Record;
use mailstore::Mailstore;
use mailstore::inline::Inline;
use tokio::sync::Notify;

use crate::environment::wall;

/// How long a commit takes; what is asked for meanwhile goes into the next one.
const COMMIT_TIME: Duration = Duration::from_millis(3);
/// How long it sleeps where nothing is to do at all.
const LONGEST_SLEEP: u64 = 60_000;

pub struct Committer {
    inline: Mutex<Inline>,
    asked: Notify,
}

impl Committer {
    pub fn new(inline: Inline) -> Arc<Self> {
        Arc::new(Committer { inline: Mutex::new(inline), asked: Notify::new() })
    }

    /// Something was asked of the store.
    pub fn wake(&self) {
        self.asked.notify_one();
    }

    /// Commits what is asked for, until the process dies or the store stops.
    pub async fn run(&self) -> String {
        loop {
            let sleep = tokio::time::sleep(self.patience());
            tokio::select! {
                biased;
                () = self.asked.notified() => {}
                () = sleep => {}
            }
            tokio::time::sleep(COMMIT_TIME).await;
            let mut inline = self.inline.lock().unwrap();
            inline.run(wall());
            if let Some(why) = inline.stopped() {
                return why.to_owned();
            }
        }
    }

    fn patience(&self) -> Duration {
        let deadline = self.inline.lock().unwrap().poll_timeout();
        let sleep = deadline.map_or(LONGEST_SLEEP, |deadline| deadline.0.saturating_sub(wall().0));
        Duration::from_millis(sleep.clamp(1, LONGEST_SLEEP))
    }

    /// Asks the store, and commits at once.
    pub fn ask<T, E: std::fmt::Display>(
        &self,
        now: Millis,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        let mut question = pin!(question);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..8 {
            if let Poll::Ready(answer) = question.as_mut().poll(&mut context) {
                return answer.map_err(|error| error.to_string());
            }
            self.inline.lock().unwrap().run(now);
        }
        Err("the store does not answer".into())
    }

    /// Applies records at once.
    pub fn apply(&self, now: Millis, store: &Mailstore, records: Vec<Record>) -> Result<(), String> {
        let (answer, mut answered) = tokio::sync::oneshot::channel();
        store.apply_delta(records, move |applied| drop(answer.send(applied)));
        self.ask(
            now,
            poll_fn(|_| match answered.try_recv() {
                Ok(applied) => Poll::Ready(applied.map(|_| ()).map_err(|error| error.to_string())),
                Err(_) => Poll::Pending,
            }),
        )
    }
}
