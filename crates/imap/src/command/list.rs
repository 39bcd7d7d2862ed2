//! Options of LIST and items of STATUS.

use super::EntryName;

/// Selection options of LIST (RFC 5258 section 3.1, RFC 6154 section 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListSelection {
    /// Only subscribed names, also of mailboxes that do not exist.
    pub subscribed: bool,
    /// Only mailboxes with a special use.
    pub special_use: bool,
    /// Also superiors of what is selected, with CHILDINFO; never alone.
    pub recursive_match: bool,
}

/// Return options of LIST (RFC 5258 section 3.2, RFC 5819, RFC 6154 section 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// Whether the extended form was used at all: a selection or return list, or several patterns.
    pub extended: bool,
    /// \Subscribed where it applies.
    pub subscribed: bool,
    /// \HasChildren and \HasNoChildren.
    pub children: bool,
    /// Special uses.
    pub special_use: bool,
    /// A MYRIGHTS response for every mailbox listed (RFC 8440).
    pub my_rights: bool,
    /// A STATUS response for every mailbox listed; empty for none.
    pub status: Vec<StatusItem>,
    /// Annotations of every mailbox listed (RFC 9590).
    pub metadata: Vec<EntryName>,
}

/// One item of STATUS (RFC 9051 section 6.3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusItem {
    /// MESSAGES
    Messages,
    /// RECENT (RFC 3501)
    Recent,
    /// UIDNEXT
    UidNext,
    /// UIDVALIDITY
    UidValidity,
    /// UNSEEN: the number of messages without \Seen
    Unseen,
    /// DELETED: the number of messages with \Deleted
    Deleted,
    /// DELETED-STORAGE (RFC 9208 section 4.1.4): what messages with \Deleted take up, in units of 1024 octets
    DeletedStorage,
    /// SIZE (RFC 8438)
    Size,
    /// HIGHESTMODSEQ (RFC 7162)
    HighestModseq,
    /// MAILBOXID (RFC 8474)
    MailboxId,
    /// APPENDLIMIT (RFC 7889)
    AppendLimit,
}

impl StatusItem {
    /// Every item.
    pub const ALL: [StatusItem; 11] = [
        StatusItem::Messages,
        StatusItem::Recent,
        StatusItem::UidNext,
        StatusItem::UidValidity,
        StatusItem::Unseen,
        StatusItem::Deleted,
        StatusItem::DeletedStorage,
        StatusItem::Size,
        StatusItem::HighestModseq,
        StatusItem::MailboxId,
        StatusItem::AppendLimit,
    ];

    /// The item as IMAP spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            StatusItem::Messages => "MESSAGES",
            StatusItem::Recent => "RECENT",
            StatusItem::UidNext => "UIDNEXT",
            StatusItem::UidValidity => "UIDVALIDITY",
            StatusItem::Unseen => "UNSEEN",
            StatusItem::Deleted => "DELETED",
            StatusItem::DeletedStorage => "DELETED-STORAGE",
            StatusItem::Size => "SIZE",
            StatusItem::HighestModseq => "HIGHESTMODSEQ",
            StatusItem::MailboxId => "MAILBOXID",
            StatusItem::AppendLimit => "APPENDLIMIT",
        }
    }
}
