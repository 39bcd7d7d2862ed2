//! From operations to state. Every state here is a join of what single operations contribute: the order in which they
//! arrive, and how often, makes no difference.

pub mod access;
pub mod app_password;
pub mod cluster;
pub mod entry;
pub mod mailbox;
pub mod register;
