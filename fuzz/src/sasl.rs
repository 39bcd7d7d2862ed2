//! SASL: who is let in is who an independent reading of the RFCs lets in, by the mechanisms alone and by IMAP and POP3, which agree.

use std::sync::{Arc, OnceLock};

use auth::exchange::{Exchange, Question, Step};
use auth::mechanism::{Mechanism, Offer};
use auth::testing::ScramClient;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use imap::command::{Command, CommandBody, SaslResponse, Tag};
use imap::session as imap_session;
use mailstore::request::RequestError;
use pop3::lengths::Lengths;
use pop3::session as pop3_session;

use crate::store::{self, BOUND, GOOD_TOKEN, NAME, PASSWORD, START};

/// The mechanisms, and whether the connection is protected.
const MECHANISMS: [(Mechanism, bool); 6] = [
    (Mechanism::Plain, true),
    (Mechanism::ScramSha256, true),
    (Mechanism::ScramSha256, false),
    (Mechanism::ScramSha256Plus, true),
    (Mechanism::OAuthBearer, true),
    (Mechanism::XOAuth2, true),
];
/// The most responses of one exchange.
const MOST_STEPS: usize = 10;

/// The input is what a client responds, one response a line, by every mechanism; a response of PLAIN before base64, and the line
/// that carries one; and how the proof of a client of SCRAM is spoilt.
pub fn run(octets: &[u8]) {
    for (mechanism, tls) in MECHANISMS {
        exchange(mechanism, tls, octets);
    }
    spoil_proof(octets);
    check_plain(BASE64_STANDARD.encode(octets).as_bytes());
    check_plain(octets);
    let encoded = BASE64_STANDARD.encode(octets);
    let initial = by_imap(Some(SaslResponse(octets.to_vec())), b"");
    assert_eq!(initial, expected(encoded.as_bytes()), "an initial response");
}

/// Lets a client respond; who is let in has shown a reason.
fn exchange(mechanism: Mechanism, tls: bool, octets: &[u8]) {
    let store = store::fresh();
    let mut exchange = Exchange::begin(mechanism, Offer { tls, tokens: true });
    let mut responses = octets.split(|octet| *octet == b'\n');
    let mut step = Step::Challenge(Vec::new());
    for _ in 0..MOST_STEPS {
        step = match step {
            Step::Challenge(_) => match responses.next() {
                Some(response) => exchange.respond(response),
                None => return,
            },
            Step::Ask(question) => exchange.answered(store.answer(question)),
            Step::Failed(_) => return,
            Step::Done(_) => {
                let first = octets.split(|octet| *octet == b'\n').next().unwrap_or_default();
                let proven = match mechanism {
                    Mechanism::Plain => {
                        expected(BASE64_STANDARD.encode(first).as_bytes())
                            == Some((NAME.to_owned(), PASSWORD.to_owned()))
                    }
                    Mechanism::OAuthBearer | Mechanism::XOAuth2 => {
                        String::from_utf8_lossy(first)
                            .to_ascii_lowercase()
                            .contains(&format!("bearer {GOOD_TOKEN}"))
                            || String::from_utf8_lossy(first).contains(GOOD_TOKEN)
                    }
                    // Nobody finds the proof of a password by chance.
                    Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => false,
                };
                assert!(proven, "{} lets in {}", mechanism.name(), octets.escape_ascii());
                return;
            }
        };
    }
    panic!("{} does not come to an end", mechanism.name());
}

/// What a client of SCRAM says first and last, by both mechanisms.
fn scram_messages() -> &'static [(Mechanism, Vec<u8>, Vec<u8>); 2] {
    static MESSAGES: OnceLock<[(Mechanism, Vec<u8>, Vec<u8>); 2]> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let plus = (Mechanism::ScramSha256Plus, "p=tls-exporter,,", BOUND.as_slice());
        [(Mechanism::ScramSha256, "n,,", [].as_slice()), plus].map(|(mechanism, header, bound)| {
            let mut client = ScramClient::new(header, bound, NAME, PASSWORD);
            let first = BASE64_STANDARD.decode(client.first()).expect("base64");
            let mut exchange = Exchange::begin(mechanism, Offer { tls: true, tokens: true });
            let Step::Ask(question) = exchange.respond(&first) else { panic!("it asks for keys") };
            let Step::Challenge(challenge) = exchange.answered(store::fresh().answer(question)) else {
                panic!("a challenge")
            };
            let last = client.last(&BASE64_STANDARD.encode(challenge));
            (mechanism, first, BASE64_STANDARD.decode(last).expect("base64"))
        })
    })
}

/// The first octet says where the client's last message is changed, and the rest what stands there instead: only the message that
/// the client meant lets it in.
fn spoil_proof(octets: &[u8]) {
    let Some((place, instead)) = octets.split_first() else { return };
    for (mechanism, first, last) in scram_messages() {
        let place = usize::from(*place) % last.len();
        let mut spoilt = last.clone();
        let end = spoilt.len().min(place + instead.len());
        spoilt.splice(place..end, instead.iter().copied());
        let store = store::fresh();
        let mut exchange = Exchange::begin(*mechanism, Offer { tls: true, tokens: true });
        let Step::Ask(question) = exchange.respond(first) else { panic!("it asks for keys") };
        let Step::Challenge(_) = exchange.answered(store.answer(question)) else { panic!("a challenge") };
        match exchange.respond(&spoilt) {
            Step::Challenge(_) => assert_eq!(spoilt, *last, "{}", spoilt.escape_ascii()),
            Step::Failed(_) => assert_ne!(spoilt, *last),
            other => panic!("{other:?}"),
        }
    }
}

/// A line that answers the challenge.
fn check_plain(line: &[u8]) {
    // Lines come without their ends, and an asterisk breaks off.
    if line.contains(&b'\n') || line.contains(&b'\r') || line == b"*" {
        return;
    }
    let expected = expected(line);
    assert_eq!(by_imap(None, line), expected, "IMAP, {}", line.escape_ascii());
    assert_eq!(by_pop3(line), expected, "POP3, {}", line.escape_ascii());
}

/// RFC 4616 section 2: `[authzid] NUL authcid NUL passwd`, in base64 with padding (RFC 4648 section 4), UTF-8; nobody acts for
/// somebody else. A response has a bound.
fn expected(line: &[u8]) -> Option<(String, String)> {
    let response = BASE64_STANDARD.decode(line).ok().filter(|response| response.len() <= 4096)?;
    let response = String::from_utf8(response).ok()?;
    let parts: Vec<&str> = response.split('\0').collect();
    match parts[..] {
        [acting_for, name, password] if acting_for.is_empty() || acting_for == name => {
            Some((name.to_owned(), password.to_owned()))
        }
        _ => None,
    }
}

/// Whose password IMAP wants checked. Whatever else it answers, it says it under the tag, in one line, and goes on.
fn by_imap(initial_response: Option<SaslResponse>, line: &[u8]) -> Option<(String, String)> {
    use imap_session::{Action, ConnectionInfo, Input, Session, SessionConfig};
    let connection = ConnectionInfo { tls: true, starttls: true, plaintext_allowed: false };
    let (mut out, mailstore) = (Vec::new(), store::fresh().mailstore);
    let mut session =
        Session::new(Arc::new(SessionConfig::default()), mailstore, connection, START, &mut out);
    out.clear();
    let tag = Tag::new(b"t").expect("a tag");
    let initial = initial_response.is_some();
    let body = CommandBody::Authenticate { mechanism: "PLAIN".to_owned(), initial_response };
    let mut action = session.handle(START, Input::Command(Command { tag, body }), &mut out);
    if !initial {
        assert!(matches!(action, Action::ReadLine) && out == b"+ \r\n");
        out.clear();
        action = session.handle(START, Input::Line(line), &mut out);
    }
    let Action::Authenticate(Question::Password { name, password }) = action else {
        assert!(out.starts_with(b"t ") && out.ends_with(b"\r\n"), "{}", out.escape_ascii());
        return None;
    };
    let wrong = Input::Authenticated(Err(RequestError::WrongPassword));
    assert!(matches!(session.handle(START, wrong, &mut out), Action::Pause { .. }));
    Some((name, password))
}

/// Whose password POP3 wants checked.
fn by_pop3(line: &[u8]) -> Option<(String, String)> {
    use pop3_session::{Action, ConnectionInfo, Input, Session, SessionConfig};
    let connection = ConnectionInfo { tls: true, stls: false, plaintext_allowed: false };
    let (mut out, lengths) = (Vec::new(), Arc::new(Lengths::default()));
    let (config, mailstore) = (Arc::new(SessionConfig::default()), store::fresh().mailstore);
    let mut session = Session::new(config, mailstore, lengths, connection, START, &mut out);
    out.clear();
    session.handle(START, Input::Line(b"AUTH PLAIN"), &mut out);
    assert_eq!(out, b"+ \r\n");
    out.clear();
    let Action::Authenticate(Question::Password { name, password }) =
        session.handle(START, Input::Line(line), &mut out)
    else {
        assert!(out.starts_with(b"-ERR ") && out.ends_with(b"\r\n"), "{}", out.escape_ascii());
        return None;
    };
    let wrong = Input::Authenticated(Err(RequestError::WrongPassword));
    assert!(matches!(session.handle(START, wrong, &mut out), Action::Pause { .. }));
    Some((name, password))
}
