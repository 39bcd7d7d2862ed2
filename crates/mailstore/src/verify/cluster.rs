//! The cluster's document, and the state that is stored of it.

use crdt::fold::cluster::ClusterState;
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
        self.cluster = folded;
        Ok(())
    }
}
