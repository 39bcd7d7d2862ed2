//! The one place that names automerge: how operations become changes, how foreign changes are checked, how documents are made.
//!
//! Every operation sits in the root map of its document, under a key that nobody else can write (its timestamp and the
//! incarnation of its author), so automerge only unites, keeps and compresses; what the operations mean is decided by
//! [`crate::fold`]. A change depends on nothing but its author's change before in the same document, so each
//! author's changes form a chain, and encoding one needs the end of the chain, not the document.

mod columns;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::legacy;
use automerge::{ActorId, AutoCommit, Change, ChangeHash, ExpandedChange, ReadDoc, ScalarValue, Value};
use serde::{Deserialize, Serialize};

use crate::clock::{Stamp, Timestamp};
use crate::identity::Incarnation;
use crate::operation::Operation;

/// The most operations of one change.
pub const MOST_OPERATIONS: usize = 4096;
/// The longest change, in octets.
pub const LONGEST_CHANGE: usize = 8 << 20;

/// The first octet of an encoded operation: the format of what follows.
const OPERATION_FORMAT: u8 = 1;
/// Where the checksum of an automerge chunk stands: the first four octets of its hash.
const CHECKSUM_AT: std::ops::Range<usize> = 4..8;
/// Magic and checksum stand before the octet that tells the kind of an automerge chunk.
const CHUNK_KIND_AT: usize = 8;
/// The length of a key: a timestamp and an incarnation in hexadecimal digits.
const KEY_LENGTH: usize = 16 + 2 * Incarnation::LENGTH;
/// A change that is not compressed. Ours never are, so that a peer cannot send a small change that unpacks to a huge one.
const PLAIN_CHANGE: u8 = 1;

/// The end of one author's chain of changes in one document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// How many changes it has.
    pub length: u64,
    /// The hash of the last.
    pub hash: [u8; 32],
    /// How many operations it has.
    pub operations: u64,
    /// The moment of the last. Moments rise along a chain, so that two operations never share a key.
    pub last: Timestamp,
}

/// A foreign change, checked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The operations and their moments.
    pub operations: Vec<(Stamp, Operation)>,
    /// The end of the chain with this change.
    pub chain: Chain,
}

/// Why a change is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It is no automerge change.
    #[error("the bytes are no automerge change: {0}")]
    Unreadable(String),
    /// It is one, but does not continue the chain of its author.
    #[error("the change does not continue its author's chain: {0}")]
    BrokenChain(&'static str),
    /// It holds something other than operations under their own keys.
    #[error("the change holds what no node writes: {0}")]
    BadStructure(&'static str),
    /// automerge panicked over it.
    #[error("automerge failed on the change")]
    Panicked,
}

/// Encodes operations as the next changes of a chain, as few as their bounds allow, and moves the chain's end.
pub fn encode_all(
    author: Incarnation,
    chain: &mut Chain,
    operations: &[(Timestamp, Operation)],
) -> Vec<Vec<u8>> {
    let mut changes = Vec::new();
    let mut part = Vec::new();
    let mut octets = 0;
    for (timestamp, operation) in operations {
        let encoded = encode_operation(operation);
        let full = part.len() == MOST_OPERATIONS || octets + encoded.len() > LONGEST_CHANGE / 2;
        if full && !part.is_empty() {
            changes.push(encode_change(author, chain, std::mem::take(&mut part)));
            octets = 0;
        }
        octets += encoded.len();
        part.push((*timestamp, encoded));
    }
    if !part.is_empty() {
        changes.push(encode_change(author, chain, part));
    }
    changes
}

fn encode_change(author: Incarnation, chain: &mut Chain, operations: Vec<(Timestamp, Vec<u8>)>) -> Vec<u8> {
    let count = operations.len() as u64;
    let last = operations.last().map_or(chain.last, |(timestamp, _)| *timestamp);
    let change = Change::from(ExpandedChange {
        operations: operations.into_iter().map(|(timestamp, bytes)| put(author, timestamp, bytes)).collect(),
        actor_id: ActorId::from(author.0),
        hash: None,
        seq: chain.length + 1,
        start_op: NonZeroU64::MIN.saturating_add(chain.operations),
        time: i64::try_from(last.millis().0).unwrap_or(i64::MAX),
        message: None,
        deps: dependencies(chain),
        extra_bytes: Vec::new(),
        author: None,
    });
    *chain =
        Chain { length: chain.length + 1, hash: change.hash().0, operations: chain.operations + count, last };
    change.raw_bytes().to_vec()
}

fn dependencies(chain: &Chain) -> Vec<ChangeHash> {
    if chain.length == 0 { Vec::new() } else { vec![ChangeHash(chain.hash)] }
}

fn encode_operation(operation: &Operation) -> Vec<u8> {
    let mut bytes = vec![OPERATION_FORMAT];
    bytes.extend(
        postcard::to_stdvec(operation).expect("operations are plain data, which postcard always encodes"),
    );
    bytes
}

fn put(author: Incarnation, timestamp: Timestamp, bytes: Vec<u8>) -> legacy::Op {
    legacy::Op {
        action: legacy::OpType::Put(ScalarValue::Bytes(bytes)),
        obj: legacy::ObjectId::Root,
        key: legacy::Key::Map(key(author, timestamp).into()),
        pred: legacy::SortedVec::new(),
        insert: false,
    }
}

/// The key of an operation: sixteen hexadecimal digits of timestamp, thirty-two of incarnation.
fn key(author: Incarnation, timestamp: Timestamp) -> String {
    format!("{:016x}{author}", timestamp.bits())
}

fn parse_key(key: &str, author: Incarnation) -> Option<Timestamp> {
    let (timestamp, rest) = key.split_at_checked(16)?;
    let plain = timestamp.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let bits = u64::from_str_radix(timestamp, 16).ok()?;
    (plain && rest == author.to_string()).then_some(())?;
    Timestamp::from_bits(bits)
}

/// Checks a change of `author` against the end of its chain, before anything is done with it.
pub fn check(author: Incarnation, chain: &Chain, bytes: &[u8]) -> Result<Checked, ChangeError> {
    if bytes.len() > LONGEST_CHANGE {
        return Err(ChangeError::BadStructure("it is too long"));
    }
    if bytes.get(CHUNK_KIND_AT) != Some(&PLAIN_CHANGE) {
        return Err(ChangeError::BadStructure("it is not a plain change"));
    }
    if !columns::are_plain(bytes) {
        return Err(ChangeError::BadStructure("its columns are not those of first writes to the root"));
    }
    contained(|| check_contained(author, chain, bytes))?
}

fn check_contained(author: Incarnation, chain: &Chain, bytes: &[u8]) -> Result<Checked, ChangeError> {
    let change = Change::try_from(bytes).map_err(|error| ChangeError::Unreadable(error.to_string()))?;
    if change.actor_id().to_bytes() != author.0 || !change.other_actor_ids().is_empty() {
        return Err(ChangeError::BadStructure("it names another author"));
    }
    if change.seq() != chain.length + 1 || change.deps() != dependencies(chain) {
        return Err(ChangeError::BrokenChain("its number or predecessor is another"));
    }
    if change.start_op().get() != chain.operations + 1 {
        return Err(ChangeError::BrokenChain("its operations are numbered wrongly"));
    }
    if change.is_empty() || change.len() > MOST_OPERATIONS {
        return Err(ChangeError::BadStructure("it has no operation, or too many"));
    }
    let hash = change.hash().0;
    // automerge 0.12 leaves the checksum of a single change unread.
    if bytes.get(CHECKSUM_AT) != hash.get(..4) {
        return Err(ChangeError::BadStructure("its checksum is wrong"));
    }
    let operations = operations_of(author, &change)?;
    let moment =
        |place: Option<&(Stamp, Operation)>| place.map_or(Timestamp::ZERO, |(stamp, _)| stamp.timestamp);
    if moment(operations.first()) <= chain.last {
        return Err(ChangeError::BrokenChain("its operations were stamped before those of its predecessor"));
    }
    let last = moment(operations.last());
    let chain = Chain {
        length: chain.length + 1,
        hash,
        operations: chain.operations + operations.len() as u64,
        last,
    };
    Ok(Checked { operations, chain })
}

/// The operations of a change that [`check`] accepted before, whatever stood before it in its author's chain.
pub fn read(author: Incarnation, bytes: &[u8]) -> Result<Vec<(Stamp, Operation)>, ChangeError> {
    contained(|| {
        let change = Change::try_from(bytes).map_err(|error| ChangeError::Unreadable(error.to_string()))?;
        operations_of(author, &change)
    })?
}

fn operations_of(author: Incarnation, change: &Change) -> Result<Vec<(Stamp, Operation)>, ChangeError> {
    let mut operations = Vec::with_capacity(change.len());
    let mut last = Timestamp::ZERO;
    for op in change.decode().operations {
        let (timestamp, operation) = check_put(author, op)?;
        if timestamp <= last {
            return Err(ChangeError::BadStructure("its operations are out of order"));
        }
        last = timestamp;
        operations.push((Stamp { timestamp, incarnation: author }, operation));
    }
    Ok(operations)
}

fn check_put(author: Incarnation, op: legacy::Op) -> Result<(Timestamp, Operation), ChangeError> {
    let root = matches!(op.obj, legacy::ObjectId::Root);
    if !root || op.insert || !op.pred.is_empty() {
        return Err(ChangeError::BadStructure("an operation is not a first write to the root"));
    }
    let (legacy::Key::Map(key), legacy::OpType::Put(ScalarValue::Bytes(bytes))) = (op.key, op.action) else {
        return Err(ChangeError::BadStructure("an operation is not octets under a key"));
    };
    let timestamp = parse_key(&key, author).ok_or(ChangeError::BadStructure("a key is not its author's"))?;
    Ok((timestamp, decode_operation(&bytes)?))
}

fn decode_operation(bytes: &[u8]) -> Result<Operation, ChangeError> {
    let Some((&OPERATION_FORMAT, rest)) = bytes.split_first() else {
        return Err(ChangeError::BadStructure("an operation is of a newer format"));
    };
    match postcard::take_from_bytes(rest) {
        Ok((operation, [])) => Ok(operation),
        Ok(_) => Err(ChangeError::BadStructure("octets follow an operation")),
        Err(error) => Err(ChangeError::Unreadable(error.to_string())),
    }
}

/// Runs something that calls automerge; a panic in there ends here.
fn contained<T>(run: impl FnOnce() -> T) -> Result<T, ChangeError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| ChangeError::Panicked)
}

/// An automerge document: the union of the changes of all its authors. Made lazily, for snapshots and for `verify`.
pub struct Document(AutoCommit);

impl Default for Document {
    fn default() -> Self {
        Document(AutoCommit::new())
    }
}

impl Document {
    /// The document that was saved.
    pub fn load(bytes: &[u8]) -> Result<Self, ChangeError> {
        let load = || AutoCommit::load(bytes).map_err(|error| ChangeError::Unreadable(error.to_string()));
        contained(load)?.map(Document)
    }

    /// Unites it with changes that [`check`] has accepted, each author's in order.
    pub fn apply<'a>(&mut self, changes: impl IntoIterator<Item = &'a [u8]>) -> Result<(), ChangeError> {
        contained(|| {
            let changes: Result<Vec<Change>, _> = changes.into_iter().map(Change::try_from).collect();
            let changes = changes.map_err(|error| ChangeError::Unreadable(error.to_string()))?;
            self.0.apply_changes(changes).map_err(|error| ChangeError::Unreadable(error.to_string()))
        })?
    }

    /// The compressed document.
    pub fn save(&mut self) -> Result<Vec<u8>, ChangeError> {
        contained(|| self.0.save())
    }

    /// Its operations by their stamps.
    pub fn operations(&self) -> Result<BTreeMap<Stamp, Operation>, ChangeError> {
        contained(|| {
            let keys: Vec<String> = self.0.keys(automerge::ROOT).collect();
            keys.iter().map(|key| self.operation(key)).collect()
        })?
    }

    fn operation(&self, key: &str) -> Result<(Stamp, Operation), ChangeError> {
        let bad = ChangeError::BadStructure("a key of the document is no stamp");
        let (timestamp, author) = key.split_at_checked(16).ok_or(bad.clone())?;
        let author = parse_incarnation(author).ok_or(bad.clone())?;
        let timestamp =
            u64::from_str_radix(timestamp, 16).ok().and_then(Timestamp::from_bits).ok_or(bad.clone())?;
        match self.0.get(automerge::ROOT, key) {
            Ok(Some((Value::Scalar(value), _))) => match value.as_ref() {
                ScalarValue::Bytes(bytes) => {
                    Ok((Stamp { timestamp, incarnation: author }, decode_operation(bytes)?))
                }
                _ => Err(bad),
            },
            _ => Err(bad),
        }
    }
}

fn parse_incarnation(digits: &str) -> Option<Incarnation> {
    let octet = |i: usize| digits.get(2 * i..2 * i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let octets: Option<Vec<u8>> = (0..Incarnation::LENGTH).map(octet).collect();
    (digits.len() == 2 * Incarnation::LENGTH).then_some(())?;
    Incarnation::from_slice(&octets?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;
    use crate::flag::Flag;
    use crate::identity::NodeSlot;

    const A: Incarnation = Incarnation([1; 16]);
    const B: Incarnation = Incarnation([2; 16]);

    fn at(counter: u16) -> Timestamp {
        Timestamp::from_parts(Millis(1000), counter, NodeSlot::FIRST)
    }

    fn subscribe(name: &str) -> Operation {
        Operation::Subscribe { name: name.to_owned(), subscribed: true }
    }

    fn change(author: Incarnation, chain: &mut Chain, counters: std::ops::Range<u16>) -> Vec<u8> {
        let operations: Vec<_> = counters.map(|i| (at(i), subscribe(&i.to_string()))).collect();
        encode_all(author, chain, &operations).remove(0)
    }

    #[test]
    fn a_change_comes_back_as_it_was() {
        let mut chain = Chain::default();
        let first = change(A, &mut chain, 0..3);
        let checked = check(A, &Chain::default(), &first).expect("our own change");
        assert_eq!(checked.operations.len(), 3);
        assert_eq!(checked.chain, chain);
        let second = change(A, &mut chain, 3..4);
        assert_eq!(check(A, &checked.chain, &second).expect("the next").chain, chain);
    }

    #[test]
    fn what_does_not_continue_the_chain_is_refused() {
        let mut chain = Chain::default();
        let first = change(A, &mut chain, 0..1);
        let after = chain;
        let second = change(A, &mut chain, 1..2);
        assert!(matches!(check(A, &Chain::default(), &second), Err(ChangeError::BrokenChain(_))));
        assert!(matches!(check(A, &after, &first), Err(ChangeError::BrokenChain(_))));
        assert!(matches!(check(B, &Chain::default(), &first), Err(ChangeError::BadStructure(_))));
    }

    #[test]
    fn a_change_made_of_other_things_is_refused() {
        let mut other = AutoCommit::new().with_actor(ActorId::from(A.0));
        automerge::transaction::Transactable::put(&mut other, automerge::ROOT, "key", 1).expect("a put");
        other.commit();
        let bytes = other.get_last_local_change().expect("a change").raw_bytes().to_vec();
        assert!(matches!(check(A, &Chain::default(), &bytes), Err(ChangeError::BadStructure(_))));
    }

    #[test]
    fn damaged_changes_never_panic() {
        let good = change(A, &mut Chain::default(), 0..5);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            assert!(check(A, &Chain::default(), &bad).is_err(), "octet {at}");
            assert!(check(A, &Chain::default(), &good[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn what_was_written_at_once_is_cut_where_a_change_would_be_too_long() {
        let flags: Vec<_> = (0..128).map(|n| Flag::parse(&format!("{n:0128}")).expect("a keyword")).collect();
        let entries = [0].into_iter().collect();
        let long = Operation::ChangeFlags { entries, set: flags, clear: vec![] };
        let operations: Vec<_> = (0..1000).map(|n| (at(n), long.clone())).collect();
        let (mut chain, mut checked) = (Chain::default(), Chain::default());
        let changes = encode_all(A, &mut chain, &operations);
        assert!(changes.len() > 1);
        for change in &changes {
            checked = check(A, &checked, change).expect("a change within bounds").chain;
        }
        assert_eq!(checked, chain);
    }

    #[test]
    fn moments_that_fall_along_a_chain_are_refused() {
        let mut chain = Chain::default();
        let _ = change(A, &mut chain, 5..6);
        let after = chain;
        let repeated = change(A, &mut chain, 5..6);
        assert!(matches!(check(A, &after, &repeated), Err(ChangeError::BrokenChain(_))));
    }

    #[test]
    fn documents_unite_in_any_order() {
        let (mut a, mut b) = (Chain::default(), Chain::default());
        let (a1, a2, b1) = (change(A, &mut a, 0..2), change(A, &mut a, 2..3), change(B, &mut b, 0..2));
        let mut one = Document::default();
        one.apply([a1.as_slice(), &a2, &b1]).expect("in order");
        let mut two = Document::default();
        two.apply([b1.as_slice()]).expect("one");
        two.apply([a1.as_slice(), &a2]).expect("the others");
        let operations = one.operations().expect("operations");
        assert_eq!(operations.len(), 5);
        assert_eq!(operations, two.operations().expect("operations"));
        let saved = Document::load(&one.save().expect("saved")).expect("loaded");
        assert_eq!(operations, saved.operations().expect("operations"));
    }
}
