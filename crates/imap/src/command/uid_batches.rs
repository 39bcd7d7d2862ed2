//! What UIDBATCHES asks for.

use std::num::NonZeroU32;

/// UIDBATCHES (RFC 10022).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UidBatches {
    /// How many messages a batch shall have.
    pub size: NonZeroU32,
    /// Which of the batches, from 1 for that of the highest UIDs, the ends as the client wrote them; all where it named none.
    pub part: Option<(NonZeroU32, NonZeroU32)>,
}
