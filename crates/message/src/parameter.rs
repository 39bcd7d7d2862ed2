//! Parameters in pieces and with percent-encoded octets (RFC 2231 3 and 4).

use std::borrow::Cow;

use crate::limits::PARAMETERS_MAX;
use crate::structure::{MediaType, Parameter};

impl MediaType {
    /// The value of a parameter, whether it is written plainly or in the extended form `name*` (RFC 2231 4), whose
    /// percent-encoded octets are decoded. Charset and language in front are dropped, so this is for values that are ASCII by their
    /// nature, such as boundaries and charsets.
    pub fn value(&self, attribute: &str) -> Option<Cow<'_, [u8]>> {
        if let Some(plain) = self.parameter(attribute) {
            return Some(Cow::Borrowed(plain));
        }
        let extended = self.parameter(&format!("{attribute}*"))?;
        // What follows `charset'language'`; all of it where there are no two apostrophes.
        let text = extended.splitn(3, |octet| *octet == b'\'').nth(2).unwrap_or(extended);
        Some(Cow::Owned(percent_decoded(text)))
    }
}

/// The parameters with the pieces of each value put together (RFC 2231 3), as BODYSTRUCTURE has to tell them (RFC 2231 6): `name*0`
/// and what follows become `name`, or `name*` where the first piece is in the extended form. Pieces behind a missing one stay.
pub(crate) fn joined(parameters: Vec<Parameter>) -> Vec<Parameter> {
    if !parameters.iter().any(|parameter| parameter.attribute.contains(&b'*')) {
        return parameters;
    }
    let mut taken = vec![false; parameters.len()];
    let mut joined: Vec<Option<Parameter>> = vec![None; parameters.len()];
    for (place, parameter) in parameters.iter().enumerate() {
        let Some((name, 0, extended)) = piece(&parameter.attribute) else { continue };
        let mut value = Vec::new();
        for number in 0..PARAMETERS_MAX {
            let mut rest = parameters.iter().zip(taken.iter_mut());
            let found = rest.find_map(|(parameter, taken)| match piece(&parameter.attribute) {
                Some((other, at, encoded)) if at == number && !*taken && other.eq_ignore_ascii_case(name) => {
                    *taken = true;
                    Some((&parameter.value, encoded))
                }
                _ => None,
            });
            match found {
                // A piece that is not encoded among others that are.
                Some((text, false)) if extended => percent_encode(text, &mut value),
                Some((text, _)) => value.extend_from_slice(text),
                None => break,
            }
        }
        let attribute = [name, if extended { b"*" } else { b"" }].concat();
        if let Some(slot) =
            joined.get_mut(place).filter(|_| !value.is_empty() || taken.get(place) == Some(&true))
        {
            *slot = Some(Parameter { attribute: attribute.into(), value: value.into() });
        }
    }
    let all = parameters.into_iter().zip(taken).zip(joined);
    all.filter_map(|((parameter, taken), joined)| joined.or((!taken).then_some(parameter))).collect()
}

/// The name, the number of a piece, and whether it is in the extended form: `name*1` or `name*1*`.
fn piece(attribute: &[u8]) -> Option<(&[u8], usize, bool)> {
    let (numbered, extended) = match attribute.strip_suffix(b"*") {
        Some(numbered) => (numbered, true),
        None => (attribute, false),
    };
    let star = numbered.iter().rposition(|octet| *octet == b'*')?;
    let (name, number) = numbered.split_at_checked(star)?;
    let digits = number.get(1..)?;
    // No leading zeros, no sign (RFC 2231 7).
    let plain = digits == b"0" || digits.first().is_some_and(|first| matches!(first, b'1'..=b'9'));
    let number = std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()?;
    (!name.is_empty()).then_some((name, number, extended))
}

/// Octets that are no `attribute-char` (RFC 2231 7) become percent signs and digits.
fn percent_encode(text: &[u8], out: &mut Vec<u8>) {
    for octet in text.iter().copied() {
        match octet {
            b'*' | b'\'' | b'%' | b'(' | b')' | b'<' | b'>' | b'@' | b',' | b';' | b':' | b'\\' | b'"'
            | b'/' | b'[' | b']' | b'?' | b'=' => out.extend(format!("%{octet:02X}").into_bytes()),
            b'!'..=b'~' => out.push(octet),
            _ => out.extend(format!("%{octet:02X}").into_bytes()),
        }
    }
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

    fn join(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
        let parameters = parameters
            .iter()
            .map(|(attribute, value)| Parameter { attribute: (*attribute).into(), value: (*value).into() });
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        joined(parameters.collect())
            .iter()
            .map(|joined| (text(&joined.attribute), text(&joined.value)))
            .collect()
    }

    /// RFC 2231 6: a MUST that was not kept once. A boundary in pieces was not found, and its multipart had no parts.
    #[test]
    fn pieces_are_put_together() {
        for (parameters, expected) in [
            (&[("URL*0", "ftp://"), ("URL*1", "x"), ("a", "b")][..], &[("URL", "ftp://x"), ("a", "b")][..]),
            (&[("a", "b"), ("n*1", "2"), ("N*0", "1")], &[("a", "b"), ("N", "12")]),
            (&[("n*0", "1"), ("n*2", "3")], &[("n", "1"), ("n*2", "3")]),
            (&[("n*1", "2")], &[("n*1", "2")]),
            (&[("n*00", "1"), ("n*+0", "1"), ("*0", "1")], &[("n*00", "1"), ("n*+0", "1"), ("*0", "1")]),
            (&[("n*", "utf-8''a")], &[("n*", "utf-8''a")]),
            (&[("n*0", "1"), ("n*0", "2")], &[("n", "1"), ("n", "2")]),
            (&[("n*0", "")], &[("n", "")]),
            // RFC 2231 4.1
            (
                &[("title*0*", "us-ascii'en'%2A"), ("title*1*", "%20"), ("title*2", "isn't it!")],
                &[("title*", "us-ascii'en'%2A%20isn%27t%20it!")],
            ),
            (&[("n*0", "a%20"), ("n*1*", "%20")], &[("n", "a%20%20")]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(join(parameters), expected, "{parameters:?}");
        }
    }

    #[test]
    fn extended_values_are_decoded() {
        for (attribute, written, expected) in [
            ("boundary", "a%20", Some("a%20")),
            ("BOUNDARY*", "us-ascii'en-us'This%20is%20%2A%2a", Some("This is **")),
            ("boundary*", "no%apostrophes%4", Some("no%apostrophes%4")),
            ("boundary*", "''", Some("")),
            ("charset", "x", None),
        ] {
            let mut media = MediaType::new("multipart", "mixed");
            media.parameters = vec![Parameter { attribute: attribute.into(), value: written.into() }];
            let value = media.value("boundary").map(|value| String::from_utf8_lossy(&value).into_owned());
            assert_eq!(value.as_deref(), expected, "{attribute} {written}");
        }
    }
}
