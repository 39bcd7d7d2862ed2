//! The AUTHORIZATION state (RFC 1939 sections 4 and 7, RFC 5034, RFC 2595 section 4), and what can be asked in any state.

use std::sync::Arc;

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
/// An empty challenge, as PLAIN has it (RFC 5034 section 4).
const CHALLENGE: &[u8] = b"+ \r\n";

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
            out.extend_from_slice(b"USER\r\nSASL PLAIN\r\n");
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

    pub(super) fn pass(&mut self, name: Option<String>, password: Secret, out: &mut Vec<u8>) -> Action {
        match (self.login_refusal(), name) {
            (Some(refusal), _) => self.refuse(&refusal, out),
            (None, Some(name)) => self.check(name, password.0),
            (None, None) => self.refuse(&Refusal::plain("Say USER first"), out),
        }
    }

    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<Secret>, out: &mut Vec<u8>) -> Action {
        if let Some(refusal) = self.login_refusal() {
            return self.refuse(&refusal, out);
        }
        if !mechanism.eq_ignore_ascii_case("PLAIN") {
            return self.refuse(&Refusal::plain("Only the mechanism PLAIN is offered"), out);
        }
        match initial {
            Some(Secret(response)) if response == "=" => self.plain(b"", out),
            Some(Secret(response)) => self.sasl_response(response.as_bytes(), out),
            None => {
                out.extend_from_slice(CHALLENGE);
                self.running = Running::Sasl;
                Action::WaitForInput
            }
        }
    }

    /// The answer to the challenge.
    pub(super) fn sasl_line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Action {
        if line == b"*" {
            return self.refuse(&Refusal::plain("Authentication cancelled"), out);
        }
        self.sasl_response(line, out)
    }

    fn sasl_response(&mut self, line: &[u8], out: &mut Vec<u8>) -> Action {
        match BASE64_STANDARD.decode(line) {
            Ok(response) => self.plain(&response, out),
            Err(_) => self.refuse(&Refusal::plain("The response is not base64"), out),
        }
    }

    /// `[authzid] NUL authcid NUL passwd` (RFC 4616 section 2). Nobody may act for somebody else.
    fn plain(&mut self, response: &[u8], out: &mut Vec<u8>) -> Action {
        let mut parts = response.split(|octet| *octet == 0).map(std::str::from_utf8);
        let (Some(Ok(acting_for)), Some(Ok(name)), Some(Ok(password)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return self.refuse(&Refusal::plain("The response is not one of PLAIN"), out);
        };
        if !acting_for.is_empty() && acting_for != name {
            let refusal = Refusal::credentials("Nobody may log in as somebody else here");
            return self.refuse(&refusal, out);
        }
        self.check(name.to_owned(), password.to_owned())
    }

    fn check(&mut self, name: String, password: String) -> Action {
        self.running = Running::Password;
        Action::Authenticate { name, password }
    }

    pub(super) fn authenticated(
        &mut self,
        now: Millis,
        result: Result<Authenticated, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        if !matches!(self.running, Running::Password) {
            return Action::WaitForInput;
        }
        match result {
            Ok(Authenticated { account, view }) => self.open(Login { account, view }, out),
            Err(RequestError::WrongPassword | RequestError::NoSuchAccount(_)) => {
                let doubled = self.config.wrong_password_delay.checked_shl(self.wrong_passwords);
                self.wrong_passwords += 1;
                self.running = Running::WrongPassword;
                Action::Pause { until: now.after(doubled.unwrap_or(LONGEST_DELAY).min(LONGEST_DELAY)) }
            }
            Err(error) => self.refuse(&Refusal::of_request(&error), out),
        }
    }

    /// The delay is over.
    pub(super) fn wrong_password(&mut self, out: &mut Vec<u8>) -> Action {
        let action = self.refuse(&WRONG, out);
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

    fn password_allowed(&self) -> bool {
        self.connection.tls || self.connection.plaintext_allowed
    }

    fn login_refusal(&self) -> Option<Refusal> {
        let text = "Passwords may not cross this connection in clear text; use TLS";
        (!self.password_allowed()).then(|| Refusal::plain(text))
    }
}
