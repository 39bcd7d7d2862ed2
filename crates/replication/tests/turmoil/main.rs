//! The shell with the real quinn and the real TLS over a simulated network, on real mail stores over simulated disks.
//!
//! `turmoil` gives every node a runtime of its own on one thread, with a clock that it steps by a millisecond, and a network
//! with seeded delays, losses and cuts. What it cannot do the other simulations do (`peerpost-simulation`): packets never come
//! twice, and a node never dies inside a write.
//!
//! `PEERPOST_SEEDS=first..last` plays other seeds.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test: tokio's clock is simulated here"
)]

mod chance;
mod committer;
mod environment;
mod invitation;
mod machine;
mod process;
mod socket;
mod store;
mod trace;
mod world;

mod crashes;
mod joins;
mod links;
mod partitions;
mod storm;
mod weather;
