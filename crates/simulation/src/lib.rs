//! Whole nodes under one seed: real stores on simulated disks, real replication over a simulated network, clients, faults.
//!
//! [`run`] plays one seed. Everything that happens follows from it, so a seed that fails fails again, and two runs of one
//! seed write the same [`trace::Trace`]. What is checked ([`ledger`]) sees only what clients saw and what was accepted.
//!
//! ```text
//! clients ──requests──▶ mailstore ──▶ storage ──▶ SimulatedDisk
//!    ▲                     │  ▲
//!    └──answers, views─────┘  │ deltas, bodies
//!                         Replicator ◀──frames──▶ network ◀──▶ other nodes
//! ```

mod chance;
mod client;
pub mod cost;
mod counts;
pub mod ledger;
mod network;
mod node;
mod run;
mod settings;
pub mod trace;
mod world;

pub use counts::Counts;
pub use run::{Failure, Report, run, seeds_from};
pub use settings::Settings;
