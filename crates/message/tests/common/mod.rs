//! What the tests of scanned messages share.
#![allow(dead_code)]

pub mod corpus;
pub mod laws;

use peerpost_message::{Content, Part, Scanner, Section, SectionText, Structure};

/// Scans a message given as a whole.
pub fn scan(message: &[u8]) -> Structure {
    let mut scanner = Scanner::new();
    scanner.push(message);
    scanner.finish()
}

/// Scans a message octet by octet.
pub fn scan_by_octet(message: &[u8]) -> Structure {
    let mut scanner = Scanner::new();
    for octet in message {
        scanner.push(&[*octet]);
    }
    scanner.finish()
}

/// A section from its text, such as `1.2.HEADER`.
pub fn section(text: &str) -> Section {
    let mut section = Section::whole(&[]);
    for word in text.split('.').filter(|word| !word.is_empty()) {
        match word {
            "HEADER" => section.text = SectionText::Header,
            "TEXT" => section.text = SectionText::Text,
            "MIME" => section.text = SectionText::Mime,
            number => section.path.push(number.parse().unwrap()),
        }
    }
    section
}

/// The octets of a section as text.
pub fn octets(message: &[u8], structure: &Structure, text: &str) -> Option<String> {
    let range = structure.section(&section(text))?;
    let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
    Some(String::from_utf8_lossy(&message[range]).into_owned())
}

/// The tree of a message in one line: types, bodies of leaves, lines.
pub fn tree(message: &[u8]) -> String {
    let structure = scan(message);
    assert_eq!(structure, scan_by_octet(message), "{}", message.escape_ascii());
    show(message, &structure.message.root)
}

fn show(message: &[u8], part: &Part) -> String {
    let range = usize::try_from(part.body.start).unwrap()..usize::try_from(part.body.end).unwrap();
    let kind = String::from_utf8_lossy(&part.media.kind).into_owned();
    let subtype = String::from_utf8_lossy(&part.media.subtype).into_owned();
    match &part.content {
        Content::Leaf => {
            format!("{kind}/{subtype} {:?} {}", message[range].escape_ascii().to_string(), part.lines)
        }
        Content::Multipart(children) => {
            let children: Vec<String> = children.iter().map(|child| show(message, child)).collect();
            format!("{subtype}[{}]", children.join(", "))
        }
        Content::Message(nested) => format!("{subtype}<{}>", show(message, &nested.root)),
    }
}

/// The BODY or BODYSTRUCTURE of a message as text.
pub fn body(message: &[u8], extended: bool) -> String {
    let mut out = Vec::new();
    peerpost_message::encode::body_structure(&scan(message), extended, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The ENVELOPE of a message as text.
pub fn envelope(message: &[u8]) -> String {
    let mut out = Vec::new();
    peerpost_message::encode::envelope(scan(message).envelope(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}
