//! The lines of POP3 and LMTP.

use super::base64::Base64;
use super::matching::Names;
use super::pattern::{Named, Pattern};
use super::play::readable;
use super::texts::Texts;
use super::wire::Wire;

/// Reads lines and holds them to the expected ones: word by word, `<name>` and `<any>` for one word each, `...` for any more of
/// them. After a status that stands alone anything may follow. `<empty>` is the empty line, `<text NAME>` a whole text up to the
/// line with one dot, and a line `...` stands for any lines up to one that the next expected line matches.
///
/// # Errors
/// Where they are others.
pub fn expect(
    wire: &mut Wire,
    expected: &[String],
    names: &mut Names,
    log: &mut String,
    texts: &Texts,
) -> Result<(), String> {
    let mut skipping = false;
    for expected in expected {
        if expected == "..." {
            skipping = true;
            continue;
        }
        loop {
            match one(wire, expected, names, log, texts) {
                Ok(()) => break,
                Err(Mismatch::Other(reason)) if !skipping => return Err(reason),
                Err(Mismatch::Other(_)) => {}
                Err(Mismatch::Failed(reason)) => return Err(reason),
            }
        }
        skipping = false;
    }
    Ok(())
}

enum Mismatch {
    /// Another line came.
    Other(String),
    /// No line came any more.
    Failed(String),
}

fn one(
    wire: &mut Wire,
    expected: &str,
    names: &mut Names,
    log: &mut String,
    texts: &Texts,
) -> Result<(), Mismatch> {
    let special = expected.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    if let Some(inside) = special
        && let Some(Pattern::Text(octets)) = texts.expression(inside).map_err(Mismatch::Failed)?
    {
        return expect_text(wire, &octets, log).map_err(Mismatch::Failed);
    }
    let line = read(wire, log).map_err(Mismatch::Failed)?;
    if special == Some("closed") {
        return if line.is_none() { Ok(()) } else { Err(Mismatch::Other("expected the end".to_owned())) };
    }
    let line = line.ok_or_else(|| Mismatch::Failed(format!("the end; expected {expected}")))?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let matches = match special {
        Some("empty") => line.is_empty(),
        _ => match challenge(expected).map_err(Mismatch::Failed)? {
            Some(wanted) => is_challenge(&wanted, &line, names),
            None => words_match(expected, &line, names, texts),
        },
    };
    if matches { Ok(()) } else { Err(Mismatch::Other(format!("expected {expected}"))) }
}

/// `+ <base64 "...">`.
fn challenge(expected: &str) -> Result<Option<Base64>, String> {
    let Some(text) = expected.strip_prefix("+ ") else { return Ok(None) };
    Ok(Base64::parse(text)?.map(|(text, _)| text))
}

fn is_challenge(wanted: &Base64, line: &str, names: &mut Names) -> bool {
    let matched = line.strip_prefix("+ ").and_then(|word| wanted.matches(word, names));
    let Some(bound) = matched else { return false };
    *names = bound;
    true
}

fn read(wire: &mut Wire, log: &mut String) -> Result<Option<Vec<u8>>, String> {
    let line = wire.line()?;
    let shown = line.as_deref().map_or("<closed>".to_owned(), readable);
    log.push_str(&format!("S: {shown}\n"));
    Ok(line)
}

fn expect_text(wire: &mut Wire, expected: &[u8], log: &mut String) -> Result<(), String> {
    let mut text = Vec::new();
    loop {
        let line = read(wire, log)?.ok_or("the end in a text")?;
        if line == b"." {
            break;
        }
        text.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        text.extend_from_slice(b"\r\n");
    }
    match text == expected {
        true => Ok(()),
        false => Err(format!("expected the text {}", readable(expected))),
    }
}

fn words_match(expected: &str, line: &str, names: &mut Names, texts: &Texts) -> bool {
    // `<size NAME>` is one word.
    let expected = match expected
        .split_once("<size ")
        .and_then(|(before, rest)| Some((before, rest.split_once('>')?)))
    {
        Some((before, (name, after))) => match texts.text(name) {
            Ok(octets) => format!("{before}{}{after}", octets.len()),
            Err(_) => return false,
        },
        None => expected.to_owned(),
    };
    let status = |word: &str| ["+OK", "-ERR", "+"].contains(&word);
    let alone = status(&expected);
    let mut given = line.split(' ');
    for word in expected.split(' ') {
        if word == "..." {
            return true;
        }
        let Some(given) = given.next() else { return false };
        if let Some(start) = word.strip_suffix("...") {
            return given.starts_with(start);
        }
        let name = word.strip_prefix('<').and_then(|word| word.strip_suffix('>'));
        let named = name.filter(|name| Named::parse(name).is_some());
        let holds = match named {
            None => word == given,
            Some("any") => true,
            Some(name) => names.entry(name.to_owned()).or_insert_with(|| given.to_owned()) == given,
        };
        if !holds {
            return false;
        }
    }
    alone || given.next().is_none()
}
