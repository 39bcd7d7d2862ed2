//! Encoded words in headers (RFC 2047).

use crate::charset;
use crate::header::is_space;
use crate::transfer::{TransferDecoder, TransferEncoding, decode_q};

/// Octets of one encoded word. RFC 2047 2 allows 75; producers exceed it.
const WORD_OCTETS_MAX: usize = 4_096;

/// The text of an unfolded header value, encoded words decoded; other octets count as UTF-8 or else Windows-1252.
///
/// White space between two encoded words goes, and where both are of one charset their octets are decoded as one run,
/// since some producers part a character between words.
pub fn decode_words(value: &[u8]) -> String {
    let mut decoded = Decoded::default();
    let mut rest = value;
    while !rest.is_empty() {
        let start = rest.windows(2).position(|pair| pair == b"=?").unwrap_or(rest.len());
        let (plain, candidate) = rest.split_at_checked(start).unwrap_or((rest, &[]));
        decoded.plain(plain);
        rest = match encoded_word(candidate) {
            Some((word, after)) => {
                decoded.word(&word);
                after
            }
            None => {
                let (sign, after) = candidate.split_at_checked(2).unwrap_or((candidate, &[]));
                decoded.plain(sign);
                after
            }
        };
    }
    decoded.finish()
}

struct Word<'a> {
    charset: &'a [u8],
    octets: Vec<u8>,
}

/// `"=?" charset "?" encoding "?" encoded-text "?="` at the start; spaces in the text are let pass.
fn encoded_word(candidate: &[u8]) -> Option<(Word<'_>, &[u8])> {
    let bounded = candidate.get(..WORD_OCTETS_MAX).unwrap_or(candidate);
    let inner = bounded.strip_prefix(b"=?")?;
    let charset_end = inner.iter().position(|octet| *octet == b'?' || is_space(*octet))?;
    let (charset, inner) = inner.split_at_checked(charset_end)?;
    let (encoding, inner) = inner.strip_prefix(b"?")?.split_first()?;
    let inner = inner.strip_prefix(b"?")?;
    let length = inner.windows(2).position(|pair| pair == b"?=")?;
    let text = inner.get(..length)?;
    let mut octets = Vec::with_capacity(length);
    match encoding {
        b'q' | b'Q' => decode_q(text, &mut octets),
        b'b' | b'B' => {
            let mut decoder = TransferDecoder::new(TransferEncoding::Base64);
            decoder.push(text, &mut octets);
            decoder.finish(&mut octets);
        }
        _ => return None,
    }
    // "=?" charset "?" encoding "?" text "?="
    let after = candidate.get(charset_end + length + 7..).unwrap_or_default();
    (!charset.is_empty()).then_some((Word { charset, octets }, after))
}

#[derive(Default)]
struct Decoded {
    text: String,
    /// Octets of encoded words that are not yet decoded, and their charset.
    charset: Vec<u8>,
    octets: Vec<u8>,
    /// Plain octets since the last encoded word.
    between: Vec<u8>,
    after_word: bool,
}

impl Decoded {
    fn plain(&mut self, octets: &[u8]) {
        self.between.extend_from_slice(octets);
    }

    fn word(&mut self, word: &Word<'_>) {
        let adjacent = self.after_word && self.between.iter().copied().all(is_space);
        if adjacent {
            self.between.clear();
        }
        if !adjacent || !self.charset.eq_ignore_ascii_case(word.charset) {
            self.flush();
            self.charset = word.charset.to_vec();
        }
        self.octets.extend_from_slice(&word.octets);
        self.after_word = true;
    }

    /// Puts the pending words and then the plain octets into the text.
    fn flush(&mut self) {
        if self.after_word {
            charset::decode(Some(&self.charset), &std::mem::take(&mut self.octets), &mut self.text);
        }
        charset::decode(None, &std::mem::take(&mut self.between), &mut self.text);
    }

    fn finish(mut self) -> String {
        self.flush();
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_are_decoded() {
        for (value, expected) in [
            ("plain", "plain"),
            ("=?ISO-8859-1?Q?a?=", "a"),
            ("=?ISO-8859-1?Q?a?= b", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a?=  =?utf-8?B?w6k=?=", "aé"),
            ("=?ISO-8859-1?Q?a_b?=", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
            ("x =?utf-8?q?=C3?= =?utf-8?q?=A9?= y", "x é y"),
            ("(=?utf-8?q?=C3=A9?=)", "(é)"),
            ("=?utf-8*en?q?a?=", "a"),
            ("=?utf-8?q?a b?=", "a b"),
            ("=?iso-2022-jp?B?GyRCJDMbKEI=?=", "こ"),
            ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
            ("=?utf-8?q?unterminated", "=?utf-8?q?unterminated"),
            ("=?=?=?", "=?=?=?"),
            ("=??q?a?=", "=??q?a?="),
            ("é raw", "é raw"),
            ("=?utf-8?q??=", ""),
            ("=?utf-8?q?a?==?utf-8?q?b?=", "ab"),
            ("=?utf-8?b?aGk?=", "hi"),
        ] {
            assert_eq!(decode_words(value.as_bytes()), expected, "{value}");
        }
        assert_eq!(decode_words(b"caf\xe9"), "café");
    }
}
