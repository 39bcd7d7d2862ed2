//! The AUTHORIZATION state (RFC 1939 sections 4 and 7, RFC 5034, RFC 2595 section 4), and what can be asked in any state.

use std::sync::Arc;

use auth::exchange::{Answer, Exchange, Failure, Step};
use auth::mechanism::Offer;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mailstore::account::AccountView;
use mailstore::crdt::clock::Millis;
use mailstore::crdt::identity::AccountId;
use mailstore::request::{Authenticated, Reply, Request, RequestError};
use tokio::sync::watch;

use super::answer::{Refusal, err, ok};
use super::maildrop::{MAILDROP, Maildrop};
use super::{Action, Running, Session};
use crate::command::Secret;

/// The most wrong passwords on one connection.
const MOST_WRONG_PASSWORDS: u32 = 5;
/// The longest that a wrong password holds up a connection, in milliseconds.
const LONGEST_DELAY: u64 = 16 * 1000;
/// One answer for every reason, so that nobody learns which accounts there are.
const WRONG: Refusal = Refusal::credentials("The name or the password is wrong");
const EXPIRED: Refusal = Refusal::credentials("The token has expired; get a new one");

/// Whose session it is.
pub(super) struct Login {
    pub(super) account: AccountId,
    pub(super) view: watch::Receiver<Arc<AccountView>>,
}

impl Session {
    /// RFC 2449 section 5. USER and SASL are told in both states, as section 6 wants it; STLS only where it can be said.
    pub(super) fn capabilities(&mut self, out: &mut Vec<u8>) -> Action {
        ok("These can be used", out);
        out.extend_from_slice(b"TOP\r\nUIDL\r\n");
        if self.password_allowed() {
            out.extend_from_slice(b"USER\r\nSASL");
            for mechanism in self.offer().mechanisms() {
                out.push(b' ');
                out.extend_from_slice(mechanism.name().as_bytes());
            }
            out.extend_from_slice(b"\r\n");
        }
        if self.can_start_tls() {
            out.extend_from_slice(b"STLS\r\n");
        }
        out.extend_from_slice(b"PIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nEXPIRE NEVER\r\n");
        out.extend_from_slice(
            concat!("IMPLEMENTATION Peerpost-", env!("CARGO_PKG_VERSION"), "\r\n.\r\n").as_bytes(),
        );
        Action::WaitForInput
    }

    pub(super) fn start_tls(&mut self, out: &mut Vec<u8>) -> Action {
        if !self.can_start_tls() {
            return self.refuse(&Refusal::plain("STLS is not possible now"), out);
        }
        ok("Begin TLS now", out);
        Action::StartTls
    }

    /// Whether there is such an account is told after the password.
    pub(super) fn user(&mut self, name: String, out: &mut Vec<u8>) -> Action {
        if let Some(refusal) = self.login_refusal() {
            return self.refuse(&refusal, out);
        }
        self.name = Some(name);
        self.done("Send the password", out)
    }

    pub(super) fn pass(
        &mut self,
        now: Millis,
        name: Option<String>,
        password: Secret,
        out: &mut Vec<u8>,
    ) -> Action {
        match (self.login_refusal(), name) {
            (Some(refusal), _) => self.refuse(&refusal, out),
            (None, Some(name)) => {
                let (exchange, step) = Exchange::password(name, password.0);
                self.go_on(now, Box::new(exchange), step, out)
            }
            (None, None) => self.refuse(&Refusal::plain("Say USER first"), out),
        }
    }

    pub(super) fn auth(
        &mut self,
        now: Millis,
        mechanism: &str,
        initial: Option<Secret>,
        out: &mut Vec<u8>,
    ) -> Action {
        if let Some(refusal) = self.login_refusal() {
            return self.refuse(&refusal, out);
        }
        let offer = self.offer();
        let Some(mechanism) = offer.find(mechanism) else {
            return self
                .refuse(&Refusal::plain("This mechanism is not offered; CAPA lists those that are"), out);
        };
        let mut exchange = Box::new(Exchange::begin(mechanism, offer));
        match initial {
            Some(Secret(response)) if response == "=" => {
                let step = exchange.respond(b"");
                self.go_on(now, exchange, step, out)
            }
            Some(Secret(response)) => self.sasl_response(now, exchange, response.as_bytes(), out),
            // Whichever the mechanism is, the client speaks first (RFC 5034 section 4).
            None => self.go_on(now, exchange, Step::Challenge(Vec::new()), out),
        }
    }

    /// The answer to a challenge.
    pub(super) fn sasl_line(
        &mut self,
        now: Millis,
        exchange: Box<Exchange>,
        line: &[u8],
        out: &mut Vec<u8>,
    ) -> Action {
        if line == b"*" {
            // Who breaks off after a refusal has made an attempt all the same.
            self.wrong_passwords += u32::from(exchange.is_refused());
            return self.refuse(&Refusal::plain("Authentication cancelled"), out);
        }
        self.sasl_response(now, exchange, line, out)
    }

    fn sasl_response(
        &mut self,
        now: Millis,
        mut exchange: Box<Exchange>,
        line: &[u8],
        out: &mut Vec<u8>,
    ) -> Action {
        match BASE64_STANDARD.decode(line) {
            Ok(response) => {
                let step = exchange.respond(&response);
                self.go_on(now, exchange, step, out)
            }
            Err(_) => self.refuse(&Refusal::plain("The response is not base64"), out),
        }
    }

    pub(super) fn authenticated(
        &mut self,
        now: Millis,
        result: Result<Answer, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        match std::mem::take(&mut self.running) {
            Running::Authenticating(mut exchange) => {
                let step = exchange.answered(result);
                self.go_on(now, exchange, step, out)
            }
            other => {
                self.running = other;
                Action::WaitForInput
            }
        }
    }

    fn go_on(&mut self, now: Millis, exchange: Box<Exchange>, step: Step, out: &mut Vec<u8>) -> Action {
        match step {
            Step::Challenge(challenge) => {
                out.extend_from_slice(b"+ ");
                out.extend_from_slice(BASE64_STANDARD.encode(challenge).as_bytes());
                out.extend_from_slice(b"\r\n");
                self.running = Running::Sasl(exchange);
                Action::WaitForInput
            }
            Step::Ask(question) => {
                self.running = Running::Authenticating(exchange);
                Action::Authenticate(question)
            }
            Step::Done(Authenticated { account, view }) => self.open(Login { account, view }, out),
            Step::Failed(failure) => self.login_failed(now, failure, out),
        }
    }

    fn login_failed(&mut self, now: Millis, failure: Failure, out: &mut Vec<u8>) -> Action {
        let refusal = match failure {
            Failure::Malformed(text) => Refusal::plain(text),
            Failure::Refused(text) => Refusal::credentials(text),
            Failure::ForSomebodyElse => Refusal::credentials("Nobody may log in as somebody else here"),
            Failure::Store(error) => Refusal::of_request(&error),
            Failure::Unavailable(text) => Refusal::temporary(text),
            Failure::Expired => return self.hold_back(now, EXPIRED),
            Failure::Wrong => return self.hold_back(now, WRONG),
        };
        self.refuse(&refusal, out)
    }

    /// Answers later, and the later the more often it was wrong.
    fn hold_back(&mut self, now: Millis, refusal: Refusal) -> Action {
        let doubled = self.config.wrong_password_delay.checked_shl(self.wrong_passwords);
        self.wrong_passwords += 1;
        self.running = Running::WrongPassword(refusal);
        Action::Pause { until: now.after(doubled.unwrap_or(LONGEST_DELAY).min(LONGEST_DELAY)) }
    }

    /// The delay is over.
    pub(super) fn wrong_password(&mut self, refusal: &Refusal, out: &mut Vec<u8>) -> Action {
        let action = self.refuse(refusal, out);
        if self.wrong_passwords >= MOST_WRONG_PASSWORDS { Action::Close } else { action }
    }

    /// Asks for the maildrop. The look does not last: POP3 shows no UIDs, so no later message need be placed for it.
    fn open(&mut self, login: Login, out: &mut Vec<u8>) -> Action {
        let inbox = login.view.borrow().find(MAILDROP).map(|entry| entry.mailbox);
        let Some(mailbox) = inbox else {
            return self.refuse(&Refusal::temporary("The maildrop is not here yet; try again"), out);
        };
        let account = login.account;
        self.running = Running::Opening(login);
        Action::Ask(Request::Look { account, mailbox, lasting: false })
    }

    pub(super) fn opened(
        &mut self,
        login: Login,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        match answer {
            Ok(Reply::Looked(look)) => {
                let maildrop = Maildrop::new(login, look.view.borrow().clone());
                let text = format!("The maildrop has {} messages", maildrop.count());
                self.maildrop = Some(maildrop);
                self.done(&text, out)
            }
            Ok(_) => {
                tracing::error!("the store answered a look with something else");
                err(&Refusal::permanent("The maildrop cannot be opened"), out);
                Action::Close
            }
            Err(error) => self.refuse(&Refusal::of_request(&error), out),
        }
    }

    fn can_start_tls(&self) -> bool {
        self.connection.stls && !self.connection.tls && self.maildrop.is_none()
    }

    fn offer(&self) -> Offer {
        Offer { tls: self.connection.tls, tokens: self.config.tokens }
    }

    fn password_allowed(&self) -> bool {
        self.connection.tls || self.connection.plaintext_allowed
    }

    fn login_refusal(&self) -> Option<Refusal> {
        let text = "Passwords may not cross this connection in clear text; use TLS";
        (!self.password_allowed()).then(|| Refusal::plain(text))
    }
}
