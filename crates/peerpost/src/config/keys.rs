//! The known keys, and where each stands in the file.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::Mistake;

/// Every section with its keys. `tests.rs` holds a file that uses them all.
const SECTIONS: &[(&str, &[&str])] = &[
    ("node", &["name", "data"]),
    ("cluster", &["listen", "advertise", "ack"]),
    ("imap", &["listen", "listen_tls"]),
    ("pop3", &["listen", "listen_tls"]),
    ("lmtp", &["listen"]),
    ("console", &["listen"]),
    ("tls", &["certificate", "key"]),
    ("auth", &["plaintext"]),
    ("limits", &["append_bytes", "command_messages", "line_bytes", "sessions", "idle_seconds"]),
    ("history", &["retention_days"]),
    ("uid", &["on_reorder", "reissue_limit"]),
];

/// The same of sections within sections.
const INNER_SECTIONS: &[(&str, &[&str])] = &[(
    "auth.oauth",
    &[
        "issuer",
        "audience",
        "scope",
        "username_claim",
        "introspection_url",
        "client_id",
        "client_secret_file",
        "jwks_url",
        "jwks_file",
        "ca_certificate",
        "openid_configuration",
    ],
)];

/// The line of each section (`imap`) and key (`imap.listen`) that the file has.
#[derive(Debug, Default)]
pub(super) struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// The line of a key; of its section where the key is left out; else the first.
    pub(super) fn of(&self, key: &str) -> usize {
        let section = key.rsplit_once('.').map_or(key, |(section, _)| section);
        self.0.get(key).or_else(|| self.0.get(section)).copied().unwrap_or(1)
    }
}

/// Refuses what is not TOML and every key that is not known.
pub(super) fn check(text: &str) -> Result<Lines, Mistake> {
    let document = DeTable::parse(text).map_err(|error| mistake(text, &error))?;
    let mut lines = Lines::default();
    for (section, content) in document.get_ref().iter() {
        let name = section.get_ref().as_ref();
        let line = line_at(text, section.span().start);
        let Some((_, known)) = SECTIONS.iter().find(|(section, _)| *section == name) else {
            let what = if matches!(content.get_ref(), DeValue::Table(_)) { "section" } else { "key" };
            let nearest = nearest(name, SECTIONS.iter().map(|(section, _)| *section));
            return Err(unknown(line, &format!("unknown {what} `{}`", name.escape_debug()), nearest));
        };
        lines.0.insert(name.to_owned(), line);
        let DeValue::Table(entries) = content.get_ref() else {
            return Err(Mistake { line, message: format!("`{name}` is a section: write it as [{name}]") });
        };
        check_section(text, (name, known), entries, &mut lines)?;
    }
    Ok(lines)
}

fn check_section(
    text: &str,
    (name, known): (&str, &[&str]),
    entries: &DeTable<'_>,
    lines: &mut Lines,
) -> Result<(), Mistake> {
    for (key, value) in entries.iter() {
        let line = line_at(text, key.span().start);
        let key = key.get_ref().as_ref();
        let path = format!("{name}.{key}");
        match (INNER_SECTIONS.iter().find(|(section, _)| *section == path), value.get_ref()) {
            (Some((_, known)), DeValue::Table(entries)) => {
                check_section(text, (&path, known), entries, lines)?;
            }
            (Some(_), _) => {
                return Err(Mistake { line, message: format!("`{key}` is a section: write it as [{path}]") });
            }
            (None, _) if known.contains(&key) => {}
            (None, _) => {
                let what = format!("unknown key `{}` in [{name}]", key.escape_debug());
                return Err(unknown(line, &what, nearest(key, known.iter().copied())));
            }
        }
        lines.0.insert(path, line);
    }
    Ok(())
}

/// What the TOML reader said, with the line it said it of.
pub(super) fn mistake(text: &str, error: &toml::de::Error) -> Mistake {
    let line = line_at(text, error.span().map_or(0, |span| span.start));
    Mistake { line, message: error.message().to_owned() }
}

fn unknown(line: usize, what: &str, nearest: &str) -> Mistake {
    Mistake { line, message: format!("{what}; the nearest known one is `{nearest}`") }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// The known name with the fewest letters to change; the first of those where several are equal.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    known.min_by_key(|candidate| strsim::damerau_levenshtein(name, candidate)).unwrap_or_default()
}
