//! Several sessions over one mailbox: what is told when.

use super::client::{Client, MAIL, store};
use mailstore::crdt::identity::AccountId;
use mailstore::request::Request;

#[test]
fn no_expunge_during_fetch_store_and_search() {
    let store = store();
    let mut one = Client::selected(&store, "INBOX");
    for _ in 0..4 {
        one.append("INBOX", "()", MAIL);
    }
    let mut other = Client::selected(&store, "INBOX");
    one.send("STORE 2 +FLAGS.SILENT (\\Deleted)");
    one.send("EXPUNGE");
    one.append("INBOX", "()", MAIL);
    one.send("STORE 3 +FLAGS.SILENT (\\Answered)");
    // Numbers stay what the other was told; the message that is gone can still be read; flags are told at once.
    let answer = other.send("FETCH 2:4 (UID RFC822.SIZE)");
    let size = MAIL.len();
    assert_eq!(
        answer,
        format!(
            "* 4 FETCH (FLAGS (\\Answered))\r\n* 2 FETCH (UID 2 RFC822.SIZE {size})\r\n* 3 FETCH (UID 3 RFC822.SIZE {size})\r\n* 4 FETCH (UID 4 RFC822.SIZE {size})\r\nt OK Completed\r\n"
        )
    );
    assert!(other.send("FETCH 2 BODY.PEEK[TEXT]").contains("Hello Joe"));
    assert_eq!(other.send("SEARCH UID 1:*"), "* SEARCH 1 2 3 4\r\nt OK Completed\r\n");
    assert_eq!(
        other.send("STORE 2:3 +FLAGS (\\Seen)"),
        "* 3 FETCH (FLAGS (\\Seen))\r\nt NO [EXPUNGEISSUED] Some of the messages are gone; the others are changed\r\n"
    );
    assert_eq!(other.send("NOOP"), "* 2 EXPUNGE\r\n* 4 EXISTS\r\nt OK Completed\r\n");
    assert_eq!(other.send("NOOP"), "t OK Completed\r\n");
    assert_eq!(one.send("NOOP"), "* 2 FETCH (FLAGS (\\Seen))\r\nt OK Completed\r\n");
}

#[test]
fn uid_commands_may_tell_expunges() {
    let store = store();
    let mut one = Client::selected(&store, "INBOX");
    one.append("INBOX", "()", MAIL);
    one.append("INBOX", "()", MAIL);
    let mut other = Client::selected(&store, "INBOX");
    one.send("STORE 1 +FLAGS.SILENT (\\Deleted)");
    one.send("EXPUNGE");
    assert_eq!(
        other.send("UID FETCH 1:2 (UID)"),
        "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n* 1 EXPUNGE\r\nt OK Completed\r\n"
    );
}

#[test]
fn idle_tells_changes_as_they_come() {
    let store = store();
    let mut one = Client::selected(&store, "INBOX");
    let mut idler = Client::selected(&store, "INBOX");
    one.append("INBOX", "()", MAIL);
    assert_eq!(idler.send("IDLE"), "+ idling\r\n* 1 EXISTS\r\n");
    assert_eq!(idler.changes(), "");
    one.append("INBOX", "()", MAIL);
    assert_eq!(idler.changes(), "* 2 EXISTS\r\n");
    one.send("STORE 1 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(idler.changes(), "* 1 FETCH (FLAGS (\\Deleted))\r\n");
    one.send("EXPUNGE");
    assert_eq!(idler.changes(), "* 1 EXPUNGE\r\n");
    assert_eq!(idler.time_out(), "* OK Still here\r\n");
    assert_eq!(idler.line("done"), "t OK Completed\r\n");
    assert_eq!(idler.send("IDLE"), "+ idling\r\n");
    assert!(idler.line("NOOP").starts_with("t BAD "));
}

#[test]
fn nothing_is_told_while_no_command_runs() {
    let store = store();
    let mut one = Client::selected(&store, "INBOX");
    let mut other = Client::selected(&store, "INBOX");
    one.append("INBOX", "()", MAIL);
    assert_eq!(other.changes(), "");
    assert_eq!(other.send("CHECK"), "* 1 EXISTS\r\nt OK Completed\r\n");
}

#[test]
fn a_deleted_mailbox_ends_the_sessions_of_others() {
    let store = store();
    let mut one = Client::logged_in(&store);
    one.send("CREATE work");
    let mut other = Client::selected(&store, "work");
    one.send("SELECT work");
    assert_eq!(one.send("DELETE work"), "* OK [CLOSED] The selected mailbox is gone\r\nt OK Completed\r\n");
    assert_eq!(one.send("NOOP"), "t OK Completed\r\n");
    assert_eq!(other.send("NOOP"), "t OK Completed\r\n* BYE The selected mailbox was deleted\r\n");
    assert!(other.closed);
}

#[test]
fn a_removed_account_ends_its_sessions() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    assert_eq!(client.changes(), "");
    store.ask(Request::RemoveAccount { account: AccountId::of_name("alice") }).unwrap();
    let told = client.changes();
    assert!(told.starts_with("* BYE "), "{told}");
    assert!(client.closed);
}

#[test]
fn condstore_sessions_hear_modseqs() {
    let store = store();
    let mut one = Client::selected(&store, "INBOX");
    one.append("INBOX", "()", MAIL);
    let mut other = Client::selected(&store, "INBOX");
    let enabled = other.send("ENABLE CONDSTORE");
    assert!(enabled.contains("* OK [HIGHESTMODSEQ "), "{enabled}");
    one.send("STORE 1 +FLAGS (\\Seen)");
    let told = other.send("NOOP");
    assert!(told.starts_with("* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ ("), "{told}");
}

#[test]
fn silence_does_not_cover_what_others_did() {
    let store = store();
    let mut one = Client::selected(&store, "INBOX");
    one.append("INBOX", "()", MAIL);
    let mut other = Client::selected(&store, "INBOX");
    one.send("STORE 1 +FLAGS (\\Flagged)");
    assert_eq!(
        other.send("STORE 1 +FLAGS.SILENT (\\Seen)"),
        "* 1 FETCH (FLAGS (\\Seen \\Flagged))\r\nt OK Stored\r\n"
    );
}
