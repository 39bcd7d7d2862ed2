//! The tables of a node, and what their keys are made of.
//!
//! Keys and values are bytes; the crates above encode them. Keys sort as bytes, so numbers inside them are written
//! big-endian and fixed in width. In the layouts below `‖` joins parts; an account, a mailbox and an incarnation are 16
//! bytes, a body's hash 32, a sequence and a timestamp 8, a segment is its incarnation and a number of 4, an entry is its
//! segment and an index of 2, and a document is the postcard encoding of its name. An account's rows share its 16 bytes
//! as their prefix.
//!
//! Two kinds of table differ in what their loss means. **Primary** tables hold what no other table can give back.
//! **Views** follow from primary tables and can be built again from them.

/// Names one table of the store.
///
/// The order of the variants is no part of the format, the names are: see [`Table::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Primary. Facts about this node: name → value. `identity`, `clock`, `incarnation`, and `vector:` ‖ incarnation → the
    /// last sequence that is here; `heard:` ‖ slot → timestamp; invitations of the binary.
    Meta,
    /// Primary. Records as their origin encoded them: incarnation ‖ sequence → document and change.
    Log,
    /// View. Where the chain of an author in a document ends: document ‖ incarnation → length, hash, operations.
    Chains,
    /// View. Saved documents, so that `verify` need not build them from their first change: document → what is covered of
    /// each author's chain, and the saved document.
    Snapshots,
    /// Primary. Documents of which no snapshot can be made: document → why.
    Quarantine,
    /// View. The cluster as folded from its document: `state` → members, lives, grants.
    Cluster,
    /// View. The accounts as folded from their documents: account → name, password, subscriptions, validities.
    Accounts,
    /// View. The mailboxes as folded: account ‖ mailbox → name, special use, epoch.
    Mailboxes,
    /// View. The entries as folded, in chunks of 32: account ‖ segment ‖ chunk, 2 bytes → entries.
    Entries,
    /// Primary. What was announced for a mailbox: account ‖ mailbox → UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ,
    /// and up to which MODSEQ vanished UIDs are forgotten.
    Announced,
    /// Primary. What clients were shown, in chunks of 64 UIDs: account ‖ mailbox ‖ chunk, 4 bytes → UIDs, entries, MODSEQs.
    Shown,
    /// Primary. UIDs that name nothing any more: account ‖ mailbox ‖ the last of the MODSEQs, 8 bytes → MODSEQs, UIDs.
    Vanished,
    /// View. Of every account the last record of each life that concerns it: account → vector.
    Touched,
    /// View. The scanned structure of a body: body hash → version and structure.
    Summaries,
    /// Primary. Bodies that entries name and this node lacks, by body: body hash ‖ account ‖ entry → length of the body.
    BodiesMissing,
    /// Primary. The same by account: account ‖ entry → nothing.
    EntriesAbsent,
    /// Primary. What merges that go on do here, for people: account ‖ timestamp → merge. It becomes a notice when it is over.
    History,
    /// Primary. What nodes told of themselves, as they encoded it: slot, 1 byte ‖ timestamp → notice. A node has heard each
    /// up to the moment in [`Table::Meta`] under `heard:` ‖ slot.
    Notices,
    /// Primary. The notice of each node in which it tells what it announced last for a mailbox: account ‖ mailbox ‖ slot, 1 byte
    /// → timestamp.
    Announcements,
    /// Primary. The notices in which nodes tell what merges did there: account ‖ slot, 1 byte ‖ timestamp → nothing.
    Merges,
    /// Primary. The notice of each node in which it judges the latest life that it knows of another: slot of the judged, 1 byte ‖
    /// slot of the judge, 1 byte → timestamp.
    Verdicts,
}

impl Table {
    /// Every table.
    pub const ALL: [Table; 21] = [
        Table::Meta,
        Table::Log,
        Table::Chains,
        Table::Snapshots,
        Table::Quarantine,
        Table::Cluster,
        Table::Accounts,
        Table::Mailboxes,
        Table::Entries,
        Table::Announced,
        Table::Shown,
        Table::Vanished,
        Table::Touched,
        Table::Summaries,
        Table::BodiesMissing,
        Table::EntriesAbsent,
        Table::History,
        Table::Notices,
        Table::Announcements,
        Table::Merges,
        Table::Verdicts,
    ];

    /// The table's name in the file: part of the format, never changed and never used again for something else.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Log => "log",
            Table::Chains => "chains",
            Table::Snapshots => "snapshots",
            Table::Quarantine => "quarantine",
            Table::Cluster => "cluster",
            Table::Accounts => "accounts",
            Table::Mailboxes => "mailboxes",
            Table::Entries => "entries",
            Table::Announced => "announced",
            Table::Shown => "shown",
            Table::Vanished => "vanished",
            Table::Touched => "touched",
            Table::Summaries => "summaries",
            Table::BodiesMissing => "bodies-missing",
            Table::EntriesAbsent => "entries-absent",
            Table::History => "history",
            Table::Notices => "notices",
            Table::Announcements => "announcements",
            Table::Merges => "merges",
            Table::Verdicts => "verdicts",
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
