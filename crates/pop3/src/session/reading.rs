//! RETR and TOP (RFC 1939 sections 5 and 7), streamed.
//!
//! Neither sets `\Seen`: a client that fetches says nothing of somebody who reads, and a flag would be a write on every node
//! for each message that is fetched.

use mailstore::{Body, ReadError};

use super::answer::Refusal;
use super::{Action, PIECE_OCTETS, Running, Session, ok};
use crate::command::Number;
use crate::wire::Lines;

/// The octets of a message that are in memory at the same time. Blocks of the store are as large.
const STEP: u64 = 64 * 1024;

/// A message that is being sent.
pub(super) struct Reading {
    place: usize,
    lines: Lines,
    /// The rest of it, once the answer has begun.
    open: Option<Open>,
}

struct Open {
    body: Body,
    at: u64,
}

impl Session {
    pub(super) fn retrieve(&mut self, number: Number, out: &mut Vec<u8>) -> Action {
        self.read(number, Lines::whole(), out)
    }

    pub(super) fn top(&mut self, number: Number, lines: u64, out: &mut Vec<u8>) -> Action {
        self.read(number, Lines::top(lines), out)
    }

    fn read(&mut self, number: Number, lines: Lines, out: &mut Vec<u8>) -> Action {
        let Some(maildrop) = &self.maildrop else { return Action::WaitForInput };
        match maildrop.place(number) {
            Ok(place) => {
                self.running = Running::Reading(Box::new(Reading { place, lines, open: None }));
                Action::Continue
            }
            Err(refusal) => self.refuse(&refusal, out),
        }
    }

    pub(super) fn produce_message(&mut self, mut reading: Box<Reading>, out: &mut Vec<u8>) -> Action {
        let mut open = match reading.open.take() {
            Some(open) => open,
            None => match self.begin_message(&mut reading, out) {
                Ok(open) => open,
                Err(error) => {
                    tracing::error!(%error, "a message could not be read");
                    return self.refuse(&Refusal::of_reading(&error), out);
                }
            },
        };
        let full = out.len().saturating_add(PIECE_OCTETS);
        while open.at < open.body.len() && !reading.lines.is_complete() {
            if out.len() >= full {
                reading.open = Some(open);
                self.running = Running::Reading(reading);
                return Action::Continue;
            }
            match open.next() {
                Ok(octets) => reading.lines.push(&octets, out),
                Err(error) => {
                    // The client waits for the rest of the message and would take whatever comes for it.
                    tracing::error!(%error, "a message could not be read while it was being sent");
                    return Action::Close;
                }
            }
        }
        reading.lines.finish(out);
        Action::WaitForInput
    }

    /// Appends the status line and the first octets of a message. One that cannot be read at all is told before.
    fn begin_message(&self, reading: &mut Reading, out: &mut Vec<u8>) -> Result<Open, ReadError> {
        let absent = || ReadError::Damaged("the maildrop names no such message".to_owned());
        let maildrop = self.maildrop.as_ref().ok_or_else(absent)?;
        let hash = maildrop.row(reading.place).ok_or_else(absent)?.facts.body;
        let mut open = Open { body: self.store.body(&hash)?, at: 0 };
        let first = open.next()?;
        match maildrop.length(reading.place) {
            Some(length) => ok(&format!("{length} octets"), out),
            None => ok("The message follows", out),
        }
        reading.lines.push(&first, out);
        Ok(open)
    }
}

impl Open {
    /// The next octets.
    fn next(&mut self) -> Result<Vec<u8>, ReadError> {
        let end = self.body.len().min(self.at + STEP);
        let octets = self.body.read(self.at..end)?;
        self.at = end;
        Ok(octets)
    }
}
