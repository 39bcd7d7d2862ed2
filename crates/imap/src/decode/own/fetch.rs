//! FETCH: its items, sections and modifiers.

use std::num::{NonZeroU32, NonZeroU64};

use crate::command::{CommandBody, FetchItem, Partial, PartialRange, Section, SectionText};

use super::super::cursor::{Cursor, Expected, Read};

/// The deepest part that can be asked for.
const DEEPEST_PART: usize = 100;

/// `fetch` of RFC 9051 section 9 and RFC 7162 section 7.
pub(super) fn fetch(cursor: &mut Cursor<'_>, uid: bool) -> Read<CommandBody> {
    let messages = super::messages(cursor, uid)?;
    cursor.space()?;
    let mut items = Vec::new();
    if cursor.peek() == Some(b'(') {
        cursor.list(|cursor| item(cursor).map(|item| push(&mut items, item)))?;
        if items.is_empty() {
            return Err(Expected::Grammar("at least one item"));
        }
    } else if let Some(expanded) = fetch_macro(cursor) {
        items = expanded;
    } else {
        items.push(item(cursor)?);
    }
    let Modifiers { changed_since, vanished, partial } = match cursor.accept_word(" (") {
        true => modifiers(cursor)?,
        false => Modifiers::default(),
    };
    if vanished && !(uid && changed_since.is_some()) {
        return Err(Expected::Rule("VANISHED goes with UID FETCH and CHANGEDSINCE alone".into()));
    }
    if partial.is_some() && !uid {
        return Err(Expected::Rule("PARTIAL goes with UID FETCH alone".into()));
    }
    Ok(CommandBody::Fetch { messages, items, changed_since, vanished, partial })
}

#[derive(Default)]
struct Modifiers {
    changed_since: Option<u64>,
    vanished: bool,
    partial: Option<PartialRange>,
}

/// `fetch-modifiers` from behind the parenthesis on, in any order.
fn modifiers(cursor: &mut Cursor<'_>) -> Read<Modifiers> {
    let mut modifiers = Modifiers::default();
    loop {
        match cursor.word("a modifier of FETCH")?.as_str() {
            "CHANGEDSINCE" if modifiers.changed_since.is_none() => {
                cursor.space()?;
                let since = cursor.number64("a mod-sequence")?;
                if since == 0 {
                    return Err(Expected::Grammar("a mod-sequence above 0"));
                }
                modifiers.changed_since = Some(since);
            }
            "VANISHED" if !modifiers.vanished => modifiers.vanished = true,
            "PARTIAL" if modifiers.partial.is_none() => {
                cursor.space()?;
                modifiers.partial = Some(super::partial_range(cursor)?);
            }
            other => {
                return Err(Expected::Rule(
                    format!("FETCH has no modifier {other} here, or it stands twice").into(),
                ));
            }
        }
        if cursor.accept(b')') {
            return Ok(modifiers);
        }
        cursor.space()?;
    }
}

pub(super) fn push(items: &mut Vec<FetchItem>, item: FetchItem) {
    if !items.contains(&item) {
        items.push(item);
    }
}

/// ALL, FAST and FULL stand for items, and always alone.
fn fetch_macro(cursor: &mut Cursor<'_>) -> Option<Vec<FetchItem>> {
    let mut items = vec![FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size];
    match cursor.clone().word("a macro").ok()?.as_str() {
        "FAST" => {}
        "ALL" => items.push(FetchItem::Envelope),
        "FULL" => items.extend([FetchItem::Envelope, FetchItem::Body]),
        _ => return None,
    }
    cursor.word("a macro").ok()?;
    Some(items)
}

pub(super) fn item(cursor: &mut Cursor<'_>) -> Read<FetchItem> {
    let name = cursor.word("an item of FETCH")?;
    Ok(match name.as_str() {
        "FLAGS" => FetchItem::Flags,
        "INTERNALDATE" => FetchItem::InternalDate,
        "RFC822" => FetchItem::Rfc822,
        "RFC822.SIZE" => FetchItem::Rfc822Size,
        "RFC822.HEADER" => FetchItem::Rfc822Header,
        "RFC822.TEXT" => FetchItem::Rfc822Text,
        "ENVELOPE" => FetchItem::Envelope,
        "BODYSTRUCTURE" => FetchItem::BodyStructure,
        "SAVEDATE" => FetchItem::SaveDate,
        "UID" => FetchItem::Uid,
        "MODSEQ" => FetchItem::Modseq,
        "EMAILID" => FetchItem::EmailId,
        "THREADID" => FetchItem::ThreadId,
        "BODY" if cursor.peek() != Some(b'[') => FetchItem::Body,
        "BODY" | "BODY.PEEK" => {
            cursor.expect(b'[', "a section in brackets")?;
            let section = section(cursor)?;
            cursor.expect(b']', "a closing bracket")?;
            FetchItem::Section { section, partial: partial(cursor)?, peek: name == "BODY.PEEK" }
        }
        "PREVIEW" => {
            preview_modifiers(cursor)?;
            FetchItem::Preview
        }
        "BINARY" | "BINARY.PEEK" => {
            let part = section_binary(cursor)?;
            FetchItem::Binary { part, partial: partial(cursor)?, peek: name == "BINARY.PEEK" }
        }
        "BINARY.SIZE" => FetchItem::BinarySize { part: section_binary(cursor)? },
        other => return Err(Expected::Rule(format!("FETCH has no item {other} here").into())),
    })
}

/// `(LAZY)` behind PREVIEW, or nothing; other parentheses are modifiers of FETCH (RFC 8970 section 6).
fn preview_modifiers(cursor: &mut Cursor<'_>) -> Read<()> {
    if cursor.accept_word(" (LAZY") {
        while cursor.accept_word(" LAZY") {}
        cursor.expect(b')', "a closing parenthesis")?;
    }
    Ok(())
}

/// `section-spec`: `[part] ["." text]`.
pub(in super::super) fn section(cursor: &mut Cursor<'_>) -> Read<Section> {
    let (part, ends) = section_part(cursor)?;
    if ends {
        return Ok(Section { part, text: SectionText::Whole });
    }
    let text = match cursor.peek() {
        Some(b']') if part.is_empty() => SectionText::Whole,
        _ => section_text(cursor, !part.is_empty())?,
    };
    Ok(Section { part, text })
}

/// `section-part`, perhaps none at all, and whether no full stop follows it.
fn section_part(cursor: &mut Cursor<'_>) -> Read<(Vec<NonZeroU32>, bool)> {
    let mut part: Vec<NonZeroU32> = Vec::new();
    while cursor.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        if part.len() >= DEEPEST_PART {
            return Err(Expected::Rule(format!("A part may be nested {DEEPEST_PART} deep at most").into()));
        }
        part.push(cursor.positive("the number of a part")?);
        if !cursor.accept(b'.') {
            return Ok((part, true));
        }
    }
    Ok((part, false))
}

/// `section-binary`: numbers of parts in brackets.
fn section_binary(cursor: &mut Cursor<'_>) -> Read<Vec<NonZeroU32>> {
    cursor.expect(b'[', "the number of a part in brackets")?;
    let (part, ends) = section_part(cursor)?;
    if !part.is_empty() && !ends {
        return Err(Expected::Grammar("the number of a part"));
    }
    cursor.expect(b']', "a closing bracket")?;
    Ok(part)
}

fn section_text(cursor: &mut Cursor<'_>, of_part: bool) -> Read<SectionText> {
    // The longest name first: they begin alike.
    if cursor.accept_word("HEADER.FIELDS.NOT") {
        return Ok(SectionText::HeaderFieldsNot(field_names(cursor)?));
    }
    if cursor.accept_word("HEADER.FIELDS") {
        return Ok(SectionText::HeaderFields(field_names(cursor)?));
    }
    if cursor.accept_word("HEADER") {
        return Ok(SectionText::Header);
    }
    if cursor.accept_word("TEXT") {
        return Ok(SectionText::Text);
    }
    if of_part && cursor.accept_word("MIME") {
        return Ok(SectionText::Mime);
    }
    Err(Expected::Grammar("a section"))
}

fn field_names(cursor: &mut Cursor<'_>) -> Read<Vec<String>> {
    cursor.space()?;
    let names = cursor.list(|cursor| cursor.text("the name of a header field"))?;
    if names.is_empty() { Err(Expected::Grammar("the name of a header field")) } else { Ok(names) }
}

/// `partial` of RFC 9051 section 9: `<first.count>`, both of 64 bits.
fn partial(cursor: &mut Cursor<'_>) -> Read<Option<Partial>> {
    if !cursor.accept(b'<') {
        return Ok(None);
    }
    let first = cursor.number64("the number of the first octet")?;
    cursor.expect(b'.', "a full stop")?;
    const COUNT: &str = "a number of octets above 0";
    let count = NonZeroU64::new(cursor.number64(COUNT)?).ok_or(Expected::Grammar(COUNT))?;
    cursor.expect(b'>', "a closing angle bracket")?;
    Ok(Some(Partial { first, count }))
}
