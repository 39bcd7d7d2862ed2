//! What sessions see of an account: its mailboxes and subscriptions.

use std::collections::{BTreeMap, BTreeSet};

use crdt::fold::access::{AccessList, Grantee};
use crdt::identity::{AccountId, MailboxId};

/// The separator of the mailbox hierarchy.
pub const HIERARCHY_SEPARATOR: char = '/';
/// What begins the names of mailboxes of other accounts (RFC 2342): the name of their owner follows, and the one that the owner
/// knows.
pub const OTHER_USERS: &str = "Other Users/";
/// The mailboxes that every account has, with their special use of RFC 6154.
pub const DEFAULT_MAILBOXES: [(&str, Option<&str>); 6] = [
    ("INBOX", None),
    ("Archive", Some("\\Archive")),
    ("Drafts", Some("\\Drafts")),
    ("Junk", Some("\\Junk")),
    ("Sent", Some("\\Sent")),
    ("Trash", Some("\\Trash")),
];

/// One mailbox of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxEntry {
    /// Its identity; it stays over renames (MAILBOXID is made of it).
    pub mailbox: MailboxId,
    /// Its special use of RFC 6154.
    pub special_use: Option<String>,
    /// Its annotations of RFC 5464, by their names in lower case.
    pub annotations: BTreeMap<String, Vec<u8>>,
    /// Who may do what with it (RFC 4314).
    pub access: AccessList,
}

/// The mailboxes and subscriptions of an account at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// The account.
    pub account: AccountId,
    /// What rights are given to it under.
    pub grantee: Grantee,
    /// Its name.
    pub name: String,
    /// Whether it was removed: its sessions end.
    pub removed: bool,
    /// Mailboxes by full name, hierarchy separated by `/`. A superior may be missing: it is then `\NonExistent`.
    pub mailboxes: BTreeMap<String, MailboxEntry>,
    /// Subscribed names.
    pub subscriptions: BTreeSet<String>,
    /// Annotations of the account itself, by their names in lower case.
    pub annotations: BTreeMap<String, Vec<u8>>,
}

impl AccountView {
    /// The mailbox of this name; INBOX in any case of letters.
    pub fn find(&self, name: &str) -> Option<&MailboxEntry> {
        self.mailboxes.get(canonical_name(name).as_ref())
    }
}

/// The name with a leading INBOX in capitals (RFC 9051 section 5.1: INBOX is case-insensitive).
pub fn canonical_name(name: &str) -> std::borrow::Cow<'_, str> {
    let (first, rest) = match name.split_once(HIERARCHY_SEPARATOR) {
        Some((first, rest)) => (first, Some(rest)),
        None => (name, None),
    };
    if first.eq_ignore_ascii_case("INBOX") && first != "INBOX" {
        match rest {
            Some(rest) => format!("INBOX{HIERARCHY_SEPARATOR}{rest}").into(),
            None => "INBOX".into(),
        }
    } else {
        name.into()
    }
}
