"""Sessions with poplib: pop3_session.py HOST PORT TLS_PORT USER PASSWORD COUNT. The maildrop holds COUNT messages when it
starts and one less when it ends; prints what UIDL told."""

import poplib
import ssl
import sys

host, port, tls_port, user, password, count = sys.argv[1:7]
count = int(count)
unverified = ssl._create_unverified_context()


def login(pop):
    assert "USER" in pop.capa(), pop.capa()
    pop.user(user)
    pop.pass_(password)
    return pop


def read(pop):
    number, octets = pop.stat()
    assert number == count, number
    sizes = [int(line.split()[1]) for line in pop.list()[1]]
    assert sum(sizes) == octets, (sizes, octets)
    names = [line.split()[1] for line in pop.uidl()[1]]
    assert len(set(names)) == count, names
    for place, size in enumerate(sizes, 1):
        assert pop.uidl(place).split()[2] == names[place - 1]
        assert int(pop.list(place).split()[2]) == size
        _, lines, _ = pop.retr(place)
        assert sum(len(line) + 2 for line in lines) == size, (lines, size)
        assert lines[-1] == b".A line that begins with a dot.", lines
        _, top, _ = pop.top(place, 0)
        assert top == lines[:-1], top
    pop.noop()
    return names


plain = login(poplib.POP3(host, int(port), timeout=30))
names = read(plain)
plain.dele(1)
assert plain.stat()[0] == count - 1
plain.rset()
assert plain.stat()[0] == count
plain.dele(1)
plain.close()  # Without QUIT nothing is deleted.
upgraded = poplib.POP3(host, int(port), timeout=30)
assert "STLS" in upgraded.capa()
upgraded.stls(unverified)
assert "STLS" not in upgraded.capa()
assert read(login(upgraded)) == names
upgraded.quit()
secure = login(poplib.POP3_SSL(host, int(tls_port), context=unverified, timeout=30))
assert read(secure) == names
secure.dele(1)
for forbidden in (lambda: secure.dele(1), lambda: secure.retr(1), lambda: secure.retr(count + 1)):
    try:
        forbidden()
    except poplib.error_proto as error:
        assert error.args[0].startswith(b"-ERR"), error
    else:
        raise AssertionError("a message that is not there was found")
secure.quit()
wrong = poplib.POP3(host, int(port), timeout=30)
wrong.user(user)
try:
    wrong.pass_("wrong")
except poplib.error_proto as error:
    assert error.args[0].startswith(b"-ERR [AUTH]"), error
else:
    raise AssertionError("a wrong password was accepted")
print("\n".join(name.decode() for name in names))
