//! GETMETADATA, SETMETADATA (RFC 5464), LIST-METADATA (RFC 9590).

use super::client::{Client, Store, store};

#[test]
fn annotations_of_mailboxes_and_of_the_account() {
    let store = store();
    let mut client = Client::logged_in(&store);
    // RFC 5464 section 4.3.
    let set = "SETMETADATA INBOX (/private/comment {33+}\r\nMy new comment across\r\ntwo lines. /Shared/Comment NIL)";
    assert_eq!(client.send(set), "t OK Completed\r\n");
    assert_eq!(client.send("SETMETADATA \"\" (/shared/comment \"Shared comment\")"), "t OK Completed\r\n");
    // Section 4.2: names are case-insensitive; what is named and not there has no value.
    assert_eq!(
        client.send("GETMETADATA INBOX (/PRIVATE/comment /shared/comment)"),
        "* METADATA \"INBOX\" (/private/comment {33}\r\nMy new comment across\r\ntwo lines. /shared/comment NIL)\r\nt OK Completed\r\n"
    );
    assert_eq!(
        client.send("GETMETADATA \"\" /shared/comment"),
        "* METADATA \"\" (/shared/comment \"Shared comment\")\r\nt OK Completed\r\n"
    );
    assert!(client.send("GETMETADATA nowhere /shared/comment").starts_with("t NO [NONEXISTENT]"));
    assert!(client.send("SETMETADATA nowhere (/shared/comment x)").starts_with("t NO [NONEXISTENT]"));
    // Section 3.2.1: a name that cannot be is a bad command.
    assert!(client.send("SETMETADATA INBOX (/comment x)").starts_with("t BAD "));
    assert!(client.send("GETMETADATA INBOX /shared/*").starts_with("t BAD "));
    let (mut stranger, _) = Client::connect(&store, super::client::TLS);
    assert!(stranger.send("GETMETADATA \"\" /shared/comment").starts_with("t BAD "));
}

/// RFC 5464 sections 4.2.1 and 4.2.2.
#[test]
fn depth_and_size_bound_what_is_told() {
    let store = store();
    let mut client = Client::logged_in(&store);
    client.send("SETMETADATA INBOX (/private/filters/values/small \"SMALLER 5000\" /private/filters/values/boss \"FROM \\\"boss\\\"\")");
    for command in [
        "GETMETADATA (DEPTH 1) INBOX (/private/filters/values)",
        "GETMETADATA INBOX (depth 1) /private/filters/values",
        "GETMETADATA (MAXSIZE 12 DEPTH infinity) INBOX (/private/filters /private/filters/values)",
    ] {
        assert_eq!(
            client.send(command),
            "* METADATA \"INBOX\" (/private/filters/values/boss \"FROM \\\"boss\\\"\" /private/filters/values/small \"SMALLER 5000\")\r\nt OK Completed\r\n",
            "{command}"
        );
    }
    assert_eq!(client.send("GETMETADATA (DEPTH 1) INBOX /private/filters"), "t OK Completed\r\n");
    let answer = client.send("GETMETADATA (DEPTH infinity MAXSIZE 11) INBOX /private/filters");
    assert!(!answer.contains("SMALLER"), "{answer}");
    assert!(answer.ends_with("t OK [METADATA LONGENTRIES 12] Completed\r\n"), "{answer}");
}

/// RFC 9590.
#[test]
fn list_tells_annotations() {
    let store = store();
    let mut client = Client::logged_in(&store);
    client.send("SETMETADATA Sent (/private/color blue)");
    let answer = client.send("LIST \"\" Sent RETURN (METADATA (/private/color))");
    assert_eq!(
        answer,
        "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\r\n* METADATA \"Sent\" (/private/color \"blue\")\r\nt OK Completed\r\n"
    );
}

/// RFC 5464 section 5: a value is a literal8 where it holds a NUL.
#[test]
fn a_value_may_hold_any_octets() {
    let store = store();
    let mut client = Client::logged_in(&store);
    assert_eq!(
        client.send("SETMETADATA INBOX (/private/x ~{3+}\r\na\0b /private/y ~{1}\r\nz)"),
        "t OK Completed\r\n"
    );
    assert_eq!(
        client.send("GETMETADATA INBOX (/private/x /private/y)"),
        "* METADATA \"INBOX\" (/private/x ~{3}\r\na\0b /private/y \"z\")\r\nt OK Completed\r\n"
    );
    // Section 4.3: NIL takes it away, and an empty value does not.
    client.send("SETMETADATA INBOX (/private/x NIL /private/y \"\")");
    assert_eq!(
        client.send("GETMETADATA INBOX (/private/x /private/y)"),
        "* METADATA \"INBOX\" (/private/x NIL /private/y \"\")\r\nt OK Completed\r\n"
    );
}

#[test]
fn annotations_are_bounded() {
    let store = store();
    let mut client = Client::logged_in(&store);
    let value = |octets: usize| format!("{{{octets}+}}\r\n{}", "x".repeat(octets));
    let answer = client.send(&format!("SETMETADATA INBOX (/private/comment {})", value(16 * 1024 + 1)));
    assert!(answer.starts_with("t NO [METADATA MAXSIZE 16384]"), "{answer}");
    for part in 0..10 {
        let pairs: Vec<String> = (0..100).map(|number| format!("/private/x{part}/{number} v")).collect();
        assert_eq!(client.send(&format!("SETMETADATA INBOX ({})", pairs.join(" "))), "t OK Completed\r\n");
    }
    let answer = client.send("SETMETADATA INBOX (/private/x0/0 other /private/more v)");
    assert!(answer.starts_with("t NO [METADATA TOOMANY]"), "{answer}");
    // RFC 5464 section 4.3: then nothing is changed.
    assert!(client.send("GETMETADATA INBOX /private/x0/0").contains("(/private/x0/0 \"v\")"));
    assert_eq!(client.send("SETMETADATA INBOX (/private/x0/0 NIL /private/more v)"), "t OK Completed\r\n");
    assert!(client.send("SETMETADATA Sent (/private/more v)").starts_with("t NO [METADATA TOOMANY]"));
}

/// Their octets are bounded together.
#[test]
fn annotations_take_so_much_room_alone() {
    let store = store();
    let mut client = Client::logged_in(&store);
    let set =
        |number| format!("SETMETADATA INBOX (/private/{number:02} {{16300+}}\r\n{})", "x".repeat(16300));
    for number in 0..16 {
        assert_eq!(client.send(&set(number)), "t OK Completed\r\n");
    }
    assert!(client.send(&set(16)).starts_with("t NO [METADATA TOOMANY]"));
    assert_eq!(client.send("SETMETADATA INBOX (/private/00 NIL)"), "t OK Completed\r\n");
    assert_eq!(client.send(&set(16)), "t OK Completed\r\n");
}

/// RFC 5464 sections 4.1 and 4.4.2: who has enabled it is told which annotations others change, and never the values.
#[test]
fn changes_of_others_are_told_once_enabled() {
    let store = store();
    let (mut client, mut other) = (Client::logged_in(&store), Client::logged_in(&store));
    let before = "t OK Completed\r\n";
    other.send("SETMETADATA INBOX (/shared/comment first)");
    assert_eq!(client.send("NOOP"), before);
    assert_eq!(client.send("ENABLE METADATA"), "* ENABLED METADATA\r\nt OK Completed\r\n");
    assert_eq!(client.send("NOOP"), before);
    other.send("SETMETADATA INBOX (/shared/comment second /private/color red)");
    other.send("SETMETADATA \"\" (/private/color red)");
    assert_eq!(
        client.send("NOOP"),
        "* METADATA \"\" /private/color\r\n* METADATA \"INBOX\" /private/color /shared/comment\r\nt OK Completed\r\n"
    );
    // Section 4.3: not of its own.
    assert_eq!(client.send("SETMETADATA INBOX (/private/color blue)"), before);
    assert_eq!(client.send("NOOP"), before);
    // Nor of what a rename leaves as it is.
    other.send("CREATE work");
    other.send("SETMETADATA work (/private/color green)");
    assert_eq!(client.send("NOOP"), "* METADATA \"work\" /private/color\r\nt OK Completed\r\n");
    other.send("RENAME work play");
    assert_eq!(client.send("NOOP"), before);
    assert_eq!(client.send("IDLE"), "+ idling\r\n");
    other.send("SETMETADATA play (/private/color NIL)");
    assert_eq!(client.changes(), "* METADATA \"play\" /private/color\r\n");
}

/// RFC 6855 section 3: whoever speaks UTF-8 gets names in it.
#[test]
fn names_are_spelled_as_the_client_spells_them() {
    let store = store();
    let (mut client, mut other) = (Client::logged_in(&store), Client::logged_in(&store));
    client.send("CREATE B&APw-cher");
    client.send("SETMETADATA B&APw-cher (/private/color red)");
    let plain = client.send("GETMETADATA B&APw-cher /private/color");
    assert!(plain.starts_with("* METADATA \"B&APw-cher\" (/private/color \"red\")\r\n"), "{plain}");
    assert!(client.send("GETQUOTAROOT B&APw-cher").starts_with("* QUOTAROOT \"B&APw-cher\"\r\n"));
    client.send("ENABLE UTF8=ACCEPT METADATA");
    let told = client.send("GETMETADATA \"B\u{fc}cher\" /private/color");
    assert!(told.starts_with("* METADATA \"B\u{fc}cher\" (/private/color \"red\")\r\n"), "{told}");
    assert!(client.send("GETQUOTAROOT \"B\u{fc}cher\"").starts_with("* QUOTAROOT \"B\u{fc}cher\"\r\n"));
    let listed = client.send("LIST \"\" B* RETURN (METADATA (/private/color))");
    assert!(listed.contains("* METADATA \"B\u{fc}cher\" (/private/color \"red\")\r\n"), "{listed}");
    other.send("SETMETADATA B&APw-cher (/private/color blue)");
    assert!(client.send("NOOP").starts_with("* METADATA \"B\u{fc}cher\" /private/color\r\n"));
}

/// RFC 5464 section 4.1: the mailbox keeps them over a rename, and they are gone with the mailbox. The later writing counts on
/// both nodes.
#[test]
fn annotations_replicate() {
    let (a, b) = (store(), Store::new(1));
    a.sync_to(&b);
    let mut client = Client::logged_in(&a);
    client.send("CREATE work");
    client.send("SETMETADATA work (/private/comment first)");
    a.sync_to(&b);
    let mut other = Client::logged_in(&b);
    other.send("SETMETADATA work (/private/comment second)");
    other.send("RENAME work play");
    b.sync_to(&a);
    a.sync_to(&b);
    for client in [&mut client, &mut other] {
        let answer = client.send("GETMETADATA play /private/comment");
        assert_eq!(answer, "* METADATA \"play\" (/private/comment \"second\")\r\nt OK Completed\r\n");
    }
    client.send("DELETE play");
    client.send("CREATE play");
    assert!(client.send("GETMETADATA play /private/comment").contains("NIL"));
}
