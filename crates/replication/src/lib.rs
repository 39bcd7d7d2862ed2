//! Replication between the nodes of a cluster: membership, QUIC links, anti-entropy, bodies, joining.
//!
//! [`Replicator`] is the whole protocol as a state machine without I/O; [`shell`] drives it over QUIC.

pub mod event;
mod fetch;
pub mod frame;
pub mod limits;
mod link;
mod peer;
pub mod replicator;
pub mod status;

pub use replicator::{Identity, Replicator};
