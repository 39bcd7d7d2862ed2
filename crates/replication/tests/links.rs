//! Real endpoints on loopback, with stores in memory.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "test: real time and real sockets")]

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{FakeStore, body};
use crdt::clock::{Millis, Timestamp};
use crdt::identity::{AccountId, BodyHash, Incarnation, MailboxId, NodeSlot};
use crdt::notice::{Heard, Telling};
use crdt::operation::Member;
use crdt::record::Record;
use crdt::replica::{Meeting, Verdict};
use crdt::vector::Vector;
use peerpost_replication::Identity;
use peerpost_replication::event::Piece;
use peerpost_replication::frame::{ClusterId, LookedAt};
use peerpost_replication::identity::NodeKey;
use peerpost_replication::join::{Admission, Admitted, JoinRequest, Token};
use peerpost_replication::shell::{JoinError, Machine, Replication, Settings, join};
use peerpost_replication::status::Status;
use peerpost_replication::store::{AppliedAnswer, BodySink, JudgedAnswer, KeptAnswer, Store, StoredAnswer};
use tokio::net::UdpSocket;
use tokio::sync::watch;

const PATIENCE: Duration = Duration::from_secs(30);

/// A fake store that several threads share.
struct SharedStore {
    state: Arc<Mutex<FakeStore>>,
    changes: watch::Sender<u64>,
    members: watch::Sender<Arc<Vec<Member>>>,
    looks: Mutex<BTreeSet<LookedAt>>,
    life: Mutex<Incarnation>,
}

impl SharedStore {
    fn new(members: Vec<Member>) -> Arc<Self> {
        Arc::new(SharedStore {
            state: Arc::default(),
            changes: watch::Sender::new(0),
            members: watch::Sender::new(Arc::new(members)),
            looks: Mutex::default(),
            life: Mutex::new(Incarnation([255; 16])),
        })
    }

    fn commit(&self, slot: u8, body: Option<(BodyHash, Vec<u8>)>) {
        self.state.lock().unwrap().commit(Incarnation([slot; 16]), body);
        self.changes.send_modify(|count| *count += 1);
    }

    fn snapshot(&self) -> FakeStore {
        self.state.lock().unwrap().clone()
    }
}

impl Store for SharedStore {
    fn vector(&self) -> Vector {
        self.state.lock().unwrap().vector.clone()
    }

    fn heard(&self) -> Heard {
        self.state.lock().unwrap().heard.clone()
    }

    fn life(&self) -> Incarnation {
        *self.life.lock().unwrap()
    }

    fn notices_since(&self, after: &Heard, limit: usize) -> Result<Vec<Telling>, String> {
        Ok(self.state.lock().unwrap().notices_since(after, limit))
    }

    fn keep_notices(&self, tellings: Vec<Telling>, answer: KeptAnswer) {
        let result = self.state.lock().unwrap().keep(tellings);
        self.changes.send_modify(|count| *count += 1);
        answer(result);
    }

    fn met(&self, slot: NodeSlot, meeting: Option<Meeting>) {
        self.state.lock().unwrap().meet(slot, meeting);
    }

    fn judge(&self, life: Incarnation, answer: JudgedAnswer) {
        answer(self.state.lock().unwrap().judge(&life));
    }

    fn take_verdict(&self, slot: NodeSlot, life: Incarnation, verdict: Verdict) {
        self.state.lock().unwrap().verdicts.push((slot, life, verdict));
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn members(&self) -> watch::Receiver<Arc<Vec<Member>>> {
        self.members.subscribe()
    }

    fn looks(&self) -> BTreeSet<LookedAt> {
        self.looks.lock().unwrap().clone()
    }

    fn peer_looks(&self, slot: NodeSlot, looks: Option<BTreeSet<LookedAt>>) {
        let mut state = self.state.lock().unwrap();
        match looks {
            Some(looks) => state.peer_looks.insert(slot, looks),
            None => state.peer_looks.remove(&slot),
        };
    }

    fn delta_since(&self, vector: &Vector, limit: usize) -> Result<Vec<Record>, String> {
        Ok(self.state.lock().unwrap().delta_since(vector, limit))
    }

    fn apply_delta(&self, records: Vec<Record>, answer: AppliedAnswer) {
        let result = self.state.lock().unwrap().apply(records);
        self.changes.send_modify(|count| *count += 1);
        answer(result);
    }

    fn wanted_bodies(&self, limit: usize) -> Result<Vec<(BodyHash, u64)>, String> {
        Ok(self.state.lock().unwrap().wanted(limit))
    }

    fn read_body(&self, hash: &BodyHash, offset: u64, length: u64) -> Result<Option<Piece>, String> {
        Ok(self.state.lock().unwrap().read_body(hash, offset, length))
    }

    fn body_sink(&self) -> Box<dyn BodySink> {
        Box::new(Sink { octets: Vec::new(), store: Arc::clone(&self.state) })
    }
}

struct Sink {
    octets: Vec<u8>,
    store: Arc<Mutex<FakeStore>>,
}

impl BodySink for Sink {
    fn write(&mut self, octets: &[u8]) -> Result<(), String> {
        self.octets.extend_from_slice(octets);
        Ok(())
    }

    fn finish(self: Box<Self>, name: BodyHash, answer: StoredAnswer) {
        let result = self.store.lock().unwrap().add_body(name, self.octets);
        answer(result);
    }
}

/// A UDP relay in front of a node; cut, it swallows everything.
struct Relay {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Relay {
    /// Forwards for one caller at a time, as a link needs it.
    async fn start(target: Arc<Mutex<Option<SocketAddr>>>) -> Relay {
        let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let back = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = front.local_addr().unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = Arc::clone(&cut);
        tokio::spawn(async move {
            let (mut there, mut here) = (vec![0; 65_536], vec![0; 65_536]);
            let mut caller = None;
            loop {
                tokio::select! {
                    biased;
                    Ok((length, from)) = front.recv_from(&mut there) => {
                        caller = Some(from);
                        let target = *target.lock().unwrap();
                        if let (Some(target), false) = (target, is_cut.load(Ordering::Relaxed)) {
                            let _ = back.send_to(&there[..length], target).await;
                        }
                    }
                    Ok((length, _)) = back.recv_from(&mut here) => {
                        if let (Some(caller), false) = (caller, is_cut.load(Ordering::Relaxed)) {
                            let _ = front.send_to(&here[..length], caller).await;
                        }
                    }
                }
            }
        });
        Relay { address, cut }
    }
}

fn slot(number: u8) -> NodeSlot {
    NodeSlot::new(number).unwrap()
}

fn named(number: u8, key: &NodeKey, advertise: String) -> Member {
    Member { slot: slot(number), name: format!("node {number}"), key: key.fingerprint(), advertise }
}

fn settings(number: u8, key: &Arc<NodeKey>, admission: Option<Arc<dyn Admission>>) -> Settings {
    Settings {
        identity: Identity {
            cluster: ClusterId([7; 16]),
            slot: slot(number),
            incarnation: Incarnation([number; 16]),
        },
        key: Arc::clone(key),
        listen: "127.0.0.1:0".parse().unwrap(),
        seed: u64::from(number),
        admission,
        environment: Arc::new(Machine),
    }
}

async fn wait_for(what: &str, condition: impl AsyncFn() -> bool) -> Duration {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    eprintln!("{what}: {} ms", start.elapsed().as_millis());
    start.elapsed()
}

fn is_connected(status: &Status) -> bool {
    status.peers.iter().all(|peer| peer.connected_since.is_some()) && !status.peers.is_empty()
}

/// Two nodes that reach each other through relays.
struct Pair {
    keys: [Arc<NodeKey>; 2],
    stores: [Arc<SharedStore>; 2],
    nodes: [Option<Replication>; 2],
    relays: [Relay; 2],
    targets: [Arc<Mutex<Option<SocketAddr>>>; 2],
}

impl Pair {
    async fn start() -> Pair {
        let keys = [(); 2].map(|()| Arc::new(NodeKey::generate().unwrap()));
        let targets: [Arc<Mutex<Option<SocketAddr>>>; 2] = [(); 2].map(|()| Arc::default());
        let relays = [Relay::start(targets[0].clone()).await, Relay::start(targets[1].clone()).await];
        let members: Vec<Member> = (0..2)
            .map(|n| named(n, &keys[usize::from(n)], relays[usize::from(n)].address.to_string()))
            .collect();
        let stores = [(); 2].map(|()| SharedStore::new(members.clone()));
        let mut pair = Pair { keys, stores, nodes: [None, None], relays, targets };
        pair.start_node(0);
        pair.start_node(1);
        pair
    }

    fn start_node(&mut self, number: usize) {
        let settings = settings(number as u8, &self.keys[number], None);
        *self.stores[number].life.lock().unwrap() = settings.identity.incarnation;
        let node = Replication::start(settings, self.stores[number].clone()).unwrap();
        *self.targets[number].lock().unwrap() = Some(node.local_address());
        self.nodes[number] = Some(node);
    }

    fn cut(&self, cut: bool) {
        self.relays.iter().for_each(|relay| relay.cut.store(cut, Ordering::Relaxed));
    }

    async fn connected(&self, number: usize) -> bool {
        is_connected(&self.nodes[number].as_ref().unwrap().status().await)
    }

    fn is_converged(&self) -> bool {
        let [a, b] = [self.stores[0].snapshot(), self.stores[1].snapshot()];
        a.vector == b.vector && a.bodies == b.bodies && a.wanted(1).is_empty()
    }
}

#[tokio::test]
async fn two_endpoints_exchange_records_and_bodies() {
    let pair = Pair::start().await;
    for number in 0..200 {
        pair.stores[0].commit(0, Some(body(number, 4_000)));
        pair.stores[1].commit(1, Some(body(1_000 + number, 5_000)));
    }
    pair.stores[0].commit(0, Some(body(5_000, 3_000_000)));
    wait_for("everything is on both sides", async || pair.is_converged()).await;
    pair.stores[0].commit(0, Some(body(6_000, 4_000)));
    wait_for("a pushed message with its body", async || pair.is_converged()).await;
    let status = pair.nodes[0].as_ref().unwrap().status().await;
    assert!(status.peers[0].round_trip_milliseconds.is_none_or(|milliseconds| milliseconds < 1_000));
    assert_eq!(status.bodies_wanted, 0);
    for node in pair.nodes.into_iter().flatten() {
        node.shutdown().await;
    }
}

#[tokio::test]
async fn a_cut_is_noticed_within_three_seconds_and_mended() {
    let pair = Pair::start().await;
    wait_for("connected", async || pair.connected(0).await && pair.connected(1).await).await;
    pair.cut(true);
    let noticed =
        wait_for("the cut is noticed", async || !pair.connected(0).await && !pair.connected(1).await).await;
    assert!(noticed < Duration::from_secs(3), "{noticed:?}");
    pair.stores[0].commit(0, Some(body(1, 100_000)));
    pair.stores[1].commit(1, Some(body(2, 100)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    pair.cut(false);
    let mended = wait_for("merged after the cut", async || pair.is_converged()).await;
    assert!(mended < Duration::from_secs(5), "{mended:?}");
}

#[tokio::test]
async fn a_node_that_vanished_and_came_back_is_found_again() {
    let mut pair = Pair::start().await;
    wait_for("connected", async || pair.connected(0).await).await;
    // No goodbye reaches the other side.
    pair.cut(true);
    drop(pair.nodes[1].take());
    let noticed = wait_for("the peer is missed", async || !pair.connected(0).await).await;
    assert!(noticed < Duration::from_secs(3), "{noticed:?}");
    pair.cut(false);
    pair.start_node(1);
    pair.stores[1].commit(1, Some(body(2, 100)));
    wait_for("the peer is back", async || pair.is_converged()).await;
}

#[tokio::test]
async fn an_unknown_key_is_refused() {
    let keys = [(); 3].map(|()| Arc::new(NodeKey::generate().unwrap()));
    let store = SharedStore::new(vec![
        named(0, &keys[0], "127.0.0.1:9".into()),
        named(1, &keys[1], "127.0.0.1:9".into()),
    ]);
    let node = Replication::start(settings(0, &keys[0], None), store.clone()).unwrap();
    // It knows the node's address and key, and says that it is slot 1; it does not have that member's key.
    let members =
        vec![named(0, &keys[0], node.local_address().to_string()), named(1, &keys[2], "127.0.0.1:9".into())];
    let stranger_store = SharedStore::new(members);
    let stranger = Replication::start(settings(1, &keys[2], None), stranger_store.clone()).unwrap();
    store.commit(0, None);
    stranger_store.commit(1, None);
    wait_for("the stranger is told no", async || {
        let error = stranger.status().await.peers[0].last_error.clone().unwrap_or_default();
        error.contains("not the key of a member")
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((store.snapshot().log.len(), stranger_store.snapshot().log.len()), (1, 1));
    assert_eq!(node.status().await.peers[0].last_seen, None);
}

#[tokio::test]
async fn a_node_with_another_key_than_the_dialled_one_is_refused() {
    let keys = [(); 3].map(|()| Arc::new(NodeKey::generate().unwrap()));
    let target = Replication::start(settings(1, &keys[1], None), SharedStore::new(vec![])).unwrap();
    let members =
        vec![named(0, &keys[0], String::new()), named(1, &keys[2], target.local_address().to_string())];
    let node = Replication::start(settings(0, &keys[0], None), SharedStore::new(members)).unwrap();
    wait_for("the wrong key is named", async || {
        let error = node.status().await.peers[0].last_error.clone().unwrap_or_default();
        error.contains("was expected")
    })
    .await;
}

#[tokio::test]
async fn notices_meetings_and_verdicts_travel() {
    let pair = Pair::start().await;
    for number in 1..=50u8 {
        let at = Timestamp::from_parts(Millis(1_790_000_000_000 + u64::from(number)), 0, slot(0));
        pair.stores[0].state.lock().unwrap().tell(slot(0), at, vec![number % 5; 3_000]);
    }
    pair.stores[0].commit(0, None);
    wait_for("everything was heard", async || {
        let [a, b] = [pair.stores[0].snapshot(), pair.stores[1].snapshot()];
        a.notices == b.notices && a.heard == b.heard && b.notices[&slot(0)].len() == 5
    })
    .await;
    assert!(pair.stores[1].snapshot().meetings.contains_key(&slot(0)));
    let confirmed = (slot(1), Incarnation([0; 16]), Verdict::Confirmed);
    wait_for("the life is confirmed", async || pair.stores[0].snapshot().verdicts == [confirmed]).await;
    // Something could not be made durable: the node goes on under another name over the same link.
    let next = Incarnation([77; 16]);
    *pair.stores[0].life.lock().unwrap() = next;
    pair.stores[0].state.lock().unwrap().commit(next, None);
    pair.stores[0].changes.send_modify(|count| *count += 1);
    wait_for("the next life is confirmed", async || {
        pair.stores[0].snapshot().verdicts == [confirmed, (slot(1), next, Verdict::Confirmed)]
    })
    .await;
    pair.cut(true);
    wait_for("the meeting is over", async || pair.stores[1].snapshot().meetings.is_empty()).await;
}

#[tokio::test]
async fn look_gossip_reaches_the_peer() {
    let pair = Pair::start().await;
    let look = (AccountId([1; 16]), MailboxId([2; 16]));
    pair.stores[0].looks.lock().unwrap().insert(look);
    pair.stores[0].changes.send_modify(|count| *count += 1);
    let known = async || {
        pair.stores[1].snapshot().peer_looks.get(&slot(0)).is_some_and(|looks| looks.contains(&look))
    };
    wait_for("a look is known", known).await;
}

/// Admits whoever knows the secret.
struct Door {
    store: Arc<SharedStore>,
    secret: [u8; 16],
    open: AtomicBool,
}

impl Admission for Door {
    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    fn admit(&self, request: &JoinRequest) -> Result<Admitted, String> {
        if request.secret != self.secret {
            return Err("the token was not issued here, or was used".into());
        }
        self.open.store(false, Ordering::Relaxed);
        let member = Member {
            slot: slot(1),
            name: request.name.clone(),
            key: request.key,
            advertise: request.advertise.clone(),
        };
        let mut members = self.store.members.borrow().to_vec();
        members.push(member);
        self.store.members.send_replace(Arc::new(members.clone()));
        let vector = self.store.vector();
        Ok(Admitted { cluster: ClusterId([7; 16]), slot: slot(1), reserve: 6, members, vector })
    }
}

#[tokio::test]
async fn a_node_joins_with_a_token_and_fetches_the_log() {
    let keys = [(); 2].map(|()| Arc::new(NodeKey::generate().unwrap()));
    let store = SharedStore::new(vec![named(0, &keys[0], String::new())]);
    for number in 0..20_000 {
        store.state.lock().unwrap().commit(Incarnation([0; 16]), (number < 10).then(|| body(number, 100)));
    }
    let door = Arc::new(Door { store: store.clone(), secret: [5; 16], open: AtomicBool::new(true) });
    let inviter = Replication::start(settings(0, &keys[0], Some(door.clone())), store.clone()).unwrap();
    let token = Token {
        cluster: ClusterId([7; 16]),
        address: inviter.local_address().to_string(),
        key: keys[0].fingerprint(),
        secret: [5; 16],
        slot: slot(1),
        reserve: 6,
    };

    let wrong = Token { secret: [6; 16], ..token.clone() };
    let refused = join(&Machine, &wrong, &keys[1], "b", "b:7471").await.err();
    assert!(
        matches!(&refused, Some(JoinError::Refused(why)) if why.contains("not issued here")),
        "{refused:?}"
    );
    let other_key = Token { key: [9; 32], ..token.clone() };
    let refused = join(&Machine, &other_key, &keys[1], "b", "b:7471").await.err();
    assert!(matches!(refused, Some(JoinError::Unreachable { .. })), "{refused:?}");

    let joining = join(&Machine, &token, &keys[1], "b", "127.0.0.1:9").await.unwrap();
    assert_eq!(joining.admitted().members.len(), 2);
    let mine = SharedStore::new(joining.admitted().members.clone());
    let mut steps = Vec::new();
    let apply = |records| mine.state.lock().unwrap().apply(records);
    joining.fetch(Vector::new(), apply, |progress| steps.push(progress)).await.unwrap();
    assert_eq!(mine.vector(), store.vector());
    assert!(
        steps.len() > 1 && steps.last().is_some_and(|step| step.fetched == 20_000 && step.total == 20_000)
    );

    // The door is shut: another stranger does not get through the handshake.
    let stranger = NodeKey::generate().unwrap();
    let refused = join(&Machine, &token, &stranger, "c", "c:7471").await.err();
    assert!(
        matches!(&refused, Some(JoinError::Refused(why)) if why.contains("no invitation")),
        "{refused:?}"
    );

    // And the member links up at once and fetches the bodies.
    let members =
        vec![named(0, &keys[0], inviter.local_address().to_string()), named(1, &keys[1], String::new())];
    mine.members.send_replace(Arc::new(members));
    let _joined = Replication::start(settings(1, &keys[1], None), mine.clone()).unwrap();
    wait_for("the new member has the bodies", async || mine.snapshot().bodies.len() == 10).await;
}
