//! Keys of SEARCH.

use imap_codec::imap_types::core::{AString, Charset};
use imap_codec::imap_types::datetime::NaiveDate;
use imap_codec::imap_types::search::SearchKey as Decoded;
use jiff::civil::Date;
use mailstore::crdt::flag::Flag;

use crate::command::{Search, SearchKey};

use super::super::MOST_SEARCH_KEYS;
use super::super::own::search::{TextCharset, keyword, not, together};

pub(super) fn search(charset: Option<&Charset<'_>>, criteria: &[Decoded<'_>], uid: bool) -> Option<Search> {
    let charset = charset.map_or_else(TextCharset::default, |charset| TextCharset::named(charset.as_ref()));
    let mut keys = Keys { charset, count: 0 };
    let key = keys.together(criteria)?;
    Some(Search { uid, returned: None, charset: keys.charset.into(), key })
}

/// What all keys of one SEARCH share. imap-codec bounds their depth, not their number.
struct Keys {
    charset: TextCharset,
    count: usize,
}

impl Keys {
    fn together(&mut self, keys: &[Decoded<'_>]) -> Option<SearchKey> {
        let keys: Option<Vec<SearchKey>> = keys.iter().map(|key| self.key(key)).collect();
        keys.map(together)
    }

    fn key(&mut self, key: &Decoded<'_>) -> Option<SearchKey> {
        self.count += 1;
        if self.count > MOST_SEARCH_KEYS {
            return None;
        }
        if let Some(key) = plain(key) {
            return Some(key);
        }
        Some(match key {
            Decoded::And(keys) => self.together(keys.as_ref())?,
            Decoded::Not(key) => not(self.key(key)?),
            Decoded::Or(first, second) => {
                SearchKey::Or(Box::new(self.key(first)?), Box::new(self.key(second)?))
            }
            Decoded::SequenceSet(set) => SearchKey::Sequence(super::number_set(set)?),
            Decoded::Uid(set) => SearchKey::Uid(super::number_set(set)?),
            Decoded::Keyword(name) => keyword(name.as_ref()).ok()?,
            Decoded::Unkeyword(name) => not(keyword(name.as_ref()).ok()?),
            Decoded::Larger(size) => SearchKey::Larger(u64::from(*size)),
            Decoded::Smaller(size) => SearchKey::Smaller(u64::from(*size)),
            Decoded::Before(date) => SearchKey::Before(date_of(date)?),
            Decoded::On(date) => SearchKey::On(date_of(date)?),
            Decoded::Since(date) => SearchKey::Since(date_of(date)?),
            Decoded::SentBefore(date) => SearchKey::SentBefore(date_of(date)?),
            Decoded::SentOn(date) => SearchKey::SentOn(date_of(date)?),
            Decoded::SentSince(date) => SearchKey::SentSince(date_of(date)?),
            Decoded::Bcc(text) => self.field("Bcc", text)?,
            Decoded::Cc(text) => self.field("Cc", text)?,
            Decoded::From(text) => self.field("From", text)?,
            Decoded::To(text) => self.field("To", text)?,
            Decoded::Subject(text) => self.field("Subject", text)?,
            Decoded::Header(name, text) => self.field(&super::text(name)?, text)?,
            Decoded::Body(text) => SearchKey::Body(self.text(text)?),
            Decoded::Text(text) => SearchKey::Text(self.text(text)?),
            Decoded::ModSequence { modseq, .. } => SearchKey::Modseq(super::mod_sequence(*modseq)?),
            _ => return None,
        })
    }

    fn field(&self, name: &str, text: &AString<'_>) -> Option<SearchKey> {
        Some(SearchKey::Header { name: name.to_owned(), text: self.text(text)? })
    }

    /// A text to look for.
    fn text(&self, text: &AString<'_>) -> Option<String> {
        self.charset.text(text.as_ref())
    }
}

/// The keys that are one word.
fn plain(key: &Decoded<'_>) -> Option<SearchKey> {
    Some(match key {
        Decoded::All => SearchKey::All,
        Decoded::Answered => SearchKey::Flag(Flag::Answered),
        Decoded::Deleted => SearchKey::Flag(Flag::Deleted),
        Decoded::Draft => SearchKey::Flag(Flag::Draft),
        Decoded::Flagged => SearchKey::Flag(Flag::Flagged),
        Decoded::Seen => SearchKey::Flag(Flag::Seen),
        Decoded::Unanswered => not(SearchKey::Flag(Flag::Answered)),
        Decoded::Undeleted => not(SearchKey::Flag(Flag::Deleted)),
        Decoded::Undraft => not(SearchKey::Flag(Flag::Draft)),
        Decoded::Unflagged => not(SearchKey::Flag(Flag::Flagged)),
        Decoded::Unseen => not(SearchKey::Flag(Flag::Seen)),
        Decoded::Recent => SearchKey::Recent,
        Decoded::Old => not(SearchKey::Recent),
        Decoded::New => SearchKey::And(vec![SearchKey::Recent, not(SearchKey::Flag(Flag::Seen))]),
        _ => return None,
    })
}

/// chrono writes dates as ISO 8601 does, and jiff reads that.
fn date_of(date: &NaiveDate) -> Option<Date> {
    date.as_ref().to_string().parse().ok()
}
