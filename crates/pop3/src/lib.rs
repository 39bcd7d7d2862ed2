//! POP3 (RFC 1939) as a state machine and a thin shell, with the extensions of RFC 2449, 2595, 3206 and 5034.
//!
//! The way of a command, from left to right; only [`shell`] touches sockets, time and tasks:
//!
//! ```text
//! octets -> framing -> command::Command -> session::Session -> wire -> octets
//! ```
//!
//! A session shows INBOX as it was at login, whatever merges and other clients do underneath: message numbers, sizes and
//! UIDLs follow from that picture alone, and what is deleted at its end is named by its entry. So a UID that a merge
//! reissues means nothing here.

pub mod command;
pub mod framing;
pub mod lengths;
pub mod session;
pub mod shell;
pub mod wire;
