//! SASL in IMAP and POP3: who is let in is who an independent reading of the RFCs lets in, and both protocols agree.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use imap::command::{Command, CommandBody, SaslResponse, Tag};
use imap::session as imap_session;
use mailstore::request::{Authenticated, RequestError};
use pop3::lengths::Lengths;
use pop3::session as pop3_session;

use crate::store::{self, START};

/// The input is a response of PLAIN before base64, and the line that carries one.
pub fn run(octets: &[u8]) {
    let encoded = BASE64_STANDARD.encode(octets);
    check(encoded.as_bytes());
    check(octets);
    let response = SaslResponse(octets.to_vec());
    assert_eq!(by_imap(Some(response), b""), expected(encoded.as_bytes()), "an initial response");
}

/// A line that answers the challenge.
fn check(line: &[u8]) {
    // Lines come without their ends.
    if line.contains(&b'\n') || line.contains(&b'\r') {
        return;
    }
    let expected = expected(line);
    assert_eq!(by_imap(None, line), expected, "IMAP, {}", line.escape_ascii());
    assert_eq!(by_pop3(line), expected, "POP3, {}", line.escape_ascii());
}

/// RFC 4616 section 2: `[authzid] NUL authcid NUL passwd`, in base64 with padding (RFC 4648 section 4), UTF-8; nobody acts for
/// somebody else.
fn expected(line: &[u8]) -> Option<(String, String)> {
    let response = String::from_utf8(BASE64_STANDARD.decode(line).ok()?).ok()?;
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
    let connection = imap_session::ConnectionInfo { tls: true, starttls: true, plaintext_allowed: false };
    let config = Arc::new(imap_session::SessionConfig::default());
    let mut out = Vec::new();
    let mailstore = store::fresh().mailstore;
    let mut session = imap_session::Session::new(config, mailstore, connection, START, &mut out);
    out.clear();
    let tag = Tag::new(b"t").expect("a tag");
    let initial = initial_response.is_some();
    let body = CommandBody::Authenticate { mechanism: "PLAIN".to_owned(), initial_response };
    let mut action = session.handle(START, imap_session::Input::Command(Command { tag, body }), &mut out);
    if !initial {
        assert!(matches!(action, imap_session::Action::ReadLine) && out == b"+ \r\n");
        out.clear();
        action = session.handle(START, imap_session::Input::Line(line), &mut out);
    }
    let imap_session::Action::Authenticate { name, password } = action else {
        assert!(out.starts_with(b"t ") && out.ends_with(b"\r\n"), "{}", out.escape_ascii());
        return None;
    };
    let wrong = imap_session::Input::Authenticated(Err::<Authenticated, _>(RequestError::WrongPassword));
    assert!(matches!(session.handle(START, wrong, &mut out), imap_session::Action::Pause { .. }));
    Some((name, password))
}

/// Whose password POP3 wants checked.
fn by_pop3(line: &[u8]) -> Option<(String, String)> {
    let connection = pop3_session::ConnectionInfo { tls: true, stls: false, plaintext_allowed: false };
    let config = Arc::new(pop3_session::SessionConfig::default());
    let (mut out, lengths) = (Vec::new(), Arc::new(Lengths::default()));
    let mailstore = store::fresh().mailstore;
    let mut session = pop3_session::Session::new(config, mailstore, lengths, connection, START, &mut out);
    out.clear();
    session.handle(START, pop3_session::Input::Line(b"AUTH PLAIN"), &mut out);
    assert_eq!(out, b"+ \r\n");
    out.clear();
    let action = session.handle(START, pop3_session::Input::Line(line), &mut out);
    let pop3_session::Action::Authenticate { name, password } = action else {
        assert!(out.starts_with(b"-ERR ") && out.ends_with(b"\r\n"), "{}", out.escape_ascii());
        return None;
    };
    let wrong = pop3_session::Input::Authenticated(Err::<Authenticated, _>(RequestError::WrongPassword));
    assert!(matches!(session.handle(START, wrong, &mut out), pop3_session::Action::Pause { .. }));
    Some((name, password))
}
