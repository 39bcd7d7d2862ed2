//! What can be asked in any state, and how a session gets its account (RFC 9051 sections 6.1 and 6.2).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mailstore::crdt::clock::Millis;
use mailstore::request::{Authenticated, RequestError};

use super::answer::{self, Answer};
use super::put::put;
use super::{Action, Login, Running, Session, SessionConfig, Telling};
use crate::command::{SaslResponse, Tag};

/// The most wrong passwords on one connection.
const MOST_WRONG_PASSWORDS: u32 = 5;
/// The longest that a wrong password holds up a connection, in milliseconds.
const LONGEST_DELAY: u64 = 16 * 1000;
/// The most parameters of an ID command (RFC 2971 section 3.3).
const MOST_ID_PARAMETERS: usize = 30;
/// One text for every reason, so that nobody learns which accounts there are.
const WRONG: &str = "The name or the password is wrong";

impl Session {
    /// `CAPABILITY ...`, as it is now. What needs a login is told before it, too: some libraries never ask again.
    pub(super) fn capabilities(&self) -> String {
        let mut list = String::from("CAPABILITY IMAP4rev1");
        if self.login.is_none() {
            if self.starttls_possible() {
                list.push_str(" STARTTLS");
            }
            list.push_str(if self.password_allowed() { " AUTH=PLAIN SASL-IR" } else { " LOGINDISABLED" });
        }
        list.push_str(
            " LITERAL+ ENABLE ID NAMESPACE IDLE UIDPLUS MOVE UNSELECT UNAUTHENTICATE CHILDREN SPECIAL-USE",
        );
        list.push_str(
            " CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE ESEARCH MULTISEARCH WITHIN CONDSTORE QRESYNC OBJECTID",
        );
        list.push_str(
            " SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS SEARCHRES PARTIAL UIDONLY UIDBATCHES SAVEDATE I18NLEVEL=1",
        );
        list.push_str(" METADATA LIST-METADATA QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE");
        let SessionConfig { append_limit, message_limit, .. } = *self.config;
        list.push_str(" UTF8=ACCEPT IMAP4rev2");
        if !self.compressed {
            list.push_str(" COMPRESS=DEFLATE");
        }
        list.push_str(&format!(" MULTIAPPEND APPENDLIMIT={append_limit} MESSAGELIMIT={message_limit}"));
        list.push_str(" BINARY PREVIEW REPLACE CATENATE INPROGRESS");
        list
    }

    pub(super) fn capability(&mut self, tag: &Tag, out: &mut Vec<u8>) -> Action {
        put!(out, "* {}\r\n", self.capabilities());
        self.done(tag, "Completed", out)
    }

    pub(super) fn logout(&mut self, tag: &Tag, out: &mut Vec<u8>) -> Action {
        answer::bye("Logging out", out);
        Answer::ok("Completed").write(tag, out);
        Action::Close
    }

    pub(super) fn id(
        &mut self,
        tag: &Tag,
        parameters: &[(String, Option<String>)],
        out: &mut Vec<u8>,
    ) -> Action {
        if parameters.len() > MOST_ID_PARAMETERS {
            return self.fail(
                tag,
                Answer::bad(format!("ID takes at most {MOST_ID_PARAMETERS} parameters")),
                out,
            );
        }
        tracing::debug!(?parameters, "a client said what it is");
        put!(out, "* ID (\"name\" \"Peerpost\" \"version\" \"{}\")\r\n", env!("CARGO_PKG_VERSION"));
        self.done(tag, "Completed", out)
    }

    /// Not below a compression that runs already (RFC 4978 section 3).
    fn starttls_possible(&self) -> bool {
        self.connection.starttls && !self.connection.tls && !self.compressed
    }

    pub(super) fn start_tls(&mut self, tag: &Tag, out: &mut Vec<u8>) -> Action {
        if !self.starttls_possible() || self.login.is_some() {
            return self.fail(tag, Answer::bad("STARTTLS is not possible now"), out);
        }
        Answer::ok("Begin TLS now").write(tag, out);
        Action::StartTls
    }

    pub(super) fn log_in(&mut self, tag: Tag, name: String, password: String, out: &mut Vec<u8>) -> Action {
        match self.login_refusal() {
            Some(refusal) => self.fail(&tag, refusal, out),
            None => self.check(tag, name, password),
        }
    }

    pub(super) fn authenticate(
        &mut self,
        tag: Tag,
        mechanism: &str,
        initial_response: Option<SaslResponse>,
        out: &mut Vec<u8>,
    ) -> Action {
        if let Some(refusal) = self.login_refusal() {
            return self.fail(&tag, refusal, out);
        }
        if !mechanism.eq_ignore_ascii_case("PLAIN") {
            return self.fail(&tag, Answer::no("CANNOT", "Only the mechanism PLAIN is offered"), out);
        }
        if let Some(SaslResponse(response)) = initial_response {
            return self.plain(tag, &response, out);
        }
        out.extend_from_slice(b"+ \r\n");
        self.running = Running::Sasl(tag);
        Action::ReadLine
    }

    pub(super) fn sasl_line(&mut self, tag: Tag, line: &[u8], out: &mut Vec<u8>) -> Action {
        if line == b"*" {
            return self.fail(&tag, Answer::bad("Authentication cancelled"), out);
        }
        match BASE64_STANDARD.decode(line) {
            Ok(response) => self.plain(tag, &response, out),
            Err(_) => self.fail(&tag, Answer::bad("The response is not base64"), out),
        }
    }

    /// `[authzid] NUL authcid NUL passwd` (RFC 4616 section 2). Nobody may act for somebody else.
    fn plain(&mut self, tag: Tag, response: &[u8], out: &mut Vec<u8>) -> Action {
        let mut parts = response.split(|octet| *octet == 0).map(std::str::from_utf8);
        let (Some(Ok(acting_for)), Some(Ok(name)), Some(Ok(password)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return self.fail(&tag, Answer::bad("The response is not one of PLAIN"), out);
        };
        if !acting_for.is_empty() && acting_for != name {
            let text = "Nobody may log in as somebody else here";
            return self.fail(&tag, Answer::no("AUTHORIZATIONFAILED", text), out);
        }
        self.check(tag, name.to_owned(), password.to_owned())
    }

    fn check(&mut self, tag: Tag, name: String, password: String) -> Action {
        self.running = Running::Password(tag);
        Action::Authenticate { name, password }
    }

    pub(super) fn authenticated(
        &mut self,
        now: Millis,
        result: Result<Authenticated, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let tag = match std::mem::take(&mut self.running) {
            Running::Password(tag) => tag,
            other => {
                self.running = other;
                return self.waiting();
            }
        };
        match result {
            Ok(Authenticated { account, view }) => {
                self.login = Some(Login { account, view });
                let answer = Answer::ok("Logged in").code(self.capabilities());
                self.finish(&tag, Telling::Nothing, answer, out)
            }
            Err(RequestError::WrongPassword | RequestError::NoSuchAccount(_)) => {
                let doubled = self.config.wrong_password_delay.checked_shl(self.wrong_passwords);
                self.wrong_passwords += 1;
                self.running = Running::WrongPassword(tag);
                Action::Pause { until: now.after(doubled.unwrap_or(LONGEST_DELAY).min(LONGEST_DELAY)) }
            }
            Err(error) => self.fail(&tag, Answer::refused(&error), out),
        }
    }

    /// The delay is over.
    pub(super) fn wrong_password(&mut self, tag: &Tag, out: &mut Vec<u8>) -> Action {
        let action = self.fail(tag, Answer::no("AUTHENTICATIONFAILED", WRONG), out);
        if self.wrong_passwords >= MOST_WRONG_PASSWORDS {
            return self.bye("Too many wrong passwords", out);
        }
        action
    }

    /// Back to the state before the login (RFC 8437): the next account on this connection inherits nothing but TLS.
    pub(super) fn unauthenticate(&mut self, tag: &Tag, out: &mut Vec<u8>) -> Action {
        self.selected = None;
        self.login = None;
        self.forget_enabled();
        let answer = Answer::ok("Log in again").code(self.capabilities());
        self.finish(tag, Telling::Nothing, answer, out)
    }

    fn password_allowed(&self) -> bool {
        self.connection.tls || self.connection.plaintext_allowed
    }

    fn login_refusal(&self) -> Option<Answer> {
        if self.login.is_some() {
            return Some(Answer::bad("You are logged in already").code("CLIENTBUG"));
        }
        let text = "Passwords may not cross this connection in clear text; use TLS";
        (!self.password_allowed()).then(|| Answer::no("PRIVACYREQUIRED", text))
    }
}
