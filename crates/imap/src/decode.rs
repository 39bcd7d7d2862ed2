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

use crate::command::{AppendForm, AppendMessage, AppendStep, Command, Messages, Section, Tag};
use crate::framing::opens_catenate;
use crate::mailbox_name::NameEncoding;
use cursor::{Cursor, Expected};
use own::catenate::Opened;

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

/// The beginning of an APPEND or REPLACE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendStart {
    /// The tag.
    pub tag: Tag,
    /// The mailbox.
    pub mailbox: String,
    /// The message that REPLACE wants gone.
    pub replaced: Option<Messages>,
    /// The first message.
    pub message: AppendMessage,
    /// What follows of it up to the first literal, where it is one of CATENATE.
    pub steps: Vec<AppendStep>,
}

/// Decodes a command as [`crate::framing::Event::Command`] gives it.
///
/// # Errors
/// Where it is no command of IMAP, or none that is offered here.
pub fn command(text: &[u8], names: NameEncoding) -> Result<Command, DecodeError> {
    match by_codec(text, names) {
        Some(command) => Ok(command),
        None => by_own(text, names),
    }
}

/// What imap-codec alone makes of a command: `None` for whatever it refuses or we do not offer. For comparisons.
pub fn by_codec(text: &[u8], names: NameEncoding) -> Option<Command> {
    codec::command(text, names)
}

/// What our own grammar alone makes of a command: whatever [`by_codec`] knows it has to decode alike.
///
/// # Errors
/// As [`command`].
pub fn by_own(text: &[u8], names: NameEncoding) -> Result<Command, DecodeError> {
    let mut cursor = Cursor::new(text);
    let tag = tag(&mut cursor)?;
    match own::body(&mut cursor, names) {
        Ok(body) => Ok(Command { tag, body }),
        Err(expected) => Err(failure(Some(tag), &cursor, &expected)),
    }
}

/// Decodes an APPEND or REPLACE up to its first literal, as [`crate::framing::Event::AppendHead`] gives it, or as a whole where
/// it has none.
///
/// # Errors
/// Where the grammar does not allow it.
pub fn append_start(text: &[u8], size: Option<u64>, names: NameEncoding) -> Result<AppendStart, DecodeError> {
    let mut cursor = Cursor::new(text);
    let tag = tag(&mut cursor)?;
    let decoded = own::append_start(&mut cursor, size, names).and_then(|(replaced, mailbox, message)| {
        let steps = match message.form {
            AppendForm::Catenate => own::catenate::steps(&mut cursor, size, Opened::Now)?,
            _ => Vec::new(),
        };
        Ok((replaced, mailbox, message, steps))
    });
    let (replaced, mailbox, message, steps) =
        decoded.map_err(|expected| failure(Some(tag.clone()), &cursor, &expected))?;
    Ok(AppendStart { tag, mailbox, replaced, message, steps })
}

/// Decodes what stands between two literals of one APPEND, or behind the last one. `catenating`: whether the literal before was
/// a part of CATENATE.
///
/// # Errors
/// Where the grammar does not allow it.
pub fn append_more(text: &[u8], size: Option<u64>, catenating: bool) -> Result<Vec<AppendStep>, DecodeError> {
    let mut cursor = Cursor::new(text);
    let opened = if catenating { Opened::Before } else { Opened::No };
    own::catenate::steps(&mut cursor, size, opened).map_err(|expected| failure(None, &cursor, &expected))
}

/// Whether the command is an APPEND or REPLACE with CATENATE. Without a literal it comes as a whole.
pub fn is_catenate(text: &[u8]) -> bool {
    let mut cursor = Cursor::new(text);
    cursor.until_space();
    let named = cursor.space().is_ok()
        && (cursor.accept_word("APPEND ") || {
            cursor.accept_word("UID ");
            cursor.accept_word("REPLACE ")
        });
    named && opens_catenate(text)
}

/// Decodes a `section-spec` that stands alone.
pub fn section(text: &[u8]) -> Option<Section> {
    // In a FETCH a bracket ends it, by which an empty one is told.
    let bracketed = [text, b"]"].concat();
    let mut cursor = Cursor::new(&bracketed);
    let section = own::fetch::section(&mut cursor).ok()?;
    (cursor.accept(b']') && cursor.is_at_end()).then_some(section)
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
