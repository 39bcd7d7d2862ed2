//! What the session waits for while no command is being carried out, and what becomes of that.

use std::future::pending;

use mailstore::crdt::clock::Millis;
use tokio::sync::watch;

use super::{Action, Running, Session, Telling};

impl Session {
    /// When to hand in [`super::Input::Timeout`], while the action is [`Action::WaitForInput`] or [`Action::ReadLine`], or a
    /// literal is being read.
    pub fn poll_timeout(&self) -> Option<Millis> {
        Some(self.retry_at().map_or(self.silent_until(), |retry| retry.min(self.silent_until())))
    }

    /// When something is due because the client says nothing.
    fn silent_until(&self) -> Millis {
        match &self.running {
            Running::Idle(idling) => idling.next_notice(),
            _ if self.login.is_some() => self.last_heard.after(self.config.silence_timeout),
            _ => self.last_heard.after(self.config.login_timeout),
        }
    }

    /// When something is to be tried again that could not be told.
    fn retry_at(&self) -> Option<Millis> {
        let waits = matches!(self.running, Running::Nothing | Running::Idle(_));
        self.notices.as_ref().filter(|_| waits)?.retry_at()
    }

    /// Comes back when something changed that the session wants to know now: then hand in [`super::Input::ViewChanged`]. Awaited
    /// while the action is [`Action::WaitForInput`] or [`Action::ReadLine`]; may be dropped and called again at any time.
    pub async fn changed(&mut self) {
        if self.has_notices() {
            return;
        }
        let idle = matches!(self.running, Running::Idle(_));
        let told = idle || self.notices.as_ref().is_some_and(|notices| notices.pushes());
        let account = or_never(self.login.as_mut().map(|login| renewed(&mut login.view)));
        let mailbox = or_never(self.selected.as_mut().map(|selected| selected.changed(told)));
        let notices = or_never(self.notices.as_mut().map(|notices| notices.changed()));
        tokio::select! {
            biased;
            () = account => {}
            () = mailbox => {}
            () = notices => {}
        }
    }

    /// What the session waits for while nothing is being produced.
    pub(super) fn waiting(&self) -> Action {
        match &self.running {
            Running::Idle(_) | Running::Sasl(_) => Action::ReadLine,
            Running::Append(_) => Action::AcceptLiteral,
            _ => Action::WaitForInput,
        }
    }

    /// Something changed while no command runs, or during IDLE.
    pub(super) fn view_changed(&mut self, out: &mut Vec<u8>) -> Action {
        let telling = match &self.notices {
            _ if matches!(self.running, Running::Idle(_)) => Telling::Everything,
            Some(notices) => notices.telling(),
            None => Telling::Nothing,
        };
        if telling != Telling::Nothing {
            self.tell(telling, out);
            if let Some(highest) = self.highest_due() {
                highest.write_untagged(out);
            }
        }
        self.find_ending();
        match self.ending {
            Some(reason) => self.bye(reason, out),
            None => self.notice(out),
        }
    }

    pub(super) fn timeout(&mut self, now: Millis, out: &mut Vec<u8>) -> Action {
        if self.retry_at().is_some_and(|retry| retry <= now) {
            return self.retry_notices(out);
        }
        if now < self.silent_until() {
            return self.waiting();
        }
        match &mut self.running {
            Running::Idle(idling) => {
                idling.notify(now, &self.config, out);
                Action::ReadLine
            }
            // In the middle of a literal the client would not hear a BYE.
            Running::Append(_) => Action::Close,
            _ => self.bye("Nothing was heard for too long", out),
        }
    }

    pub(super) fn shutdown(&mut self, out: &mut Vec<u8>) -> Action {
        match &self.running {
            Running::Fetch(fetching) if fetching.is_within_message() => Action::Close,
            _ => self.bye("The node is shutting down; connect again, or to another node", out),
        }
    }
}

/// Comes back when there is something new. Never, where the store is gone.
pub(super) async fn renewed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// Comes back with the change. Never, where there is nothing that could change.
pub(super) async fn or_never(change: Option<impl Future<Output = ()>>) {
    match change {
        Some(change) => change.await,
        None => pending().await,
    }
}
