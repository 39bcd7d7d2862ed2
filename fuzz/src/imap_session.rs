//! IMAP from octets to answers: every command is answered under its tag, in responses of IMAP, the same however the octets come.

use std::sync::Arc;

use imap::command::AppendEvent;
use imap::feed::{Fed, Feed};
use imap::framing::Limits;
use imap::session::{Action, ConnectionInfo, Input, Session, SessionConfig};
use mailstore::crdt::clock::Millis;

use crate::pieces;
use crate::store::{self, NAME, PASSWORD, START, Store};

/// The first octet says how far the client has come; the rest is what it sends.
pub fn run(octets: &[u8]) {
    let Some((first, octets)) = octets.split_first() else { return };
    let whole = Client::talk(*first, [octets].into_iter());
    let cut = Client::talk(*first, pieces::of(octets));
    assert_eq!(whole.escape_ascii().to_string(), cut.escape_ascii().to_string());
    check_responses(&whole);
}

/// RFC 9051 section 2.2: lines, joined by literals, that end with CRLF and hold no NUL outside of a literal8.
fn check_responses(mut rest: &[u8]) {
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("every response ends");
        let (line, after) = rest.split_at(end);
        assert!(line.iter().all(|octet| !matches!(octet, 0 | b'\r' | b'\n')), "{}", line.escape_ascii());
        let size = line.strip_suffix(b"}").and_then(|line| {
            let digits = line.rsplit(|octet| *octet == b'{').next()?;
            std::str::from_utf8(digits).ok()?.parse::<usize>().ok()
        });
        rest = &after[2..];
        if let Some(size) = size {
            assert!(size <= rest.len(), "a literal that does not come whole");
            rest = &rest[size..];
        }
    }
}

struct Client {
    session: Session,
    feed: Feed,
    store: Store,
    now: Millis,
    closed: bool,
    out: Vec<u8>,
}

impl Client {
    /// All that the client is told.
    fn talk<'a>(first: u8, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut client = Client::connect();
        if first & 1 == 0 {
            client.say(format!("l LOGIN {NAME} {PASSWORD}\r\n").as_bytes());
        }
        if first & 3 == 0 {
            client.say(b"s SELECT INBOX\r\n");
        }
        if first & 7 == 0 {
            client.say(b"e ENABLE QRESYNC\r\n");
        }
        pieces.for_each(|piece| client.say(piece));
        client.out
    }

    fn connect() -> Client {
        let (mut out, store) = (Vec::new(), store::fresh());
        let connection = ConnectionInfo { tls: true, starttls: true, plaintext_allowed: false };
        let config = Arc::new(SessionConfig::default());
        let session = Session::new(config, store.mailstore.clone(), connection, START, &mut out);
        let feed = Feed::new(Limits { swallow: 10_000, ..Limits::default() });
        Client { session, feed, store, now: START, closed: false, out }
    }

    fn say(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !self.closed {
            self.feed.spell(self.session.name_encoding());
            let Some(fed) = self.feed.next(&mut rest) else { return };
            match fed {
                Fed::Input(input) => {
                    let wanted = matches!(
                        &input,
                        Input::Append(event) if !matches!(event, AppendEvent::Finish | AppendEvent::Broken { .. })
                    );
                    let action = self.session.handle(self.now, input, &mut self.out);
                    self.settle(action, wanted);
                }
                Fed::Line(line) => {
                    let action = self.session.handle(self.now, Input::Line(&line), &mut self.out);
                    self.settle(action, false);
                }
                Fed::Continue => self.out.extend_from_slice(b"+ Ready\r\n"),
                Fed::Fatal(_) => self.closed = true,
            }
        }
    }

    /// Carries out what the session wants, until it waits for the client.
    fn settle(&mut self, mut action: Action, wanted: bool) {
        loop {
            action = match action {
                Action::Ask(request) => {
                    let answer = self.store.ask(request);
                    self.session.handle(self.now, Input::Answered(answer), &mut self.out)
                }
                Action::Authenticate(question) => {
                    let answer = self.store.answer(question);
                    self.session.handle(self.now, Input::Authenticated(answer), &mut self.out)
                }
                Action::StartTls => self.session.handle(self.now, Input::TlsStarted, &mut self.out),
                Action::Continue => self.session.produce(self.now, &mut self.out),
                Action::Pause { until } => {
                    self.now = until;
                    self.session.produce(self.now, &mut self.out)
                }
                // Nothing that comes now is plain any more.
                Action::Close | Action::Compress => {
                    self.closed = true;
                    return;
                }
                Action::ReadLine => {
                    self.feed.expect_line();
                    return;
                }
                Action::AcceptLiteral => {
                    if self.feed.accept() {
                        self.out.extend_from_slice(b"+ Ready\r\n");
                    }
                    return;
                }
                Action::WaitForInput => {
                    if wanted {
                        self.feed.refuse();
                    }
                    return;
                }
            };
        }
    }
}
