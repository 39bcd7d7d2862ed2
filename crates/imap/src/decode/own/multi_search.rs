//! ESEARCH (RFC 7377 section 4).

use crate::command::{CommandBody, MultiSearch, SearchReturn, SearchSource};
use crate::mailbox_name::NameEncoding;

use super::super::cursor::{Cursor, Expected, Read};
use super::search::search;

/// `esearch = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP search-program`
pub(super) fn multi_search(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<CommandBody> {
    let mut sources = None;
    if cursor.accept_word("IN ") {
        let listed = cursor.list(|cursor| source(cursor, names))?;
        if listed.is_empty() {
            return Err(Expected::Grammar("mailboxes to be searched"));
        }
        sources = Some(listed);
        cursor.space()?;
    }
    let mut search = search(cursor, true)?;
    search.returned.get_or_insert(SearchReturn { all: true, ..SearchReturn::default() });
    Ok(CommandBody::MultiSearch(MultiSearch { sources, search }))
}

/// `filter-mailboxes` of RFC 5465 section 8, with `subtree-one`. There are no scope options.
fn source(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<SearchSource> {
    Ok(match cursor.word("mailboxes to be searched")?.as_str() {
        "SELECTED" => SearchSource::Selected,
        "INBOXES" => SearchSource::Inboxes,
        "PERSONAL" => SearchSource::Personal,
        "SUBSCRIBED" => SearchSource::Subscribed,
        "SUBTREE" => SearchSource::Subtree(mailboxes(cursor, names)?),
        "SUBTREE-ONE" => SearchSource::SubtreeOne(mailboxes(cursor, names)?),
        "MAILBOXES" => SearchSource::Mailboxes(mailboxes(cursor, names)?),
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(Expected::Rule(format!("ESEARCH has no source {other} here").into()));
        }
    })
}

/// `one-or-more-mailbox`
pub(super) fn mailboxes(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<Vec<String>> {
    cursor.space()?;
    if cursor.peek() != Some(b'(') {
        return Ok(vec![cursor.mailbox(names)?]);
    }
    let mailboxes = cursor.list(|cursor| cursor.mailbox(names))?;
    if mailboxes.is_empty() { Err(Expected::Grammar("a mailbox name")) } else { Ok(mailboxes) }
}
