//! Address lists (RFC 5322 3.4 and 4.4), read tolerantly and kept raw.

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::header::{is_space, trim};
use crate::limits::ADDRESS_COST;
use crate::octets::Octets;
use crate::words::decode_words;

/// One member of an address list, in the terms of RFC 9051 7.5.2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Address {
    /// A mailbox with its address.
    Mailbox {
        /// The display name, or else the comment after the address; quoting removed, encoded words not decoded.
        name: Option<Octets>,
        /// The source route (at-domain-list).
        route: Option<Octets>,
        /// The local part, quoting removed; empty where there is none.
        mailbox: Octets,
        /// The domain; empty where there is none.
        host: Octets,
    },
    /// The start of a group of this name.
    GroupStart(Octets),
    /// The end of the group that started last.
    GroupEnd,
}

impl Address {
    /// The `addr-mailbox` of ENVELOPE, by which SORT orders CC, FROM and TO (RFC 5256 section 3): of a group its name.
    pub fn sorted_mailbox(&self) -> &[u8] {
        match self {
            Address::Mailbox { mailbox, .. } => mailbox,
            Address::GroupStart(name) => name,
            Address::GroupEnd => &[],
        }
    }

    /// What a client shows of it, by which SORT orders DISPLAYFROM and DISPLAYTO (RFC 5957 section 3): the name, or else
    /// the address.
    pub fn displayed(&self) -> String {
        match self {
            Address::Mailbox { name: Some(name), .. } | Address::GroupStart(name) => decode_words(name),
            Address::Mailbox { mailbox, host, .. } => {
                let at: &[u8] = if mailbox.is_empty() || host.is_empty() { b"" } else { b"@" };
                decode_words(&[mailbox, at, host].concat())
            }
            Address::GroupEnd => String::new(),
        }
    }
}

/// Reads an unfolded address list; stops where the budget ends. Groups that start also end.
pub(crate) fn parse_list(value: &[u8], budget: &mut Budget) -> Vec<Address> {
    let mut list = List { addresses: Vec::new(), in_group: false, budget };
    let mut lexer = Lexer { rest: value };
    let mut pending = Pending::default();
    while let Some(token) = lexer.next_token() {
        let goes_on = match token {
            Token::Special(b',') if !pending.in_route() => list.end_address(&mut pending),
            Token::Special(b';') => list.end_address(&mut pending) && list.end_group(),
            Token::Special(b':') if !list.in_group && !pending.is_angle => list.start_group(&mut pending),
            Token::Special(b'<') if pending.is_closed() => list.next_address(&mut pending),
            token => {
                pending.absorb(token);
                true
            }
        };
        if !goes_on {
            break;
        }
    }
    list.end_address(&mut pending);
    list.end_group();
    list.addresses
}

struct List<'a> {
    addresses: Vec<Address>,
    in_group: bool,
    budget: &'a mut Budget,
}

impl List<'_> {
    /// Adds what was gathered, if anything; false where the budget does not allow it.
    fn end_address(&mut self, pending: &mut Pending) -> bool {
        let Some((address, octets)) = std::mem::take(pending).into_address() else {
            return true;
        };
        let affordable = self.budget.take(octets + ADDRESS_COST);
        if affordable {
            self.addresses.push(address);
        }
        affordable
    }

    /// Another address begins although no comma parts it from the one before. What stands between both is its name.
    fn next_address(&mut self, pending: &mut Pending) -> bool {
        let behind = std::mem::take(&mut pending.behind);
        let affordable = self.end_address(pending);
        *pending = Pending { outside: behind, is_angle: true, angle_open: true, ..Pending::default() };
        affordable
    }

    fn start_group(&mut self, pending: &mut Pending) -> bool {
        let name = std::mem::take(pending).phrase();
        let affordable = self.budget.take(name.len() + 2 * ADDRESS_COST);
        if affordable {
            self.addresses.push(Address::GroupStart(name.into()));
            self.in_group = true;
        }
        affordable
    }

    fn end_group(&mut self) -> bool {
        if std::mem::take(&mut self.in_group) {
            self.addresses.push(Address::GroupEnd);
        }
        true
    }
}

/// The tokens of one address, gathered until it ends.
#[derive(Default)]
struct Pending {
    /// Words and dots outside angle brackets: octets, and whether white space stands before.
    outside: Vec<(Vec<u8>, bool)>,
    /// Where `outside` has its last unquoted `@`.
    at_outside: Option<usize>,
    /// Between the angle brackets.
    inside: Vec<Vec<u8>>,
    at_inside: Option<usize>,
    is_angle: bool,
    angle_open: bool,
    /// Words behind the closing bracket: they mean something only where another address follows without a comma.
    behind: Vec<(Vec<u8>, bool)>,
    route: Vec<u8>,
    comment: Option<Vec<u8>>,
    spaced: bool,
}

impl Pending {
    fn absorb(&mut self, token: Token) {
        match token {
            Token::Space => self.spaced = true,
            Token::Comment(text) => {
                self.comment.get_or_insert(text);
                self.spaced = true;
            }
            Token::Special(b'<') => {
                self.is_angle = true;
                self.angle_open = true;
            }
            Token::Special(b'>') => self.angle_open = false,
            Token::Special(octet) => self.word(vec![octet], octet == b'@'),
            Token::Word(text) => self.word(text, false),
        }
    }

    /// Commas part the domains of a source route, not addresses.
    fn in_route(&self) -> bool {
        self.angle_open && self.route.is_empty() && self.inside.first().is_some_and(|first| first == b"@")
    }

    /// The address in brackets is complete.
    fn is_closed(&self) -> bool {
        self.is_angle && !self.angle_open
    }

    fn word(&mut self, text: Vec<u8>, is_at: bool) {
        if self.angle_open {
            return self.inside_word(text, is_at);
        }
        let spaced = std::mem::take(&mut self.spaced);
        if self.is_angle {
            self.behind.push((text, spaced));
            return;
        }
        if is_at {
            self.at_outside = Some(self.outside.len());
        }
        self.outside.push((text, spaced));
    }

    /// A colon between the brackets ends a source route (RFC 5322 4.4, obs-route).
    fn inside_word(&mut self, text: Vec<u8>, is_at: bool) {
        if text == b":" && self.in_route() {
            self.route = self.inside.concat();
            self.inside.clear();
            self.at_inside = None;
            return;
        }
        if is_at {
            self.at_inside = Some(self.inside.len());
        }
        self.inside.push(text);
    }

    /// The words outside the brackets with single spaces where white space stood.
    fn phrase(self) -> Vec<u8> {
        join(&self.outside)
    }

    /// The address and its octets; `None` where nothing was gathered.
    fn into_address(mut self) -> Option<(Address, usize)> {
        let comment = self.comment.take().filter(|text| !text.is_empty());
        if self.is_angle {
            let name = Some(join(&self.outside)).filter(|name| !name.is_empty()).or(comment);
            let at = self.at_inside.unwrap_or(self.inside.len());
            let (mailbox, host) = self.inside.split_at_checked(at)?;
            let host = host.get(1..).unwrap_or_default().concat();
            return Some(mailbox_address(name, self.route, mailbox.concat(), host));
        }
        if self.outside.is_empty() {
            return None;
        }
        let Some(at) = self.at_outside else {
            // A bare word is a local part; several words are a name without an address.
            return Some(if self.outside.iter().skip(1).any(|(_, spaced)| *spaced) {
                mailbox_address(Some(join(&self.outside)), Vec::new(), Vec::new(), Vec::new())
            } else {
                mailbox_address(comment, Vec::new(), join(&self.outside), Vec::new())
            });
        };
        let concat = |words: &[(Vec<u8>, bool)]| words.iter().flat_map(|(text, _)| text.clone()).collect();
        let (mailbox, host) = self.outside.split_at_checked(at)?;
        let host: Vec<u8> = concat(host.get(1..).unwrap_or_default());
        Some(mailbox_address(comment, Vec::new(), concat(mailbox), host))
    }
}

fn join(words: &[(Vec<u8>, bool)]) -> Vec<u8> {
    let mut joined = Vec::new();
    for (text, spaced) in words {
        if *spaced && !joined.is_empty() {
            joined.push(b' ');
        }
        joined.extend_from_slice(text);
    }
    joined
}

fn mailbox_address(
    name: Option<Vec<u8>>,
    route: Vec<u8>,
    mailbox: Vec<u8>,
    host: Vec<u8>,
) -> (Address, usize) {
    let octets = name.as_ref().map_or(0, Vec::len) + route.len() + mailbox.len() + host.len();
    let address = Address::Mailbox {
        name: name.map(Octets::from),
        route: Some(route).filter(|route| !route.is_empty()).map(Octets::from),
        mailbox: mailbox.into(),
        host: host.into(),
    };
    (address, octets)
}

enum Token {
    Space,
    Special(u8),
    /// An atom, a quoted string without its quoting, or a domain literal.
    Word(Vec<u8>),
    Comment(Vec<u8>),
}

struct Lexer<'a> {
    rest: &'a [u8],
}

impl Lexer<'_> {
    fn next_token(&mut self) -> Option<Token> {
        let first = *self.rest.first()?;
        Some(match first {
            _ if is_space(first) => {
                self.take_while(is_space);
                Token::Space
            }
            b'"' => Token::Word(self.quoted(b'"')),
            b'(' => Token::Comment(trim(&self.comment()).to_vec()),
            b'[' => {
                let mut literal = vec![b'['];
                literal.extend(self.quoted(b']'));
                literal.push(b']');
                Token::Word(literal)
            }
            b',' | b';' | b':' | b'<' | b'>' | b'@' => {
                self.advance();
                Token::Special(first)
            }
            _ => Token::Word(self.atom()),
        })
    }

    fn advance(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> Vec<u8> {
        let length = self.rest.iter().position(|octet| !accept(*octet)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken.to_vec()
    }

    /// At least one octet: anything that starts no other token.
    fn atom(&mut self) -> Vec<u8> {
        let first = self.advance();
        let mut atom: Vec<u8> = first.into_iter().collect();
        atom.extend(self.take_while(|octet| {
            !is_space(octet) && !matches!(octet, b'"' | b'(' | b'[' | b',' | b';' | b':' | b'<' | b'>' | b'@')
        }));
        atom
    }

    /// From the opening octet to `close`, backslashes taken away.
    fn quoted(&mut self, close: u8) -> Vec<u8> {
        self.advance();
        let mut text = Vec::new();
        while let Some(octet) = self.advance() {
            match octet {
                b'\\' => text.extend(self.advance()),
                octet if octet == close => break,
                octet => text.push(octet),
            }
        }
        text
    }

    /// A comment without its outer parentheses, backslashes taken away.
    fn comment(&mut self) -> Vec<u8> {
        self.advance();
        let mut depth = 1usize;
        let mut text = Vec::new();
        while let Some(octet) = self.advance() {
            match octet {
                b'\\' => {
                    text.extend(self.advance());
                    continue;
                }
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            text.push(octet);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> String {
        parse_list(value.as_bytes(), &mut Budget::new(100_000))
            .iter()
            .map(show)
            .collect::<Vec<_>>()
            .join(" | ")
    }

    /// RFC 5256 section 3 and RFC 5957 section 3.
    #[test]
    fn what_sort_takes_of_an_address() {
        for (value, mailbox, displayed) in [
            ("Fred =?utf-8?q?F=C3=B6?= <foobar@example.com>", "foobar", "Fred Fö"),
            ("foobar@example.com", "foobar", "foobar@example.com"),
            ("foobar", "foobar", "foobar"),
            ("\"Bar, Fred\" <@route:foobar@example.com>", "foobar", "Bar, Fred"),
            ("friends: a@b, c@d;", "friends", "friends"),
            ("Only A Name", "", "Only A Name"),
        ] {
            let list = parse_list(value.as_bytes(), &mut Budget::new(100_000));
            let first = list.first().expect("an address");
            assert_eq!(String::from_utf8_lossy(first.sorted_mailbox()), mailbox, "{value}");
            assert_eq!(first.displayed(), displayed, "{value}");
        }
    }

    fn show(address: &Address) -> String {
        let text = |octets: &Octets| String::from_utf8_lossy(octets).into_owned();
        match address {
            Address::Mailbox { name, route, mailbox, host } => format!(
                "{}/{}/{}/{}",
                name.as_ref().map_or("-".into(), text),
                route.as_ref().map_or("-".into(), text),
                text(mailbox),
                text(host)
            ),
            Address::GroupStart(name) => format!("{{{}", text(name)),
            Address::GroupEnd => "}".into(),
        }
    }

    #[test]
    fn addresses_of_many_forms() {
        for (value, expected) in [
            ("joe@example.com", "-/-/joe/example.com"),
            ("Joe Q. Public <john.q.public@example.com>", "Joe Q. Public/-/john.q.public/example.com"),
            ("\"Joe \\\"Q\\\" P\" <j@e>", "Joe \"Q\" P/-/j/e"),
            ("a@b, c@d", "-/-/a/b | -/-/c/d"),
            (", a@b,,", "-/-/a/b"),
            ("joe@example.com (Joe (the) P\\))", "Joe (the) P)/-/joe/example.com"),
            ("<@r1,@r2:joe@example.com>", "-/@r1,@r2/joe/example.com"),
            ("A Group:Ed <e@x>,joe@y;", "{A Group | Ed/-/e/x | -/-/joe/y | }"),
            ("Undisclosed recipients:;", "{Undisclosed recipients | }"),
            ("g: a@b; c@d", "{g | -/-/a/b | } | -/-/c/d"),
            ("g: a@b", "{g | -/-/a/b | }"),
            ("cron", "-/-/cron/"),
            ("John Smith", "John Smith/-//"),
            ("<>", "-/-//"),
            ("\"john smith\"@example.com", "-/-/john smith/example.com"),
            ("a@[127.0.0.1]", "-/-/a/[127.0.0.1]"),
            ("a@b@c", "-/-/a@b/c"),
            ("=?utf-8?q?J=C3=B6?= <j@e>", "=?utf-8?q?J=C3=B6?=/-/j/e"),
            ("Jö <j@e>", "Jö/-/j/e"),
            ("joe @ example . com", "-/-/joe/example.com"),
            ("\"unterminated <a@b>", "-/-/unterminated <a@b>/"),
            ("(only a comment", ""),
            ("Name <a@b> junk (c), d@e", "Name/-/a/b | -/-/d/e"),
            // The second address was once read into the host of the first: "bc".
            ("<a@b> <c@d>", "-/-/a/b | -/-/c/d"),
            ("A <a@b> C D <c@d> junk", "A/-/a/b | C D/-/c/d"),
            ("A <<a@b>> <c@d>", "A/-/a/b | -/-/c/d"),
            ("\"a@b\" <a@b>", "a@b/-/a/b"),
            ("", ""),
            ("   ", ""),
            (";;;:", "{ | }"),
        ] {
            assert_eq!(parse(value), expected, "{value}");
        }
    }

    #[test]
    fn the_budget_ends_the_list_and_the_group() {
        let many = format!("g: {}", "a@b,".repeat(10_000));
        let list = parse_list(many.as_bytes(), &mut Budget::new(10 * ADDRESS_COST));
        assert!(list.len() < 12, "{}", list.len());
        assert_eq!(list.last(), Some(&Address::GroupEnd));
    }
}
