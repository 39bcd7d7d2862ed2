use super::*;

fn local(line: &str) -> String {
    match parse(line.as_bytes()) {
        Ok(Command::Rcpt(address)) => address.local,
        other => panic!("{line}: {other:?}"),
    }
}

fn sender(line: &str) -> Mail {
    match parse(line.as_bytes()) {
        Ok(Command::Mail(mail)) => mail,
        other => panic!("{line}: {other:?}"),
    }
}

fn code(line: &[u8]) -> (u16, (u8, u16, u16)) {
    let Refusal { reply, fatal } = parse(line).unwrap_err();
    assert_eq!(fatal, line.starts_with(b"BDAT"));
    (reply.code, reply.enhanced.unwrap())
}

#[test]
fn recipients_with_and_without_a_domain() {
    assert_eq!(local("RCPT TO:<alice>"), "alice");
    assert_eq!(local("rcpt to:<alice@example.com>"), "alice");
    assert_eq!(local("RCPT TO: <alice+lists/rust@example.com> "), "alice+lists/rust");
    assert_eq!(local("RCPT TO:<Postmaster>"), "Postmaster");
    assert_eq!(local("RCPT TO:<@a.example,@b.example:alice@example.com>"), "alice");
    assert_eq!(local("RCPT TO:<\"two words\"@example.com>"), "two words");
    assert_eq!(local("RCPT TO:<\"a>b@c\\\"d\">"), "a>b@c\"d");
    assert_eq!(local("RCPT TO:<j\u{f6}rg@example.com>"), "j\u{f6}rg");
    assert_eq!(local("RCPT TO:<alice@[192.0.2.1]>"), "alice");
    assert_eq!(local("RCPT TO:<alice@[IPv6:2001:db8::1]>"), "alice");
}

#[test]
fn wrong_recipients() {
    assert_eq!(code(b"RCPT TO:<>"), (501, (5, 1, 3)));
    assert_eq!(code(b"RCPT TO:<@example.com>"), (501, (5, 1, 3)));
    assert_eq!(code(b"RCPT TO:<a b>").0, 501);
    assert_eq!(code(b"RCPT TO:<alice@[]>"), (501, (5, 1, 3)));
    assert_eq!(code(b"RCPT TO:<alice@[a]b@c]>"), (501, (5, 1, 3)));
    assert_eq!(code(b"RCPT TO:alice"), (501, (5, 5, 4)));
    assert_eq!(code(b"RCPT TO:<alice"), (501, (5, 1, 3)));
    assert_eq!(code(b"RCPT"), (501, (5, 5, 4)));
    assert_eq!(code(b"RCPT TO:<alice> NOTIFY=NEVER"), (555, (5, 5, 4)));
    assert_eq!(code(b"RCPT TO:<alice> FOO=BAR"), (555, (5, 5, 4)));
    let long = format!("RCPT TO:<{}@example.com>", "a".repeat(300));
    assert_eq!(code(long.as_bytes()), (501, (5, 1, 3)));
}

#[test]
fn senders_stay_as_written() {
    assert_eq!(sender("MAIL FROM:<>"), Mail { sender: String::new(), size: 0, utf8: false });
    assert_eq!(sender("MAIL FROM:<bob>").sender, "bob");
    assert_eq!(sender("MAIL FROM:<\"Bob B\"@Example.com>").sender, "\"Bob B\"@Example.com");
    assert_eq!(sender("MAIL FROM:<@relay.example:bob@example.com>").sender, "bob@example.com");
    assert_eq!(sender("MAIL FROM:<bob@[192.0.2.1]>").sender, "bob@[192.0.2.1]");
    assert_eq!(sender("MAIL FROM:<@[192.0.2.1]:bob>").sender, "bob");
    let full = sender("mail from:<bob@example.com> BODY=8BITMIME SIZE=1234 SMTPUTF8");
    assert_eq!(full, Mail { sender: "bob@example.com".into(), size: 1234, utf8: true });
    assert_eq!(sender("MAIL FROM:<j\u{f6}rg@example.com> SMTPUTF8").sender, "j\u{f6}rg@example.com");
}

#[test]
fn wrong_senders() {
    assert_eq!(code("MAIL FROM:<j\u{f6}rg@example.com>".as_bytes()), (553, (5, 6, 7)));
    assert_eq!(code(b"MAIL FROM:<bob@example.com> BODY=BINARYMIME"), (555, (5, 5, 4)));
    assert_eq!(code(b"MAIL FROM:<bob@example.com> REQUIRETLS"), (555, (5, 5, 4)));
    assert_eq!(code(b"MAIL FROM:<bob@example.com> SIZE=abc"), (501, (5, 5, 4)));
    assert_eq!(code(b"MAIL FROM:<bob@example.com> BODY=9BIT"), (501, (5, 5, 4)));
    assert_eq!(code(b"MAIL FROM:bob"), (501, (5, 5, 4)));
    assert_eq!(code(b"MAIL FROM:<b@c@d>"), (501, (5, 1, 7)));
}

/// A client said that its message had 99999999999999999999999999 octets, and was told to go on: smtp-proto had made 999999 of
/// it. A BDAT of that length would have left its octets to be read as commands.
#[test]
fn numbers_without_end_are_refused() {
    assert_eq!(code(b"MAIL FROM:<bob@example.com> SIZE=99999999999999999999999999"), (501, (5, 5, 4)));
    assert_eq!(code(b"MAIL FROM:<bob@example.com> SIZE=18446744073709551616"), (501, (5, 5, 4)));
    assert_eq!(sender("MAIL FROM:<bob@example.com> SIZE=18446744073709551614").size, u64::MAX - 1);
    assert_eq!(code(b"BDAT 99999999999999999999999999 LAST"), (501, (5, 5, 4)));
    assert!(parse(b"BDAT 99999999999999999999999999 LAST").is_err_and(|refusal| refusal.fatal));
    assert_eq!(
        sender("MAIL FROM:<99999999999999999999999999@example.com>").size,
        0,
        "a name may have any digits"
    );
}

#[test]
fn the_other_commands() {
    assert_eq!(parse(b"LHLO mx.example.com"), Ok(Command::Lhlo));
    assert_eq!(parse(b"data"), Ok(Command::Data));
    assert_eq!(parse(b"BDAT 86 LAST"), Ok(Command::Bdat { octets: 86, last: true }));
    assert_eq!(parse(b"BDAT 0"), Ok(Command::Bdat { octets: 0, last: false }));
    assert_eq!(parse(b"NOOP hello"), Ok(Command::Noop));
    assert_eq!(parse(b"VRFY alice"), Ok(Command::Vrfy));
    assert_eq!(parse(b"QUIT "), Ok(Command::Quit));
    assert_eq!(code(b"RSET now"), (501, (5, 5, 4)));
    assert_eq!(code(b"BDAT"), (501, (5, 5, 4)));
    assert_eq!(code(b"BDAT -1"), (501, (5, 5, 4)));
    assert_eq!(code(b"BDAT 1 FIRST"), (501, (5, 5, 4)));
    assert_eq!(code(b"LHLO"), (501, (5, 5, 4)));
    assert_eq!(code(b"EHLO mx.example.com"), (500, (5, 5, 1)));
    assert_eq!(code(b"HELO mx.example.com"), (500, (5, 5, 1)));
    assert_eq!(code(b"STARTTLS"), (502, (5, 5, 1)));
    assert_eq!(code(b"AUTH PLAIN AGEAYg=="), (502, (5, 5, 1)));
    assert_eq!(code(b""), (500, (5, 5, 1)));
    assert_eq!(code(b"GET / HTTP/1.1"), (500, (5, 5, 1)));
}

#[test]
fn lines_that_are_not_text() {
    assert_eq!(code(b"RCPT TO:<al\0ice>"), (500, (5, 5, 2)));
    assert_eq!(code(b"RCPT TO:<al\rice>"), (500, (5, 5, 2)));
    assert_eq!(code(b"RCPT TO:<al\xffice>"), (500, (5, 5, 2)));
}

/// Words of the grammar in any order never panic: the parser under this module indexes and subtracts.
#[test]
fn any_words_are_survived() {
    const WORDS: [&str; 40] = [
        "MAIL",
        "RCPT",
        "BDAT",
        "FROM:",
        "TO:",
        "<",
        ">",
        "@",
        "a",
        "example.com",
        "\"",
        "\\",
        ":",
        ",",
        " ",
        "SIZE=",
        "BODY=",
        "8BITMIME",
        "SMTPUTF8",
        "ORCPT=",
        "rfc822;",
        "+",
        "+4",
        "BY=",
        "-1",
        ";",
        "R",
        "99999999999999999999",
        "AUTH",
        "=",
        "RRVS=",
        "2014-04-03T23:01:00Z",
        "TRANSID=",
        "MTRK=",
        "LAST",
        "\u{f6}",
        ".",
        "NOTIFY=",
        "NEVER",
        "HOLDUNTIL=",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut line = String::new();
        for _ in 0..12 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            line.push_str(WORDS[(state % 40) as usize]);
        }
        let _ = parse(line.as_bytes());
        let prefixed =
            format!("{} {line}", if state & 64 == 0 { "MAIL FROM:<a@b>" } else { "RCPT TO:<a@b>" });
        let _ = parse(prefixed.as_bytes());
    }
}
