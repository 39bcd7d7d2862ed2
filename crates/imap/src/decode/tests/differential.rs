//! imap-codec beside our own grammar: a command that both know comes out the same, and no octets make either panic.

use proptest::prelude::*;

use super::*;

/// Commands that imap-codec knows. Both decoders must give the same for each.
const KNOWN_TO_BOTH: &[&str] = &[
    "CAPABILITY",
    "noop",
    "LOGOUT",
    "STARTTLS",
    "NAMESPACE",
    "CHECK",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "IDLE",
    "LOGIN alice secret",
    "LOGIN \"alice\" \"se\\\"c\\\\ret\"",
    "LOGIN {5}\r\nalice {6+}\r\nsecret",
    "AUTHENTICATE PLAIN",
    "AUTHENTICATE plain AHRpbQB0YW5zdGFhZnRhbnN0YWFm",
    "AUTHENTICATE PLAIN =",
    "ENABLE CONDSTORE",
    "ENABLE UTF8=ACCEPT X-Good-Idea",
    "ID NIL",
    "ID (\"name\" \"mutt\" \"version\" NIL)",
    "SELECT INBOX",
    "SELECT inbox (CONDSTORE)",
    "EXAMINE \"a b\"",
    "EXAMINE Entw&APw-rfe (condstore)",
    "CREATE Archive/2024/",
    "DELETE x",
    "RENAME x \"&Jjo-\"",
    "SUBSCRIBE {3}\r\na/b",
    "UNSUBSCRIBE a.b",
    "LIST \"\" *",
    "LIST \"\" \"\"",
    "LIST \"a/\" \"%/b\"",
    "LSUB \"\" %",
    "STATUS x (MESSAGES)",
    "STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ DELETED)",
    "COPY 2:4 x",
    "UID COPY 1,3,7:* INBOX",
    "MOVE *:4 x",
    "UID MOVE 4294967295 x",
    "UID EXPUNGE 3000:3002",
    "STORE 1 FLAGS (\\Seen)",
    "STORE 1:* +FLAGS.SILENT (\\Deleted $Junk NonJunk)",
    "UID STORE 5 -FLAGS ()",
    "STORE 1 +flags \\seen \\flagged",
    "UID STORE 4 (UNCHANGEDSINCE 0) +FLAGS (\\Answered)",
    "FETCH 1 ALL",
    "FETCH 1:3 FAST",
    "FETCH 1,2 full",
    "FETCH 1 FLAGS",
    "FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE RFC822 RFC822.HEADER RFC822.TEXT)",
    "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)",
    "FETCH 1 BODY[]",
    "FETCH 1 BODY.PEEK[]<0.2048>",
    "FETCH 1 (BODY[TEXT] BODY[1.2.MIME] BODY[3.HEADER] BODY[3.TEXT] BODY[1]<5.1> MODSEQ)",
    "FETCH 1 BODY.PEEK[HEADER.FIELDS (From \"To\" {2}\r\nCc)]",
    "FETCH 1 BODY[2.HEADER.FIELDS.NOT (Received)]",
    "SEARCH ALL",
    "UID SEARCH 1:5 UID 7,9:* NOT SEEN",
    "SEARCH ANSWERED DELETED DRAFT FLAGGED NEW OLD RECENT SEEN",
    "SEARCH UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN KEYWORD $Junk UNKEYWORD NonJunk",
    "SEARCH BEFORE 1-Feb-1994 ON \"01-feb-2024\" SINCE 31-Dec-1999 SENTBEFORE 1-Jan-2000 SENTON 2-Jan-2000 SENTSINCE 3-Jan-2000",
    "SEARCH FROM alice TO \"bob b\" CC x BCC y SUBJECT {3}\r\nabc BODY z TEXT \"\"",
    "SEARCH HEADER Message-ID \"<a@b>\" LARGER 1000 SMALLER 0",
    "SEARCH CHARSET UTF-8 SUBJECT {4+}\r\n\u{263a}x",
    "SEARCH CHARSET koi8-r TEXT x",
    "SEARCH OR (SEEN FLAGGED) (OR NOT 1 (DELETED))",
    "SEARCH MODSEQ 620162338",
    "SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338",
];

/// Fuzzing found that imap-codec alone takes mod-sequences of 64 bits. RFC 7162 section 7: they have 63.
#[test]
fn mod_sequences_have_63_bits() {
    let texts =
        ["UID FETCH 1:* (FLAGS) (CHANGEDSINCE #)", "SEARCH MODSEQ #", "STORE 1 (UNCHANGEDSINCE #) FLAGS ()"];
    for text in texts {
        let with = |number: u64| format!("a1 {}", text.replace('#', &number.to_string()));
        assert!(command(with((1 << 63) - 1).as_bytes(), NAMES).is_ok(), "{text}");
        assert!(command(with(1 << 63).as_bytes(), NAMES).is_err(), "{text}");
    }
}

#[test]
fn both_decoders_agree_on_what_both_know() {
    for text in KNOWN_TO_BOTH {
        let text = format!("a1 {text}");
        let by_codec = by_codec(text.as_bytes(), NAMES);
        assert!(by_codec.is_some(), "imap-codec knows {text:?}");
        assert_eq!(by_codec, by_own(text.as_bytes(), NAMES).ok(), "{text:?}");
    }
}

/// Commands made of the words of the grammar in likely and unlikely orders.
fn commands() -> impl Strategy<Value = String> {
    let words = [
        "SEARCH",
        "FETCH",
        "STORE",
        "UID",
        "LIST",
        "STATUS",
        "SELECT",
        "COPY",
        "NOT",
        "OR",
        "(",
        ")",
        "SEEN",
        "FROM",
        "x",
        "\"q r\"",
        "{2+}\r\nab",
        "1",
        "2:4,*",
        "1:*",
        "INBOX",
        "\"\"",
        "*",
        "%",
        "FLAGS",
        "+FLAGS.SILENT",
        "\\Seen",
        "(\\Deleted kw)",
        "BODY[]",
        "BODY.PEEK[1.TEXT]<1.2>",
        "BODY",
        "ENVELOPE",
        "MESSAGES",
        "KEYWORD",
        "LARGER",
        "OLDER",
        "1-Feb-1994",
        "BEFORE",
        "MODSEQ",
        "CHARSET",
        "UTF-8",
        "(UNSEEN)",
        "(MESSAGES UNSEEN)",
        "(FLAGS UID)",
        "&",
        "ID",
        "LOGIN",
        "NIL",
        "ENABLE",
        "HEADER",
        "TEXT",
        "ALL",
        "(CHANGEDSINCE 5)",
        "(CONDSTORE)",
        "CREATE",
        "RENAME",
    ];
    let word = prop::sample::select(words.to_vec());
    prop::collection::vec(word, 1..9).prop_map(|words| format!("a1 {}", words.join(" ")))
}

/// A known command with one octet changed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let text = prop::sample::select(KNOWN_TO_BOTH.to_vec());
    (text, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(text, place, octet)| {
        let mut octets = format!("a1 {text}").into_bytes();
        let place = place.index(octets.len());
        octets[place] = octet;
        octets
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn both_decoders_agree_where_imap_codec_has_an_opinion(text in commands()) {
        if let Some(command) = by_codec(text.as_bytes(), NAMES) {
            prop_assert_eq!(Some(command), by_own(text.as_bytes(), NAMES).ok());
        }
    }

    #[test]
    fn both_decoders_agree_on_commands_with_an_error(octets in mutated()) {
        if let Some(command) = by_codec(&octets, NAMES) {
            prop_assert_eq!(Some(command), by_own(&octets, NAMES).ok());
        }
    }

    #[test]
    fn arbitrary_octets_do_not_panic(octets in any::<Vec<u8>>(), size in any::<u64>()) {
        let text = [b"a SEARCH ", octets.as_slice()].concat();
        let _ = (command(&octets, NAMES), command(&text, NAMES));
        let _ = (append_start(&octets, Some(size), NAMES), append_more(&octets, Some(size), size % 2 == 0));
        let _ = (append_start(&octets, None, NAMES), append_more(&octets, None, size % 2 == 0));
    }
}
