//! Messages as POP3 sends them: lines that end with CRLF, dots doubled at their beginning (RFC 1939 section 3).
//!
//! The store keeps octets exactly as they came, and some messages contain LF without CR, or end without a line end. POP3
//! has no way to say where a message ends but by its lines, and clients disagree whether a bare LF ends one: to most of
//! them `LF . LF` in the middle of a message would be the end of it, and what follows, which its sender chose, the answer to
//! the next command. So whatever ends a line in the store ends it with CRLF here, and the last line is ended. The sizes that
//! STAT and LIST tell are those of the message as it is sent (RFC 1939 section 11); [`Meter`] counts them.

/// Writes a message: its octets in, lines out.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Octets of the present line so far.
    line: u64,
    /// Whether the last of them was a CR.
    after_return: bool,
    part: Part,
}

/// How much of a message is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole,
    /// The header, and then this many lines of the text.
    Header(u64),
    /// This many lines of the text yet.
    Text(u64),
}

impl Lines {
    /// All of a message.
    pub fn whole() -> Self {
        Lines { line: 0, after_return: false, part: Part::Whole }
    }

    /// The header of a message, the empty line after it, and this many lines of its text (RFC 1939 section 7, TOP).
    pub fn top(lines: u64) -> Self {
        Lines { part: Part::Header(lines), ..Lines::whole() }
    }

    /// Whether no more of the message is wanted.
    pub fn is_complete(&self) -> bool {
        self.part == Part::Text(0)
    }

    /// Takes the next octets of the message.
    pub fn push(&mut self, mut octets: &[u8], out: &mut Vec<u8>) {
        while let (Some(first), false) = (octets.first(), self.is_complete()) {
            if self.line == 0 && *first == b'.' {
                out.push(b'.');
            }
            let end = octets.iter().position(|&octet| octet == b'\n');
            let (text, rest) = octets.split_at_checked(end.unwrap_or(octets.len())).unwrap_or((octets, &[]));
            out.extend_from_slice(text);
            if let Some(last) = text.last() {
                self.line += text.len() as u64;
                self.after_return = *last == b'\r';
            }
            octets = rest.get(1..).unwrap_or_default();
            if end.is_some() {
                self.end_line(out);
            }
        }
    }

    /// The message is over: ends its last line, and the answer.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        if self.line > 0 {
            self.after_return = false;
            self.end_line(out);
        }
        out.extend_from_slice(b".\r\n");
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.after_return { b"\n" } else { b"\r\n" });
        let empty = self.line == u64::from(self.after_return);
        self.part = match self.part {
            Part::Header(lines) if empty => Part::Text(lines),
            Part::Text(lines) => Part::Text(lines.saturating_sub(1)),
            other => other,
        };
        (self.line, self.after_return) = (0, false);
    }
}

/// Counts the octets that a message has as it is sent: without doubled dots, and without the line that ends the answer.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    octets: u64,
    /// The last octet so far.
    last: Option<u8>,
}

impl Meter {
    /// Takes the next octets of the message.
    pub fn push(&mut self, octets: &[u8]) {
        let Some(last) = octets.last() else { return };
        let mut before = self.last;
        let mut bare = 0;
        for &octet in octets {
            bare += u64::from(octet == b'\n' && before != Some(b'\r'));
            before = Some(octet);
        }
        self.octets += octets.len() as u64 + bare;
        self.last = Some(*last);
    }

    /// The octets of the whole message.
    pub fn finish(self) -> u64 {
        match self.last {
            None | Some(b'\n') => self.octets,
            Some(_) => self.octets + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(lines: Lines, message: &[u8], size: usize) -> Vec<u8> {
        let (mut lines, mut out) = (lines, Vec::new());
        message.chunks(size).for_each(|piece| lines.push(piece, &mut out));
        lines.finish(&mut out);
        out
    }

    #[track_caller]
    fn check(lines: &Lines, message: &str, expected: &str) {
        for size in [1, 2, 3, message.len().max(1)] {
            let sent = sent(lines.clone(), message.as_bytes(), size);
            assert_eq!(String::from_utf8(sent).unwrap(), expected, "pieces of {size}");
        }
    }

    fn measured(message: &[u8], size: usize) -> u64 {
        let mut meter = Meter::default();
        message.chunks(size).for_each(|piece| meter.push(piece));
        meter.finish()
    }

    /// RFC 1939 section 3.
    #[test]
    fn dots_that_begin_a_line_are_doubled() {
        check(&Lines::whole(), "a\r\n.\r\n.b\r\n..c\r\nd.\r\n", "a\r\n..\r\n..b\r\n...c\r\nd.\r\n.\r\n");
        check(&Lines::whole(), ".", "..\r\n.\r\n");
        check(&Lines::whole(), "", ".\r\n");
    }

    /// Without this the sender of a message chooses what its reader takes for answers of the server.
    #[test]
    fn no_message_ends_its_answer_early() {
        check(&Lines::whole(), "a\n.\n+OK\n", "a\r\n..\r\n+OK\r\n.\r\n");
        check(&Lines::whole(), "a\n\r.\nb\r", "a\r\n\r.\r\nb\r\r\n.\r\n");
        check(&Lines::whole(), "a\r\r\n.\r\n", "a\r\r\n..\r\n.\r\n");
        check(&Lines::whole(), "a\n\r\n.\r.\n\n", "a\r\n\r\n..\r.\r\n\r\n.\r\n");
    }

    /// RFC 1939 section 7.
    #[test]
    fn top_stops_after_its_lines() {
        let message = "A: b\r\n c\r\n\r\n.one\r\n\r\nthree\r\n";
        check(&Lines::top(0), message, "A: b\r\n c\r\n\r\n.\r\n");
        check(&Lines::top(1), message, "A: b\r\n c\r\n\r\n..one\r\n.\r\n");
        check(&Lines::top(2), message, "A: b\r\n c\r\n\r\n..one\r\n\r\n.\r\n");
        let all = "A: b\r\n c\r\n\r\n..one\r\n\r\nthree\r\n.\r\n";
        check(&Lines::top(3), message, all);
        check(&Lines::top(u64::MAX), message, all);
        check(&Lines::top(0), "A: b\n\none\n", "A: b\r\n\r\n.\r\n");
        check(&Lines::top(0), "\r\ntext\r\n", "\r\n.\r\n");
        check(&Lines::top(0), "A: no text", "A: no text\r\n.\r\n");
    }

    /// What a client makes of an answer, if only CRLF ends a line to it, or if LF does.
    fn received(answer: &[u8], strict: bool) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        let mut rest = answer;
        loop {
            let ends = |at: &usize| rest[*at] == b'\n' && (!strict || (*at > 0 && rest[*at - 1] == b'\r'));
            let end = (0..rest.len()).find(ends)? + 1;
            let (line, after) = rest.split_at(end);
            rest = after;
            // As Python's poplib does it, which takes the CR away at either end.
            let text = line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n"))?;
            let text = if line.ends_with(b"\r\n") { text } else { text.strip_prefix(b"\r").unwrap_or(text) };
            if text == b"." {
                return rest.is_empty().then_some(message);
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
    }

    proptest! {
        /// RFC 1939 section 11: sizes are those of what is sent, and every client sees the same end.
        #[test]
        fn sizes_are_those_of_what_is_received(
            message in prop::collection::vec(prop::sample::select(b"\r\n..a".to_vec()), 0..60),
            size in 1usize..9,
        ) {
            let answer = sent(Lines::whole(), &message, size);
            prop_assert_eq!(&answer, &sent(Lines::whole(), &message, 1000));
            let strict = received(&answer, true);
            prop_assert_eq!(&strict, &received(&answer, false));
            prop_assert_eq!(strict.map(|message| message.len() as u64), Some(measured(&message, size)));
        }

        #[test]
        fn messages_of_proper_lines_come_as_they_are(lines in prop::collection::vec("[.a]{0,4}", 0..8)) {
            let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let answer = sent(Lines::whole(), message.as_bytes(), 3);
            prop_assert_eq!(received(&answer, true), Some(message.clone().into_bytes()));
            prop_assert_eq!(measured(message.as_bytes(), 3), message.len() as u64);
        }

        #[test]
        fn top_is_the_beginning_of_the_whole(
            message in prop::collection::vec(prop::sample::select(b"\r\n.a".to_vec()), 0..60),
            count in 0u64..6,
        ) {
            let top = sent(Lines::top(count), &message, 7);
            let whole = sent(Lines::whole(), &message, 7);
            let begun = top.strip_suffix(b".\r\n").is_some_and(|begun| whole.starts_with(begun));
            prop_assert!(begun, "{:?} of {:?}", top, whole);
        }
    }
}
