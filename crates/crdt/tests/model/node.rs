//! One node of the model: the real replica, its disk, and what goes between it and its peers.
//!
//! What an act makes of a node depends on the node and on the act alone, so it is worked out once for all worlds.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use peerpost_crdt::account::{Account, NewEntry};
use peerpost_crdt::clock::{Millis, Timestamp};
use peerpost_crdt::flag::{Flag, FlagChange};
use peerpost_crdt::identity::{AccountId, BodyHash, EntryId, Incarnation, MailboxId, NodeSlot};
use peerpost_crdt::operation::LogHash;
use peerpost_crdt::placement::announcement::Announcement;
use peerpost_crdt::placement::looks::LookedAt;
use peerpost_crdt::record::Record;
use peerpost_crdt::replica::{Beginning, Meeting, Replica, Verdict};
use peerpost_crdt::vector::{Sequence, Vector};
use peerpost_crdt::view::{MailboxView, ReceivedAt};
use peerpost_crdt::writer::Author;

use super::disk::{Announced, Disk, Image};
use super::word::{Timed, Word, word_of};

/// When everything begins, in milliseconds since 1970.
pub const START: u64 = 1_790_000_000_000;

/// How long a node at rest is left alone, in milliseconds: longer than anything is waited for.
const PAUSE: u64 = 3000;

pub fn account() -> AccountId {
    AccountId::of_name("alice")
}

pub fn inbox() -> MailboxId {
    MailboxId::of_default(account(), "INBOX")
}

/// What a node can tell its peers after one of its commits.
#[derive(Clone, Default)]
struct Told {
    vector: Vector,
    /// What the records are, which are on its disk.
    hashes: Arc<BTreeMap<Incarnation, LogHash>>,
    announced: Arc<Announced>,
    looks: LookedAt,
    /// What it says of lives.
    verdicts: BTreeMap<Incarnation, Verdict>,
}

/// What of it is news to another node.
struct News {
    records: Vec<Record>,
    announcements: Vec<Announcement>,
    looks: Option<LookedAt>,
    verdict: Option<Verdict>,
}

/// What can happen to one node.
pub enum Act<'a> {
    Deliver,
    Append,
    Look,
    Expunge,
    Wait,
    Bump,
    /// Time passes, and everybody looks.
    Pause,
    /// Takes in everything that a peer can tell.
    Hear(&'a Node),
    /// The link to a peer is gone.
    Unlink(usize, NodeSlot),
    /// The link to a peer is up, which brings this to the meeting, and tells at once where its clients look: both go before
    /// everything else on a link.
    Link(usize, NodeSlot, &'a (Meeting, LookedAt)),
    /// Another life begins, in this slot, from what the node that is given has durable; clients connect again at once.
    Restart(&'a Node, NodeSlot),
}

impl Act<'_> {
    pub fn word(&self) -> Word {
        match self {
            Act::Deliver => word_of(&"deliver"),
            Act::Append => word_of(&"append"),
            Act::Look => word_of(&"look"),
            Act::Expunge => word_of(&"expunge"),
            Act::Wait => word_of(&"wait"),
            Act::Bump => word_of(&"bump"),
            Act::Pause => word_of(&"pause"),
            Act::Hear(peer) => peer.told_word(),
            Act::Unlink(peer, slot) => word_of(&("unlink", peer, slot)),
            Act::Link(peer, slot, hello) => word_of(&("link", peer, slot, hello)),
            Act::Restart(disk, slot) => word_of(&("restart", disk.word(), slot)),
        }
    }
}

#[derive(Clone)]
pub struct Node {
    pub number: usize,
    pub replica: Replica<Image>,
    disk: Disk,
    /// How many lives there were before this one.
    lives: u8,
    /// Milliseconds since the start, as its clock shows them.
    clock: u64,
    pub looking: bool,
    /// What it can tell after its last commit.
    told: Arc<Told>,
    /// What peers were last heard to look at, and to say of this life.
    looks: BTreeMap<usize, LookedAt>,
    verdicts: BTreeMap<usize, Verdict>,
    heard: BTreeMap<NodeSlot, Timestamp>,
    words: Words,
}

/// Parts of a node in a word each, once somebody asked for them.
#[derive(Clone, Default)]
struct Words {
    all: OnceLock<Word>,
    state: OnceLock<Timed>,
    told: OnceLock<Word>,
    shown: OnceLock<Word>,
}

impl Node {
    /// The first life of a node.
    pub fn new(number: usize, clock: u64) -> Self {
        let author = author(number, slot(number), 0);
        let now = Millis(START + clock);
        let replica = Replica::start(Image::default(), author, Beginning::default(), now);
        Node::with(number, replica, Disk::default(), (0, clock))
    }

    fn with(number: usize, replica: Replica<Image>, disk: Disk, (lives, clock): (u8, u64)) -> Self {
        Node {
            number,
            replica,
            disk,
            lives,
            clock,
            looking: false,
            told: Arc::default(),
            looks: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            heard: BTreeMap::new(),
            words: Words::default(),
        }
    }

    pub fn slot(&self) -> NodeSlot {
        self.replica.author().slot
    }

    pub fn life(&self) -> Incarnation {
        self.replica.author().incarnation
    }

    fn now(&self) -> Millis {
        Millis(START + self.clock)
    }

    /// The account, once it is known here.
    pub fn alice(&self) -> Option<&Account> {
        self.replica.loaded().next()
    }

    /// What clients see of the mailbox.
    pub fn view(&self) -> Option<MailboxView> {
        Some(self.alice()?.view(inbox()))
    }

    pub fn first_visible(&self) -> Option<EntryId> {
        self.view()?.rows.at(0).map(|row| row.facts.entry)
    }

    /// When it has something to do that nobody asks for.
    pub fn waits_until(&self) -> Option<Millis> {
        self.replica.poll_timeout().or(self.replica.waits_until())
    }

    /// What it brings to a meeting, and where its clients look.
    pub fn hello(&self) -> (Meeting, LookedAt) {
        let meeting = Meeting { vector: self.replica.vector().clone(), heard: self.heard.clone() };
        (meeting, self.told.looks.clone())
    }

    /// What becomes of it; none where there is nothing to hear.
    pub fn after(&self, act: &Act<'_>) -> Option<Node> {
        let news = match act {
            Act::Hear(peer) => Some((*peer, self.news(peer)?)),
            _ => None,
        };
        let mut node = self.clone();
        node.replica.begin(node.now());
        match act {
            Act::Deliver => {
                node.replica.deliver(account(), inbox(), new_entry()).expect("delivered");
            }
            Act::Append => node.append(),
            Act::Look => node.look(),
            Act::Expunge => node.expunge(),
            Act::Bump => drop(node.replica.bump(account(), inbox()).expect("a UIDVALIDITY")),
            Act::Wait => {
                let until = node.waits_until().expect("a deadline");
                node.clock += until.0.saturating_sub(node.now().0);
                node.replica.begin(node.now());
            }
            Act::Pause => {
                node.clock += PAUSE;
                node.replica.begin(node.now());
                if !node.looking {
                    node.look();
                }
            }
            Act::Hear(_) => {
                let (peer, news) = news.expect("news");
                node.receive(peer, news);
            }
            Act::Unlink(peer, slot) => node.link(*peer, *slot, None),
            Act::Link(peer, slot, hello) => node.link(*peer, *slot, Some((*hello).clone())),
            Act::Restart(before, slot) => {
                return Some(node.restart(&before.disk.image(&before.replica), *slot));
            }
        }
        node.commit();
        Some(node)
    }

    /// The founder's own doings, before there is a world.
    pub fn prepare(&mut self, change: impl FnOnce(&mut Replica<Image>)) {
        change(&mut self.replica);
        self.commit();
    }

    fn append(&mut self) {
        let placed = self.replica.append(account(), inbox(), vec![new_entry()]).expect("appended");
        self.commit();
        let (entry, view) = (self.newest(), self.view().expect("alice"));
        let named = placed.1.first().and_then(|uid| view.rows.find(*uid)).map(|row| row.facts.entry);
        assert_eq!((Some(placed.0), Some(entry)), (view.validity, named), "an answer that is not true");
    }

    fn expunge(&mut self) {
        let entry = self.first_visible().expect("visible");
        let (add, deleted) = (FlagChange::Add, [Flag::Deleted]);
        let change = self.replica.change_flags(account(), inbox(), &[entry], add, &deleted, None);
        change.expect("stored");
        self.replica.expunge(account(), inbox(), &[entry]).expect("expunged");
    }

    fn look(&mut self) {
        self.looking = true;
        self.replica.look(account(), inbox()).expect("no disk");
    }

    fn restart(self, disk: &Disk, slot: NodeSlot) -> Node {
        let lives = self.lives + 1;
        let author = author(self.number, slot, lives);
        let mut replica = Replica::start(Image(Arc::new(disk.clone())), author, disk.beginning(), self.now());
        replica.account(account()).expect("no disk");
        let mut node = Node::with(self.number, replica, disk.clone(), (lives, self.clock));
        node.note(disk.announced.values());
        node.replica.set_heard(node.heard.clone());
        node.commit();
        if self.looking {
            node.look();
            node.commit();
        }
        node
    }

    /// Does what is due, and commits.
    fn commit(&mut self) {
        self.replica.handle_timeout();
        let commit = self.replica.commit();
        self.disk.write(&self.replica, &commit);
        self.note(commit.announcements.iter());
        self.told = Arc::new(self.telling());
        self.words = Words::default();
    }

    fn note<'a>(&mut self, announcements: impl Iterator<Item = &'a Announcement>) {
        for announcement in announcements {
            let at = self.heard.entry(announcement.slot()).or_default();
            *at = announcement.at.max(*at);
        }
    }

    fn telling(&self) -> Told {
        let lives = self.replica.cluster().lives().map(|(life, ..)| *life);
        let verdicts = lives.filter(|life| *life != self.life());
        Told {
            vector: self.replica.vector().clone(),
            hashes: self.disk.hashes.clone(),
            announced: self.disk.announced.clone(),
            looks: self.replica.looks().own(),
            verdicts: verdicts.filter_map(|life| Some((life, self.replica.judge(&life)?))).collect(),
        }
    }

    /// What is news here of what a peer can tell.
    fn news(&self, peer: &Node) -> Option<News> {
        let (own, told) = (self.life(), &peer.told);
        let mut records = Vec::new();
        let lives = told.vector.iter().map(|(life, _)| life).filter(|life| *life != own).collect();
        for life in peer.replica.cluster().in_order(&lives) {
            let (known, last) = (self.replica.vector().last(&life), told.vector.last(&life));
            if last > known {
                let missing = peer.disk.records.range((life, known.next())..=(life, last));
                let missing: Vec<_> = missing.map(|(_, record)| record.clone()).collect();
                assert_eq!(missing.len() as u64, last.0 - known.0, "records that were told");
                records.extend(missing);
            }
        }
        let newer = |announcement: &&Announcement| {
            let known = self.disk.announced.get(&(announcement.mailbox, announcement.slot()));
            known.is_none_or(|known| known.at < announcement.at)
        };
        let announcements: Vec<_> = told.announced.values().filter(newer).cloned().collect();
        let looks = self.looks.get(&peer.number);
        let changed = looks.map_or(!told.looks.is_empty(), |looks| *looks != told.looks);
        let looks = changed.then(|| told.looks.clone());
        let verdict = told.verdicts.get(&own).copied();
        let verdict = verdict.filter(|verdict| self.verdicts.get(&peer.number) != Some(verdict));
        let any = !records.is_empty() || !announcements.is_empty() || changed || verdict.is_some();
        any.then_some(News { records, announcements, looks, verdict })
    }

    fn receive(&mut self, peer: &Node, news: News) {
        let slot = peer.slot();
        if let Some(looks) = news.looks {
            self.replica.set_peer_looks(slot, Some(looks.clone()));
            self.looks.insert(peer.number, looks);
        }
        let contents = &peer.disk.contents;
        let read = news.records.iter().map(|record| (record.incarnation, record.sequence));
        let read = read.filter_map(|key| Some((key, contents.get(&key)?.clone())));
        Arc::make_mut(&mut self.disk.contents).extend(read);
        self.replica.apply(news.records, |_| true).expect("a delta of an honest node");
        self.note(news.announcements.iter());
        self.replica.hear(news.announcements).expect("no disk");
        self.replica.set_heard(self.heard.clone());
        if let Some(verdict) = news.verdict {
            self.replica.take_verdict(slot, verdict);
            self.verdicts.insert(peer.number, verdict);
        }
    }

    /// The link to a peer is gone, or up: then both tell first what they have, and where their clients look.
    fn link(&mut self, peer: usize, slot: NodeSlot, hello: Option<(Meeting, LookedAt)>) {
        let (meeting, looks) = hello.unzip();
        self.replica.meet(slot, meeting);
        self.replica.set_peer_looks(slot, looks.clone());
        // What peers said of this life is not said again.
        match looks {
            Some(looks) => drop(self.looks.insert(peer, looks)),
            None => drop(self.looks.remove(&peer)),
        }
    }

    /// What this life accepted last.
    pub fn newest(&self) -> EntryId {
        let own = self.alice().expect("alice").segments();
        let (segment, entries) =
            own.filter(|(segment, _)| segment.incarnation == self.life()).last().expect("a segment");
        let index = entries.iter().filter(|entry| entry.facts().is_some()).count() - 1;
        EntryId { segment: *segment, index: index as u16 }
    }

    /// A word for everything that its future depends on: its records and all.
    pub fn word(&self) -> Word {
        *self.words.all.get_or_init(|| word_of(&(self.state(), &*self.told.hashes)))
    }

    /// Everything that its future depends on, but for what its records are: those that all nodes have are never read again, and no
    /// record has the hash of another.
    pub fn state(&self) -> &Timed {
        let own = || (self.number, self.clock, self.looking, &self.looks, &self.verdicts, &self.heard);
        let Told { vector, hashes: _, announced, looks, verdicts } = &*self.told;
        let told = (self.slot(), vector, announced, looks, verdicts);
        self.words.state.get_or_init(|| Timed::of(&(&self.replica, own(), told)))
    }

    /// The last moment that is on its disk; whether all that it issues from now on follow each other from there: its clock does not
    /// get ahead of it, unless time passes.
    pub fn last_moment(&self) -> (Timestamp, bool) {
        let last = self.disk.last;
        (last, Timestamp::from_parts(self.now(), 0, self.slot()) <= last)
    }

    /// What its records after these say.
    pub fn contents_after(
        &self,
        vector: &Vector,
    ) -> impl Iterator<Item = (&(Incarnation, Sequence), &Timed)> {
        let lives: Vec<_> = self.replica.vector().iter().collect();
        lives.into_iter().flat_map(|(life, last)| {
            let known = vector.last(&life).min(last);
            self.disk
                .contents
                .range((life, known.next())..=(life, last.max(known.next())))
                .filter(move |((_, at), _)| *at <= last)
        })
    }

    /// A word for what peers can hear from it.
    fn told_word(&self) -> Word {
        let Told { vector, hashes, announced, looks, verdicts } = &*self.told;
        let told = || word_of(&(self.number, self.slot(), vector, hashes, announced, looks, verdicts));
        *self.words.told.get_or_init(told)
    }

    /// A word for what clients see, and who may have placed it.
    pub fn shown_word(&self) -> Word {
        let shown = || {
            let view = self.view()?;
            let epoch = self.alice()?.mailbox_state(&inbox()).and_then(|state| state.epoch());
            let rows: Vec<_> = view.rows.iter().map(|row| (row.uid, row.facts.entry)).collect();
            Some(word_of(&(self.number, view.validity, view.uid_next, view.highest_modseq, rows, epoch)))
        };
        *self.words.shown.get_or_init(|| shown().unwrap_or_default())
    }
}

/// The slot that a node begins with.
pub fn slot(number: usize) -> NodeSlot {
    NodeSlot::new(number as u8).expect("a slot")
}

fn author(number: usize, slot: NodeSlot, lives: u8) -> Author {
    Author { slot, incarnation: Incarnation([(number as u8 + 1) * 16 + lives; 16]) }
}

fn new_entry() -> NewEntry {
    NewEntry {
        body: BodyHash([7; 32]),
        size: 1,
        received: ReceivedAt::default(),
        flags: vec![],
        email: None,
        delivery: None,
    }
}
