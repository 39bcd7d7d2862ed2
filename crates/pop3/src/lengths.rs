//! How long messages are as POP3 sends them, remembered: to count it, all of a message has to be read.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use mailstore::crdt::identity::BodyHash;
use mailstore::{Body, ReadError};

use crate::wire::Meter;

/// The most lengths that a generation remembers; there are two, of about 60 octets for each length.
const MOST_OF_A_GENERATION: usize = if cfg!(test) { 1000 } else { 100_000 };
/// The octets of a message that are in memory at the same time while it is measured.
const STEP: u64 = 256 * 1024;

/// Lengths of messages, shared by all sessions. A body never changes, so neither does its length; what was not asked for
/// lately is forgotten.
#[derive(Debug, Default)]
pub struct Lengths {
    known: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: BTreeMap<BodyHash, u64>,
    old: BTreeMap<BodyHash, u64>,
}

impl Lengths {
    /// The length of a message, if it is remembered.
    pub fn find(&self, body: &BodyHash) -> Option<u64> {
        // The generations are whole after every statement: a panic elsewhere does not spoil them.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(length) = known.young.get(body) {
            return Some(*length);
        }
        let length = known.old.remove(body)?;
        known.remember(*body, length);
        Some(length)
    }

    /// Remembers the length of a message.
    pub fn remember(&self, body: BodyHash, length: u64) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remember(body, length);
    }
}

impl Generations {
    fn remember(&mut self, body: BodyHash, length: u64) {
        if self.young.len() >= MOST_OF_A_GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(body, length);
    }
}

/// Reads a message to its end and counts.
pub(crate) fn measure(body: &Body) -> Result<u64, ReadError> {
    let (mut meter, mut at) = (Meter::default(), 0);
    while at < body.len() {
        let end = body.len().min(at + STEP);
        meter.push(&body.read(at..end)?);
        at = end;
    }
    Ok(meter.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: usize) -> BodyHash {
        let mut octets = [0; 32];
        octets[..8].copy_from_slice(&number.to_be_bytes());
        BodyHash(octets)
    }

    #[test]
    fn what_is_asked_for_is_remembered_longest() {
        let lengths = Lengths::default();
        for number in 0..3 * MOST_OF_A_GENERATION {
            lengths.remember(hash(number), number as u64);
            assert_eq!(lengths.find(&hash(0)), Some(0));
        }
        assert_eq!(lengths.find(&hash(1)), None, "forgotten");
        let known = lengths.known.lock().unwrap();
        assert!(known.young.len() + known.old.len() <= 2 * MOST_OF_A_GENERATION);
    }
}
