//! One node of the model: the real replica, its disk, and what goes between it and its peers.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use peerpost_crdt::clock::{Millis, Timestamp};
use peerpost_crdt::identity::{AccountId, Incarnation, MailboxId, NodeSlot};
use peerpost_crdt::placement::announcement::Announcement;
use peerpost_crdt::placement::looks::LookedAt;
use peerpost_crdt::record::Record;
use peerpost_crdt::replica::{Beginning, Meeting, Replica, Verdict};
use peerpost_crdt::vector::{Sequence, Vector};
use peerpost_crdt::writer::Author;

use super::disk::{Announced, Disk};

/// When everything begins, in milliseconds since 1970.
pub const START: u64 = 1_790_000_000_000;

/// All records that were ever committed, by life: the names of records are unique, whatever becomes of disks.
pub type Store = BTreeMap<Incarnation, Rc<Vec<Record>>>;

pub fn account() -> AccountId {
    AccountId::of_name("alice")
}

pub fn inbox() -> MailboxId {
    MailboxId::of_default(account(), "INBOX")
}

/// What a node can tell its peers after one of its commits.
#[derive(Debug, Default)]
pub struct Told {
    pub vector: Vector,
    pub announced: Announced,
    pub looks: LookedAt,
    /// What it says of lives.
    pub verdicts: BTreeMap<Incarnation, Verdict>,
}

/// What of it is news to another node.
#[derive(Debug, PartialEq)]
pub struct News {
    /// Lives with the records that are missing: after the first, up to the second.
    records: Vec<(Incarnation, Sequence, Sequence)>,
    announcements: Vec<Announcement>,
    looks: Option<LookedAt>,
    verdict: Option<Verdict>,
}

impl News {
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.announcements.is_empty()
            && self.looks.is_none()
            && self.verdict.is_none()
    }
}

#[derive(Clone)]
pub struct Node {
    pub number: usize,
    pub replica: Replica<Disk>,
    pub disk: Disk,
    /// How many lives there were before this one.
    lives: u8,
    /// Milliseconds since the start, as its clock shows them.
    pub clock: u64,
    pub looking: bool,
    /// What it can tell after its last commit.
    pub told: Rc<Told>,
    /// What peers were last heard to look at, and to say of this life.
    looks: BTreeMap<usize, LookedAt>,
    verdicts: BTreeMap<usize, Verdict>,
    heard: BTreeMap<NodeSlot, Timestamp>,
    /// All of the above in a word, once somebody asked for it.
    digest: OnceCell<[u8; 32]>,
}

impl Node {
    /// The first life of a node.
    pub fn new(number: usize, clock: u64) -> Self {
        let author = author(number, NodeSlot::new(number as u8).expect("a slot"), 0);
        let now = Millis(START + clock);
        let replica = Replica::start(Disk::default(), author, Beginning::default(), now);
        Node::with(number, replica, Disk::default(), (0, clock))
    }

    fn with(number: usize, replica: Replica<Disk>, disk: Disk, (lives, clock): (u8, u64)) -> Self {
        Node {
            number,
            replica,
            disk,
            lives,
            clock,
            looking: false,
            told: Rc::default(),
            looks: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            heard: BTreeMap::new(),
            digest: OnceCell::new(),
        }
    }

    pub fn slot(&self) -> NodeSlot {
        self.replica.author().slot
    }

    pub fn life(&self) -> Incarnation {
        self.replica.author().incarnation
    }

    pub fn now(&self) -> Millis {
        Millis(START + self.clock)
    }

    /// Another life begins, in this slot, from what was durable; clients connect again at once.
    pub fn restart(&mut self, disk: &Disk, slot: NodeSlot, store: &mut Store) {
        let lives = self.lives + 1;
        let author = author(self.number, slot, lives);
        let mut replica = Replica::start(disk.clone(), author, disk.beginning(), self.now());
        replica.account(account()).expect("no disk");
        let looking = self.looking;
        *self = Node::with(self.number, replica, disk.clone(), (lives, self.clock));
        for announcement in disk.announced.values() {
            let at = self.heard.entry(announcement.slot()).or_default();
            *at = announcement.at.max(*at);
        }
        self.replica.set_heard(self.heard.clone());
        self.commit(store);
        if looking {
            self.look(store);
        }
    }

    pub fn look(&mut self, store: &mut Store) {
        self.looking = true;
        self.replica.look(account(), inbox()).expect("no disk");
        self.commit(store);
    }

    /// Does what is due, and commits.
    pub fn commit(&mut self, store: &mut Store) {
        self.replica.handle_timeout();
        let commit = self.replica.commit();
        for record in &commit.records {
            let of_life = store.entry(record.incarnation).or_default();
            if of_life.len() as u64 + 1 == record.sequence.0 {
                Rc::make_mut(of_life).push(record.clone());
            }
        }
        self.disk.write(&self.replica, &commit);
        for announcement in &commit.announcements {
            let at = self.heard.entry(announcement.slot()).or_default();
            *at = announcement.at.max(*at);
        }
        self.told = Rc::new(self.telling());
        self.digest = OnceCell::new();
    }

    fn telling(&self) -> Told {
        let lives = self.replica.cluster().lives().map(|(life, ..)| *life);
        let verdicts = lives.filter(|life| *life != self.life());
        Told {
            vector: self.replica.vector().clone(),
            announced: self.disk.announced.clone(),
            looks: self.replica.looks().own(),
            verdicts: verdicts.filter_map(|life| Some((life, self.replica.judge(&life)?))).collect(),
        }
    }

    /// What is news here of what a peer told.
    pub fn news(&self, peer: usize, told: &Told) -> News {
        let own = self.life();
        let missing = |(life, last): (Incarnation, Sequence)| {
            let known = self.replica.vector().last(&life);
            (life != own && last > known).then_some((life, known, last))
        };
        let newer = |announcement: &&Announcement| {
            let known = self.disk.announced.get(&(announcement.mailbox, announcement.slot()));
            announcement.slot() != self.slot() && known.is_none_or(|known| known.at < announcement.at)
        };
        let looks = self.looks.get(&peer);
        let changed = looks.map_or(!told.looks.is_empty(), |looks| *looks != told.looks);
        let verdict = told.verdicts.get(&own).copied();
        News {
            records: told.vector.iter().filter_map(missing).collect(),
            announcements: told.announced.values().filter(newer).cloned().collect(),
            looks: changed.then(|| told.looks.clone()),
            verdict: verdict.filter(|verdict| self.verdicts.get(&peer) != Some(verdict)),
        }
    }

    /// Takes in what a peer told.
    pub fn receive(&mut self, peer: usize, slot: NodeSlot, news: News, store: &mut Store) {
        if let Some(looks) = news.looks {
            self.replica.set_peer_looks(slot, Some(looks.clone()));
            self.looks.insert(peer, looks);
        }
        let mut records = Vec::new();
        for (life, known, last) in news.records {
            let all = store.get(&life).expect("records that were told");
            records.extend(all[known.0 as usize..last.0 as usize].iter().cloned());
        }
        self.replica.apply(records, |_| true).expect("a delta of an honest node");
        for announcement in &news.announcements {
            let at = self.heard.entry(announcement.slot()).or_default();
            *at = announcement.at.max(*at);
        }
        self.replica.hear(news.announcements).expect("no disk");
        self.replica.set_heard(self.heard.clone());
        if let Some(verdict) = news.verdict {
            self.replica.take_verdict(slot, verdict);
            self.verdicts.insert(peer, verdict);
        }
        self.commit(store);
    }

    /// The link to a peer is gone, or up: then both tell first what they have.
    pub fn link(&mut self, peer: usize, slot: NodeSlot, meeting: Option<Meeting>, store: &mut Store) {
        if meeting.is_none() {
            self.looks.remove(&peer);
            self.verdicts.remove(&peer);
            self.replica.set_peer_looks(slot, None);
        }
        self.replica.meet(slot, meeting);
        self.commit(store);
    }

    /// What it brings to a meeting.
    pub fn meeting(&self) -> Meeting {
        Meeting { vector: self.replica.vector().clone(), heard: self.heard.clone() }
    }

    /// A word for everything that its future depends on.
    pub fn digest(&self) -> &[u8; 32] {
        self.digest.get_or_init(|| self.digest_now())
    }

    fn digest_now(&self) -> [u8; 32] {
        let mut digest = Digest::default();
        let own = (self.clock, self.looking, &self.looks, &self.verdicts, &self.heard, &self.disk.announced);
        write!(digest, "{:?} {own:?}", self.replica).expect("a digest takes everything");
        digest.end()
    }
}

fn author(number: usize, slot: NodeSlot, lives: u8) -> Author {
    Author { slot, incarnation: Incarnation([(number as u8 + 1) * 16 + lives; 16]) }
}

/// A hash of what is written to it.
#[derive(Default)]
pub struct Digest(Vec<u8>);

impl Digest {
    pub fn add(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    pub fn end(&self) -> [u8; 32] {
        *blake3::hash(&self.0).as_bytes()
    }
}

impl std::fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}
