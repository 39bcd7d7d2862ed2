//! REPLACE and UID REPLACE (RFC 8508).

use super::client::{Client, MAIL, store};

/// APPENDUID without its UIDVALIDITY.
fn without_validity(answer: &str) -> String {
    let Some((before, rest)) = answer.split_once("[APPENDUID ") else { return answer.to_owned() };
    let uid = rest.split_once(' ').map_or("", |(_, uid)| uid);
    format!("{before}[APPENDUID {uid}")
}

/// RFC 8508 sections 3.2 and 4.3: APPENDUID, then EXISTS, then EXPUNGE, and nothing of \Deleted.
#[test]
fn the_new_message_comes_before_the_old_one_goes() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    assert!(client.send("CAPABILITY").contains(" REPLACE"));
    client.append_all("INBOX", &[MAIL, MAIL, MAIL]);
    let mut other = Client::selected(&store, "INBOX");
    let answer = client.send_with("REPLACE 2 INBOX (\\Draft)", &[&MAIL.replace("Joe", "Jim")]);
    assert_eq!(
        without_validity(&answer),
        "* OK [APPENDUID 4] Appended\r\n* 4 EXISTS\r\n* 2 EXPUNGE\r\nt OK Replaced\r\n"
    );
    let answer = client.send("FETCH 1:* (UID FLAGS BODY.PEEK[TEXT]<6.3>)");
    assert!(answer.contains("* 3 FETCH (UID 4 FLAGS (\\Draft) BODY[TEXT]<6> {3}\r\nJim)"), "{answer}");
    assert!(answer.contains("UID 1 ") && answer.contains("UID 3 ") && !answer.contains("UID 2 "), "{answer}");
    assert_eq!(other.send("NOOP"), "* 2 EXPUNGE\r\n* 3 EXISTS\r\nt OK Completed\r\n");
}

#[test]
fn by_uid_and_into_another_mailbox() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.send("CREATE Sent2");
    client.append_all("INBOX", &[MAIL, MAIL]);
    client.send("STORE 1 +FLAGS.SILENT (\\Deleted)");
    let answer = client.send_with("UID REPLACE 2 Sent2", &[MAIL]);
    assert_eq!(without_validity(&answer), "* OK [APPENDUID 1] Appended\r\n* 2 EXPUNGE\r\nt OK Replaced\r\n");
    assert!(client.send("FETCH 1 FLAGS").contains("\\Deleted"), "other deleted messages stay");
    assert!(client.send("STATUS Sent2 (MESSAGES)").contains("MESSAGES 1"));
    // `*` is the last message.
    let answer = client.send_with("REPLACE * INBOX", &[MAIL]);
    assert!(answer.contains("* 2 EXISTS\r\n* 1 EXPUNGE\r\n"), "{answer}");
    client.send("ENABLE QRESYNC");
    let answer = client.send_with("UID REPLACE 3 INBOX", &[MAIL]);
    assert!(answer.contains("* 2 EXISTS\r\n* VANISHED 3\r\n"), "{answer}");
    assert!(answer.contains("t OK [HIGHESTMODSEQ "), "{answer}");
}

/// RFC 8508 sections 3.2 to 3.5
#[test]
fn what_cannot_be_replaced() {
    let store = store();
    let mut client = Client::logged_in(&store);
    assert!(
        client.send_with("REPLACE 1 INBOX", &[MAIL]).starts_with("t BAD [CLIENTBUG] "),
        "nothing is selected"
    );
    client.send("SELECT INBOX");
    client.append("INBOX", "()", MAIL);
    assert!(client.send_with("REPLACE 2 INBOX", &[MAIL]).starts_with("t BAD [CLIENTBUG] "));
    assert!(client.send_with("UID REPLACE 7 INBOX", &[MAIL]).starts_with("t NO [NONEXISTENT] "));
    assert!(client.send_with("REPLACE 1 absent", &[MAIL]).starts_with("t NO [TRYCREATE] "));
    assert!(client.send_with("REPLACE 1 INBOX", &[MAIL, MAIL]).starts_with("t BAD "));
    assert!(client.send_with("REPLACE 1 INBOX", &["Subject: a\r\n\r\na\0b"]).starts_with("t BAD "));
    client.send("EXAMINE INBOX");
    assert!(client.send_with("REPLACE 1 INBOX", &[MAIL]).starts_with("t NO [READ-ONLY] "));
    assert!(client.send("STATUS INBOX (MESSAGES)").contains("MESSAGES 1"), "nothing happened");
    assert!(client.send("FETCH 1 FLAGS").contains("FLAGS ())"));
}

/// Somebody else removes the old message first: the new one is wanted nevertheless.
#[test]
fn a_message_that_is_gone_already() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append_all("INBOX", &[MAIL, MAIL]);
    let mut other = Client::selected(&store, "INBOX");
    other.send("STORE 1 +FLAGS (\\Deleted)");
    other.send("EXPUNGE");
    let answer = client.send_with("REPLACE 1 INBOX", &[MAIL]);
    assert!(answer.starts_with("* OK [APPENDUID ") && answer.ends_with("t OK Replaced\r\n"), "{answer}");
    assert_eq!(answer.matches("EXPUNGE").count(), 1, "{answer}");
    assert!(client.send("STATUS INBOX (MESSAGES)").contains("MESSAGES 2"));
}
