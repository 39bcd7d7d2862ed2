//! Sockets: accept loops for TCP and Unix sockets.
#![allow(clippy::disallowed_methods, reason = "shell: waits before it accepts again after a failure")]

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mailstore::Mailstore;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use crate::connection::{self, Shared};
use crate::session::Settings;

/// The most connections at the same time, all listeners together; further ones wait to be accepted.
pub const MOST_CONNECTIONS: usize = 1000;
/// How long transactions that have begun may go on once the node goes down.
pub const GRACE: Duration = Duration::from_secs(30);
/// How long a listener waits after it could not accept, for instance because no file descriptor was left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// Owner and group may connect to a Unix socket.
const SOCKET_MODE: u32 = 0o660;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address; port 0 takes any that is free.
    Tcp(SocketAddr),
    /// A path in the file system. A socket that nobody listens on any more is replaced.
    Unix(PathBuf),
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The TCP address is taken, not of this machine, or not allowed.
    #[error("cannot listen for LMTP on {address}: {error}; free the address or change [lmtp] listen")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The path cannot be listened on.
    #[error("cannot listen for LMTP on {}: {error}; free the path or change [lmtp] listen", path.display())]
    Unix {
        /// The path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Listeners that hold their addresses; clients may connect and wait until [`Listeners::serve`] runs.
#[derive(Debug)]
pub struct Listeners {
    listeners: Vec<Listener>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// Held for as long as the listener.
        _file: SocketFile,
    },
}

/// The file of a Unix socket, removed with its listener.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the socket of LMTP is gone already");
        }
    }
}

impl Listeners {
    /// Listens on all of the addresses.
    ///
    /// # Errors
    /// Names the first address that cannot be listened on; none of them is then.
    pub async fn bind(addresses: &[ListenAddress]) -> Result<Self, ListenError> {
        let mut listeners = Vec::with_capacity(addresses.len());
        for address in addresses {
            listeners.push(match address {
                ListenAddress::Tcp(address) => {
                    let failed = |error| ListenError::Tcp { address: *address, error };
                    Listener::Tcp(TcpListener::bind(address).await.map_err(failed)?)
                }
                ListenAddress::Unix(path) => {
                    let failed = |error| ListenError::Unix { path: path.clone(), error };
                    bind_unix(path).await.map_err(failed)?
                }
            });
        }
        Ok(Self { listeners })
    }

    /// The TCP addresses, with the ports that were taken.
    pub fn tcp_addresses(&self) -> Vec<SocketAddr> {
        let address = |listener: &Listener| match listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix { .. } => None,
        };
        self.listeners.iter().filter_map(address).collect()
    }

    /// Serves until `shutdown` turns `true` or its sender is dropped. Returns when the last transaction has ended, at
    /// the latest after [`GRACE`].
    pub async fn serve(self, store: Mailstore, settings: Settings, shutdown: watch::Receiver<bool>) {
        let shared = Shared { store, settings: Arc::new(settings), shutdown };
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut loops = JoinSet::new();
        for listener in self.listeners {
            loops.spawn(accept(listener, Arc::clone(&places), shared.clone()));
        }
        while let Some(ended) = loops.join_next().await {
            log_panic(ended);
        }
    }
}

async fn bind_unix(path: &Path) -> io::Result<Listener> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is not a socket"));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    let file = SocketFile(path.to_owned());
    std::fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    Ok(Listener::Unix { listener, _file: file })
}

/// Accepts connections and serves them until the node goes down.
async fn accept(listener: Listener, places: Arc<Semaphore>, mut shared: Shared) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutting_down(&mut shared.shutdown) => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => log_panic(ended),
            accepted = accept_one(&listener, &places) => match accepted {
                Ok((stream, place)) => {
                    connections.spawn(serve_one(stream, shared.clone(), place));
                }
                Err(error) => {
                    tracing::warn!(%error, "an LMTP connection cannot be accepted");
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
        tracing::warn!(after = ?GRACE, "LMTP transactions did not end in time and are cut off");
    }
}

/// Ends when the node goes down, or when nobody is left who could say so.
async fn shutting_down(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|down| *down).await;
}

/// A client that has connected.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

async fn accept_one(
    listener: &Listener,
    places: &Arc<Semaphore>,
) -> io::Result<(Stream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let stream = match listener {
        Listener::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Stream::Tcp(stream)
        }
        Listener::Unix { listener, .. } => Stream::Unix(listener.accept().await?.0),
    };
    Ok((stream, place))
}

/// Serves a client; its place is free again afterwards.
async fn serve_one(stream: Stream, shared: Shared, place: OwnedSemaphorePermit) {
    let ended = match stream {
        Stream::Tcp(stream) => connection::serve(stream, shared).await,
        Stream::Unix(stream) => connection::serve(stream, shared).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an LMTP connection broke");
    }
    drop(place);
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "an LMTP task panicked; its connection is closed");
    }
}
