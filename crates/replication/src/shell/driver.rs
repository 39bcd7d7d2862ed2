//! The task that owns the state machine: feeds it with what happens and does what it asks.

#![allow(clippy::disallowed_methods, reason = "shell: waits for deadlines")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crdt::identity::{BodyHash, NodeSlot};
use crdt::operation::Member;
use quinn::{Connection, Endpoint, VarInt};
use tokio::sync::{mpsc, watch};

use super::endpoint::{self, Reception};
use super::join::Host;
use super::link::LinkHandle;
use super::worker::Worker;
use super::{Clock, Command, Environment, Settings, StartError};
use crate::event::{BodyFailure, Departure, Event, LinkId, Output};
use crate::identity::NodeKey;
use crate::replicator::Replicator;
use crate::store::{BodySink, Store};
use crate::tls::Keys;

/// How many events from links may wait; a full queue holds the streams back.
const MOST_EVENTS: usize = 64;
/// How long a shutdown waits for the goodbyes to leave.
const GOODBYE_LIMIT: Duration = Duration::from_millis(500);

/// A connection whose handshake is done.
pub(super) struct Arrival {
    pub(super) slot: NodeSlot,
    pub(super) connection: Connection,
    pub(super) dialled: bool,
}

pub(super) struct Driver {
    replicator: Replicator,
    clock: Clock,
    environment: Arc<dyn Environment>,
    store: Arc<dyn Store>,
    key: Arc<NodeKey>,
    endpoint: Endpoint,
    address: SocketAddr,
    links: BTreeMap<LinkId, LinkHandle>,
    last_link: u64,
    attempts: BTreeMap<NodeSlot, usize>,
    log_reader: Worker,
    body_reader: Worker,
    body_writer: BodyWriter,
    /// Bounded: holds back the network.
    events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    /// Answers to what the state machine asked for; it bounds them itself.
    answers: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    arrivals: (mpsc::Sender<Arrival>, mpsc::Receiver<Arrival>),
    commands: mpsc::Receiver<Command>,
    changes: watch::Receiver<u64>,
    members: watch::Receiver<Arc<Vec<Member>>>,
}

impl Driver {
    pub(super) fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        commands: mpsc::Receiver<Command>,
    ) -> Result<Self, StartError> {
        let keys = Keys::new(store.members());
        let endpoint = endpoint::open(&settings, keys.clone())?;
        let address =
            endpoint.local_addr().map_err(|why| StartError::Socket { address: settings.listen, why })?;
        let environment = Arc::clone(&settings.environment);
        let worker = |name| environment.worker(name).map_err(StartError::Thread);
        let log_reader = worker("replication-log")?;
        let body_reader = worker("replication-read")?;
        let body_writer = BodyWriter::new(worker("replication-write")?, Arc::clone(&store));
        let arrivals = mpsc::channel(MOST_EVENTS);
        let host = settings
            .admission
            .map(|admission| Arc::new(Host::new(admission, Arc::clone(&store), log_reader.clone())));
        let reception = Reception { endpoint: endpoint.clone(), keys, arrivals: arrivals.0.clone(), host };
        let driver = Driver {
            replicator: Replicator::new(settings.identity, store.vector(), settings.seed),
            clock: Clock::new(Arc::clone(&environment)),
            environment,
            changes: store.changes(),
            members: store.members(),
            key: settings.key,
            endpoint,
            address,
            links: BTreeMap::new(),
            last_link: 0,
            attempts: BTreeMap::new(),
            log_reader,
            body_reader,
            body_writer,
            store,
            events: mpsc::channel(MOST_EVENTS),
            answers: mpsc::unbounded_channel(),
            arrivals,
            commands,
        };
        tokio::spawn(reception.run());
        Ok(driver)
    }

    pub(super) fn local_address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn run(mut self) {
        self.members_changed();
        self.store_changed();
        loop {
            let deadline = self.replicator.poll_timeout().map(|at| self.clock.instant(at));
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(Command::Status(answer)) => {
                        let _ = answer.send(self.replicator.status(self.clock.now()));
                    }
                    Some(Command::Shutdown(done)) => {
                        self.shut_down().await;
                        let _ = done.send(());
                        return;
                    }
                    None => return self.shut_down().await,
                },
                Some(answer) = self.answers.1.recv() => self.handle(answer),
                Ok(()) = self.members.changed() => self.members_changed(),
                Ok(()) = self.changes.changed() => self.store_changed(),
                Some(arrival) = self.arrivals.1.recv() => self.arrived(arrival),
                Some(event) = self.events.1.recv() => self.handle(event),
                () = until(deadline) => self.handle(Event::Timeout),
            }
        }
    }

    fn members_changed(&mut self) {
        let members = self.members.borrow_and_update().to_vec();
        self.handle(Event::Members(members));
    }

    fn store_changed(&mut self) {
        self.changes.mark_unchanged();
        self.handle(Event::NewLife(self.store.life()));
        self.handle(Event::Heard(self.store.heard()));
        self.handle(Event::Committed(self.store.vector()));
        self.handle(Event::Looks(self.store.looks()));
    }

    fn arrived(&mut self, Arrival { slot, connection, dialled }: Arrival) {
        self.last_link += 1;
        let link = LinkId(self.last_link);
        self.links.insert(link, LinkHandle::start(link, connection, self.events.0.clone()));
        self.handle(Event::Connected { slot, link, dialled });
    }

    async fn shut_down(&mut self) {
        self.handle(Event::Shutdown);
        self.endpoint.close(VarInt::from_u32(0), b"");
        let _ = tokio::time::timeout(GOODBYE_LIMIT, self.endpoint.wait_idle()).await;
    }

    fn handle(&mut self, event: Event) {
        if let Event::Disconnected { link, .. } = &event {
            self.links.remove(link);
        }
        self.replicator.handle(self.clock.now(), event);
        while let Some(output) = self.replicator.poll_output() {
            self.obey(output);
        }
    }

    fn obey(&mut self, output: Output) {
        match output {
            Output::Dial { slot, address, key } => self.dial(slot, address, key),
            Output::Send { link, frame } => {
                let Some(handle) = self.links.get(&link) else { return };
                if let Err(why) = handle.send(&frame) {
                    handle.close(&crate::event::Reason::Silent);
                    self.links.remove(&link);
                    let departure = Departure::Lost(why.to_string());
                    self.answer(Event::Disconnected { link, departure });
                }
            }
            Output::Disconnect { link, reason } => {
                if let Some(handle) = self.links.remove(&link) {
                    handle.close(&reason);
                }
            }
            Output::PeerLooks { slot, looks } => self.store.peer_looks(slot, looks),
            Output::Apply { link, records } => {
                let answers = self.answers.0.clone();
                let answer = move |result| drop(answers.send(Event::Applied { link, result }));
                self.store.apply_delta(records, Box::new(answer));
            }
            Output::ReadDelta { link, after, limit } => {
                self.read_log(move |store| Event::DeltaRead {
                    link,
                    records: store.delta_since(&after, limit),
                });
            }
            Output::ReadNotices { link, after, limit } => {
                self.read_log(move |store| Event::NoticesRead {
                    link,
                    tellings: store.notices_since(&after, limit),
                });
            }
            Output::Keep { link, tellings } => {
                let answers = self.answers.0.clone();
                let answer = move |result| drop(answers.send(Event::Kept { link, result }));
                self.store.keep_notices(tellings, Box::new(answer));
            }
            Output::Met { slot, meeting } => self.store.met(slot, meeting),
            Output::Judge { link, life } => {
                let answers = self.answers.0.clone();
                let answer = move |verdict| drop(answers.send(Event::Judged { link, life, verdict }));
                self.store.judge(life, Box::new(answer));
            }
            Output::Verdict { slot, life, verdict } => self.store.take_verdict(slot, life, verdict),
            Output::ReadWanted { limit } => {
                self.read_bodies(move |store| Event::WantedRead(store.wanted_bodies(limit)));
            }
            Output::ReadBody { link, hash, offset, length } => self.read_bodies(move |store| {
                let piece = store.read_body(&hash, offset, length);
                Event::BodyRead { link, hash, offset, piece }
            }),
            Output::WriteBody { hash, bytes } => self.body_writer.write(hash, bytes, self.answers.0.clone()),
            Output::FinishBody { hash } => self.body_writer.finish(hash, self.answers.0.clone()),
            Output::AbandonBody { hash } => self.body_writer.abandon(hash),
        }
    }

    fn dial(&mut self, slot: NodeSlot, address: String, expected: [u8; 32]) {
        let attempt = self.attempts.entry(slot).or_default();
        *attempt = attempt.wrapping_add(1);
        let attempt = *attempt;
        let (endpoint, key) = (self.endpoint.clone(), Arc::clone(&self.key));
        let environment = Arc::clone(&self.environment);
        let (arrivals, answers) = (self.arrivals.0.clone(), self.answers.0.clone());
        tokio::spawn(async move {
            match endpoint::dial(environment.as_ref(), &endpoint, &key, &address, expected, attempt).await {
                Ok(connection) => drop(arrivals.send(endpoint::arrival(connection, slot)).await),
                Err(why) => drop(answers.send(Event::DialFailed { slot, why })),
            }
        });
    }

    /// Queues an event for this very task.
    fn answer(&self, event: Event) {
        // The receiver is our own: it is there as long as we are.
        let _ = self.answers.0.send(event);
    }

    fn read_log(&self, read: impl FnOnce(&dyn Store) -> Event + Send + 'static) {
        let (store, answers) = (Arc::clone(&self.store), self.answers.0.clone());
        self.log_reader.give(move || drop(answers.send(read(store.as_ref()))));
    }

    fn read_bodies(&self, read: impl FnOnce(&dyn Store) -> Event + Send + 'static) {
        let (store, answers) = (Arc::clone(&self.store), self.answers.0.clone());
        self.body_reader.give(move || drop(answers.send(read(store.as_ref()))));
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Else the task that answers callers would keep the socket open.
        self.endpoint.close(VarInt::from_u32(0), b"");
    }
}

/// Waits until then; for ever without a deadline.
async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// A worker with the bodies that are being fetched.
struct BodyWriter {
    worker: Worker,
    staged: Arc<std::sync::Mutex<BTreeMap<BodyHash, Staged>>>,
    store: Arc<dyn Store>,
}

/// A body under way, or why it cannot be written.
type Staged = Result<Box<dyn BodySink>, String>;

impl BodyWriter {
    fn new(worker: Worker, store: Arc<dyn Store>) -> Self {
        BodyWriter { worker, staged: Arc::default(), store }
    }

    fn write(&self, hash: BodyHash, octets: Vec<u8>, answers: mpsc::UnboundedSender<Event>) {
        let store = Arc::clone(&self.store);
        self.with_staged(move |staged| {
            let sink = staged.entry(hash).or_insert_with(|| Ok(store.body_sink()));
            if let Ok(open) = sink
                && let Err(why) = open.write(&octets)
            {
                *sink = Err(why);
            }
            let _ = answers.send(Event::BodyWritten { length: octets.len() as u64 });
        });
    }

    fn finish(&self, hash: BodyHash, answers: mpsc::UnboundedSender<Event>) {
        self.with_staged(move |staged| {
            let answer = move |result| drop(answers.send(Event::BodyStored { hash, result }));
            match staged.remove(&hash) {
                Some(Ok(sink)) => sink.finish(hash, Box::new(answer)),
                Some(Err(why)) => answer(Err(BodyFailure::Store(why))),
                None => answer(Err(BodyFailure::Store("nothing of it was written".into()))),
            }
        });
    }

    fn abandon(&self, hash: BodyHash) {
        self.with_staged(move |staged| drop(staged.remove(&hash)));
    }

    fn with_staged(&self, job: impl FnOnce(&mut BTreeMap<BodyHash, Staged>) + Send + 'static) {
        let staged = Arc::clone(&self.staged);
        // Only this one worker takes the lock: it is never waited for.
        self.worker.give(move || job(&mut staged.lock().unwrap_or_else(std::sync::PoisonError::into_inner)));
    }
}
