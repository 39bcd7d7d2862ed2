//! What holds for every message: no panic, the same result for any chunks, ranges that nest, legal IMAP.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::ops::Range;

use common::{laws, scan};
use peerpost_message::{
    CharsetDecoder, Fields, InternalDate, Needle, Part, PartDecoder, Scanner, Scope, Section, SectionText,
    SentDate, Structure, TransferDecoder, TransferEncoding, decode_words, fields, search_text,
};
use proptest::prelude::*;

const LABELS: [&str; 14] = [
    "utf-8",
    "us-ascii",
    "iso-8859-1",
    "utf-7",
    "utf-16",
    "utf-16be",
    "iso-2022-jp",
    "iso-2022-kr",
    "gb18030",
    "hz-gb-2312",
    "ibm850",
    "big5",
    "",
    "x-unknown",
];

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

/// Lines of nested multiparts and messages, closely packed, so that odd neighbours are likely.
fn nested_message() -> impl Strategy<Value = Vec<u8>> {
    const LINES: [&str; 11] = [
        "--a",
        "--b",
        "--c",
        "--a--",
        "--b--",
        "--c--",
        "",
        "x",
        "Content-Type: multipart/mixed; boundary=b\r\n",
        "Content-Type: multipart/digest; boundary=c\r\n",
        "Content-Type: message/rfc822\r\n",
    ];
    let line = (prop::sample::select(LINES.to_vec()), prop::sample::select(vec!["\r\n", "\n"]));
    prop::collection::vec(line, 0..16).prop_map(|lines| {
        let start = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n".to_owned();
        lines.iter().fold(start, |message, (line, end)| message + line + end).into_bytes()
    })
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

/// A part of this type in this transfer encoding.
fn part(media: &str, encoding: &str) -> Part {
    let header = format!("Content-Type: {media}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
    scan(header.as_bytes()).message.root
}

/// What a part that is no text comes to, in this transfer encoding.
fn decode_part(encoding: &str, text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut decoder = PartDecoder::new(&part("application/octet-stream", encoding)).unwrap();
    let mut out = Vec::new();
    pieces(text, cuts).for_each(|piece| decoder.push(piece, &mut out));
    decoder.finish(&mut out);
    out
}

/// The octets cut at these places.
fn pieces<'a>(octets: &'a [u8], cuts: &[usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (octets.len() + 1)).collect();
    places.extend([0, octets.len()]);
    places.sort();
    (1..places.len()).map(move |end| &octets[places[end - 1]..places[end]])
}

/// RFC 2045 6.8, in one line.
fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in octets.chunks(3) {
        let bits =
            group.iter().chain(&[0, 0]).take(3).fold(0usize, |bits, octet| bits << 8 | usize::from(*octet));
        for place in 0..4 {
            let digit = char::from(DIGITS[bits >> (18 - 6 * place) & 63]);
            text.push(if place > group.len() { '=' } else { digit });
        }
    }
    text
}

/// RFC 2045 6.7, with a soft line break after every so many octets.
fn quoted_printable(octets: &[u8], width: usize) -> String {
    let mut text = String::new();
    for line in octets.chunks(width) {
        for octet in line {
            match octet {
                b'!'..=b'~' if *octet != b'=' => text.push(char::from(*octet)),
                octet => text.push_str(&format!("={octet:02X}")),
            }
        }
        text.push_str("=\r\n");
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_have_a_structure(message in prop::collection::vec(any::<u8>(), 0..400)) {
        laws::check(&message);
    }

    #[test]
    fn odd_messages_have_a_structure(message in odd_message()) {
        laws::check(&message);
    }

    #[test]
    fn text_of_any_message_is_searched(message in odd_message(), letters in ".{0,4}") {
        let structure = scan(&message);
        let read = |range: Range<u64>| {
            message.get(range.start as usize..range.end as usize).map(<[u8]>::to_vec).ok_or(range)
        };
        for scope in [Scope::Headers, Scope::Body, Scope::Text, Scope::Field("subject")] {
            let found = search_text(&structure, read, &Needle::new(&letters), scope).unwrap();
            prop_assert!(!found || scope != Scope::Body || search_text(&structure, read, &Needle::new(&letters), Scope::Text).unwrap());
        }
    }

    #[test]
    fn sections_lie_within_the_message(
        message in odd_message(),
        path in prop::collection::vec(0u32..4, 0..5),
        text in prop::sample::select(vec![SectionText::Whole, SectionText::Header, SectionText::Text, SectionText::Mime]),
    ) {
        let structure = scan(&message);
        if let Some(range) = structure.section(&Section { path, text }) {
            prop_assert!(range.start <= range.end && range.end <= structure.size);
            fields(&message[range.start as usize..range.end as usize], &["subject"], true);
        }
    }

    #[test]
    fn nested_messages_have_a_structure(message in nested_message()) {
        laws::check(&message);
        prop_assert_eq!(scan(&message), common::scan_by_octet(&message));
    }

    #[test]
    fn header_fields_are_parted_without_loss(header in odd_message()) {
        let taken: Vec<u8> = Fields::new(&header).flat_map(|field| field.raw.to_vec()).collect();
        prop_assert!(header.starts_with(&taken));
        let rest = &header[taken.len()..];
        prop_assert!(rest.is_empty() || rest.starts_with(b"\n") || rest.starts_with(b"\r\n"));
        let none: [&[u8]; 0] = [];
        prop_assert!(fields(&header, &none, true).starts_with(&taken));
        prop_assert_eq!(fields(&header, &none, false), b"\r\n");
    }

    #[test]
    fn decoders_take_any_octets_in_any_chunks(
        octets in prop_oneof![odd_message(), prop::collection::vec(any::<u8>(), 0..200)],
        label in prop::sample::select(LABELS.to_vec()),
        cut in any::<usize>(),
    ) {
        let (first, second) = octets.split_at(cut % (octets.len() + 1));
        for encoding in [TransferEncoding::QuotedPrintable, TransferEncoding::Base64, TransferEncoding::Unknown] {
            let decode = |chunks: &[&[u8]]| {
                let mut decoder = TransferDecoder::new(encoding);
                let mut out = Vec::new();
                chunks.iter().for_each(|chunk| decoder.push(chunk, &mut out));
                decoder.finish(&mut out);
                out
            };
            prop_assert_eq!(decode(&[&octets]), decode(&[first, second]));
        }
        let decode = |chunks: &[&[u8]]| {
            let mut decoder = CharsetDecoder::new(Some(label.as_bytes()));
            let mut out = String::new();
            chunks.iter().for_each(|chunk| decoder.push(chunk, &mut out));
            decoder.finish(&mut out);
            out
        };
        let whole = decode(&[&octets]);
        // UTF-7 has no way to say where a line may be cut; the others have.
        prop_assert!(label == "utf-7" || whole == decode(&[first, second]));
        decode_words(&octets);
        decode_words(format!("=?{label}?q?{}?=", String::from_utf8_lossy(&octets)).as_bytes());
    }

    /// Whatever was encoded comes out again, however the encoded form is cut and, for base64, whatever stands between its digits.
    #[test]
    fn what_was_encoded_is_decoded(
        octets in prop::collection::vec(any::<u8>(), 0..300),
        width in 1usize..80,
        between in prop::sample::select(vec!["\r\n", "\n", " \r\n", "!\r\n\t", "\u{e9}"]),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        padded in any::<bool>(),
    ) {
        let digits = base64(&octets);
        let digits = if padded { &digits } else { digits.trim_end_matches('=') };
        let lines: Vec<String> = digits.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let text = lines.join(between);
        prop_assert_eq!(&decode_part("base64", text.as_bytes(), &cuts), &octets);
        let text = quoted_printable(&octets, width);
        prop_assert_eq!(&decode_part("quoted-printable", text.as_bytes(), &cuts), &octets);
        prop_assert_eq!(&decode_part("binary", &octets, &cuts), &octets);
    }

    /// Text whose lines end in any way has lines that end with CRLF once it is decoded.
    #[test]
    fn text_has_whole_line_ends(text in "[a\r\n]{0,40}", cuts in prop::collection::vec(any::<usize>(), 0..20)) {
        let part = part("text/plain", "base64");
        let mut decoder = PartDecoder::new(&part).unwrap();
        let mut out = Vec::new();
        pieces(base64(text.as_bytes()).as_bytes(), &cuts).for_each(|piece| decoder.push(piece, &mut out));
        decoder.finish(&mut out);
        let out = String::from_utf8(out).unwrap();
        prop_assert_eq!(out.matches('\n').count(), out.matches("\r\n").count());
        prop_assert_eq!(out.replace("\r\n", "\n"), text.replace("\r\n", "\n"));
    }

    #[test]
    fn internal_dates_are_read_as_they_are_written(seconds in 0i64..250_000_000_000, offset_minutes in -1439i16..1440) {
        let date = InternalDate { seconds, offset_minutes };
        prop_assert_eq!(InternalDate::parse(date.to_string().as_bytes()).unwrap(), date);
    }

    #[test]
    fn dates_of_any_form_do_no_harm(value in "[0-9A-Za-z:+, ()-]{0,40}", octets in prop::collection::vec(any::<u8>(), 0..40)) {
        for value in [value.as_bytes(), &octets] {
            SentDate::parse(value).map(SentDate::local_date);
            InternalDate::parse(value).map(InternalDate::local_date).ok();
        }
    }

    #[test]
    fn chunks_do_not_matter(message in odd_message(), cuts in prop::collection::vec(any::<usize>(), 0..60)) {
        let whole = scan(&message);
        prop_assert_eq!(&whole, &scan_in_chunks(&message, &cuts));
        prop_assert_eq!(&whole, &common::scan_by_octet(&message));
    }
}
