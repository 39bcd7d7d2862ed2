//! What holds for every message: no panic, the same result for any chunks, ranges that nest, legal IMAP.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::ops::Range;

use common::scan;
use peerpost_message::{Content, Part, Scanner, Structure, encode};
use proptest::prelude::*;

/// Pieces of which odd messages are made.
const PIECES: [&str; 44] = [
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "--",
    "--a",
    "--ab",
    "--a--",
    "--ab--",
    "--b",
    "--b--",
    " ",
    "\t",
    "\0",
    "é",
    "x",
    "\n--a\n",
    "\r\n--a\r\n",
    "\r\n--b\r\n",
    "\r\n--ab\r\n\r\n",
    "\r\n--a--\r\n",
    "\r\n--b--\r\n",
    "Content-Type: multipart/mixed; boundary=a\r\n\r\n",
    "Content-Type: multipart/mixed; boundary=\"ab\"\r\n\r\n",
    "Content-Type: multipart/alternative;\r\n boundary=b\r\n\r\n",
    "Content-Type: multipart/digest; boundary=b\n\n",
    "Content-Type: multipart/mixed\r\n",
    "Content-Type: message/rfc822\r\n\r\n",
    "Content-Type: message/rfc822\n",
    "Content-Type: text/html; charset=utf-8; x=\"",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
    "Content-Disposition: attachment; filename*0=a; filename*1=\"b\\",
    "Content-Language: en, de\r\n",
    "Content-ID: <x>\r\n",
    "Subject: =?utf-8?q?=C3=A9?=\r\n",
    "From: A <a@b>, g: c@d;\r\n",
    "To: \"q\\\"\" (c(c)) <@r:x@y>\r\n",
    "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n",
    "Message-ID: <a@b>\r\n",
    "=C3=",
    "=\r\n",
    "aGVsbG8=",
    "=?iso-2022-jp?B?GyRCJDMbKEI=?= ",
];

fn odd_message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn scan_in_chunks(message: &[u8], cuts: &[usize]) -> Structure {
    let mut scanner = Scanner::new();
    let mut rest = message;
    for cut in cuts {
        let (chunk, after) = rest.split_at(cut % (rest.len() + 1));
        scanner.push(chunk);
        rest = after;
    }
    scanner.push(rest);
    scanner.finish()
}

/// Every range lies in order within its parent's, and lines are counted right.
fn check_part(message: &[u8], part: &Part, within: &Range<u64>) {
    assert!(within.start <= part.header.start && part.header.start <= part.header.end);
    assert!(part.header.end <= part.body.start && part.body.start <= part.body.end);
    assert!(part.body.end <= within.end, "{part:?} beyond {within:?}");
    let body = &message[part.body.start as usize..part.body.end as usize];
    assert_eq!(part.lines, body.iter().filter(|octet| **octet == b'\n').count() as u64, "{part:?}");
    let mut start = part.body.start;
    match &part.content {
        Content::Leaf => {}
        Content::Multipart(children) => {
            for child in children {
                check_part(message, child, &(start..part.body.end));
                start = child.body.end;
            }
        }
        Content::Message(nested) => {
            assert_eq!(nested.root.header.start, part.body.start);
            assert_eq!(nested.root.body.end, part.body.end);
            check_part(message, &nested.root, &part.body);
        }
    }
}

/// Reads one value of IMAP's response syntax; gives what follows it.
fn value(text: &[u8]) -> &[u8] {
    match text.first().expect("a value") {
        b'(' => {
            let mut rest = &text[1..];
            loop {
                match rest.first().expect("a closing parenthesis") {
                    b')' => return &rest[1..],
                    b' ' => rest = &rest[1..],
                    _ => rest = value(rest),
                }
            }
        }
        b'"' => {
            let mut at = 1;
            while text[at] != b'"' {
                assert!(matches!(text[at], b'\t' | b' '..=b'~'), "octet {} in quotes", text[at]);
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

fn check_all(message: &[u8]) {
    let structure = scan(message);
    assert_eq!(structure.size, message.len() as u64);
    let root = &structure.message.root;
    assert_eq!((root.header.start, root.header.end, root.body.end), (0, root.body.start, structure.size));
    check_part(message, root, &(0..structure.size));
    let mut out = Vec::new();
    encode::envelope(structure.envelope(), &mut out);
    assert!(value(&out).is_empty());
    for extended in [false, true] {
        out.clear();
        encode::body_structure(&structure, extended, &mut out);
        assert!(value(&out).is_empty());
    }
    let stored = postcard::to_allocvec(&structure).unwrap();
    assert_eq!(postcard::from_bytes::<Structure>(&stored).unwrap(), structure);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_have_a_structure(message in prop::collection::vec(any::<u8>(), 0..400)) {
        check_all(&message);
    }

    #[test]
    fn odd_messages_have_a_structure(message in odd_message()) {
        check_all(&message);
    }

    #[test]
    fn chunks_do_not_matter(message in odd_message(), cuts in prop::collection::vec(any::<usize>(), 0..60)) {
        let whole = scan(&message);
        prop_assert_eq!(&whole, &scan_in_chunks(&message, &cuts));
        prop_assert_eq!(&whole, &common::scan_by_octet(&message));
    }
}
