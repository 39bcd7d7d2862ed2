//! Replication between the nodes of a cluster: membership, QUIC links, anti-entropy, bodies, joining.
//!
//! [`Replicator`] is the whole protocol as a state machine without I/O; [`shell`] drives it over QUIC, against a
//! [`store::Store`].

pub mod event;
mod exchange;
mod fetch;
pub mod frame;
pub mod identity;
pub mod join;
pub mod limits;
mod link;
mod peer;
pub mod replicator;
pub mod shell;
pub mod status;
pub mod store;
mod tls;

pub use replicator::{Identity, Replicator};
