//! COMPRESS=DEFLATE (RFC 4978) over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use peerpost_imap::framing::Limits;
use peerpost_imap::shell::Settings;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};
use tokio::net::TcpStream;

use super::{Client, Service, quick};

/// A client that compresses, and counts what comes over the wire.
struct Compressed {
    client: Client<DuplexStream>,
    received: Arc<AtomicUsize>,
}

/// Asks for compression and does it from then on.
async fn compress<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut client: Client<S>) -> Compressed {
    assert!(client.ask("COMPRESS DEFLATE").await.starts_with("t OK "));
    let (near, far) = duplex(64 * 1024);
    let (from_server, to_server) = split(client.stream.into_inner());
    let (from_client, to_client) = split(far);
    let received = Arc::new(AtomicUsize::new(0));
    tokio::spawn(inflate(from_server, to_client, received.clone()));
    tokio::spawn(deflate(from_client, to_server));
    Compressed { client: Client::new(near), received }
}

async fn inflate(
    mut from: ReadHalf<impl AsyncRead>,
    mut to: WriteHalf<DuplexStream>,
    received: Arc<AtomicUsize>,
) {
    let (mut inflater, mut octets) = (Decompress::new(false), vec![0; 8 * 1024]);
    while let Ok(read @ 1..) = from.read(&mut octets).await {
        received.fetch_add(read, Ordering::Relaxed);
        let mut rest = &octets[..read];
        loop {
            let (before, mut plain) = (inflater.total_in(), Vec::with_capacity(64 * 1024));
            inflater
                .decompress_vec(rest, &mut plain, FlushDecompress::None)
                .expect("what the server deflated");
            rest = &rest[usize::try_from(inflater.total_in() - before).expect("few octets")..];
            if to.write_all(&plain).await.is_err() || plain.is_empty() {
                break;
            }
        }
    }
    let _ = to.shutdown().await;
}

async fn deflate(mut from: ReadHalf<DuplexStream>, mut to: WriteHalf<impl AsyncWrite>) {
    let (mut deflater, mut octets) = (Compress::new(Compression::default(), false), vec![0; 64 * 1024]);
    while let Ok(read @ 1..) = from.read(&mut octets).await {
        if to.write_all(&deflated(&mut deflater, &octets[..read])).await.is_err() || to.flush().await.is_err()
        {
            return;
        }
    }
}

fn deflated(deflater: &mut Compress, octets: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(octets.len() + 1024);
    deflater.compress_vec(octets, &mut wire, FlushCompress::Sync).expect("deflated");
    assert!(wire.len() < wire.capacity(), "all of it");
    wire
}

/// A megabyte of text goes in and comes out, and the wire sees less than a tenth of it.
async fn a_message_there_and_back<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(client: Client<S>) {
    let Compressed { mut client, received } = compress(client).await;
    let capabilities = client.ask("CAPABILITY").await;
    assert!(!capabilities.contains("COMPRESS"), "{capabilities}");
    assert!(client.ask("COMPRESS DEFLATE").await.starts_with("t NO [COMPRESSIONACTIVE] "));
    let message = format!("Subject: long\r\n\r\n{}", "The same line again and again.\r\n".repeat(32_000));
    client.send(&format!("a APPEND INBOX {{{}}}\r\n", message.len())).await;
    client.line_with("+ ").await;
    client.send(&format!("{message}\r\n")).await;
    client.until("a OK [APPENDUID ").await;
    client.ask("SELECT INBOX").await;
    let before = received.load(Ordering::Relaxed);
    let fetched = client.ask("FETCH 1 BODY.PEEK[]").await;
    assert!(fetched.contains(&message));
    let octets = received.load(Ordering::Relaxed) - before;
    assert!(octets < message.len() / 10, "{octets} octets came");
    client.send("a IDLE\r\n").await;
    client.line_with("+ ").await;
    client.send("DONE\r\nb NOOP\r\nc LOGOUT\r\n").await;
    client.until("c OK ").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_connection_in_the_clear() {
    let service = Service::start(quick()).await;
    let mut client = service.connect().await;
    client.log_in().await;
    a_message_there_and_back(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_connection_under_tls() {
    let service = Service::start(quick()).await;
    let stream = TcpStream::connect(service.tls).await.expect("a connection");
    let mut client = service.secure(stream).await;
    client.line_with("* OK ").await;
    client.log_in().await;
    a_message_there_and_back(client).await;
}

/// 64 MiB of one letter come as some 64 KiB: refused as a line that is too long, then as more than is swallowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_expands_without_end_loses_the_connection() {
    let framing = Limits { swallow: 8 * 1024 * 1024, ..Limits::default() };
    let service = Service::start(Settings { framing, ..quick() }).await;
    let mut bomb = service.connect().await;
    bomb.log_in().await;
    assert!(bomb.ask("COMPRESS DEFLATE").await.starts_with("t OK "));
    let (mut deflater, letters) = (Compress::new(Compression::default(), false), vec![b'x'; 1024 * 1024]);
    let mut wire = deflated(&mut deflater, b"a ");
    for _ in 0..64 {
        wire.extend(deflated(&mut deflater, &letters));
    }
    assert!(wire.len() < 256 * 1024, "{} octets", wire.len());
    let sent = bomb.stream.write_all(&wire).await;
    let mut other = service.connect().await;
    other.log_in().await;
    let mut answer = Vec::new();
    let _ = (sent, bomb.stream.read_to_end(&mut answer).await);
    let mut told = Vec::with_capacity(64 * 1024);
    Decompress::new(false).decompress_vec(&answer, &mut told, FlushDecompress::None).expect("deflated");
    let told = String::from_utf8_lossy(&told);
    assert!(told.starts_with("a BAD The line is longer than ") && told.contains("* BYE "), "{told}");
    assert!(other.ask("NOOP").await.contains("t OK"));
}

/// Whoever goes on in the clear, or sends what is no DEFLATE, is let go; nobody else notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_compressed_ends_the_connection() {
    let service = Service::start(quick()).await;
    let mut client = service.connect().await;
    client.log_in().await;
    client.send("a COMPRESS DEFLATE\r\nf NOOP\r\n").await;
    client.line_with("a OK ").await;
    let rest = client.rest().await;
    assert!(!rest.contains("f OK"), "{rest}");
    assert!(service.connect().await.ask("NOOP").await.contains("t OK"));
}
