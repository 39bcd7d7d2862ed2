//! What an item of FETCH needs, how it is named in the response, and which octets it means.

use std::num::NonZeroU32;
use std::ops::Range;

use mailstore::{Body, ReadError};
use message::Structure;

use super::super::put::put;
use crate::command::{FetchItem, Partial, Section, SectionText};
use crate::encode;

/// The most octets of a header that are looked through for HEADER.FIELDS.
const LONGEST_HEADER: u64 = 8 * 1024 * 1024;

/// What an item means in one message.
pub(in super::super) enum Octets {
    /// There is no such section.
    None,
    /// These octets.
    Known(Vec<u8>),
    /// These octets of the body.
    Range(Range<u64>),
}

/// Whether octets of the message are asked for.
pub(super) fn needs_body(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::Rfc822
            | FetchItem::Rfc822Header
            | FetchItem::Rfc822Text
            | FetchItem::Section { .. }
            | FetchItem::Binary { .. }
            | FetchItem::BinarySize { .. }
            | FetchItem::Preview
    )
}

/// Whether it takes the structure of the message to answer.
pub(super) fn needs_structure(item: &FetchItem) -> bool {
    match item {
        FetchItem::Envelope
        | FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::Rfc822Header
        | FetchItem::Rfc822Text
        | FetchItem::Binary { .. }
        | FetchItem::BinarySize { .. }
        | FetchItem::Preview => true,
        FetchItem::Section { section, .. } => !section.part.is_empty() || section.text != SectionText::Whole,
        _ => false,
    }
}

/// Appends ENVELOPE, BODY or BODYSTRUCTURE with its name.
pub(super) fn write_structure(item: &FetchItem, structure: &Structure, out: &mut Vec<u8>) {
    match item {
        FetchItem::Envelope => {
            out.extend_from_slice(b"ENVELOPE ");
            message::encode::envelope(structure.envelope(), out);
        }
        FetchItem::Body => {
            out.extend_from_slice(b"BODY ");
            message::encode::body_structure(structure, false, out);
        }
        _ => {
            out.extend_from_slice(b"BODYSTRUCTURE ");
            message::encode::body_structure(structure, true, out);
        }
    }
}

/// Appends the name of an item of octets as the response has it.
pub(super) fn write_name(item: &FetchItem, out: &mut Vec<u8>) {
    match item {
        FetchItem::Rfc822 => out.extend_from_slice(b"RFC822"),
        FetchItem::Rfc822Header => out.extend_from_slice(b"RFC822.HEADER"),
        FetchItem::Rfc822Text => out.extend_from_slice(b"RFC822.TEXT"),
        FetchItem::Section { section, partial, .. } => {
            out.extend_from_slice(b"BODY[");
            write_section(section, out);
            write_end(*partial, out);
        }
        FetchItem::Binary { part, partial, .. } => {
            out.extend_from_slice(b"BINARY[");
            write_part(part, out);
            write_end(*partial, out);
        }
        FetchItem::BinarySize { part } => {
            out.extend_from_slice(b"BINARY.SIZE[");
            write_part(part, out);
            write_end(None, out);
        }
        FetchItem::Preview => out.extend_from_slice(b"PREVIEW"),
        _ => {}
    }
}

/// Appends what follows a section.
fn write_end(partial: Option<Partial>, out: &mut Vec<u8>) {
    out.push(b']');
    if let Some(partial) = partial {
        put!(out, "<{}>", partial.first);
    }
}

fn write_part(part: &[NonZeroU32], out: &mut Vec<u8>) {
    for (place, number) in part.iter().enumerate() {
        put!(out, "{}{number}", if place > 0 { "." } else { "" });
    }
}

fn write_section(section: &Section, out: &mut Vec<u8>) {
    write_part(&section.part, out);
    let (name, fields): (&str, &[String]) = match &section.text {
        SectionText::Whole => return,
        SectionText::Header => ("HEADER", &[]),
        SectionText::HeaderFields(fields) => ("HEADER.FIELDS", fields),
        SectionText::HeaderFieldsNot(fields) => ("HEADER.FIELDS.NOT", fields),
        SectionText::Text => ("TEXT", &[]),
        SectionText::Mime => ("MIME", &[]),
    };
    put!(out, "{}{name}", if section.part.is_empty() { "" } else { "." });
    for (place, field) in fields.iter().enumerate() {
        out.extend_from_slice(if place > 0 { b" " } else { b" (" });
        encode::astring(field.as_bytes(), out);
    }
    if !fields.is_empty() {
        out.push(b')');
    }
}

/// The octets that an item means, in a message of this structure; none is needed for the whole message.
pub(in super::super) fn octets(
    item: &FetchItem,
    structure: Option<&Structure>,
    body: &Body,
) -> Result<Octets, ReadError> {
    if let (FetchItem::Preview, Some(structure)) = (item, structure) {
        let text = message::preview(structure, |range| body.read(range))?;
        return Ok(Octets::Known(text.into_bytes()));
    }
    let part = |text| message::Section { path: Vec::new(), text };
    let (section, partial, fields) = match item {
        FetchItem::Rfc822Header => (part(message::SectionText::Header), None, None),
        FetchItem::Rfc822Text => (part(message::SectionText::Text), None, None),
        FetchItem::Section { section, partial, .. } => {
            (section_of(section), *partial, fields_of(&section.text))
        }
        _ => (part(message::SectionText::Whole), None, None),
    };
    let whole = section.path.is_empty() && section.text == message::SectionText::Whole;
    let range = match structure {
        _ if whole => Some(0..body.len()),
        Some(structure) => structure.section(&section),
        None => None,
    };
    let Some(range) = range else { return Ok(Octets::None) };
    let Some((names, not)) = fields else {
        return Ok(Octets::Range(cut(range, partial)));
    };
    let header = body.read(range.start..range.end.min(range.start.saturating_add(LONGEST_HEADER)))?;
    let block = message::fields(&header, names, not);
    // RFC 9051 section 6.4.5.1: the part is taken after the fields were chosen.
    let Range { start, end } = cut(0..block.len() as u64, partial);
    let slice = block.get(start as usize..end as usize).unwrap_or_default();
    Ok(Octets::Known(slice.to_vec()))
}

fn section_of(section: &Section) -> message::Section {
    let text = match &section.text {
        SectionText::Whole => message::SectionText::Whole,
        SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_) => {
            message::SectionText::Header
        }
        SectionText::Text => message::SectionText::Text,
        SectionText::Mime => message::SectionText::Mime,
    };
    message::Section { path: path(&section.part), text }
}

/// The path of a part as a structure has it.
pub(super) fn path(part: &[NonZeroU32]) -> Vec<u32> {
    part.iter().map(|number| number.get()).collect()
}

fn fields_of(text: &SectionText) -> Option<(&[String], bool)> {
    match text {
        SectionText::HeaderFields(names) => Some((names, false)),
        SectionText::HeaderFieldsNot(names) => Some((names, true)),
        _ => None,
    }
}

/// `<first.count>` of a range; empty beyond its end.
pub(super) fn cut(range: Range<u64>, partial: Option<Partial>) -> Range<u64> {
    let Some(Partial { first, count }) = partial else { return range };
    let start = range.start.saturating_add(first).min(range.end);
    start..start.saturating_add(count.get()).min(range.end)
}
