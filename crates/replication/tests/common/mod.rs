//! A store in memory: records per incarnation, bodies by hash.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};

use crdt::identity::{BodyHash, Incarnation, NodeSlot};
use crdt::operation::Member;
use crdt::record::Record;
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
