//! An LMTP session (RFC 2033) as a state machine: octets in, actions out. It reads no clock and touches no socket.
//!
//! ```text
//! loop {
//!     match session.next(&mut input) {
//!         Action::Read => more input, or session.timed_out(), or session.shut_down(),
//!         Action::Find(address) => session.found(…),
//!         Action::Begin(..) | Action::Content(..) => carry out; session.body_failed(…) where that failed,
//!         Action::Deliver(envelope) => session.delivered(…),
//!         Action::Reply(..) | Action::Abandon => carry out,
//!         Action::Close => break,
//!     }
//! }
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use crate::command::{Address, Command, Mail, Refusal, parse};
use crate::data::{DataDecoder, Decoded};
use crate::line::{Line, LineReader};
use crate::reply::{Failure, Reply};

/// The most recipients of one message (RFC 5321 section 4.5.3.1.8 asks for 100 at least).
pub const MOST_RECIPIENTS: usize = 1000;
/// The most commands of a session that were not understood or out of place. Unknown recipients do not count: an MTA that
/// knows no list of them asks for many.
pub const MOST_ERRORS: usize = 20;
/// The most octets of one message that are read only to be thrown away, because the message was refused before its end.
pub const MOST_DISCARDED: u64 = 1 << 30;

/// What a session is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name in the greeting and in the answer to LHLO.
    pub host_name: String,
    /// The largest message in octets, announced with SIZE (RFC 1870).
    pub largest_message: u64,
}

/// For whom a message is, and from whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse path as it was written, empty for notifications.
    pub sender: String,
    /// At least one; the answers are to be in the same order.
    pub recipients: Vec<Address>,
}

/// What the shell has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Send this. Replies may be collected until anything but [`Action::Reply`] has to wait.
    Reply(Reply),
    /// Send what was collected, then hand in more input.
    Read,
    /// Say with [`Session::found`] whether there is such an account.
    Find(Address),
    /// A message begins. These are its first octets; they are the same whichever node accepts the message.
    Begin(Vec<u8>),
    /// The next octets of the message.
    Content(&'a [u8]),
    /// The message that began will not be delivered: forget its octets.
    Abandon,
    /// The message is complete: deliver it to each recipient, then say with [`Session::delivered`] what became of it.
    Deliver(Arc<Envelope>),
    /// Send what was collected, then close the connection.
    Close,
}

/// How a message was accepted. In both cases it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is new.
    Stored,
    /// The same message from the same sender had been accepted for this mailbox before, here or at another node.
    Duplicate,
}

/// One session. See the module for how to drive it.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    line: LineReader,
    stage: Stage,
    replies: VecDeque<Reply>,
    greeted: bool,
    transaction: Option<Transaction>,
    errors: usize,
    shutting_down: bool,
}

#[derive(Debug)]
enum Stage {
    /// A command is next.
    Commands,
    /// RCPT waits for [`Session::found`].
    Finding(Address),
    /// The octets after DATA.
    Data(DataDecoder),
    /// The octets after BDAT.
    Chunk(Chunk),
    /// The message waits for [`Session::delivered`].
    Delivering(Arc<Envelope>),
    /// The session is over.
    Closed,
}

#[derive(Debug)]
struct Chunk {
    /// Octets still to come.
    left: u64,
    /// All octets.
    octets: u64,
    last: bool,
    /// The answer, where the chunk belongs to no transaction and is read to be thrown away.
    refused: Option<Reply>,
}

/// From MAIL to the end of the message.
#[derive(Debug)]
struct Transaction {
    mail: Mail,
    recipients: Vec<Address>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Neither DATA nor BDAT was said.
    NotBegun,
    /// The octets taken in so far.
    Open(u64),
    /// It will not be delivered; the octets since then are counted.
    Failed(Failure, u64),
}

impl Session {
    /// A session whose client has just connected; the first action is the greeting.
    pub fn new(settings: Arc<Settings>) -> Self {
        let greeting = Reply::plain(220, vec![format!("{} LMTP Peerpost", settings.host_name)]);
        Self {
            settings,
            line: LineReader::default(),
            stage: Stage::Commands,
            replies: VecDeque::from([greeting]),
            greeted: false,
            transaction: None,
            errors: 0,
            shutting_down: false,
        }
    }

    /// Takes octets from the front of `input` and says what to do. Actions that want an answer are repeated until it came.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Action<'a> {
        loop {
            if let Some(reply) = self.replies.pop_front() {
                return Action::Reply(reply);
            }
            let action = match &mut self.stage {
                Stage::Closed => Some(Action::Close),
                Stage::Finding(address) => Some(Action::Find(address.clone())),
                Stage::Delivering(envelope) => Some(Action::Deliver(envelope.clone())),
                Stage::Commands => self.next_command(input),
                Stage::Data(decoder) => match decoder.decode(input) {
                    Decoded::Content(content) => self.take(content),
                    Decoded::More => Some(Action::Read),
                    Decoded::End => {
                        self.end_message();
                        None
                    }
                },
                Stage::Chunk(_) => self.next_chunk(input),
            };
            if let Some(action) = action {
                return action;
            }
        }
    }

    /// Answers [`Action::Find`].
    pub fn found(&mut self, known: Result<(), Failure>) {
        let Stage::Finding(address) = std::mem::replace(&mut self.stage, Stage::Commands) else {
            debug_assert!(false, "nothing was asked");
            return;
        };
        match (known, &mut self.transaction) {
            (Ok(()), Some(transaction)) => {
                transaction.recipients.push(address);
                self.replies.push_back(Reply::new(250, (2, 1, 5), "Recipient accepted"));
            }
            (Err(failure), _) => self.replies.push_back(failure.reply()),
            (Ok(()), None) => debug_assert!(false, "RCPT is refused outside transactions"),
        }
    }

    /// Says that the octets of the message could not be kept. The shell has forgotten them.
    pub fn body_failed(&mut self, failure: Failure) {
        if let Some(transaction) = &mut self.transaction {
            transaction.body = Body::Failed(failure, 0);
        }
    }

    /// Answers [`Action::Deliver`]: what became of the message, in the order of the recipients. `Ok` promises that it is
    /// durable.
    pub fn delivered(&mut self, results: Vec<Result<Accepted, Failure>>) {
        let Stage::Delivering(envelope) = std::mem::replace(&mut self.stage, Stage::Commands) else {
            debug_assert!(false, "nothing was to be delivered");
            return;
        };
        debug_assert_eq!(results.len(), envelope.recipients.len());
        let mut results = results.into_iter();
        for _ in &envelope.recipients {
            let reply = match results.next().unwrap_or(Err(Failure::Store)) {
                Ok(Accepted::Stored) => Reply::new(250, (2, 0, 0), "Delivered"),
                Ok(Accepted::Duplicate) => Reply::new(250, (2, 0, 0), "Delivered before, kept once"),
                Err(failure) => {
                    self.shutting_down |= failure == Failure::ShuttingDown;
                    failure.reply()
                }
            };
            self.replies.push_back(reply);
        }
    }

    /// The node goes down: a transaction that has begun may end, then the session is over.
    pub fn shut_down(&mut self) {
        self.shutting_down = true;
    }

    /// The client was silent for too long.
    pub fn timed_out(&mut self) {
        self.close(Reply::new(421, (4, 4, 2), "Silent for too long, closing the connection"));
    }

    fn next_command<'a>(&mut self, input: &mut &'a [u8]) -> Option<Action<'a>> {
        if self.shutting_down && self.transaction.is_none() {
            self.close(Reply::new(
                421,
                (4, 3, 2),
                "The node is shutting down, try again later or use another",
            ));
            return None;
        }
        match self.line.read(input) {
            Line::More => return Some(Action::Read),
            Line::Complete(line) => match parse(&line) {
                Ok(command) => return self.carry_out(command),
                Err(Refusal { reply, fatal: true }) => self.close(reply),
                Err(Refusal { reply, fatal: false }) => self.refuse(reply),
            },
            Line::BareLineFeed => self.refuse(Reply::new(500, (5, 5, 2), "A line has to end with CR LF")),
            Line::TooLong => self.refuse(Reply::new(500, (5, 5, 2), "The line is too long")),
            Line::Endless => {
                self.close(Reply::new(421, (4, 7, 0), "The line does not end, closing the connection"))
            }
        }
        None
    }

    fn carry_out<'a>(&mut self, command: Command) -> Option<Action<'a>> {
        match command {
            Command::Lhlo => {
                let action = self.reset();
                self.greeted = true;
                self.replies.push_back(self.capabilities());
                return action;
            }
            Command::Rset => {
                let action = self.reset();
                self.replies.push_back(Reply::new(250, (2, 0, 0), "Reset"));
                return action;
            }
            Command::Mail(mail) => self.mail(mail),
            Command::Rcpt(address) => self.recipient(address),
            Command::Data => return self.data(),
            Command::Bdat { octets, last } => return self.chunk(octets, last),
            Command::Noop => self.replies.push_back(Reply::new(250, (2, 0, 0), "Nothing done")),
            Command::Vrfy => self.replies.push_back(Reply::new(252, (2, 5, 2), "Say RCPT TO to learn that")),
            Command::Help => self.replies.push_back(Reply::new(214, (2, 0, 0), "See RFC 2033")),
            Command::Quit => self.close(Reply::new(221, (2, 0, 0), "Goodbye")),
        }
        None
    }

    fn capabilities(&self) -> Reply {
        let lines = vec![
            self.settings.host_name.clone(),
            "PIPELINING".into(),
            "8BITMIME".into(),
            "SMTPUTF8".into(),
            "ENHANCEDSTATUSCODES".into(),
            "CHUNKING".into(),
            format!("SIZE {}", self.settings.largest_message),
        ];
        Reply::plain(250, lines)
    }

    fn mail(&mut self, mail: Mail) {
        if !self.greeted {
            self.refuse(Reply::new(503, (5, 5, 1), "Say LHLO first"));
        } else if self.transaction.is_some() {
            self.refuse(Reply::new(503, (5, 5, 1), "A transaction has begun; end it or say RSET"));
        } else if mail.size > self.settings.largest_message {
            self.replies.push_back(Failure::TooLarge(self.settings.largest_message).reply());
        } else {
            self.transaction = Some(Transaction { mail, recipients: Vec::new(), body: Body::NotBegun });
            self.replies.push_back(Reply::new(250, (2, 1, 0), "Sender accepted"));
        }
    }

    fn recipient(&mut self, address: Address) {
        let reply = match &self.transaction {
            None => Reply::new(503, (5, 5, 1), "Say MAIL FROM first"),
            Some(transaction) if !matches!(transaction.body, Body::NotBegun) => {
                Reply::new(503, (5, 5, 1), "The message has begun")
            }
            Some(transaction) if !transaction.mail.utf8 && !address.local.is_ascii() => {
                Reply::new(553, (5, 6, 7), "The forward path is not ASCII and SMTPUTF8 was not asked for")
            }
            Some(transaction) if transaction.recipients.len() >= MOST_RECIPIENTS => {
                // Not a mistake of the client: it sends the rest in another transaction (RFC 5321 section 4.5.3.1.10).
                self.replies.push_back(Reply::new(452, (4, 5, 3), "Too many recipients"));
                return;
            }
            Some(_) => {
                self.stage = Stage::Finding(address);
                return;
            }
        };
        self.refuse(reply);
    }

    /// Why a message cannot begin or go on now, if it cannot.
    fn out_of_place(&self, chunked: bool) -> Option<Reply> {
        let text = match &self.transaction {
            None => "Say MAIL FROM first",
            Some(transaction) if transaction.recipients.is_empty() => "There is no valid recipient",
            Some(transaction) if !chunked && !matches!(transaction.body, Body::NotBegun) => {
                "The message began with BDAT and has to go on with it"
            }
            Some(_) => return None,
        };
        Some(Reply::new(503, (5, 5, 1), text))
    }

    fn data<'a>(&mut self) -> Option<Action<'a>> {
        if let Some(reply) = self.out_of_place(false) {
            self.refuse(reply);
            return None;
        }
        self.stage = Stage::Data(DataDecoder::new());
        self.replies.push_back(Reply::plain(354, vec!["End the message with <CRLF>.<CRLF>".into()]));
        self.begin()
    }

    fn chunk<'a>(&mut self, octets: u64, last: bool) -> Option<Action<'a>> {
        let refused = self.out_of_place(true);
        if octets > self.settings.largest_message.saturating_add(MOST_DISCARDED) {
            self.close(Failure::TooLarge(self.settings.largest_message).reply());
            return None;
        }
        let begins = refused.is_none();
        self.stage = Stage::Chunk(Chunk { left: octets, octets, last, refused });
        if begins { self.begin() } else { None }
    }

    /// Begins the message unless an earlier chunk did. The field is that of RFC 5321 section 4.4; nothing else is added,
    /// least of all a date, so that the octets are the same on every node that is offered the message.
    fn begin<'a>(&mut self) -> Option<Action<'a>> {
        let transaction = self.transaction.as_mut()?;
        if !matches!(transaction.body, Body::NotBegun) {
            return None;
        }
        transaction.body = Body::Open(0);
        Some(Action::Begin(format!("Return-Path: <{}>\r\n", transaction.mail.sender).into_bytes()))
    }

    fn next_chunk<'a>(&mut self, input: &mut &'a [u8]) -> Option<Action<'a>> {
        let Stage::Chunk(chunk) = &mut self.stage else { return None };
        if chunk.left > 0 {
            if input.is_empty() {
                return Some(Action::Read);
            }
            let length = usize::try_from(chunk.left).unwrap_or(usize::MAX).min(input.len());
            let (content, rest) = input.split_at_checked(length).unwrap_or((input, &[]));
            *input = rest;
            chunk.left -= content.len() as u64;
            return if chunk.refused.is_some() { None } else { self.take(content) };
        }
        let (octets, last, refused) = (chunk.octets, chunk.last, chunk.refused.take());
        self.stage = Stage::Commands;
        if let Some(reply) = refused {
            self.refuse(reply);
        } else if last {
            self.end_message();
        } else if let Some(Transaction { body: Body::Failed(failure, _), .. }) = &self.transaction {
            // RFC 3030 section 2: after a chunk was refused the client has to say RSET; chunks that it had sent already
            // belong to no transaction.
            self.replies.push_back(failure.reply());
            self.transaction = None;
        } else {
            self.replies.push_back(Reply::new(250, (2, 0, 0), format!("{octets} octets received")));
        }
        None
    }

    /// Octets of the message that has begun.
    fn take<'a>(&mut self, content: &'a [u8]) -> Option<Action<'a>> {
        let limit = self.settings.largest_message;
        let body = &mut self.transaction.as_mut()?.body;
        match body {
            Body::NotBegun => None,
            Body::Open(octets) => {
                *octets = octets.saturating_add(content.len() as u64);
                let failure = if *octets > limit {
                    Failure::TooLarge(limit)
                } else if content.contains(&0) {
                    Failure::NulOctet
                } else {
                    return Some(Action::Content(content));
                };
                *body = Body::Failed(failure, 0);
                Some(Action::Abandon)
            }
            Body::Failed(_, discarded) => {
                *discarded = discarded.saturating_add(content.len() as u64);
                if *discarded > MOST_DISCARDED {
                    self.close(Reply::new(
                        421,
                        (4, 7, 0),
                        "The message does not end, closing the connection",
                    ));
                }
                None
            }
        }
    }

    /// The message is complete: it is delivered, or every recipient gets the reason why not (RFC 2033 section 4.2).
    fn end_message(&mut self) {
        self.stage = Stage::Commands;
        let Some(transaction) = self.transaction.take() else { return };
        match transaction.body {
            Body::Failed(failure, _) => {
                let replies = transaction.recipients.iter().map(|_| failure.reply());
                self.replies.extend(replies);
            }
            Body::NotBegun | Body::Open(_) => {
                let Transaction { mail, recipients, .. } = transaction;
                self.stage = Stage::Delivering(Arc::new(Envelope { sender: mail.sender, recipients }));
            }
        }
    }

    /// Ends the transaction; what came in of its message is to be forgotten.
    fn reset<'a>(&mut self) -> Option<Action<'a>> {
        let transaction = self.transaction.take()?;
        matches!(transaction.body, Body::Open(_)).then_some(Action::Abandon)
    }

    /// Refuses a command that was not understood or out of place.
    fn refuse(&mut self, reply: Reply) {
        self.errors += 1;
        self.replies.push_back(reply);
        if self.errors >= MOST_ERRORS {
            self.close(Reply::new(421, (4, 7, 0), "Too many errors, closing the connection"));
        }
    }

    fn close(&mut self, reply: Reply) {
        self.replies.push_back(reply);
        self.transaction = None;
        self.stage = Stage::Closed;
    }
}

#[cfg(test)]
mod tests;
