//! IMAP4rev2 (RFC 9051) beside IMAP4rev1.

use super::client::{Client, MAIL, Store, store};

fn revision2(store: &Store) -> Client {
    let mut client = Client::logged_in(store);
    assert_eq!(client.send("ENABLE IMAP4rev2"), "* ENABLED IMAP4rev2\r\nt OK Completed\r\n");
    client
}

/// RFC 9051 section 6.3.1 and appendix A: both are offered, and the client chooses. RFC 8437: for one login.
#[test]
fn a_client_chooses_the_revision() {
    let store = store();
    let mut client = Client::logged_in(&store);
    let capabilities = client.send("CAPABILITY");
    assert!(capabilities.contains(" IMAP4rev1 ") && capabilities.contains(" IMAP4rev2 "), "{capabilities}");
    assert!(client.send("SELECT INBOX").contains("* 0 RECENT\r\n"));
    assert_eq!(client.send("SEARCH ALL"), "* SEARCH\r\nt OK Completed\r\n");
    client.send("UNSELECT");
    let answer = client.send("ENABLE imap4REV2 CONDSTORE");
    assert_eq!(answer, "* ENABLED CONDSTORE IMAP4rev2\r\nt OK Completed\r\n");
    assert_eq!(client.send("ENABLE IMAP4rev2"), "* ENABLED\r\nt OK Completed\r\n", "it is enabled already");
    client.send("UNAUTHENTICATE");
    client.send("LOGIN alice secret");
    assert!(client.send("SELECT INBOX").contains("* 0 RECENT\r\n"));
}

/// RFC 9051 section 6.3.2: LIST is told and CLOSED; RECENT and UNSEEN are no more (appendix E).
#[test]
fn select_tells_what_revision_2_wants() {
    let store = store();
    let mut client = revision2(&store);
    client.append("INBOX", "()", MAIL);
    for command in ["SELECT", "EXAMINE"] {
        let answer = client.send(&format!("{command} inbox"));
        for part in ["* FLAGS ", "* 1 EXISTS\r\n", "[UIDVALIDITY ", "[UIDNEXT 2]", "[PERMANENTFLAGS "] {
            assert!(answer.contains(part), "{part} in {answer}");
        }
        assert!(answer.contains("* LIST (\\HasNoChildren) \"/\" \"INBOX\"\r\n"), "{answer}");
        assert!(!answer.contains("RECENT") && !answer.contains("UNSEEN"), "{answer}");
        assert_eq!(command == "EXAMINE", answer.starts_with("* OK [CLOSED] "), "{answer}");
    }
    assert!(client.send("SELECT absent").starts_with("* OK [CLOSED] "), "closed, whatever comes of it");
}

/// RFC 9051 section 6.3.9.7: OLDNAME where a name differs from the one that the client gave.
#[test]
fn names_that_were_spelled_otherwise_are_told() {
    let store = store();
    let mut client = revision2(&store);
    let line = "* LIST (\\HasNoChildren) \"/\" \"INBOX/x\" (\"OLDNAME\" (\"inBox/x\"))\r\n";
    assert!(client.send("CREATE inBox/x").starts_with(&format!("{line}t OK [MAILBOXID ")));
    assert!(client.send("SELECT inBox/x").contains(line));
    assert!(!client.send("SELECT INBOX/x").contains("OLDNAME"));
    assert!(
        !client.send("CREATE plain/").contains("LIST"),
        "the separator at the end is no part of the name"
    );
}

/// RFC 9051 section 6.3.9.7: RENAME tells the new name with the old one, DELETE what is gone.
#[test]
fn renamed_and_deleted_mailboxes_are_told() {
    let store = store();
    let mut client = revision2(&store);
    client.send("CREATE \"Entw\u{fc}rfe\"");
    assert_eq!(
        client.send("RENAME \"Entw\u{fc}rfe\" old/drafts"),
        "* LIST (\\HasNoChildren) \"/\" \"old/drafts\" (\"OLDNAME\" (\"Entw\u{fc}rfe\"))\r\nt OK Completed\r\n"
    );
    assert_eq!(
        client.send("DELETE old/drafts"),
        "* LIST (\\HasNoChildren \\NonExistent \\Noselect) \"/\" \"old/drafts\"\r\nt OK Completed\r\n"
    );
    assert!(client.send("DELETE old/drafts").starts_with("t NO [NONEXISTENT] "), "what fails tells no LIST");
    assert_eq!(client.send("RENAME INBOX kept"), "t OK Completed\r\n", "INBOX keeps its name");
    let mut other = Client::logged_in(&store);
    other.send("CREATE a");
    assert_eq!(other.send("RENAME a b"), "t OK Completed\r\n", "IMAP4rev1 has no OLDNAME");
    assert_eq!(other.send("DELETE b"), "t OK Completed\r\n");
}

/// RFC 9051 section 5.1: UTF-8 in both directions, and `&` is a letter like others.
#[test]
fn names_are_utf8() {
    let store = store();
    let mut client = revision2(&store);
    client.send("CREATE \"Entw\u{fc}rfe & mehr\"");
    assert_eq!(
        client.send("LIST \"\" \"Entw*\" RETURN (STATUS (MESSAGES DELETED SIZE))"),
        "* LIST (\\HasNoChildren) \"/\" \"Entw\u{fc}rfe & mehr\"\r\n\
         * STATUS \"Entw\u{fc}rfe & mehr\" (MESSAGES 0 DELETED 0 SIZE 0)\r\nt OK Completed\r\n"
    );
    let answer = client.send("SELECT \"Entw\u{fc}rfe & mehr\"");
    assert!(answer.contains("* LIST (\\HasNoChildren) \"/\" \"Entw\u{fc}rfe & mehr\"\r\n"), "{answer}");
    assert!(client.send("SELECT Entw&APw-rfe").ends_with("t NO [NONEXISTENT] There is no such mailbox\r\n"));
    assert!(
        client
            .send("GETMETADATA \"Entw\u{fc}rfe & mehr\" /private/comment")
            .starts_with("* METADATA \"Entw\u{fc}rfe & mehr\" ")
    );
    assert!(
        client
            .send("GETQUOTAROOT \"Entw\u{fc}rfe & mehr\"")
            .starts_with("* QUOTAROOT \"Entw\u{fc}rfe & mehr\"")
    );
    let raw = "Subject: \u{fc}\r\n\r\n\r\n";
    assert!(
        client.send_with("APPEND INBOX", &[raw]).starts_with("t OK "),
        "UTF-8 in headers needs no further ENABLE"
    );
}

/// RFC 9051 section 6.3.9.5: CHILDREN comes unasked, LSUB still answers.
#[test]
fn list_tells_of_children() {
    let store = store();
    let mut client = revision2(&store);
    client.send("CREATE work/2026");
    let answer = client.send("LIST \"\" %");
    assert!(answer.contains("* LIST (\\HasChildren) \"/\" \"work\"\r\n"), "{answer}");
    assert!(answer.contains("* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\r\n"), "{answer}");
    assert!(client.send("LSUB \"\" *").contains("* LSUB () \"/\" \"Sent\"\r\n"));
    assert_eq!(client.send("LIST \"\" \"\""), "* LIST (\\Noselect) \"/\" \"\"\r\nt OK Completed\r\n");
}

/// RFC 9051 section 6.4.4 and appendix E: ESEARCH always, with ALL where nothing else was asked for.
#[test]
fn searches_are_answered_by_esearch() {
    let store = store();
    let mut client = revision2(&store);
    client.append_all("INBOX", &[MAIL, MAIL, MAIL]);
    client.send("SELECT INBOX");
    client.send("STORE 1 +FLAGS (\\Deleted)");
    client.send("EXPUNGE");
    for (search, answer) in [
        ("SEARCH ALL", " ALL 1:2"),
        ("UID SEARCH ALL", " UID ALL 2:3"),
        ("UID SEARCH 2", " UID ALL 3"),
        ("SEARCH SEEN", ""),
        ("UID SEARCH SEEN", " UID"),
        ("SEARCH RETURN (COUNT) ALL", " COUNT 2"),
        ("UID SEARCH RETURN () ALL", " UID ALL 2:3"),
        ("SEARCH CHARSET UTF-8 SUBJECT afternoon", " ALL 1:2"),
    ] {
        let expected = format!("* ESEARCH (TAG \"t\"){answer}\r\nt OK Completed\r\n");
        assert_eq!(client.send(search), expected, "{search}");
    }
    assert!(client.send("SEARCH CHARSET X-NONE ALL").starts_with("t NO [BADCHARSET "));
}

/// RFC 9051 section 7.5.2: what is told unasked carries the UID. Sections 5.5 and 7.5.1: no EXPUNGE during FETCH, STORE and
/// SEARCH, whose numbers would change their meaning; with UIDs, and in between, it may come.
#[test]
fn what_is_told_unasked_carries_the_uid_and_keeps_the_numbers() {
    let store = store();
    let mut client = revision2(&store);
    client.append_all("INBOX", &[MAIL, MAIL, MAIL]);
    client.send("SELECT INBOX");
    let mut other = Client::selected(&store, "INBOX");
    other.send("STORE 1 +FLAGS.SILENT (\\Deleted)");
    other.send("EXPUNGE");
    other.send("STORE 2 +FLAGS.SILENT (\\Seen)");
    let answer = client.send("FETCH 2 UID");
    assert_eq!(answer, "* 3 FETCH (UID 3 FLAGS (\\Seen))\r\n* 2 FETCH (UID 2)\r\nt OK Completed\r\n");
    assert_eq!(client.send("SEARCH SEEN"), "* ESEARCH (TAG \"t\") ALL 3\r\nt OK Completed\r\n");
    let answer = client.send("STORE 3 +FLAGS (\\Flagged)");
    assert_eq!(answer, "* 3 FETCH (UID 3 FLAGS (\\Seen \\Flagged))\r\nt OK Stored\r\n");
    assert_eq!(client.send("NOOP"), "* 1 EXPUNGE\r\nt OK Completed\r\n");
    other.send("STORE 1 +FLAGS.SILENT (\\Deleted)");
    other.send("EXPUNGE");
    let answer = client.send("UID FETCH 3 UID");
    assert_eq!(answer, "* 2 FETCH (UID 3)\r\n* 1 EXPUNGE\r\nt OK Completed\r\n");
}

/// RFC 9051 section 9, `partial`: 64 bits (appendix E).
#[test]
fn parts_may_lie_beyond_32_bits() {
    let store = store();
    let mut client = revision2(&store);
    client.append("INBOX", "()", MAIL);
    client.send("SELECT INBOX");
    let answer = client.send("FETCH 1 BODY.PEEK[TEXT]<6.5000000000>");
    let text = "Joe, do you think we can meet at 3:30 tomorrow?\r\n";
    assert!(answer.contains(&format!("BODY[TEXT]<6> {{{}}}\r\n{text})", text.len())), "{answer}");
    assert!(client.send("FETCH 1 BODY.PEEK[]<5000000000.1>").contains("BODY[]<5000000000> {0}\r\n)"));
    assert!(client.send("FETCH 1 BODY.PEEK[]<0.0>").starts_with("t BAD "));
}

/// RFC 9051 section 7.1: the codes of what can go wrong here.
#[test]
fn refusals_say_why_in_a_code() {
    let store = store();
    let mut client = revision2(&store);
    client.send("CREATE a");
    for (command, answer) in [
        ("CREATE a", "NO [ALREADYEXISTS]"),
        ("RENAME a INBOX", "NO [ALREADYEXISTS]"),
        ("RENAME absent b", "NO [NONEXISTENT]"),
        ("DELETE absent", "NO [NONEXISTENT]"),
        ("STATUS absent (SIZE)", "NO [NONEXISTENT]"),
        ("SELECT absent", "NO [NONEXISTENT]"),
        ("DELETE INBOX", "NO [CANNOT]"),
        ("CREATE x//y", "NO [CANNOT]"),
        ("AUTHENTICATE PLAIN =", "BAD [CLIENTBUG]"),
        ("FETCH 1 FLAGS", "BAD [CLIENTBUG]"),
    ] {
        let told = client.send(command);
        assert!(told.starts_with(&format!("t {answer} ")), "{command}: {told}");
    }
    client.send("EXAMINE INBOX");
    assert!(client.send("EXPUNGE").starts_with("t NO [READ-ONLY] "));
    assert!(client.send("COPY 1 a").starts_with("t BAD [CLIENTBUG] "), "there is no message 1");
    client.append("a", "()", MAIL);
    client.send("SELECT a");
    assert!(client.send("COPY 1 absent").starts_with("t NO [TRYCREATE] "));
    assert!(client.send("MOVE 1 absent").starts_with("t NO [TRYCREATE] "), "RFC 9051 section 6.4.8");
    let moved = client.send("MOVE 1 INBOX");
    assert!(moved.starts_with("* OK [COPYUID ") && moved.contains("* 1 EXPUNGE\r\n"), "{moved}");
}
