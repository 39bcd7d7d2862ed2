//! IMAP SEARCH on the text of a message (RFC 9051 6.4.4): decoded, in the collation i;unicode-casemap, in bounded memory.

use std::ops::Range;

use crate::charset::CharsetDecoder;
use crate::collation;
use crate::header::{Fields, trim, unfold};
use crate::limits::{READ_OCTETS, SEARCH_FIELD_OCTETS_MAX, SEARCH_FOLD_OCTETS};
use crate::structure::{Content, Message, Part, Structure};
use crate::transfer::{TransferDecoder, TransferEncoding};
use crate::words::decode_words;

/// What is looked for: case and the form of letters do not count (RFC 5051), and any run of white space is one space, as in text
/// that was broken into lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle(String);

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// The header of the message: names and values.
    Headers,
    /// The text parts of the body, and whole messages nested in it: `BODY`.
    Body,
    /// All headers, those of parts included, and the text parts: `TEXT`.
    Text,
    /// The values of the fields of this name in the header of the message: `HEADER`, `SUBJECT`, `FROM` and so on. An
    /// empty needle is in every field, so it asks whether there is one.
    Field(&'a str),
}

/// Whether the text of a message contains the needle.
///
/// `read` gives the octets of a range of the message; it is asked for at most [`READ_OCTETS`] at once, in order, and only
/// for what the scope needs.
///
/// # Errors
/// Those of `read`.
pub fn search_text<E>(
    structure: &Structure,
    read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
    needle: &Needle,
    scope: Scope<'_>,
) -> Result<bool, E> {
    let mut search = Search { read, matcher: Matcher::new(needle) };
    let root = &structure.message.root;
    match scope {
        Scope::Field(name) => search.header(&root.header, Some(name)),
        _ if needle.0.is_empty() => Ok(true),
        Scope::Headers => search.header(&root.header, None),
        Scope::Body => search.body(root, false),
        Scope::Text => search.message(&structure.message, true),
    }
}

impl Needle {
    /// The needle for this text.
    pub fn new(text: &str) -> Self {
        let mut folded = String::new();
        fold_into(text, &mut folded);
        Self(folded)
    }
}

struct Search<'a, R> {
    read: R,
    matcher: Matcher<'a>,
}

impl<E, R: FnMut(Range<u64>) -> Result<Vec<u8>, E>> Search<'_, R> {
    fn message(&mut self, message: &Message, part_headers: bool) -> Result<bool, E> {
        Ok(self.header(&message.root.header, None)? || self.body(&message.root, part_headers)?)
    }

    fn body(&mut self, part: &Part, part_headers: bool) -> Result<bool, E> {
        match &part.content {
            Content::Message(message) => self.message(message, part_headers),
            // A multipart in which no part was found may still be text to its reader.
            Content::Multipart(children) if children.is_empty() => self.text(part),
            Content::Multipart(children) => {
                for child in children {
                    if part_headers && self.header(&child.header, None)? || self.body(child, part_headers)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Content::Leaf if part.media.is_kind("text") => self.text(part),
            Content::Leaf => Ok(false),
        }
    }

    /// The body of one part, decoded as it is read.
    fn text(&mut self, part: &Part) -> Result<bool, E> {
        let mut transfer = TransferDecoder::new(TransferEncoding::of_part(part));
        let mut charset = CharsetDecoder::new(part.media.value("charset").as_deref());
        let (mut octets, mut text) = (Vec::new(), String::new());
        self.matcher.restart();
        for range in chunks(&part.body) {
            octets.clear();
            text.clear();
            transfer.push(&(self.read)(range)?, &mut octets);
            charset.push(&octets, &mut text);
            if self.matcher.push(&text) {
                return Ok(true);
            }
        }
        octets.clear();
        text.clear();
        transfer.finish(&mut octets);
        charset.push(&octets, &mut text);
        charset.finish(&mut text);
        Ok(self.matcher.push(&text))
    }

    /// The fields of a header: with a name the values of the fields so named, else names and values of all.
    fn header(&mut self, range: &Range<u64>, name: Option<&str>) -> Result<bool, E> {
        let mut pending = Vec::new();
        for chunk in chunks(range) {
            pending.extend((self.read)(chunk)?);
            let complete = match complete_fields(&pending) {
                0 if pending.len() >= SEARCH_FIELD_OCTETS_MAX => pending.len(),
                complete => complete,
            };
            let rest = pending.split_off(complete);
            if self.fields(&pending, name) {
                return Ok(true);
            }
            pending = rest;
        }
        Ok(self.fields(&pending, name))
    }

    fn fields(&mut self, header: &[u8], name: Option<&str>) -> bool {
        Fields::new(header).any(|field| {
            let value = match name {
                None => field.raw,
                Some(name) => match field.name {
                    Some(found) if found.eq_ignore_ascii_case(name.as_bytes()) => field.value,
                    _ => return false,
                },
            };
            self.matcher.restart();
            self.matcher.push(&decode_words(trim(&unfold(value))))
        })
    }
}

/// The length of the start that holds whole fields: up to the last line that is known to start one.
fn complete_fields(header: &[u8]) -> usize {
    let starts = |pair: &[u8]| matches!(pair, [b'\n', next] if !matches!(next, b' ' | b'\t'));
    header.windows(2).rposition(starts).map_or(0, |before| before + 1)
}

/// The range in pieces that are read at once.
fn chunks(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let end = range.end;
    let mut start = range.start;
    std::iter::from_fn(move || {
        let next = start.saturating_add(READ_OCTETS).min(end);
        let chunk = start..next;
        start = next;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Looks for the needle in text that comes in pieces.
struct Matcher<'a> {
    needle: &'a str,
    /// The folded text since the restart, as much of its end as may start a match.
    window: String,
}

impl<'a> Matcher<'a> {
    fn new(needle: &'a Needle) -> Self {
        Self { needle: &needle.0, window: String::new() }
    }

    /// What comes next does not follow what came.
    fn restart(&mut self) {
        self.window.clear();
    }

    /// True where the needle is in the text so far.
    fn push(&mut self, text: &str) -> bool {
        let mut rest = text;
        loop {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(SEARCH_FOLD_OCTETS));
            fold_into(piece, &mut self.window);
            if self.window.contains(self.needle) {
                return true;
            }
            let excess = self.window.len().saturating_sub(self.needle.len());
            self.window.drain(..self.window.floor_char_boundary(excess));
            rest = after;
            if rest.is_empty() {
                return false;
            }
        }
    }
}

/// Adds the text as the collation has it, with one space for each run of white space.
fn fold_into(text: &str, folded: &mut String) {
    collation::fold(text, |letter| match letter {
        '!'..='~' => folded.push(letter),
        letter if letter.is_whitespace() => {
            if !folded.ends_with(' ') {
                folded.push(' ');
            }
        }
        letter => folded.push(letter),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scanner;
    use std::convert::Infallible;

    const MESSAGE: &str = concat!(
        "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.com>\r\nSubject: Hello\r\n  World\r\nX-Empty:\r\n",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n",
        "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
        "Gr=FC=DFe aus dem S=FC=\r\nden, zwei\r\nZeilen\r\n",
        "--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        "zpTOuc6/zrPOrc69zrfPgg==\r\n",
        "--b\r\nContent-Type: application/pdf; name=secret.pdf\r\n\r\nbinary\r\n",
        "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: nested\r\n\r\ninner text\r\n--b--\r\nepilogue\r\n",
    );

    fn found(message: &[u8], needle: &str, scope: Scope<'_>) -> bool {
        let mut scanner = Scanner::new();
        scanner.push(message);
        let read = |range: Range<u64>| {
            assert!(range.end - range.start <= READ_OCTETS);
            Ok::<_, Infallible>(message[range.start as usize..range.end as usize].to_vec())
        };
        search_text(&scanner.finish(), read, &Needle::new(needle), scope).unwrap()
    }

    #[test]
    fn text_is_found_where_it_is_and_nowhere_else() {
        use Scope::{Body, Field, Headers, Text};
        for (needle, scope, expected) in [
            ("hello world", Field("subject"), true),
            ("HELLO  WORLD", Headers, true),
            ("hello", Body, false),
            ("hello", Text, true),
            ("jörg", Field("FROM"), true),
            ("JÖRG <joerg@", Field("from"), true),
            ("jörg", Field("to"), false),
            ("", Field("x-empty"), true),
            ("", Field("x-absent"), false),
            ("", Body, true),
            ("grüße aus", Body, true),
            ("SÜDEN", Body, true),
            ("zwei zeilen", Text, true),
            ("ΔΙΟΓΈΝΗΣ", Body, true),
            ("διογένης", Body, true),
            ("binary", Text, false),
            ("secret.pdf", Text, true),
            ("secret.pdf", Body, false),
            ("preamble", Text, false),
            ("nested", Body, true),
            ("nested", Headers, false),
            ("inner text", Body, true),
            ("subject: hello", Text, true),
        ] {
            assert_eq!(found(MESSAGE.as_bytes(), needle, scope), expected, "{needle} in {scope:?}");
        }
    }

    #[test]
    fn text_is_found_across_the_pieces_read() {
        for padding in [READ_OCTETS - 20, READ_OCTETS - 5, READ_OCTETS, 3 * READ_OCTETS - 9] {
            let filler = "x".repeat(usize::try_from(padding).unwrap());
            let message = format!("Subject: a\r\n\r\n{filler}the néedle{filler}");
            assert!(found(message.as_bytes(), "THE NÉEDLE", Scope::Body), "{padding}");
            assert!(!found(message.as_bytes(), "the néedles", Scope::Body), "{padding}");
            let message =
                format!("X-Filler: {filler}\r\nSubject: the\r\n néedle\r\n{filler}: {filler}\r\n\r\n");
            assert!(found(message.as_bytes(), "the néedle", Scope::Field("subject")), "{padding}");
        }
    }

    /// RFC 5051: titlecase, then taken apart by canonical and compatibility mappings; both sides alike.
    #[test]
    fn the_form_of_letters_does_not_count() {
        let message = concat!(
            "Subject: =?utf-8?q?R=C3=89SUM=C3=89?= =?utf-8?b?77yB?= \u{1c4}ep\r\n",
            "From: =?utf-8?q?broken_word <a@example.com>, =?x?y?z <b@example.com>\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n\r\n",
            "cafe\u{301} ﬁn ＷＩＤＥ \u{1fb3} 가 ſo ΑΎΡΙΟς\u{a0}x\r\n",
        );
        use Scope::{Body, Field};
        for (needle, scope, expected) in [
            ("résumé!", Field("Subject"), true),
            ("re\u{301}sume\u{301}", Field("Subject"), true),
            ("resume", Field("Subject"), false),
            ("\u{1c6}EP", Field("Subject"), true),
            ("broken_word <A@", Field("From"), true),
            ("=?X?Y?Z", Field("From"), true),
            ("CAFÉ", Body, true),
            ("cafe", Body, true),
            ("ﬁN", Body, true),
            ("wide", Body, true),
            ("\u{1fbc}", Body, true),
            ("\u{1100}\u{1161}", Body, true),
            ("SO", Body, true),
            ("αύριοσ X", Body, true),
        ] {
            assert_eq!(found(message.as_bytes(), needle, scope), expected, "{needle} in {scope:?}");
        }
    }

    /// The folded text of a piece is not larger than some times its bound, whatever the letters.
    #[test]
    fn letters_that_grow_are_searched_in_bounded_memory() {
        let needle = Needle::new("صلى الله عليه وسلمy");
        let mut matcher = Matcher::new(&needle);
        let text = "\u{fdfa}".repeat(500_000);
        assert!(!matcher.push(&text));
        assert!(matcher.window.capacity() <= 16 * SEARCH_FOLD_OCTETS, "{}", matcher.window.capacity());
        assert!(matcher.push("Y"), "across pieces");
    }

    #[test]
    fn an_error_of_the_reader_is_handed_on() {
        let mut scanner = Scanner::new();
        scanner.push(MESSAGE.as_bytes());
        let result = search_text(&scanner.finish(), |_| Err("gone"), &Needle::new("x"), Scope::Text);
        assert_eq!(result, Err("gone"));
    }
}
