//! From octets to the inputs of a session: framing and decoding joined, still without I/O.

use std::collections::VecDeque;

use crate::command::{AppendEvent, AppendForm, AppendMessage, AppendStep};
use crate::decode::{self, AppendStart, DecodeError};
use crate::framing::{Event, Framer, Limits, Refusal};
use crate::mailbox_name::NameEncoding;
use crate::session::Input;

/// Why an APPEND goes wrong behind a message in `UTF8 (..)`.
const UNCLOSED: &str = "Expected a closing parenthesis after the message";

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
    /// What an APPEND said that was not handed on yet.
    queue: VecDeque<AppendEvent<'static>>,
    /// Whether the literal that came last is a part of CATENATE.
    catenating: bool,
    /// Whether the literal that came last stands in parentheses of its own, which have to be closed.
    parenthesized: bool,
}

impl Feed {
    /// The feed of a new connection.
    pub fn new(limits: Limits) -> Self {
        Feed {
            framer: Framer::new(limits),
            names: NameEncoding::default(),
            waits: false,
            queue: VecDeque::new(),
            catenating: false,
            parenthesized: false,
        }
    }

    /// Lets other limits hold from the next command on.
    pub fn limit(&mut self, limits: Limits) {
        self.framer.limit(limits);
    }

    /// Reads mailbox names in this spelling from the next command on.
    pub fn spell(&mut self, names: NameEncoding) {
        self.names = names;
    }

    /// The next line is no command: the session asked for it.
    pub fn expect_line(&mut self) {
        self.framer.expect_line();
    }

    /// The session wants the message that was announced, or goes on wanting it. Tells whether the client waits for us.
    pub fn accept(&mut self) -> bool {
        if !self.queue.is_empty() {
            // It does not know yet what comes before the literal.
            return false;
        }
        self.framer.accept();
        std::mem::take(&mut self.waits)
    }

    /// The session does not want the message that was announced, or its rest.
    pub fn refuse(&mut self) {
        self.framer.refuse();
        self.queue.clear();
        (self.waits, self.catenating, self.parenthesized) = (false, false, false);
    }

    /// Takes octets from the front of `input`; `None` once all are taken.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Fed<'a>> {
        if let Some(event) = self.queue.pop_front() {
            return Some(Fed::Input(Input::Append(event)));
        }
        let input = match self.framer.next(input)? {
            Event::Command(text) if decode::is_catenate(&text) => {
                let start = decode::append_start(&text, None, self.names);
                self.start(start, Some(AppendEvent::Finish))
            }
            Event::Command(text) => match decode::command(&text, self.names) {
                Ok(command) => Input::Command(command),
                Err(error) => Input::Bad { tag: error.tag, text: error.text },
            },
            Event::Line(line) => return Some(Fed::Line(line)),
            Event::Continue => return Some(Fed::Continue),
            Event::AppendHead { text, size, synchronizing } => self.head(&text, size, synchronizing),
            Event::AppendData(octets) => Input::Append(AppendEvent::Data(octets)),
            Event::AppendDataEnd => Input::Append(AppendEvent::End),
            Event::AppendTail(text) => self.tail(&text),
            Event::Refused { refusal, in_append: true, .. } => broken(sentence(refusal)),
            Event::Refused { tag, refusal, .. } => Input::Bad { tag, text: sentence(refusal) },
            Event::Fatal(refusal) => return Some(Fed::Fatal(refusal)),
        };
        Some(Fed::Input(input))
    }

    fn head<'a>(&mut self, text: &[u8], size: u64, synchronizing: bool) -> Input<'a> {
        self.waits = synchronizing;
        if !self.framer.is_appending() {
            let start = decode::append_start(text, Some(size), self.names);
            return self.start(start, None);
        }
        match self.more(text, Some(size)) {
            Ok(steps) => self.steps(steps, None),
            Err(text) => {
                self.refuse();
                broken(text)
            }
        }
    }

    /// What follows the last literal of an APPEND: normally nothing, or the closing parenthesis of CATENATE.
    fn tail<'a>(&mut self, text: &[u8]) -> Input<'a> {
        match self.more(text, None) {
            Ok(steps) => self.steps(steps, Some(AppendEvent::Finish)),
            Err(text) => {
                self.refuse();
                broken(text)
            }
        }
    }

    /// What stands between two literals, or behind the last one; or what is wrong with it.
    fn more(&mut self, text: &[u8], size: Option<u64>) -> Result<Vec<AppendStep>, String> {
        let rest = match std::mem::take(&mut self.parenthesized) {
            true => text.strip_prefix(b")").ok_or(UNCLOSED)?,
            false => text,
        };
        decode::append_more(rest, size, self.catenating).map_err(|error| match size {
            None if !self.catenating => "Expected another message or the end of the command".to_owned(),
            _ => error.text,
        })
    }

    /// An APPEND has begun. `last` comes after what is known of it.
    fn start<'a>(
        &mut self,
        start: Result<AppendStart, DecodeError>,
        last: Option<AppendEvent<'static>>,
    ) -> Input<'a> {
        match start {
            Ok(AppendStart { tag, mailbox, replaced, message, steps }) => {
                self.parenthesized = message.form == AppendForm::Utf8;
                self.put(steps, last);
                Input::Append(AppendEvent::Start { tag, mailbox, replaced, message })
            }
            Err(error) => {
                self.refuse();
                Input::Bad { tag: error.tag, text: error.text }
            }
        }
    }

    fn steps<'a>(&mut self, steps: Vec<AppendStep>, last: Option<AppendEvent<'static>>) -> Input<'a> {
        self.put(steps, last);
        let end = || AppendEvent::Broken { text: "Expected a message".to_owned() };
        Input::Append(self.queue.pop_front().unwrap_or_else(end))
    }

    /// Keeps what is to be handed on one after the other, so that the session may refuse each.
    fn put(&mut self, steps: Vec<AppendStep>, last: Option<AppendEvent<'static>>) {
        match steps.last() {
            Some(AppendStep::Message(AppendMessage { form, .. })) => {
                (self.catenating, self.parenthesized) = (false, *form == AppendForm::Utf8);
            }
            Some(AppendStep::Text { form, .. }) => {
                (self.catenating, self.parenthesized) = (true, *form == AppendForm::Utf8);
            }
            _ => self.catenating = false,
        }
        self.queue.extend(steps.into_iter().map(|step| match step {
            AppendStep::Message(message) => AppendEvent::Next(message),
            AppendStep::Url(url) => AppendEvent::Url(url),
            AppendStep::Text { size, form } => AppendEvent::Text { size, form },
            AppendStep::Close => AppendEvent::Close,
        }));
        self.queue.extend(last);
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
                        AppendEvent::Url(url) => {
                            feed.accept();
                            format!("url {url}")
                        }
                        AppendEvent::Text { size, .. } => format!("text {size}, waits {}", feed.accept()),
                        AppendEvent::Close => "close".to_owned(),
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

    /// RFC 4469 section 5. The literal is accepted once everything before it is.
    #[test]
    fn the_parts_of_catenate_come_one_after_the_other() {
        let start = "append: start x, waits false";
        let parts = "a APPEND x (\\Seen) CATENATE (URL /y TEXT {3}\r\nabc URL \"/z\" TEXT {1+}\r\nd) {2}\r\nef\r\nb NOOP\r\n";
        let told = [
            start,
            "append: url /y",
            "append: text 3, waits true",
            "append: abc",
            "append: end",
            "append: url /z",
            "append: text 1, waits false",
            "append: d",
            "append: end",
            "append: close",
            "append: next, waits true",
            "append: ef",
            "append: end",
            "append: finish",
            "b Noop",
        ];
        assert_eq!(fed(parts), told);
        let urls = ["append: url /y", "append: url /z", "append: close"];
        let finish = ["append: finish", "b Noop"];
        for whole in [
            "a APPEND x CATENATE (URL /y URL /z)",
            "a append x catenate (url \"/y\" url \"/z\")",
            "a REPLACE 3 x CATENATE (URL /y URL /z) ",
            "a UID REPLACE 3 {1+}\r\nx (\\Seen) CATENATE (URL {2+}\r\n/y URL {2+}\r\n/z)",
        ] {
            let told = [&[start][..], &urls, &finish].concat();
            assert_eq!(fed(&format!("{whole}\r\nb NOOP\r\n")), told, "{whole}");
        }
        let several =
            "a APPEND x CATENATE (URL /y) CATENATE (TEXT {1+}\r\na URL {2}\r\n/z) CATENATE (URL /y)\r\n";
        let told = fed(several);
        let expected = [
            start,
            "append: url /y",
            "append: close",
            "append: next, waits false",
            "append: text 1, waits false",
            "append: a",
            "append: end",
            "continue",
            "append: url /z",
            "append: close",
            "append: next, waits false",
            "append: url /y",
            "append: close",
            "append: finish",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_catenate_that_goes_wrong_is_told_once_and_swallowed() {
        for wrong in [
            "CATENATE ()",
            "CATENATE (URL)",
            "CATENATE (URL /y",
            "CATENATE (URL /y) x",
            "CATENATE (TEXT x)",
            "CATENATE (URL /y TEXT)",
            "CATENATE (URL /y {3+}\r\nabc)",
            "CATENATE (HTTP /y TEXT {3+}\r\nabc)",
        ] {
            let told = fed(&format!("a APPEND x {wrong}\r\nb NOOP\r\n"));
            assert!(
                told.len() == 2 && told[0].starts_with("bad a ") && told[1] == "b Noop",
                "{wrong}: {told:?}"
            );
        }
        let start = "a APPEND x CATENATE (TEXT {3+}\r\nabc";
        for wrong in
            ["", " ", ") y", "URL /y)", " URL /y", " URL {150+}\r\n", " URL {2+}\r\n/\0)", " X {1+}\r\na)"]
        {
            let filled = wrong.replace("{150+}\r\n", &format!("{{150+}}\r\n{}", "y".repeat(150)));
            let told = fed(&format!("{start}{filled}\r\nb NOOP\r\n"));
            let end: Vec<&str> = told.iter().skip(4).map(String::as_str).collect();
            assert!(
                end.len() == 2 && end[0].starts_with("append: broken ") && end[1] == "b Noop",
                "{wrong}: {told:?}"
            );
        }
    }

    /// RFC 8508 section 5
    #[test]
    fn a_replacement_streams_as_an_append_does() {
        let told = ["append: start x, waits true", "append: abc", "append: end", "append: finish", "b Noop"];
        for name in ["REPLACE 4 x", "uid replace * x", "REPLACE 4 {1+}\r\nx", "UID REPLACE 4 x (\\Seen)"] {
            assert_eq!(fed(&format!("a {name} {{3}}\r\nabc\r\nb NOOP\r\n")), told, "{name}");
        }
        for wrong in ["REPLACE 1:2 x", "REPLACE 0 x", "REPLACE x x", "REPLACE 1,2 x"] {
            let told = fed(&format!("a {wrong} {{3}}\r\n"));
            assert!(told.last().is_some_and(|told| told.starts_with("bad a ")), "{wrong}: {told:?}");
        }
        assert_eq!(fed("a REPLACE 4 x\r\n"), ["bad a REPLACE needs a message, which is a literal"]);
        assert_eq!(fed("a UID REPLACE 4 x\r\n"), ["bad a REPLACE needs a message, which is a literal"]);
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

    /// RFC 6855 section 4: `cat-part =/ utf8-literal`.
    #[test]
    fn parts_in_utf8_parentheses() {
        let told = [
            "append: start x, waits false",
            "append: text 3, waits false",
            "append: abc",
            "append: end",
            "append: url /y",
            "append: text 1, waits false",
            "append: d",
            "append: end",
            "append: close",
            "append: finish",
            "b Noop",
        ];
        let parts = "a APPEND x CATENATE (UTF8 (~{3+}\r\nabc) URL /y TEXT {1+}\r\nd)\r\nb NOOP\r\n";
        assert_eq!(fed(parts), told);
        let parts = "a APPEND x CATENATE (TEXT {3+}\r\nabc URL /y utf8 (~{1+}\r\nd))\r\nb NOOP\r\n";
        assert_eq!(fed(parts), told);
        for wrong in ["TEXT UTF8 (~{3+}\r\nabc))", "~{3+}\r\nabc)", "{3+}\r\nabc)"] {
            let told = fed(&format!("a APPEND x CATENATE ({wrong}\r\nb NOOP\r\n"));
            assert!(told.len() == 2 && told[0].starts_with("bad a "), "{wrong}: {told:?}");
        }
        let unclosed = fed("a APPEND x CATENATE (UTF8 (~{3+}\r\nabc URL /y)\r\nb NOOP\r\n");
        assert_eq!(
            unclosed[4..],
            ["append: broken Expected a closing parenthesis after the message", "b Noop"]
        );
    }

    /// RFC 6855 section 4, with MULTIAPPEND.
    #[test]
    fn messages_in_utf8_parentheses() {
        let whole = "a APPEND x (\\Seen) UTF8 (~{3}\r\nabc) UTF8 (~{2+}\r\nde) {1+}\r\nf\r\nb NOOP\r\n";
        let told = [
            "append: start x, waits true",
            "append: abc",
            "append: end",
            "append: next, waits false",
            "append: de",
            "append: end",
            "append: next, waits false",
            "append: f",
            "append: end",
            "append: finish",
            "b Noop",
        ];
        assert_eq!(fed(whole), told);
        let one = "a APPEND x UTF8 (~{3+}\r\nabc)\r\nb NOOP\r\n";
        assert_eq!(fed(one).last().map(String::as_str), Some("b Noop"));
        assert_eq!(fed(one)[3], "append: finish");
        for unclosed in ["a APPEND x UTF8 (~{3+}\r\nabc\r\n", "a APPEND x UTF8 (~{3+}\r\nabc {2+}\r\nde)\r\n"]
        {
            let told = fed(&format!("{unclosed}b NOOP\r\n"));
            assert_eq!(
                told[3..],
                ["append: broken Expected a closing parenthesis after the message", "b Noop"]
            );
        }
        let closed_without_need = fed("a APPEND x ~{3+}\r\nabc)\r\nb NOOP\r\n");
        assert_eq!(
            closed_without_need[3],
            "append: broken Expected another message or the end of the command"
        );
        assert!(
            fed("a APPEND x UTF8 ({3+}\r\nabc)\r\nb NOOP\r\n")[0].starts_with("bad a "),
            "it takes a literal8"
        );
    }

    #[test]
    fn literals_beyond_every_limit_end_the_connection() {
        assert_eq!(fed("a LOGIN {300+}\r\nx"), ["bad a The literal is longer than 100 octets", "fatal"]);
    }
}
