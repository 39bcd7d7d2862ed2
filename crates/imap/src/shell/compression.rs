//! DEFLATE in both directions of a connection (RFC 4978), without I/O.

mod deflating;
mod inflating;

use std::sync::Arc;

pub(super) use deflating::{Deflating, MOST_DEFLATERS};
pub(super) use inflating::{Inflated, Inflating};
use tokio::sync::Semaphore;

/// Both directions of a connection.
pub(super) struct Compression {
    pub(super) inflating: Inflating,
    pub(super) deflating: Deflating,
}

impl Compression {
    /// Begins; `early` is what the client sent already, and `deflaters` counts the deflaters that all connections may have yet.
    pub(super) fn new(early: &[u8], deflaters: Arc<Semaphore>) -> Self {
        Compression { inflating: Inflating::new(early), deflating: Deflating::new(deflaters) }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use flate2::{Compress, FlushCompress};
    use proptest::prelude::*;

    use super::deflating::LEVEL;
    use super::inflating::{INPUT_OCTETS, LARGEST_WINDOW};
    use super::*;

    fn few() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(1))
    }

    /// What is compressed and flushed.
    fn compressed(pieces: &[&[u8]]) -> Vec<u8> {
        sent(&mut Deflating::new(few()), pieces)
    }

    fn sent(compression: &mut Deflating, pieces: &[&[u8]]) -> Vec<u8> {
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
        let (mut server, mut all, mut buffer) = (Inflating::new(&[]), Vec::new(), vec![0; size]);
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
            let mut server = Inflating::new(&wire);
            let mut buffer = vec![0; size];
            while let Ok(Inflated::Octets(_)) = server.inflate(&mut buffer) {}
        }
    }

    #[test]
    fn every_flush_brings_all_that_was_said() {
        let (mut server, mut client) = (Deflating::new(few()), Vec::new());
        for line in ["* 1 EXISTS\r\n", "a OK Completed\r\n", "* 1 EXISTS\r\n"] {
            client.extend(sent(&mut server, &[line.as_bytes()]));
            assert!(inflated(&client, 100).ends_with(line.as_bytes()), "{line}");
        }
        assert!(!server.flush().unwrap(), "nothing was said since");
    }

    /// Answers that are long enough for a deflater.
    fn long(count: u32) -> Vec<u8> {
        (0..count).flat_map(|number| format!("* {number} EXISTS\r\n").into_bytes()).collect()
    }

    /// The client has one inflater for the whole connection.
    #[test]
    fn a_session_that_rested_goes_on_in_the_same_stream() {
        let deflaters = few();
        let mut server = Deflating::new(deflaters.clone());
        let (first, more) = (long(100), long(200));
        let mut wire = sent(&mut server, &[&first]);
        assert!(wire.len() < first.len() / 2, "{}", wire.len());
        assert!(server.can_rest() && deflaters.available_permits() == 0);
        server.rest();
        assert_eq!((server.kept(), deflaters.available_permits()), ((false, 0), 1));
        wire.extend(sent(&mut server, &[&more]));
        server.deflate(b"* 3").unwrap();
        server.rest();
        assert!(server.kept().0, "what was not flushed is not lost");
        wire.extend(sent(&mut server, &[b" EXISTS\r\n"]));
        assert_eq!(inflated(&wire, 7), [&first[..], &more, b"* 3 EXISTS\r\n"].concat());
    }

    /// What many clients in IDLE are told at once would take 380 KB for each of them.
    #[test]
    fn what_is_short_needs_no_deflater() {
        let deflaters = few();
        let mut server = Deflating::new(deflaters.clone());
        let mut wire = sent(&mut server, &[b"* 1 EXISTS\r\n", b"* 1 RECENT\r\n"]);
        assert_eq!(wire, b"\0\x0c\0\xf3\xff* 1 EXISTS\r\n\0\x0c\0\xf3\xff* 1 RECENT\r\n");
        assert_eq!((server.kept(), deflaters.available_permits()), ((false, 0), 1));
        let more = long(100);
        wire.extend(sent(&mut server, &[b"* 2 EXISTS\r\n", &more]));
        assert_eq!(deflaters.available_permits(), 0);
        assert_eq!(inflated(&wire, 100), [b"* 1 EXISTS\r\n* 1 RECENT\r\n* 2 EXISTS\r\n", &more[..]].concat());
    }

    #[test]
    fn where_no_deflater_is_left_octets_are_sent_as_they_are() {
        let deflaters = few();
        let (mut first, mut second) = (Deflating::new(deflaters.clone()), Deflating::new(deflaters.clone()));
        let text = long(5_000);
        let mut wire = sent(&mut second, &[b"* BYE"]);
        sent(&mut first, &[&text]);
        wire.extend(sent(&mut second, &[b"+ ", &text]));
        assert!(!second.kept().0 && wire.len() > text.len());
        drop(first);
        wire.extend(sent(&mut second, &[&text]));
        assert!(second.kept().0 && wire.len() < text.len() * 3 / 2, "{}", wire.len());
        assert_eq!(inflated(&wire, 4_000), [b"* BYE+ ", &text[..], &text].concat());
    }

    /// 64 MiB of zeros come as some 64 KiB. Whoever reads gets them by the buffer, and nothing is kept beside it.
    #[test]
    fn what_expands_without_end_takes_no_memory() {
        let zeros = vec![0; 64 * 1024 * 1024];
        let wire = compressed(&[&zeros]);
        assert!(wire.len() < 512 * 1024, "{}", wire.len());
        let (mut server, mut buffer, mut octets) = (Inflating::new(&[]), vec![1; 32 * 1024], 0);
        for piece in wire.chunks(INPUT_OCTETS) {
            server.room()[..piece.len()].copy_from_slice(piece);
            server.filled(piece.len());
            while let Inflated::Octets(more) = server.inflate(&mut buffer).unwrap() {
                octets += more;
                assert!(server.kept() <= INPUT_OCTETS + LARGEST_WINDOW);
            }
        }
        assert_eq!(octets, zeros.len());
    }

    #[test]
    fn what_came_early_counts_and_its_memory_is_given_back() {
        let mut server = Inflating::new(&compressed(&[&[b'x'; 100_000], b"y"]));
        let (mut all, mut buffer) = (0, [0; 512]);
        while let Inflated::Octets(octets) = server.inflate(&mut buffer).unwrap() {
            all += octets;
        }
        assert_eq!(all, 100_001);
        server.room();
        assert_eq!(server.kept(), INPUT_OCTETS + LARGEST_WINDOW);
    }

    /// A client may refer back to all that it said, and no more is kept of it.
    #[test]
    fn the_window_grows_with_what_the_client_has_said() {
        let line = |number: u32| format!("a{number} UID FETCH {number}:* (FLAGS)\r\n").into_bytes();
        let mut client = Compress::new(flate2::Compression::best(), false);
        let (mut server, mut said) = (Inflating::new(&[]), 0);
        for number in 0..5_000 {
            let line = line(number);
            let mut wire = Vec::with_capacity(1024);
            client.compress_vec(&line, &mut wire, FlushCompress::Sync).unwrap();
            server.room()[..wire.len()].copy_from_slice(&wire);
            server.filled(wire.len());
            let (mut all, mut buffer) = (Vec::new(), [0; 7]);
            while let Inflated::Octets(octets) = server.inflate(&mut buffer).unwrap() {
                all.extend_from_slice(&buffer[..octets]);
            }
            assert_eq!(all, line);
            said += line.len();
            let most = LARGEST_WINDOW.min(2 * said.max(512));
            assert!(server.kept() <= INPUT_OCTETS + most, "{} after {said}", server.kept());
        }
    }

    #[test]
    fn the_end_of_a_stream_is_its_end() {
        let mut wire = Vec::with_capacity(100);
        let mut client = Compress::new(flate2::Compression::new(LEVEL), false);
        client.compress_vec(b"a NOOP\r\n", &mut wire, FlushCompress::Finish).unwrap();
        wire.extend_from_slice(b"b NOOP\r\n");
        let (mut server, mut buffer) = (Inflating::new(&wire), [0; 8]);
        assert_eq!(server.inflate(&mut buffer).unwrap(), Inflated::Octets(8));
        assert_eq!(server.inflate(&mut buffer).unwrap(), Inflated::Ended);
        assert_eq!(server.inflate(&mut buffer).unwrap(), Inflated::Ended);
    }

    /// What zlib 1.2.13 made of three commands, flushed by Z_SYNC_FLUSH, Z_PARTIAL_FLUSH and Z_SYNC_FLUSH.
    #[test]
    fn what_zlib_compressed_comes_out() {
        let mut server = Inflating::new(&[]);
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
        let error = Inflating::new(b"\x07 NOOP\r\n").inflate(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
