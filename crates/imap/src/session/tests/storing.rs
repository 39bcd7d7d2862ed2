//! STORE, EXPUNGE, COPY, MOVE.

use super::client::{Client, MAIL, Store, store};

fn with_messages(count: usize) -> (Store, Client) {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    for _ in 0..count {
        client.append("INBOX", "()", MAIL);
    }
    (store, client)
}

#[test]
fn store_changes_and_tells() {
    let (_, mut client) = with_messages(3);
    assert_eq!(
        client.send("STORE 1,3 +FLAGS (\\Seen)"),
        "* 1 FETCH (FLAGS (\\Seen))\r\n* 3 FETCH (FLAGS (\\Seen))\r\nt OK Stored\r\n"
    );
    assert_eq!(client.send("STORE 1 +FLAGS (\\Seen)"), "* 1 FETCH (FLAGS (\\Seen))\r\nt OK Stored\r\n");
    assert_eq!(client.send("STORE 1 +FLAGS.SILENT (\\Flagged)"), "t OK Stored\r\n");
    assert_eq!(
        client.send("UID STORE 1 -FLAGS (\\Seen)"),
        "* 1 FETCH (UID 1 FLAGS (\\Flagged))\r\nt OK Stored\r\n"
    );
    let answer = client.send("STORE 1 FLAGS ($Junk \\Draft)");
    assert!(answer.contains("* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Junk)\r\n"), "{answer}");
    assert!(answer.ends_with("* 1 FETCH (FLAGS (\\Draft $Junk))\r\nt OK Stored\r\n"), "{answer}");
    assert!(client.send("STORE 9 +FLAGS (\\Seen)").starts_with("t BAD"));
    assert_eq!(client.send("UID STORE 9 +FLAGS (\\Seen)"), "t OK No message was meant\r\n");
}

#[test]
fn a_conditional_store_leaves_newer_messages_alone() {
    let (store, mut client) = with_messages(3);
    let answer = client.send("FETCH 1:3 (MODSEQ)");
    let since: u64 = answer
        .split("MODSEQ (")
        .skip(1)
        .filter_map(|rest| rest.split(')').next()?.parse().ok())
        .max()
        .unwrap();
    let mut other = Client::selected(&store, "INBOX");
    other.send("STORE 2 +FLAGS (\\Flagged)");
    let answer = client.send(&format!("STORE 1:3 (UNCHANGEDSINCE {since}) +FLAGS.SILENT (\\Seen)"));
    assert!(answer.contains("t OK [MODIFIED 2] "), "{answer}");
    // Silent, but the MODSEQs are told, and the change of the other client is told with its flags.
    assert!(
        answer.contains("* 1 FETCH (UID 1 MODSEQ (") && answer.contains("* 3 FETCH (UID 3 MODSEQ ("),
        "{answer}"
    );
    assert!(answer.contains("* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ ("), "{answer}");
    let answer = client.send("FETCH 1:3 FLAGS");
    assert!(
        answer.starts_with("* 1 FETCH (FLAGS (\\Seen))\r\n* 2 FETCH (FLAGS (\\Flagged))\r\n"),
        "{answer}"
    );
}

#[test]
fn expunge_takes_what_is_deleted() {
    let (_, mut client) = with_messages(5);
    assert_eq!(client.send("EXPUNGE"), "t OK Nothing was to be expunged\r\n");
    client.send("STORE 1,3,4 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(client.send("UID EXPUNGE 3"), "* 3 EXPUNGE\r\nt OK Expunged\r\n");
    assert_eq!(client.send("EXPUNGE"), "* 3 EXPUNGE\r\n* 1 EXPUNGE\r\nt OK Expunged\r\n");
    assert_eq!(client.send("FETCH 1:* UID"), "* 1 FETCH (UID 2)\r\n* 2 FETCH (UID 5)\r\nt OK Completed\r\n");
}

#[test]
fn close_expunges_in_silence_and_unselect_does_not() {
    let (_, mut client) = with_messages(2);
    client.send("STORE 1 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(client.send("UNSELECT"), "t OK No mailbox is selected now\r\n");
    assert!(client.send("SELECT INBOX").contains("* 2 EXISTS"));
    assert_eq!(client.send("CLOSE"), "t OK Closed\r\n");
    assert!(client.send("NOOP") == "t OK Completed\r\n");
    assert!(client.send("SELECT INBOX").contains("* 1 EXISTS"));
    assert!(client.send("EXAMINE INBOX").contains("* 1 EXISTS"));
    assert_eq!(client.send("CLOSE"), "t OK Closed\r\n");
}

#[test]
fn copy_pairs_the_uids() {
    let (_, mut client) = with_messages(3);
    assert!(client.send("COPY 1 absent").starts_with("t NO [TRYCREATE] "));
    let answer = client.send("COPY 1,3 Archive");
    assert!(answer.starts_with("t OK [COPYUID ") && answer.contains(" 1,3 1:2] "), "{answer}");
    let answer = client.send("UID COPY 2 INBOX");
    assert!(answer.starts_with("* 4 EXISTS\r\nt OK [COPYUID ") && answer.contains(" 2 4] "), "{answer}");
    let ids = client.send("FETCH 2,4 EMAILID");
    let mut ids = ids.split("EMAILID (").skip(1).filter_map(|rest| rest.split(')').next());
    assert_eq!(ids.next(), ids.next(), "copies share their EMAILID");
    assert_eq!(client.send("UID COPY 99 Archive"), "t OK No message was meant\r\n");
}

#[test]
fn move_tells_copyuid_before_the_expunges() {
    let (_, mut client) = with_messages(3);
    let answer = client.send("MOVE 1:2 Archive");
    let lines: Vec<&str> = answer.lines().collect();
    assert!(lines[0].starts_with("* OK [COPYUID ") && lines[0].contains(" 1:2 1:2] "), "{answer}");
    assert_eq!(&lines[1..], ["* 2 EXPUNGE", "* 1 EXPUNGE", "t OK Completed"]);
    assert!(client.send("STATUS Archive (MESSAGES UIDNEXT)").contains("(MESSAGES 2 UIDNEXT 3)"));
    assert!(client.send("UID MOVE 3 absent").starts_with("t NO [TRYCREATE]"));
}
