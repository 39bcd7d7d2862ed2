//! One IMAP connection as a state machine (RFC 9051, RFC 3501): commands and answers of the store go in, responses and
//! the next thing to do come out. It holds no socket and reads no clock.
//!
//! The shell calls [`Session::handle`] with each input and does what the returned [`Action`] says, after writing `out`
//! to the client; after [`Action::Continue`] it calls [`Session::produce`].

use std::sync::Arc;

use mailstore::crdt::clock::Millis;
use mailstore::Mailstore;
use mailstore::request::{Authenticated, Reply, Request, RequestError};

use crate::command::{AppendEvent, Command, Tag};

/// What a client may do and how long it may take over it.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The name of the node, told in the greeting.
    pub node: String,
    /// The most octets of one appended message (RFC 7889).
    pub append_limit: u64,
    /// How long a client may stay silent before it has logged in, in milliseconds.
    pub login_timeout: u64,
    /// How long a client may stay silent afterwards, in milliseconds; at least 30 minutes (RFC 9051 section 5.4).
    pub silence_timeout: u64,
    /// How often a client in IDLE hears that the connection lives, in milliseconds.
    pub idle_notice: u64,
    /// How long the first wrong password holds up the connection, in milliseconds; it doubles with each further one.
    pub wrong_password_delay: u64,
}

impl Default for SessionConfig {
    fn default() -> Self {
        SessionConfig {
            node: "peerpost".to_owned(),
            append_limit: 64 * 1024 * 1024,
            login_timeout: 60 * 1000,
            silence_timeout: 30 * 60 * 1000,
            idle_notice: 2 * 60 * 1000,
            wrong_password_delay: 1000,
        }
    }
}

/// What the shell knows of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Whether TLS protects it.
    pub tls: bool,
    /// Whether STARTTLS can be had on it.
    pub starttls: bool,
    /// Whether passwords may cross it without TLS.
    pub plaintext_allowed: bool,
}

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A whole command, APPEND aside.
    Command(Command),
    /// A line that is no command; the text says why. Without a tag where none could be read.
    Bad {
        /// The tag.
        tag: Option<Tag>,
        /// What is wrong, in one line.
        text: String,
    },
    /// A piece of an APPEND.
    Append(AppendEvent<'a>),
    /// The line that [`Action::ReadLine`] asked for, without its end: a SASL response, or DONE.
    Line(&'a [u8]),
    /// The handshake that [`Action::StartTls`] asked for is done.
    TlsStarted,
    /// The answer to [`Action::Ask`].
    Answered(Result<Reply, RequestError>),
    /// The answer to [`Action::Authenticate`].
    Authenticated(Result<Authenticated, RequestError>),
    /// [`Session::changed`] came back.
    ViewChanged,
    /// The time of [`Session::poll_timeout`] has come.
    Timeout,
    /// The node is going down.
    Shutdown,
}

/// What the shell does next, once `out` is on its way to the client.
#[derive(Debug)]
pub enum Action {
    /// Ask the store; then [`Input::Answered`].
    Ask(Request),
    /// Check a password; then [`Input::Authenticated`].
    Authenticate {
        /// The name of the account.
        name: String,
        /// The password, as the client spelled it.
        password: String,
    },
    /// Drop whatever was received already and start TLS; then [`Input::TlsStarted`].
    StartTls,
    /// Write what is left and close the connection.
    Close,
    /// Read one line that is no command; then [`Input::Line`]. Changes ([`Session::changed`]) and the timeout count, too.
    ReadLine,
    /// Tell the client to go on, if it waits for that, and hand in what comes of the APPEND. The answer to every
    /// [`AppendEvent`] of an APPEND that is wanted, until its `Finish` or `Broken`.
    AcceptLiteral,
    /// Call [`Session::produce`] again, after flushing.
    Continue,
    /// Wait until this moment, reading nothing; then call [`Session::produce`].
    Pause {
        /// The moment.
        until: Millis,
    },
    /// Read the next command. Changes ([`Session::changed`]) and the timeout count, too.
    WaitForInput,
}

/// The state of one connection.
pub struct Session {
}

impl Session {
    /// A session on a new connection; `out` receives the greeting.
    pub fn new(
        config: Arc<SessionConfig>,
        store: Mailstore,
        connection: ConnectionInfo,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Self;

    /// Takes in what happened; appends what the client is told of it.
    pub fn handle(&mut self, now: Millis, input: Input<'_>, out: &mut Vec<u8>) -> Action;

    /// Goes on with a long answer, or after a pause: about 64 KiB are appended at a time.
    pub fn produce(&mut self, now: Millis, out: &mut Vec<u8>) -> Action;

    /// When to hand in [`Input::Timeout`], while the action is [`Action::WaitForInput`] or [`Action::ReadLine`].
    pub fn poll_timeout(&self) -> Option<Millis>;

    /// Comes back when something changed that the session wants to know now: then hand in [`Input::ViewChanged`]. Awaited
    /// while the action is [`Action::WaitForInput`] or [`Action::ReadLine`]; may be dropped and called again at any time.
    pub async fn changed(&mut self);
}
