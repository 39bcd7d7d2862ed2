//! Invitations that this node has given: each secret admits one node.

use std::sync::Arc;

use mailstore::crdt::identity::NodeSlot;
use mailstore::crdt::operation::Member;
use mailstore::{Mailstore, Storage, rows};
use replication::frame::ClusterId;
use replication::join::{Admission, Admitted, JoinRequest, Token};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::{Batch, Table};

use crate::control::answer::Context;
use crate::failure::Failure;

/// Before the hash of the secret, in the table of this node's own facts.
const PREFIX: &[u8] = b"invitation:";

/// One invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Invitation {
    slot: NodeSlot,
    reserve: u128,
    /// The key of the node that used it.
    used_by: Option<[u8; 32]>,
}

/// The invitations in this node's store.
#[derive(Clone)]
pub struct Invitations {
    storage: Arc<Storage>,
}

impl Invitations {
    /// The invitations of a store.
    pub fn new(storage: Arc<Storage>) -> Self {
        Invitations { storage }
    }

    /// Grants a slot and makes a token for it.
    pub async fn invite(&self, context: &Context) -> Result<Value, Failure> {
        let cluster = context.config.cluster.as_ref().ok_or_else(|| {
            Failure::new("this node has no [cluster] section; give it one, with `listen` and `advertise`, and start it again")
        })?;
        let store =
            context.store.as_ref().ok_or_else(|| Failure::new("the store was opened for reading alone"))?;
        let granted = store.grant().await?.ok_or_else(|| {
            Failure::new("this node can grant no slot: it has none left, or not every member has confirmed its start; see the warnings of `peerpost status`, or invite from another node")
        })?;
        let secret = super::random();
        let invitation = Invitation { slot: granted.slot, reserve: granted.reserve, used_by: None };
        self.put(&secret, &invitation)?;
        let token = Token {
            cluster: ClusterId(context.identity.cluster),
            address: cluster.advertise.as_str().to_owned(),
            key: context.key,
            secret,
            slot: granted.slot,
            reserve: granted.reserve,
        };
        Ok(json!({ "token": token.to_string(), "slot": granted.slot.number() }))
    }

    /// Secrets are kept as their hashes: a copy of the store admits nobody.
    fn key(secret: &[u8; 16]) -> Vec<u8> {
        let hash = storage::BodyHash::of(&[PREFIX, secret].concat());
        [PREFIX, hash.as_bytes()].concat()
    }

    fn put(&self, secret: &[u8; 16], invitation: &Invitation) -> Result<(), Failure> {
        let mut batch = Batch::new();
        batch.put(Table::Meta, Self::key(secret), rows::encode(invitation));
        Ok(self.storage.commit(batch)?)
    }

    fn find(&self, secret: &[u8; 16]) -> Result<Option<Invitation>, Failure> {
        let row = self.storage.reader()?.get(Table::Meta, &Self::key(secret))?;
        Ok(row.map(|bytes| rows::decode(Table::Meta, &bytes)).transpose()?)
    }

    fn any_unused(&self) -> Result<bool, Failure> {
        for row in self.storage.reader()?.prefixed(Table::Meta, PREFIX)? {
            let invitation: Invitation = rows::decode(Table::Meta, &row?.1)?;
            if invitation.used_by.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Admits nodes that come with a token of this node.
pub struct Door {
    /// The invitations.
    pub invitations: Invitations,
    /// The mail of this node.
    pub store: Mailstore,
    /// The runtime that the store's answers come on.
    pub runtime: tokio::runtime::Handle,
}

impl Admission for Door {
    fn is_open(&self) -> bool {
        self.invitations.any_unused().unwrap_or(false)
    }

    fn admit(&self, request: &JoinRequest) -> Result<Admitted, String> {
        let unknown =
            "the invitation is unknown here: use the token of a node that is running, within its cluster";
        let invitation = self.invitations.find(&request.secret).map_err(|error| error.to_string())?;
        let mut invitation = invitation.ok_or(unknown)?;
        if invitation.used_by.is_some_and(|key| key != request.key) {
            return Err("the invitation was used by another node already: make a new one with `peerpost cluster invite`".into());
        }
        let member = Member {
            slot: invitation.slot,
            name: request.name.clone(),
            key: request.key,
            advertise: request.advertise.clone(),
        };
        self.runtime.block_on(self.store.admit(member)).map_err(|error| error.to_string())?;
        invitation.used_by = Some(request.key);
        self.invitations.put(&request.secret, &invitation).map_err(|error| error.to_string())?;
        let members = self.store.cluster().borrow().members().cloned().collect();
        Ok(Admitted {
            cluster: ClusterId(self.store.identity().cluster),
            slot: invitation.slot,
            reserve: invitation.reserve,
            members,
            vector: self.store.vector(),
        })
    }
}
