//! What a disk holds, read from the outside: who would lose what if it, or another one, were gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use crdt::fold::cluster::ClusterState;
use crdt::identity::{BodyHash, Incarnation, NodeSlot};
use crdt::vector::Vector;
use mailstore::rows;
use storage::{SimulatedDisk, Storage};

/// The log of a disk, by its vector, the cluster as it says, and the bodies.
pub(crate) struct Contents {
    pub(crate) vector: Vector,
    pub(crate) cluster: ClusterState,
    storage: Arc<Storage>,
}

impl Contents {
    pub(crate) fn read(storage: Arc<Storage>) -> Result<Self, String> {
        let reader = storage.reader().map_err(|error| error.to_string())?;
        let beginning = rows::read_beginning(&reader).map_err(|error| error.to_string())?;
        Ok(Contents { vector: beginning.vector, cluster: beginning.cluster, storage })
    }

    /// Of a copy of the disk: nothing is changed on it.
    pub(crate) fn of_disk(disk: &SimulatedDisk) -> Result<Self, String> {
        let storage = Storage::open(Arc::new(disk.snapshot())).map_err(|error| error.to_string())?;
        Contents::read(Arc::new(storage))
    }

    pub(crate) fn has_body(&self, hash: &BodyHash) -> bool {
        let hash = storage::BodyHash::from_bytes(hash.0);
        self.storage.body(&hash).is_ok_and(|body| body.is_some())
    }

    /// The lives that were lived in these slots.
    pub(crate) fn lives_in<'a>(
        &'a self,
        slots: &'a BTreeSet<NodeSlot>,
    ) -> impl Iterator<Item = Incarnation> + 'a {
        self.cluster.lives().filter(|(_, slot, _)| slots.contains(slot)).map(|(life, ..)| *life)
    }

    /// Whether a node with this key is a member, as far as this disk knows.
    pub(crate) fn knows(&self, key: &[u8; 32]) -> bool {
        self.cluster.living().any(|member| member.key == *key)
    }
}
