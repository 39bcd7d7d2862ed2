//! What the client sends.
//!
//! It is inflated into the buffer of whoever reads, never beyond it: however far a few octets expand, they take no memory but this.
//! The client may refer back to the last 32 KiB of what it said at any time. They are kept in a window of our own, which is no
//! larger than what it has said so far: a client that sits in IDLE has said little. zlib would keep all 32 KiB for everybody.

use std::io;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress_with_limit};

/// How many compressed octets are read at once.
pub(super) const INPUT_OCTETS: usize = 4 * 1024;
/// The window at first.
const SMALLEST_WINDOW: usize = 1024;
/// How far back a client may refer (RFC 1951 section 2).
pub(super) const LARGEST_WINDOW: usize = 32 * 1024;

/// What inflating came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Inflated {
    /// So many octets, never none.
    Octets(usize),
    /// More compressed octets are needed.
    Hungry,
    /// The client said that nothing more comes.
    Ended,
}

/// The direction from the client.
pub(in super::super) struct Inflating {
    inflater: Box<DecompressorOxide>,
    /// The last of what was inflated; its size is a power of two, and the next octet belongs at `place`.
    window: Vec<u8>,
    place: usize,
    /// Compressed octets of the client; those from `taken` up to `filled` are not inflated yet.
    input: Vec<u8>,
    taken: usize,
    filled: usize,
    /// Whether the inflater may hold octets that found no room.
    holds_back: bool,
}

impl Inflating {
    pub(super) fn new(early: &[u8]) -> Self {
        Inflating {
            inflater: Box::default(),
            window: vec![0; SMALLEST_WINDOW],
            place: 0,
            input: early.to_vec(),
            taken: 0,
            filled: early.len(),
            holds_back: false,
        }
    }

    /// Where compressed octets of the client go, once those before are inflated; then [`Self::filled`].
    pub(in super::super) fn room(&mut self) -> &mut [u8] {
        (self.taken, self.filled) = (0, 0);
        self.input.resize(INPUT_OCTETS, 0);
        self.input.shrink_to_fit();
        &mut self.input
    }

    /// So many octets were put into the room.
    pub(in super::super) fn filled(&mut self, octets: usize) {
        self.filled = octets.min(self.input.len());
    }

    /// Inflates into `buffer`, which is not empty.
    ///
    /// # Errors
    /// Where the client sends what is no DEFLATE (RFC 1951).
    pub(in super::super) fn inflate(&mut self, buffer: &mut [u8]) -> io::Result<Inflated> {
        let input = self.input.get(self.taken..self.filled).unwrap_or_default();
        if input.is_empty() && !self.holds_back {
            return Ok(Inflated::Hungry);
        }
        if self.place == self.window.len() {
            match self.window.len() {
                LARGEST_WINDOW => self.place = 0,
                size => self.window.resize(size * 2, 0),
            }
        }
        let most = buffer.len().min(self.window.len() - self.place);
        let (inflater, window) = (&mut *self.inflater, &mut self.window);
        let (status, taken, given) =
            decompress_with_limit(inflater, input, window, self.place, most, TINFL_FLAG_HAS_MORE_INPUT);
        let left = input.len().saturating_sub(taken);
        self.taken += taken;
        let octets = self.window.get(self.place..self.place + given).unwrap_or_default();
        buffer.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        self.place += given;
        self.holds_back = matches!(status, TINFLStatus::HasMoreOutput | TINFLStatus::Done);
        match (given, status) {
            (0, TINFLStatus::Done) => Ok(Inflated::Ended),
            // It takes everything unless there is no room for what it gives.
            (0, TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput) if left == 0 => {
                Ok(Inflated::Hungry)
            }
            (1.., TINFLStatus::Done | TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput) => {
                Ok(Inflated::Octets(given))
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// How many octets are kept for this connection, beside the inflater itself.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.window.capacity() + self.input.capacity()
    }
}
