//! Transfer encodings (RFC 2045 6), decoded as the octets pass by; what is malformed is let pass.

use crate::header::is_space;
use crate::limits::TRAILING_SPACE_MAX;
use crate::structure::Part;

/// How the body of a part is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEncoding {
    /// `7bit`, `8bit`, `binary` or none: the octets as they are. Some write `7-bit` and `8-bit`.
    Identity,
    /// `quoted-printable`
    QuotedPrintable,
    /// `base64`
    Base64,
    /// Any other: the octets cannot be decoded.
    Unknown,
}

impl TransferEncoding {
    /// The encoding of this name, in any case.
    pub fn from_name(name: &[u8]) -> Self {
        match name.to_ascii_lowercase().as_slice() {
            b"7bit" | b"8bit" | b"binary" | b"7-bit" | b"8-bit" => Self::Identity,
            b"quoted-printable" => Self::QuotedPrintable,
            b"base64" => Self::Base64,
            _ => Self::Unknown,
        }
    }

    /// The encoding of a part's body. Multiparts and messages are never encoded as a whole (RFC 2045 6.4).
    pub fn of_part(part: &Part) -> Self {
        if part.media.is_kind("multipart") || part.media.is_message() {
            return Self::Identity;
        }
        part.transfer_encoding().map_or(Self::Identity, Self::from_name)
    }
}

/// Decodes a body in pieces; the result does not depend on how it is cut. Holds at most about a KiB.
#[derive(Clone, Debug)]
pub struct TransferDecoder {
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Identity,
    QuotedPrintable(QuotedPrintable),
    Base64(Base64),
}

impl TransferDecoder {
    /// A decoder at the start of a body. Octets in an unknown encoding are given as they are.
    pub fn new(encoding: TransferEncoding) -> Self {
        let state = match encoding {
            TransferEncoding::Identity | TransferEncoding::Unknown => State::Identity,
            TransferEncoding::QuotedPrintable => State::QuotedPrintable(QuotedPrintable::default()),
            TransferEncoding::Base64 => State::Base64(Base64::default()),
        };
        Self { state }
    }

    /// Decodes the next octets onto `out`.
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match &mut self.state {
            State::Identity => out.extend_from_slice(octets),
            State::QuotedPrintable(state) => octets.iter().for_each(|octet| state.push(*octet, out)),
            State::Base64(state) => octets.iter().for_each(|octet| state.push(*octet, out)),
        }
    }

    /// The body ends: puts what was held back onto `out`.
    pub fn finish(self, out: &mut Vec<u8>) {
        match self.state {
            State::Identity => {}
            State::QuotedPrintable(state) => state.finish(out),
            State::Base64(mut state) => state.flush(out),
        }
    }
}

/// RFC 2045 6.7
#[derive(Clone, Debug, Default)]
struct QuotedPrintable {
    /// An equals sign and what followed it so far.
    escape: Vec<u8>,
    /// White space that goes if the line ends here.
    space: Vec<u8>,
}

impl QuotedPrintable {
    fn push(&mut self, octet: u8, out: &mut Vec<u8>) {
        if self.escape.is_empty() {
            self.plain(octet, out);
        } else {
            self.escaped(octet, out);
        }
    }

    fn plain(&mut self, octet: u8, out: &mut Vec<u8>) {
        match octet {
            b' ' | b'\t' | b'\r' => {
                if self.space.len() >= TRAILING_SPACE_MAX {
                    out.append(&mut self.space);
                }
                self.space.push(octet);
            }
            b'\n' => {
                let crlf = self.space.last() == Some(&b'\r');
                self.space.clear();
                out.extend_from_slice(if crlf { b"\r\n" } else { b"\n" });
            }
            b'=' => {
                out.append(&mut self.space);
                self.escape.push(octet);
            }
            octet => {
                out.append(&mut self.space);
                out.push(octet);
            }
        }
    }

    fn escaped(&mut self, octet: u8, out: &mut Vec<u8>) {
        let digit = self.escape.get(1).copied();
        match (digit.and_then(hex), octet) {
            // A soft line break, white space before its end let pass.
            (None, b'\n') => self.escape.clear(),
            (None, octet) if is_space(octet) && self.escape.len() < TRAILING_SPACE_MAX => {
                self.escape.push(octet)
            }
            (None, octet) if digit.is_none() && hex(octet).is_some() => self.escape.push(octet),
            (Some(high), octet) if hex(octet).is_some() => {
                out.push(high << 4 | hex(octet).unwrap_or_default());
                self.escape.clear();
            }
            (_, octet) => {
                out.append(&mut self.escape);
                self.plain(octet, out);
            }
        }
    }

    /// Trailing white space goes, and so does an escape that is nothing but the start of a soft line break.
    fn finish(self, out: &mut Vec<u8>) {
        if self.escape.get(1).is_some_and(|octet| !is_space(*octet)) {
            out.extend(self.escape);
        }
    }
}

fn hex(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        _ => None,
    }
}

/// RFC 2045 6.8: octets outside the alphabet are skipped; padding ends a group, not the body.
#[derive(Clone, Debug, Default)]
struct Base64 {
    bits: u32,
    digits: u8,
}

impl Base64 {
    fn push(&mut self, octet: u8, out: &mut Vec<u8>) {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => return self.flush(out),
            _ => return,
        };
        self.bits = self.bits << 6 | u32::from(value);
        self.digits += 1;
        if self.digits == 4 {
            let [_, first, second, third] = self.bits.to_be_bytes();
            out.extend_from_slice(&[first, second, third]);
            *self = Self::default();
        }
    }

    /// Two digits hold one octet, three hold two; a single one holds none.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let missing = 4u32.saturating_sub(u32::from(self.digits));
        let [_, first, second, _] = (self.bits << (6 * missing.min(4))).to_be_bytes();
        match self.digits {
            2 => out.push(first),
            3 => out.extend_from_slice(&[first, second]),
            _ => {}
        }
        *self = Self::default();
    }
}

/// Decodes the text of an encoded word of encoding `Q` (RFC 2047 4.2).
pub(crate) fn decode_q(text: &[u8], out: &mut Vec<u8>) {
    let mut state = QuotedPrintable::default();
    for octet in text {
        match octet {
            b'_' => {
                state.push(b'=', out);
                state.push(b'2', out);
                state.push(b'0', out);
            }
            octet => state.push(*octet, out),
        }
    }
    out.append(&mut state.space);
    out.append(&mut state.escape);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoding: TransferEncoding, text: &str) -> String {
        let mut whole = Vec::new();
        let mut decoder = TransferDecoder::new(encoding);
        decoder.push(text.as_bytes(), &mut whole);
        decoder.finish(&mut whole);
        let mut pieces = Vec::new();
        let mut decoder = TransferDecoder::new(encoding);
        text.as_bytes().chunks(1).for_each(|octet| decoder.push(octet, &mut pieces));
        decoder.finish(&mut pieces);
        assert_eq!(whole, pieces);
        String::from_utf8_lossy(&whole).into_owned()
    }

    #[test]
    fn quoted_printable_is_decoded_tolerantly() {
        for (text, expected) in [
            ("a=3Db", "a=b"),
            ("a=3db", "a=b"),
            ("a=\r\nb", "ab"),
            ("a=  \r\nb", "ab"),
            ("a=\nb", "ab"),
            ("a  \r\nb\t\nc  ", "a\r\nb\nc"),
            ("a b", "a b"),
            ("a=20 \r\n", "a \r\n"),
            ("=C3=A9", "é"),
            ("=XY=", "=XY"),
            ("=4", "=4"),
            ("=4G", "=4G"),
            ("==41", "=A"),
            ("= x", "= x"),
            ("\r\r\n", "\r\n"),
        ] {
            assert_eq!(decode(TransferEncoding::QuotedPrintable, text), expected, "{text:?}");
        }
    }

    #[test]
    fn base64_is_decoded_tolerantly() {
        for (text, expected) in [
            ("aGVsbG8=", "hello"),
            ("aGVs\r\nbG8=\r\n", "hello"),
            ("aGVsbG8", "hello"),
            ("aGk=aGk=", "hihi"),
            ("a!G@V*s", "hel"),
            ("aGVsbG8gd29ybGQ=", "hello world"),
            ("aA==", "h"),
            ("aA", "h"),
            ("a", ""),
            ("====", ""),
            ("", ""),
        ] {
            assert_eq!(decode(TransferEncoding::Base64, text), expected, "{text:?}");
        }
    }

    #[test]
    fn names_in_any_case() {
        assert_eq!(TransferEncoding::from_name(b"Base64"), TransferEncoding::Base64);
        assert_eq!(TransferEncoding::from_name(b"x-uuencode"), TransferEncoding::Unknown);
        assert_eq!(decode(TransferEncoding::Unknown, "a=3D"), "a=3D");
    }
}
