//! Drives one session: feeds it what the client sends, does what it asks for, and writes what it says.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::time::Duration;

use auth::exchange::{Answer, Question};
use mailstore::crdt::clock::Millis;
use mailstore::request::{Reply, Request, RequestError};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::command::{AppendEvent, CommandBody};
use crate::feed::{Fed, Feed};
use crate::session::{Action, ConnectionInfo, Input, PROGRESS_INTERVAL, Session};

use super::stream::Stream;
use super::{HANDSHAKE, Shared, shutting_down};

/// How much is read at once, in octets: little while the client is quiet, more while it fills what there is room for.
const READ_OCTETS: RangeInclusive<usize> = 512..=32 * 1024;
/// How much is collected before it is written, in octets.
const WRITE_OCTETS: usize = 64 * 1024;
/// What of the buffer for output is kept while the client is waited for, in octets.
const KEPT_OCTETS: usize = 1024;
/// After how long a silence a session gives back what it needs for compressing alone.
const QUIET: Duration = Duration::from_secs(5);

/// Why a connection ended without LOGOUT or BYE.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the client closed it")]
    Closed,
    #[error("the client took nothing of what was sent to it for too long")]
    Stalled,
    #[error("the TLS handshake took too long")]
    HandshakeTooLong,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What ended a wait.
enum Woken {
    Octets,
    Changed,
    Quiet,
    Deadline,
    Shutdown,
}

/// One connection with its session.
pub(super) struct Connection {
    stream: Stream,
    peer: SocketAddr,
    shared: Shared,
    session: Session,
    feed: Feed,
    received: Received,
    out: Vec<u8>,
    /// By when the client has to have logged in; `None` once it has.
    login_deadline: Option<Instant>,
    /// Whether the session knows that the node goes down.
    leaving: bool,
}

impl Connection {
    pub(super) fn new(stream: Stream, peer: SocketAddr, shared: Shared) -> Self {
        let settings = &shared.settings;
        let info = ConnectionInfo {
            tls: stream.is_tls(),
            starttls: shared.tls.is_some() && !stream.is_tls(),
            plaintext_allowed: settings.plaintext.allow(peer.ip()),
        };
        let mut out = Vec::new();
        let config = settings.session.clone();
        let session = Session::new(config, shared.store.clone(), info, shared.clock.now(), &mut out);
        Connection {
            stream,
            peer,
            session,
            feed: Feed::new(settings.framing.before_login()),
            received: Received::default(),
            out,
            login_deadline: Some(Instant::now() + settings.login_within),
            leaving: false,
            shared,
        }
    }

    /// Serves the client until its session ends.
    pub(super) async fn run(mut self) -> Result<(), End> {
        let mut action = Action::WaitForInput;
        loop {
            if self.out.len() >= WRITE_OCTETS {
                self.flush().await?;
            }
            action = match action {
                Action::Ask(request) => {
                    self.flush().await?;
                    let answer = self.ask(request).await?;
                    let action = blocking(|| self.handle(Input::Answered(answer)));
                    self.settle(action)
                }
                Action::Authenticate(question) => self.authenticate(question).await?,
                Action::StartTls => self.start_tls().await?,
                Action::Compress => self.compress().await?,
                Action::Pause { until } => self.pause(until).await?,
                Action::Continue => {
                    self.give_way().await?;
                    let action = self.produce();
                    self.settle(action)
                }
                Action::ReadLine => {
                    self.feed.expect_line();
                    self.next(true).await?
                }
                Action::WaitForInput => self.next(true).await?,
                Action::AcceptLiteral => {
                    if self.feed.accept() {
                        self.out.extend_from_slice(b"+ Ready for the message\r\n");
                    }
                    self.next(false).await?
                }
                Action::Close => {
                    self.flush().await?;
                    self.stream.close().await;
                    return Ok(());
                }
            };
        }
    }

    /// Asks the store. Where that takes long, the client hears that it is being worked on.
    async fn ask(&mut self, request: Request) -> Result<Result<Reply, RequestError>, End> {
        let store = self.shared.store.clone();
        let mut answer = pin!(store.ask(request));
        loop {
            match timeout(Duration::from_millis(PROGRESS_INTERVAL), answer.as_mut()).await {
                Ok(answer) => return Ok(answer),
                Err(_) => {
                    self.session.still_asking(&mut self.out);
                    self.flush().await?;
                }
            }
        }
    }

    /// An APPEND that the session does not want any more is swallowed; without one nothing is.
    fn settle(&mut self, action: Action) -> Action {
        if !goes_on(&action) {
            self.feed.refuse();
        }
        action
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

    /// Between two pieces of a long answer: what was said goes out, and other tasks have their turn. While nothing is said, as in a
    /// search of many bodies, it would not be noticed that the client is gone; so then whatever it sends is waited for, without
    /// waiting.
    async fn give_way(&mut self) -> Result<(), End> {
        if !self.out.is_empty() {
            self.flush().await?;
            yield_now().await;
            return Ok(());
        }
        let Connection { stream, received, .. } = self;
        let nothing_waits = received.rest().is_empty();
        tokio::select! {
            biased;
            read = received.fill(stream), if nothing_waits => match read? {
                0 => Err(End::Closed),
                _ => Ok(()),
            },
            () = yield_now() => Ok(()),
        }
    }

    /// Hands the session the next thing that happens. `changes`: whether it wants to know of changes.
    async fn next(&mut self, changes: bool) -> Result<Action, End> {
        loop {
            if let Some(action) = self.take_received() {
                return Ok(action);
            }
            self.flush().await?;
            match self.wait(changes).await? {
                Woken::Octets => {}
                Woken::Quiet => self.stream.rest(),
                Woken::Changed => return Ok(self.handle(Input::ViewChanged)),
                Woken::Shutdown => {
                    self.leaving = true;
                    return Ok(self.handle(Input::Shutdown));
                }
                Woken::Deadline if self.login_deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                    self.out.extend_from_slice(b"* BYE Nobody logged in for too long\r\n");
                    return Ok(Action::Close);
                }
                Woken::Deadline => return Ok(self.handle(Input::Timeout)),
            }
        }
    }

    /// Feeds the session from what was received; `None` where that does not suffice for an input.
    fn take_received(&mut self) -> Option<Action> {
        let Connection { received, feed, session, out, shared, .. } = self;
        loop {
            let before = received.rest().len();
            let mut rest = received.rest();
            // The command before may have been the ENABLE that changes it.
            feed.spell(session.name_encoding());
            let fed = feed.next(&mut rest);
            let taken = before - rest.len();
            let action = match fed {
                None => {
                    received.take(taken);
                    return None;
                }
                Some(Fed::Continue) => {
                    out.extend_from_slice(b"+ Ready for the literal\r\n");
                    None
                }
                Some(Fed::Fatal(refusal)) => {
                    out.extend_from_slice(format!("* BYE {refusal}\r\n").as_bytes());
                    Some(Action::Close)
                }
                Some(Fed::Line(line)) => Some(session.handle(shared.clock.now(), Input::Line(&line), out)),
                Some(Fed::Input(input)) => Some(take_input(session, feed, shared.clock.now(), input, out)),
            };
            received.take(taken);
            if action.is_some() {
                return action;
            }
        }
    }

    async fn wait(&mut self, changes: bool) -> Result<Woken, End> {
        self.out.shrink_to(KEPT_OCTETS);
        let timeout = self.session.poll_timeout().map(|deadline| self.shared.clock.instant(deadline));
        let deadline = timeout.into_iter().chain(self.login_deadline).min();
        let Connection { stream, session, received, shared, .. } = self;
        let can_rest = stream.can_rest();
        let changed = async {
            match changes {
                true => session.changed().await,
                false => pending().await,
            }
        };
        let too_late = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shutting_down(&mut shared.shutdown), if !self.leaving => Ok(Woken::Shutdown),
            () = too_late => Ok(Woken::Deadline),
            read = received.fill(stream) => match read? {
                0 => Err(End::Closed),
                _ => Ok(Woken::Octets),
            },
            () = changed => Ok(Woken::Changed),
            () = sleep(QUIET), if can_rest => Ok(Woken::Quiet),
        }
    }

    async fn authenticate(&mut self, question: Question) -> Result<Action, End> {
        self.flush().await?;
        let account = question.name().to_owned();
        let bindings = self.stream.tls_connection().map(|tls| self.shared.authenticator.bindings(tls));
        let answer = self.shared.authenticator.answer(question, &bindings.unwrap_or_default()).await;
        match &answer {
            Ok(Answer::LoggedIn(authenticated)) => {
                tracing::info!(peer = %self.peer, account = authenticated.view.borrow().name, "logged in");
                self.login_deadline = None;
                self.feed.limit(self.shared.settings.framing);
            }
            Ok(_) => {}
            Err(error) => tracing::info!(peer = %self.peer, account, %error, "login refused"),
        }
        Ok(self.handle(Input::Authenticated(answer)))
    }

    /// Begins TLS. Whatever came before it in the clear is dropped: somebody else may have put it there (RFC 9051 section
    /// 6.2.1; CVE-2011-0411).
    async fn start_tls(&mut self) -> Result<Action, End> {
        self.flush().await?;
        self.received = Received::default();
        self.feed = Feed::new(self.shared.settings.framing.before_login());
        let Some(acceptor) = self.shared.tls.clone() else {
            return Ok(Action::Close);
        };
        timeout(HANDSHAKE, self.stream.upgrade(&acceptor)).await.map_err(|_| End::HandshakeTooLong)??;
        Ok(self.handle(Input::TlsStarted))
    }

    /// Compresses from here on. A client sends nothing before it was told so (RFC 4978 section 3); what came nevertheless can
    /// only be compressed.
    async fn compress(&mut self) -> Result<Action, End> {
        self.flush().await?;
        self.stream.compress(self.received.rest(), self.shared.deflaters.clone());
        self.received = Received::default();
        Ok(Action::WaitForInput)
    }

    /// Holds the client up, and nobody else.
    async fn pause(&mut self, until: Millis) -> Result<Action, End> {
        self.flush().await?;
        let until = self.shared.clock.instant(until);
        tokio::select! {
            biased;
            () = shutting_down(&mut self.shared.shutdown), if !self.leaving => {
                self.leaving = true;
                Ok(self.handle(Input::Shutdown))
            }
            () = sleep_until(until) => Ok(self.produce()),
        }
    }

    /// Writes everything that was said. A client that takes nothing of it for too long loses its connection.
    async fn flush(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        let within = self.shared.settings.write_within;
        let mut rest = self.out.as_slice();
        while !rest.is_empty() {
            let written = timeout(within, self.stream.write(rest)).await.map_err(|_| End::Stalled)??;
            if written == 0 {
                return Err(End::Closed);
            }
            rest = rest.get(written..).unwrap_or_default();
        }
        timeout(within, self.stream.flush()).await.map_err(|_| End::Stalled)??;
        self.out.clear();
        Ok(())
    }
}

/// Hands an input to the session. An APPEND that it does not want, or no longer, is swallowed.
fn take_input(
    session: &mut Session,
    feed: &mut Feed,
    now: Millis,
    input: Input<'_>,
    out: &mut Vec<u8>,
) -> Action {
    let wanted = matches!(
        &input,
        Input::Append(event) if !matches!(event, AppendEvent::Finish | AppendEvent::Broken { .. })
    );
    let action = match reaches_disk(&input) {
        true => blocking(|| session.handle(now, input, out)),
        false => session.handle(now, input, out),
    };
    if wanted && !goes_on(&action) {
        feed.refuse();
    }
    action
}

/// Whether an APPEND is wanted still, now or once what the session waits for is there.
fn goes_on(action: &Action) -> bool {
    matches!(action, Action::AcceptLiteral | Action::Ask(_) | Action::Continue)
}

/// Whether the session reads bodies, or writes one, while it takes this in.
fn reaches_disk(input: &Input<'_>) -> bool {
    match input {
        Input::Command(command) => matches!(
            command.body,
            CommandBody::Fetch { .. }
                | CommandBody::Search(_)
                | CommandBody::Sort(_)
                | CommandBody::Thread(_)
        ),
        Input::Append(event) => matches!(event, AppendEvent::End | AppendEvent::Close | AppendEvent::Url(_)),
        _ => false,
    }
}

/// Runs what may wait for the disk such that other tasks of this thread go on elsewhere.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Octets of the client that no input was made of yet. Thousands of connections wait at the same time and each of them has
/// a buffer to read into, so it is small until the client sends more than it holds.
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
    async fn fill(&mut self, stream: &mut Stream) -> io::Result<usize> {
        let room = self.room();
        (self.start, self.end) = (0, 0);
        if room != self.buffer.len() {
            self.buffer = vec![0; room];
        }
        let read = stream.read(&mut self.buffer).await?;
        self.end = read;
        Ok(read)
    }

    /// How much to read next, in octets: twice what came, if there was no room for more, or else what suffices for as much.
    fn room(&self) -> usize {
        let came = self.end;
        let wanted =
            if came == self.buffer.len() { came.saturating_mul(2) } else { came.next_power_of_two() };
        wanted.clamp(*READ_OCTETS.start(), *READ_OCTETS.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_grows_with_what_the_client_sends_and_goes_when_it_sends_little() {
        let mut received = Received::default();
        let mut rooms = Vec::new();
        for came in [512, 1024, 2048, 4096, 8192, 16384, 32768, 32768, 20000, 10, 10] {
            rooms.push(received.room());
            received.buffer = vec![0; received.room()];
            received.end = came;
        }
        assert_eq!(rooms, [512, 1024, 2048, 4096, 8192, 16384, 32768, 32768, 32768, 32768, 512]);
    }
}
