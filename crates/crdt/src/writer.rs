//! The pen of a node: every operation it writes gets a stamp here and waits for its document.

use crate::clock::{HybridClock, Millis, Stamp, Timestamp};
use crate::identity::{Incarnation, NodeSlot};
use crate::operation::{DocumentId, Operation};
use crate::vector::Sequence;

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Author {
    /// The slot of the node.
    pub slot: NodeSlot,
    /// Its present life.
    pub incarnation: Incarnation,
}

/// An operation that was written and not yet encoded.
#[derive(Clone, Debug, Hash)]
pub struct Written {
    /// Where it belongs.
    pub document: DocumentId,
    /// When it was written.
    pub timestamp: Timestamp,
    /// What happened.
    pub operation: Operation,
}

/// Stamps and collects the operations of one batch.
#[derive(Clone, Debug, Hash)]
pub struct Writer {
    author: Author,
    clock: HybridClock,
    now: Millis,
    /// The last record of this life that was committed.
    sequence: Sequence,
    chances: u64,
    written: Vec<Written>,
}

impl Writer {
    /// A writer that continues a clock.
    pub fn new(author: Author, clock: HybridClock) -> Self {
        Writer { author, clock, now: Millis(0), sequence: Sequence(0), chances: 0, written: Vec::new() }
    }

    /// Who writes.
    pub fn author(&self) -> Author {
        self.author
    }

    /// The wall time of the present batch.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// A batch begins.
    pub fn set_now(&mut self, now: Millis) {
        self.now = now;
    }

    /// The first record that can hold what is written in the present batch.
    pub(crate) fn next_record(&self) -> (Incarnation, Sequence) {
        (self.author.incarnation, self.sequence.next())
    }

    /// The batch before is committed up to this record.
    pub(crate) fn set_sequence(&mut self, sequence: Sequence) {
        self.sequence = sequence;
    }

    /// Whether the present batch has written anything yet.
    pub(crate) fn has_written(&self) -> bool {
        !self.written.is_empty()
    }

    /// A number that no other life draws: it follows from the random name of this one.
    pub(crate) fn chance(&mut self) -> u64 {
        self.chances += 1;
        let mut hasher = blake3::Hasher::new_derive_key("peerpost chance");
        hasher.update(&self.author.incarnation.0).update(&self.chances.to_be_bytes());
        let mut octets = [0; 8];
        hasher.finalize_xof().fill(&mut octets);
        u64::from_be_bytes(octets)
    }

    /// A new moment: for an operation, or for a change that becomes visible (MODSEQ).
    pub fn tick(&mut self) -> Timestamp {
        self.clock.tick(self.now)
    }

    /// The greatest moment issued or observed.
    pub fn last(&self) -> Timestamp {
        self.clock.last()
    }

    /// Takes note of a moment in a peer's operation.
    pub fn observe(&mut self, seen: Timestamp) {
        self.clock.observe(seen);
    }

    /// Stamps an operation for its document.
    pub(crate) fn write(&mut self, document: DocumentId, operation: Operation) -> Stamp {
        let timestamp = self.tick();
        self.written.push(Written { document, timestamp, operation });
        Stamp { timestamp, incarnation: self.author.incarnation }
    }

    /// What was written since the last call.
    pub fn take(&mut self) -> Vec<Written> {
        std::mem::take(&mut self.written)
    }
}
