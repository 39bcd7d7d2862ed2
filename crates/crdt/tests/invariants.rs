//! U1 to U4 of `docs/uid-mapping.md` on up to four nodes: any order, duplication and batching of deltas, any interleaving of
//! looks, deliveries, flags, expunges, moves and copies. The witness sees only what clients saw.

#[path = "common/caches.rs"]
mod caches;
mod common;

use std::collections::{BTreeMap, BTreeSet};

use caches::Caches;
use common::Witness;
use peerpost_crdt::account::{NewEntry, Usage};
use peerpost_crdt::clock::Millis;
use peerpost_crdt::flag::{Flag, FlagChange};
use peerpost_crdt::identity::{
    AccountId, BodyHash, DeliveryKey, EntryId, Incarnation, MailboxId, NodeSlot, Uid, Validity,
};
use peerpost_crdt::operation::DefaultMailbox;
use peerpost_crdt::record::Record;
use peerpost_crdt::replica::{Beginning, NoArchive, Replica};
use peerpost_crdt::view::ReceivedAt;
use peerpost_crdt::writer::Author;
use proptest::prelude::*;

const START: u64 = 1_790_000_000_000;
const MAILBOXES: [&str; 3] = ["INBOX", "Archive", "work"];

#[derive(Clone, Debug)]
enum Action {
    Deliver {
        node: usize,
        mailbox: usize,
        delivery: u8,
    },
    Append {
        node: usize,
        mailbox: usize,
    },
    Look {
        node: usize,
        mailbox: usize,
    },
    LookAway {
        node: usize,
    },
    Flag {
        node: usize,
        mailbox: usize,
        place: usize,
        flag: usize,
        set: bool,
    },
    Expunge {
        node: usize,
        mailbox: usize,
        place: usize,
    },
    Move {
        node: usize,
        mailbox: usize,
        place: usize,
        to: usize,
    },
    Copy {
        node: usize,
        mailbox: usize,
        place: usize,
        to: usize,
    },
    Create {
        node: usize,
    },
    Rename {
        node: usize,
        to: u8,
    },
    Delete {
        node: usize,
    },
    /// Some of what one node lacks of another, perhaps twice.
    Sync {
        from: usize,
        to: usize,
        most: usize,
        twice: bool,
        /// Author by author, as stores send it, or as it was written down.
        by_author: bool,
    },
    Body {
        node: usize,
    },
    Reach {
        node: usize,
        peer: usize,
        reachable: bool,
    },
    Pass {
        milliseconds: u64,
    },
}

fn actions(nodes: usize) -> impl Strategy<Value = Vec<Action>> {
    let node = move || 0..nodes;
    let mailbox = || 0..MAILBOXES.len();
    let action = prop_oneof![
        6 => (node(), mailbox(), 0..40u8).prop_map(|(node, mailbox, delivery)| Action::Deliver { node, mailbox, delivery }),
        2 => (node(), mailbox()).prop_map(|(node, mailbox)| Action::Append { node, mailbox }),
        4 => (node(), mailbox()).prop_map(|(node, mailbox)| Action::Look { node, mailbox }),
        1 => node().prop_map(|node| Action::LookAway { node }),
        2 => (node(), mailbox(), 0..8usize, 0..3usize, any::<bool>())
            .prop_map(|(node, mailbox, place, flag, set)| Action::Flag { node, mailbox, place, flag, set }),
        2 => (node(), mailbox(), 0..8usize).prop_map(|(node, mailbox, place)| Action::Expunge { node, mailbox, place }),
        2 => (node(), mailbox(), 0..8usize, mailbox())
            .prop_map(|(node, mailbox, place, to)| Action::Move { node, mailbox, place, to }),
        1 => (node(), mailbox(), 0..8usize, mailbox())
            .prop_map(|(node, mailbox, place, to)| Action::Copy { node, mailbox, place, to }),
        1 => node().prop_map(|node| Action::Create { node }),
        1 => (node(), 0..3u8).prop_map(|(node, to)| Action::Rename { node, to }),
        1 => node().prop_map(|node| Action::Delete { node }),
        8 => (node(), node(), 1..20usize, any::<bool>(), any::<bool>())
            .prop_map(|(from, to, most, twice, by_author)| Action::Sync { from, to, most, twice, by_author }),
        3 => node().prop_map(|node| Action::Body { node }),
        2 => (node(), node(), any::<bool>()).prop_map(|(node, peer, reachable)| Action::Reach { node, peer, reachable }),
        2 => (1..3000u64).prop_map(|milliseconds| Action::Pass { milliseconds }),
    ];
    prop::collection::vec(action, 1..120)
}

struct World {
    account: AccountId,
    nodes: Vec<Replica<NoArchive>>,
    logs: Vec<Vec<Record>>,
    /// Bodies that are at each node; deliveries elsewhere are not until they are brought.
    bodies: Vec<BTreeSet<BodyHash>>,
    waiting: Vec<BTreeMap<BodyHash, Vec<EntryId>>>,
    looks: Vec<Vec<MailboxId>>,
    now: Millis,
    witness: Witness,
    caches: Caches,
    next_body: u64,
    accepted: BTreeSet<BodyHash>,
}

impl World {
    fn new(nodes: usize) -> Self {
        let author = |i: usize| Author {
            slot: NodeSlot::new(i as u8).expect("a slot"),
            incarnation: Incarnation([i as u8 + 1; 16]),
        };
        let start = |i: usize| Replica::start(NoArchive, author(i), Beginning::default(), Millis(START));
        let mut world = World {
            account: AccountId::of_name("alice"),
            nodes: (0..nodes).map(start).collect(),
            logs: vec![vec![]; nodes],
            bodies: vec![BTreeSet::new(); nodes],
            waiting: vec![BTreeMap::new(); nodes],
            looks: vec![vec![]; nodes],
            now: Millis(START),
            witness: Witness::default(),
            caches: Caches::default(),
            next_body: 0,
            accepted: BTreeSet::new(),
        };
        let defaults =
            ["INBOX", "Archive"].map(|name| DefaultMailbox { name: name.to_owned(), special_use: None });
        world.nodes[0].add_account("alice", "hash", &defaults).expect("added");
        world.nodes[0].create_mailbox(world.account, "work", None).expect("created");
        for i in 0..nodes {
            world.commit(i);
        }
        for i in 1..nodes {
            world.sync(0, i, usize::MAX, false, false);
        }
        world
    }

    fn commit(&mut self, node: usize) {
        let commit = self.nodes[node].commit();
        self.logs[node].extend(commit.records);
        let absent: Vec<EntryId> =
            self.nodes[node].loaded().flat_map(|account| account.absent().iter().copied()).collect();
        let account = self.nodes[node].loaded().next();
        for entry in absent {
            let body = account.and_then(|account| {
                account.segment(&entry.segment).get(usize::from(entry.index))?.facts().map(|f| f.body)
            });
            if let Some(body) = body {
                let entries = self.waiting[node].entry(body).or_default();
                if !entries.contains(&entry) {
                    entries.push(entry);
                }
            }
        }
        self.witness.observe(node, &self.nodes[node], &self.looks[node]);
        self.caches.disconnect(node, &self.nodes[node]);
    }

    fn sync(&mut self, from: usize, to: usize, most: usize, twice: bool, by_author: bool) {
        let vector = self.nodes[to].vector().clone();
        let missing =
            self.logs[from].iter().filter(|record| record.sequence > vector.last(&record.incarnation));
        let mut missing: Vec<&Record> = missing.collect();
        if by_author {
            missing.sort_by_key(|record| (record.incarnation, record.sequence));
        }
        let mut delta: Vec<Record> = missing.into_iter().take(most).cloned().collect();
        if twice {
            delta.extend(self.logs[from].iter().take(3).cloned().collect::<Vec<_>>());
        }
        let bodies = self.bodies[to].clone();
        self.nodes[to].begin(self.now);
        self.nodes[to].apply(delta, |hash| bodies.contains(hash)).expect("a delta of an honest node");
        self.commit(to);
    }

    fn new_entry(&mut self, node: usize, delivery: Option<u8>) -> NewEntry {
        let number = delivery.map_or_else(|| 1000 + self.next_body, u64::from);
        self.next_body += 1;
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        let body = BodyHash(hash);
        self.bodies[node].insert(body);
        NewEntry {
            body,
            size: 1 + number % 97,
            received: ReceivedAt::default(),
            flags: vec![],
            email: None,
            delivery: delivery.map(|delivery| DeliveryKey([delivery; 16])),
        }
    }

    fn mailbox(&mut self, node: usize, name: usize) -> Option<MailboxId> {
        let account = self.nodes[node].account(self.account).expect("no disk")?;
        account.unit_by_name(MAILBOXES[name]).map(|unit| unit.public)
    }

    fn visible(&mut self, node: usize, mailbox: MailboxId, place: usize) -> Option<EntryId> {
        let account = self.nodes[node].account(self.account).expect("no disk")?;
        account.view(mailbox).rows.at(place).map(|row| row.facts.entry)
    }

    fn act(&mut self, action: Action) -> Option<()> {
        let account = self.account;
        match action {
            Action::Sync { from, to, most, twice, by_author } => {
                if from != to {
                    self.sync(from, to, most, twice, by_author);
                }
                return None;
            }
            Action::Pass { milliseconds } => {
                self.now = self.now.after(milliseconds);
                for node in 0..self.nodes.len() {
                    self.nodes[node].begin(self.now);
                    self.nodes[node].handle_timeout();
                    self.commit(node);
                }
                return None;
            }
            _ => {}
        }
        let node = match &action {
            Action::Deliver { node, .. }
            | Action::Append { node, .. }
            | Action::Look { node, .. }
            | Action::LookAway { node } => *node,
            Action::Flag { node, .. }
            | Action::Expunge { node, .. }
            | Action::Move { node, .. }
            | Action::Copy { node, .. } => *node,
            Action::Create { node } | Action::Rename { node, .. } | Action::Delete { node } => *node,
            Action::Body { node } | Action::Reach { node, .. } => *node,
            Action::Sync { .. } | Action::Pass { .. } => return None,
        };
        self.now = self.now.after(1);
        self.nodes[node].begin(self.now);
        self.act_on(node, account, action);
        self.commit(node);
        None
    }

    fn act_on(&mut self, node: usize, account: AccountId, action: Action) -> Option<()> {
        match action {
            Action::Deliver { mailbox, delivery, .. } => {
                let mailbox = self.mailbox(node, mailbox)?;
                let new = self.new_entry(node, Some(delivery));
                self.accepted.insert(new.body);
                self.nodes[node].deliver(account, mailbox, new).expect("delivered");
            }
            Action::Append { mailbox, .. } => {
                let mailbox = self.mailbox(node, mailbox)?;
                let new = [self.new_entry(node, None), self.new_entry(node, None)];
                let (_, uids) = self.nodes[node].append(account, mailbox, new.to_vec()).expect("appended");
                assert!(uids.len() == 2 && uids[0] < uids[1]);
            }
            Action::Look { mailbox, .. } => {
                let mailbox = self.mailbox(node, mailbox)?;
                self.nodes[node].look(account, mailbox).expect("no disk");
                self.looks[node].push(mailbox);
            }
            Action::LookAway { .. } => {
                let mailbox = self.looks[node].pop()?;
                self.nodes[node].look_away(account, mailbox);
            }
            Action::Flag { mailbox, place, flag, set, .. } => {
                let mailbox = self.mailbox(node, mailbox)?;
                let entry = self.visible(node, mailbox, place)?;
                let flag = [Flag::Seen, Flag::Flagged, Flag::Deleted][flag].clone();
                let change = if set { FlagChange::Add } else { FlagChange::Remove };
                self.nodes[node]
                    .change_flags(account, mailbox, &[entry], change, &[flag], None)
                    .expect("stored");
            }
            Action::Expunge { mailbox, place, .. } => {
                let mailbox = self.mailbox(node, mailbox)?;
                let entry = self.visible(node, mailbox, place)?;
                self.nodes[node]
                    .change_flags(account, mailbox, &[entry], FlagChange::Add, &[Flag::Deleted], None)
                    .expect("stored");
                self.nodes[node].expunge(account, mailbox, &[entry]).expect("expunged");
            }
            Action::Move { mailbox, place, to, .. } => {
                let (mailbox, to) = (self.mailbox(node, mailbox)?, self.mailbox(node, to)?);
                let entry = self.visible(node, mailbox, place)?;
                let placed = self.nodes[node].move_entries(account, mailbox, &[entry], to).expect("moved");
                assert_eq!(placed.pairs.len(), 1);
            }
            Action::Copy { mailbox, place, to, .. } => {
                let (mailbox, to) = (self.mailbox(node, mailbox)?, self.mailbox(node, to)?);
                let entry = self.visible(node, mailbox, place)?;
                let placed = self.nodes[node].copy(account, mailbox, &[entry], to).expect("copied");
                assert_eq!(placed.pairs.len(), 1);
            }
            Action::Create { .. } => {
                let _ = self.nodes[node].create_mailbox(account, "work", None);
            }
            Action::Rename { to, .. } => {
                let _ = self.nodes[node].rename_mailbox(account, "work", &format!("other{to}"));
                let _ = self.nodes[node].rename_mailbox(account, &format!("other{}", (to + 1) % 3), "work");
            }
            Action::Delete { .. } => {
                let mailbox = self.mailbox(node, 2)?;
                self.nodes[node].delete_mailbox(account, mailbox).expect("deleted");
            }
            Action::Body { .. } => {
                let (body, entries) = self.waiting[node].pop_first()?;
                self.bodies[node].insert(body);
                self.nodes[node].body_arrived(account, &entries).expect("no disk");
            }
            Action::Reach { peer, reachable, .. } => {
                let looked_at = self.nodes[peer].looks().own();
                let slot = NodeSlot::new(peer as u8).expect("a slot");
                if peer != node {
                    self.nodes[node].set_peer_looks(slot, reachable.then_some(looked_at));
                }
            }
            Action::Sync { .. } | Action::Pass { .. } => {}
        }
        Some(())
    }

    /// Everything is delivered, everybody looks, and nothing is held.
    fn come_to_rest(&mut self) {
        let count = self.nodes.len();
        for _round in 0..60 {
            for from in 0..count {
                for to in (0..count).filter(|to| *to != from) {
                    self.sync(from, to, usize::MAX, false, false);
                }
            }
            for node in 0..count {
                self.nodes[node].begin(self.now);
                while self.act_on(node, self.account, Action::Body { node }).is_some() {}
                self.commit(node);
                let publics: Vec<MailboxId> =
                    self.nodes[node].loaded().flat_map(|a| a.units().iter().map(|u| u.public)).collect();
                for mailbox in publics {
                    self.nodes[node].glance(self.account, mailbox).expect("no disk");
                }
                self.commit(node);
            }
            self.now = self.now.after(1000);
            let vectors: BTreeSet<String> =
                self.nodes.iter().map(|node| format!("{:?}", node.vector())).collect();
            let pending: usize =
                self.nodes.iter().flat_map(|node| node.loaded()).map(|account| account.pending()).sum();
            if vectors.len() == 1 && pending == 0 {
                return;
            }
        }
        let pending: Vec<usize> =
            self.nodes.iter().flat_map(|node| node.loaded()).map(|account| account.pending()).collect();
        assert!(pending.is_empty(), "U4: the nodes do not come to rest: {pending:?} entries wait");
    }

    fn pictures(&self) -> Vec<Picture> {
        let picture = |replica: &Replica<NoArchive>| {
            let account = replica.loaded().next().expect("alice");
            let rows = account.units().iter().flat_map(|unit| {
                let view = account.view(unit.public);
                let row = move |row: &peerpost_crdt::view::Row| {
                    let flags = row.flags.iter().map(|flag| flag.to_string()).collect();
                    ((unit.name.clone(), view.validity, row.uid), (row.facts.entry, flags))
                };
                view.rows.iter().map(row).collect::<Vec<_>>()
            });
            rows.collect()
        };
        self.nodes.iter().map(picture).collect()
    }
}

/// What a node says that an account holds is what its clients see (RFC 9208).
fn check_usage(replica: &Replica<NoArchive>) {
    let account = replica.loaded().next().expect("alice");
    let views: Vec<_> = account.units().iter().map(|unit| account.view(unit.public)).collect();
    let sizes: Vec<u64> = views.iter().flat_map(|view| view.rows.iter().map(|row| row.facts.size)).collect();
    let seen = Usage { messages: sizes.len() as u64, octets: sizes.iter().sum() };
    assert_eq!(account.usage(), seen);
}

/// What clients see at (name, UIDVALIDITY, UID): the message and its flags.
type Picture = BTreeMap<(String, Option<Validity>, Uid), (EntryId, Vec<String>)>;

fn run(nodes: usize, actions: Vec<Action>) {
    let mut world = World::new(nodes);
    for action in actions {
        world.act(action);
    }
    world.come_to_rest();
    let pictures = world.pictures();
    for (node, picture) in pictures.iter().enumerate() {
        assert_eq!(picture, &pictures[0], "U4: node {node} shows something else than node 0");
        world.caches.reconnect(node, &world.nodes[node]);
        check_usage(&world.nodes[node]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_nodes_keep_the_invariants(actions in actions(2)) {
        run(2, actions);
    }

    #[test]
    fn three_nodes_keep_the_invariants(actions in actions(3)) {
        run(3, actions);
    }

    #[test]
    fn four_nodes_keep_the_invariants(actions in actions(4)) {
        run(4, actions);
    }
}
