//! Writing responses: numbers, texts, sets of numbers and object ids.

use mailstore::crdt::clock::Millis;
use mailstore::crdt::flag::FlagSet;
use mailstore::crdt::identity::{EmailId, MailboxId, Uid};
use mailstore::crdt::view::{MailboxView, ReceivedAt};

/// Appends formatted text; a `Vec` takes everything.
macro_rules! put {
    ($out:expr, $($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = write!($out, $($argument)*);
    }};
}
pub(super) use put;

/// The longest human-readable text of a response, in octets.
const LONGEST_TEXT: usize = 400;

/// Appends a number; `write!` costs several times as much, which shows in a FETCH of a large mailbox.
pub(super) fn number(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        count += 1;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - count..).unwrap_or_default());
}

/// Appends the start of a FETCH response, or without a sequence number that of UIDFETCH (RFC 9586 section 3.3).
pub(super) fn fetch(sequence: Option<u32>, uid: Uid, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* ");
    number(sequence.unwrap_or(uid.0).into(), out);
    out.extend_from_slice(if sequence.is_some() { b" FETCH (" } else { b" UIDFETCH (" });
}

/// Appends `text` as the human-readable end of a response (RFC 9051 section 9: `text`): one line, printable ASCII.
pub(super) fn text(text: &str, out: &mut Vec<u8>) {
    let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c as u8 } else { b'?' };
    out.extend(text.chars().take(LONGEST_TEXT).map(printable));
}

/// Appends `(\Seen $Forwarded)`.
pub(super) fn flags(flags: &FlagSet, out: &mut Vec<u8>) {
    out.push(b'(');
    for (place, flag) in flags.iter().enumerate() {
        if place > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(flag.as_str().as_bytes());
    }
    out.push(b')');
}

/// Appends numbers in their order, runs of consecutive ones as ranges: `1:3,7`.
pub(super) fn set(numbers: impl IntoIterator<Item = u32>, out: &mut Vec<u8>) {
    let mut run: Option<(u32, u32)> = None;
    let mut first = true;
    let mut close = |(start, end): (u32, u32), out: &mut Vec<u8>| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        number(start.into(), out);
        if end > start {
            out.push(b':');
            number(end.into(), out);
        }
    };
    for value in numbers {
        run = match run {
            Some((start, end)) if end.checked_add(1) == Some(value) => Some((start, value)),
            Some(done) => {
                close(done, out);
                Some((value, value))
            }
            None => Some((value, value)),
        };
    }
    if let Some(done) = run {
        close(done, out);
    }
}

/// Numbers as a set, for a response code.
pub(super) fn set_text(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut out = Vec::new();
    set(numbers, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// MAILBOXID of what a view shows (RFC 8474 section 4).
pub(super) fn mailbox_id_of(view: &MailboxView) -> String {
    mailbox_id(view.object)
}

/// MAILBOXID as RFC 8474 section 4 wants it: letters and digits, unique in the cluster.
pub(super) fn mailbox_id(mailbox: MailboxId) -> String {
    format!("M{mailbox}")
}

/// EMAILID (RFC 8474 section 5.1).
pub(super) fn email_id(email: EmailId) -> String {
    format!("E{email}")
}

/// A moment of wall time as a date in UTC.
pub(super) fn wall_time(moment: Millis) -> ReceivedAt {
    ReceivedAt { seconds: i64::try_from(moment.seconds()).unwrap_or(i64::MAX), offset_minutes: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for value in [0, 7, 10, 4_294_967_295, u64::MAX] {
            let mut out = Vec::new();
            number(value, &mut out);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }

    #[test]
    fn sets_keep_their_order() {
        assert_eq!(set_text([1, 2, 3, 7, 5, 6, 4_294_967_295]), "1:3,7,5:6,4294967295");
        assert_eq!(set_text([]), "");
    }

    #[test]
    fn texts_stay_in_their_line() {
        let mut out = Vec::new();
        text("no\r\nA1 OK \u{e9}", &mut out);
        assert_eq!(out, b"no??A1 OK ?");
    }
}
