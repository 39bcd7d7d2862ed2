//! SORT (RFC 5256, RFC 5957) and its extended results (RFC 5267).

use super::client::{Client, MAIL, store};

/// Five messages, their INTERNALDATE the same for all.
fn sorted() -> Client {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    for (header, size) in [
        (
            "From: Zoe <a@x>\r\nTo: b@x\r\nCc: c@x\r\nSubject: Re: Beta\r\nDate: 3 Jan 2020 00:00:00 +0000\r\n",
            5,
        ),
        ("From: b@x\r\nTo: Adam <z@x>\r\nSubject: alpha\r\nDate: 1 Jan 2020 23:00:00 -0500\r\n", 9),
        (
            "From: =?utf-8?q?=C3=A9mile?= <c@x>\r\nTo: a@x\r\nSubject: [list] beta (fwd)\r\nDate: 2 Jan 2020 03:00:00 +0000\r\n",
            1,
        ),
        ("From: team: x@x, y@x;\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n", 3),
        ("Subject: ALPHA\r\nDate: never\r\n", 7),
    ] {
        client.append("INBOX", "()", &format!("{header}\r\n{}\r\n", "x".repeat(size * 100)));
    }
    client
}

/// RFC 5256 section 3: each key, equal ones by sequence number, REVERSE for one key alone.
#[test]
fn by_each_key() {
    let mut client = sorted();
    for (criteria, expected) in [
        ("ARRIVAL", "1 2 3 4 5"),
        ("REVERSE ARRIVAL", "1 2 3 4 5"),
        ("SIZE", "3 4 1 5 2"),
        ("REVERSE SIZE", "2 5 1 4 3"),
        // Without a valid Date the INTERNALDATE counts, which is of 1996; the second is of 04:00 UTC on the 2nd.
        ("DATE", "4 5 3 2 1"),
        ("REVERSE DATE", "1 2 3 4 5"),
        ("FROM", "5 1 2 3 4"),
        ("REVERSE FROM", "4 3 2 1 5"),
        ("TO", "4 5 3 1 2"),
        ("CC", "2 3 4 5 1"),
        ("SUBJECT", "2 5 1 3 4"),
        ("REVERSE SUBJECT", "4 1 3 2 5"),
        ("SUBJECT REVERSE SIZE", "2 5 1 3 4"),
        ("SUBJECT SIZE", "5 2 3 1 4"),
        // RFC 5957: the name, or else the address; of a group its name.
        ("DISPLAYFROM", "5 2 3 4 1"),
        ("REVERSE DISPLAYFROM", "1 4 3 2 5"),
        ("DISPLAYTO", "4 5 3 2 1"),
    ] {
        let answer = client.send(&format!("SORT ({criteria}) UTF-8 ALL"));
        assert_eq!(answer, format!("* SORT {expected}\r\nt OK Completed\r\n"), "{criteria}");
    }
}

/// RFC 5256 section 3: SORT finds what SEARCH finds, and UID SORT tells UIDs.
#[test]
fn of_what_a_search_finds() {
    let mut client = sorted();
    client.send("STORE 1 +FLAGS.SILENT (\\Deleted)");
    client.send("UID EXPUNGE 1");
    assert_eq!(client.send("SORT (SIZE) us-ascii SMALLER 600"), "* SORT 2 3\r\nt OK Completed\r\n");
    assert_eq!(client.send("UID SORT (SIZE) \"US-ASCII\" ALL"), "* SORT 3 4 5 2\r\nt OK Completed\r\n");
    assert_eq!(client.send("SORT (SUBJECT) UTF-8 SUBJECT nothing"), "* SORT\r\nt OK Completed\r\n");
    assert_eq!(
        client.send("UID SORT (REVERSE DATE) UTF-8 UID 2:3 TEXT xx"),
        "* SORT 2 3\r\nt OK Completed\r\n"
    );
    let answer = client.send("SORT (SIZE) X-NONE ALL");
    assert!(answer.starts_with("t NO [BADCHARSET (US-ASCII UTF-8 "), "{answer}");
    for wrong in [
        "SORT () UTF-8 ALL",
        "SORT (REVERSE) UTF-8 ALL",
        "SORT (SIZE) ALL",
        "SORT SIZE UTF-8 ALL",
        "SORT (AGE) UTF-8 ALL",
    ] {
        assert!(client.send(wrong).starts_with("t BAD "), "{wrong}");
    }
}

/// RFC 5267 section 3: MIN and MAX are the first and the last in the order, ALL keeps it.
#[test]
fn extended_results() {
    let mut client = sorted();
    for (options, expected) in [
        ("MIN MAX COUNT ALL", " MIN 3 MAX 2 ALL 3:4,1,5,2 COUNT 5"),
        ("", " ALL 3:4,1,5,2"),
        ("COUNT", " COUNT 5"),
    ] {
        let answer = client.send(&format!("SORT RETURN ({options}) (SIZE) UTF-8 ALL"));
        assert_eq!(answer, format!("* ESEARCH (TAG \"t\"){expected}\r\nt OK Completed\r\n"), "{options}");
    }
    assert_eq!(
        client.send("UID SORT RETURN (MIN COUNT) (SIZE) UTF-8 DELETED"),
        "* ESEARCH (TAG \"t\") UID COUNT 0\r\nt OK Completed\r\n"
    );
}

/// RFC 7162 section 3.1.5: by MODSEQ, the highest is told.
#[test]
fn a_sort_by_modseq_tells_the_highest() {
    let mut client = sorted();
    let answer = client.send("SORT (SIZE) UTF-8 MODSEQ 1");
    assert!(answer.contains("* SORT 3 4 1 5 2 (MODSEQ "), "{answer}");
}

#[test]
fn a_long_sort_is_made_in_pieces() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    client.append_all("INBOX", &vec![MAIL; 700]);
    let answer = client.send("SORT RETURN (COUNT MAX) (SUBJECT REVERSE DATE) UTF-8 TEXT tomorrow");
    assert_eq!(answer, "* ESEARCH (TAG \"t\") MAX 700 COUNT 700\r\nt OK Completed\r\n");
    let answer = client.send("THREAD ORDEREDSUBJECT UTF-8 ALL");
    assert!(answer.starts_with("* THREAD (1 (2)(3)") && answer.contains("(700))\r\nt OK "), "{answer}");
}
