//! A small blocking LMTP client.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::cluster::ACCOUNT;
use super::node::Node;

const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// A reply, its lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub text: String,
}

/// A connection.
pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects and says LHLO.
    #[track_caller]
    pub fn open(node: &Node) -> Self {
        Self::connect(node.lmtp).unwrap_or_else(|error| panic!("no LMTP on {}: {error}", node.name))
    }

    pub fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LONGEST_SILENCE))?;
        stream.set_nodelay(true)?;
        let mut client = Self { reader: BufReader::new(stream) };
        client.read()?;
        client.command("LHLO test.example.org")?;
        Ok(client)
    }

    /// One command and its reply.
    pub fn command(&mut self, line: &str) -> std::io::Result<Reply> {
        self.write(format!("{line}\r\n").as_bytes())?;
        self.read()
    }

    /// One message for the account every cluster has; it must be accepted.
    #[track_caller]
    pub fn deliver(&mut self, message: &[u8]) {
        let replies = self.offer(&[ACCOUNT], message).unwrap();
        assert!(replies.iter().all(|reply| reply.code == 250), "{replies:?}");
    }

    /// One message for several recipients: a reply for each, be it to RCPT where that was refused or to the data.
    pub fn offer(&mut self, recipients: &[&str], message: &[u8]) -> std::io::Result<Vec<Reply>> {
        let from = self.command("MAIL FROM:<sender@example.org>")?;
        if from.code != 250 {
            return Ok(vec![from; recipients.len()]);
        }
        let mut replies = Vec::new();
        for recipient in recipients {
            replies.push(self.command(&format!("RCPT TO:<{recipient}>"))?);
        }
        if replies.iter().all(|reply| reply.code != 250) {
            self.command("RSET")?;
            return Ok(replies);
        }
        let data = self.command("DATA")?;
        if data.code != 354 {
            return Ok(vec![data; recipients.len()]);
        }
        // RFC 5321, 4.5.2: a line that begins with a dot gets another one.
        for line in message.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(b".") {
                self.write(b".")?;
            }
            self.write(line)?;
        }
        self.write(b".\r\n")?;
        for reply in replies.iter_mut().filter(|reply| reply.code == 250) {
            *reply = self.read()?;
        }
        Ok(replies)
    }

    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// One reply, of one line or several.
    pub fn read(&mut self) -> std::io::Result<Reply> {
        let wrong = |line: &str| std::io::Error::other(format!("no LMTP reply: {line:?}"));
        let mut text = String::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let (Some(code), Some(rest)) = (line.get(..3), line.get(3..)) else { return Err(wrong(&line)) };
            let code = code.parse().map_err(|_| wrong(&line))?;
            text.push_str(rest.trim_start_matches(['-', ' ']));
            if !rest.starts_with('-') {
                return Ok(Reply { code, text: text.trim_end().to_owned() });
            }
        }
    }
}
