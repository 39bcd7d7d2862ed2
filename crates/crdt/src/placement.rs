//! The placement of entries at UIDs: which numbers a node may give, and what it does about entries that come and go.
//!
//! The rules and their reasons stand in `docs/uid-mapping.md`.

pub mod admission;
mod adoption;
pub mod announcement;
pub mod blocks;
pub mod founding;
pub(crate) mod limit;
pub mod looks;
pub mod reach;
pub mod shown;
pub mod surroundings;
