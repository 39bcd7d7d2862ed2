//! Odd and malformed messages, each with what it stands for and what it has to come to: `tests/corpus/*.txt`.
//!
//! The same messages are given to Dovecot and Cyrus, whose answers are compared with ours (`tests/message_corpus.rs` of the repository).
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::corpus::{self, Entry};
use common::laws::{self, octets_of};
use common::{scan, section};
use peerpost_message::{
    Address, BaseSubject, Content, Envelope, MessageId, Octets, Part, SectionText, Structure, decode_words,
    encode, fields,
};

/// What issue and documentation promise.
const ENTRIES_LEAST: usize = 500;

fn entries() -> Vec<Entry> {
    corpus::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus"))
}

#[test]
fn every_entry_says_what_it_stands_for_and_what_is_expected() {
    let entries = entries();
    assert!(entries.len() >= ENTRIES_LEAST, "{} entries", entries.len());
    let mut names = BTreeSet::new();
    for entry in &entries {
        let Entry { theme, name, stands_for, expected, .. } = entry;
        assert!(names.insert(name), "{theme}: {name} is there twice");
        assert!(!stands_for.is_empty(), "{theme}: {name} stands for nothing");
        assert!(!expected.is_empty(), "{theme}: nothing is expected of {name}");
        assert!(entry.differences.iter().all(|difference| !difference.because.is_empty()), "{theme}: {name}");
    }
}

/// A reason that entries share stands once, in `reasons.md`, and is used.
#[test]
fn every_shared_reason_is_there_and_is_used() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/reasons.md");
    let text = std::fs::read_to_string(path).unwrap();
    let there: BTreeSet<&str> =
        text.lines().filter_map(|line| Some(line.strip_prefix("- ")?.split_once(": ")?.0)).collect();
    let entries = entries();
    let used: BTreeSet<&str> = entries
        .iter()
        .flat_map(|entry| &entry.differences)
        .filter_map(|difference| difference.because.strip_prefix('@'))
        .collect();
    assert_eq!(there, used);
}

/// Octets of every part are exact, whatever the message.
#[test]
fn every_message_keeps_the_laws() {
    for entry in entries() {
        let told = std::panic::catch_unwind(|| laws::check(&entry.message));
        assert!(told.is_ok(), "{}: {}", entry.theme, entry.name);
    }
}

#[test]
fn every_message_comes_to_what_is_expected() {
    let mut wrong = Vec::new();
    let entries = entries();
    for entry in &entries {
        for (key, expected) in &entry.expected {
            let found = answer(&entry.message, key);
            if found != *expected {
                let (found, expected) = (corpus::escape(&found), corpus::escape(expected));
                let (theme, name) = (&entry.theme, &entry.name);
                wrong.push(format!("{theme}: {name}, {key}\n  expected {expected}\n  found    {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// What is told of a message under a key.
fn answer(message: &[u8], key: &str) -> Vec<u8> {
    let structure = scan(message);
    let envelope = structure.envelope();
    let mut out = Vec::new();
    match key {
        "envelope" => encode::envelope(envelope, &mut out),
        "structure" => encode::body_structure(&structure, true, &mut out),
        "body" => encode::body_structure(&structure, false, &mut out),
        "size" => out = structure.size.to_string().into_bytes(),
        "tree" => show(message, &structure.message.root, &mut out),
        "preview" => out = laws::preview_of(message, &structure).into_bytes(),
        "date" => encode::nstring(envelope.date.as_ref(), &mut out),
        "subject" => encode::nstring(envelope.subject.as_ref(), &mut out),
        "in-reply-to" => encode::nstring(envelope.in_reply_to.as_ref(), &mut out),
        "message-id" => encode::nstring(envelope.message_id.as_ref(), &mut out),
        "sent" => out = sent(envelope),
        "decoded-subject" => out = decode_words(envelope.subject.as_deref().unwrap_or_default()).into_bytes(),
        "base-subject" => {
            let base = BaseSubject::of(envelope.subject.as_deref().unwrap_or_default());
            out = format!("{}{}", base.text, if base.is_reply_or_forward { " (marked)" } else { "" })
                .into_bytes();
        }
        "id" => out = envelope.own_id().unwrap_or_default(),
        "refers-to" => out = ids(envelope.referred_ids()),
        "displayed-from" => out = displayed(&envelope.from),
        "displayed-to" => out = displayed(&envelope.to),
        _ => match key.strip_prefix('~') {
            Some(bracketed) => out = binary(message, &structure, bracketed),
            None if key.starts_with('[') => out = octets(message, &structure, key),
            None => out = addresses(envelope, key),
        },
    }
    out
}

fn bracketed(key: &str) -> &str {
    key.strip_prefix('[').and_then(|key| key.strip_suffix(']')).unwrap_or_else(|| panic!("no key {key}"))
}

/// `none` where there is no such section. `[HEADER.FIELDS a b]` and `[HEADER.FIELDS.NOT a b]` take names.
fn octets(message: &[u8], structure: &Structure, key: &str) -> Vec<u8> {
    let (name, names) = bracketed(key).split_once(' ').unwrap_or((bracketed(key), ""));
    let (name, not) = match name.strip_suffix(".NOT") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let wanted = section(name.strip_suffix(".FIELDS").unwrap_or(name));
    let Some(range) = structure.section(&wanted) else { return b"none".to_vec() };
    let octets = &message[octets_of(&range)];
    if name.ends_with("FIELDS") {
        assert_eq!(wanted.text, SectionText::Header);
        return fields(octets, &names.split(' ').collect::<Vec<_>>(), not);
    }
    octets.to_vec()
}

/// `unknown` where the encoding is not known.
fn binary(message: &[u8], structure: &Structure, key: &str) -> Vec<u8> {
    let part = structure.part(&section(bracketed(key)).path).unwrap_or_else(|| panic!("no part {key}"));
    let body = &message[octets_of(&part.body)];
    laws::decoded(part, body, body.len().max(1)).unwrap_or_else(|| b"unknown".to_vec())
}

/// One of the lists of the envelope.
fn addresses(envelope: &Envelope, key: &str) -> Vec<u8> {
    let list = match key {
        "from" => &envelope.from,
        "sender" => envelope.sender_or_from(),
        "reply-to" => envelope.reply_to_or_from(),
        "to" => &envelope.to,
        "cc" => &envelope.cc,
        "bcc" => &envelope.bcc,
        _ => panic!("no key {key}"),
    };
    let mut out = Vec::new();
    encode::envelope(&Envelope { to: list.to_vec(), ..Envelope::default() }, &mut out);
    // Date, subject and three lists stand before, four members behind.
    let list =
        out.strip_prefix(b"(NIL NIL NIL NIL NIL ").and_then(|out| out.strip_suffix(b" NIL NIL NIL NIL)"));
    list.unwrap_or_default().to_vec()
}

fn displayed(list: &[Address]) -> Vec<u8> {
    list.iter().map(Address::displayed).collect::<Vec<_>>().join(", ").into_bytes()
}

fn ids(ids: Vec<MessageId>) -> Vec<u8> {
    ids.join(&b' ')
}

/// The moment as seconds, and the day in its zone; `none` where the date makes no sense.
fn sent(envelope: &Envelope) -> Vec<u8> {
    match envelope.sent {
        Some(sent) => format!("{} {}", sent.seconds, sent.local_date()).into_bytes(),
        None => b"none".to_vec(),
    }
}

/// The tree of a message in one line: of each leaf its type, its octets and its lines, of each other its parts.
fn show(message: &[u8], part: &Part, out: &mut Vec<u8>) {
    let subtype = part.media.subtype.as_bytes();
    match &part.content {
        Content::Leaf => {
            let kind: &Octets = &part.media.kind;
            let lines = part.lines.to_string();
            let body = &message[octets_of(&part.body)];
            out.extend([kind.as_bytes(), b"/", subtype, b" \"", body, b"\" ", lines.as_bytes()].concat());
        }
        Content::Multipart(children) => {
            out.extend([subtype, b"["].concat());
            for (child, place) in children.iter().zip(0..) {
                out.extend_from_slice(if place == 0 { b"" } else { b", " });
                show(message, child, out);
            }
            out.push(b']');
        }
        Content::Message(nested) => {
            out.extend([subtype, b"<"].concat());
            show(message, &nested.root, out);
            out.push(b'>');
        }
    }
}
