//! What is known of a message once it was scanned: octet ranges, types and envelopes, no text.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::octets::Octets;

/// The structure of one message, found by [`crate::Scanner`]. All ranges are octets of the whole message.
///
/// Meant to be cached. The layout of the serialised form is that of [`Structure::VERSION`]: store the number
/// beside it and scan the message again where it differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Structure {
    /// Octets of the whole message, exactly as given.
    pub size: u64,
    /// The outermost message.
    pub message: Message,
}

/// A message: the outermost one, or what a `message/rfc822` part contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The fields that IMAP's ENVELOPE wants.
    pub envelope: Envelope,
    /// The message as a part: its header is the message's header, its body the message's text.
    pub root: Part,
}

/// One MIME part (RFC 2046).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The header, with the empty line that ends it where there is one.
    pub header: Range<u64>,
    /// The body, without the line end that belongs to the next boundary.
    pub body: Range<u64>,
    /// Line ends (LF, with or without CR) in the body.
    pub lines: u64,
    /// The media type, or the default where the field is missing or malformed.
    pub media: MediaType,
    /// The other `Content-*` fields; `None` where there is none of them.
    pub fields: Option<Box<ContentFields>>,
    /// What the body contains.
    pub content: Content,
}

/// What the body of a part contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Neither of the others.
    Leaf,
    /// `multipart/*`: its parts in order. Empty where no boundary was given or found.
    Multipart(Vec<Part>),
    /// `message/rfc822` or `message/global`: the message in it.
    Message(Box<Message>),
}

/// A `Content-Type` (RFC 2045 5.1). The case is that of the field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaType {
    /// The type, such as `text`.
    pub kind: Octets,
    /// The subtype, such as `plain`.
    pub subtype: Octets,
    /// The parameters, in the order of the field.
    pub parameters: Vec<Parameter>,
}

/// An attribute and its value, quoting removed; values in pieces are put together (RFC 2231 3), the extended form (RFC 2231 4)
/// is kept as it stands in the field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// The attribute, such as `charset` or `filename*`.
    pub attribute: Octets,
    /// The value.
    pub value: Octets,
}

/// The `Content-*` fields beside `Content-Type`, unfolded and trimmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentFields {
    /// `Content-ID` (RFC 2045 7).
    pub id: Option<Octets>,
    /// `Content-Description` (RFC 2045 8).
    pub description: Option<Octets>,
    /// `Content-Transfer-Encoding` (RFC 2045 6), comments removed.
    pub transfer_encoding: Option<Octets>,
    /// `Content-MD5` (RFC 1864).
    pub md5: Option<Octets>,
    /// `Content-Disposition` (RFC 2183).
    pub disposition: Option<Disposition>,
    /// `Content-Language` (RFC 3282): the tags.
    pub language: Vec<Octets>,
    /// `Content-Location` (RFC 2557).
    pub location: Option<Octets>,
}

/// A `Content-Disposition` (RFC 2183).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disposition {
    /// Such as `attachment`.
    pub kind: Octets,
    /// The parameters, in the order of the field.
    pub parameters: Vec<Parameter>,
}

impl Structure {
    /// The version of the serialised form, raised whenever a type in it changes, or what is read into it.
    pub const VERSION: u16 = 2;

    /// The envelope of the message.
    pub fn envelope(&self) -> &Envelope {
        &self.message.envelope
    }
}

impl Part {
    /// The parts of a multipart, none for anything else.
    pub fn children(&self) -> &[Part] {
        match &self.content {
            Content::Multipart(children) => children,
            Content::Leaf | Content::Message(_) => &[],
        }
    }

    /// The `Content-Transfer-Encoding` as it stands in the field.
    pub fn transfer_encoding(&self) -> Option<&[u8]> {
        self.fields.as_ref()?.transfer_encoding.as_deref()
    }
}

impl MediaType {
    /// A type with no parameters.
    pub(crate) fn new(kind: &str, subtype: &str) -> Self {
        Self { kind: kind.into(), subtype: subtype.into(), parameters: Vec::new() }
    }

    /// `text/plain; charset=us-ascii`, what a part without the field is (RFC 2045 5.2).
    pub(crate) fn text_plain() -> Self {
        Self {
            parameters: vec![Parameter { attribute: "charset".into(), value: "us-ascii".into() }],
            ..Self::new("text", "plain")
        }
    }

    /// True where type and subtype are these, in any case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.is_kind(kind) && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// True where the type is this, in any case, whatever the subtype.
    pub fn is_kind(&self, kind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
    }

    /// True for the types whose body is a message: `message/rfc822` and `message/global` (RFC 6532 3.7).
    pub fn is_message(&self) -> bool {
        self.is("message", "rfc822") || self.is("message", "global")
    }

    /// The value of the first parameter of this name, in any case, as it stands: see [`MediaType::value`].
    pub fn parameter(&self, attribute: &str) -> Option<&[u8]> {
        self.parameters
            .iter()
            .find(|parameter| parameter.attribute.eq_ignore_ascii_case(attribute.as_bytes()))
            .map(|parameter| parameter.value.as_bytes())
    }
}
