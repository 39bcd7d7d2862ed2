//! From octets to the inputs of a session: framing and decoding joined, still without I/O.

use crate::command::AppendEvent;
use crate::decode::{self, AppendStart};
use crate::framing::{Event, Framer, Limits, Refusal};
use crate::mailbox_name::NameEncoding;
use crate::session::Input;

/// What the client's octets come to.
#[derive(Debug)]
pub enum Fed<'a> {
    /// Hand it to the session.
    Input(Input<'a>),
    /// Hand it to the session as the line that it asked for.
    Line(Vec<u8>),
    /// Tell the client to send the literal that it announced.
    Continue,
    /// Say BYE, and why, and end the connection.
    Fatal(Refusal),
}

/// What reads the octets of one client.
#[derive(Debug)]
pub struct Feed {
    framer: Framer,
    names: NameEncoding,
    /// Whether the client waits for the continuation before it sends the message that was announced last.
    waits: bool,
}

impl Feed {
    /// The feed of a new connection.
    pub fn new(limits: Limits) -> Self {
        Feed { framer: Framer::new(limits), names: NameEncoding::default(), waits: false }
    }

    /// Lets other limits hold from the next command on.
    pub fn limit(&mut self, limits: Limits) {
        self.framer.limit(limits);
    }

    /// The next line is no command: the session asked for it.
    pub fn expect_line(&mut self) {
        self.framer.expect_line();
    }

    /// The session wants the message that was announced, or goes on wanting it. Tells whether the client waits for us.
    pub fn accept(&mut self) -> bool {
        self.framer.accept();
        std::mem::take(&mut self.waits)
    }

    /// The session does not want the message that was announced, or its rest.
    pub fn refuse(&mut self) {
        self.framer.refuse();
        self.waits = false;
    }

    /// Takes octets from the front of `input`; `None` once all are taken.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Fed<'a>> {
        let input = match self.framer.next(input)? {
            Event::Command(text) => match decode::command(&text, self.names) {
                Ok(command) => Input::Command(command),
                Err(error) => Input::Bad { tag: error.tag, text: error.text },
            },
            Event::Line(line) => return Some(Fed::Line(line)),
            Event::Continue => return Some(Fed::Continue),
            Event::AppendHead { text, size, synchronizing } => self.head(&text, size, synchronizing),
            Event::AppendData(octets) => Input::Append(AppendEvent::Data(octets)),
            Event::AppendDataEnd => Input::Append(AppendEvent::End),
            Event::AppendTail(text) if text.trim_ascii().is_empty() => Input::Append(AppendEvent::Finish),
            Event::AppendTail(_) => broken("Expected another message or the end of the command".to_owned()),
            Event::Refused { refusal, in_append: true, .. } => broken(sentence(refusal)),
            Event::Refused { tag, refusal, .. } => Input::Bad { tag, text: sentence(refusal) },
            Event::Fatal(refusal) => return Some(Fed::Fatal(refusal)),
        };
        Some(Fed::Input(input))
    }

    fn head<'a>(&mut self, text: &[u8], size: u64, synchronizing: bool) -> Input<'a> {
        self.waits = synchronizing;
        if self.framer.is_appending() {
            return match decode::append_next(text, size) {
                Ok(message) => Input::Append(AppendEvent::Next(message)),
                Err(error) => {
                    self.refuse();
                    broken(error.text)
                }
            };
        }
        match decode::append_start(text, size, self.names) {
            Ok(AppendStart { tag, mailbox, message }) => {
                Input::Append(AppendEvent::Start { tag, mailbox, message })
            }
            Err(error) => {
                self.refuse();
                Input::Bad { tag: error.tag, text: error.text }
            }
        }
    }
}

fn broken<'a>(text: String) -> Input<'a> {
    Input::Append(AppendEvent::Broken { text })
}

/// The refusal as the text of a response.
fn sentence(refusal: Refusal) -> String {
    let text = refusal.to_string();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandBody;

    /// What a session would see that takes every message; refused ones are told apart by their size.
    fn fed(text: &str) -> Vec<String> {
        let mut feed = Feed::new(Limits { literal: 100, swallow: 200, ..Limits::default() });
        let mut rest = text.as_bytes();
        let mut seen = Vec::new();
        while let Some(fed) = feed.next(&mut rest) {
            seen.push(match fed {
                Fed::Continue => "continue".to_owned(),
                Fed::Fatal(_) => "fatal".to_owned(),
                Fed::Input(Input::Command(command)) => {
                    if command.body == CommandBody::Idle {
                        feed.expect_line();
                    }
                    format!("{} {:?}", command.tag, command.body)
                }
                Fed::Input(Input::Bad { tag, text }) => {
                    format!("bad {} {text}", tag.map(|tag| tag.to_string()).unwrap_or_default())
                }
                Fed::Line(line) => format!("line {}", String::from_utf8_lossy(&line)),
                Fed::Input(Input::Append(event)) => {
                    let told = match event {
                        AppendEvent::Start { message, .. } | AppendEvent::Next(message)
                            if message.size > 50 =>
                        {
                            feed.refuse();
                            "refused".to_owned()
                        }
                        AppendEvent::Start { mailbox, .. } => {
                            format!("start {mailbox}, waits {}", feed.accept())
                        }
                        AppendEvent::Next(_) => format!("next, waits {}", feed.accept()),
                        AppendEvent::Data(octets) => String::from_utf8_lossy(octets).into_owned(),
                        AppendEvent::End => "end".to_owned(),
                        AppendEvent::Finish => "finish".to_owned(),
                        AppendEvent::Broken { text, .. } => format!("broken {text}"),
                    };
                    format!("append: {told}")
                }
                Fed::Input(other) => format!("{other:?}"),
            });
        }
        seen
    }

    #[test]
    fn commands_and_lines_come_in_order() {
        assert_eq!(
            fed("a IDLE\r\nDONE\r\nb NOOP\r\nc XYZZY\r\n"),
            ["a Idle", "line DONE", "b Noop", "bad c There is no command XYZZY"]
        );
    }

    #[test]
    fn several_messages_are_appended_by_one_command() {
        assert_eq!(
            fed("a APPEND x {3}\r\nabc (\\Seen) {2+}\r\nde\r\nb NOOP\r\n"),
            [
                "append: start x, waits true",
                "append: abc",
                "append: end",
                "append: next, waits false",
                "append: de",
                "append: end",
                "append: finish",
                "b Noop"
            ]
        );
    }

    #[test]
    fn appends_that_go_wrong_are_told_once_and_swallowed() {
        let start = ["append: start x, waits true", "append: abc", "append: end"];
        let with = |last: &'static str| [&start[..], &[last, "b Noop"]].concat();
        let broken = "append: broken Expected another message or the end of the command";
        assert_eq!(fed("a APPEND x {3}\r\nabc y\r\nb NOOP\r\n"), with(broken));
        let flag = "append: broken There is no system flag \\X";
        assert_eq!(fed("a APPEND x {3}\r\nabc (\\X) {2+}\r\nde\r\nb NOOP\r\n"), with(flag));
        assert_eq!(fed("a APPEND x {3}\r\nabc (\\X) {2}\r\nb NOOP\r\n"), with(flag));
        let refused = format!("a APPEND x {{3}}\r\nabc {{60+}}\r\n{}\r\nb NOOP\r\n", "m".repeat(60));
        assert_eq!(fed(&refused), with("append: refused"));
        let nul = "a APPEND x {3}\r\na\0c\r\nb NOOP\r\n";
        let told = [
            "append: start x, waits true",
            "append: a",
            "append: broken A NUL octet is not allowed",
            "b Noop",
        ];
        assert_eq!(fed(nul), told);
        assert_eq!(fed("a APPEND {9\r\nb NOOP\r\n").len(), 2);
    }

    /// RFC 3516 section 4.4: NULs come through; whether they can be stored is for the session to say.
    #[test]
    fn a_literal8_is_a_literal_that_may_hold_nuls() {
        let told = ["append: start x, waits true", "append: a\0c", "append: end", "append: finish", "b Noop"];
        assert_eq!(fed("a APPEND x ~{3}\r\na\0c\r\nb NOOP\r\n"), told);
        let told = ["append: start x, waits false", "append: abc", "append: end"];
        let next = ["append: next, waits false", "append: \0", "append: end", "append: finish"];
        assert_eq!(fed("a APPEND x (\\Seen) {3+}\r\nabc ~{1+}\r\n\0\r\n"), [&told[..], &next].concat());
        assert_eq!(fed("a LOGIN ~{3+}\r\nabc x\r\nb NOOP\r\n").len(), 2, "nowhere else");
    }

    #[test]
    fn an_append_that_cannot_be_decoded_is_a_bad_command() {
        let told = ["bad a There is no system flag \\X", "b Noop"];
        assert_eq!(fed("a APPEND x (\\X) {2+}\r\nde {3+}\r\nxyz\r\nb NOOP\r\n"), told);
        assert_eq!(fed("a APPEND x (\\X) {2}\r\nb NOOP\r\n"), told);
    }

    #[test]
    fn literals_beyond_every_limit_end_the_connection() {
        assert_eq!(fed("a LOGIN {300+}\r\nx"), ["bad a The literal is longer than 100 octets", "fatal"]);
    }
}
