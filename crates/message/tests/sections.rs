//! The part numbering of RFC 9051 6.4.5.1 and what each section gives.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{octets, scan};

/// The message whose parts the RFC numbers.
const EXAMPLE: &str = concat!(
    "Subject: outer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\npreamble\r\n",
    "--A\r\nContent-Type: text/plain\r\n\r\none\r\n",
    "--A\r\nContent-Type: application/octet-stream\r\n\r\ntwo\r\n",
    "--A\r\nContent-Type: message/rfc822\r\n\r\n",
    "Subject: three\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n",
    "--B\r\nContent-Type: text/plain\r\n\r\nthree.one\r\n",
    "--B\r\nContent-Type: application/octet-stream\r\n\r\nthree.two\r\n--B--\r\n",
    "\r\n--A\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n",
    "--C\r\nContent-Type: image/gif\r\nContent-ID: <gif>\r\n\r\nfour.one\r\n",
    "--C\r\nContent-Type: message/rfc822\r\n\r\n",
    "Subject: four.two\r\nContent-Type: multipart/mixed; boundary=D\r\n\r\n",
    "--D\r\nContent-Type: text/plain\r\n\r\nfour.two.one\r\n",
    "--D\r\nContent-Type: multipart/alternative; boundary=E\r\n\r\n",
    "--E\r\nContent-Type: text/plain\r\n\r\nfour.two.two.one\r\n",
    "--E\r\nContent-Type: text/richtext\r\n\r\nfour.two.two.two\r\n--E--\r\n--D--\r\n--C--\r\n--A--\r\nepilogue\r\n",
);

fn get(section: &str) -> Option<String> {
    octets(EXAMPLE.as_bytes(), &scan(EXAMPLE.as_bytes()), section)
}

#[test]
fn the_parts_of_the_example_have_their_numbers() {
    for (section, body) in [
        ("1", "one"),
        ("2", "two"),
        ("3.1", "three.one"),
        ("3.2", "three.two"),
        ("4.1", "four.one"),
        ("4.2.1", "four.two.one"),
        ("4.2.2.1", "four.two.two.one"),
        ("4.2.2.2", "four.two.two.two"),
    ] {
        assert_eq!(get(section).as_deref(), Some(body), "{section}");
    }
}

#[test]
fn headers_and_texts_belong_to_messages() {
    let header = "Subject: outer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n";
    assert_eq!(get("HEADER").unwrap(), header);
    assert_eq!(get("").unwrap(), EXAMPLE);
    assert_eq!(get("TEXT").unwrap(), EXAMPLE[header.len()..]);
    let three = "Subject: three\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n";
    assert_eq!(get("3.HEADER").unwrap(), three);
    assert!(get("3.TEXT").unwrap().starts_with("--B\r\n"));
    assert_eq!(get("3").unwrap(), three.to_owned() + &get("3.TEXT").unwrap());
    assert!(get("3.TEXT").unwrap().ends_with("--B--\r\n"));
    assert!(get("4.2.HEADER").unwrap().starts_with("Subject: four.two\r\n"));
    assert!(get("4.2.TEXT").unwrap().ends_with("--D--"));
    for none in ["1.HEADER", "1.TEXT", "4.HEADER", "4.TEXT", "4.2.2.TEXT"] {
        assert_eq!(get(none), None, "{none}");
    }
}

#[test]
fn mime_headers_belong_to_parts() {
    assert_eq!(get("1.MIME").unwrap(), "Content-Type: text/plain\r\n\r\n");
    assert_eq!(get("3.MIME").unwrap(), "Content-Type: message/rfc822\r\n\r\n");
    assert_eq!(get("4.MIME").unwrap(), "Content-Type: multipart/mixed; boundary=C\r\n\r\n");
    assert_eq!(get("4.1.MIME").unwrap(), "Content-Type: image/gif\r\nContent-ID: <gif>\r\n\r\n");
    assert_eq!(get("MIME"), None);
}

#[test]
fn parts_that_are_not_there() {
    for none in ["0", "5", "1.1", "2.1", "3.3", "4.3", "4.2.2.3", "4.2.3", "3.0", "4294967295"] {
        assert_eq!(get(none), None, "{none}");
    }
}

#[test]
fn a_message_of_one_part_is_its_own_part_one() {
    let message = b"Subject: x\r\n\r\nbody\r\n";
    let structure = scan(message);
    assert_eq!(octets(message, &structure, "1").unwrap(), "body\r\n");
    assert_eq!(octets(message, &structure, "1.MIME").unwrap(), "Subject: x\r\n\r\n");
    assert_eq!(octets(message, &structure, "2"), None);
    assert_eq!(octets(message, &structure, "1.1"), None);
    assert_eq!(octets(message, &structure, "1.TEXT"), None);
}

#[test]
fn a_message_in_a_message() {
    let message = b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n";
    let structure = scan(message);
    assert_eq!(octets(message, &structure, "1").unwrap(), "Subject: in\r\n\r\nbody\r\n");
    assert_eq!(octets(message, &structure, "1.HEADER").unwrap(), "Subject: in\r\n\r\n");
    assert_eq!(octets(message, &structure, "1.TEXT").unwrap(), "body\r\n");
    assert_eq!(octets(message, &structure, "1.1").unwrap(), "body\r\n");
    assert_eq!(octets(message, &structure, "1.1.1"), None);
}

#[test]
fn a_multipart_without_parts_has_an_empty_part_one() {
    let message = b"Content-Type: multipart/mixed; boundary=x\r\n\r\nno boundary here\r\n";
    let structure = scan(message);
    assert_eq!(octets(message, &structure, "1").unwrap(), "");
    assert_eq!(octets(message, &structure, "1.MIME").unwrap(), "");
    assert_eq!(octets(message, &structure, "2"), None);
    assert_eq!(octets(message, &structure, "1.1"), None);
    assert_eq!(octets(message, &structure, "TEXT").unwrap(), "no boundary here\r\n");
}
