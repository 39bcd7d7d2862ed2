//! SASL: SCRAM-SHA-256 and its PLUS (RFC 5802, RFC 7677), and what holds for every mechanism.

use auth::testing::ScramClient;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::client::{Client, Store, TLS, store};
use crate::session::ConnectionInfo;

/// What the tests' store says of every connection.
const EXPORTED: [u8; 32] = [5; 32];
const WRONG: &str = "t NO [AUTHENTICATIONFAILED] The name or the password is wrong\r\n";

fn challenge(answer: &str) -> &str {
    answer.strip_prefix("+ ").and_then(|rest| rest.strip_suffix("\r\n")).unwrap_or_else(|| panic!("{answer}"))
}

/// Logs in, and gives what came in the end.
fn scram(store: &Store, mechanism: &str, mut client: ScramClient) -> (Client, String) {
    let (mut connection, _) = Client::connect(store, TLS);
    let answer = connection.send(&format!("AUTHENTICATE {mechanism} {}", client.first()));
    if !answer.starts_with("+ ") {
        return (connection, answer);
    }
    let answer = connection.line(&client.last(challenge(&answer)));
    if !answer.starts_with("+ ") {
        return (connection, answer);
    }
    assert!(client.is_convinced_by(challenge(&answer)), "{answer}");
    let answer = connection.line("");
    (connection, answer)
}

#[test]
fn scram_proves_both_sides() {
    let store = store();
    let (mut client, answer) =
        scram(&store, "SCRAM-SHA-256", ScramClient::new("n,,", b"", "alice", "secret"));
    assert!(answer.starts_with("t OK [CAPABILITY "), "{answer}");
    assert!(client.send("SELECT INBOX").contains("t OK "));
    let bound = ScramClient::new("p=tls-exporter,,", &EXPORTED, "Alice", "secret");
    assert!(scram(&store, "scram-sha-256-plus", bound).1.starts_with("t OK "));
}

#[test]
fn who_does_not_know_the_password_learns_nothing() {
    let store = store();
    for (name, password) in [("alice", "wrong"), ("nobody", "secret")] {
        let (client, answer) = scram(&store, "SCRAM-SHA-256", ScramClient::new("n,,", b"", name, password));
        assert_eq!(answer, WRONG, "{name}");
        assert_eq!(client.now.0 - Client::connect(&store, TLS).0.now.0, 1000, "{name} waits");
    }
    // Salt and rounds of an account that is not there look like those of any, and stay the same.
    let asked = |name: &str| {
        let first = ScramClient::new("n,,", b"", name, "").first();
        let answer = Client::connect(&store, TLS).0.send(&format!("AUTHENTICATE SCRAM-SHA-256 {first}"));
        String::from_utf8(BASE64_STANDARD.decode(challenge(&answer)).unwrap()).unwrap()
    };
    assert_eq!(asked("nobody"), asked("nobody"));
    assert_ne!(asked("nobody"), asked("somebody"));
    assert!(asked("nobody").contains(",i=65536"), "{}", asked("nobody"));
}

/// Somebody between client and server ends TLS himself: he knows another channel, or hides that there is a better mechanism.
#[test]
fn somebody_in_the_middle_is_found_out() {
    let store = store();
    let other_channel = ScramClient::new("p=tls-exporter,,", &[6; 32], "alice", "secret");
    assert_eq!(scram(&store, "SCRAM-SHA-256-PLUS", other_channel).1, WRONG);
    let told_lies = ScramClient::new("y,,", b"", "alice", "secret");
    let (_, answer) = scram(&store, "SCRAM-SHA-256", told_lies);
    assert!(answer.starts_with("t NO [AUTHENTICATIONFAILED] Channel binding is offered here"), "{answer}");
    for header in ["p=tls-unique,,", "p=tls-server-end-point,,", "n,,"] {
        let client = ScramClient::new(header, b"", "alice", "secret");
        let (_, answer) = scram(&store, "SCRAM-SHA-256-PLUS", client);
        assert!(answer.starts_with("t NO [AUTHENTICATIONFAILED] "), "{header} {answer}");
    }
}

#[test]
fn the_list_of_mechanisms_changes_with_tls() {
    let store = store();
    let offered = |client: &mut Client| {
        let answer = client.send("CAPABILITY");
        answer.split(' ').filter_map(|word| word.strip_prefix("AUTH=")).map(str::to_owned).collect::<Vec<_>>()
    };
    let open = ConnectionInfo { tls: false, starttls: true, plaintext_allowed: true };
    let (mut client, _) = Client::connect(&store, open);
    assert_eq!(offered(&mut client), ["SCRAM-SHA-256", "PLAIN"]);
    let plus = ScramClient::new("p=tls-exporter,,", b"", "alice", "secret").first();
    assert!(client.send(&format!("AUTHENTICATE SCRAM-SHA-256-PLUS {plus}")).starts_with("t NO [CANNOT] "));
    client.send("STARTTLS");
    assert_eq!(offered(&mut client), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"]);
    let closed = ConnectionInfo { tls: false, starttls: true, plaintext_allowed: false };
    let (mut client, _) = Client::connect(&store, closed);
    assert!(offered(&mut client).is_empty());
    assert!(client.send("AUTHENTICATE SCRAM-SHA-256 biws").starts_with("t NO [PRIVACYREQUIRED] "));
}

/// RFC 9051 section 6.2.2, RFC 4959 section 3: `=` is an empty initial response, `*` ends the attempt at any point.
#[test]
fn an_attempt_can_be_empty_cancelled_and_wrong() {
    let store = store();
    let (mut client, _) = Client::connect(&store, TLS);
    assert!(client.send("AUTHENTICATE PLAIN =").starts_with("t BAD The response is not one of PLAIN"));
    assert!(
        client.send("AUTHENTICATE SCRAM-SHA-256 =").starts_with("t BAD The response is not one of SCRAM")
    );
    let first = ScramClient::new("n,,", b"", "alice", "secret").first();
    assert_eq!(client.send("AUTHENTICATE SCRAM-SHA-256"), "+ \r\n");
    assert!(client.line(&first).starts_with("+ "));
    assert!(client.line("*").starts_with("t BAD Authentication cancelled"));
    assert!(client.send(&format!("AUTHENTICATE SCRAM-SHA-256 {first}")).starts_with("+ "));
    assert!(client.line("????").starts_with("t BAD The response is not base64"));
    assert!(client.send("AUTHENTICATE PLAIN").starts_with("+ "));
    assert!(client.line(&"A".repeat(8000)).starts_with("t BAD The response is too long"));
    assert!(client.send("AUTHENTICATE CRAM-MD5").starts_with("t NO [CANNOT] "));
    // After its own proof the server waits for nothing but an empty line.
    let mut scram = ScramClient::new("n,,", b"", "alice", "secret");
    let answer = client.send(&format!("AUTHENTICATE SCRAM-SHA-256 {}", scram.first()));
    assert!(client.line(&scram.last(challenge(&answer))).starts_with("+ "));
    assert!(client.line("AAAA").starts_with("t BAD "));
    assert!(
        client.send("SELECT INBOX").starts_with("t BAD [CLIENTBUG] Log in first"),
        "the proof alone is no login"
    );
    assert!(client.send("LOGIN alice secret").starts_with("t OK "));
}
