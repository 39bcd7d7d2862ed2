//! Mail comes in: LMTP (RFC 2033) with PIPELINING, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES, SIZE and CHUNKING.
//!
//! A [`Session`] is a state machine that never waits; [`shell`] gives it sockets and the store. An MTA is told 250 for a
//! recipient once the message is durable, so whatever it is told otherwise, or not told, it may offer again, at this node
//! or another: the same message is kept once.

mod command;
mod connection;
mod data;
mod line;
mod recipient;
mod reply;
mod session;
pub mod shell;
mod transaction;

pub use command::{Address, LONGEST_LINE};
pub use reply::{Failure, Reply};
pub use session::{
    Accepted, Action, Envelope, MOST_DISCARDED, MOST_ERRORS, MOST_RECIPIENTS, Session, Settings,
};
