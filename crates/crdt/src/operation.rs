//! Everything that can happen to an account, and to the cluster, as data. The state is a pure function of the set of
//! operations, whatever the order in which they arrive (see [`crate::fold`]).

mod check;
mod runs;

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::flag::Flag;
use crate::fold::access::Identifier;
use crate::fold::app_password::AppPassword;
use crate::identity::{
    AccountId, AppPasswordId, BodyHash, DeliveryKey, EmailId, Incarnation, MailboxId, NodeSlot, SegmentId,
    Validity,
};
use crate::rights::Rights;
use crate::vector::Sequence;
use crate::view::ReceivedAt;

pub use check::OperationError;
pub(crate) use runs::FoundingSize;
pub use runs::{FoundedRun, IndexSet, MOST_FOUNDED_PLACES, MOST_FOUNDED_RUNS, PlacedRun};

/// The most entries of a segment.
pub const SEGMENT_ENTRIES: u16 = 1000;
/// The longest text in an operation (names, addresses, password hashes), in octets.
pub const LONGEST_TEXT: usize = 1024;
/// The longest value of an annotation, in octets.
pub const LONGEST_ANNOTATION: usize = 16 * 1024;
/// The most identities of one mailbox.
pub const MOST_IDENTITIES: usize = 1024;
/// The largest body, in octets; what protocols accept is far below.
pub const LARGEST_BODY: u64 = 1 << 40;

/// The document that an operation belongs to. Each is one automerge document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DocumentId {
    /// Members, their slots, keys and lives.
    Cluster,
    /// Name, password, mailboxes and subscriptions.
    Account(AccountId),
    /// The head of a mailbox: its epochs.
    Mailbox(AccountId, MailboxId),
    /// Entries.
    Segment(AccountId, SegmentId),
}

impl DocumentId {
    /// The account that the document belongs to.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            DocumentId::Cluster => None,
            DocumentId::Account(account)
            | DocumentId::Mailbox(account, _)
            | DocumentId::Segment(account, _) => Some(*account),
        }
    }
}

/// A node that belongs to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Its slot.
    pub slot: NodeSlot,
    /// Its name.
    pub name: String,
    /// The BLAKE3 hash of its public key (SPKI).
    pub key: [u8; 32],
    /// Where other nodes dial it.
    pub advertise: String,
}

/// The end of a life, as its successor on the same disk found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The life that ended.
    pub incarnation: Incarnation,
    /// Its last record.
    pub sequence: Sequence,
    /// The chained BLAKE3 hash of all its records, in order: two lives with equal ends wrote the same.
    pub hash: LogHash,
}

/// The end names the records: their own hash is told apart where the records are.
impl Hash for Seal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.incarnation, self.sequence).hash(state);
    }
}

/// The chained hash of the records of a life up to one of them.
pub type LogHash = [u8; 32];

/// Why an epoch was founded (rule 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FoundingReason {
    /// The first of the mailbox.
    First,
    /// The mailbox came to a name that has borne a greater UIDVALIDITY.
    NameBorne,
    /// The UIDs were used up, or a node's share of them for thirty days.
    SpaceUsedUp,
    /// A life that nobody confirmed, and whose last record was older than thirty days.
    LongAsleep,
    /// A merge would have given most of a large mailbox new UIDs.
    ReissueLimit,
    /// A merge reordered, and the operator set `uid.on_reorder = "bump"`.
    Policy,
    /// The operator asked for it.
    Operator,
}

/// A mailbox that an account has from its creation on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DefaultMailbox {
    /// Its name; its identity follows from it ([`MailboxId::of_default`]).
    pub name: String,
    /// The special use of RFC 6154.
    pub special_use: Option<String>,
}

/// An accepted message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Addition {
    /// Its place in the segment.
    pub index: u16,
    /// Where it was put.
    pub mailbox: MailboxId,
    /// Its octets.
    pub body: BodyHash,
    /// Their number.
    pub size: u64,
    /// INTERNALDATE.
    pub received: ReceivedAt,
    /// The flags it starts with.
    pub flags: Vec<Flag>,
    /// EMAILID.
    pub email: EmailId,
    /// What an MTA offered to whom; none for APPEND and COPY.
    pub delivery: Option<DeliveryKey>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operation {
    // --- cluster ---
    /// The first record of every life: who it is, and whose life ended on this disk.
    Start {
        /// The slot that it lives in.
        slot: NodeSlot,
        /// The life before.
        seals: Option<Seal>,
    },
    /// A node belongs to the cluster.
    Admit(Member),
    /// The disk of this life was rolled back: it places nothing any more in its slot, and asks a member for another one.
    Yield {
        /// Who is asked.
        witness: NodeSlot,
    },
    /// A life that yielded goes on in another slot. What its lost predecessor may have placed lies below a leap.
    Succeed {
        /// The life that yielded.
        life: Incarnation,
        /// Its slot from its next start on.
        slot: NodeSlot,
    },
    /// A member will not come back under its slot: the operator says so. What it may have placed lies below a leap.
    Bury {
        /// The slot that it had.
        slot: NodeSlot,
    },
    /// An invitation, or a handover to a member: the slot and the reserve (a bit for each slot) are no longer the inviter's.
    Grant {
        /// Who gives.
        inviter: NodeSlot,
        /// The slot of the node that is invited, or of the member.
        slot: NodeSlot,
        /// What it may give in turn.
        reserve: u128,
    },
    // --- account ---
    /// The account exists, with these mailboxes.
    CreateAccount {
        /// The name as written.
        name: String,
        /// Its default mailboxes.
        mailboxes: Vec<DefaultMailbox>,
    },
    /// What is kept of the password: hash and keys as text, which the store above reads.
    SetPassword(String),
    /// The account is no more.
    RemoveAccount,
    /// A mailbox is there.
    CreateMailbox {
        /// Its identity.
        mailbox: MailboxId,
        /// Its full name.
        name: String,
        /// The special use of RFC 6154.
        special_use: Option<String>,
    },
    /// A mailbox has another name.
    RenameMailbox {
        /// All identities that it goes by: they stay one mailbox under the new name.
        mailboxes: Vec<MailboxId>,
        /// Its full name.
        name: String,
        /// Its UIDVALIDITY, as far as the writer knew: the name has borne it.
        validity: Option<Validity>,
    },
    /// A mailbox is gone, but for mail that the deleting client could not know of.
    DeleteMailbox {
        /// Which.
        mailbox: MailboxId,
    },
    /// A name is subscribed or not.
    Subscribe {
        /// The full name.
        name: String,
        /// Whether it is.
        subscribed: bool,
    },
    /// Clients are shown a UIDVALIDITY under a name that neither a founding record nor a rename tells of: the mailbox came
    /// to the name because another left it, or was founded under a former one.
    BearName {
        /// The full name.
        name: String,
        /// UIDVALIDITY.
        validity: Validity,
    },
    // --- mailbox head ---
    /// An epoch begins: its members then, in order of their slots, and the numbering of the founder's live entries as 1 to N.
    Found {
        /// UIDVALIDITY.
        validity: Validity,
        /// Why.
        reason: FoundingReason,
        /// The name of the mailbox then: it has borne this UIDVALIDITY.
        name: String,
        /// The slots that own blocks by rank.
        members: Vec<NodeSlot>,
        /// The entries in the order of their UIDs.
        numbering: Vec<FoundedRun>,
    },
    // --- segment ---
    /// A message is accepted.
    Add(Addition),
    /// Flags are set and cleared.
    ChangeFlags {
        /// Of which messages.
        entries: IndexSet,
        /// To be set.
        set: Vec<Flag>,
        /// To be cleared.
        clear: Vec<Flag>,
    },
    /// Messages go to another mailbox of the account.
    Move {
        /// Which.
        entries: IndexSet,
        /// Where.
        to: MailboxId,
    },
    /// Messages are expunged.
    Expunge {
        /// Which.
        entries: IndexSet,
        /// The stamp of the move that the client's view knew; zero where the entry never moved.
        moved: Stamp,
        /// The stamp of the \Deleted that the client's view knew; none where the expunge does not depend on it.
        deleted: Option<Stamp>,
    },
    /// Messages have UIDs.
    Place {
        /// In this mailbox.
        mailbox: MailboxId,
        /// In this epoch.
        validity: Validity,
        /// Which and where.
        runs: Vec<PlacedRun>,
    },
    /// A node cannot show messages at these UIDs, because they came too late.
    Hold {
        /// In this mailbox.
        mailbox: MailboxId,
        /// In this epoch.
        validity: Validity,
        /// Which and where.
        runs: Vec<PlacedRun>,
    },
    // --- account, again: what was added later stands at the end, so that what is stored keeps its meaning ---
    /// An annotation of a mailbox, or of the account, has this value (RFC 5464).
    Annotate {
        /// The mailbox; none for the account.
        mailbox: Option<MailboxId>,
        /// The name of the annotation, in lower case.
        name: String,
        /// The value; none where the annotation is gone.
        value: Option<Vec<u8>>,
    },
    /// The account may hold so much (RFC 9208).
    SetQuota(Quota),
    /// The account has one more password, for one program or device.
    AddAppPassword(AppPassword),
    /// Such a password holds no longer, and never again.
    RemoveAppPassword(AppPasswordId),
    /// Somebody has other rights to a mailbox (RFC 4314). What is in neither set stays as it is.
    ChangeRights {
        /// Which mailbox.
        mailbox: MailboxId,
        /// Whose rights.
        identifier: Identifier,
        /// What is given.
        given: Rights,
        /// What is taken.
        taken: Rights,
    },
}

/// How much an account may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quota {
    /// The most octets of all its messages; none where there is no limit.
    pub octets: Option<u64>,
    /// The most messages.
    pub messages: Option<u64>,
}
