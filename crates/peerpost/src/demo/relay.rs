//! The line between the two nodes: a UDP relay that can be cut.
//!
//! Each node advertises an address of the relay. What arrives there is sent on to the node, from a socket of its own for
//! each sender, and what the node answers goes the same way back.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::failure::Failure;

const LARGEST_DATAGRAM: usize = 65_536;
/// Senders that one node can have: its peer, and commands of its peer.
const MOST_SENDERS: usize = 64;

/// The relay; it ends when it is dropped.
pub struct Relay {
    fronts: [SocketAddr; 2],
    cut: Arc<AtomicBool>,
    _tasks: JoinSet<io::Result<()>>,
}

impl Relay {
    /// A relay in front of two nodes that listen at these addresses.
    pub async fn start(nodes: [SocketAddr; 2]) -> Result<Self, Failure> {
        let cut = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let mut fronts = nodes;
        for (front, node) in fronts.iter_mut().zip(nodes) {
            let failed = || Failure::of::<io::Error>("cannot open a UDP socket on loopback");
            let socket = open().await.map_err(failed())?;
            *front = socket.local_addr().map_err(failed())?;
            tasks.spawn(carry(Arc::new(socket), node, Arc::clone(&cut)));
        }
        Ok(Relay { fronts, cut, _tasks: tasks })
    }

    /// What each node advertises.
    pub fn fronts(&self) -> [SocketAddr; 2] {
        self.fronts
    }

    /// From now on nothing gets through.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// From now on everything gets through.
    pub fn mend(&self) {
        self.cut.store(false, Ordering::Relaxed);
    }
}

async fn open() -> io::Result<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// Everything that others send to one node, and its answers.
async fn carry(front: Arc<UdpSocket>, node: SocketAddr, cut: Arc<AtomicBool>) -> io::Result<()> {
    let mut ways: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
    let mut answers = JoinSet::new();
    let mut buffer = vec![0; LARGEST_DATAGRAM];
    loop {
        let (length, source) = front.recv_from(&mut buffer).await?;
        if !ways.contains_key(&source) && ways.len() < MOST_SENDERS {
            let way = Arc::new(open().await?);
            answers.spawn(carry_back(Arc::clone(&way), Arc::clone(&front), source, Arc::clone(&cut)));
            ways.insert(source, way);
        }
        if let Some(way) = ways.get(&source).filter(|_| !cut.load(Ordering::Relaxed)) {
            // A node that is down refuses; to the sender that is a lost datagram.
            let _ = way.send_to(buffer.get(..length).unwrap_or_default(), node).await;
        }
    }
}

async fn carry_back(way: Arc<UdpSocket>, front: Arc<UdpSocket>, source: SocketAddr, cut: Arc<AtomicBool>) {
    let mut buffer = vec![0; LARGEST_DATAGRAM];
    loop {
        // A refusal by a node that is down arrives here; the next datagram may find it up.
        let Ok((length, _)) = way.recv_from(&mut buffer).await else { continue };
        if !cut.load(Ordering::Relaxed) {
            let _ = front.send_to(buffer.get(..length).unwrap_or_default(), source).await;
        }
    }
}
