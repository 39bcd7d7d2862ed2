//! Responses as values.

/// One value of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A word as it stands, with what it has in brackets: `FLAGS`, `12`, `BODY[HEADER.FIELDS (DATE)]`.
    Word(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// What stands in parentheses.
    List(Vec<Value>),
}

impl Value {
    /// The text of a word or a string.
    pub fn text(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::List(values) => {
                format!("({})", values.iter().map(Self::text).collect::<Vec<_>>().join(" "))
            }
        }
    }

    /// The number that a word is.
    pub fn number(&self) -> Option<u32> {
        self.text().parse().ok()
    }

    /// The values in parentheses; none for anything else.
    pub fn list(&self) -> &[Value] {
        match self {
            Self::List(values) => values,
            Self::Word(_) | Self::Text(_) => &[],
        }
    }
}

/// Splits one response, its literals in line, into values. Panics on what no server may send.
#[track_caller]
pub fn parse(bytes: &[u8]) -> Vec<Value> {
    let mut rest = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
    let values = parse_list(&mut rest);
    assert!(rest.is_empty(), "more ) than ( in {}", String::from_utf8_lossy(bytes));
    values
}

/// Up to the closing parenthesis, which stays, or the end.
fn parse_list(rest: &mut &[u8]) -> Vec<Value> {
    let mut values = Vec::new();
    while let Some(&first) = rest.first() {
        match first {
            b' ' => *rest = &rest[1..],
            b')' => break,
            b'(' => {
                *rest = &rest[1..];
                values.push(Value::List(parse_list(rest)));
                assert_eq!(rest.first(), Some(&b')'), "a ( without its )");
                *rest = &rest[1..];
            }
            b'"' => values.push(Value::Text(parse_quoted(rest))),
            b'{' | b'~' if literal_length_ahead(rest).is_some() => {
                let (start, length) = literal_length_ahead(rest).unwrap();
                values.push(Value::Text(rest[start..start + length].to_vec()));
                *rest = &rest[start + length..];
            }
            _ => values.push(Value::Word(parse_word(rest))),
        }
    }
    values
}

fn parse_quoted(rest: &mut &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut bytes = rest.iter().enumerate().skip(1);
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'"' => {
                *rest = &rest[at + 1..];
                return text;
            }
            b'\\' => text.extend(bytes.next().map(|(_, byte)| *byte)),
            _ => text.push(byte),
        }
    }
    panic!("a quoted string without end in {}", String::from_utf8_lossy(rest));
}

fn parse_word(rest: &mut &[u8]) -> String {
    let mut depth = 0_usize;
    let end = rest.iter().position(|byte| {
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            b' ' | b'(' | b')' => return depth == 0,
            _ => {}
        }
        false
    });
    let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = after;
    String::from_utf8_lossy(word).into_owned()
}

/// Where the octets of a literal start, and how many they are; the literal's `{n}` stands at the start.
fn literal_length_ahead(bytes: &[u8]) -> Option<(usize, usize)> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let digits = line.strip_prefix(b"~").unwrap_or(line).strip_prefix(b"{")?.strip_suffix(b"}\r")?;
    Some((line.len() + 1, std::str::from_utf8(digits).ok()?.parse().ok()?))
}

/// The length of the literal that a line, with its CRLF, announces at its end.
pub fn literal_at_end(line: &[u8]) -> Option<usize> {
    let before = line.strip_suffix(b"}\r\n")?;
    let digits = &before[before.iter().rposition(|byte| *byte == b'{')? + 1..];
    std::str::from_utf8(digits).ok()?.parse().ok()
}
