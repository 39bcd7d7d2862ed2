//! Transcripts of sessions over a store in memory, by section of RFC 1939 and its extensions.

mod client;
mod merging;
mod random;

use auth::testing::ScramClient;
use client::{Client, TLS, mail, store, text};
use mailstore::crdt::flag::Flag;
use mailstore::request::{Reply, Request};

use super::ConnectionInfo;
use crate::session::Input;

const CLEAR: ConnectionInfo = ConnectionInfo { tls: false, stls: true, plaintext_allowed: false };

/// RFC 1939 section 4; without a timestamp there is no APOP (section 7).
#[test]
fn the_greeting_is_one_line_without_a_timestamp() {
    let (_, greeting) = Client::connect(&store(), TLS);
    assert_eq!(greeting, "+OK peerpost is ready\r\n");
}

/// RFC 1939 section 4: in the AUTHORIZATION state nothing of a maildrop is to be had; section 5: afterwards no login is.
#[test]
fn commands_belong_to_states() {
    let store = store();
    let (mut client, _) = Client::connect(&store, TLS);
    for command in ["STAT", "LIST", "UIDL", "RETR 1", "TOP 1 1", "DELE 1", "NOOP", "RSET"] {
        assert_eq!(client.send(command), "-ERR Log in first\r\n", "{command}");
    }
    assert_eq!(client.send("QUIT"), "+OK Goodbye\r\n");
    assert!(client.closed);
    let mut client = Client::logged_in(&store);
    for command in ["USER alice", "PASS secret", "AUTH PLAIN", "STLS"] {
        assert_eq!(client.send(command), "-ERR You are logged in already\r\n", "{command}");
    }
    assert_eq!(client.send("NOOP"), "+OK Nothing done\r\n");
    assert_eq!(client.send("RETR one"), "-ERR The number of a message is written in digits\r\n");
}

/// RFC 1939 section 7: PASS is immediately after USER.
#[test]
fn pass_follows_user() {
    let (mut client, _) = Client::connect(&store(), TLS);
    assert_eq!(client.send("PASS secret"), "-ERR Say USER first\r\n");
    for between in ["CAPA", "NOOP", "XYZZY"] {
        assert!(client.send("USER alice").starts_with("+OK "));
        client.send(between);
        assert_eq!(client.send("PASS secret"), "-ERR Say USER first\r\n", "after {between}");
    }
    client.send("USER nobody");
    client.send("USER alice");
    assert_eq!(client.send("PASS secret"), "+OK The maildrop has 0 messages\r\n");
}

/// RFC 3206 section 5: [AUTH] says that the credentials are at fault.
#[test]
fn a_wrong_password_is_answered_late_and_in_general_words() {
    let store = store();
    let (mut client, _) = Client::connect(&store, TLS);
    let mut delays = Vec::new();
    for (name, password) in
        [("alice", "wrong"), ("nobody", "secret"), ("alice", " secret"), ("alice", "secret ")]
    {
        assert_eq!(client.send(&format!("USER {name}")), "+OK Send the password\r\n");
        let before = client.now;
        let answer = client.send(&format!("PASS {password}"));
        assert_eq!(answer, "-ERR [AUTH] The name or the password is wrong\r\n");
        delays.push(client.now.0 - before.0);
    }
    assert_eq!(delays, [1000, 2000, 4000, 8000]);
    assert!(client.send("AUTH PLAIN AGFsaWNlAHg=").starts_with("-ERR [AUTH] "));
    assert!(client.closed, "five are enough");
}

/// RFC 2595 section 4, and the policy that IMAP calls LOGINDISABLED.
#[test]
fn passwords_do_not_cross_in_clear_text() {
    let store = store();
    let (mut client, _) = Client::connect(&store, CLEAR);
    let offered = client.list("CAPA");
    assert!(offered.contains(&"STLS".to_owned()), "{offered:?}");
    assert!(!offered.iter().any(|line| line.starts_with("USER") || line.starts_with("SASL")), "{offered:?}");
    for command in ["USER alice", "PASS secret", "AUTH PLAIN AGFsaWNlAHNlY3JldA=="] {
        assert!(client.send(command).starts_with("-ERR Passwords may not cross"), "{command}");
    }
    // What follows STLS in the clear is not heard.
    assert_eq!(client.send("STLS"), "+OK Begin TLS now\r\n");
    let offered = client.list("CAPA");
    assert!(offered.contains(&"USER".to_owned()) && !offered.contains(&"STLS".to_owned()), "{offered:?}");
    assert!(client.send("STLS").starts_with("-ERR "));
    client.send("USER alice");
    assert!(client.send("PASS secret").starts_with("+OK "));
    let without = ConnectionInfo { stls: false, plaintext_allowed: true, ..CLEAR };
    let (mut client, _) = Client::connect(&store, without);
    assert!(client.send("STLS").starts_with("-ERR "));
    assert!(client.list("CAPA").contains(&"USER".to_owned()));
}

/// RFC 2449 sections 5 and 6, RFC 3206 section 6, RFC 5034 section 3.
#[test]
fn capabilities_are_listed_in_both_states() {
    let store = store();
    let (mut client, _) = Client::connect(&store, TLS);
    let offered = client.list("CAPA");
    let implementation = format!("IMPLEMENTATION Peerpost-{}", env!("CARGO_PKG_VERSION"));
    let sasl = "SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN";
    let expected =
        ["TOP", "UIDL", "USER", sasl, "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "EXPIRE NEVER"];
    assert_eq!(offered, [&expected[..], &[implementation.as_str()]].concat());
    let mut client = Client::logged_in(&store);
    assert_eq!(client.list("CAPA"), offered);
}

/// RFC 5034 section 4.
#[test]
fn plain_works_with_and_without_an_initial_response() {
    let store = store();
    let (mut client, _) = Client::connect(&store, TLS);
    assert_eq!(client.send("AUTH PLAIN"), "+ \r\n");
    assert_eq!(client.send("*"), "-ERR Authentication cancelled\r\n");
    assert_eq!(client.send("AUTH PLAIN"), "+ \r\n");
    assert_eq!(client.send("???"), "-ERR The response is not base64\r\n");
    assert!(client.send("AUTH CRAM-MD5").starts_with("-ERR "));
    assert!(client.send("AUTH PLAIN =").starts_with("-ERR The response is not one of PLAIN"));
    assert!(client.send("AUTH PLAIN Ym9iAGFsaWNlAHNlY3JldA==").starts_with("-ERR [AUTH] Nobody"));
    assert_eq!(client.send("AUTH PLAIN"), "+ \r\n");
    assert_eq!(client.send("AGFsaWNlAHNlY3JldA=="), "+OK The maildrop has 0 messages\r\n");
    let (mut client, _) = Client::connect(&store, TLS);
    assert!(client.send("auth plain AGFsaWNlAHNlY3JldA==").starts_with("+OK "));
    // The response may be longer than a command.
    let (mut client, _) = Client::connect(&store, TLS);
    client.send("AUTH PLAIN");
    assert!(client.send(&"A".repeat(2000)).starts_with("-ERR "));
    assert!(client.send(&"A".repeat(2000)).starts_with("-ERR The line is too long"));
    client.send("AUTH PLAIN");
    assert!(client.send(&"A".repeat(16_000)).starts_with("-ERR The response is too long"));
    client.send("AUTH PLAIN");
    assert!(client.send(&"A".repeat(17_000)).starts_with("-ERR The line is too long"));
    assert!(client.send("AUTH PLAIN AGFsaWNlAHNlY3JldA==").starts_with("+OK "));
}

/// RFC 5034 section 4 with the mechanism of RFC 7677: the server's own proof is a challenge, and its answer is empty.
#[test]
fn scram_proves_both_sides() {
    let store = store();
    for (mechanism, header, bound) in
        [("SCRAM-SHA-256", "n,,", &[][..]), ("scram-sha-256-plus", "p=tls-exporter,,", &[5; 32])]
    {
        let (mut client, _) = Client::connect(&store, TLS);
        let mut scram = ScramClient::new(header, bound, "alice", "secret");
        assert_eq!(client.send(&format!("AUTH {mechanism}")), "+ \r\n");
        let challenge = client.send(&scram.first());
        let verifier = client.send(&scram.last(challenge.strip_prefix("+ ").expect("a challenge")));
        assert!(scram.is_convinced_by(verifier.strip_prefix("+ ").expect("a challenge")));
        assert_eq!(client.send(""), "+OK The maildrop has 0 messages\r\n");
    }
    let (mut client, _) = Client::connect(&store, TLS);
    let mut scram = ScramClient::new("n,,", b"", "alice", "wrong");
    let challenge = client.send(&format!("AUTH SCRAM-SHA-256 {}", scram.first()));
    let answer = client.send(&scram.last(challenge.strip_prefix("+ ").expect("a challenge")));
    assert_eq!(answer, "-ERR [AUTH] The name or the password is wrong\r\n");
    let told_lies = ScramClient::new("y,,", b"", "alice", "secret").first();
    let answer = client.send(&format!("AUTH SCRAM-SHA-256 {told_lies}"));
    assert!(answer.starts_with("-ERR [AUTH] Channel binding is offered here"), "{answer}");
    let (mut client, _) = Client::connect(&store, ConnectionInfo { plaintext_allowed: true, ..CLEAR });
    assert!(client.list("CAPA").contains(&"SASL SCRAM-SHA-256 PLAIN".to_owned()));
}

/// RFC 1939 section 5: STAT and LIST, with the sizes of section 11.
#[test]
fn sizes_are_those_of_what_is_sent() {
    let store = store();
    let messages = ["A: b\r\n\r\n.x\r\n", "A: b\n\n.\ny\n", "A: b\r\n\r\nno end"];
    messages.iter().for_each(|message| store.deliver(message.as_bytes()));
    let mut client = Client::logged_in(&store);
    assert_eq!(client.send("STAT"), "+OK 3 42\r\n");
    assert_eq!(client.send("LIST"), "+OK 3 messages\r\n1 12\r\n2 14\r\n3 16\r\n.\r\n");
    assert_eq!(client.send("LIST 2"), "+OK 2 14\r\n");
    assert_eq!(client.send("RETR 1"), "+OK 12 octets\r\nA: b\r\n\r\n..x\r\n.\r\n");
    assert_eq!(client.send("RETR 2"), "+OK 14 octets\r\nA: b\r\n\r\n..\r\ny\r\n.\r\n");
    assert_eq!(client.send("RETR 3"), "+OK 16 octets\r\nA: b\r\n\r\nno end\r\n.\r\n");
    let mut other = Client::logged_in(&store);
    assert_eq!(other.send("LIST 2"), "+OK 2 14\r\n", "asked for without a STAT");
    assert_eq!(other.send("RETR 3"), "+OK The message follows\r\nA: b\r\n\r\nno end\r\n.\r\n");
    for command in ["LIST 4", "RETR 4", "TOP 4 1", "DELE 4", "UIDL 4", "RETR 99999999999999999999999"] {
        assert_eq!(client.send(command), "-ERR There is no such message, only 3 of them\r\n", "{command}");
    }
    assert_eq!(client.send("RETR 0"), "-ERR Messages are numbered from 1\r\n");
}

/// RFC 1939 section 5: an empty maildrop is told, too.
#[test]
fn an_empty_maildrop_is_one() {
    let mut client = Client::logged_in(&store());
    assert_eq!(client.send("STAT"), "+OK 0 0\r\n");
    assert_eq!(client.send("LIST"), "+OK 0 messages\r\n.\r\n");
    assert_eq!(client.send("UIDL"), "+OK 0 messages\r\n.\r\n");
    assert_eq!(client.send("QUIT"), "+OK Goodbye\r\n");
}

/// RFC 1939 sections 5 and 6: DELE marks, RSET takes marks back, QUIT deletes.
#[test]
fn marked_messages_are_gone_at_quit_and_no_others() {
    let store = store();
    ["one", "two", "three"].iter().for_each(|id| store.deliver(mail(id).as_bytes()));
    let mut client = Client::logged_in(&store);
    client.send("DELE 1");
    assert_eq!(client.send("RSET"), "+OK The maildrop has 3 messages\r\n");
    assert!(client.send("DELE 2").starts_with("+OK "));
    for command in ["DELE 2", "RETR 2", "TOP 2 0", "LIST 2", "UIDL 2"] {
        assert_eq!(client.send(command), "-ERR This message was deleted\r\n", "{command}");
    }
    assert!(client.send("STAT").starts_with("+OK 2 "));
    let numbers: Vec<String> =
        client.list("LIST").iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(numbers, ["1", "3"], "numbers stay");
    assert_eq!(client.unique_ids().len(), 2);
    assert_eq!(client.send("QUIT"), "+OK 1 messages were deleted; goodbye\r\n");
    assert!(client.closed);
    let mut client = Client::logged_in(&store);
    assert_eq!(client.list("LIST").len(), 2);
    assert!(
        client.send("RETR 1").contains("This is one.") && client.send("RETR 2").contains("This is three.")
    );
}

/// RFC 1939 section 6: only QUIT leads to the UPDATE state; section 3: a client that is silent for ten minutes gets no answer.
#[test]
fn without_quit_nothing_is_deleted() {
    let store = store();
    store.deliver(mail("one").as_bytes());
    let mut client = Client::logged_in(&store);
    client.send("DELE 1");
    drop(client);
    let mut client = Client::logged_in(&store);
    client.send("DELE 1");
    let since = client.now;
    assert_eq!(client.time_out(), "");
    assert!(client.closed && client.now.0 - since.0 >= 10 * 60 * 1000);
    let mut client = Client::logged_in(&store);
    client.send("DELE 1");
    assert!(client.shut_down().starts_with("-ERR [SYS/TEMP] The node is shutting down"));
    assert!(client.closed);
    assert_eq!(Client::logged_in(&store).send("STAT"), format!("+OK 1 {}\r\n", mail("one").len()));
    let (mut client, _) = Client::connect(&store, TLS);
    let since = client.now;
    client.time_out();
    assert!(client.closed && client.now.0 - since.0 >= 10 * 60 * 1000);
}

/// RFC 1939 section 7: 1 to 70 characters from ! to ~, unique in the maildrop, the same in every session.
#[test]
fn unique_ids_are_those_of_entries() {
    let store = store();
    ["one", "two", "three"].iter().for_each(|id| store.deliver(mail(id).as_bytes()));
    let ids = Client::logged_in(&store).unique_ids();
    assert_eq!(ids.len(), 3);
    let entries: Vec<String> = store.look().rows.iter().map(|row| row.facts.entry.to_string()).collect();
    assert_eq!(ids, entries);
    for id in &ids {
        assert!((1..=70).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_graphic()), "{id}");
    }
    let mut client = Client::logged_in(&store);
    client.send("DELE 1");
    assert_eq!(client.send("UIDL 2"), format!("+OK 2 {}\r\n", ids[1]));
    client.send("QUIT");
    assert_eq!(Client::logged_in(&store).unique_ids(), ids[1..]);
    // Clients keep these for years: the text is a promise, at its longest, too.
    assert_eq!(ids[0], format!("{}.0.0", "c8".repeat(16)));
    let longest = format!("{}.{}.{}", "f".repeat(32), u32::MAX, u16::MAX);
    assert!(longest.len() <= 70);
}

/// RFC 1939 section 7, TOP.
#[test]
fn top_gives_the_header_and_lines() {
    let store = store();
    store.deliver(b"A: b\r\n\r\n1\r\n.2\r\n3\r\n");
    let mut client = Client::logged_in(&store);
    assert_eq!(client.send("TOP 1 0"), "+OK The message follows\r\nA: b\r\n\r\n.\r\n");
    assert_eq!(client.send("TOP 1 2"), "+OK The message follows\r\nA: b\r\n\r\n1\r\n..2\r\n.\r\n");
    let whole = "+OK The message follows\r\nA: b\r\n\r\n1\r\n..2\r\n3\r\n.\r\n";
    assert_eq!(client.send("TOP 1 1000"), whole);
    assert_eq!(client.send("RETR 1"), whole);
    let unseen = store.look().rows.iter().all(|row| !row.flags.contains(&Flag::Seen));
    assert!(unseen, "fetching is not reading");
}

/// RFC 2449 section 6.6.
#[test]
fn pipelined_commands_are_answered_in_order() {
    let store = store();
    store.deliver(mail("one").as_bytes());
    let (mut client, _) = Client::connect(&store, TLS);
    let all = "USER alice\r\nPASS secret\r\nSTAT\r\nUIDL\r\nRETR 1\r\nDELE 1\r\nSTAT\r\nQUIT\r\nNOOP\r\n";
    let answers = text(client.feed(all.as_bytes()));
    let words: Vec<&str> = answers.lines().filter(|line| line.starts_with('+')).collect();
    assert_eq!(words.len(), 8, "{answers}");
    assert!(
        words[6].ends_with("+OK 0 0") && words[7].starts_with("+OK 1 messages were deleted"),
        "{answers}"
    );
    assert!(client.closed);
}

/// RFC 2449 section 4: commands have at most 255 octets.
#[test]
fn long_lines_are_refused_and_lines_without_end_hang_up() {
    let (mut client, _) = Client::connect(&store(), TLS);
    assert!(client.send(&format!("USER {}", "x".repeat(248))).starts_with("+OK "));
    assert_eq!(client.send(&format!("USER {}", "x".repeat(249))), "-ERR The line is too long\r\n");
    assert_eq!(client.send("PASS secret"), "-ERR Say USER first\r\n");
    let answer = text(client.feed(&vec![b'x'; 100_000]));
    assert_eq!(answer, "-ERR The line does not end\r\n");
    assert!(client.closed);
}

#[test]
fn who_speaks_another_protocol_is_let_go() {
    let (mut client, _) = Client::connect(&store(), TLS);
    for _ in 0..10 {
        assert!(!client.closed);
        assert!(client.send("GET / HTTP/1.1").starts_with("-ERR "));
    }
    assert!(client.closed);
}

#[test]
fn a_large_message_is_streamed() {
    let store = store();
    let line = format!(".{}\r\n", "x".repeat(998));
    let message = format!("A: b\r\n\r\n{}", line.repeat(4 * 1024));
    store.deliver(message.as_bytes());
    let mut client = Client::logged_in(&store);
    assert_eq!(client.send("STAT"), format!("+OK 1 {}\r\n", message.len()));
    let answer = client.send("RETR 1");
    let (_, octets) = answer.split_once("\r\n").unwrap();
    let octets = octets.strip_suffix(".\r\n").unwrap().replace("\r\n..", "\r\n.");
    assert_eq!(octets, message);
    assert!(client.largest_piece < 256 * 1024, "{}", client.largest_piece);
}

/// RFC 1939 section 6: what cannot be deleted is told, and no other message is deleted instead.
#[test]
fn a_full_disk_is_told_at_quit() {
    let store = store();
    store.deliver(mail("one").as_bytes());
    let mut client = Client::logged_in(&store);
    client.send("DELE 1");
    store.disk.set_capacity(Some(0));
    let answer = client.send("QUIT");
    assert!(answer.starts_with("-ERR [SYS/TEMP] Deleted messages were not removed: "), "{answer}");
    assert!(client.closed);
    store.disk.set_capacity(None);
    assert_eq!(Client::logged_in(&store).list("LIST").len(), 1);
}

#[test]
fn a_session_ends_with_its_account() {
    let store = store();
    store.deliver(mail("one").as_bytes());
    let mut client = Client::logged_in(&store);
    let removed = store.ask(Request::RemoveAccount { account: store.account() });
    assert!(matches!(removed, Ok(Reply::Done)), "{removed:?}");
    assert_eq!(client.send("RETR 1"), "-ERR [SYS/PERM] The account was removed\r\n");
    assert!(client.closed);
}

/// RFC 1939 section 3: a message that is being sent is broken off rather than mixed with something else.
#[test]
fn a_node_that_goes_down_says_nothing_in_the_middle_of_a_message() {
    let store = store();
    store.deliver(mail("one").as_bytes());
    let mut client = Client::logged_in(&store);
    let mut out = Vec::new();
    let action = client.session.handle(client.now, Input::Line(b"RETR 1"), &mut out);
    assert!(matches!(action, super::Action::Continue));
    assert_eq!(client.shut_down(), "");
    assert!(client.closed);
}
