//! The corpus of odd messages: files that a person reads, in `crates/message/tests/corpus`.
//!
//! ```text
//! # A comment.
//!
//! = name-of-the-entry
//! for: what it stands for: a section, or the bug of a known program
//! > Subject: a line of the message, which ends with CRLF
//! >
//! > a line end of its own:\n\
//! subject: "a line of the message, which ends with CRLF"
//! [TEXT]: a line end of its own:\n
//! dovecot subject: NIL
//! because: why it answers so
//! ```
//!
//! Octets are written `\r \n \t \0 \xHH \\`, `\(1000*x)` is a thousand of them, and a line of the message that ends with `\` has no
//! line end. Lines that begin with two spaces go on with the value before them, after a space. A reason that begins with `@` names
//! one of `reasons.md`, which many entries share.

use std::path::Path;

/// One message and what is expected of it.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The file it stands in, without its ending.
    pub theme: String,
    /// Its name, alone in the corpus.
    pub name: String,
    /// What it stands for.
    pub stands_for: String,
    pub message: Vec<u8>,
    /// What is expected: a key and the octets of its value.
    pub expected: Vec<(String, Vec<u8>)>,
    /// Where other servers answer otherwise.
    pub differences: Vec<Difference>,
}

/// Another server's answer that differs from ours.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// The server, in lower case.
    pub server: String,
    /// What of the message: a key.
    pub key: String,
    /// What it answers.
    pub answer: Vec<u8>,
    /// Why that is no fault of ours.
    pub because: String,
}

/// Reads the whole corpus, in the order of the files' names. Panics where a file is not of the form.
pub fn read(directory: &Path) -> Vec<Entry> {
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("a directory that can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let mut entries = Vec::new();
    for path in paths {
        let theme = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        read_theme(&theme, &text, &mut entries);
    }
    entries
}

fn read_theme(theme: &str, text: &str, entries: &mut Vec<Entry>) {
    let first = entries.len();
    for (number, line) in joined(text) {
        let place = format!("{theme}.txt, line {number}");
        if let Some(name) = line.strip_prefix("= ") {
            let (theme, name) = (theme.to_owned(), name.to_owned());
            entries.push(Entry { theme, name, ..Entry::default() });
            continue;
        }
        let entry = entries.get_mut(first..).and_then(|entries| entries.last_mut());
        let entry = entry.unwrap_or_else(|| panic!("{place}: no entry has begun"));
        if line == ">" || line.starts_with("> ") {
            let octets = line.get(2..).unwrap_or_default();
            match octets.strip_suffix('\\').filter(|before| !ends_with_escape(before)) {
                Some(without_end) => entry.message.extend(unescape(without_end, &place)),
                None => entry.message.extend(unescape(&format!("{octets}\\r\\n"), &place)),
            }
            continue;
        }
        let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("{place}: {line:?} has no key"));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match (key, key.split_once(' ')) {
            ("for", _) => entry.stands_for = value.to_owned(),
            ("because", _) => match entry.differences.last_mut() {
                Some(difference) => difference.because = value.to_owned(),
                None => panic!("{place}: nothing differs"),
            },
            (_, Some((server @ ("dovecot" | "cyrus"), key))) => entry.differences.push(Difference {
                server: server.to_owned(),
                key: key.to_owned(),
                answer: unescape(value, &place),
                because: String::new(),
            }),
            _ => entry.expected.push((key.to_owned(), unescape(value, &place))),
        }
    }
}

/// The lines that say something, with their numbers; those that go on are joined to the ones before.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        match (line.strip_prefix("  "), lines.last_mut()) {
            (Some(more), Some((_, before))) => {
                before.push(' ');
                before.push_str(more.trim_start());
            }
            _ => lines.push((number, line.to_owned())),
        }
    }
    lines
}

/// Whether the last backslash of a line is itself escaped by this one before it.
fn ends_with_escape(before: &str) -> bool {
    before.bytes().rev().take_while(|octet| *octet == b'\\').count() % 2 == 1
}

/// The octets that a text stands for.
pub fn unescape(text: &str, place: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        octets.extend_from_slice(plain.as_bytes());
        let letter = escaped.chars().next().unwrap_or_else(|| panic!("{place}: a backslash at the end"));
        rest = &escaped[letter.len_utf8()..];
        match letter {
            'r' => octets.push(b'\r'),
            'n' => octets.push(b'\n'),
            't' => octets.push(b'\t'),
            '0' => octets.push(0),
            '\\' => octets.push(b'\\'),
            'x' => {
                let digits = rest.get(..2).unwrap_or_else(|| panic!("{place}: two digits after \\x"));
                octets
                    .push(u8::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("{place}: \\x{digits}")));
                rest = &rest[2..];
            }
            '(' => {
                let (inner, after) = rest.split_once(')').unwrap_or_else(|| panic!("{place}: no end of \\("));
                let (count, text) = inner.split_once('*').unwrap_or_else(|| panic!("{place}: \\({inner})"));
                let count: usize = count.parse().unwrap_or_else(|_| panic!("{place}: {count} times"));
                octets.extend(unescape(text, place).repeat(count));
                rest = after;
            }
            other => panic!("{place}: no escape \\{other}"),
        }
    }
    octets.extend_from_slice(rest.as_bytes());
    octets
}

/// Octets as the corpus writes them; text in UTF-8 stays readable, and long runs are cut short.
pub fn escape(octets: &[u8]) -> String {
    let mut text = String::new();
    for chunk in octets.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\r' => text.push_str("\\r"),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\0' => text.push_str("\\0"),
                '\\' => text.push_str("\\\\"),
                letter if letter.is_control() => {
                    let mut buffer = [0; 4];
                    for octet in letter.encode_utf8(&mut buffer).bytes() {
                        text.push_str(&format!("\\x{octet:02x}"));
                    }
                }
                letter => text.push(letter),
            }
        }
        for octet in chunk.invalid() {
            text.push_str(&format!("\\x{octet:02x}"));
        }
    }
    text
}
