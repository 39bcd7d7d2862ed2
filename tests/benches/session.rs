//! A small IMAP session for benchmarks.

#![allow(dead_code, reason = "each benchmark uses its own part")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::kit::cluster::{ACCOUNT, PASSWORD};

/// A session with nothing between the clock and the socket.
pub struct Session {
    reading: BufReader<TcpStream>,
    writing: TcpStream,
}

impl Session {
    /// A session of [`ACCOUNT`] with INBOX selected.
    pub fn open(address: SocketAddr) -> Self {
        let mut session = Self::login(address);
        session.write(b"s SELECT INBOX\r\n");
        session.read_to("s OK");
        session
    }

    /// A session of [`ACCOUNT`] with nothing selected.
    pub fn login(address: SocketAddr) -> Self {
        let writing = TcpStream::connect(address).expect("the node answers");
        writing.set_nodelay(true).expect("an option of TCP");
        writing.set_read_timeout(Some(Duration::from_secs(30))).expect("an option of TCP");
        let mut session =
            Session { reading: BufReader::new(writing.try_clone().expect("a handle")), writing };
        session.write(format!("l LOGIN {ACCOUNT} \"{PASSWORD}\"\r\n").as_bytes());
        session.read_to("l OK");
        session
    }

    pub fn write(&mut self, octets: &[u8]) {
        self.writing.write_all(octets).expect("the node reads");
    }

    /// Reads lines to the one that begins so, and gives it.
    pub fn read_to(&mut self, beginning: &str) -> String {
        loop {
            let mut line = String::new();
            let count = self.reading.read_line(&mut line).expect("a line");
            assert!(count > 0, "the node closed the connection before {beginning:?}");
            if line.starts_with(beginning) {
                return line;
            }
        }
    }
}
