//! Message identifiers of `Message-ID`, `In-Reply-To` and `References` as threads compare them (RFC 5256 section 3).

use crate::envelope::Envelope;
use crate::header::is_space;
use crate::limits::{MESSAGE_ID_OCTETS_MAX, REFERENCES_MAX};

/// A message identifier without its brackets, quoting and white space: two that mean the same are equal
/// (RFC 5256 section 3: "normalized").
pub type MessageId = Vec<u8>;

impl Envelope {
    /// The identifier of the message; `None` where it has none that is valid.
    pub fn own_id(&self) -> Option<MessageId> {
        let value = self.message_id.as_deref()?;
        Ids::new(value).next().or_else(|| bare(value))
    }

    /// The messages that this one refers to, eldest first: those of `References`, or else the first of `In-Reply-To`. The
    /// last [`REFERENCES_MAX`] at most.
    pub fn referred_ids(&self) -> Vec<MessageId> {
        let mut referred: Vec<MessageId> = Ids::new(self.references.as_deref().unwrap_or_default()).collect();
        if referred.is_empty() {
            referred.extend(Ids::new(self.in_reply_to.as_deref().unwrap_or_default()).next());
        }
        referred.drain(..referred.len().saturating_sub(REFERENCES_MAX));
        referred
    }
}

/// The identifiers in angle brackets; what stands between them (phrases, comments) is passed over.
struct Ids<'a> {
    rest: &'a [u8],
    /// Whether quotes mean something: no longer once one was not closed, so that each octet is looked at three times at most.
    quoting: bool,
}

impl<'a> Ids<'a> {
    fn new(value: &'a [u8]) -> Self {
        Ids { rest: value, quoting: true }
    }
}

impl Iterator for Ids<'_> {
    type Item = MessageId;

    fn next(&mut self) -> Option<MessageId> {
        loop {
            let start = self.rest.iter().position(|octet| *octet == b'<')?;
            let inner = self.rest.get(start + 1..)?;
            let read = if self.quoting { bracketed(inner, true) } else { None };
            self.quoting = read.is_some();
            let (id, length) = read.or_else(|| bracketed(inner, false))?;
            self.rest = inner.get(length..)?;
            if is_valid(&id) {
                return Some(id);
            }
        }
    }
}

/// What stands before the closing bracket, and the octets read. Another opening bracket begins anew.
fn bracketed(inner: &[u8], quoting: bool) -> Option<(MessageId, usize)> {
    let (mut id, mut quoted) = (MessageId::new(), false);
    let mut octets = inner.iter().copied().enumerate();
    while let Some((place, octet)) = octets.next() {
        match octet {
            b'"' if quoting => quoted = !quoted,
            b'\\' if quoted => id.extend(octets.next().map(|(_, octet)| octet)),
            _ if quoted => id.push(octet),
            b'>' => return Some((id, place + 1)),
            b'<' => id.clear(),
            octet if is_space(octet) => {}
            octet => id.push(octet),
        }
    }
    None
}

/// Some write `Message-ID` without brackets: one word.
fn bare(value: &[u8]) -> Option<MessageId> {
    let whole = !value.is_empty() && value.iter().all(u8::is_ascii_graphic) && !value.contains(&b'<');
    (whole && is_valid(value)).then(|| value.to_vec())
}

/// Identifiers without an `@` are met in the wild, and name a message as well.
fn is_valid(id: &[u8]) -> bool {
    (1..=MESSAGE_ID_OCTETS_MAX).contains(&id.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(id: &str, references: Option<&str>, in_reply_to: Option<&str>) -> Envelope {
        Envelope {
            message_id: Some(id.into()),
            references: references.map(Into::into),
            in_reply_to: in_reply_to.map(Into::into),
            ..Envelope::default()
        }
    }

    fn texts(ids: Vec<MessageId>) -> Vec<String> {
        ids.into_iter().map(|id| String::from_utf8(id).unwrap_or_default()).collect()
    }

    /// RFC 5256 section 3: `<"01KF8JCEOCBS0045PS"@xxx.yyy.com>` and `<01KF8JCEOCBS0045PS@xxx.yyy.com>` are one.
    #[test]
    fn identifiers_are_read_as_they_are_found() {
        for (value, expected) in [
            ("<a@b>", Some("a@b")),
            ("  <a@b> (comment <c@d>)", Some("a@b")),
            ("<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>", Some("01KF8JCEOCBS0045PS@xxx.yyy.com")),
            ("<\"a\\\"> b\"@c>", Some("a\"> b@c")),
            ("<a\"b@c>", Some("a\"b@c")),
            ("<a@\tb>", Some("a@b")),
            ("<<a@b>", Some("a@b")),
            ("<12345>", Some("12345")),
            ("<> <a@b>", Some("a@b")),
            ("a@b", Some("a@b")),
            ("a b@c", None),
            ("", None),
            ("<>", None),
            ("<a@b", None),
        ] {
            let id = envelope(value, None, None).own_id();
            assert_eq!(
                id.map(|id| String::from_utf8(id).unwrap_or_default()).as_deref(),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn the_first_of_in_reply_to_stands_in_for_references() {
        let both = envelope("<x@y>", Some("<a@b> junk<c@d>\t<a@b>"), Some("<e@f>"));
        assert_eq!(texts(both.referred_ids()), ["a@b", "c@d", "a@b"]);
        let reply = envelope("<x@y>", Some("none"), Some("message of Monday <e@f> <g@h>"));
        assert_eq!(texts(reply.referred_ids()), ["e@f"]);
        assert!(envelope("<x@y>", None, None).referred_ids().is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let many: String = (0..5000).map(|number| format!("<{number}@x>")).collect();
        let referred = texts(envelope("<x@y>", Some(&many), None).referred_ids());
        assert_eq!((referred.len(), referred.last().map(String::as_str)), (REFERENCES_MAX, Some("4999@x")));
        let long = format!("<{}>", "a".repeat(MESSAGE_ID_OCTETS_MAX + 1));
        assert_eq!(envelope(&long, None, None).own_id(), None);
    }

    /// A quote that is never closed was once looked for from each opening bracket on.
    #[test]
    fn unclosed_quotes_cost_little() {
        assert!(envelope("", Some(&"<\"a".repeat(20_000)), None).referred_ids().is_empty());
        let referred = envelope("", Some(&"<\\\">".repeat(16_000)), None).referred_ids();
        assert_eq!(referred.len(), REFERENCES_MAX);
    }
}
