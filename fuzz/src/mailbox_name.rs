//! Names of mailboxes in modified UTF-7 (RFC 3501 section 5.1.3): what decodes is spelled again to the same name.

use imap::mailbox_name::NameEncoding;

/// The input is a name on the wire, and a name.
pub fn run(octets: &[u8]) {
    for encoding in [NameEncoding::ModifiedUtf7, NameEncoding::Utf8] {
        if let Ok(name) = encoding.decode(octets) {
            assert_eq!(encoding.decode(encoding.encode(&name).as_bytes()), Ok(name));
        }
        let name = String::from_utf8_lossy(octets);
        let wire = encoding.encode(&name);
        assert_eq!(encoding.decode(wire.as_bytes()).as_deref(), Ok(name.as_ref()));
        assert!(encoding == NameEncoding::Utf8 || wire.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
    }
}
