//! The `Content-*` fields of a part (RFC 2045, 2183, 3282), read tolerantly and kept raw.

use crate::budget::Budget;
use crate::envelope::keep;
use crate::header::{is_space, trim, unfold};
use crate::limits::{PARAMETER_COST, PARAMETERS_MAX, TOKEN_OCTETS_MAX};
use crate::octets::Octets;
use crate::parameter::joined;
use crate::structure::{ContentFields, Disposition, MediaType, Parameter};

/// What was read of a part's `Content-*` fields so far.
#[derive(Debug, Default)]
pub(crate) struct ContentDraft {
    /// `None` until the field was seen.
    pub(crate) media: Option<MediaType>,
    pub(crate) fields: Option<Box<ContentFields>>,
}

impl ContentDraft {
    /// Takes in one field; `name` is lower case, `value` all after the colon, line ends included.
    pub(crate) fn absorb(&mut self, name: &[u8], value: &[u8], budget: &mut Budget) {
        if name == b"content-type" {
            if self.media.is_none() {
                self.media = Some(parse_media_type(&unfold(value), budget));
            }
            return;
        }
        if self.fields.is_none() && budget.take(size_of::<ContentFields>()) {
            self.fields = Some(Box::default());
        }
        let Some(fields) = self.fields.as_deref_mut() else {
            return;
        };
        match name {
            b"content-id" => keep(&mut fields.id, value, budget),
            b"content-description" => keep(&mut fields.description, value, budget),
            b"content-md5" => keep(&mut fields.md5, value, budget),
            b"content-location" => keep(&mut fields.location, value, budget),
            b"content-transfer-encoding" if fields.transfer_encoding.is_none() => {
                fields.transfer_encoding = parse_transfer_encoding(&unfold(value), budget);
            }
            b"content-disposition" if fields.disposition.is_none() => {
                fields.disposition = parse_disposition(&unfold(value), budget);
            }
            b"content-language" if fields.language.is_empty() => {
                fields.language = parse_languages(&unfold(value), budget);
            }
            _ => {}
        }
    }
}

/// `type "/" subtype *(";" parameter)`; what is malformed counts as plain text (RFC 2045 5.2).
fn parse_media_type(value: &[u8], budget: &mut Budget) -> MediaType {
    let mut cursor = Cursor { rest: value };
    let kind = cursor.token();
    let slash = cursor.accept(b'/');
    let subtype = cursor.token();
    if !slash || !is_plausible(&kind) || !is_plausible(&subtype) || !budget.take(kind.len() + subtype.len()) {
        return MediaType::text_plain();
    }
    MediaType { kind: kind.into(), subtype: subtype.into(), parameters: joined(cursor.parameters(budget)) }
}

fn is_plausible(token: &[u8]) -> bool {
    !token.is_empty() && token.len() <= TOKEN_OCTETS_MAX
}

fn parse_transfer_encoding(value: &[u8], budget: &mut Budget) -> Option<Octets> {
    let token = Cursor { rest: value }.token();
    (is_plausible(&token) && budget.take(token.len())).then(|| token.into())
}

fn parse_disposition(value: &[u8], budget: &mut Budget) -> Option<Disposition> {
    let mut cursor = Cursor { rest: value };
    let kind = cursor.token();
    (is_plausible(&kind) && budget.take(kind.len()))
        .then(|| Disposition { kind: kind.into(), parameters: joined(cursor.parameters(budget)) })
}

fn parse_languages(value: &[u8], budget: &mut Budget) -> Vec<Octets> {
    let mut languages = Vec::new();
    let mut cursor = Cursor { rest: value };
    while !cursor.rest.is_empty() && languages.len() < PARAMETERS_MAX {
        let tag = cursor.token();
        if !tag.is_empty() {
            if !budget.take(tag.len() + PARAMETER_COST) {
                break;
            }
            languages.push(tag.into());
        }
        cursor.skip_to(b',');
    }
    languages
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn advance(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn accept(&mut self, octet: u8) -> bool {
        let found = self.rest.first() == Some(&octet);
        if found {
            self.advance();
        }
        found
    }

    /// White space and comments, nested ones included.
    fn skip_space(&mut self) {
        let mut comments = 0usize;
        while let Some(octet) = self.rest.first().copied() {
            match octet {
                b'(' => comments += 1,
                b')' if comments > 0 => comments -= 1,
                b'\\' if comments > 0 => {
                    self.advance();
                }
                _ if comments > 0 || is_space(octet) => {}
                _ => break,
            }
            self.advance();
        }
    }

    /// A token (RFC 2045 5.1) with the space around it; eight-bit octets are let pass. Empty where there is none.
    fn token(&mut self) -> Vec<u8> {
        self.skip_space();
        let ends = |octet: u8| {
            is_space(octet)
                || matches!(
                    octet,
                    b'(' | b')' | b'<' | b'>' | b'@' | b',' | b';' | b'\\' | b'"' | b'/' | b'[' | b']' | b'='
                )
        };
        let mut token = Vec::new();
        while let Some(octet) = self.rest.first().copied().filter(|octet| !ends(*octet)) {
            token.push(octet);
            self.advance();
        }
        self.skip_space();
        token
    }

    /// Past the next `separator` outside quotes, or to the end.
    fn skip_to(&mut self, separator: u8) {
        while let Some(octet) = self.rest.first().copied() {
            if octet == b'"' {
                self.quoted();
                continue;
            }
            self.advance();
            if octet == separator {
                return;
            }
        }
    }

    /// `*(";" attribute "=" value)`. What is malformed is skipped up to the next semicolon.
    fn parameters(&mut self, budget: &mut Budget) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        self.skip_to(b';');
        while !self.rest.is_empty() && parameters.len() < PARAMETERS_MAX {
            let attribute = self.token();
            if !attribute.is_empty() && self.accept(b'=') {
                let value = self.value();
                if budget.take(attribute.len() + value.len() + PARAMETER_COST) {
                    parameters.push(Parameter { attribute: attribute.into(), value: value.into() });
                }
            }
            self.skip_to(b';');
        }
        parameters
    }

    /// Whether what begins here with a parenthesis is a comment and nothing follows it in its parameter: parentheses within
    /// unquoted file names are met, too.
    fn comment_ends_value(&self) -> bool {
        let mut ahead = Cursor { rest: self.rest };
        ahead.skip_space();
        matches!(ahead.rest.first(), None | Some(b';'))
    }

    /// A quoted string, or all up to the next semicolon or comment: producers leave out the quotes.
    fn value(&mut self) -> Vec<u8> {
        self.skip_space();
        if self.rest.first() == Some(&b'"') {
            return self.quoted();
        }
        let mut value = Vec::new();
        while let Some(octet) = self.rest.first().copied() {
            let spaced = value.last().copied().is_some_and(is_space);
            if octet == b';' || octet == b'(' && (spaced || self.comment_ends_value()) {
                break;
            }
            value.push(octet);
            self.advance();
        }
        trim(&value).to_vec()
    }

    fn quoted(&mut self) -> Vec<u8> {
        self.advance();
        let mut text = Vec::new();
        while let Some(octet) = self.advance() {
            match octet {
                b'"' => break,
                b'\\' => text.extend(self.advance()),
                octet => text.push(octet),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(value: &str) -> String {
        let media = parse_media_type(value.as_bytes(), &mut Budget::new(10_000));
        let text = |octets: &Octets| String::from_utf8_lossy(octets).into_owned();
        let mut shown = format!("{}/{}", text(&media.kind), text(&media.subtype));
        for parameter in &media.parameters {
            shown += &format!(" {}={}", text(&parameter.attribute), text(&parameter.value));
        }
        shown
    }

    #[test]
    fn media_types_of_many_forms() {
        const DEFAULT: &str = "text/plain charset=us-ascii";
        for (value, expected) in [
            (" text/plain; charset=us-ascii (Plain text)", "text/plain charset=us-ascii"),
            ("text/plain; charset=\"us-ascii\"", "text/plain charset=us-ascii"),
            ("TEXT / HTML (x (y)) ;CHARSET = utf-8;", "TEXT/HTML CHARSET=utf-8"),
            ("multipart/mixed; boundary=\"a \\\"b\\\" c\"", "multipart/mixed boundary=a \"b\" c"),
            ("multipart/mixed; boundary====_x=_", "multipart/mixed boundary====_x=_"),
            ("application/x; name=my file (1).pdf; a=b", "application/x name=my file a=b"),
            ("application/x; name=file(1).pdf", "application/x name=file(1).pdf"),
            ("text/plain; charset=utf-8(comment); a=b", "text/plain charset=utf-8 a=b"),
            (
                "application/x; name*0*=us-ascii'en'This%20is; name*1=\"***fun\"",
                "application/x name*=us-ascii'en'This%20is%2A%2A%2Afun",
            ),
            ("text/plain; ; =x; y; z=1", "text/plain z=1"),
            ("text/plain charset=utf-8", "text/plain"),
            ("text/plain; a=\"unterminated; b=c", "text/plain a=unterminated; b=c"),
            ("text/plain; a=\"x;y\"; b=c", "text/plain a=x;y b=c"),
            ("text", DEFAULT),
            ("", DEFAULT),
            ("/", DEFAULT),
            ("(((", DEFAULT),
        ] {
            assert_eq!(media(value), expected, "{value}");
        }
    }

    #[test]
    fn parameters_and_lengths_are_bounded() {
        let many = format!("text/plain{}", "; a=b".repeat(1_000));
        assert_eq!(
            parse_media_type(many.as_bytes(), &mut Budget::new(1_000_000)).parameters.len(),
            PARAMETERS_MAX
        );
        assert_eq!(parse_media_type(many.as_bytes(), &mut Budget::new(200)).parameters.len(), 3);
        let long = format!("{}/plain", "x".repeat(TOKEN_OCTETS_MAX + 1));
        assert_eq!(parse_media_type(long.as_bytes(), &mut Budget::new(1_000)), MediaType::text_plain());
    }

    #[test]
    fn languages_are_parted() {
        let languages = parse_languages(b" en, de-CH (Swiss) ,,fr;q=1", &mut Budget::new(1_000));
        assert_eq!(languages, [Octets::from("en"), "de-CH".into(), "fr".into()]);
    }
}
