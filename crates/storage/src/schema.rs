//! The tables of a node, and what their keys are made of.
//!
//! Keys and values are bytes; the crates above encode them. Keys sort as bytes, so numbers inside them are written
//! big-endian and fixed in width, and a name of variable length stands last or is preceded by its length. In the
//! layouts below `‖` joins parts; an account, a mailbox and an incarnation are 16 bytes, a body's hash 32, a node and
//! a sequence 8, a segment 24, an index and a UID 4, a MODSEQ 8.
//!
//! Two kinds of table differ in what their loss means. **Primary** tables hold what no other table can give back.
//! **Views** follow from primary tables and can be built again from them.

/// Names one table of the store.
///
/// The order of the variants is no part of the format, the names are: see [`Table::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Primary. Facts about this node: name → value. Its identity, its keys, its incarnation, its clock.
    Meta,
    /// Primary. Operations as their origin encoded them: account ‖ node ‖ incarnation ‖ sequence → change bytes.
    Log,
    /// Primary. How far each chain of operations goes: account ‖ node ‖ incarnation → last sequence and its hash.
    Chains,
    /// View. Saved documents, so that a log need not be replayed from its start: account ‖ document → document.
    Snapshots,
    /// View. What is known of a message in a mailbox: account ‖ segment ‖ index → entry.
    Entries,
    /// View. What a list of messages needs, without the body: body hash → envelope, structure, preview.
    Summaries,
    /// Primary. What clients were told: account ‖ mailbox ‖ epoch ‖ UID → entry.
    Shown,
    /// Primary. What was announced for a mailbox: account ‖ mailbox ‖ epoch → UIDNEXT, HIGHESTMODSEQ.
    Announced,
    /// View. What changed after a MODSEQ: account ‖ mailbox ‖ MODSEQ → entries.
    Changes,
    /// Primary. From another node's MODSEQ to this node's: account ‖ mailbox ‖ slot ‖ MODSEQ → MODSEQ.
    Translations,
    /// View. The mailboxes of an account: account ‖ mailbox → name, attributes, counts.
    Mailboxes,
    /// View. The accounts: account → name, password hash, limits.
    Accounts,
    /// View. From what a user types to the account: name → account.
    Names,
    /// Primary. Membership: nodes, slots, addresses, keys.
    Cluster,
    /// Primary. What was accepted from whom, so that a second attempt is known: account ‖ fingerprint → entry.
    Deliveries,
    /// View. What merges did, for people: account ‖ timestamp → story.
    History,
    /// Primary. Operations that could not be applied, kept apart: account ‖ node ‖ incarnation ‖ sequence → reason.
    Quarantine,
    /// View. Where each body is used: body hash ‖ account ‖ segment ‖ index → nothing.
    BodyUses,
    /// Primary. Bodies that operations name and this node lacks: body hash → who may have it.
    BodiesMissing,
}

impl Table {
    /// Every table.
    pub const ALL: [Table; 19] = [
        Table::Meta,
        Table::Log,
        Table::Chains,
        Table::Snapshots,
        Table::Entries,
        Table::Summaries,
        Table::Shown,
        Table::Announced,
        Table::Changes,
        Table::Translations,
        Table::Mailboxes,
        Table::Accounts,
        Table::Names,
        Table::Cluster,
        Table::Deliveries,
        Table::History,
        Table::Quarantine,
        Table::BodyUses,
        Table::BodiesMissing,
    ];

    /// The table's name in the file: part of the format, never changed and never used again for something else.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Log => "log",
            Table::Chains => "chains",
            Table::Snapshots => "snapshots",
            Table::Entries => "entries",
            Table::Summaries => "summaries",
            Table::Shown => "shown",
            Table::Announced => "announced",
            Table::Changes => "changes",
            Table::Translations => "translations",
            Table::Mailboxes => "mailboxes",
            Table::Accounts => "accounts",
            Table::Names => "names",
            Table::Cluster => "cluster",
            Table::Deliveries => "deliveries",
            Table::History => "history",
            Table::Quarantine => "quarantine",
            Table::BodyUses => "body-uses",
            Table::BodiesMissing => "bodies-missing",
        }
    }
}

/// A table as the store sees it: one of the public ones, or one that it keeps for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// What the crates above use.
    Public(Table),
    /// Body hash → where its bytes are.
    Bodies,
    /// Pack number, big-endian → how full it is.
    Packs,
    /// Facts about the format, out of reach of any batch.
    Format,
}

impl Place {
    /// How many places there are.
    pub(crate) const COUNT: usize = Table::ALL.len() + 3;

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Place::Public(table) => table.name(),
            Place::Bodies => "store-bodies",
            Place::Packs => "store-packs",
            Place::Format => "store-format",
        }
    }

    /// A number below [`Place::COUNT`], for arrays in memory; no part of the format.
    pub(crate) const fn index(self) -> usize {
        match self {
            Place::Public(table) => table as usize,
            Place::Bodies => Table::ALL.len(),
            Place::Packs => Table::ALL.len() + 1,
            Place::Format => Table::ALL.len() + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_indexes_are_distinct() {
        let mut places: Vec<Place> = Table::ALL.into_iter().map(Place::Public).collect();
        places.extend([Place::Bodies, Place::Packs, Place::Format]);
        assert_eq!(places.iter().map(|place| place.name()).collect::<BTreeSet<_>>().len(), Place::COUNT);
        assert_eq!(places.iter().map(|place| place.index()).collect::<BTreeSet<_>>().len(), Place::COUNT);
        assert!(places.iter().all(|place| place.index() < Place::COUNT));
    }
}
