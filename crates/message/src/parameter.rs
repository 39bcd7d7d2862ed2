//! Parameters in pieces and with percent-encoded octets (RFC 2231 3 and 4).

use std::borrow::Cow;

use crate::limits::PARAMETERS_MAX;
use crate::structure::{MediaType, Parameter};

impl MediaType {
    /// The whole value of a parameter, in whichever form it is written: the plain one, or the pieces `name*0`, `name*1` and so
    /// on, or the extended `name*`. Percent-encoded octets are decoded; a charset and a language in front are dropped, so this is
    /// for values that are ASCII by their nature, such as boundaries and charsets.
    pub fn value(&self, attribute: &str) -> Option<Cow<'_, [u8]>> {
        if let Some(plain) = self.parameter(attribute) {
            return Some(Cow::Borrowed(plain));
        }
        if let Some(extended) = self.parameter(&format!("{attribute}*")) {
            return Some(Cow::Owned(percent_decoded(without_language(extended))));
        }
        let mut whole = Vec::new();
        for number in 0..PARAMETERS_MAX {
            let Some((piece, extended)) = self.piece(&format!("{attribute}*{number}")) else {
                return (number > 0).then_some(Cow::Owned(whole));
            };
            match extended {
                false => whole.extend_from_slice(piece),
                true if number == 0 => whole.extend(percent_decoded(without_language(piece))),
                true => whole.extend(percent_decoded(piece)),
            }
        }
        Some(Cow::Owned(whole))
    }

    /// A piece, and whether its octets are percent-encoded.
    fn piece(&self, numbered: &str) -> Option<(&[u8], bool)> {
        self.parameters.iter().find_map(|Parameter { attribute, value }| {
            let (name, extended) = match attribute.strip_suffix(b"*") {
                Some(name) => (name, true),
                None => (attribute.as_bytes(), false),
            };
            name.eq_ignore_ascii_case(numbered.as_bytes()).then_some((value.as_bytes(), extended))
        })
    }
}

/// What follows `charset'language'`; all of it where there are no two apostrophes.
fn without_language(extended: &[u8]) -> &[u8] {
    extended.splitn(3, |octet| *octet == b'\'').nth(2).unwrap_or(extended)
}

/// A percent sign that no two digits follow stands for itself.
fn percent_decoded(mut text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    while let Some((first, rest)) = text.split_first() {
        let digits = rest.split_at_checked(2).filter(|_| *first == b'%');
        let decoded = digits.and_then(|(digits, after)| {
            let digits =
                std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit))?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        let (octet, after) = decoded.unwrap_or((*first, rest));
        octets.push(octet);
        text = after;
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(parameters: &[(&str, &str)], attribute: &str) -> Option<String> {
        let mut media = MediaType::new("multipart", "mixed");
        media.parameters = parameters
            .iter()
            .map(|(attribute, value)| Parameter { attribute: (*attribute).into(), value: (*value).into() })
            .collect();
        media.value(attribute).map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    /// A boundary in pieces was not found once, and its multipart had no parts. The examples are of RFC 2231 3 and 4.
    #[test]
    fn values_are_put_together() {
        for (parameters, expected) in [
            (&[("boundary", "a"), ("boundary*0", "b")][..], Some("a")),
            (&[("BOUNDARY*0", "ab"), ("boundary*1", "cd")], Some("abcd")),
            (&[("boundary*1", "cd"), ("boundary*0", "ab")], Some("abcd")),
            (&[("boundary*0", "ab"), ("boundary*2", "ef")], Some("ab")),
            (&[("boundary*1", "cd")], None),
            (&[("boundary*", "us-ascii'en-us'This%20is%20%2A%2a")], Some("This is **")),
            (
                &[("boundary*0*", "us-ascii'en'a%20"), ("boundary*1*", "%2A'b'"), ("boundary*2", "%20")],
                Some("a *'b'%20"),
            ),
            (&[("boundary*", "no%apostrophes%4")], Some("no%apostrophes%4")),
            (&[("boundary*", "''")], Some("")),
            (&[], None),
        ] {
            assert_eq!(value(parameters, "boundary").as_deref(), expected, "{parameters:?}");
        }
    }
}
