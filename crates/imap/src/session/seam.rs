//! What goes into a session and what comes out of it.

use auth::exchange::{Answer, Question};
use mailstore::crdt::clock::Millis;
use mailstore::request::{Reply, Request, RequestError};

use crate::command::{AppendEvent, Command, Tag};

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
    Authenticated(Result<Answer, RequestError>),
    /// [`super::Session::changed`] came back.
    ViewChanged,
    /// The time of [`super::Session::poll_timeout`] has come.
    Timeout,
    /// The node is going down.
    Shutdown,
}

/// What the shell does next, once `out` is on its way to the client.
#[derive(Debug)]
pub enum Action {
    /// Ask the store; then [`Input::Answered`].
    Ask(Request),
    /// Find out what a login depends on; then [`Input::Authenticated`].
    Authenticate(Question),
    /// Drop whatever was received already and start TLS; then [`Input::TlsStarted`].
    StartTls,
    /// Write what is left, and compress whatever comes and goes from then on; then as [`Action::WaitForInput`].
    Compress,
    /// Write what is left and close the connection.
    Close,
    /// Read one line that is no command; then [`Input::Line`]. Changes ([`super::Session::changed`]) and the timeout count, too.
    ReadLine,
    /// Tell the client to go on, if it waits for that, and hand in what comes of the APPEND. The answer to every
    /// [`AppendEvent`] of an APPEND that is wanted, until its `Finish` or `Broken`.
    AcceptLiteral,
    /// Call [`super::Session::produce`] again, after flushing. Within an APPEND nothing more of it is handed in meanwhile, nor while
    /// the store is asked.
    Continue,
    /// Wait until this moment, reading nothing; then call [`super::Session::produce`].
    Pause {
        /// The moment.
        until: Millis,
    },
    /// Read the next command. Changes ([`super::Session::changed`]) and the timeout count, too.
    WaitForInput,
}
