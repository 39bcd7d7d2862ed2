//! One attempt to log in, by whichever mechanism, as a state machine.
//!
//! [`Exchange::begin`], then [`Exchange::respond`] with each response of the client, base64 undone; after
//! [`Step::Ask`] [`Exchange::answered`]. Nothing follows [`Step::Done`] and [`Step::Failed`].

use std::fmt;

use mailstore::password::ScramKeys;
use mailstore::request::{Authenticated, RequestError};

use crate::bearer::{self, Bearer, Hint};
use crate::channel::BindingKind;
use crate::mechanism::{Mechanism, Offer};
use crate::oauth::policy::TokenError;
use crate::plain;
use crate::scram::{ClientFirst, ServerFirst};

/// The longest response that is looked at, in octets.
const LONGEST_RESPONSE: usize = 4 * 1024;
/// The longest response with a token, in octets.
const LONGEST_TOKEN: usize = 12 * 1024;

/// What no log may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// The client is sent this, in base64; then [`Exchange::respond`].
    Challenge(Vec<u8>),
    /// Somebody who knows accounts is asked; then [`Exchange::answered`].
    Ask(Question),
    /// It is who it says.
    Done(Authenticated),
    /// It is not, or cannot be told.
    Failed(Failure),
}

/// What an exchange has to know to go on.
#[derive(PartialEq, Eq)]
pub enum Question {
    /// Whether this is the password of the account. Answered by [`Answer::LoggedIn`].
    Password {
        /// The name of the account, as the client spelled it.
        name: String,
        /// The password.
        password: String,
    },
    /// What SCRAM needs. Answered by [`Answer::Keys`].
    Keys {
        /// The name of the account, as the client spelled it.
        name: String,
        /// The channel binding that is wanted as well.
        binding: Option<BindingKind>,
    },
    /// Whether this token is good, and whose it is. Answered by [`Answer::LoggedIn`] or [`Answer::TokenRefused`].
    Token {
        /// The token.
        token: Secret,
        /// Whose it is said to be.
        name: Option<String>,
    },
    /// Lets the client in as this account, which it has proven. Answered by [`Answer::LoggedIn`].
    LogIn {
        /// The name of the account, as the client spelled it.
        name: String,
    },
}

impl Question {
    /// The name of the account, as the client spelled it, where it did: for logs.
    pub fn name(&self) -> &str {
        match self {
            Question::Password { name, .. } | Question::Keys { name, .. } | Question::LogIn { name } => name,
            Question::Token { name, .. } => name.as_deref().unwrap_or_default(),
        }
    }
}

/// No log shall have a password.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Question::Password { .. } => "Password",
            Question::Keys { .. } => "Keys",
            Question::Token { .. } => "Token",
            Question::LogIn { .. } => "LogIn",
        };
        write!(f, "{kind}({:?})", self.name())
    }
}

/// The answer to a [`Question`].
#[derive(Debug)]
pub enum Answer {
    /// The account is open.
    LoggedIn(Authenticated),
    /// What SCRAM needs.
    Keys {
        /// The keys of the account, or those of nobody.
        keys: ScramKeys,
        /// Octets that were never used before.
        nonce: [u8; 16],
        /// The octets of the channel binding that was asked for; none where the channel has no such thing.
        bound: Option<Vec<u8>>,
    },
    /// The token is no good.
    TokenRefused {
        /// Why.
        error: TokenError,
        /// What would be good.
        hint: Hint,
    },
}

/// Why a client is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// What it sent is nothing that the mechanism knows.
    Malformed(&'static str),
    /// Name or password are wrong; nobody is told which.
    Wrong,
    /// The token was good once.
    Expired,
    /// Whoever knows cannot be asked now.
    Unavailable(&'static str),
    /// The mechanism cannot be used like this.
    Refused(&'static str),
    /// It wants to act for somebody else.
    ForSomebodyElse,
    /// The store could not tell.
    Store(RequestError),
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::WrongPassword | RequestError::NoSuchAccount(_) => Failure::Wrong,
            other => Failure::Store(other),
        }
    }
}

/// One attempt to log in.
#[derive(Debug)]
pub struct Exchange {
    offer: Offer,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// The client speaks first, whichever the mechanism is.
    Begun(Mechanism),
    /// SCRAM needs to know the account.
    Asking(ClientFirst),
    /// SCRAM waits for the proof.
    Challenged(Box<ServerFirst>),
    /// SCRAM has told that it knows the password, too; the client says that it has heard it.
    Proven(String),
    /// The token is being checked.
    Checking(Mechanism),
    /// The client was told why its token is no good, and says that it has heard it.
    Refused(Failure),
    /// The answer decides.
    Deciding,
    #[default]
    Over,
}

impl Exchange {
    /// An attempt by a mechanism that was offered. The client's first response is waited for.
    pub fn begin(mechanism: Mechanism, offer: Offer) -> Self {
        Exchange { offer, state: State::Begun(mechanism) }
    }

    /// An attempt with a name and a password, without SASL.
    pub fn password(name: String, password: String) -> (Self, Step) {
        let exchange = Exchange { offer: Offer { tls: false, tokens: false }, state: State::Deciding };
        (exchange, Step::Ask(Question::Password { name, password }))
    }

    /// Takes a response of the client.
    pub fn respond(&mut self, response: &[u8]) -> Step {
        if response.len() > self.longest_response() {
            return self.fail(Failure::Malformed("The response is too long"));
        }
        let next = match std::mem::take(&mut self.state) {
            State::Begun(Mechanism::Plain) => plain::parse(response).map(|plain| {
                let question = Question::Password { name: plain.name, password: plain.password };
                (State::Deciding, Step::Ask(question))
            }),
            State::Begun(mechanism @ (Mechanism::OAuthBearer | Mechanism::XOAuth2)) => {
                Bearer::parse(mechanism, response).map(|Bearer { token, name }| {
                    (State::Checking(mechanism), Step::Ask(Question::Token { token, name }))
                })
            }
            State::Begun(mechanism) => ClientFirst::parse(response, mechanism, self.offer).map(|first| {
                let (name, binding) = (first.name().to_owned(), first.binding());
                (State::Asking(first), Step::Ask(Question::Keys { name, binding }))
            }),
            State::Challenged(server) => server
                .verify(response)
                .map(|(name, verifier)| (State::Proven(name), Step::Challenge(verifier.into_bytes()))),
            State::Proven(name) if response.is_empty() => {
                Ok((State::Deciding, Step::Ask(Question::LogIn { name })))
            }
            State::Proven(_) => Err(Failure::Malformed("An empty response was expected")),
            // RFC 7628 section 3.2.3 has %x01, XOAUTH2 nothing: whatever it is, it says nothing.
            State::Refused(failure) => Err(failure),
            State::Asking(_) | State::Checking(_) | State::Deciding | State::Over => Err(OUT_OF_TURN),
        };
        self.go_on(next)
    }

    /// Takes the answer to a question.
    pub fn answered(&mut self, answer: Result<Answer, RequestError>) -> Step {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.fail(error.into()),
        };
        let next = match (std::mem::take(&mut self.state), answer) {
            (State::Deciding | State::Checking(_), Answer::LoggedIn(authenticated)) => {
                Ok((State::Over, Step::Done(authenticated)))
            }
            (State::Asking(first), Answer::Keys { keys, nonce, bound }) => {
                challenge(first, keys, nonce, bound)
            }
            (State::Checking(mechanism), Answer::TokenRefused { error, hint }) => {
                refused(mechanism, error, &hint)
            }
            _ => Err(OUT_OF_TURN),
        };
        self.go_on(next)
    }

    /// Whether the client was told already that it is not let in, so that breaking off counts as an attempt.
    pub fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused(_))
    }

    fn longest_response(&self) -> usize {
        match self.state {
            State::Begun(Mechanism::OAuthBearer | Mechanism::XOAuth2) => LONGEST_TOKEN,
            _ => LONGEST_RESPONSE,
        }
    }

    fn go_on(&mut self, next: Result<(State, Step), Failure>) -> Step {
        match next {
            Ok((state, step)) => {
                self.state = state;
                step
            }
            Err(failure) => self.fail(failure),
        }
    }

    fn fail(&mut self, failure: Failure) -> Step {
        self.state = State::Over;
        Step::Failed(failure)
    }
}

/// What whoever drives the exchange never does.
const OUT_OF_TURN: Failure = Failure::Malformed("Nothing was asked");

fn challenge(
    first: ClientFirst,
    keys: ScramKeys,
    nonce: [u8; 16],
    bound: Option<Vec<u8>>,
) -> Result<(State, Step), Failure> {
    use base64::Engine;
    if first.binding().is_some() && bound.is_none() {
        return Err(Failure::Refused("This connection has no such channel binding"));
    }
    let nonce = base64::prelude::BASE64_STANDARD_NO_PAD.encode(nonce);
    let (server, message) = first.challenge(keys, &nonce, &bound.unwrap_or_default());
    Ok((State::Challenged(Box::new(server)), Step::Challenge(message.into_bytes())))
}

/// The error is a challenge first (RFC 7628 section 3.2.3). Where nothing is known of the token, there is nothing to tell.
fn refused(mechanism: Mechanism, error: TokenError, hint: &Hint) -> Result<(State, Step), Failure> {
    let (status, failure) = match error {
        TokenError::Unavailable => {
            return Err(Failure::Unavailable("The issuer of tokens does not answer; try again later"));
        }
        TokenError::Invalid(_) => ("invalid_token", Failure::Wrong),
        TokenError::Expired => ("invalid_token", Failure::Expired),
        TokenError::Scope => ("insufficient_scope", Failure::Wrong),
    };
    Ok((State::Refused(failure), Step::Challenge(bearer::refusal(mechanism, status, hint))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLS: Offer = Offer { tls: true, tokens: true };

    fn failed(step: Step) -> Failure {
        match step {
            Step::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn plain_asks_for_the_password_that_it_was_told() {
        let mut exchange = Exchange::begin(Mechanism::Plain, TLS);
        let Step::Ask(question) = exchange.respond(b"\0alice\0secret") else { panic!("a question") };
        assert_eq!(question, Question::Password { name: "alice".to_owned(), password: "secret".to_owned() });
        assert_eq!(format!("{question:?}"), "Password(\"alice\")");
        assert_eq!(failed(exchange.answered(Err(RequestError::WrongPassword))), Failure::Wrong);
        let respond = |response: &[u8]| failed(Exchange::begin(Mechanism::Plain, TLS).respond(response));
        assert_eq!(respond(b"bob\0alice\0secret"), Failure::ForSomebodyElse);
        for wrong in [&b""[..], b"alice\0secret", b"\0a\0b\0c", b"\0\xff\0b"] {
            assert!(matches!(respond(wrong), Failure::Malformed(_)));
        }
        assert!(matches!(respond(&[0; LONGEST_RESPONSE + 1]), Failure::Malformed(_)));
    }

    #[test]
    fn nothing_is_taken_out_of_turn() {
        let mut exchange = Exchange::begin(Mechanism::ScramSha256, TLS);
        let Step::Ask(_) = exchange.respond(b"n,,n=user,r=x") else { panic!("a question") };
        assert_eq!(failed(exchange.respond(b"c=biws,r=x,p=AA==")), OUT_OF_TURN);
        assert_eq!(failed(exchange.respond(b"")), OUT_OF_TURN);
        let (mut exchange, _) = Exchange::password("alice".to_owned(), "secret".to_owned());
        let keys = ScramKeys::decoy(b"", "alice", 4096);
        let answer = Answer::Keys { keys, nonce: [0; 16], bound: None };
        assert_eq!(failed(exchange.answered(Ok(answer))), OUT_OF_TURN);
    }

    /// RFC 7628 section 4.3: the error as JSON, the client's %x01, and only then the end.
    #[test]
    fn a_token_is_refused_in_two_steps() {
        let said = b"n,a=user@example.com,\x01auth=Bearer abc\x01\x01";
        for (error, status, failure) in [
            (TokenError::Invalid("no"), "invalid_token", Failure::Wrong),
            (TokenError::Expired, "invalid_token", Failure::Expired),
            (TokenError::Scope, "insufficient_scope", Failure::Wrong),
        ] {
            let mut exchange = Exchange::begin(Mechanism::OAuthBearer, TLS);
            let Step::Ask(question) = exchange.respond(said) else { panic!("a question") };
            assert_eq!(format!("{question:?}"), "Token(\"user@example.com\")");
            let hint = Hint::default();
            let Step::Challenge(told) = exchange.answered(Ok(Answer::TokenRefused { error, hint })) else {
                panic!("a challenge")
            };
            assert_eq!(told, format!(r#"{{"status":"{status}"}}"#).into_bytes());
            assert!(exchange.is_refused());
            assert_eq!(failed(exchange.respond(b"\x01")), failure);
        }
        let mut exchange = Exchange::begin(Mechanism::OAuthBearer, TLS);
        exchange.respond(said);
        let answer = Answer::TokenRefused { error: TokenError::Unavailable, hint: Hint::default() };
        assert!(matches!(failed(exchange.answered(Ok(answer))), Failure::Unavailable(_)));
    }

    #[test]
    fn a_channel_without_the_binding_is_refused() {
        let mut exchange = Exchange::begin(Mechanism::ScramSha256Plus, TLS);
        let Step::Ask(question) = exchange.respond(b"p=tls-exporter,,n=user,r=x") else {
            panic!("a question")
        };
        assert_eq!(
            question,
            Question::Keys { name: "user".to_owned(), binding: Some(BindingKind::Exporter) }
        );
        let keys = ScramKeys::decoy(b"", "user", 4096);
        let answer = Answer::Keys { keys, nonce: [0; 16], bound: None };
        assert!(matches!(failed(exchange.answered(Ok(answer))), Failure::Refused(_)));
    }
}
