//! From the text of a command to a [`Command`].
//!
//! imap-codec decodes what it knows (`codec`, the one module that names it). What it does not know, or refuses although
//! clients send it, our own grammar (`own`) decodes into the same type; where both can, tests hold them to the same
//! result. Nothing here recurses deeper than [`DEEPEST_SEARCH`].

mod codec;
mod cursor;
mod own;

#[cfg(test)]
mod tests;

use message::InternalDate;

use crate::command::{AppendMessage, Command, Tag};
use crate::mailbox_name::NameEncoding;
use cursor::{Cursor, Expected};

/// How deep the keys of a SEARCH may be nested.
pub const DEEPEST_SEARCH: usize = 30;
/// How many keys a SEARCH may have altogether.
pub const MOST_SEARCH_KEYS: usize = 2_000;
/// How many items, patterns, flags or fields a list may have, sets of numbers aside.
pub const MOST_LISTED: usize = 2_000;

/// Why a command could not be decoded: the text of the BAD to be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct DecodeError {
    /// The tag, where there is one.
    pub tag: Option<Tag>,
    /// What is wrong, in one line of printable ASCII.
    pub text: String,
}

/// The beginning of an APPEND.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendStart {
    /// The tag.
    pub tag: Tag,
    /// The mailbox.
    pub mailbox: String,
    /// The first message.
    pub message: AppendMessage,
}

/// Decodes a command as [`crate::framing::Event::Command`] gives it.
///
/// # Errors
/// Where it is no command of IMAP, or none that is offered here.
pub fn command(text: &[u8], names: NameEncoding) -> Result<Command, DecodeError> {
    if let Some(command) = codec::command(text, names) {
        return Ok(command);
    }
    let mut cursor = Cursor::new(text);
    let tag = tag(&mut cursor)?;
    match own::body(&mut cursor, names) {
        Ok(body) => Ok(Command { tag, body }),
        Err(expected) => Err(failure(Some(tag), &cursor, &expected)),
    }
}

/// Decodes an APPEND up to its first message, as [`crate::framing::Event::AppendHead`] gives it.
///
/// # Errors
/// Where the grammar does not allow it.
pub fn append_start(text: &[u8], size: u64, names: NameEncoding) -> Result<AppendStart, DecodeError> {
    let mut cursor = Cursor::new(text);
    let tag = tag(&mut cursor)?;
    let decoded = own::append_start(&mut cursor, size, names);
    let (mailbox, message) = decoded.map_err(|expected| failure(Some(tag.clone()), &cursor, &expected))?;
    Ok(AppendStart { tag, mailbox, message })
}

/// Decodes what stands between two messages of one APPEND.
///
/// # Errors
/// Where the grammar does not allow it.
pub fn append_next(text: &[u8], size: u64) -> Result<AppendMessage, DecodeError> {
    let mut cursor = Cursor::new(text);
    own::append_message(&mut cursor, size).map_err(|expected| failure(None, &cursor, &expected))
}

fn tag(cursor: &mut Cursor<'_>) -> Result<Tag, DecodeError> {
    let text = cursor.until_space();
    let tag = Tag::new(text).ok_or_else(|| DecodeError {
        tag: None,
        text: "Expected a tag of printable ASCII and a command after it".to_owned(),
    })?;
    match cursor.space() {
        Ok(()) => Ok(tag),
        Err(expected) => Err(failure(Some(tag), cursor, &expected)),
    }
}

fn failure(tag: Option<Tag>, cursor: &Cursor<'_>, expected: &Expected) -> DecodeError {
    let text = match expected {
        Expected::Grammar(what) => format!("Expected {what} at octet {}", cursor.place()),
        Expected::Rule(rule) => rule.to_string(),
    };
    DecodeError { tag, text }
}

/// INTERNALDATE as the store keeps it.
fn received(date: InternalDate) -> mailstore::crdt::view::ReceivedAt {
    mailstore::crdt::view::ReceivedAt { seconds: date.seconds, offset_minutes: date.offset_minutes }
}
