//! NOTIFY (RFC 5465) of mailboxes of other accounts.

use super::client::{Client, MAIL, Store, store};
use mailstore::crdt::identity::AccountId;
use mailstore::request::Request;

const OK: &str = "t OK Completed\r\n";
const PROJECT: &str = "\"Other Users/alice/Project\"";
/// All events, of every mailbox of others.
const ALL: &str = "NOTIFY SET (subtree \"Other Users\" (MessageNew MessageExpunge FlagChange MailboxName MailboxMetadataChange))";

/// Alice, who shares a mailbox Project with Bob under these rights, and Bob.
fn shared(rights: &str) -> (Store, Client, Client) {
    let store = store();
    store.add_account("bob");
    let (mut alice, bob) = (Client::logged_in(&store), Client::logged_in_as(&store, "bob"));
    alice.send("CREATE Project");
    assert_eq!(alice.send(&format!("SETACL Project bob {rights}")), OK);
    (store, alice, bob)
}

fn status(mailbox: &str, messages: u32) -> String {
    format!("* STATUS {mailbox} (MESSAGES {messages} UIDNEXT {} UIDVALIDITY ", messages + 1)
}

/// RFC 5465 section 6: by whichever filter Bob names it, he is told; personal ones are his own alone.
#[test]
fn a_shared_mailbox_is_told_of_by_status() {
    for (filter, told) in [
        ("mailboxes \"Other Users/alice/Project\"", true),
        ("mailboxes \"Other Users/ALICE/Project\"", true),
        ("subtree \"Other Users/alice\"", true),
        ("subtree \"Other Users\"", true),
        ("subscribed", true),
        ("mailboxes \"Other Users/alice/Projects\"", false),
        ("subtree \"Other Users/al\"", false),
        ("personal", false),
        ("inboxes", false),
    ] {
        let (_store, mut alice, mut bob) = shared("lr");
        bob.send(&format!("SUBSCRIBE {PROJECT}"));
        assert_eq!(bob.send(&format!("NOTIFY SET ({filter} (MessageNew MessageExpunge))")), OK, "{filter}");
        assert_eq!(bob.changes(), "", "{filter}");
        alice.append("Project", "()", MAIL);
        let changes = bob.changes();
        assert_eq!(changes.starts_with(&status(PROJECT, 1)), told, "{filter}: {changes}");
        assert_eq!(changes.matches("* ").count(), usize::from(told), "{filter}: {changes}");
        assert_eq!(bob.changes(), "", "{filter}");
    }
}

/// A shared mailbox is no personal one, though other groups have its owner watched.
#[test]
fn personal_events_are_not_those_of_shared_mailboxes() {
    for filter in ["personal", "inboxes"] {
        let (store, mut alice, mut bob) = shared("lr");
        bob.send(&format!(
            "NOTIFY SET ({filter} (MessageNew MessageExpunge SubscriptionChange)) (subtree \"Other Users\" (MailboxName))"
        ));
        alice.append("Project", "()", MAIL);
        Client::logged_in_as(&store, "bob").send(&format!("SUBSCRIBE {PROJECT}"));
        assert_eq!(bob.changes(), "", "{filter}");
        alice.send("RENAME Project Plan");
        let told = bob.changes();
        assert!(told.starts_with("* LIST ") && told.matches("* ").count() == 1, "{filter}: {told}");
    }
}

#[test]
fn flags_and_expunges_are_told_and_own_changes_are_not() {
    let (_store, mut alice, mut bob) = shared("lrswite");
    bob.send(ALL);
    bob.append(PROJECT, "()", MAIL);
    assert_eq!(bob.changes(), "", "he did it himself");
    alice.send("SELECT Project");
    alice.send("STORE 1 +FLAGS (\\Deleted)");
    let told = bob.changes();
    assert!(told.starts_with(&format!("* STATUS {PROJECT} (UIDVALIDITY ")), "{told}");
    assert!(told.contains(" HIGHESTMODSEQ "), "{told}");
    alice.send("EXPUNGE");
    assert!(bob.changes().starts_with(&format!("* STATUS {PROJECT} (MESSAGES 0 UIDNEXT 2 ")));
    bob.send(&format!("SELECT {PROJECT}"));
    alice.append("Project", "()", MAIL);
    assert_eq!(bob.changes(), "", "it is selected, and nothing of that was asked for");
    bob.send("UNSELECT");
    bob.send("IDLE");
    alice.append("Project", "()", MAIL);
    assert!(bob.changes().starts_with(&format!("* STATUS {PROJECT} (MESSAGES 2 ")), "section 4");
    assert_eq!(bob.line("DONE"), OK);
}

/// RFC 5465 section 3.1: STATUS first, \NoAccess where a right is missing, and nothing of what may not be seen.
#[test]
fn what_is_told_first() {
    let (_store, mut alice, mut bob) = shared("lr");
    alice.append("Project", "()", MAIL);
    for (name, rights) in [("Hall", "l"), ("Vault", "r"), ("Safe", "i")] {
        alice.send(&format!("CREATE {name}"));
        alice.send(&format!("SETACL {name} bob {rights}"));
    }
    let names =
        ["Project", "Hall", "Vault", "Safe", "Absent"].map(|name| format!("\"Other Users/alice/{name}\""));
    let answer =
        bob.send(&format!("NOTIFY SET STATUS (mailboxes ({}) (MessageNew MessageExpunge))", names.join(" ")));
    assert!(answer.contains(&status(PROJECT, 1)), "{answer}");
    assert!(
        answer.contains("* LIST (\\HasNoChildren \\NoAccess) \"/\" \"Other Users/alice/Hall\"\r\n"),
        "{answer}"
    );
    assert_eq!(answer.matches("* ").count(), 2, "{answer}");
    assert!(answer.ends_with(OK), "{answer}");
    for name in ["Hall", "Vault", "Safe"] {
        alice.append(name, "()", MAIL);
    }
    assert_eq!(bob.changes(), "");
    // Own ones as well.
    alice.send("SETACL Hall alice -r");
    let answer = alice.send("NOTIFY SET STATUS (mailboxes Hall (MessageNew MessageExpunge))");
    assert_eq!(answer, format!("* LIST (\\HasNoChildren \\NoAccess) \"/\" \"Hall\"\r\n{OK}"));
}

/// RFC 5465 section 5.9: whoever loses a right is told so, and nothing else, until he has it again.
#[test]
fn nothing_is_told_any_more_once_the_right_to_read_is_taken() {
    let (_store, mut alice, mut bob) = shared("lr");
    bob.send(ALL);
    alice.send("SETACL Project bob l");
    assert_eq!(bob.changes(), format!("* LIST (\\HasNoChildren \\NoAccess) \"/\" {PROJECT}\r\n"));
    alice.append("Project", "()", MAIL);
    alice.send("SETMETADATA Project (/shared/comment x)");
    assert_eq!(bob.changes(), "");
    alice.send("SETACL Project bob lr");
    assert_eq!(bob.changes(), format!("* LIST (\\HasNoChildren) \"/\" {PROJECT}\r\n"));
    alice.append("Project", "()", MAIL);
    assert!(bob.changes().starts_with(&status(PROJECT, 2)));
    // Taken between the happening and the glance.
    alice.append("Project", "()", MAIL);
    alice.send("SETACL Project bob l");
    let told = bob.changes();
    assert!(!told.contains("STATUS") && told.contains("\\NoAccess"), "{told}");
}

/// RFC 5465 sections 5.4 and 5.9: `l` given is a mailbox that was created, `l` taken one that was deleted.
#[test]
fn mailboxes_that_come_and_go_are_told_by_list() {
    let (store, mut alice, mut bob) = shared("lr");
    bob.send(ALL);
    assert_eq!(bob.changes(), "");
    alice.send("SETACL Project bob r");
    let gone = format!("* LIST (\\HasNoChildren \\NonExistent \\Noselect \\NoAccess) \"/\" {PROJECT}\r\n");
    assert_eq!(bob.changes(), gone);
    alice.append("Project", "()", MAIL);
    assert_eq!(bob.changes(), "", "it is as if it were not there");
    alice.send("SETACL Project bob lr");
    let come = format!("* LIST (\\HasNoChildren) \"/\" {PROJECT}\r\n");
    assert_eq!(bob.changes(), come);
    alice.send("DELETEACL Project bob");
    assert_eq!(bob.changes(), gone, "the last thing that she shared");
    assert_eq!(bob.changes(), "");
    alice.send("SETACL Project anyone lr");
    assert_eq!(bob.changes(), come);
    alice.send("CREATE Project/New");
    let above = "* LIST (\\HasChildren) \"/\" \"Other Users/alice/Project\"\r\n";
    let new = "* LIST (\\HasNoChildren) \"/\" \"Other Users/alice/Project/New\"\r\n";
    assert_eq!(bob.changes(), format!("{above}{new}"), "section 5.4: with the one right above");
    alice.append("Project/New", "()", MAIL);
    assert!(bob.changes().starts_with("* STATUS \"Other Users/alice/Project/New\" (MESSAGES 1 "));
    alice.send("DELETE Project/New");
    assert_eq!(
        bob.changes(),
        format!("{come}{}", new.replace("Children)", "Children \\NonExistent \\Noselect)"))
    );
    store.ask(Request::RemoveAccount { account: AccountId::of_name("alice") }).expect("removed");
    assert_eq!(bob.changes(), gone.replace(" \\NoAccess", ""), "its owner is gone");
    assert_eq!(bob.changes(), "");
}

/// Who asked for no MailboxName is told that he has no access any more, and then again that he has.
#[test]
fn access_is_told_to_whoever_hears_of_messages() {
    let (_store, mut alice, mut bob) = shared("lr");
    alice.send("CREATE Other");
    bob.send("NOTIFY SET (subtree \"Other Users\" (MessageNew MessageExpunge))");
    alice.send("SETACL Other bob lr");
    assert_eq!(bob.changes(), "", "no MailboxName was asked for");
    alice.append("Other", "()", MAIL);
    assert!(bob.changes().starts_with(&status("\"Other Users/alice/Other\"", 1)));
    alice.send("SETACL Project bob -lr");
    assert!(bob.changes().contains("\\NoAccess) \"/\" \"Other Users/alice/Project\"\r\n"));
    alice.send("SETACL Project bob +lr");
    assert_eq!(bob.changes(), format!("* LIST (\\HasNoChildren) \"/\" {PROJECT}\r\n"));
    alice.send("DELETE Project");
    assert_eq!(bob.changes(), "", "that is MailboxName");
}

#[test]
fn a_rename_is_told_with_the_name_before() {
    let (_store, mut alice, mut bob) = shared("lrx");
    bob.send("NOTIFY SET (mailboxes \"Other Users/alice/Project\" (MessageNew MessageExpunge MailboxName))");
    alice.send("RENAME Project Plan");
    let told = "* LIST (\\HasNoChildren) \"/\" \"Other Users/alice/Plan\" (\"OLDNAME\" (\"Other Users/alice/Project\"))\r\n";
    assert_eq!(bob.changes(), told);
    alice.append("Plan", "()", MAIL);
    assert_eq!(bob.changes(), "", "it does not go by that name any more");
    alice.send("RENAME Plan Project");
    assert!(bob.changes().contains("(\"OLDNAME\" (\"Other Users/alice/Plan\"))\r\n"));
    alice.append("Project", "()", MAIL);
    assert!(bob.changes().starts_with(&status(PROJECT, 2)));
    assert_eq!(bob.send(&format!("DELETE {PROJECT}")), OK);
    assert_eq!(bob.changes(), "", "he did it himself");
}

/// Accounts that shared nothing when NOTIFY was used, loaded or not, and several of them.
#[test]
fn several_owners_are_watched() {
    let (store, mut alice, _) = shared("lr");
    store.add_account("carol");
    let mut carol = Client::logged_in_as(&store, "carol");
    carol.send("CREATE Tasks");
    let store = store.restarted();
    let mut bob = Client::logged_in_as(&store, "bob");
    assert!(!store.has_opened("alice"));
    assert_eq!(bob.send(ALL), OK);
    assert!(store.has_opened("alice") && !store.has_opened("carol"), "those alone that share something");
    let mut owners = ["alice", "carol"].map(|name| Client::logged_in_as(&store, name));
    owners[1].send("SETACL Tasks bob lr");
    assert_eq!(bob.changes(), "* LIST (\\HasNoChildren) \"/\" \"Other Users/carol/Tasks\"\r\n");
    owners[0].append("Project", "()", MAIL);
    owners[1].append("Tasks", "()", MAIL);
    owners[1].append("INBOX", "()", MAIL);
    let told = bob.changes();
    assert!(told.contains(&status(PROJECT, 1)), "{told}");
    assert!(told.contains(&status("\"Other Users/carol/Tasks\"", 1)), "{told}");
    assert_eq!(told.matches("* ").count(), 2, "{told}");
    drop((alice.shut_down(), carol));
    // Named before it was shared, and subscribed to afterwards.
    bob.send("NOTIFY SET (subscribed (MessageNew MessageExpunge SubscriptionChange))");
    let mut other = Client::logged_in_as(&store, "bob");
    other.send("SUBSCRIBE \"Other Users/carol/Tasks\"");
    assert_eq!(bob.changes(), "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Other Users/carol/Tasks\"\r\n");
    owners[0].append("Project", "()", MAIL);
    owners[1].append("Tasks", "()", MAIL);
    let told = bob.changes();
    assert!(
        told.starts_with(&status("\"Other Users/carol/Tasks\"", 2)) && told.matches("* ").count() == 1,
        "{told}"
    );
    other.send("UNSUBSCRIBE \"Other Users/carol/Tasks\"");
    assert_eq!(bob.changes(), "* LIST (\\HasNoChildren) \"/\" \"Other Users/carol/Tasks\"\r\n");
    owners[1].append("Tasks", "()", MAIL);
    assert_eq!(bob.changes(), "");
}

/// RFC 5465 section 5.6, and RFC 5464: private annotations are their owner's.
#[test]
fn shared_annotations_are_told() {
    let (_store, mut alice, mut bob) = shared("lrw");
    bob.send(ALL);
    alice.send("SETMETADATA Project (/shared/comment x /private/comment y)");
    assert_eq!(bob.changes(), format!("* METADATA {PROJECT} /shared/comment\r\n"));
    alice.send("SETMETADATA Project (/private/comment z)");
    alice.send("SETMETADATA \"\" (/private/comment z)");
    assert_eq!(bob.changes(), "");
    assert_eq!(bob.send(&format!("SETMETADATA {PROJECT} (/shared/comment NIL)")), OK);
    assert_eq!(bob.changes(), "", "he did it himself");
}

/// RFC 5465 sections 3.1 and 5.8: there is a bound to how many accounts one session watches.
#[test]
fn too_many_owners_are_refused() {
    let store = store();
    store.add_account("bob");
    let mut bob = Client::logged_in_as(&store, "bob");
    let share = |number: u32| {
        let name = format!("owner{number}");
        store.add_account(&name);
        let mut owner = Client::logged_in_as(&store, &name);
        assert_eq!(owner.send("SETACL Drafts anyone lr"), OK);
        owner
    };
    (0..100).for_each(|number| drop(share(number)));
    assert_eq!(bob.send(ALL), OK);
    assert_eq!(bob.changes(), "");
    let mut last = share(100);
    let told = bob.changes();
    assert!(told.starts_with("* OK [NOTIFICATIONOVERFLOW] ") && told.matches("* ").count() == 1, "{told}");
    last.append("Drafts", "()", MAIL);
    assert_eq!(bob.changes(), "", "section 5.8: as after NOTIFY NONE");
    assert!(bob.send(ALL).starts_with("t NO [NOTIFICATIONOVERFLOW] "));
    assert_eq!(bob.send("NOTIFY SET (subtree \"Other Users/owner100\" (MessageNew MessageExpunge))"), OK);
    last.append("Drafts", "()", MAIL);
    assert!(bob.changes().starts_with(&status("\"Other Users/owner100/Drafts\"", 2)));
}
