//! One invitation that a node has given: its secret admits one node.

use std::sync::{Arc, Mutex};

use crdt::operation::Member;
use peerpost_replication::frame::ClusterId;
use peerpost_replication::join::{Admission, Admitted, JoinRequest, Token};

use crate::environment::wall;
use crate::machine::Machine;

/// Admits who comes with the token that the machine has given.
pub struct Door(pub Arc<Machine>);

/// A token that was given, and the key of the node that used it. It lies beside the store, so it outlives the process.
pub type Given = Mutex<Option<(Token, Option<[u8; 32]>)>>;

impl Admission for Door {
    fn is_open(&self) -> bool {
        matches!(&*self.0.given.lock().unwrap(), Some((_, None)))
    }

    fn admit(&self, request: &JoinRequest) -> Result<Admitted, String> {
        let mut given = self.0.given.lock().unwrap();
        let (token, used_by) = given.as_mut().ok_or("no invitation was given")?;
        if token.secret != request.secret || used_by.is_some_and(|key| key != request.key) {
            return Err("the invitation is unknown, or was used".into());
        }
        let life = self.0.life().ok_or("the node is shutting down")?;
        let member = Member {
            slot: token.slot,
            name: request.name.clone(),
            key: request.key,
            advertise: request.advertise.clone(),
        };
        life.committer.ask(wall(), life.store.admit(member))?;
        *used_by = Some(request.key);
        self.0.trace.note(self.0.number, format_args!("admits {}", request.name));
        let members = life.store.cluster().borrow().members().cloned().collect();
        Ok(Admitted {
            cluster: ClusterId(life.store.identity().cluster),
            slot: token.slot,
            reserve: token.reserve,
            members,
            vector: life.store.vector(),
        })
    }
}
