//! A store in memory: records per incarnation, bodies by hash.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};

use crdt::clock::Timestamp;
use crdt::identity::{BodyHash, Incarnation, NodeSlot};
use crdt::notice::{Heard, Notice, Telling};
use crdt::operation::Member;
use crdt::record::Record;
use crdt::replica::{Meeting, Verdict};
use crdt::vector::{Sequence, Vector};
use peerpost_replication::event::{BodyFailure, Piece};
use peerpost_replication::frame::LookedAt;

/// The state of the fake store of one node. It outlives the lives of the node.
#[derive(Clone, Debug, Default)]
pub struct FakeStore {
    pub log: Vec<Record>,
    pub vector: Vector,
    pub bodies: BTreeMap<BodyHash, Vec<u8>>,
    pub peer_looks: BTreeMap<NodeSlot, BTreeSet<LookedAt>>,
    /// Records that came although they were here.
    pub duplicates: u64,
    /// What each node told; a notice supersedes those of its node that begin with the same octet.
    pub notices: BTreeMap<NodeSlot, BTreeMap<Timestamp, Vec<u8>>>,
    pub heard: Heard,
    /// How many notices came, those among them that were heard already.
    pub notices_came: u64,
    pub meetings: BTreeMap<NodeSlot, Meeting>,
    pub verdicts: Vec<(NodeSlot, Incarnation, Verdict)>,
    /// Refuse every delta.
    pub refuses: bool,
}

/// The body that this number stands for, of about this length.
pub fn body(number: u64, length: usize) -> (BodyHash, Vec<u8>) {
    let octets: Vec<u8> = number.to_be_bytes().into_iter().cycle().take(length.max(8)).collect();
    (BodyHash(*blake3::hash(&octets).as_bytes()), octets)
}

/// The member of this slot, with a key derived from it.
pub fn member(slot: u8, advertise: &str) -> Member {
    Member {
        slot: NodeSlot::new(slot).expect("a slot"),
        name: format!("node {slot}"),
        key: [slot; 32],
        advertise: advertise.to_owned(),
    }
}

impl FakeStore {
    /// Writes a record, with a body of this length if there is one.
    pub fn commit(&mut self, incarnation: Incarnation, body: Option<(BodyHash, Vec<u8>)>) {
        let named = body.as_ref().map(|(hash, octets)| (*hash, octets.len() as u64));
        let sequence = self.vector.last(&incarnation).next();
        let bytes = postcard::to_stdvec(&named).expect("encodes");
        self.log.push(Record { incarnation, sequence, bytes });
        self.vector.raise(incarnation, sequence);
        self.bodies.extend(body);
    }

    pub fn delta_since(&self, vector: &Vector, limit: usize) -> Vec<Record> {
        let mut bytes = 0;
        let mut records = Vec::new();
        for record in self.log.iter().filter(|record| record.sequence > vector.last(&record.incarnation)) {
            bytes += record.bytes.len() + 32;
            if bytes > limit && !records.is_empty() {
                break;
            }
            records.push(record.clone());
        }
        records
    }

    pub fn apply(&mut self, records: Vec<Record>) -> Result<Vector, String> {
        if self.refuses {
            return Err("the test store refuses everything".into());
        }
        let mut vector = self.vector.clone();
        let mut new = Vec::new();
        for record in records {
            let last = vector.last(&record.incarnation);
            if record.sequence <= last {
                self.duplicates += 1;
            } else if record.sequence == last.next() {
                vector.raise(record.incarnation, record.sequence);
                new.push(record);
            } else {
                return Err(format!("a gap after {last:?}"));
            }
        }
        self.log.extend(new);
        self.vector = vector;
        Ok(self.vector.clone())
    }

    /// Tells something of this node, or keeps what another told.
    pub fn tell(&mut self, slot: NodeSlot, at: Timestamp, bytes: Vec<u8>) {
        assert!(at > self.heard.last(slot), "moments rise");
        let told = self.notices.entry(slot).or_default();
        told.retain(|_, older| older.first() != bytes.first());
        told.insert(at, bytes);
        self.heard.raise(slot, at);
    }

    pub fn notices_since(&self, after: &Heard, limit: usize) -> Vec<Telling> {
        let mut tellings = Vec::new();
        let mut bytes = 0;
        for (slot, until) in self.heard.iter() {
            let after = after.last(slot);
            if after >= until || bytes >= limit {
                continue;
            }
            bytes += 32;
            let mut telling = Telling { slot, after, until, notices: Vec::new() };
            for (at, octets) in self.notices[&slot].iter().filter(|(at, _)| **at > after) {
                if bytes >= limit && !telling.notices.is_empty() {
                    telling.until = telling.notices.last().expect("one").at;
                    break;
                }
                bytes += octets.len() + 32;
                telling.notices.push(Notice { at: *at, bytes: octets.clone() });
            }
            tellings.push(telling);
        }
        tellings
    }

    pub fn keep(&mut self, tellings: Vec<Telling>) -> Result<Heard, String> {
        for telling in &tellings {
            if telling.after > self.heard.last(telling.slot) {
                return Err(format!("a gap after {}", self.heard.last(telling.slot)));
            }
        }
        for telling in tellings {
            self.notices_came += telling.notices.len() as u64;
            self.notices.entry(telling.slot).or_default();
            for Notice { at, bytes } in telling.notices {
                if at > self.heard.last(telling.slot) {
                    self.tell(telling.slot, at, bytes);
                }
            }
            self.heard.raise(telling.slot, telling.until);
        }
        Ok(self.heard.clone())
    }

    /// What this store says of a life: nothing against it, unless its name says so.
    pub fn judge(&self, life: &Incarnation) -> Option<Verdict> {
        let held = self.vector.last(life);
        let bad = life.0[15] == 0xbd;
        (held > Sequence(0)).then_some(if bad { Verdict::HoldsMore { held } } else { Verdict::Confirmed })
    }

    pub fn meet(&mut self, slot: NodeSlot, meeting: Option<Meeting>) {
        match meeting {
            Some(meeting) => self.meetings.insert(slot, meeting),
            None => self.meetings.remove(&slot),
        };
    }

    pub fn wanted(&self, limit: usize) -> Vec<(BodyHash, u64)> {
        let mut seen = BTreeSet::new();
        let named = self.log.iter().filter_map(|record| {
            let (hash, size): (BodyHash, u64) =
                postcard::from_bytes::<Option<_>>(&record.bytes).ok().flatten()?;
            (!self.bodies.contains_key(&hash) && seen.insert(hash)).then_some((hash, size))
        });
        named.take(limit).collect()
    }

    pub fn read_body(&self, hash: &BodyHash, offset: u64, length: u64) -> Option<Piece> {
        let octets = self.bodies.get(hash)?;
        let start = usize::try_from(offset).ok()?.min(octets.len());
        let end = (start + length as usize).min(octets.len());
        Some(Piece { total: octets.len() as u64, bytes: octets[start..end].to_vec() })
    }

    pub fn add_body(&mut self, hash: BodyHash, octets: Vec<u8>) -> Result<(), BodyFailure> {
        if blake3::hash(&octets).as_bytes() != &hash.0 {
            return Err(BodyFailure::WrongHash);
        }
        self.bodies.insert(hash, octets);
        Ok(())
    }

    /// How many records of this life are here.
    pub fn records_of(&self, incarnation: &Incarnation) -> Sequence {
        self.vector.last(incarnation)
    }
}
