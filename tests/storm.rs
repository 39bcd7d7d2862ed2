//! Everything at once: clients on all nodes deliver, append, flag, move and expunge, while the links come and go.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use kit::cluster::{Cluster, Setup};
use kit::imap::{Client, Listing, Status};
use kit::lmtp;
use kit::message;
use kit::node::Node;
use kit::random::{Random, seed};
use kit::relay::Direction;
use kit::wait::eventually;
use kit::witness::Witness;

/// What each worker does in one test.
const STEPS: usize = 60;
/// How often a link changes while they work.
const LINK_CHANGES: Duration = Duration::from_millis(400);
/// Chooses what happens.
const SEED: u64 = 20_091_029;
/// Where messages are moved and copied to.
const OTHER: &str = "Projects";

/// What was accepted, and what anybody tried to expunge.
#[derive(Default)]
struct Books {
    accepted: Mutex<BTreeSet<String>>,
    expunged: Mutex<BTreeSet<String>>,
}

impl Books {
    fn accepted(&self, id: String) {
        self.accepted.lock().unwrap().insert(id);
    }
}

/// One client with a session of its own.
struct Worker<'a> {
    node: &'a Node,
    name: String,
    session: Client,
    lmtp: lmtp::Client,
    random: Random,
    books: &'a Books,
    witness: &'a Witness,
}

impl Worker<'_> {
    fn work(mut self) {
        self.session.list("INBOX");
        // What came while that was answered is known by its number alone.
        self.session.follow();
        for step in 0..STEPS {
            self.step(step);
        }
    }

    fn step(&mut self, step: usize) {
        let id = format!("{}-{step}", self.name);
        match self.random.below(10) {
            0..=2 => {
                self.lmtp.deliver(&message(&id, "delivered in a storm"));
                self.books.accepted(id);
            }
            3 => {
                self.session.append("INBOX", "\\Seen", &message(&id, "appended in a storm"));
                self.books.accepted(id);
            }
            4 => self.on_one("UID STORE", "+FLAGS (\\Flagged)"),
            5 => self.on_one("UID STORE", "-FLAGS (\\Flagged \\Seen)"),
            6 => self.on_one("UID MOVE", OTHER),
            7 => self.expunge(),
            8 => {
                self.session.idle(Duration::from_millis(120), |_| false);
            }
            _ => {
                // Another pair of eyes, that comes and goes.
                Client::open(self.node, self.witness).list(["INBOX", OTHER][self.random.below(2)]);
            }
        }
        self.session.follow();
    }

    /// Some UID of the view that is known.
    fn any(&mut self) -> Option<u32> {
        let uids = self.session.view().uids();
        (!uids.is_empty()).then(|| uids[self.random.below(uids.len())])
    }

    /// A command on one message.
    fn on_one(&mut self, command: &str, rest: &str) {
        if let Some(uid) = self.any() {
            self.session.ok(&format!("{command} {uid} {rest}"));
        }
    }

    fn expunge(&mut self) {
        let Some(uid) = self.any() else { return };
        // Written down before it is tried: the other side may have moved it.
        if let Some(id) = self.session.message_ids().remove(&uid) {
            self.books.expunged.lock().unwrap().insert(id);
        }
        self.session.ok(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
        let reply = self.session.command(&format!("UID EXPUNGE {uid}"));
        assert_eq!(reply.status, Status::Ok, "{}", reply.text);
    }
}

/// Cuts, spoils and heals links until all is done; heals them at the end.
fn weather(cluster: &Cluster, mut random: Random, over: &AtomicBool) {
    let millis = Duration::from_millis;
    let bad = Direction { delay: millis(20), jitter: millis(30), loss_per_mille: 100, cut: false };
    let nodes = cluster.nodes.len();
    while !over.load(Ordering::Relaxed) {
        let one = random.below(nodes);
        let other = (one + 1 + random.below(nodes - 1)) % nodes;
        match random.below(5) {
            0 | 1 => cluster.relay.cut(one, other),
            2 => cluster.relay.cut_one_way(one, other),
            3 => cluster.relay.set_both(one, other, bad),
            _ => cluster.relay.heal(one, other),
        }
        thread::sleep(LINK_CHANGES * (1 + random.below(8) as u32));
    }
    for (one, other) in (0..nodes).flat_map(|one| (0..one).map(move |other| (one, other))) {
        cluster.relay.heal(one, other);
    }
}

/// Both mailboxes, once all nodes show the same.
#[track_caller]
fn settled(what: &str, cluster: &Cluster, witness: &Witness) -> Vec<Listing> {
    let mut clients: Vec<Client> = cluster.nodes.iter().map(|node| Client::open(node, witness)).collect();
    eventually(what, || {
        let mut all = ["INBOX", OTHER].map(|mailbox| {
            let listings: Vec<Listing> = clients.iter_mut().map(|client| client.list(mailbox)).collect();
            (mailbox, listings)
        });
        for (mailbox, listings) in &all {
            let counts: Vec<usize> = listings.iter().map(|listing| listing.messages.len()).collect();
            if listings.iter().any(|listing| *listing != listings[0]) {
                return Err(format!("{mailbox}: {counts:?} messages"));
            }
        }
        Ok(all.each_mut().map(|(_, listings)| listings.remove(0)).into())
    })
}

#[test]
fn nothing_is_lost_or_doubled_or_aliased_on_two_nodes() {
    storm(2);
}

#[test]
fn nothing_is_lost_or_doubled_or_aliased_on_three_nodes() {
    storm(3);
}

/// Two clients on each node, in all weathers.
fn storm(nodes: usize) {
    let seed = seed(SEED);
    let cluster = Cluster::start(Setup { nodes, seed, ..Setup::default() });
    let (witness, books) = (Witness::default(), Books::default());
    let mut random = Random::new(seed);
    create_other(&cluster, &witness);
    settled("alike before the storm", &cluster, &witness);

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let weathered = Random::new(seed ^ 1);
        scope.spawn(|| weather(&cluster, weathered, &over));
        let workers: Vec<_> = (0..2 * nodes)
            .map(|number| {
                let node = &cluster.nodes[number % nodes];
                let worker = Worker {
                    node,
                    name: format!("worker-{number}"),
                    session: Client::open(node, &witness),
                    lmtp: lmtp::Client::open(node),
                    random: Random::new(random.next()),
                    books: &books,
                    witness: &witness,
                };
                scope.spawn(move || worker.work())
            })
            .collect();
        let ended: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a worker failed");
    });

    everything_is_there_once(&cluster, &witness, books);
    let accounts = || cluster.nodes.iter().map(|node| node.status()["accounts"].clone());
    eventually("the state of the account is the same on all nodes", || {
        let all: Vec<_> = accounts().collect();
        if all.windows(2).all(|pair| pair[0] == pair[1]) { Ok(()) } else { Err(format!("{all:?}")) }
    });
    for node in &cluster.nodes {
        node.succeeds(&["verify"]);
    }
}

/// Makes the other mailbox. It is looked at before the storm, so that no two sides number it on their own: that would end
/// sessions, and rightly.
fn create_other(cluster: &Cluster, witness: &Witness) {
    let mut first = Client::open(&cluster.nodes[0], witness);
    first.ok(&format!("CREATE {OTHER}"));
    first.list(OTHER);
    for node in &cluster.nodes {
        eventually(&format!("the other mailbox is on {}", node.name), || {
            let status = Client::open(node, witness).command(&format!("STATUS {OTHER} (UIDVALIDITY)"));
            if status.status == Status::Ok { Ok(()) } else { Err(status.text) }
        });
    }
}

/// All nodes show the same, and each message that was accepted and not expunged once.
fn everything_is_there_once(cluster: &Cluster, witness: &Witness, books: Books) {
    let listings = settled("alike after the storm", cluster, witness);
    let (accepted, expunged) = (books.accepted.into_inner().unwrap(), books.expunged.into_inner().unwrap());
    let counts: Vec<usize> = listings.iter().map(|listing| listing.messages.len()).collect();
    println!("{} accepted, {} expunged, {counts:?} left", accepted.len(), expunged.len());
    for node in &cluster.nodes {
        let mut client = Client::open(node, witness);
        let mut shown: Vec<String> = Vec::new();
        for mailbox in ["INBOX", OTHER] {
            client.select(mailbox);
            shown.extend(client.message_ids().into_values());
        }
        let once: BTreeSet<String> = shown.iter().cloned().collect();
        assert_eq!(once.len(), shown.len(), "a message is there twice on {}", node.name);
        let lost: Vec<&String> =
            accepted.iter().filter(|id| !once.contains(*id) && !expunged.contains(*id)).collect();
        assert!(lost.is_empty(), "lost on {}: {lost:?}", node.name);
    }
}
