//! The checks can fail: what sessions do for the rules is left out in turn, and one of these stories has to notice
//! (`docs/uid-mapping.md`).
#![allow(clippy::disallowed_methods, reason = "measures how long the search takes, on all processors")]

#[path = "../../../../crdt/tests/common/left_out.rs"]
mod harness;

use harness::Check;
use mailstore::crdt::identity::AccountId;
use mailstore::crdt::left_out::{LeftOut, leave_out};
use mailstore::request::Request;

use super::client::{Client, MAIL, Store, store};
use super::model::between;
use super::moving::moved;

#[test]
fn whatever_is_left_out_is_noticed() {
    harness::each_is_noticed(harness::of_crate("imap"), leave_out, checks);
}

fn checks() -> Box<dyn Iterator<Item = Check>> {
    harness::told(&[
        ("a bump under a session", bump_under_a_session),
        ("an expunge under a session", expunge_under_a_session),
        ("what changed since, at another node", changed_since_elsewhere),
        ("a store unless it changed since, at another node", unchanged_since_elsewhere),
        ("a search for what changed since, at another node", search_elsewhere),
    ])
}

/// Messages of which each has octets of its own, and a client that was told of all.
fn filled(store: &Store, count: usize) -> Client {
    let mut client = Client::selected(store, "INBOX");
    for number in 0..count {
        client.append("INBOX", "()", &format!("{MAIL}number {number}\r\n"));
    }
    client
}

/// The first message goes, and all others have other UIDs under another UIDVALIDITY.
fn bump_under_a_session() -> Result<(), String> {
    let store = store();
    let mut client = filled(&store, 3);
    let before = client.send("UID FETCH 2 (EMAILID)");
    let mut other = Client::selected(&store, "INBOX");
    other.send("STORE 1 +FLAGS (\\Deleted)");
    other.send("EXPUNGE");
    let account = AccountId::of_name("alice");
    store.ask(Request::Bump { account, mailbox: "INBOX".to_owned() }).map_err(|error| error.to_string())?;
    let (told, after) =
        (client.send("NOOP"), if client.closed { None } else { Some(client.send("UID FETCH 2 (EMAILID)")) });
    let email = |answer: &str| between(answer, "EMAILID (", &[')']).map(str::to_owned);
    match after {
        None if told.contains("* BYE ") => Ok(()),
        Some(after) if email(&after) != email(&before) => {
            Err("U1: UID 2 names two messages to one session, which heard no BYE".to_owned())
        }
        _ => Err("rule 9: a session heard no BYE".to_owned()),
    }
}

/// FETCH and STORE by number mean the messages that the client was told of, until EXPUNGE was told.
fn expunge_under_a_session() -> Result<(), String> {
    let store = store();
    let mut client = filled(&store, 3);
    let before = client.send("FETCH 2 (EMAILID)");
    let mut other = Client::selected(&store, "INBOX");
    other.send("STORE 1 +FLAGS (\\Deleted)");
    other.send("EXPUNGE");
    client.send("FETCH 3 (FLAGS)");
    let after = client.send("FETCH 2 (EMAILID)");
    let email = |answer: &str| between(answer, "EMAILID (", &[')']).map(str::to_owned);
    if email(&before) == email(&after) {
        Ok(())
    } else {
        Err("U3: number 2 names another message before any EXPUNGE was told".to_owned())
    }
}

fn changed_since_elsewhere() -> Result<(), String> {
    let (known, mut client) = moved();
    let answer = client.send(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known})"));
    if answer.contains("* 1 FETCH ") { Ok(()) } else { Err("U5: a client never hears of a flag".to_owned()) }
}

fn unchanged_since_elsewhere() -> Result<(), String> {
    let (known, mut client) = moved();
    client.send(&format!("UID STORE 1 (UNCHANGEDSINCE {known}) FLAGS (\\Draft)"));
    let kept = client.send("FETCH 1 (FLAGS)").contains("(FLAGS (\\Flagged))");
    if kept { Ok(()) } else { Err("lost: a flag that the client had not heard of is overwritten".to_owned()) }
}

fn search_elsewhere() -> Result<(), String> {
    let (known, mut client) = moved();
    let answer = client.send(&format!("SEARCH MODSEQ {}", known + 1));
    if answer.contains("* SEARCH 1 ") { Ok(()) } else { Err("U5: a search misses a change".to_owned()) }
}
