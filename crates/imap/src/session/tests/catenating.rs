//! CATENATE (RFC 4469).

use super::client::{Client, MAIL, Store, store};

const PARTS: &str = concat!(
    "Subject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
    "--b\r\n\r\nfirst\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>second\r\n--b--\r\n",
);

/// A store with a mailbox of drafts that holds one message, and a client that has INBOX selected.
fn drafts() -> (Store, Client) {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append("Drafts", "()", PARTS);
    client.append("INBOX", "()", MAIL);
    (store, client)
}

/// UIDVALIDITY of the drafts.
fn validity(client: &mut Client) -> u32 {
    let answer = client.send("STATUS Drafts (UIDVALIDITY)");
    answer.split("UIDVALIDITY ").nth(1).and_then(|rest| rest.split(')').next()).unwrap().parse().unwrap()
}

/// RFC 4469 appendix A: texts and parts of stored messages, of another mailbox and of the selected one.
#[test]
fn a_message_is_put_together() {
    let (_store, mut client) = drafts();
    assert!(client.send("CAPABILITY").contains(" CATENATE"));
    let validity = validity(&mut client);
    let answer = client.wire(&format!(
        "a APPEND INBOX (\\Draft) CATENATE (URL \"/Drafts;UIDVALIDITY={validity}/;UID=1/;section=HEADER\" TEXT {{5}}\r\n\
         --b\r\n URL /Drafts/;UID=1/;section=2.MIME URL \"/drafts/;uid=1/;SECTION=2\" TEXT {{3+}}\r\n\r\n- \
         URL ;UID=1/;SECTION=TEXT/;PARTIAL=6.3)\r\n"
    ));
    assert!(
        answer.starts_with("+\r\na NO [BADURL /drafts/;uid=1/;SECTION=2] "),
        "names have their case: {answer}"
    );
    let answer = client.wire(&format!(
        "a APPEND INBOX (\\Draft) CATENATE (URL \"/Drafts;UIDVALIDITY={validity}/;UID=1/;section=HEADER\" TEXT {{5}}\r\n\
         --b\r\n URL /Drafts/;UID=1/;section=2.MIME URL \"/Drafts/;uid=1/;SECTION=2\" TEXT {{3+}}\r\n\r\n- \
         URL ;UID=1/;SECTION=TEXT/;PARTIAL=6.3)\r\n"
    ));
    assert!(answer.starts_with("+\r\n* 2 EXISTS\r\na OK [APPENDUID "), "{answer}");
    let expected = concat!(
        "Subject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        "--b\r\nContent-Type: text/html\r\n\r\n<p>second\r\n-Joe",
    );
    let answer = client.send("FETCH 2 (FLAGS BODY.PEEK[])");
    assert!(
        answer.contains(&format!("FLAGS (\\Draft) BODY[] {{{}}}\r\n{expected})", expected.len())),
        "{answer}"
    );
    assert_eq!(client.send("FETCH 2 BINARY.SIZE[1]"), "* 2 FETCH (BINARY.SIZE[1] 15)\r\nt OK Completed\r\n");
    // RFC 4469 section 3: \Seen is not set, and the mailbox stays selected.
    assert!(client.send("FETCH 1 FLAGS").contains("FLAGS ())"));
    assert!(client.send("STATUS Drafts (UNSEEN)").contains("UNSEEN 1"));
}

/// RFC 4469 section 3 with RFC 3502: several messages, and none of the literals.
#[test]
fn without_a_literal_and_several_at_once() {
    let (_store, mut client) = drafts();
    let answer = client.wire("a APPEND INBOX CATENATE (URL /Drafts/;UID=1)\r\n");
    assert!(answer.starts_with("* 2 EXISTS\r\na OK [APPENDUID "), "{answer}");
    assert!(client.send("FETCH 2 BODY.PEEK[]").contains(PARTS));
    let answer = client.wire(
        "a APPEND Drafts CATENATE (URL ;UID=1 URL /INBOX/;UID=2) (\\Seen) {3+}\r\nabc CATENATE (TEXT {1+}\r\nx)\r\nb NOOP\r\n",
    );
    assert!(answer.contains(" 2:4] Appended\r\nb OK"), "{answer}");
    client.send("SELECT Drafts");
    assert!(client.send("FETCH 2 BODY.PEEK[]").contains(&format!("{MAIL}{PARTS})")));
    assert!(client.send("FETCH 3:4 BODY.PEEK[]").contains("* 4 FETCH (BODY[] {1}\r\nx)"));
}

/// RFC 8508 takes what APPEND takes: a draft is written anew with parts of the draft that it replaces.
#[test]
fn a_replacement_with_parts_of_what_it_replaces() {
    let (_store, mut client) = drafts();
    client.send("SELECT Drafts");
    let answer =
        client.wire("a UID REPLACE 1 Drafts CATENATE (TEXT {12+}\r\nSubject: new URL ;UID=1/;SECTION=1)\r\n");
    assert!(answer.contains("* 2 EXISTS\r\n* 1 EXPUNGE\r\na OK Replaced\r\n"), "{answer}");
    assert!(client.send("FETCH 1 BODY.PEEK[]").contains("Subject: newfirst)"));
}

/// RFC 4469 section 4.1: the URL comes back, and nothing is appended.
#[test]
fn urls_that_point_at_nothing() {
    let (store, mut client) = drafts();
    let wrong_validity = validity(&mut client) + 1;
    for url in [
        "/Drafts/;UID=2",
        "/absent/;UID=1",
        "/Drafts/;UID=1/;SECTION=3",
        "/Drafts/;UID=1/;SECTION=1.HEADER",
        "/INBOX",
        "imap://other.example/INBOX/;UID=1",
        "/Drafts/;UID=1;URLAUTH=anonymous",
        &format!("/Drafts;UIDVALIDITY={wrong_validity}/;UID=1"),
    ] {
        let answer =
            client.wire(&format!("a APPEND INBOX CATENATE (TEXT {{3+}}\r\nabc URL {url})\r\nb NOOP\r\n"));
        assert!(answer.starts_with(&format!("a NO [BADURL {url}] ")), "{url}: {answer}");
        assert!(answer.ends_with("\r\nb OK Completed\r\n"), "{url}: {answer}");
        // What follows is swallowed, or not even asked for.
        let follows = format!("a APPEND INBOX CATENATE (URL {url} TEXT {{3+}}\r\nabc URL /x)\r\nb NOOP\r\n");
        let answer = client.wire(&follows);
        assert!(
            answer.starts_with("a NO [BADURL ") && answer.ends_with("\r\nb OK Completed\r\n"),
            "{answer}"
        );
        let answer = client.wire(&format!("a APPEND INBOX CATENATE (URL {url} TEXT {{3}}\r\nb NOOP\r\n"));
        assert!(
            answer.starts_with("a NO [BADURL ") && answer.ends_with("\r\nb OK Completed\r\n"),
            "{answer}"
        );
    }
    let answer = client.wire("a APPEND INBOX CATENATE (URL {8+}\r\n/x]\r\n\u{e9}y)\r\n");
    assert!(answer.starts_with("a NO [BADURL /x%5D%0D%0A%C3%A9y] "), "{answer}");
    assert!(client.send("STATUS INBOX (MESSAGES)").contains("MESSAGES 1"), "nothing was appended");
    let mut client = Client::logged_in(&store);
    let answer = client.wire("a APPEND INBOX CATENATE (URL ;UID=1)\r\n");
    assert!(answer.starts_with("a NO [BADURL ;UID=1] "), "nothing is selected: {answer}");
}

/// RFC 4469 section 4.2
#[test]
fn what_is_too_much() {
    let (_store, mut client) = drafts();
    let answer = client.wire("a APPEND INBOX CATENATE (TEXT {70000000}\r\nb NOOP\r\n");
    assert!(answer.starts_with("a NO [TOOBIG] ") && answer.ends_with("b OK Completed\r\n"), "{answer}");
    let size = 5 * 1024 * 1024;
    client.wire(&format!("a APPEND Drafts {{{size}+}}\r\n{}\r\n", "x".repeat(size)));
    let answer = client.wire("a APPEND INBOX CATENATE (URL /Drafts/;UID=2 TEXT {62000000}\r\nb NOOP\r\n");
    assert!(answer.starts_with("a NO [TOOBIG] ") && answer.ends_with("b OK Completed\r\n"), "{answer}");
    assert!(client.turns >= 4, "it is copied in pieces: {}", client.turns);
    let answer = client.wire("a APPEND INBOX CATENATE (URL /Drafts/;UID=2/;SECTION=TEXT)\r\n");
    assert!(answer.starts_with("a NO [CANNOT] "), "nothing at all is no message: {answer}");
    let many = " URL /Drafts/;UID=1/;PARTIAL=0.1".repeat(1_100);
    let answer = client.wire(&format!("a APPEND INBOX CATENATE (TEXT {{1+}}\r\nx{many})\r\n"));
    assert!(answer.starts_with("a NO [LIMIT] "), "{answer}");
    assert!(client.wire("a APPEND INBOX CATENATE (TEXT {3+}\r\na\0b)\r\n").starts_with("a BAD "));
}
