//! The service as clients meet it: over real sockets, in the clear and under TLS.
#![allow(clippy::disallowed_methods, reason = "a test: it meets the clock and waits")]

#[path = "shell/compression.rs"]
mod compression;
#[path = "shell/notify.rs"]
mod notify;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth::channel::EXPORTER_LABEL;
use auth::testing::ScramClient;
use mailstore::crdt::identity::NodeSlot;
use mailstore::identity::NodeIdentity;
use mailstore::password::PasswordCost;
use mailstore::{Mailstore, Request};
use peerpost_imap::session::SessionConfig;
use peerpost_imap::shell::{Listeners, PlaintextPasswords, Settings};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use storage::{SimulatedDisk, Storage};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

const PATIENCE: Duration = Duration::from_secs(20);

/// A service with the account `alice`, whose password is `secret`.
struct Service {
    plain: SocketAddr,
    tls: SocketAddr,
    shutdown: watch::Sender<bool>,
    served: JoinHandle<()>,
    connector: TlsConnector,
    _committer: mailstore::shell::Running,
}

impl Service {
    async fn start(settings: Settings) -> Service {
        let (store, committer) = open_store();
        let password = mailstore::password::hash("secret", [7; 16], PasswordCost::TEST).expect("a hash");
        let account = Request::AddAccount { name: "alice".to_owned(), password };
        store.ask(account).await.expect("the account is added");
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let listeners = Listeners::bind(&[any], &[any]).await.expect("free ports");
        let (plain, tls) = (listeners.plain_addresses()[0], listeners.tls_addresses()[0]);
        let (shutdown, down) = watch::channel(false);
        let (server, connector) = tls_configurations();
        let served = tokio::spawn(listeners.serve(store, Some(server), settings, down));
        Service { plain, tls, shutdown, served, connector, _committer: committer }
    }

    async fn connect(&self) -> Client<TcpStream> {
        let mut client = Client::new(TcpStream::connect(self.plain).await.expect("a connection"));
        client.line_with("* OK ").await;
        client
    }

    async fn secure(&self, stream: TcpStream) -> Client<impl AsyncRead + AsyncWrite + Unpin + use<>> {
        let name = ServerName::try_from("localhost").expect("a name");
        Client::new(self.connector.connect(name, stream).await.expect("a handshake"))
    }
}

fn open_store() -> (Mailstore, mailstore::shell::Running) {
    let storage = Arc::new(Storage::open(Arc::new(SimulatedDisk::new())).expect("an empty store"));
    let identity = NodeIdentity { cluster: [1; 16], slot: NodeSlot::FIRST, name: "test".to_owned() };
    let mut counter = 0u8;
    let entropy = Box::new(move || {
        counter += 1;
        [counter; 16]
    });
    mailstore::shell::start(storage, identity, entropy).expect("a store")
}

fn tls_configurations() -> (Arc<rustls::ServerConfig>, TlsConnector) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate: CertificateDer<'static> = issued.cert.der().clone();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).expect("a key");
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a configuration");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), TlsConnector::from(Arc::new(client)))
}

/// A client that says what it is told to.
struct Client<S> {
    stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    fn new(stream: S) -> Self {
        Client { stream: BufReader::new(stream) }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("sent");
        self.stream.flush().await.expect("sent");
    }

    /// One line; empty at the end of the connection.
    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read =
            timeout(PATIENCE, self.stream.read_until(b'\n', &mut line)).await.expect("an answer in time");
        read.expect("readable");
        String::from_utf8_lossy(&line).into_owned()
    }

    async fn line_with(&mut self, start: &str) -> String {
        let line = self.line().await;
        assert!(line.starts_with(start), "{start:?} should begin {line:?}");
        line
    }

    /// Everything up to the line that begins with `start`, which is included.
    async fn until(&mut self, start: &str) -> String {
        let mut text = String::new();
        loop {
            let line = self.line().await;
            assert!(!line.is_empty(), "the connection ended after {text:?}, before {start:?}");
            text.push_str(&line);
            if line.starts_with(start) {
                return text;
            }
        }
    }

    async fn ask(&mut self, command: &str) -> String {
        self.send(&format!("t {command}\r\n")).await;
        self.until("t ").await
    }

    async fn log_in(&mut self) {
        let answer = self.ask("LOGIN alice secret").await;
        assert!(answer.contains("t OK"), "{answer}");
    }

    /// The rest of the connection, which must end.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.expect("an end in time");
        let _ = ended;
        String::from_utf8_lossy(&rest).into_owned()
    }
}

fn quick() -> Settings {
    let session = SessionConfig { wrong_password_delay: 300, ..SessionConfig::default() };
    Settings { session: Arc::new(session), ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_goes_in_and_comes_out() {
    let service = Service::start(quick()).await;
    let mut client = service.connect().await;
    client.log_in().await;
    client.send("a APPEND INBOX (\\Seen) \"17-Jul-1996 02:44:25 -0700\" {27}\r\n").await;
    client.line_with("+ ").await;
    client.send("Subject: hello\r\n\r\nA line.\r\n\r\n").await;
    assert!(client.until("a ").await.contains("a OK [APPENDUID "));
    let selected = client.ask("SELECT INBOX").await;
    assert!(selected.contains("* 1 EXISTS"), "{selected}");
    let fetched = client.ask("UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])").await;
    for part in ["Subject: hello\r\n\r\nA line.\r\n", "\\Seen", "\"17-Jul-1996 02:44:25 -0700\""] {
        assert!(fetched.contains(part), "{fetched}");
    }
    client.ask("LOGOUT").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_commands_are_answered_in_order() {
    let service = Service::start(quick()).await;
    let mut client = service.connect().await;
    client
        .send(
            "a LOGIN {5+}\r\nalice secret\r\nb SELECT INBOX\r\nc IDLE\r\nDONE\r\nd APPEND INBOX {3+}\r\nabc\r\n\
             e NOOP\r\nf FETCH 1 BODY.PEEK[]\r\ng LOGOUT\r\n",
        )
        .await;
    let all = client.rest().await;
    let tags: Vec<&str> = all
        .lines()
        .filter(|line| line.get(1..4) == Some(" OK") && !line.starts_with('*'))
        .filter_map(|line| line.get(..1))
        .collect();
    assert_eq!(tags, ["a", "b", "c", "d", "e", "f", "g"], "{all}");
}

/// RFC 9051 section 5.5: pipelined commands are carried out in order, so each is read as those before it want. Names are UTF-8
/// from the ENABLE to the UNAUTHENTICATE.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_enable_changes_holds_from_the_next_pipelined_command_on() {
    let service = Service::start(quick()).await;
    let mut client = service.connect().await;
    client
        .send(
            "a LOGIN alice secret\r\nb CREATE \"&Jjo-\"\r\nc ENABLE IMAP4rev2\r\nd CREATE \"&Jjo-\"\r\n\
             e SELECT \"\u{263a}\"\r\nf LIST \"\" {2+}\r\n&*\r\ng UNAUTHENTICATE\r\nh LOGIN alice secret\r\n\
             i LIST \"\" \"&*\"\r\nj LIST \"\" {4+}\r\n&-J*\r\nk LOGOUT\r\n",
        )
        .await;
    let all = client.rest().await;
    for answered in
        ["b OK ", "c OK ", "d OK ", "e OK [READ-WRITE]", "f OK ", "h OK ", "i BAD ", "j OK ", "k OK "]
    {
        assert!(all.contains(&format!("\n{answered}")), "{answered}: {all}");
    }
    assert!(all.contains("* LIST (\\HasNoChildren) \"/\" \"\u{263a}\"\r\n"), "{all}");
    assert!(all.contains("* LIST (\\HasNoChildren) \"/\" \"&Jjo-\"\r\nf OK "), "{all}");
    assert!(all.contains("* LIST (\\HasNoChildren) \"/\" \"&-Jjo-\"\r\nj OK "), "{all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_wait_for_tls_and_what_came_before_it_is_dropped() {
    let service = Service::start(Settings { plaintext: PlaintextPasswords::Never, ..quick() }).await;
    let mut client = service.connect().await;
    assert!(client.ask("CAPABILITY").await.contains("LOGINDISABLED"));
    assert!(client.ask("LOGIN alice secret").await.contains("t NO"));
    client.send("a STARTTLS\r\nb NOOP\r\n").await;
    client.line_with("a OK").await;
    let mut client = service.secure(client.stream.into_inner()).await;
    let capabilities = client.ask("CAPABILITY").await;
    assert!(!capabilities.contains("LOGINDISABLED") && !capabilities.contains("STARTTLS"), "{capabilities}");
    assert!(!capabilities.contains("b OK"), "a command from before TLS was answered: {capabilities}");
    client.log_in().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_from_the_first_octet() {
    let service = Service::start(Settings { plaintext: PlaintextPasswords::Never, ..quick() }).await;
    let mut client = service.secure(TcpStream::connect(service.tls).await.expect("a connection")).await;
    client.line_with("* OK ").await;
    client.log_in().await;
    client.ask("LOGOUT").await;
    assert_eq!(client.rest().await, "");
}

/// RFC 9266 section 2: what both ends export from TLS 1.3 binds SCRAM-SHA-256-PLUS to the connection. Somebody in the middle, who
/// has another connection to each of the two, gets nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scram_is_bound_to_the_connection() {
    let service = Service::start(Settings { plaintext: PlaintextPasswords::Never, ..quick() }).await;
    for (same_channel, logged_in) in [(true, true), (false, false)] {
        let stream = TcpStream::connect(service.tls).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = service.connector.connect(name, stream).await.expect("a handshake");
        let exported = stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, Some(b""));
        let bound = if same_channel { exported.expect("exported") } else { [0; 32] };
        let mut client = Client::new(stream);
        assert!(client.line().await.contains("AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=PLAIN"));
        let mut scram = ScramClient::new("p=tls-exporter,,", &bound, "alice", "secret");
        client.send(&format!("a AUTHENTICATE SCRAM-SHA-256-PLUS {}\r\n", scram.first())).await;
        let challenge = client.line_with("+ ").await;
        client.send(&format!("{}\r\n", scram.last(&challenge[2..]))).await;
        if logged_in {
            let verifier = client.line_with("+ ").await;
            assert!(scram.is_convinced_by(&verifier[2..]));
            client.send("\r\n").await;
            client.line_with("a OK [CAPABILITY ").await;
        } else {
            client.line_with("a NO [AUTHENTICATIONFAILED]").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_is_turned_away() {
    let service = Service::start(Settings { connections_per_address: 2, ..quick() }).await;
    let first = service.connect().await;
    let _second = service.connect().await;
    let mut third = Client::new(TcpStream::connect(service.plain).await.expect("a connection"));
    assert!(third.rest().await.starts_with("* BYE [UNAVAILABLE]"));
    drop(first);
    let mut last = String::new();
    for _ in 0..100 {
        let mut client = Client::new(TcpStream::connect(service.plain).await.expect("a connection"));
        last = client.line().await;
        if last.starts_with("* OK") {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the place did not become free: {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_hear_that_the_node_goes_down() {
    let service = Service::start(quick()).await;
    let mut idle = service.connect().await;
    idle.log_in().await;
    idle.ask("SELECT INBOX").await;
    idle.send("a IDLE\r\n").await;
    idle.line_with("+ ").await;
    let mut silent = service.connect().await;
    service.shutdown.send(true).expect("somebody listens");
    assert!(idle.rest().await.starts_with("* BYE"));
    assert!(silent.rest().await.starts_with("* BYE"));
    timeout(PATIENCE, service.served).await.expect("the service ends").expect("without a panic");
    assert!(TcpStream::connect(service.plain).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_log_in_loses_the_connection_whatever_is_said() {
    let service = Service::start(Settings { login_within: Duration::from_millis(300), ..quick() }).await;
    let mut client = service.connect().await;
    let mut logged_in = service.connect().await;
    logged_in.log_in().await;
    for _ in 0..3 {
        client.ask("NOOP").await;
    }
    assert!(client.rest().await.starts_with("* BYE"));
    assert!(logged_in.ask("NOOP").await.contains("t OK"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_holds_up_nobody_else() {
    let session = SessionConfig { wrong_password_delay: 1500, ..SessionConfig::default() };
    let service = Service::start(Settings { session: Arc::new(session), ..Settings::default() }).await;
    let mut wrong = service.connect().await;
    let began = Instant::now();
    wrong.send("a LOGIN alice wrong\r\n").await;
    let mut right = service.connect().await;
    right.log_in().await;
    assert!(began.elapsed() < Duration::from_millis(1400), "the other login waited {:?}", began.elapsed());
    assert!(wrong.until("a ").await.contains("a NO [AUTHENTICATIONFAILED]"));
    assert!(began.elapsed() >= Duration::from_millis(1500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_long_is_refused_and_the_connection_goes_on() {
    let session = SessionConfig { append_limit: 100_000, ..SessionConfig::default() };
    let service = Service::start(Settings { session: Arc::new(session), ..Settings::default() }).await;
    let mut client = service.connect().await;
    client.send(&format!("a {}\r\n", "x".repeat(100_000))).await;
    client.line_with("a BAD").await;
    client.send(&format!("a LOGIN {{9000+}}\r\n{} x\r\n", "x".repeat(9_000))).await;
    client.line_with("a BAD The literal is longer than 8192 octets").await;
    client.log_in().await;
    let long_but_good = format!("SEARCH{}", " OR SEEN ALL".repeat(3_000));
    assert!(long_but_good.len() < 64 * 1024);
    let told = client.ask(&long_but_good).await;
    assert!(told.contains("t BAD A SEARCH may"), "it is decoded, and has too many keys: {told}");
    client.send("b APPEND INBOX {100001}\r\n").await;
    client.line_with("b NO [TOOBIG]").await;
    client.send(&format!("c APPEND INBOX {{100001+}}\r\n{}\r\n", "m".repeat(100_001))).await;
    client.line_with("c NO [TOOBIG]").await;
    client.send(&format!("d APPEND INBOX {{100000+}}\r\n{}\r\n", "m".repeat(100_000))).await;
    client.line_with("d OK").await;
    client.send("e LOGIN \0\r\n").await;
    client.line_with("e BAD").await;
    client.send("f APPEND INBOX {99999999999999999999+}\r\nx").await;
    assert!(client.rest().await.contains("* BYE"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_loses_its_connection() {
    let service = Service::start(Settings { write_within: Duration::from_millis(300), ..quick() }).await;
    let mut client = service.connect().await;
    client.log_in().await;
    let size = 4_000_000;
    client.send(&format!("a APPEND INBOX {{{size}+}}\r\n{}\r\n", "m".repeat(size))).await;
    client.until("a OK").await;
    client.ask("SELECT INBOX").await;
    for _ in 0..20 {
        client.send("b FETCH 1 BODY.PEEK[]\r\n").await;
    }
    // Longer than the service waits for progress; what its buffers hold is all that comes then.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let rest = client.rest().await;
    assert!(rest.len() < 20 * size, "{} octets came", rest.len());
    assert!(service.connect().await.ask("NOOP").await.contains("t OK"));
}

/// As many messages as make a search take long, and keys none of which is in any of them.
async fn begin_a_long_search(service: &Service) -> Client<TcpStream> {
    let mut client = service.connect().await;
    client.log_in().await;
    let message = format!("Subject: long\r\n\r\n{}", "x".repeat(20_000));
    client.send("a APPEND INBOX").await;
    for _ in 0..1_000 {
        client.send(&format!(" {{{}+}}\r\n{message}", message.len())).await;
    }
    client.send("\r\n").await;
    client.until("a OK").await;
    client.ask("SELECT INBOX").await;
    let keys: String = (0..50).map(|key| format!(" NOT BODY absent-{key}")).collect();
    client.send(&format!("b SEARCH{keys}\r\n")).await;
    client
}

/// One thread serves all: whoever worked on without a pause would hold up everybody.
#[tokio::test]
async fn a_long_search_holds_nobody_up() {
    let service = Service::start(quick()).await;
    let mut searching = begin_a_long_search(&service).await;
    let mut other = service.connect().await;
    other.log_in().await;
    let (mut slowest, began) = (Duration::ZERO, Instant::now());
    for _ in 0..10 {
        let asked = Instant::now();
        other.ask("NOOP").await;
        slowest = slowest.max(asked.elapsed());
    }
    // A piece reads a MiB; all of it is a thousand of them.
    assert!(slowest < Duration::from_secs(5), "a NOOP took {slowest:?} of {:?}", began.elapsed());
    if let Ok(told) = timeout(Duration::from_millis(1), searching.line()).await {
        assert!(told.starts_with("* OK [INPROGRESS "), "the search was through before: {told}");
    }
}

/// It went on to the end, or until INPROGRESS was told in vain.
#[tokio::test]
async fn a_search_ends_with_its_connection() {
    let service = Service::start(Settings { connections_per_address: 2, ..quick() }).await;
    let searching = begin_a_long_search(&service).await;
    let mut other = service.connect().await;
    other.log_in().await;
    let connect = || async {
        let mut client = Client::new(TcpStream::connect(service.plain).await.expect("a connection"));
        client.line().await
    };
    assert!(connect().await.starts_with("* BYE [UNAVAILABLE]"), "the search goes on");
    drop(searching);
    let began = Instant::now();
    while !connect().await.starts_with("* OK ") {
        assert!(began.elapsed() < Duration::from_secs(9), "the search of a client that is gone goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_searched_batched_and_replaced_comes_over_the_wire() {
    let service = Service::start(quick()).await;
    let mut client = service.connect().await;
    client.log_in().await;
    client.send("a APPEND INBOX {27+}\r\nSubject: hello\r\n\r\nA line.\r\n\r\n").await;
    client.until("a OK").await;
    client.ask("SELECT INBOX").await;
    let told = client.ask("FETCH 1 SAVEDATE").await;
    assert!(told.contains("* 1 FETCH (SAVEDATE \"") && told.contains(" +0000\")"), "{told}");
    assert!(client.ask("UIDBATCHES 500").await.contains("* UIDBATCHES (TAG \"t\") 1:1\r\n"));
    client.send("b ESEARCH IN (mailboxes {5+}\r\nINBOX) CHARSET KOI8-R RETURN (COUNT) ALL\r\n").await;
    client.line_with("b BAD").await;
    client
        .send("b ESEARCH IN (mailboxes {5+}\r\nINBOX) RETURN (COUNT) CHARSET KOI8-R TEXT {4+}\r\nLINE\r\n")
        .await;
    let told = client.until("b ").await;
    assert!(
        told.contains("* ESEARCH (TAG \"b\" MAILBOX \"INBOX\" UIDVALIDITY ") && told.contains("COUNT 1"),
        "{told}"
    );
    client.send("c REPLACE 1 INBOX {15+}\r\nSubject: n\r\n\r\nx\r\n").await;
    let told = client.until("c ").await;
    assert!(told.contains("* 2 EXISTS\r\n* 1 EXPUNGE\r\nc OK Replaced"), "{told}");
    assert!(client.ask("CAPABILITY").await.contains(" MESSAGELIMIT=100000 "));
}
