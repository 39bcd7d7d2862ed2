//! ENVELOPE, BODY and BODYSTRUCTURE in IMAP syntax (RFC 9051 7.5.2 and 9).

use crate::address::Address;
use crate::envelope::Envelope;
use crate::octets::Octets;
use crate::structure::{Content, ContentFields, Disposition, Parameter, Part, Structure};

/// The longest string written in quotes; a longer one is a literal.
const QUOTED_OCTETS_MAX: usize = 1_000;

/// Writes an `envelope`.
pub fn envelope(envelope: &Envelope, out: &mut Vec<u8>) {
    out.push(b'(');
    nstring(envelope.date.as_ref(), out);
    out.push(b' ');
    nstring(envelope.subject.as_ref(), out);
    let lists = [
        envelope.from.as_slice(),
        envelope.sender_or_from(),
        envelope.reply_to_or_from(),
        &envelope.to,
        &envelope.cc,
        &envelope.bcc,
    ];
    for list in lists {
        out.push(b' ');
        addresses(list, out);
    }
    out.push(b' ');
    nstring(envelope.in_reply_to.as_ref(), out);
    out.push(b' ');
    nstring(envelope.message_id.as_ref(), out);
    out.push(b')');
}

/// Writes a `body`: with `extended` what BODYSTRUCTURE gives, else what BODY gives.
pub fn body_structure(structure: &Structure, extended: bool, out: &mut Vec<u8>) {
    body(&structure.message.root, extended, out);
}

/// Writes a `string`: quoted where it is short ASCII in one line, else a literal. IMAP has no way to write a NUL, so a
/// question mark stands for it.
pub fn string(octets: &[u8], out: &mut Vec<u8>) {
    let quotable = |octet: u8| matches!(octet, 0 | b'\t' | b' '..=b'~');
    let quoted = octets.len() <= QUOTED_OCTETS_MAX && octets.iter().copied().all(quotable);
    if quoted {
        out.push(b'"');
    } else {
        out.extend_from_slice(format!("{{{}}}\r\n", octets.len()).as_bytes());
    }
    for octet in octets.iter().copied() {
        match octet {
            0 => out.push(b'?'),
            b'"' | b'\\' if quoted => out.extend_from_slice(&[b'\\', octet]),
            octet => out.push(octet),
        }
    }
    if quoted {
        out.push(b'"');
    }
}

/// Writes an `nstring`.
pub fn nstring(octets: Option<&Octets>, out: &mut Vec<u8>) {
    match octets {
        Some(octets) => string(octets, out),
        None => out.extend_from_slice(b"NIL"),
    }
}

fn addresses(list: &[Address], out: &mut Vec<u8>) {
    if list.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for member in list {
        address(member, out);
    }
    out.push(b')');
}

/// `"(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"`. A NIL host marks a group, so a missing one is empty.
fn address(address: &Address, out: &mut Vec<u8>) {
    match address {
        Address::Mailbox { name, route, mailbox, host } => {
            out.push(b'(');
            nstring(name.as_ref(), out);
            out.push(b' ');
            nstring(route.as_ref(), out);
            out.push(b' ');
            string(mailbox, out);
            out.push(b' ');
            string(host, out);
            out.push(b')');
        }
        Address::GroupStart(name) => {
            out.extend_from_slice(b"(NIL NIL ");
            string(name, out);
            out.extend_from_slice(b" NIL)");
        }
        Address::GroupEnd => out.extend_from_slice(b"(NIL NIL NIL NIL)"),
    }
}

fn body(part: &Part, extended: bool, out: &mut Vec<u8>) {
    out.push(b'(');
    match &part.content {
        Content::Multipart(children) => multipart(part, children, extended, out),
        Content::Leaf | Content::Message(_) => single(part, extended, out),
    }
    out.push(b')');
}

/// `body-type-mpart`
fn multipart(part: &Part, children: &[Part], extended: bool, out: &mut Vec<u8>) {
    for child in children {
        body(child, extended, out);
    }
    if children.is_empty() {
        // The grammar wants at least one: an empty text, which is part 1 of the section rules, too.
        out.extend_from_slice(b"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0");
        out.extend_from_slice(if extended { b" NIL NIL NIL NIL)" } else { b")" });
    }
    out.push(b' ');
    string(&part.media.subtype, out);
    if extended {
        out.push(b' ');
        parameters(&part.media.parameters, out);
        extension(part.fields.as_deref(), out);
    }
}

/// `body-type-1part`
fn single(part: &Part, extended: bool, out: &mut Vec<u8>) {
    let fields = part.fields.as_deref();
    string(&part.media.kind, out);
    out.push(b' ');
    string(&part.media.subtype, out);
    out.push(b' ');
    parameters(&part.media.parameters, out);
    out.push(b' ');
    nstring(fields.and_then(|fields| fields.id.as_ref()), out);
    out.push(b' ');
    nstring(fields.and_then(|fields| fields.description.as_ref()), out);
    out.push(b' ');
    string(part.transfer_encoding().unwrap_or(b"7bit"), out);
    let octets = part.body.end.saturating_sub(part.body.start);
    out.extend_from_slice(format!(" {octets}").as_bytes());
    if let Content::Message(message) = &part.content {
        out.push(b' ');
        envelope(&message.envelope, out);
        out.push(b' ');
        body(&message.root, extended, out);
    }
    if part.media.is_kind("text") || matches!(part.content, Content::Message(_)) {
        out.extend_from_slice(format!(" {}", part.lines).as_bytes());
    }
    if extended {
        out.push(b' ');
        nstring(fields.and_then(|fields| fields.md5.as_ref()), out);
        extension(fields, out);
    }
}

/// Disposition, language and location, which end both kinds of extension data.
fn extension(fields: Option<&ContentFields>, out: &mut Vec<u8>) {
    out.push(b' ');
    disposition(fields.and_then(|fields| fields.disposition.as_ref()), out);
    out.push(b' ');
    languages(fields.map(|fields| fields.language.as_slice()).unwrap_or_default(), out);
    out.push(b' ');
    nstring(fields.and_then(|fields| fields.location.as_ref()), out);
}

fn disposition(disposition: Option<&Disposition>, out: &mut Vec<u8>) {
    let Some(disposition) = disposition else {
        out.extend_from_slice(b"NIL");
        return;
    };
    out.push(b'(');
    string(&disposition.kind, out);
    out.push(b' ');
    parameters(&disposition.parameters, out);
    out.push(b')');
}

fn languages(languages: &[Octets], out: &mut Vec<u8>) {
    strings(languages.iter(), out);
}

fn parameters(parameters: &[Parameter], out: &mut Vec<u8>) {
    strings(parameters.iter().flat_map(|parameter| [&parameter.attribute, &parameter.value]), out);
}

/// A parenthesised list of strings; NIL where it would be empty.
fn strings<'a>(list: impl Iterator<Item = &'a Octets>, out: &mut Vec<u8>) {
    let mut any = false;
    for octets in list {
        out.push(if any { b' ' } else { b'(' });
        string(octets, out);
        any = true;
    }
    out.extend_from_slice(if any { b")" } else { b"NIL" });
}
