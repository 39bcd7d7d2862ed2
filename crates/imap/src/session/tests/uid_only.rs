//! UIDONLY: neither side uses sequence numbers (RFC 9586).

use super::client::{Client, MAIL, Store, store};

const OK: &str = "t OK Completed\r\n";

/// A client that enabled UIDONLY; there are messages of the UIDs 2 to 4.
fn enabled() -> (Store, Client) {
    let store = store();
    let mut client = Client::logged_in(&store);
    client.append_all("INBOX", &[MAIL; 4]);
    client.send("SELECT INBOX");
    client.send("STORE 1 +FLAGS.SILENT (\\Deleted)");
    client.send("CLOSE");
    assert_eq!(client.send("ENABLE UIDONLY"), format!("* ENABLED UIDONLY\r\n{OK}"));
    let answer = client.send("SELECT INBOX");
    assert!(answer.contains("* 3 EXISTS\r\n") && !answer.contains("[UNSEEN "), "{answer}");
    (store, client)
}

/// RFC 9586 section 3: BAD with UIDREQUIRED.
#[test]
fn sequence_numbers_are_refused() {
    let (_, mut client) = enabled();
    for command in [
        "FETCH 1 FLAGS",
        "FETCH * FLAGS",
        "FETCH $ FLAGS",
        "STORE 1 +FLAGS (\\Seen)",
        "COPY 1 INBOX",
        "MOVE 1 INBOX",
        "SEARCH ALL",
        "SEARCH UID 2",
        "UID SEARCH 1",
        "UID SEARCH OR SEEN (NOT 1:*)",
        "SORT (SIZE) UTF-8 ALL",
        "UID SORT (SIZE) UTF-8 *",
        "THREAD REFS UTF-8 ALL",
        "UID THREAD REFS UTF-8 1",
    ] {
        let answer = client.send(command);
        assert!(answer.starts_with("t BAD [UIDREQUIRED] "), "{command}: {answer}");
    }
    let answer = client.send_with("REPLACE 1 INBOX", &[MAIL]);
    assert!(answer.starts_with("t BAD [UIDREQUIRED] "), "{answer}");
    assert_eq!(client.send("UID SEARCH UID 2:3"), format!("* SEARCH 2 3\r\n{OK}"));
    assert_eq!(client.send("UID SEARCH RETURN (SAVE) UID *"), OK);
    assert_eq!(client.send("UID SORT (SIZE) UTF-8 $"), format!("* SORT 4\r\n{OK}"));
    client.send("ENABLE QRESYNC");
    let answer = client.send("SELECT INBOX (QRESYNC (1 1 1:9 (1 1)))");
    assert!(answer.starts_with("t BAD [UIDREQUIRED] "), "{answer}");
    assert!(client.send("SELECT INBOX (QRESYNC (1 1 1:9))").ends_with("t OK [READ-WRITE] Selected\r\n"));
}

/// RFC 9586 section 3.3: UIDFETCH in the place of FETCH, the UID within it where it was asked for.
#[test]
fn uidfetch_is_told() {
    let (store, mut client) = enabled();
    let answer = client.send("UID FETCH 2:3 FLAGS");
    assert_eq!(answer, format!("* 2 UIDFETCH (FLAGS ())\r\n* 3 UIDFETCH (FLAGS ())\r\n{OK}"));
    let answer = client.send("UID FETCH 4 (UID RFC822.SIZE)");
    assert_eq!(answer, format!("* 4 UIDFETCH (UID 4 RFC822.SIZE {})\r\n{OK}", MAIL.len()));
    let answer = client.send("UID FETCH * BODY[]<0.4>");
    assert!(answer.starts_with("* 4 UIDFETCH (FLAGS (\\Seen) BODY[]<0> "), "{answer}");
    let answer = client.send("UID STORE 3 +FLAGS (\\Flagged)");
    assert_eq!(answer, "* 3 UIDFETCH (FLAGS (\\Flagged))\r\nt OK Stored\r\n");
    let mut other = Client::selected(&store, "INBOX");
    other.send("UID STORE 2 +FLAGS.SILENT (\\Answered)");
    assert_eq!(client.send("NOOP"), format!("* 2 UIDFETCH (FLAGS (\\Answered))\r\n{OK}"));
    client.send("ENABLE CONDSTORE");
    other.send("UID STORE 2 -FLAGS.SILENT (\\Answered)");
    let answer = client.send("NOOP");
    assert!(answer.starts_with("* 2 UIDFETCH (FLAGS () MODSEQ ("), "{answer}");
}

/// RFC 9586 section 3.3: VANISHED in the place of EXPUNGE, without QRESYNC as well.
#[test]
fn vanished_is_told() {
    let (store, mut client) = enabled();
    client.send("UID STORE 2,4 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(client.send("EXPUNGE"), "* VANISHED 2,4\r\nt OK Expunged\r\n");
    let mut other = Client::selected(&store, "INBOX");
    other.append("INBOX", "()", MAIL);
    other.send("UID STORE 3 +FLAGS.SILENT (\\Deleted)");
    other.send("EXPUNGE");
    assert_eq!(client.send("NOOP"), format!("* VANISHED 3\r\n* 1 EXISTS\r\n{OK}"));
    client.send("CREATE other");
    let answer = client.send("UID MOVE 5 other");
    assert!(answer.contains(" 5 1] ") && answer.contains("* VANISHED 5\r\n"), "{answer}");
}

/// RFC 8437: nothing of it is left for the next login.
#[test]
fn it_ends_with_the_login() {
    let (_, mut client) = enabled();
    client.send("UNAUTHENTICATE");
    client.send("LOGIN alice secret");
    assert!(client.send("SELECT INBOX").contains("[UNSEEN 1]"));
    assert!(client.send("FETCH 1 UID").starts_with("* 1 FETCH (UID 2)\r\n"));
    // In the selected state it holds at once.
    client.send("ENABLE UIDONLY");
    assert!(client.send("UID FETCH 2 UID").starts_with("* 2 UIDFETCH (UID 2)\r\n"));
}
