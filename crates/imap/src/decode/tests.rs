mod differential;

use jiff::civil::date;
use mailstore::crdt::flag::{Flag, FlagChange};
use mailstore::crdt::identity::{Uid, Validity};
use mailstore::crdt::view::ReceivedAt;

use super::*;
use crate::command::{
    AppendForm, Bound, CommandBody, FetchItem, ListReturn, ListSelection, MatchRun, Messages, Partial,
    Password, SaslResponse, Search, SearchCharset, SearchKey, SearchReturn, SearchSource, Section,
    SectionText, SequenceNumber, StatusItem, UidBatches, UidSet,
};

const NAMES: NameEncoding = NameEncoding::ModifiedUtf7;
const UTF8: NameEncoding = NameEncoding::Utf8;

fn body(text: &str) -> CommandBody {
    command(format!("a1 {text}").as_bytes(), NAMES).unwrap().body
}

fn bad(text: &str) -> String {
    let error = command(text.as_bytes(), NAMES).unwrap_err();
    assert!(error.text.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "one line: {error:?}");
    error.text
}

/// Fuzzing found a date that was told as it came. RFC 9051 section 9: the text of a response is ASCII.
#[test]
fn what_is_no_date_is_told_in_ascii() {
    let error =
        append_start("a APPEND x (\\Seen) \"17\u{575}ul07* \" ".as_bytes(), Some(310), NAMES).unwrap_err();
    assert!(error.text.starts_with(r#"internal date "17\xd5\xb5ul07* " is not a date"#), "{}", error.text);
}

/// RFC 8514
#[test]
fn save_dates_are_fetched_and_searched_for() {
    let CommandBody::Fetch { items, .. } = body("FETCH 1 (savedate UID)") else { panic!("a FETCH") };
    assert_eq!(items, [FetchItem::SaveDate, FetchItem::Uid]);
    let day = date(2026, 9, 21);
    for (text, key) in [
        ("SAVEDBEFORE 21-Sep-2026", SearchKey::SavedBefore(day)),
        ("savedon \"21-Sep-2026\"", SearchKey::SavedOn(day)),
        ("SAVEDSINCE 21-Sep-2026", SearchKey::SavedSince(day)),
        ("SAVEDATESUPPORTED", SearchKey::All),
    ] {
        let CommandBody::Search(search) = body(&format!("SEARCH {text}")) else { panic!("a SEARCH") };
        assert_eq!(search.key, key, "{text}");
    }
    bad("a SEARCH SAVEDBEFORE yesterday");
}

/// RFC 10022
#[test]
fn batches_have_a_size_and_perhaps_a_range() {
    use std::num::NonZeroU32;
    let number = |value| NonZeroU32::new(value).unwrap();
    for (text, size, part) in [
        ("UIDBATCHES 2000", 2000, None),
        ("uidbatches 1 10:20", 1, Some((number(10), number(20)))),
        ("UIDBATCHES 500 4294967295:1", 500, Some((number(u32::MAX), number(1)))),
    ] {
        assert_eq!(body(text), CommandBody::UidBatches(UidBatches { size: number(size), part }), "{text}");
    }
    for wrong in
        ["UIDBATCHES", "UIDBATCHES 0", "UIDBATCHES 4294967296", "UIDBATCHES 5 1", "UIDBATCHES 5 1:2:3"]
    {
        bad(&format!("a {wrong}"));
    }
}

/// RFC 7377 section 4
#[test]
fn a_search_of_several_mailboxes_has_sources() {
    let decoded = |text: &str| match body(text) {
        CommandBody::MultiSearch(decoded) => decoded,
        other => panic!("{other:?}"),
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let search = decoded(
        "esearch in (mailboxes (\"a b\" {1}\r\nc) subtree x SUBTREE-ONE (y) selected inboxes personal subscribed) \
         return (min save) charset utf-8 OR 1 TEXT x",
    );
    assert_eq!(
        search.sources,
        Some(vec![
            SearchSource::Mailboxes(names(&["a b", "c"])),
            SearchSource::Subtree(names(&["x"])),
            SearchSource::SubtreeOne(names(&["y"])),
            SearchSource::Selected,
            SearchSource::Inboxes,
            SearchSource::Personal,
            SearchSource::Subscribed,
        ])
    );
    assert!(search.search.uid);
    let returned = SearchReturn { min: true, save: true, ..SearchReturn::default() };
    assert_eq!(search.search.returned, Some(returned));
    let plain = decoded("ESEARCH UNSEEN");
    assert_eq!((plain.sources, plain.search.key), (None, decoded("ESEARCH RETURN () UNSEEN").search.key));
    assert_eq!(plain.search.returned, Some(SearchReturn { all: true, ..SearchReturn::default() }));
    for wrong in
        ["", " IN", " IN (personal)", " IN (subtree ()) ALL", " IN personal ALL", " IN (personal) RETURN"]
    {
        bad(&format!("a ESEARCH{wrong}"));
    }
}

/// RFC 8970 section 6
#[test]
fn previews_may_be_lazy() {
    for text in ["PREVIEW", "preview (lazy)", "(PREVIEW)", "(PREVIEW (LAZY))", "(PREVIEW (LAZY) PREVIEW)"] {
        let CommandBody::Fetch { items, .. } = body(&format!("FETCH 1 {text}")) else { panic!("a FETCH") };
        assert_eq!(items, [FetchItem::Preview], "{text}");
    }
    let both = body("FETCH 1 PREVIEW (LAZY) (CHANGEDSINCE 7)");
    assert_eq!(both, body("FETCH 1 PREVIEW (CHANGEDSINCE 7)"));
    assert_eq!(body("FETCH 1 (PREVIEW (LAZY) UID)"), body("FETCH 1 (PREVIEW UID)"));
    for wrong in ["PREVIEW (FUZZY)", "(PREVIEW (LAZY UID))", "PREVIEW (LAZY", "PREVIEW[1]"] {
        bad(&format!("a FETCH 1 {wrong}"));
    }
}

/// RFC 3516 section 7
#[test]
fn binary_sections_are_numbers_alone() {
    let part = |numbers: &[u32]| numbers.iter().map(|number| number.to_owned().try_into().unwrap()).collect();
    let partial = |first, count: u64| Some(Partial { first, count: count.try_into().unwrap() });
    let CommandBody::Fetch { items, .. } =
        body("FETCH 1 (BINARY[] BINARY[1.2]<5.7> binary.peek[3] BINARY.SIZE[2] BINARY.PEEK[3])")
    else {
        panic!("a FETCH")
    };
    let binary = |numbers: &[u32], partial, peek| FetchItem::Binary { part: part(numbers), partial, peek };
    assert_eq!(
        items,
        [
            binary(&[], None, false),
            binary(&[1, 2], partial(5, 7), false),
            binary(&[3], None, true),
            FetchItem::BinarySize { part: part(&[2]) },
        ]
    );
    for wrong in
        ["BINARY", "BINARY[TEXT]", "BINARY[1.]", "BINARY[1.MIME]", "BINARY.SIZE[1]<0.3>", "BINARY[1]<0.0>"]
    {
        bad(&format!("a FETCH 1 {wrong}"));
    }
}

#[test]
fn arguments_come_out_decoded() {
    assert_eq!(
        body("LOGIN \"a\\\"b\" {3}\r\nx y"),
        CommandBody::Login { name: "a\"b".to_owned(), password: Password("x y".to_owned()) }
    );
    assert_eq!(
        body("AUTHENTICATE plain AHQAdA=="),
        CommandBody::Authenticate {
            mechanism: "PLAIN".to_owned(),
            initial_response: Some(SaslResponse(b"\0t\0t".to_vec()))
        }
    );
    assert_eq!(
        body("SELECT Entw&APw-rfe (CONDSTORE)"),
        CommandBody::Select {
            mailbox: "Entw\u{fc}rfe".to_owned(),
            read_only: false,
            condstore: true,
            resync: None
        }
    );
    assert_eq!(
        body("UID STORE 4,9:* (UNCHANGEDSINCE 7) -FLAGS.SILENT (\\seen \\Recent $X)"),
        CommandBody::Store {
            messages: Messages::Uids(
                UidSet::new(vec![
                    (Bound::Number(Uid(4)), Bound::Number(Uid(4))),
                    (Bound::Number(Uid(9)), Bound::Last)
                ])
                .unwrap()
            ),
            change: FlagChange::Remove,
            silent: true,
            flags: vec![Flag::Seen, Flag::parse("$X").unwrap()],
            unchanged_since: Some(7),
        }
    );
}

#[test]
fn what_imap_codec_does_not_know_is_decoded_as_well() {
    assert_eq!(
        body("CREATE x (USE (\\Archive \\sent))"),
        CommandBody::Create {
            mailbox: "x".to_owned(),
            special_uses: vec!["\\Archive".into(), "\\sent".into()]
        }
    );
    assert_eq!(
        body("STATUS x (SIZE MAILBOXID APPENDLIMIT SIZE)"),
        CommandBody::Status {
            mailbox: "x".to_owned(),
            items: vec![StatusItem::Size, StatusItem::MailboxId, StatusItem::AppendLimit]
        }
    );
    assert_eq!(
        body(
            "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (% INBOX \"a b\") RETURN (CHILDREN STATUS (UIDNEXT) SPECIAL-USE)"
        ),
        CommandBody::List {
            reference: String::new(),
            patterns: vec!["%".into(), "INBOX".into(), "a b".into()],
            selection: ListSelection { subscribed: true, recursive_match: true, special_use: false },
            returned: ListReturn {
                extended: true,
                subscribed: false,
                children: true,
                special_use: true,
                my_rights: false,
                status: vec![StatusItem::UidNext],
                metadata: vec![]
            },
        }
    );
    let header = Section { part: Vec::new(), text: SectionText::HeaderFields(vec!["X-\u{e9}".to_owned()]) };
    assert_eq!(
        body("FETCH 1 (EMAILID THREADID UID BODY.PEEK[HEADER.FIELDS (X-\u{e9})] UID)"),
        CommandBody::Fetch {
            messages: Messages::Sequence(crate::command::SequenceSet::new(vec![(one(), one())]).unwrap()),
            items: vec![
                FetchItem::EmailId,
                FetchItem::ThreadId,
                FetchItem::Uid,
                FetchItem::Section { section: header, partial: None, peek: true }
            ],
            changed_since: None,
            vanished: false,
            partial: None,
        }
    );
}

#[test]
fn what_a_client_knows_of_a_mailbox_is_decoded() {
    let resync = |text: &str| match body(text) {
        CommandBody::Select { resync: Some(resync), .. } => resync,
        other => panic!("{other:?}"),
    };
    let plain = resync("SELECT x (QRESYNC (67890007 20050715194045000))");
    assert_eq!((plain.validity, plain.since), (Validity(67_890_007), 20_050_715_194_045_000));
    assert_eq!((plain.known, plain.matches), (None, vec![]));
    let known = resync("EXAMINE x (CONDSTORE QRESYNC (1 2 41,43:211))").known;
    assert_eq!(known.map(|known| known.resolve(None)), Some(vec![Uid(41)..=Uid(41), Uid(43)..=Uid(211)]));
    let run = |number, uid, count| MatchRun { number: SequenceNumber(number), uid: Uid(uid), count };
    let whole = resync("SELECT x (QRESYNC (1 2 1:29997 (5000,7500:7501 15000,22500,22502)))");
    assert_eq!(whole.matches, [run(5000, 15_000, 1), run(7500, 22_500, 1), run(7501, 22_502, 1)]);
    assert_eq!(resync("SELECT x (QRESYNC (1 2 (1:2 7:8)))").matches, [run(1, 7, 2)]);
    for wrong in ["0 2", "1 0", "1", "1 2 1:*", "1 2 ", "1 2 (1 2", "1 2 (1,2 3)", "1 2 (2,1 3,4)", "1 2 3 4"]
    {
        bad(&format!("a SELECT x (QRESYNC ({wrong}))"));
    }
    bad("a SELECT x (QRESYNC (1 2) QRESYNC (1 2))");
    let fetch = |text: &str| match body(text) {
        CommandBody::Fetch { changed_since, vanished, .. } => (changed_since, vanished),
        other => panic!("{other:?}"),
    };
    assert_eq!(fetch("UID FETCH 1 FLAGS (CHANGEDSINCE 7 VANISHED)"), (Some(7), true));
    assert_eq!(fetch("UID FETCH 1 FLAGS (VANISHED CHANGEDSINCE 7)"), (Some(7), true));
    assert!(bad("a FETCH 1 FLAGS (CHANGEDSINCE 7 VANISHED)").starts_with("VANISHED goes with UID FETCH"));
    bad("a UID FETCH 1 FLAGS (VANISHED)");
    bad("a UID FETCH 1 FLAGS (CHANGEDSINCE 7 CHANGEDSINCE 8)");
}

fn one() -> Bound<crate::command::SequenceNumber> {
    Bound::Number(crate::command::SequenceNumber(1))
}

#[test]
fn searches_are_brought_into_one_form() {
    let search = |text: &str| match body(text) {
        CommandBody::Search(search) => search,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        search("UID SEARCH RETURN (MIN COUNT) UNSEEN EMAILID M1"),
        Search {
            uid: true,
            returned: Some(SearchReturn { min: true, count: true, ..SearchReturn::default() }),
            charset: SearchCharset::Unstated,
            key: SearchKey::And(vec![
                SearchKey::Not(Box::new(SearchKey::Flag(Flag::Seen))),
                SearchKey::EmailId("M1".to_owned())
            ]),
        }
    );
    let all = search("SEARCH RETURN () SINCE 1-Feb-1994");
    assert_eq!(all.returned, Some(SearchReturn { all: true, ..SearchReturn::default() }));
    assert_eq!(all.key, SearchKey::Since(date(1994, 2, 1)));
    let foreign = |charset: &str| {
        let text = [b"a SEARCH CHARSET ", charset.as_bytes(), b" TEXT {2+}\r\n\xc1\xc2"].concat();
        match command(&text, NAMES).unwrap().body {
            CommandBody::Search(Search { charset, key, .. }) => (charset, key),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(foreign("X-NONE").0, SearchCharset::Unsupported("X-NONE".to_owned()));
    let text = |text: &str| (SearchCharset::Supported, SearchKey::Text(text.to_owned()));
    assert_eq!(foreign("KOI8-R"), text("аб"));
    assert_eq!(foreign("\"gb2312\""), text("谅"));
    let half = command(b"a SEARCH CHARSET Shift_JIS TEXT {1+}\r\n\x83", NAMES);
    assert_eq!(half.unwrap_err().text, "Expected a text in its charset");
}

#[test]
fn what_clients_get_wrong_is_tolerated_where_it_is_clear() {
    assert_eq!(body("SELECT  Entw\u{fc}rfe "), body("SELECT Entw&APw-rfe"));
    assert_eq!(body("SEARCH UNSEEN "), body("SEARCH UNSEEN"));
    assert_eq!(body("FETCH 1 (FLAGS  UID )"), body("FETCH 1 (FLAGS UID)"));
    assert_eq!(body("LIST \"\" (INBOX)"), body("LIST (REMOTE) \"\" INBOX"));
    assert_eq!(body("LOGIN a \"b\\c\""), body("LOGIN a \"b\\\\c\""));
    assert_eq!(body("AUTHENTICATE PLAIN AHQAdA"), body("AUTHENTICATE PLAIN AHQAdA=="));
}

#[test]
fn errors_say_what_is_wrong() {
    assert_eq!(bad("a XYZZY"), "There is no command XYZZY");
    assert_eq!(bad("a UID NOOP 1"), "There is no command NOOP");
    assert_eq!(bad("a LOGIN bob"), "Expected a space at octet 11");
    assert_eq!(bad("a NOOP x"), "Expected the end of the command at octet 7");
    assert_eq!(bad("a STORE 1 FLAGS (\\Foo)"), "There is no system flag \\Foo");
    assert_eq!(bad("a FETCH 0 FLAGS"), "Expected a message number or \"*\" at octet 9");
    assert_eq!(bad("a SEARCH CORNERS 3"), "There is no search key CORNERS");
    assert_eq!(bad("a FETCH 1 BODY[MIME]"), "Expected a section at octet 15");
    assert_eq!(bad("a FETCH 1 SHOESIZE"), "FETCH has no item SHOESIZE here");
    assert!(bad("a SELECT A&B").contains("modified UTF-7"));
    assert!(bad("a SELECT \"\u{1}").contains("closing quote"));
    assert!(bad("\u{e9} NOOP").starts_with("Expected a tag"));
    assert!(bad("a APPEND x").contains("literal"));
    for text in
        ["", "a", "a ", "a LOGIN", "* OK", "+ x", "a SEARCH", "a FETCH 1 ()", "a UID", "a LIST \"\" ()"]
    {
        bad(text);
    }
}

/// RFC 6855 section 3, RFC 9051 section 5.1: once enabled, a name is what stands there, and `&` is a letter like others.
#[test]
fn names_in_utf8_are_taken_as_they_stand() {
    for text in [
        "SELECT \"Entw\u{fc}rfe & mehr\"",
        "STATUS {9}\r\nEntw\u{fc}rfe (UNSEEN)",
        "LIST \"\" \"Entw\u{fc}rfe/%\"",
        "LSUB \"\" \"Entw\u{fc}rfe/*\"",
        "RENAME \"&Jjo-\" \"\u{263a}\"",
        "COPY 1 \"\u{263a}\"",
    ] {
        let text = format!("a1 {text}");
        let mut cursor = Cursor::new(text.as_bytes());
        let by_own = tag(&mut cursor)
            .ok()
            .and_then(|tag| own::body(&mut cursor, UTF8).ok().map(|body| Command { tag, body }));
        assert_eq!(command(text.as_bytes(), UTF8).ok(), by_own, "{text}");
        if let Some(by_codec) = codec::command(text.as_bytes(), UTF8) {
            assert_eq!(Some(by_codec), by_own, "{text}");
        }
    }
    let name = |text: &str| match command(format!("a {text}").as_bytes(), UTF8).unwrap().body {
        CommandBody::Select { mailbox, .. } => mailbox,
        other => panic!("{other:?}"),
    };
    assert_eq!(name("SELECT \"Entw\u{fc}rfe & mehr\""), "Entw\u{fc}rfe & mehr");
    assert_eq!(name("SELECT &Jjo-"), "&Jjo-");
}

/// RFC 6855 section 3: "the server MUST reject, with a BAD response" what is quoted and no UTF-8.
#[test]
fn quoted_octets_that_are_no_utf8_are_refused() {
    for text in [
        &b"a SELECT \"x\xff\""[..],
        b"a SEARCH SUBJECT \"\xc3\"",
        b"a SEARCH CHARSET KOI8-R SUBJECT \"\xc1\"",
        b"a ID (\"name\" \"\xff\")",
        b"a LOGIN \"a\xff\" b",
    ] {
        for names in [NAMES, UTF8] {
            let error = command(text, names).unwrap_err();
            assert_eq!(error.tag, Tag::new(b"a"), "{text:?}");
        }
    }
}

#[test]
fn tags_are_told_where_they_can_be_read() {
    let tag = |text: &str| command(text.as_bytes(), NAMES).unwrap_err().tag.map(|tag| tag.to_string());
    assert_eq!(tag("a1 XYZZY"), Some("a1".to_owned()));
    assert_eq!(tag("a1"), Some("a1".to_owned()));
    assert_eq!(tag("{} XYZZY"), None);
}

#[test]
fn nesting_without_end_is_refused_quickly() {
    for opening in ["(", "NOT ", "OR 1 ", "OR "] {
        let text = format!("a SEARCH {}", opening.repeat(60_000 / opening.len()));
        assert!(bad(&text).contains("nested 30 deep"), "{opening:?}");
        let fetch = format!("a FETCH 1 {}", opening.repeat(60_000 / opening.len()));
        bad(&fetch);
    }
    let deep = format!("a SEARCH {}SEEN{}", "(".repeat(20), ")".repeat(20));
    assert!(command(deep.as_bytes(), NAMES).is_ok());
    let wide = format!("a SEARCH {}", "1 ".repeat(30_000));
    assert!(bad(&wide).contains("2000 keys"));
}

#[test]
fn the_beginning_of_an_append() {
    let start = append_start(
        b"a APPEND \"a b\" (\\Seen $X \\Recent) \"17-Jul-1996 02:44:25 -0700\" ",
        Some(310),
        NAMES,
    )
    .unwrap();
    let flags = vec![Flag::Seen, Flag::parse("$X").unwrap()];
    let received = Some(ReceivedAt { seconds: 837_596_665, offset_minutes: -420 });
    assert_eq!((start.tag.as_str(), start.mailbox.as_str()), ("a", "a b"));
    assert_eq!(start.message, AppendMessage { flags, received, size: 310, form: AppendForm::Literal });
    let plain = append_start(b"a APPEND {5}\r\ninbox ", Some(1), NAMES).unwrap();
    assert_eq!(plain.mailbox, "INBOX");
    let empty = AppendMessage { flags: Vec::new(), received: None, size: 7, form: AppendForm::Literal };
    for text in [" ", " () "] {
        assert_eq!(
            append_more(text.as_bytes(), Some(7), false),
            Ok(vec![AppendStep::Message(empty.clone())])
        );
    }
    for (text, form) in
        [(" ~", AppendForm::Literal8), (" UTF8 (~", AppendForm::Utf8), (" () utf8 (~", AppendForm::Utf8)]
    {
        let message = AppendMessage { form, ..empty.clone() };
        assert_eq!(
            append_more(text.as_bytes(), Some(7), false),
            Ok(vec![AppendStep::Message(message)]),
            "{text}"
        );
    }
    assert_eq!(append_more(b" ", None, false), Ok(Vec::new()));
    for text in [
        "a APPEND x",
        "a APPEND x y ",
        "a APPEND x (\\Foo) ",
        "a APPEND x \"today\" ",
        "a APPEND x ~ ",
        "a APPEND x ~~",
        "a APPEND x UTF8 (",
        "a APPEND x UTF8 ~",
        "a APPEND x UTF8(~",
        "a NOOP ",
    ] {
        assert_eq!(append_start(text.as_bytes(), Some(1), NAMES).unwrap_err().tag, Tag::new(b"a"), "{text}");
    }
}
