//! What one Peerpost node keeps: tables in redb, and message bodies in append-only packs beside them.
//!
//! ```text
//! data/
//!   lock            held by the process that has the store open
//!   tables.redb     every table of `schema`, the index of bodies, the table of packs
//!   packs/000001    bodies: shared packs of about 256 MiB, and packs of a single large body
//! ```
//!
//! The order of a commit makes a crash harmless: bodies are written and synced first, then one durable transaction of
//! the tables names them. A crash in between leaves bytes that nothing leads to; the next open removes them. So of a
//! batch everything is there or nothing, and a body that the index leads to is whole.
//!
//! Everything is synchronous and reaches the world through [`Disk`] alone: no thread, no clock, no entropy of its own.
//! A simulation hands in a [`SimulatedDisk`] and decides what a loss of power leaves.
//!
//! ```
//! use peerpost_storage::{Batch, SimulatedDisk, Storage, Table};
//! use std::sync::Arc;
//!
//! let storage = Storage::open(Arc::new(SimulatedDisk::new()))?;
//! let mut writer = storage.body_writer();
//! writer.write(b"Subject: hello\r\n\r\n")?;
//! let body = writer.finish()?;
//! let hash = body.hash();
//!
//! let mut batch = Batch::new();
//! batch.add_body(body);
//! batch.put(Table::Meta, "newest", *hash.as_bytes());
//! storage.commit(batch)?;
//!
//! assert!(storage.reader()?.get(Table::Meta, b"newest")?.is_some());
//! assert_eq!(storage.body(&hash)?.unwrap().read(9..14)?, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod body;
mod disk;
mod error;
pub mod left_out;
mod reader;
pub mod schema;
mod statistics;
mod storage;
mod tables;

pub use batch::{Batch, MAXIMUM_BATCH_BYTES, MAXIMUM_KEY_BYTES, MAXIMUM_VALUE_BYTES};
pub use body::verify::{DamagedBody, VerifyProgress};
pub use body::writer::{BodyWriter, SMALL_BODY_BYTES, StagedBody};
pub use body::{BLOCK_BYTES, Body, BodyHash, MAXIMUM_BODY_BYTES};
pub use disk::{Create, Disk, File, LockError, RealDisk, SimulatedDisk};
pub use error::{BodyError, CommitError, OpenError, ReadError};
pub use reader::{Entries, Entry, Reader};
pub use schema::Table;
pub use statistics::Statistics;
pub use storage::{FORMAT, Storage};
