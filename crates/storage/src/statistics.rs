//! Figures about a store.

/// What a store did since it was opened, and how large it is. Sizes are in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Durable commits.
    pub commits: u64,
    /// Keys and values that they wrote.
    pub entry_bytes_committed: u64,
    /// Bodies that they wrote.
    pub bodies_committed: u64,
    /// The bytes of these bodies.
    pub body_bytes_committed: u64,
    /// Bodies that were there already.
    pub bodies_known_already: u64,
    /// Batches refused because the disk was full.
    pub batches_without_room: u64,
    /// How often an I/O error made the store open its tables again.
    pub tables_opened_again: u64,
    /// Size of the tables' file.
    pub table_bytes: u64,
    /// Packs in use.
    pub packs: u64,
    /// Size of the packs.
    pub pack_bytes: u64,
    /// Bodies in the index.
    pub bodies: u64,
    /// The bytes of the bodies in the index: what packs take beyond this is headers and bodies that were removed.
    pub body_bytes: u64,
}
