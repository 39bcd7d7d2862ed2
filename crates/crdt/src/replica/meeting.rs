//! Two nodes that meet again exchange vectors and announcements before either reissues anything (rule 6).

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::identity::NodeSlot;
use crate::vector::Vector;

/// What a peer had when its link came up: until all of it is here, too little is known to choose UIDs well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meeting {
    /// Its records.
    pub vector: Vector,
    /// Up to which moment it had heard what each node tells of itself.
    pub heard: BTreeMap<NodeSlot, Timestamp>,
}
