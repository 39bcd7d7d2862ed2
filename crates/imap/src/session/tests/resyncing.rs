//! Clients that come back to a mailbox with what they know of it (RFC 7162 section 3.2).

use super::client::{Client, MAIL, Store, store};
use super::model::between;

/// A client with QRESYNC that has selected INBOX.
fn enabled(store: &Store) -> Client {
    let mut client = Client::logged_in(store);
    assert_eq!(client.send("ENABLE QRESYNC"), "* ENABLED QRESYNC\r\nt OK Completed\r\n");
    assert!(client.send("SELECT INBOX").ends_with("t OK [READ-WRITE] Selected\r\n"));
    client
}

fn number(answer: &str, code: &str) -> u64 {
    let found = between(answer, &format!("[{code} "), &[']']).and_then(|text| text.parse().ok());
    found.unwrap_or_else(|| panic!("{code} in {answer}"))
}

/// UIDVALIDITY and HIGHESTMODSEQ of INBOX now.
fn state(store: &Store) -> (u64, u64) {
    let answer = Client::logged_in(store).send("EXAMINE INBOX");
    (number(&answer, "UIDVALIDITY"), number(&answer, "HIGHESTMODSEQ"))
}

/// A store with messages 1 to `count` in INBOX.
fn filled(count: usize) -> Store {
    let store = store();
    Client::logged_in(&store).append_all("INBOX", &vec![MAIL; count]);
    store
}

/// What follows the codes of SELECT, MODSEQs left out.
fn resynchronized(client: &mut Client, parameter: &str) -> Vec<String> {
    let answer = client.send(&format!("SELECT INBOX (QRESYNC ({parameter}))"));
    assert!(answer.ends_with("t OK [READ-WRITE] Selected\r\n"), "{answer}");
    let told = answer.lines().filter(|line| line.contains("VANISHED") || line.contains(" FETCH "));
    told.map(|line| line.split(" MODSEQ").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn qresync_has_to_be_enabled() {
    let store = filled(1);
    let mut client = Client::selected(&store, "INBOX");
    assert!(client.send("SELECT Sent (QRESYNC (1 2))").starts_with("t BAD "));
    assert!(client.send("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)").starts_with("t BAD "));
    assert!(client.send("FETCH 1 (UID)").starts_with("* 1 FETCH (UID 1)"), "INBOX is still selected");
    assert!(client.send("ENABLE QRESYNC CONDSTORE").starts_with("* ENABLED CONDSTORE QRESYNC\r\n"));
    assert!(client.send("CAPABILITY").contains(" CONDSTORE QRESYNC "));
    assert!(client.send("SELECT INBOX (QRESYNC (1 2))").starts_with("* OK [CLOSED] "));
}

#[test]
fn what_was_missed_is_told_on_select() {
    let store = filled(6);
    let (validity, known) = state(&store);
    let mut other = Client::selected(&store, "INBOX");
    other.send("STORE 2 +FLAGS (\\Seen)");
    other.send("STORE 1,3:4 +FLAGS (\\Deleted)");
    other.send("EXPUNGE");
    other.append("INBOX", "()", MAIL);
    let mut client = enabled(&store);
    assert_eq!(
        resynchronized(&mut client, &format!("{validity} {known}")),
        ["* VANISHED (EARLIER) 1,3:4", "* 1 FETCH (UID 2 FLAGS (\\Seen)", "* 4 FETCH (UID 7 FLAGS ()"]
    );
    // Of UIDs that the client does not name nothing is told.
    assert_eq!(resynchronized(&mut client, &format!("{validity} {known} 3,6")), ["* VANISHED (EARLIER) 3"]);
    let now = state(&store).1;
    assert_eq!(resynchronized(&mut client, &format!("{validity} {now}")), [""; 0]);
    // Another UIDVALIDITY: the rest means nothing.
    assert_eq!(resynchronized(&mut client, &format!("{} {known} 1:6", validity + 1)), [""; 0]);
}

#[test]
fn uid_fetch_tells_what_vanished_before_anything_else() {
    let store = filled(5);
    let (_, known) = state(&store);
    let mut client = enabled(&store);
    let mut other = Client::selected(&store, "INBOX");
    other.send("STORE 1:2 +FLAGS (\\Deleted)");
    other.send("EXPUNGE");
    other.send("STORE 1 +FLAGS (\\Seen)");
    let answer = client.send(&format!("UID FETCH 1:* (FLAGS) (VANISHED CHANGEDSINCE {known})"));
    let told: Vec<&str> =
        answer.lines().map(|line| line.split(" MODSEQ").next().unwrap_or_default()).collect();
    // Both were announced in this session: VANISHED takes them out of it, and EARLIER must not name them again.
    assert!(told[0] == "* VANISHED 1:2" && told[1] == "* VANISHED (EARLIER) 1:2", "{answer}");
    assert!(told[2..].contains(&"* 1 FETCH (UID 3 FLAGS (\\Seen)"), "{answer}");
    let answer = client.send(&format!("UID FETCH 2,4 (FLAGS) (CHANGEDSINCE {known} VANISHED)"));
    assert!(answer.starts_with("* VANISHED (EARLIER) 2\r\nt OK"), "{answer}");
    assert!(client.send("FETCH 1 (FLAGS) (CHANGEDSINCE 5 VANISHED)").starts_with("t BAD "));
    assert!(client.send("UID FETCH 1 (FLAGS) (VANISHED)").starts_with("t BAD "));
}

#[test]
fn vanished_takes_the_place_of_expunge() {
    let store = filled(6);
    let mut client = enabled(&store);
    let mut other = Client::selected(&store, "INBOX");
    client.send("STORE 1:2 +FLAGS.SILENT (\\Deleted)");
    let answer = client.send("UID EXPUNGE 2");
    let now = state(&store).1;
    assert_eq!(answer, format!("* VANISHED 2\r\nt OK [HIGHESTMODSEQ {now}] Expunged\r\n"));
    let answer = client.send("EXPUNGE");
    let now = state(&store).1;
    assert_eq!(answer, format!("* VANISHED 1\r\nt OK [HIGHESTMODSEQ {now}] Expunged\r\n"));
    let answer = client.send("UID MOVE 4 Archive");
    let now = state(&store).1;
    assert!(answer.starts_with("* OK [COPYUID ") && answer.contains("\r\n* VANISHED 4\r\n"), "{answer}");
    assert!(answer.ends_with(&format!("t OK [HIGHESTMODSEQ {now}] Completed\r\n")), "{answer}");
    assert_eq!(other.send("NOOP"), "* 4 EXPUNGE\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\nt OK Completed\r\n");
    client.send("IDLE");
    other.send("STORE 1 +FLAGS (\\Deleted)");
    other.send("EXPUNGE");
    let answer = client.changes();
    let now = state(&store).1;
    assert_eq!(answer, format!("* VANISHED 3\r\n* OK [HIGHESTMODSEQ {now}] The newest change\r\n"));
    client.line("DONE");
    // RFC 7162 section 3.2.8: CLOSE tells nothing of it.
    client.send("STORE 1 +FLAGS (\\Deleted)");
    assert_eq!(client.send("CLOSE"), "t OK Closed\r\n");
}

/// RFC 7162 section 6: a client takes the highest MODSEQ of a FETCH for HIGHESTMODSEQ. Where an expunge of a lower one may not
/// be told yet, it would lose that with its connection.
#[test]
fn highestmodseq_stays_below_what_is_held_back() {
    let store = filled(4);
    let (validity, known) = state(&store);
    let mut client = enabled(&store);
    let mut other = Client::selected(&store, "INBOX");
    other.send("STORE 2 +FLAGS (\\Deleted)");
    other.send("EXPUNGE");
    let answer = client.send("STORE 1 +FLAGS (\\Seen)");
    assert!(answer.contains("* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ ("), "{answer}");
    assert!(answer.contains(&format!("[HIGHESTMODSEQ {known}]")), "{answer}");
    assert!(client.send("FETCH 3 (UID MODSEQ)").contains(&format!("[HIGHESTMODSEQ {known}]")));
    // It comes back after a cut.
    let mut client = enabled(&store);
    assert_eq!(
        resynchronized(&mut client, &format!("{validity} {known} 1:4")),
        ["* VANISHED (EARLIER) 2", "* 1 FETCH (UID 1 FLAGS (\\Seen)"]
    );
    // Nothing is held back any more.
    let answer = client.send("STORE 1 +FLAGS (\\Answered)");
    assert!(answer.contains(&format!("[HIGHESTMODSEQ {}]", state(&store).1)), "{answer}");
}

/// A client that knows CONDSTORE alone takes an equal HIGHESTMODSEQ for an unchanged mailbox.
#[test]
fn highestmodseq_stays_below_what_is_held_back_without_qresync() {
    let store = filled(2);
    let (_, known) = state(&store);
    let mut client = Client::selected(&store, "INBOX");
    client.send("ENABLE CONDSTORE");
    let mut other = Client::selected(&store, "INBOX");
    other.send("STORE 2 +FLAGS (\\Deleted)");
    other.send("EXPUNGE");
    assert!(client.send("STORE 1 +FLAGS (\\Seen)").contains(&format!("[HIGHESTMODSEQ {known}]")));
    assert_eq!(client.send("NOOP"), "* 2 EXPUNGE\r\nt OK Completed\r\n");
    assert!(!client.send("STORE 1 +FLAGS (\\Flagged)").contains("HIGHESTMODSEQ"));
}

#[test]
fn no_vanished_during_a_search_by_number() {
    let store = filled(3);
    let mut client = enabled(&store);
    let mut other = Client::selected(&store, "INBOX");
    other.send("STORE 1 +FLAGS (\\Deleted)");
    other.send("EXPUNGE");
    assert!(!client.send("UID SEARCH NOT 2:3").contains("VANISHED"));
    assert!(!client.send("FETCH 1:3 (UID)").contains("VANISHED"));
    assert!(client.send("UID SEARCH ALL").contains("* VANISHED 1\r\n"));
}

/// More vanished than is remembered: everything that is not there is told, as far as the client does not show that it knows.
#[test]
fn a_short_memory_tells_too_much_and_heeds_match_data() {
    const COUNT: usize = 2_010;
    let store = filled(COUNT);
    let (validity, known) = state(&store);
    let mut other = Client::selected(&store, "INBOX");
    let answer = other.send("UID SEARCH ALL");
    let uids: Vec<u32> = answer.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [fourth, fifth] = [uids[COUNT - 2], uids[COUNT - 1]];
    other.send(&format!("STORE 4:{} +FLAGS.SILENT (\\Deleted)", COUNT - 2));
    other.send("EXPUNGE");
    let mut client = enabled(&store);
    let between = format!("* VANISHED (EARLIER) 4:{}", fourth - 1);
    assert_eq!(resynchronized(&mut client, &format!("{validity} {known}")), std::slice::from_ref(&between));
    let matched = |numbers: &str, uids: &str| format!("{validity} {known} 1:{fifth} ({numbers} {uids})");
    // UID 3 is the third message, as the client knows; that the next one is the fourth it does not know.
    let told = resynchronized(&mut client, &matched(&format!("1:3,{}", COUNT - 1), &format!("1:3,{fourth}")));
    assert_eq!(told, [between]);
    assert_eq!(resynchronized(&mut client, &matched("3:4", &format!("3,{fourth}"))), [""; 0]);
    assert_eq!(resynchronized(&mut client, &matched("2,4:5", &format!("3,{fourth}:{fifth}"))), [""; 0]);
    for wrong in ["1:3 1:2", "3,2 1,2", "1:* 1:3"] {
        let answer = client.send(&format!("SELECT INBOX (QRESYNC ({validity} {known} 1:9 ({wrong})))"));
        assert!(answer.starts_with("t BAD "), "{answer}");
    }
    // What is remembered needs no such help.
    let known = state(&store).1;
    other.send("STORE 1 +FLAGS (\\Deleted)");
    other.send("EXPUNGE");
    assert_eq!(resynchronized(&mut client, &format!("{validity} {known}")), ["* VANISHED (EARLIER) 1"]);
}

/// The client knew UIDs 1 and 2 of the first node, which clients of the second never saw: there they came too late.
#[test]
fn a_client_that_moves_keeps_no_ghosts() {
    let nodes = [store(), Store::new(1)];
    nodes[0].sync_to(&nodes[1]);
    let mut clients = [enabled(&nodes[0]), enabled(&nodes[1])];
    clients[0].append_all("INBOX", &[MAIL, MAIL]);
    clients[1].append("INBOX", "()", MAIL);
    let (validity, known) = state(&nodes[0]);
    for _ in 0..3 {
        nodes[0].sync_to(&nodes[1]);
        nodes[1].sync_to(&nodes[0]);
        nodes.iter().for_each(|node| node.pass(10_000));
    }
    for parameter in [format!("{validity} {known}"), format!("{validity} {known} 1:2")] {
        let told = resynchronized(&mut clients[1], &parameter);
        assert!(told[0].starts_with("* VANISHED (EARLIER) 1:"), "{told:?}");
    }
    let told = resynchronized(&mut clients[0], &format!("{validity} {known}"));
    assert_eq!(told[0], "* VANISHED (EARLIER) 1:2");
    assert_eq!(told.len(), 4, "{told:?}");
}
