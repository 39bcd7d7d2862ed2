//! Clients that disconnect with what they know, and come back later, to the same node or to another one: what vanished
//! meanwhile is told to them, so that no cache keeps a ghost (RFC 7162 section 3.2).

use std::collections::BTreeSet;

use peerpost_crdt::identity::{MailboxId, Uid, Validity};
use peerpost_crdt::replica::{NoArchive, Replica};
use peerpost_crdt::vector::Vector;

/// What a client that disconnected at some moment knows, and what its node had then.
struct Cache {
    node: usize,
    mailbox: MailboxId,
    validity: Validity,
    uids: BTreeSet<Uid>,
    highest: u64,
    vector: Vector,
    /// Whether everything that the node had was visible to the client.
    whole: bool,
}

/// Clients of all nodes that disconnected, at every moment.
#[derive(Default)]
pub struct Caches(Vec<Cache>);

impl Caches {
    /// A client of every mailbox of a node disconnects.
    pub fn disconnect(&mut self, node: usize, replica: &Replica<NoArchive>) {
        let Some(account) = replica.loaded().next() else { return };
        for unit in account.units() {
            let view = account.view(unit.public);
            let Some(validity) = view.validity else { continue };
            self.0.push(Cache {
                node,
                mailbox: unit.public,
                validity,
                uids: view.rows.iter().map(|row| row.uid).collect(),
                highest: view.highest_modseq.bits(),
                vector: replica.vector().clone(),
                whole: account.pending() == 0,
            });
        }
    }

    /// All connect to a node, once it has everything. A client of this node brings its own MODSEQ; for one of another node
    /// the greatest counts that this node had while it had nothing that the other had not shown.
    pub fn reconnect(&self, node: usize, replica: &Replica<NoArchive>) {
        let Some(account) = replica.loaded().next() else { return };
        for unit in account.units() {
            let view = account.view(unit.public);
            let of_mailbox = || {
                self.0
                    .iter()
                    .filter(|cache| (cache.mailbox, Some(cache.validity)) == (unit.public, view.validity))
            };
            for cache in of_mailbox() {
                let since = match cache.node == node {
                    true => cache.highest,
                    false if cache.whole => of_mailbox()
                        .filter(|own| own.node == node && cache.vector.covers(&own.vector))
                        .map(|own| own.highest)
                        .max()
                        .unwrap_or(0),
                    false => 0,
                };
                let vanished = view.vanished_since(since);
                for uid in &cache.uids {
                    let visible = view.rows.find(*uid).is_some();
                    let told = vanished.iter().any(|range| range.contains(uid));
                    assert!(
                        visible != told,
                        "a client of node {} knows UID {uid} of {}; on node {node} it is {}, and {} to have vanished since {since}",
                        cache.node,
                        unit.name,
                        if visible { "visible" } else { "not visible" },
                        if told { "told" } else { "not told" }
                    );
                }
            }
        }
    }
}
