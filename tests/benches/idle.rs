//! What many quiet clients cost: the memory of each session in IDLE (PSS), and how long after the end of a delivery each of
//! the clients that have the mailbox selected is told EXISTS while all of them are there.
//!
//! ```text
//! cargo bench -p peerpost --bench idle -- [SESSIONS [ACCOUNTS [tls | deflate]]]
//! ```
//!
//! 10,000 sessions of 1,000 accounts unless told otherwise; with `deflate` they use COMPRESS (RFC 4978). Each side needs a file descriptor for each session.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures wall time")]

#[path = "../kit/mod.rs"]
mod kit;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kit::cluster::{Cluster, PASSWORD, Setup};
use kit::memory::pss;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsConnector;

/// Logins at the same time.
const LOGINS: usize = 8;
/// Deliveries, and how far they are apart: a thousand a minute.
const DELIVERIES: usize = 1_000;
const APART: Duration = Duration::from_millis(60);
/// How long the node may take to settle before its memory is read.
const SETTLE: Duration = Duration::from_secs(3);

trait Octets: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Octets for T {}

/// Where and how the clients connect.
#[derive(Clone)]
struct Door {
    address: SocketAddr,
    tls: Option<TlsConnector>,
    deflate: bool,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |index: usize, default: usize| {
        arguments.get(index).map_or(default, |text| text.parse().expect("a number"))
    };
    let (sessions, accounts) = (number(0, 10_000), number(1, 1_000));
    let wants = |what: &str| arguments.get(2).is_some_and(|word| word == what);
    let (tls, deflate) = (wants("tls"), wants("deflate"));
    let more = "[limits]\nsessions = 20000\n".to_owned();
    let cluster = Cluster::start(Setup { nodes: 1, tls, more, ..Setup::default() });
    let node = &cluster.nodes[0];
    eprintln!("adding {accounts} accounts");
    for account in 0..accounts {
        node.add_user(&format!("u{account}"), PASSWORD);
    }
    let door = match tls {
        true => Door { address: node.imap_tls.expect("with TLS"), tls: Some(connector(&cluster)), deflate },
        false => Door { address: node.imap, tls: None, deflate },
    };
    let process = node.process_id().expect("it runs");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(&door, node.lmtp, process, sessions, accounts));
}

fn connector(cluster: &Cluster) -> TlsConnector {
    let path = cluster.directory().join("certificate.pem");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(path).expect("a certificate")).expect("a root");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn measure(door: &Door, lmtp: SocketAddr, process: u32, sessions: usize, accounts: usize) {
    let (told, mut hears) = mpsc::unbounded_channel();
    // One session of each account first: what an open account costs is not what a session costs. Nor do the first sessions tell:
    // they get memory that logins before them have left.
    let half = accounts + sessions.saturating_sub(accounts) / 2;
    println!("PSS before the first login: {} KiB", pss(process));
    let mut held = Vec::new();
    for which in [0..accounts, accounts..half, half..sessions] {
        let opened = which.end;
        open(door, which, accounts, &told).await;
        tokio::time::sleep(SETTLE).await;
        held.push(pss(process));
        println!("PSS with {opened} sessions of {accounts} accounts: {} KiB", held[held.len() - 1]);
    }
    let each = held[2].saturating_sub(held[1]) as f64 / sessions.saturating_sub(half).max(1) as f64;
    println!("{each:.1} KiB for each session of the last half");
    let of_account = |account: usize| (account..sessions).step_by(accounts).count();
    let mut lmtp = Lines::new(Box::new(TcpStream::connect(lmtp).await.expect("the node answers")));
    lmtp.read_to("220").await;
    lmtp.write("LHLO bench\r\n").await;
    lmtp.read_to("250 ").await;
    let mut times = Vec::new();
    let mut next = tokio::time::Instant::now();
    for delivery in 0..DELIVERIES {
        next += APART;
        tokio::time::sleep_until(next).await;
        let account = delivery % accounts;
        lmtp.write(&format!("MAIL FROM:<bench@example.com>\r\nRCPT TO:<u{account}>\r\nDATA\r\n")).await;
        lmtp.read_to("354").await;
        let message = kit::message(&format!("idle-{delivery}"), "for those who wait");
        let text = String::from_utf8(message).expect("text");
        let from = Instant::now();
        lmtp.write(&format!("{text}\r\n.\r\n")).await;
        lmtp.read_to("250").await;
        for _ in 0..of_account(account) {
            let (of, at): (usize, Instant) = hears.recv().await.expect("sessions are open");
            assert_eq!(of, account, "EXISTS came to those whose mailbox it is");
            times.push(at.saturating_duration_since(from).as_secs_f64() * 1000.0);
        }
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{} EXISTS after {DELIVERIES} deliveries, from their last octet: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    println!("PSS after the deliveries: {} KiB", pss(process));
}

/// Opens these sessions and leaves them in IDLE; each tells when it hears EXISTS.
async fn open(
    door: &Door,
    which: std::ops::Range<usize>,
    accounts: usize,
    told: &mpsc::UnboundedSender<(usize, Instant)>,
) {
    let logins = Arc::new(Semaphore::new(LOGINS));
    let (ready, mut all_ready) = mpsc::unbounded_channel();
    let count = which.len();
    for session in which {
        let (account, door, told) = (session % accounts, door.clone(), told.clone());
        let (logins, ready) = (Arc::clone(&logins), ready.clone());
        tokio::spawn(async move {
            let permit = logins.acquire_owned().await.expect("never closed");
            let mut lines = Lines::new(door.connect().await);
            lines.write(&format!("l LOGIN u{account} \"{PASSWORD}\"\r\ns SELECT INBOX\r\n")).await;
            lines.read_to("s OK").await;
            if door.deflate {
                lines.write("z COMPRESS DEFLATE\r\n").await;
                lines.read_to("z OK").await;
                lines.deflate = Some(Deflate::default());
            }
            lines.write("i IDLE\r\n").await;
            lines.read_to("+").await;
            drop(permit);
            ready.send(()).expect("somebody counts");
            loop {
                let line = lines.line().await;
                if line.ends_with(" EXISTS\r\n") && told.send((account, Instant::now())).is_err() {
                    return;
                }
            }
        });
    }
    for opened in 1..=count {
        all_ready.recv().await.expect("they are being opened");
        if opened % 1000 == 0 {
            eprintln!("{opened} of {count} sessions are open");
        }
    }
}

impl Door {
    async fn connect(&self) -> Box<dyn Octets> {
        let stream = TcpStream::connect(self.address).await.expect("the node answers");
        stream.set_nodelay(true).expect("an option of TCP");
        match &self.tls {
            None => Box::new(stream),
            Some(connector) => {
                let name = ServerName::try_from("localhost").expect("a name");
                Box::new(connector.connect(name, stream).await.expect("TLS"))
            }
        }
    }
}

/// A connection of lines.
struct Lines {
    stream: BufReader<Box<dyn Octets>>,
    deflate: Option<Deflate>,
}

impl Lines {
    fn new(stream: Box<dyn Octets>) -> Self {
        Lines { stream: BufReader::with_capacity(1024, stream), deflate: None }
    }

    async fn write(&mut self, text: &str) {
        let octets = match self.deflate {
            Some(_) => Deflate::block(text.as_bytes()),
            None => text.as_bytes().to_vec(),
        };
        let stream = self.stream.get_mut();
        stream.write_all(&octets).await.expect("the node reads");
        stream.flush().await.expect("the node reads");
    }

    async fn line(&mut self) -> String {
        let Some(deflate) = &mut self.deflate else {
            let mut line = String::new();
            let count = self.stream.read_line(&mut line).await.expect("a line");
            assert!(count > 0, "the node closed the connection");
            return line;
        };
        loop {
            if let Some(line) = deflate.line() {
                return line;
            }
            let octets = self.stream.fill_buf().await.expect("octets");
            assert!(!octets.is_empty(), "the node closed the connection");
            let count = octets.len();
            deflate.push(octets);
            self.stream.consume(count);
        }
    }

    async fn read_to(&mut self, beginning: &str) {
        while !self.line().await.starts_with(beginning) {}
    }
}

/// What a client needs of DEFLATE (RFC 1951).
struct Deflate {
    inflater: flate2::Decompress,
    inflated: Vec<u8>,
}

impl Default for Deflate {
    fn default() -> Self {
        Deflate { inflater: flate2::Decompress::new(false), inflated: Vec::new() }
    }
}

impl Deflate {
    /// A block that is stored as it is (RFC 1951 section 3.2.4).
    fn block(text: &[u8]) -> Vec<u8> {
        let length = u16::try_from(text.len()).expect("a short line");
        [&[0], &length.to_le_bytes()[..], &(!length).to_le_bytes()[..], text].concat()
    }

    fn push(&mut self, octets: &[u8]) {
        self.inflated.reserve(64 * 1024);
        let before = self.inflater.total_in();
        self.inflater
            .decompress_vec(octets, &mut self.inflated, flate2::FlushDecompress::None)
            .expect("what the node compressed");
        assert_eq!(self.inflater.total_in() - before, octets.len() as u64, "there is room");
    }

    /// A line that is there, without those before it.
    fn line(&mut self) -> Option<String> {
        let end = self.inflated.iter().position(|octet| *octet == b'\n')?;
        let line = self.inflated.drain(..=end).collect();
        Some(String::from_utf8(line).expect("text"))
    }
}
