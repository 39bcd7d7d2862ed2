//! What the bodies of a batch change in the index and in the table of packs.

use std::collections::BTreeMap;

use crate::body::BodyHash;
use crate::body::hashing::Hashes;
use crate::body::location::{Location, PackKind, PackState};
use crate::body::packs::{RECORD_HEADER_BYTES, record_header};
use crate::body::writer::SinglePack;
use crate::error::{CommitError, ReadError};
use crate::reader::Reader;
use crate::schema::Place;
use crate::statistics::Statistics;
use crate::tables::Changes;

/// A small body, waiting to be appended.
pub(super) type SmallBody = (Hashes, Vec<u8>);

/// Changes to the index and to the packs, gathered while a batch is looked through.
#[derive(Default)]
pub(super) struct BodyPlan {
    index: BTreeMap<BodyHash, Option<Location>>,
    packs: BTreeMap<u64, PackState>,
    singles: Vec<SinglePack>,
    /// What this batch adds to the figures.
    pub(super) written: u64,
    pub(super) written_bytes: u64,
    pub(super) known: u64,
    forgotten: u64,
    forgotten_bytes: u64,
    packs_added: u64,
    pack_bytes_added: u64,
}

impl BodyPlan {
    /// The state of a pack once the plan is committed, where the plan touches it.
    pub(super) fn pack(&self, number: u64) -> Option<PackState> {
        self.packs.get(&number).copied()
    }

    /// Takes a body out of the index.
    pub(super) fn forget(
        &mut self,
        reader: &Reader,
        hash: BodyHash,
        location: &Location,
    ) -> Result<(), ReadError> {
        let number = location.pack;
        let mut state = match self.pack(number) {
            Some(state) => state,
            None => match reader.snapshot().get(Place::Packs, &number.to_be_bytes())? {
                Some(bytes) => PackState::decode(number, &bytes)?,
                None => return Err(ReadError::Damaged(format!("pack {number:06} is in no table"))),
            },
        };
        state.bodies = state.bodies.saturating_sub(1);
        state.body_bytes = state.body_bytes.saturating_sub(location.length);
        self.packs.insert(number, state);
        self.index.insert(hash, None);
        self.forgotten += 1;
        self.forgotten_bytes += location.length;
        Ok(())
    }

    /// Indexes a body that has a pack of its own.
    pub(super) fn take_single(&mut self, hashes: &Hashes, single: SinglePack) {
        let state =
            PackState { kind: PackKind::Single, end: single.end, bodies: 1, body_bytes: hashes.length };
        self.packs.insert(single.number, state);
        self.index.insert(hashes.hash, Some(single.location(hashes)));
        self.packs_added += 1;
        self.pack_bytes_added += state.end;
        self.written += 1;
        self.written_bytes += hashes.length;
        self.singles.push(single);
    }

    /// Indexes small bodies at the end of a shared pack, and gives the records to be written there.
    pub(super) fn append(&mut self, number: u64, state: PackState, bodies: Vec<SmallBody>) -> Vec<u8> {
        let mut state = self.pack(number).unwrap_or(state);
        let start = state.end;
        let length = bodies.iter().map(|(_, bytes)| RECORD_HEADER_BYTES + bytes.len()).sum();
        let mut records = Vec::with_capacity(length);
        for (hashes, bytes) in bodies {
            records.extend_from_slice(&record_header(&hashes.hash, hashes.length));
            let offset = start + records.len() as u64;
            records.extend_from_slice(&bytes);
            let Hashes { hash, length, checksums } = hashes;
            self.index.insert(hash, Some(Location { pack: number, offset, length, checksums }));
            state.bodies += 1;
            state.body_bytes += length;
            self.written += 1;
            self.written_bytes += length;
        }
        state.end = start + records.len() as u64;
        self.packs_added += u64::from(start == 0);
        self.pack_bytes_added += records.len() as u64;
        self.packs.insert(number, state);
        records
    }

    /// Adds the plan to the changes of the batch.
    pub(super) fn add_to(&self, changes: &mut Changes) -> Result<(), CommitError> {
        for (hash, location) in &self.index {
            let value = location.as_ref().map(Location::encode).transpose()?;
            changes.entry(Place::Bodies).or_default().insert(hash.as_bytes().to_vec(), value);
        }
        for (number, state) in &self.packs {
            let value = Some(state.encode()?);
            changes.entry(Place::Packs).or_default().insert(number.to_be_bytes().to_vec(), value);
        }
        Ok(())
    }

    /// The packs of single bodies are named by the tables now, or may be: they stay.
    pub(super) fn keep_singles(&mut self) {
        self.singles.iter_mut().for_each(SinglePack::keep);
    }

    pub(super) fn count(&self, statistics: &mut Statistics) {
        statistics.bodies_committed += self.written;
        statistics.body_bytes_committed += self.written_bytes;
        statistics.bodies_known_already += self.known;
        statistics.packs += self.packs_added;
        statistics.pack_bytes += self.pack_bytes_added;
        statistics.bodies = (statistics.bodies + self.written).saturating_sub(self.forgotten);
        statistics.body_bytes =
            (statistics.body_bytes + self.written_bytes).saturating_sub(self.forgotten_bytes);
    }
}
