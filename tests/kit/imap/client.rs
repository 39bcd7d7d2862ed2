//! The client itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::response::{Value, literal_at_end, parse};
use super::view::View;
use crate::kit::cluster::{ACCOUNT, PASSWORD};
use crate::kit::node::Node;
use crate::kit::witness::{Epoch, Moment, Witness};

/// The longest silence of a server that still has to answer.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    No,
    Bad,
}

/// What came back for one command.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: Status,
    /// The tagged line after the status.
    pub text: String,
    /// The untagged responses, without their `*`.
    pub untagged: Vec<Vec<Value>>,
}

impl Reply {
    /// The number behind a response code, as in `[UIDNEXT 7]`, on whatever line it stands.
    pub fn code(&self, name: &str) -> Option<u32> {
        let bracket = format!("[{name} ");
        let lines = self.untagged.iter().map(|values| Value::List(values.clone()).text());
        let line = lines.chain([self.text.clone()]).find(|line| line.contains(&bracket))?;
        let (_, after) = line.split_once(&bracket)?;
        after.split([' ', ']']).next()?.parse().ok()
    }
}

/// One message of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub email_id: String,
    /// All but \Recent.
    pub flags: BTreeSet<String>,
}

/// A whole mailbox, as a client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub uid_validity: u32,
    pub messages: BTreeMap<u32, Message>,
}

/// A connection to one node.
pub struct Client {
    node: String,
    account: String,
    witness: Witness,
    reader: BufReader<TcpStream>,
    tag: u32,
    view: Option<View>,
}

impl Client {
    /// Connects and logs in as the account every cluster has.
    #[track_caller]
    pub fn open(node: &Node, witness: &Witness) -> Self {
        let mut client = Self::connect(&node.name, node.imap, witness);
        client.login(ACCOUNT, PASSWORD);
        client
    }

    /// Connects and reads the greeting.
    #[track_caller]
    pub fn connect(node: &str, address: SocketAddr, witness: &Witness) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("no IMAP on {node}: {error}"));
        stream.set_read_timeout(Some(LONGEST_SILENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let (node, witness) = (node.to_owned(), witness.clone());
        let reader = BufReader::new(stream);
        let mut client = Self { node, account: String::new(), witness, reader, tag: 0, view: None };
        let greeting = client.read_response();
        assert!(greeting.starts_with(b"* OK"), "greeting: {}", String::from_utf8_lossy(&greeting));
        client
    }

    #[track_caller]
    pub fn login(&mut self, account: &str, password: &str) {
        self.ok(&format!("LOGIN {account} \"{password}\""));
        self.account = account.to_owned();
    }

    /// The view of the selected mailbox.
    #[track_caller]
    pub fn view(&self) -> &View {
        self.view.as_ref().unwrap()
    }

    /// A command that must succeed.
    #[track_caller]
    pub fn ok(&mut self, command: &str) -> Reply {
        let reply = self.command(command);
        assert_eq!(reply.status, Status::Ok, "{command} on {}: {}", self.node, reply.text);
        reply
    }

    /// Any command without a literal.
    #[track_caller]
    pub fn command(&mut self, command: &str) -> Reply {
        self.begin(command);
        self.finish(command)
    }

    /// APPEND; the UIDVALIDITY and UID of the message.
    #[track_caller]
    pub fn append(&mut self, mailbox: &str, flags: &str, message: &[u8]) -> (u32, u32) {
        let command = format!("APPEND {mailbox} ({flags}) {{{}}}", message.len());
        self.begin(&command);
        let mut go_on = self.read_response();
        while go_on.starts_with(b"* ") {
            self.untagged(&parse(&go_on[2..]), Some("APPEND"));
            go_on = self.read_response();
        }
        assert!(go_on.starts_with(b"+"), "{command}: {}", String::from_utf8_lossy(&go_on));
        self.write(message);
        self.write(b"\r\n");
        let reply = self.finish("APPEND");
        assert_eq!(reply.status, Status::Ok, "{command}: {}", reply.text);
        let code =
            reply.text.split_once("[APPENDUID ").unwrap_or_else(|| panic!("no APPENDUID: {}", reply.text)).1;
        let (validity, uid) = code.split_once(']').unwrap().0.split_once(' ').unwrap();
        (validity.parse().unwrap(), uid.parse().unwrap())
    }

    /// SELECT: a new view.
    #[track_caller]
    pub fn select(&mut self, mailbox: &str) -> Reply {
        let began = self.witness.moment();
        self.view = Some(View::new(mailbox));
        let reply = self.ok(&format!("SELECT {mailbox}"));
        let view = self.view.as_mut().unwrap();
        view.uid_validity = reply.code("UIDVALIDITY").unwrap();
        view.uid_next = reply.code("UIDNEXT").unwrap();
        let uid_next = view.uid_next;
        self.witness.announced(&self.node, &self.epoch(), uid_next, began);
        reply
    }

    /// SELECT and everything in it, for the witness too.
    #[track_caller]
    pub fn list(&mut self, mailbox: &str) -> Listing {
        let began = self.witness.moment();
        self.select(mailbox);
        let uid_next = self.view().uid_next;
        let mut messages = BTreeMap::new();
        if self.view().len() > 0 {
            self.fetch("UID FETCH 1:* (UID EMAILID FLAGS)", began, &mut messages);
        }
        let uids = messages.keys().copied().collect();
        self.witness.listed(&self.node, &self.epoch(), uid_next, &uids, began);
        Listing { uid_validity: self.view().uid_validity, messages }
    }

    /// NOOP, then asks for the UIDs of what is new in the session.
    #[track_caller]
    pub fn follow(&mut self) {
        let began = self.witness.moment();
        self.ok("NOOP");
        let unknown = self.view().unknown();
        if let (Some(first), Some(last)) = (unknown.first(), unknown.last()) {
            let command = format!("FETCH {first}:{last} (UID EMAILID FLAGS)");
            self.fetch(&command, began, &mut BTreeMap::new());
        }
    }

    /// The Message-IDs in the selected mailbox, by UID.
    #[track_caller]
    pub fn message_ids(&mut self) -> BTreeMap<u32, String> {
        let mut ids = BTreeMap::new();
        if self.view().len() == 0 {
            return ids;
        }
        let reply = self.ok("UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])");
        for items in reply.untagged.iter().filter_map(|values| fetched(values)) {
            let header =
                items.iter().find(|(name, _)| name.starts_with("BODY[")).map(|(_, value)| value.text());
            let uid = items.get("UID").and_then(Value::number);
            if let (Some(header), Some(uid)) = (header, uid) {
                let id = header.split(['<', '@']).nth(1).unwrap_or_default();
                ids.insert(uid, id.to_owned());
            }
        }
        ids
    }

    /// IDLE until `enough` or the time is over; whether it was enough.
    #[track_caller]
    pub fn idle(&mut self, longest: Duration, mut enough: impl FnMut(&View) -> bool) -> bool {
        self.begin("IDLE");
        let until = Instant::now() + longest;
        let mut done = false;
        loop {
            done = done || self.view.as_ref().is_some_and(&mut enough);
            let left = until.saturating_duration_since(Instant::now());
            if done || left.is_zero() {
                break;
            }
            if !self.arrives_within(left) {
                break;
            }
            let response = self.read_response();
            if let Some(untagged) = response.strip_prefix(b"* ") {
                self.untagged(&parse(untagged), Some("IDLE"));
            } else {
                assert!(response.starts_with(b"+"), "IDLE: {}", String::from_utf8_lossy(&response));
            }
        }
        self.write(b"DONE\r\n");
        let reply = self.finish("IDLE");
        assert_eq!(reply.status, Status::Ok, "IDLE: {}", reply.text);
        done
    }

    /// NOOP; whether the server says BYE, before or after its answer, instead of going on.
    pub fn is_bidden_farewell(&mut self) -> bool {
        // A server that has said BYE may have closed already: then nothing can be written, and BYE waits to be read.
        let _ = self.reader.get_mut().write_all(b"bye NOOP\r\n");
        let mut line = Vec::new();
        while self.arrives_within(Duration::from_secs(2)) {
            line.clear();
            if !matches!(self.reader.read_until(b'\n', &mut line), Ok(1..)) {
                return false;
            }
            if line.starts_with(b"* BYE") {
                return true;
            }
        }
        false
    }

    fn epoch(&self) -> Epoch {
        let view = self.view.as_ref().unwrap();
        Epoch {
            account: self.account.clone(),
            mailbox: view.mailbox.clone(),
            uid_validity: view.uid_validity,
        }
    }

    /// A FETCH with UID, EMAILID and FLAGS.
    #[track_caller]
    fn fetch(&mut self, command: &str, began: Moment, messages: &mut BTreeMap<u32, Message>) {
        let reply = self.ok(command);
        let epoch = self.epoch();
        for items in reply.untagged.iter().filter_map(|values| fetched(values)) {
            let (Some(uid), Some(email_id)) =
                (items.get("UID").and_then(Value::number), items.get("EMAILID"))
            else {
                continue;
            };
            let email_id = email_id.list().first().unwrap_or(email_id).text();
            self.witness.named(&epoch, uid, &email_id);
            let flags = items.get("FLAGS").map(Value::list).unwrap_or_default();
            let flags = flags.iter().map(Value::text).filter(|flag| flag != "\\Recent").collect();
            messages.insert(uid, Message { email_id, flags });
        }
        if let Some(uid_next) = reply.code("UIDNEXT") {
            self.witness.announced(&self.node, &epoch, uid_next, began);
        }
    }

    /// What came while no command ran is read first; there EXPUNGE is not legal (RFC 9051, 7.5.1).
    #[track_caller]
    fn begin(&mut self, command: &str) {
        while self.arrives_within(Duration::ZERO) {
            let response = self.read_response();
            let untagged = response.strip_prefix(b"* ");
            let untagged =
                untagged.unwrap_or_else(|| panic!("unasked: {}", String::from_utf8_lossy(&response)));
            self.untagged(&parse(untagged), None);
        }
        self.tag += 1;
        self.write(format!("t{} {command}\r\n", self.tag).as_bytes());
    }

    #[track_caller]
    fn finish(&mut self, command: &str) -> Reply {
        let tag = format!("t{} ", self.tag);
        let mut all = Vec::new();
        loop {
            let response = self.read_response();
            if let Some(untagged) = response.strip_prefix(b"* ") {
                let values = parse(untagged);
                self.untagged(&values, Some(command));
                all.push(values);
            } else if let Some(tagged) = response.strip_prefix(tag.as_bytes()) {
                let line = String::from_utf8_lossy(tagged).trim_end().to_owned();
                let (word, text) = line.split_once(' ').unwrap_or((&line, ""));
                let status = match word {
                    "OK" => Status::Ok,
                    "NO" => Status::No,
                    "BAD" => Status::Bad,
                    _ => panic!("{command}: {line}"),
                };
                return Reply { status, text: text.to_owned(), untagged: all };
            } else {
                assert!(response.starts_with(b"+"), "{command}: {}", String::from_utf8_lossy(&response));
            }
        }
    }

    /// Checks one untagged response against the view and the command that runs.
    #[track_caller]
    fn untagged(&mut self, values: &[Value], command: Option<&str>) {
        let word =
            |at: usize| values.get(at).map(|value| value.text().to_ascii_uppercase()).unwrap_or_default();
        assert!(word(0) != "BYE", "{} said {}", self.node, Value::List(values.to_vec()).text());
        let (Some(number), Some(view)) = (values.first().and_then(Value::number), self.view.as_mut()) else {
            return;
        };
        let number = number as usize;
        match word(1).as_str() {
            "EXISTS" => view.exists(number),
            "EXPUNGE" => {
                let command = command.unwrap_or("no command").to_ascii_uppercase();
                let first = command.split(' ').next().unwrap_or_default();
                let forbidden = ["NO", "FETCH", "STORE", "SEARCH", "SORT", "THREAD"].contains(&first);
                assert!(!forbidden, "{}: EXPUNGE {number} during {command}", self.node);
                view.expunge(number);
            }
            "FETCH" => {
                assert!(number <= view.len(), "{}: FETCH {number} of {} messages", self.node, view.len());
                let uid = fetched(values).and_then(|items| items.get("UID").and_then(Value::number));
                if let Some(uid) = uid {
                    view.told(number, uid);
                }
            }
            _ => {}
        }
    }

    #[track_caller]
    fn write(&mut self, bytes: &[u8]) {
        let node = &self.node;
        self.reader
            .get_mut()
            .write_all(bytes)
            .unwrap_or_else(|error| panic!("{node} does not listen: {error}"));
    }

    fn arrives_within(&mut self, time: Duration) -> bool {
        if !self.reader.buffer().is_empty() {
            return true;
        }
        let stream = self.reader.get_ref();
        stream.set_read_timeout(Some(time.max(Duration::from_millis(1)))).unwrap();
        let arrived = matches!(stream.peek(&mut [0]), Ok(1));
        stream.set_read_timeout(Some(LONGEST_SILENCE)).unwrap();
        arrived
    }

    /// One response with its literals.
    #[track_caller]
    fn read_response(&mut self) -> Vec<u8> {
        let mut response = Vec::new();
        loop {
            let from = response.len();
            let node = &self.node;
            let read = self.reader.read_until(b'\n', &mut response);
            let read = read.unwrap_or_else(|error| panic!("{node} does not answer: {error}"));
            assert!(read > 0, "{node} closed the connection");
            let Some(length) = literal_at_end(&response[from..]) else { return response };
            let start = response.len();
            response.resize(start + length, 0);
            self.reader.read_exact(&mut response[start..]).unwrap();
        }
    }
}

/// The items of `n FETCH (...)`.
fn fetched(values: &[Value]) -> Option<BTreeMap<String, Value>> {
    let [_, word, Value::List(items)] = values else { return None };
    let pairs = items.chunks_exact(2).map(|pair| (pair[0].text().to_ascii_uppercase(), pair[1].clone()));
    (word.text() == "FETCH").then(|| pairs.collect())
}
