//! Structures and octets of messages, for one piece of an answer.

use std::sync::Arc;

use mailstore::crdt::identity::BodyHash;
use mailstore::{Body, Mailstore, ReadError, Structures};
use message::Structure;

/// Reads messages from one state of the store, which is taken when the first is wanted.
pub(super) struct Bodies<'a> {
    store: &'a Mailstore,
    state: Option<Structures<'a>>,
}

impl<'a> Bodies<'a> {
    pub(super) fn new(store: &'a Mailstore) -> Self {
        Bodies { store, state: None }
    }

    /// The structure of a message.
    pub(super) fn structure(&mut self, hash: &BodyHash) -> Result<Arc<Structure>, ReadError> {
        self.state()?.structure(hash).map(Arc::new)
    }

    /// The octets of a message.
    pub(super) fn body(&mut self, hash: &BodyHash) -> Result<Body, ReadError> {
        self.state()?.body(hash)
    }

    fn state(&mut self) -> Result<&Structures<'a>, ReadError> {
        match &mut self.state {
            Some(state) => Ok(state),
            none => Ok(none.insert(self.store.structures()?)),
        }
    }
}
