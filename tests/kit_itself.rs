//! The kit catches what it is there to catch.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;
mod transcripts;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use kit::imap::{Client, Value};
use kit::ports::free_address;
use kit::relay::{Direction, Relay};
use kit::witness::{Epoch, Witness};
use transcripts::document::{Kind, Line, Protocol};
use transcripts::matching::{self, Names};
use transcripts::play::Response;
use transcripts::steps::{self, Action, Step};
use transcripts::texts::Texts;
use transcripts::{pattern, segment, value};

fn epoch() -> Epoch {
    Epoch { account: "alice".to_owned(), mailbox: "INBOX".to_owned(), uid_validity: 1 }
}

fn panics(what: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(what)).is_err()
}

/// A server of one connection: greets, then answers each command with the next of these texts, `TAG` being its tag.
fn scripted(answers: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        writer.write_all(b"* OK ready\r\n").unwrap();
        for (line, answer) in BufReader::new(stream).lines().map_while(Result::ok).zip(answers) {
            let tag = line.split(' ').next().unwrap();
            writer.write_all(answer.replace("TAG", tag).as_bytes()).unwrap();
        }
    });
    address
}

const SELECTED: &str = "* 2 EXISTS\r\n* OK [UIDVALIDITY 9] x\r\n* OK [UIDNEXT 20] x\r\nTAG OK done\r\n";

fn client(answers: &'static [&'static str]) -> Client {
    let mut client = Client::connect("a", scripted(answers), &Witness::default());
    client.select("INBOX");
    client
}

#[test]
fn responses_with_literals_and_brackets_are_read() {
    let mut client = client(&[
        SELECTED,
        "* 1 FETCH (UID 3 BODY[HEADER.FIELDS (MESSAGE-ID)] {30}\r\nMessage-ID: <one)@example>\r\n\r\n FLAGS (\\Seen))\r\nTAG OK x\r\n",
    ]);
    let reply = client.ok("FETCH 1 x");
    let items = reply.untagged[0][2].list();
    assert_eq!(items[2], Value::Word("BODY[HEADER.FIELDS (MESSAGE-ID)]".to_owned()));
    assert_eq!(items[3], Value::Text(b"Message-ID: <one)@example>\r\n\r\n".to_vec()));
    assert_eq!(items[5].list(), [Value::Word("\\Seen".to_owned())]);
}

#[test]
fn expunge_during_fetch_is_caught_and_during_uid_fetch_is_legal() {
    let answer = "* 1 EXPUNGE\r\nTAG OK x\r\n";
    assert!(panics(|| drop(client(&[SELECTED, "* 1 EXPUNGE\r\nTAG OK x\r\n"]).ok("FETCH 1 FLAGS"))));
    assert!(panics(|| drop(client(&[SELECTED, "* 1 EXPUNGE\r\nTAG OK x\r\n"]).ok("store 1 FLAGS ()"))));
    let mut legal =
        Client::connect("a", scripted(&[SELECTED, "* 1 EXPUNGE\r\nTAG OK x\r\n"]), &Witness::default());
    legal.select("INBOX");
    legal.ok("UID FETCH 1 FLAGS");
    assert_eq!((legal.view().len(), legal.view().expunged), (1, 1), "{answer}");
}

#[test]
fn expunge_while_no_command_runs_is_caught() {
    let mut client = client(&[SELECTED, "TAG OK x\r\n* 1 EXPUNGE\r\n", "TAG OK x\r\n"]);
    client.ok("NOOP");
    thread::sleep(Duration::from_millis(100));
    assert!(panics(|| drop(client.ok("NOOP"))));
}

#[test]
fn a_count_that_shrinks_is_caught() {
    assert!(panics(|| drop(client(&[SELECTED, "* 1 EXISTS\r\nTAG OK x\r\n"]).ok("NOOP"))));
}

#[test]
fn a_new_message_below_the_announced_uidnext_is_caught() {
    let answers = &[SELECTED, "* 3 EXISTS\r\n* 3 FETCH (UID 20)\r\nTAG OK x\r\n"];
    client(answers).ok("NOOP");
    let answers = &[SELECTED, "* 3 EXISTS\r\n* 3 FETCH (UID 19)\r\nTAG OK x\r\n"];
    assert!(panics(|| drop(client(answers).ok("NOOP"))));
}

#[test]
fn uids_that_do_not_ascend_or_change_are_caught() {
    let answers = &[SELECTED, "* 1 FETCH (UID 5)\r\n* 2 FETCH (UID 5)\r\nTAG OK x\r\n"];
    assert!(panics(|| drop(client(answers).ok("NOOP"))));
    let answers = &[SELECTED, "* 1 FETCH (UID 5)\r\n* 1 FETCH (UID 6)\r\nTAG OK x\r\n"];
    assert!(panics(|| drop(client(answers).ok("NOOP"))));
}

#[test]
fn a_uid_that_names_two_messages_is_caught() {
    let witness = Witness::default();
    witness.named(&epoch(), 7, "M1");
    witness.named(&epoch(), 7, "M1");
    assert!(panics(|| witness.named(&epoch(), 7, "M2")));
}

#[test]
fn what_appears_between_two_listings_below_the_announcement_is_caught() {
    let witness = Witness::default();
    let listed = |uids: &[u32], uid_next| {
        let began = witness.moment();
        let uids: BTreeSet<u32> = uids.iter().copied().collect();
        panics(|| witness.listed("a", &epoch(), uid_next, &uids, began))
    };
    assert!(!listed(&[1, 5], 6));
    assert!(!listed(&[1, 5, 6], 7));
    assert!(!listed(&[5, 9], 10));
    assert!(listed(&[3, 5, 9], 10));
}

#[test]
fn announcements_that_go_back_are_caught() {
    let witness = Witness::default();
    let announced = |uid_validity, uid_next| {
        let began = witness.moment();
        panics(|| witness.announced("a", &Epoch { uid_validity, ..epoch() }, uid_next, began))
    };
    assert!(!announced(2, 10));
    assert!(!announced(2, 10));
    assert!(announced(2, 9));
    assert!(announced(1, 50));
    // Another session that began before that answer came is no evidence.
    let began = witness.moment();
    assert!(!announced(2, 30));
    assert!(!panics(|| witness.announced("a", &Epoch { uid_validity: 2, ..epoch() }, 20, began)));
}

/// Two plain sockets with a relay between them.
struct Pair {
    a: UdpSocket,
    b: UdpSocket,
    relay: Relay,
}

fn pair() -> Pair {
    let open = || {
        let socket = UdpSocket::bind(free_address()).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    };
    let (a, b) = (open(), open());
    let relay = Relay::new(&[a.local_addr().unwrap(), b.local_addr().unwrap()], 7);
    Pair { a, b, relay }
}

#[test]
fn the_relay_carries_both_ways_and_cuts_either() {
    let Pair { a, b, relay } = pair();
    let mut buffer = [0; 16];
    a.send_to(b"hello", relay.front(1)).unwrap();
    let (length, from) = b.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"hello");
    b.send_to(b"back", from).unwrap();
    let (length, from_front) = a.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from_front), (&b"back"[..], relay.front(1)));

    relay.cut_one_way(0, 1);
    a.send_to(b"lost", relay.front(1)).unwrap();
    assert!(b.recv_from(&mut buffer).is_err());
    b.send_to(b"through", from).unwrap();
    assert!(a.recv_from(&mut buffer).is_ok());

    relay.cut(0, 1);
    b.send_to(b"lost", from).unwrap();
    assert!(a.recv_from(&mut buffer).is_err());

    relay.heal(0, 1);
    b.send_to(b"through", from).unwrap();
    assert!(a.recv_from(&mut buffer).is_ok());
}

#[test]
fn the_relay_delays_and_loses() {
    let Pair { a, b, relay } = pair();
    let mut buffer = [0; 16];
    relay.set(0, 1, Direction { delay: Duration::from_millis(80), ..Direction::default() });
    let from = Instant::now();
    a.send_to(b"late", relay.front(1)).unwrap();
    b.recv_from(&mut buffer).unwrap();
    assert!(from.elapsed() >= Duration::from_millis(80));

    relay.set(0, 1, Direction { loss_per_mille: 500, ..Direction::default() });
    for _ in 0..200 {
        a.send_to(b"perhaps", relay.front(1)).unwrap();
        thread::sleep(Duration::from_micros(200));
    }
    let mut arrived = 0;
    while b.recv_from(&mut buffer).is_ok() {
        arrived += 1;
    }
    assert!((60..140).contains(&arrived), "{arrived} of 200 arrived");
}

/// Whether a response is what a line of a transcript expects.
fn is_expected(line: &str, response: &str) -> bool {
    let patterns = pattern::parse(line, &Texts::default()).unwrap();
    let values = value::parse(response.as_bytes()).unwrap();
    matching::response(&patterns, &values, &Names::from([("u".to_owned(), "7".to_owned())])).is_some()
}

#[test]
fn a_line_of_a_transcript_means_what_it_says() {
    for (line, response) in [
        ("a1 OK", "a1 OK [READ-WRITE] done"),
        ("a1 OK []", "a1 OK done"),
        ("a1 NO|BAD", "a1 BAD [CLIENTBUG] no"),
        ("a1 NO [TRYCREATE]", "a1 NO [TRYCREATE] no"),
        ("* OK [UIDNEXT <any above u>]", "* OK [UIDNEXT 8] next"),
        ("* 2 FETCH (UID <u> FLAGS (\\Seen))", "* 2 FETCH (FLAGS (\\Recent \\Seen) UID 7)"),
        ("* 2 FETCH (UID <u> ...)", "* 2 FETCH (FLAGS () UID 7)"),
        ("* 1 FETCH (BODY[] \"a\\r\\n\")", "* 1 FETCH (BODY[] {3}\r\na\r\n)"),
        ("* 1 FETCH (BODY[HEADER.FIELDS (To)] <any>)", "* 1 FETCH (BODY[HEADER.FIELDS (\"TO\")] {1}\r\nx)"),
        ("* LIST (\\HasChildren ...) \"/\" INBOX", "* LIST (\\Marked \\HasChildren) \"/\" \"INBOX\""),
        ("* SEARCH 1 2", "* SEARCH 2 1"),
        ("* ESEARCH (TAG \"a\") MIN 1 ALL <set 1:3>", "* ESEARCH (TAG a) ALL 1,2:3 MIN 1"),
        ("* VANISHED (EARLIER) <set with 2 not 3>", "* VANISHED (EARLIER) 1:2"),
        ("* THREAD (<x> 2)(<x>)", "* THREAD (1 2)(1)"),
        ("+", "+ go on"),
    ] {
        assert!(is_expected(line, response), "{line} does not take {response}");
    }
    for (line, response) in [
        ("a1 OK", "a2 OK done"),
        ("a1 OK", "a1 NO done"),
        ("a1 OK []", "a1 OK [READ-WRITE] done"),
        ("a1 NO [TRYCREATE]", "a1 NO no"),
        ("a1 NO [TRYCREATE]", "a1 NO [CANNOT] no"),
        ("* OK [UIDNEXT <any above u>]", "* OK [UIDNEXT 7] next"),
        ("* 2 FETCH (UID <u> FLAGS (\\Seen))", "* 2 FETCH (FLAGS (\\Seen \\Draft) UID 7)"),
        ("* 2 FETCH (UID <u>)", "* 2 FETCH (FLAGS () UID 7)"),
        ("* 2 FETCH (UID <u>)", "* 2 FETCH (UID 8)"),
        ("* 1 FETCH (BODY[] \"a\")", "* 1 FETCH (BODY[] NIL)"),
        ("* 1 FETCH (BODY[] NIL)", "* 1 FETCH (BODY[] \"NIL\")"),
        ("* SORT 1 2", "* SORT 2 1"),
        ("* SEARCH 1 2", "* SEARCH 1 2 3"),
        ("* VANISHED (EARLIER) <set with 2 not 3>", "* VANISHED (EARLIER) 1:3"),
        ("* VANISHED <set 1,3>", "* VANISHED 1:3"),
        ("* THREAD (<x> 2)(<x>)", "* THREAD (1 2)(3)"),
    ] {
        assert!(!is_expected(line, response), "{line} takes {response}");
    }
}

/// What untagged responses to a command a transcript takes.
fn are_expected(lines: &[&str], responses: &[&str]) -> bool {
    let line = |body: &&str| Line {
        number: 1,
        connection: '1',
        kind: Kind::Answer,
        body: (*body).to_owned(),
        instead: BTreeMap::new(),
    };
    let lines: Vec<Line> = lines.iter().map(line).collect();
    let steps = steps::steps(&lines, Protocol::Imap, &Texts::default()).unwrap();
    let [Step { action: Action::Expect(expectation), .. }] = steps.as_slice() else { panic!("{steps:?}") };
    let response = |response: &&str| Response {
        octets: response.as_bytes().to_vec(),
        values: value::parse(response.as_bytes()).unwrap(),
    };
    let responses: Vec<Response> = responses.iter().map(response).collect();
    segment::place(expectation, &responses, &Names::new()).is_some()
}

#[test]
fn a_transcript_takes_no_answer_too_few_and_none_too_many() {
    let expunged = ["* 3 EXPUNGE", "* 1 EXPUNGE"];
    assert!(are_expected(&["* <expunges 1,3>"], &expunged));
    assert!(are_expected(&["* <expunges 1,3>"], &["* 1 EXPUNGE", "* 2 EXPUNGE"]));
    assert!(!are_expected(&["* <expunges 1,3>"], &["* 1 EXPUNGE", "* 3 EXPUNGE"]));
    assert!(!are_expected(&["* <expunges 1>"], &expunged));
    assert!(!are_expected(&["* <expunges 1,3,4>"], &expunged));
    assert!(are_expected(&["* 1 EXISTS", "* SEARCH 1"], &["* 1 EXISTS", "* 0 RECENT", "* SEARCH 1"]));
    assert!(!are_expected(&["* SEARCH 1", "* 1 EXISTS"], &["* 1 EXISTS", "* SEARCH 1"]));
    assert!(!are_expected(&["* SEARCH 1"], &["* 1 EXISTS", "* SEARCH 1"]));
    assert!(are_expected(&["...", "* SEARCH 1"], &["* 1 EXISTS", "* SEARCH 1"]));
    assert!(!are_expected(&["* 1 EXISTS"], &[]));
}
