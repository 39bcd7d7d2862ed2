//! SAVEDATE (RFC 8514): when a message came into its mailbox.

use super::client::{Client, MAIL, Store, store};

const DAY: u64 = 24 * 60 * 60 * 1000;
const OK: &str = "t OK Completed\r\n";

/// One message appended on the first day and moved on the second, one copied on the third. The store begins on
/// 21 September 2026, 14:13:20 UTC; each request takes it a millisecond.
fn moved() -> (Store, Client) {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append_all("INBOX", &[MAIL, MAIL]);
    store.pass(DAY);
    client.send("MOVE 1 Archive");
    store.pass(DAY);
    client.send("COPY 1 Archive");
    client.send("SELECT Archive");
    (store, client)
}

#[test]
fn the_date_is_that_of_the_mailbox() {
    let (_, mut client) = moved();
    assert_eq!(
        client.send("FETCH 1:* SAVEDATE"),
        format!(
            "* 1 FETCH (SAVEDATE \"22-Sep-2026 14:13:20 +0000\")\r\n\
             * 2 FETCH (SAVEDATE \"23-Sep-2026 14:13:20 +0000\")\r\n{OK}"
        )
    );
    client.send("SELECT INBOX");
    let answer = client.send("UID FETCH 2 (SAVEDATE UID)");
    assert_eq!(answer, format!("* 1 FETCH (SAVEDATE \"21-Sep-2026 14:13:20 +0000\" UID 2)\r\n{OK}"));
}

#[test]
fn messages_are_found_by_it() {
    let (_, mut client) = moved();
    for (keys, expected) in [
        ("SAVEDBEFORE 22-Sep-2026", ""),
        ("SAVEDBEFORE 23-Sep-2026", " 1"),
        ("SAVEDON 23-Sep-2026", " 2"),
        ("SAVEDSINCE 22-Sep-2026", " 1 2"),
        ("NOT SAVEDSINCE \"23-Sep-2026\"", " 1"),
        ("SAVEDATESUPPORTED", " 1 2"),
        ("NOT SAVEDATESUPPORTED", ""),
        ("SAVEDON 24-Sep-2026", ""),
    ] {
        let answer = client.send(&format!("SEARCH {keys}"));
        assert_eq!(answer, format!("* SEARCH{expected}\r\n{OK}"), "{keys}");
    }
    assert!(client.send("SEARCH SAVEDON").starts_with("t BAD "));
    assert!(client.send("CAPABILITY").contains(" SAVEDATE"));
}

/// It follows from operations alone: the other node, which hears of all that a day later, tells the same.
#[test]
fn every_node_tells_the_same_date() {
    let (first, mut client) = moved();
    let second = Store::new(1);
    second.pass(2 * DAY + 1000);
    first.sync_to(&second);
    let mut other = Client::logged_in(&second);
    for mailbox in ["Archive", "INBOX"] {
        for client in [&mut client, &mut other] {
            client.send(&format!("SELECT {mailbox}"));
        }
        let told = client.send("FETCH 1:* (SAVEDATE EMAILID)");
        assert_eq!(other.send("FETCH 1:* (SAVEDATE EMAILID)"), told);
        assert!(told.contains("SAVEDATE \"2"), "{told}");
    }
    // A flag of the other node changes nothing of it.
    other.send("STORE 1 +FLAGS (\\Seen)");
    second.sync_to(&first);
    let answer = client.send("FETCH 1 (FLAGS SAVEDATE)");
    assert!(answer.contains("(FLAGS (\\Seen) SAVEDATE \"21-Sep-2026 14:13:20 +0000\")"), "{answer}");
}
