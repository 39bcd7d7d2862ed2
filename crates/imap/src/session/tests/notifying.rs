//! NOTIFY (RFC 5465).

use super::client::{Client, MAIL, Store, store};

const OK: &str = "t OK Completed\r\n";
const SELECTED: &str = "NOTIFY SET (selected (MessageNew MessageExpunge FlagChange))";

/// Two clients of one account, the first with INBOX selected and four messages in it.
fn two() -> (Store, Client, Client) {
    let store = store();
    let mut other = Client::logged_in(&store);
    other.append_all("INBOX", &[MAIL; 4]);
    let one = Client::selected(&store, "INBOX");
    (store, one, other)
}

fn expunge(client: &mut Client, mailbox: &str, numbers: &str) {
    client.send(&format!("SELECT {mailbox}"));
    client.send(&format!("STORE {numbers} +FLAGS.SILENT (\\Deleted)"));
    client.send("CLOSE");
}

/// RFC 5465 section 6.1: changes of the selected mailbox are told without a command.
#[test]
fn the_selected_mailbox_is_told_of_at_once() {
    let (_store, mut one, mut other) = two();
    assert!(one.send("CAPABILITY").contains(" NOTIFY"));
    other.append("INBOX", "()", MAIL);
    assert_eq!(one.changes(), "", "without NOTIFY nobody is told between commands");
    assert_eq!(one.send(SELECTED), format!("* 5 EXISTS\r\n{OK}"), "section 3.1: an implicit NOOP");
    assert_eq!(one.changes(), "");
    other.append("INBOX", "()", MAIL);
    assert_eq!(one.changes(), "* 6 EXISTS\r\n");
    expunge(&mut other, "INBOX", "2");
    assert_eq!(one.changes(), "* 2 EXPUNGE\r\n");
    other.send("SELECT INBOX");
    other.send("STORE 2 +FLAGS.SILENT (\\Seen)");
    assert_eq!(one.changes(), "* 2 FETCH (UID 3 FLAGS (\\Seen))\r\n", "section 5.1: with the UID");
    other.send("CLOSE");
    // What FETCH holds back comes as soon as it is answered.
    expunge(&mut other, "INBOX", "1");
    assert_eq!(one.send("FETCH 1 UID"), format!("* 1 FETCH (UID 1)\r\n{OK}"));
    assert_eq!(one.changes(), "* 1 EXPUNGE\r\n");
    assert_eq!((one.changes(), one.send("NOOP")), (String::new(), OK.to_owned()));
    one.send("CREATE work");
    one.send("SELECT work");
    other.send("DELETE work");
    assert!(one.changes().starts_with("* BYE "), "the selected mailbox is gone");
}

/// RFC 5465 section 6.1.2: messages that are gone wait for a command, and numbers stay what they were.
#[test]
fn expunges_are_delayed_on_request() {
    let (_store, mut one, mut other) = two();
    one.send("NOTIFY SET (selected-delayed (MessageNew MessageExpunge FlagChange))");
    expunge(&mut other, "INBOX", "2");
    assert_eq!(one.changes(), "");
    other.append("INBOX", "()", MAIL);
    assert_eq!(one.changes(), "* 5 EXISTS\r\n", "of five numbers one stands for nothing any more");
    other.send("SELECT INBOX");
    other.send("STORE 4 +FLAGS.SILENT (\\Seen)");
    assert_eq!(one.changes(), "* 5 FETCH (UID 5 FLAGS (\\Seen))\r\n");
    assert_eq!(one.send("FETCH 5 UID"), format!("* 5 FETCH (UID 5)\r\n{OK}"));
    assert_eq!(one.changes(), "");
    assert_eq!(one.send("NOOP"), format!("* 2 EXPUNGE\r\n{OK}"));
    assert_eq!(one.send("FETCH 4 UID"), format!("* 4 FETCH (UID 5)\r\n{OK}"));
    // Section 4: during IDLE nothing is held back.
    one.send("IDLE");
    expunge(&mut other, "INBOX", "1");
    assert_eq!(one.changes(), "* 1 EXPUNGE\r\n");
    assert_eq!(one.line("DONE"), OK);
}

/// RFC 5465 section 3.1: without SELECTED, or after NONE, nothing is told of the selected mailbox. What the client does itself is.
#[test]
fn who_wants_nothing_is_told_nothing() {
    for command in ["NOTIFY NONE", "NOTIFY SET (selected NONE)", "NOTIFY SET (personal (SubscriptionChange))"]
    {
        let (_store, mut one, mut other) = two();
        assert_eq!(one.send(command), OK, "{command}");
        other.append("INBOX", "()", MAIL);
        expunge(&mut other, "INBOX", "1");
        other.send("SELECT INBOX");
        other.send("STORE 1 +FLAGS.SILENT (\\Flagged)");
        assert_eq!((one.changes(), one.send("NOOP")), (String::new(), OK.to_owned()), "{command}");
        one.send("IDLE");
        assert_eq!((one.changes(), one.line("DONE")), (String::new(), OK.to_owned()), "{command}");
        assert_eq!(one.send("FETCH 2 FLAGS"), format!("* 2 FETCH (FLAGS (\\Flagged))\r\n{OK}"), "{command}");
        assert!(
            one.send("STORE 3 +FLAGS (\\Deleted)").starts_with("* 3 FETCH (UID 3 FLAGS (\\Deleted))\r\n")
        );
        assert_eq!(one.send("EXPUNGE"), "* 3 EXPUNGE\r\n* 1 EXPUNGE\r\n* 3 EXISTS\r\nt OK Expunged\r\n");
    }
    let (_store, mut one, mut other) = two();
    one.send("NOTIFY SET (selected (MessageNew MessageExpunge))");
    other.send("SELECT INBOX");
    other.send("STORE 1 +FLAGS.SILENT (\\Flagged)");
    assert_eq!((one.changes(), one.send("NOOP")), (String::new(), OK.to_owned()));
    assert_eq!(one.send("SEARCH FLAGGED"), format!("* SEARCH 1\r\n{OK}"));
}

/// RFC 5465 section 5.2: what is asked for of new messages follows EXISTS, unless they are the client's own.
#[test]
fn items_of_new_messages_are_fetched() {
    let (_store, mut one, mut other) = two();
    let items = "UID FLAGS BODY[HEADER.FIELDS (SUBJECT)]";
    one.send(&format!("NOTIFY SET (selected (MessageNew ({items}) MessageExpunge FlagChange))"));
    other.append("INBOX", "(\\Flagged)", MAIL);
    let told = concat!(
        "* 5 EXISTS\r\n* 5 FETCH (UID 5 FLAGS (\\Flagged) BODY[HEADER.FIELDS (SUBJECT)] {30}\r\n",
        "Subject: afternoon meeting\r\n\r\n)\r\n"
    );
    assert_eq!(one.changes(), told);
    assert_eq!(
        one.send("FETCH 5 FLAGS"),
        format!("* 5 FETCH (FLAGS (\\Flagged))\r\n{OK}"),
        "nobody has read it"
    );
    let own = one.append("INBOX", "()", MAIL);
    assert!(own.starts_with("* 6 EXISTS\r\n") && !own.contains("FETCH"), "{own}");
    assert_eq!(one.changes(), "");
    let own = one.send_with("REPLACE 6 INBOX", &[MAIL]);
    assert!(own.contains("* 7 EXISTS\r\n* 6 EXPUNGE\r\n"), "{own}");
    assert_eq!(one.changes(), "");
    other.append_all("INBOX", &[MAIL, MAIL]);
    let noop = one.send("NOOP");
    assert_eq!(noop, format!("* 8 EXISTS\r\n{OK}"));
    let told = one.changes();
    assert!(told.starts_with("* 7 FETCH (UID 8 ") && told.contains("\r\n* 8 FETCH (UID 9 "), "{told}");
    assert_eq!(one.changes(), "");
    one.send("IDLE");
    other.append("INBOX", "()", MAIL);
    assert!(one.changes().starts_with("* 9 EXISTS\r\n* 9 FETCH (UID 10 "));
    assert_eq!(one.line("DONE"), OK);
    one.send("ENABLE CONDSTORE");
    other.append("INBOX", "()", MAIL);
    assert!(one.changes().contains(" MODSEQ ("), "RFC 7162 section 3.2.4");
}

/// RFC 5465 sections 5.1 to 5.3: STATUS for mailboxes that are not selected.
#[test]
fn other_mailboxes_are_told_of_by_status() {
    let (_store, mut one, mut other) = two();
    other.send("CREATE work");
    other.send("CREATE play");
    let set = "NOTIFY SET (selected NONE) (mailboxes work (MessageNew MessageExpunge FlagChange)) (personal (MessageNew MessageExpunge))";
    assert_eq!(one.send(set), OK);
    other.append("work", "()", MAIL);
    let told = one.changes();
    assert!(told.starts_with("* STATUS \"work\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY "), "{told}");
    assert!(told.contains(" HIGHESTMODSEQ ") && told.matches("* ").count() == 1, "{told}");
    other.append("play", "()", MAIL);
    let told = one.changes();
    assert!(
        told.starts_with("* STATUS \"play\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ") && !told.contains("MODSEQ"),
        "{told}"
    );
    for mailbox in ["play", "work"] {
        other.send(&format!("SELECT {mailbox}"));
        other.send("STORE 1 +FLAGS.SILENT (\\Seen)");
    }
    let told = one.changes();
    assert!(
        told.starts_with("* STATUS \"work\" (UIDVALIDITY ") && told.contains(" HIGHESTMODSEQ "),
        "{told}"
    );
    assert_eq!(told.matches("* ").count(), 1, "of play no flags are told: {told}");
    expunge(&mut other, "work", "1");
    assert!(one.changes().starts_with("* STATUS \"work\" (MESSAGES 0 UIDNEXT 2 "));
    other.append("INBOX", "()", MAIL);
    assert_eq!(one.changes(), "", "it is selected, and NONE of it is told");
    one.send("SELECT work");
    other.append("INBOX", "()", MAIL);
    assert!(one.changes().starts_with("* STATUS \"INBOX\" (MESSAGES 6 "));
    one.send("IDLE");
    other.append("play", "()", MAIL);
    assert!(one.changes().starts_with("* STATUS \"play\" (MESSAGES 2 "), "section 4: during IDLE as well");
    assert_eq!(one.line("DONE"), OK);
    one.send("ENABLE CONDSTORE");
    other.append("play", "()", MAIL);
    assert!(one.changes().contains(" HIGHESTMODSEQ "), "section 5.2");
}

/// RFC 5465 section 5: whoever does something himself is not told of it.
#[test]
fn own_changes_are_not_told() {
    let (_store, mut one, mut other) = two();
    one.send("NOTIFY SET (personal (MessageNew MessageExpunge MailboxName SubscriptionChange))");
    for command in [
        "CREATE work/a",
        "SUBSCRIBE work",
        "RENAME work play",
        "UNSUBSCRIBE work",
        "COPY 1 Archive",
        "MOVE 1 Archive",
        "DELETE play/a",
    ] {
        assert!(one.send(command).contains("t OK "), "{command}");
        assert_eq!(one.changes(), "", "{command}");
    }
    one.append_all("Sent", &[MAIL, MAIL]);
    assert_eq!(one.changes(), "");
    one.send("CREATE new");
    one.append("new", "()", MAIL);
    assert_eq!(one.changes(), "", "nothing ever happened there before");
    other.append("Archive", "()", MAIL);
    assert!(one.changes().starts_with("* STATUS \"Archive\" (MESSAGES 3 UIDNEXT 4 "));
    // With what somebody else does in the same moment it is told.
    other.append("Sent", "()", MAIL);
    one.append("Sent", "()", MAIL);
    assert!(one.changes().starts_with("* STATUS \"Sent\" (MESSAGES 4 UIDNEXT 5 "));
}

/// RFC 5465 sections 5.4 and 5.5.
#[test]
fn names_and_subscriptions_are_told_by_list() {
    let (_store, mut one, mut other) = two();
    other.send("CREATE work");
    other.send("CREATE work/a");
    one.send("NOTIFY SET (subtree work (MailboxName)) (mailboxes (hidden) NONE) (personal (MailboxName SubscriptionChange))");
    assert_eq!(one.changes(), "");
    other.send("CREATE new");
    assert_eq!(one.changes(), "* LIST (\\HasNoChildren) \"/\" \"new\"\r\n");
    other.send("SUBSCRIBE new");
    assert_eq!(one.changes(), "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"new\"\r\n");
    other.send("UNSUBSCRIBE new");
    assert_eq!(one.changes(), "* LIST (\\HasNoChildren) \"/\" \"new\"\r\n");
    other.send("RENAME work play");
    assert_eq!(
        one.changes(),
        "* LIST (\\HasChildren) \"/\" \"play\" (\"OLDNAME\" (\"work\"))\r\n",
        "section 5.4: nothing more is sent for play/a"
    );
    other.send("RENAME play/a play/b");
    assert_eq!(one.changes(), "* LIST (\\HasNoChildren) \"/\" \"play/b\" (\"OLDNAME\" (\"play/a\"))\r\n");
    other.send("CREATE play/a");
    assert_eq!(
        one.changes(),
        "* LIST (\\HasChildren) \"/\" \"play\"\r\n* LIST (\\HasNoChildren) \"/\" \"play/a\"\r\n",
        "the one right above is affected, too"
    );
    other.send("DELETE new");
    assert_eq!(one.changes(), "* LIST (\\HasNoChildren \\NonExistent \\Noselect) \"/\" \"new\"\r\n");
    other.send("DELETE play");
    assert_eq!(one.changes(), "* LIST (\\HasChildren \\NonExistent \\Noselect) \"/\" \"play\"\r\n");
    other.send("CREATE work/b");
    other.send("SUBSCRIBE work/b");
    assert_eq!(
        one.changes(),
        "* LIST (\\HasChildren) \"/\" \"work\"\r\n* LIST (\\HasNoChildren \\Subscribed) \"/\" \"work/b\"\r\n",
        "MailboxName, and SubscriptionChange of another group"
    );
    other.send("UNSUBSCRIBE work/b");
    assert_eq!(
        one.changes(),
        "* LIST (\\HasNoChildren) \"/\" \"work/b\"\r\n",
        "section 6: all groups count that it belongs to"
    );
    other.send("CREATE hidden");
    assert_eq!(one.changes(), "", "an exception that stands first");
}

/// RFC 5465 sections 5.6 and 5.7: annotations that others change are named, whether METADATA is enabled or not, and once.
#[test]
fn annotations_are_told_by_metadata() {
    for enabled in [false, true] {
        let (_store, mut one, mut other) = two();
        if enabled {
            one.send("ENABLE METADATA");
        }
        one.send("NOTIFY SET (mailboxes Junk NONE) (personal (MailboxMetadataChange ServerMetadataChange))");
        other.send("SETMETADATA INBOX (/private/comment x /shared/comment y)");
        assert_eq!(one.changes(), "* METADATA \"INBOX\" /private/comment /shared/comment\r\n");
        other.send("SETMETADATA \"\" (/private/comment x)");
        other.send("SETMETADATA INBOX (/shared/comment NIL)");
        assert_eq!(
            one.changes(),
            "* METADATA \"\" /private/comment\r\n* METADATA \"INBOX\" /shared/comment\r\n"
        );
        other.send("SETMETADATA Junk (/private/comment x)");
        assert_eq!(one.changes().is_empty(), !enabled, "an exception; METADATA knows none");
        one.send("SETMETADATA INBOX (/private/comment z)");
        assert_eq!((one.changes(), one.send("NOOP")), (String::new(), OK.to_owned()), "its own");
    }
}

/// RFC 5465 section 6: which mailboxes a group means, now and later.
#[test]
fn groups_follow_names_and_subscriptions() {
    let (_store, mut one, mut other) = two();
    one.send("NOTIFY SET (subscribed (MessageNew MessageExpunge)) (subtree (work) (MessageNew MessageExpunge)) (mailboxes \"a*\" (MessageNew MessageExpunge))");
    for (mailbox, told) in [("work", true), ("work/a", true), ("workshop", false), ("ab", false)] {
        other.send(&format!("CREATE {mailbox}"));
        other.append(mailbox, "()", MAIL);
        assert_eq!(one.changes().starts_with(&format!("* STATUS \"{mailbox}\" ")), told, "{mailbox}");
    }
    other.send("SUBSCRIBE ab");
    other.append("ab", "()", MAIL);
    assert!(
        one.changes().starts_with("* STATUS \"ab\" (MESSAGES 2 "),
        "section 6.4: subscriptions are looked up again"
    );
    other.send("UNSUBSCRIBE ab");
    other.append("ab", "()", MAIL);
    assert_eq!(one.changes(), "");
}

/// RFC 5465 section 3.1: STATUS of all that is watched, before the answer.
#[test]
fn a_status_of_each_comes_first_on_request() {
    let (_store, mut one, mut other) = two();
    other.append("Sent", "()", MAIL);
    let answer = one.send("NOTIFY SET STATUS (selected NONE) (mailboxes Sent (MessageNew MessageExpunge FlagChange)) (mailboxes Trash (MailboxName)) (mailboxes (INBOX nowhere Junk) (MessageNew MessageExpunge))");
    assert!(answer.contains("* STATUS \"Sent\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY "), "{answer}");
    assert!(
        answer.contains(" HIGHESTMODSEQ ") && answer.contains("* STATUS \"Junk\" (MESSAGES 0 "),
        "{answer}"
    );
    assert_eq!(
        answer.matches("* STATUS ").count(),
        2,
        "INBOX is selected, Trash has no events of messages: {answer}"
    );
    assert!(answer.ends_with(OK), "{answer}");
    assert_eq!(one.changes(), "");
}

#[test]
fn what_is_not_offered_is_refused() {
    let (_store, mut one, mut other) = two();
    one.send(SELECTED);
    for event in ["AnnotationChange", "Xyzzy"] {
        let answer = one.send(&format!("NOTIFY SET (personal (MessageNew MessageExpunge {event}))"));
        let code = "t NO [BADEVENT (FlagChange MailboxMetadataChange MailboxName MessageExpunge MessageNew ServerMetadataChange SubscriptionChange)] ";
        assert!(answer.starts_with(code), "{answer}");
    }
    let many = format!("NOTIFY SET{}", " (personal NONE)".repeat(100));
    assert!(one.send(&many).starts_with("t NO [NOTIFICATIONOVERFLOW] "));
    assert!(one.send("NOTIFY SET (personal (MessageNew))").starts_with("t BAD "));
    other.append("INBOX", "()", MAIL);
    assert_eq!(one.changes(), "* 5 EXISTS\r\n", "what was wanted before still is");
    one.send("UNAUTHENTICATE");
    assert!(one.send("NOTIFY NONE").starts_with("t BAD "), "only after a login");
    one.send("LOGIN alice secret");
    one.send("SELECT INBOX");
    other.append("INBOX", "()", MAIL);
    assert_eq!(one.changes(), "", "RFC 8437: the next login inherits nothing");
}

/// With QRESYNC messages that are gone are told by VANISHED, with UIDONLY flags by UIDFETCH.
#[test]
fn other_forms_of_notices() {
    let (_store, mut one, mut other) = two();
    one.send("ENABLE QRESYNC UIDONLY");
    one.send("SELECT INBOX");
    one.send("NOTIFY SET (selected (MessageNew (FLAGS) MessageExpunge FlagChange))");
    expunge(&mut other, "INBOX", "2");
    let told = one.changes();
    assert!(told.starts_with("* VANISHED 2\r\n") && told.contains("[HIGHESTMODSEQ "), "{told}");
    other.append("INBOX", "()", MAIL);
    let told = one.changes();
    assert!(told.contains("* 4 EXISTS\r\n") && told.contains("* 5 UIDFETCH (FLAGS () MODSEQ ("), "{told}");
    other.send("SELECT INBOX");
    other.send("STORE 1 +FLAGS.SILENT (\\Seen)");
    let told = one.changes();
    assert!(told.contains("* 1 UIDFETCH (FLAGS (\\Seen) MODSEQ ("), "{told}");
}

/// Mail that another node accepted is told as soon as this node may show it, though nobody looks at the mailbox here.
#[test]
fn mail_of_another_node_is_told_where_nobody_looks() {
    let nodes = [store(), Store::new(1)];
    nodes[0].sync_to(&nodes[1]);
    let mut one = Client::logged_in(&nodes[1]);
    one.send("NOTIFY SET (personal (MessageNew MessageExpunge FlagChange))");
    let mut other = Client::logged_in(&nodes[0]);
    other.append("Junk", "()", MAIL);
    nodes[0].sync_to(&nodes[1]);
    let mut told = one.changes();
    for _ in 0..3 {
        if told.contains("STATUS") {
            break;
        }
        nodes[1].pass(1000);
        told.push_str(&one.time_out());
    }
    assert!(told.starts_with("* STATUS \"Junk\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY "), "{told}");
    assert_eq!(one.changes(), "");
    other.send("SELECT Junk");
    other.send("STORE 1 +FLAGS (\\Seen)");
    nodes[0].sync_to(&nodes[1]);
    let told = one.changes();
    assert!(told.starts_with("* STATUS \"Junk\" (UIDVALIDITY ") && told.matches("* ").count() == 1, "{told}");
}

/// However much happens while a client takes nothing, it is told once.
#[test]
fn nothing_piles_up() {
    let (_store, mut one, mut other) = two();
    one.send("NOTIFY SET (selected NONE) (personal (MessageNew MessageExpunge FlagChange MailboxName))");
    for round in 0..50 {
        other.append("Junk", "()", MAIL);
        other.send(&format!("CREATE a{round}"));
        other.send(&format!("DELETE a{round}"));
    }
    let told = one.changes();
    assert!(
        told.starts_with("* STATUS \"Junk\" (MESSAGES 50 UIDNEXT 51 ") && told.matches("* ").count() == 1,
        "{told}"
    );
}
