//! DEFLATE in both directions of a connection (RFC 4978), without I/O.
//!
//! What the client sends is inflated straight into the buffer of whoever reads, never beyond it: however far a few octets expand,
//! they take no memory but this. What stays of a session is its inflater, as the client may refer back to what it sent at any
//! time, and [`INPUT_OCTETS`]: 52 KB. The deflater (380 KB) and [`OUTPUT_OCTETS`] are there only while the session is busy: see
//! [`Compression::rest`].

use std::io;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

/// How hard the deflater tries: about the middle between speed and size.
const LEVEL: u32 = 4;
/// How many compressed octets are read at once.
const INPUT_OCTETS: usize = 4 * 1024;
/// How many compressed octets are collected before they are written.
const OUTPUT_OCTETS: usize = 16 * 1024;

/// What inflating came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inflated {
    /// So many octets, never none.
    Octets(usize),
    /// More compressed octets are needed.
    Hungry,
    /// The client said that nothing more comes.
    Ended,
}

/// Both directions of a connection.
pub(super) struct Compression {
    inflater: Decompress,
    /// Compressed octets of the client; those from `taken` up to `filled` are not inflated yet.
    input: Vec<u8>,
    taken: usize,
    filled: usize,
    /// Whether the inflater may hold octets that found no room.
    holds_back: bool,
    /// Made when there is something to send.
    deflater: Option<Compress>,
    /// Whether the deflater took octets that it did not give out yet.
    unflushed: bool,
    /// Compressed octets for the client; those up to `sent` are on their way.
    output: Vec<u8>,
    sent: usize,
}

impl Compression {
    /// Begins; `early` is what the client sent already.
    pub(super) fn new(early: &[u8]) -> Self {
        Compression {
            inflater: Decompress::new(false),
            input: early.to_vec(),
            taken: 0,
            filled: early.len(),
            holds_back: false,
            deflater: None,
            unflushed: false,
            output: Vec::new(),
            sent: 0,
        }
    }

    /// Where compressed octets of the client go, once those before are inflated; then [`Self::filled`].
    pub(super) fn room(&mut self) -> &mut [u8] {
        (self.taken, self.filled) = (0, 0);
        self.input.resize(INPUT_OCTETS, 0);
        self.input.shrink_to_fit();
        &mut self.input
    }

    /// So many octets were put into the room.
    pub(super) fn filled(&mut self, octets: usize) {
        self.filled = octets.min(self.input.len());
    }

    /// Inflates into `buffer`, which is not empty.
    pub(super) fn inflate(&mut self, buffer: &mut [u8]) -> io::Result<Inflated> {
        let input = self.input.get(self.taken..self.filled).unwrap_or_default();
        if input.is_empty() && !self.holds_back {
            return Ok(Inflated::Hungry);
        }
        let (taken, given) = (self.inflater.total_in(), self.inflater.total_out());
        let status = self.inflater.decompress(input, buffer, FlushDecompress::None);
        let status = status.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let taken = difference(self.inflater.total_in(), taken);
        let given = difference(self.inflater.total_out(), given);
        let left = input.len().saturating_sub(taken);
        self.taken += taken;
        self.holds_back = given == buffer.len() || status == Status::StreamEnd;
        match (given, status) {
            (0, Status::StreamEnd) => Ok(Inflated::Ended),
            // It takes everything unless there is no room for what it gives.
            (0, _) if left > 0 => Err(io::ErrorKind::InvalidData.into()),
            (0, _) => Ok(Inflated::Hungry),
            (given, _) => Ok(Inflated::Octets(given)),
        }
    }

    /// What is to be written to the client now.
    pub(super) fn unsent(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    /// So many octets of it were written.
    pub(super) fn sent(&mut self, octets: usize) {
        self.sent = self.output.len().min(self.sent.saturating_add(octets));
    }

    /// Compresses from the front of `octets`, once nothing is unsent; tells how many were taken.
    pub(super) fn deflate(&mut self, octets: &[u8]) -> io::Result<usize> {
        let taken = self.run(octets, FlushCompress::None)?;
        self.unflushed |= taken > 0;
        Ok(taken)
    }

    /// Has the deflater give out what it took, once nothing is unsent. Whether more has to be sent, and then more flushed.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        if !self.unflushed {
            return Ok(false);
        }
        self.run(&[], FlushCompress::Sync)?;
        self.unflushed = self.output.len() == self.output.capacity();
        Ok(!self.output.is_empty())
    }

    fn run(&mut self, octets: &[u8], flush: FlushCompress) -> io::Result<usize> {
        self.output.clear();
        self.output.reserve(OUTPUT_OCTETS);
        self.sent = 0;
        let deflater =
            self.deflater.get_or_insert_with(|| Compress::new(flate2::Compression::new(LEVEL), false));
        let before = deflater.total_in();
        deflater.compress_vec(octets, &mut self.output, flush).map_err(io::Error::other)?;
        Ok(difference(deflater.total_in(), before))
    }

    /// Whether [`Self::rest`] would free memory.
    pub(super) fn can_rest(&self) -> bool {
        self.deflater.is_some() && !self.unflushed && self.unsent().is_empty()
    }

    /// Gives back what a session does not need that says nothing. A flush ended at a whole octet, so another deflater may go on
    /// there; it only does not refer to what was sent before.
    pub(super) fn rest(&mut self) {
        if self.can_rest() {
            self.deflater = None;
            (self.output, self.sent) = (Vec::new(), 0);
        }
    }
}

fn difference(after: u64, before: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a client compresses and flushes.
    fn compressed(pieces: &[&[u8]]) -> Vec<u8> {
        let mut client = Compression::new(&[]);
        sent(&mut client, pieces)
    }

    fn sent(compression: &mut Compression, pieces: &[&[u8]]) -> Vec<u8> {
        let mut wire = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let taken = compression.deflate(rest).unwrap();
                rest = &rest[taken..];
                wire.extend_from_slice(compression.unsent());
                compression.sent(usize::MAX);
            }
            while compression.flush().unwrap() {
                wire.extend_from_slice(compression.unsent());
                compression.sent(usize::MAX);
            }
        }
        wire
    }

    /// What comes out of the wire, read in pieces of this size.
    fn inflated(wire: &[u8], size: usize) -> Vec<u8> {
        let (mut server, mut all, mut buffer) = (Compression::new(&[]), Vec::new(), vec![0; size]);
        let mut rest = wire;
        loop {
            match server.inflate(&mut buffer).unwrap() {
                Inflated::Octets(octets) => all.extend_from_slice(&buffer[..octets]),
                Inflated::Ended => return all,
                Inflated::Hungry if rest.is_empty() => return all,
                Inflated::Hungry => {
                    let room = server.room();
                    let octets = rest.len().min(room.len()).min(size);
                    room[..octets].copy_from_slice(&rest[..octets]);
                    server.filled(octets);
                    rest = &rest[octets..];
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            pieces in prop::collection::vec(prop::collection::vec(0u8..4, 0..5_000), 0..8),
            size in 1usize..9_000,
        ) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(inflated(&compressed(&pieces), size), pieces.concat());
        }

        #[test]
        fn arbitrary_octets_do_not_panic(wire in any::<Vec<u8>>(), size in 1usize..50) {
            let mut server = Compression::new(&wire);
            let mut buffer = vec![0; size];
            while let Ok(Inflated::Octets(_)) = server.inflate(&mut buffer) {}
        }
    }

    #[test]
    fn every_flush_brings_all_that_was_said() {
        let (mut server, mut client) = (Compression::new(&[]), Vec::new());
        for line in ["* 1 EXISTS\r\n", "a OK Completed\r\n", "* 1 EXISTS\r\n"] {
            client.extend(sent(&mut server, &[line.as_bytes()]));
            assert!(inflated(&client, 100).ends_with(line.as_bytes()), "{line}");
        }
        assert!(!server.flush().unwrap(), "nothing was said since");
    }

    /// The client has one inflater for the whole connection.
    #[test]
    fn a_session_that_rested_goes_on_in_the_same_stream() {
        let mut server = Compression::new(&[]);
        let mut wire = sent(&mut server, &[b"* 1 EXISTS\r\n"]);
        assert!(server.can_rest());
        server.rest();
        assert!(server.deflater.is_none() && server.output.capacity() == 0 && !server.can_rest());
        wire.extend(sent(&mut server, &[b"* 2 EXISTS\r\n"]));
        server.deflate(b"* 3").unwrap();
        server.rest();
        assert!(server.deflater.is_some(), "what was not flushed is not lost");
        wire.extend(sent(&mut server, &[b" EXISTS\r\n"]));
        assert_eq!(inflated(&wire, 7), b"* 1 EXISTS\r\n* 2 EXISTS\r\n* 3 EXISTS\r\n");
    }

    /// 64 MiB of zeros come as some 64 KiB. Whoever reads gets them by the buffer, and nothing is kept beside it.
    #[test]
    fn what_expands_without_end_takes_no_memory() {
        let zeros = vec![0; 64 * 1024 * 1024];
        let wire = compressed(&[&zeros]);
        assert!(wire.len() < 512 * 1024, "{}", wire.len());
        let (mut server, mut buffer, mut octets) = (Compression::new(&[]), vec![1; 32 * 1024], 0);
        for piece in wire.chunks(INPUT_OCTETS) {
            server.room()[..piece.len()].copy_from_slice(piece);
            server.filled(piece.len());
            while let Inflated::Octets(more) = server.inflate(&mut buffer).unwrap() {
                octets += more;
                assert_eq!(server.input.capacity(), INPUT_OCTETS);
            }
        }
        assert_eq!(octets, zeros.len());
    }

    #[test]
    fn what_came_early_counts_and_its_memory_is_given_back() {
        let mut server = Compression::new(&compressed(&[&[b'x'; 100_000], b"y"]));
        let (mut all, mut buffer) = (0, [0; 512]);
        while let Inflated::Octets(octets) = server.inflate(&mut buffer).unwrap() {
            all += octets;
        }
        assert_eq!(all, 100_001);
        server.room();
        assert_eq!(server.input.capacity(), INPUT_OCTETS);
    }

    #[test]
    fn the_end_of_a_stream_is_its_end() {
        let mut wire = Vec::with_capacity(100);
        let mut client = Compress::new(flate2::Compression::new(LEVEL), false);
        client.compress_vec(b"a NOOP\r\n", &mut wire, FlushCompress::Finish).unwrap();
        wire.extend_from_slice(b"b NOOP\r\n");
        let (mut server, mut buffer) = (Compression::new(&wire), [0; 8]);
        assert_eq!(server.inflate(&mut buffer).unwrap(), Inflated::Octets(8));
        assert_eq!(server.inflate(&mut buffer).unwrap(), Inflated::Ended);
        assert_eq!(server.inflate(&mut buffer).unwrap(), Inflated::Ended);
    }

    /// What zlib 1.2.13 made of three commands, flushed by Z_SYNC_FLUSH, Z_PARTIAL_FLUSH and Z_SYNC_FLUSH.
    #[test]
    fn what_zlib_compressed_comes_out() {
        let mut server = Compression::new(&[]);
        let mut buffer = [0; 100];
        for (wire, expected) in [
            (&b"\x4a\x54\xf0\xf3\xf7\x0f\xe0\xe5\x02\x00\x00\x00\xff\xff"[..], &b"a NOOP\r\n"[..]),
            (b"\x4a\x82\xd2\x00\x01", b"b NOOP\r\n"),
            (b"\x94\xac\xe0\xe3\xef\xee\x1f\x1a\xc2\xcb\x05\x00\x00\x00\xff\xff", b"c LOGOUT\r\n"),
        ] {
            server.room()[..wire.len()].copy_from_slice(wire);
            server.filled(wire.len());
            let Inflated::Octets(octets) = server.inflate(&mut buffer).unwrap() else {
                panic!("{expected:?}")
            };
            assert_eq!(&buffer[..octets], expected);
            assert_eq!(server.inflate(&mut buffer).unwrap(), Inflated::Hungry);
        }
    }

    #[test]
    fn what_is_no_deflate_is_an_error() {
        let error = Compression::new(b"\x07 NOOP\r\n").inflate(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
