//! A connection in the clear or under TLS.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long the last words have to reach the client.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How much a client may still send that was told BYE, in octets.
const MOST_LAST_OCTETS: usize = 1024 * 1024;

/// A connection in the clear or under TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Neither: a handshake failed.
    Broken,
}

impl Stream {
    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// Reads what is there; dropping the future loses nothing.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer).await,
            Stream::Tls(stream) => stream.read(buffer).await,
            Stream::Broken => Ok(0),
        }
    }

    pub(super) async fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(octets).await,
            Stream::Tls(stream) => stream.write(octets).await,
            Stream::Broken => Ok(0),
        }
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(_) | Stream::Broken => Ok(()),
            Stream::Tls(stream) => stream.flush().await,
        }
    }

    /// Begins TLS on a connection in the clear.
    pub(super) async fn upgrade(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        match std::mem::replace(self, Stream::Broken) {
            Stream::Plain(stream) => {
                *self = Stream::Tls(Box::new(acceptor.accept(stream).await?));
                Ok(())
            }
            Stream::Tls(_) | Stream::Broken => Err(io::Error::other("TLS is active already")),
        }
    }

    /// Ends the connection such that the last words are not lost: octets that nobody read would make the system reset it.
    pub(super) async fn close(mut self) {
        let ended = timeout(LAST_WORDS, async {
            match &mut self {
                Stream::Plain(stream) => stream.shutdown().await?,
                Stream::Tls(stream) => stream.shutdown().await?,
                Stream::Broken => {}
            }
            let (mut buffer, mut octets) = ([0; 4096], 0);
            while octets < MOST_LAST_OCTETS {
                match self.read(&mut buffer).await? {
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
