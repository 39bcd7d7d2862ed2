//! The service as clients meet it: over real sockets, in the clear and under TLS.
#![allow(clippy::disallowed_methods, reason = "a test: it meets the clock and waits")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mailstore::crdt::identity::NodeSlot;
use mailstore::identity::NodeIdentity;
use mailstore::message::Scanner;
use mailstore::password::PasswordCost;
use mailstore::{Mailstore, NewMessage, Request};
use peerpost_pop3::session::SessionConfig;
use peerpost_pop3::shell::{Listeners, PlaintextPasswords, Settings};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use storage::{SimulatedDisk, Storage};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

const PATIENCE: Duration = Duration::from_secs(20);
const MAIL: &[u8] = b"Subject: hello\r\n\r\n.A line.\r\n";

/// A service with the account `alice`, whose password is `secret`, and one message.
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
        deliver(&store, MAIL).await;
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
        client.line_with("+OK ").await;
        client
    }

    async fn secure(&self, stream: TcpStream) -> Client<impl AsyncRead + AsyncWrite + Unpin> {
        let name = ServerName::try_from("localhost").expect("a name");
        Client::new(self.connector.connect(name, stream).await.expect("a handshake"))
    }
}

async fn deliver(store: &Mailstore, octets: &[u8]) {
    let mut writer = store.body_writer();
    writer.write(octets).expect("room");
    let mut scanner = Scanner::new();
    scanner.push(octets);
    let (body, structure) = (writer.finish().expect("staged"), Arc::new(scanner.finish()));
    let message = NewMessage { body, structure, flags: vec![], received: None };
    let account = store.account("alice").expect("an account");
    let (mailbox, sender) = ("INBOX".to_owned(), "joe@example.org".to_owned());
    store.ask(Request::Deliver { account, mailbox, sender, message }).await.expect("delivered");
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
        let read = timeout(PATIENCE, self.stream.read_until(b'\n', &mut line)).await;
        read.expect("an answer in time").expect("readable");
        String::from_utf8_lossy(&line).into_owned()
    }

    async fn line_with(&mut self, start: &str) -> String {
        let line = self.line().await;
        assert!(line.starts_with(start), "{start:?} should begin {line:?}");
        line
    }

    /// A command and the first line of its answer.
    async fn ask(&mut self, command: &str) -> String {
        self.send(&format!("{command}\r\n")).await;
        self.line().await
    }

    /// The lines of an answer after the first, the last included.
    async fn lines(&mut self) -> String {
        let mut text = String::new();
        loop {
            let line = self.line().await;
            assert!(!line.is_empty(), "the connection ended after {text:?}");
            text.push_str(&line);
            if line == ".\r\n" {
                return text;
            }
        }
    }

    async fn log_in(&mut self) {
        assert!(self.ask("USER alice").await.starts_with("+OK "));
        assert_eq!(self.ask("PASS secret").await, "+OK The maildrop has 1 messages\r\n");
    }

    /// The rest of the connection, which must end.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        // A connection that is reset has ended, too.
        let _ = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.expect("an end in time");
        String::from_utf8_lossy(&rest).into_owned()
    }
}

fn quick() -> Settings {
    let session = SessionConfig { wrong_password_delay: 300, ..SessionConfig::default() };
    Settings { session: Arc::new(session), ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_read_and_deleted() {
    let service = Service::start(quick()).await;
    let mut client = service.connect().await;
    client.log_in().await;
    assert_eq!(client.ask("STAT").await, format!("+OK 1 {}\r\n", MAIL.len()));
    assert_eq!(client.ask("RETR 1").await, format!("+OK {} octets\r\n", MAIL.len()));
    assert_eq!(client.lines().await, "Subject: hello\r\n\r\n..A line.\r\n.\r\n");
    assert!(client.ask("DELE 1").await.starts_with("+OK "));
    assert!(client.ask("QUIT").await.starts_with("+OK 1 messages were deleted"));
    assert_eq!(client.rest().await, "");
    let mut client = service.connect().await;
    client.send("USER alice\r\nPASS secret\r\n").await;
    client.line_with("+OK ").await;
    client.line_with("+OK The maildrop has 0 messages").await;
}

/// RFC 1939 section 6: the server has the QUIT, so it deletes, whether or not anybody waits for its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_gone_after_quit_has_said_what_to_delete() {
    let service = Service::start(quick()).await;
    let mut client = service.connect().await;
    client.log_in().await;
    client.send("DELE 1\r\nNOOP\r\nQUIT\r\n").await;
    drop(client);
    let until = Instant::now() + PATIENCE;
    loop {
        let mut client = service.connect().await;
        client.send("USER alice\r\nPASS secret\r\nSTAT\r\nQUIT\r\n").await;
        if client.rest().await.contains("+OK 0 0\r\n") {
            break;
        }
        assert!(Instant::now() < until, "the message is still there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_commands_are_answered_in_order() {
    let service = Service::start(quick()).await;
    let mut client = service.connect().await;
    client
        .send("CAPA\r\nUSER alice\r\nPASS secret\r\nUIDL\r\nTOP 1 0\r\nRETR 1\r\nRETR 2\r\nNOOP\r\nQUIT\r\n")
        .await;
    let all = client.rest().await;
    let answers: Vec<&str> =
        all.lines().filter(|line| line.starts_with("+OK") || line.starts_with("-ERR")).collect();
    assert_eq!(answers.len(), 9, "{all}");
    assert!(answers[6].starts_with("-ERR There is no such message"), "{all}");
    assert_eq!(answers[8], "+OK Goodbye");
}

/// RFC 2595 section 4, CVE-2011-0411.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_wait_for_tls_and_what_came_before_it_is_dropped() {
    let service = Service::start(Settings { plaintext: PlaintextPasswords::Never, ..quick() }).await;
    let mut client = service.connect().await;
    assert!(client.ask("USER alice").await.starts_with("-ERR Passwords may not cross"));
    client.send("STLS\r\nUSER mallory\r\n").await;
    client.line_with("+OK Begin TLS").await;
    let mut client = service.secure(client.stream.into_inner()).await;
    assert_eq!(client.ask("PASS secret").await, "-ERR Say USER first\r\n");
    assert!(client.ask("STLS").await.starts_with("-ERR "));
    client.log_in().await;
    let mut client = service.secure(TcpStream::connect(service.tls).await.expect("a connection")).await;
    client.line_with("+OK ").await;
    assert!(client.ask("CAPA").await.starts_with("+OK "));
    let offered = client.lines().await;
    assert!(
        offered.contains("SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN\r\n") && !offered.contains("STLS"),
        "{offered}"
    );
    client.log_in().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_holds_up_its_sender_alone() {
    let service = Service::start(quick()).await;
    let mut client = service.connect().await;
    let began = Instant::now();
    client.send("USER alice\r\nPASS wrong\r\nNOOP\r\n").await;
    let mut other = service.connect().await;
    other.log_in().await;
    client.line_with("+OK ").await;
    client.line_with("-ERR [AUTH] ").await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    client.line_with("-ERR Log in first").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_log_in_is_let_go() {
    let service = Service::start(Settings { login_within: Duration::from_millis(300), ..quick() }).await;
    let mut logged_in = service.connect().await;
    logged_in.log_in().await;
    let mut client = service.connect().await;
    assert_eq!(client.rest().await, "", "without an answer (RFC 1939 section 3)");
    assert!(logged_in.ask("NOOP").await.starts_with("+OK "), "the others stay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_too_many_is_turned_away() {
    let service = Service::start(Settings { connections: 1, ..quick() }).await;
    let mut first = service.connect().await;
    let mut second = Client::new(TcpStream::connect(service.plain).await.expect("a connection"));
    second.line_with("-ERR [SYS/TEMP] Too many connections").await;
    assert_eq!(second.rest().await, "");
    first.ask("QUIT").await;
    first.rest().await;
    drop(first);
    let until = Instant::now() + PATIENCE;
    loop {
        let mut client = Client::new(TcpStream::connect(service.plain).await.expect("a connection"));
        if client.line().await.starts_with("+OK") {
            break;
        }
        assert!(Instant::now() < until, "the place is not free again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_told_when_the_node_goes_down() {
    let service = Service::start(quick()).await;
    let mut client = service.connect().await;
    client.log_in().await;
    assert!(client.ask("DELE 1").await.starts_with("+OK "));
    service.shutdown.send(true).expect("served");
    client.line_with("-ERR [SYS/TEMP] The node is shutting down").await;
    assert_eq!(client.rest().await, "");
    timeout(PATIENCE, service.served).await.expect("an end in time").expect("no panic");
}
