//! A member that writes whatever it likes, as long as it is well formed.

use std::collections::BTreeMap;

use peerpost_crdt::clock::{HybridClock, Millis, Stamp, Timestamp};
use peerpost_crdt::document::{self, Chain};
use peerpost_crdt::flag::Flag;
use peerpost_crdt::fold::access::{Grantee, Identifier, Life};
use peerpost_crdt::fold::app_password::AppPassword;
use peerpost_crdt::identity::{
    AccountId, AppPasswordId, BodyHash, DeliveryKey, EmailId, Incarnation, MailboxId, NodeSlot, SegmentId,
    Uid, Validity,
};
use peerpost_crdt::operation::{
    Addition, DefaultMailbox, DocumentId, FoundedRun, FoundingReason, Operation, PlacedRun, Quota,
};
use peerpost_crdt::record::Record;
use peerpost_crdt::rights::Rights;
use peerpost_crdt::vector::Sequence;
use peerpost_crdt::view::ReceivedAt;
use proptest::prelude::*;

/// When everything begins, in milliseconds since 1970.
pub const START: u64 = 1_790_000_000_000;

/// The account that everything is about.
pub fn account() -> AccountId {
    AccountId::of_name("alice")
}

/// Its INBOX.
pub fn inbox() -> MailboxId {
    MailboxId::of_default(account(), "INBOX")
}

/// The first segment of a life.
pub fn segment(life: u8) -> SegmentId {
    SegmentId { incarnation: Incarnation([life; 16]), number: 0 }
}

/// The document of a life's first segment.
pub fn in_segment(life: u8) -> DocumentId {
    DocumentId::Segment(account(), segment(life))
}

/// A member whose pen obeys nobody.
#[derive(Clone)]
pub struct Hostile {
    incarnation: Incarnation,
    clock: HybridClock,
    now: u64,
    chains: BTreeMap<DocumentId, Chain>,
    sequence: Sequence,
}

impl Hostile {
    /// A life in a slot, and its first record. Its incarnation is its slot plus one.
    pub fn start(slot: u8) -> (Self, Record) {
        let incarnation = Incarnation([slot + 1; 16]);
        let slot = NodeSlot::new(slot).expect("a slot");
        let mut hostile = Hostile {
            incarnation,
            clock: HybridClock::new(slot, Timestamp::ZERO),
            now: START,
            chains: BTreeMap::new(),
            sequence: Sequence(0),
        };
        let first = hostile.write(DocumentId::Cluster, vec![Operation::Start { slot, seals: None }]);
        (hostile, first)
    }

    /// A record of these operations.
    pub fn write(&mut self, document: DocumentId, operations: Vec<Operation>) -> Record {
        self.now += 1;
        let stamped: Vec<_> =
            operations.into_iter().map(|operation| (self.clock.tick(Millis(self.now)), operation)).collect();
        let chain = self.chains.entry(document).or_default();
        let changes = document::encode_all(self.incarnation, chain, &stamped);
        self.sequence = self.sequence.next();
        Record::new(self.incarnation, self.sequence, &document, &changes[0])
    }
}

/// A message of a life's first segment.
pub fn add(index: u16, mailbox: MailboxId, delivery: Option<u8>) -> Operation {
    Operation::Add(Addition {
        index,
        mailbox,
        body: BodyHash([index as u8; 32]),
        size: 1,
        received: ReceivedAt::default(),
        flags: vec![],
        email: EmailId([index as u8; 16]),
        delivery: delivery.map(|delivery| DeliveryKey([delivery; 16])),
    })
}

/// One entry at one UID.
pub fn place(index: u16, validity: Validity, uid: u32) -> Operation {
    let runs = vec![PlacedRun { index, count: 1, uid: Uid(uid) }];
    Operation::Place { mailbox: inbox(), validity, runs }
}

fn mailbox() -> impl Strategy<Value = MailboxId> {
    prop_oneof![3 => Just(inbox()), 2 => (1..4u8).prop_map(|n| MailboxId([n; 16]))]
}

fn stamp() -> impl Strategy<Value = Stamp> {
    prop_oneof![
        Just(Stamp::ZERO),
        (0..40u64, 1..4u8).prop_map(|(milliseconds, life)| Stamp {
            timestamp: Timestamp::from_parts(Millis(START + milliseconds), 0, NodeSlot::FIRST),
            incarnation: Incarnation([life; 16]),
        }),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("INBOX"), Just("a"), Just("b"), Just("a/b")].prop_map(str::to_owned)
}

/// UIDVALIDITY values around those that honest nodes found now: some of slot 0, some of slot 1, some of neither.
fn validity() -> impl Strategy<Value = Validity> {
    let now = (START / 1000) as u32;
    let first = now - now % 128;
    prop_oneof![
        (0..3u32, 0..3u32).prop_map(move |(n, slot)| Validity(first + 128 * n + slot)),
        Just(Validity(1))
    ]
}

fn runs() -> impl Strategy<Value = Vec<PlacedRun>> {
    let uid = prop_oneof![4 => 1..400u32, 1 => Just(Uid::GREATEST.0 - 4)];
    let run =
        (0..6u16, 1..4u16, uid).prop_map(|(index, count, uid)| PlacedRun { index, count, uid: Uid(uid) });
    prop::collection::vec(run, 1..4)
}

fn numbering() -> impl Strategy<Value = Vec<FoundedRun>> {
    let run = (1..4u8, 0..6u16, 1..4u16).prop_map(|(life, index, count)| FoundedRun {
        segment: segment(life),
        index,
        count,
    });
    prop::collection::vec(run, 0..3)
}

fn account_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        name().prop_map(|name| Operation::CreateAccount {
            name: "alice".to_owned(),
            mailboxes: vec![DefaultMailbox { name, special_use: None }],
        }),
        name().prop_map(Operation::SetPassword),
        Just(Operation::RemoveAccount),
        (0..3u8, name()).prop_map(|(id, label)| {
            let digest = [label.len() as u8; 32];
            Operation::AddAppPassword(AppPassword { id: AppPasswordId([id; 16]), label, digest })
        }),
        (0..3u8).prop_map(|id| Operation::RemoveAppPassword(AppPasswordId([id; 16]))),
        (mailbox(), name()).prop_map(|(mailbox, name)| Operation::CreateMailbox {
            mailbox,
            name,
            special_use: None
        }),
        (prop::collection::vec(mailbox(), 1..3), name(), prop::option::of(validity()))
            .prop_map(|(mailboxes, name, validity)| Operation::RenameMailbox { mailboxes, name, validity }),
        mailbox().prop_map(|mailbox| Operation::DeleteMailbox { mailbox }),
        (name(), validity()).prop_map(|(name, validity)| Operation::BearName { name, validity }),
        (name(), any::<bool>()).prop_map(|(name, subscribed)| Operation::Subscribe { name, subscribed }),
        (prop::option::of(mailbox()), name(), prop::option::of(Just(vec![0; 3])))
            .prop_map(|(mailbox, name, value)| Operation::Annotate { mailbox, name, value }),
        prop::option::of(0..3u64).prop_map(|messages| Operation::SetQuota(Quota { octets: None, messages })),
        (mailbox(), identifier(), any::<u16>(), any::<u16>()).prop_map(
            |(mailbox, identifier, given, taken)| {
                let rights = |bits: u16| Rights::try_from(bits & u16::from(Rights::ALL)).expect("rights");
                let given = rights(given | 1);
                Operation::ChangeRights { mailbox, identifier, given, taken: rights(taken) - given }
            }
        ),
    ]
}

fn identifier() -> impl Strategy<Value = Identifier> {
    let account = Grantee::Account(AccountId::of_name("bob"), Life::default());
    (prop_oneof![Just(Grantee::Anyone), Just(account)], any::<bool>())
        .prop_map(|(grantee, negative)| Identifier { grantee, negative })
}

fn segment_operation() -> impl Strategy<Value = Operation> {
    let set = || prop::collection::btree_set(0..6u16, 1..4).prop_map(|set| set.into_iter().collect());
    let flags = || prop::collection::vec(prop_oneof![Just(Flag::Deleted), Just(Flag::Seen)], 0..3);
    prop_oneof![
        4 => (0..6u16, mailbox(), prop::option::of(0..2u8)).prop_map(|(index, mailbox, delivery)| add(index, mailbox, delivery)),
        2 => (set(), flags(), flags())
            .prop_map(|(entries, set, clear)| Operation::ChangeFlags { entries, set, clear }),
        2 => (set(), mailbox()).prop_map(|(entries, to)| Operation::Move { entries, to }),
        2 => (set(), stamp(), prop::option::of(stamp()))
            .prop_map(|(entries, moved, deleted)| Operation::Expunge { entries, moved, deleted }),
        3 => (mailbox(), validity(), runs())
            .prop_map(|(mailbox, validity, runs)| Operation::Place { mailbox, validity, runs }),
        2 => (mailbox(), validity(), runs())
            .prop_map(|(mailbox, validity, runs)| Operation::Hold { mailbox, validity, runs }),
    ]
}

fn cluster_operation() -> impl Strategy<Value = Operation> {
    let slot = || (0..4u8).prop_map(|n| NodeSlot::new(n).expect("a slot"));
    prop_oneof![
        slot().prop_map(|witness| Operation::Yield { witness }),
        (1..4u8, slot()).prop_map(|(life, slot)| Operation::Succeed { life: Incarnation([life; 16]), slot }),
        slot().prop_map(|slot| Operation::Bury { slot }),
    ]
}

/// An operation of any kind, in a document of its kind.
pub fn operation() -> impl Strategy<Value = (DocumentId, Operation)> {
    let members = || prop::collection::vec((0..4u8).prop_map(|n| NodeSlot::new(n).expect("a slot")), 0..4);
    let found =
        (validity(), name(), members(), numbering()).prop_map(|(validity, name, members, numbering)| {
            Operation::Found { validity, reason: FoundingReason::Operator, name, members, numbering }
        });
    prop_oneof![
        1 => cluster_operation().prop_map(|operation| (DocumentId::Cluster, operation)),
        2 => account_operation().prop_map(|operation| (DocumentId::Account(account()), operation)),
        2 => (mailbox(), found).prop_map(|(mailbox, found)| (DocumentId::Mailbox(account(), mailbox), found)),
        8 => (1..4u8, segment_operation()).prop_map(|(life, operation)| (in_segment(life), operation)),
    ]
}
