//! What replication needs of the store: one trait, which the mail store and the stores of tests implement.

use std::collections::BTreeSet;
use std::sync::Arc;

use crdt::identity::{BodyHash, Incarnation, NodeSlot};
use crdt::notice::{Heard, Telling};
use crdt::operation::Member;
use crdt::record::Record;
use crdt::replica::{Meeting, Verdict};
use crdt::vector::Vector;
use tokio::sync::watch;

use crate::event::{BodyFailure, Piece};
use crate::frame::LookedAt;

/// Takes the answer to [`Store::apply_delta`]: what the store has now, durably, or why it applied nothing.
pub type AppliedAnswer = Box<dyn FnOnce(Result<Vector, String>) + Send>;
/// Takes the answer to [`Store::keep_notices`]: what the store has heard now, durably, or why it kept nothing.
pub type KeptAnswer = Box<dyn FnOnce(Result<Heard, String>) + Send>;
/// Takes the answer to [`Store::judge`].
pub type JudgedAnswer = Box<dyn FnOnce(Option<Verdict>) + Send>;
/// Takes the answer to [`BodySink::finish`].
pub type StoredAnswer = Box<dyn FnOnce(Result<(), BodyFailure>) + Send>;

/// The store of a node, as replication sees it. Methods without an answer may block on the disk; they are called from
/// threads of their own.
pub trait Store: Send + Sync + 'static {
    /// What is here, durably. Does not block.
    fn vector(&self) -> Vector;

    /// Up to when each node was heard here, durably. Does not block.
    fn heard(&self) -> Heard;

    /// The present life of this node. Does not block.
    fn life(&self) -> Incarnation;

    /// Changes whenever [`Store::vector`], [`Store::heard`], [`Store::life`] or [`Store::looks`] did.
    fn changes(&self) -> watch::Receiver<u64>;

    /// The members of the cluster, this node among them.
    fn members(&self) -> watch::Receiver<Arc<Vec<Member>>>;

    /// Mailboxes that clients of this node look at. Does not block.
    fn looks(&self) -> BTreeSet<LookedAt>;

    /// Mailboxes looked at on a peer; `None` if it cannot be reached. Does not block.
    fn peer_looks(&self, slot: NodeSlot, looks: Option<BTreeSet<LookedAt>>);

    /// Records after `vector`, each incarnation's without a gap; about `limit` octets, but one record at least if there
    /// is any.
    fn delta_since(&self, vector: &Vector, limit: usize) -> Result<Vec<Record>, String>;

    /// Applies a delta, all or nothing; records that are here already are skipped. Answered once durable. Does not block.
    fn apply_delta(&self, records: Vec<Record>, answer: AppliedAnswer);

    /// What nodes told of themselves and `after` has not heard, by slot, each node's without a gap; about `limit` octets, 32 for each
    /// notice and each node included, but one notice at least if there is any.
    fn notices_since(&self, after: &Heard, limit: usize) -> Result<Vec<Telling>, String>;

    /// Keeps what nodes told of themselves, all or nothing; what was heard already is skipped. Answered once durable. Does not
    /// block.
    fn keep_notices(&self, tellings: Vec<Telling>, answer: KeptAnswer);

    /// A link to a peer is up, and what the peer had then; `None`: the link has gone. Does not block.
    fn met(&self, slot: NodeSlot, meeting: Option<Meeting>);

    /// What this node has to say of a life of another; nothing where its first record is not here. Does not block.
    fn judge(&self, life: Incarnation, answer: JudgedAnswer);

    /// A peer says this of a life of this node, which may have ended. Does not block.
    fn take_verdict(&self, slot: NodeSlot, life: Incarnation, verdict: Verdict);

    /// Bodies that entries name and that are not here, with their sizes, oldest first.
    fn wanted_bodies(&self, limit: usize) -> Result<Vec<(BodyHash, u64)>, String>;

    /// A part of a body; `None` if the body is not here. `bytes` is shorter than `length` at the end of the body only.
    fn read_body(&self, hash: &BodyHash, offset: u64, length: u64) -> Result<Option<Piece>, String>;

    /// Takes the octets of a body that is fetched.
    fn body_sink(&self) -> Box<dyn BodySink>;
}

/// Takes the octets of one body, in order. Dropped before the end, it leaves nothing behind.
pub trait BodySink: Send {
    /// Takes the next octets. May block on the disk.
    fn write(&mut self, octets: &[u8]) -> Result<(), String>;

    /// Stores the body if its hash is `name`; answered once it is durable.
    fn finish(self: Box<Self>, name: BodyHash, answer: StoredAnswer);
}
