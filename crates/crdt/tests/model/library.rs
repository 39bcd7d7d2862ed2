//! What was worked out for one world and comes in useful in all others: what acts make of nodes, and what the witness makes of
//! what it sees.

use std::sync::Arc;

use peerpost_crdt::identity::EntryId;

use super::node::{Act, Node};
use super::witness::Witness;
use super::word::{Known, Memory, Shared, join, word_of};

/// What was worked out.
#[derive(Default)]
pub struct Library {
    nodes: Shared<Node>,
    after: Memory<Option<Arc<Node>>>,
    witnesses: Shared<Witness>,
    sights: Shared<Witness>,
    /// States on the way to rest.
    pub rests: Known,
}

impl Library {
    /// What an act makes of a node; none where there is nothing to hear.
    pub fn after(&self, node: &Node, act: &Act<'_>) -> Option<Arc<Node>> {
        self.after.find(join(&[node.word(), act.word()]), || {
            let after = Arc::new(node.after(act)?);
            Some(self.nodes.find(after.word(), || after))
        })
    }

    /// What a node is once it has heard a peer; none where there is nothing new.
    pub fn heard(&self, node: &Node, peer: &Node) -> Option<Arc<Node>> {
        self.after(node, &Act::Hear(peer))
    }

    /// A message was accepted.
    pub fn accepted(&self, witness: &Arc<Witness>, node: &Node) -> Arc<Witness> {
        let entry = node.newest();
        let event = word_of(&("accepted", entry, node.life(), node.replica.sequence()));
        self.seen(witness, event, |witness| witness.accepted(entry, node))
    }

    /// A message was expunged.
    pub fn expunged(&self, witness: &Arc<Witness>, entry: EntryId, node: &Node) -> Arc<Witness> {
        let event = word_of(&("expunged", entry, node.life(), node.replica.sequence()));
        self.seen(witness, event, |witness| witness.expunged(entry, node))
    }

    /// Clients of a node see what it shows.
    pub fn observed(&self, witness: &Arc<Witness>, node: &Node) -> Arc<Witness> {
        self.seen(witness, node.shown_word(), |witness| witness.observe(node))
    }

    fn seen(&self, witness: &Arc<Witness>, event: u128, change: impl FnOnce(&mut Witness)) -> Arc<Witness> {
        self.sights.find(join(&[witness.word(), event]), || {
            let mut next = witness.next();
            change(&mut next);
            self.share(next)
        })
    }

    /// One of all witnesses that know the same.
    pub fn share(&self, witness: Witness) -> Arc<Witness> {
        self.witnesses.find(witness.word(), || Arc::new(witness))
    }

    /// How many acts of nodes were worked out.
    pub fn acts(&self) -> u64 {
        self.after.worked_out()
    }
}
