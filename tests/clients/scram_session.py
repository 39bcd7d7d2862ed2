"""Logs in by SCRAM-SHA-256 and -PLUS: scram_session.py HOST IMAP_PORT IMAP_TLS_PORT POP3_TLS_PORT USER PASSWORD."""

import base64
import hashlib
import hmac
import imaplib
import poplib
import secrets
import ssl
import sys

host, port, tls_port, pop3_port, user, password = sys.argv[1:7]
unverified = ssl._create_unverified_context()
before_tls_1_3 = ssl._create_unverified_context()
before_tls_1_3.maximum_version = ssl.TLSVersion.TLSv1_2


class Scram:
    """The client's side (RFC 5802). `bound` are the octets of the channel binding that `header` names."""

    def __init__(self, header, bound=b"", password=password):
        self.header, self.bound, self.password = header, bound, password
        self.nonce = secrets.token_urlsafe(18)
        self.bare = f"n={user},r={self.nonce}"
        self.signature = None

    def __call__(self, challenge):
        if not challenge:
            return f"{self.header}{self.bare}".encode()
        fields = dict(part.split("=", 1) for part in challenge.decode().split(","))
        if "v" in fields:
            assert base64.b64decode(fields["v"]) == self.signature, "the server does not know the password"
            self.convinced = True
            return b""
        assert fields["r"].startswith(self.nonce) and len(fields["r"]) > len(self.nonce)
        assert 4096 <= int(fields["i"]) <= 1_000_000, fields
        salted = hashlib.pbkdf2_hmac(
            "sha256", self.password.encode(), base64.b64decode(fields["s"]), int(fields["i"])
        )
        sign = lambda key, text: hmac.new(key, text, hashlib.sha256).digest()
        channel = base64.b64encode(self.header.encode() + self.bound).decode()
        without_proof = f"c={channel},r={fields['r']}"
        auth_message = f"{self.bare},{challenge.decode()},{without_proof}".encode()
        client_key = sign(salted, b"Client Key")
        signed = sign(hashlib.sha256(client_key).digest(), auth_message)
        proof = bytes(a ^ b for a, b in zip(client_key, signed))
        self.signature = sign(sign(salted, b"Server Key"), auth_message)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()


def end_point(socket):
    """tls-server-end-point of a certificate that is signed with SHA-256 (RFC 5929)."""
    return hashlib.sha256(socket.getpeercert(binary_form=True)).digest()


def imap(connection, mechanism, scram):
    connection.authenticate(mechanism, scram)
    assert scram.convinced
    status, count = connection.select("INBOX")
    assert status == "OK", count
    connection.logout()


def refused(connection, mechanism, scram):
    try:
        connection.authenticate(mechanism, scram)
    except imaplib.IMAP4.error as error:
        assert "AUTHENTICATIONFAILED" in str(error), error
    else:
        raise AssertionError("that was no proof")


def tls(context=unverified):
    return imaplib.IMAP4_SSL(host, int(tls_port), ssl_context=context, timeout=30)


clear = imaplib.IMAP4(host, int(port), timeout=30)
assert "AUTH=SCRAM-SHA-256" in clear.capabilities and "AUTH=SCRAM-SHA-256-PLUS" not in clear.capabilities
imap(clear, "SCRAM-SHA-256", Scram("n,,"))
imap(tls(), "SCRAM-SHA-256", Scram("n,,"))
upgraded = imaplib.IMAP4(host, int(port), timeout=30)
upgraded.starttls(unverified)
assert "AUTH=SCRAM-SHA-256-PLUS" in upgraded.capabilities
imap(upgraded, "SCRAM-SHA-256-PLUS", Scram("p=tls-server-end-point,,", end_point(upgraded.sock)))
secure = tls()
assert secure.sock.version() == "TLSv1.3"
imap(secure, "SCRAM-SHA-256-PLUS", Scram("p=tls-server-end-point,,", end_point(secure.sock)))
refused(tls(), "SCRAM-SHA-256-PLUS", Scram("p=tls-server-end-point,,", bytes(32)))
older = tls(before_tls_1_3)
assert older.sock.version() == "TLSv1.2"
assert "AUTH=SCRAM-SHA-256-PLUS" in older.capabilities
imap(older, "SCRAM-SHA-256-PLUS", Scram("p=tls-server-end-point,,", end_point(older.sock)))
upgraded = imaplib.IMAP4(host, int(port), timeout=30)
upgraded.starttls(before_tls_1_3)
imap(upgraded, "SCRAM-SHA-256-PLUS", Scram("p=tls-server-end-point,,", end_point(upgraded.sock)))
refused(tls(before_tls_1_3), "SCRAM-SHA-256-PLUS", Scram("p=tls-server-end-point,,", bytes(32)))
# Without the extended master secret, of which nobody tells us, there is nothing to export.
refused(tls(before_tls_1_3), "SCRAM-SHA-256-PLUS", Scram("p=tls-exporter,,", bytes(32)))
refused(tls(), "SCRAM-SHA-256", Scram("y,,"))
refused(tls(), "SCRAM-SHA-256", Scram("n,,", password="wrong"))

pop3 = poplib.POP3_SSL(host, int(pop3_port), context=unverified, timeout=30)
assert "SCRAM-SHA-256-PLUS" in pop3.capa()["SASL"], pop3.capa()
scram = Scram("p=tls-server-end-point,,", end_point(pop3.sock))
answer = pop3._shortcmd("AUTH SCRAM-SHA-256-PLUS")
while answer.startswith(b"+ "):
    response = scram(base64.b64decode(answer[2:]))
    answer = pop3._shortcmd(base64.b64encode(response).decode())
assert answer.startswith(b"+OK") and scram.convinced, answer
pop3.quit()
print("proven")
