//! The mail store of a node, as replication sees it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crdt::identity::{BodyHash, NodeSlot};
use crdt::operation::Member;
use crdt::record::Record;
use crdt::vector::Vector;
use mailstore::{BodyWriter, Mailstore};
use tokio::sync::watch;

use crate::event::{BodyFailure, Piece};
use crate::frame::LookedAt;
use crate::store::{AppliedAnswer, BodySink, Store, StoredAnswer};

/// A [`Mailstore`] that replicates.
pub struct MailStore {
    mailstore: Mailstore,
    members: watch::Receiver<Arc<Vec<Member>>>,
}

impl MailStore {
    /// Must be called inside a tokio runtime: a task follows the members.
    pub fn new(mailstore: Mailstore) -> Self {
        let mut cluster = mailstore.cluster();
        let list = |state: &crdt::fold::cluster::ClusterState| {
            Arc::new(state.members().cloned().collect::<Vec<_>>())
        };
        let (sender, members) = watch::channel(list(&cluster.borrow_and_update()));
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    () = sender.closed() => return,
                    changed = cluster.changed() => match changed {
                        Ok(()) => sender.send_replace(list(&cluster.borrow_and_update())),
                        Err(_) => return,
                    },
                };
            }
        });
        MailStore { mailstore, members }
    }
}

impl Store for MailStore {
    fn vector(&self) -> Vector {
        self.mailstore.vector()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.mailstore.changes()
    }

    fn members(&self) -> watch::Receiver<Arc<Vec<Member>>> {
        self.members.clone()
    }

    fn looks(&self) -> BTreeSet<LookedAt> {
        self.mailstore.looks().as_ref().clone()
    }

    fn peer_looks(&self, slot: NodeSlot, looks: Option<BTreeSet<LookedAt>>) {
        self.mailstore.peer_looks(slot, looks);
    }

    fn delta_since(&self, vector: &Vector, limit: usize) -> Result<Vec<Record>, String> {
        self.mailstore.delta_since(vector, limit).map_err(|error| error.to_string())
    }

    fn apply_delta(&self, records: Vec<Record>, answer: AppliedAnswer) {
        let mailstore = self.mailstore.clone();
        self.mailstore.apply_delta(records, move |result| match result {
            Ok(_) => answer(Ok(mailstore.vector())),
            Err(error) => answer(Err(error.to_string())),
        });
    }

    fn wanted_bodies(&self, limit: usize) -> Result<Vec<(BodyHash, u64)>, String> {
        self.mailstore.wanted_bodies(limit).map_err(|error| error.to_string())
    }

    fn read_body(&self, hash: &BodyHash, offset: u64, length: u64) -> Result<Option<Piece>, String> {
        let stored = storage::BodyHash::from_bytes(hash.0);
        let body = self.mailstore.storage().body(&stored).map_err(|error| error.to_string())?;
        let Some(body) = body else { return Ok(None) };
        let bytes = body.read(offset..offset.saturating_add(length)).map_err(|error| error.to_string())?;
        Ok(Some(Piece { total: body.len(), bytes }))
    }

    fn body_sink(&self) -> Box<dyn BodySink> {
        Box::new(Sink { writer: self.mailstore.body_writer(), mailstore: self.mailstore.clone() })
    }
}

struct Sink {
    writer: BodyWriter,
    mailstore: Mailstore,
}

impl BodySink for Sink {
    fn write(&mut self, octets: &[u8]) -> Result<(), String> {
        self.writer.write(octets).map_err(|error| error.to_string())
    }

    fn finish(self: Box<Self>, name: BodyHash, answer: StoredAnswer) {
        let staged = match self.writer.finish() {
            Ok(staged) => staged,
            Err(error) => return answer(Err(BodyFailure::Store(error.to_string()))),
        };
        if staged.hash().as_bytes() != &name.0 {
            return answer(Err(BodyFailure::WrongHash));
        }
        self.mailstore.add_body(staged, move |result| {
            answer(result.map_err(|error| BodyFailure::Store(error.to_string())));
        });
    }
}
