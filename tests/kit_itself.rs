//! The kit catches what it is there to catch.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use kit::imap::{Client, Value};
use kit::ports::free_address;
use kit::relay::{Direction, Relay};
use kit::witness::{Epoch, Witness};

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
