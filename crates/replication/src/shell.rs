//! Drives a [`crate::Replicator`] over QUIC: sockets, clocks, names and threads, all of them from an [`Environment`].

#![allow(clippy::disallowed_methods, reason = "shell: reads the steady clock for the core")]

mod driver;
mod endpoint;
mod environment;
mod join;
mod link;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crdt::clock::Millis;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::event::Now;
use crate::identity::NodeKey;
use crate::join::Admission;
use crate::replicator::Identity;
use crate::status::Status;
use crate::store::Store;

pub use environment::{Environment, Machine, Resolving};
pub use join::{JoinError, Joining, Progress, join};
pub use worker::Worker;

/// What a node needs to replicate.
pub struct Settings {
    /// Who it is.
    pub identity: Identity,
    /// Its key.
    pub key: Arc<NodeKey>,
    /// The address of the UDP socket; port 0 takes a free one.
    pub listen: SocketAddr,
    /// For the random part of waiting times.
    pub seed: u64,
    /// Admits new members; `None`: nobody can join here.
    pub admission: Option<Arc<dyn Admission>>,
    /// The machine around it.
    pub environment: Arc<dyn Environment>,
}

/// Why replication could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The socket could not be opened.
    #[error("[cluster] listen: the UDP address {address} cannot be opened: {why}; is another node running?")]
    Socket {
        /// The address.
        address: SocketAddr,
        /// Why.
        why: io::Error,
    },
    /// The key of the node cannot be used.
    #[error("the key of the node cannot be used for links: {0}")]
    Key(#[from] rustls::Error),
    /// The key's algorithms do not suit QUIC.
    #[error("the key of the node cannot be used for QUIC: {0}")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    /// A thread could not be started.
    #[error("a thread of replication could not be started: {0}")]
    Thread(io::Error),
}

/// Replication under way. Dropped, it ends without a goodbye.
pub struct Replication {
    address: SocketAddr,
    commands: mpsc::Sender<Command>,
    driver: JoinHandle<()>,
}

enum Command {
    Status(oneshot::Sender<Status>),
    Shutdown(oneshot::Sender<()>),
}

impl Replication {
    /// Opens the socket and begins to dial and to answer. Must be called inside a tokio runtime.
    pub fn start(settings: Settings, store: Arc<dyn Store>) -> Result<Replication, StartError> {
        let (commands, inbox) = mpsc::channel(16);
        let driver = driver::Driver::new(settings, store, inbox)?;
        let address = driver.local_address();
        Ok(Replication { address, commands, driver: tokio::spawn(driver.run()) })
    }

    /// The address of the socket.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// How things stand; empty once replication has ended.
    pub async fn status(&self) -> Status {
        let (answer, status) = oneshot::channel();
        let asked = self.commands.send(Command::Status(answer)).await;
        if asked.is_err() { Status::default() } else { status.await.unwrap_or_default() }
    }

    /// Says goodbye to every peer and ends.
    pub async fn shutdown(mut self) {
        let (done, ended) = oneshot::channel();
        if self.commands.send(Command::Shutdown(done)).await.is_ok() {
            let _ = ended.await;
        }
        // The driver ends by itself after it has answered.
        let _ = (&mut self.driver).await;
    }
}

impl Drop for Replication {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Reads the two clocks.
struct Clock {
    start: Instant,
    environment: Arc<dyn Environment>,
}

impl Clock {
    fn new(environment: Arc<dyn Environment>) -> Self {
        Clock { start: Instant::now(), environment }
    }

    fn now(&self) -> Now {
        Now { steady: milliseconds(self.start.elapsed()), wall: self.environment.wall() }
    }

    /// The moment at which the steady clock shows this.
    fn instant(&self, steady: Millis) -> Instant {
        self.start + std::time::Duration::from_millis(steady.0)
    }
}

fn milliseconds(duration: std::time::Duration) -> Millis {
    Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
