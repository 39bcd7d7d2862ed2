//! The octets after DATA: where they end and which dots in them are not theirs (RFC 5321 section 4.5.2).
//!
//! A line ends with CRLF and with nothing else. LF or CR alone are octets of the message and are kept, so `LF . CRLF` or
//! `CR . CR` end nothing: what one server takes for the end of a message and another does not is how a second message is
//! smuggled behind the first.

/// Takes the octets of one message apart, in pieces of any size.
#[derive(Clone, Debug)]
pub(crate) struct DataDecoder {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the start of the message or after CRLF.
    LineStart,
    /// After a dot at the start of a line; the dot is dropped, whatever follows.
    Dot,
    /// After a dot and CR at the start of a line; the CR is held back.
    DotCarriageReturn,
    /// After CR, anywhere else.
    CarriageReturn,
    /// Anywhere else.
    Text,
    /// After the end.
    End,
}

/// What the decoder made of the octets at the front of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoded<'a> {
    /// Octets of the message, not empty.
    Content(&'a [u8]),
    /// All input is used up.
    More,
    /// The message has ended; what is left of the input belongs to the next command.
    End,
}

impl DataDecoder {
    /// A decoder for the octets after the reply to DATA.
    pub fn new() -> Self {
        Self { state: State::LineStart }
    }

    /// Takes octets from the front of `input`. To be called until it returns something else than content.
    pub fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Decoded<'a> {
        loop {
            let Some(&first) = input.first() else {
                return if self.state == State::End { Decoded::End } else { Decoded::More };
            };
            match (self.state, first) {
                (State::End, _) => return Decoded::End,
                (State::LineStart, b'.') => {
                    self.state = State::Dot;
                    skip_one(input);
                }
                (State::Dot, b'\r') => {
                    self.state = State::DotCarriageReturn;
                    skip_one(input);
                }
                (State::DotCarriageReturn, b'\n') => {
                    self.state = State::End;
                    skip_one(input);
                }
                (State::DotCarriageReturn, _) => {
                    self.state = State::CarriageReturn;
                    return Decoded::Content(b"\r");
                }
                _ => return Decoded::Content(self.content(input)),
            }
        }
    }

    /// Octets of the message up to the next line that starts with a dot, or all there are.
    fn content<'a>(&mut self, input: &mut &'a [u8]) -> &'a [u8] {
        let mut length = 0;
        for &octet in *input {
            match (self.state, octet) {
                (State::LineStart, b'.') => break,
                (State::CarriageReturn, b'\n') => self.state = State::LineStart,
                (_, b'\r') => self.state = State::CarriageReturn,
                _ => self.state = State::Text,
            }
            length += 1;
        }
        let (content, rest) = input.split_at_checked(length).unwrap_or((input, &[]));
        *input = rest;
        content
    }
}

fn skip_one(input: &mut &[u8]) {
    *input = input.get(1..).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes pieces; gives the message, and what is left of the pieces after its end.
    fn decode(pieces: &[&[u8]]) -> (Vec<u8>, Option<Vec<u8>>) {
        let (mut decoder, mut message, mut rest) = (DataDecoder::new(), Vec::new(), None::<Vec<u8>>);
        for piece in pieces {
            let mut input = *piece;
            if let Some(rest) = &mut rest {
                rest.extend_from_slice(input);
                continue;
            }
            loop {
                match decoder.decode(&mut input) {
                    Decoded::Content(content) => {
                        assert!(!content.is_empty());
                        message.extend_from_slice(content);
                    }
                    Decoded::More => break,
                    Decoded::End => {
                        rest = Some(input.to_vec());
                        break;
                    }
                }
            }
        }
        (message, rest)
    }

    #[track_caller]
    fn check(input: &[u8], message: &[u8], rest: Option<&[u8]>) {
        let expected = (message.to_vec(), rest.map(<[u8]>::to_vec));
        assert_eq!(decode(&[input]), expected);
        for cut in 0..=input.len() {
            let (left, right) = input.split_at(cut);
            assert_eq!(decode(&[left, right]), expected, "cut at {cut}");
        }
        let octets: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(decode(&octets), expected, "octet by octet");
    }

    #[test]
    fn dots_are_unstuffed() {
        check(b".\r\n", b"", Some(b""));
        check(b"a\r\n.\r\nQUIT\r\n", b"a\r\n", Some(b"QUIT\r\n"));
        check(b"..a\r\n...\r\n.b\r\n.\r\n", b".a\r\n..\r\nb\r\n", Some(b""));
        check(b"a.\r\n.\r\n", b"a.\r\n", Some(b""));
        check(b"\r\n\r\n.\r\n", b"\r\n\r\n", Some(b""));
        check(b"a\r\n.", b"a\r\n", None);
        check(b"a\r\n.\r", b"a\r\n", None);
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_ends() {
        for smuggled in ["\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\n.\r", "\r\n\0.\r\n", "\r\r\n\x20.\r\n"] {
            let data = format!("a{smuggled}MAIL FROM:<x>\r\n.\r\n");
            check(data.as_bytes(), format!("a{smuggled}MAIL FROM:<x>\r\n").as_bytes(), Some(b""));
        }
    }

    #[test]
    fn a_dot_before_something_like_a_line_end_is_dropped_and_ends_nothing() {
        check(b"a\r\n.\nb\r\n.\r\n", b"a\r\n\nb\r\n", Some(b""));
        check(b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n", Some(b""));
        check(b"a\r\n.\r\r\n.\r\n", b"a\r\n\r\r\n", Some(b""));
        check(b"a\r\r\n.\r\n", b"a\r\r\n", Some(b""));
        check(b"a\r\n.\r.\r\n.\r\n", b"a\r\n\r.\r\n", Some(b""));
    }
}
