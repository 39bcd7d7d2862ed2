//! One POP3 connection as a state machine (RFC 1939): lines and answers of the store go in, responses and the next thing
//! to do come out. It holds no socket and reads no clock.
//!
//! The shell calls [`Session::handle`] with each input, writes `out` to the client and does what the returned [`Action`]
//! says; after [`Action::Continue`] it calls [`Session::produce`]. Bodies are read there and nowhere else.

mod answer;
mod config;
mod listing;
mod login;
mod maildrop;
mod reading;
mod seam;
mod update;

use std::sync::Arc;

use auth::exchange::Exchange;
use mailstore::Mailstore;
use mailstore::crdt::clock::Millis;
use mailstore::request::{Reply, RequestError};

use crate::command::{self, Command};
use crate::framing::{LONGEST_COMMAND, LONGEST_RESPONSE};
use crate::lengths::Lengths;
use answer::{Refusal, err, ok};
use login::Login;
use maildrop::Maildrop;

pub use config::{ConnectionInfo, SessionConfig};
pub use seam::{Action, Input};

/// About how many octets are produced before they are handed to the client.
const PIECE_OCTETS: usize = 64 * 1024;
/// The most lines that are no commands before a login.
const MOST_BAD_COMMANDS: u32 = 10;
/// What a client hears when the node goes down.
const GOING_DOWN: Refusal =
    Refusal::temporary("The node is shutting down; connect again, or to another node");

/// The state of one connection.
pub struct Session {
    config: Arc<SessionConfig>,
    store: Mailstore,
    lengths: Arc<Lengths>,
    connection: ConnectionInfo,
    /// What USER said, until the next command.
    name: Option<String>,
    /// The TRANSACTION state; without it the session is in the AUTHORIZATION state (RFC 1939 sections 4 and 5).
    maildrop: Option<Maildrop>,
    running: Running,
    last_heard: Millis,
    wrong_passwords: u32,
    bad_commands: u32,
}

/// The command that is not yet answered, and what it waits for.
#[derive(Default)]
enum Running {
    #[default]
    Nothing,
    /// AUTH waits for a line.
    Sasl(Box<Exchange>),
    /// Whoever knows accounts was asked.
    Authenticating(Box<Exchange>),
    /// A password was wrong, or a token, and the answer is held back.
    WrongPassword(Refusal),
    /// INBOX is being looked at.
    Opening(Login),
    Listing(listing::Listing),
    Reading(Box<reading::Reading>),
    /// The UPDATE state (RFC 1939 section 6).
    Updating(update::Updating),
}

impl Session {
    /// A session on a new connection; `out` receives the greeting.
    pub fn new(
        config: Arc<SessionConfig>,
        store: Mailstore,
        lengths: Arc<Lengths>,
        connection: ConnectionInfo,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Self {
        // Without a timestamp in angle brackets, which would offer APOP (RFC 1939 section 7).
        ok(&format!("{} is ready", config.node), out);
        Session {
            config,
            store,
            lengths,
            connection,
            name: None,
            maildrop: None,
            running: Running::Nothing,
            last_heard: now,
            wrong_passwords: 0,
            bad_commands: 0,
        }
    }

    /// Takes in what happened; appends what the client is told of it.
    pub fn handle(&mut self, now: Millis, input: Input<'_>, out: &mut Vec<u8>) -> Action {
        if matches!(input, Input::Line(_) | Input::TooLong | Input::TlsStarted) {
            self.last_heard = now;
        }
        match input {
            Input::Line(line) => self.line(now, line, out),
            Input::TooLong => {
                self.running = Running::Nothing;
                self.bad("The line is too long", out)
            }
            Input::Endless => {
                err(&Refusal::plain("The line does not end"), out);
                Action::Close
            }
            Input::TlsStarted => {
                self.connection.tls = true;
                Action::WaitForInput
            }
            Input::Answered(answer) => self.answered(answer, out),
            Input::Authenticated(result) => self.authenticated(now, result, out),
            Input::Timeout => self.timeout(now),
            Input::Shutdown => self.shutdown(out),
        }
    }

    /// Goes on with a long answer, or after a pause: about 64 KiB are appended at a time.
    pub fn produce(&mut self, now: Millis, out: &mut Vec<u8>) -> Action {
        self.last_heard = now;
        match std::mem::take(&mut self.running) {
            Running::Listing(listing) => self.produce_listing(listing, out),
            Running::Reading(reading) => self.produce_message(reading, out),
            Running::WrongPassword(refusal) => self.wrong_password(&refusal, out),
            other => {
                self.running = other;
                Action::WaitForInput
            }
        }
    }

    /// When to hand in [`Input::Timeout`], while the action is [`Action::WaitForInput`].
    pub fn poll_timeout(&self) -> Millis {
        let silence = match &self.maildrop {
            Some(_) => self.config.silence_timeout,
            None => self.config.login_timeout,
        };
        self.last_heard.after(silence)
    }

    /// How long the line may be that the session waits for, in octets with its end.
    pub fn longest_line(&self) -> usize {
        if matches!(self.running, Running::Sasl(_)) { LONGEST_RESPONSE } else { LONGEST_COMMAND }
    }

    /// A command, or the answer to a challenge.
    fn line(&mut self, now: Millis, line: &[u8], out: &mut Vec<u8>) -> Action {
        match std::mem::take(&mut self.running) {
            Running::Sasl(exchange) => return self.sasl_line(now, exchange, line, out),
            other => self.running = other,
        }
        match command::parse(line) {
            Ok(command) => self.command(now, command, out),
            Err(mistake) => self.bad(mistake.0, out),
        }
    }

    fn command(&mut self, now: Millis, command: Command, out: &mut Vec<u8>) -> Action {
        // RFC 1939 section 7: PASS comes immediately after USER.
        let name = self.name.take();
        match (command, &self.maildrop) {
            (Command::Capa, _) => self.capabilities(out),
            (Command::Quit, _) => self.quit(out),
            (command, None) => self.command_before_login(now, command, name, out),
            (_, Some(maildrop)) if maildrop.account_is_removed() => {
                err(&Refusal::permanent("The account was removed"), out);
                Action::Close
            }
            (command, Some(_)) => self.command_logged_in(command, out),
        }
    }

    fn command_before_login(
        &mut self,
        now: Millis,
        command: Command,
        name: Option<String>,
        out: &mut Vec<u8>,
    ) -> Action {
        match command {
            Command::Stls => self.start_tls(out),
            Command::User(name) => self.user(name, out),
            Command::Pass(password) => self.pass(now, name, password, out),
            Command::Auth { mechanism, initial } => self.auth(now, &mechanism, initial, out),
            _ => self.refuse(&Refusal::plain("Log in first"), out),
        }
    }

    fn command_logged_in(&mut self, command: Command, out: &mut Vec<u8>) -> Action {
        match command {
            Command::Stat => self.stat(),
            Command::List(number) => self.list(number, out),
            Command::Uidl(number) => self.uidl(number, out),
            Command::Retr(number) => self.retrieve(number, out),
            Command::Top(number, lines) => self.top(number, lines, out),
            Command::Dele(number) => self.delete(number, out),
            Command::Noop => self.done("Nothing done", out),
            Command::Rset => self.reset(out),
            _ => self.refuse(&Refusal::plain("You are logged in already"), out),
        }
    }

    fn answered(&mut self, answer: Result<Reply, RequestError>, out: &mut Vec<u8>) -> Action {
        match std::mem::take(&mut self.running) {
            Running::Opening(login) => self.opened(login, answer, out),
            Running::Updating(updating) => self.updated(updating, answer, out),
            other => {
                self.running = other;
                Action::WaitForInput
            }
        }
    }

    /// A line that is no command. Whoever cannot send one before logging in speaks another protocol.
    fn bad(&mut self, text: &str, out: &mut Vec<u8>) -> Action {
        self.name = None;
        self.bad_commands += 1;
        let action = self.refuse(&Refusal::plain(text), out);
        let leaves = self.maildrop.is_none() && self.bad_commands >= MOST_BAD_COMMANDS;
        if leaves { Action::Close } else { action }
    }

    /// RFC 1939 section 3: a client that is silent for too long is left without an answer, and nothing is deleted.
    fn timeout(&self, now: Millis) -> Action {
        if now < self.poll_timeout() { Action::WaitForInput } else { Action::Close }
    }

    fn shutdown(&self, out: &mut Vec<u8>) -> Action {
        // In the middle of an answer of several lines the client would take it for one of them.
        if !matches!(self.running, Running::Reading(_) | Running::Listing(_)) {
            err(&GOING_DOWN, out);
        }
        Action::Close
    }

    fn done(&mut self, text: &str, out: &mut Vec<u8>) -> Action {
        self.running = Running::Nothing;
        ok(text, out);
        Action::WaitForInput
    }

    fn refuse(&mut self, refusal: &Refusal, out: &mut Vec<u8>) -> Action {
        self.running = Running::Nothing;
        err(refusal, out);
        Action::WaitForInput
    }
}

#[cfg(test)]
mod tests;
