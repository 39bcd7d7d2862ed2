//! imap-codec beside our own grammar: what it accepts and we offer, ours has to accept with the same result.

use imap::decode;
use imap::mailbox_name::NameEncoding;

/// The input is a command as the framer gives it.
pub fn run(octets: &[u8]) {
    let names = NameEncoding::ModifiedUtf7;
    if let Some(command) = decode::by_codec(octets, names) {
        assert_eq!(Ok(&command), decode::by_own(octets, names).as_ref());
        assert_eq!(Ok(command), decode::command(octets, names));
    }
}
