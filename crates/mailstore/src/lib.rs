//! The one door to the mail on a node: accounts, mailboxes, append, flags, move, expunge, watch, apply delta, delta since.
//!
//! Everything that changes goes through the [`committer`], which commits what all sessions asked for meanwhile as one
//! durable transaction. Everything that is read comes from views.

pub mod account;
pub mod activity;
pub mod committer;
pub mod explain;
pub mod history;
pub mod identity;
pub mod inline;
mod job;
pub mod names;
pub mod notices;
pub mod password;
mod published;
pub mod request;
pub mod rows;
pub mod sharing;
pub mod shell;
pub mod snapshots;
mod store;
mod structures;
pub mod verify;

pub use crdt;
pub use job::Granted;
pub use message;
pub use request::{Authenticated, Look, NewMessage, Reply, Request, RequestError};
pub use storage::{Body, BodyError, BodyWriter, ReadError, StagedBody, Storage};
pub use store::{Mailstore, Offload, Structures};
