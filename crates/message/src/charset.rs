//! Octets of a named charset to text, as they pass by.

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, WINDOWS_1252};
use mail_parser::decoders::charsets::map::charset_decoder;

/// Octets held back for the end of their line.
const PENDING_MAX: usize = 64 * 1024;

/// A charset that a client may name for what it looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset(&'static Encoding);

impl Charset {
    /// UTF-8, which holds US-ASCII.
    pub const UTF_8: Charset = Charset(UTF_8);

    /// Names of the charsets there are, one of each: what to tell a client that named another. They are those of the WHATWG's
    /// Encoding Standard; UTF-16 is left out, which no command can carry, having NUL octets.
    pub const NAMES: [&'static str; 38] = [
        "US-ASCII",
        "UTF-8",
        "ISO-8859-1",
        "ISO-8859-2",
        "ISO-8859-3",
        "ISO-8859-4",
        "ISO-8859-5",
        "ISO-8859-6",
        "ISO-8859-7",
        "ISO-8859-8",
        "ISO-8859-8-I",
        "ISO-8859-10",
        "ISO-8859-13",
        "ISO-8859-14",
        "ISO-8859-15",
        "ISO-8859-16",
        "windows-874",
        "windows-1250",
        "windows-1251",
        "windows-1252",
        "windows-1253",
        "windows-1254",
        "windows-1255",
        "windows-1256",
        "windows-1257",
        "windows-1258",
        "KOI8-R",
        "KOI8-U",
        "IBM866",
        "macintosh",
        "x-mac-cyrillic",
        "Big5",
        "GBK",
        "gb18030",
        "EUC-JP",
        "ISO-2022-JP",
        "Shift_JIS",
        "EUC-KR",
    ];

    /// The charset of this name, or of another that it goes by; `None` where it is not known.
    pub fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("US-ASCII") || name.eq_ignore_ascii_case("ASCII") {
            return Some(Charset::UTF_8);
        }
        Encoding::for_label_no_replacement(name.as_bytes()).map(Charset)
    }

    /// The text of these octets; `None` where they are none in this charset.
    pub fn decode(self, octets: &[u8]) -> Option<String> {
        let text = self.0.decode_without_bom_handling_and_without_replacement(octets);
        text.map(|text| text.into_owned())
    }
}

/// Decodes text in pieces. What cannot be decoded becomes U+FFFD, never an error.
pub struct CharsetDecoder {
    state: State,
}

enum State {
    /// A charset of the WHATWG's list.
    Standard(Box<Decoder>),
    /// Others, which are decoded line by line.
    Lines { decode: fn(&[u8]) -> String, pending: Vec<u8> },
}

impl CharsetDecoder {
    /// A decoder for this label. None, `us-ascii` and unknown labels mean UTF-8 in lines where it is valid, else
    /// Windows-1252: messages that name no charset have either.
    pub fn new(label: Option<&[u8]>) -> Self {
        // RFC 2231 5: a language may follow the charset of an encoded word.
        let label = label.and_then(|label| label.split(|octet| *octet == b'*').next()).unwrap_or_default();
        let is_ascii = label.eq_ignore_ascii_case(b"us-ascii") || label.eq_ignore_ascii_case(b"ascii");
        let standard = if is_ascii { None } else { Encoding::for_label_no_replacement(label) };
        let state = match standard {
            Some(encoding) => State::Standard(Box::new(encoding.new_decoder())),
            None => State::Lines {
                decode: charset_decoder(label).filter(|_| !is_ascii).unwrap_or(guess),
                pending: Vec::new(),
            },
        };
        Self { state }
    }

    /// Decodes the next octets onto `out`.
    pub fn push(&mut self, octets: &[u8], out: &mut String) {
        match &mut self.state {
            State::Standard(decoder) => standard(decoder, octets, false, out),
            State::Lines { decode, pending } => {
                pending.extend_from_slice(octets);
                let lines = pending.iter().rposition(|octet| *octet == b'\n').map_or(0, |last| last + 1);
                let ready = if lines == 0 && pending.len() > PENDING_MAX { pending.len() } else { lines };
                let rest = pending.split_off(ready);
                out.push_str(&decode(pending));
                *pending = rest;
            }
        }
    }

    /// The text ends: puts what was held back onto `out`.
    pub fn finish(self, out: &mut String) {
        match self.state {
            State::Standard(mut decoder) => standard(&mut decoder, b"", true, out),
            State::Lines { decode, pending } => out.push_str(&decode(&pending)),
        }
    }
}

/// The whole text of these octets.
pub(crate) fn decode(label: Option<&[u8]>, octets: &[u8], out: &mut String) {
    let mut decoder = CharsetDecoder::new(label);
    decoder.push(octets, out);
    decoder.finish(out);
}

fn standard(decoder: &mut Decoder, mut octets: &[u8], last: bool, out: &mut String) {
    loop {
        // The decoder writes into spare capacity only. Its bound is never missing for lengths that fit into memory.
        out.reserve(decoder.max_utf8_buffer_length(octets.len()).unwrap_or(octets.len()).max(16));
        let (result, read, _) = decoder.decode_to_string(octets, out, last);
        octets = octets.get(read..).unwrap_or_default();
        if result == CoderResult::InputEmpty {
            return;
        }
    }
}

fn guess(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        match std::str::from_utf8(line) {
            Ok(line) => text.push_str(line),
            Err(_) => text.push_str(&WINDOWS_1252.decode_without_bom_handling(line).0),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(label: &str, octets: &[u8]) -> String {
        let label = Some(label.as_bytes()).filter(|label| !label.is_empty());
        let mut whole = String::new();
        decode(label, octets, &mut whole);
        let mut pieces = String::new();
        let mut decoder = CharsetDecoder::new(label);
        octets.chunks(1).for_each(|octet| decoder.push(octet, &mut pieces));
        decoder.finish(&mut pieces);
        assert_eq!(whole, pieces, "{label:?}");
        whole
    }

    #[test]
    fn charsets_have_names() {
        let known: Vec<Charset> = Charset::NAMES.iter().filter_map(|name| Charset::named(name)).collect();
        assert_eq!(known.len(), Charset::NAMES.len(), "every name is known");
        assert_eq!(Charset::named("us-ascii"), Charset::named("UTF8"));
        for other in ["latin1", "cp1252", "sjis", "x-gbk", "utf-16le", "x-user-defined"] {
            assert!(Charset::named(other).is_some(), "{other}");
        }
        for unknown in ["", "x-nobody-knows", "iso-2022-kr", "utf-7"] {
            assert_eq!(Charset::named(unknown), None, "{unknown}");
        }
        let decode = |name, octets| Charset::named(name).unwrap().decode(octets);
        assert_eq!(decode("koi8-r", b"\xf0\xd2\xc9").as_deref(), Some("При"));
        assert_eq!(decode("utf-8", b"a\xff"), None);
        assert_eq!(decode("shift_jis", b"\x83"), None, "half a letter");
        assert_eq!(decode("utf-8", "\u{feff}a".as_bytes()).as_deref(), Some("\u{feff}a"));
    }

    #[test]
    fn charsets_are_decoded() {
        for (label, octets, expected) in [
            ("utf-8", "é".as_bytes(), "é"),
            ("UTF-8*en", "é".as_bytes(), "é"),
            ("iso-8859-1", b"\xe9", "é"),
            ("ISO-8859-15", b"\xa4", "€"),
            ("koi8-r", b"\xf0\xd2\xc9", "При"),
            ("iso-2022-jp", b"\x1b$B$3\x1b(B", "こ"),
            ("shift_jis", b"\x83n", "ハ"),
            ("gb2312", b"\xc4\xe3", "你"),
            ("big5", b"\xa7A", "你"),
            ("euc-kr", b"\xbe\xc8", "안"),
            ("utf-16be", b"\0a\0\xe9", "aé"),
            ("utf-16", b"\xff\xfea\0", "a"),
            ("utf-7", b"Hi Mom -+Jjo--!", "Hi Mom -☺-!"),
            ("us-ascii", b"\xe9 \n\xc3\xa9", "é \né"),
            ("", b"\xe9", "é"),
            ("x-nobody-knows", "é".as_bytes(), "é"),
            ("utf-8", b"a\xffb", "a\u{fffd}b"),
        ] {
            assert_eq!(text(label, octets), expected, "{label}");
        }
    }
}
