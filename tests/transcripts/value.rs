//! Responses of an IMAP server as values.

/// One value of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A word as it stands, with what it has in brackets: `FLAGS`, `12`, `BODY[HEADER.FIELDS (DATE)]`.
    Word(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// What stands in parentheses.
    List(Vec<Value>),
    /// The response code of a status response, in brackets.
    Code(Vec<Value>),
}

impl Value {
    /// Whether it is this word, in whatever case.
    pub fn is_word(&self, wanted: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(wanted))
    }

    /// The text of a word or a string.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word.clone()),
            Self::Text(octets) => Some(String::from_utf8_lossy(octets).into_owned()),
            Self::List(_) | Self::Code(_) => None,
        }
    }
}

/// What a status response is called (RFC 9051 section 7.1).
pub const STATUSES: [&str; 5] = ["OK", "NO", "BAD", "BYE", "PREAUTH"];

/// Splits one response, its literals in line and without its last line end, into values. The words that people read after a
/// status are left out.
///
/// # Errors
/// Where it is no response.
pub fn parse(octets: &[u8]) -> Result<Vec<Value>, String> {
    let mut reader = Reader { rest: octets };
    if let Some(text) = octets.strip_prefix(b"+") {
        let text = String::from_utf8_lossy(text).trim_start().to_owned();
        let text = (!text.is_empty()).then_some(Value::Word(text));
        return Ok([Value::Word("+".to_owned())].into_iter().chain(text).collect());
    }
    let start = [reader.next()?, reader.next()?];
    let mut values: Vec<Value> = start.into_iter().flatten().collect();
    let is_status = values.get(1).is_some_and(|word| STATUSES.iter().any(|status| word.is_word(status)));
    if is_status {
        reader.skip_spaces();
        if reader.rest.first() == Some(&b'[') {
            reader.take();
            values.push(Value::Code(reader.until(b']')?));
        }
        return Ok(values);
    }
    while let Some(value) = reader.next()? {
        values.push(value);
    }
    Ok(values)
}

/// The length of the literal that a line, without its CRLF, announces at its end.
pub fn literal_at_end(line: &[u8]) -> Option<usize> {
    let before = line.strip_suffix(b"}")?;
    let start = before.iter().rposition(|octet| *octet == b'{')?;
    std::str::from_utf8(before.get(start + 1..)?).ok()?.parse().ok()
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip_spaces(&mut self) {
        while self.rest.first() == Some(&b' ') {
            self.take();
        }
    }

    fn next(&mut self) -> Result<Option<Value>, String> {
        self.skip_spaces();
        match self.rest.first() {
            None => Ok(None),
            Some(b'(') => {
                self.take();
                Ok(Some(Value::List(self.until(b')')?)))
            }
            Some(b')') => Err("more ) than (".to_owned()),
            Some(b'"') => Ok(Some(Value::Text(self.quoted()?))),
            Some(b'{' | b'~') if literal_ahead(self.rest).is_some() => Ok(Some(Value::Text(self.literal()?))),
            Some(_) => Ok(Some(Value::Word(self.word()))),
        }
    }

    fn until(&mut self, end: u8) -> Result<Vec<Value>, String> {
        let mut values = Vec::new();
        loop {
            self.skip_spaces();
            if self.rest.first() == Some(&end) {
                self.take();
                return Ok(values);
            }
            if end == b']' && !matches!(self.rest.first(), Some(b'(' | b'"' | b'{')) {
                values.push(Value::Word(self.word_in_code()?));
                continue;
            }
            values.push(self.next()?.ok_or_else(|| format!("no {} in the end", char::from(end)))?);
        }
    }

    fn quoted(&mut self) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        self.take();
        loop {
            match self.take().ok_or("a quoted string without end")? {
                b'"' => return Ok(text),
                b'\\' => text.extend(self.take()),
                octet => text.push(octet),
            }
        }
    }

    fn literal(&mut self) -> Result<Vec<u8>, String> {
        let (start, length) = literal_ahead(self.rest).ok_or("a literal")?;
        let octets = self.rest.get(start..start + length).ok_or("a whole literal")?.to_vec();
        self.rest = self.rest.get(start + length..).unwrap_or_default();
        Ok(octets)
    }

    fn word(&mut self) -> String {
        let mut depth = 0_usize;
        let end = self.rest.iter().position(|octet| {
            match octet {
                b'[' => depth += 1,
                b']' => depth = depth.saturating_sub(1),
                b' ' | b'(' | b')' => return depth == 0,
                _ => {}
            }
            false
        });
        self.split(end.unwrap_or(self.rest.len()))
    }

    fn word_in_code(&mut self) -> Result<String, String> {
        let end = self.rest.iter().position(|octet| b" ]()".contains(octet));
        match end.ok_or("a response code without end")? {
            0 => Err("more ) than ( in a response code".to_owned()),
            end => Ok(self.split(end)),
        }
    }

    fn split(&mut self, end: usize) -> String {
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        String::from_utf8_lossy(word).into_owned()
    }
}

/// Where the octets of a literal start, and how many they are; its `{n}` stands at the start.
fn literal_ahead(octets: &[u8]) -> Option<(usize, usize)> {
    let line = octets.split(|octet| *octet == b'\n').next()?;
    let digits = line.strip_prefix(b"~").unwrap_or(line).strip_prefix(b"{")?.strip_suffix(b"}\r")?;
    Some((line.len() + 1, std::str::from_utf8(digits).ok()?.parse().ok()?))
}
