//! What goes into a session and what comes out of it.

use auth::exchange::{Answer, Question};
use mailstore::crdt::clock::Millis;
use mailstore::request::{Reply, Request, RequestError};

use crate::framing::Event;

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A line without its end: a command, or the answer to a challenge.
    Line(&'a [u8]),
    /// A line longer than [`super::Session::longest_line`].
    TooLong,
    /// A line without end.
    Endless,
    /// The handshake that [`Action::StartTls`] asked for is done.
    TlsStarted,
    /// The answer to [`Action::Ask`].
    Answered(Result<Reply, RequestError>),
    /// The answer to [`Action::Authenticate`].
    Authenticated(Result<Answer, RequestError>),
    /// The time of [`super::Session::poll_timeout`] has come.
    Timeout,
    /// The node is going down.
    Shutdown,
}

impl<'a> From<&'a Event> for Input<'a> {
    fn from(event: &'a Event) -> Self {
        match event {
            Event::Line(line) => Input::Line(line),
            Event::TooLong => Input::TooLong,
            Event::Endless => Input::Endless,
        }
    }
}

/// What the shell does next, once `out` is on its way to the client.
#[derive(Debug)]
pub enum Action {
    /// Ask the store; then [`Input::Answered`]. Nothing that the client does in between may keep the answer away.
    Ask(Request),
    /// Find out what a login depends on; then [`Input::Authenticated`].
    Authenticate(Question),
    /// Drop whatever was received already and start TLS; then [`Input::TlsStarted`].
    StartTls,
    /// Write what is left and close the connection.
    Close,
    /// Call [`super::Session::produce`] again, after flushing.
    Continue,
    /// Wait until this moment, reading nothing; then call [`super::Session::produce`].
    Pause {
        /// The moment.
        until: Millis,
    },
    /// Read the next line. The timeout counts, too.
    WaitForInput,
}
