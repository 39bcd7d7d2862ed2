//! Cuts lines out of what a client sends, in bounded memory.

/// The longest command in octets, its line end included (RFC 2449 section 4).
pub const LONGEST_COMMAND: usize = 255;
/// The longest line with which a client answers a challenge, in octets, its line end included: base64 of a token (RFC 5034
/// section 4 wants room for what the mechanism needs).
pub const LONGEST_RESPONSE: usize = 16 * 1024;
/// The most octets of an over-long line that are skipped before the connection is given up.
pub const MOST_SKIPPED: usize = 64 * 1024;

/// What the client's octets come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A line without its end.
    Line(Vec<u8>),
    /// A line that was longer than allowed, skipped up to its end.
    TooLong,
    /// More than [`MOST_SKIPPED`] octets without a line end.
    Endless,
}

/// Collects the octets of a line until it is complete.
#[derive(Clone, Debug, Default)]
pub struct Framer {
    /// The line so far.
    held: Vec<u8>,
    /// Octets of an over-long line that were dropped.
    skipped: usize,
}

impl Framer {
    /// Takes octets from the front of `input`, up to the end of a line of at most `longest` octets; `None` once all are taken.
    ///
    /// A line ends with LF, with or without CR before it: no client data follows a command, so nothing can hide between the
    /// two readings.
    pub fn next(&mut self, input: &mut &[u8], longest: usize) -> Option<Event> {
        let end = input.iter().position(|&octet| octet == b'\n').map(|at| at + 1);
        let (piece, rest) = input.split_at_checked(end.unwrap_or(input.len())).unwrap_or((input, &[]));
        *input = rest;
        if self.skipped > 0 || self.held.len() + piece.len() > longest {
            self.skipped += self.held.len() + piece.len();
            self.held.clear();
        } else {
            self.held.extend_from_slice(piece);
        }
        if self.skipped > MOST_SKIPPED {
            return Some(Event::Endless);
        }
        end?;
        if std::mem::take(&mut self.skipped) > 0 {
            return Some(Event::TooLong);
        }
        let mut line = std::mem::take(&mut self.held);
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(Event::Line(line))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All events of an input that arrives in pieces of this size.
    fn events(input: &[u8], size: usize) -> Vec<Event> {
        let (mut framer, mut events) = (Framer::default(), Vec::new());
        for mut piece in input.chunks(size) {
            while !piece.is_empty() {
                events.extend(framer.next(&mut piece, LONGEST_COMMAND));
                assert!(framer.held.len() <= LONGEST_COMMAND);
            }
        }
        events
    }

    fn line(text: &str) -> Event {
        Event::Line(text.as_bytes().to_vec())
    }

    /// RFC 2449 section 4: 255 octets with the line end, not one more.
    #[test]
    fn the_same_lines_whatever_the_pieces() {
        let longest = "x".repeat(LONGEST_COMMAND - 2);
        let input = format!("NOOP\r\nbare\n\r\n{longest}\r\n{longest}y\r\nQUIT\r\nleft");
        let expected =
            vec![line("NOOP"), line("bare"), line(""), line(&longest), Event::TooLong, line("QUIT")];
        for size in [1, 2, 3, 7, 64, 254, 255, 256, input.len()] {
            assert_eq!(events(input.as_bytes(), size), expected, "pieces of {size}");
        }
    }

    #[test]
    fn an_endless_line_is_given_up() {
        assert_eq!(events(&vec![b'x'; MOST_SKIPPED + 1], 4096).last(), Some(&Event::Endless));
    }

    proptest! {
        #[test]
        fn octets_of_any_kind_are_framed_alike(
            input in prop::collection::vec(prop::sample::select(b"\r\n.A 1\0\xff".to_vec()), 0..600),
            size in 1usize..300,
        ) {
            prop_assert_eq!(events(&input, size), events(&input, input.len().max(1)));
        }
    }
}
