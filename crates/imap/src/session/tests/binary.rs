//! BINARY (RFC 3516).

use super::client::{Client, MAIL, store};

/// Parts in every transfer encoding.
const PARTS: &str = concat!(
    "Subject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
    "caf=C3=A9 =\r\nau lait\r\n",
    "--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: BASE64\r\n\r\n",
    "AAECAw==\r\n",
    "--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n",
    "!iVBORw0K\r\nGgo\r\n",
    "--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n",
    "begin 644 a\r\n",
    "--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b--\r\n",
);

fn with(message: &str) -> Client {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    assert!(client.append("INBOX", "()", message).contains("t OK [APPENDUID "));
    client
}

#[test]
fn it_is_advertised() {
    let store = store();
    assert!(Client::logged_in(&store).send("CAPABILITY").contains(" BINARY"));
}

/// RFC 3516 section 4.3: a literal8 only where there is a NUL.
#[test]
fn parts_come_without_their_transfer_encoding() {
    let mut client = with(PARTS);
    for (item, expected) in [
        ("BINARY.PEEK[1]", "BINARY[1] {13}\r\ncaf\u{e9} au lait"),
        ("BINARY.PEEK[2]", "BINARY[2] ~{4}\r\n\0\x01\x02\x03"),
        ("BINARY.PEEK[3]", "BINARY[3] {8}\r\n\u{fffd}PNG\r\n\x1a\n"),
        ("BINARY.PEEK[5]", "BINARY[5] {5}\r\nplain"),
        ("BINARY.PEEK[6]", "BINARY[6] NIL"),
        ("BINARY.SIZE[1]", "BINARY.SIZE[1] 13"),
        ("BINARY.SIZE[2]", "BINARY.SIZE[2] 4"),
        ("BINARY.SIZE[6]", "BINARY.SIZE[6] 0"),
        ("(UID BINARY.SIZE[3] BINARY.PEEK[2])", "UID 1 BINARY.SIZE[3] 8 BINARY[2] ~{4}\r\n\0\x01\x02\x03"),
    ] {
        let answer = client.send(&format!("FETCH 1 {item}"));
        assert_eq!(answer, format!("* 1 FETCH ({expected})\r\nt OK Completed\r\n"), "{item}");
    }
}

/// RFC 3516 section 4.2: octets are counted in what was decoded.
#[test]
fn some_octets_of_a_part() {
    let mut client = with(PARTS);
    for (item, expected) in [
        ("BINARY.PEEK[1]<3.4>", "BINARY[1]<3> {4}\r\n\u{e9} a"),
        ("BINARY.PEEK[1]<9.100>", "BINARY[1]<9> {4}\r\nlait"),
        ("BINARY.PEEK[1]<100.5>", "BINARY[1]<100> {0}\r\n"),
        ("BINARY.PEEK[2]<0.1>", "BINARY[2]<0> ~{1}\r\n\0"),
        ("BINARY.PEEK[2]<1.2>", "BINARY[2]<1> {2}\r\n\x01\x02"),
        ("BINARY.PEEK[]<9.5>", "BINARY[]<9> {5}\r\nparts"),
    ] {
        let answer = client.send(&format!("FETCH 1 {item}"));
        assert_eq!(answer, format!("* 1 FETCH ({expected})\r\nt OK Completed\r\n"), "{item}");
    }
}

/// The section without a number is the message, which has no transfer encoding of its own.
#[test]
fn the_message_as_a_whole() {
    let mut client = with(PARTS);
    let expected = format!("* 1 FETCH (BINARY[] {{{}}}\r\n{PARTS})\r\nt OK Completed\r\n", PARTS.len());
    assert_eq!(client.send("FETCH 1 BINARY.PEEK[]"), expected);
    let answer = client.send("FETCH 1 BINARY.SIZE[]");
    assert_eq!(answer, format!("* 1 FETCH (BINARY.SIZE[] {})\r\nt OK Completed\r\n", PARTS.len()));
}

/// RFC 3516 section 4.2: PEEK and SIZE alone leave \Seen as it is.
#[test]
fn reading_a_part_sets_seen() {
    let mut client = with(PARTS);
    client.send("FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1])");
    assert_eq!(client.send("FETCH 1 FLAGS"), "* 1 FETCH (FLAGS ())\r\nt OK Completed\r\n");
    let answer = client.send("FETCH 1 BINARY[5]");
    assert_eq!(answer, "* 1 FETCH (FLAGS (\\Seen) BINARY[5] {5}\r\nplain)\r\nt OK Completed\r\n");
}

/// RFC 3516 section 4.3: the request fails, and what can be told of other messages is. That a message became \Seen has to be
/// told even then: it counts as told and would not be told later.
#[test]
fn an_unknown_transfer_encoding_fails_the_request() {
    let mut client = with(PARTS);
    let uu = "Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin";
    client.append("INBOX", "()", uu);
    client.append("INBOX", "()", MAIL);
    assert!(client.send("FETCH 1 BINARY.PEEK[4]").starts_with("t NO [UNKNOWN-CTE] "));
    assert!(client.send("FETCH 1 BINARY.SIZE[4]").starts_with("t NO [UNKNOWN-CTE] "));
    let answer = client.send("FETCH 2:3 BINARY[1]");
    assert!(
        answer.starts_with("* 2 FETCH (FLAGS (\\Seen))\r\n* 3 FETCH (FLAGS (\\Seen) BINARY[1] {"),
        "{answer}"
    );
    assert!(answer.contains("Hello Joe") && answer.contains("\r\nt NO [UNKNOWN-CTE] "), "{answer}");
    assert!(client.send("FETCH 2 BODY.PEEK[1]").contains("begin"));
}

/// Some MiB go through without being collected, also where the answer is a number.
#[test]
fn a_large_part_comes_in_pieces() {
    let line = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2\r\n";
    let decoded = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv";
    let head = "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    let mut client = with(&format!("{head}{}", line.repeat(30_000)));
    let size = decoded.len() * 30_000;
    assert_eq!(
        client.send("FETCH 1 BINARY.SIZE[1]"),
        format!("* 1 FETCH (BINARY.SIZE[1] {size})\r\nt OK Completed\r\n")
    );
    let answer = client.send("FETCH 1 BINARY.PEEK[1]");
    let expected = decoded.repeat(30_000);
    assert!(answer == format!("* 1 FETCH (BINARY[1] {{{size}}}\r\n{expected})\r\nt OK Completed\r\n"));
    assert!(client.largest_piece < 200 * 1024, "{}", client.largest_piece);
    let part = client.send("FETCH 1 BINARY.PEEK[1]<1000000.100000>");
    let expected = &expected[1_000_000..1_100_000];
    assert!(part == format!("* 1 FETCH (BINARY[1]<1000000> {{100000}}\r\n{expected})\r\nt OK Completed\r\n"));
}

#[test]
fn damage_is_told_and_the_rest_is_read() {
    let mut client = Client::with_damage("(\\Seen)");
    let answer = client.send("FETCH 1:2 (UID BINARY[1])");
    assert_eq!(answer.matches("BINARY[1] NIL").count(), 1, "{answer}");
    assert_eq!(answer.matches("do you think").count(), 1, "{answer}");
    assert!(answer.contains("t NO [CORRUPTION] Some messages could not be read"), "{answer}");
}

/// RFC 3516 section 4.4: what cannot be stored is refused with UNKNOWN-CTE; a literal8 without a NUL is a literal.
#[test]
fn appending_a_literal8() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    assert!(client.append_binary("INBOX", "Subject: a\r\n\r\na\0b").starts_with("t NO [UNKNOWN-CTE] "));
    assert!(client.append("INBOX", "()", "Subject: a\r\n\r\na\0b").starts_with("t BAD "));
    assert!(client.append_binary("INBOX", MAIL).starts_with("* 1 EXISTS\r\nt OK [APPENDUID "));
    assert!(client.send("FETCH 1 BODY.PEEK[]").contains(MAIL));
}
