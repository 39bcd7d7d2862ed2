//! Transcripts of sessions over a store in memory.

mod acl;
mod annotating;
mod authenticating;
mod binary;
mod caching;
mod catenating;
mod client;
mod compressing;
mod fetching;
#[cfg(debug_assertions)]
mod left_out;
mod mailboxes;
mod merging;
mod message_limit;
mod model;
mod moving;
mod multi_searching;
mod notifying;
mod notifying_shared;
mod paging;
mod previewing;
mod progressing;
mod quotas;
mod replacing;
mod resyncing;
mod revision2;
mod save_dates;
mod saving;
mod searching;
mod shared;
mod sharing;
mod sorting;
mod storing;
mod threading;
mod uid_batches;
mod uid_only;
mod utf8;

use client::{Client, MAIL, store};

use super::ConnectionInfo;

#[test]
fn the_greeting_tells_what_can_be_done() {
    let store = store();
    let (_, greeting) =
        Client::connect(&store, ConnectionInfo { tls: false, starttls: true, plaintext_allowed: false });
    assert!(
        greeting.starts_with("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED LITERAL+ "),
        "{greeting}"
    );
    let (_, greeting) = Client::connect(&store, client::TLS);
    let offered = "AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=PLAIN SASL-IR";
    assert!(greeting.starts_with(&format!("* OK [CAPABILITY IMAP4rev1 {offered} LITERAL+ ")), "{greeting}");
}

#[test]
fn passwords_do_not_cross_in_clear_text() {
    let store = store();
    let open = ConnectionInfo { tls: false, starttls: true, plaintext_allowed: false };
    let (mut client, _) = Client::connect(&store, open);
    assert!(client.send("LOGIN alice secret").starts_with("t NO [PRIVACYREQUIRED] "));
    assert!(client.send("AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==").starts_with("t NO [PRIVACYREQUIRED] "));
    assert!(client.send("SELECT INBOX").starts_with("t BAD "));
    assert!(client.send("STARTTLS").starts_with("t OK "));
    assert!(client.send("LOGIN alice secret").starts_with("t OK [CAPABILITY IMAP4rev1 "));
}

#[test]
fn a_wrong_password_is_answered_late_and_in_general_words() {
    let store = store();
    let (mut client, _) = Client::connect(&store, client::TLS);
    let mut delays = Vec::new();
    for attempt in ["LOGIN alice wrong", "LOGIN nobody secret", "AUTHENTICATE PLAIN AGFsaWNlAHg="] {
        let before = client.now;
        assert_eq!(client.send(attempt), "t NO [AUTHENTICATIONFAILED] The name or the password is wrong\r\n");
        delays.push(client.now.0 - before.0);
    }
    assert_eq!(delays, [1000, 2000, 4000]);
    client.send("LOGIN alice wrong");
    assert!(client.send("LOGIN alice wrong").ends_with("* BYE Too many wrong passwords\r\n"));
    assert!(client.closed);
}

#[test]
fn plain_works_with_and_without_an_initial_response() {
    let store = store();
    let (mut client, _) = Client::connect(&store, client::TLS);
    assert_eq!(client.send("AUTHENTICATE PLAIN"), "+ \r\n");
    assert!(client.line("*").starts_with("t BAD "));
    assert_eq!(client.send("AUTHENTICATE PLAIN"), "+ \r\n");
    assert!(client.line("AGFsaWNlAHNlY3JldA==").starts_with("t OK "));
    assert!(client.send("LOGIN alice secret").starts_with("t BAD "));
    let (mut client, _) = Client::connect(&store, client::TLS);
    assert!(client.send("AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==").starts_with("t OK "));
    let (mut client, _) = Client::connect(&store, client::TLS);
    assert!(
        client.send("AUTHENTICATE PLAIN Ym9iAGFsaWNlAHNlY3JldA==").starts_with("t NO [AUTHORIZATIONFAILED]")
    );
}

#[test]
fn select_tells_all_that_the_rfcs_want() {
    let store = store();
    let mut client = Client::logged_in(&store);
    client.append("INBOX", "(\\Seen)", MAIL);
    client.append("INBOX", "($Forwarded)", MAIL);
    let answer = client.send("SELECT inbox");
    for part in [
        "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Forwarded)\r\n",
        "* OK [PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Forwarded \\*)]",
        "* 2 EXISTS\r\n* 0 RECENT\r\n* OK [UNSEEN 2]",
        "* OK [UIDVALIDITY ",
        "* OK [UIDNEXT 3]",
        "* OK [HIGHESTMODSEQ ",
        "* OK [MAILBOXID (M",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    assert!(answer.ends_with("t OK [READ-WRITE] Selected\r\n"));
    let answer = client.send("EXAMINE INBOX");
    assert!(answer.starts_with("* OK [CLOSED] ") && answer.contains("[PERMANENTFLAGS ()]"), "{answer}");
    assert!(answer.ends_with("t OK [READ-ONLY] Selected\r\n"));
    assert!(client.send("STORE 1 +FLAGS (\\Seen)").starts_with("t NO [READ-ONLY]"));
    assert!(client.send("SELECT absent").ends_with("t NO [NONEXISTENT] There is no such mailbox\r\n"));
    assert!(client.send("FETCH 1 FLAGS").starts_with("t BAD "), "nothing is selected after a failed SELECT");
}

#[test]
fn append_tells_uids_and_refuses_what_cannot_be() {
    let store = store();
    let mut client = Client::logged_in(&store);
    let answer = client.append("INBOX", "(\\Seen)", MAIL);
    assert!(answer.starts_with("t OK [APPENDUID ") && answer.contains(" 1] "), "{answer}");
    client.send("SELECT INBOX");
    let answer = client.append("INBOX", "()", MAIL);
    assert!(answer.starts_with("* 2 EXISTS\r\nt OK [APPENDUID "), "{answer}");
    assert!(client.append("absent", "()", MAIL).starts_with("t NO [TRYCREATE] "));
    assert!(client.append("INBOX", "()", "").starts_with("t NO "));
    assert!(client.append("INBOX", "()", "a\0b").starts_with("t BAD "));
    let many = client.append_all("INBOX", &[MAIL, MAIL, MAIL]);
    assert!(many.starts_with("* 5 EXISTS\r\n") && many.contains(" 3:5] "), "{many}");
    assert!(client.send("FETCH 3 (FLAGS UID)").starts_with("* 3 FETCH (FLAGS () UID 3)\r\n"));
}

/// RFC 7889: the limit holds for every mailbox, is told as a capability and by STATUS, and is answered before the octets come.
#[test]
fn the_limit_of_a_message_is_told() {
    let store = store();
    let mut client = Client::logged_in(&store);
    assert!(client.send("CAPABILITY").contains(" APPENDLIMIT=67108864"));
    let answer = client.send("STATUS Drafts (APPENDLIMIT)");
    assert_eq!(answer, "* STATUS \"Drafts\" (APPENDLIMIT 67108864)\r\nt OK Completed\r\n");
    let answer = client.send("LIST \"\" INBOX RETURN (STATUS (APPENDLIMIT))");
    assert!(answer.contains("* STATUS \"INBOX\" (APPENDLIMIT 67108864)\r\n"), "{answer}");
    assert!(client.wire("a APPEND INBOX {67108865}\r\n").starts_with("a NO [TOOBIG] "));
}

#[test]
fn a_silent_client_is_let_go() {
    let store = store();
    let mut client = Client::logged_in(&store);
    assert_eq!(client.time_out(), "* BYE Nothing was heard for too long\r\n");
    assert!(client.closed);
    let (mut client, _) = Client::connect(&store, client::TLS);
    assert!(client.time_out().starts_with("* BYE"));
}

#[test]
fn who_speaks_another_protocol_is_let_go() {
    let store = store();
    let (mut client, _) = Client::connect(&store, client::TLS);
    for _ in 0..9 {
        assert!(client.send("GET / HTTP/1.1").starts_with("t BAD "));
    }
    assert!(client.send("GET / HTTP/1.1").ends_with("* BYE This is IMAP\r\n"));
    assert!(client.closed);
}

#[test]
fn what_needs_no_mailbox() {
    let store = store();
    let mut client = Client::logged_in(&store);
    assert_eq!(
        client.send("NAMESPACE"),
        "* NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) NIL\r\nt OK Completed\r\n"
    );
    assert!(client.send("ID NIL").starts_with("* ID (\"name\" \"Peerpost\" "));
    assert_eq!(client.send("ENABLE CONDSTORE X-NONE"), "* ENABLED CONDSTORE\r\nt OK Completed\r\n");
    let answer = client.send("ENABLE QRESYNC CONDSTORE UTF8=ACCEPT");
    assert_eq!(
        answer, "* ENABLED QRESYNC UTF8=ACCEPT\r\nt OK Completed\r\n",
        "RFC 5161 section 3.1: what is new"
    );
    assert_eq!(client.send("ENABLE UTF8=ACCEPT QRESYNC"), "* ENABLED\r\nt OK Completed\r\n");
    assert_eq!(client.send("NOOP"), "t OK Completed\r\n");
    assert!(client.send("CAPABILITY").contains(" UIDPLUS MOVE "));
    assert_eq!(client.send("LOGOUT"), "* BYE Logging out\r\nt OK Completed\r\n");
    assert!(client.closed);
}

/// RFC 8437: nothing of the first login is left, neither the mailbox nor what was enabled.
#[test]
fn one_connection_serves_several_logins() {
    let store = store();
    let (mut client, _) = Client::connect(&store, client::TLS);
    assert!(client.send("UNAUTHENTICATE").starts_with("t BAD "), "nobody is logged in");
    client.send("LOGIN alice secret");
    assert!(client.send("CAPABILITY").contains(" UNAUTHENTICATE "));
    client.append("INBOX", "(\\Deleted)", MAIL);
    client.send("ENABLE QRESYNC");
    client.send("SELECT INBOX");
    let answer = client.send("UNAUTHENTICATE");
    assert!(answer.starts_with("t OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256-PLUS "), "{answer}");
    for command in ["FETCH 1 FLAGS", "LIST \"\" *", "UNAUTHENTICATE"] {
        assert!(client.send(command).starts_with("t BAD "), "{command}");
    }
    assert!(client.send("LOGIN alice wrong").starts_with("t NO [AUTHENTICATIONFAILED] "));
    assert!(client.send("LOGIN alice secret").starts_with("t OK "));
    assert!(client.send("FETCH 1 FLAGS").starts_with("t BAD "), "no mailbox is selected");
    let answer = client.send("SELECT INBOX (QRESYNC (1 1))");
    assert!(answer.starts_with("t BAD "), "QRESYNC is not enabled any more: {answer}");
    assert!(client.send("SELECT INBOX").contains("* 1 EXISTS\r\n"), "what is \\Deleted was not expunged");
}

#[test]
fn a_node_that_goes_down_says_so() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    assert_eq!(client.send("IDLE"), "+ idling\r\n");
    assert!(client.shut_down().starts_with("* BYE The node is shutting down"));
    assert!(client.closed);
}

#[test]
fn a_full_disk_refuses_mail_and_leaves_nothing() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append("INBOX", "()", MAIL);
    store.disk.set_capacity(Some(store.disk.used()));
    let large = format!("{MAIL}{}", "x".repeat(4 * 1024 * 1024));
    let answer = client.append("INBOX", "()", &large);
    assert!(answer.starts_with("t NO [UNAVAILABLE] "), "{answer}");
    assert!(client.send("FETCH 1 BODY.PEEK[TEXT]").contains("Hello Joe"), "reading goes on");
    store.disk.set_capacity(None);
    assert!(client.append("INBOX", "()", MAIL).starts_with("* 2 EXISTS\r\nt OK [APPENDUID "));
}
