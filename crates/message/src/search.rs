//! IMAP SEARCH on the text of a message (RFC 9051 6.4.4): decoded, in the collation i;unicode-casemap, in bounded memory.

use std::borrow::Cow;
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
    let found = TextSearch::new(structure, needle, scope).run(read, needle, &mut { u64::MAX })?;
    Ok(found.unwrap_or_default())
}

impl Needle {
    /// The needle for this text.
    pub fn new(text: &str) -> Self {
        let mut folded = String::new();
        fold_into(text, &mut folded);
        Self(folded)
    }
}

/// A search that looks at some octets at a time, so that a long message holds nobody up.
pub struct TextSearch {
    /// The name of the fields whose values are searched; without one, names and values of all are.
    name: Option<String>,
    /// What was not begun yet, the next last.
    segments: Vec<Segment>,
    open: Option<Open>,
    matcher: Matcher,
    /// What is known without looking.
    known: Option<bool>,
}

/// What is searched from one end to the other.
#[derive(Debug)]
enum Segment {
    Header(Range<u64>),
    Text { body: Range<u64>, encoding: TransferEncoding, charset: Option<Vec<u8>> },
}

/// A segment that was begun, and what of it was not read yet.
enum Open {
    Header { rest: Range<u64>, pending: Vec<u8> },
    Text { rest: Range<u64>, transfer: TransferDecoder, charset: CharsetDecoder },
}

impl TextSearch {
    /// A search that has not begun.
    pub fn new(structure: &Structure, needle: &Needle, scope: Scope<'_>) -> Self {
        let (root, mut segments) = (&structure.message.root, Vec::new());
        let (mut name, mut known) = (None, None);
        match scope {
            Scope::Field(wanted) => {
                name = Some(wanted.to_owned());
                segments.push(Segment::Header(root.header.clone()));
            }
            _ if needle.0.is_empty() => known = Some(true),
            Scope::Headers => segments.push(Segment::Header(root.header.clone())),
            Scope::Body => add_body(root, false, &mut segments),
            Scope::Text => add_message(&structure.message, true, &mut segments),
        }
        segments.reverse();
        TextSearch { name, segments, open: None, matcher: Matcher::default(), known }
    }

    /// Looks on for the needle that it was made with, and takes what it reads from `most`, in octets. `None` where that is used up and
    /// there is more to read.
    ///
    /// `read` is as for [`search_text`].
    ///
    /// # Errors
    /// Those of `read`.
    pub fn run<E>(
        &mut self,
        mut read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
        needle: &Needle,
        most: &mut u64,
    ) -> Result<Option<bool>, E> {
        if self.known.is_some() {
            return Ok(self.known);
        }
        loop {
            let Some(mut open) = self.open.take().or_else(|| self.next_segment()) else {
                return Ok(Some(false));
            };
            let name = self.name.as_deref();
            let found = match take_chunk(open.rest()) {
                None => open.finish(name, &mut self.matcher, needle),
                Some(chunk) if *most == 0 => {
                    open.rest().start = chunk.start;
                    self.open = Some(open);
                    return Ok(None);
                }
                Some(chunk) => {
                    *most = most.saturating_sub(chunk.end - chunk.start);
                    let found = open.push(&read(chunk)?, name, &mut self.matcher, needle);
                    self.open = Some(open);
                    found
                }
            };
            if found {
                return Ok(Some(true));
            }
        }
    }

    fn next_segment(&mut self) -> Option<Open> {
        self.matcher.restart();
        self.segments.pop().map(Open::new)
    }
}

fn add_message(message: &Message, part_headers: bool, segments: &mut Vec<Segment>) {
    segments.push(Segment::Header(message.root.header.clone()));
    add_body(&message.root, part_headers, segments);
}

fn add_body(part: &Part, part_headers: bool, segments: &mut Vec<Segment>) {
    match &part.content {
        Content::Message(message) => add_message(message, part_headers, segments),
        // A multipart in which no part was found may still be text to its reader.
        Content::Multipart(children) if children.is_empty() => segments.push(Segment::text(part)),
        Content::Multipart(children) => {
            for child in children {
                if part_headers {
                    segments.push(Segment::Header(child.header.clone()));
                }
                add_body(child, part_headers, segments);
            }
        }
        Content::Leaf if part.media.is_kind("text") => segments.push(Segment::text(part)),
        Content::Leaf => {}
    }
}

impl Segment {
    /// The body of one part, decoded as it is read.
    fn text(part: &Part) -> Self {
        let charset = part.media.value("charset").map(Cow::into_owned);
        Segment::Text { body: part.body.clone(), encoding: TransferEncoding::of_part(part), charset }
    }
}

impl Open {
    fn new(segment: Segment) -> Self {
        match segment {
            Segment::Header(rest) => Open::Header { rest, pending: Vec::new() },
            Segment::Text { body, encoding, charset } => Open::Text {
                rest: body,
                transfer: TransferDecoder::new(encoding),
                charset: CharsetDecoder::new(charset.as_deref()),
            },
        }
    }

    fn rest(&mut self) -> &mut Range<u64> {
        match self {
            Open::Header { rest, .. } | Open::Text { rest, .. } => rest,
        }
    }

    /// Takes the next octets; whether the needle is found.
    fn push(&mut self, read: &[u8], name: Option<&str>, matcher: &mut Matcher, needle: &Needle) -> bool {
        match self {
            Open::Header { pending, .. } => {
                pending.extend_from_slice(read);
                let complete = match complete_fields(pending) {
                    0 if pending.len() >= SEARCH_FIELD_OCTETS_MAX => pending.len(),
                    complete => complete,
                };
                let rest = pending.split_off(complete);
                let fields = std::mem::replace(pending, rest);
                is_in_fields(&fields, name, matcher, needle)
            }
            Open::Text { transfer, charset, .. } => {
                let (mut octets, mut text) = (Vec::new(), String::new());
                transfer.push(read, &mut octets);
                charset.push(&octets, &mut text);
                matcher.push(&text, needle)
            }
        }
    }

    /// There are no more octets; whether the needle is in what was held back.
    fn finish(self, name: Option<&str>, matcher: &mut Matcher, needle: &Needle) -> bool {
        match self {
            Open::Header { pending, .. } => is_in_fields(&pending, name, matcher, needle),
            Open::Text { transfer, mut charset, .. } => {
                let (mut octets, mut text) = (Vec::new(), String::new());
                transfer.finish(&mut octets);
                charset.push(&octets, &mut text);
                charset.finish(&mut text);
                matcher.push(&text, needle)
            }
        }
    }
}

/// Whether the needle is in whole fields: with a name in the values of those so named, else in names and values of all.
fn is_in_fields(header: &[u8], name: Option<&str>, matcher: &mut Matcher, needle: &Needle) -> bool {
    Fields::new(header).any(|field| {
        let value = match name {
            None => field.raw,
            Some(name) => match field.name {
                Some(found) if found.eq_ignore_ascii_case(name.as_bytes()) => field.value,
                _ => return false,
            },
        };
        matcher.restart();
        matcher.push(&decode_words(trim(&unfold(value))), needle)
    })
}

/// The length of the start that holds whole fields: up to the last line that is known to start one.
fn complete_fields(header: &[u8]) -> usize {
    let starts = |pair: &[u8]| matches!(pair, [b'\n', next] if !matches!(next, b' ' | b'\t'));
    header.windows(2).rposition(starts).map_or(0, |before| before + 1)
}

/// Takes what is read at once from the front of a range.
fn take_chunk(rest: &mut Range<u64>) -> Option<Range<u64>> {
    let next = rest.start.saturating_add(READ_OCTETS).min(rest.end);
    let chunk = rest.start..next;
    rest.start = next;
    (!chunk.is_empty()).then_some(chunk)
}

/// Looks for the needle in text that comes in pieces.
#[derive(Debug, Default)]
struct Matcher {
    /// The folded text since the restart, as much of its end as may start a match.
    window: String,
}

impl Matcher {
    /// What comes next does not follow what came.
    fn restart(&mut self) {
        self.window.clear();
    }

    /// True where the needle is in the text so far.
    fn push(&mut self, text: &str, Needle(needle): &Needle) -> bool {
        let mut rest = text;
        loop {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(SEARCH_FOLD_OCTETS));
            fold_into(piece, &mut self.window);
            if self.window.contains(needle) {
                return true;
            }
            let excess = self.window.len().saturating_sub(needle.len());
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
        let mut matcher = Matcher::default();
        let text = "\u{fdfa}".repeat(500_000);
        assert!(!matcher.push(&text, &needle));
        assert!(matcher.window.capacity() <= 16 * SEARCH_FOLD_OCTETS, "{}", matcher.window.capacity());
        assert!(matcher.push("Y", &needle), "across pieces");
    }

    /// Some octets at a time, it comes to the same.
    #[test]
    fn a_search_goes_on_where_it_was_left() {
        let filler = "filler \r\n".repeat(100_000);
        let message = MESSAGE.replace("--b--", &format!("--b\r\n\r\n{filler}the end{filler}\r\n--b--"));
        let mut scanner = Scanner::new();
        scanner.push(message.as_bytes());
        let structure = scanner.finish();
        let mut octets_read = 0;
        for (text, scope) in [("the end", Scope::Body), ("the\u{e9}nd", Scope::Text), ("", Scope::Body)] {
            let needle = Needle::new(text);
            let (mut search, mut turns) = (TextSearch::new(&structure, &needle, scope), 0);
            let found = loop {
                let before = octets_read;
                let read = |range: Range<u64>| {
                    octets_read += range.end - range.start;
                    Ok::<_, Infallible>(message.as_bytes()[range.start as usize..range.end as usize].to_vec())
                };
                match search.run(read, &needle, &mut 100_000).unwrap() {
                    Some(found) => break found,
                    None => turns += 1,
                }
                assert!((100_000..100_000 + READ_OCTETS).contains(&(octets_read - before)));
            };
            assert_eq!(found, self::found(message.as_bytes(), text, scope));
            assert!(text.is_empty() || turns > 3, "{turns}");
        }
    }

    #[test]
    fn an_error_of_the_reader_is_handed_on() {
        let mut scanner = Scanner::new();
        scanner.push(MESSAGE.as_bytes());
        let result = search_text(&scanner.finish(), |_| Err("gone"), &Needle::new("x"), Scope::Text);
        assert_eq!(result, Err("gone"));
    }
}
