//! What fuzzing begins with: the files beside this crate, one input a line, and for messages the corpus of odd ones.

use std::path::Path;

#[path = "../../../crates/message/tests/common/corpus.rs"]
#[allow(dead_code, reason = "not all of it is used here")]
mod corpus;

/// The names of all targets.
pub const TARGETS: [&str; 10] = [
    "imap_decode_codec",
    "imap_decode_own",
    "imap_framer",
    "imap_session",
    "lmtp",
    "mailbox_name",
    "mime",
    "peer_frame",
    "pop3",
    "sasl",
];

/// The inputs that a target begins with.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "imap_decode_codec" | "imap_decode_own" => {
            lines("imap_decode").into_iter().map(|line| [b"a ", line.as_slice()].concat()).collect()
        }
        "mime" => {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/message/tests/corpus");
            corpus::read(&directory).into_iter().map(|entry| entry.message).collect()
        }
        other => lines(other),
    }
}

fn lines(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| corpus::unescape(line, name)).collect()
}
