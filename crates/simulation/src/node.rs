//! One node: its disk, and, while it runs, one life of it with everything that a process holds in memory.

mod contents;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crdt::clock::Millis;
use crdt::identity::{AccountId, BodyHash, Incarnation, NodeSlot};
use crdt::notice::Heard;
use crdt::operation::Member;
use crdt::placement::looks::LookedAt;
use crdt::record::Record;
use crdt::vector::Vector;
use mailstore::identity::NodeIdentity;
use mailstore::inline::{self, Inline};
use mailstore::{BodyWriter, Mailstore, Reply, Request, RequestError};
use replication::event::{BodyFailure, Event, Now, Output, Piece};
use replication::frame::ClusterId;
use replication::{Identity, Replicator};
use storage::{SimulatedDisk, Storage};

use crate::chance::Chance;
use crate::ledger::Memory;
pub(crate) use contents::Contents;

/// The wall clock of a node without skew at the beginning of a simulation.
const EPOCH: u64 = 1_790_000_000_000;
const CLUSTER: [u8; 16] = [7; 16];
/// How often the committer is run, at most, to answer one question in line.
const MOST_ROUNDS: usize = 8;

/// Something that the committer answered.
pub(crate) enum Answer {
    Client { client: usize, ticket: u64, result: Result<Reply, RequestError> },
    Replication(Event),
}

/// What the committer answered and nobody has read yet.
#[derive(Clone, Default)]
pub(crate) struct Answers(Arc<Mutex<VecDeque<Answer>>>);

impl Answers {
    pub(crate) fn push(&self, answer: Answer) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
    }

    pub(crate) fn take(&self) -> VecDeque<Answer> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) struct Node {
    pub(crate) number: usize,
    /// Its slot, once an invitation named it; after a rollback another member gives it another one.
    pub(crate) slot: Option<NodeSlot>,
    /// All the slots that it ever had.
    pub(crate) slots: BTreeSet<NodeSlot>,
    /// Whether it is a member that has fetched what it needs to serve.
    pub(crate) joined: bool,
    pub(crate) disk: SimulatedDisk,
    /// Whether the disk has little room at present.
    pub(crate) is_full: bool,
    /// How many lives it has had.
    pub(crate) lives: u64,
    pub(crate) life: Option<Life>,
    /// Milliseconds that its wall clock is ahead.
    pub(crate) skew: i64,
    /// What the disk once held: a copy that somebody may put back. Kept where disks are put back at all.
    pub(crate) backup: Option<Backup>,
    /// How often its disk was put back: what clients were told before then is no memory of this disk.
    pub(crate) put_back: u32,
    /// Whether it was declared dead although it lives: the others never speak to it again.
    pub(crate) removed: bool,
    /// When its present life began.
    pub(crate) started: Millis,
    /// Whether it is lost for good, its disk included.
    pub(crate) gone: bool,
    chance: Chance,
}

/// A copy of a disk, and what its node had told clients then.
pub(crate) struct Backup {
    pub(crate) disk: SimulatedDisk,
    pub(crate) memory: Memory,
}

/// A running process.
pub(crate) struct Life {
    pub(crate) store: Mailstore,
    pub(crate) inline: Inline,
    pub(crate) replicator: Replicator,
    pub(crate) answers: Answers,
    /// When the committer takes up what was asked for.
    pub(crate) commit_at: Option<Millis>,
    told: Told,
    staged: BTreeMap<BodyHash, Result<BodyWriter, String>>,
}

/// What replication was told of the store.
#[derive(Default)]
struct Told {
    vector: Vector,
    heard: Heard,
    life: Option<Incarnation>,
    looks: LookedAt,
    members: Vec<Member>,
}

impl Node {
    /// A node whose wall clock is off by up to `skew` milliseconds.
    pub(crate) fn new(number: usize, skew: u64, mut chance: Chance) -> Self {
        let skew = chance.between(0, 2 * skew).cast_signed() - skew.cast_signed();
        let disk = SimulatedDisk::new();
        Node {
            number,
            slot: None,
            slots: BTreeSet::new(),
            joined: false,
            disk,
            is_full: false,
            lives: 0,
            life: None,
            skew,
            backup: None,
            put_back: 0,
            removed: false,
            started: Millis(0),
            gone: false,
            chance,
        }
    }

    /// This node's wall clock.
    pub(crate) fn wall(&self, now: Millis) -> Millis {
        Millis((EPOCH + now.0).saturating_add_signed(self.skew))
    }

    /// When this node's wall clock will show this.
    pub(crate) fn when(&self, wall: Millis) -> Millis {
        Millis(wall.0.saturating_add_signed(-self.skew).saturating_sub(EPOCH))
    }

    pub(crate) fn clocks(&self, now: Millis) -> Now {
        Now { steady: now, wall: self.wall(now) }
    }

    /// Starts the next life on what the disk holds.
    pub(crate) fn start(&mut self, now: Millis) -> Result<(), String> {
        self.life = Some(self.open(now)?);
        self.started = now;
        Ok(())
    }

    /// A process over what the disk holds.
    pub(crate) fn open(&mut self, now: Millis) -> Result<Life, String> {
        self.lives += 1;
        let mut names = self.chance.branch();
        let seed = self.chance.next();
        let storage = Storage::open(Arc::new(self.disk.clone())).map_err(|error| error.to_string())?;
        let identity = self.identity(&storage)?;
        let slot = identity.slot;
        self.settle_in(slot);
        let entropy = Box::new(move || names.octets());
        let (store, inline) = inline::open(Arc::new(storage), identity, entropy, self.wall(now))
            .map_err(|error| error.to_string())?;
        let identity = Identity { cluster: ClusterId(CLUSTER), slot, incarnation: store.incarnation() };
        let replicator = Replicator::new(identity, store.vector(), seed);
        Ok(Life {
            store,
            inline,
            replicator,
            answers: Answers::default(),
            commit_at: None,
            told: Told::default(),
            staged: BTreeMap::new(),
        })
    }

    /// The node lives in this slot from now on.
    pub(crate) fn settle_in(&mut self, slot: NodeSlot) {
        self.slot = Some(slot);
        self.slots.insert(slot);
    }

    /// Who the disk says that the node is; a new disk is told.
    fn identity(&self, storage: &Storage) -> Result<NodeIdentity, String> {
        if let Some(identity) = NodeIdentity::read(storage).map_err(|error| error.to_string())? {
            return Ok(identity);
        }
        let slot = self.slot.ok_or("it has no slot yet")?;
        let identity = NodeIdentity { cluster: CLUSTER, slot, name: format!("n{}", self.number) };
        identity.write(storage).map_err(|error| error.to_string())?;
        Ok(identity)
    }

    /// This node as the others know it. Its address is its number.
    pub(crate) fn member(&self) -> Option<Member> {
        let name = format!("n{}", self.number);
        Some(Member { slot: self.slot?, name, key: self.key(), advertise: self.number.to_string() })
    }

    /// Its key, by which others know it in whatever slot it is.
    pub(crate) fn key(&self) -> [u8; 32] {
        [u8::try_from(self.number).unwrap_or(u8::MAX); 32]
    }

    /// Whether the others speak to it, or will when it is back.
    pub(crate) fn is_member(&self) -> bool {
        !self.gone && !self.removed
    }

    /// What the node has, durably.
    pub(crate) fn contents(&self) -> Result<Contents, String> {
        match &self.life {
            Some(life) => Contents::read(Arc::clone(life.store.storage())),
            None => Contents::of_disk(&self.disk),
        }
    }

    /// When there is something to do that no event brings, and what.
    pub(crate) fn poll_timeout(&self) -> Option<(Millis, Due)> {
        let life = self.life.as_ref()?;
        let replication = life.replicator.poll_timeout().map(|at| (at, Due::Replication));
        let own = life.inline.poll_timeout().map(|wall| self.when(wall));
        let commit = life.commit_at.into_iter().chain(own).min().map(|at| (at, Due::Commit));
        replication.into_iter().chain(commit).min()
    }

    /// Opens the mailboxes of an account, as a login does.
    pub(crate) fn open_account(&mut self, now: Millis, account: AccountId) -> Result<(), String> {
        let wall = self.wall(now);
        let Some(life) = &mut self.life else { return Ok(()) };
        let store = life.store.clone();
        life.ask(wall, store.opened_account(account)).map(|_| ())
    }
}

/// What is due at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Replication,
    Commit,
}

impl Life {
    /// Asks the store and runs the committer until it has answered.
    pub(crate) fn ask<T, E: std::fmt::Display>(
        &mut self,
        wall: Millis,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        let mut question = pin!(question);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..MOST_ROUNDS {
            if let Poll::Ready(answer) = question.as_mut().poll(&mut context) {
                return answer.map_err(|error| error.to_string());
            }
            self.inline.run(wall);
        }
        Err("the store does not answer".into())
    }

    /// Applies records at once.
    pub(crate) fn apply(&mut self, wall: Millis, records: Vec<Record>) -> Result<(), String> {
        let applied = Arc::new(Mutex::new(Err("the store does not answer".to_owned())));
        let outcome = Arc::clone(&applied);
        self.store.apply_delta(records, move |result| {
            let result = result.map(|_| ()).map_err(|error| error.to_string());
            *outcome.lock().unwrap_or_else(PoisonError::into_inner) = result;
        });
        self.inline.run(wall);
        let result = applied.lock().unwrap_or_else(PoisonError::into_inner);
        result.clone()
    }

    /// Leaves a client's request with the store.
    pub(crate) fn submit(&self, client: usize, ticket: u64, request: Request) {
        let answers = self.answers.clone();
        self.store.submit(request, move |result| answers.push(Answer::Client { client, ticket, result }));
    }

    /// What replication has to be told since the store changed.
    pub(crate) fn news(&mut self) -> Vec<Event> {
        let mut news = Vec::new();
        let members = self.store.members().borrow().to_vec();
        if members != self.told.members {
            news.push(Event::Members(members.clone()));
            self.told.members = members;
        }
        let vector = self.store.vector();
        if vector != self.told.vector {
            news.push(Event::Committed(vector.clone()));
            self.told.vector = vector;
        }
        let heard = self.store.heard();
        if heard != self.told.heard {
            news.push(Event::Heard(heard.clone()));
            self.told.heard = heard;
        }
        let life = Some(self.store.incarnation());
        if life != self.told.life {
            news.extend(life.map(Event::NewLife));
            self.told.life = life;
        }
        let looks = self.store.looks();
        if *looks != self.told.looks {
            news.push(Event::Looks(looks.as_ref().clone()));
            self.told.looks = looks.as_ref().clone();
        }
        news
    }

    /// Does what replication asks of the store; gives what can be answered at once.
    pub(crate) fn obey(&mut self, output: Output) -> Option<Event> {
        match output {
            Output::ReadDelta { link, after, limit } => {
                let records = self.store.delta_since(&after, limit).map_err(|error| error.to_string());
                Some(Event::DeltaRead { link, records })
            }
            Output::Apply { link, records } => {
                let (answers, store) = (self.answers.clone(), self.store.clone());
                self.store.apply_delta(records, move |result| {
                    let result = result.map(|_| store.vector()).map_err(|error| error.to_string());
                    answers.push(Answer::Replication(Event::Applied { link, result }));
                });
                None
            }
            Output::ReadNotices { link, after, limit } => {
                let tellings = self.store.notices_since(&after, limit).map_err(|error| error.to_string());
                Some(Event::NoticesRead { link, tellings })
            }
            Output::Keep { link, tellings } => {
                let (answers, store) = (self.answers.clone(), self.store.clone());
                self.store.hear(tellings, move |result| {
                    let result = result.map(|()| store.heard()).map_err(|error| error.to_string());
                    answers.push(Answer::Replication(Event::Kept { link, result }));
                });
                None
            }
            Output::Met { slot, meeting } => {
                self.store.met(slot, meeting);
                None
            }
            Output::Judge { link, life } => {
                let answers = self.answers.clone();
                self.store.judge(life, move |verdict| {
                    let verdict = verdict.ok().flatten();
                    answers.push(Answer::Replication(Event::Judged { link, life, verdict }));
                });
                None
            }
            Output::Verdict { slot, life, verdict } => {
                self.store.take_verdict(slot, life, verdict);
                None
            }
            Output::ReadWanted { limit } => {
                Some(Event::WantedRead(self.store.wanted_bodies(limit).map_err(|error| error.to_string())))
            }
            Output::ReadBody { link, hash, offset, length } => {
                Some(Event::BodyRead { link, hash, offset, piece: self.read_body(&hash, offset, length) })
            }
            Output::WriteBody { hash, bytes } => {
                let staged = self.staged.entry(hash).or_insert_with(|| Ok(self.store.body_writer()));
                if let Ok(writer) = staged
                    && let Err(why) = writer.write(&bytes)
                {
                    *staged = Err(why.to_string());
                }
                Some(Event::BodyWritten { length: bytes.len() as u64 })
            }
            Output::FinishBody { hash } => {
                self.finish_body(hash).err().map(|why| Event::BodyStored { hash, result: Err(why) })
            }
            Output::AbandonBody { hash } => {
                self.staged.remove(&hash);
                None
            }
            Output::PeerLooks { slot, looks } => {
                self.store.peer_looks(slot, looks);
                None
            }
            Output::Dial { .. } | Output::Send { .. } | Output::Disconnect { .. } => None,
        }
    }

    fn read_body(&self, hash: &BodyHash, offset: u64, length: u64) -> Result<Option<Piece>, String> {
        let Some(body) = self.store.find_body(hash).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let bytes = body.read(offset..offset.saturating_add(length)).map_err(|error| error.to_string())?;
        Ok(Some(Piece { total: body.len(), bytes }))
    }

    fn finish_body(&mut self, hash: BodyHash) -> Result<(), BodyFailure> {
        let writer = self.staged.remove(&hash).unwrap_or_else(|| Err("nothing of it was written".into()));
        let staged = writer
            .and_then(|writer| writer.finish().map_err(|error| error.to_string()))
            .map_err(BodyFailure::Store)?;
        if staged.hash().as_bytes() != &hash.0 {
            return Err(BodyFailure::WrongHash);
        }
        let answers = self.answers.clone();
        self.store.add_body(staged, move |result| {
            let result = result.map_err(|error| BodyFailure::Store(error.to_string()));
            answers.push(Answer::Replication(Event::BodyStored { hash, result }));
        });
        Ok(())
    }
}
