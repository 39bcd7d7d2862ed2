//! INPROGRESS (RFC 9585).

use mailstore::request::Request;

use super::client::{Client, MAIL, TLS, store};
use crate::command::{Bound, Command, CommandBody, Messages, NumberSet, SequenceNumber, Tag};
use crate::session::{Action, Input};

/// RFC 9585 sections 3 and 4: about every ten seconds, how many messages of how many were looked at.
#[test]
fn a_long_search_tells_how_far_it_came() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    assert!(client.send("CAPABILITY").contains(" INPROGRESS"));
    let messages = vec![MAIL; 2_000];
    client.append_all("INBOX", &messages);
    let all = "SEARCH TEXT \"nowhere to be found\"";
    assert_eq!(client.send(all), "* SEARCH\r\nt OK Completed\r\n", "a quick one tells nothing");
    (client.turns, client.pace) = (0, 4_000);
    let answer = client.send(all);
    assert!(client.turns > 5, "{}", client.turns);
    let told: Vec<&str> =
        answer.lines().filter(|line| line.starts_with("* OK [INPROGRESS (\"t\" ")).collect();
    assert_eq!(told.len(), client.turns / 3, "every 12 seconds here: {answer}");
    let done: Vec<u32> = told.iter().map(|line| line.split(' ').nth(4).unwrap().parse().unwrap()).collect();
    assert!(done.windows(2).all(|pair| pair[0] < pair[1]) && done[0] > 0, "{done:?}");
    assert!(told.iter().all(|line| line.ends_with(" 2000)] Still at work")), "{answer}");
    assert!(answer.ends_with("* SEARCH\r\nt OK Completed\r\n"));
}

/// RFC 9585 section 4: where the store works, nothing is known but that it does.
#[test]
fn a_long_copy_says_that_it_is_being_worked_on() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append("INBOX", "()", MAIL);
    for (tag, expected) in [("t", "\"t\""), ("t]", "NIL")] {
        let all = NumberSet::new(vec![(Bound::Number(SequenceNumber(1)), Bound::Last)]).unwrap();
        let body = CommandBody::Copy { messages: Messages::Sequence(all), mailbox: "INBOX".to_owned() };
        let input = Input::Command(Command { tag: Tag::new(tag.as_bytes()).unwrap(), body });
        let mut out = Vec::new();
        let Action::Ask(request) = client.session.handle(client.now, input, &mut out) else {
            panic!("it asks")
        };
        assert!(matches!(request, Request::Copy { .. }));
        client.session.still_asking(&mut out);
        let told = format!("* OK [INPROGRESS ({expected} NIL NIL)] Still at work\r\n");
        assert_eq!(String::from_utf8_lossy(&out), told);
        out.clear();
        client.session.handle(client.now, Input::Answered(store.ask(request)), &mut out);
        assert!(String::from_utf8_lossy(&out).contains(&format!("{tag} OK [COPYUID ")));
    }
    let (mut client, _) = Client::connect(&store, TLS);
    client.send("NOOP");
    let mut out = Vec::new();
    client.session.still_asking(&mut out);
    assert!(out.is_empty(), "no command runs");
}

/// Others get their turn while a single message is read, and what was read in a turn before is not read again.
#[test]
fn a_long_message_is_searched_in_turns() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    let message = format!("Subject: long\r\n\r\n{}the end\r\n", "a line\r\n".repeat(512 * 1024));
    client.append_all("INBOX", &[MAIL, &message, MAIL]);
    for (keys, turns, found) in [
        ("TEXT \"the end\"", 4, " 2"),
        ("TEXT nowhere", 4, ""),
        ("BODY \"the end\" TEXT \"the end\" SUBJECT long", 8, " 2"),
        ("OR BODY nowhere NOT TEXT \"the end\"", 8, " 1 3"),
    ] {
        client.turns = 0;
        assert_eq!(client.send(&format!("SEARCH {keys}")), format!("* SEARCH{found}\r\nt OK Completed\r\n"));
        assert!((turns..=turns + 2).contains(&client.turns), "{keys}: {} turns", client.turns);
    }
}
