//! Flags and keywords of a message (RFC 9051 section 2.3.2).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::rights::Rights;

/// The longest keyword that is kept, in octets.
pub const LONGEST_KEYWORD: usize = 128;
/// The most flags and keywords that one message carries, set or once set.
pub const MOST_FLAGS: usize = 128;

/// A system flag, or a keyword. Each is a register of its own, so that changes on two nodes unite.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Flag {
    /// `\Seen`
    Seen,
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Draft`
    Draft,
    /// A keyword such as `$Forwarded`.
    Keyword(Keyword),
}

impl Flag {
    /// The flag that IMAP spells this way; `None` for `\Recent`, unknown system flags and what is no atom.
    pub fn parse(text: &str) -> Option<Flag> {
        let Some(system) = text.strip_prefix('\\') else {
            return Keyword::new(text).map(Flag::Keyword);
        };
        let known = [Flag::Seen, Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Draft];
        known.into_iter().find(|flag| flag.as_str()[1..].eq_ignore_ascii_case(system))
    }

    /// The right that it takes to change it (RFC 4314 section 2.1).
    pub fn right(&self) -> Rights {
        match self {
            Flag::Seen => Rights::SEEN,
            Flag::Deleted => Rights::DELETE_MESSAGES,
            _ => Rights::WRITE,
        }
    }

    /// The flag as IMAP spells it.
    pub fn as_str(&self) -> &str {
        match self {
            Flag::Seen => "\\Seen",
            Flag::Answered => "\\Answered",
            Flag::Flagged => "\\Flagged",
            Flag::Deleted => "\\Deleted",
            Flag::Draft => "\\Draft",
            Flag::Keyword(keyword) => keyword.as_str(),
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a keyword: an IMAP atom of bounded length. Compared without regard to ASCII case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Keyword(Arc<str>);

impl Keyword {
    /// A keyword, unless the text is empty, too long or no atom (RFC 9051 section 9: `flag-keyword`).
    pub fn new(text: &str) -> Option<Self> {
        let atom = |byte: u8| byte.is_ascii_graphic() && !b"(){%*\"\\]".contains(&byte);
        let valid = !text.is_empty() && text.len() <= LONGEST_KEYWORD && text.bytes().all(atom);
        valid.then(|| Keyword(text.into()))
    }

    /// The name as it was first written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(other.folded())
    }
}

impl std::hash::Hash for Keyword {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.folded().for_each(|byte| byte.hash(state));
    }
}

impl TryFrom<String> for Keyword {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Keyword::new(&text).ok_or("a keyword is an IMAP atom of at most 128 octets")
    }
}

impl From<Keyword> for String {
    fn from(keyword: Keyword) -> String {
        keyword.0.as_ref().to_owned()
    }
}

/// How a STORE changes flags (RFC 9051 section 6.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlagChange {
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
    /// `FLAGS`
    Replace,
    /// `FLAGS`, by somebody who has these rights alone: flags that take another one stay as they are (RFC 4314 section 4).
    ReplaceWithin(Rights),
}

/// The flags that one message carries, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FlagSet(Vec<Flag>);

impl FlagSet {
    /// Whether the flag is set.
    pub fn contains(&self, flag: &Flag) -> bool {
        self.0.binary_search(flag).is_ok()
    }

    /// The flags, system flags first.
    pub fn iter(&self) -> std::slice::Iter<'_, Flag> {
        self.0.iter()
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are set.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<Flag> for FlagSet {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        let mut flags: Vec<Flag> = flags.into_iter().collect();
        flags.sort();
        flags.dedup();
        FlagSet(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_spelled_without_regard_to_case() {
        assert_eq!(Flag::parse("\\sEEN"), Some(Flag::Seen));
        assert_eq!(Flag::parse("\\Recent"), None);
        assert_eq!(Flag::parse("$Junk"), Flag::parse("$junk"));
        for bad in ["", "a b", "a\\b", "(", "x]", "\u{e9}"] {
            assert_eq!(Flag::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_set_is_sorted_and_without_repetition() {
        let set: FlagSet = [Flag::Draft, Flag::Seen, Flag::Draft].into_iter().collect();
        assert_eq!(set.len(), 2);
        assert!(set.contains(&Flag::Seen) && !set.contains(&Flag::Deleted));
    }
}
