//! Drives one session: feeds it what the client sends, does what it asks for, and writes what it says.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use auth::channel::ChannelBindings;
use auth::exchange::{Answer, Question};
use mailstore::crdt::clock::Millis;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::server::TlsStream;

use super::{End, Shared, shutting_down};
use crate::framing::Framer;
use crate::session::{Action, ConnectionInfo, Input, Session};

/// How much is read at once, in octets.
const READ_OCTETS: usize = 4 * 1024;
/// How much is collected before it is written, in octets.
const WRITE_OCTETS: usize = 64 * 1024;
/// What of the buffer for output is kept between commands, in octets.
const KEPT_OCTETS: usize = 256 * 1024;
/// How long the last words have to reach the client.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How much a client may still send when the session is over, in octets.
const MOST_LAST_OCTETS: usize = 1024 * 1024;

/// What ended a wait.
enum Woken {
    Octets,
    Deadline,
    Shutdown,
}

/// How serving a client came to its end.
pub(super) enum Served<S> {
    /// The session is over.
    Over,
    /// TLS has to begin, and the session goes on in it.
    StartTls(Box<Connection<S>>),
}

/// One connection with its session.
pub(super) struct Connection<S> {
    stream: S,
    suspended: Suspended,
    framer: Framer,
    received: Received,
    /// What the session does next.
    action: Action,
}

/// What of a connection lives on when its stream becomes another.
pub(super) struct Suspended {
    peer: SocketAddr,
    shared: Shared,
    /// What the connection can be bound by, once TLS protects it.
    bindings: ChannelBindings,
    session: Session,
    out: Vec<u8>,
    /// By when the client has to have logged in; `None` once it has.
    login_deadline: Option<Instant>,
    /// Whether the session knows that the node goes down.
    leaving: bool,
}

impl Suspended {
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Goes on in TLS. What came before it in the clear is not there any more: somebody else may have put it there (RFC 2595
    /// section 4; CVE-2011-0411).
    pub(super) fn resume(mut self, stream: TlsStream<TcpStream>) -> Connection<TlsStream<TcpStream>> {
        self.bindings = self.shared.authenticator.bindings(stream.get_ref().1);
        let action = self.handle(Input::TlsStarted);
        Connection {
            stream,
            suspended: self,
            framer: Framer::default(),
            received: Received::default(),
            action,
        }
    }

    fn handle(&mut self, input: Input<'_>) -> Action {
        self.session.handle(self.shared.clock.now(), input, &mut self.out)
    }

    /// Lets the session go on with a long answer. It reads bodies from the disk meanwhile, which other tasks shall not feel.
    fn produce(&mut self) -> Action {
        if *self.shared.shutdown.borrow() && !self.leaving {
            self.leaving = true;
            return self.handle(Input::Shutdown);
        }
        let now = self.shared.clock.now();
        blocking(|| self.session.produce(now, &mut self.out))
    }

    async fn authenticate(&mut self, question: Question) -> Action {
        let account = question.name().to_owned();
        let answer = self.shared.authenticator.answer(question, &self.bindings).await;
        match &answer {
            Ok(Answer::LoggedIn(authenticated)) => {
                let account = &authenticated.view.borrow().name;
                tracing::info!(peer = %self.peer, account, "logged in by POP3");
                self.login_deadline = None;
            }
            Ok(_) => {}
            Err(error) => tracing::info!(peer = %self.peer, account, %error, "POP3 login refused"),
        }
        self.handle(Input::Authenticated(answer))
    }

    /// Holds the client up, and nobody else.
    async fn pause(&mut self, until: Millis) -> Action {
        let until = self.shared.clock.instant(until);
        tokio::select! {
            biased;
            () = shutting_down(&mut self.shared.shutdown), if !self.leaving => {
                self.leaving = true;
                self.handle(Input::Shutdown)
            }
            () = sleep_until(until) => self.produce(),
        }
    }
}

impl Connection<TcpStream> {
    /// A connection in the clear.
    pub(super) fn plain(stream: TcpStream, peer: SocketAddr, shared: Shared) -> Self {
        Self::new(stream, peer, None, shared)
    }
}

impl Connection<TlsStream<TcpStream>> {
    /// A connection that began with TLS.
    pub(super) fn tls(stream: TlsStream<TcpStream>, peer: SocketAddr, shared: Shared) -> Self {
        let bindings = shared.authenticator.bindings(stream.get_ref().1);
        Self::new(stream, peer, Some(bindings), shared)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection; with bindings where TLS protects it.
    fn new(stream: S, peer: SocketAddr, bindings: Option<ChannelBindings>, shared: Shared) -> Self {
        let tls = bindings.is_some();
        let settings = &shared.settings;
        let info = ConnectionInfo {
            tls,
            stls: shared.tls.is_some() && !tls,
            plaintext_allowed: settings.plaintext.allow(peer.ip()),
        };
        let (config, lengths) = (settings.session.clone(), shared.lengths.clone());
        let (store, now) = (shared.store.clone(), shared.clock.now());
        let mut out = Vec::new();
        let session = Session::new(config, store, lengths, info, now, &mut out);
        let login_deadline = Some(Instant::now() + settings.login_within);
        let bindings = bindings.unwrap_or_default();
        let suspended = Suspended { peer, shared, bindings, session, out, login_deadline, leaving: false };
        Connection {
            stream,
            suspended,
            framer: Framer::default(),
            received: Received::default(),
            action: Action::WaitForInput,
        }
    }

    /// Takes the stream out.
    pub(super) fn suspend(self) -> (S, Suspended) {
        (self.stream, self.suspended)
    }

    /// Serves the client until its session ends, or wants TLS.
    pub(super) async fn serve(mut self) -> Result<Served<S>, End> {
        loop {
            if self.suspended.out.len() >= WRITE_OCTETS {
                self.flush().await?;
            }
            let action = std::mem::replace(&mut self.action, Action::WaitForInput);
            self.action = match action {
                // Without a flush before it: a client that is gone after QUIT has said what to delete.
                Action::Ask(request) => {
                    let answer = self.suspended.shared.store.ask(request).await;
                    self.suspended.handle(Input::Answered(answer))
                }
                Action::Authenticate(question) => {
                    self.flush().await?;
                    self.suspended.authenticate(question).await
                }
                Action::Pause { until } => {
                    self.flush().await?;
                    self.suspended.pause(until).await
                }
                Action::Continue => self.suspended.produce(),
                Action::WaitForInput => self.next().await?,
                Action::StartTls => {
                    self.flush().await?;
                    return Ok(Served::StartTls(Box::new(self)));
                }
                Action::Close => {
                    self.flush().await?;
                    self.close().await;
                    return Ok(Served::Over);
                }
            };
        }
    }

    /// Hands the session the next thing that happens.
    async fn next(&mut self) -> Result<Action, End> {
        loop {
            if let Some(action) = self.take_received() {
                return Ok(action);
            }
            self.flush().await?;
            match self.wait().await? {
                Woken::Octets => {}
                Woken::Shutdown => {
                    self.suspended.leaving = true;
                    return Ok(self.suspended.handle(Input::Shutdown));
                }
                Woken::Deadline => {
                    let login = self.suspended.login_deadline;
                    let too_late = login.is_some_and(|deadline| deadline <= Instant::now());
                    return Ok(if too_late { Action::Close } else { self.suspended.handle(Input::Timeout) });
                }
            }
        }
    }

    /// Feeds the session from what was received; `None` where that does not suffice for an input.
    fn take_received(&mut self) -> Option<Action> {
        let before = self.received.rest().len();
        let mut rest = self.received.rest();
        let event = self.framer.next(&mut rest, self.suspended.session.longest_line());
        let taken = before - rest.len();
        self.received.take(taken);
        event.map(|event| self.suspended.handle(Input::from(&event)))
    }

    async fn wait(&mut self) -> Result<Woken, End> {
        let Connection { stream, suspended, received, .. } = self;
        let timeout = suspended.shared.clock.instant(suspended.session.poll_timeout());
        let deadline = suspended.login_deadline.map_or(timeout, |login| login.min(timeout));
        tokio::select! {
            biased;
            () = shutting_down(&mut suspended.shared.shutdown), if !suspended.leaving => Ok(Woken::Shutdown),
            () = sleep_until(deadline) => Ok(Woken::Deadline),
            read = received.fill(stream) => match read? {
                0 => Err(End::Closed),
                _ => Ok(Woken::Octets),
            },
        }
    }

    /// Writes everything that was said. A client that takes nothing of it for too long loses its connection.
    async fn flush(&mut self) -> Result<(), End> {
        let Suspended { out, shared, .. } = &mut self.suspended;
        if out.is_empty() {
            return Ok(());
        }
        let within = shared.settings.write_within;
        let mut rest = out.as_slice();
        while !rest.is_empty() {
            let written = timeout(within, self.stream.write(rest)).await.map_err(|_| End::Stalled)??;
            if written == 0 {
                return Err(End::Closed);
            }
            rest = rest.get(written..).unwrap_or_default();
        }
        timeout(within, self.stream.flush()).await.map_err(|_| End::Stalled)??;
        out.clear();
        out.shrink_to(KEPT_OCTETS);
        Ok(())
    }

    /// Ends the connection such that the last words are not lost: octets that nobody read would make the system reset it.
    async fn close(mut self) {
        let ended = timeout(LAST_WORDS, async {
            self.stream.shutdown().await?;
            let (mut buffer, mut octets) = ([0; READ_OCTETS], 0);
            while octets < MOST_LAST_OCTETS {
                match self.stream.read(&mut buffer).await? {
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

/// Runs what may wait for the disk such that other tasks of this thread go on elsewhere.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Octets of the client that no input was made of yet.
#[derive(Debug, Default)]
struct Received {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Received {
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn take(&mut self, octets: usize) {
        self.start = self.end.min(self.start + octets);
    }

    /// Reads more, once all is taken. Dropping the future loses nothing.
    async fn fill<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<usize> {
        (self.start, self.end) = (0, 0);
        self.buffer.resize(READ_OCTETS, 0);
        let read = stream.read(&mut self.buffer).await?;
        self.end = read;
        Ok(read)
    }
}
