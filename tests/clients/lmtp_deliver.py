"""Delivers messages with smtplib: lmtp_deliver.py HOST PORT RECIPIENT COUNT PREFIX."""

import smtplib
import sys

host, port, recipient, count, prefix = sys.argv[1:6]
with smtplib.LMTP(host, int(port), timeout=30) as lmtp:
    for number in range(int(count)):
        message = (
            f"From: sender@example.org\r\nTo: {recipient}@example.com\r\nSubject: {prefix} {number}\r\n"
            f"Message-ID: <{prefix}-{number}@example.org>\r\n\r\n.A line that begins with a dot.\r\n"
        )
        refused = lmtp.sendmail("sender@example.org", [recipient], message)
        assert refused == {}, refused
    try:
        lmtp.sendmail("sender@example.org", ["nobody-of-that-name"], "Subject: x\r\n\r\n")
    except smtplib.SMTPRecipientsRefused as error:
        (code, _), = error.recipients.values()
        assert code == 550, code
    else:
        raise AssertionError("an unknown recipient was accepted")
print("delivered", count)
