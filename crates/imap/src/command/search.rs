//! What SEARCH can ask for.

use std::num::NonZeroU32;

use jiff::civil::Date;
use mailstore::crdt::flag::Flag;

use super::number_set::{SequenceSet, UidSet};
use super::partial_range::PartialRange;

/// SEARCH and UID SEARCH (RFC 9051 section 6.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Whether it was UID SEARCH, so that the answer has UIDs.
    pub uid: bool,
    /// In which form to answer: `None` for `* SEARCH`, else `* ESEARCH` (RFC 4731) with these.
    pub returned: Option<SearchReturn>,
    /// What CHARSET said.
    pub charset: SearchCharset,
    /// What a message has to be.
    pub key: SearchKey,
}

/// Result options of ESEARCH (RFC 4731 section 3.1); `RETURN ()` is ALL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReturn {
    /// The lowest number.
    pub min: bool,
    /// The highest number.
    pub max: bool,
    /// All numbers as a set.
    pub all: bool,
    /// How many there are.
    pub count: bool,
    /// Keep what is found for `$` (RFC 5182).
    pub save: bool,
    /// Some of the numbers (RFC 9394); never with `all`.
    pub partial: Option<PartialRange>,
}

/// The charset of the texts of a SEARCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchCharset {
    /// None given: the texts are UTF-8.
    Unstated,
    /// One that is known here: the texts are what the client meant.
    Supported,
    /// Another one: answer NO with BADCHARSET (RFC 9051 section 6.4.4); the texts mean nothing.
    Unsupported(String),
}

/// A search key; UNSEEN and its like are written `Not(Flagged(Seen))`.
///
/// Its depth is bounded by `decode::DEEPEST_SEARCH`, so walking it with recursion is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// ALL
    All,
    /// Every one of these; keys side by side or in parentheses.
    And(Vec<SearchKey>),
    /// OR
    Or(Box<SearchKey>, Box<SearchKey>),
    /// NOT
    Not(Box<SearchKey>),
    /// Sequence numbers; those beyond the mailbox match nothing.
    Sequence(SequenceSet),
    /// UID
    Uid(UidSet),
    /// `$`, as sequence numbers or as UIDs: what was saved last (RFC 5182)
    Saved,
    /// SEEN, ANSWERED, FLAGGED, DELETED, DRAFT, KEYWORD
    Flag(Flag),
    /// RECENT (NEW is `And([Recent, Not(Flag(Seen))])`, OLD is `Not(Recent)`)
    Recent,
    /// BEFORE: INTERNALDATE in its own zone is earlier than the day
    Before(Date),
    /// ON
    On(Date),
    /// SINCE
    Since(Date),
    /// SAVEDBEFORE: the save date (RFC 8514), in UTC, is earlier than the day
    SavedBefore(Date),
    /// SAVEDON
    SavedOn(Date),
    /// SAVEDSINCE
    SavedSince(Date),
    /// OLDER: INTERNALDATE is at least so many seconds ago (RFC 5032)
    Older(NonZeroU32),
    /// YOUNGER: INTERNALDATE is at most so many seconds ago (RFC 5032)
    Younger(NonZeroU32),
    /// SENTBEFORE: the Date field in its own zone is earlier than the day
    SentBefore(Date),
    /// SENTON
    SentOn(Date),
    /// SENTSINCE
    SentSince(Date),
    /// LARGER, in octets
    Larger(u64),
    /// SMALLER, in octets
    Smaller(u64),
    /// HEADER; FROM, TO, CC, BCC and SUBJECT are this with the name of that field
    Header {
        /// The name of the field, as written.
        name: String,
        /// What it has to contain; an empty text asks whether the field is there.
        text: String,
    },
    /// BODY
    Body(String),
    /// TEXT
    Text(String),
    /// MODSEQ at or above (RFC 7162 section 3.1.5); the entry name makes no difference here
    Modseq(u64),
    /// EMAILID (RFC 8474)
    EmailId(String),
    /// THREADID (RFC 8474)
    ThreadId(String),
}
