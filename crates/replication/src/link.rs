//! What a node knows of one connection: what the peer has, what is on its way, when it was last heard.

use std::collections::{BTreeSet, VecDeque};

use crdt::clock::Millis;
use crdt::identity::{BodyHash, Incarnation, NodeSlot};
use crdt::record::Record;
use crdt::replica::Verdict;
use crdt::vector::{Sequence, Vector};

use crate::event::Now;
use crate::exchange::Exchange;
use crate::frame::{LookedAt, record_bytes};
use crate::limits::{DELTA_BATCH_BYTES, DELTA_WINDOW_BYTES};

/// One connection to a peer.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) slot: NodeSlot,
    pub(crate) dialled: bool,
    pub(crate) since: Now,
    /// When a frame last came, by the steady clock.
    pub(crate) heard: Millis,
    /// The life of the peer; set by its hello, without which nothing else is accepted.
    pub(crate) incarnation: Option<Incarnation>,
    /// The slots that the peer has links to.
    pub(crate) reachable: u128,
    /// What the peer has, durably, as far as it is known.
    pub(crate) theirs: Vector,
    /// What the peer was told that we have.
    pub(crate) told: Vector,
    /// What the peer has once everything on its way has been applied there.
    pub(crate) sending: Vector,
    in_flight: VecDeque<Batch>,
    pub(crate) in_flight_bytes: usize,
    /// Whether the log is being read for this peer.
    pub(crate) reading: bool,
    /// Whether the log had nothing to give although something is missing; tried again at the next ping.
    pub(crate) stalled: bool,
    /// Until when records of third nodes are left to those.
    pub(crate) forward_at: Option<Millis>,
    /// Since when the peer lacks something that we have.
    pub(crate) behind_since: Option<Millis>,
    /// The sizes of the deltas that the store is applying for us.
    applying: VecDeque<usize>,
    pub(crate) applying_bytes: usize,
    /// Notices, both ways.
    pub(crate) exchange: Exchange,
    /// After which commit here the life of the peer was last judged; none if it has to be.
    pub(crate) judged_at: Option<u64>,
    /// What the peer was told of its life.
    pub(crate) verdict: Option<Verdict>,
    pub(crate) next_ping: Millis,
    pub(crate) ping_sent: Option<(u64, Millis)>,
    pub(crate) round_trip: Option<u64>,
    /// Looked at on the peer.
    pub(crate) looks: BTreeSet<LookedAt>,
    /// Pieces of bodies that the store is reading for the peer.
    pub(crate) serving: usize,
    /// Bodies that the peer asked for and that were not here.
    pub(crate) asked_for: BTreeSet<BodyHash>,
}

/// A delta that was sent and not acknowledged.
#[derive(Debug)]
struct Batch {
    ends: Vector,
    bytes: usize,
}

impl Link {
    pub(crate) fn new(slot: NodeSlot, dialled: bool, now: Now) -> Self {
        Link {
            slot,
            dialled,
            since: now,
            heard: now.steady,
            incarnation: None,
            reachable: 0,
            theirs: Vector::new(),
            told: Vector::new(),
            sending: Vector::new(),
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            reading: false,
            stalled: false,
            forward_at: None,
            behind_since: None,
            applying: VecDeque::new(),
            applying_bytes: 0,
            exchange: Exchange::default(),
            judged_at: None,
            verdict: None,
            next_ping: now.steady,
            ping_sent: None,
            round_trip: None,
            looks: BTreeSet::new(),
            serving: 0,
            asked_for: BTreeSet::new(),
        }
    }

    /// Whether the peer has said hello.
    pub(crate) fn is_established(&self) -> bool {
        self.incarnation.is_some()
    }

    /// How many octets of the log may be sent now; 0 while the window is full.
    pub(crate) fn room(&self) -> usize {
        DELTA_WINDOW_BYTES.saturating_sub(self.in_flight_bytes).min(DELTA_BATCH_BYTES)
    }

    /// Whether the log may be read for the peer now.
    pub(crate) fn may_send(&self) -> bool {
        self.is_established() && !self.reading && !self.stalled && self.room() > 0
    }

    /// Takes note that these records are on their way to the peer.
    pub(crate) fn sent(&mut self, records: &[Record]) {
        let mut batch = Batch { ends: Vector::new(), bytes: 0 };
        for record in records {
            batch.ends.raise(record.incarnation, record.sequence);
            batch.bytes += record_bytes(record);
        }
        self.sending.join(&batch.ends);
        self.in_flight_bytes += batch.bytes;
        self.in_flight.push_back(batch);
        self.settle();
    }

    /// Takes note of what the peer has, and so of what has arrived.
    pub(crate) fn peer_has(&mut self, vector: &Vector) {
        if !self.theirs.covers(vector) {
            // The third nodes' own links do their work: leave it to them for another while.
            self.forward_at = None;
        }
        self.theirs.join(vector);
        self.sending.join(vector);
        self.settle();
    }

    fn settle(&mut self) {
        while self.in_flight.front().is_some_and(|batch| self.theirs.covers(&batch.ends)) {
            let bytes = self.in_flight.pop_front().map_or(0, |batch| batch.bytes);
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(bytes);
        }
    }

    /// Takes note that a delta of this size went to the store.
    pub(crate) fn applying(&mut self, bytes: usize) {
        self.applying.push_back(bytes);
        self.applying_bytes += bytes;
    }

    /// Takes note that the store is done with the oldest delta.
    pub(crate) fn applied(&mut self) {
        let bytes = self.applying.pop_front().unwrap_or(0);
        self.applying_bytes = self.applying_bytes.saturating_sub(bytes);
    }

    /// What of `own` the peer was not told yet; it counts as told from now on.
    pub(crate) fn news(&mut self, own: &Vector) -> Vector {
        let mut news = Vector::new();
        for (incarnation, sequence) in own.iter() {
            if sequence > self.told.last(&incarnation) {
                news.raise(incarnation, sequence);
            }
        }
        self.told.join(&news);
        news
    }

    /// The incarnations of which `own` has records that are neither at the peer nor on their way.
    pub(crate) fn lacking<'a>(
        &'a self,
        own: &'a Vector,
    ) -> impl Iterator<Item = (Incarnation, Sequence)> + 'a {
        own.iter().filter(|(incarnation, sequence)| *sequence > self.sending.last(incarnation))
    }
}
