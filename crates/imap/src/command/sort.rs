//! What SORT and THREAD can ask for (RFC 5256).

use super::search::Search;

/// SORT and UID SORT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// Which messages, and in which form to answer: `None` for `* SORT`, else `* ESEARCH` (RFC 5267 section 3).
    pub search: Search,
    /// By what, the first before the others; not empty, each key once.
    pub criteria: Vec<SortCriterion>,
}

/// A key with its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortCriterion {
    /// By what.
    pub key: SortKey,
    /// Whether REVERSE stood before it.
    pub reverse: bool,
}

/// What messages are sorted by (RFC 5256 section 3, RFC 5957 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// ARRIVAL: INTERNALDATE.
    Arrival,
    /// CC: the mailbox of the first address.
    Cc,
    /// DATE: when it was sent.
    Date,
    /// DISPLAYFROM: the name of the first address, or else the address.
    DisplayFrom,
    /// DISPLAYTO
    DisplayTo,
    /// FROM
    From,
    /// SIZE
    Size,
    /// SUBJECT: the base subject.
    Subject,
    /// TO
    To,
}

/// THREAD and UID THREAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Which messages.
    pub search: Search,
    /// How threads are found.
    pub algorithm: ThreadAlgorithm,
}

/// How messages are put into threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadAlgorithm {
    /// ORDEREDSUBJECT: by base subject alone (RFC 5256 section 3).
    OrderedSubject,
    /// REFERENCES: by the messages that messages refer to, then by base subject (RFC 5256 section 3).
    References,
    /// REFS: by the messages that messages refer to, the thread with the newest message last
    /// (draft-ietf-morg-inthread section 2).
    Refs,
}
