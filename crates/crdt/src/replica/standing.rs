//! Rule 8: whether this life continues where the last one on this disk ended, as far as the other members can tell.

use serde::{Deserialize, Serialize};

use crate::identity::Incarnation;
use crate::vector::Sequence;

/// What a peer says of a life whose first record it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The peer knows nothing that speaks against it.
    Confirmed,
    /// The peer holds more of the life before than this one sealed: the disk was rolled back.
    HoldsMore {
        /// The last record of the life before that the peer holds.
        held: Sequence,
    },
    /// The peer holds other records of the life before under the same numbers.
    OtherHash,
    /// Another life has sealed the same life before: one disk was started twice.
    SealedTwice {
        /// The other life.
        other: Incarnation,
    },
}
