//! `peerpost demo`: two real nodes on loopback, parted and joined again before the reader's eyes.
//!
//! The nodes are processes of this same executable and know nothing of the demo: they are set up, looked at and asked
//! with the commands and protocols that everybody uses.

#![allow(clippy::disallowed_methods, reason = "shell: reads the clock, and waits")]

mod comparison;
mod imap;
mod lmtp;
mod nodes;
mod reading;
mod relay;
mod site;
mod story;
mod told;
mod words;

pub use self::story::tell;
pub use self::words::Words;
