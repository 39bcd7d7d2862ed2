//! How a client shows who it is: the SASL mechanisms (RFC 4422) as one state machine, which IMAP and POP3 both drive.
//!
//! [`exchange::Exchange`] takes the client's responses and the answers to its own questions, and gives challenges, questions and the
//! end. It holds no socket, knows no account and draws no random number: [`shell::Authenticator`] answers its questions, out
//! of the mail store. SCRAM is our own on purpose; `docs/authentication.md` says why.

pub mod bearer;
pub mod channel;
pub mod exchange;
pub mod mechanism;
pub mod oauth;
mod plain;
pub mod plaintext;
mod scram;
pub mod shell;
#[cfg(any(test, feature = "testing"))]
#[allow(clippy::panic, missing_docs, reason = "a client of tests fails by panicking")]
pub mod testing;
