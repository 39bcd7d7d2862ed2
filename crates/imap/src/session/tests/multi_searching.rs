//! ESEARCH (RFC 7377): one search of several mailboxes.

use super::client::{Client, MAIL, Store, store};

const OK: &str = "t OK Completed\r\n";

/// INBOX with UIDs 1 to 3, of which 2 is \\Seen; Work with 1; Work/Old with 1 and 2, both \\Seen; Work/Old/Deep with 1; Workshop
/// with 1. Nothing is selected.
fn several() -> (Store, Client) {
    let store = store();
    let mut client = Client::logged_in(&store);
    client.append_all("INBOX", &[MAIL; 3]);
    for name in ["Work", "Work/Old", "Work/Old/Deep", "Workshop"] {
        client.send(&format!("CREATE {name}"));
        client.append(name, if name == "Work/Old" { "(\\Seen)" } else { "()" }, MAIL);
    }
    client.append("Work/Old", "(\\Seen)", "Subject: other\r\n\r\nx\r\n");
    client.send("SELECT INBOX");
    client.send("STORE 2 +FLAGS.SILENT (\\Seen)");
    client.send("UNSELECT");
    (store, client)
}

/// What was found: of each mailbox its name and what follows `UID`.
fn found(answer: &str) -> Vec<(String, String)> {
    let lines = answer.lines().filter_map(|line| line.strip_prefix("* ESEARCH (TAG \"t\" MAILBOX \""));
    lines
        .map(|line| {
            let (name, rest) = line.split_once("\" UIDVALIDITY ").expect("a validity");
            let (validity, found) = rest.split_once(") UID ").expect("UIDs");
            assert!(validity.parse::<u32>().is_ok_and(|validity| validity > 0), "{line}");
            (name.to_owned(), found.to_owned())
        })
        .collect()
}

#[test]
fn sources_name_mailboxes() {
    let (_, mut client) = several();
    client.send("SUBSCRIBE Work/Old");
    client.send("SUBSCRIBE nowhere");
    for (sources, expected) in [
        ("mailboxes INBOX", "INBOX"),
        ("mailboxes (inbox Workshop absent)", "INBOX Workshop"),
        ("MAILBOXES Work/Old mailboxes \"Work/Old\"", "Work/Old"),
        ("inboxes", "INBOX"),
        ("subscribed", "INBOX Work/Old"),
        ("subtree Work", "Work Work/Old Work/Old/Deep"),
        ("subtree-one Work", "Work Work/Old"),
        ("subtree-one (Work Workshop) inboxes", "INBOX Work Work/Old Workshop"),
        ("subtree-one \"\"", "INBOX Work Workshop"),
        ("personal", "INBOX Work Work/Old Work/Old/Deep Workshop"),
        ("mailboxes absent", ""),
    ] {
        let answer = client.send(&format!("ESEARCH IN ({sources}) ALL"));
        let names: Vec<String> = found(&answer).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.join(" "), expected, "{sources}: {answer}");
        assert!(answer.ends_with(OK), "{answer}");
    }
    for wrong in ["", "IN () ALL", "IN (nowhere) ALL", "IN (mailboxes) ALL", "IN (personal (x)) ALL"] {
        assert!(client.send(&format!("ESEARCH {wrong}")).starts_with("t BAD "), "{wrong}");
    }
    assert!(client.send("ESEARCH IN (selected-delayed) ALL").starts_with("t BAD "));
    assert!(client.send("CAPABILITY").contains(" MULTISEARCH "));
}

/// A mailbox in which nothing was found is not told of; the others with the UIDs that SELECT gives.
#[test]
fn results_are_told_by_mailbox() {
    let (_, mut client) = several();
    let answer = client.send("ESEARCH IN (personal) RETURN (ALL COUNT MIN) UNSEEN");
    let of = |name: &str, told: &str| (name.to_owned(), told.to_owned());
    assert_eq!(
        found(&answer),
        [
            of("INBOX", "MIN 1 ALL 1,3 COUNT 2"),
            of("Work", "MIN 1 ALL 1 COUNT 1"),
            of("Work/Old/Deep", "MIN 1 ALL 1 COUNT 1"),
            of("Workshop", "MIN 1 ALL 1 COUNT 1"),
        ]
    );
    assert_eq!(client.send("ESEARCH IN (personal) RETURN (COUNT) FROM nobody"), OK);
    let answer = client.send("ESEARCH IN (personal) SUBJECT OTHER");
    assert_eq!(found(&answer), [of("Work/Old", "ALL 2")]);
    let validity = answer.split("UIDVALIDITY ").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
    assert!(client.send("SELECT Work/Old").contains(&format!("[UIDVALIDITY {validity}]")));
    let answer = client.send("ESEARCH IN (personal) RETURN (PARTIAL 1:1) ALL");
    assert_eq!(found(&answer).len(), 5);
    assert!(client.send("ESEARCH IN (personal) CHARSET X-NONE TEXT x").starts_with("t NO [BADCHARSET "));
    let answer = client.send("ESEARCH IN (mailboxes Workshop) MODSEQ 1");
    assert!(found(&answer)[0].1.starts_with("ALL 1 MODSEQ "), "{answer}");
}

#[test]
fn names_are_spelled_as_the_client_spells_them() {
    let (_, mut client) = several();
    client.send("CREATE Entw&APw-rfe");
    client.append("Entw&APw-rfe", "()", MAIL);
    let answer = client.send("ESEARCH IN (mailboxes Entw&APw-rfe) ALL");
    assert_eq!(found(&answer), [("Entw&APw-rfe".to_owned(), "ALL 1".to_owned())]);
    client.send("ENABLE UTF8=ACCEPT");
    let answer = client.wire("t ESEARCH IN (mailboxes \"Entwürfe\") ALL\r\n");
    assert_eq!(found(&answer), [("Entwürfe".to_owned(), "ALL 1".to_owned())]);
}

/// In the selected mailbox UIDs and numbers mean what the client was told, and SAVE and sequence numbers are for it alone.
#[test]
fn the_selected_mailbox_is_searched_as_it_was_told() {
    let (store, mut client) = several();
    assert!(client.send("ESEARCH IN (selected) ALL").starts_with("t BAD [CLIENTBUG] Select"));
    assert!(client.send("ESEARCH ALL").starts_with("t BAD [CLIENTBUG] Select"));
    client.send("SELECT INBOX");
    let mut other = Client::selected(&store, "INBOX");
    other.append("INBOX", "()", MAIL);
    let answer = client.send("ESEARCH 1:*");
    assert_eq!(found(&answer), [("INBOX".to_owned(), "ALL 1:3".to_owned())]);
    assert!(!answer.contains("EXISTS"), "sequence numbers were asked by: {answer}");
    let answer = client.send("ESEARCH IN (selected mailboxes INBOX) RETURN (SAVE COUNT) UNSEEN");
    assert!(answer.contains("UID COUNT 2\r\n") && answer.contains("* 4 EXISTS\r\n"), "{answer}");
    assert_eq!(client.send("UID SEARCH $"), format!("* SEARCH 1 3\r\n{OK}"));
    let answer = client.send("ESEARCH IN (personal) $");
    assert_eq!(found(&answer), [("INBOX".to_owned(), "ALL 1,3".to_owned())], "nothing is saved of others");
    for wrong in
        ["IN (personal) 1", "IN (subtree Work) NOT 2", "IN (selected mailboxes Work) RETURN (SAVE) ALL"]
    {
        assert!(client.send(&format!("ESEARCH {wrong}")).starts_with("t BAD [CLIENTBUG] "), "{wrong}");
    }
    client.send("ENABLE UIDONLY");
    assert!(client.send("ESEARCH 1").starts_with("t BAD [UIDREQUIRED] "));
    assert!(client.send("ESEARCH IN (personal) UID 1").contains("MAILBOX \"Workshop\""));
}

/// Others have a turn after each piece and each mailbox, and the client hears that the search goes on.
#[test]
fn it_lets_others_have_their_turn() {
    let (_, mut client) = several();
    client.append_all("Work", &vec![MAIL; 600]);
    (client.turns, client.pace) = (0, 6_000);
    let answer = client.send("ESEARCH IN (personal) RETURN (COUNT) TEXT tomorrow");
    assert!(answer.contains("UID COUNT 601\r\n"), "{answer}");
    assert!(client.turns >= 10 + 2, "{} turns", client.turns);
    assert!(answer.contains("* OK [INPROGRESS (\"t\" "), "{answer}");
    let mut damaged = Client::with_damage("()");
    damaged.send("CREATE Other");
    damaged.append("Other", "()", "Subject: whole\r\n\r\nHallo\r\n");
    let answer = damaged.send("ESEARCH IN (personal) TEXT hallo");
    assert!(answer.contains("MAILBOX \"Other\"") && answer.contains("t NO [CORRUPTION] "), "{answer}");
}
