//! The response for one message, which may be larger than what is told at a time.

use std::ops::Range;
use std::sync::Arc;

use mailstore::crdt::view::Row;
use mailstore::request::modseq;
use mailstore::{Body, ReadError};
use message::Structure;

use super::super::bodies::Bodies;
use super::super::numbers::sequence;
use super::super::put::{self, put};
use super::super::selected::Items;
use super::binary::{self, Decoding};
use super::item::{self, Octets};
use crate::command::FetchItem;

/// Octets that a body is read by: as the store verifies them.
const READ_OCTETS: u64 = 64 * 1024;

/// A message whose response is under way.
pub(super) struct OpenMessage {
    place: usize,
    row: Row,
    body: Option<Body>,
    structure: Option<Arc<Structure>>,
    /// The next item.
    next: usize,
    /// Whether an item was written already.
    any: bool,
    /// What is left of the item that was begun.
    rest: Option<Rest>,
    /// Why a section is told as NIL though it is there.
    failure: Option<ReadError>,
}

/// What is left of an item.
enum Rest {
    /// Octets of a literal, as they stand in the message.
    Literal(Range<u64>),
    Decoding(Box<Decoding>),
}

/// Why a message is left out.
pub(super) enum LeftOut {
    /// It cannot be read.
    Unreadable(ReadError),
    /// A part shall be decoded whose transfer encoding is not known here.
    UnknownEncoding,
}

impl From<ReadError> for LeftOut {
    fn from(error: ReadError) -> Self {
        LeftOut::Unreadable(error)
    }
}

impl OpenMessage {
    /// Gets ready what the items need, so that little can go wrong once the response has begun.
    pub(super) fn new(
        place: usize,
        row: Row,
        items: &[FetchItem],
        bodies: &mut Bodies<'_>,
    ) -> Result<Self, LeftOut> {
        let hash = &row.facts.body;
        let body = items.iter().any(item::needs_body).then(|| bodies.body(hash)).transpose()?;
        let structure =
            items.iter().any(item::needs_structure).then(|| bodies.structure(hash)).transpose()?;
        if !items.iter().all(|item| binary::is_known(item, structure.as_deref())) {
            return Err(LeftOut::UnknownEncoding);
        }
        Ok(OpenMessage { body, structure, ..OpenMessage::bare(place, row) })
    }

    /// A message of which nothing is told but what stands in its row.
    pub(super) fn bare(place: usize, row: Row) -> Self {
        let (body, structure) = (None, None);
        OpenMessage { place, row, body, structure, next: 0, any: false, rest: None, failure: None }
    }

    /// Appends the start of the response, with what was not asked for where flags changed by asking.
    pub(super) fn start(&mut self, uid_only: bool, flags: bool, extra: Items, out: &mut Vec<u8>) {
        put::fetch((!uid_only).then(|| sequence(self.place)), self.row.uid, out);
        if extra.uid {
            self.space(out);
            self.write_uid(out);
        }
        if flags {
            self.space(out);
            self.write_flags(out);
        }
        if extra.modseq {
            self.space(out);
            self.write_modseq(out);
        }
    }

    /// Appends what is left, until `out` has `full` octets or the `budget` of octets that are decoded is spent; whether the
    /// response is complete.
    pub(super) fn write(
        &mut self,
        items: &[FetchItem],
        full: usize,
        budget: &mut u64,
        out: &mut Vec<u8>,
    ) -> Result<bool, ReadError> {
        loop {
            if !self.write_rest(full, budget, out)? {
                return Ok(false);
            }
            let Some(item) = items.get(self.next) else { break };
            if *item == FetchItem::Preview {
                if *budget == 0 {
                    return Ok(false);
                }
                *budget = budget.saturating_sub(message::limits::PREVIEW_OCTETS_MAX);
            }
            self.next += 1;
            self.space(out);
            self.write_item(item, out);
        }
        out.extend_from_slice(b")\r\n");
        Ok(true)
    }

    /// Why some of the message could not be read, once the response is complete.
    pub(super) fn take_failure(&mut self) -> Option<ReadError> {
        self.failure.take()
    }

    /// Appends more of the item that was begun; whether there is none left.
    fn write_rest(&mut self, full: usize, budget: &mut u64, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        let (Some(rest), Some(body)) = (&mut self.rest, &self.body) else { return Ok(true) };
        let complete = match rest {
            Rest::Literal(range) => write_literal(body, range, full, out)?,
            Rest::Decoding(decoding) => match decoding.write(body, full, budget, out) {
                Err(error) if !decoding.is_telling() => {
                    decoding.write_failed(out);
                    self.failure = Some(error);
                    true
                }
                written => written?,
            },
        };
        if complete {
            self.rest = None;
        }
        Ok(complete)
    }

    fn write_item(&mut self, item: &FetchItem, out: &mut Vec<u8>) {
        match item {
            FetchItem::Flags => self.write_flags(out),
            FetchItem::Uid => self.write_uid(out),
            FetchItem::Modseq => self.write_modseq(out),
            FetchItem::InternalDate => {
                out.extend_from_slice(b"INTERNALDATE ");
                crate::encode::date_time(self.row.facts.received, out);
            }
            FetchItem::SaveDate => {
                out.extend_from_slice(b"SAVEDATE ");
                crate::encode::date_time(put::wall_time(self.row.saved), out);
            }
            FetchItem::Rfc822Size => put!(out, "RFC822.SIZE {}", self.row.facts.size),
            FetchItem::EmailId => put!(out, "EMAILID ({})", put::email_id(self.row.facts.email)),
            FetchItem::ThreadId => out.extend_from_slice(b"THREADID NIL"),
            FetchItem::Envelope | FetchItem::Body | FetchItem::BodyStructure => {
                if let Some(structure) = &self.structure {
                    item::write_structure(item, structure, out);
                }
            }
            FetchItem::Rfc822
            | FetchItem::Rfc822Header
            | FetchItem::Rfc822Text
            | FetchItem::Preview
            | FetchItem::Section { .. } => self.write_octets(item, out),
            FetchItem::Binary { .. } | FetchItem::BinarySize { .. } => self.begin_decoding(item, out),
        }
    }

    fn begin_decoding(&mut self, item: &FetchItem, out: &mut Vec<u8>) {
        item::write_name(item, out);
        out.push(b' ');
        let decoding = self.structure.as_deref().and_then(|structure| Decoding::new(item, structure));
        match decoding {
            Some(decoding) => self.rest = Some(Rest::Decoding(Box::new(decoding))),
            // The grammar has no NIL for a size.
            None if matches!(item, FetchItem::BinarySize { .. }) => out.push(b'0'),
            None => out.extend_from_slice(b"NIL"),
        }
    }

    fn write_octets(&mut self, item: &FetchItem, out: &mut Vec<u8>) {
        item::write_name(item, out);
        out.push(b' ');
        let length = out.len();
        if let Err(error) = self.begin_octets(item, out) {
            // Nothing of it was told yet, so the rest of the response can be.
            out.truncate(length);
            out.extend_from_slice(b"NIL");
            self.failure = Some(error);
        }
    }

    /// Appends what an item means, or the first piece of it.
    fn begin_octets(&mut self, item: &FetchItem, out: &mut Vec<u8>) -> Result<(), ReadError> {
        // Body and structure were got ready for every item that needs them.
        let Some(body) = &self.body else {
            out.extend_from_slice(b"NIL");
            return Ok(());
        };
        match item::octets(item, self.structure.as_deref(), body)? {
            Octets::None => out.extend_from_slice(b"NIL"),
            Octets::Known(octets) => crate::encode::string(&octets, out),
            Octets::Range(range) => {
                let piece = first_piece(&range);
                put!(out, "{{{}}}\r\n", range.end - range.start);
                put_octets(&body.read(piece.clone())?, out);
                self.rest = Some(Rest::Literal(piece.end..range.end));
            }
        }
        Ok(())
    }

    fn write_flags(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"FLAGS ");
        put::flags(&self.row.flags, out);
    }

    fn write_uid(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"UID ");
        put::number(self.row.uid.0.into(), out);
    }

    fn write_modseq(&self, out: &mut Vec<u8>) {
        put!(out, "MODSEQ ({})", modseq(self.row.modseq));
    }

    fn space(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.any, true) {
            out.push(b' ');
        }
    }
}

/// Appends more of a literal; whether there is none left.
fn write_literal(
    body: &Body,
    rest: &mut Range<u64>,
    full: usize,
    out: &mut Vec<u8>,
) -> Result<bool, ReadError> {
    while rest.start < rest.end {
        if out.len() >= full {
            return Ok(false);
        }
        let piece = first_piece(rest);
        put_octets(&body.read(piece.clone())?, out);
        rest.start = piece.end;
    }
    Ok(true)
}

/// What is read of a range at once.
pub(in super::super) fn first_piece(range: &Range<u64>) -> Range<u64> {
    let end = (range.start / READ_OCTETS + 1).saturating_mul(READ_OCTETS);
    range.start..end.min(range.end)
}

/// Appends octets of a message. IMAP cannot carry a NUL (RFC 9051 section 9: `CHAR8`), and their number has to stay.
pub(in super::super) fn put_octets(octets: &[u8], out: &mut Vec<u8>) {
    out.extend(octets.iter().map(|octet| if *octet == 0 { b'?' } else { *octet }));
}
