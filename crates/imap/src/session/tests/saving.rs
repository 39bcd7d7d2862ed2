//! `$`, what a search found last (RFC 5182).

use super::client::{Client, MAIL, store};

const OK: &str = "t OK Completed\r\n";

/// Six messages; the second and the fifth are \Flagged, the third is gone.
fn flagged() -> Client {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append_all("INBOX", &[MAIL; 6]);
    client.send("UID STORE 2,5 +FLAGS.SILENT (\\Flagged)");
    client.send("UID STORE 3 +FLAGS.SILENT (\\Deleted)");
    client.send("EXPUNGE");
    client
}

/// What `$` stands for, as UIDs.
fn saved(client: &mut Client) -> String {
    let answer = client.send("UID SEARCH $");
    let numbers = answer.strip_prefix("* SEARCH").and_then(|rest| rest.strip_suffix(&format!("\r\n{OK}")));
    numbers.unwrap_or_else(|| panic!("{answer}")).trim_start().to_owned()
}

/// RFC 5182 section 2.1: SAVE alone tells nothing; with MIN or MAX alone those are kept, else everything.
#[test]
fn what_is_kept() {
    let mut client = flagged();
    assert_eq!(saved(&mut client), "", "nothing was saved yet");
    for (command, told, kept) in [
        ("SEARCH RETURN (SAVE) FLAGGED", "", "2 5"),
        ("UID SEARCH RETURN (SAVE) ALL", "", "1 2 4 5 6"),
        ("SEARCH RETURN (SAVE MIN) FLAGGED", "* ESEARCH (TAG \"t\") MIN 2\r\n", "2"),
        ("SEARCH RETURN (MAX SAVE) FLAGGED", "* ESEARCH (TAG \"t\") MAX 4\r\n", "5"),
        ("UID SEARCH RETURN (MAX SAVE MIN) ALL", "* ESEARCH (TAG \"t\") UID MIN 1 MAX 6\r\n", "1 6"),
        ("SEARCH RETURN (SAVE MIN COUNT) FLAGGED", "* ESEARCH (TAG \"t\") MIN 2 COUNT 2\r\n", "2 5"),
        ("SEARCH RETURN (SAVE MIN ALL) FLAGGED", "* ESEARCH (TAG \"t\") MIN 2 ALL 2,4\r\n", "2 5"),
        ("SORT RETURN (SAVE) (REVERSE SUBJECT) UTF-8 FLAGGED", "", "2 5"),
        ("SEARCH RETURN (SAVE) SEEN", "", ""),
    ] {
        assert_eq!(client.send(command), format!("{told}{OK}"), "{command}");
        assert_eq!(saved(&mut client), kept, "{command}");
    }
    assert_eq!(client.send("SEARCH RETURN () FLAGGED"), format!("* ESEARCH (TAG \"t\") ALL 2,4\r\n{OK}"));
}

/// RFC 5182 section 2: it stands wherever a set of numbers may.
#[test]
fn where_it_stands() {
    let mut client = flagged();
    client.send("CREATE other");
    client.send("SEARCH RETURN (SAVE) FLAGGED");
    assert_eq!(client.send("FETCH $ UID"), format!("* 2 FETCH (UID 2)\r\n* 4 FETCH (UID 5)\r\n{OK}"));
    assert!(
        client
            .send("UID FETCH $ FLAGS")
            .starts_with("* 2 FETCH (UID 2 FLAGS (\\Flagged))\r\n* 4 FETCH (UID 5 ")
    );
    assert_eq!(client.send("STORE $ +FLAGS (\\Seen)").matches(" FETCH ").count(), 2);
    assert_eq!(saved(&mut client), "2 5");
    assert_eq!(client.send("UID SEARCH NOT $ UID 2:*"), format!("* SEARCH 4 6\r\n{OK}"));
    assert_eq!(client.send("SEARCH OR UID $ 1"), format!("* SEARCH 1 2 4\r\n{OK}"));
    assert_eq!(client.send("UID SORT (REVERSE ARRIVAL SIZE) UTF-8 $"), format!("* SORT 2 5\r\n{OK}"));
    assert_eq!(client.send("UID THREAD REFS UTF-8 $"), format!("* THREAD (2)(5)\r\n{OK}"));
    assert!(client.send("COPY $ other").starts_with("t OK [COPYUID "));
    assert!(client.send("UID COPY $ other").contains(" 2,5 3:4] "));
    client.send("STORE 1 +FLAGS.SILENT (\\Deleted)");
    client.send("STORE 4 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(client.send("UID EXPUNGE $"), "* 4 EXPUNGE\r\nt OK Expunged\r\n");
    let answer = client.send("UID MOVE $ other");
    assert!(answer.contains("[COPYUID ") && answer.contains("* 2 EXPUNGE\r\n"), "{answer}");
    assert_eq!(saved(&mut client), "", "what is gone is no longer meant");
    // RFC 5182 section 2.1: of nothing, a command does nothing.
    assert_eq!(client.send("FETCH $ FLAGS"), OK);
    assert_eq!(client.send("STORE $ +FLAGS (\\Seen)"), "t OK No message was meant\r\n");
    assert_eq!(client.send("UID EXPUNGE $"), "t OK Nothing was to be expunged\r\n");
    for wrong in ["FETCH $,1 FLAGS", "SEARCH $x", "FETCH 1:$ FLAGS", "SELECT $ $"] {
        assert!(client.send(wrong).starts_with("t BAD "), "{wrong}");
    }
}

/// RFC 5182 section 2.1: a search that is answered NO keeps nothing, one that is answered BAD changes nothing; another
/// search than one with SAVE changes nothing either.
#[test]
fn what_a_failed_search_keeps() {
    let mut client = flagged();
    client.send("SEARCH RETURN (SAVE) FLAGGED");
    for command in
        ["SEARCH ALL", "SEARCH RETURN (COUNT) ALL", "SEARCH RETURN (SAVE) FROM", "SEARCH CHARSET X-NONE ALL"]
    {
        client.send(command);
        assert_eq!(saved(&mut client), "2 5", "{command}");
    }
    assert!(client.send("SEARCH RETURN (SAVE) CHARSET X-NONE ALL").starts_with("t NO [BADCHARSET "));
    assert_eq!(saved(&mut client), "");
}

/// RFC 5182 section 2.1: a message that is expunged is taken out; what was saved ends with the selection.
#[test]
fn when_it_ends() {
    let mut client = flagged();
    client.send("SEARCH RETURN (SAVE) ALL");
    client.send("STORE 2:3 +FLAGS.SILENT (\\Deleted)");
    client.send("EXPUNGE");
    assert_eq!(saved(&mut client), "1 5 6");
    client.append("INBOX", "()", MAIL);
    assert_eq!(saved(&mut client), "1 5 6", "a new message is not meant");
    client.send("SELECT INBOX");
    assert_eq!(saved(&mut client), "");
    client.send("SEARCH RETURN (SAVE) ALL");
    client.send("EXAMINE INBOX");
    assert_eq!(saved(&mut client), "");
    client.send("SEARCH RETURN (SAVE) ALL");
    client.send("UNSELECT");
    client.send("SELECT INBOX");
    assert_eq!(saved(&mut client), "");
}
