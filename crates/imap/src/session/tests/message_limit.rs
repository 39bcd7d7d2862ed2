//! MESSAGELIMIT (RFC 9738).

use super::client::{Client, MAIL, Store, store};
use crate::session::SessionConfig;

/// Six messages with the UIDs 1 to 6, where a command changes four at most.
fn limited() -> (Store, Client) {
    let store = store();
    let config = SessionConfig { message_limit: 4, ..SessionConfig::default() };
    let mut client = Client::configured(&store, config);
    client.append_all("INBOX", &[MAIL; 4]);
    client.append_all("INBOX", &[MAIL; 2]);
    (store, client)
}

const CODE: &str = "[MESSAGELIMIT 4 3] Only the 4 messages with the highest UIDs; go on below 3\r\n";

#[test]
fn a_store_stops_and_says_where() {
    let (_, mut client) = limited();
    assert!(client.send("CAPABILITY").contains(" MESSAGELIMIT=4 "));
    assert_eq!(client.send("UID STORE 1:* +FLAGS.SILENT (\\Seen)"), format!("t OK {CODE}"));
    assert_eq!(client.send("SEARCH SEEN"), "* SEARCH 3 4 5 6\r\nt OK Completed\r\n");
    assert_eq!(client.send("STORE 1:2 +FLAGS.SILENT (\\Seen)"), "t OK Stored\r\n");
    // A code that is there already goes into the tagged answer, that of the limit before it.
    let answer = client.send("STORE 1:6 (UNCHANGEDSINCE 1) +FLAGS.SILENT (\\Flagged)");
    let (before, tagged) = answer.split_once("t OK [MODIFIED 3:6] ").expect("nothing is that old");
    assert!(before.ends_with(&format!("* NO {CODE}")) && !tagged.is_empty(), "{answer}");
}

#[test]
fn a_move_and_an_expunge_stop_and_a_copy_is_refused() {
    let (_, mut client) = limited();
    let answer = client.send("COPY 1:5 Archive");
    assert_eq!(answer, "t NO [MESSAGELIMIT 4] At most 4 messages at once; nothing was done\r\n");
    assert!(client.send("STATUS Archive (MESSAGES)").contains("MESSAGES 0"));
    let answer = client.send("UID MOVE 1:6 Archive");
    assert!(answer.starts_with("* OK [COPYUID ") && answer.contains(" 3:6 1:4] "), "{answer}");
    assert!(answer.ends_with(&format!("t OK {CODE}")), "{answer}");
    client.send("SELECT Archive");
    client.append_all("Archive", &[MAIL; 2]);
    client.send("UID STORE 1:3 +FLAGS.SILENT (\\Deleted)");
    client.send("UID STORE 4:6 +FLAGS.SILENT (\\Deleted)");
    let answer = client.send("UID EXPUNGE 1:*");
    assert!(answer.ends_with(&format!("t OK {CODE}")), "{answer}");
    assert_eq!(client.send("UID SEARCH ALL"), "* SEARCH 1 2\r\nt OK Completed\r\n");
}

/// Who does not know of the limit takes every message for gone that a FETCH or SEARCH leaves out; and EXPUNGE and CLOSE mean all.
#[test]
fn what_reads_is_not_cut_nor_is_expunge() {
    let (_, mut client) = limited();
    assert_eq!(client.send("FETCH 1:* UID").matches(" FETCH ").count(), 6);
    assert_eq!(client.send("SEARCH ALL"), "* SEARCH 1 2 3 4 5 6\r\nt OK Completed\r\n");
    client.send("STORE 1:3 +FLAGS.SILENT (\\Deleted)");
    client.send("STORE 4:6 +FLAGS.SILENT (\\Deleted)");
    let answer = client.send("EXPUNGE");
    assert!(answer.matches(" EXPUNGE\r\n").count() == 6 && answer.ends_with("t OK Expunged\r\n"), "{answer}");
}

#[test]
fn too_many_messages_are_not_appended() {
    let (_, mut client) = limited();
    let answer = client.append_all("INBOX", &[MAIL; 5]);
    assert_eq!(answer, "t NO [MESSAGELIMIT 4] At most 4 messages at once; nothing was done\r\n");
    assert!(client.send("STATUS INBOX (MESSAGES)").contains("MESSAGES 6"));
}

/// RFC 9738: unlike in a set with `*`, the last message is not found where it is not above.
#[test]
fn messages_before_and_after_a_uid() {
    let (_, mut client) = limited();
    for (keys, expected) in [
        ("UIDAFTER 4", " 5 6"),
        ("UIDAFTER 6", ""),
        ("UIDAFTER 4294967295", ""),
        ("UIDBEFORE 3", " 1 2"),
        ("UIDBEFORE 1", ""),
        ("NOT UIDBEFORE 3 UIDBEFORE 6", " 3 4 5"),
    ] {
        let answer = client.send(&format!("UID SEARCH {keys}"));
        assert_eq!(answer, format!("* SEARCH{expected}\r\nt OK Completed\r\n"), "{keys}");
    }
    assert!(client.send("SEARCH UIDAFTER 0").starts_with("t BAD "));
}
