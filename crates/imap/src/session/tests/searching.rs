//! SEARCH.

use super::client::{Client, MAIL, store};

fn searched() -> Client {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append("INBOX", "(\\Seen)", MAIL);
    client.append(
        "INBOX",
        "(\\Deleted $Junk)",
        "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nDate: 1 Jan 2020 00:00:00 +0000\r\n\r\nshort\r\n",
    );
    client.append("INBOX", "()", "From: x@example.org\r\nX-List: a\r\n\r\nThe meeting is over\r\n");
    client.send("STORE 1 +FLAGS.SILENT (\\Deleted)");
    client.send("UID EXPUNGE 1");
    client.append("INBOX", "(\\Seen)", MAIL);
    client
}

#[test]
fn keys_find_what_they_name() {
    let mut client = searched();
    for (keys, expected) in [
        ("ALL", "1 2 3"),
        ("1:2", "1 2"),
        ("*", "3"),
        ("UID 3:*", "2 3"),
        ("UID 9:10", ""),
        ("SEEN", "3"),
        ("UNSEEN", "1 2"),
        ("NOT SEEN", "1 2"),
        ("DELETED", "1"),
        ("KEYWORD $junk", "1"),
        ("UNKEYWORD $Junk", "2 3"),
        ("RECENT", ""),
        ("NEW", ""),
        ("OLD", "1 2 3"),
        ("BEFORE 18-Jul-1996", "1 2 3"),
        ("ON 17-Jul-1996", "1 2 3"),
        ("SINCE 18-Jul-1996", ""),
        ("SENTBEFORE 1-Jan-2000", "3"),
        ("SENTSINCE 1-Jan-2020", "1"),
        ("SENTON 7-Feb-1994", "3"),
        ("LARGER 100", "3"),
        ("SMALLER 100", "1 2"),
        ("SUBJECT \"afternoon meeting\"", "3"),
        ("FROM foobar", "3"),
        ("TO mooch", "3"),
        ("HEADER X-List \"\"", "2"),
        ("HEADER X-List b", ""),
        ("BODY meeting", "2"),
        ("TEXT meeting", "2 3"),
        ("OR SEEN DELETED", "1 3"),
        ("OR (TEXT meeting UNSEEN) (LARGER 100 NOT BODY absent)", "2 3"),
        ("NOT (OR SEEN DELETED)", "2"),
        ("EMAILID E0", ""),
        ("THREADID T0", ""),
        ("CHARSET UTF-8 SUBJECT afternoon", "3"),
    ] {
        let space = if expected.is_empty() { "" } else { " " };
        assert_eq!(
            client.send(&format!("SEARCH {keys}")),
            format!("* SEARCH{space}{expected}\r\nt OK Completed\r\n"),
            "{keys}"
        );
    }
    assert_eq!(client.send("SEARCH SUBJECT grüße"), "* SEARCH 1\r\nt OK Completed\r\n");
    let answer = client.wire("t SEARCH CHARSET iso-8859-2 SUBJECT {5+}\r\ngru\u{308}\r\n");
    assert_eq!(answer, "* SEARCH\r\nt OK Completed\r\n", "those octets mean something else there");
    assert_eq!(client.send("UID SEARCH UNSEEN"), "* SEARCH 2 3\r\nt OK Completed\r\n");
    assert!(client.send("SEARCH CHARSET X-NONE ALL").starts_with("t NO [BADCHARSET (US-ASCII UTF-8 "));
}

/// RFC 5032: both ends belong to it. The messages are of 17 July 1996, 09:44:25 UTC.
#[test]
fn by_age() {
    let mut client = searched();
    let age = client.now.seconds() - 837_596_665;
    for (keys, expected) in [
        (format!("OLDER {age}"), " 1 2 3"),
        (format!("OLDER {}", age + 1), ""),
        (format!("YOUNGER {age}"), " 1 2 3"),
        (format!("YOUNGER {}", age - 1), ""),
        (format!("NOT YOUNGER {}", age - 1), " 1 2 3"),
        (format!("OLDER {} SEEN", u32::MAX), ""),
        ("YOUNGER 4294967295 SEEN".to_owned(), " 3"),
    ] {
        let answer = client.send(&format!("SEARCH {keys}"));
        assert_eq!(answer, format!("* SEARCH{expected}\r\nt OK Completed\r\n"), "{keys}");
    }
    for wrong in ["OLDER 0", "YOUNGER 4294967296", "OLDER", "OLDER x"] {
        let answer = client.send(&format!("SEARCH {wrong}"));
        assert!(answer.starts_with("t BAD "), "{wrong}: {answer}");
    }
}

#[test]
fn extended_results() {
    let mut client = searched();
    assert_eq!(
        client.send("UID SEARCH RETURN (MIN MAX COUNT ALL) ALL"),
        "* ESEARCH (TAG \"t\") UID MIN 2 MAX 4 ALL 2:4 COUNT 3\r\nt OK Completed\r\n"
    );
    assert_eq!(
        client.send("SEARCH RETURN (MIN COUNT) FROM nobody"),
        "* ESEARCH (TAG \"t\") COUNT 0\r\nt OK Completed\r\n"
    );
}

#[test]
fn a_search_by_modseq_tells_the_highest() {
    let mut client = searched();
    let answer = client.send("SEARCH MODSEQ 1");
    assert!(answer.contains("* SEARCH 1 2 3 (MODSEQ "), "{answer}");
    let answer = client.send("SEARCH MODSEQ 9000000000000000000");
    assert_eq!(answer, "* SEARCH\r\nt OK Completed\r\n");
}

#[test]
fn a_long_search_is_made_in_pieces() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append_all("INBOX", &vec![MAIL; 700]);
    let answer = client.send("SEARCH RETURN (COUNT) TEXT tomorrow");
    assert_eq!(answer, "* ESEARCH (TAG \"t\") COUNT 700\r\nt OK Completed\r\n");
}
