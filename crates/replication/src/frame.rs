//! What travels between two nodes: length-prefixed, versioned frames in postcard.
//!
//! A link has two streams in each direction. Control frames and deltas take one, pieces of bodies the other, so that a
//! large body never delays a delta. Within a stream the order holds.
//!
//! ```text
//! frame   = length format postcard      ; length: 32 bits, most significant octet first, of what follows
//! format  = %x01
//! ```

use crdt::clock::Millis;
use crdt::identity::{AccountId, BodyHash, Incarnation, MailboxId, NodeSlot};
use crdt::notice::{Heard, NoticeError, Telling};
use crdt::record::Record;
use crdt::replica::Verdict;
use crdt::vector::Vector;
use serde::{Deserialize, Serialize};

use crate::limits::{
    BODY_PIECE_BYTES, GREATEST_SEQUENCE, LONGEST_FRAME, LONGEST_RECORD, MOST_INCARNATIONS,
    MOST_LOOKS_A_FRAME, MOST_NOTICE_BYTES, MOST_NOTICES, MOST_RECORDS,
};

/// The octets before a frame that say how long it is.
pub const LENGTH_PREFIX: usize = 4;
const FRAME_FORMAT: u8 = 1;

/// The identity of a cluster, random, from `init` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClusterId(pub [u8; 16]);

/// A mailbox that a client looks at.
pub type LookedAt = (AccountId, MailboxId);

/// The first frame of each side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::limits::PROTOCOL_VERSION`] of the sender.
    pub version: u16,
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its slot: that of the key of the link, or one that the node with that key has left, as far as others know.
    pub slot: NodeSlot,
    /// Its life.
    pub incarnation: Incarnation,
    /// What it has, durably.
    pub vector: Vector,
    /// Up to when it has heard what each node tells of itself, durably.
    pub heard: Heard,
    /// Its clock.
    pub wall: Millis,
    /// The slots that it has links to, one bit each.
    pub reachable: u128,
}

/// The streams of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Control and deltas.
    Control,
    /// Pieces of bodies.
    Bodies,
}

/// One message from node to node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// Opens the link.
    Hello(Hello),
    /// What the sender has durably, as far as it grew since it last told: an acknowledgement.
    Vector(Vector),
    /// Records that the receiver lacks, each incarnation's without a gap.
    Delta {
        /// In the order in which they are to be applied.
        records: Vec<Record>,
    },
    /// Mailboxes that clients of the sender look at.
    Looks {
        /// Whether everything told before is forgotten first.
        reset: bool,
        /// Looked at from now on.
        started: Vec<LookedAt>,
        /// No longer looked at.
        ended: Vec<LookedAt>,
        /// Whether this ends the change; `false` if another frame of looks follows.
        complete: bool,
    },
    /// Asks for one piece of a body.
    BodyRequest {
        /// Which body.
        hash: BodyHash,
        /// Where the piece starts, a multiple of [`BODY_PIECE_BYTES`].
        offset: u64,
    },
    /// One piece of a body.
    BodyPiece {
        /// Which body.
        hash: BodyHash,
        /// Where the piece starts.
        offset: u64,
        /// The length of the whole body in octets.
        total: u64,
        /// At most [`BODY_PIECE_BYTES`].
        #[serde(with = "octets")]
        bytes: Vec<u8>,
    },
    /// The sender does not have a body that it was asked for.
    BodyAbsent {
        /// Which.
        hash: BodyHash,
    },
    /// A body that was absent has arrived at the sender.
    BodyPresent {
        /// Which.
        hash: BodyHash,
    },
    /// Keeps the link alive, measures the round trip and tells what changed.
    Ping {
        /// Comes back in the pong.
        nonce: u64,
        /// The sender's clock.
        wall: Millis,
        /// As [`Frame::Vector`].
        vector: Vector,
        /// As [`Frame::Heard`].
        heard: Heard,
        /// The slots that the sender has links to, one bit each.
        reachable: u128,
    },
    /// Answers a ping.
    Pong {
        /// Of the ping.
        nonce: u64,
    },
    /// What nodes told of themselves and the receiver has not heard.
    Notices {
        /// One part for each node, by slot.
        tellings: Vec<Telling>,
    },
    /// Up to when the sender has heard each node, durably, as far as it grew since it last told: an acknowledgement.
    Heard(Heard),
    /// The sender goes on under another name, in the same process: something could not be made durable.
    NewLife {
        /// Its life from now on.
        life: Incarnation,
    },
    /// What the sender, which has the first record of a life of the receiver, has to say of it.
    Verdict {
        /// The life.
        life: Incarnation,
        /// What is said.
        verdict: Verdict,
    },
}

/// Why octets are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is out of bounds.
    #[error("a frame of {0} octets; between 2 and {LONGEST_FRAME} are allowed")]
    BadLength(usize),
    /// An unknown format.
    #[error("a frame of format {0}; this node knows format {FRAME_FORMAT}")]
    UnknownFormat(u8),
    /// The octets do not decode.
    #[error("a frame that does not decode: {0}")]
    Undecodable(String),
    /// Octets are left over.
    #[error("a frame with {0} octets too many")]
    TrailingOctets(usize),
    /// A count or size in it is out of bounds.
    #[error("a frame that oversteps a limit: {0}")]
    OverLimit(&'static str),
    /// Notices in it, or moments up to which a node was heard, are impossible.
    #[error("a frame with impossible notices: {0}")]
    Notices(#[from] NoticeError),
}

impl Frame {
    /// The stream that this frame takes.
    pub fn channel(&self) -> Channel {
        match self {
            Frame::BodyPiece { .. } => Channel::Bodies,
            _ => Channel::Control,
        }
    }

    /// The frame with its length in front, as it goes on the wire.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        encode_prefixed(self, LONGEST_FRAME)
    }

    /// The frame that these octets spell; the length in front is not among them.
    pub fn decode(octets: &[u8]) -> Result<Frame, FrameError> {
        let frame: Frame = decode_unprefixed(octets)?;
        frame.check()?;
        Ok(frame)
    }

    /// Checks the bounds that the encoding does not give.
    fn check(&self) -> Result<(), FrameError> {
        let fits =
            |fits: bool, what: &'static str| if fits { Ok(()) } else { Err(FrameError::OverLimit(what)) };
        match self {
            Frame::Hello(hello) => Ok(check_vector(&hello.vector).and(Ok(hello.heard.check()?))?),
            Frame::Ping { vector, heard, .. } => Ok(check_vector(vector).and(Ok(heard.check()?))?),
            Frame::Vector(vector) => check_vector(vector),
            Frame::Heard(heard) => Ok(heard.check()?),
            Frame::Notices { tellings } => check_tellings(tellings),
            Frame::Delta { records } => check_records(records),
            Frame::Looks { started, ended, .. } => {
                fits(started.len().saturating_add(ended.len()) <= MOST_LOOKS_A_FRAME, "too many looks")
            }
            Frame::BodyRequest { offset, .. } => {
                fits(offset % BODY_PIECE_BYTES == 0, "a piece of a body starts at an odd place")
            }
            Frame::BodyPiece { offset, total, bytes, .. } => {
                let length = bytes.len() as u64;
                let whole = length == BODY_PIECE_BYTES || offset.checked_add(length) == Some(*total);
                let inside = offset.checked_add(length).is_some_and(|end| end <= *total);
                fits(
                    length <= BODY_PIECE_BYTES && offset % BODY_PIECE_BYTES == 0 && whole && inside,
                    "a piece of a body that is not one",
                )
            }
            Frame::BodyAbsent { .. }
            | Frame::BodyPresent { .. }
            | Frame::Pong { .. }
            | Frame::NewLife { .. }
            | Frame::Verdict { .. } => Ok(()),
        }
    }
}

/// Checks that sums over this vector cannot overflow.
pub(crate) fn check_vector(vector: &Vector) -> Result<(), FrameError> {
    if vector.len() > MOST_INCARNATIONS {
        return Err(FrameError::OverLimit("too many incarnations"));
    }
    if vector.iter().any(|(_, sequence)| sequence.0 > GREATEST_SEQUENCE) {
        return Err(FrameError::OverLimit("a sequence that nobody can have reached"));
    }
    Ok(())
}

/// Checks number, numbering and size of the records of a delta.
pub(crate) fn check_records(records: &[Record]) -> Result<(), FrameError> {
    if records.is_empty() || records.len() > MOST_RECORDS {
        return Err(FrameError::OverLimit("a delta with no records, or too many"));
    }
    if records.iter().any(|record| record.sequence.0 == 0 || record.sequence.0 > GREATEST_SEQUENCE) {
        return Err(FrameError::OverLimit("a record with an impossible sequence"));
    }
    if records.iter().any(|record| record.bytes.len() > LONGEST_RECORD) {
        return Err(FrameError::OverLimit("a record that is too long"));
    }
    Ok(())
}

/// Checks number, order and size of what nodes told.
pub(crate) fn check_tellings(tellings: &[Telling]) -> Result<(), FrameError> {
    if tellings.is_empty() || !tellings.is_sorted_by(|a, b| a.slot < b.slot) {
        return Err(FrameError::OverLimit("notices of no node, or of one twice"));
    }
    if tellings.iter().map(|telling| telling.notices.len()).sum::<usize>() > MOST_NOTICES {
        return Err(FrameError::OverLimit("too many notices"));
    }
    if tellings.iter().map(telling_bytes).sum::<usize>() > MOST_NOTICE_BYTES {
        return Err(FrameError::OverLimit("notices that are too long together"));
    }
    tellings.iter().try_for_each(|telling| Ok(telling.check()?))
}

/// The size of what a node told in a frame, in octets, rounded up.
pub(crate) fn telling_bytes(telling: &Telling) -> usize {
    telling
        .notices
        .iter()
        .map(|notice| notice.bytes.len().saturating_add(32))
        .sum::<usize>()
        .saturating_add(32)
}

/// The size of a record in a frame, in octets, rounded up.
pub(crate) fn record_bytes(record: &Record) -> usize {
    record.bytes.len().saturating_add(32)
}

/// The number of octets that `prefix` announces.
pub fn announced_length(prefix: [u8; LENGTH_PREFIX], longest: usize) -> Result<usize, FrameError> {
    let length = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if (2..=longest).contains(&length) { Ok(length) } else { Err(FrameError::BadLength(length)) }
}

/// Length, format and postcard of a message.
pub(crate) fn encode_prefixed<T: Serialize>(message: &T, longest: usize) -> Result<Vec<u8>, FrameError> {
    let head = vec![0, 0, 0, 0, FRAME_FORMAT];
    let mut octets =
        postcard::to_extend(message, head).map_err(|error| FrameError::Undecodable(error.to_string()))?;
    let length = octets.len().saturating_sub(LENGTH_PREFIX);
    let announced =
        u32::try_from(length).ok().filter(|_| length <= longest).ok_or(FrameError::BadLength(length))?;
    for (octet, length) in octets.iter_mut().zip(announced.to_be_bytes()) {
        *octet = length;
    }
    Ok(octets)
}

/// The message that format and postcard spell.
pub(crate) fn decode_unprefixed<T: for<'a> Deserialize<'a>>(octets: &[u8]) -> Result<T, FrameError> {
    let (format, rest) = octets.split_first().ok_or(FrameError::BadLength(0))?;
    if *format != FRAME_FORMAT {
        return Err(FrameError::UnknownFormat(*format));
    }
    let (message, rest) =
        postcard::take_from_bytes(rest).map_err(|error| FrameError::Undecodable(error.to_string()))?;
    if rest.is_empty() { Ok(message) } else { Err(FrameError::TrailingOctets(rest.len())) }
}

/// Octets as one run instead of one element after the other.
mod octets {
    use std::fmt;

    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_bytes(Octets)
    }

    struct Octets;

    impl Visitor<'_> for Octets {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("octets")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt::clock::Timestamp;
    use crdt::notice::Notice;
    use crdt::vector::Sequence;
    use proptest::prelude::*;

    fn vectors() -> impl Strategy<Value = Vector> {
        proptest::collection::vec((any::<[u8; 16]>(), 1..GREATEST_SEQUENCE), 0..5).prop_map(|entries| {
            let mut vector = Vector::new();
            entries.into_iter().for_each(|(name, last)| vector.raise(Incarnation(name), Sequence(last)));
            vector
        })
    }

    fn moment(slot: u8, millis: u64) -> Timestamp {
        Timestamp::from_parts(Millis(millis), 0, NodeSlot::new(slot).expect("a slot"))
    }

    fn heard(slot: u8, millis: u64) -> Heard {
        let mut heard = Heard::new();
        heard.raise(NodeSlot::new(slot).expect("a slot"), moment(slot, millis));
        heard
    }

    fn frames() -> impl Strategy<Value = Frame> {
        let record = (any::<[u8; 16]>(), 1..GREATEST_SEQUENCE, proptest::collection::vec(any::<u8>(), 0..50))
            .prop_map(|(name, last, bytes)| Record {
                incarnation: Incarnation(name),
                sequence: Sequence(last),
                bytes,
            });
        let look = (any::<[u8; 16]>(), any::<[u8; 16]>()).prop_map(|(a, m)| (AccountId(a), MailboxId(m)));
        let hash = any::<[u8; 32]>().prop_map(BodyHash);
        prop_oneof![
            (any::<[u8; 16]>(), 0u8..128, vectors(), any::<u64>()).prop_map(|(name, slot, vector, wall)| {
                Frame::Hello(Hello {
                    version: 1,
                    cluster: ClusterId(name),
                    slot: NodeSlot::new(slot).expect("a slot"),
                    incarnation: Incarnation(name),
                    vector,
                    heard: heard(slot, wall),
                    wall: Millis(wall),
                    reachable: u128::from(wall) << 17,
                })
            }),
            vectors().prop_map(Frame::Vector),
            proptest::collection::vec(record, 1..5).prop_map(|records| Frame::Delta { records }),
            (any::<bool>(), proptest::collection::vec(look, 0..5)).prop_map(|(reset, looks)| Frame::Looks {
                reset,
                started: looks.clone(),
                ended: looks,
                complete: !reset
            }),
            (hash.clone(), 0u64..1000)
                .prop_map(|(hash, piece)| Frame::BodyRequest { hash, offset: piece << 16 }),
            (hash.clone(), 0u64..1000, proptest::collection::vec(any::<u8>(), 0..100)).prop_map(
                |(hash, piece, bytes)| Frame::BodyPiece {
                    hash,
                    offset: piece << 16,
                    total: (piece << 16) + bytes.len() as u64,
                    bytes
                }
            ),
            hash.clone().prop_map(|hash| Frame::BodyAbsent { hash }),
            hash.prop_map(|hash| Frame::BodyPresent { hash }),
            (any::<u64>(), vectors(), any::<u128>()).prop_map(|(nonce, vector, reachable)| Frame::Ping {
                nonce,
                wall: Millis(nonce),
                vector,
                heard: heard(3, nonce),
                reachable
            }),
            any::<u64>().prop_map(|nonce| Frame::Pong { nonce }),
            (0u8..128, any::<u64>()).prop_map(|(slot, wall)| Frame::Heard(heard(slot, wall))),
            (0u8..120, 1u64..1000, proptest::collection::vec(any::<u8>(), 0..50)).prop_map(
                |(slot, first, bytes)| {
                    let told = |slot| Telling {
                        slot: NodeSlot::new(slot).expect("a slot"),
                        after: moment(slot, first),
                        until: moment(slot, first + 2),
                        notices: vec![Notice { at: moment(slot, first + 1), bytes: bytes.clone() }],
                    };
                    Frame::Notices { tellings: vec![told(slot), told(slot + 1)] }
                }
            ),
            any::<[u8; 16]>().prop_map(|name| Frame::NewLife { life: Incarnation(name) }),
            (any::<[u8; 16]>(), any::<u64>()).prop_map(|(name, held)| Frame::Verdict {
                life: Incarnation(name),
                verdict: Verdict::HoldsMore { held: Sequence(held) }
            }),
        ]
    }

    proptest! {
        #[test]
        fn frames_come_back(frame in frames()) {
            let octets = frame.encode().expect("within bounds");
            let (prefix, rest) = octets.split_first_chunk().expect("a prefix");
            prop_assert_eq!(announced_length(*prefix, LONGEST_FRAME), Ok(rest.len()));
            prop_assert_eq!(Frame::decode(rest), Ok(frame));
        }

        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..16) {
            let _ = Frame::decode(&octets);
            let mut framed = vec![FRAME_FORMAT, kind];
            framed.extend(octets);
            let _ = Frame::decode(&framed);
        }

        #[test]
        fn mangled_frames_do_not_panic(frame in frames(), at in any::<usize>(), with in any::<u8>(), cut in any::<usize>()) {
            let mut octets = frame.encode().expect("within bounds").split_off(LENGTH_PREFIX);
            let at = at % octets.len();
            octets[at] ^= with;
            let _ = Frame::decode(&octets);
            octets.truncate(cut % (octets.len() + 1));
            let _ = Frame::decode(&octets);
        }
    }

    #[test]
    fn impossible_frames_are_refused() {
        let hash = BodyHash([1; 32]);
        let mut vector = Vector::new();
        vector.raise(Incarnation([1; 16]), Sequence(u64::MAX));
        let short_in_the_middle = Frame::BodyPiece { hash, offset: 0, total: 70_000, bytes: vec![0; 10] };
        let past_the_end = Frame::BodyPiece { hash, offset: 0, total: 9, bytes: vec![0; 10] };
        for frame in [
            Frame::Vector(vector),
            Frame::Delta { records: vec![] },
            Frame::BodyRequest { hash, offset: 3 },
            short_in_the_middle,
            past_the_end,
        ] {
            let octets = frame.encode().expect("encodes");
            assert!(
                matches!(Frame::decode(&octets[LENGTH_PREFIX..]), Err(FrameError::OverLimit(_))),
                "{frame:?}"
            );
        }
        assert_eq!(announced_length([255; 4], LONGEST_FRAME), Err(FrameError::BadLength(u32::MAX as usize)));
        assert_eq!(Frame::decode(&[2, 0]), Err(FrameError::UnknownFormat(2)));
    }
}
