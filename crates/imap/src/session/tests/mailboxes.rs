//! CREATE, DELETE, RENAME, SUBSCRIBE, LIST, LSUB, STATUS.

use super::client::{Client, MAIL, store};

#[test]
fn list_shows_special_uses_and_children() {
    let store = store();
    let mut client = Client::logged_in(&store);
    assert_eq!(client.send("LIST \"\" \"\""), "* LIST (\\Noselect) \"/\" \"\"\r\nt OK Completed\r\n");
    client.send("CREATE work/2026");
    let answer = client.send("LIST \"\" *");
    assert!(answer.contains("* LIST (\\HasNoChildren) \"/\" \"INBOX\"\r\n"), "{answer}");
    assert!(answer.contains("* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\r\n"), "{answer}");
    assert!(answer.contains("* LIST (\\HasNoChildren) \"/\" \"work/2026\"\r\n"), "{answer}");
    let answer = client.send("LIST \"\" %");
    assert!(answer.contains("* LIST (\\HasChildren") && !answer.contains("work/2026"), "{answer}");
    assert!(client.send("LIST work/ %").starts_with("* LIST (\\HasNoChildren) \"/\" \"work/2026\"\r\n"));
    assert!(client.send("LIST \"\" inbox").contains("\"INBOX\""));
    let answer = client.send("LIST (SPECIAL-USE) \"\" *");
    assert_eq!(answer.matches("* LIST").count(), 5, "{answer}");
}

#[test]
fn list_with_status_and_subscriptions() {
    let store = store();
    let mut client = Client::logged_in(&store);
    client.append("INBOX", "()", MAIL);
    client.send("SUBSCRIBE INBOX");
    client.send("SUBSCRIBE not/there");
    let answer = client.send("LIST \"\" INBOX RETURN (SUBSCRIBED STATUS (MESSAGES UNSEEN))");
    assert_eq!(
        answer,
        "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"INBOX\"\r\n* STATUS \"INBOX\" (MESSAGES 1 UNSEEN 1)\r\nt OK Completed\r\n"
    );
    let answer = client.send("LIST (SUBSCRIBED) \"\" *");
    assert!(
        answer.contains(
            "* LIST (\\HasNoChildren \\NonExistent \\Noselect \\Subscribed) \"/\" \"not/there\"\r\n"
        ),
        "{answer}"
    );
    let answer = client.send("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %");
    assert!(answer.contains("\"not\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"), "{answer}");
}

#[test]
fn lsub_shows_superiors_of_what_is_subscribed() {
    let store = store();
    let mut client = Client::logged_in(&store);
    client.send("SUBSCRIBE news/rust");
    let answer = client.send("LSUB \"\" %");
    assert!(answer.contains("* LSUB (\\Noselect) \"/\" \"news\"\r\n"), "{answer}");
    assert!(answer.contains("* LSUB () \"/\" \"Sent\"\r\n"), "{answer}");
    let answer = client.send("LSUB \"\" *");
    assert!(answer.contains("\"news/rust\"") && !answer.contains("\"news\"\r\n"), "{answer}");
    client.send("UNSUBSCRIBE news/rust");
    assert!(!client.send("LSUB \"\" *").contains("rust"));
}

#[test]
fn mailboxes_come_and_go() {
    let store = store();
    let mut client = Client::logged_in(&store);
    assert!(client.send("CREATE work/").starts_with("t OK [MAILBOXID (M"));
    assert!(client.send("CREATE work").starts_with("t NO [ALREADYEXISTS] "));
    assert!(client.send("CREATE inbox").starts_with("t NO [ALREADYEXISTS] "));
    assert!(client.send("CREATE all (USE (\\All))").starts_with("t NO [USEATTR] "));
    assert!(client.send("CREATE sent2 (USE (\\Sent))").starts_with("t OK "));
    let id = |client: &mut Client, name: &str| {
        let answer = client.send(&format!("STATUS {name} (MAILBOXID)"));
        answer.split("MAILBOXID (").nth(1).and_then(|rest| rest.split(')').next().map(str::to_owned))
    };
    let before = id(&mut client, "work");
    assert!(before.is_some());
    assert_eq!(client.send("RENAME work play"), "t OK Completed\r\n");
    assert_eq!(id(&mut client, "play"), before);
    assert!(client.send("STATUS work (MESSAGES)").starts_with("t NO [NONEXISTENT]"));
    assert_eq!(client.send("DELETE play"), "t OK Completed\r\n");
    assert!(client.send("DELETE play").starts_with("t NO [NONEXISTENT]"));
    assert!(client.send("DELETE INBOX").starts_with("t NO "));
    assert!(client.send("RENAME nothing something").starts_with("t NO "));
}

#[test]
fn renaming_inbox_takes_its_messages() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append("INBOX", "()", MAIL);
    let answer = client.send("RENAME INBOX old-mail");
    assert!(answer.starts_with("* 1 EXPUNGE\r\n") && answer.ends_with("t OK Completed\r\n"), "{answer}");
    assert!(client.send("STATUS old-mail (MESSAGES)").contains("(MESSAGES 1)"));
    assert!(client.send("STATUS INBOX (MESSAGES)").contains("(MESSAGES 0)"));
}

#[test]
fn status_counts() {
    let store = store();
    let mut client = Client::logged_in(&store);
    client.append("INBOX", "(\\Seen)", MAIL);
    client.append("INBOX", "(\\Deleted)", MAIL);
    let answer = client.send("STATUS inbox (MESSAGES RECENT UIDNEXT UNSEEN DELETED SIZE APPENDLIMIT)");
    let size = 2 * MAIL.len();
    assert_eq!(
        answer,
        format!(
            "* STATUS \"INBOX\" (MESSAGES 2 RECENT 0 UIDNEXT 3 UNSEEN 1 DELETED 1 SIZE {size} APPENDLIMIT 67108864)\r\nt OK Completed\r\n"
        )
    );
    assert!(client.send("STATUS INBOX (UIDVALIDITY HIGHESTMODSEQ)").contains("(UIDVALIDITY 1"));
}

#[test]
fn names_beyond_ascii_are_spelled_in_modified_utf7() {
    let store = store();
    let mut client = Client::logged_in(&store);
    client.send("CREATE Entw&APw-rfe");
    assert!(
        client.send("LIST \"\" Entw*").starts_with("* LIST (\\HasNoChildren) \"/\" \"Entw&APw-rfe\"\r\n")
    );
}
