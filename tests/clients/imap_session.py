"""A session with imaplib: imap_session.py HOST PORT TLS_PORT USER PASSWORD. INBOX holds 5 messages when it starts."""

import imaplib
import ssl
import sys

host, port, tls_port, user, password = sys.argv[1:6]
unverified = ssl._create_unverified_context()


def ok(reply):
    status, data = reply
    assert status == "OK", reply
    return data


def session(imap):
    ok(imap.login(user, password))
    count = int(ok(imap.select("INBOX"))[0])
    assert count == 5, count
    uids = ok(imap.uid("SEARCH", None, "ALL"))[0].split()
    assert len(uids) == 5, uids
    (_, body), *_ = ok(imap.uid("FETCH", uids[0], "(FLAGS BODY.PEEK[])"))
    assert b"\r\n\r\n.A line that begins with a dot." in body, body
    ok(imap.uid("STORE", uids[0], "+FLAGS", r"(\Seen \Flagged)"))
    assert ok(imap.uid("SEARCH", None, "FLAGGED"))[0].split() == [uids[0]]
    ok(imap.create("Archive/2025"))
    names = b" ".join(ok(imap.list()))
    assert b"Archive/2025" in names, names
    ok(imap.uid("COPY", uids[0], "Archive/2025"))
    ok(imap.append("Archive/2025", r"(\Seen)", None, b"Subject: appended\r\n\r\nText.\r\n"))
    assert int(ok(imap.select("Archive/2025", readonly=True))[0]) == 2
    ok(imap.close())
    ok(imap.select("Archive/2025"))
    ok(imap.store("1:*", "+FLAGS", r"(\Deleted)"))
    ok(imap.expunge())
    assert ok(imap.search(None, "ALL")) == [b""]
    ok(imap.close())
    ok(imap.delete("Archive/2025"))
    ok(imap.select("INBOX"))
    ok(imap.uid("STORE", uids[0], "-FLAGS", r"(\Seen \Flagged)"))
    imap.logout()


plain = imaplib.IMAP4(host, int(port), timeout=30)
session(plain)
upgraded = imaplib.IMAP4(host, int(port), timeout=30)
upgraded.starttls(unverified)
session(upgraded)
session(imaplib.IMAP4_SSL(host, int(tls_port), ssl_context=unverified, timeout=30))
try:
    imaplib.IMAP4(host, int(port), timeout=30).login(user, "wrong")
except imaplib.IMAP4.error:
    pass
else:
    raise AssertionError("a wrong password was accepted")
print("three sessions")
