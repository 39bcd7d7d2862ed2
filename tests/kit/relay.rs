//! A UDP relay between nodes that delays, loses and cuts.
//!
//! Every node advertises an address of the relay. What arrives there is sent on to the node from a socket of its own for
//! each sender, and what the node answers goes the same way back. A datagram's fate depends on the pair of nodes it travels
//! between, on the relay's settings for that direction and on a seeded sequence of numbers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::ports::free_address;
use super::random::Random;

const LARGEST_DATAGRAM: usize = 65_536;
/// Datagrams on their way at the same time; more are lost, as on a full link.
const MOST_QUEUED: usize = 20_000;
/// How often a waiting thread looks whether the relay has ended.
const TICK: Duration = Duration::from_millis(50);

/// Stands for whoever dials from a port that no node listens at.
const JOINER: usize = usize::MAX;

/// What happens to datagrams in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Direction {
    pub delay: Duration,
    /// Up to this much is added to the delay, so that datagrams overtake each other.
    pub jitter: Duration,
    /// Lost of a thousand.
    pub loss_per_mille: u32,
    pub cut: bool,
}

/// The relay of a cluster. Its threads end when it is dropped.
pub struct Relay {
    shared: Arc<Shared>,
}

struct Shared {
    nodes: Vec<Endpoint>,
    state: Mutex<State>,
    more: Condvar,
    ended: AtomicBool,
}

struct Endpoint {
    /// Where the node itself listens, and sends from.
    node: SocketAddr,
    /// What the node advertises.
    front: Arc<UdpSocket>,
}

struct State {
    directions: BTreeMap<(usize, usize), Direction>,
    random: Random,
    sequence: u64,
    queue: BinaryHeap<Reverse<Datagram>>,
}

/// Ordered by the first two fields; the sequence is unique.
struct Datagram {
    due: Instant,
    sequence: u64,
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl PartialEq for Datagram {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Datagram {}

impl PartialOrd for Datagram {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Datagram {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.sequence).cmp(&(other.due, other.sequence))
    }
}

impl Relay {
    /// A relay in front of the nodes that listen at these addresses; it starts without any fault.
    pub fn new(nodes: &[SocketAddr], seed: u64) -> Self {
        let endpoint = |node: &SocketAddr| Endpoint {
            node: *node,
            front: Arc::new(listening(UdpSocket::bind(free_address()).unwrap())),
        };
        let state = State {
            directions: BTreeMap::new(),
            random: Random::new(seed),
            sequence: 0,
            queue: BinaryHeap::new(),
        };
        let shared = Arc::new(Shared {
            nodes: nodes.iter().map(endpoint).collect(),
            state: Mutex::new(state),
            more: Condvar::new(),
            ended: AtomicBool::new(false),
        });
        let sender = Arc::clone(&shared);
        thread::spawn(move || sender.send_when_due());
        for node in 0..nodes.len() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.receive_at_front(node));
        }
        Self { shared }
    }

    /// What the node advertises.
    pub fn front(&self, node: usize) -> SocketAddr {
        self.shared.nodes[node].front.local_addr().unwrap()
    }

    /// Sets one direction.
    pub fn set(&self, from: usize, to: usize, direction: Direction) {
        self.shared.lock().directions.insert((from, to), direction);
    }

    /// Sets both directions between two nodes.
    pub fn set_both(&self, one: usize, other: usize, direction: Direction) {
        self.set(one, other, direction);
        self.set(other, one, direction);
    }

    /// Cuts both directions.
    pub fn cut(&self, one: usize, other: usize) {
        self.set_both(one, other, Direction { cut: true, ..Direction::default() });
    }

    /// Lets nothing through one way; the other way stays as it is.
    pub fn cut_one_way(&self, from: usize, to: usize) {
        self.set(from, to, Direction { cut: true, ..Direction::default() });
    }

    /// Takes every fault away.
    pub fn heal(&self, one: usize, other: usize) {
        self.set_both(one, other, Direction::default());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.shared.more.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Everything that other nodes send to this one.
    fn receive_at_front(self: Arc<Self>, node: usize) {
        let mut ways_back: BTreeMap<SocketAddr, (usize, Arc<UdpSocket>)> = BTreeMap::new();
        let front = Arc::clone(&self.nodes[node].front);
        let mut buffer = vec![0; LARGEST_DATAGRAM];
        while !self.ended() {
            let Ok((length, source)) = front.recv_from(&mut buffer) else { continue };
            let (sender, socket) =
                ways_back.entry(source).or_insert_with(|| self.open_way_back(node, source)).clone();
            self.forward(sender, node, socket, self.nodes[node].node, &buffer[..length]);
        }
    }

    /// A socket that stands for one sender towards the node, and a thread that carries the answers.
    fn open_way_back(self: &Arc<Self>, node: usize, source: SocketAddr) -> (usize, Arc<UdpSocket>) {
        let sender = self.nodes.iter().position(|endpoint| endpoint.node == source);
        // Of two nodes it can only be the other one, whatever port it dials from. Of more, it is none that serves: those dial
        // from where they listen. It is on its way to join.
        let other = (self.nodes.len() == 2).then_some(1 - node.min(1));
        let sender = sender.or(other).unwrap_or(JOINER);
        let socket = Arc::new(listening(UdpSocket::bind("127.0.0.1:0").unwrap()));
        let (shared, answers) = (Arc::clone(self), Arc::clone(&socket));
        thread::spawn(move || {
            let front = Arc::clone(&shared.nodes[node].front);
            let mut buffer = vec![0; LARGEST_DATAGRAM];
            while !shared.ended() {
                let Ok((length, _)) = answers.recv_from(&mut buffer) else { continue };
                shared.forward(node, sender, Arc::clone(&front), source, &buffer[..length]);
            }
        });
        (sender, socket)
    }

    /// Decides over one datagram.
    fn forward(&self, from: usize, to: usize, socket: Arc<UdpSocket>, address: SocketAddr, bytes: &[u8]) {
        let mut state = self.lock();
        let direction = state.directions.get(&(from, to)).copied().unwrap_or_default();
        let lost = state.random.next() % 1000 < u64::from(direction.loss_per_mille);
        let jitter_micros = direction.jitter.as_micros() as u64;
        let jitter = Duration::from_micros(state.random.next() % (jitter_micros + 1));
        if direction.cut || lost || state.queue.len() >= MOST_QUEUED {
            return;
        }
        state.sequence += 1;
        let (due, sequence) = (Instant::now() + direction.delay + jitter, state.sequence);
        state.queue.push(Reverse(Datagram { due, sequence, socket, to: address, bytes: bytes.to_vec() }));
        self.more.notify_all();
    }

    fn send_when_due(&self) {
        let mut state = self.lock();
        while !self.ended() {
            let now = Instant::now();
            let wait = match state.queue.peek() {
                Some(Reverse(first)) if first.due <= now => {
                    if let Some(Reverse(datagram)) = state.queue.pop() {
                        // A node that is down refuses; to the sender that is a lost datagram.
                        drop(datagram.socket.send_to(&datagram.bytes, datagram.to));
                    }
                    continue;
                }
                Some(Reverse(first)) => (first.due - now).min(TICK),
                None => TICK,
            };
            state = self.more.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn listening(socket: UdpSocket) -> UdpSocket {
    socket.set_read_timeout(Some(TICK)).unwrap();
    socket
}
