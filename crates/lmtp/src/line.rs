//! Cuts command lines out of what arrives, in bounded memory.

use crate::command::LONGEST_LINE;

/// The most octets of an over-long line that are skipped before the session is given up.
pub(crate) const MOST_SKIPPED: usize = 1 << 20;

/// Collects the octets of a line until it is complete.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineReader {
    /// The line so far; at most [`LONGEST_LINE`] octets.
    held: Vec<u8>,
    /// Octets of an over-long line that were dropped.
    skipped: usize,
}

/// What became of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line, its CRLF taken off.
    Complete(Vec<u8>),
    /// A line that ended with LF alone. RFC 5321 section 2.3.8 allows only CRLF.
    BareLineFeed,
    /// A line longer than [`LONGEST_LINE`], now skipped.
    TooLong,
    /// More than [`MOST_SKIPPED`] octets without a line end.
    Endless,
    /// All input is used up.
    More,
}

impl LineReader {
    /// Takes octets from the front of `input`, up to the end of a line.
    pub fn read(&mut self, input: &mut &[u8]) -> Line {
        let end = input.iter().position(|&octet| octet == b'\n').map(|at| at + 1);
        let (piece, rest) = input.split_at_checked(end.unwrap_or(input.len())).unwrap_or((input, &[]));
        *input = rest;
        if self.skipped > 0 || self.held.len() + piece.len() > LONGEST_LINE {
            self.skipped += self.held.len() + piece.len();
            self.held.clear();
        } else {
            self.held.extend_from_slice(piece);
        }
        if self.skipped > MOST_SKIPPED {
            return Line::Endless;
        }
        if end.is_none() {
            return Line::More;
        }
        if std::mem::take(&mut self.skipped) > 0 {
            return Line::TooLong;
        }
        let line = std::mem::take(&mut self.held);
        match line.strip_suffix(b"\r\n") {
            Some(line) => Line::Complete(line.to_vec()),
            None => Line::BareLineFeed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines of an input that arrives in pieces of this size.
    fn lines(input: &[u8], size: usize) -> Vec<Line> {
        let (mut reader, mut lines) = (LineReader::default(), Vec::new());
        for mut piece in input.chunks(size) {
            while !piece.is_empty() {
                match reader.read(&mut piece) {
                    Line::More => {}
                    line => lines.push(line),
                }
                assert!(reader.held.len() <= LONGEST_LINE);
            }
        }
        lines
    }

    #[test]
    fn the_same_lines_whatever_the_pieces() {
        let longest = "x".repeat(LONGEST_LINE - 2);
        let input = format!("NOOP\r\nbare\n\r\n{longest}\r\n{longest}y\r\nQUIT\r\nleft");
        let expected = vec![
            Line::Complete(b"NOOP".to_vec()),
            Line::BareLineFeed,
            Line::Complete(Vec::new()),
            Line::Complete(longest.clone().into_bytes()),
            Line::TooLong,
            Line::Complete(b"QUIT".to_vec()),
        ];
        for size in [1, 2, 3, 7, 64, 1999, 2000, 2001, input.len()] {
            assert_eq!(lines(input.as_bytes(), size), expected, "pieces of {size}");
        }
    }

    #[test]
    fn an_endless_line_is_given_up() {
        assert_eq!(lines(&vec![b'x'; MOST_SKIPPED + 1], 4096).last(), Some(&Line::Endless));
    }
}
