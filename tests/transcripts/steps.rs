//! The lines of a transcript as steps: what to send, and what to wait for.

use std::collections::BTreeSet;

use super::base64::Base64;
use super::document::{Kind, Line, Protocol};
use super::pattern::{self, Named, Pattern};
use super::texts::Texts;

/// One step on one connection.
#[derive(Debug)]
pub struct Step {
    pub connection: char,
    /// Of its last line.
    pub number: usize,
    pub action: Action,
}

#[derive(Debug)]
pub enum Action {
    Send(Vec<Piece>),
    Expect(Expectation),
    /// The lines of POP3 and LMTP.
    ExpectLines(Vec<String>),
}

/// A part of what a client sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Octets(Vec<u8>),
    /// What the name stands for.
    Name(Named),
    /// A text in base64.
    Base64(Base64),
    /// A literal; whether its octets wait for the server's word.
    Literal {
        octets: Vec<u8>,
        waits: bool,
    },
    /// TLS begins.
    Tls,
    /// Compression begins.
    Deflate,
}

/// What is to come up to a tagged response, a continuation request or the end of the connection; or, without any of them, at
/// all.
#[derive(Debug, Default)]
pub struct Expectation {
    pub groups: Vec<Group>,
    pub never: Vec<(Vec<Pattern>, String)>,
    /// Whether other untagged responses may come, too.
    pub more: bool,
    pub end: End,
}

/// Untagged responses in their order, or in any.
#[derive(Debug)]
pub enum Group {
    InPlace(Vec<Pattern>),
    Somewhere(Vec<Vec<Pattern>>),
    /// EXPUNGE responses, in whatever order, that take these messages away: the numbers they had before.
    Expunged(BTreeSet<u64>),
}

#[derive(Debug, Default)]
pub enum End {
    /// Nothing in particular.
    #[default]
    Open,
    /// A tagged response or a continuation request.
    Answer(Vec<Pattern>),
    /// The server closes the connection.
    Closed,
}

/// The steps of a transcript.
///
/// # Errors
/// With the number of the line that cannot be understood.
pub fn steps(lines: &[Line], protocol: Protocol, texts: &Texts) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    for line in lines {
        let at = |reason: String| format!("line {}: {reason}: {}", line.number, line.body);
        match (line.kind, protocol) {
            (Kind::Send { line_end }, _) => {
                let pieces = pieces(&line.body, line_end, texts).map_err(at)?;
                send(&mut steps, line, pieces);
            }
            (_, Protocol::Imap) => expect(&mut steps, line, texts).map_err(at)?,
            _ => expect_line(&mut steps, line),
        }
    }
    Ok(steps)
}

/// What one connection sends line by line goes out at once: some servers answer otherwise where pipelined commands come apart.
fn send(steps: &mut Vec<Step>, line: &Line, pieces: Vec<Piece>) {
    match steps.last_mut() {
        Some(Step { connection, number, action: Action::Send(before) }) if *connection == line.connection => {
            *number = line.number;
            before.extend(pieces);
        }
        _ => {
            let action = Action::Send(pieces);
            steps.push(Step { connection: line.connection, number: line.number, action });
        }
    }
}

fn expect(steps: &mut Vec<Step>, line: &Line, texts: &Texts) -> Result<(), String> {
    let goes_on = match steps.last() {
        Some(Step { connection, action: Action::Expect(expectation), .. })
            if *connection == line.connection =>
        {
            matches!(expectation.end, End::Open) || line.kind == Kind::Never
        }
        _ => false,
    };
    if !goes_on {
        let action = Action::Expect(Expectation::default());
        steps.push(Step { connection: line.connection, number: line.number, action });
    }
    let Some(Step { number, action: Action::Expect(expectation), .. }) = steps.last_mut() else {
        return Err("nothing to expect".to_owned());
    };
    *number = line.number;
    match line.body.as_str() {
        "<closed>" => expectation.end = End::Closed,
        "..." => expectation.more = true,
        body if body.starts_with("* <expunges ") => {
            let numbers = body.strip_prefix("* <expunges ").and_then(|rest| rest.strip_suffix('>'));
            let numbers = numbers.and_then(pattern::numbers).ok_or("no set of numbers")?;
            expectation.groups.push(Group::Expunged(numbers));
        }
        body => {
            let patterns = pattern::parse(body, texts)?;
            let untagged = matches!(patterns.first(), Some(Pattern::Word(word)) if word == "*");
            match line.kind {
                Kind::Never => expectation.never.push((patterns, body.to_owned())),
                _ if !untagged => expectation.end = End::Answer(patterns),
                Kind::AnswerSomewhere => match expectation.groups.last_mut() {
                    Some(Group::Somewhere(group)) => group.push(patterns),
                    _ => expectation.groups.push(Group::Somewhere(vec![patterns])),
                },
                _ => expectation.groups.push(Group::InPlace(patterns)),
            }
        }
    }
    Ok(())
}

fn expect_line(steps: &mut Vec<Step>, line: &Line) {
    if let Some(Step { connection, action: Action::ExpectLines(lines), .. }) = steps.last_mut()
        && *connection == line.connection
    {
        lines.push(line.body.clone());
        return;
    }
    let action = Action::ExpectLines(vec![line.body.clone()]);
    steps.push(Step { connection: line.connection, number: line.number, action });
}

/// A line of a client, in which `{name}`, `{name+}`, `{"text"}` and `{"text"+}` are literals, `<name>` is what the name stands
/// for, `<base64 "text">` is a text in base64 and `<xHH>` is an octet.
fn pieces(body: &str, line_end: bool, texts: &Texts) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut octets) = (Vec::new(), Vec::new());
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        let special = match first {
            '{' => literal(rest, texts)?,
            '<' => named(rest, texts)?,
            _ => None,
        };
        match special {
            Some((Piece::Octets(more), after)) => {
                octets.extend(more);
                rest = after;
            }
            Some((piece, after)) => {
                pieces.extend([Piece::Octets(std::mem::take(&mut octets)), piece]);
                rest = after;
            }
            None => {
                octets.extend(first.to_string().bytes());
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    // Where TLS or compression begins there is no line to be ended.
    if line_end && !matches!(pieces.last(), Some(Piece::Tls | Piece::Deflate)) {
        octets.extend(b"\r\n");
    }
    pieces.push(Piece::Octets(octets));
    Ok(pieces)
}

fn literal<'a>(text: &'a str, texts: &Texts) -> Result<Option<(Piece, &'a str)>, String> {
    let inside = &text[1..];
    let (octets, rest) = if inside.starts_with('"') {
        pattern::quoted(inside)?
    } else {
        let end = inside.find(['+', '}']).ok_or("a { without its }")?;
        let (name, rest) = inside.split_at(end);
        if name.is_empty() || name.starts_with(|first: char| !first.is_ascii_lowercase()) {
            return Ok(None);
        }
        (texts.text(name)?.to_vec(), rest)
    };
    let (rest, waits) = rest.strip_prefix('+').map_or((rest, true), |rest| (rest, false));
    let rest = rest.strip_prefix('}').ok_or("a { without its }")?;
    Ok(Some((Piece::Literal { octets, waits }, rest)))
}

fn named<'a>(text: &'a str, texts: &Texts) -> Result<Option<(Piece, &'a str)>, String> {
    if let Some((text, rest)) = Base64::parse(text)? {
        return Ok(Some((Piece::Base64(text), rest)));
    }
    let Some((inside, rest)) = text[1..].split_once('>') else { return Ok(None) };
    if inside == "DEFLATE" {
        return Ok(Some((Piece::Deflate, rest)));
    }
    if inside == "TLS" {
        return Ok(Some((Piece::Tls, rest)));
    }
    if let Some(digits) = inside.strip_prefix('x')
        && let Ok(octet) = u8::from_str_radix(digits, 16)
    {
        return Ok(Some((Piece::Octets(vec![octet]), rest)));
    }
    if let Some(Pattern::Text(octets)) = texts.expression(inside)? {
        return Ok(Some((Piece::Octets(octets), rest)));
    }
    if let Some(Pattern::Word(word)) = texts.expression(inside)? {
        return Ok(Some((Piece::Octets(word.into_bytes()), rest)));
    }
    Ok(Named::parse(inside).map(|named| (Piece::Name(named), rest)))
}
