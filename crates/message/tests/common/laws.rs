//! What holds for every message, however odd. The properties, the corpus and the fuzz target `mime` share it.

use std::convert::Infallible;
use std::ops::Range;

use peerpost_message::{
    BaseSubject, Content, Envelope, Part, PartDecoder, Scanner, Section, SectionText, SentDate, Structure,
    TransferEncoding, casemap, decode_words, encode, limits, preview,
};

/// Panics where the message breaks a law: its structure depends on its octets alone, every range lies where it has to, every
/// section means the octets that the structure says, what is told of it is IMAP, and what is decoded does not depend on cuts.
pub fn check(message: &[u8]) {
    let structure = scan_in_pieces(message, message.len().max(1));
    assert_eq!(structure, scan_in_pieces(message, 1), "octet by octet");
    assert_eq!(structure, scan_in_pieces(message, 1 + message.len() % 13), "in pieces");
    let root = &structure.message.root;
    assert_eq!(structure.size, message.len() as u64);
    assert_eq!((root.header.start, root.header.end, root.body.end), (0, root.body.start, structure.size));
    check_part(message, root, &(0..structure.size));
    check_numbers(&structure, root, &mut Vec::new());
    check_encoding(&structure);
    check_header(message.get(octets_of(&root.header)).unwrap_or_default());
    check_preview(message, &structure);
    check_keys(structure.envelope());
    let stored = postcard::to_allocvec(&structure).expect("it can be stored");
    assert_eq!(postcard::from_bytes::<Structure>(&stored).expect("it can be read"), structure);
}

fn scan_in_pieces(message: &[u8], size: usize) -> Structure {
    let mut scanner = Scanner::new();
    message.chunks(size).for_each(|piece| scanner.push(piece));
    scanner.finish()
}

/// A range as one of a slice.
pub fn octets_of(range: &Range<u64>) -> Range<usize> {
    let place = |octets: u64| usize::try_from(octets).expect("it is in memory");
    place(range.start)..place(range.end)
}

/// Every range lies in order within its parent's, lines are counted right, and around each part stands what parts it.
fn check_part(message: &[u8], part: &Part, within: &Range<u64>) {
    assert!(within.start <= part.header.start && part.header.start <= part.header.end);
    assert!(part.header.end <= part.body.start && part.body.start <= part.body.end);
    assert!(part.body.end <= within.end, "{part:?} beyond {within:?}");
    let body = &message[octets_of(&part.body)];
    assert_eq!(part.lines, body.iter().filter(|octet| **octet == b'\n').count() as u64, "{part:?}");
    let mut start = part.body.start;
    match &part.content {
        Content::Leaf => check_decoding(part, body),
        Content::Multipart(children) => {
            for child in children {
                check_part(message, child, &(start..part.body.end));
                check_boundaries(message, part, child);
                start = child.body.end;
            }
        }
        Content::Message(nested) => {
            assert_eq!(nested.root.header.start, part.body.start);
            assert_eq!(nested.root.header.end, nested.root.body.start);
            assert_eq!(nested.root.body.end, part.body.end);
            check_part(message, &nested.root, &part.body);
            check_keys(&nested.envelope);
        }
    }
}

/// RFC 2046 5.1.1: the line before a part is the delimiter; so is the line after it, whose line end before it is its own, where
/// it does not end the part's header.
fn check_boundaries(message: &[u8], multipart: &Part, child: &Part) {
    let boundary = multipart.media.value("boundary").expect("parts have a boundary");
    let delimiter = [b"--", boundary.trim_ascii_end()].concat();
    let before = &message[..octets_of(&child.header).start];
    let before = before.strip_suffix(b"\n").unwrap_or(before);
    let line = before.rsplit(|octet| *octet == b'\n').next().unwrap_or_default();
    let rest = line.strip_prefix(delimiter.as_slice());
    assert!(
        rest.is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace)),
        "before a part stands {:?}",
        line.escape_ascii().to_string()
    );
    if child.body.end < multipart.body.end {
        let after = &message[octets_of(&child.body).end..];
        let after = after.strip_prefix(b"\r\n").or(after.strip_prefix(b"\n")).unwrap_or(after);
        assert!(after.starts_with(&delimiter), "after a part stands {:?}", after.escape_ascii().to_string());
    }
}

/// RFC 9051 6.4.5.1: the section of each number is the octets of that part, and nothing has a number too much.
fn check_numbers(structure: &Structure, part: &Part, path: &mut Vec<u32>) {
    let section = |path: &[u32], text| structure.section(&Section { path: path.to_vec(), text });
    let message = if path.is_empty() { Some(&structure.message) } else { part.message() };
    let (header, text) = (SectionText::Header, SectionText::Text);
    assert_eq!(section(path, header), message.map(|message| message.root.header.clone()));
    assert_eq!(section(path, text), message.map(|message| message.root.body.clone()));
    // What the numbers below this part count: the parts of a multipart, or the one part that a message is.
    let inner = message.map_or(part, |message| &message.root);
    let children: Vec<&Part> = match &inner.content {
        Content::Multipart(children) => children.iter().collect(),
        _ if message.is_some() => vec![inner],
        _ => Vec::new(),
    };
    for (child, number) in children.iter().zip(1u32..) {
        path.push(number);
        assert_eq!(section(path, SectionText::Whole), Some(child.body.clone()), "{path:?}");
        assert_eq!(section(path, SectionText::Mime), Some(child.header.clone()), "{path:?}");
        assert_eq!(structure.part(path), Some(*child), "{path:?}");
        if !std::ptr::eq(*child, inner) || child.message().is_some() {
            check_numbers(structure, child, path);
        }
        path.pop();
    }
    // A multipart without parts has an empty part 1, as its BODYSTRUCTURE says.
    let empty = matches!(&inner.content, Content::Multipart(children) if children.is_empty());
    let beyond = u32::try_from(children.len()).expect("few") + 1 + u32::from(empty);
    for number in [0, beyond, u32::MAX] {
        path.push(number);
        assert_eq!(section(path, SectionText::Whole), None, "{path:?}");
        path.pop();
    }
}

/// What is told of a message is IMAP, whatever the message says.
fn check_encoding(structure: &Structure) {
    let mut out = Vec::new();
    encode::envelope(structure.envelope(), &mut out);
    assert!(after_value(&out).is_empty());
    for extended in [false, true] {
        out.clear();
        encode::body_structure(structure, extended, &mut out);
        assert!(after_value(&out).is_empty());
    }
}

/// What follows one IMAP value: a list, a string, NIL or a number. Panics on anything else.
pub fn after_value(text: &[u8]) -> &[u8] {
    match text.first().expect("a value") {
        b'(' => {
            let mut rest = &text[1..];
            while rest.first() != Some(&b')') {
                // Spaces part values; a list may follow a list without one.
                rest = rest.strip_prefix(b" ").unwrap_or(rest);
                rest = after_value(rest);
            }
            &rest[1..]
        }
        b'"' => {
            let mut at = 1;
            while text[at] != b'"' {
                assert!(text[at] != b'\r' && text[at] != b'\n' && text[at] != 0 && text[at] < 0x80);
                at += if text[at] == b'\\' { 2 } else { 1 };
            }
            &text[at + 1..]
        }
        b'{' => {
            let end = text.iter().position(|octet| *octet == b'}').expect("a brace");
            let length: usize = std::str::from_utf8(&text[1..end]).unwrap().parse().unwrap();
            assert_eq!(&text[end + 1..end + 3], b"\r\n");
            let literal = &text[end + 3..end + 3 + length];
            assert!(!literal.contains(&0));
            &text[end + 3 + length..]
        }
        b'N' => text.strip_prefix(b"NIL").expect("NIL"),
        b'0'..=b'9' => &text[text.iter().take_while(|octet| octet.is_ascii_digit()).count()..],
        other => panic!("octet {other} starts no value"),
    }
}

/// HEADER.FIELDS and HEADER.FIELDS.NOT of the same names part the header between them (RFC 9051 6.4.5.1).
fn check_header(header: &[u8]) {
    let names = ["subject", "to", "content-type"];
    let (with, without) =
        (peerpost_message::fields(header, &names, false), peerpost_message::fields(header, &names, true));
    assert!(with.ends_with(b"\r\n") && without.ends_with(b"\r\n"));
    let raw: usize = peerpost_message::Fields::new(header).map(|field| field.raw.len()).sum();
    // Each has the empty line, and one may have the line end that its last field lacks.
    let both = with.len() + without.len();
    assert!((raw + 4..=raw + 6).contains(&both), "{raw} octets of fields, {both} of both blocks");
}

/// What a part decodes to does not depend on how its body is cut, and is the body itself where nothing is to be decoded.
fn check_decoding(part: &Part, body: &[u8]) {
    let Some(whole) = decoded(part, body, body.len().max(1)) else {
        assert_eq!(TransferEncoding::of_part(part), TransferEncoding::Unknown);
        return;
    };
    assert_eq!(decoded(part, body, 1).as_ref(), Some(&whole), "octet by octet");
    assert_eq!(decoded(part, body, 1 + body.len() % 5).as_ref(), Some(&whole), "in pieces");
    if PartDecoder::is_identity_for(part) {
        assert_eq!(whole, body);
    }
    if part.media.is_kind("text") {
        let bare = whole.iter().enumerate().any(|(at, octet)| {
            *octet == b'\n' && at.checked_sub(1).and_then(|before| whole.get(before)) != Some(&b'\r')
        });
        assert!(!bare, "a line of text without CR");
    }
}

/// The body of a part as BINARY gives it; `None` where its encoding is not known.
pub fn decoded(part: &Part, body: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut decoder = PartDecoder::new(part)?;
    let mut out = Vec::new();
    body.chunks(size).for_each(|piece| decoder.push(piece, &mut out));
    decoder.finish(&mut out);
    Some(out)
}

/// RFC 8970 3.2: at most 200 characters; one line.
fn check_preview(message: &[u8], structure: &Structure) {
    let text = preview_of(message, structure);
    assert!(text.chars().count() <= 200 && !text.chars().any(char::is_control), "{text:?}");
    assert_eq!(text, text.split_whitespace().collect::<Vec<_>>().join(" "));
}

/// The preview of a message in memory.
pub fn preview_of(message: &[u8], structure: &Structure) -> String {
    let read = |range: Range<u64>| Ok::<_, Infallible>(message[octets_of(&range)].to_vec());
    match preview(structure, read) {
        Ok(text) => text,
    }
}

/// What SORT and THREAD take of a message is bounded, and comes to an end (RFC 5256).
fn check_keys(envelope: &Envelope) {
    let subject = BaseSubject::of(envelope.subject.as_deref().unwrap_or_default());
    assert!(casemap(&subject.text).len() <= limits::COLLATION_OCTETS_MAX + 100);
    // What was decoded may look like an encoded word by chance, and is none.
    if !subject.text.contains("=?") {
        let again = BaseSubject::of(subject.text.as_bytes());
        assert_eq!(again.text, subject.text, "nothing is left to take off");
    }
    let ids = envelope.referred_ids();
    assert!(ids.len() <= limits::REFERENCES_MAX);
    let all = ids.iter().chain(envelope.own_id().as_ref()).all(|id| !id.is_empty());
    assert!(all, "an empty identifier");
    let lists = [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc];
    for address in lists.into_iter().flatten() {
        casemap(&address.displayed());
        casemap(&decode_words(address.sorted_mailbox()));
    }
    let again = envelope.date.as_deref().and_then(SentDate::parse);
    assert_eq!(envelope.sent, again);
    envelope.sent.map(SentDate::local_date);
}
