//! The tagged answer of a command, with the response codes of RFC 9051 section 7.1 and RFC 5530.

use mailstore::ReadError;
use mailstore::request::RequestError;

use super::put;
use crate::command::Tag;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    status: &'static str,
    code: Option<String>,
    text: String,
}

impl Answer {
    /// It was done.
    pub(super) fn ok(text: impl Into<String>) -> Self {
        Answer { status: "OK", code: None, text: text.into() }
    }

    /// It could not be done.
    pub(super) fn no(code: impl Into<String>, text: impl Into<String>) -> Self {
        Answer { status: "NO", code: Some(code.into()), text: text.into() }
    }

    /// The client ought not to have asked.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Answer { status: "BAD", code: None, text: text.into() }
    }

    /// The same with a response code, written without its brackets.
    pub(super) fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// `HIGHESTMODSEQ`, up to which everything was told (RFC 7162 section 3.1.2.1).
    pub(super) fn highest_modseq(value: u64) -> Self {
        Answer::ok("The newest change").code(format!("HIGHESTMODSEQ {value}"))
    }

    /// Whether it is an OK that has no response code yet.
    pub(super) fn is_plain_ok(&self) -> bool {
        self.status == "OK" && self.code.is_none()
    }

    /// Whether it is an OK.
    pub(super) fn is_ok(&self) -> bool {
        self.status == "OK"
    }

    /// The same with the response code of another.
    pub(super) fn with_code_of(self, other: Answer) -> Self {
        Answer { code: other.code, ..self }
    }

    /// The answer for a request that the store refused.
    pub(super) fn refused(error: &RequestError) -> Self {
        let code = match error {
            RequestError::NoSuchAccount(_) | RequestError::NoSuchMailbox(_) => "NONEXISTENT",
            RequestError::WrongPassword => "AUTHENTICATIONFAILED",
            RequestError::AlreadyExists(_) => "ALREADYEXISTS",
            RequestError::BadName { .. } | RequestError::NotPossible(_) => "CANNOT",
            RequestError::NotPermitted => "NOPERM",
            RequestError::OverLimit { .. } => "LIMIT",
            RequestError::OverQuota => "OVERQUOTA",
            RequestError::TooManyLogins | RequestError::DiskFull | RequestError::ShuttingDown => {
                "UNAVAILABLE"
            }
            RequestError::Storage(_) => "SERVERBUG",
        };
        Answer::no(code, error.to_string())
    }

    /// The same where the mailbox is a target that CREATE would make (RFC 9051 sections 6.3.12, 6.4.7).
    pub(super) fn refused_target(error: &RequestError) -> Self {
        match error {
            RequestError::NoSuchMailbox(_) => Answer::no("TRYCREATE", error.to_string()),
            error => Answer::refused(error),
        }
    }

    /// The same in other words.
    pub(super) fn saying(self, text: String) -> Self {
        Answer { text, ..self }
    }

    /// The answer where messages could not be read, for the reason that the first of them gave.
    pub(super) fn unreadable(error: &ReadError) -> Self {
        let code = match error {
            ReadError::BodyDamaged { .. } | ReadError::Damaged(_) => "CORRUPTION",
            ReadError::Interrupted | ReadError::Disk { .. } | ReadError::Stopped(_) => "UNAVAILABLE",
            _ => "SERVERBUG",
        };
        Answer::no(code, format!("Some messages could not be read: {error}"))
    }

    /// The answer for a reply of the store that does not fit the request.
    pub(super) fn misfit() -> Self {
        Answer::no("SERVERBUG", "The store gave an answer that does not fit; please report this")
    }

    /// Appends the line that ends a command.
    pub(super) fn write(&self, tag: &Tag, out: &mut Vec<u8>) {
        self.write_after(tag.as_str(), out);
    }

    /// Appends an untagged line (RFC 9051 section 7.1).
    pub(super) fn write_untagged(&self, out: &mut Vec<u8>) {
        self.write_after("*", out);
    }

    fn write_after(&self, start: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(start.as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.status.as_bytes());
        out.push(b' ');
        if let Some(code) = &self.code {
            out.push(b'[');
            out.extend_from_slice(code.as_bytes());
            out.extend_from_slice(b"] ");
        }
        put::text(&self.text, out);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends `* BYE`, after which the connection closes (RFC 9051 section 7.1.5).
pub(super) fn bye(text: &str, out: &mut Vec<u8>) {
    Answer { status: "BYE", code: None, text: text.to_owned() }.write_untagged(out);
}
