//! UTF8=ACCEPT (RFC 6855).

use super::client::{Client, store};

const RAW: &str = "From: J\u{f6}rg <joerg@example.org>\r\nSubject: Gr\u{fc}\u{df}e\r\n\r\nHallo\r\n";

const NUL: &str = "a: b\r\n\r\n\0";

fn accepting() -> Client {
    let mut client = Client::logged_in(&store());
    assert!(client.send("CAPABILITY").contains(" UTF8=ACCEPT "));
    assert_eq!(client.send("ENABLE UTF8=ACCEPT"), "* ENABLED UTF8=ACCEPT\r\nt OK Completed\r\n");
    client
}

/// RFC 6855 section 3: names are UTF-8 in both directions, for LIST, LSUB and STATUS alike.
#[test]
fn names_are_utf8_once_it_is_enabled() {
    let mut client = accepting();
    assert!(client.send("CREATE \"Entw\u{fc}rfe & mehr\"").starts_with("t OK "));
    client.send("SUBSCRIBE \"Entw\u{fc}rfe & mehr\"");
    let answer = client.send("LIST \"\" \"Entw\u{fc}*\" RETURN (STATUS (MESSAGES))");
    assert_eq!(
        answer,
        "* LIST (\\HasNoChildren) \"/\" \"Entw\u{fc}rfe & mehr\"\r\n* STATUS \"Entw\u{fc}rfe & mehr\" (MESSAGES 0)\r\nt OK Completed\r\n"
    );
    assert!(client.send("LSUB \"\" Entw*").starts_with("* LSUB () \"/\" \"Entw\u{fc}rfe & mehr\"\r\n"));
    assert!(
        client
            .send("STATUS \"Entw\u{fc}rfe & mehr\" (UNSEEN)")
            .starts_with("* STATUS \"Entw\u{fc}rfe & mehr\" ")
    );
    assert!(client.send("SELECT \"Entw\u{fc}rfe & mehr\"").ends_with("t OK [READ-WRITE] Selected\r\n"));
}

/// RFC 6855 section 3: who has not enabled it may write UTF-8 in quotes, too, and reads modified UTF-7.
#[test]
fn names_are_modified_utf7_for_all_others() {
    let store = store();
    let mut client = Client::logged_in(&store);
    assert!(client.send("CREATE \"Entw\u{fc}rfe\"").starts_with("t OK "));
    assert!(client.send("LIST \"\" Entw*").contains(" \"Entw&APw-rfe\"\r\n"));
    client.send("ENABLE UTF8=ACCEPT");
    assert!(client.send("LIST \"\" Entw*").contains(" \"Entw\u{fc}rfe\"\r\n"));
    client.send("UNAUTHENTICATE");
    client.send("LOGIN alice secret");
    assert!(
        client.send("LIST \"\" Entw*").contains(" \"Entw&APw-rfe\"\r\n"),
        "RFC 8437: nothing is left of it"
    );
}

/// RFC 6855 section 3: control characters, DEL, U+2028 and U+2029 are in no name.
#[test]
fn names_have_no_control_characters() {
    let mut client = accepting();
    for name in ["a\u{85}b", "a\u{7f}b", "a\u{1}b", "a\u{2028}b", "a\u{2029}b"] {
        assert!(client.send(&format!("CREATE \"{name}\"")).starts_with("t NO [CANNOT] "), "{name:?}");
        assert!(client.send(&format!("RENAME INBOX \"{name}\"")).starts_with("t NO [CANNOT] "), "{name:?}");
    }
}

/// RFC 6855 section 3: the charset of a SEARCH is UTF-8, and naming one is an error.
#[test]
fn a_search_names_no_charset() {
    let mut client = accepting();
    client.send_with("APPEND INBOX UTF8 (~", &[RAW]);
    client.send("SELECT INBOX");
    assert_eq!(client.send("SEARCH SUBJECT \"gr\u{fc}\u{df}e\""), "* SEARCH 1\r\nt OK Completed\r\n");
    for charset in ["UTF-8", "US-ASCII", "KOI8-R"] {
        for command in ["SEARCH", "ESEARCH IN (INBOXES)"] {
            let command = format!("{command} CHARSET {charset} ALL");
            assert!(client.send(&command).starts_with("t BAD "), "{command}");
        }
    }
}

/// RFC 6855 section 4 wants headers beyond ASCII refused of clients that did not enable UTF-8. There is much old mail with
/// such headers, which users move here by clients that never heard of it: it is taken, as Dovecot and Cyrus do, in each form.
#[test]
fn headers_in_utf8_are_appended_by_everyone() {
    let store = store();
    let mut client = Client::logged_in(&store);
    for _ in 0..2 {
        for head in ["APPEND INBOX", "APPEND INBOX (\\Seen) UTF8 (~", "APPEND INBOX ~"] {
            assert!(client.send_with(head, &[RAW]).starts_with("t OK [APPENDUID "), "{head}");
        }
        client.send("ENABLE UTF8=ACCEPT");
    }
    client.send("EXAMINE INBOX");
    assert!(client.send("FETCH 2,5 BODY[]").matches(RAW).count() == 2);
    assert!(
        client.send("FETCH 2 ENVELOPE").contains("{7}\r\nGr\u{fc}\u{df}e"),
        "a literal is good for both kinds of client"
    );
}

/// RFC 6855 section 4: `cat-part =/ utf8-literal`.
#[test]
fn a_message_in_utf8_is_put_together_of_parts() {
    let mut client = accepting();
    let (head, body) = RAW.split_at(20);
    let answer = client.wire(&format!(
        "t APPEND INBOX CATENATE (UTF8 (~{{{}+}}\r\n{head}) TEXT {{{}+}}\r\n{body})\r\n",
        head.len(),
        body.len()
    ));
    assert!(answer.starts_with("t OK [APPENDUID "), "{answer}");
    client.send("EXAMINE INBOX");
    assert!(client.send("FETCH 1 BODY[]").contains(RAW));
}

/// RFC 3516 section 4.3: a message with NUL octets would be stored if the server could. As a plain literal it is an error.
#[test]
fn nul_octets_are_refused_in_each_form() {
    let mut client = accepting();
    assert!(client.send_with("APPEND INBOX ~", &[NUL]).starts_with("t NO [UNKNOWN-CTE] "));
    assert!(client.send_with("APPEND INBOX UTF8 (~", &[NUL]).starts_with("t NO [UNKNOWN-CTE] "));
    assert!(client.send_with("APPEND INBOX", &[NUL]).starts_with("t BAD "));
    assert!(client.send("STATUS INBOX (MESSAGES)").contains("(MESSAGES 0)"));
}
