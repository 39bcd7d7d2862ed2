//! BINARY and BINARY.SIZE (RFC 3516, RFC 9051 section 6.4.5): a part without its transfer encoding.
//!
//! A part is decoded twice: once to learn how many octets there are and whether a NUL is among them, which both stand before
//! the octets, and once to tell them. So no part is ever in memory as a whole, and a long one can be left and gone on with.

use std::ops::Range;

use mailstore::{Body, ReadError};
use message::{PartDecoder, Structure};

use super::super::put::put;
use super::item::{cut, path};
use super::open::first_piece;
use crate::command::{FetchItem, Partial};

/// A part that is decoded as it is read.
#[derive(Clone)]
struct Stream {
    /// `None` where there is nothing to decode.
    decoder: Option<PartDecoder>,
    /// What was not read yet.
    rest: Range<u64>,
    /// Whether everything was given.
    ended: bool,
}

/// An item under way.
pub(super) struct Decoding {
    /// The part from its start.
    start: Stream,
    stream: Stream,
    /// Which of the decoded octets are asked for.
    window: Range<u64>,
    /// How many were decoded so far.
    decoded: u64,
    /// Whether there was a NUL in the window.
    nul: bool,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Counting, to tell how many there are.
    Size,
    /// Counting, to tell them next.
    Measure,
    /// Telling them.
    Tell,
}

/// Whether the transfer encoding of what the item asks for is one that is known here; it is of what is not there.
pub(super) fn is_known(item: &FetchItem, structure: Option<&Structure>) -> bool {
    let (FetchItem::Binary { part, .. } | FetchItem::BinarySize { part }) = item else { return true };
    let part = structure.and_then(|structure| structure.part(&path(part)));
    part.is_none_or(|part| PartDecoder::new(part).is_some())
}

impl Decoding {
    /// Begins with an item; `None` where there is no such part.
    pub(super) fn new(item: &FetchItem, structure: &Structure) -> Option<Self> {
        let (part, partial, step) = match item {
            FetchItem::Binary { part, partial, .. } => (part, *partial, Step::Measure),
            FetchItem::BinarySize { part } => (part, None, Step::Size),
            _ => return None,
        };
        let path = path(part);
        let range = structure.section(&message::Section::whole(&path))?;
        let part = structure.part(&path).filter(|part| !PartDecoder::is_identity_for(part));
        let (start, window) = match part {
            Some(part) => (Stream::new(Some(PartDecoder::new(part)?), range), window(partial)),
            // Where in the message a decoded octet stands is known here.
            None => (Stream::new(None, cut(range, partial)), 0..u64::MAX),
        };
        Some(Decoding { stream: start.clone(), start, window, decoded: 0, nul: false, step })
    }

    /// Whether octets were told that cannot be taken back.
    pub(super) fn is_telling(&self) -> bool {
        self.step == Step::Tell
    }

    /// What can be told in place of an item that cannot be read.
    pub(super) fn write_failed(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.step == Step::Size { b"0" } else { b"NIL" });
    }

    /// Goes on until `out` has `full` octets or the `budget` of octets read is spent; whether the item is complete.
    pub(super) fn write(
        &mut self,
        body: &Body,
        full: usize,
        budget: &mut u64,
        out: &mut Vec<u8>,
    ) -> Result<bool, ReadError> {
        let mut piece = Vec::new();
        loop {
            while !self.stream.ended && self.decoded < self.window.end {
                if out.len() >= full || *budget == 0 {
                    return Ok(false);
                }
                piece.clear();
                self.stream.next(body, budget, &mut piece)?;
                self.take(&piece, out);
            }
            match self.step {
                Step::Tell => return Ok(true),
                Step::Size => {
                    put!(out, "{}", self.count());
                    return Ok(true);
                }
                Step::Measure => self.turn(out),
            }
        }
    }

    /// Takes what was decoded next: counts it, or tells what of it is asked for.
    fn take(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let length = piece.len() as u64;
        let within = |place: u64| place.saturating_sub(self.decoded).min(length) as usize;
        let wanted = piece.get(within(self.window.start)..within(self.window.end)).unwrap_or_default();
        match self.step {
            Step::Tell => out.extend_from_slice(wanted),
            Step::Measure | Step::Size => self.nul |= wanted.contains(&0),
        }
        self.decoded += length;
    }

    /// The number of octets is known: announces them, as a literal8 only where a literal cannot hold them.
    fn turn(&mut self, out: &mut Vec<u8>) {
        put!(out, "{}{{{}}}\r\n", if self.nul { "~" } else { "" }, self.count());
        self.stream = self.start.clone();
        self.decoded = 0;
        self.step = Step::Tell;
    }

    /// How many octets of the window there are, once it was decoded.
    fn count(&self) -> u64 {
        self.decoded.min(self.window.end).saturating_sub(self.window.start)
    }
}

impl Stream {
    fn new(decoder: Option<PartDecoder>, rest: Range<u64>) -> Self {
        Stream { decoder, rest, ended: false }
    }

    /// Reads and decodes the next piece onto `out`, perhaps nothing.
    fn next(&mut self, body: &Body, budget: &mut u64, out: &mut Vec<u8>) -> Result<(), ReadError> {
        if self.rest.is_empty() {
            self.ended = true;
            if let Some(decoder) = self.decoder.take() {
                decoder.finish(out);
            }
            return Ok(());
        }
        let range = first_piece(&self.rest);
        *budget = budget.saturating_sub(range.end - range.start);
        self.rest.start = range.end;
        let octets = body.read(range)?;
        match &mut self.decoder {
            Some(decoder) => decoder.push(&octets, out),
            None => out.extend_from_slice(&octets),
        }
        Ok(())
    }
}

fn window(partial: Option<Partial>) -> Range<u64> {
    cut(0..u64::MAX, partial)
}
