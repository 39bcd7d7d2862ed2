//! One open part of a message that is being scanned.

use crate::budget::Budgets;
use crate::content::ContentDraft;
use crate::envelope::Envelope;
use crate::header::trim_end;
use crate::limits::BOUNDARY_OCTETS_MAX;
use crate::structure::{Content, MediaType, Message, Part};

/// A part whose end is not yet known.
#[derive(Debug)]
pub(crate) struct Frame {
    header_start: u64,
    header_end: u64,
    /// Line ends before the body.
    lines_before_body: u64,
    content: ContentDraft,
    /// For the outermost part of a message.
    envelope: Option<Box<Envelope>>,
    /// A part of a digest without a type of its own is a message (RFC 2046 5.1.5).
    in_digest: bool,
    pub(crate) kind: Kind,
}

/// What the body contains, as far as it was seen.
#[derive(Debug)]
pub(crate) enum Kind {
    Leaf,
    Multipart {
        /// The boundary that starts the next part; `None` once it closed or where there is none.
        boundary: Option<Vec<u8>>,
        digest: bool,
        children: Vec<Part>,
    },
    Message(Option<Box<Message>>),
}

impl Frame {
    /// The outermost part of a message that starts here.
    pub(crate) fn message(start: u64) -> Self {
        Self { envelope: Some(Box::default()), ..Self::part(start, false) }
    }

    /// A part of a multipart.
    pub(crate) fn part(start: u64, in_digest: bool) -> Self {
        Self {
            header_start: start,
            header_end: start,
            lines_before_body: 0,
            content: ContentDraft::default(),
            envelope: None,
            in_digest,
            kind: Kind::Leaf,
        }
    }

    /// The boundary to look for.
    pub(crate) fn boundary(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Multipart { boundary, .. } => boundary.as_deref(),
            Kind::Leaf | Kind::Message(_) => None,
        }
    }

    /// Takes in one header field; `name` is lower case.
    pub(crate) fn absorb(&mut self, name: &str, value: &[u8], budgets: &mut Budgets) {
        if name.starts_with("content-") {
            self.content.absorb(name.as_bytes(), value, &mut budgets.content);
        } else if let Some(fields) = &mut self.envelope {
            fields.absorb(name.as_bytes(), value, budgets);
        }
    }

    /// The header ends at `end`, or where it started if that is later; `lines` line ends were taken in.
    pub(crate) fn end_header(&mut self, end: u64, lines: u64) {
        self.header_end = end.max(self.header_start);
        self.lines_before_body = lines;
    }

    /// Where the header ends; where it starts, while it is being read.
    pub(crate) fn header_end(&self) -> u64 {
        self.header_end
    }

    /// The media type, set to its default if the header named none.
    pub(crate) fn media(&mut self) -> &MediaType {
        let in_digest = self.in_digest;
        self.content.media.get_or_insert_with(|| {
            if in_digest { MediaType::new("message", "rfc822") } else { MediaType::text_plain() }
        })
    }

    /// The part is deeper, or one more, than is taken apart.
    pub(crate) fn make_opaque(&mut self) {
        self.content.media = Some(MediaType::new("application", "octet-stream"));
    }

    /// The body is a message.
    pub(crate) fn make_message(&mut self) {
        self.kind = Kind::Message(None);
    }

    /// The body has parts, if there is a boundary to part them.
    pub(crate) fn make_multipart(&mut self) {
        let media = self.media();
        let digest = media.is("multipart", "digest");
        let boundary = media.value("boundary").map(|boundary| trim_end(&boundary).to_vec());
        let usable =
            boundary.filter(|boundary| !boundary.is_empty() && boundary.len() <= BOUNDARY_OCTETS_MAX);
        self.kind = Kind::Multipart { boundary: usable, digest, children: Vec::new() };
    }

    /// Takes in a part of this one's body, which ends at `end`, before which there are `lines` line ends.
    pub(crate) fn adopt(&mut self, child: Frame, end: u64, lines: u64) {
        match &mut self.kind {
            Kind::Multipart { children, .. } => children.push(child.into_part(end, lines)),
            Kind::Message(message) => *message = Some(Box::new(child.into_message(end, lines))),
            Kind::Leaf => {}
        }
    }

    pub(crate) fn into_message(mut self, end: u64, lines: u64) -> Message {
        Message {
            envelope: self.envelope.take().map(|envelope| *envelope).unwrap_or_default(),
            root: self.into_part(end, lines),
        }
    }

    /// The body ends at `end`, up to which there are `lines` line ends.
    fn into_part(mut self, end: u64, lines: u64) -> Part {
        self.media();
        let body = self.header_end..end.max(self.header_end);
        let lines = if body.is_empty() { 0 } else { lines.saturating_sub(self.lines_before_body) };
        let content = match self.kind {
            Kind::Multipart { children, .. } => Content::Multipart(children),
            Kind::Message(Some(message)) => Content::Message(message),
            Kind::Leaf | Kind::Message(None) => Content::Leaf,
        };
        Part {
            header: self.header_start..self.header_end,
            body,
            lines,
            media: self.content.media.unwrap_or_else(MediaType::text_plain),
            fields: self.content.fields,
            content,
        }
    }
}
