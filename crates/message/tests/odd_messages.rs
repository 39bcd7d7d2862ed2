//! Messages as they arrive, not as they should be: each has one tree, the same for any chunks.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{body, envelope, octets, scan, tree};
use peerpost_message::{Scanner, limits};

/// A multipart with boundary `b` and this body.
fn multipart(body: &str) -> String {
    format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{body}")
}

fn check(cases: &[(&str, &str)]) {
    for (message, expected) in cases {
        assert_eq!(tree(message.as_bytes()), *expected, "{message:?}");
    }
}

#[test]
fn headers_of_odd_forms() {
    check(&[
        ("", r#"text/plain "" 0"#),
        ("\r\n", r#"text/plain "" 0"#),
        ("\n", r#"text/plain "" 0"#),
        ("\r", r#"text/plain "" 0"#),
        ("\r\n\r\nbody", r#"text/plain "\\r\\nbody" 1"#),
        ("Subject: header only", r#"text/plain "" 0"#),
        ("Subject: header only\r\n", r#"text/plain "" 0"#),
        ("Subject: header only\r\n\r\n", r#"text/plain "" 0"#),
        ("no header at all", r#"text/plain "" 0"#),
        ("no header\r\n\r\nbut a body\r\n", r#"text/plain "but a body\\r\\n" 1"#),
        ("\r\nonly a body", r#"text/plain "only a body" 0"#),
        ("From joe Mon Jan 1\r\nContent-Type: a/b\r\n\r\nx", r#"a/b "x" 0"#),
        (" leading fold\r\nContent-Type: a/b\r\n\r\nx", r#"a/b "x" 0"#),
        ("CONTENT-TYPE : a/b\r\n\r\nx", r#"a/b "x" 0"#),
        ("Content-Type: a/b\r\nContent-Type: c/d\r\n\r\nx", r#"a/b "x" 0"#),
        ("Content-Type:\r\n a/\r\n\tb\r\n\r\nx", r#"a/b "x" 0"#),
        ("Content-Type: nonsense\r\n\r\nx", r#"text/plain "x" 0"#),
        ("A: b\n\nbare\nline\nends\n", r#"text/plain "bare\\nline\\nends\\n" 3"#),
        ("A: b\r\rno line ends\r", r#"text/plain "" 0"#),
        ("A: b\r\n\r\nbare\rreturns\r\r\n", r#"text/plain "bare\\rreturns\\r\\r\\n" 1"#),
        ("A: b\r\n \r\nC: d\r\n\r\nx", r#"text/plain "x" 0"#),
        ("A: \0\r\n\0: b\r\n\r\n\0\0", r#"text/plain "\\x00\\x00" 0"#),
        ("Sübject: é\r\n\r\né", r#"text/plain "\\xc3\\xa9" 0"#),
    ]);
}

#[test]
fn multiparts_of_odd_forms() {
    for (body, expected) in [
        ("--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n", r#"mixed[text/plain "one" 0, text/plain "two" 0]"#),
        ("--b\n\none\n--b\n\ntwo\n--b--", r#"mixed[text/plain "one" 0, text/plain "two" 0]"#),
        ("no boundary\r\n", "mixed[]"),
        ("", "mixed[]"),
        ("--b--\r\n", "mixed[]"),
        ("--b\r\n\r\nunterminated\r\n", r#"mixed[text/plain "unterminated\\r\\n" 1]"#),
        ("--b\r\n\r\nunterminated", r#"mixed[text/plain "unterminated" 0]"#),
        ("--b\r\n\r\none\r\n--b--\r\nepilogue\r\n--b\r\n\r\nnot a part", r#"mixed[text/plain "one" 0]"#),
        ("--b", r#"mixed[text/plain "" 0]"#),
        ("--b\r\n", r#"mixed[text/plain "" 0]"#),
        (
            "--b\r\n--b\r\n\r\n--b\r\n\r\n\r\n--b--",
            r#"mixed[text/plain "" 0, text/plain "" 0, text/plain "" 0]"#,
        ),
        ("--b\r\nContent-Type: a/b\r\n--b--", r#"mixed[a/b "" 0]"#),
        ("--b\r\nContent-Type: a/b", r#"mixed[a/b "" 0]"#),
        ("--b \t\r\n\r\none\r\n--b-- \r\n", r#"mixed[text/plain "one" 0]"#),
        (
            "--b\r\n\r\n--bc\r\n--b-\r\n-b\r\n --b\r\n--b--",
            r#"mixed[text/plain "--bc\\r\\n--b-\\r\\n-b\\r\\n --b" 3]"#,
        ),
        ("--b\r\n\r\none\r\n\r\n--b--", r#"mixed[text/plain "one\\r\\n" 1]"#),
        ("--b\r\n\r\none\r--b\r\n--b--", r#"mixed[text/plain "one\\r--b" 0]"#),
        ("--b--\r\n--b\r\n\r\nlate", "mixed[]"),
        ("--B\r\n\r\nboundaries have case\r\n--b--", "mixed[]"),
    ] {
        assert_eq!(tree(multipart(body).as_bytes()), expected, "{body:?}");
    }
}

#[test]
fn boundaries_of_odd_forms() {
    check(&[
        ("Content-Type: multipart/mixed\r\n\r\n--\r\n\r\nx\r\n----\r\n", "mixed[]"),
        ("Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\nx\r\n----\r\n", "mixed[]"),
        (
            "Content-Type: multipart/mixed; boundary=\"a b \"\r\n\r\n--a b\r\n\r\nx\r\n--a b--",
            r#"mixed[text/plain "x" 0]"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=\"a\\\"b\"\r\n\r\n--a\"b\r\n\r\nx",
            r#"mixed[text/plain "x" 0]"#,
        ),
        (
            "Content-Type: multipart/mixed;\r\n\tboundary=\"=_x\"\r\n\r\n--=_x\r\n\r\nx",
            r#"mixed[text/plain "x" 0]"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\n\r\nin\r\n--a\r\n\r\nout\r\n--ab--\r\n--a--\r\n",
            r#"mixed[mixed[text/plain "in" 0], text/plain "out\\r\\n--ab--" 1]"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nin\r\n--ab--\r\n--a--\r\n",
            r#"mixed[mixed[text/plain "in" 0]]"#,
        ),
        // The same boundary inside and outside: the innermost open multipart has it.
        (
            "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n--a--\r\n",
            r#"mixed[mixed[text/plain "x" 0]]"#,
        ),
        // A boundary that looks like the closing line of another.
        (
            "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=a--\r\n\r\n--a--\r\n\r\nx\r\n--a----\r\n--a--\r\n",
            r#"mixed[mixed[text/plain "x" 0]]"#,
        ),
    ]);
    let long = "x".repeat(limits::BOUNDARY_OCTETS_MAX);
    let message = |boundary: &str| {
        format!(
            "Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n\r\na\r\n--{boundary}--\r\n"
        )
    };
    assert_eq!(tree(message(&long).as_bytes()), r#"mixed[text/plain "a" 0]"#);
    assert_eq!(tree(message(&(long + "x")).as_bytes()), "mixed[]");
    // RFC 2046 5.1.1: "it is sufficient that the boundary appear in its entirety". Such a line was once taken for text.
    let padded = multipart(&format!("--b{0}\r\n\r\nx\r\n--b{0}.\r\n", " ".repeat(100_000)));
    assert_eq!(tree(padded.as_bytes()), r#"mixed[text/plain "x" 0, text/plain "" 0]"#);
}

/// The line end between an empty header and a boundary ends the header, for every part that ends there.
#[test]
fn a_line_end_belongs_to_the_header_or_to_the_boundary() {
    let message = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--a--\r\n";
    let structure = scan(message.as_bytes());
    assert_eq!(octets(message.as_bytes(), &structure, "1").unwrap(), "--b\r\n\r\n");
    assert_eq!(octets(message.as_bytes(), &structure, "1.1.MIME").unwrap(), "\r\n");
    assert_eq!(octets(message.as_bytes(), &structure, "1.1").unwrap(), "");
    let message = message.replace("--b\r\n\r\n--a", "--b\r\n\r\nx\r\n--a");
    let structure = scan(message.as_bytes());
    assert_eq!(octets(message.as_bytes(), &structure, "1").unwrap(), "--b\r\n\r\nx");
}

#[test]
fn messages_in_messages() {
    check(&[
        ("Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx\r\n", r#"rfc822<text/plain "x\\r\\n" 1>"#),
        ("Content-Type: message/rfc822\r\n\r\n", r#"rfc822<text/plain "" 0>"#),
        ("Content-Type: message/rfc822", r#"rfc822<text/plain "" 0>"#),
        ("Content-Type: message/global\r\n\r\nA: é\r\n\r\nx", r#"global<text/plain "x" 0>"#),
        ("Content-Type: message/partial\r\n\r\nx", r#"message/partial "x" 0"#),
        (
            "Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n\r\nx",
            r#"rfc822<rfc822<text/plain "x" 0>>"#,
        ),
        (
            "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: a\r\n\r\nx\r\n--b\r\nContent-Type: text/plain\r\n\r\ny\r\n--b\r\nContent-Type: ?\r\n\r\nz\r\n--b--\r\n",
            r#"digest[rfc822<text/plain "x" 0>, text/plain "y" 0, text/plain "z" 0]"#,
        ),
        (
            "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n--b--\r\n",
            r#"digest[rfc822<text/plain "" 0>]"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--",
            r#"mixed[rfc822<mixed[text/plain "x" 0]>, text/plain "y" 0]"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: cut\r\n--b--",
            r#"mixed[rfc822<text/plain "" 0>]"#,
        ),
    ]);
}

#[test]
fn envelopes() {
    let all = "Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\r\nFrom: Fred Foobar <foobar@Blurdybloop.example>\r\nSubject: afternoon\r\n meeting\r\nTo: mooch@owatagu.siam.edu.example\r\nMessage-Id: <B27397-0100000@Blurdybloop.example>\r\n\r\nHello\r\n";
    let fred = r#"(("Fred Foobar" NIL "foobar" "Blurdybloop.example"))"#;
    assert_eq!(
        envelope(all.as_bytes()),
        format!(
            r#"("Mon, 7 Feb 1994 21:52:25 -0800 (PST)" "afternoon meeting" {fred} {fred} {fred} ((NIL NIL "mooch" "owatagu.siam.edu.example")) NIL NIL NIL "<B27397-0100000@Blurdybloop.example>")"#
        )
    );
    for (header, expected) in [
        ("", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
        ("Subject:\r\nTo:\r\nDate: \r\n", r#"("" "" NIL NIL NIL NIL NIL NIL NIL NIL)"#),
        ("Subject: a\\b\"c\r\n", r#"(NIL "a\\b\"c" NIL NIL NIL NIL NIL NIL NIL NIL)"#),
        ("Subject: a\0b\r\n", r#"(NIL "a?b" NIL NIL NIL NIL NIL NIL NIL NIL)"#),
        ("Subject: é\r\n", "(NIL {2}\r\né NIL NIL NIL NIL NIL NIL NIL NIL)"),
        ("Subject: a\rb\r\n", "(NIL {3}\r\na\rb NIL NIL NIL NIL NIL NIL NIL NIL)"),
        // RFC 5322 4.5 leaves open which counts; Dovecot and Cyrus take the last.
        ("Subject: one\r\nSubject: two\r\n", r#"(NIL "two" NIL NIL NIL NIL NIL NIL NIL NIL)"#),
        ("Subject: =?utf-8?q?=C3=A9?=\r\n", r#"(NIL "=?utf-8?q?=C3=A9?=" NIL NIL NIL NIL NIL NIL NIL NIL)"#),
        (
            "From: a@b\r\nSender: c@d\r\nReply-To:\r\n",
            r#"(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "c" "d")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)"#,
        ),
        (
            "To: g: <@r:a@b>, root;\r\n",
            r#"(NIL NIL NIL NIL NIL ((NIL NIL "g" NIL)(NIL "@r" "a" "b")(NIL NIL "root" "")(NIL NIL NIL NIL)) NIL NIL NIL NIL)"#,
        ),
        ("In-Reply-To: <a@b>\r\n <c@d>\r\n", r#"(NIL NIL NIL NIL NIL NIL NIL NIL "<a@b> <c@d>" NIL)"#),
    ] {
        assert_eq!(envelope(format!("{header}\r\n").as_bytes()), expected, "{header:?}");
    }
    let structure = scan(b"References: <a@b>\r\n\t<c@d>\r\nDate: 1 Jan 2020 00:30 +0100\r\n\r\n");
    assert_eq!(structure.envelope().references.as_ref().unwrap(), &"<a@b>\t<c@d>");
    assert_eq!(structure.envelope().sent.unwrap().local_date().to_string(), "2020-01-01");
}

#[test]
fn body_structures() {
    let message = "Subject: x\r\n\r\nHello\r\nWorld\r\n";
    assert_eq!(
        body(message.as_bytes(), false),
        r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 14 2)"#
    );
    assert_eq!(
        body(message.as_bytes(), true),
        r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 14 2 NIL NIL NIL NIL)"#
    );
    let message = multipart(
        "--b\r\nContent-Type: IMAGE/GIF; name*0*=us-ascii'en'a%20b; name*1=c\r\nContent-ID: <i>\r\nContent-Description: d\r\nContent-Transfer-Encoding: BASE64 (x)\r\nContent-MD5: m\r\nContent-Disposition: attachment;\r\n filename=\"f\"\r\nContent-Language: en, de\r\nContent-Location: l\r\n\r\nAAAA\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\nx\r\n--b--\r\n",
    );
    let image = r#"("IMAGE" "GIF" ("name*" "us-ascii'en'a%20bc") "<i>" "d" "BASE64" 4"#;
    let nested = r#"("message" "rfc822" NIL NIL NIL "7bit" 15 (NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL)"#;
    let text = r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0"#;
    assert_eq!(body(message.as_bytes(), false), format!(r#"({image}){nested} {text}) 2) "mixed")"#));
    assert_eq!(
        body(message.as_bytes(), true),
        format!(
            r#"({image} "m" ("attachment" ("filename" "f")) ("en" "de") "l"){nested} {text} NIL NIL NIL NIL) 2 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)"#
        )
    );
    assert_eq!(
        body(b"Content-Type: multipart/mixed\r\n\r\n", true),
        r#"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) "mixed" NIL NIL NIL NIL)"#
    );
}

#[test]
fn depth_is_bounded() {
    let mut message = String::new();
    for level in 0..3 * limits::DEPTH_MAX {
        message += &format!("Content-Type: multipart/mixed; boundary=x{level}\r\n\r\n--x{level}\r\n");
    }
    let shown = tree(message.as_bytes());
    assert_eq!(shown.matches("mixed[").count(), limits::DEPTH_MAX - 1);
    assert!(shown.contains("application/octet-stream"));
    let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(3 * limits::DEPTH_MAX);
    let shown = tree(messages.as_bytes());
    assert_eq!(shown.matches("rfc822<").count(), limits::DEPTH_MAX - 1);
    assert!(shown.contains("application/octet-stream"));
}

#[test]
fn the_number_of_parts_is_bounded() {
    let message = multipart(&"--b\r\n\r\nx\r\n".repeat(3 * limits::PARTS_MAX));
    let structure = scan(message.as_bytes());
    assert_eq!(structure.message.root.children().len(), limits::PARTS_MAX - 1);
    let messages = "--b\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\n".repeat(3 * limits::PARTS_MAX);
    let structure = scan(multipart(&messages).as_bytes());
    assert!(structure.message.root.children().len() < limits::PARTS_MAX);
}

#[test]
fn long_fields_are_ranged_but_not_kept() {
    let long = "x".repeat(limits::FIELD_OCTETS_MAX + 1);
    let message =
        format!("Subject: {long}\r\nFrom: a@b\r\n {long}\r\n{long}: y\r\nMessage-ID: <m>\r\n\r\nbody");
    let structure = scan(message.as_bytes());
    assert_eq!(structure.envelope().subject, None);
    assert_eq!(structure.envelope().from, []);
    assert_eq!(structure.envelope().message_id.as_ref().unwrap(), &"<m>");
    assert_eq!(octets(message.as_bytes(), &structure, "HEADER").unwrap().len(), message.len() - 4);
}

#[test]
fn what_is_kept_of_a_hostile_message_is_bounded() {
    let addresses = "To: ".to_owned() + &"a@b,".repeat(limits::FIELD_OCTETS_MAX / 4 - 2) + "\r\n";
    let fields = "Content-Language: ".to_owned() + &"a,".repeat(10_000) + "\r\n";
    let parameters = "Content-Type: message/rfc822".to_owned() + &"; a=b".repeat(1_000) + "\r\n";
    let one =
        format!("--b\r\n{fields}{parameters}\r\n{addresses}Subject: {}\r\n\r\nx\r\n", "y".repeat(10_000));
    let mut scanner = Scanner::new();
    scanner.push(multipart("").as_bytes());
    for _ in 0..2 * limits::PARTS_MAX {
        scanner.push(one.as_bytes());
    }
    let stored = postcard::to_allocvec(&scanner.finish()).unwrap();
    assert!(stored.len() < 512 * 1024, "{}", stored.len());
}
