//! The placement of entries at UIDs: which numbers a node may give, and what it does about entries that come and go.
//!
//! The rules and their reasons stand in `docs/uid-mapping.md`.

pub mod admission;
pub mod announcement;
pub mod blocks;
pub mod looks;
pub mod shown;
