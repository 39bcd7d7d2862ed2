//! The text of an HTML document, as far as a preview needs it: tags and what is never shown are left out, character references
//! become characters. No document is refused, however broken.

/// The longest name that is looked at, of a tag or of a character.
const NAME_MAX: usize = 32;

/// Elements whose content is not shown.
const HIDDEN: [&str; 7] = ["head", "style", "script", "title", "template", "noscript", "svg"];

/// Elements that stand within a line: what is beside them is not set apart.
const WITHIN_LINES: [&str; 24] = [
    "a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "em", "font", "i", "ins", "kbd", "mark", "q", "s",
    "samp", "small", "span", "strike", "strong", "sub", "sup", "u",
];

/// The names of characters that mail uses; those of letters are written as numbers or as they are nowadays.
const NAMES: [(&str, char); 32] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("shy", '\u{ad}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("ndash", '\u{2013}'),
    ("mdash", '\u{2014}'),
    ("lsquo", '\u{2018}'),
    ("rsquo", '\u{2019}'),
    ("sbquo", '\u{201a}'),
    ("ldquo", '\u{201c}'),
    ("rdquo", '\u{201d}'),
    ("bdquo", '\u{201e}'),
    ("laquo", '\u{ab}'),
    ("raquo", '\u{bb}'),
    ("bull", '\u{2022}'),
    ("hellip", '\u{2026}'),
    ("middot", '\u{b7}'),
    ("euro", '\u{20ac}'),
    ("pound", '\u{a3}'),
    ("copy", '\u{a9}'),
    ("reg", '\u{ae}'),
    ("trade", '\u{2122}'),
    ("auml", '\u{e4}'),
    ("ouml", '\u{f6}'),
    ("uuml", '\u{fc}'),
    ("szlig", '\u{df}'),
    ("eacute", '\u{e9}'),
];

/// Takes the text out of a document.
#[derive(Debug, Default)]
pub(super) struct HtmlText {
    /// The element whose content is being left out.
    hidden: Option<&'static str>,
}

impl HtmlText {
    /// Gives the letters of the text to `take`; elements that are set apart are parted by a space.
    pub(super) fn push(mut self, mut document: &str, mut take: impl FnMut(char)) {
        while let Some(letter) = document.chars().next() {
            let rest = document.get(letter.len_utf8()..).unwrap_or_default();
            document = match letter {
                '<' if starts_tag(rest) => {
                    let (tag, rest) = split_tag(rest);
                    if self.tag(tag) {
                        take(' ');
                    }
                    rest
                }
                _ if self.hidden.is_some() => rest,
                '&' => {
                    let (character, rest) = reference(rest);
                    take(character);
                    rest
                }
                letter => {
                    take(letter);
                    rest
                }
            };
        }
    }

    /// Takes note of a tag; whether it sets apart what is beside it.
    fn tag(&mut self, tag: &str) -> bool {
        let (closing, name) = match tag.strip_prefix('/') {
            Some(name) => (true, name),
            None => (false, tag),
        };
        let name = name.split(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default();
        let is = |known: &&&str| name.eq_ignore_ascii_case(known);
        match self.hidden {
            Some(hidden) if closing && is(&&hidden) => self.hidden = None,
            // A document without `</head>` has its text nevertheless.
            Some("head") if is(&&"body") => self.hidden = None,
            Some(_) => return false,
            None if !closing && !tag.ends_with('/') => self.hidden = HIDDEN.iter().find(is).copied(),
            None => {}
        }
        !WITHIN_LINES.iter().any(|known| is(&known)) && !tag.starts_with('!')
    }
}

/// Whether a `<` before this begins a tag, a comment or a declaration, and is not merely a less-than sign.
fn starts_tag(rest: &str) -> bool {
    rest.starts_with(|letter: char| letter.is_ascii_alphabetic() || matches!(letter, '/' | '!' | '?'))
}

/// A tag without its `<` and `>`, and what follows. A comment ends with `-->`; an angle bracket in quotes does not end a tag.
fn split_tag(rest: &str) -> (&str, &str) {
    let (end, length) =
        if rest.starts_with("!--") { (rest.find("-->"), "-->".len()) } else { (end_of_tag(rest), 1) };
    let Some(end) = end else { return (rest, "") };
    (rest.get(..end).unwrap_or_default(), rest.get(end + length..).unwrap_or_default())
}

fn end_of_tag(rest: &str) -> Option<usize> {
    let mut quote = None;
    for (place, letter) in rest.char_indices() {
        match (quote, letter) {
            (None, '>') => return Some(place),
            // A quote belongs to a value, which follows an equals sign: an apostrophe elsewhere quotes nothing.
            (None, '"' | '\'') if rest.get(..place).is_some_and(|tag| tag.trim_end().ends_with('=')) => {
                quote = Some(letter);
            }
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
    }
    // A quote that is never closed.
    rest.find('>')
}

/// The character that a reference after an ampersand stands for, and what follows; the ampersand where there is none.
fn reference(rest: &str) -> (char, &str) {
    let end = rest.bytes().take(NAME_MAX).position(|octet| !(octet.is_ascii_alphanumeric() || octet == b'#'));
    let name = rest.get(..end.unwrap_or_default()).unwrap_or_default();
    let after = rest.get(name.len()..).unwrap_or_default();
    match named(name) {
        Some(character) => (character, after.strip_prefix(';').unwrap_or(after)),
        None => ('&', rest),
    }
}

fn named(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let hexadecimal = number.strip_prefix(['x', 'X']);
        let number = match hexadecimal {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        return char::from_u32(number.ok()?);
    }
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, character)| *character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(document: &str) -> String {
        let mut text = String::new();
        HtmlText::default().push(document, |letter| text.push(letter));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn markup_is_left_out() {
        for (document, expected) in [
            ("<p>Hello <b>J</b>oe</p><p>Bye", "Hello Joe Bye"),
            ("a<br>b<BR/>c", "a b c"),
            ("<html><head><title>T</title><style>p > a {}</style></head><body>x</body>", "x"),
            ("<head><title>T</title><body>x", "x"),
            ("<STYLE type='a>b'>h</Style >x", "x"),
            ("<script>if (a < b) x('</p>')</script>y", "y"),
            ("a<!-- <p> > -->b<!DOCTYPE html>c", "abc"),
            ("<a title=\"x > y\" href='z'>link</a>", "link"),
            ("<p class=don't>a</p>", "a"),
            ("<p title=\"never closed>a", "a"),
            ("1 < 2 <3 a<", "1 < 2 <3 a<"),
            ("<svg/>a", "a"),
            ("<p", ""),
            ("", ""),
        ] {
            assert_eq!(text(document), expected, "{document}");
        }
    }

    #[test]
    fn references_become_characters() {
        for (document, expected) in [
            ("a &amp; b &lt;c&gt;", "a & b <c>"),
            ("&#65;&#x42;&#X43;", "ABC"),
            ("&uuml;&euro;", "\u{fc}\u{20ac}"),
            ("&ampx &nosuch; &#; &#xd800; &", "&ampx &nosuch; &#; &#xd800; &"),
            ("R&amp", "R&amp"),
            ("AT&T", "AT&T"),
        ] {
            assert_eq!(text(document), expected, "{document}");
        }
    }
}
