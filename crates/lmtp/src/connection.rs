//! One connection: a session, its socket and the store.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mailstore::Mailstore;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::recipient::resolve;
use crate::reply::Failure;
use crate::session::{Action, Session, Settings};
use crate::transaction::Incoming;

/// How long a client may be silent, and how long it may leave what it is sent unread (RFC 5321 section 4.5.3.2.7).
pub(crate) const MOST_SILENCE: Duration = Duration::from_secs(5 * 60);
/// Octets read at once.
const READ_OCTETS: usize = 32 * 1024;
/// Replies are sent when this many octets of them were collected, or when input is needed.
const MOST_COLLECTED: usize = 16 * 1024;

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub store: Mailstore,
    pub settings: Arc<Settings>,
    /// `true` once the node goes down.
    pub shutdown: watch::Receiver<bool>,
}

/// Serves a client until it quits, is silent for too long, or the node goes down.
pub(crate) async fn serve<S>(stream: S, shared: Shared) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Connection::new(stream, shared).run().await
}

struct Connection<S> {
    stream: S,
    shared: Shared,
    session: Session,
    /// Replies that were not sent yet.
    collected: Vec<u8>,
    /// The message that has begun.
    incoming: Option<Incoming>,
    shutting_down: bool,
}

/// What came of waiting for input.
enum Heard {
    Octets(usize),
    End,
    /// Nothing, but the session may want to say something.
    Nothing,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(stream: S, shared: Shared) -> Self {
        let session = Session::new(Arc::clone(&shared.settings));
        Self { stream, shared, session, collected: Vec::new(), incoming: None, shutting_down: false }
    }

    async fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; READ_OCTETS];
        let mut input: &[u8] = &[];
        loop {
            match self.session.next(&mut input) {
                Action::Reply(reply) => {
                    reply.write_to(&mut self.collected);
                    if self.collected.len() >= MOST_COLLECTED {
                        self.send().await?;
                    }
                }
                Action::Read => {
                    debug_assert!(input.is_empty());
                    self.send().await?;
                    match self.hear(&mut buffer).await? {
                        Heard::Octets(length) => input = buffer.get(..length).unwrap_or_default(),
                        Heard::Nothing => input = &[],
                        Heard::End => return Ok(()),
                    }
                }
                Action::Find(address) => {
                    let target = resolve(&address.local, |name| self.shared.store.account(name));
                    self.session.found(target.map(drop).ok_or(Failure::UnknownRecipient));
                }
                Action::Begin(first) => {
                    let begun = Incoming::begin(&self.shared.store, &first);
                    self.keep(begun);
                }
                Action::Content(octets) => {
                    if let Some(mut incoming) = self.incoming.take() {
                        let written = incoming.write(octets).map(|()| incoming);
                        self.keep(written);
                    }
                }
                Action::Abandon => self.incoming = None,
                Action::Deliver(envelope) => {
                    let results = match self.incoming.take() {
                        Some(incoming) => incoming.deliver(&self.shared.store, &envelope).await,
                        None => vec![Err(Failure::Store); envelope.recipients.len()],
                    };
                    self.session.delivered(results);
                }
                Action::Close => {
                    self.send().await?;
                    return self.stream.shutdown().await;
                }
            }
        }
    }

    fn keep(&mut self, incoming: Result<Incoming, Failure>) {
        match incoming {
            Ok(incoming) => self.incoming = Some(incoming),
            Err(failure) => self.session.body_failed(failure),
        }
    }

    async fn send(&mut self) -> io::Result<()> {
        if self.collected.is_empty() {
            return Ok(());
        }
        let sent = async {
            self.stream.write_all(&self.collected).await?;
            self.stream.flush().await
        };
        timeout(MOST_SILENCE, sent).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.collected.clear();
        Ok(())
    }

    async fn hear(&mut self, buffer: &mut [u8]) -> io::Result<Heard> {
        if *self.shared.shutdown.borrow_and_update() && !self.shutting_down {
            return Ok(self.shut_down());
        }
        tokio::select! {
            biased;
            changed = self.shared.shutdown.changed(), if !self.shutting_down => {
                // Without a sender nobody is left who could end the session later.
                let ends = changed.is_err() || *self.shared.shutdown.borrow();
                Ok(if ends { self.shut_down() } else { Heard::Nothing })
            }
            heard = timeout(MOST_SILENCE, self.stream.read(buffer)) => match heard {
                Ok(Ok(0)) => Ok(Heard::End),
                Ok(Ok(length)) => Ok(Heard::Octets(length)),
                Ok(Err(error)) => Err(error),
                Err(_) => {
                    self.session.timed_out();
                    Ok(Heard::Nothing)
                }
            },
        }
    }

    fn shut_down(&mut self) -> Heard {
        self.shutting_down = true;
        self.session.shut_down();
        Heard::Nothing
    }
}
