//! SEARCH: its result options, charset and keys.

use jiff::civil::Date;
use mailstore::crdt::flag::Flag;
use mailstore::crdt::identity::Uid;
use message::Charset;

use crate::command::{Bound, NumberSet, Search, SearchCharset, SearchKey, SearchReturn};

use super::super::cursor::{Cursor, Expected, Read, flag};
use super::super::{DEEPEST_SEARCH, MOST_SEARCH_KEYS};
use super::partial_range;

/// `search` of RFC 9051 section 9.
pub(super) fn search(cursor: &mut Cursor<'_>, uid: bool) -> Read<Search> {
    let mut returned = None;
    if cursor.accept_word("RETURN ") {
        returned = Some(return_options(cursor)?);
        cursor.space()?;
    }
    let mut charset = TextCharset::default();
    if cursor.accept_word("CHARSET ") {
        charset = TextCharset::named(&cursor.text("a charset")?);
        cursor.space()?;
    }
    Ok(Search { returned, ..program(cursor, uid, charset)? })
}

/// The keys, which SORT and THREAD take as well.
pub(super) fn program(cursor: &mut Cursor<'_>, uid: bool, charset: TextCharset) -> Read<Search> {
    let mut keys = Keys { charset, count: 0 };
    let mut all = vec![keys.key(cursor, 0)?];
    while cursor.peek() == Some(b' ') {
        cursor.space()?;
        if cursor.is_at_end() {
            break;
        }
        all.push(keys.key(cursor, 0)?);
    }
    Ok(Search { uid, returned: None, charset: keys.charset.into(), key: together(all) })
}

/// What the texts of a search come in.
#[derive(Debug, Default)]
pub(in super::super) enum TextCharset {
    /// UTF-8, as nothing was said of it.
    #[default]
    Unstated,
    Known(Charset),
    Unknown(String),
}

impl TextCharset {
    /// The charset of this name.
    pub(in super::super) fn named(name: &str) -> Self {
        Charset::named(name).map_or_else(|| TextCharset::Unknown(name.to_owned()), TextCharset::Known)
    }

    /// The text of these octets; `None` where they are none. In a charset that is not known they mean nothing, and are not
    /// looked at.
    pub(in super::super) fn text(&self, octets: &[u8]) -> Option<String> {
        match self {
            TextCharset::Unstated => Charset::UTF_8.decode(octets),
            TextCharset::Known(charset) => charset.decode(octets),
            TextCharset::Unknown(_) => Some(String::from_utf8_lossy(octets).into_owned()),
        }
    }
}

impl From<TextCharset> for SearchCharset {
    fn from(charset: TextCharset) -> Self {
        match charset {
            TextCharset::Unstated => SearchCharset::Unstated,
            TextCharset::Known(_) => SearchCharset::Supported,
            TextCharset::Unknown(name) => SearchCharset::Unsupported(name),
        }
    }
}

/// Keys side by side; a single one stands for itself.
pub(in super::super) fn together(mut keys: Vec<SearchKey>) -> SearchKey {
    match (keys.pop(), keys.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            keys.extend(last);
            SearchKey::And(keys)
        }
    }
}

/// What stands between the parentheses of RETURN, for SEARCH and SORT.
pub(super) fn return_options(cursor: &mut Cursor<'_>) -> Read<SearchReturn> {
    let mut returned = SearchReturn::default();
    cursor.list(|cursor| {
        match cursor.word("a result option")?.as_str() {
            "SAVE" => returned.save = true,
            "PARTIAL" if returned.partial.is_none() => {
                cursor.space()?;
                returned.partial = Some(partial_range(cursor)?);
            }
            "MIN" => returned.min = true,
            "MAX" => returned.max = true,
            "ALL" => returned.all = true,
            "COUNT" => returned.count = true,
            other => return Err(Expected::Rule(format!("SEARCH has no result option {other} here").into())),
        }
        Ok(())
    })?;
    if returned == SearchReturn::default() {
        returned.all = true;
    }
    if returned.all && returned.partial.is_some() {
        return Err(Expected::Rule("PARTIAL and ALL exclude each other".into()));
    }
    Ok(returned)
}

/// What all keys of one SEARCH share.
struct Keys {
    charset: TextCharset,
    count: usize,
}

impl Keys {
    /// `search-key`
    fn key(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Read<SearchKey> {
        self.count += 1;
        if depth >= DEEPEST_SEARCH || self.count > MOST_SEARCH_KEYS {
            let limit = format!(
                "A SEARCH may be nested {DEEPEST_SEARCH} deep and have {MOST_SEARCH_KEYS} keys at most"
            );
            return Err(Expected::Rule(limit.into()));
        }
        match cursor.peek() {
            Some(b'(') => {
                let keys = cursor.list(|cursor| self.key(cursor, depth + 1))?;
                if keys.is_empty() { Err(Expected::Grammar("a search key")) } else { Ok(together(keys)) }
            }
            Some(b'$') if cursor.accept(b'$') => Ok(SearchKey::Saved),
            Some(b'0'..=b'9' | b'*') => Ok(SearchKey::Sequence(cursor.number_set()?)),
            _ => {
                let name = cursor.word("a search key")?;
                if let Some(key) = plain(&name) {
                    return Ok(key);
                }
                if !TAKE_ARGUMENTS.contains(&name.as_str()) {
                    let name: String = name.chars().take(40).collect();
                    return Err(Expected::Rule(format!("There is no search key {name}").into()));
                }
                cursor.space()?;
                self.with_argument(cursor, &name, depth)
            }
        }
    }

    fn with_argument(&mut self, cursor: &mut Cursor<'_>, name: &str, depth: usize) -> Read<SearchKey> {
        Ok(match name {
            "NOT" => not(self.key(cursor, depth + 1)?),
            "OR" => {
                let first = self.key(cursor, depth + 1)?;
                cursor.space()?;
                SearchKey::Or(Box::new(first), Box::new(self.key(cursor, depth + 1)?))
            }
            "UID" if cursor.accept(b'$') => SearchKey::Saved,
            "UID" => SearchKey::Uid(cursor.number_set()?),
            "UIDAFTER" => uids_after(cursor.positive("a UID")?.get()),
            "UIDBEFORE" => uids_before(cursor.positive("a UID")?.get()),
            "KEYWORD" => keyword(cursor.atom("a keyword")?)?,
            "UNKEYWORD" => not(keyword(cursor.atom("a keyword")?)?),
            "LARGER" => SearchKey::Larger(cursor.number64("a number of octets")?),
            "SMALLER" => SearchKey::Smaller(cursor.number64("a number of octets")?),
            "BEFORE" => SearchKey::Before(date(cursor)?),
            "ON" => SearchKey::On(date(cursor)?),
            "SINCE" => SearchKey::Since(date(cursor)?),
            "OLDER" => SearchKey::Older(cursor.positive("a number of seconds, not 0")?),
            "YOUNGER" => SearchKey::Younger(cursor.positive("a number of seconds, not 0")?),
            "SAVEDBEFORE" => SearchKey::SavedBefore(date(cursor)?),
            "SAVEDON" => SearchKey::SavedOn(date(cursor)?),
            "SAVEDSINCE" => SearchKey::SavedSince(date(cursor)?),
            "SENTBEFORE" => SearchKey::SentBefore(date(cursor)?),
            "SENTON" => SearchKey::SentOn(date(cursor)?),
            "SENTSINCE" => SearchKey::SentSince(date(cursor)?),
            "HEADER" => {
                let name = cursor.text("the name of a header field")?;
                cursor.space()?;
                SearchKey::Header { name, text: self.text(cursor)? }
            }
            "BODY" => SearchKey::Body(self.text(cursor)?),
            "TEXT" => SearchKey::Text(self.text(cursor)?),
            "MODSEQ" => modseq(cursor)?,
            "EMAILID" => SearchKey::EmailId(cursor.text("an object id")?),
            "THREADID" => SearchKey::ThreadId(cursor.text("an object id")?),
            field => SearchKey::Header { name: field_name(field).to_owned(), text: self.text(cursor)? },
        })
    }

    /// A text to look for.
    fn text(&self, cursor: &mut Cursor<'_>) -> Read<String> {
        let octets = cursor.astring("a text")?;
        self.charset.text(&octets).ok_or(Expected::Rule("Expected a text in its charset".into()))
    }
}

const TAKE_ARGUMENTS: [&str; 31] = [
    "BCC",
    "BEFORE",
    "BODY",
    "CC",
    "EMAILID",
    "FROM",
    "HEADER",
    "KEYWORD",
    "LARGER",
    "MODSEQ",
    "NOT",
    "OLDER",
    "ON",
    "OR",
    "SAVEDBEFORE",
    "SAVEDON",
    "SAVEDSINCE",
    "SENTBEFORE",
    "SENTON",
    "SENTSINCE",
    "SINCE",
    "SMALLER",
    "SUBJECT",
    "TEXT",
    "THREADID",
    "TO",
    "UID",
    "UIDAFTER",
    "UIDBEFORE",
    "UNKEYWORD",
    "YOUNGER",
];

/// The keys that are one word.
fn plain(name: &str) -> Option<SearchKey> {
    Some(match name {
        // RFC 8514: every mailbox keeps save dates.
        "ALL" | "SAVEDATESUPPORTED" => SearchKey::All,
        "ANSWERED" => SearchKey::Flag(Flag::Answered),
        "DELETED" => SearchKey::Flag(Flag::Deleted),
        "DRAFT" => SearchKey::Flag(Flag::Draft),
        "FLAGGED" => SearchKey::Flag(Flag::Flagged),
        "SEEN" => SearchKey::Flag(Flag::Seen),
        "UNANSWERED" => not(SearchKey::Flag(Flag::Answered)),
        "UNDELETED" => not(SearchKey::Flag(Flag::Deleted)),
        "UNDRAFT" => not(SearchKey::Flag(Flag::Draft)),
        "UNFLAGGED" => not(SearchKey::Flag(Flag::Flagged)),
        "UNSEEN" => not(SearchKey::Flag(Flag::Seen)),
        "RECENT" => SearchKey::Recent,
        "OLD" => not(SearchKey::Recent),
        "NEW" => SearchKey::And(vec![SearchKey::Recent, not(SearchKey::Flag(Flag::Seen))]),
        _ => return None,
    })
}

/// The header field that a key such as FROM is about.
pub(in super::super) fn field_name(key: &str) -> &'static str {
    match key {
        "BCC" => "Bcc",
        "CC" => "Cc",
        "FROM" => "From",
        "TO" => "To",
        _ => "Subject",
    }
}

pub(in super::super) fn not(key: SearchKey) -> SearchKey {
    SearchKey::Not(Box::new(key))
}

pub(in super::super) fn keyword(name: &str) -> Read<SearchKey> {
    match flag(name)? {
        Some(flag) => Ok(SearchKey::Flag(flag)),
        None => Err(Expected::Grammar("a keyword")),
    }
}

/// UIDAFTER (RFC 9738): UIDs above this one. Unlike in a set with `*`, the last message is not among them if it is not above.
fn uids_after(uid: u32) -> SearchKey {
    uids(uid.checked_add(1), Some(u32::MAX))
}

/// UIDBEFORE (RFC 9738): UIDs below this one.
fn uids_before(uid: u32) -> SearchKey {
    uids(Some(1), uid.checked_sub(1))
}

fn uids(first: Option<u32>, last: Option<u32>) -> SearchKey {
    let ends = first.zip(last).filter(|(first, last)| first <= last);
    let range = ends.map(|(first, last)| (Bound::Number(Uid(first)), Bound::Number(Uid(last))));
    match range.and_then(|range| NumberSet::new(vec![range])) {
        Some(set) => SearchKey::Uid(set),
        None => not(SearchKey::All),
    }
}

/// `search-modsequence` of RFC 7162 section 7: `MODSEQ [entry SP type SP] number`.
fn modseq(cursor: &mut Cursor<'_>) -> Read<SearchKey> {
    if cursor.peek() == Some(b'"') {
        cursor.astring("the name of an entry")?;
        cursor.space()?;
        match cursor.word("priv, shared or all")?.as_str() {
            "PRIV" | "SHARED" | "ALL" => cursor.space()?,
            _ => return Err(Expected::Grammar("priv, shared or all")),
        }
    }
    Ok(SearchKey::Modseq(cursor.number64("a mod-sequence")?))
}

/// `date`: `1-Feb-1994`, in quotes or not.
fn date(cursor: &mut Cursor<'_>) -> Read<Date> {
    const EXPECTED: Expected = Expected::Grammar("a date such as 1-Feb-1994");
    let text = cursor.astring("a date such as 1-Feb-1994")?;
    let text = std::str::from_utf8(&text).map_err(|_| EXPECTED)?;
    parse_date(text).ok_or(EXPECTED)
}

fn parse_date(text: &str) -> Option<Date> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let digits =
        |text: &str, most: usize| text.len() <= most && text.bytes().all(|octet| octet.is_ascii_digit());
    let mut parts = text.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !digits(day, 2) || !digits(year, 4) || year.len() != 4 {
        return None;
    }
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
    Date::new(year.parse().ok()?, i8::try_from(month).ok()? + 1, day.parse().ok()?).ok()
}
