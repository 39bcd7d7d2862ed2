//! A small blocking POP3 client.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::cluster::{ACCOUNT, PASSWORD};
use super::node::Node;

/// The longest silence of a server that still has to answer.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// A connection to one node.
pub struct Client {
    node: String,
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects and logs in as the account every cluster has.
    #[track_caller]
    pub fn open(node: &Node) -> Self {
        let mut client = Self::connect(&node.name, node.pop3);
        client.ok(&format!("USER {ACCOUNT}"));
        client.ok(&format!("PASS {PASSWORD}"));
        client
    }

    /// Connects and reads the greeting.
    #[track_caller]
    pub fn connect(node: &str, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("no POP3 on {node}: {error}"));
        stream.set_read_timeout(Some(LONGEST_SILENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { node: node.to_owned(), reader: BufReader::new(stream) };
        let greeting = client.line();
        assert!(greeting.starts_with(b"+OK"), "greeting: {}", String::from_utf8_lossy(&greeting));
        client
    }

    /// A command, and its status line without the line end.
    #[track_caller]
    pub fn command(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        String::from_utf8(self.line()).unwrap().trim_end().to_owned()
    }

    /// A command that must succeed; what follows `+OK `.
    #[track_caller]
    pub fn ok(&mut self, line: &str) -> String {
        let answer = self.command(line);
        let text = answer.strip_prefix("+OK");
        text.unwrap_or_else(|| panic!("{line} on {}: {answer}", self.node)).trim_start().to_owned()
    }

    /// The lines of an answer, taken out of their dots, up to the one that ends it.
    #[track_caller]
    pub fn octets(&mut self, command: &str) -> Vec<u8> {
        self.send(format!("{command}\r\n").as_bytes());
        self.octets_after(command)
    }

    /// The same, where the command was sent already.
    #[track_caller]
    pub fn octets_after(&mut self, command: &str) -> Vec<u8> {
        let status = self.line();
        assert!(
            status.starts_with(b"+OK"),
            "{command} on {}: {}",
            self.node,
            String::from_utf8_lossy(&status)
        );
        let mut octets = Vec::new();
        loop {
            let line = self.line();
            assert!(line.ends_with(b"\r\n"), "{command} on {}: a line without CRLF", self.node);
            match line.strip_prefix(b".") {
                Some(b"\r\n") => return octets,
                Some(rest) => octets.extend_from_slice(rest),
                None => octets.extend_from_slice(&line),
            }
        }
    }

    /// The second words of the lines of an answer: the sizes of LIST, the names of UIDL. Numbers have to ascend.
    #[track_caller]
    pub fn list(&mut self, command: &str) -> Vec<String> {
        let text = String::from_utf8(self.octets(command)).unwrap();
        let mut last = 0;
        let words = text.lines().map(|line| {
            let (number, word) = line.split_once(' ').unwrap();
            let number: usize = number.parse().unwrap();
            assert!(number > last, "{command}: {text}");
            last = number;
            word.to_owned()
        });
        words.collect()
    }

    #[track_caller]
    pub fn send(&mut self, octets: &[u8]) {
        let node = &self.node;
        self.reader
            .get_mut()
            .write_all(octets)
            .unwrap_or_else(|error| panic!("{node} does not listen: {error}"));
    }

    /// One line with its end.
    #[track_caller]
    fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        let node = &self.node;
        let read = self.reader.read_until(b'\n', &mut line);
        let read = read.unwrap_or_else(|error| panic!("{node} does not answer: {error}"));
        assert!(read > 0, "{node} closed the connection");
        line
    }
}
