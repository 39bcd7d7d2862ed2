//! URLs of messages on this server, as CATENATE takes them (RFC 4469 section 3, RFC 5092 section 7): relative ones, for
//! whoever is logged in.

use std::num::{NonZeroU32, NonZeroU64};

use crate::command::{Partial, Section};
use crate::decode;

/// What a URL points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageUrl {
    /// The mailbox; `None` for the selected one.
    pub mailbox: Option<String>,
    /// UIDVALIDITY, where the URL says it.
    pub validity: Option<u32>,
    /// The UID of the message.
    pub uid: u32,
    /// Which octets of it.
    pub section: Section,
    /// Which of these.
    pub partial: Option<Partial>,
}

impl MessageUrl {
    /// The URL of this spelling: `/mailbox;UIDVALIDITY=1/;UID=2/;SECTION=1.2/;PARTIAL=0.1024`, of which the mailbox,
    /// UIDVALIDITY, SECTION and PARTIAL may be missing. `None` for every other one, such as those of other servers.
    pub fn parse(url: &str) -> Option<Self> {
        let (mailbox, validity, message) = match url.strip_prefix('/') {
            Some(path) => {
                let (mailbox, message) = path.split_once("/;")?;
                let (name, validity) = mailbox_of(mailbox)?;
                (Some(name), validity, message)
            }
            None => (None, None, url.strip_prefix(';')?),
        };
        let mut parts = message.split("/;").peekable();
        let uid = positive(value(parts.next()?, "UID=")?)?.get();
        let section = match parts.peek().and_then(|part| value(part, "SECTION=")) {
            Some(text) => {
                parts.next();
                decoded(text)?
            }
            None => Vec::new(),
        };
        let partial = match parts.peek().and_then(|part| value(part, "PARTIAL=")) {
            Some(text) => {
                parts.next();
                Some(partial_of(text)?)
            }
            None => None,
        };
        let section = decode::section(&section)?;
        parts.next().is_none().then_some(MessageUrl { mailbox, validity, uid, section, partial })
    }
}

/// `enc-mailbox [uidvalidity]`
fn mailbox_of(text: &str) -> Option<(String, Option<u32>)> {
    let (name, validity) = match text.split_once(';') {
        Some((name, rest)) => (name, Some(positive(value(rest, "UIDVALIDITY=")?)?.get())),
        None => (text, None),
    };
    let name = String::from_utf8(decoded(name)?).ok()?;
    (!name.is_empty()).then_some((name, validity))
}

/// What stands behind a key, in any case.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (start, value) = text.split_at_checked(key.len())?;
    start.eq_ignore_ascii_case(key).then_some(value)
}

fn positive(text: &str) -> Option<NonZeroU32> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `partial-range`: the first octet, and how many; all that follow where that is missing.
fn partial_of(text: &str) -> Option<Partial> {
    let (first, count) = match text.split_once('.') {
        Some((first, count)) => (first, positive(count)?.into()),
        None => (text, NonZeroU64::MAX),
    };
    let digits = !first.is_empty() && first.bytes().all(|octet| octet.is_ascii_digit());
    Some(Partial { first: digits.then(|| first.parse().ok()).flatten()?, count })
}

/// The octets without their percent-encoding (RFC 3986 section 2.1).
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits =
            digits.iter().all(u8::is_ascii_hexdigit).then(|| std::str::from_utf8(digits).ok()).flatten();
        octets.push(u8::from_str_radix(digits?, 16).ok()?);
        rest = after;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::SectionText;

    fn shown(url: &str) -> Option<String> {
        let MessageUrl { mailbox, validity, uid, section, partial } = MessageUrl::parse(url)?;
        let part: Vec<u32> = section.part.iter().map(|number| number.get()).collect();
        let partial = partial.map(|partial| (partial.first, partial.count.get()));
        Some(format!("{mailbox:?} {validity:?} {uid} {part:?} {:?} {partial:?}", section.text))
    }

    #[test]
    fn messages_and_parts_of_them() {
        for (url, expected) in [
            (
                "/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER",
                r#"Some("Drafts") Some(385759045) 20 [] Header None"#,
            ),
            ("/a/b/;UID=20/;section=1.MIME", r#"Some("a/b") None 20 [1] Mime None"#),
            ("/a%3Bb%20c%C3%BC/;uid=1", "Some(\"a;b c\u{fc}\") None 1 [] Whole None"),
            (";UID=7/;SECTION=1.2", "None None 7 [1, 2] Whole None"),
            (";UID=7/;SECTION=TEXT/;PARTIAL=5.10", "None None 7 [] Text Some((5, 10))"),
            (";UID=7/;PARTIAL=5", "None None 7 [] Whole Some((5, 18446744073709551615))"),
        ] {
            assert_eq!(shown(url).as_deref(), Some(expected), "{url}");
        }
        let fields =
            MessageUrl::parse(";UID=7/;SECTION=HEADER.FIELDS%20(From%20To)").map(|url| url.section.text);
        assert_eq!(fields, Some(SectionText::HeaderFields(vec!["From".to_owned(), "To".to_owned()])));
    }

    #[test]
    fn what_points_at_nothing_here() {
        for url in [
            "",
            "/",
            "/INBOX",
            "/INBOX;UID=1",
            "//;UID=1",
            "/;UID=1",
            "INBOX/;UID=1",
            "imap://other.example/INBOX/;UID=1",
            "/INBOX/;UID=0",
            "/INBOX/;UID=x",
            "/INBOX/;UID=",
            "/INBOX/;UID=+1",
            "/INBOX/;UID=1/",
            "/INBOX/;UID=1/;SECTION=NO",
            "/INBOX/;UID=1/;PARTIAL=x",
            "/INBOX/;UID=1/;PARTIAL=0.0",
            "/INBOX/;UID=1/;PARTIAL=0.5/;SECTION=1",
            "/INBOX/;UID=1;URLAUTH=anonymous",
            "/INBOX;UIDVALIDITY=0/;UID=1",
            "/INBOX;EXPIRE=1/;UID=1",
            "/IN%BOX/;UID=1",
            "/IN%+1BOX/;UID=1",
            "/%FF/;UID=1",
        ] {
            assert_eq!(shown(url), None, "{url}");
        }
    }
}
