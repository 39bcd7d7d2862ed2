//! Base subjects, each kept once.

use std::collections::BTreeMap;

/// Stands for a base subject, texts that the collation holds for equal being one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SubjectId(usize);

impl SubjectId {
    /// The subject of messages that have none.
    pub(super) const EMPTY: SubjectId = SubjectId(0);
}

/// The base subjects that were met.
#[derive(Default)]
pub(super) struct Subjects {
    ids: BTreeMap<Box<str>, SubjectId>,
    octets: usize,
}

/// What an entry of a table costs beside its octets.
pub(super) const ENTRY_COST: usize = 64;

impl Subjects {
    /// The subject of this text, as the collation has it.
    pub(super) fn of(&mut self, text: String) -> SubjectId {
        if text.is_empty() {
            return SubjectId::EMPTY;
        }
        if let Some(known) = self.ids.get(text.as_str()) {
            return *known;
        }
        self.octets += text.len() + ENTRY_COST;
        let id = SubjectId(self.ids.len() + 1);
        self.ids.insert(text.into(), id);
        id
    }

    /// About what is kept.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }
}
