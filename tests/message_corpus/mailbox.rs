//! A mailbox on some server that messages are put into and asked for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use mailstore::message::{Content, Part, Structure, TransferEncoding};

use crate::canonical;
use crate::corpus::{Entry, escape, unescape};
use crate::transcripts::server::Account;
use crate::transcripts::value::{self, Value};
use crate::transcripts::wire::Wire;

/// What a server tells of a message: a key as the corpus has it, and the answer in canonical form. A message that is refused has
/// the key `append` alone.
pub type Answers = BTreeMap<String, String>;

/// The members of ENVELOPE, in order.
const ENVELOPE: [&str; 10] =
    ["date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc", "in-reply-to", "message-id"];
/// How long a server may take to answer.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// How deep parts are asked for, and how many: a message of 64 levels says nothing more with all of them.
const DEEPEST: usize = 4;
const MOST_SECTIONS: usize = 60;

/// The sections of a message that are asked for, and the parts whose decoded octets are.
#[derive(Default)]
pub struct Sections {
    texts: Vec<String>,
    leaves: Vec<String>,
}

/// Every part by its number, its MIME header, and header and text of the messages in it.
pub fn sections_of(structure: &Structure) -> Sections {
    let mut sections = Sections::default();
    sections.below(&structure.message.root, "", true);
    sections.texts.truncate(MOST_SECTIONS);
    sections.leaves.truncate(MOST_SECTIONS);
    sections
}

impl Sections {
    /// The whole message, its header and text, and the sections of its parts.
    fn all(&self) -> impl Iterator<Item = &str> {
        ["", "HEADER", "TEXT"].into_iter().chain(self.texts.iter().map(String::as_str))
    }

    /// What the numbers under `path` name, where `message` tells that the part is the whole of a message.
    fn below(&mut self, part: &Part, path: &str, message: bool) {
        let number =
            |number: usize| if path.is_empty() { number.to_string() } else { format!("{path}.{number}") };
        if path.split('.').count() > DEEPEST {
            return;
        }
        match &part.content {
            Content::Multipart(children) if children.is_empty() => self.texts.push(number(1)),
            Content::Multipart(children) => {
                for (child, place) in children.iter().zip(1..) {
                    self.part(child, &number(place));
                    if child.message().is_none() {
                        self.below(child, &number(place), false);
                    }
                }
            }
            Content::Leaf | Content::Message(_) if message => self.part(part, &number(1)),
            Content::Leaf | Content::Message(_) => {}
        }
    }

    fn part(&mut self, part: &Part, path: &str) {
        self.texts.extend([path.to_owned(), format!("{path}.MIME")]);
        match &part.content {
            Content::Message(message) => {
                self.texts.extend([format!("{path}.HEADER"), format!("{path}.TEXT")]);
                self.below(&message.root, path, true);
            }
            Content::Leaf if TransferEncoding::of_part(part) != TransferEncoding::Identity => {
                self.leaves.push(path.to_owned());
            }
            _ => {}
        }
    }
}

/// What a server answers that ends the connection instead.
const ENDED: &str = "the connection ends";

/// A selected INBOX.
pub struct Mailbox {
    wire: Wire,
    address: SocketAddr,
    account: Account,
    messages: usize,
}

/// A command's untagged responses, and its own.
struct Reply {
    untagged: Vec<Vec<Value>>,
    tagged: String,
}

impl Mailbox {
    /// Connects, logs in and selects INBOX.
    pub fn open(address: SocketAddr, account: Account) -> Self {
        let mut mailbox = Self { wire: Wire::open(address, LONGEST_SILENCE), address, account, messages: 0 };
        mailbox.begin();
        mailbox
    }

    fn begin(&mut self) {
        self.wire.response().unwrap();
        let Account { name, password } = &self.account;
        for command in [format!("LOGIN {name} \"{password}\""), "SELECT INBOX".to_owned()] {
            let reply = self.command(&command).unwrap_or_else(|| panic!("{command}: the connection ends"));
            assert!(reply.tagged.starts_with("OK"), "{command}: {}", reply.tagged);
        }
    }

    /// There are messages already.
    pub fn skip(&mut self, messages: usize) {
        self.messages += messages;
    }

    /// Appends the message and asks for all of it.
    pub fn ask(&mut self, entry: &Entry, sections: &Sections) -> Answers {
        self.ask_octets(&entry.message, sections, &format!("{}: {}", entry.theme, entry.name))
    }

    /// As [`Mailbox::ask`], for any message; `place` tells where it comes from.
    pub fn ask_octets(&mut self, message: &[u8], sections: &Sections, place: &str) -> Answers {
        let head = format!("t APPEND INBOX {{{}+}}\r\n", message.len());
        self.wire.send(&[head.as_bytes(), message, b"\r\n"].concat()).unwrap();
        let reply = self.reply().unwrap_or_else(|error| panic!("{place}: {error}"));
        if !reply.tagged.starts_with("OK") {
            return [("append".to_owned(), reply.tagged)].into();
        }
        self.messages += 1;
        let mut answers = Answers::new();
        self.fetch("RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE", "structure", &mut answers);
        for text in sections.all() {
            self.fetch(&format!("BODY.PEEK[{text}]"), &format!("[{text}]"), &mut answers);
        }
        for leaf in &sections.leaves {
            self.fetch(&format!("BINARY.PEEK[{leaf}]"), &format!("~[{leaf}]"), &mut answers);
        }
        answers
    }

    /// Puts what comes of a FETCH into the answers; where it is refused, or the connection ends, that under `key`.
    fn fetch(&mut self, items: &str, key: &str, answers: &mut Answers) {
        let command = format!("FETCH {} ({items})", self.messages);
        let Some(Reply { untagged, tagged }) = self.command(&command) else {
            answers.insert(key.to_owned(), ENDED.to_owned());
            self.wire = Wire::open(self.address, LONGEST_SILENCE);
            return self.begin();
        };
        let mut fetched = untagged.iter().filter_map(|values| match values.as_slice() {
            [_, _, word, Value::List(items)] if word.is_word("FETCH") => Some(items),
            _ => None,
        });
        match fetched.next() {
            Some(items) if tagged.starts_with("OK") => {
                items
                    .chunks_exact(2)
                    .for_each(|pair| keep(&pair[0].text().unwrap_or_default(), &pair[1], answers));
            }
            // What the text says is its own affair; the code is not.
            _ => {
                let code = tagged.strip_prefix("NO [").and_then(|rest| rest.split_once(']'));
                let answer = code.map_or("NO".to_owned(), |(code, _)| format!("NO [{code}]"));
                answers.insert(key.to_owned(), answer);
            }
        }
    }

    /// What our own server promises beyond what is compared, of the message that was asked for last.
    pub fn check_details(&mut self, sections: &Sections, answers: &mut Answers) {
        self.fetch("PREVIEW", "preview", answers);
        for text in sections.all() {
            self.check_slices(text, &answers[&format!("[{text}]")]);
        }
        for leaf in &sections.leaves {
            self.fetch(&format!("BINARY.SIZE[{leaf}]"), "binary-size", answers);
            let (size, decoded) = (answers.remove("binary-size").unwrap(), &answers[&format!("~[{leaf}]")]);
            let length = unescape(decoded, leaf).len().to_string();
            assert!(
                size == length || size == *decoded,
                "BINARY.SIZE[{leaf}] is {size}, BINARY[{leaf}] has {length} octets"
            );
        }
    }

    /// RFC 9051 6.4.5: a partial section is a slice of the whole one; behind its end it is empty.
    fn check_slices(&mut self, text: &str, whole: &str) {
        let whole = unescape(whole, text);
        for (from, most) in
            [(0, 1), (1, 7), (whole.len() / 2, 100_000), (whole.len(), 5), (whole.len() + 9, 5)]
        {
            let command = format!("FETCH {} BODY.PEEK[{text}]<{from}.{most}>", self.messages);
            let reply = self.command(&command).unwrap_or_else(|| panic!("{command}: the connection ends"));
            let items = reply.untagged.iter().find_map(|values| match values.as_slice() {
                [_, _, _, Value::List(items)] => Some(items.clone()),
                _ => None,
            });
            let Some([_, Value::Text(octets)]) = items.as_deref() else { panic!("{command}: {items:?}") };
            let end = whole.len().min(from + most);
            let slice = whole.get(from.min(end)..end).unwrap_or_default();
            assert_eq!(escape(octets), escape(slice), "{command}");
        }
    }

    /// `None` where the connection ends.
    fn command(&mut self, command: &str) -> Option<Reply> {
        self.wire.send(format!("t {command}\r\n").as_bytes()).ok()?;
        self.reply().ok()
    }

    fn reply(&mut self) -> Result<Reply, String> {
        let mut untagged = Vec::new();
        loop {
            let response = self.wire.response()?.ok_or(ENDED)?;
            if let Some(tagged) = response.strip_prefix(b"t ") {
                return Ok(Reply { untagged, tagged: String::from_utf8_lossy(tagged).into_owned() });
            }
            untagged.push(value::parse(&response)?);
        }
    }
}

/// Keeps one item of a FETCH response.
fn keep(item: &str, answer: &Value, answers: &mut Answers) {
    let octets = || match answer {
        Value::Text(octets) => escape(octets),
        other => canonical::of("", other),
    };
    match item.to_ascii_uppercase().as_str() {
        "RFC822.SIZE" => drop(answers.insert("size".to_owned(), octets())),
        "BODYSTRUCTURE" => drop(answers.insert("structure".to_owned(), canonical::of("structure", answer))),
        "BODY" => drop(answers.insert("body".to_owned(), canonical::of("body", answer))),
        "PREVIEW" => drop(answers.insert("preview".to_owned(), octets())),
        "ENVELOPE" => {
            let Value::List(members) = answer else { panic!("an envelope is {answer:?}") };
            for (name, member) in ENVELOPE.iter().zip(members) {
                answers.insert((*name).to_owned(), canonical::of(name, member));
            }
        }
        item => {
            let section = |prefix| item.strip_prefix(prefix).map(str::to_owned);
            if let Some(section) = section("BODY[") {
                answers.insert(format!("[{section}"), octets());
            } else if let Some(section) = section("BINARY[") {
                answers.insert(format!("~[{section}"), octets());
            } else if section("BINARY.SIZE[").is_some() {
                answers.insert("binary-size".to_owned(), octets());
            }
        }
    }
}
