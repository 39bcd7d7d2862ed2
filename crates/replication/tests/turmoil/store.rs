//! The mail store as links see it; all that they do to it goes into the trace.

use std::collections::BTreeSet;
use std::sync::Arc;

use crdt::identity::{BodyHash, Incarnation, NodeSlot};
use crdt::notice::{Heard, Telling};
use crdt::operation::Member;
use crdt::record::Record;
use crdt::replica::{Meeting, Verdict};
use crdt::vector::Vector;
use mailstore::{BodyWriter, Mailstore};
use peerpost_replication::event::{BodyFailure, Piece};
use peerpost_replication::frame::LookedAt;
use peerpost_replication::store::{AppliedAnswer, BodySink, JudgedAnswer, KeptAnswer, Store, StoredAnswer};
use tokio::sync::watch;

use crate::committer::Committer;
use crate::trace::Trace;

#[derive(Clone)]
pub struct LinkedStore {
    pub node: usize,
    pub store: Mailstore,
    pub committer: Arc<Committer>,
    pub trace: Trace,
}

impl LinkedStore {
    fn note(&self, what: String) {
        self.trace.note(self.node, what);
    }
}

impl Store for LinkedStore {
    fn vector(&self) -> Vector {
        self.store.vector()
    }

    fn heard(&self) -> Heard {
        self.store.heard()
    }

    fn life(&self) -> Incarnation {
        self.store.incarnation()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }

    fn members(&self) -> watch::Receiver<Arc<Vec<Member>>> {
        self.store.members()
    }

    fn looks(&self) -> BTreeSet<LookedAt> {
        (*self.store.looks()).clone()
    }

    fn peer_looks(&self, slot: NodeSlot, looks: Option<BTreeSet<LookedAt>>) {
        self.note(format!("hears that {slot} looks at {looks:?}"));
        self.store.peer_looks(slot, looks);
        self.committer.wake();
    }

    fn delta_since(&self, vector: &Vector, limit: usize) -> Result<Vec<Record>, String> {
        let records = self.store.delta_since(vector, limit).map_err(|error| error.to_string())?;
        self.note(format!("reads {} records", records.len()));
        Ok(records)
    }

    fn apply_delta(&self, records: Vec<Record>, answer: AppliedAnswer) {
        let (this, count) = (self.clone(), records.len());
        self.store.apply_delta(records, move |applied| {
            let applied = applied.map(|_| this.store.vector()).map_err(|error| error.to_string());
            let has = applied.as_ref().map(|vector| vector.ahead_of(&Vector::new()));
            this.note(format!("applies {count} records and has {has:?}"));
            answer(applied);
        });
        self.committer.wake();
    }

    fn notices_since(&self, after: &Heard, limit: usize) -> Result<Vec<Telling>, String> {
        self.store.notices_since(after, limit).map_err(|error| error.to_string())
    }

    fn keep_notices(&self, tellings: Vec<Telling>, answer: KeptAnswer) {
        let this = self.clone();
        let notices: usize = tellings.iter().map(|telling| telling.notices.len()).sum();
        self.store.hear(tellings, move |kept| {
            this.note(format!("hears {notices} notices: {:?}", kept.as_ref().err()));
            answer(kept.map(|()| this.store.heard()).map_err(|error| error.to_string()));
        });
        self.committer.wake();
    }

    fn met(&self, slot: NodeSlot, meeting: Option<Meeting>) {
        let has = meeting.as_ref().map(|meeting| meeting.vector.ahead_of(&Vector::new()));
        self.note(format!("meets {slot}, which has {has:?}"));
        self.store.met(slot, meeting);
        self.committer.wake();
    }

    fn judge(&self, life: Incarnation, answer: JudgedAnswer) {
        self.store.judge(life, move |verdict| answer(verdict.ok().flatten()));
        self.committer.wake();
    }

    fn take_verdict(&self, slot: NodeSlot, life: Incarnation, verdict: Verdict) {
        self.note(format!("is told by {slot} of its life {life}: {verdict:?}"));
        self.store.take_verdict(slot, life, verdict);
        self.committer.wake();
    }

    fn wanted_bodies(&self, limit: usize) -> Result<Vec<(BodyHash, u64)>, String> {
        self.store.wanted_bodies(limit).map_err(|error| error.to_string())
    }

    fn read_body(&self, hash: &BodyHash, offset: u64, length: u64) -> Result<Option<Piece>, String> {
        let Some(body) = self.store.find_body(hash).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let bytes = body.read(offset..offset.saturating_add(length)).map_err(|error| error.to_string())?;
        self.note(format!("gives {} octets of {hash} from {offset}", bytes.len()));
        Ok(Some(Piece { total: body.len(), bytes }))
    }

    fn body_sink(&self) -> Box<dyn BodySink> {
        Box::new(Sink { writer: self.store.body_writer(), store: self.clone() })
    }
}

/// A body that is being fetched.
struct Sink {
    store: LinkedStore,
    writer: BodyWriter,
}

impl BodySink for Sink {
    fn write(&mut self, octets: &[u8]) -> Result<(), String> {
        self.writer.write(octets).map_err(|error| error.to_string())
    }

    fn finish(self: Box<Self>, name: BodyHash, answer: StoredAnswer) {
        let this = self.store;
        match self.writer.finish() {
            Err(error) => answer(Err(BodyFailure::Store(error.to_string()))),
            Ok(staged) if staged.hash().as_bytes() != &name.0 => answer(Err(BodyFailure::WrongHash)),
            Ok(staged) => {
                let then = this.clone();
                this.store.add_body(staged, move |kept| {
                    then.note(format!("stores the body {name}: {:?}", kept.as_ref().err()));
                    answer(kept.map_err(|error| BodyFailure::Store(error.to_string())));
                });
                this.committer.wake();
            }
        }
    }
}
