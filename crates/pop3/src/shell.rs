//! Sockets, TLS, time and tasks around [`crate::session::Session`].
#![allow(clippy::disallowed_methods, reason = "shell: reads the clock and waits for the sessions")]

mod connection;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use auth::plaintext::PlaintextPasswords;
use auth::shell::Authenticator;
use mailstore::Mailstore;
use mailstore::crdt::clock::Millis;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::lengths::Lengths;
use crate::session::SessionConfig;
use connection::{Connection, Served};

/// How long sessions have to end once the node goes down.
pub const GRACE: Duration = Duration::from_secs(5);
/// How long a listener waits after it could not accept, for instance because no file descriptor was left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// What a client hears that is one too many.
const TOO_MANY: &[u8] = b"-ERR [SYS/TEMP] Too many connections; close some or try again later\r\n";

/// What an operator decides about the connections.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What concerns the session.
    pub session: Arc<SessionConfig>,
    /// What logins need.
    pub auth: auth::shell::Settings,
    /// Where passwords may cross without TLS.
    pub plaintext: PlaintextPasswords,
    /// The most connections at the same time, all listeners together.
    pub connections: usize,
    /// How long a client may take from its connection to its login, whatever it sends meanwhile.
    pub login_within: Duration,
    /// How long a client may take none of what is sent to it.
    pub write_within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            session: Arc::new(SessionConfig::default()),
            auth: auth::shell::Settings::default(),
            plaintext: PlaintextPasswords::default(),
            connections: 10_000,
            login_within: Duration::from_secs(10 * 60),
            write_within: Duration::from_secs(180),
        }
    }
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for POP3 on {address}: {error}; free the address or change {key} in [pop3]")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// The key of the configuration that names it.
    pub key: &'static str,
    /// What the system said.
    pub error: io::Error,
}

/// Listeners that hold their addresses; clients may connect and wait until [`Listeners::serve`] runs.
#[derive(Debug)]
pub struct Listeners {
    plain: Vec<TcpListener>,
    tls: Vec<TcpListener>,
}

impl Listeners {
    /// Listens on all of the addresses: `plain` ones offer STLS, `tls` ones begin with TLS. Port 0 takes any free one.
    ///
    /// # Errors
    /// Names the first address that cannot be listened on; none of them is then.
    pub async fn bind(plain: &[SocketAddr], tls: &[SocketAddr]) -> Result<Self, ListenError> {
        Ok(Listeners { plain: bind(plain, "listen").await?, tls: bind(tls, "listen_tls").await? })
    }

    /// The addresses that offer STLS, with the ports that were taken.
    pub fn plain_addresses(&self) -> Vec<SocketAddr> {
        self.plain.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The addresses that begin with TLS, with the ports that were taken.
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        self.tls.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Serves until `shutdown` turns `true` or its sender is dropped. Returns when every session has ended, at the latest
    /// after [`GRACE`]. Without `tls` there is no STLS, and listeners that begin with TLS turn every client away.
    pub async fn serve(
        self,
        store: Mailstore,
        tls: Option<Arc<ServerConfig>>,
        settings: Settings,
        shutdown: watch::Receiver<bool>,
    ) {
        let places = Arc::new(Semaphore::new(settings.connections.min(Semaphore::MAX_PERMITS)));
        let tls = tls.map(TlsAcceptor::from);
        let authenticator = Authenticator::new(store.clone(), settings.auth.clone());
        let settings = Arc::new(settings);
        let (lengths, clock) = (Arc::default(), Clock(Instant::now()));
        let shared = Shared { store, authenticator, lengths, tls, settings, places, clock, shutdown };
        let mut loops = JoinSet::new();
        let listeners = self.plain.into_iter().map(|listener| (listener, false));
        for (listener, tls_first) in listeners.chain(self.tls.into_iter().map(|listener| (listener, true))) {
            loops.spawn(accept(listener, tls_first, shared.clone()));
        }
        while let Some(ended) = loops.join_next().await {
            log_panic(ended);
        }
    }
}

async fn bind(addresses: &[SocketAddr], key: &'static str) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for &address in addresses {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.map_err(|error| ListenError { address, key, error })?);
    }
    Ok(listeners)
}

/// The time of the sessions: milliseconds since the start of the service.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Millis {
        Millis(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The moment of the runtime at which sessions count `millis`.
    fn instant(self, millis: Millis) -> Instant {
        self.0 + Duration::from_millis(millis.0)
    }
}

/// What all connections share.
#[derive(Clone)]
struct Shared {
    store: Mailstore,
    authenticator: Authenticator,
    lengths: Arc<Lengths>,
    tls: Option<TlsAcceptor>,
    settings: Arc<Settings>,
    places: Arc<Semaphore>,
    clock: Clock,
    shutdown: watch::Receiver<bool>,
}

/// Accepts connections and serves them until the node goes down.
async fn accept(listener: TcpListener, tls_first: bool, mut shared: Shared) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutting_down(&mut shared.shutdown) => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => log_panic(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match Arc::clone(&shared.places).try_acquire_owned() {
                    Ok(place) => {
                        connections.spawn(serve(stream, peer, tls_first, shared.clone(), place));
                    }
                    Err(_) => turn_away(&stream, peer, tls_first),
                },
                Err(error) => {
                    tracing::warn!(%error, "a POP3 connection cannot be accepted");
                    sleep(ACCEPT_AGAIN).await;
                }
            },
        }
    }
    // New clients are turned away by the system from here on.
    drop(listener);
    let ended = async {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    };
    if timeout(GRACE, ended).await.is_err() {
        tracing::warn!(after = ?GRACE, "POP3 sessions did not end in time and are cut off");
    }
}

/// Ends when the node goes down, or when nobody is left who could say so.
async fn shutting_down(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|down| *down).await;
}

fn turn_away(stream: &TcpStream, peer: SocketAddr, tls_first: bool) {
    tracing::warn!(%peer, "a POP3 connection is one too many and is turned away");
    if !tls_first && let Err(error) = stream.try_write(TOO_MANY) {
        tracing::debug!(%peer, %error, "the client could not be told");
    }
}

/// Why a connection ended without QUIT.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the client closed it")]
    Closed,
    #[error("the client took nothing of what was sent to it for too long")]
    Stalled,
    #[error("the TLS handshake took too long")]
    HandshakeTooLong,
    #[error("there is no certificate, so no TLS")]
    NoCertificate,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves a client; its place is free again afterwards.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    tls_first: bool,
    shared: Shared,
    place: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "small packets may be delayed");
    }
    let ended = match tls_first {
        true => serve_tls(stream, peer, shared).await,
        false => serve_plain(stream, peer, shared).await,
    };
    match ended {
        Ok(()) => tracing::debug!(%peer, "a POP3 connection ended"),
        Err(end) => tracing::debug!(%peer, %end, "a POP3 connection broke"),
    }
    drop(place);
}

async fn serve_tls(stream: TcpStream, peer: SocketAddr, shared: Shared) -> Result<(), End> {
    let stream = handshake(stream, &shared).await?;
    Connection::tls(stream, peer, shared).serve().await.map(drop)
}

async fn serve_plain(stream: TcpStream, peer: SocketAddr, shared: Shared) -> Result<(), End> {
    match Connection::plain(stream, peer, shared).serve().await? {
        Served::Over => Ok(()),
        Served::StartTls(connection) => {
            let (stream, suspended) = connection.suspend();
            let stream = handshake(stream, suspended.shared()).await?;
            suspended.resume(stream).serve().await.map(drop)
        }
    }
}

async fn handshake(
    stream: TcpStream,
    shared: &Shared,
) -> Result<tokio_rustls::server::TlsStream<TcpStream>, End> {
    let acceptor = shared.tls.as_ref().ok_or(End::NoCertificate)?;
    Ok(timeout(HANDSHAKE, acceptor.accept(stream)).await.map_err(|_| End::HandshakeTooLong)??)
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a POP3 task panicked; its connection is closed");
    }
}
