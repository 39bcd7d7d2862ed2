//! FETCH.

use super::client::{Client, MAIL, store};

#[test]
fn items_of_one_message() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append("INBOX", "(\\Seen)", MAIL);
    let text_length = MAIL.split("\r\n\r\n").nth(1).unwrap().len();
    assert_eq!(
        client.send("FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE UID)"),
        format!(
            "* 1 FETCH (FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE {} UID 1)\r\nt OK Completed\r\n",
            MAIL.len()
        )
    );
    assert_eq!(
        client.send("FETCH 1 ENVELOPE"),
        concat!(
            "* 1 FETCH (ENVELOPE (\"Mon, 7 Feb 1994 21:52:25 -0800\" \"afternoon meeting\" ",
            "((\"Fred Foobar\" NIL \"foobar\" \"example.com\")) ((\"Fred Foobar\" NIL \"foobar\" \"example.com\")) ",
            "((\"Fred Foobar\" NIL \"foobar\" \"example.com\")) ((NIL NIL \"mooch\" \"example.net\")) NIL NIL NIL ",
            "\"<B27397@example.com>\"))\r\nt OK Completed\r\n"
        )
    );
    assert_eq!(
        client.send("UID FETCH 1 (BODYSTRUCTURE)"),
        format!(
            "* 1 FETCH (UID 1 BODYSTRUCTURE (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" {text_length} 1 NIL NIL NIL NIL))\r\nt OK Completed\r\n"
        )
    );
    assert!(client.send("FETCH 1 (EMAILID THREADID)").starts_with("* 1 FETCH (EMAILID (E"));
}

#[test]
fn sections_and_parts_of_them() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append("INBOX", "(\\Seen)", MAIL);
    let (header, text) = MAIL.split_once("\r\n\r\n").unwrap();
    let literal = |name: &str, octets: &str| {
        format!("* 1 FETCH ({name} {{{}}}\r\n{octets})\r\nt OK Completed\r\n", octets.len())
    };
    for (item, name, octets) in [
        ("BODY[]", "BODY[]", MAIL.to_owned()),
        ("BODY.PEEK[HEADER]", "BODY[HEADER]", format!("{header}\r\n\r\n")),
        ("BODY[TEXT]", "BODY[TEXT]", text.to_owned()),
        ("BODY[1]", "BODY[1]", text.to_owned()),
        ("BODY[1.MIME]", "BODY[1.MIME]", format!("{header}\r\n\r\n")),
        ("RFC822", "RFC822", MAIL.to_owned()),
        ("RFC822.HEADER", "RFC822.HEADER", format!("{header}\r\n\r\n")),
        ("RFC822.TEXT", "RFC822.TEXT", text.to_owned()),
        ("BODY[TEXT]<6.3>", "BODY[TEXT]<6>", "Joe".to_owned()),
        ("BODY[]<100000.3>", "BODY[]<100000>", String::new()),
        (
            "BODY.PEEK[HEADER.FIELDS (subject To X-None)]",
            "BODY[HEADER.FIELDS (subject To X-None)]",
            "Subject: afternoon meeting\r\nTo: mooch@example.net\r\n\r\n".to_owned(),
        ),
    ] {
        assert_eq!(client.send(&format!("FETCH 1 {item}")), literal(name, &octets), "{item}");
    }
    assert_eq!(client.send("FETCH 1 BODY[2]"), "* 1 FETCH (BODY[2] NIL)\r\nt OK Completed\r\n");
}

#[test]
fn reading_sets_seen_and_tells_it() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    for _ in 0..3 {
        client.append("INBOX", "()", MAIL);
    }
    assert!(!client.send("FETCH 1 BODY.PEEK[]").contains("FLAGS"));
    let answer = client.send("FETCH 1:2 BODY[TEXT]");
    assert_eq!(answer.matches("FETCH (FLAGS (\\Seen) BODY[TEXT]").count(), 2, "{answer}");
    assert!(!client.send("FETCH 2 BODY[TEXT]").contains("FLAGS"), "it is seen already");
    assert_eq!(client.send("FETCH 3 FLAGS"), "* 3 FETCH (FLAGS ())\r\nt OK Completed\r\n");
    client.send("EXAMINE INBOX");
    assert!(!client.send("FETCH 3 BODY[]").contains("Seen"));
}

#[test]
fn numbers_that_name_nothing() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    assert_eq!(client.send("FETCH 1:* FLAGS"), "t OK Completed\r\n");
    client.append("INBOX", "()", MAIL);
    client.append("INBOX", "()", MAIL);
    assert!(client.send("FETCH 3 FLAGS").starts_with("t BAD [CLIENTBUG] "));
    assert_eq!(client.send("UID FETCH 7:9 FLAGS"), "t OK Completed\r\n");
    assert_eq!(client.send("UID FETCH 7:* FLAGS"), "* 2 FETCH (UID 2 FLAGS ())\r\nt OK Completed\r\n");
    assert_eq!(
        client.send("FETCH 2,1,*:1 UID"),
        "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\nt OK Completed\r\n"
    );
}

#[test]
fn a_large_body_comes_in_pieces() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    let body = format!(
        "Subject: large\r\n\r\n{}",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(20_000)
    );
    client.append("INBOX", "()", &body);
    client.append("INBOX", "()", MAIL);
    let answer = client.send("FETCH 1:2 (UID BODY.PEEK[])");
    assert!(answer.starts_with(&format!(
        "* 1 FETCH (UID 1 BODY[] {{{}}}\r\n{body})\r\n* 2 FETCH (UID 2 BODY[]",
        body.len()
    )));
    assert!(answer.ends_with("t OK Completed\r\n"));
    assert!(client.largest_piece < 200 * 1024, "{}", client.largest_piece);
    let part = client.send("FETCH 1 BODY.PEEK[]<65530.70000>");
    assert!(part.contains(&body[65_530..135_530]) && part.contains("BODY[]<65530> {70000}\r\n"));
}

#[test]
fn changed_since_tells_what_changed() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    for _ in 0..3 {
        client.append("INBOX", "()", MAIL);
    }
    let before = client.send("STATUS INBOX (HIGHESTMODSEQ)");
    let before =
        before.split("HIGHESTMODSEQ ").nth(2).and_then(|rest| rest.split(')').next()).unwrap().to_owned();
    let answer = client.send("STORE 2 +FLAGS (\\Flagged)");
    assert!(answer.starts_with("* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ ("), "{answer}");
    let answer = client.send(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {before})"));
    assert!(answer.starts_with("* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ ("), "{answer}");
    assert_eq!(answer.matches("FETCH").count(), 1, "{answer}");
    assert!(client.send("FETCH 1 (MODSEQ)").starts_with("* 1 FETCH (MODSEQ ("));
}

#[test]
fn many_rows_come_from_the_view_alone() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    let messages = vec![MAIL; 2_000];
    client.append_all("INBOX", &messages);
    let answer = client.send("UID FETCH 1:* (FLAGS)");
    assert_eq!(answer.matches("FLAGS ()").count(), 2_000);
    assert!(answer.contains("* 2000 FETCH (UID ") && answer.ends_with(" FLAGS ())\r\nt OK Completed\r\n"));
}

/// RFC 9051 section 7.1: CORRUPTION where data on the disk is damaged.
#[test]
fn damage_is_told_and_the_rest_is_read() {
    let mut client = Client::with_damage("()");
    let answer = client.send("FETCH 1:2 (UID BODY.PEEK[TEXT])");
    assert_eq!(answer.matches("BODY[TEXT] NIL").count(), 1, "{answer}");
    assert_eq!(answer.matches("do you think").count(), 1, "{answer}");
    assert!(answer.contains("t NO [CORRUPTION] Some messages could not be read"), "{answer}");
    assert!(client.send("SEARCH BODY think").contains("t NO [CORRUPTION]"));
    assert!(client.send("FETCH 1:2 FLAGS").ends_with("t OK Completed\r\n"));
}
