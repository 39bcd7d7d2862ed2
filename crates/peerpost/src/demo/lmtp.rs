//! Hands a message to a node, as an MTA does (RFC 2033).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::failure::Failure;

/// The longest silence of a node.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);
/// The longest line of a reply, in octets.
const LONGEST_LINE: u64 = 4096;

/// Delivers one message; returns when the node has accepted it for good.
pub async fn deliver(node: SocketAddr, account: &str, message: &str) -> Result<(), Failure> {
    let delivering = converse(node, account, message);
    let outcome = tokio::time::timeout(LONGEST_SILENCE, delivering).await;
    let outcome = outcome.map_err(|_| Failure::new(format!("LMTP on {node} did not answer")))?;
    outcome.map_err(Failure::of(format!("cannot deliver by LMTP to {node}")))
}

async fn converse(node: SocketAddr, account: &str, message: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(node).await?);
    expect(&mut stream, '2').await?;
    let recipient = format!("RCPT TO:<{account}>");
    for (line, wanted) in
        [("LHLO localhost", '2'), ("MAIL FROM:<sender@example.org>", '2'), (&recipient, '2'), ("DATA", '3')]
    {
        stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        expect(&mut stream, wanted).await?;
    }
    // No line of the demo's messages begins with a dot.
    stream.write_all(format!("{message}.\r\n").as_bytes()).await?;
    expect(&mut stream, '2').await?;
    stream.write_all(b"QUIT\r\n").await?;
    expect(&mut stream, '2').await
}

/// Reads a reply, and its further lines.
async fn expect(stream: &mut BufReader<TcpStream>, wanted: char) -> std::io::Result<()> {
    loop {
        let mut line = String::new();
        stream.take(LONGEST_LINE).read_line(&mut line).await?;
        if !line.starts_with(wanted) {
            return Err(std::io::Error::other(format!("the node said {:?}", line.trim_end())));
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}
