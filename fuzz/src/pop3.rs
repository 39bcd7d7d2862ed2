//! POP3: a session answers in whole lines or hangs up, the same however the octets come, and whatever one session did, the next
//! reads what is left.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use pop3::command;
use pop3::framing::Framer;
use pop3::lengths::Lengths;
use pop3::session::{Action, ConnectionInfo, Input, Session, SessionConfig};
use pop3::wire::{Lines, Meter};

use crate::pieces;
use crate::store::{self, NAME, PASSWORD, START, Store};

/// Of how many inputs one deletes indeed what QUIT deletes: a store is built for each such input.
const REAL_ONE_OF: u64 = 64;

/// The first octet says whether the client has logged in and has TLS; the rest is what it sends.
pub fn run(octets: &[u8]) {
    play(octets, is_real(octets));
}

/// The same with deletions that are real, or are not.
pub fn play(octets: &[u8], real: bool) {
    let Some((first, octets)) = octets.split_first() else { return };
    let _ = command::parse(octets);
    check_wire(octets);
    let whole = Client::talk(*first, real, [octets].into_iter());
    let written = Client::talk(*first, real, pieces::of(octets));
    assert_eq!(whole.escape_ascii().to_string(), written.escape_ascii().to_string());
    assert!(whole.ends_with(b"\r\n"));
    let bare = whole.windows(2).any(|pair| matches!(pair, [before, b'\n'] if *before != b'\r'));
    assert!(!bare, "{}", whole.escape_ascii());
}

/// Whether deletions are real. The input as a whole says so: no part of it that a fuzzer could settle on.
fn is_real(octets: &[u8]) -> bool {
    let mut hasher = DefaultHasher::new();
    octets.hash(&mut hasher);
    hasher.finish().is_multiple_of(REAL_ONE_OF)
}

/// RFC 1939 section 3: what is sent is what was said, once the dots are taken off, and as long as it was said to be.
fn check_wire(octets: &[u8]) {
    let (mut lines, mut meter, mut out) = (Lines::whole(), Meter::default(), Vec::new());
    for piece in pieces::of(octets) {
        lines.push(piece, &mut out);
        meter.push(piece);
    }
    lines.finish(&mut out);
    let body = out.strip_suffix(b".\r\n").expect("a last line");
    assert!(body.is_empty() || body.ends_with(b"\r\n"));
    let unstuffed: Vec<u8> = body
        .split_inclusive(|octet| *octet == b'\n')
        .flat_map(|line| line.strip_prefix(b".").unwrap_or(line).to_vec())
        .collect();
    assert_eq!(unstuffed.len() as u64, meter.finish());
}

struct Client {
    session: Session,
    framer: Framer,
    store: Store,
    now: mailstore::crdt::clock::Millis,
    closed: bool,
    real: bool,
    out: Vec<u8>,
}

impl Client {
    /// All that the client is told.
    fn talk<'a>(first: u8, real: bool, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut client = Client::new(first, real);
        for mut piece in pieces {
            while !client.closed
                && let Some(event) = client.framer.next(&mut piece, client.session.longest_line())
            {
                client.hand_in(Input::from(&event));
            }
        }
        let store = client.store.clone();
        drop(client.session);
        let mut next = Client::logged_in(store, true);
        let count = next.lines("LIST\r\n") - 2;
        assert!(count <= 3, "there were three messages");
        for number in 1..=count {
            assert!(next.lines(&format!("RETR {number}\r\n")) >= 2);
        }
        client.out
    }

    fn new(first: u8, real: bool) -> Client {
        let (store, logged_in, tls) = (store::fresh(), first & 1 == 0, first & 2 == 0);
        if logged_in {
            return Client::logged_in(store, real);
        }
        Client::connect(store, ConnectionInfo { tls, stls: !tls, plaintext_allowed: first & 4 == 0 }, real)
    }

    fn connect(store: Store, connection: ConnectionInfo, real: bool) -> Client {
        let (mut out, config) = (Vec::new(), Arc::new(SessionConfig::default()));
        let lengths = Arc::new(Lengths::default());
        let session = Session::new(config, store.mailstore.clone(), lengths, connection, START, &mut out);
        Client { session, framer: Framer::default(), store, now: START, closed: false, real, out }
    }

    fn logged_in(store: Store, real: bool) -> Client {
        let tls = ConnectionInfo { tls: true, stls: false, plaintext_allowed: false };
        let mut client = Client::connect(store, tls, real);
        client.lines(&format!("USER {NAME}\r\nPASS {PASSWORD}\r\n"));
        assert!(client.out.ends_with(b"messages\r\n"), "{}", client.out.escape_ascii());
        client
    }

    /// Says it, and counts the lines of the answer.
    fn lines(&mut self, text: &str) -> usize {
        let before = self.out.len();
        let mut rest = text.as_bytes();
        while let Some(event) = self.framer.next(&mut rest, self.session.longest_line()) {
            self.hand_in(Input::from(&event));
        }
        let answer = self.out.get(before..).unwrap_or_default();
        assert!(answer.starts_with(b"+OK"), "{text}: {}", answer.escape_ascii());
        answer.iter().filter(|octet| **octet == b'\n').count()
    }

    fn hand_in(&mut self, input: Input<'_>) {
        let mut action = self.session.handle(self.now, input, &mut self.out);
        loop {
            action = match action {
                Action::Ask(request) => {
                    let answer =
                        if self.real { self.store.ask(request) } else { self.store.pretend(request) };
                    self.session.handle(self.now, Input::Answered(answer), &mut self.out)
                }
                Action::Authenticate(question) => {
                    let answer = self.store.answer(question);
                    self.session.handle(self.now, Input::Authenticated(answer), &mut self.out)
                }
                // The shell drops what came before the handshake; here it is the input's own, and goes on.
                Action::StartTls => self.session.handle(self.now, Input::TlsStarted, &mut self.out),
                Action::Continue => self.session.produce(self.now, &mut self.out),
                Action::Pause { until } => {
                    self.now = until;
                    self.session.produce(self.now, &mut self.out)
                }
                Action::Close => {
                    self.closed = true;
                    return;
                }
                Action::WaitForInput => return,
            };
        }
    }
}
