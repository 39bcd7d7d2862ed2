//! Our own grammar of IMAP: it ends, in a command or in an error that can be told in one line.

use imap::decode::{self, DecodeError};
use imap::mailbox_name::NameEncoding;

/// The input is a command as the framer gives it, the beginning of an APPEND, or what stands between its messages.
pub fn run(octets: &[u8]) {
    for names in [NameEncoding::ModifiedUtf7, NameEncoding::Utf8] {
        match decode::by_own(octets, names) {
            Ok(command) => {
                assert!(octets.starts_with(command.tag.to_string().as_bytes()));
                assert_eq!(Ok(command), decode::by_own(&waiting_not(octets), names), "LITERAL+");
            }
            Err(error) => check_error(&error),
        }
    }
    let names = NameEncoding::ModifiedUtf7;
    for size in [None, Some(0), Some(310)] {
        if let Err(error) = decode::append_start(octets, size, names) {
            check_error(&error);
        }
        for catenating in [false, true] {
            if let Err(error) = decode::append_more(octets, size, catenating) {
                check_error(&error);
            }
        }
    }
    decode::is_catenate(octets);
    decode::section(octets);
}

/// One line of printable ASCII, of bounded length, and a tag that can be told.
fn check_error(error: &DecodeError) {
    assert!(error.text.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{error:?}");
    assert!((1..=1_000).contains(&error.text.len()), "{error:?}");
    if let Some(tag) = &error.tag {
        assert!(tag.to_string().bytes().all(|octet| octet.is_ascii_graphic()), "{error:?}");
    }
}

/// The same command from a client that does not wait before its literals (RFC 7888).
fn waiting_not(octets: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut rest = octets;
    while let Some(end) = rest.windows(3).position(|window| window == b"}\r\n") {
        let (line, after) = rest.split_at(end);
        all.extend_from_slice(line);
        let digits = line.rsplit(|octet| *octet == b'{').next().unwrap_or_default();
        let announced = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
        let (Some(size), true) = (announced, line.len() > digits.len()) else {
            all.extend_from_slice(&after[..3]);
            rest = &after[3..];
            continue;
        };
        all.extend_from_slice(b"+}\r\n");
        let end = after.len().min(size.saturating_add(3));
        all.extend_from_slice(&after[3..end]);
        rest = &after[end..];
    }
    all.extend_from_slice(rest);
    all
}
