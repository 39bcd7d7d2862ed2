//! GETMETADATA and SETMETADATA (RFC 5464 section 5).

use crate::command::{CommandBody, Depth, EntryName};
use crate::mailbox_name::NameEncoding;

use super::super::cursor::{Cursor, Expected, Read};

/// `getmetadata`: options before the mailbox, as the RFC has it, or behind it, as in its examples.
pub(super) fn get(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<CommandBody> {
    let (mut depth, mut longest) = (Depth::default(), None);
    let mut options = |cursor: &mut Cursor<'_>| -> Read<()> {
        cursor.list(|cursor| option(cursor, &mut depth, &mut longest))?;
        cursor.space()
    };
    if cursor.peek() == Some(b'(') {
        options(cursor)?;
    }
    let mailbox = cursor.mailbox(names)?;
    cursor.space()?;
    let begins_options = |cursor: &Cursor<'_>| {
        let mut ahead = *cursor;
        ahead.accept(b'(') && ahead.peek().is_some_and(|octet| octet.is_ascii_alphabetic())
    };
    if begins_options(cursor) {
        options(cursor)?;
    }
    let names = entries(cursor)?;
    Ok(CommandBody::GetMetadata { mailbox, names, depth, longest })
}

fn option(cursor: &mut Cursor<'_>, depth: &mut Depth, longest: &mut Option<u64>) -> Read<()> {
    let name = cursor.word("an option of GETMETADATA")?;
    cursor.space()?;
    match name.as_str() {
        "MAXSIZE" => *longest = Some(cursor.number64("a number of octets")?),
        "DEPTH" => {
            *depth = match cursor.word("a depth")?.as_str() {
                "0" => Depth::Zero,
                "1" => Depth::One,
                "INFINITY" => Depth::Infinity,
                _ => return Err(Expected::Grammar("0, 1 or infinity")),
            }
        }
        other => return Err(Expected::Rule(format!("GETMETADATA has no option {other} here").into())),
    }
    Ok(())
}

/// `entries`: one, or a list of some.
pub(super) fn entries(cursor: &mut Cursor<'_>) -> Read<Vec<EntryName>> {
    let names = match cursor.peek() {
        Some(b'(') => cursor.list(entry)?,
        _ => vec![entry(cursor)?],
    };
    if names.is_empty() { Err(Expected::Grammar("the name of an annotation")) } else { Ok(names) }
}

fn entry(cursor: &mut Cursor<'_>) -> Read<EntryName> {
    let octets = cursor.astring("the name of an annotation")?;
    EntryName::new(&octets).ok_or(Expected::Rule(
        "An annotation is named /private/... or /shared/..., in printable ASCII without * and %".into(),
    ))
}

/// `setmetadata`
pub(super) fn set(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<CommandBody> {
    let mailbox = cursor.mailbox(names)?;
    cursor.space()?;
    let changes = cursor.list(|cursor| {
        let name = entry(cursor)?;
        cursor.space()?;
        Ok((name, cursor.value("a value or NIL")?))
    })?;
    if changes.is_empty() {
        return Err(Expected::Grammar("the name of an annotation and its value"));
    }
    Ok(CommandBody::SetMetadata { mailbox, changes })
}
