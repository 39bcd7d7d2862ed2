//! What ESEARCH asks for.

use super::search::Search;

/// ESEARCH (RFC 7377 section 2.1): a search of several mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiSearch {
    /// Where to look; the selected mailbox where nothing was said.
    pub sources: Option<Vec<SearchSource>>,
    /// What to look for. It always has result options, and is always answered by UIDs.
    pub search: Search,
}

/// Mailboxes that a search looks into (RFC 5465 section 6, RFC 7377 section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchSource {
    /// `selected`
    Selected,
    /// `inboxes`: where an MTA delivers
    Inboxes,
    /// `personal`: all of the account
    Personal,
    /// `subscribed`
    Subscribed,
    /// `subtree`: these and everything below
    Subtree(Vec<String>),
    /// `subtree-one`: these and what is one level below
    SubtreeOne(Vec<String>),
    /// `mailboxes`: these
    Mailboxes(Vec<String>),
}
