//! The cluster's document, and the state that is stored of it.

use crdt::fold::cluster::ClusterState;
use crdt::identity::Incarnation;
use crdt::operation::DocumentId;
use crdt::replica::ArchiveError;
use storage::Table;

use super::Verification;
use super::log::Index;
use crate::rows::{self, failed};

impl Verification<'_> {
    /// Folds the cluster anew; from then on it is known who wrote what.
    pub(super) fn compare_cluster(&mut self, index: &Index) -> Result<(), ArchiveError> {
        let stored = self.reader.get(Table::Cluster, rows::CLUSTER).map_err(failed)?;
        let stored = stored.map(|row| rows::decode::<ClusterState>(Table::Cluster, &row));
        let own = self.reader.get(Table::Meta, rows::INCARNATION).map_err(failed)?;
        let own = own.and_then(|own| Incarnation::from_slice(&own));
        // Slots are needed to tell foreign chains from own ones; until the fold is done the stored ones have to do.
        if let Some(Ok(state)) = &stored {
            self.cluster = state.clone();
            self.own_slot = own.and_then(|own| state.slot_of(&own));
        }
        let Some(operations) = self.document(index, &DocumentId::Cluster)? else { return Ok(()) };
        let mut folded = ClusterState::default();
        for (stamp, operation) in &operations {
            folded.fold(*stamp, operation);
        }
        let what = match &stored {
            Some(Ok(stored)) if *stored == folded => None,
            None if folded == ClusterState::default() => None,
            Some(Ok(_)) => {
                Some("the stored state of the cluster differs from what its operations make".to_owned())
            }
            Some(Err(error)) => Some(format!("the stored state of the cluster cannot be read: {error}")),
            None => Some("the state of the cluster is not stored".to_owned()),
        };
        if let Some(what) = what
            && self.find_repairable(what)
        {
            self.batch.put(Table::Cluster, rows::CLUSTER, rows::encode(&folded));
        }
        self.own_slot = own.and_then(|own| folded.slot_of(&own));
        self.cluster = folded;
        Ok(())
    }
}
