//! Registers: the smallest states that two nodes can change apart and unite.

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::left_out::{LeftOut, leaves_out};

/// A last-writer-wins register. Uniting two is commutative, associative and idempotent, as stamps are unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Latest<T> {
    /// When it was written last; [`Stamp::ZERO`] for what it held from the beginning.
    pub stamp: Stamp,
    /// What.
    pub value: T,
}

impl<T> Latest<T> {
    /// A register that holds `value` from the beginning.
    pub fn initial(value: T) -> Self {
        Latest { stamp: Stamp::ZERO, value }
    }

    /// Writes, unless something later was written. Tells whether it did.
    pub fn write(&mut self, stamp: Stamp, value: T) -> bool {
        let later = stamp > self.stamp || leaves_out(LeftOut::LatestWriteCounts);
        if later {
            *self = Latest { stamp, value };
        }
        later
    }
}
