//! The links of a serving node to the others, and the store as they see it.

use std::collections::BTreeSet;
use std::sync::Arc;

use mailstore::crdt::identity::{BodyHash, Incarnation, NodeSlot};
use mailstore::crdt::notice::{Heard, Telling};
use mailstore::crdt::operation::Member;
use mailstore::crdt::record::Record;
use mailstore::crdt::replica::{Meeting, Verdict};
use mailstore::crdt::vector::Vector;
use mailstore::identity::NodeIdentity;
use mailstore::{BodyWriter, Mailstore};
use replication::Identity;
use replication::event::{BodyFailure, Piece};
use replication::frame::{ClusterId, LookedAt};
use replication::identity::NodeKey;
use replication::shell::{Machine, Replication, Settings};
use replication::store::{AppliedAnswer, BodySink, JudgedAnswer, KeptAnswer, Store, StoredAnswer};
use serde_json::Value;
use tokio::sync::watch;

use super::invitations::{Door, Invitations};
use crate::config::Cluster;
use crate::failure::Failure;

/// The links of a serving node. Cheap to clone.
#[derive(Clone)]
pub struct Links(Arc<Replication>);

impl Links {
    /// Opens the socket; nodes dial each other from now on.
    pub fn start(
        cluster: &Cluster,
        identity: &NodeIdentity,
        key: NodeKey,
        store: &Mailstore,
    ) -> Result<Self, Failure> {
        let door = Door {
            invitations: Invitations::new(Arc::clone(store.storage())),
            store: store.clone(),
            runtime: tokio::runtime::Handle::current(),
        };
        let settings = Settings {
            identity: Identity {
                cluster: ClusterId(identity.cluster),
                slot: identity.slot,
                incarnation: store.incarnation(),
            },
            key: Arc::new(key),
            listen: cluster.listen,
            seed: u64::from_le_bytes(*super::random().first_chunk().unwrap_or(&[0; 8])),
            admission: Some(Arc::new(door)),
            environment: Arc::new(Machine),
        };
        let replication = Replication::start(settings, Arc::new(LinkedStore(store.clone())));
        Ok(Links(Arc::new(replication.map_err(|error| Failure::new(error.to_string()))?)))
    }

    /// How things stand with every peer.
    pub fn status(&self) -> Result<Value, Failure> {
        let status = tokio::runtime::Handle::current().block_on(self.0.status());
        serde_json::to_value(status).map_err(Failure::of("cannot write the state of the links as JSON"))
    }

    /// Says goodbye to every peer.
    pub async fn shutdown(self) {
        if let Some(replication) = Arc::into_inner(self.0) {
            replication.shutdown().await;
        }
    }
}

/// The store as links see it.
struct LinkedStore(Mailstore);

impl Store for LinkedStore {
    fn vector(&self) -> Vector {
        self.0.vector()
    }

    fn heard(&self) -> Heard {
        self.0.heard()
    }

    fn life(&self) -> Incarnation {
        self.0.incarnation()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes()
    }

    fn members(&self) -> watch::Receiver<Arc<Vec<Member>>> {
        self.0.members()
    }

    fn looks(&self) -> BTreeSet<LookedAt> {
        (*self.0.looks()).clone()
    }

    fn peer_looks(&self, slot: NodeSlot, looks: Option<BTreeSet<LookedAt>>) {
        self.0.peer_looks(slot, looks);
    }

    fn delta_since(&self, vector: &Vector, limit: usize) -> Result<Vec<Record>, String> {
        self.0.delta_since(vector, limit).map_err(|error| error.to_string())
    }

    fn apply_delta(&self, records: Vec<Record>, answer: AppliedAnswer) {
        let store = self.0.clone();
        self.0.apply_delta(records, move |applied| {
            answer(applied.map(|_| store.vector()).map_err(|error| error.to_string()));
        });
    }

    fn notices_since(&self, after: &Heard, limit: usize) -> Result<Vec<Telling>, String> {
        self.0.notices_since(after, limit).map_err(|error| error.to_string())
    }

    fn keep_notices(&self, tellings: Vec<Telling>, answer: KeptAnswer) {
        let store = self.0.clone();
        self.0.hear(tellings, move |kept| {
            answer(kept.map(|()| store.heard()).map_err(|error| error.to_string()));
        });
    }

    fn met(&self, slot: NodeSlot, meeting: Option<Meeting>) {
        self.0.met(slot, meeting);
    }

    fn judge(&self, life: Incarnation, answer: JudgedAnswer) {
        // A store that goes down says nothing.
        self.0.judge(life, move |verdict| answer(verdict.ok().flatten()));
    }

    fn take_verdict(&self, slot: NodeSlot, life: Incarnation, verdict: Verdict) {
        self.0.take_verdict(slot, life, verdict);
    }

    fn wanted_bodies(&self, limit: usize) -> Result<Vec<(BodyHash, u64)>, String> {
        self.0.wanted_bodies(limit).map_err(|error| error.to_string())
    }

    fn read_body(&self, hash: &BodyHash, offset: u64, length: u64) -> Result<Option<Piece>, String> {
        let Some(body) = self.0.find_body(hash).map_err(|error| error.to_string())? else { return Ok(None) };
        let bytes = body.read(offset..offset.saturating_add(length)).map_err(|error| error.to_string())?;
        Ok(Some(Piece { total: body.len(), bytes }))
    }

    fn body_sink(&self) -> Box<dyn BodySink> {
        Box::new(Sink { store: self.0.clone(), writer: self.0.body_writer() })
    }
}

/// A body that is being fetched.
struct Sink {
    store: Mailstore,
    writer: BodyWriter,
}

impl BodySink for Sink {
    fn write(&mut self, octets: &[u8]) -> Result<(), String> {
        self.writer.write(octets).map_err(|error| error.to_string())
    }

    fn finish(self: Box<Self>, name: BodyHash, answer: StoredAnswer) {
        match self.writer.finish() {
            Err(error) => answer(Err(BodyFailure::Store(error.to_string()))),
            Ok(staged) if staged.hash().as_bytes() != &name.0 => answer(Err(BodyFailure::WrongHash)),
            Ok(staged) => self.store.add_body(staged, |kept| {
                answer(kept.map_err(|error| BodyFailure::Store(error.to_string())));
            }),
        }
    }
}
