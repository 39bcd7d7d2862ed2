//! What a node is: written once, when its data directory is made.

use crdt::identity::NodeSlot;
use crdt::replica::ArchiveError;
use serde::{Deserialize, Serialize};
use storage::{Batch, Storage, Table};

use crate::rows::{self, IDENTITY};

/// The cluster and slot of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeIdentity {
    /// The cluster, a random name.
    pub cluster: [u8; 16],
    /// The slot of this node.
    pub slot: NodeSlot,
    /// The name of this node.
    pub name: String,
}

impl NodeIdentity {
    /// What the store says this node is; none where the store is new.
    pub fn read(storage: &Storage) -> Result<Option<Self>, ArchiveError> {
        let failed = |error: storage::ReadError| ArchiveError(error.to_string());
        let row = storage.reader().map_err(failed)?.get(Table::Meta, IDENTITY).map_err(failed)?;
        row.map(|bytes| rows::decode(Table::Meta, &bytes)).transpose()
    }

    /// Writes it, durably, into a new store.
    pub fn write(&self, storage: &Storage) -> Result<(), storage::CommitError> {
        let mut batch = Batch::new();
        batch.put(Table::Meta, IDENTITY, rows::encode(self));
        storage.commit(batch)
    }
}
