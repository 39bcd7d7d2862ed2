//! The messages that were found, and how they are told: `* SEARCH`, `* SORT` and `* ESEARCH`.

use mailstore::crdt::identity::{Uid, Validity};

use super::super::numbers::sequence;
use super::super::put::{self, put};
use crate::command::{PartialRange, SearchReturn, Tag};
use crate::mailbox_name::NameEncoding;

/// A message that was found; messages compare by their place in the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) place: usize,
    pub(super) uid: Uid,
    pub(super) modseq: u64,
}

impl Found {
    /// The number that the client is told of it.
    pub(super) fn number(&self, uid: bool) -> u32 {
        if uid { self.uid.0 } else { sequence(self.place) }
    }
}

/// What is to be told, and by which numbers.
pub(super) struct Report {
    pub(super) uid: bool,
    pub(super) returned: Option<SearchReturn>,
    /// Whether the client asked by MODSEQ, so that the highest one is told (RFC 7162 section 3.1.5).
    pub(super) asks_modseq: bool,
    /// Where the messages are, if that is told.
    pub(super) correlator: Option<Correlator>,
}

/// Which mailbox `* ESEARCH` is about (RFC 7377 section 2.1).
pub(super) struct Correlator {
    pub(super) mailbox: String,
    pub(super) validity: Validity,
    /// How the client spells names.
    pub(super) names: NameEncoding,
}

impl Report {
    /// Appends `* SEARCH` or `* SORT` (RFC 5256 section 4), whichever is named; where the command had RETURN, `* ESEARCH` with
    /// the messages in their order (RFC 5267 section 3).
    pub(super) fn write(&self, name: &str, tag: &Tag, found: &[Found], out: &mut Vec<u8>) {
        match self.returned {
            None => self.write_list(name, found, out),
            // RFC 5182 section 2.1: SAVE alone is answered by nothing.
            Some(returned) if returned == (SearchReturn { save: true, ..SearchReturn::default() }) => return,
            Some(returned) => self.write_extended(returned, tag, found, out),
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_list(&self, name: &str, found: &[Found], out: &mut Vec<u8>) {
        put!(out, "* {name}");
        for message in found {
            out.push(b' ');
            put::number(message.number(self.uid).into(), out);
        }
        if let Some(highest) = self.highest(found.iter()) {
            put!(out, " (MODSEQ {highest})");
        }
    }

    /// `* ESEARCH` (RFC 4731 section 3.1); of no message neither MIN nor MAX nor ALL is told.
    fn write_extended(&self, returned: SearchReturn, tag: &Tag, found: &[Found], out: &mut Vec<u8>) {
        out.extend_from_slice(b"* ESEARCH (TAG ");
        crate::encode::string(tag.as_str().as_bytes(), out);
        if let Some(Correlator { mailbox, validity, names }) = &self.correlator {
            out.extend_from_slice(b" MAILBOX ");
            crate::encode::mailbox(mailbox, *names, out);
            put!(out, " UIDVALIDITY {validity}");
        }
        out.push(b')');
        if self.uid {
            out.extend_from_slice(b" UID");
        }
        if let (Some(first), Some(last)) = (found.first(), found.last()) {
            if returned.min {
                put!(out, " MIN {}", first.number(self.uid));
            }
            if returned.max {
                put!(out, " MAX {}", last.number(self.uid));
            }
            if returned.all {
                out.extend_from_slice(b" ALL ");
                put::set(found.iter().map(|message| message.number(self.uid)), out);
            }
        }
        if let Some(partial) = returned.partial {
            self.write_partial(&partial, found, out);
        }
        if returned.count {
            put!(out, " COUNT {}", found.len());
        }
        if let Some(highest) = self.highest(meant(returned, found)) {
            put!(out, " MODSEQ {highest}");
        }
    }

    /// `PARTIAL (range set)` (RFC 9394 section 3.1), the range as the client wrote it.
    fn write_partial(&self, partial: &PartialRange, found: &[Found], out: &mut Vec<u8>) {
        let sign = if partial.from_last { "-" } else { "" };
        put!(out, " PARTIAL ({sign}{}:{sign}{} ", partial.start, partial.end);
        match found.get(partial.places(found.len())).unwrap_or_default() {
            [] => out.extend_from_slice(b"NIL"),
            part => put::set(part.iter().map(|message| message.number(self.uid)), out),
        }
        out.push(b')');
    }

    fn highest<'a>(&self, found: impl Iterator<Item = &'a Found>) -> Option<u64> {
        if self.asks_modseq { found.map(|message| message.modseq).max() } else { None }
    }
}

/// The messages that result options are about, of which SAVE keeps the UIDs (RFC 5182 section 2.1, RFC 9394 section 3.2)
/// and MODSEQ tells the highest (RFC 4731 section 3.2): all with ALL or COUNT, else those of MIN, MAX and PARTIAL; without
/// any of these all.
pub(super) fn meant(returned: SearchReturn, found: &[Found]) -> impl Iterator<Item = &Found> {
    let SearchReturn { min, max, all, count, save: _, partial } = returned;
    let every = all || count || !(min || max || partial.is_some());
    let part = match (every, partial) {
        (true, _) => 0..found.len(),
        (false, Some(partial)) => partial.places(found.len()),
        (false, None) => 0..0,
    };
    let first = found.first().filter(|_| min && !every);
    let last = found.last().filter(|_| max && !every);
    found.get(part).unwrap_or_default().iter().chain(first).chain(last)
}
