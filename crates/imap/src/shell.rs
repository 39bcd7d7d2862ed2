//! Sockets, TLS, compression, time and tasks around [`crate::session::Session`].
#![allow(clippy::disallowed_methods, reason = "shell: reads the clock and waits for the sessions")]

mod clock;
mod compression;
mod connection;
mod gate;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use auth::plaintext::PlaintextPasswords;
use auth::shell::Authenticator;
use mailstore::Mailstore;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::framing;
use crate::session::SessionConfig;
use clock::Clock;
use compression::MOST_DEFLATERS;
use connection::Connection;
use gate::{Gate, Pass};
use stream::Stream;

/// How long sessions have to say BYE once the node goes down.
pub const GRACE: Duration = Duration::from_secs(5);
/// How long a listener waits after it could not accept, for instance because no file descriptor was left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// What a client hears that is one too many.
const TOO_MANY: &[u8] = b"* BYE [UNAVAILABLE] Too many connections; close some or try again later\r\n";

/// What an operator decides about the connections.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What concerns the session.
    pub session: Arc<SessionConfig>,
    /// What a client may send.
    pub framing: framing::Limits,
    /// What logins need.
    pub auth: auth::shell::Settings,
    /// Where passwords may cross without TLS.
    pub plaintext: PlaintextPasswords,
    /// The most connections at the same time, all listeners together.
    pub connections: usize,
    /// The most connections at the same time from one IPv4 address or one /64 of IPv6.
    pub connections_per_address: usize,
    /// How long a client may take from its connection to its login, whatever it sends meanwhile.
    pub login_within: Duration,
    /// How long a client may take none of what is sent to it.
    pub write_within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            session: Arc::new(SessionConfig::default()),
            framing: framing::Limits::default(),
            auth: auth::shell::Settings::default(),
            plaintext: PlaintextPasswords::default(),
            connections: 10_000,
            connections_per_address: 1_000,
            login_within: Duration::from_secs(180),
            write_within: Duration::from_secs(180),
        }
    }
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for IMAP on {address}: {error}; free the address or change {key} in [imap]")]
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
    /// Listens on all of the addresses: `plain` ones offer STARTTLS, `tls` ones begin with TLS. Port 0 takes any free one.
    ///
    /// # Errors
    /// Names the first address that cannot be listened on; none of them is then.
    pub async fn bind(plain: &[SocketAddr], tls: &[SocketAddr]) -> Result<Self, ListenError> {
        Ok(Listeners { plain: bind(plain, "listen").await?, tls: bind(tls, "listen_tls").await? })
    }

    /// The addresses that offer STARTTLS, with the ports that were taken.
    pub fn plain_addresses(&self) -> Vec<SocketAddr> {
        self.plain.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The addresses that begin with TLS, with the ports that were taken.
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        self.tls.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Serves until `shutdown` turns `true` or its sender is dropped. Returns when every session has said BYE, at the latest
    /// after [`GRACE`]. Without `tls` there is no STARTTLS, and listeners that begin with TLS turn every client away.
    pub async fn serve(
        self,
        store: Mailstore,
        tls: Option<Arc<ServerConfig>>,
        settings: Settings,
        shutdown: watch::Receiver<bool>,
    ) {
        let gate = Arc::new(Gate::new(settings.connections, settings.connections_per_address));
        let tls = tls.map(TlsAcceptor::from);
        let authenticator = Authenticator::new(store.clone(), settings.auth.clone());
        let (settings, clock) = (Arc::new(settings), Clock::start());
        let deflaters = Arc::new(Semaphore::new(MOST_DEFLATERS));
        let shared = Shared { store, authenticator, tls, settings, gate, deflaters, clock, shutdown };
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

/// What all connections share.
#[derive(Clone)]
struct Shared {
    store: Mailstore,
    authenticator: Authenticator,
    tls: Option<TlsAcceptor>,
    settings: Arc<Settings>,
    gate: Arc<Gate>,
    /// The deflaters that connections may have yet.
    deflaters: Arc<Semaphore>,
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
                Ok((stream, peer)) => match Gate::enter(&shared.gate, peer.ip()) {
                    Some(pass) => {
                        connections.spawn(serve(stream, peer, tls_first, shared.clone(), pass));
                    }
                    None => turn_away(&stream, peer, tls_first),
                },
                Err(error) => {
                    tracing::warn!(%error, "an IMAP connection cannot be accepted");
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
        tracing::warn!(after = ?GRACE, "IMAP sessions did not end in time and are cut off");
    }
}

/// Ends when the node goes down, or when nobody is left who could say so.
async fn shutting_down(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|down| *down).await;
}

fn turn_away(stream: &TcpStream, peer: SocketAddr, tls_first: bool) {
    tracing::warn!(%peer, "an IMAP connection is one too many and is turned away");
    if !tls_first && let Err(error) = stream.try_write(TOO_MANY) {
        tracing::debug!(%peer, %error, "the client could not be told");
    }
}

/// Serves a client; its place is free again afterwards.
async fn serve(stream: TcpStream, peer: SocketAddr, tls_first: bool, shared: Shared, pass: Pass) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "small packets may be delayed");
    }
    let stream = match (tls_first, &shared.tls) {
        (false, _) => Stream::plain(stream),
        (true, Some(acceptor)) => match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Stream::tls(stream),
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!(%peer, "a TLS handshake took too long"),
        },
        (true, None) => return tracing::warn!(%peer, "there is no certificate, so no TLS"),
    };
    match Connection::new(stream, peer, shared).run().await {
        Ok(()) => tracing::debug!(%peer, "an IMAP connection ended"),
        Err(end) => tracing::debug!(%peer, %end, "an IMAP connection broke"),
    }
    drop(pass);
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "an IMAP task panicked; its connection is closed");
    }
}
