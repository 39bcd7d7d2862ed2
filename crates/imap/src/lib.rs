//! IMAP (RFC 3501, RFC 9051) as a state machine and a thin shell.
//!
//! The way of a command, from left to right; only [`shell`] touches sockets, time and tasks:
//!
//! ```text
//! octets -> framing -> decode -> command::Command -> session::Session -> encode -> octets
//!        (`feed` joins the first two)
//! ```

pub mod command;
pub mod decode;
pub mod encode;
pub mod feed;
pub mod framing;
pub mod mailbox_name;
pub mod message_url;
pub mod session;
pub mod shell;
