//! What FETCH can ask for.

use std::num::{NonZeroU32, NonZeroU64};

/// One data item of FETCH (RFC 9051 section 6.4.5), macros expanded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FetchItem {
    /// FLAGS
    Flags,
    /// INTERNALDATE
    InternalDate,
    /// RFC822: as `BODY[]`, sets \Seen
    Rfc822,
    /// RFC822.SIZE
    Rfc822Size,
    /// RFC822.HEADER: as `BODY.PEEK[HEADER]`
    Rfc822Header,
    /// RFC822.TEXT: as `BODY[TEXT]`, sets \Seen
    Rfc822Text,
    /// ENVELOPE
    Envelope,
    /// BODY: the structure without extension data
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
    /// `BODY[section]<partial>`, `BODY.PEEK[section]<partial>`
    Section {
        /// Which octets.
        section: Section,
        /// Which of these.
        partial: Option<Partial>,
        /// Whether \Seen is left alone.
        peek: bool,
    },
    /// `BINARY[part]<partial>`, `BINARY.PEEK[part]<partial>` (RFC 3516, RFC 9051): without its transfer encoding
    Binary {
        /// Numbers of parts from the outermost inwards; none for the message itself.
        part: Vec<NonZeroU32>,
        /// Which of the decoded octets.
        partial: Option<Partial>,
        /// Whether \Seen is left alone.
        peek: bool,
    },
    /// `BINARY.SIZE[part]`: how many octets `BINARY[part]` has
    BinarySize {
        /// As in [`FetchItem::Binary`].
        part: Vec<NonZeroU32>,
    },
    /// PREVIEW (RFC 8970). Whether it was `PREVIEW (LAZY)` makes no difference here: the work is bounded
    Preview,
    /// SAVEDATE (RFC 8514)
    SaveDate,
    /// UID
    Uid,
    /// MODSEQ (RFC 7162)
    Modseq,
    /// EMAILID (RFC 8474)
    EmailId,
    /// THREADID (RFC 8474)
    ThreadId,
}

impl FetchItem {
    /// Whether fetching it sets \Seen.
    pub fn sets_seen(&self) -> bool {
        matches!(
            self,
            FetchItem::Rfc822
                | FetchItem::Rfc822Text
                | FetchItem::Section { peek: false, .. }
                | FetchItem::Binary { peek: false, .. }
        )
    }
}

/// The part of a message that `BODY[..]` names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Section {
    /// Numbers of parts from the outermost inwards; none for the message itself.
    pub part: Vec<NonZeroU32>,
    /// What of it.
    pub text: SectionText,
}

/// What of a message or part is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SectionText {
    /// All of it: for a part its content, for the message header and text.
    Whole,
    /// HEADER: of the message, or of the message that the part holds.
    Header,
    /// HEADER.FIELDS; names as the client wrote them.
    HeaderFields(Vec<String>),
    /// HEADER.FIELDS.NOT; names as the client wrote them.
    HeaderFieldsNot(Vec<String>),
    /// TEXT: what follows the header.
    Text,
    /// MIME: the header of the part itself; never without a part.
    Mime,
}

/// `<first.count>`: some octets of a section. 64 bits wide since RFC 9051.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partial {
    /// Where to begin, from 0.
    pub first: u64,
    /// At most how many.
    pub count: NonZeroU64,
}
