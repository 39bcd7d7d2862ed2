//! PARTIAL: pages of SEARCH, SORT and UID FETCH (RFC 9394).

use super::client::{Client, MAIL, store};

const OK: &str = "t OK Completed\r\n";

/// Five messages with the UIDs 2 to 6.
fn five() -> Client {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append_all("INBOX", &[MAIL; 6]);
    client.send("STORE 1 +FLAGS.SILENT (\\Deleted)");
    client.send("EXPUNGE");
    client
}

/// RFC 9394 section 3.1.
#[test]
fn pages_of_a_search() {
    let mut client = five();
    for (options, expected) in [
        ("PARTIAL 1:2", "PARTIAL (1:2 2:3)"),
        ("PARTIAL 4:3", "PARTIAL (4:3 4:5)"),
        ("PARTIAL 4:100", "PARTIAL (4:100 5:6)"),
        ("PARTIAL 6:7", "PARTIAL (6:7 NIL)"),
        ("PARTIAL -1:-2", "PARTIAL (-1:-2 5:6)"),
        ("PARTIAL -4:-100", "PARTIAL (-4:-100 2:3)"),
        ("PARTIAL -6:-7", "PARTIAL (-6:-7 NIL)"),
        ("partial 2:2 count min max", "MIN 2 MAX 6 PARTIAL (2:2 3) COUNT 5"),
    ] {
        let answer = client.send(&format!("UID SEARCH RETURN ({options}) ALL"));
        assert_eq!(answer, format!("* ESEARCH (TAG \"t\") UID {expected}\r\n{OK}"), "{options}");
    }
    assert_eq!(
        client.send("SEARCH RETURN (PARTIAL -1:-1) UID 3:5"),
        format!("* ESEARCH (TAG \"t\") PARTIAL (-1:-1 4)\r\n{OK}")
    );
    assert_eq!(
        client.send("SEARCH RETURN (PARTIAL 1:10) SEEN"),
        format!("* ESEARCH (TAG \"t\") PARTIAL (1:10 NIL)\r\n{OK}")
    );
    for wrong in [
        "PARTIAL 1:2 ALL",
        "ALL PARTIAL 1:2",
        "PARTIAL 1:2 PARTIAL 3:4",
        "PARTIAL",
        "PARTIAL 1",
        "PARTIAL 0:1",
        "PARTIAL 1:*",
        "PARTIAL -1:2",
        "PARTIAL 1:-2",
        "PARTIAL 1:4294967296",
    ] {
        let answer = client.send(&format!("SEARCH RETURN ({wrong}) ALL"));
        assert!(answer.starts_with("t BAD "), "{wrong}: {answer}");
    }
}

/// Pages of SORT are of its order.
#[test]
fn pages_of_a_sort() {
    let mut client = five();
    client.append("INBOX", "()", &format!("{MAIL}larger"));
    client.append("INBOX", "()", "Subject: small\r\n\r\n");
    for (range, expected) in [("1:2", "8,2"), ("-1:-2", "6:7"), ("3:4", "3:4")] {
        let answer = client.send(&format!("UID SORT RETURN (PARTIAL {range}) (SIZE) UTF-8 ALL"));
        assert_eq!(answer, format!("* ESEARCH (TAG \"t\") UID PARTIAL ({range} {expected})\r\n{OK}"));
    }
}

/// RFC 9394 section 3.2: SAVE keeps the page with MIN and MAX, but everything with COUNT.
#[test]
fn what_of_a_page_is_saved() {
    let mut client = five();
    for (options, kept) in [
        ("SAVE PARTIAL 2:3", "3 4"),
        ("SAVE PARTIAL 2:3 MIN", "2 3 4"),
        ("SAVE PARTIAL 2:3 MAX", "3 4 6"),
        ("SAVE PARTIAL 1:2 MIN MAX", "2 3 6"),
        ("SAVE PARTIAL 2:3 COUNT", "2 3 4 5 6"),
        ("SAVE PARTIAL 8:9", ""),
    ] {
        client.send(&format!("SEARCH RETURN ({options}) ALL"));
        let space = if kept.is_empty() { "" } else { " " };
        assert_eq!(client.send("UID SEARCH $"), format!("* SEARCH{space}{kept}\r\n{OK}"), "{options}");
    }
}

/// RFC 9394 sections 3.3 and 3.4.
#[test]
fn pages_of_a_fetch() {
    let mut client = five();
    let told = |answer: &str| -> String {
        let lines = answer.lines().filter_map(|line| line.split("UID ").nth(1)?.split([' ', ')']).next());
        lines.collect::<Vec<&str>>().join(" ")
    };
    for (command, expected) in [
        ("UID FETCH 1:* UID (PARTIAL 1:2)", "2 3"),
        ("UID FETCH 1:* (UID) (PARTIAL -1:-3)", "4 5 6"),
        ("UID FETCH 2,4:5 UID (PARTIAL 2:9)", "4 5"),
        ("UID FETCH 2,4:6 UID (PARTIAL -4:-3)", "2 4"),
        ("UID FETCH 1:* UID (PARTIAL 6:9)", ""),
    ] {
        let answer = client.send(command);
        assert!(answer.ends_with(OK), "{answer}");
        assert_eq!(told(&answer), expected, "{command}");
    }
    let since = client.send("UID FETCH 6 MODSEQ");
    let since = since.split("MODSEQ (").nth(1).and_then(|rest| rest.split(')').next()).unwrap().to_owned();
    client.send("UID STORE 2,5 +FLAGS.SILENT (\\Seen)");
    for modifiers in
        [format!("PARTIAL -1:-3 CHANGEDSINCE {since}"), format!("CHANGEDSINCE {since} PARTIAL -1:-3")]
    {
        assert_eq!(told(&client.send(&format!("UID FETCH 1:* UID ({modifiers})"))), "5", "{modifiers}");
    }
    for wrong in [
        "FETCH 1:* UID (PARTIAL 1:2)",
        "UID FETCH 1:* UID (PARTIAL 1:2 PARTIAL 1:2)",
        "UID FETCH 1:* UID (PARTIAL 0:2)",
    ] {
        assert!(client.send(wrong).starts_with("t BAD "), "{wrong}");
    }
}
