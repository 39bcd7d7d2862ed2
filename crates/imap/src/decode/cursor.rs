//! Reads the tokens of IMAP (RFC 9051 section 9) from the text of a command.

use std::borrow::Cow;
use std::num::NonZeroU32;

use mailstore::crdt::flag::Flag;

use crate::command::{Bound, Number, NumberSet};
use crate::mailbox_name::{NameEncoding, NameError};

use super::MOST_LISTED;

/// Why reading stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Something else should stand here.
    Grammar(&'static str),
    /// The grammar is kept, another rule is not.
    Rule(Cow<'static, str>),
}

pub(super) type Read<T> = Result<T, Expected>;

/// A place in the text of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    rest: &'a [u8],
}

fn is_atom_char(octet: u8) -> bool {
    octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet)
}

/// Beyond the grammar octets above ASCII: mailbox names in bare UTF-8 are sent by many.
fn is_astring_char(octet: u8) -> bool {
    is_atom_char(octet) || octet == b']' || octet >= 0x80
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Cursor { text, rest: text }
    }

    /// How many octets are read.
    pub(super) fn place(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Reads this octet, if it comes next.
    pub(super) fn accept(&mut self, octet: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == octet => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Reads these letters in any case, if they come next.
    pub(super) fn accept_word(&mut self, word: &str) -> bool {
        match self.rest.split_at_checked(word.len()) {
            Some((first, rest)) if first.eq_ignore_ascii_case(word.as_bytes()) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    pub(super) fn expect(&mut self, octet: u8, what: &'static str) -> Read<()> {
        if self.accept(octet) { Ok(()) } else { Err(Expected::Grammar(what)) }
    }

    /// Reads the space between two arguments; some clients send more than one.
    pub(super) fn space(&mut self) -> Read<()> {
        self.expect(b' ', "a space")?;
        while self.accept(b' ') {}
        Ok(())
    }

    /// The command must end here; spaces at its end are tolerated.
    pub(super) fn end(&mut self) -> Read<()> {
        while self.accept(b' ') {}
        if self.is_at_end() { Ok(()) } else { Err(Expected::Grammar("the end of the command")) }
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|octet| !belongs(*octet)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    pub(super) fn until_space(&mut self) -> &'a [u8] {
        self.take_while(|octet| !matches!(octet, b' ' | b'\r' | b'\n'))
    }

    /// `atom`
    pub(super) fn atom(&mut self, what: &'static str) -> Read<&'a str> {
        let atom = self.take_while(is_atom_char);
        match std::str::from_utf8(atom) {
            Ok(text) if !text.is_empty() => Ok(text),
            _ => Err(Expected::Grammar(what)),
        }
    }

    /// An atom in capitals: a keyword of a command, also where `[` or `<` ends it.
    pub(super) fn word(&mut self, what: &'static str) -> Read<String> {
        let word = self.take_while(|octet| is_atom_char(octet) && !b"[<".contains(&octet));
        match std::str::from_utf8(word) {
            Ok(text) if !text.is_empty() => Ok(text.to_ascii_uppercase()),
            _ => Err(Expected::Grammar(what)),
        }
    }

    /// `string`: quoted, or a literal that stands in the text.
    fn string(&mut self, what: &'static str) -> Read<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted().map(Cow::Owned),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(Expected::Grammar(what)),
        }
    }

    /// `quoted`, with UTF-8 in it or without; other octets beyond ASCII are an error (RFC 6855 section 3).
    fn quoted(&mut self) -> Read<Vec<u8>> {
        self.expect(b'"', "a quote")?;
        let mut text = Vec::new();
        loop {
            text.extend_from_slice(self.take_while(|octet| !matches!(octet, b'"' | b'\\' | b'\r' | b'\n')));
            if self.accept(b'"') {
                let utf8 = std::str::from_utf8(&text).is_ok();
                return if utf8 {
                    Ok(text)
                } else {
                    Err(Expected::Rule("What stands in quotes has to be UTF-8".into()))
                };
            }
            if !self.accept(b'\\') {
                return Err(Expected::Grammar("a closing quote"));
            }
            // Only quote and backslash may follow; clients that forget to double a backslash mean it.
            if !matches!(self.peek(), Some(b'"' | b'\\')) {
                text.push(b'\\');
            } else if let Some((first, rest)) = self.rest.split_first() {
                text.push(*first);
                self.rest = rest;
            }
        }
    }

    fn literal(&mut self) -> Read<&'a [u8]> {
        self.expect(b'{', "a literal")?;
        let size = self.number64("the size of a literal")?;
        self.accept(b'+');
        if !self.accept_word("}\r\n") {
            return Err(Expected::Grammar("a literal"));
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let (literal, rest) = self.rest.split_at_checked(size).ok_or(Expected::Grammar("a whole literal"))?;
        self.rest = rest;
        Ok(literal)
    }

    /// `astring`
    pub(super) fn astring(&mut self, what: &'static str) -> Read<Cow<'a, [u8]>> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string(what);
        }
        match self.take_while(is_astring_char) {
            [] => Err(Expected::Grammar(what)),
            atom => Ok(Cow::Borrowed(atom)),
        }
    }

    /// An `astring` that has to be UTF-8.
    pub(super) fn text(&mut self, what: &'static str) -> Read<String> {
        let text = self.astring(what)?.into_owned();
        String::from_utf8(text).map_err(|_| Expected::Rule(format!("Expected {what} in UTF-8").into()))
    }

    /// `nstring`, as text; octets that are no UTF-8 become replacement characters.
    pub(super) fn optional_text(&mut self, what: &'static str) -> Read<Option<String>> {
        if self.accept_word("NIL") {
            return Ok(None);
        }
        let text = self.astring(what)?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    /// `nstring / literal8`, as octets; some clients send short values as atoms.
    pub(super) fn value(&mut self, what: &'static str) -> Read<Option<Vec<u8>>> {
        if self.peek() == Some(b'~') && self.rest.get(1) == Some(&b'{') {
            self.accept(b'~');
            return self.literal().map(|octets| Some(octets.to_vec()));
        }
        let is_string = matches!(self.peek(), Some(b'"' | b'{'));
        let octets = self.astring(what)?;
        let is_nil = !is_string && octets.eq_ignore_ascii_case(b"NIL");
        Ok((!is_nil).then(|| octets.into_owned()))
    }

    /// `mailbox`
    pub(super) fn mailbox(&mut self, names: NameEncoding) -> Read<String> {
        let octets = self.astring("a mailbox name")?;
        mailbox_name(&octets, names).map_err(|error| Expected::Rule(error.to_string().into()))
    }

    /// `list-mailbox`: a mailbox name with wildcards.
    pub(super) fn pattern(&mut self, names: NameEncoding) -> Read<String> {
        let octets = match self.peek() {
            Some(b'"' | b'{') => self.string("a mailbox pattern")?,
            _ => match self.take_while(|octet| is_astring_char(octet) || b"%*".contains(&octet)) {
                [] => return Err(Expected::Grammar("a mailbox pattern")),
                pattern => Cow::Borrowed(pattern),
            },
        };
        names.decode(&octets).map_err(|error| Expected::Rule(error.to_string().into()))
    }

    /// `number64`
    pub(super) fn number64(&mut self, what: &'static str) -> Read<u64> {
        let digits = self.take_while(|octet| octet.is_ascii_digit());
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        number.filter(|number| *number < 1 << 63).ok_or(Expected::Grammar(what))
    }

    /// `number`
    pub(super) fn number(&mut self, what: &'static str) -> Read<u32> {
        self.number64(what)?.try_into().map_err(|_| Expected::Grammar(what))
    }

    /// `nz-number`
    pub(super) fn positive(&mut self, what: &'static str) -> Read<NonZeroU32> {
        NonZeroU32::new(self.number(what)?).ok_or(Expected::Grammar(what))
    }

    /// `sequence-set`
    pub(super) fn number_set<N: Number>(&mut self) -> Read<NumberSet<N>> {
        let mut ranges = Vec::new();
        loop {
            let start = self.bound()?;
            let end = if self.accept(b':') { self.bound()? } else { start };
            ranges.push((start, end));
            if !self.accept(b',') {
                break;
            }
        }
        NumberSet::new(ranges).ok_or(Expected::Grammar("a set of numbers"))
    }

    fn bound<N: Number>(&mut self) -> Read<Bound<N>> {
        if self.accept(b'*') {
            return Ok(Bound::Last);
        }
        let number = self.positive("a message number or \"*\"")?;
        Ok(Bound::Number(N::of(number.get())))
    }

    /// `flag`; `None` for \Recent, which no client can change.
    pub(super) fn flag(&mut self) -> Read<Option<Flag>> {
        let system = self.accept(b'\\');
        let name = self.atom("a flag")?;
        let text = if system { format!("\\{name}") } else { name.to_owned() };
        flag(&text)
    }

    /// A list in parentheses, perhaps empty, its elements separated by spaces.
    pub(super) fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        self.expect(b'(', "an opening parenthesis")?;
        let mut elements = Vec::new();
        while self.accept(b' ') {}
        while !self.accept(b')') {
            if elements.len() >= MOST_LISTED {
                return Err(Expected::Rule(format!("A list may have {MOST_LISTED} elements at most").into()));
            }
            elements.push(element(self)?);
            if self.peek() != Some(b')') {
                self.space()?;
            }
        }
        Ok(elements)
    }
}

/// The mailbox of this spelling, INBOX in capitals.
pub(super) fn mailbox_name(octets: &[u8], names: NameEncoding) -> Result<String, NameError> {
    if octets.eq_ignore_ascii_case(b"INBOX") { Ok("INBOX".to_owned()) } else { names.decode(octets) }
}

/// The flag of this spelling; `None` for \Recent.
pub(super) fn flag(text: &str) -> Read<Option<Flag>> {
    match Flag::parse(text) {
        Some(flag) => Ok(Some(flag)),
        None if text.eq_ignore_ascii_case("\\Recent") => Ok(None),
        None if text.starts_with('\\') => {
            Err(Expected::Rule(format!("There is no system flag {text}").into()))
        }
        None => Err(Expected::Rule("A keyword is an atom of at most 128 octets".into())),
    }
}
