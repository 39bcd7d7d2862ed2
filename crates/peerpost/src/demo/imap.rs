//! A small mail client: a session that keeps its mailbox open and believes what it is told.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::reading::{Fetched, Value, values};
use super::told::{Message, News, Told};
use crate::failure::Failure;

/// The longest silence of a node that still has to answer.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);
/// The longest response, in octets.
const LONGEST_RESPONSE: usize = 1 << 20;
/// More messages than the demo ever has: a client need not believe everything.
const MOST_MESSAGES: usize = 10_000;
/// What the client wants to know of every message.
const ITEMS: &str = "UID FLAGS EMAILID ENVELOPE";

/// A session of a mail client.
pub struct Session {
    node: SocketAddr,
    stream: BufReader<TcpStream>,
    tag: u32,
    validity: u32,
    /// By message number, from 1; none until it was fetched.
    messages: Vec<Option<Message>>,
    told: Vec<Told>,
    listed: Vec<String>,
}

impl Session {
    /// Connects and logs in.
    pub async fn open(node: SocketAddr, account: &str, password: &str) -> Result<Self, Failure> {
        let stream =
            TcpStream::connect(node).await.map_err(Failure::of(format!("cannot reach IMAP on {node}")))?;
        let mut session = Session {
            node,
            stream: BufReader::new(stream),
            tag: 0,
            validity: 0,
            messages: Vec::new(),
            told: Vec::new(),
            listed: Vec::new(),
        };
        session.response().await?;
        session.command(&format!("LOGIN {account} \"{password}\"")).await?;
        Ok(session)
    }

    /// Opens a mailbox and fetches what is in it.
    pub async fn select(&mut self, mailbox: &str) -> Result<(), Failure> {
        self.messages.clear();
        self.command(&format!("SELECT \"{mailbox}\"")).await?;
        self.fetch_unknown().await?;
        self.forget();
        Ok(())
    }

    /// Hears what is new.
    pub async fn refresh(&mut self) -> Result<(), Failure> {
        self.command("NOOP").await?;
        self.fetch_unknown().await
    }

    /// Adds a flag to a message.
    pub async fn flag(&mut self, subject: &str, flag: &str) -> Result<(), Failure> {
        let uid = self.uid_of(subject)?;
        self.own_change(&format!("UID STORE {uid} +FLAGS ({flag})")).await
    }

    /// Moves a message to another mailbox.
    pub async fn move_to(&mut self, subject: &str, mailbox: &str) -> Result<(), Failure> {
        let uid = self.uid_of(subject)?;
        self.own_change(&format!("UID MOVE {uid} \"{mailbox}\"")).await
    }

    /// Deletes a message for good.
    pub async fn expunge(&mut self, subject: &str) -> Result<(), Failure> {
        let uid = self.uid_of(subject)?;
        self.own_change(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)")).await?;
        self.own_change(&format!("UID EXPUNGE {uid}")).await
    }

    /// The names of all mailboxes.
    pub async fn mailboxes(&mut self) -> Result<Vec<String>, Failure> {
        self.listed.clear();
        self.command("LIST \"\" *").await?;
        Ok(std::mem::take(&mut self.listed))
    }

    /// UIDVALIDITY of the mailbox that is open.
    pub fn validity(&self) -> u32 {
        self.validity
    }

    /// What is in the mailbox, as far as the client was told.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().flatten()
    }

    /// The lowest UID that a new message may have, after all that this client was shown.
    pub fn uid_next(&self) -> u32 {
        self.messages().map(|message| message.uid + 1).max().unwrap_or(1)
    }

    /// What the session was told without having asked, since it was asked the last time.
    pub fn forget(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    fn uid_of(&self, subject: &str) -> Result<u32, Failure> {
        let found = self.messages().find(|message| message.subject == subject).map(|message| message.uid);
        found.ok_or_else(|| Failure::new(format!("the client on {} does not see {subject:?}", self.node)))
    }

    /// A command whose effects are no news to the client.
    async fn own_change(&mut self, command: &str) -> Result<(), Failure> {
        self.refresh().await?;
        let told = self.forget();
        self.command(command).await?;
        self.fetch_unknown().await?;
        self.told = told;
        Ok(())
    }

    async fn fetch_unknown(&mut self) -> Result<(), Failure> {
        while let Some(first) = self.messages.iter().position(Option::is_none) {
            self.command(&format!("FETCH {}:* ({ITEMS})", first + 1)).await?;
            if self.messages.get(first).is_some_and(Option::is_none) {
                return Err(Failure::new(format!("{} does not give message {}", self.node, first + 1)));
            }
        }
        Ok(())
    }

    /// Gives a command and believes everything that is said until it is done.
    async fn command(&mut self, command: &str) -> Result<(), Failure> {
        self.tag += 1;
        let tag = format!("t{} ", self.tag);
        let line = format!("{tag}{command}\r\n");
        let sent = self.stream.write_all(line.as_bytes()).await;
        sent.map_err(Failure::of(format!("cannot write to IMAP on {}", self.node)))?;
        loop {
            let response = self.response().await?;
            let text = String::from_utf8_lossy(&response);
            if let Some(status) = text.strip_prefix(&tag) {
                // A password is in no message that anybody reads.
                let name = command.split(' ').take(2).filter(|word| !word.contains('"'));
                let name = name.collect::<Vec<_>>().join(" ");
                return match status.starts_with("OK") {
                    true => Ok(()),
                    false => {
                        Err(Failure::new(format!("{} answered {name} with {}", self.node, status.trim())))
                    }
                };
            }
            self.believe(&response, &text)?;
        }
    }

    fn believe(&mut self, response: &[u8], text: &str) -> Result<(), Failure> {
        let values = values(response.get(2..).unwrap_or_default());
        let [first, second, ..] = values.as_slice() else { return Ok(()) };
        let number = first.text().parse::<usize>().ok();
        let line = text.trim_end().to_owned();
        match (number, first.text(), second.text()) {
            (Some(number), _, "EXISTS") => {
                let first = self.messages.len() + 1;
                self.messages.resize(number.min(MOST_MESSAGES), None);
                self.told.push(Told { line, news: News::More(first, Vec::new()) });
            }
            (Some(number), _, "EXPUNGE") => {
                if !(1..=self.messages.len()).contains(&number) {
                    return Err(Failure::new(format!(
                        "{} expunged message {number}, which is none",
                        self.node
                    )));
                }
                if let Some(message) = self.messages.remove(number - 1) {
                    self.told.push(Told { line, news: News::Gone(message) });
                }
            }
            (Some(number), _, "FETCH") => self.learn(line, number, values.get(2).map_or(&[], Value::list)),
            (None, "OK", "[UIDVALIDITY") => {
                let value = values.get(2).map_or("", Value::text).trim_end_matches(']');
                self.validity = value.parse().unwrap_or_default();
            }
            (None, "LIST", _) => self.listed.extend(values.last().map(|name| name.text().to_owned())),
            (None, "BYE", _) => return Err(Failure::new(format!("{} ended the session: {text}", self.node))),
            _ => {}
        }
        Ok(())
    }

    fn learn(&mut self, line: String, number: usize, items: &[Value]) {
        let fetched = Fetched::read(items);
        let Some(place) = number.checked_sub(1).and_then(|index| self.messages.get_mut(index)) else {
            return;
        };
        match (place.as_mut(), fetched) {
            (Some(known), Fetched { flags: Some(flags), .. }) if known.flags != flags => {
                known.flags = flags;
                self.told.push(Told { line, news: News::Flags(known.clone()) });
            }
            (
                None,
                Fetched {
                    uid: Some(uid),
                    flags: Some(flags),
                    email_id: Some(email_id),
                    subject: Some(subject),
                },
            ) => {
                let message = Message { uid, email_id, subject, flags };
                let announced = self.told.iter_mut().rev().find_map(|told| match &mut told.news {
                    News::More(first, messages) if *first <= number => Some(messages),
                    _ => None,
                });
                announced.into_iter().for_each(|messages| messages.push(message.clone()));
                *place = Some(message);
            }
            // No news, or flags of a message that will be fetched yet.
            _ => {}
        }
    }

    /// One response with its literals.
    async fn response(&mut self) -> Result<Vec<u8>, Failure> {
        let reading = tokio::time::timeout(LONGEST_SILENCE, read_response(&mut self.stream)).await;
        let node = self.node;
        reading
            .map_err(|_| {
                Failure::new(format!("IMAP on {node} said nothing for {} s", LONGEST_SILENCE.as_secs()))
            })?
            .map_err(Failure::of(format!("cannot read from IMAP on {node}")))
    }
}

async fn read_response(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut response = Vec::new();
    loop {
        let line = (&mut *stream).take(LONGEST_RESPONSE as u64).read_until(b'\n', &mut response).await?;
        if line == 0 || !response.ends_with(b"\n") {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some(length) = literal_at_end(&response) else { return Ok(response) };
        let read = (&mut *stream).take(length as u64).read_to_end(&mut response).await?;
        if read < length || response.len() > LONGEST_RESPONSE {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The length of the literal that a line announces.
fn literal_at_end(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}\r\n")?;
    let start = line.iter().rposition(|byte| *byte == b'{')?;
    std::str::from_utf8(line.get(start + 1..)?)
        .ok()?
        .parse()
        .ok()
        .filter(|length| *length <= LONGEST_RESPONSE)
}
