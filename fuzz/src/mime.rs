//! Messages: the laws of the octets of their parts, and what is made of them.

#[path = "../../crates/message/tests/common/laws.rs"]
mod laws;

use std::convert::Infallible;

use peerpost_message::{
    Needle, Scanner, Scope, TransferDecoder, TransferEncoding, decode_words, search_text,
};

use crate::pieces;

/// The input is a message.
pub fn run(octets: &[u8]) {
    laws::check(octets);
    search(octets);
    decode_words(octets);
    for encoding in [TransferEncoding::QuotedPrintable, TransferEncoding::Base64, TransferEncoding::Unknown] {
        let decode = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let (mut decoder, mut out) = (TransferDecoder::new(encoding), Vec::new());
            pieces.for_each(|piece| decoder.push(piece, &mut out));
            decoder.finish(&mut out);
            out
        };
        assert_eq!(decode(&mut [octets].into_iter()), decode(&mut pieces::of(octets)));
    }
}

/// What is in the body is in the text.
fn search(octets: &[u8]) {
    let mut scanner = Scanner::new();
    pieces::of(octets).for_each(|piece| scanner.push(piece));
    let structure = scanner.finish();
    let found = |needle: &str, scope| {
        let read = |range| Ok::<_, Infallible>(octets[laws::octets_of(&range)].to_vec());
        match search_text(&structure, read, &Needle::new(needle), scope) {
            Ok(found) => found,
        }
    };
    let (body, field) = (found("e b", Scope::Body), found("e b", Scope::Field("subject")));
    assert!(!(body || field) || found("e b", Scope::Text));
}
