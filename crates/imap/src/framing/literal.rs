//! The marks that announce literals: `{n}`, `{n+}` of RFC 7888, and literal8 with a tilde before them (RFC 9051 section 4.3.1).

/// The most digits of a literal's size.
const MOST_DIGITS: usize = 20;

/// A literal announced at the end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LiteralMark {
    /// The number of octets to come.
    pub(super) size: u64,
    /// Whether the client waits for a command continuation request.
    pub(super) synchronizing: bool,
    /// Whether it is a literal8, which may hold NUL octets.
    pub(super) binary: bool,
    /// The length of the mark itself, in octets, without a tilde.
    pub(super) length: usize,
}

impl LiteralMark {
    /// The mark at the end of a line, whose line end is cut off.
    pub(super) fn at_end_of(line: &[u8]) -> Option<Self> {
        let inner = line.strip_suffix(b"}")?;
        let (digits, synchronizing) = match inner.strip_suffix(b"+") {
            Some(digits) => (digits, false),
            None => (inner, true),
        };
        let open = digits.iter().rposition(|octet| *octet == b'{')?;
        let digits = digits.get(open + 1..)?;
        if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        // A size that 64 bits cannot hold is beyond every limit as well.
        let size = std::str::from_utf8(digits).ok()?.parse().unwrap_or(u64::MAX);
        let binary = open.checked_sub(1).and_then(|before| line.get(before)) == Some(&b'~');
        Some(LiteralMark { size, synchronizing, binary, length: line.len() - open })
    }
}

/// Whether the literal at the end of `text` is the message of an APPEND or REPLACE. The one that directly follows the name of
/// the command, and with REPLACE the number, is the mailbox.
pub(super) fn announces_message(text: &[u8], mark: LiteralMark) -> bool {
    let text = text.get(..text.len().saturating_sub(mark.length)).unwrap_or_default();
    let Some((_tag, rest)) = split_word(text) else { return false };
    if let Some(arguments) = strip_name(rest, b"APPEND ") {
        return !arguments.is_empty();
    }
    let Some(arguments) = strip_name(strip_name(rest, b"UID ").unwrap_or(rest), b"REPLACE ") else {
        return false;
    };
    split_word(arguments).is_some_and(|(_number, rest)| !rest.is_empty())
}

/// Whether the literal at the end of `text`, the text of an APPEND or REPLACE, is a URL of CATENATE (RFC 4469 section 5), and
/// not a message or a part of one. `appending`: whether the text begins behind a literal.
pub(super) fn announces_url(text: &[u8], mark: LiteralMark, appending: bool) -> bool {
    const URLS: [&[u8]; 2] = [b" URL ", b"(URL "];
    let text = text.get(..text.len().saturating_sub(mark.length)).unwrap_or_default();
    let end = text.get(text.len().saturating_sub(b" URL ".len())..).unwrap_or_default();
    URLS.iter().any(|url| end.eq_ignore_ascii_case(url)) && (appending || opens_catenate(text))
}

/// Whether the text of an APPEND or REPLACE, or of what could be one, has the parenthesis of a CATENATE (RFC 4469 section 5).
pub(crate) fn opens_catenate(text: &[u8]) -> bool {
    const CATENATE: &[u8] = b" CATENATE (";
    text.windows(CATENATE.len()).any(|window| window.eq_ignore_ascii_case(CATENATE))
}

/// Whether a literal8 within `text`, which is no message, may hold NUL octets: as a value of SETMETADATA alone (RFC 5464 section 5).
pub(super) fn takes_literal8(text: &[u8]) -> bool {
    split_word(text).is_some_and(|(_tag, rest)| strip_name(rest, b"SETMETADATA ").is_some())
}

/// What stands before the first space and what behind it.
fn split_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = text.iter().position(|octet| *octet == b' ')?;
    Some((text.get(..space)?, text.get(space + 1..)?))
}

fn strip_name<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (first, rest) = text.split_at_checked(name.len())?;
    first.eq_ignore_ascii_case(name).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_at_the_end_alone() {
        let mark = |line: &[u8]| {
            LiteralMark::at_end_of(line).map(|mark| (mark.size, mark.synchronizing, mark.length))
        };
        assert_eq!(mark(b"a LOGIN {3}"), Some((3, true, 3)));
        assert_eq!(mark(b"{0012+}"), Some((12, false, 7)));
        assert_eq!(mark(b"{99999999999999999999}"), Some((u64::MAX, true, 22)));
        for line in
            ["{}", "{+}", "{3", "3}", "{3} ", "{a}", "{-1}", "{3++}", "{999999999999999999999}", "\"{3}\""]
        {
            assert_eq!(mark(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_tilde_makes_it_a_literal8() {
        let binary = |line: &[u8]| LiteralMark::at_end_of(line).map(|mark| (mark.binary, mark.length));
        assert_eq!(binary(b"a APPEND x ~{3}"), Some((true, 3)));
        assert_eq!(binary(b"a APPEND x UTF8 (~{3+}"), Some((true, 4)));
        assert_eq!(binary(b"a APPEND x {3}"), Some((false, 3)));
        assert_eq!(binary(b"{3}"), Some((false, 3)));
    }

    /// RFC 4469 section 5: a URL is an astring.
    #[test]
    fn a_url_of_catenate_is_no_message() {
        let url =
            |text: &[u8], appending| announces_url(text, LiteralMark::at_end_of(text).unwrap(), appending);
        assert!(url(b"a APPEND x CATENATE (URL {5}", false));
        assert!(url(b"a append x catenate (url \"/y\" url {5+}", false));
        assert!(url(b" URL {5}", true));
        assert!(!url(b"a APPEND URL {5}", false));
        assert!(!url(b"a APPEND x CATENATE (TEXT {5}", false));
        assert!(!url(b"a APPEND x CATENATE (URL \"/y\" TEXT {5}", false));
        assert!(!url(b" TEXT {5}", true));
    }

    #[test]
    fn the_mailbox_of_append_is_no_message() {
        let message = |text: &[u8]| announces_message(text, LiteralMark::at_end_of(text).unwrap());
        assert!(!message(b"a APPEND {5}"));
        assert!(message(b"a append {5}\r\nINBOX {300}"));
        assert!(message(b"a APPEND INBOX {300+}"));
        assert!(!message(b"a LOGIN APPEND {3}"));
        assert!(!message(b"APPEND {3}"));
        assert!(!message(b"a UID APPEND INBOX {3}"));
        assert!(!message(b"a REPLACE 4 {5}"));
        assert!(!message(b"a REPLACE {5}"));
        assert!(message(b"a uid replace 4 {5}\r\nINBOX {300}"));
        assert!(message(b"a REPLACE 4 INBOX ~{300}"));
    }
}
