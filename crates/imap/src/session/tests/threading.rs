//! THREAD (RFC 5256 section 3).

use super::client::{Client, store};

fn threaded() -> Client {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    for header in [
        "Message-ID: <a@x>\r\nSubject: one\r\nDate: 1 Jan 2020 00:00:00 +0000\r\n",
        "Message-ID: <b@x>\r\nSubject: two\r\nDate: 2 Jan 2020 00:00:00 +0000\r\n",
        "Message-ID: <c@x>\r\nReferences: <a@x>\r\nSubject: Re: one\r\nDate: 3 Jan 2020 00:00:00 +0000\r\n",
        "Message-ID: <d@x>\r\nIn-Reply-To: <a@x>\r\nSubject: three\r\nDate: 4 Jan 2020 00:00:00 +0000\r\n",
        "Message-ID: <e@x>\r\nReferences: <a@x>\r\n\t<\"c\"@x>\r\nSubject: Re: one\r\nDate: 5 Jan 2020 00:00:00 +0000\r\n",
    ] {
        client.append("INBOX", "()", &format!("{header}\r\ntext\r\n"));
    }
    client
}

#[test]
fn by_each_algorithm() {
    let mut client = threaded();
    for (algorithm, expected) in [
        ("ORDEREDSUBJECT", "(1 (3)(5))(2)(4)"),
        ("REFERENCES", "(1 (3 5)(4))(2)"),
        ("REFS", "(2)(1 (3 5)(4))"),
    ] {
        let answer = client.send(&format!("THREAD {algorithm} UTF-8 ALL"));
        assert_eq!(answer, format!("* THREAD {expected}\r\nt OK Completed\r\n"), "{algorithm}");
    }
}

/// RFC 5256 section 3: only messages that the search finds are in threads; UID THREAD tells UIDs.
#[test]
fn of_what_a_search_finds() {
    let mut client = threaded();
    assert_eq!(
        client.send("THREAD REFERENCES US-ASCII NOT 1"),
        "* THREAD (2)((3 5)(4))\r\nt OK Completed\r\n"
    );
    client.send("STORE 2 +FLAGS.SILENT (\\Deleted)");
    client.send("UID EXPUNGE 2");
    assert_eq!(client.send("UID THREAD REFS UTF-8 ALL"), "* THREAD (1 (3 5)(4))\r\nt OK Completed\r\n");
    assert_eq!(client.send("THREAD REFS UTF-8 DELETED"), "* THREAD\r\nt OK Completed\r\n");
    assert!(client.send("THREAD REFS X-NONE ALL").starts_with("t NO [BADCHARSET (US-ASCII UTF-8 "));
    for wrong in ["THREAD JWZ UTF-8 ALL", "THREAD REFS ALL", "THREAD REFS"] {
        assert!(client.send(wrong).starts_with("t BAD "), "{wrong}");
    }
}
