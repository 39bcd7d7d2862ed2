//! STAT, LIST and UIDL (RFC 1939 sections 5 and 7).
//!
//! To know the size of a message as it is sent, all of it has to be read once (see [`crate::wire`]). So a first STAT takes
//! its time in a large maildrop, in pieces that let others go on; what was measured is remembered beyond the session.

use std::io::Write;

use mailstore::{ReadError, Structures};

use super::maildrop::{Maildrop, unique_id};
use super::{Action, PIECE_OCTETS, Running, Session, ok};
use crate::command::Number;
use crate::lengths::{Lengths, measure};

/// About how many octets of messages are measured before others may go on.
const OCTETS_A_PIECE: u64 = 4 * 1024 * 1024;
/// How many messages are looked at before others may go on.
const MESSAGES_A_PIECE: usize = 2000;

/// A list that is being written.
pub(super) struct Listing {
    kind: Kind,
    /// The place that it has come to.
    next: usize,
}

/// What is told of each message.
enum Kind {
    /// Nothing, but the sum of the sizes so far is told at the end.
    Sum(u64),
    /// The size.
    Size,
    /// The unique id.
    UniqueId,
    /// The size of this one message alone.
    OneSize,
}

impl Session {
    pub(super) fn stat(&mut self) -> Action {
        self.begin(Kind::Sum(0), 0)
    }

    pub(super) fn list(&mut self, number: Option<Number>, out: &mut Vec<u8>) -> Action {
        let Some(maildrop) = &self.maildrop else { return Action::WaitForInput };
        match number.map(|number| maildrop.place(number)) {
            None => {
                ok(&format!("{} messages", maildrop.count()), out);
                self.begin(Kind::Size, 0)
            }
            Some(Ok(place)) => self.begin(Kind::OneSize, place),
            Some(Err(refusal)) => self.refuse(&refusal, out),
        }
    }

    pub(super) fn uidl(&mut self, number: Option<Number>, out: &mut Vec<u8>) -> Action {
        let Some(maildrop) = &self.maildrop else { return Action::WaitForInput };
        match number.map(|number| maildrop.place(number)) {
            None => {
                ok(&format!("{} messages", maildrop.count()), out);
                self.begin(Kind::UniqueId, 0)
            }
            Some(Ok(place)) => {
                let id = maildrop.row(place).map(unique_id);
                let text = id.map(|id| format!("{} {id}", place + 1)).unwrap_or_default();
                self.done(&text, out)
            }
            Some(Err(refusal)) => self.refuse(&refusal, out),
        }
    }

    fn begin(&mut self, kind: Kind, next: usize) -> Action {
        self.running = Running::Listing(Listing { kind, next });
        Action::Continue
    }

    pub(super) fn produce_listing(&mut self, mut listing: Listing, out: &mut Vec<u8>) -> Action {
        let Some(maildrop) = &mut self.maildrop else { return Action::WaitForInput };
        let mut scale = Scale { lengths: &self.lengths, state: self.store.structures(), read: 0 };
        let full = out.len().saturating_add(PIECE_OCTETS);
        let mut looked = 0;
        while let Some(place) = maildrop.next_place(listing.next) {
            if out.len() >= full || scale.read >= OCTETS_A_PIECE || looked >= MESSAGES_A_PIECE {
                self.running = Running::Listing(listing);
                return Action::Continue;
            }
            looked += 1;
            listing.next = place + 1;
            let number = place + 1;
            // Appending to a Vec cannot fail.
            let _ = match &mut listing.kind {
                Kind::Sum(sum) => {
                    *sum = sum.saturating_add(scale.weigh(maildrop, place));
                    Ok(())
                }
                Kind::Size => write!(out, "{number} {}\r\n", scale.weigh(maildrop, place)),
                Kind::UniqueId => match maildrop.row(place) {
                    Some(row) => write!(out, "{number} {}\r\n", unique_id(row)),
                    None => Ok(()),
                },
                Kind::OneSize => {
                    let text = format!("{number} {}", scale.weigh(maildrop, place));
                    return self.done(&text, out);
                }
            };
        }
        if let Kind::Sum(sum) = listing.kind {
            let text = format!("{} {sum}", maildrop.count());
            return self.done(&text, out);
        }
        out.extend_from_slice(b".\r\n");
        Action::WaitForInput
    }
}

/// Finds out lengths.
struct Scale<'a> {
    lengths: &'a Lengths,
    /// One state of the store for all messages of a piece.
    state: Result<Structures<'a>, ReadError>,
    /// The octets that were read.
    read: u64,
}

impl Scale<'_> {
    /// The length of a message as it is sent. Of one that cannot be read it is that of the octets that are stored: there is no
    /// way to say that a size is not known.
    fn weigh(&mut self, maildrop: &mut Maildrop, place: usize) -> u64 {
        if let Some(length) = maildrop.length(place) {
            return length;
        }
        let Some(row) = maildrop.row(place) else { return 0 };
        let (body, stored) = (row.facts.body, row.facts.size);
        let length = match self.lengths.find(&body) {
            Some(length) => length,
            None => {
                self.read = self.read.saturating_add(stored);
                let state = self.state.as_ref().map_err(ToString::to_string);
                let measured = state.and_then(|state| {
                    state.body(&body).and_then(|body| measure(&body)).map_err(|error| error.to_string())
                });
                match &measured {
                    Ok(length) => self.lengths.remember(body, *length),
                    Err(error) => tracing::error!(%error, "a message could not be measured"),
                }
                measured.unwrap_or(stored)
            }
        };
        maildrop.set_length(place, length);
        length
    }
}
