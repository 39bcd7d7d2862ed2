//! Everything that can happen to an account, and to the cluster, as data. The state is a pure function of the set of
//! operations, whatever the order in which they arrive (see [`crate::fold`]).

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::flag::{Flag, MOST_FLAGS};
use crate::fold::access::Identifier;
use crate::fold::app_password::AppPassword;
use crate::fold::entry::MOST_REGISTERS;
use crate::identity::{
    AccountId, AppPasswordId, BodyHash, DeliveryKey, EmailId, Incarnation, MailboxId, NodeSlot, SegmentId,
    Uid, Validity,
};
use crate::rights::Rights;
use crate::vector::Sequence;
use crate::view::ReceivedAt;

/// The most entries of a segment.
pub const SEGMENT_ENTRIES: u16 = 1000;
/// The longest text in an operation (names, addresses, password hashes), in octets.
pub const LONGEST_TEXT: usize = 1024;
/// The longest value of an annotation, in octets.
pub const LONGEST_ANNOTATION: usize = 16 * 1024;
/// The most runs of a founding record.
pub const MOST_FOUNDED_RUNS: usize = 200_000;
/// The most entries that a founding record makes its readers keep: of each segment that it names, all up to the last
/// entry that it names. Entries beyond are placed singly after the founding.
pub const MOST_FOUNDED_PLACES: usize = 500_000;
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

/// Entries of one segment: runs of indexes, ascending, neither touching nor overlapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IndexSet(Vec<(u16, u16)>);

impl IndexSet {
    /// The indexes in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().flat_map(|(start, count)| *start..start.saturating_add(*count))
    }

    fn is_valid(&self) -> bool {
        let mut free_from = 0u32;
        !self.0.is_empty()
            && self.0.iter().all(|(start, count)| {
                let fits = u32::from(*start) >= free_from && *count > 0;
                free_from = u32::from(*start) + u32::from(*count) + 1;
                fits && free_from <= u32::from(SEGMENT_ENTRIES) + 1
            })
    }
}

impl FromIterator<u16> for IndexSet {
    fn from_iter<I: IntoIterator<Item = u16>>(indexes: I) -> Self {
        let mut indexes: Vec<u16> = indexes.into_iter().collect();
        indexes.sort_unstable();
        indexes.dedup();
        let mut runs: Vec<(u16, u16)> = Vec::new();
        for index in indexes {
            match runs.last_mut() {
                Some((start, count)) if *start + *count == index => *count += 1,
                _ => runs.push((index, 1)),
            }
        }
        IndexSet(runs)
    }
}

/// Consecutive entries of a segment at consecutive UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlacedRun {
    /// The first entry.
    pub index: u16,
    /// How many.
    pub count: u16,
    /// The UID of the first.
    pub uid: Uid,
}

impl PlacedRun {
    /// The entries and their UIDs.
    pub fn iter(self) -> impl Iterator<Item = (u16, Uid)> {
        (0..self.count).map(move |i| (self.index + i, Uid(self.uid.0 + u32::from(i))))
    }

    fn is_valid(self) -> bool {
        let last_index = u32::from(self.index) + u32::from(self.count);
        let last_uid = (u64::from(self.uid.0) + u64::from(self.count)).saturating_sub(1);
        self.count > 0
            && last_index <= u32::from(SEGMENT_ENTRIES)
            && self.uid.0 > 0
            && last_uid <= u64::from(Uid::GREATEST.0)
    }

    /// Joins single placements into runs, in the order given.
    pub fn join(placements: impl IntoIterator<Item = (u16, Uid)>) -> Vec<PlacedRun> {
        let mut runs: Vec<PlacedRun> = Vec::new();
        for (index, uid) in placements {
            match runs.last_mut() {
                Some(run) if run.index + run.count == index && run.uid.0 + u32::from(run.count) == uid.0 => {
                    run.count += 1
                }
                _ => runs.push(PlacedRun { index, count: 1, uid }),
            }
        }
        runs
    }
}

/// Consecutive entries in a founding record: they have consecutive UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FoundedRun {
    /// The segment.
    pub segment: SegmentId,
    /// The first entry.
    pub index: u16,
    /// How many.
    pub count: u16,
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

/// Why an operation is not accepted from a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// It stands in a document of another kind.
    #[error("an operation stands in a document that it does not belong to")]
    WrongDocument,
    /// A count, length or number is out of bounds.
    #[error("an operation has a field out of bounds: {0}")]
    OutOfBounds(&'static str),
}

impl Operation {
    /// Checks that the operation belongs to the document and that all its fields are within bounds.
    pub fn check(&self, document: &DocumentId) -> Result<(), OperationError> {
        if !self.belongs_to(document) {
            return Err(OperationError::WrongDocument);
        }
        match self.field_out_of_bounds() {
            Some(field) => Err(OperationError::OutOfBounds(field)),
            None => Ok(()),
        }
    }

    fn belongs_to(&self, document: &DocumentId) -> bool {
        use Operation::*;
        match self {
            Start { .. } | Admit(_) | Grant { .. } => matches!(document, DocumentId::Cluster),
            Yield { .. } | Succeed { .. } | Bury { .. } => matches!(document, DocumentId::Cluster),
            CreateAccount { .. } | SetPassword(_) | SetQuota(_) | RemoveAccount => {
                matches!(document, DocumentId::Account(_))
            }
            AddAppPassword(_) | RemoveAppPassword(_) => matches!(document, DocumentId::Account(_)),
            CreateMailbox { .. } | RenameMailbox { .. } | DeleteMailbox { .. } => {
                matches!(document, DocumentId::Account(_))
            }
            Subscribe { .. } | BearName { .. } | Annotate { .. } | ChangeRights { .. } => {
                matches!(document, DocumentId::Account(_))
            }
            Found { .. } => matches!(document, DocumentId::Mailbox(..)),
            Add(_) | ChangeFlags { .. } | Move { .. } | Expunge { .. } | Place { .. } | Hold { .. } => {
                matches!(document, DocumentId::Segment(..))
            }
        }
    }

    fn field_out_of_bounds(&self) -> Option<&'static str> {
        use Operation::*;
        let long = |text: &str| text.len() > LONGEST_TEXT;
        let bad_name = |name: &str| name.is_empty() || long(name) || name.chars().any(char::is_control);
        match self {
            Start { .. } | Grant { .. } | RemoveAccount | SetQuota(_) | DeleteMailbox { .. } => None,
            Yield { .. } | Succeed { .. } | Bury { .. } => None,
            Admit(member) => (long(&member.name) || long(&member.advertise)).then_some("member"),
            CreateAccount { name, mailboxes } => {
                let bad = |mailbox: &DefaultMailbox| {
                    bad_name(&mailbox.name) || mailbox.special_use.as_deref().is_some_and(long)
                };
                (bad_name(name) || mailboxes.len() > 32 || mailboxes.iter().any(bad)).then_some("account")
            }
            SetPassword(hash) => long(hash).then_some("password"),
            AddAppPassword(new) => bad_name(&new.label).then_some("label"),
            RemoveAppPassword(_) => None,
            CreateMailbox { name, special_use, .. } => {
                (bad_name(name) || special_use.as_deref().is_some_and(long)).then_some("mailbox")
            }
            RenameMailbox { mailboxes, name, .. } => {
                (bad_name(name) || mailboxes.is_empty() || mailboxes.len() > MOST_IDENTITIES)
                    .then_some("name")
            }
            Subscribe { name, .. } | BearName { name, .. } => bad_name(name).then_some("name"),
            ChangeRights { given, taken, .. } => {
                ((*given | *taken).is_empty() || given.intersect(*taken)).then_some("rights")
            }
            Annotate { name, value, .. } => {
                let long = value.as_ref().is_some_and(|value| value.len() > LONGEST_ANNOTATION);
                (bad_name(name) || long).then_some("annotation")
            }
            Found { validity, name, members, numbering, .. } => {
                (validity.0 == 0 || bad_name(name) || members.len() > 128 || !is_numbering(numbering))
                    .then_some("founding record")
            }
            Add(addition) => {
                let large = addition.size > LARGEST_BODY;
                (addition.index >= SEGMENT_ENTRIES || addition.flags.len() > MOST_FLAGS || large)
                    .then_some("addition")
            }
            ChangeFlags { entries, set, clear } => {
                let many = set.len() > MOST_FLAGS || clear.len() > MOST_REGISTERS;
                (!entries.is_valid() || many).then_some("flags")
            }
            Move { entries, .. } | Expunge { entries, .. } => (!entries.is_valid()).then_some("entries"),
            Place { validity, runs, .. } | Hold { validity, runs, .. } => {
                (validity.0 == 0 || !are_placements(runs)).then_some("placements")
            }
        }
    }
}

/// Whether runs are within bounds, and do not place more than a segment has.
fn are_placements(runs: &[PlacedRun]) -> bool {
    let entries = usize::from(SEGMENT_ENTRIES);
    let within = !runs.is_empty() && runs.len() <= entries && runs.iter().all(|run| run.is_valid());
    within && runs.iter().map(|run| usize::from(run.count)).sum::<usize>() <= entries
}

/// Whether a numbering is within bounds and numbers no entry twice.
fn is_numbering(runs: &[FoundedRun]) -> bool {
    let mut size = FoundingSize::default();
    let mut sorted: Vec<&FoundedRun> = runs.iter().collect();
    sorted.sort_by_key(|run| (run.segment, run.index));
    let apart = sorted.windows(2).all(|pair| match pair {
        [a, b] => a.segment != b.segment || a.index.saturating_add(a.count) <= b.index,
        _ => true,
    });
    let valid = |run: &FoundedRun| {
        run.count > 0 && u32::from(run.index) + u32::from(run.count) <= u32::from(SEGMENT_ENTRIES)
    };
    apart && runs.iter().all(|run| valid(run) && size.add(run))
}

/// Counts what a founding record costs its readers.
#[derive(Debug, Default)]
pub(crate) struct FoundingSize {
    runs: usize,
    places: usize,
    ends: BTreeMap<SegmentId, u16>,
}

impl FoundingSize {
    /// Counts one more run, and tells whether there was room for it.
    pub(crate) fn add(&mut self, run: &FoundedRun) -> bool {
        let end = self.ends.entry(run.segment).or_default();
        let more = run.index.saturating_add(run.count).saturating_sub(*end);
        let fits = self.runs < MOST_FOUNDED_RUNS && self.places + usize::from(more) <= MOST_FOUNDED_PLACES;
        if fits {
            *end += more;
            self.places += usize::from(more);
            self.runs += 1;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_join_to_runs_and_come_back() {
        let set: IndexSet = [5, 1, 2, 3, 9, 5].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 2, 3, 5, 9]);
        assert!(set.is_valid());
        for bad in [
            vec![],
            vec![(0, 0)],
            vec![(0, 2), (2, 1)],
            vec![(3, 1), (1, 1)],
            vec![(999, 2)],
            vec![(65535, 65535)],
        ] {
            assert!(!IndexSet(bad).is_valid());
        }
    }

    #[test]
    fn runs_beyond_the_space_are_refused() {
        let run = PlacedRun { index: 0, count: 2, uid: Uid::GREATEST };
        assert!(!run.is_valid());
        assert!(PlacedRun { count: 1, ..run }.is_valid());
        assert!(!PlacedRun { count: 0, ..run }.is_valid());
        assert!(!PlacedRun { uid: Uid(0), ..run }.is_valid());
        assert!(!PlacedRun { uid: Uid(0), count: 0, ..run }.is_valid());
    }

    fn founded(segment: u8, index: u16, count: u16) -> FoundedRun {
        let segment = SegmentId { incarnation: Incarnation([segment; 16]), number: 0 };
        FoundedRun { segment, index, count }
    }

    #[test]
    fn a_numbering_that_names_an_entry_twice_is_refused() {
        assert!(is_numbering(&[founded(1, 5, 5), founded(2, 0, 1), founded(1, 0, 5)]));
        assert!(!is_numbering(&[founded(1, 5, 5), founded(2, 0, 1), founded(1, 0, 6)]));
        assert!(!is_numbering(&[founded(1, 999, 2)]));
        assert!(!is_numbering(&[founded(1, 9, 0)]));
    }

    #[test]
    fn a_numbering_that_would_fill_the_memory_is_refused() {
        let segment = |number| SegmentId { incarnation: Incarnation([1; 16]), number };
        let sparse = |number| FoundedRun { segment: segment(number), index: 999, count: 1 };
        let most = MOST_FOUNDED_PLACES as u32 / 1000;
        assert!(is_numbering(&(0..most).map(sparse).collect::<Vec<_>>()));
        assert!(!is_numbering(&(0..=most).map(sparse).collect::<Vec<_>>()));
    }

    #[test]
    fn placements_of_more_than_a_segment_are_refused() {
        let run = PlacedRun { index: 0, count: 1000, uid: Uid(1) };
        assert!(are_placements(&[run]));
        assert!(!are_placements(&[run, run]));
        assert!(!are_placements(&[]));
    }

    #[test]
    fn an_operation_in_a_foreign_document_is_refused() {
        let operation = Operation::RemoveAccount;
        assert_eq!(operation.check(&DocumentId::Cluster), Err(OperationError::WrongDocument));
        assert_eq!(operation.check(&DocumentId::Account(AccountId([0; 16]))), Ok(()));
    }
}
