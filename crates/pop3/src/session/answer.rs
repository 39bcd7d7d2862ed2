//! Status lines, with the response codes of RFC 2449 section 8 and RFC 3206.

use std::borrow::Cow;

use mailstore::ReadError;
use mailstore::request::RequestError;

/// The longest text of a status line, in octets: RFC 2449 section 4 allows 512 with everything.
const LONGEST_TEXT: usize = 400;

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    code: Option<&'static str>,
    text: Cow<'static, str>,
}

impl Refusal {
    /// The client ought not to have asked.
    pub(super) fn plain(text: &str) -> Self {
        Refusal { code: None, text: text.to_owned().into() }
    }

    /// Something that mends itself: trying again may help.
    pub(super) const fn temporary(text: &'static str) -> Self {
        Refusal { code: Some("SYS/TEMP"), text: Cow::Borrowed(text) }
    }

    /// Something that somebody has to mend.
    pub(super) const fn permanent(text: &'static str) -> Self {
        Refusal { code: Some("SYS/PERM"), text: Cow::Borrowed(text) }
    }

    /// Name or password are wrong.
    pub(super) const fn credentials(text: &'static str) -> Self {
        Refusal { code: Some("AUTH"), text: Cow::Borrowed(text) }
    }

    /// The same with what happened in place of the text.
    pub(super) fn because(self, text: String) -> Self {
        Refusal { text: text.into(), ..self }
    }

    /// What the store said to a request.
    pub(super) fn of_request(error: &RequestError) -> Self {
        let kind = match error {
            RequestError::TooManyLogins
            | RequestError::OverLimit { .. }
            | RequestError::DiskFull
            | RequestError::ShuttingDown => Refusal::temporary(""),
            _ => Refusal::permanent(""),
        };
        kind.because(error.to_string())
    }

    /// What the store said where a message was to be read.
    pub(super) fn of_reading(error: &ReadError) -> Self {
        let kind = match error {
            ReadError::Interrupted => Refusal::temporary(""),
            _ => Refusal::permanent(""),
        };
        kind.because(format!("The message cannot be read: {error}"))
    }
}

/// Appends `+OK ...`.
pub(super) fn ok(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK ");
    put_text(text, out);
}

/// Appends `-ERR ...`.
pub(super) fn err(refusal: &Refusal, out: &mut Vec<u8>) {
    out.extend_from_slice(b"-ERR ");
    if let Some(code) = refusal.code {
        out.push(b'[');
        out.extend_from_slice(code.as_bytes());
        out.extend_from_slice(b"] ");
    }
    put_text(&refusal.text, out);
}

/// Appends the text of a status line: printable ASCII, and no `[` at its beginning, which would begin a response code.
fn put_text(text: &str, out: &mut Vec<u8>) {
    let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c as u8 } else { b'?' };
    out.extend(text.trim_start_matches('[').chars().take(LONGEST_TEXT).map(printable));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_in_their_line_and_are_no_codes() {
        let mut out = Vec::new();
        ok("[x]\r\n-ERR \u{e9}", &mut out);
        err(&Refusal::temporary("later"), &mut out);
        err(&Refusal::plain(&"x".repeat(1000)), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("+OK x]??-ERR ?\r\n-ERR [SYS/TEMP] later\r\n-ERR xxx"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 510));
    }
}
