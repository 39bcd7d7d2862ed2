//! The push scanner: octets in, structure out, whatever the chunks, in bounded memory.

use crate::budget::Budgets;
use crate::frame::{Frame, Kind};
use crate::header::{is_continuation, is_empty_line, is_space, split_field, trim_end};
use crate::limits::{BOUNDARY_OCTETS_MAX, DEPTH_MAX, FIELD_OCTETS_MAX, PARTS_MAX};
use crate::structure::Structure;

/// Finds the structure of a message as its octets pass by.
///
/// The result depends on the octets alone, not on how they are cut. Lines end with LF, with or without CR before it;
/// a bare CR is data. What is malformed is read the tolerant way, never refused:
///
/// - A header goes up to the first empty line, whatever its lines are, or to the boundary or end that comes first.
/// - A boundary line is a boundary of any open multipart, the innermost first, then perhaps `--`; what follows behind white
///   space does not count, nor does what follows `--`, unless the whole line is another boundary.
/// - Everything beyond the bounds of [`crate::limits`] is covered by ranges but not kept or not taken apart.
#[derive(Debug)]
pub struct Scanner {
    /// Octets taken in.
    position: u64,
    /// Line ends taken in.
    lines: u64,
    /// Open parts, outermost first; never empty.
    stack: Vec<Frame>,
    /// Where the innermost open part is: in its header or in its body.
    in_header: bool,
    line: Line,
    /// The line end before the current line: 0, 1 or 2 octets.
    previous_terminator: u64,
    field: FieldDraft,
    parts: usize,
    budgets: Budgets,
}

/// The line being read: its start, as much as is needed of it.
#[derive(Debug, Default)]
struct Line {
    start: u64,
    kept: Vec<u8>,
    /// At least one octet was taken in.
    started: bool,
    /// Octets beyond those kept: none, white space only, or others.
    overflow: Overflow,
    after_carriage_return: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Overflow {
    #[default]
    None,
    Blank,
    Text,
}

/// The header field being read: nothing is kept of fields that nobody wants.
#[derive(Debug, Default)]
struct FieldDraft {
    name: Option<&'static str>,
    value: Vec<u8>,
    too_long: bool,
}

impl Line {
    /// Keeps what may be needed: of a header line much, of a body line only what may be a boundary.
    fn keep(&mut self, piece: &[u8], in_header: bool) {
        let first = !std::mem::replace(&mut self.started, true);
        let wanted = in_header || !self.kept.is_empty() || first && piece.first() == Some(&b'-');
        if !wanted {
            return;
        }
        let most = if in_header { FIELD_OCTETS_MAX } else { BODY_LINE_KEPT };
        let room = most.saturating_sub(self.kept.len()).min(piece.len());
        let (fits, beyond) = piece.split_at_checked(room).unwrap_or((piece, &[]));
        self.kept.extend_from_slice(fits);
        if !beyond.iter().copied().all(is_space) {
            self.overflow = Overflow::Text;
        } else if !beyond.is_empty() && self.overflow == Overflow::None {
            self.overflow = Overflow::Blank;
        }
    }
}

impl FieldDraft {
    /// Adds a line to the field, if the field is wanted at all.
    fn extend(&mut self, line: &[u8], overflow: Overflow) {
        if self.name.is_none() || self.too_long {
            return;
        }
        if overflow == Overflow::None && self.value.len() + line.len() <= FIELD_OCTETS_MAX {
            self.value.extend_from_slice(line);
        } else {
            self.too_long = true;
            self.value = Vec::new();
        }
    }
}

/// The fields that are kept.
const FIELDS_KEPT: [&str; 19] = [
    "date",
    "subject",
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "in-reply-to",
    "message-id",
    "references",
    "content-type",
    "content-id",
    "content-description",
    "content-transfer-encoding",
    "content-md5",
    "content-disposition",
    "content-language",
    "content-location",
];

/// Octets kept of a body line: enough for the longest boundary line.
const BODY_LINE_KEPT: usize = BOUNDARY_OCTETS_MAX + 4;

/// What may stand behind a boundary in its line, and whether it closes: it is sufficient that the boundary appears in its
/// entirety (RFC 2046 5.1.1), but a longer word is another boundary.
fn goes_on(rest: &[u8]) -> Option<bool> {
    let closes = rest.starts_with(b"--");
    (closes || rest.first().copied().is_none_or(is_space)).then_some(closes)
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scanner at the start of a message.
    pub fn new() -> Self {
        Self {
            position: 0,
            lines: 0,
            stack: vec![Frame::message(0)],
            in_header: true,
            line: Line::default(),
            previous_terminator: 0,
            field: FieldDraft::default(),
            parts: 1,
            budgets: Budgets::default(),
        }
    }

    /// Takes in the next octets of the message, however many.
    pub fn push(&mut self, octets: &[u8]) {
        for piece in octets.split_inclusive(|octet| *octet == b'\n') {
            self.position += piece.len() as u64;
            self.line.keep(piece, self.in_header);
            if let Some(before) = piece.strip_suffix(b"\n") {
                let after_carriage_return =
                    before.last().map_or(self.line.after_carriage_return, |last| *last == b'\r');
                self.end_line(if after_carriage_return { 2 } else { 1 });
            } else {
                self.line.after_carriage_return = piece.last() == Some(&b'\r');
            }
        }
    }

    /// The message ends here: its structure.
    pub fn finish(mut self) -> Structure {
        if self.position > self.line.start {
            self.end_line(0);
        }
        while self.in_header {
            self.end_header(self.position);
        }
        self.close_above(0, self.position, self.lines);
        let size = self.position;
        let lines = self.lines;
        let root = self.stack.pop().unwrap_or_else(|| Frame::message(0));
        Structure { size, message: root.into_message(size, lines) }
    }

    fn end_line(&mut self, terminator: u64) {
        let lines_before = self.lines;
        self.lines += u64::from(terminator > 0);
        let kept = std::mem::take(&mut self.line.kept);
        let boundary = if kept.starts_with(b"--") { self.boundary(&kept) } else { None };
        match boundary {
            Some((level, closes)) => self.boundary_line(level, closes, lines_before),
            None if self.in_header => self.header_line(&kept),
            None => {}
        }
        self.previous_terminator = terminator;
        self.line = Line { start: self.position, kept, ..Line::default() };
        self.line.kept.clear();
    }

    /// The level of the multipart whose boundary this line is, and whether it is the closing one. A line that is nothing else
    /// comes before one that goes on.
    fn boundary(&self, line: &[u8]) -> Option<(usize, bool)> {
        let line = line.strip_prefix(b"--")?;
        let delimiter = trim_end(line);
        let without_close = delimiter.strip_suffix(b"--");
        let whole = |boundary: &[u8]| match self.line.overflow {
            Overflow::Text => None,
            _ if delimiter == boundary => Some(false),
            _ => (without_close == Some(boundary)).then_some(true),
        };
        self.innermost(whole).or_else(|| self.innermost(|boundary| goes_on(line.strip_prefix(boundary)?)))
    }

    /// The innermost multipart of whose boundary `matches` says whether it is the closing one.
    fn innermost(&self, matches: impl Fn(&[u8]) -> Option<bool>) -> Option<(usize, bool)> {
        let mut open = self.stack.iter().enumerate().rev();
        open.find_map(|(level, frame)| Some((level, matches(frame.boundary()?)?)))
    }

    /// The parts within the multipart at `level` end before the line end before this line; perhaps another one starts.
    fn boundary_line(&mut self, level: usize, closes: bool, lines_before: u64) {
        let (mut end, mut lines) = (self.line.start, lines_before);
        let stripped = self.line.start.saturating_sub(self.previous_terminator);
        // Where the line end before the boundary is the one that ended the header, the header keeps it.
        if self.stack.last().is_some_and(|frame| frame.header_end() <= stripped) {
            end = stripped;
            lines = lines.saturating_sub(u64::from(self.previous_terminator > 0));
        }
        if self.in_header {
            self.end_header(end);
        }
        self.close_above(level, end, lines);
        let full = self.parts >= PARTS_MAX;
        let Some(Frame { kind: Kind::Multipart { boundary, digest, .. }, .. }) = self.stack.last_mut() else {
            return;
        };
        if closes || full {
            *boundary = None;
            self.in_header = false;
        } else {
            let digest = *digest;
            self.open(Frame::part(self.position, digest));
        }
    }

    fn open(&mut self, frame: Frame) {
        self.parts += 1;
        self.stack.push(frame);
        self.in_header = true;
    }

    /// Closes all parts deeper than `level`; their bodies end at `end`, before which there are `lines` line ends.
    fn close_above(&mut self, level: usize, end: u64, lines: u64) {
        while self.stack.len() > level + 1 {
            let Some(frame) = self.stack.pop() else { return };
            if let Some(parent) = self.stack.last_mut() {
                parent.adopt(frame, end, lines);
            }
        }
    }

    fn header_line(&mut self, line: &[u8]) {
        if is_empty_line(line) {
            self.end_header(self.position);
        } else if is_continuation(line) {
            self.field.extend(line, self.line.overflow);
        } else {
            self.end_field();
            if let Some((name, value)) = split_field(line) {
                let mut known = FIELDS_KEPT.into_iter();
                self.field.name = known.find(|known| name.eq_ignore_ascii_case(known.as_bytes()));
                self.field.extend(value, self.line.overflow);
            }
        }
    }

    /// Hands the field that was read to the innermost part, which is the one in its header.
    fn end_field(&mut self) {
        let Some(name) = self.field.name.take() else {
            return;
        };
        let value = std::mem::take(&mut self.field.value);
        let too_long = std::mem::take(&mut self.field.too_long);
        if too_long {
            return;
        }
        if let Some(frame) = self.stack.last_mut() {
            frame.absorb(name, &value, &mut self.budgets);
        }
    }

    /// The header of the innermost part ends at `end`: what is in its body follows from its type.
    fn end_header(&mut self, end: u64) {
        self.end_field();
        self.in_header = false;
        let deepest = self.stack.len() >= DEPTH_MAX;
        let full = self.parts >= PARTS_MAX;
        let lines = self.lines;
        let Some(frame) = self.stack.last_mut() else { return };
        frame.end_header(end, lines);
        let media = frame.media();
        if media.is_kind("multipart") {
            if deepest {
                frame.make_opaque();
            } else {
                frame.make_multipart();
            }
        } else if media.is_message() {
            if deepest || full {
                frame.make_opaque();
            } else {
                frame.make_message();
                let start = frame.header_end();
                self.open(Frame::message(start));
            }
        }
    }
}
