//! Mailboxes of other accounts: what each right allows, and what is shared with whom.

use super::client::{Client, MAIL, Store, store};
use mailstore::crdt::identity::AccountId;
use mailstore::request::Request;

const PROJECT: &str = "\"Other Users/alice/Project\"";

/// Alice, who shares a mailbox Project of two messages with Bob under these rights.
fn shared(rights: &str) -> (Store, Client, Client) {
    let store = store();
    store.add_account("bob");
    let (mut alice, bob) = (Client::logged_in(&store), Client::logged_in_as(&store, "bob"));
    alice.send("CREATE Project");
    alice.append("Project", "(\\Deleted)", MAIL);
    alice.append("Project", "()", &MAIL.replace("Hello", "Hallo"));
    let given = alice.send(&format!("SETACL Project bob {rights}"));
    assert_eq!(given, "t OK Completed\r\n");
    (store, alice, bob)
}

/// What Bob is answered, the mailbox selected where that is needed.
fn answer(rights: &str, act: impl Fn(&mut Client) -> String) -> String {
    let (_, _, mut bob) = shared(rights);
    act(&mut bob)
}

/// RFC 4314 section 4, command by command: with the right it works, and with every right but this one it does not.
#[test]
fn each_command_takes_the_rights_of_the_table() {
    type Act = fn(&mut Client) -> String;
    fn selected(bob: &mut Client, command: &str) -> String {
        bob.send(&format!("SELECT {PROJECT}"));
        bob.send(command)
    }
    let table: [(&str, &str, Act); 17] = [
        ("r", "r", |bob| bob.send(&format!("SELECT {PROJECT}"))),
        ("r", "r", |bob| bob.send(&format!("EXAMINE {PROJECT}"))),
        ("r", "r", |bob| bob.send(&format!("STATUS {PROJECT} (MESSAGES)"))),
        ("i", "i", |bob| bob.append(PROJECT, "()", MAIL)),
        ("k", "k", |bob| bob.send("CREATE \"Other Users/alice/Project/New\"")),
        ("x", "x", |bob| bob.send(&format!("DELETE {PROJECT}"))),
        ("x", "kx", |bob| {
            bob.send("CREATE \"Other Users/alice/Project/New\"");
            bob.send("RENAME \"Other Users/alice/Project/New\" \"Other Users/alice/Project/Newer\"")
        }),
        ("a", "a", |bob| bob.send(&format!("GETACL {PROJECT}"))),
        ("a", "a", |bob| bob.send(&format!("SETACL {PROJECT} anyone l"))),
        ("s", "rs", |bob| selected(bob, "STORE 2 +FLAGS (\\Seen)")),
        ("w", "rw", |bob| selected(bob, "STORE 2 +FLAGS (\\Flagged)")),
        ("w", "rw", |bob| selected(bob, "STORE 2 +FLAGS (work)")),
        ("t", "rt", |bob| selected(bob, "STORE 2 +FLAGS (\\Deleted)")),
        ("e", "re", |bob| selected(bob, "EXPUNGE")),
        ("t", "rte", |bob| selected(bob, "MOVE 2 INBOX")),
        ("e", "rte", |bob| selected(bob, "MOVE 2 INBOX")),
        ("r", "lr", |bob| bob.send(&format!("GETMETADATA {PROJECT} /shared/comment"))),
    ];
    for (right, sufficient, act) in table {
        let done = answer(sufficient, act);
        assert!(done.lines().last().is_some_and(|line| line.starts_with("t OK ")), "{sufficient}: {done}");
        let without = "lrswipkxtea".replace(right, "");
        let refused = answer(&without, act);
        assert!(
            refused.lines().last().is_some_and(|line| line.starts_with("t NO [NOPERM] ")),
            "{without}: {refused}"
        );
    }
}

#[test]
fn one_mailbox_looks_the_same_to_everybody() {
    let (_, mut alice, mut bob) = shared("lrswite");
    let items = "(MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ MAILBOXID UNSEEN SIZE)";
    let (own, other) =
        (alice.send(&format!("STATUS Project {items}")), bob.send(&format!("STATUS {PROJECT} {items}")));
    assert_eq!(own.replace("\"Project\"", PROJECT), other);
    alice.send("SELECT Project");
    bob.send(&format!("SELECT {PROJECT}"));
    let items = "FETCH 1:* (UID FLAGS MODSEQ EMAILID INTERNALDATE BODY.PEEK[])";
    assert_eq!(alice.send(items), bob.send(items));
    // Flags are shared as well, \Seen among them.
    bob.send("STORE 2 +FLAGS (\\Seen)");
    assert!(alice.send("NOOP").contains("* 2 FETCH (UID 2 FLAGS (\\Seen)"));
    assert!(bob.append(PROJECT, "(\\Flagged)", MAIL).contains("[APPENDUID "));
    assert!(alice.send("NOOP").contains("* 3 EXISTS\r\n"));
    assert!(bob.send("UID EXPUNGE 1").contains("* 1 EXPUNGE\r\n"));
    assert!(alice.send("NOOP").contains("* 1 EXPUNGE\r\n"));
    assert_eq!(alice.send("IDLE"), "+ idling\r\n");
    bob.append(PROJECT, "()", MAIL);
    assert_eq!(alice.changes(), "* 3 EXISTS\r\n");
    alice.line("DONE");
    assert_eq!(bob.send("IDLE"), "+ idling\r\n");
    alice.append("Project", "()", MAIL);
    assert_eq!(bob.changes(), "* 4 EXISTS\r\n");
}

/// RFC 4314 section 5.2, and PERMANENTFLAGS of what may be changed.
#[test]
fn select_tells_what_can_be_changed() {
    for (rights, code, flags) in [
        ("lr", "READ-ONLY", "()"),
        ("lrpkxa", "READ-ONLY", "()"),
        ("lri", "READ-WRITE", "()"),
        ("lrs", "READ-WRITE", "(\\Seen)"),
        ("lrte", "READ-WRITE", "(\\Deleted)"),
        ("lrw", "READ-WRITE", "(\\Answered \\Flagged \\Draft \\*)"),
        ("lrswt", "READ-WRITE", "(\\Seen \\Answered \\Flagged \\Deleted \\Draft \\*)"),
    ] {
        let told = answer(rights, |bob| bob.send(&format!("SELECT {PROJECT}")));
        assert!(told.contains(&format!("[PERMANENTFLAGS {flags}] ")), "{rights}: {told}");
        assert!(told.ends_with(&format!("t OK [{code}] Selected\r\n")), "{rights}: {told}");
    }
}

/// RFC 4314 section 4: a STORE does what it may, and fails only where that is nothing.
#[test]
fn a_store_changes_the_flags_that_it_may() {
    let (_, mut alice, mut bob) = shared("lrw");
    bob.send(&format!("SELECT {PROJECT}"));
    assert_eq!(
        bob.send("STORE 1:2 +FLAGS (\\Seen \\Flagged)"),
        "* 1 FETCH (FLAGS (\\Flagged \\Deleted))\r\n* 2 FETCH (FLAGS (\\Flagged))\r\nt OK Stored\r\n"
    );
    // What is replaced is the part that may be changed: \Deleted stays.
    assert_eq!(
        bob.send("STORE 1:2 FLAGS (\\Seen \\Answered)"),
        "* 1 FETCH (FLAGS (\\Answered \\Deleted))\r\n* 2 FETCH (FLAGS (\\Answered))\r\nt OK Stored\r\n"
    );
    assert_eq!(bob.send("STORE 1:2 FLAGS.SILENT (\\Draft)"), "t OK Stored\r\n");
    alice.send("SELECT Project");
    assert_eq!(
        alice.send("FETCH 1:2 FLAGS"),
        "* 1 FETCH (FLAGS (\\Deleted \\Draft))\r\n* 2 FETCH (FLAGS (\\Draft))\r\nt OK Completed\r\n"
    );
    assert!(bob.send("STORE 1 -FLAGS (\\Deleted)").starts_with("t NO [NOPERM] "));
    let (_, _, mut bob) = shared("lri");
    bob.send(&format!("SELECT {PROJECT}"));
    assert!(bob.send("STORE 1 FLAGS ()").starts_with("t NO [NOPERM] "));
}

#[test]
fn reading_marks_as_seen_only_with_the_right_to() {
    let (_, _, mut bob) = shared("lr");
    bob.send(&format!("SELECT {PROJECT}"));
    let read = bob.send("FETCH 2 BODY[TEXT]");
    assert!(read.contains("Hallo Joe") && !read.contains("\\Seen"), "{read}");
    assert!(bob.send("SEARCH UNSEEN").contains("* SEARCH 1 2\r\n"));
    let (_, _, mut bob) = shared("lrs");
    bob.send(&format!("SELECT {PROJECT}"));
    assert!(bob.send("FETCH 2 BODY[TEXT]").contains("\\Seen"));
}

/// RFC 4314 section 4: CLOSE without the right to expunge closes.
#[test]
fn close_expunges_only_with_the_right_to() {
    for (rights, left) in [("lrst", "2"), ("lre", "1")] {
        let (_, mut alice, mut bob) = shared(rights);
        bob.send(&format!("SELECT {PROJECT}"));
        assert_eq!(bob.send("CLOSE"), "t OK Closed\r\n");
        assert!(alice.send("STATUS Project (MESSAGES)").contains(&format!("(MESSAGES {left})")), "{rights}");
    }
}

/// RFC 4314 section 4: flags for which there is no right in the target are left out.
#[test]
fn flags_go_along_where_they_may() {
    let (_, mut alice, mut bob) = shared("lris");
    bob.append(PROJECT, "(\\Seen \\Flagged \\Deleted work)", MAIL);
    bob.append("INBOX", "(\\Seen \\Answered)", MAIL);
    bob.send("SELECT INBOX");
    assert!(bob.send(&format!("COPY 1 {PROJECT}")).starts_with("t OK [COPYUID "));
    alice.send("SELECT Project");
    let flags = alice.send("FETCH 3:4 FLAGS");
    assert_eq!(flags, "* 3 FETCH (FLAGS (\\Seen))\r\n* 4 FETCH (FLAGS (\\Seen))\r\nt OK Completed\r\n");
    // Also between two mailboxes of one owner.
    alice.send("CREATE Other");
    alice.send("SETACL Other bob lri");
    bob.send(&format!("SELECT {PROJECT}"));
    assert!(bob.send("COPY 3 \"Other Users/alice/Other\"").starts_with("t OK [COPYUID "));
    alice.send("SELECT Other");
    assert_eq!(alice.send("FETCH 1 FLAGS"), "* 1 FETCH (FLAGS ())\r\nt OK Completed\r\n");
}

#[test]
fn messages_are_copied_and_moved_between_accounts() {
    let (_, mut alice, mut bob) = shared("lrswite");
    alice.send("SELECT Project");
    let fetched = |client: &mut Client, number: u32| {
        let answer =
            client.send(&format!("FETCH {number} (EMAILID INTERNALDATE RFC822.SIZE BODY.PEEK[TEXT])"));
        answer.split_once("FETCH ").expect("a message").1.to_owned()
    };
    let original = fetched(&mut alice, 2);
    bob.send(&format!("SELECT {PROJECT}"));
    let copied = bob.send("COPY 1:2 INBOX");
    assert!(copied.starts_with("t OK [COPYUID ") && copied.contains(" 1:2 1:2] "), "{copied}");
    let moved = bob.send("MOVE 2 INBOX");
    assert!(moved.starts_with("* OK [COPYUID ") && moved.contains(" 2 3] "), "{moved}");
    assert!(moved.ends_with("* 2 EXPUNGE\r\nt OK Completed\r\n"), "{moved}");
    assert_eq!(alice.send("NOOP"), "* 2 EXPUNGE\r\nt OK Completed\r\n");
    bob.send("SELECT INBOX");
    assert_eq!(fetched(&mut bob, 2), original);
    assert_eq!(fetched(&mut bob, 3), original);
    // The other way, and by UID.
    let moved = bob.send(&format!("UID MOVE 3 {PROJECT}"));
    assert!(moved.contains(" 3 3] "), "{moved}");
    assert_eq!(alice.send("NOOP"), "* 2 EXISTS\r\nt OK Completed\r\n");
    assert_eq!(fetched(&mut alice, 2), original);
    assert!(bob.send("MOVE 1 \"Other Users/alice/Absent\"").starts_with("t NO [NONEXISTENT] "));
    assert!(bob.send("STATUS INBOX (MESSAGES)").contains("(MESSAGES 2)"));
}

/// A MOVE that broke off between its two steps, and is tried again, leaves one message.
#[test]
fn a_move_that_is_tried_again_finds_its_own_copy() {
    let (store, mut alice, mut bob) = shared("lrte");
    bob.send(&format!("SELECT {PROJECT}"));
    store.refuse_removals(true);
    let half = bob.send("MOVE 2 INBOX");
    assert!(half.starts_with("* OK [COPYUID ") && half.contains("t NO "), "{half}");
    assert!(alice.send("STATUS Project (MESSAGES)").contains("(MESSAGES 2)"), "the original is still there");
    assert!(bob.send("STATUS INBOX (MESSAGES)").contains("(MESSAGES 1)"));
    store.refuse_removals(false);
    assert!(bob.send("MOVE 2 INBOX").contains(" 2 1] "));
    assert!(alice.send("STATUS Project (MESSAGES)").contains("(MESSAGES 1)"));
    assert!(bob.send("STATUS INBOX (MESSAGES)").contains("(MESSAGES 1)"));
}

/// What was moved and then expunged is gone; the message that is moved after it, although it is the same one, is not.
#[test]
fn a_copy_that_was_expunged_does_not_swallow_the_original() {
    let (store, _, mut bob) = shared("lrte");
    bob.send(&format!("SELECT {PROJECT}"));
    store.refuse_removals(true);
    bob.send("MOVE 2 INBOX");
    store.refuse_removals(false);
    bob.send("SELECT INBOX");
    bob.send("STORE 1 +FLAGS (\\Deleted)");
    bob.send("EXPUNGE");
    bob.send(&format!("SELECT {PROJECT}"));
    assert!(bob.send("MOVE 2 INBOX").contains(" 2 2] "));
    assert!(bob.send("STATUS INBOX (MESSAGES)").contains("(MESSAGES 1)"));
}

#[test]
fn a_session_that_may_read_no_more_is_told_and_hears_nothing() {
    let (_, mut alice, mut bob) = shared("lrs");
    bob.send(&format!("SELECT {PROJECT}"));
    assert_eq!(bob.send("IDLE"), "+ idling\r\n");
    alice.send("SETACL Project bob -r");
    alice.append("Project", "()", MAIL);
    assert_eq!(bob.changes(), "* BYE You may not read the selected mailbox any more\r\n");
    assert!(bob.closed);
    // The same where a command comes before the session hears of it.
    alice.send("SETACL Project bob lrs");
    let (store, mut alice, mut bob) = shared("lrs");
    bob.send(&format!("SELECT {PROJECT}"));
    alice.send("DELETEACL Project bob");
    let refused = bob.send("FETCH 1 BODY.PEEK[]");
    assert_eq!(
        refused,
        "t NO [NOPERM] For this mailbox you do not have the rights r\r\n* BYE You may not read the selected mailbox any more\r\n"
    );
    let mut bob = Client::logged_in_as(&store, "bob");
    assert!(bob.send(&format!("SELECT {PROJECT}")).starts_with("t NO [NONEXISTENT] "));
    // And where the owner is no more.
    alice.send("SETACL Project bob lr");
    bob.send(&format!("SELECT {PROJECT}"));
    store.ask(Request::RemoveAccount { account: AccountId::of_name("alice") }).expect("removed");
    assert_eq!(bob.changes(), "* BYE You may not read the selected mailbox any more\r\n");
}

/// RFC 9051 section 7.1: READ-ONLY and READ-WRITE also tell that this has changed.
#[test]
fn a_session_hears_of_other_rights_to_its_mailbox() {
    let (_, mut alice, mut bob) = shared("lr");
    bob.send(&format!("SELECT {PROJECT}"));
    alice.send("SETACL Project bob lrs");
    let told = bob.send("NOOP");
    assert!(told.starts_with("* OK [READ-WRITE] ") && told.contains("[PERMANENTFLAGS (\\Seen)]"), "{told}");
    assert!(bob.send("STORE 2 +FLAGS (\\Seen)").ends_with("t OK Stored\r\n"));
    alice.send("SETACL Project bob -s");
    let told = bob.send("NOOP");
    assert!(told.starts_with("* OK [READ-ONLY] ") && told.contains("[PERMANENTFLAGS ()]"), "{told}");
    assert_eq!(bob.send("NOOP"), "t OK Completed\r\n");
}

#[test]
fn a_right_that_is_taken_during_an_append_is_missed_at_its_end() {
    let (store, mut alice, mut bob) = shared("lri");
    store.before_next_request({
        let mut taken = false;
        move |request| {
            if !taken && matches!(request, Request::Permitted { .. }) {
                taken = true;
                alice.send("SETACL Project bob -i");
                assert!(alice.send("STATUS Project (MESSAGES)").contains("(MESSAGES 2)"));
            }
        }
    });
    assert!(bob.append(PROJECT, "()", MAIL).starts_with("t NO [NOPERM] "));
    assert!(bob.send(&format!("STATUS {PROJECT} (MESSAGES)")).contains("(MESSAGES 2)"));
}

#[test]
fn subscriptions_to_mailboxes_of_others_are_ones_own() {
    let (_, mut alice, mut bob) = shared("lr");
    assert_eq!(bob.send("SUBSCRIBE \"Other Users/ALICE/Project\""), "t OK Completed\r\n");
    assert_eq!(
        bob.send("LSUB \"\" \"Other*\""),
        "* LSUB () \"/\" \"Other Users/alice/Project\"\r\nt OK Completed\r\n"
    );
    let listed = bob.send("LIST (SUBSCRIBED) \"\" \"Other*\"");
    assert_eq!(
        listed,
        "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Other Users/alice/Project\"\r\nt OK Completed\r\n"
    );
    assert!(!alice.send("LSUB \"\" *").contains("Other Users"));
    alice.send("DELETEACL Project bob");
    let listed = bob.send("LIST (SUBSCRIBED) \"\" \"Other*\"");
    assert!(listed.contains("\\NonExistent"), "{listed}");
}

#[test]
fn mailboxes_of_others_are_managed_where_it_may_be() {
    let (_, mut alice, mut bob) = shared("lrkx");
    let created = bob.send("CREATE \"Other Users/alice/Project/Plans/2026\"");
    assert!(created.starts_with("t OK [MAILBOXID ("), "{created}");
    let listed = alice.send("LIST \"\" Project*");
    assert!(listed.contains("\"Project/Plans\"") && listed.contains("\"Project/Plans/2026\""), "{listed}");
    assert!(bob.send("LIST \"\" \"*2026\"").contains("\"Other Users/alice/Project/Plans/2026\""));
    let renamed = bob.send("RENAME \"Other Users/alice/Project/Plans\" \"Other Users/alice/Project/Ideas\"");
    assert_eq!(renamed, "t OK Completed\r\n");
    assert!(alice.send("LIST \"\" Project*").contains("\"Project/Ideas/2026\""));
    assert!(bob.send("RENAME \"Other Users/alice/Project/Ideas\" Ideas").starts_with("t NO [CANNOT] "));
    assert!(bob.send("RENAME Drafts \"Other Users/alice/Project/Drafts\"").starts_with("t NO [CANNOT] "));
    assert!(
        bob.send("RENAME \"Other Users/alice/Project/Ideas\" \"Other Users/alice/Ideas\"")
            .starts_with("t NO [NOPERM] ")
    );
    // What is below goes along, so it takes the right to that, too.
    alice.send("SETACL Project/Ideas/2026 bob l");
    let refused = bob.send("RENAME \"Other Users/alice/Project/Ideas\" \"Other Users/alice/Project/Plans\"");
    assert!(refused.starts_with("t NO [NOPERM] "), "{refused}");
    assert!(bob.send("DELETE \"Other Users/alice/Project/Ideas\"").starts_with("t OK "));
    assert!(!alice.send("LIST \"\" Project/Ideas").contains("HasNoChildren"));
    assert!(
        bob.send("CREATE \"Other Users/alice/Project/New\" (USE (\\Archive))").starts_with("t NO [USEATTR] ")
    );
    for own in [
        "CREATE \"Other Users\"",
        "CREATE \"Other Users/bob\"",
        "CREATE \"Other Users/bob/x\"",
        "RENAME Drafts \"Other Users/bob/x\"",
    ] {
        assert!(bob.send(own).starts_with("t NO ["), "{own}");
    }
}

#[test]
fn special_uses_are_those_of_the_owner_alone() {
    let (_, mut alice, mut bob) = shared("lr");
    alice.send("SETACL Drafts bob lr");
    assert!(
        bob.send("LIST \"\" \"Other Users/*\"")
            .contains("(\\HasNoChildren) \"/\" \"Other Users/alice/Drafts\"")
    );
    assert!(!bob.send("LIST (SPECIAL-USE) \"\" *").contains("Other Users"));
}

#[test]
fn annotations_and_quota_of_shared_mailboxes() {
    let (_, mut alice, mut bob) = shared("lrw");
    alice.send("SETMETADATA Project (/private/comment mine /shared/comment ours)");
    let told =
        bob.send(&format!("GETMETADATA (DEPTH infinity) {PROJECT} (/private/comment /shared/comment)"));
    assert!(told.contains("ours") && !told.contains("mine"), "{told}");
    assert!(
        bob.send(&format!("SETMETADATA {PROJECT} (/private/comment x)"))
            .starts_with("t NO [METADATA NOPRIVATE] ")
    );
    assert_eq!(bob.send(&format!("SETMETADATA {PROJECT} (/shared/comment theirs)")), "t OK Completed\r\n");
    assert!(alice.send("GETMETADATA Project /shared/comment").contains("theirs"));
    alice.send("SETACL Project bob -w");
    assert!(bob.send(&format!("SETMETADATA {PROJECT} (/shared/comment x)")).starts_with("t NO [NOPERM] "));
    assert_eq!(
        bob.send(&format!("GETQUOTAROOT {PROJECT}")),
        format!("* QUOTAROOT {PROJECT}\r\nt OK Completed\r\n")
    );
}

/// What is appended to a shared mailbox counts to its owner.
#[test]
fn quota_counts_to_the_owner() {
    let (store, _, mut bob) = shared("lri");
    let quota = |octets| mailstore::crdt::operation::Quota { octets: Some(octets), messages: None };
    store.ask(Request::SetQuota { account: AccountId::of_name("alice"), quota: quota(1) }).expect("set");
    let refused = bob.append(PROJECT, "()", MAIL);
    assert!(refused.starts_with("t NO [OVERQUOTA] "), "{refused}");
    bob.append("INBOX", "()", MAIL);
    bob.send("SELECT INBOX");
    assert!(bob.send(&format!("COPY 1 {PROJECT}")).starts_with("t NO [OVERQUOTA] "));
    store
        .ask(Request::SetQuota { account: AccountId::of_name("alice"), quota: quota(1 << 20) })
        .expect("set");
    store.ask(Request::SetQuota { account: AccountId::of_name("bob"), quota: quota(1) }).expect("set");
    assert!(bob.send(&format!("COPY 1 {PROJECT}")).starts_with("t OK [COPYUID "));
}

#[test]
fn parts_of_shared_messages_can_be_put_together() {
    let (_, mut alice, mut bob) = shared("lr");
    let append = "t APPEND INBOX CATENATE (URL \"/Other Users/alice/Project/;UID=2/;SECTION=TEXT\")\r\n";
    let done = bob.wire(&append.replace("Other Users", "Other%20Users"));
    assert!(done.starts_with("t OK [APPENDUID "), "{done}");
    alice.send("DELETEACL Project bob");
    let refused = bob.wire(&append.replace("Other Users", "Other%20Users"));
    assert!(refused.starts_with("t NO [BADURL "), "{refused}");
}

#[test]
fn replace_takes_the_rights_of_both_mailboxes() {
    let (_, mut alice, mut bob) = shared("lrte");
    bob.send(&format!("SELECT {PROJECT}"));
    let replaced = bob.send_with("REPLACE 2 INBOX", &[MAIL]);
    assert!(replaced.contains("[APPENDUID ") && replaced.ends_with("t OK Replaced\r\n"), "{replaced}");
    assert!(alice.send("STATUS Project (MESSAGES)").contains("(MESSAGES 1)"));
    assert!(bob.send_with(&format!("REPLACE 1 {PROJECT}"), &[MAIL]).starts_with("t NO [NOPERM] "));
    alice.send("SETACL Project bob lri");
    bob.send("NOOP");
    assert!(bob.send_with(&format!("REPLACE 1 {PROJECT}"), &[MAIL]).starts_with("t NO [NOPERM] "));
    assert!(alice.send("STATUS Project (MESSAGES)").contains("(MESSAGES 1)"));
}

/// What is shared is found without a look at accounts that share nothing, also where its owner was never loaded.
#[test]
fn owners_are_loaded_when_somebody_asks_for_what_they_share() {
    let (store, mut alice, _) = shared("lr");
    alice.send("CREATE Elsewhere");
    let store = store.restarted();
    let mut bob = Client::logged_in_as(&store, "bob");
    assert!(!store.has_opened("alice"));
    bob.send("LIST \"\" INBOX");
    assert!(!store.has_opened("alice"), "nothing of it was asked for");
    assert!(bob.send("LIST \"\" *").contains("\"Other Users/alice/Project\""));
    let store = store.restarted();
    let mut bob = Client::logged_in_as(&store, "bob");
    assert!(bob.send(&format!("SELECT {PROJECT}")).contains("* 2 EXISTS\r\n"));
    let store = store.restarted();
    let mut alice = Client::logged_in_as(&store, "alice");
    alice.send("SETACL Project bob lri");
    let store = store.restarted();
    let mut bob = Client::logged_in_as(&store, "bob");
    assert!(bob.append(PROJECT, "()", MAIL).starts_with("t OK [APPENDUID "));
    store.add_account("carol");
    let mut carol = Client::logged_in_as(&store.restarted(), "carol");
    assert!(carol.send(&format!("SELECT {PROJECT}")).starts_with("t NO [NONEXISTENT] "));
}

/// RFC 7377: what cannot be read is passed over.
#[test]
fn shared_mailboxes_are_searched_with_others() {
    let (_, mut alice, mut bob) = shared("lr");
    alice.send("CREATE Hall");
    alice.append("Hall", "()", MAIL);
    alice.send("SETACL Hall bob l");
    bob.append("INBOX", "()", MAIL);
    let told = bob.send("ESEARCH IN (subtree \"\") RETURN (COUNT) UNSEEN");
    assert!(told.contains(&format!("MAILBOX {PROJECT} ")) && told.contains("MAILBOX \"INBOX\" "), "{told}");
    assert!(!told.contains("Hall"), "{told}");
    assert!(!bob.send("ESEARCH IN (personal) RETURN (COUNT) UNSEEN").contains("Other Users"));
    // Selected without being listed.
    alice.send("SETACL Project bob r");
    assert!(bob.send(&format!("SELECT {PROJECT}")).ends_with("t OK [READ-ONLY] Selected\r\n"));
    let told = bob.send("ESEARCH IN (selected) RETURN (COUNT) UNSEEN");
    assert!(told.contains(&format!("MAILBOX {PROJECT} ")), "{told}");
}
