//! QUOTA (RFC 9208).

use mailstore::crdt::account::Usage;
use mailstore::crdt::identity::AccountId;
use mailstore::crdt::operation::Quota;
use mailstore::request::{Reply, Request};

use super::client::{Client, MAIL, Store, store};

fn bound(store: &Store, octets: Option<u64>, messages: Option<u64>) {
    let quota = Quota { octets, messages };
    store.ask(Request::SetQuota { account: AccountId::of_name("alice"), quota }).expect("set");
}

#[test]
fn an_account_without_a_limit_has_no_quota_root() {
    let store = store();
    let mut client = Client::logged_in(&store);
    assert_eq!(client.send("GETQUOTAROOT inbox"), "* QUOTAROOT \"INBOX\"\r\nt OK Completed\r\n");
    assert!(client.send("GETQUOTA \"\"").starts_with("t NO [NONEXISTENT]"));
    assert!(client.send("GETQUOTAROOT nowhere").starts_with("t NO [NONEXISTENT]"));
}

#[test]
fn limits_are_told_and_kept() {
    let store = store();
    let mut client = Client::logged_in(&store);
    client.append("INBOX", "()", MAIL);
    bound(&store, Some(10 * 1024), Some(3));
    // RFC 9208 section 4.2.1: STORAGE counts in units of 1024 octets.
    assert_eq!(
        client.send("GETQUOTAROOT INBOX"),
        "* QUOTAROOT \"INBOX\" \"\"\r\n* QUOTA \"\" (STORAGE 1 10 MESSAGE 1 3)\r\nt OK Completed\r\n"
    );
    client.send("SELECT INBOX");
    client.send("COPY 1 Sent");
    client.send("COPY 1 Sent");
    assert_eq!(client.send("GETQUOTA \"\""), "* QUOTA \"\" (STORAGE 1 10 MESSAGE 3 3)\r\nt OK Completed\r\n");
    assert!(client.send("COPY 1 Sent").starts_with("t NO [OVERQUOTA]"));
    assert!(client.append("INBOX", "()", MAIL).contains("t NO [OVERQUOTA]"));
    // What is moved is held once as before.
    assert!(client.send("MOVE 1 Archive").contains("t OK"));
    client.send("SELECT Archive");
    client.send("STORE 1 +FLAGS (\\Deleted)");
    assert!(
        client.send("STATUS Archive (DELETED DELETED-STORAGE)").contains("(DELETED 1 DELETED-STORAGE 1)")
    );
    client.send("EXPUNGE");
    assert!(client.append("INBOX", "()", MAIL).contains("t OK"));
    assert!(client.send("SETQUOTA \"\" (STORAGE 100)").starts_with("t NO [NOPERM]"));
}

/// Both nodes count the same once they have merged, whatever was delivered, copied and expunged on either.
#[test]
fn counts_are_right_on_both_sides_after_a_merge() {
    let (a, b) = (store(), Store::new(1));
    bound(&a, Some(1024 * 1024), Some(100));
    a.sync_to(&b);
    let (mut on_a, mut on_b) = (Client::logged_in(&a), Client::logged_in(&b));
    for _ in 0..3 {
        on_a.append("INBOX", "()", MAIL);
        on_b.append("Sent", "()", MAIL);
    }
    on_b.send("SELECT Sent");
    on_b.send("STORE 2 +FLAGS (\\Deleted)");
    on_b.send("EXPUNGE");
    a.sync_to(&b);
    b.sync_to(&a);
    let told = on_a.send("GETQUOTA \"\"");
    assert!(told.contains("MESSAGE 5 100"), "{told}");
    assert_eq!(told, on_b.send("GETQUOTA \"\""));
    // A merge may bring more than the quota allows: it is kept, and nothing more is taken.
    bound(&a, None, Some(4));
    assert!(on_a.append("INBOX", "()", MAIL).contains("OVERQUOTA"));
}

/// A batch of commands that the store carries out at once is bounded as well as one after the other.
#[test]
fn many_messages_at_once_are_all_or_none() {
    let store = store();
    let mut client = Client::logged_in(&store);
    bound(&store, None, Some(2));
    let answer = client.append_all("INBOX", &[MAIL, MAIL, MAIL]);
    assert!(answer.contains("t NO [OVERQUOTA]"), "{answer}");
    assert!(client.send("STATUS INBOX (MESSAGES)").contains("MESSAGES 0"));
    assert!(client.append_all("INBOX", &[MAIL, MAIL]).contains("t OK"));
}

/// RFC 8508: a draft is saved again where there is no room for another message.
#[test]
fn a_replacement_needs_room_for_what_is_more_of_it_alone() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append("INBOX", "()", MAIL);
    bound(&store, Some(MAIL.len() as u64), Some(1));
    assert!(client.append("INBOX", "()", MAIL).contains("t NO [OVERQUOTA]"));
    let answer = client.send_with("REPLACE 1 INBOX", &[&MAIL.replace("Hello", "Hallo")]);
    assert!(answer.contains("t OK"), "{answer}");
    let answer = client.send_with("REPLACE 1 INBOX", &[&MAIL.replace("Hello", "Hello, hello")]);
    assert!(answer.contains("t NO [OVERQUOTA]"), "{answer}");
    assert!(client.send("STATUS INBOX (MESSAGES)").contains("MESSAGES 1"));
}

/// An account that was removed and added again is another one.
#[test]
fn a_quota_goes_with_its_account() {
    let store = store();
    let mut client = Client::logged_in(&store);
    client.append("INBOX", "()", MAIL);
    bound(&store, None, Some(1));
    let account = AccountId::of_name("alice");
    store.ask(Request::RemoveAccount { account }).expect("removed");
    let password = String::from("unused");
    store.ask(Request::AddAccount { name: "alice".to_owned(), password }).expect("added");
    match store.ask(Request::Usage { account }) {
        Ok(Reply::Usage { usage, quota }) => {
            assert_eq!((usage, quota), (Usage::default(), Quota::default()));
        }
        other => panic!("{other:?}"),
    }
}
