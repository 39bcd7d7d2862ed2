//! Clients that send anything at all: the session answers or hangs up, and never panics.

use proptest::prelude::*;

use super::client::{Client, TLS, mail, store};
use crate::session::ConnectionInfo;

/// Words that mean something, now and then.
const WORDS: [&str; 30] = [
    "USER alice",
    "PASS secret",
    "PASS wrong",
    "AUTH PLAIN",
    "AUTH PLAIN AGFsaWNlAHNlY3JldA==",
    "*",
    "=",
    "AGFsaWNlAHNlY3JldA==",
    "STLS",
    "CAPA",
    "STAT",
    "LIST",
    "UIDL",
    "RETR",
    "TOP",
    "DELE",
    "NOOP",
    "RSET",
    "QUIT",
    " ",
    "1",
    "2",
    "3",
    "0",
    "18446744073709551616",
    "\r\n",
    "\n",
    "\r",
    "\0",
    "\u{e9}",
];

fn octets() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(WORDS.to_vec()).prop_map(|word| word.as_bytes().to_vec());
    let line = prop::sample::select(WORDS.to_vec()).prop_map(|word| format!("{word}\r\n").into_bytes());
    let piece = prop_oneof![
        4 => word,
        4 => line,
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (1usize..400).prop_map(|count| vec![b'x'; count]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_is_answered_in_lines(
        octets in octets(),
        logged_in in any::<bool>(),
        cuts in prop::collection::vec(1usize..50, 1..10),
    ) {
        let store = store();
        for id in ["one", "two"] {
            store.deliver(mail(id).as_bytes());
        }
        store.deliver(b"bare\n\n.\n.\r");
        let clear = ConnectionInfo { tls: false, stls: true, plaintext_allowed: false };
        let mut client = match logged_in {
            true => Client::logged_in(&store),
            false => Client::connect(&store, clear).0,
        };
        let (mut rest, mut cuts, mut answers) = (octets.as_slice(), cuts.iter().cycle(), Vec::new());
        while !rest.is_empty() && !client.closed {
            let cut = rest.len().min(cuts.next().copied().unwrap_or(1));
            let (piece, after) = rest.split_at(cut);
            answers.extend(client.feed(piece));
            rest = after;
        }
        prop_assert!(answers.is_empty() || answers.ends_with(b"\r\n"));
        let bare = answers.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r');
        prop_assert!(!bare, "{:?}", String::from_utf8_lossy(&answers));
        // Whatever one session did, the next can read what is left.
        let mut next = Client::logged_in(&store);
        let count = next.list("LIST").len();
        prop_assert!(count <= 3);
        for number in 1..=count {
            let answer = next.send(&format!("RETR {number}"));
            prop_assert!(answer.starts_with("+OK ") && answer.ends_with("\r\n.\r\n"), "{}", answer);
        }
        let _ = TLS;
    }
}
