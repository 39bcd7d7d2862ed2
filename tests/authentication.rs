//! Logging in to real processes: by SCRAM on either node, by app passwords, and with tokens of an issuer on this machine.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use auth::testing::{ScramClient, Signer};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kit::cluster::{ACCOUNT, Cluster, PASSWORD, Setup};
use kit::issuer::Issuer;
use kit::node::Node;
use kit::pop3;
use kit::wait::eventually;
use serde_json::{Value, json};

/// The longest silence of a server that still has to answer.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);
/// What an issuer may keep a client waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the issuer's keys are asked for at most.
const BETWEEN_FETCHES: Duration = Duration::from_secs(30);

/// A connection on which every line counts.
struct Wire(BufReader<TcpStream>);

impl Wire {
    #[track_caller]
    fn open(address: SocketAddr) -> (Self, String) {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONGEST_SILENCE)).unwrap();
        let mut wire = Wire(BufReader::new(stream));
        let greeting = wire.line();
        (wire, greeting)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    #[track_caller]
    fn ask(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.line()
    }
}

/// How a node answers a password: the line.
fn login(node: &Node, password: &str) -> String {
    Wire::open(node.imap).0.ask(&format!("a LOGIN {ACCOUNT} \"{password}\""))
}

fn scram(node: &Node, password: &str) -> String {
    let mut client = ScramClient::new("n,,", b"", ACCOUNT, password);
    let (mut wire, _) = Wire::open(node.imap);
    let challenge = wire.ask(&format!("a AUTHENTICATE SCRAM-SHA-256 {}", client.first()));
    let answer = wire.ask(&client.last(challenge.strip_prefix("+ ").unwrap()));
    match answer.strip_prefix("+ ") {
        Some(verifier) => {
            assert!(client.is_convinced_by(verifier));
            wire.ask("")
        }
        None => answer,
    }
}

/// The keys of SCRAM and the hash of a password go together, from node to node.
#[test]
fn a_password_that_is_changed_on_one_node_is_the_one_of_the_other() {
    let cluster = Cluster::two();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    for node in [a, b] {
        assert!(scram(node, PASSWORD).starts_with("a OK "), "on {}", node.name);
        assert!(scram(node, "wrong").starts_with("a NO [AUTHENTICATIONFAILED] "), "on {}", node.name);
    }
    b.run(&["user", "passwd", ACCOUNT, "--password-stdin"], "Ange\u{301}lique\n").success("user passwd");
    eventually("the new password on a", || {
        let answer = login(a, "Ang\u{e9}lique");
        if answer.starts_with("a OK ") { Ok(()) } else { Err(answer) }
    });
    for node in [a, b] {
        assert!(scram(node, "Ang\u{e9}lique").starts_with("a OK "), "SASLprep on {}", node.name);
        assert!(scram(node, PASSWORD).starts_with("a NO "), "the old one on {}", node.name);
    }
    // Of an account that is not there both nodes tell the same salt.
    let salt = |node: &Node| {
        let first = ScramClient::new("n,,", b"", "nobody", "").first();
        let challenge = Wire::open(node.imap).0.ask(&format!("a AUTHENTICATE SCRAM-SHA-256 {first}"));
        let told = BASE64_STANDARD.decode(challenge.trim_start_matches("+ ").trim_end()).unwrap();
        let told = String::from_utf8(told).unwrap();
        told.split(',').find(|part| part.starts_with("s=")).unwrap().to_owned()
    };
    assert_eq!(salt(a), salt(b));
}

fn app_passwords(node: &Node) -> Vec<Value> {
    let told = node.succeeds(&["user", "app-password", "list", ACCOUNT, "--json"]);
    serde_json::from_str::<Value>(&told).unwrap()["app_passwords"].as_array().unwrap().clone()
}

/// Two are added apart and both stay; one that is removed apart is removed, whatever else was done.
#[test]
fn app_passwords_are_added_apart_and_removed_for_ever() {
    let cluster = Cluster::two();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let add = |node: &Node, label: &str| {
        node.succeeds(&["user", "app-password", "add", ACCOUNT, "--label", label]).trim_end().to_owned()
    };
    let first = add(a, "first");
    eventually("the first one on b", || match login(b, &first) {
        answer if answer.starts_with("a OK ") => Ok(()),
        answer => Err(answer),
    });
    cluster.part();
    let (on_a, on_b) = (add(a, "phone"), add(b, "phone"));
    b.succeeds(&["user", "app-password", "remove", ACCOUNT, "first"]);
    assert!(login(b, &first).starts_with("a NO "), "removed here");
    assert!(login(a, &first).starts_with("a OK "), "not heard of yet");
    cluster.meet();
    eventually("both on both, and the removed one on neither", || {
        for node in [a, b] {
            for (password, wanted) in [(&on_a, "a OK "), (&on_b, "a OK "), (&first, "a NO ")] {
                let answer = login(node, password);
                if !answer.starts_with(wanted) {
                    return Err(format!("{}: {answer}", node.name));
                }
            }
        }
        Ok(())
    });
    assert_eq!(app_passwords(a), app_passwords(b));
    let labels: Vec<Value> = app_passwords(a).into_iter().map(|one| one["label"].clone()).collect();
    assert_eq!(labels, ["phone", "phone"]);
    let twice = a.run(&["user", "app-password", "remove", ACCOUNT, "phone"], "");
    assert!(!twice.status.success() && twice.stderr.contains("2 app passwords"), "{twice:?}");
    let id = app_passwords(a)[0]["id"].as_str().unwrap().to_owned();
    a.succeeds(&["user", "app-password", "remove", ACCOUNT, &id]);
    assert_eq!(app_passwords(a).len(), 1);
    // POP3 takes them, in whatever way they are typed; the account's own password goes on to hold.
    let mut client = pop3::Client::connect(&a.name, a.pop3);
    client.ok(&format!("USER {ACCOUNT}"));
    client.ok(&format!("PASS {}", on_b.replace('-', "").to_uppercase()));
    assert!(login(a, PASSWORD).starts_with("a OK "));
    for node in [a, b] {
        assert!(!node.log_text().contains(&on_a), "the log of {} has a password", node.name);
        node.succeeds(&["verify"]);
    }
    // An account that is added again under the name has none of them.
    a.succeeds(&["user", "remove", ACCOUNT]);
    a.add_user(ACCOUNT, PASSWORD);
    assert!(app_passwords(a).is_empty());
    assert!(login(a, &on_a).starts_with("a NO ") && login(a, PASSWORD).starts_with("a OK "));
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Value {
    json!({ "iss": "https://id.example.com", "aud": "peerpost", "exp": now() + 600, "scope": "openid mail", "email": ACCOUNT })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn oauth(more: &str) -> String {
    format!(
        "[auth.oauth]\nissuer = \"https://id.example.com\"\naudience = \"peerpost\"\nscope = \"mail\"\n\
         username_claim = \"email\"\nopenid_configuration = \"https://id.example.com/.well-known\"\n{more}\n"
    )
}

/// One node with an issuer.
fn node_with(directory: &Path, more: &str) -> Node {
    let mut node = Node::new("a", directory, false);
    node.configure(node.quic, &oauth(more));
    node.succeeds(&["init"]);
    node.start();
    node.add_user(ACCOUNT, PASSWORD);
    node
}

/// The challenges, undone, and the tagged line.
fn bearer(node: &Node, mechanism: &str, name: &str, token: &str) -> (Option<Value>, String) {
    let said = match mechanism {
        "XOAUTH2" => format!("user={name}\u{1}auth=Bearer {token}\u{1}\u{1}"),
        _ => format!("n,a={name},\u{1}host=localhost\u{1}port=143\u{1}auth=Bearer {token}\u{1}\u{1}"),
    };
    let (mut wire, greeting) = Wire::open(node.imap);
    assert!(greeting.contains(" AUTH=OAUTHBEARER AUTH=XOAUTH2 "), "{greeting}");
    let answer = wire.ask(&format!("a AUTHENTICATE {mechanism} {}", BASE64_STANDARD.encode(said)));
    match answer.strip_prefix("+ ") {
        Some(challenge) => {
            let told =
                serde_json::from_slice(&BASE64_STANDARD.decode(challenge.trim_end()).unwrap()).unwrap();
            let dummy = if mechanism == "XOAUTH2" { "" } else { "AQ==" };
            (Some(told), wire.ask(dummy))
        }
        None => (None, answer),
    }
}

/// RFC 7628, with signed tokens (RFC 9068) whose keys the issuer shows over TLS.
#[test]
fn a_signed_token_is_as_good_as_a_password() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    fs::write(directory.path().join("certificate.pem"), made.cert.pem()).unwrap();
    fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let issuer = Issuer::start_tls(directory.path());
    let (signer, stranger) = (Signer::es256("one"), Signer::es256("one"));
    issuer.behaviour.lock().unwrap().keys.push(signer.jwk());
    let url = format!("jwks_url = \"https://{}/keys\"\nca_certificate = \"certificate.pem\"", issuer.address);
    let node = node_with(directory.path(), &url);
    let token = signer.sign(&claims());
    for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
        let (told, answer) = bearer(&node, mechanism, "Alice", &token);
        assert!(told.is_none() && answer.starts_with("a OK [CAPABILITY "), "{mechanism}: {told:?} {answer}");
    }
    assert_eq!(issuer.count(), 1, "the keys are fetched once");
    for (token, name, status, code) in [
        (stranger.sign(&claims()), ACCOUNT, "invalid_token", "AUTHENTICATIONFAILED"),
        (signer.sign(&with("exp", (now() - 61).into())), ACCOUNT, "invalid_token", "EXPIRED"),
        (signer.sign(&with("aud", "calendar".into())), ACCOUNT, "invalid_token", "AUTHENTICATIONFAILED"),
        (signer.sign(&with("iss", "https://other".into())), ACCOUNT, "invalid_token", "AUTHENTICATIONFAILED"),
        (signer.sign(&with("scope", "openid".into())), ACCOUNT, "insufficient_scope", "AUTHENTICATIONFAILED"),
        (signer.sign(&with("email", "nobody".into())), "nobody", "invalid_token", "AUTHENTICATIONFAILED"),
        (token.clone(), "bob", "invalid_token", "AUTHENTICATIONFAILED"),
        ("opaque".to_owned(), ACCOUNT, "invalid_token", "AUTHENTICATIONFAILED"),
    ] {
        let (told, answer) = bearer(&node, "OAUTHBEARER", name, &token);
        let told = told.unwrap_or_else(|| panic!("{answer}"));
        let place = "https://id.example.com/.well-known";
        assert_eq!(
            told,
            json!({ "status": status, "scope": "mail", "openid-configuration": place }),
            "{answer}"
        );
        assert!(answer.starts_with(&format!("a NO [{code}] ")), "{answer}");
    }
    let (told, _) = bearer(&node, "XOAUTH2", ACCOUNT, &stranger.sign(&claims()));
    assert_eq!(told, Some(json!({ "status": "401", "schemes": "bearer", "scope": "mail" })));
    assert!(!node.log_text().contains(&token), "the log has a token");
    assert!(login(&node, PASSWORD).starts_with("a OK "));
}

/// LOGINDISABLED (RFC 9051 section 6.2.3).
#[test]
fn where_passwords_may_not_cross_neither_may_tokens() {
    let (keys, signer) = (tempfile::NamedTempFile::new().unwrap(), Signer::es256("one"));
    fs::write(keys.path(), json!({ "keys": [signer.jwk()] }).to_string()).unwrap();
    let issuer = oauth(&format!("jwks_file = \"{}\"", keys.path().display()));
    let more = format!("[auth]\nplaintext = \"never\"\n{issuer}");
    let cluster = Cluster::start(Setup { nodes: 1, tls: true, more, ..Setup::default() });
    let node = &cluster.nodes[0];
    let (mut wire, greeting) = Wire::open(node.imap);
    assert!(greeting.contains(" LOGINDISABLED ") && !greeting.contains("AUTH="), "{greeting}");
    let said = BASE64_STANDARD.encode(format!("n,,\u{1}auth=Bearer {}\u{1}\u{1}", signer.sign(&claims())));
    for command in [format!("AUTHENTICATE OAUTHBEARER {said}"), format!("LOGIN {ACCOUNT} \"{PASSWORD}\"")] {
        let answer = wire.ask(&format!("a {command}"));
        assert!(answer.starts_with("a NO [PRIVACYREQUIRED] "), "{answer}");
    }
    let mut client = pop3::Client::connect(&node.name, node.pop3);
    assert!(client.command("AUTH OAUTHBEARER").starts_with("-ERR "));
}

/// Who signs with another key from now on is believed as soon as the keys are asked for again, which a token makes us do that names a
/// new one; but tokens that name keys of nobody do not make us ask all the time.
#[test]
fn a_key_that_the_issuer_rotates_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let (issuer, old, new) = (Issuer::start(), Signer::es256("old"), Signer::es256("new"));
    let shows = |signer: &Signer| issuer.behaviour.lock().unwrap().keys = vec![signer.jwk()];
    shows(&old);
    let node = node_with(directory.path(), &format!("jwks_url = \"http://{}/keys\"", issuer.address));
    let answer = |signer: &Signer| bearer(&node, "OAUTHBEARER", ACCOUNT, &signer.sign(&claims())).1;
    assert!(answer(&old).starts_with("a OK "));
    let fetched = Instant::now();
    shows(&new);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let answer = &answer;
            scope.spawn(move || {
                let stranger = Signer::es256(&format!("none-{number}"));
                assert!(answer(&stranger).starts_with("a NO [AUTHENTICATIONFAILED] "));
            });
        }
    });
    assert!(answer(&old).starts_with("a OK "), "nobody has told that it is gone");
    assert!(fetched.elapsed() < BETWEEN_FETCHES, "too slow to tell");
    assert_eq!(issuer.count(), 1, "tokens that name keys of nobody");
    std::thread::sleep(BETWEEN_FETCHES.saturating_sub(fetched.elapsed()));
    assert!(answer(&new).starts_with("a OK "), "the new key");
    assert_eq!(issuer.count(), 2);
    assert!(answer(&old).starts_with("a NO [AUTHENTICATIONFAILED] "), "the old key is gone");
}

/// RFC 7662.
#[test]
fn the_issuer_is_asked_what_a_token_is_and_not_twice() {
    let directory = tempfile::tempdir().unwrap();
    let issuer = Issuer::start();
    fs::write(directory.path().join("secret"), "s3cret:\n").unwrap();
    let node = node_with(
        directory.path(),
        &format!(
            "introspection_url = \"http://{}/introspect\"\nclient_id = \"post\"\nclient_secret_file = \"secret\"",
            issuer.address
        ),
    );
    {
        let mut behaviour = issuer.behaviour.lock().unwrap();
        behaviour.tokens.insert("good".to_owned(), with("active", true.into()));
        behaviour.tokens.insert("revoked".to_owned(), with("active", false.into()));
    }
    for _ in 0..3 {
        assert!(bearer(&node, "OAUTHBEARER", ACCOUNT, "good").1.starts_with("a OK "));
    }
    assert_eq!(issuer.count(), 1);
    let (request, authorization) = issuer.behaviour.lock().unwrap().requests[0].clone();
    assert!(request.starts_with("POST /introspect "), "{request}");
    assert_eq!(authorization, format!("Basic {}", BASE64_STANDARD.encode("post:s3cret%3A")));
    for token in ["revoked", "unknown"] {
        assert!(bearer(&node, "OAUTHBEARER", ACCOUNT, token).1.starts_with("a NO [AUTHENTICATIONFAILED] "));
    }
    // POP3 (RFC 5034) with the error and the client's empty answer.
    let said = |token: &str| BASE64_STANDARD.encode(format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}"));
    let mut client = pop3::Client::connect(&node.name, node.pop3);
    assert_eq!(client.command("AUTH OAUTHBEARER"), "+");
    assert!(client.command(&said("revoked")).starts_with("+ "));
    assert!(client.command("AQ==").starts_with("-ERR [AUTH] "));
    assert!(client.command(&format!("AUTH OAUTHBEARER {}", said("good"))).starts_with("+OK "));
}

/// A login that depends on somebody who is away ends soon, says why, and holds up no other one.
#[test]
fn an_issuer_that_is_away_is_told_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let issuer = Issuer::start();
    issuer.behaviour.lock().unwrap().silent = true;
    fs::write(directory.path().join("secret"), "secret\n").unwrap();
    let node = node_with(
        directory.path(),
        &format!(
            "introspection_url = \"http://{}/introspect\"\nclient_id = \"post\"\nclient_secret_file = \"secret\"",
            issuer.address
        ),
    );
    let began = Instant::now();
    std::thread::scope(|scope| {
        // More than are asked at one time.
        let waiting: Vec<_> = (0..12)
            .map(|_| scope.spawn(|| (bearer(&node, "OAUTHBEARER", ACCOUNT, "token"), began.elapsed())))
            .collect();
        assert!(login(&node, PASSWORD).starts_with("a OK "));
        assert!(began.elapsed() < PATIENCE, "a password waited for the issuer");
        for one in waiting {
            let ((told, answer), took) = one.join().unwrap();
            assert!(told.is_none());
            assert!(
                answer.starts_with("a NO [UNAVAILABLE] The issuer of tokens does not answer"),
                "{answer}"
            );
            assert!(took < PATIENCE + Duration::from_secs(2), "it took {took:?}");
        }
    });
    // It comes back.
    {
        let mut behaviour = issuer.behaviour.lock().unwrap();
        behaviour.silent = false;
        behaviour.tokens.insert("token".to_owned(), with("active", true.into()));
    }
    assert!(bearer(&node, "OAUTHBEARER", ACCOUNT, "token").1.starts_with("a OK "));
}
