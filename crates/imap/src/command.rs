//! The commands of IMAP as the session understands them, whoever decoded them.
//!
//! Everything is parsed once into a type that carries the proof: mailbox names are UTF-8, macros of FETCH are expanded,
//! UIDs and sequence numbers are different types, flags are flags of the store.

mod access;
mod fetch;
mod list;
mod metadata;
mod multi_search;
mod notify;
mod number_set;
mod partial_range;
mod resync;
mod search;
mod sort;
mod uid_batches;

use std::fmt;

use mailstore::crdt::flag::{Flag, FlagChange};
use mailstore::crdt::view::ReceivedAt;

pub use access::RightsChange;
pub use fetch::{FetchItem, Partial, Section, SectionText};
pub use list::{ListReturn, ListSelection, StatusItem};
pub use metadata::{Depth, EntryName};
pub use multi_search::{MultiSearch, SearchSource};
pub use notify::{EventGroup, Events, MailboxFilter, Notify, NotifySelected, NotifySet};
pub use number_set::{Bound, Messages, Number, NumberSet, SequenceNumber, SequenceSet, UidSet};
pub use partial_range::PartialRange;
pub(crate) use resync::match_runs;
pub use resync::{MatchRun, Resync};
pub use search::{Search, SearchCharset, SearchKey, SearchReturn};
pub use sort::{Sort, SortCriterion, SortKey, Thread, ThreadAlgorithm};
pub use uid_batches::UidBatches;

/// The longest tag that is accepted, in octets.
pub const LONGEST_TAG: usize = 256;

/// A command with its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What the answer has to begin with.
    pub tag: Tag,
    /// What is to be done.
    pub body: CommandBody,
}

/// The tag of a command: one or more ASTRING-CHARs except `+` (RFC 9051 section 9: `tag`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// A tag, unless the octets are none by the grammar or too many.
    pub fn new(octets: &[u8]) -> Option<Self> {
        let allowed = |octet: &u8| octet.is_ascii_graphic() && !b"(){%*\"\\+".contains(octet);
        let valid = (1..=LONGEST_TAG).contains(&octets.len()) && octets.iter().all(allowed);
        valid.then(|| Tag(octets.iter().copied().map(char::from).collect()))
    }

    /// The tag as the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A password in clear text; it never shows in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What a command asks for. APPEND is not among them: its literals stream, see [`AppendEvent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandBody {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// STARTTLS
    StartTls,
    /// LOGIN
    Login {
        /// The account's name.
        name: String,
        /// Its password.
        password: Password,
    },
    /// AUTHENTICATE
    Authenticate {
        /// The SASL mechanism, in capitals.
        mechanism: String,
        /// The initial response of RFC 4959, already out of its base64; `=` gives an empty one.
        initial_response: Option<SaslResponse>,
    },
    /// UNAUTHENTICATE (RFC 8437)
    Unauthenticate,
    /// COMPRESS (RFC 4978)
    Compress {
        /// The name of the mechanism, in capitals.
        mechanism: String,
    },
    /// ENABLE (RFC 5161)
    Enable {
        /// Names of extensions, in capitals.
        capabilities: Vec<String>,
    },
    /// ID (RFC 2971)
    Id {
        /// What the client says of itself; `NIL` gives none.
        parameters: Vec<(String, Option<String>)>,
    },
    /// NAMESPACE (RFC 2342)
    Namespace,
    /// SELECT, EXAMINE
    Select {
        /// The mailbox.
        mailbox: String,
        /// Whether it was EXAMINE.
        read_only: bool,
        /// Whether the CONDSTORE parameter was given (RFC 7162 section 3.1.8).
        condstore: bool,
        /// What the client knows of the mailbox (RFC 7162 section 3.2.5).
        resync: Option<Resync>,
    },
    /// CREATE
    Create {
        /// The mailbox to be; a trailing separator is still there.
        mailbox: String,
        /// `USE (..)` of RFC 6154 section 3, such as `\Archive`, as written.
        special_uses: Vec<String>,
    },
    /// DELETE
    Delete {
        /// The mailbox.
        mailbox: String,
    },
    /// RENAME
    Rename {
        /// The name now.
        from: String,
        /// The name to be.
        to: String,
    },
    /// SUBSCRIBE
    Subscribe {
        /// The name.
        mailbox: String,
    },
    /// UNSUBSCRIBE
    Unsubscribe {
        /// The name.
        mailbox: String,
    },
    /// LIST, also in its extended form (RFC 5258)
    List {
        /// The reference name.
        reference: String,
        /// The patterns; more than one only in the extended form.
        patterns: Vec<String>,
        /// Selection options.
        selection: ListSelection,
        /// Return options.
        returned: ListReturn,
    },
    /// LSUB
    Lsub {
        /// The reference name.
        reference: String,
        /// The pattern.
        pattern: String,
    },
    /// STATUS
    Status {
        /// The mailbox.
        mailbox: String,
        /// What to tell of it, in the client's order, each once.
        items: Vec<StatusItem>,
    },
    /// GETMETADATA (RFC 5464 section 4.2)
    GetMetadata {
        /// The mailbox; empty for the account.
        mailbox: String,
        /// Which annotations.
        names: Vec<EntryName>,
        /// How far below them.
        depth: Depth,
        /// The longest value that is wanted, in octets.
        longest: Option<u64>,
    },
    /// SETMETADATA (RFC 5464 section 4.3)
    SetMetadata {
        /// The mailbox; empty for the account.
        mailbox: String,
        /// Names and values; NIL takes an annotation away.
        changes: Vec<(EntryName, Option<Vec<u8>>)>,
    },
    /// GETQUOTA (RFC 9208 section 4.1.1)
    GetQuota {
        /// The quota root.
        root: String,
    },
    /// GETQUOTAROOT (RFC 9208 section 4.1.2)
    GetQuotaRoot {
        /// The mailbox.
        mailbox: String,
    },
    /// SETQUOTA (RFC 9208 section 4.1.3), which no client may
    SetQuota,
    /// GETACL (RFC 4314 section 3.3)
    GetAcl {
        /// The mailbox.
        mailbox: String,
    },
    /// SETACL (RFC 4314 section 3.1)
    SetAcl {
        /// The mailbox.
        mailbox: String,
        /// Whose rights.
        identifier: String,
        /// What becomes of them.
        change: RightsChange,
    },
    /// DELETEACL (RFC 4314 section 3.2)
    DeleteAcl {
        /// The mailbox.
        mailbox: String,
        /// Whose entry.
        identifier: String,
    },
    /// LISTRIGHTS (RFC 4314 section 3.4)
    ListRights {
        /// The mailbox.
        mailbox: String,
        /// Whose rights.
        identifier: String,
    },
    /// MYRIGHTS (RFC 4314 section 3.5)
    MyRights {
        /// The mailbox.
        mailbox: String,
    },
    /// CHECK
    Check,
    /// CLOSE
    Close,
    /// UNSELECT (RFC 3691)
    Unselect,
    /// IDLE (RFC 2177)
    Idle,
    /// NOTIFY (RFC 5465)
    Notify(Notify),
    /// EXPUNGE, or UID EXPUNGE (RFC 4315) with its set
    Expunge {
        /// The messages that UID EXPUNGE is restricted to, by UID.
        messages: Option<Messages>,
    },
    /// UIDBATCHES
    UidBatches(UidBatches),
    /// SEARCH, UID SEARCH
    Search(Search),
    /// ESEARCH
    MultiSearch(MultiSearch),
    /// SORT, UID SORT
    Sort(Sort),
    /// THREAD, UID THREAD
    Thread(Thread),
    /// FETCH, UID FETCH
    Fetch {
        /// Of which messages; [`Messages::Uids`] where it was UID FETCH.
        messages: Messages,
        /// What; macros expanded, each once. The UID that UID FETCH implies is not added.
        items: Vec<FetchItem>,
        /// CHANGEDSINCE (RFC 7162 section 3.1.4.1).
        changed_since: Option<u64>,
        /// VANISHED (RFC 7162 section 3.2.6); only with UIDs and CHANGEDSINCE.
        vanished: bool,
        /// PARTIAL (RFC 9394 section 3.3); only with UIDs.
        partial: Option<PartialRange>,
    },
    /// STORE, UID STORE
    Store {
        /// Which messages; [`Messages::Uids`] where it was UID STORE.
        messages: Messages,
        /// How.
        change: FlagChange,
        /// Whether `.SILENT` was given.
        silent: bool,
        /// The flags. \Recent, which no client can change, is left out.
        flags: Vec<Flag>,
        /// UNCHANGEDSINCE (RFC 7162 section 3.1.3); 0 is allowed.
        unchanged_since: Option<u64>,
    },
    /// COPY, UID COPY
    Copy {
        /// Which messages.
        messages: Messages,
        /// Into which mailbox.
        mailbox: String,
    },
    /// MOVE, UID MOVE (RFC 6851)
    Move {
        /// Which messages.
        messages: Messages,
        /// Into which mailbox.
        mailbox: String,
    },
}

/// A SASL response out of its base64; it holds passwords, so it never shows in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslResponse(pub Vec<u8>);

impl fmt::Debug for SaslResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaslResponse(..)")
    }
}

/// An APPEND or REPLACE (RFC 8508) as it comes in, piece by piece: `Start (message Next)* message (Finish | Broken)`, where a
/// message is `Data* End`, or with CATENATE `(Url | Text Data* End)* Close`.
///
/// `Start`, `Next` and `Text` ask whether the literal is wanted. A session that takes it answers with its `AcceptLiteral` action
/// and writes nothing (the shell writes the continuation where the literal is a synchronising one). A session that does not
/// writes a tagged NO and answers with any other action: the shell then discards the rest of that command by itself, and
/// nothing more of this APPEND is told. The session compares the size with its limit, before an octet of the message comes.
#[derive(Debug, PartialEq, Eq)]
pub enum AppendEvent<'a> {
    /// The command up to its first literal.
    Start {
        /// The tag.
        tag: Tag,
        /// The mailbox.
        mailbox: String,
        /// The message that REPLACE wants gone, which is one; `None` where it is APPEND.
        replaced: Option<Messages>,
        /// The first message.
        message: AppendMessage,
    },
    /// A further message of the same command (MULTIAPPEND, RFC 3502).
    Next(AppendMessage),
    /// A part of the message that CATENATE puts together: what this URL points at.
    Url(String),
    /// A part of the message that CATENATE puts together: a literal. Asks whether it is wanted.
    Text {
        /// The number of octets to come.
        size: u64,
        /// In which form they come.
        form: AppendForm,
    },
    /// The message that CATENATE puts together is complete.
    Close,
    /// Some octets of the literal.
    Data(&'a [u8]),
    /// The literal is complete.
    End,
    /// The command is complete: append everything, or nothing.
    Finish,
    /// The command went wrong after a literal: append nothing, answer a tagged BAD.
    Broken {
        /// Why.
        text: String,
    },
}

/// What is said of a message before its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendMessage {
    /// The flags to start with.
    pub flags: Vec<Flag>,
    /// INTERNALDATE.
    pub received: Option<ReceivedAt>,
    /// The number of octets to come.
    pub size: u64,
    /// In which form they come.
    pub form: AppendForm,
}

/// How the octets of an appended message come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppendForm {
    /// As a literal.
    #[default]
    Literal,
    /// As a literal8 (RFC 9051 section 4.3.1), which may hold NUL octets.
    Literal8,
    /// As a literal8 in `UTF8 (..)` (RFC 6855 section 4).
    Utf8,
    /// As parts that CATENATE puts together (RFC 4469); the size is not known before.
    Catenate,
}

/// What an APPEND says between its literals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendStep {
    /// A message begins, and its literal follows unless it is one of CATENATE.
    Message(AppendMessage),
    /// A part of the message: what the URL points at.
    Url(String),
    /// A part of the message: a literal, which follows.
    Text {
        /// The number of octets to come.
        size: u64,
        /// In which form they come.
        form: AppendForm,
    },
    /// The message of CATENATE is complete.
    Close,
}
