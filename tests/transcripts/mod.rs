//! Wire transcripts, one file for each RFC under `tests/conformance`, played against a server over real sockets.
//! docs/conformance.md tells how they are written.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests drive real processes: they read the clock, start threads, and fail by panicking"
)]

pub mod base64;
pub mod describe;
pub mod document;
pub mod fixture;
pub mod lines;
pub mod matching;
pub mod pattern;
pub mod peers;
pub mod play;
pub mod scram;
pub mod segment;
pub mod server;
pub mod steps;
pub mod texts;
pub mod tokens;
pub mod trial;
pub mod value;
pub mod wire;
