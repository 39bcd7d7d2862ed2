//! Bad input gets a clear error or a dropped connection, and the node goes on.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use kit::cluster::{ACCOUNT, Cluster, PASSWORD};
use kit::imap::{Client, Status};
use kit::lmtp;
use kit::message;
use kit::node::Node;
use kit::wait::eventually;
use kit::witness::Witness;

/// How long the node may take to answer bad input or to hang up.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);
/// The limit that a configuration without `[limits]` sets.
const APPEND_LIMIT: usize = 50 << 20;
/// What three wrong passwords on one connection must take at the least.
const LEAST_DELAY: Duration = Duration::from_secs(1);

/// Delivers, logs in and reads: the node still serves, and has not panicked.
#[track_caller]
fn still_serves(node: &mut Node, after: &str) {
    lmtp::Client::open(node).deliver(&message(&format!("after-{}", after.replace(' ', "-")), after));
    let mut client = Client::open(node, &Witness::default());
    client.select("INBOX");
    assert!(client.view().len() > 0, "after {after}");
    node.assert_alive();
}

/// A connection without a client's manners.
struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Connects and reads the greeting.
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONGEST_ANSWER)).unwrap();
        stream.set_write_timeout(Some(LONGEST_ANSWER)).unwrap();
        let mut raw = Self { stream };
        raw.answer("the greeting");
        raw
    }

    fn logged_in(node: &Node) -> Self {
        let mut raw = Self::open(node.imap);
        raw.send(format!("l LOGIN {ACCOUNT} \"{PASSWORD}\"\r\n").as_bytes());
        raw.until("l OK");
        raw
    }

    /// The server may hang up before it has read everything.
    fn send(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes));
    }

    /// What comes next; empty where the server hung up. Panics where it does neither.
    #[track_caller]
    fn answer(&mut self, to: &str) -> String {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(length) => String::from_utf8_lossy(&buffer[..length]).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => String::new(),
            Err(error) => panic!("{to}: neither an answer nor an end: {error}"),
        }
    }

    /// Reads on until the text has come, or the server hung up.
    #[track_caller]
    fn until(&mut self, wanted: &str) -> String {
        let mut all = String::new();
        while !all.contains(wanted) {
            let more = self.answer(wanted);
            if more.is_empty() {
                break;
            }
            all.push_str(&more);
        }
        all
    }

    /// An error of IMAP, LMTP or POP3, or the end of the connection.
    #[track_caller]
    fn refused(&mut self, what: &str) -> String {
        let answer = self.answer(what);
        let imap = ["NO", "BAD", "BYE"].iter().any(|word| answer.split(' ').nth(1) == Some(*word));
        assert!(
            imap || answer.starts_with(['4', '5']) || answer.starts_with("-ERR") || answer.is_empty(),
            "{what}: {answer}"
        );
        answer
    }
}

#[test]
fn lines_without_end_are_refused() {
    let mut cluster = Cluster::one();
    let node = &mut cluster.nodes[0];
    let long = vec![b'x'; 4 << 20];
    Raw::open(node.imap).send(&long);
    let mut raw = Raw::open(node.imap);
    raw.send(b"a NOOP ");
    raw.send(&long);
    raw.refused("a long IMAP line");
    let mut raw = Raw::logged_in(node);
    raw.send(b"a SELECT ");
    raw.send(&long);
    raw.refused("a long IMAP line after LOGIN");
    still_serves(node, "long IMAP lines");
    let mut raw = Raw::open(node.lmtp);
    raw.send(b"LHLO ");
    raw.send(&long);
    raw.refused("a long LMTP line");
    still_serves(node, "a long LMTP line");
    let mut raw = Raw::open(node.pop3);
    raw.send(b"USER ");
    raw.send(&long);
    raw.refused("a long POP3 line");
    still_serves(node, "a long POP3 line");
}

#[test]
fn literals_beyond_the_limit_are_refused_before_the_data() {
    let mut cluster = Cluster::one();
    let node = &mut cluster.nodes[0];
    let capabilities = Client::open(node, &Witness::default()).ok("CAPABILITY");
    let words: Vec<String> = capabilities.untagged[0].iter().map(|value| value.text()).collect();
    assert!(words.contains(&format!("APPENDLIMIT={APPEND_LIMIT}")), "{words:?}");
    for length in [APPEND_LIMIT as u64 + 1, u64::from(u32::MAX), u64::MAX] {
        for plus in ["", "+"] {
            let mut raw = Raw::logged_in(node);
            raw.send(format!("a APPEND INBOX {{{length}{plus}}}\r\n").as_bytes());
            raw.refused(&format!("a literal of {length}{plus}"));
        }
    }
    let mut raw = Raw::logged_in(node);
    raw.send(b"a APPEND INBOX {99999999999999999999999999}\r\n");
    raw.refused("a literal whose length is no number of 64 bits");
    // Before LOGIN nobody needs a long literal.
    let mut raw = Raw::open(node.imap);
    raw.send(b"a LOGIN {40000000}\r\n");
    raw.refused("a long literal before LOGIN");
    still_serves(node, "long literals");

    let mut lmtp = lmtp::Client::open(node);
    let reply = lmtp.command(&format!("MAIL FROM:<a@example.org> SIZE={}", APPEND_LIMIT + 1)).unwrap();
    assert_eq!(reply.code, 552, "{reply:?}");
    let reply = lmtp.command("MAIL FROM:<a@example.org> SIZE=99999999999999999999999999").unwrap();
    assert!((500..600).contains(&reply.code), "{reply:?}");
    still_serves(node, "long LMTP messages");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let mut cluster = Cluster::one();
    let node = &mut cluster.nodes[0];
    for bad in [
        &b"a SELECT \"\xff\xfe\"\r\n"[..],
        b"a SELECT \xc3\x28\r\n",
        b"\xff\xff\xff\xff\r\n",
        b"a NO\0OP\r\n",
    ] {
        let mut raw = Raw::logged_in(node);
        raw.send(bad);
        raw.refused(&format!("{bad:?}"));
    }
    let mut raw = Raw::open(node.imap);
    raw.send(b"a LOGIN {3+}\r\na\0b {1+}\r\nx\r\n");
    raw.refused("NUL in a user name");
    let mut raw = Raw::logged_in(node);
    raw.send(b"a APPEND INBOX {22+}\r\nSubject: \0\r\n\r\nText.\0\r\n\r\n");
    raw.refused("NUL in a literal that is not binary");
    still_serves(node, "bad bytes over IMAP");
    for bad in
        [&b"MAIL FROM:<\xff\xfe@example.org>\r\n"[..], b"MA\0IL FROM:<>\r\n", b"\0\0\0\0\r\n", b"\xff\r\n"]
    {
        let mut raw = Raw::open(node.lmtp);
        raw.send(b"LHLO test\r\n");
        raw.until("250 ");
        raw.send(bad);
        raw.refused(&format!("{bad:?}"));
    }
    still_serves(node, "bad bytes over LMTP");
}

#[test]
fn parentheses_without_end_are_refused() {
    let mut cluster = Cluster::one();
    let node = &mut cluster.nodes[0];
    lmtp::Client::open(node).deliver(&message("one", "something to fetch"));
    let open = "(".repeat(60_000);
    let pairs = format!("{}ALL{}", "(".repeat(30_000), ")".repeat(30_000));
    let nots = "NOT ".repeat(15_000);
    for bad in [
        format!("a FETCH 1 {open}"),
        format!("a SEARCH {open}"),
        format!("a SEARCH {pairs}"),
        format!("a SEARCH {nots}ALL"),
        format!("a STORE 1 FLAGS {open}"),
        format!("a LIST {open}"),
        format!("a STATUS INBOX {open}"),
        format!("a ID {open}"),
        format!("a {open}"),
    ] {
        let mut raw = Raw::logged_in(node);
        raw.send(b"s SELECT INBOX\r\n");
        raw.until("s OK");
        raw.send(bad.as_bytes());
        raw.send(b"\r\n");
        raw.refused(&bad[..24]);
    }
    still_serves(node, "parentheses without end");
    // The same in a message: a MIME structure deeper than anybody reads, and a comment.
    let mut deep = String::from("Subject: ((((");
    deep.push_str(&"(".repeat(900));
    deep.push_str("\r\n");
    for level in 0..2_000 {
        deep.push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"));
    }
    lmtp::Client::open(node).deliver(deep.as_bytes());
    let mut client = Client::open(node, &Witness::default());
    client.select("INBOX");
    client.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE)");
    still_serves(node, "deep structures");
}

#[test]
fn unknown_users_and_wrong_passwords_are_refused_and_slowed() {
    let mut cluster = Cluster::one();
    let node = &mut cluster.nodes[0];
    let replies = lmtp::Client::open(node).offer(&["nobody", ACCOUNT], &message("one", "to two")).unwrap();
    let codes: Vec<u16> = replies.iter().map(|reply| reply.code).collect();
    assert_eq!(codes, [550, 250], "{replies:?}");

    let login = |client: &mut Client, user: &str| {
        let reply = client.command(&format!("LOGIN {user} wrong"));
        assert_eq!(reply.status, Status::No, "{}", reply.text);
        reply.text
    };
    let witness = Witness::default();
    let mut known = Client::connect(&node.name, node.imap, &witness);
    let mut unknown = Client::connect(&node.name, node.imap, &witness);
    assert_eq!(
        login(&mut known, ACCOUNT),
        login(&mut unknown, "nobody"),
        "the answer tells whether a user exists"
    );

    let from = Instant::now();
    let mut guesser = Raw::open(node.imap);
    for attempt in 0..3 {
        guesser.send(format!("a{attempt} LOGIN {ACCOUNT} guess{attempt}\r\n").as_bytes());
        if guesser.until(&format!("a{attempt} ")).is_empty() {
            break;
        }
    }
    let taken = from.elapsed();
    assert!(taken >= LEAST_DELAY, "three wrong passwords took {taken:?}");
    still_serves(node, "wrong passwords");
}

#[test]
fn a_peer_with_an_unknown_key_is_refused() {
    let mut cluster = Cluster::two();
    // Another machine answers at b's address and dials as b: the same configuration, a key of its own.
    cluster.nodes[1].stop();
    let data = cluster.nodes[1].data();
    std::fs::rename(&data, data.with_extension("aside")).unwrap();
    let told_before = cluster.nodes[0].log_text().len();
    let stranger = &mut cluster.nodes[1];
    stranger.succeeds(&["init"]);
    stranger.start();
    stranger.add_user(ACCOUNT, "another password");
    lmtp::Client::open(&cluster.nodes[0]).deliver(&message("secret", "not for strangers"));

    // Longer than several attempts to dial, which come twice a second.
    eventually("a tells of the unknown key", || {
        let log = cluster.nodes[0].log_text().split_off(told_before);
        if log.contains("key") { Ok(()) } else { Err(log) }
    });
    let mut client = Client::connect("stranger", cluster.nodes[1].imap, &Witness::default());
    client.login(ACCOUNT, "another password");
    client.select("INBOX");
    assert_eq!(client.view().len(), 0, "the stranger got mail");
    for node in &mut cluster.nodes {
        let mut client = Client::connect(&node.name, node.imap, &Witness::default());
        let password = if node.name == "a" { PASSWORD } else { "another password" };
        client.login(ACCOUNT, password);
        node.assert_alive();
    }
    // The true b comes back and gets what it missed.
    cluster.nodes[1].stop();
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(data.with_extension("aside"), &data).unwrap();
    cluster.nodes[1].start();
    let mut client = Client::open(&cluster.nodes[1], &Witness::default());
    eventually("the true b has the mail", || {
        let count = client.list("INBOX").messages.len();
        if count == 1 { Ok(()) } else { Err(format!("{count} messages")) }
    });
}

#[test]
fn datagrams_that_are_not_quic_are_dropped() {
    let mut cluster = Cluster::two();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in (0..1200).step_by(7) {
        let bytes: Vec<u8> = (0..length).map(|at| (at * 31 + length) as u8).collect();
        socket.send_to(&bytes, cluster.nodes[0].quic).unwrap();
    }
    still_serves(&mut cluster.nodes[0], "datagrams that are not QUIC");
    let witness = Witness::default();
    let mut client = Client::open(&cluster.nodes[1], &witness);
    eventually("the link still carries", || {
        let count = client.list("INBOX").messages.len();
        if count == 1 { Ok(()) } else { Err(format!("{count} messages")) }
    });
}
