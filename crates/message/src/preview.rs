//! The first words of a message, for a list of messages (RFC 8970), with bounded work.

mod html;

use std::ops::Range;

use crate::charset::CharsetDecoder;
use crate::limits::PREVIEW_OCTETS_MAX;
use crate::structure::{Content, Part, Structure};
use crate::transfer::{TransferDecoder, TransferEncoding};

use html::HtmlText;

/// The most characters of a preview (RFC 8970 section 3.2).
const CHARACTERS_MAX: usize = 200;

/// The beginning of the first text of a message, at most 200 characters: decoded, without markup, runs of white space as one
/// space. Empty where there is no text, or none within the first [`PREVIEW_OCTETS_MAX`] octets of it.
///
/// `read` gives the octets of a range of the message; it is asked once at most, for no more than those.
///
/// # Errors
/// Those of `read`.
pub fn preview<E>(
    structure: &Structure,
    read: impl FnOnce(Range<u64>) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let Some(part) = first_text(&structure.message.root) else { return Ok(String::new()) };
    let end = part.body.end.min(part.body.start.saturating_add(PREVIEW_OCTETS_MAX));
    if part.body.start >= end {
        return Ok(String::new());
    }
    let octets = read(part.body.start..end)?;
    let text = text_of(part, &octets, end == part.body.end);
    let mut words = Words::default();
    if part.media.is("text", "html") {
        HtmlText::default().push(&text, |letter| words.push(letter));
    } else {
        text.chars().for_each(|letter| words.push(letter));
    }
    Ok(words.whole())
}

/// The first part that is shown as text. Attached files and messages are not looked into.
fn first_text(part: &Part) -> Option<&Part> {
    let attached = part.fields.as_deref().and_then(|fields| fields.disposition.as_ref());
    if attached.is_some_and(|disposition| disposition.kind.eq_ignore_ascii_case(b"attachment")) {
        return None;
    }
    match &part.content {
        Content::Multipart(children) => children.iter().find_map(first_text),
        Content::Leaf => {
            let known = TransferEncoding::of_part(part) != TransferEncoding::Unknown;
            (part.media.is_kind("text") && known && !part.body.is_empty()).then_some(part)
        }
        Content::Message(_) => None,
    }
}

/// The start of the part's text; `whole` if these octets are all there are.
fn text_of(part: &Part, octets: &[u8], whole: bool) -> String {
    let mut transfer = TransferDecoder::new(TransferEncoding::of_part(part));
    let mut charset = CharsetDecoder::new(part.media.value("charset").as_deref());
    let (mut decoded, mut text) = (Vec::new(), String::new());
    transfer.push(octets, &mut decoded);
    if whole {
        transfer.finish(&mut decoded);
    } else {
        // What the cut left of a last character of UTF-8 would make its line look as if it were in another charset.
        let continued = decoded.iter().rev().take(3).take_while(|octet| matches!(octet, 0x80..=0xbf)).count();
        decoded.truncate(decoded.len() - continued);
        decoded.pop_if(|octet| *octet >= 0xc0);
    }
    charset.push(&decoded, &mut text);
    charset.finish(&mut text);
    text
}

/// Collects letters, with one space for each run of white space between them.
#[derive(Default)]
struct Words {
    text: String,
    characters: usize,
    space: bool,
    /// A zero-width non-joiner that means something if a letter follows: newsletters pad what they want to be previewed with
    /// them and spaces.
    joiner: bool,
}

impl Words {
    fn push(&mut self, letter: char) {
        if letter.is_whitespace() {
            self.space |= !self.text.is_empty();
            self.joiner = false;
            return;
        }
        if letter == '\u{200c}' {
            self.joiner = !self.space && !self.text.is_empty();
            return;
        }
        if is_invisible(letter) {
            return;
        }
        if std::mem::take(&mut self.joiner) {
            self.add('\u{200c}');
        }
        if std::mem::take(&mut self.space) {
            self.add(' ');
        }
        self.add(letter);
    }

    /// Where the last character that fits is a space, there is no word behind it.
    fn whole(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        self.text
    }

    fn add(&mut self, letter: char) {
        if self.characters < CHARACTERS_MAX {
            self.characters += 1;
            self.text.push(letter);
        }
    }
}

/// Control characters, byte order marks, soft hyphens and the like.
fn is_invisible(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{ad}' | '\u{34f}' | '\u{200b}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scanner;
    use std::convert::Infallible;

    fn of(message: &[u8]) -> String {
        let mut scanner = Scanner::new();
        scanner.push(message);
        let read = |range: Range<u64>| {
            assert!(range.end - range.start <= PREVIEW_OCTETS_MAX);
            Ok::<_, Infallible>(message[range.start as usize..range.end as usize].to_vec())
        };
        preview(&scanner.finish(), read).unwrap()
    }

    #[test]
    fn plain_text_is_decoded_and_put_in_one_line() {
        assert_eq!(
            of(b"Subject: a\r\n\r\n  Hello\r\n\r\n\tJoe,\x07 how\xad are you?\r\n"),
            "Hello Joe, how are you?"
        );
        let latin = "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=\r\n=DFe";
        assert_eq!(of(latin.as_bytes()), "Gr\u{fc}\u{df}e");
        let base64 = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nY2Fmw6kgYXUgbGFpdA==";
        assert_eq!(of(base64.as_bytes()), "caf\u{e9} au lait");
        let japanese = b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B$3\x1b(B";
        assert_eq!(of(japanese), "\u{3053}");
    }

    #[test]
    fn at_most_200_characters() {
        let message = format!("\r\n{}", "\u{e9}\u{e9} ".repeat(1000));
        let text = of(message.as_bytes());
        assert_eq!(text.chars().count(), 200);
        assert!(text.starts_with("\u{e9}\u{e9} \u{e9}"), "{text}");
        // The 200th character was once a space that parted nothing.
        let message = format!("\r\n{} b", "a".repeat(199));
        assert_eq!(of(message.as_bytes()), "a".repeat(199));
        for odd in ["x", ""] {
            let message = format!("\r\n{odd}{}", "\u{e9}".repeat(100_000));
            assert!(of(message.as_bytes()).ends_with("\u{e9}\u{e9}"), "cut within a character");
        }
    }

    #[test]
    fn the_first_text_that_is_not_attached() {
        let mixed = concat!(
            "Content-Type: multipart/mixed; boundary=m\r\n\r\n",
            "--m\r\nContent-Type: text/csv\r\nContent-Disposition: Attachment\r\n\r\na,b\r\n",
            "--m\r\nContent-Type: image/png\r\n\r\npng\r\n",
            "--m\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner\r\n",
            "--m\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin\r\n",
            "--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n",
            "--a\r\nContent-Type: text/plain\r\n\r\n\r\n",
            "--a\r\nContent-Type: text/html\r\n\r\n<p>Hi</p>\r\n--a--\r\n--m--\r\n",
        );
        assert_eq!(of(mixed.as_bytes()), "Hi");
        assert_eq!(of(b"Content-Type: image/png\r\n\r\npng"), "");
        assert_eq!(of(b"Subject: empty\r\n\r\n"), "");
        assert_eq!(of(b""), "");
    }

    #[test]
    fn a_long_text_is_not_read_to_its_end() {
        let style = format!("<style>{}</style>", "x".repeat(40_000));
        let html = format!("Content-Type: text/html\r\n\r\n{style}<p>Hello{}", " ".repeat(1_000_000));
        assert_eq!(of(html.as_bytes()), "Hello");
        let html = format!("Content-Type: text/html\r\n\r\n{}<p>Hello", style.repeat(10));
        assert_eq!(of(html.as_bytes()), "", "it begins too late");
    }

    #[test]
    fn padding_that_nobody_sees_is_left_out() {
        let html =
            "Content-Type: text/html\r\n\r\nSale&nbsp;&zwnj;&nbsp;&zwnj;\u{200b}\u{feff}&#847; today &shy;";
        assert_eq!(of(html.as_bytes()), "Sale today");
        // A non-joiner before the first space of the padding was kept once; within a word it means something.
        assert_eq!(of("\r\nSale\u{200c} \u{200c} today".as_bytes()), "Sale today");
        assert_eq!(of("\r\n\u{645}\u{6cc}\u{200c}\u{62e}".as_bytes()), "\u{645}\u{6cc}\u{200c}\u{62e}");
    }
}
