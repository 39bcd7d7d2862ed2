//! What a [`crate::Replicator`] is told and what it asks to be done.

use std::collections::BTreeSet;
use std::fmt;

use crdt::clock::Millis;
use crdt::identity::{BodyHash, Incarnation, NodeSlot};
use crdt::notice::{Heard, Telling};
use crdt::operation::Member;
use crdt::record::Record;
use crdt::replica::{Meeting, Verdict};
use crdt::vector::Vector;
use serde::{Deserialize, Serialize};

use crate::frame::{Frame, LookedAt};
use crate::limits::LONGEST_REASON;

/// The two clocks of a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Never goes back; only differences matter.
    pub steady: Millis,
    /// Since 1970; compared with the clocks of peers and shown to operators.
    pub wall: Millis,
}

/// One connection; the shell counts them from 1 and never uses a number again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A part of a body, read from the store for a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The length of the whole body.
    pub total: u64,
    /// The octets from the offset asked for.
    pub bytes: Vec<u8>,
}

/// Why a fetched body was not taken into the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFailure {
    /// The octets have another hash than their name says.
    #[error("the octets that came are not the body of this name")]
    WrongHash,
    /// The store failed.
    #[error("the body could not be stored: {0}")]
    Store(String),
}

/// Why a link was closed on purpose; it travels in the packet that closes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Reason {
    /// The node goes down.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// Another connection between the same two nodes stays.
    #[error("another connection between these nodes stays")]
    Duplicate,
    /// Nothing was heard for too long.
    #[error("nothing was heard for too long")]
    Silent,
    /// The node is not, or no longer, a member.
    #[error("the node is not a member of the cluster")]
    NotMember,
    /// The nodes belong to different clusters.
    #[error("the nodes belong to different clusters")]
    OtherCluster,
    /// The nodes speak different versions of the protocol.
    #[error("the nodes speak different versions of the protocol: {0} and {1}")]
    OtherVersion(u16, u16),
    /// The clocks differ too much.
    #[error(
        "the clocks differ by {0} seconds, and more than five minutes are not followed; set the clocks right (NTP)"
    )]
    ClockSkew(u64),
    /// A frame that must not come, or not now.
    #[error("the protocol was broken: {0}")]
    Protocol(String),
    /// The store refused a delta.
    #[error("a delta was refused: {0}")]
    DeltaRefused(String),
    /// The store refused notices.
    #[error("notices were refused: {0}")]
    NoticesRefused(String),
    /// A body was not what its name says.
    #[error("body {0} came with other octets than its name says")]
    WrongBody(String),
    /// The peer broke the protocol a short while ago and has to wait.
    #[error("the peer failed a short while ago and has to wait")]
    BackingOff,
}

impl Reason {
    /// Whether the link may be dialled again at once: nothing went wrong.
    pub fn is_harmless(&self) -> bool {
        matches!(self, Reason::ShuttingDown | Reason::Duplicate | Reason::Silent | Reason::BackingOff)
    }

    /// The octets for the closing packet; texts are cut.
    pub fn encode(&self) -> Vec<u8> {
        let shortened = match self {
            Reason::Protocol(text) => Reason::Protocol(shorten(text)),
            Reason::DeltaRefused(text) => Reason::DeltaRefused(shorten(text)),
            Reason::NoticesRefused(text) => Reason::NoticesRefused(shorten(text)),
            Reason::WrongBody(text) => Reason::WrongBody(shorten(text)),
            other => other.clone(),
        };
        postcard::to_stdvec(&shortened).unwrap_or_default()
    }

    /// The reason that a closing packet carries.
    pub fn decode(octets: &[u8]) -> Option<Reason> {
        let (reason, rest) = postcard::take_from_bytes(octets).ok()?;
        rest.is_empty().then_some(reason)
    }
}

/// Cuts a text to [`LONGEST_REASON`] octets, at a character.
fn shorten(text: &str) -> String {
    let mut end = text.len().min(LONGEST_REASON);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// How a link ended that this node did not close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The peer closed it and said why.
    Goodbye(Reason),
    /// It broke.
    Lost(String),
}

/// What a node is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// The members of the cluster, this node among them.
    Members(Vec<Member>),
    /// A connection is up and its key is that of this member.
    Connected {
        /// The peer.
        slot: NodeSlot,
        /// The connection.
        link: LinkId,
        /// Whether this node dialled.
        dialled: bool,
    },
    /// An attempt that [`Output::Dial`] asked for came to nothing.
    DialFailed {
        /// The peer.
        slot: NodeSlot,
        /// Why.
        why: String,
    },
    /// A connection ended without [`Output::Disconnect`].
    Disconnected {
        /// Which.
        link: LinkId,
        /// How.
        departure: Departure,
    },
    /// A frame came.
    Frame {
        /// From here.
        link: LinkId,
        /// What.
        frame: Frame,
    },
    /// Octets came that are no frame.
    BadFrame {
        /// From here.
        link: LinkId,
        /// What is wrong with them.
        why: String,
    },
    /// The store has this now, durably.
    Committed(Vector),
    /// The store has heard this of each node now, durably.
    Heard(Heard),
    /// The store goes on under another name, because something could not be made durable.
    NewLife(Incarnation),
    /// Clients of this node look at these mailboxes now.
    Looks(BTreeSet<LookedAt>),
    /// Answers [`Output::ReadDelta`].
    DeltaRead {
        /// The link it was read for.
        link: LinkId,
        /// The records.
        records: Result<Vec<Record>, String>,
    },
    /// Answers [`Output::Apply`], in the order asked.
    Applied {
        /// The link that the delta came from.
        link: LinkId,
        /// What the store has now.
        result: Result<Vector, String>,
    },
    /// Answers [`Output::ReadNotices`].
    NoticesRead {
        /// The link they were read for.
        link: LinkId,
        /// The notices.
        tellings: Result<Vec<Telling>, String>,
    },
    /// Answers [`Output::Keep`], in the order asked.
    Kept {
        /// The link that the notices came from.
        link: LinkId,
        /// What the store has heard now.
        result: Result<Heard, String>,
    },
    /// Answers [`Output::Judge`].
    Judged {
        /// The link to the peer.
        link: LinkId,
        /// The life.
        life: Incarnation,
        /// What is said of it; nothing where its first record is not here.
        verdict: Option<Verdict>,
    },
    /// Answers [`Output::ReadWanted`].
    WantedRead(Result<Vec<(BodyHash, u64)>, String>),
    /// Answers [`Output::ReadBody`].
    BodyRead {
        /// The link it was read for.
        link: LinkId,
        /// Which body.
        hash: BodyHash,
        /// From here on.
        offset: u64,
        /// `None`: the body is not here.
        piece: Result<Option<Piece>, String>,
    },
    /// Answers [`Output::WriteBody`].
    BodyWritten {
        /// How many octets were written, or could not be.
        length: u64,
    },
    /// Answers [`Output::FinishBody`].
    BodyStored {
        /// Which body.
        hash: BodyHash,
        /// Whether it is there now.
        result: Result<(), BodyFailure>,
    },
    /// The moment that [`crate::Replicator::poll_timeout`] named has come.
    Timeout,
    /// The node goes down.
    Shutdown,
}

/// What a node asks to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Dial; answered by [`Event::Connected`] or [`Event::DialFailed`] within [`crate::limits::DIAL_LIMIT`].
    Dial {
        /// The peer.
        slot: NodeSlot,
        /// Host and port; names are resolved at each attempt.
        address: String,
        /// The hash of the key that the peer must have.
        key: [u8; 32],
    },
    /// Send a frame on the stream of its channel, after those before it.
    Send {
        /// Where.
        link: LinkId,
        /// What.
        frame: Frame,
    },
    /// Close a connection; nothing more is heard of it.
    Disconnect {
        /// Which.
        link: LinkId,
        /// Why.
        reason: Reason,
    },
    /// Read records from the log; at least one where there is one, however long.
    ReadDelta {
        /// For whom.
        link: LinkId,
        /// What is there already.
        after: Vector,
        /// About how many octets.
        limit: usize,
    },
    /// Apply a delta; deltas of one link in order.
    Apply {
        /// From whom.
        link: LinkId,
        /// What.
        records: Vec<Record>,
    },
    /// Read what nodes told of themselves; at least one notice where there is one, however long.
    ReadNotices {
        /// For whom.
        link: LinkId,
        /// What was heard there already.
        after: Heard,
        /// About how many octets.
        limit: usize,
    },
    /// Keep what nodes told of themselves; that of one link in order.
    Keep {
        /// From whom.
        link: LinkId,
        /// What.
        tellings: Vec<Telling>,
    },
    /// A link to a peer is up, or gone.
    Met {
        /// The peer.
        slot: NodeSlot,
        /// What it had then; `None`: the link has gone.
        meeting: Option<Meeting>,
    },
    /// Ask the store what it has to say of a life of a peer, of which it has the first record.
    Judge {
        /// The link to the peer.
        link: LinkId,
        /// The life.
        life: Incarnation,
    },
    /// A peer says this of a life of this node.
    Verdict {
        /// The peer.
        slot: NodeSlot,
        /// The life; it may have ended.
        life: Incarnation,
        /// What is said.
        verdict: Verdict,
    },
    /// Ask the store which bodies it lacks, oldest first.
    ReadWanted {
        /// The most.
        limit: usize,
    },
    /// Read a piece of a body; pieces for one link in order.
    ReadBody {
        /// For whom.
        link: LinkId,
        /// Which body.
        hash: BodyHash,
        /// From here on.
        offset: u64,
        /// At most this many octets.
        length: u64,
    },
    /// Append to the staged body of this name; the first piece opens it.
    WriteBody {
        /// Which body.
        hash: BodyHash,
        /// Its next octets.
        bytes: Vec<u8>,
    },
    /// Compare the hash of the staged body with its name and store it.
    FinishBody {
        /// Which body.
        hash: BodyHash,
    },
    /// Throw the staged body away; not answered.
    AbandonBody {
        /// Which body.
        hash: BodyHash,
    },
    /// The mailboxes looked at on a peer changed.
    PeerLooks {
        /// The peer.
        slot: NodeSlot,
        /// `None`: the peer cannot be reached.
        looks: Option<BTreeSet<LookedAt>>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_come_back_and_fit_into_a_packet() {
        let reason = Reason::DeltaRefused("ä".repeat(1000));
        let octets = reason.encode();
        assert!(octets.len() < 600);
        assert!(
            matches!(Reason::decode(&octets), Some(Reason::DeltaRefused(text)) if text.len() == LONGEST_REASON)
        );
        assert_eq!(Reason::decode(&[255, 255]), None);
        assert_eq!(Reason::decode(&[]), None);
        assert_eq!(Reason::decode(&Reason::OtherVersion(1, 2).encode()), Some(Reason::OtherVersion(1, 2)));
    }
}
