//! Replies: a code, an enhanced code and one or more lines of text (RFC 5321 section 4.2, RFC 2034).

use std::fmt::Write;

/// One reply to one command, or to one recipient after the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The code of three digits.
    pub code: u16,
    /// The enhanced code (RFC 3463); the greeting, the answer to LHLO and 354 have none (RFC 2034 section 4).
    pub enhanced: Option<(u8, u16, u16)>,
    /// The lines of text, at least one, without line ends.
    pub lines: Vec<String>,
}

impl Reply {
    /// A reply of one line with an enhanced code, written as `"5.1.1"` is: class, subject, detail.
    pub(crate) fn new(code: u16, enhanced: (u8, u16, u16), text: impl Into<String>) -> Self {
        debug_assert_eq!(u16::from(enhanced.0), code / 100, "RFC 2034 section 3: the classes agree");
        Self { code, enhanced: Some(enhanced), lines: vec![text.into()] }
    }

    /// A reply without an enhanced code.
    pub(crate) fn plain(code: u16, lines: Vec<String>) -> Self {
        debug_assert!(!lines.is_empty());
        Self { code, enhanced: None, lines }
    }

    /// Appends the reply as it goes over the wire.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut text = String::new();
        for (index, line) in self.lines.iter().enumerate() {
            let separator = if index + 1 == self.lines.len() { ' ' } else { '-' };
            // Writing to a String cannot fail.
            let _ = write!(text, "{}{separator}", self.code);
            if let Some((class, subject, detail)) = self.enhanced {
                let _ = write!(text, "{class}.{subject}.{detail} ");
            }
            text.push_str(line);
            text.push_str("\r\n");
        }
        out.extend_from_slice(text.as_bytes());
    }
}

/// Why a recipient or its message was not taken. The MTA returns mail for the permanent ones and tries again, here or at
/// another node, for the temporary ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No account has this name. Permanent.
    #[error("No such account here")]
    UnknownRecipient,
    /// The message is larger than this many octets. Permanent.
    #[error("The message is larger than {0} octets, the limit here")]
    TooLarge(u64),
    /// The message contains a NUL octet, which RFC 5322 section 4 forbids and IMAP cannot carry. Permanent.
    #[error("The message contains a NUL octet")]
    NulOctet,
    /// The store refused the message for a reason that waiting does not mend. Permanent.
    #[error("The message cannot be stored: {0}")]
    Refused(String),
    /// No room on the disk. Temporary.
    #[error("The disk is full, try again later")]
    DiskFull,
    /// A limit of the account is reached. Temporary: its owner can make room.
    #[error("{0}")]
    OverLimit(String),
    /// The store failed. Temporary.
    #[error("The store failed, try again later")]
    Store,
    /// The node is going down. Temporary.
    #[error("The node is shutting down, try again later or use another node")]
    ShuttingDown,
}

impl Failure {
    /// The reply that says so.
    pub(crate) fn reply(&self) -> Reply {
        let (code, enhanced) = match self {
            Self::UnknownRecipient => (550, (5, 1, 1)),
            Self::TooLarge(_) => (552, (5, 3, 4)),
            Self::NulOctet => (554, (5, 6, 0)),
            Self::Refused(_) => (554, (5, 3, 0)),
            Self::DiskFull => (452, (4, 3, 1)),
            Self::OverLimit(_) => (452, (4, 2, 2)),
            Self::Store => (451, (4, 3, 0)),
            // Not 421, which announces that the connection ends: the replies for further recipients follow.
            Self::ShuttingDown => (451, (4, 3, 2)),
        };
        Reply::new(code, enhanced, one_line(&self.to_string()))
    }
}

/// The text of an error as one line of a reply: printable ASCII, at most 400 octets (RFC 5321 section 4.5.3.1.5 allows
/// 512 with the codes).
fn one_line(text: &str) -> String {
    let printable = |character: char| {
        if character.is_ascii_graphic() || character == ' ' { character } else { '?' }
    };
    text.chars().map(printable).take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn several_lines_are_joined_by_hyphens() {
        let reply = Reply::plain(250, vec!["host".into(), "PIPELINING".into(), "SIZE 5".into()]);
        assert_eq!(wire(&reply), "250-host\r\n250-PIPELINING\r\n250 SIZE 5\r\n");
    }

    #[test]
    fn failures_stay_on_one_printable_line() {
        let failure = Failure::Refused(format!("a\r\n250 2.0.0 Ha \u{e9}{}", "x".repeat(1000)));
        let line = wire(&failure.reply());
        assert!(line.starts_with("554 5.3.0 The message cannot be stored: a??250 2.0.0 Ha ?xxx"), "{line}");
        assert!(line.len() < 512 && line.is_ascii());
        assert_eq!(line.matches("\r\n").count(), 1);
    }
}
