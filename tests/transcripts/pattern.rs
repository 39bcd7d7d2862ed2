//! What a line of a transcript expects of a response.
//!
//! It is written as the response is, and means what it says, but for what stands between `<` and `>`, and `...`.

use std::collections::BTreeSet;

use super::base64::Base64;
use super::texts::Texts;

/// What one value has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The word, or a string of this text; `A|B` is either. In whatever case.
    Word(String),
    /// The string, or a word of this text. Exactly.
    Text(Vec<u8>),
    /// A list.
    List(Vec<Pattern>),
    /// A response code.
    Code(Vec<Pattern>),
    /// `<any>`: one value, whichever.
    Any,
    /// `...`: whatever else follows here.
    Rest,
    /// `<name>`: what the name stands for, or if it stands for nothing yet, anything that it stands for from now on.
    Name(Named),
    /// `<name above other>`: a number above another one; the name stands for it from now on.
    Above { name: Option<String>, other: Named },
    /// `NAME=<value>`: a word with a value.
    Valued { name: String, value: Named },
    /// `<name unlike other>`: something else than what the other name stands for.
    Unlike { name: String, other: String },
    /// `<set with? 1:3,uid1 not? uid2>`: a set of numbers.
    Set { members: Vec<SetPart>, more: bool, without: Vec<SetPart> },
    /// `<base64 "...">`: a text in base64.
    Base64(Base64),
}

/// A name, and what is to be added to its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub plus: i64,
}

/// A number or a range of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPart {
    pub first: Bound,
    pub last: Bound,
}

/// A number as it stands, or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    Number(u64),
    Named(Named),
}

impl Named {
    /// `name`, `name+1` or `name-1`; `None` where that is no name.
    pub fn parse(text: &str) -> Option<Self> {
        let at = text.find(['+', '-']).unwrap_or(text.len());
        let (name, plus) = text.split_at(at);
        let start = name.chars().next()?;
        let rest = name
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '.');
        if !start.is_ascii_lowercase() || !rest {
            return None;
        }
        let plus = if plus.is_empty() { 0 } else { plus.parse().ok()? };
        Some(Named { name: name.to_owned(), plus })
    }
}

/// Parses one expected response.
///
/// # Errors
/// Where it is none.
pub fn parse(line: &str, texts: &Texts) -> Result<Vec<Pattern>, String> {
    let mut reader = Reader { rest: line, texts };
    let mut patterns = Vec::new();
    while let Some(pattern) = reader.next(&patterns)? {
        patterns.push(pattern);
    }
    Ok(patterns)
}

struct Reader<'a> {
    rest: &'a str,
    texts: &'a Texts,
}

impl Reader<'_> {
    fn next(&mut self, before: &[Pattern]) -> Result<Option<Pattern>, String> {
        self.rest = self.rest.trim_start_matches(' ');
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        match first {
            '(' => Ok(Some(Pattern::List(self.until(')')?))),
            '[' if matches!(before, [_, Pattern::Word(_)]) => Ok(Some(Pattern::Code(self.until(']')?))),
            ')' | ']' => Err(format!("an unexpected {first}")),
            '"' => Ok(Some(Pattern::Text(self.quoted()?))),
            '<' => {
                if let Some((text, rest)) = Base64::parse(self.rest)? {
                    self.rest = rest;
                    return Ok(Some(Pattern::Base64(text)));
                }
                let (inside, rest) = self.rest[1..].split_once('>').ok_or("a < without its >")?;
                self.rest = rest;
                special(inside, self.texts).map(Some)
            }
            _ => {
                let word = self.word();
                let valued = word.strip_suffix('>').and_then(|word| word.split_once("=<"));
                if let Some((name, value)) = valued
                    && let Some(value) = Named::parse(value)
                {
                    return Ok(Some(Pattern::Valued { name: name.to_owned(), value }));
                }
                Ok(Some(if word == "..." { Pattern::Rest } else { Pattern::Word(word) }))
            }
        }
    }

    fn until(&mut self, end: char) -> Result<Vec<Pattern>, String> {
        self.rest = &self.rest[1..];
        let mut patterns = Vec::new();
        loop {
            self.rest = self.rest.trim_start_matches(' ');
            if let Some(rest) = self.rest.strip_prefix(end) {
                self.rest = rest;
                return Ok(patterns);
            }
            if end == ']' && !self.rest.starts_with(['(', '"', '<']) {
                let stop = self.rest.find([' ', ']', '(', ')']).ok_or("a [ without its ]")?;
                let (word, rest) = self.rest.split_at(stop);
                self.rest = rest;
                patterns.push(if word == "..." { Pattern::Rest } else { Pattern::Word(word.to_owned()) });
                continue;
            }
            patterns.push(self.next(&[])?.ok_or_else(|| format!("no {end} in the end"))?);
        }
    }

    fn quoted(&mut self) -> Result<Vec<u8>, String> {
        let (octets, rest) = quoted(self.rest)?;
        self.rest = rest;
        Ok(octets)
    }

    fn word(&mut self) -> String {
        let mut depth = 0_usize;
        let end = self.rest.find(|letter| {
            match letter {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                ' ' | '(' | ')' => return depth == 0,
                _ => {}
            }
            false
        });
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word.to_owned()
    }
}

/// A string in quotes at the start, with the escapes `\r`, `\n`, `\t`, `\xHH`; and what follows it.
///
/// # Errors
/// Where it has no end or an unknown escape.
pub fn quoted(text: &str) -> Result<(Vec<u8>, &str), String> {
    let mut octets = Vec::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        let escaped = match letter {
            '"' => return Ok((octets, &text[at + 1..])),
            '\\' => letters.next().ok_or("a string without end")?.1,
            letter => {
                octets.extend(letter.to_string().bytes());
                continue;
            }
        };
        octets.push(match escaped {
            '"' | '\\' => escaped as u8,
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            'x' => {
                let digits: String = letters.by_ref().take(2).map(|(_, digit)| digit).collect();
                u8::from_str_radix(&digits, 16).map_err(|_| format!("\\x{digits} is no octet"))?
            }
            other => return Err(format!("an unknown escape \\{other}")),
        });
    }
    Err("a string without end".to_owned())
}

fn special(inside: &str, texts: &Texts) -> Result<Pattern, String> {
    if inside == "any" {
        return Ok(Pattern::Any);
    }
    if let Some(set) = inside.strip_prefix("set ") {
        let (set, more) = set.strip_prefix("with ").map_or((set, false), |set| (set, true));
        let (members, without) = set.split_once(" not ").unwrap_or((set, ""));
        return Ok(Pattern::Set { members: set_parts(members)?, more, without: set_parts(without)? });
    }
    if let Some((name, other)) = inside.split_once(" above ") {
        let name = (name != "any").then(|| name.to_owned());
        let other = Named::parse(other).ok_or_else(|| format!("{other} is no name"))?;
        return Ok(Pattern::Above { name, other });
    }
    if let Some((name, other)) = inside.split_once(" unlike ") {
        return Ok(Pattern::Unlike { name: name.to_owned(), other: other.to_owned() });
    }
    if let Some(octets) = texts.expression(inside)? {
        return Ok(octets);
    }
    Named::parse(inside).map(Pattern::Name).ok_or_else(|| format!("<{inside}> is unknown"))
}

fn set_parts(text: &str) -> Result<Vec<SetPart>, String> {
    let bound = |text: &str| match text.parse() {
        Ok(number) => Ok(Bound::Number(number)),
        Err(_) => Named::parse(text).map(Bound::Named).ok_or_else(|| format!("{text} is no number or name")),
    };
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (first, last) = part.split_once(':').unwrap_or((part, part));
            Ok(SetPart { first: bound(first)?, last: bound(last)? })
        })
        .collect()
}

/// The most numbers of a set that are looked at.
const MOST_MEMBERS: u64 = 100_000;

/// The numbers of a set as a server writes it; `None` where it is none.
pub fn numbers(text: &str) -> Option<BTreeSet<u64>> {
    let mut members = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let (first, last) = (first.min(last), first.max(last));
        if last - first >= MOST_MEMBERS {
            return None;
        }
        members.extend(first..=last);
    }
    Some(members)
}
