//! UIDBATCHES (RFC 10022).

use super::client::{Client, MAIL, store};

/// 1,200 messages with the UIDs 2 to 1201.
fn many() -> Client {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append_all("INBOX", &vec![MAIL; 1_201]);
    client.send("STORE 1 +FLAGS.SILENT (\\Deleted)");
    client.send("EXPUNGE");
    client
}

#[test]
fn batches_leave_no_uid_out() {
    let mut client = many();
    for (asked, expected) in [
        ("500", " 1201:702,701:202,201:1"),
        ("500 1:2", " 1201:702,701:202"),
        ("500 2:2", " 701:202"),
        ("500 3:9", " 201:1"),
        ("500 4:9", ""),
        ("500 1:4294967295", " 1201:702,701:202,201:1"),
        ("1199", " 1201:3,2:1"),
        ("1200", " 1201:1"),
        ("4294967295", " 1201:1"),
    ] {
        let answer = client.send(&format!("UIDBATCHES {asked}"));
        assert_eq!(answer, format!("* UIDBATCHES (TAG \"t\"){expected}\r\nt OK Completed\r\n"), "{asked}");
    }
    // Every batch has as many messages as were asked for, gaps or not.
    client.send("UID STORE 900:1000 +FLAGS.SILENT (\\Deleted)");
    client.send("EXPUNGE");
    assert_eq!(
        client.send("UIDBATCHES 500"),
        "* UIDBATCHES (TAG \"t\") 1201:601,600:101,100:1\r\nt OK Completed\r\n"
    );
    assert!(client.send("UID SEARCH RETURN (COUNT) UID 1201:601").contains("COUNT 500"));
    client.send("SELECT Archive");
    assert_eq!(client.send("UIDBATCHES 500"), "* UIDBATCHES (TAG \"t\")\r\nt OK Completed\r\n");
}

#[test]
fn what_cannot_be_is_refused() {
    let mut client = many();
    assert!(client.send("UIDBATCHES 499").starts_with("t NO [TOOFEW] "));
    assert!(client.send("UIDBATCHES 500 20:10").starts_with("t BAD [CLIENTBUG] "));
    for wrong in ["", " 0", " x", " 500 1", " 500 0:1", " 500 1:*", " 500 1:2 3"] {
        assert!(client.send(&format!("UIDBATCHES{wrong}")).starts_with("t BAD "), "{wrong}");
    }
    client.send("UNSELECT");
    assert!(client.send("UIDBATCHES 500").starts_with("t BAD [CLIENTBUG] Select"));
}

/// What Apple's clients enable together. `$` stays what it was.
#[test]
fn batches_go_with_uid_only_and_leave_a_saved_result_alone() {
    let mut client = many();
    let capabilities = client.send("CAPABILITY");
    for name in ["UIDONLY", "PARTIAL", "UIDBATCHES", "ENABLE", "ESEARCH"] {
        assert!(capabilities.contains(&format!(" {name} ")), "{name} in {capabilities}");
    }
    client.send("ENABLE UIDONLY");
    client.send("UID SEARCH RETURN (SAVE) UID 7:9");
    assert!(client.send("UIDBATCHES 1000").contains(" 1201:202,201:1\r\n"));
    assert!(client.send("UID SEARCH RETURN (ALL) $").contains(" ALL 7:9\r\n"));
}

/// The first batch begins with the newest message, which is told before it.
#[test]
fn news_come_first() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    let mut other = Client::selected(&store, "INBOX");
    other.append_all("INBOX", &[MAIL; 3]);
    assert_eq!(
        client.send("UIDBATCHES 500"),
        "* 3 EXISTS\r\n* UIDBATCHES (TAG \"t\") 3:1\r\nt OK Completed\r\n"
    );
}
