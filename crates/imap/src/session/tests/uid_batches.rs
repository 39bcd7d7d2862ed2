//! UIDBATCHES (RFC 10022).

use super::client::{Client, MAIL, store};

const OK: &str = "t OK Completed\r\n";

/// 1,200 messages. Their UIDs, which are those of the blocks of one node, have gaps.
fn many() -> Client {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append_all("INBOX", &vec![MAIL; 1_201]);
    client.send("STORE 1 +FLAGS.SILENT (\\Deleted)");
    client.send("EXPUNGE");
    client
}

/// The UIDs there are, in descending order.
fn uids(client: &mut Client) -> Vec<u32> {
    let answer = client.send("UID SEARCH ALL");
    let numbers = answer.lines().next().and_then(|line| line.strip_prefix("* SEARCH ")).unwrap_or_default();
    numbers.split(' ').rev().filter_map(|number| number.parse().ok()).collect()
}

/// What batches that begin at these places have to be.
fn batches(uids: &[u32], places: &[usize]) -> String {
    let mut text = String::new();
    for (number, place) in places.iter().enumerate() {
        let size = places.get(1).map_or(uids.len(), |second| second - places[0]);
        let lowest = uids.get(place + size).map_or(1, |next| next + 1);
        text += &format!("{}{}:{lowest}", if number == 0 { ' ' } else { ',' }, uids[*place]);
    }
    format!("* UIDBATCHES (TAG \"t\"){text}\r\n{OK}")
}

#[test]
fn batches_leave_no_uid_out() {
    let mut client = many();
    let all = uids(&mut client);
    assert!(all.len() == 1_200 && all[0] > 1_201, "there are gaps");
    for (asked, places) in [
        ("500", &[0, 500, 1000][..]),
        ("500 1:2", &[0, 500]),
        ("500 1:3", &[0, 500, 1000]),
        ("500 3:4294967295", &[1000]),
        ("500 4:9", &[]),
        ("1199", &[0, 1199]),
        ("1200", &[0]),
        ("4294967295", &[0]),
    ] {
        assert_eq!(client.send(&format!("UIDBATCHES {asked}")), batches(&all, places), "{asked}");
    }
    let second = client.send("UIDBATCHES 500 2:2");
    assert_eq!(second, format!("* UIDBATCHES (TAG \"t\") {}:{}\r\n{OK}", all[500], all[1000] + 1));
    // Every batch has as many messages as were asked for, whatever is gone.
    client.send("STORE 900:1000 +FLAGS.SILENT (\\Deleted)");
    client.send("EXPUNGE");
    let left = uids(&mut client);
    assert_eq!(client.send("UIDBATCHES 500"), batches(&left, &[0, 500, 1000]));
    let first = format!("UID SEARCH RETURN (COUNT) UID {}:{}", left[0], left[500] + 1);
    assert!(client.send(&first).contains(" COUNT 500\r\n"));
    client.send("SELECT Archive");
    assert_eq!(client.send("UIDBATCHES 500"), batches(&[], &[]));
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
    let all = uids(&mut client);
    assert_eq!(client.send("UIDBATCHES 1000"), batches(&all, &[0, 1000]));
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
