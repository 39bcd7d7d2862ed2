//! IMAP responses, as far as the demo asks for them.

use std::collections::BTreeSet;

/// Lists within lists that are followed; deeper ones end the response.
const DEEPEST: usize = 16;

/// A part of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An atom, a number, NIL, a flag.
    Atom(String),
    /// A quoted string or a literal.
    Text(String),
    /// A list in parentheses.
    List(Vec<Value>),
}

impl Value {
    /// Its text; empty for a list.
    pub fn text(&self) -> &str {
        match self {
            Value::Atom(text) | Value::Text(text) => text,
            Value::List(_) => "",
        }
    }

    /// Its parts; none unless it is a list.
    pub fn list(&self) -> &[Value] {
        match self {
            Value::List(values) => values,
            _ => &[],
        }
    }
}

/// The values of a response without its `* `; what cannot be read is left out.
pub fn values(response: &[u8]) -> Vec<Value> {
    let mut rest = response;
    list(&mut rest, 0)
}

fn list(rest: &mut &[u8], depth: usize) -> Vec<Value> {
    let mut values = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        match first {
            b' ' | b'\r' | b'\n' => *rest = after,
            b')' => {
                *rest = after;
                return values;
            }
            b'(' if depth < DEEPEST => {
                *rest = after;
                values.push(Value::List(list(rest, depth + 1)));
            }
            b'(' => return values,
            b'"' => {
                *rest = after;
                values.push(Value::Text(quoted(rest)));
            }
            b'{' => match literal(rest) {
                Some(text) => values.push(Value::Text(text)),
                None => return values,
            },
            _ => {
                let end = rest.iter().position(|byte| b" ()\r\n".contains(byte)).unwrap_or(rest.len());
                let (atom, after) = rest.split_at(end);
                values.push(Value::Atom(String::from_utf8_lossy(atom).into_owned()));
                *rest = after;
            }
        }
    }
    values
}

fn quoted(rest: &mut &[u8]) -> String {
    let mut text = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        *rest = after;
        match (first, after.split_first()) {
            (b'"', _) => break,
            (b'\\', Some((escaped, after))) => {
                text.push(*escaped);
                *rest = after;
            }
            _ => text.push(*first),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn literal(rest: &mut &[u8]) -> Option<String> {
    let end = rest.windows(3).position(|window| window == b"}\r\n")?;
    let length: usize = std::str::from_utf8(rest.get(1..end)?).ok()?.parse().ok()?;
    let text = rest.get(end + 3..)?.get(..length)?;
    *rest = rest.get(end + 3 + length..)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// One FETCH response: what it tells of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// UID, where it is told.
    pub uid: Option<u32>,
    /// FLAGS without \Recent, where they are told.
    pub flags: Option<BTreeSet<String>>,
    /// EMAILID, where it is told.
    pub email_id: Option<String>,
    /// The subject in the ENVELOPE, where it is told.
    pub subject: Option<String>,
}

impl Fetched {
    /// Reads the list of a FETCH response: names and values in turn.
    pub fn read(items: &[Value]) -> Self {
        let mut fetched = Fetched::default();
        for pair in items.chunks_exact(2) {
            let [name, value] = pair else { continue };
            match name.text() {
                "UID" => fetched.uid = value.text().parse().ok(),
                "FLAGS" => {
                    let flags = value.list().iter().map(|flag| flag.text().to_owned());
                    fetched.flags = Some(flags.filter(|flag| flag != "\\Recent").collect());
                }
                "EMAILID" => fetched.email_id = value.list().first().map(|id| id.text().to_owned()),
                "ENVELOPE" => fetched.subject = value.list().get(1).map(|subject| subject.text().to_owned()),
                _ => {}
            }
        }
        fetched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_response_is_read() {
        let response = b"2 FETCH (UID 65 FLAGS (\\Seen \\Recent) EMAILID (M1) ENVELOPE (\"Mon\" \"a \\\"b\\\" (c)\" NIL) X {3}\r\n) ()\r\n";
        let values = values(response);
        assert_eq!((values[0].text(), values[1].text()), ("2", "FETCH"));
        let fetched = Fetched::read(values[2].list());
        assert_eq!(fetched.uid, Some(65));
        assert_eq!(fetched.flags, Some(BTreeSet::from(["\\Seen".to_owned()])));
        assert_eq!(fetched.email_id.as_deref(), Some("M1"));
        assert_eq!(fetched.subject.as_deref(), Some("a \"b\" (c)"));
    }

    #[test]
    fn what_is_no_response_ends_quietly() {
        for response in [&b"("[..], b"\"", b"{9}\r\nab", b"{x}\r\n", b")", &b"(".repeat(100_000)] {
            values(response);
        }
    }
}
