//! LMTP over real sockets into a real store.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use peerpost_lmtp::Settings;
use peerpost_lmtp::shell::{ListenAddress, Listeners};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod store {
    use std::sync::Arc;

    use mailstore::crdt::identity::{MailboxId, NodeSlot};
    use mailstore::identity::NodeIdentity;
    use mailstore::shell::Running;
    use mailstore::{Mailstore, Reply, Request};
    use storage::{SimulatedDisk, Storage};

    const ACCOUNTS: [&str; 2] = ["alice", "bob"];

    /// A store with the accounts `alice` and `bob`.
    pub async fn open() -> (Mailstore, Running) {
        let storage = Arc::new(Storage::open(Arc::new(SimulatedDisk::new())).unwrap());
        let identity = NodeIdentity { cluster: [1; 16], slot: NodeSlot::FIRST, name: "test".into() };
        let mut counter = 0;
        let entropy = Box::new(move || {
            counter += 1;
            [counter; 16]
        });
        let (store, running) = mailstore::shell::start(storage, identity, entropy).unwrap();
        for name in ACCOUNTS {
            store.ask(Request::AddAccount { name: name.into(), password: "hash".into() }).await.unwrap();
        }
        (store, running)
    }

    /// What is in the INBOX of each account.
    pub async fn messages(store: &Mailstore) -> Vec<(String, Vec<u8>)> {
        let mut messages = Vec::new();
        for name in ACCOUNTS {
            let account = store.account(name).unwrap();
            let mailbox = MailboxId::of_default(account, "INBOX");
            let looked = store.ask(Request::Look { account, mailbox, lasting: false }).await;
            let Ok(Reply::Looked(look)) = looked else { panic!("a look was answered with {looked:?}") };
            for row in look.view.borrow().rows.iter() {
                messages.push((name.to_owned(), store.body(&row.facts.body).unwrap().read_all().unwrap()));
            }
        }
        messages
    }
}

const LIMIT: u64 = 4 << 20;

/// A server of its own, on TCP and on a Unix socket.
struct Server {
    store: mailstore::Mailstore,
    _committer: mailstore::shell::Running,
    tcp: std::net::SocketAddr,
    path: std::path::PathBuf,
    _directory: tempfile::TempDir,
    shutdown: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let (store, committer) = store::open().await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lmtp.sock");
        let addresses =
            [ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()), ListenAddress::Unix(path.clone())];
        let listeners = Listeners::bind(&addresses).await.unwrap();
        let tcp = listeners.tcp_addresses()[0];
        let (shutdown, receiver) = watch::channel(false);
        let settings = Settings { host_name: "mx.test".into(), largest_message: LIMIT };
        let serving = tokio::spawn(listeners.serve(store.clone(), settings, receiver));
        Self { store, _committer: committer, tcp, path, _directory: directory, shutdown, serving }
    }

    async fn tcp(&self) -> Client<TcpStream> {
        Client(BufStream::new(TcpStream::connect(self.tcp).await.unwrap()))
    }

    async fn unix(&self) -> Client<UnixStream> {
        Client(BufStream::new(UnixStream::connect(&self.path).await.unwrap()))
    }
}

struct Client<S>(BufStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Sends octets and reads as many replies; gives their codes.
    async fn say(&mut self, octets: impl AsRef<[u8]>, replies: usize) -> String {
        self.0.write_all(octets.as_ref()).await.unwrap();
        self.0.flush().await.unwrap();
        let mut codes = Vec::new();
        while codes.len() < replies {
            let mut line = String::new();
            tokio::time::timeout(Duration::from_secs(20), self.0.read_line(&mut line))
                .await
                .unwrap()
                .unwrap();
            assert!(line.ends_with("\r\n"), "the connection ended after {codes:?}");
            if line.as_bytes()[3] == b' ' {
                codes.push(line[..3].to_owned());
            }
        }
        codes.join(" ")
    }

    async fn ended(mut self) -> bool {
        let mut line = String::new();
        matches!(tokio::time::timeout(Duration::from_secs(20), self.0.read_line(&mut line)).await, Ok(Ok(0)))
    }
}

const OPEN: &str = "LHLO t\r\nMAIL FROM:<x@y>\r\nRCPT TO:<alice>\r\nRCPT TO:<Bob@example.com>\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_two_over_both_sockets() {
    let server = Server::start().await;
    let mut client = server.tcp().await;
    assert_eq!(
        client.say(format!("{OPEN}RCPT TO:<eve>\r\nDATA\r\n"), 7).await,
        "220 250 250 250 250 550 354"
    );
    assert_eq!(client.say("Message-ID: <a@y>\r\n\r\n..b\r\n.\r\nQUIT\r\n", 3).await, "250 250 221");
    assert!(client.ended().await);
    let message = b"Return-Path: <x@y>\r\nMessage-ID: <a@y>\r\n\r\n.b\r\n".to_vec();
    let both = [("alice".to_owned(), message.clone()), ("bob".to_owned(), message)];
    assert_eq!(store::messages(&server.store).await, both);

    // An MTA that heard no answer offers it again, here in chunks and by the other socket.
    let mut client = server.unix().await;
    let again = format!("{OPEN}BDAT 23\r\nMessage-ID: <a@y>\r\n\r\n.bBDAT 2 LAST\r\n\r\n");
    assert_eq!(client.say(again, 8).await, "220 250 250 250 250 250 250 250");
    assert_eq!(store::messages(&server.store).await, both);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_for_several() {
    let server = Server::start().await;
    let mut client = server.unix().await;
    assert_eq!(client.say(format!("{OPEN}DATA\r\n"), 6).await, "220 250 250 250 250 354");
    let text = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(60_000);
    assert_eq!(client.say(format!("{text}.\r\n"), 2).await, "250 250");
    let expected = format!("Return-Path: <x@y>\r\n{text}").into_bytes();
    assert!(store::messages(&server.store).await.iter().all(|(_, octets)| *octets == expected));

    let rest = &OPEN["LHLO t\r\n".len()..];
    assert_eq!(client.say(format!("{rest}DATA\r\n"), 4).await, "250 250 250 354");
    assert_eq!(client.say(format!("{text}{text}.\r\nNOOP\r\n"), 3).await, "552 552 250");
    assert_eq!(store::messages(&server.store).await.len(), 2);
}

#[tokio::test]
async fn shutting_down_lets_transactions_finish() {
    let server = Server::start().await;
    let (mut idle, mut busy) = (server.tcp().await, server.unix().await);
    assert_eq!(idle.say("LHLO t\r\n", 2).await, "220 250");
    assert_eq!(busy.say(format!("{OPEN}DATA\r\n"), 6).await, "220 250 250 250 250 354");
    server.shutdown.send(true).unwrap();
    assert_eq!(idle.say("", 1).await, "421");
    assert!(idle.ended().await);
    assert_eq!(busy.say("a\r\n.\r\n", 3).await, "250 250 421");
    assert!(busy.ended().await);
    server.serving.await.unwrap();
    assert_eq!(store::messages(&server.store).await.len(), 2);
    assert!(!server.path.exists());
    assert!(TcpStream::connect(server.tcp).await.is_err());
}

#[tokio::test]
async fn unix_sockets_are_replaced_only_when_nobody_listens() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lmtp.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a stale socket");
    let address = [ListenAddress::Unix(path.clone())];
    let listeners = Listeners::bind(&address).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let error = Listeners::bind(&address).await.unwrap_err().to_string();
    assert!(error.contains("another process listens there"), "{error}");
    drop(listeners);
    assert!(!path.exists());

    std::fs::write(&path, "precious").unwrap();
    let error = Listeners::bind(&address).await.unwrap_err().to_string();
    assert!(error.contains("not a socket"), "{error}");
    assert!(path.exists());
}
