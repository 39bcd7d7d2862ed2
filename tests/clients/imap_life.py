"""A client of imaplib with a cache: imap_life.py HOST PORT CERTIFICATE USER PASSWORD STATE PART.

STATE is the file in which it keeps what it knows of INBOX. Part `online` makes changes at once; part `back` first brings the changes
that were made offline, by the UIDs it knows, and then fetches what it does not know.
"""

import email
import imaplib
import json
import re
import ssl
import sys

host, port, certificate, user, password, state_file, part = sys.argv[1:8]


def ok(reply):
    status, data = reply
    assert status == "OK", reply
    return data


def fetch_new(known):
    """Reads what has no known UID; how many messages that were."""
    validity = int(imap.response("UIDVALIDITY")[1][0])
    assert known.setdefault("validity", validity) == validity, (known, validity)
    here = {int(uid) for uid in ok(imap.uid("SEARCH", None, "ALL"))[0].split()}
    cached = known.setdefault("messages", {})
    for uid in [uid for uid in cached if int(uid) not in here]:
        del cached[uid]
    new = sorted(here - {int(uid) for uid in cached})
    for uid in new:
        (_, octets), *_ = ok(imap.uid("FETCH", str(uid), "(BODY.PEEK[])"))
        name = re.match("<(.*)@", email.message_from_bytes(octets)["Message-ID"]).group(1)
        assert name not in cached.values(), f"{name} is fetched twice"
        cached[str(uid)] = name
    return len(new)


def uid_of(name):
    (uid,) = [uid for uid, known_name in known["messages"].items() if known_name == name]
    return uid


def is_still(uid, name):
    """What a careful client asks before it acts by a UID that it learnt elsewhere."""
    (_, octets), *_ = ok(imap.uid("FETCH", uid, "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"))
    assert f"<{name}@".encode() in octets, (uid, name, octets)


def change(prefix):
    steps = [
        ("read", "STORE", "+FLAGS", r"(\Seen)"),
        ("flag", "STORE", "+FLAGS", r"(\Flagged)"),
        ("move", "MOVE", "Projects"),
        ("delete", "STORE", "+FLAGS", r"(\Deleted)"),
        ("delete", "EXPUNGE"),
    ]
    for name, command, *arguments in steps:
        uid = uid_of(prefix + name)
        is_still(uid, prefix + name)
        ok(imap.uid(command, uid, *arguments))


context = ssl.create_default_context(cafile=certificate)
imap = imaplib.IMAP4_SSL(host, int(port), ssl_context=context, timeout=30)
ok(imap.login(user, password))
if part == "online":
    known = {}
    names = b" ".join(ok(imap.list()))
    assert b"INBOX" in names and b"Projects" in names, names
    ok(imap.select("INBOX"))
    assert fetch_new(known) == 11
    change("")
    (found,) = ok(imap.uid("SEARCH", None, "TEXT", '"This is stay."'))
    assert found.decode() == uid_of("stay"), found
else:
    with open(state_file) as file:
        known = json.load(file)
    ok(imap.select("INBOX"))
    change("off-")
    assert fetch_new(known) == 1, known
    assert "late" in known["messages"].values()
with open(state_file, "w") as file:
    json.dump(known, file)
imap.logout()
print(part, "done")
