//! Cuts the octets of a client into commands (RFC 9051 section 2.2 and 4.3, RFC 7888), without I/O.
//!
//! A command is a line, or lines joined by literals. Small literals stay in the text of their command; the literals that hold
//! the messages of APPEND are handed on in pieces as they come, so that no message ever sits in memory. Whatever is beyond a
//! [`Limits`] is refused before its octets where the client waits for us, and swallowed where it does not. Memory is bounded
//! by [`Limits::command`], whatever the client sends.
//!
//! The consumer calls [`Framer::next`] until it gives `None`. After [`Event::AppendHead`] it calls [`Framer::accept`] or
//! [`Framer::refuse`] first, before a line that is no command [`Framer::expect_line`].

mod literal;

#[cfg(test)]
mod tests;

use crate::command::Tag;

use literal::{LiteralMark, announces_message, announces_url, takes_literal8};

pub(crate) use literal::opens_catenate;

/// The longest end of a line that is looked at for the mark of a literal: `{`, 20 digits, `+}`, CR.
const LONGEST_MARK: usize = 24;

/// What a client may send. All in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest line.
    pub line: usize,
    /// The longest literal in a command, the messages of APPEND aside.
    pub literal: usize,
    /// The longest command: its lines and literals together.
    pub command: usize,
    /// The most that is swallowed of a refused command before the connection has to end.
    pub swallow: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { line: 64 * 1024, literal: 64 * 1024, command: 256 * 1024, swallow: 256 * 1024 * 1024 }
    }
}

impl Limits {
    /// Limits for lines of this length, and commands of a few such lines.
    pub fn for_line(line: usize) -> Self {
        Limits { line, literal: line, command: line.saturating_mul(4), ..Limits::default() }
    }

    /// What suffices to log in: whoever has not done so yet shall cost little.
    pub fn before_login(self) -> Self {
        Limits {
            // A token, in base64.
            line: self.line.min(16 * 1024),
            literal: self.literal.min(8 * 1024),
            command: self.command.min(16 * 1024),
            swallow: self.swallow.min(1024 * 1024),
        }
    }
}

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A command without its line end; literals in it as `{n}CRLF` or `{n+}CRLF` and their octets.
    Command(Vec<u8>),
    /// The line that [`Framer::expect_line`] asked for, without its end.
    Line(Vec<u8>),
    /// The client waits for a command continuation request before it sends a literal, which is welcome.
    Continue,
    /// An APPEND has come to the literal of a message: accept or refuse it.
    AppendHead {
        /// The command up to the literal, or since the literal before, without the mark `{n}`; of a literal8 the tilde is
        /// still there.
        text: Vec<u8>,
        /// The number of octets to come.
        size: u64,
        /// Whether the client waits for a command continuation request before it sends them.
        synchronizing: bool,
    },
    /// Octets of an accepted message, never none.
    AppendData(&'a [u8]),
    /// The message is complete.
    AppendDataEnd,
    /// The APPEND is complete; the text is what follows the last message, normally nothing.
    AppendTail(Vec<u8>),
    /// The command (or a further part of an APPEND) is refused; its rest is swallowed.
    Refused {
        /// Its tag, where it has one.
        tag: Option<Tag>,
        /// Why.
        refusal: Refusal,
        /// Whether a message of the command, an APPEND, had been accepted; the tag is not told again then.
        in_append: bool,
    },
    /// More would have to be swallowed than [`Limits::swallow`]: the connection has to end. Nothing comes after this.
    Fatal(Refusal),
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Beyond [`Limits::line`].
    #[error("the line is longer than {0} octets")]
    LineTooLong(usize),
    /// Beyond [`Limits::literal`].
    #[error("the literal is longer than {0} octets")]
    LiteralTooLong(usize),
    /// Beyond [`Limits::command`].
    #[error("the command is longer than {0} octets")]
    CommandTooLong(usize),
    /// A NUL octet, in a command or in a message that is no literal8.
    #[error("a NUL octet is not allowed")]
    NulOctet,
    /// Beyond [`Limits::swallow`].
    #[error("more than {0} octets of refused commands were sent")]
    TooMuchToSwallow(u64),
}

/// The framer of one connection.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    state: State,
    /// What is collected of the command: since its begin, or within APPEND since the last message.
    text: Vec<u8>,
    /// Where the line that is coming in began in `text`.
    line_start: usize,
    /// Whether a message of the APPEND that is coming in was accepted.
    appending: bool,
    /// Whether the next line is no command.
    raw: bool,
    /// What was swallowed of the refused command so far.
    swallowed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Collecting a line.
    Line,
    /// Collecting a literal of which so much is missing; a binary one with NUL octets.
    Literal { missing: usize, binary: bool },
    /// Waiting for `accept` or `refuse`.
    Deciding { size: u64, synchronizing: bool, binary: bool },
    /// Handing on a message of which so much is missing; of a binary one with NUL octets.
    Message { missing: u64, binary: bool },
    /// Swallowing a literal of a refused command.
    SwallowLiteral { missing: u64 },
    /// Swallowing a line of a refused command; its last octets are kept in `text`.
    SwallowLine,
    /// The connection has to end.
    Dead,
}

impl Framer {
    /// The framer of a new connection.
    pub fn new(limits: Limits) -> Self {
        Framer {
            limits,
            state: State::Line,
            text: Vec::new(),
            line_start: 0,
            appending: false,
            raw: false,
            swallowed: 0,
        }
    }

    /// Lets other limits hold from the next command on.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether a message of the APPEND that is coming in was accepted.
    pub fn is_appending(&self) -> bool {
        self.appending
    }

    /// The next line is no command: a SASL response, or what ends IDLE.
    pub fn expect_line(&mut self) {
        self.raw = true;
    }

    /// The message that [`Event::AppendHead`] announced is wanted. The consumer tells the client to go on, if it waits.
    pub fn accept(&mut self) {
        if let State::Deciding { size, binary, .. } = self.state {
            self.state = State::Message { missing: size, binary };
            self.appending = true;
        }
    }

    /// The message that [`Event::AppendHead`] announced is not wanted. A client that waits for the continuation is done with
    /// the command; of one that does not the rest is swallowed. Also ends an APPEND whose message is coming in.
    pub fn refuse(&mut self) {
        match self.state {
            State::Deciding { synchronizing: true, .. } => self.begin_command(),
            State::Deciding { size: missing, .. } | State::Message { missing, .. } => {
                self.state = State::SwallowLiteral { missing };
                self.text.clear();
            }
            State::Line if self.appending => {
                self.state = State::SwallowLine;
                self.keep_tail();
            }
            _ => {}
        }
    }

    /// Takes octets from the front of `input` and tells the next thing that happened; `None` once all are taken.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Event<'a>> {
        loop {
            if let State::Message { missing: 0, .. } = self.state {
                self.state = State::Line;
                self.text.clear();
                self.line_start = 0;
                return Some(Event::AppendDataEnd);
            }
            if input.is_empty() {
                return None;
            }
            let event = match self.state {
                State::Line => self.take_line(input),
                State::Literal { missing, binary } => self.take_literal(input, missing, binary),
                State::Message { missing, binary } => self.take_message(input, missing, binary),
                State::SwallowLiteral { missing } => self.swallow_literal(input, missing),
                State::SwallowLine => self.swallow_line(input),
                State::Deciding { .. } | State::Dead => return None,
            };
            if event.is_some() {
                return event;
            }
        }
    }

    fn take_line<'a>(&mut self, input: &mut &'a [u8]) -> Option<Event<'a>> {
        let line_room = self.limits.line.saturating_sub(self.text.len() - self.line_start);
        let command_room = self.limits.command.saturating_sub(self.text.len());
        let room = line_room.min(command_room);
        let (taken, end) = take_until(input, room, |octet| matches!(octet, b'\n' | 0));
        self.text.extend_from_slice(taken);
        match end {
            Some(b'\n') => self.end_line(),
            Some(_) => Some(self.refuse_line(Refusal::NulOctet)),
            None if taken.len() < room => None,
            None if line_room <= command_room => {
                Some(self.refuse_line(Refusal::LineTooLong(self.limits.line)))
            }
            None => Some(self.refuse_line(Refusal::CommandTooLong(self.limits.command))),
        }
    }

    /// A whole line stands at the end of `text`.
    fn end_line<'a>(&mut self) -> Option<Event<'a>> {
        self.text.pop();
        if self.text.len() > self.line_start && self.text.last() == Some(&b'\r') {
            self.text.pop();
        }
        if std::mem::take(&mut self.raw) {
            let line = std::mem::take(&mut self.text);
            self.begin_command();
            return Some(Event::Line(line));
        }
        let line = self.text.get(self.line_start..).unwrap_or_default();
        match LiteralMark::at_end_of(line) {
            Some(mark) => self.begin_literal(mark),
            None => self.end_command(),
        }
    }

    fn end_command<'a>(&mut self) -> Option<Event<'a>> {
        let text = std::mem::take(&mut self.text);
        let appending = self.appending;
        self.begin_command();
        match (appending, text.is_empty()) {
            (true, _) => Some(Event::AppendTail(text)),
            // An empty line between commands is not worth an answer.
            (false, true) => None,
            (false, false) => Some(Event::Command(text)),
        }
    }

    fn begin_literal<'a>(&mut self, mark: LiteralMark) -> Option<Event<'a>> {
        let message = self.appending || announces_message(&self.text, mark);
        if message && !announces_url(&self.text, mark, self.appending) {
            let mut text = std::mem::take(&mut self.text);
            text.truncate(text.len() - mark.length);
            self.line_start = 0;
            self.state =
                State::Deciding { size: mark.size, synchronizing: mark.synchronizing, binary: mark.binary };
            return Some(Event::AppendHead { text, size: mark.size, synchronizing: mark.synchronizing });
        }
        let binary = mark.binary && takes_literal8(&self.text);
        let left = self.limits.command.saturating_sub(self.text.len() + b"\r\n".len());
        let refusal = match usize::try_from(mark.size) {
            Ok(missing) if missing <= self.limits.literal && missing <= left => {
                self.text.extend_from_slice(b"\r\n");
                self.line_start = self.text.len();
                self.state = if missing == 0 { State::Line } else { State::Literal { missing, binary } };
                return mark.synchronizing.then_some(Event::Continue);
            }
            Ok(missing) if missing <= self.limits.literal => Refusal::CommandTooLong(self.limits.command),
            _ => Refusal::LiteralTooLong(self.limits.literal),
        };
        let (tag, in_append) = (self.tag(), self.appending);
        if mark.synchronizing {
            self.begin_command();
        } else {
            self.text.clear();
            self.state = State::SwallowLiteral { missing: mark.size };
        }
        Some(Event::Refused { tag, refusal, in_append })
    }

    fn take_literal<'a>(&mut self, input: &mut &'a [u8], missing: usize, binary: bool) -> Option<Event<'a>> {
        let (taken, nul) = take_until(input, missing, |octet| octet == 0 && !binary);
        let missing = missing - taken.len();
        if nul.is_some() {
            let (tag, in_append) = (self.tag(), self.appending);
            self.text.clear();
            self.state = State::SwallowLiteral { missing: missing as u64 };
            return Some(Event::Refused { tag, refusal: Refusal::NulOctet, in_append });
        }
        self.text.extend_from_slice(taken);
        if missing == 0 {
            self.line_start = self.text.len();
            self.state = State::Line;
        } else {
            self.state = State::Literal { missing, binary };
        }
        None
    }

    fn take_message<'a>(&mut self, input: &mut &'a [u8], missing: u64, binary: bool) -> Option<Event<'a>> {
        let most = usize::try_from(missing).unwrap_or(usize::MAX).min(input.len());
        let clean = input.iter().take(most).position(|octet| *octet == 0 && !binary).unwrap_or(most);
        if clean == 0 {
            self.state = State::SwallowLiteral { missing };
            return Some(Event::Refused { tag: None, refusal: Refusal::NulOctet, in_append: true });
        }
        let (taken, rest) = input.split_at(clean);
        *input = rest;
        self.state = State::Message { missing: missing - clean as u64, binary };
        Some(Event::AppendData(taken))
    }

    fn swallow_literal<'a>(&mut self, input: &mut &'a [u8], missing: u64) -> Option<Event<'a>> {
        if self.swallowed.saturating_add(missing) > self.limits.swallow {
            return Some(self.die());
        }
        let most = usize::try_from(missing).unwrap_or(usize::MAX);
        let taken = take_until(input, most, |_| false).0.len() as u64;
        self.swallowed += taken;
        self.state = match missing - taken {
            0 => State::SwallowLine,
            missing => State::SwallowLiteral { missing },
        };
        None
    }

    fn swallow_line<'a>(&mut self, input: &mut &'a [u8]) -> Option<Event<'a>> {
        let (taken, end) = take_until(input, usize::MAX, |octet| octet == b'\n');
        self.swallowed = self.swallowed.saturating_add(taken.len() as u64);
        if self.swallowed > self.limits.swallow {
            return Some(self.die());
        }
        self.text
            .extend_from_slice(taken.get(taken.len().saturating_sub(LONGEST_MARK + 2)..).unwrap_or(taken));
        self.keep_tail();
        if end.is_some() {
            self.end_swallowed_line();
        }
        None
    }

    /// A line of a refused command has ended: with a literal that comes unasked, or with the command.
    fn end_swallowed_line(&mut self) {
        self.text.pop();
        if self.text.last() == Some(&b'\r') {
            self.text.pop();
        }
        match LiteralMark::at_end_of(&self.text) {
            Some(LiteralMark { synchronizing: false, size, .. }) => {
                self.text.clear();
                self.state = State::SwallowLiteral { missing: size };
            }
            _ => self.begin_command(),
        }
    }

    /// Refuses the line that is coming in; its rest is swallowed.
    fn refuse_line<'a>(&mut self, refusal: Refusal) -> Event<'a> {
        let tag = self.tag();
        self.text.drain(..self.line_start);
        self.keep_tail();
        self.state = State::SwallowLine;
        if std::mem::take(&mut self.raw) {
            // Whoever waits for the line gets one that nothing can be made of.
            return Event::Line(Vec::new());
        }
        Event::Refused { tag, refusal, in_append: self.appending }
    }

    fn die<'a>(&mut self) -> Event<'a> {
        self.state = State::Dead;
        self.text = Vec::new();
        Event::Fatal(Refusal::TooMuchToSwallow(self.limits.swallow))
    }

    fn begin_command(&mut self) {
        self.state = State::Line;
        self.text = Vec::new();
        self.line_start = 0;
        self.appending = false;
        self.swallowed = 0;
    }

    /// Cuts `text` to what could be the mark of a literal and the line end.
    fn keep_tail(&mut self) {
        let excess = self.text.len().saturating_sub(LONGEST_MARK + 2);
        self.text.drain(..excess);
    }

    /// The tag of the command that is coming in; within an APPEND it was told before.
    fn tag(&self) -> Option<Tag> {
        if self.appending {
            return None;
        }
        let end = self.text.iter().position(|octet| matches!(octet, b' ' | b'\r' | b'\n'))?;
        self.text.get(..end).and_then(Tag::new)
    }
}

/// Takes octets off the front of `input` through the first one that ends them, which is told, or until there are `most`.
fn take_until<'a>(input: &mut &'a [u8], most: usize, ends: impl Fn(u8) -> bool) -> (&'a [u8], Option<u8>) {
    let within = input.get(..most.min(input.len())).unwrap_or(input);
    let end = within.iter().position(|octet| ends(*octet));
    let (taken, rest) = input.split_at(end.map_or(within.len(), |place| place + 1));
    *input = rest;
    (taken, end.and(taken.last().copied()))
}
