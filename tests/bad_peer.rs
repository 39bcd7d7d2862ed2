//! A member of the cluster that sends what no honest node sends: its link is dropped with a line in the log, nothing of what it
//! sent is kept, and the node goes on.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::collections::BTreeSet;
use std::sync::Arc;

use crdt::clock::{Millis, Timestamp};
use crdt::document::{Chain, encode_all};
use crdt::identity::{AccountId, BodyHash, Incarnation, NodeSlot};
use crdt::notice::{Heard, Notice, Telling};
use crdt::operation::{DocumentId, Member, Operation};
use crdt::record::Record;
use crdt::replica::{Meeting, Verdict};
use crdt::vector::{Sequence, Vector};
use kit::cluster::Cluster;
use kit::imap::Client;
use kit::lmtp;
use kit::message;
use kit::wait::eventually;
use kit::witness::Witness;
use replication::Identity;
use replication::event::Piece;
use replication::frame::{ClusterId, LookedAt};
use replication::identity::NodeKey;
use replication::shell::{Machine, Replication, Settings};
use replication::store::{AppliedAnswer, BodySink, JudgedAnswer, KeptAnswer, Store};
use tokio::sync::watch;

/// The life that the bad peer claims to be.
const LIFE: Incarnation = Incarnation([0xbb; 16]);

/// A store that answers every question about its records or notices with the same bad ones.
struct BadStore {
    records: Vec<Record>,
    notices: Vec<Telling>,
    members: Vec<Member>,
    never_changes: watch::Sender<u64>,
}

impl Store for BadStore {
    fn vector(&self) -> Vector {
        let mut vector = Vector::new();
        if !self.records.is_empty() {
            vector.raise(LIFE, Sequence(9));
        }
        vector
    }

    fn heard(&self) -> Heard {
        let mut heard = Heard::new();
        self.notices.iter().for_each(|telling| heard.raise(telling.slot, telling.until));
        heard
    }

    fn life(&self) -> Incarnation {
        LIFE
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.never_changes.subscribe()
    }

    fn members(&self) -> watch::Receiver<Arc<Vec<Member>>> {
        watch::Sender::new(Arc::new(self.members.clone())).subscribe()
    }

    fn looks(&self) -> BTreeSet<LookedAt> {
        BTreeSet::new()
    }

    fn peer_looks(&self, _: NodeSlot, _: Option<BTreeSet<LookedAt>>) {}

    fn delta_since(&self, _: &Vector, _: usize) -> Result<Vec<Record>, String> {
        Ok(self.records.clone())
    }

    fn apply_delta(&self, _: Vec<Record>, answer: AppliedAnswer) {
        answer(Ok(self.vector()));
    }

    fn notices_since(&self, after: &Heard, _: usize) -> Result<Vec<Telling>, String> {
        let goes_on = |telling: &Telling| Telling { after: after.last(telling.slot), ..telling.clone() };
        Ok(self.notices.iter().map(goes_on).collect())
    }

    fn keep_notices(&self, _: Vec<Telling>, answer: KeptAnswer) {
        answer(Ok(self.heard()));
    }

    fn met(&self, _: NodeSlot, _: Option<Meeting>) {}

    fn judge(&self, _: Incarnation, answer: JudgedAnswer) {
        answer(None);
    }

    fn take_verdict(&self, _: NodeSlot, _: Incarnation, _: Verdict) {}

    fn wanted_bodies(&self, _: usize) -> Result<Vec<(BodyHash, u64)>, String> {
        Ok(vec![])
    }

    fn read_body(&self, _: &BodyHash, _: u64, _: u64) -> Result<Option<Piece>, String> {
        Ok(None)
    }

    fn body_sink(&self) -> Box<dyn BodySink> {
        panic!("the bad peer wants no bodies")
    }
}

fn record(sequence: u64, bytes: Vec<u8>) -> Record {
    Record { incarnation: LIFE, sequence: Sequence(sequence), bytes }
}

/// A change as automerge makes it, with operations that do not belong where they stand.
fn change(document: DocumentId, operations: &[Operation]) -> Record {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let slot = NodeSlot::new(1).unwrap();
    let stamped: Vec<_> = (0..)
        .zip(operations)
        .map(|(counter, operation)| (Timestamp::from_parts(Millis(now), counter, slot), operation.clone()))
        .collect();
    let changes = encode_all(LIFE, &mut Chain::default(), &stamped);
    Record::new(LIFE, Sequence(1), &document, &changes[0])
}

/// Lets a bad peer take the place of b, with b's key, and waits until a has told why it dropped the link.
fn a_drops_the_link_over(records: Vec<Record>, notices: Vec<Telling>, word: &str) {
    let mut cluster = Cluster::two();
    cluster.nodes[1].stop();
    let status: serde_json::Value =
        serde_json::from_str(&cluster.nodes[0].succeeds(&["status", "--json"])).unwrap();
    let octets = |value: &serde_json::Value| -> Vec<u8> {
        let text = value.as_str().unwrap();
        (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
    };
    let key = NodeKey::from_pem(&std::fs::read_to_string(cluster.nodes[1].data().join("node.key")).unwrap())
        .unwrap();
    let member = |slot: u8, key: [u8; 32]| Member {
        slot: NodeSlot::new(slot).unwrap(),
        name: format!("member-{slot}"),
        key,
        advertise: cluster.relay.front(usize::from(slot)).to_string(),
    };
    let of_a: [u8; 32] = octets(&status["node"]["key"]).try_into().unwrap();
    let members = vec![member(0, of_a), member(1, key.fingerprint())];
    let cluster_id: [u8; 16] = octets(&status["node"]["cluster"]).try_into().unwrap();
    let told_before = cluster.nodes[0].log_text().len();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bad_peer = runtime.block_on(async {
        let settings = Settings {
            identity: Identity {
                cluster: ClusterId(cluster_id),
                slot: NodeSlot::new(1).unwrap(),
                incarnation: LIFE,
            },
            key: Arc::new(key),
            listen: cluster.nodes[1].quic,
            seed: 1,
            admission: None,
            environment: Arc::new(Machine),
        };
        let store = BadStore { records, notices, members, never_changes: watch::Sender::new(0) };
        Replication::start(settings, Arc::new(store)).unwrap()
    });
    eventually("a says why it dropped the link", || {
        let log = cluster.nodes[0].log_text().split_off(told_before);
        let told = log.lines().any(|line| line.contains("dropped") && line.contains(word));
        if told { Ok(()) } else { Err(log) }
    });
    lmtp::Client::open(&cluster.nodes[0]).deliver(&message("after", "after bad input"));
    let mut client = Client::open(&cluster.nodes[0], &Witness::default());
    client.select("INBOX");
    assert_eq!(client.view().len(), 1);
    cluster.nodes[0].succeeds(&["verify"]);
    drop(bad_peer);
    drop(runtime);

    // The true b is welcome again, and gets what it missed.
    cluster.nodes[1].start();
    let mut client = Client::open(&cluster.nodes[1], &Witness::default());
    eventually("the true b has the mail", || {
        let count = client.list("INBOX").messages.len();
        if count == 1 { Ok(()) } else { Err(format!("{count} messages")) }
    });
    cluster.nodes[0].assert_alive();
}

#[test]
fn a_delta_that_does_not_parse_drops_the_link() {
    a_drops_the_link_over(vec![record(1, vec![0x55; 300])], vec![], "malformed");
}

#[test]
fn notices_that_say_nothing_drop_the_link() {
    let slot = NodeSlot::new(1).unwrap();
    // After everything that the true b tells before it ends, and within what clocks may differ by.
    let soon = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64 + 60_000;
    let at = Timestamp::from_parts(Millis(soon), 0, slot);
    let notices = vec![Notice { at, bytes: vec![0x55; 300] }];
    let telling = Telling { slot, after: Timestamp::ZERO, until: at, notices };
    a_drops_the_link_over(vec![], vec![telling], "malformed");
}

#[test]
fn a_change_that_is_well_formed_and_inconsistent_drops_the_link() {
    let start = Operation::Start { slot: NodeSlot::new(1).unwrap(), seals: None };
    // Its own life begins as it should; then a password in the document of the cluster.
    let inconsistent = change(DocumentId::Cluster, &[start, Operation::SetPassword("stolen".into())]);
    a_drops_the_link_over(vec![inconsistent], vec![], "does not belong");
}

#[test]
fn a_life_that_never_started_drops_the_link() {
    let document = DocumentId::Account(AccountId::of_name("alice"));
    a_drops_the_link_over(
        vec![change(document, &[Operation::SetPassword("stolen".into())])],
        vec![],
        "never started",
    );
}
