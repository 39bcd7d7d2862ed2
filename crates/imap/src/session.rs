//! One IMAP connection as a state machine (RFC 9051, RFC 3501): commands and answers of the store go in, responses and
//! the next thing to do come out. It holds no socket and reads no clock.
//!
//! The shell calls [`Session::handle`] with each input, writes `out` to the client and does what the returned [`Action`]
//! says; after [`Action::Continue`] it calls [`Session::produce`]. One file for each family of commands is below.

mod access;
mod acl;
mod answer;
mod append;
mod bodies;
mod catenate;
mod compress;
mod config;
mod copy;
mod dispatch;
mod enabled;
mod expunge;
mod fetch;
mod idle;
mod list;
mod login;
mod mailboxes;
mod message_limit;
mod metadata;
mod notify;
mod numbers;
mod pattern;
mod progress;
mod put;
mod quota;
mod replace;
mod resync;
mod seam;
mod search;
mod select;
mod selected;
mod status;
mod store;
mod telling;
mod uid_batches;
mod uid_only;
mod visible;
mod waiting;

use std::sync::Arc;

use mailstore::Mailstore;
use mailstore::account::AccountView;
use mailstore::crdt::clock::Millis;
use mailstore::crdt::identity::AccountId;
use tokio::sync::watch;

use crate::command::Tag;
use answer::Answer;
use enabled::Enabled;
use notify::Notices;
use selected::Selected;
use telling::Telling;

pub use config::{ConnectionInfo, SessionConfig};
pub use progress::INTERVAL as PROGRESS_INTERVAL;
pub use seam::{Action, Input};

/// About how many octets are produced before they are handed to the client.
const PIECE_OCTETS: usize = 64 * 1024;
/// The state of one connection.
pub struct Session {
    config: Arc<SessionConfig>,
    store: Mailstore,
    connection: ConnectionInfo,
    /// Whether the connection is compressed (RFC 4978); a login does not change it.
    compressed: bool,
    login: Option<Login>,
    selected: Option<Selected>,
    /// Whether CONDSTORE was enabled, by whichever command (RFC 7162 section 3.1).
    condstore: bool,
    /// Whether QRESYNC was enabled; then CONDSTORE was, too (RFC 7162 section 3.2.3).
    qresync: bool,
    /// Whether UIDONLY was enabled: sequence numbers are neither told nor taken (RFC 9586).
    uid_only: bool,
    enabled: Enabled,
    /// What the client knows of annotations, once METADATA was enabled (RFC 5464 section 4.1): it is told what changes.
    annotated: Option<Arc<AccountView>>,
    /// What the client wants to hear of; `None` until it uses NOTIFY.
    notices: Option<Box<Notices>>,
    running: Running,
    now: Millis,
    last_heard: Millis,
    wrong_passwords: u32,
    bad_commands: u32,
    /// Why the session ends after the current command.
    ending: Option<&'static str>,
}

/// Whose session it is.
struct Login {
    account: AccountId,
    view: watch::Receiver<Arc<AccountView>>,
}

/// The command that is not yet answered, and what it waits for.
#[derive(Default)]
enum Running {
    #[default]
    Nothing,
    /// AUTHENTICATE waits for a line.
    Sasl(Box<login::Attempt>),
    /// Whoever knows accounts was asked.
    Authenticating(Box<login::Attempt>),
    /// A password was wrong, or a token, and the answer is held back.
    WrongPassword(Box<(Tag, Answer)>),
    Select(select::Selecting),
    Mailbox(mailboxes::Changing),
    /// An access control list is being changed.
    Rights(Tag),
    /// An account is being loaded that a command is about.
    Opening(access::Opening),
    Metadata(metadata::Changing),
    Quota(quota::Asking),
    List(list::Listing),
    Status(status::Asking),
    Append(append::Appending),
    Replace(replace::Replacing),
    Fetch(Box<fetch::Fetching>),
    Search(search::Searching),
    MultiSearch(Box<search::MultiSearching>),
    Store(store::Storing),
    Copy(copy::Copying),
    Expunge(expunge::Expunging),
    Idle(idle::Idling),
    Notify(notify::Setting),
    /// What happened is being told.
    Notices,
}

impl Session {
    /// A session on a new connection; `out` receives the greeting.
    pub fn new(
        config: Arc<SessionConfig>,
        store: Mailstore,
        connection: ConnectionInfo,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Self {
        let session = Session {
            config,
            store,
            connection,
            compressed: false,
            login: None,
            selected: None,
            condstore: false,
            qresync: false,
            uid_only: false,
            enabled: Enabled::default(),
            annotated: None,
            notices: None,
            running: Running::Nothing,
            now,
            last_heard: now,
            wrong_passwords: 0,
            bad_commands: 0,
            ending: None,
        };
        let greeting = format!("{} is ready", session.config.node);
        Answer::ok(greeting).code(session.capabilities()).write_untagged(out);
        session
    }

    /// Takes in what happened; appends what the client is told of it.
    pub fn handle(&mut self, now: Millis, input: Input<'_>, out: &mut Vec<u8>) -> Action {
        self.now = now;
        match input {
            Input::Command(_) | Input::Bad { .. } | Input::Append(_) | Input::Line(_) | Input::TlsStarted => {
                self.last_heard = now;
            }
            _ => {}
        }
        match input {
            Input::Command(command) => self.command(now, command, out),
            Input::Bad { tag, text } => self.bad(tag.as_ref(), text, out),
            Input::Append(event) => self.append(event, out),
            Input::Line(line) => self.line(now, line, out),
            Input::TlsStarted => {
                self.connection.tls = true;
                Action::WaitForInput
            }
            Input::Answered(answer) => self.answered(answer, out),
            Input::Authenticated(result) => self.authenticated(now, result, out),
            Input::ViewChanged => self.view_changed(out),
            Input::Timeout => self.timeout(now, out),
            Input::Shutdown => self.shutdown(out),
        }
    }

    /// Goes on with a long answer, or after a pause: about 64 KiB are appended at a time.
    pub fn produce(&mut self, now: Millis, out: &mut Vec<u8>) -> Action {
        (self.now, self.last_heard) = (now, now);
        match std::mem::take(&mut self.running) {
            Running::Fetch(fetching) => self.produce_fetch(fetching, out),
            Running::Search(searching) => self.produce_search(searching, out),
            Running::MultiSearch(multi) => self.produce_multi_search(multi, out),
            Running::List(listing) => self.produce_list(listing, out),
            Running::Append(appending) => self.produce_append(appending, out),
            Running::WrongPassword(held) => self.wrong_password(&held.0, held.1, out),
            Running::Notices => self.notice(out),
            Running::Notify(setting) => self.next_first(setting, out),
            other => {
                self.running = other;
                self.waiting()
            }
        }
    }

    /// Finds out whether account and mailbox are still what the client was told.
    fn find_ending(&mut self) {
        if let Some(login) = &mut self.login
            && login.view.borrow_and_update().removed
        {
            self.ending = Some("The account was removed");
        }
        if let Some(selected) = &mut self.selected {
            selected.refresh();
            self.ending = self.ending.or(selected.ended());
        }
    }

    fn bye(&mut self, reason: &str, out: &mut Vec<u8>) -> Action {
        answer::bye(reason, out);
        Action::Close
    }

    /// The account of the session; `None` before login.
    fn account(&self) -> Option<AccountId> {
        self.login.as_ref().map(|login| login.account)
    }

    /// The mailboxes and subscriptions of the account now.
    fn mailboxes(&self) -> Option<Arc<AccountView>> {
        self.login.as_ref().map(|login| login.view.borrow().clone())
    }
}

#[cfg(test)]
mod tests;
