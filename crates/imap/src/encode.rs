//! Response primitives, written straight into the buffer that goes to the client.

use mailstore::crdt::view::ReceivedAt;
use message::InternalDate;

use crate::mailbox_name::NameEncoding;

/// Writes a `string`: quoted where it is short ASCII in one line, else a literal. A NUL, which IMAP cannot write, becomes a
/// question mark.
pub fn string(octets: &[u8], out: &mut Vec<u8>) {
    message::encode::string(octets, out);
}

/// Writes an `nstring`.
pub fn nstring(octets: Option<&[u8]>, out: &mut Vec<u8>) {
    match octets {
        Some(octets) => string(octets, out),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Writes `nstring / literal8`: a literal8 where there is a NUL, which a string cannot hold.
pub fn nstring8(octets: Option<&[u8]>, out: &mut Vec<u8>) {
    match octets {
        Some(octets) if octets.contains(&0) => {
            out.extend_from_slice(format!("~{{{}}}\r\n", octets.len()).as_bytes());
            out.extend_from_slice(octets);
        }
        octets => nstring(octets, out),
    }
}

/// Writes an `astring`: an atom where the octets are one and could not be mistaken for `NIL`, else a `string`.
pub fn astring(octets: &[u8], out: &mut Vec<u8>) {
    let atom = |octet: &u8| octet.is_ascii_graphic() && !b"(){%*\"\\".contains(octet);
    if !octets.is_empty() && octets.iter().all(atom) && !octets.eq_ignore_ascii_case(b"NIL") {
        out.extend_from_slice(octets);
    } else {
        string(octets, out);
    }
}

/// Writes a mailbox name: always quoted, for some clients find it by its quotes.
pub fn mailbox(name: &str, names: NameEncoding, out: &mut Vec<u8>) {
    out.push(b'"');
    for octet in names.encode(name).bytes() {
        match octet {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', octet]),
            // UTF-8 names alone: none of these can stand in quotes, and no mailbox has them.
            b'\r' | b'\n' | 0 => out.push(b'?'),
            octet => out.push(octet),
        }
    }
    out.push(b'"');
}

/// Writes a `date-time` with its quotes: `"17-Jul-1996 02:44:25 -0700"`.
pub fn date_time(received: ReceivedAt, out: &mut Vec<u8>) {
    let date = InternalDate { seconds: received.seconds, offset_minutes: received.offset_minutes };
    out.push(b'"');
    out.extend_from_slice(date.to_string().as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_take_the_shortest_safe_form() {
        assert_eq!(written(|out| string(b"a \"b\\", out)), r#""a \"b\\""#);
        assert_eq!(written(|out| string("\u{e9}\r\n".as_bytes(), out)), "{4}\r\n\u{e9}\r\n");
        assert_eq!(written(|out| nstring(None, out)), "NIL");
        assert_eq!(written(|out| nstring8(None, out)), "NIL");
        assert_eq!(written(|out| nstring8(Some(b"a"), out)), "\"a\"");
        assert_eq!(written(|out| nstring8(Some(b"a\0"), out)), "~{2}\r\na\0");
        assert_eq!(written(|out| astring(b"$Junk", out)), "$Junk");
        assert_eq!(written(|out| astring(b"nil", out)), "\"nil\"");
        assert_eq!(written(|out| astring(b"", out)), "\"\"");
    }

    #[test]
    fn mailbox_names_are_quoted() {
        assert_eq!(written(|out| mailbox("a\"b/\u{fc}", NameEncoding::ModifiedUtf7, out)), r#""a\"b/&APw-""#);
        assert_eq!(written(|out| mailbox("\u{fc}", NameEncoding::Utf8, out)), "\"\u{fc}\"");
    }

    #[test]
    fn dates_keep_their_zone() {
        let received = ReceivedAt { seconds: 837_596_665, offset_minutes: -420 };
        assert_eq!(written(|out| date_time(received, out)), "\"17-Jul-1996 02:44:25 -0700\"");
    }
}
