//! What can be asked in any state, and how a session gets its account (RFC 9051 sections 6.1 and 6.2).

use auth::exchange::{Exchange, Failure, Step};
use auth::mechanism::Offer;
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

/// An attempt to log in that is under way.
pub(super) struct Attempt {
    tag: Tag,
    exchange: Exchange,
}

impl Session {
    /// `CAPABILITY ...`, as it is now. What needs a login is told before it, too: some libraries never ask again.
    pub(super) fn capabilities(&self) -> String {
        let mut list = String::from("CAPABILITY IMAP4rev1");
        if self.login.is_none() {
            if self.starttls_possible() {
                list.push_str(" STARTTLS");
            }
            match self.password_allowed() {
                true => self.list_mechanisms(&mut list),
                false => list.push_str(" LOGINDISABLED"),
            }
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
        list.push_str(" ACL RIGHTS=kxte LIST-MYRIGHTS");
        list.push_str(" BINARY PREVIEW REPLACE CATENATE INPROGRESS NOTIFY");
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

    pub(super) fn log_in(
        &mut self,
        now: Millis,
        tag: Tag,
        (name, password): (String, String),
        out: &mut Vec<u8>,
    ) -> Action {
        if let Some(refusal) = self.login_refusal() {
            return self.fail(&tag, refusal, out);
        }
        let (exchange, step) = Exchange::password(name, password);
        self.go_on(now, Box::new(Attempt { tag, exchange }), step, out)
    }

    pub(super) fn authenticate(
        &mut self,
        now: Millis,
        tag: Tag,
        mechanism: &str,
        initial_response: Option<SaslResponse>,
        out: &mut Vec<u8>,
    ) -> Action {
        if let Some(refusal) = self.login_refusal() {
            return self.fail(&tag, refusal, out);
        }
        let offer = self.offer();
        let Some(mechanism) = offer.find(mechanism) else {
            let text = "This mechanism is not offered; CAPABILITY lists those that are";
            return self.fail(&tag, Answer::no("CANNOT", text), out);
        };
        let mut attempt = Box::new(Attempt { tag, exchange: Exchange::begin(mechanism, offer) });
        match initial_response {
            Some(SaslResponse(response)) => {
                let step = attempt.exchange.respond(&response);
                self.go_on(now, attempt, step, out)
            }
            // Whichever the mechanism is, the client speaks first (RFC 9051 section 6.2.2).
            None => self.go_on(now, attempt, Step::Challenge(Vec::new()), out),
        }
    }

    pub(super) fn sasl_line(
        &mut self,
        now: Millis,
        mut attempt: Box<Attempt>,
        line: &[u8],
        out: &mut Vec<u8>,
    ) -> Action {
        if line == b"*" {
            // Who breaks off after a refusal has made an attempt all the same.
            self.wrong_passwords += u32::from(attempt.exchange.is_refused());
            return self.fail(&attempt.tag, Answer::bad("Authentication cancelled"), out);
        }
        match BASE64_STANDARD.decode(line) {
            Ok(response) => {
                let step = attempt.exchange.respond(&response);
                self.go_on(now, attempt, step, out)
            }
            Err(_) => self.fail(&attempt.tag, Answer::bad("The response is not base64"), out),
        }
    }

    pub(super) fn authenticated(
        &mut self,
        now: Millis,
        result: Result<auth::exchange::Answer, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        match std::mem::take(&mut self.running) {
            Running::Authenticating(mut attempt) => {
                let step = attempt.exchange.answered(result);
                self.go_on(now, attempt, step, out)
            }
            other => {
                self.running = other;
                self.waiting()
            }
        }
    }

    fn go_on(&mut self, now: Millis, attempt: Box<Attempt>, step: Step, out: &mut Vec<u8>) -> Action {
        match step {
            Step::Challenge(challenge) => {
                put!(out, "+ {}\r\n", BASE64_STANDARD.encode(challenge));
                self.running = Running::Sasl(attempt);
                Action::ReadLine
            }
            Step::Ask(question) => {
                self.running = Running::Authenticating(attempt);
                Action::Authenticate(question)
            }
            Step::Done(Authenticated { account, view }) => {
                self.login = Some(Login { account, view });
                let answer = Answer::ok("Logged in").code(self.capabilities());
                self.finish(&attempt.tag, Telling::Nothing, answer, out)
            }
            Step::Failed(failure) => self.login_failed(now, attempt.tag, failure, out),
        }
    }

    fn login_failed(&mut self, now: Millis, tag: Tag, failure: Failure, out: &mut Vec<u8>) -> Action {
        let answer = match failure {
            Failure::Malformed(text) => Answer::bad(text),
            Failure::Refused(text) => Answer::no("AUTHENTICATIONFAILED", text),
            Failure::ForSomebodyElse => {
                Answer::no("AUTHORIZATIONFAILED", "Nobody may log in as somebody else here")
            }
            Failure::Store(error) => Answer::refused(&error),
            Failure::Unavailable(text) => Answer::no("UNAVAILABLE", text),
            Failure::Expired => {
                return self.hold_back(
                    now,
                    tag,
                    Answer::no("EXPIRED", "The token has expired; get a new one"),
                );
            }
            Failure::Wrong => return self.hold_back(now, tag, Answer::no("AUTHENTICATIONFAILED", WRONG)),
        };
        self.fail(&tag, answer, out)
    }

    /// Answers later, and the later the more often it was wrong.
    fn hold_back(&mut self, now: Millis, tag: Tag, answer: Answer) -> Action {
        let doubled = self.config.wrong_password_delay.checked_shl(self.wrong_passwords);
        self.wrong_passwords += 1;
        self.running = Running::WrongPassword(Box::new((tag, answer)));
        Action::Pause { until: now.after(doubled.unwrap_or(LONGEST_DELAY).min(LONGEST_DELAY)) }
    }

    /// The delay is over.
    pub(super) fn wrong_password(&mut self, tag: &Tag, answer: Answer, out: &mut Vec<u8>) -> Action {
        let action = self.fail(tag, answer, out);
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

    fn list_mechanisms(&self, list: &mut String) {
        for mechanism in self.offer().mechanisms() {
            list.push_str(" AUTH=");
            list.push_str(mechanism.name());
        }
        list.push_str(" SASL-IR");
    }

    fn offer(&self) -> Offer {
        Offer { tls: self.connection.tls, tokens: self.config.tokens }
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
