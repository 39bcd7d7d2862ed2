//! A connection in the clear or under TLS, compressed or not.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::ServerConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::coop::consume_budget;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::compression::{Compression, Deflating, Inflated};

/// How long the last words have to reach the client.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How much a client may still send that was told BYE, in octets.
const MOST_LAST_OCTETS: usize = 1024 * 1024;

/// What carries the octets.
enum Carrier {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Neither: a handshake failed.
    Broken,
}

/// A connection in the clear or under TLS, compressed or not.
pub(super) struct Stream {
    carrier: Carrier,
    compression: Option<Box<Compression>>,
}

impl Stream {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Stream { carrier: Carrier::Plain(stream), compression: None }
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Stream { carrier: Carrier::Tls(Box::new(stream)), compression: None }
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self.carrier, Carrier::Tls(_))
    }

    /// What TLS knows of the connection.
    pub(super) fn tls_connection(&self) -> Option<&ServerConnection> {
        match &self.carrier {
            Carrier::Tls(stream) => Some(stream.get_ref().1),
            Carrier::Plain(_) | Carrier::Broken => None,
        }
    }

    /// Reads what is there, into a buffer that is not empty; dropping the future loses nothing.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(compression) = &mut self.compression else {
            return self.carrier.read(buffer).await;
        };
        let inflating = &mut compression.inflating;
        // A few octets may keep us here for long without the socket: others shall get their turn.
        consume_budget().await;
        loop {
            match inflating.inflate(buffer)? {
                Inflated::Octets(octets) => return Ok(octets),
                Inflated::Ended => return Ok(0),
                Inflated::Hungry => {}
            }
            match self.carrier.read(inflating.room()).await? {
                0 => return Ok(0),
                octets => inflating.filled(octets),
            }
        }
    }

    /// Writes from the front of `octets`, which are not empty; how many it took.
    pub(super) async fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let Some(compression) = &mut self.compression else {
            return self.carrier.write(octets).await;
        };
        let deflating = &mut compression.deflating;
        loop {
            if !self.carrier.write_unsent(deflating).await? {
                return Ok(0);
            }
            match deflating.deflate(octets)? {
                0 => {}
                taken => return Ok(taken),
            }
        }
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if let Some(compression) = &mut self.compression {
            loop {
                if !self.carrier.write_unsent(&mut compression.deflating).await? {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                if !compression.deflating.flush()? {
                    break;
                }
            }
        }
        self.carrier.flush().await
    }

    /// Begins TLS on a connection in the clear.
    pub(super) async fn upgrade(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        match std::mem::replace(&mut self.carrier, Carrier::Broken) {
            Carrier::Plain(stream) if self.compression.is_none() => {
                self.carrier = Carrier::Tls(Box::new(acceptor.accept(stream).await?));
                Ok(())
            }
            _ => Err(io::Error::other("TLS or compression is active already")),
        }
    }

    /// Compresses from here on; `early` is what was read of the client already and not looked at, and `deflaters` counts the
    /// deflaters that all connections may have yet.
    pub(super) fn compress(&mut self, early: &[u8], deflaters: Arc<Semaphore>) {
        self.compression = Some(Box::new(Compression::new(early, deflaters)));
    }

    /// Whether [`Self::rest`] would free memory.
    pub(super) fn can_rest(&self) -> bool {
        self.compression.as_ref().is_some_and(|compression| compression.deflating.can_rest())
    }

    /// Gives back memory that is of no use while nothing is said.
    pub(super) fn rest(&mut self) {
        if let Some(compression) = &mut self.compression {
            compression.deflating.rest();
        }
    }

    /// Ends the connection such that the last words are not lost: octets that nobody read would make the system reset it.
    pub(super) async fn close(mut self) {
        let ended = timeout(LAST_WORDS, async {
            match &mut self.carrier {
                Carrier::Plain(stream) => stream.shutdown().await?,
                Carrier::Tls(stream) => stream.shutdown().await?,
                Carrier::Broken => {}
            }
            let (mut buffer, mut octets) = ([0; 4096], 0);
            while octets < MOST_LAST_OCTETS {
                match self.carrier.read(&mut buffer).await? {
                    0 => break,
                    more => octets += more,
                }
            }
            io::Result::Ok(())
        });
        if let Ok(Err(error)) = ended.await {
            tracing::trace!(%error, "the client was gone already");
        }
    }
}

impl Carrier {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Carrier::Plain(stream) => stream.read(buffer).await,
            Carrier::Tls(stream) => stream.read(buffer).await,
            Carrier::Broken => Ok(0),
        }
    }

    async fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Carrier::Plain(stream) => stream.write(octets).await,
            Carrier::Tls(stream) => stream.write(octets).await,
            Carrier::Broken => Ok(0),
        }
    }

    /// Writes what is compressed already; `false` where the client takes nothing more.
    async fn write_unsent(&mut self, deflating: &mut Deflating) -> io::Result<bool> {
        while !deflating.unsent().is_empty() {
            match self.write(deflating.unsent()).await? {
                0 => return Ok(false),
                octets => deflating.sent(octets),
            }
        }
        Ok(true)
    }

    async fn flush(&mut self) -> io::Result<()> {
        match self {
            Carrier::Plain(_) | Carrier::Broken => Ok(()),
            Carrier::Tls(stream) => stream.flush().await,
        }
    }
}
