//! The properties that the fuzz targets check, one module for each target: `run` takes any octets and panics where a property does
//! not hold. Beside libFuzzer the seeds are played by `cargo test` (`tests/seeds.rs`).
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a harness, not the core of a node")]

pub mod imap_decode_codec;
pub mod imap_decode_own;
pub mod imap_framer;
pub mod imap_session;
pub mod lmtp;
pub mod mailbox_name;
pub mod mime;
pub mod peer_frame;
pub mod pop3;
pub mod sasl;

mod pieces;
mod store;

/// Every target and what it does with an input.
pub const TARGETS: [(&str, fn(&[u8])); 10] = [
    ("imap_decode_codec", imap_decode_codec::run),
    ("imap_decode_own", imap_decode_own::run),
    ("imap_framer", imap_framer::run),
    ("imap_session", imap_session::run),
    ("lmtp", lmtp::run),
    ("mailbox_name", mailbox_name::run),
    ("mime", mime::run),
    ("peer_frame", peer_frame::run),
    ("pop3", pop3::run),
    ("sasl", sasl::run),
];
