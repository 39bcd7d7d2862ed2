//! The handle that sessions, deliveries and replication hold. Cheap to clone.
//!
//! Signatures that the layers above rely on; see each method.

