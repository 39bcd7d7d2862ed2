//! What the black-box tests share: real processes, a relay between them, small clients, and a witness that remembers what any
//! client saw.

#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of the kit")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests drive real processes: they read the clock, start threads, and fail by panicking"
)]

pub mod alike;
pub mod cluster;
pub mod doors;
pub mod imap;
pub mod issuer;
pub mod lmtp;
pub mod memory;
pub mod node;
pub mod pop3;
pub mod ports;
pub mod programs;
pub mod random;
pub mod relay;
pub mod wait;
pub mod witness;

/// A small message with its own Message-ID; lines end in CRLF.
pub fn message(id: &str, subject: &str) -> Vec<u8> {
    format!(
        "From: Sender <sender@example.org>\r\nTo: alice@example.com\r\nSubject: {subject}\r\n\
         Date: Mon, 6 Jan 2025 10:00:00 +0000\r\nMessage-ID: <{id}@example.org>\r\n\r\nThis is {id}.\r\n"
    )
    .into_bytes()
}

/// What a node makes of a message that [`lmtp::Client`] delivers (RFC 5321, 4.4).
pub fn delivered(message: &[u8]) -> Vec<u8> {
    [b"Return-Path: <sender@example.org>\r\n", message].concat()
}
