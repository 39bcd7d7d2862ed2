//! What the body of a part means once its transfer encoding is taken off (RFC 3516), as its octets pass by.

use crate::structure::{Content, Part};
use crate::transfer::{TransferDecoder, TransferEncoding};

/// Decodes the body of one part in pieces; the result does not depend on how it is cut. Holds at most about a KiB.
///
/// Lines of text end with CRLF in what it gives, however they end in the message (RFC 3516 section 6).
#[derive(Clone, Debug)]
pub struct PartDecoder {
    transfer: TransferDecoder,
    /// `None` for what is no text, whose octets are left alone.
    lines: Option<LineEnds>,
}

impl PartDecoder {
    /// A decoder at the start of the part's body; `None` where its transfer encoding is not known.
    pub fn new(part: &Part) -> Option<Self> {
        let encoding = encoding_of(part);
        let known = encoding != TransferEncoding::Unknown;
        let lines = is_text(part).then(LineEnds::default);
        known.then(|| Self { transfer: TransferDecoder::new(encoding), lines })
    }

    /// Whether the octets come out as they went in, so that there is no need to decode them.
    pub fn is_identity_for(part: &Part) -> bool {
        encoding_of(part) == TransferEncoding::Identity && !is_text(part)
    }

    /// Decodes the next octets onto `out`.
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        self.transfer.push(octets, out);
        if let Some(lines) = &mut self.lines {
            lines.correct(start, out);
        }
    }

    /// The body ends: puts what was held back onto `out`.
    pub fn finish(self, out: &mut Vec<u8>) {
        let start = out.len();
        self.transfer.finish(out);
        if let Some(mut lines) = self.lines {
            lines.correct(start, out);
        }
    }
}

/// A multipart is never encoded as a whole (RFC 2045 6.4), whatever its header says. A message ought not to be, but its header
/// is believed: RFC 6532 3.5 allows it for `message/global`.
fn encoding_of(part: &Part) -> TransferEncoding {
    if part.media.is_kind("multipart") {
        return TransferEncoding::Identity;
    }
    part.transfer_encoding().map_or(TransferEncoding::Identity, TransferEncoding::from_name)
}

fn is_text(part: &Part) -> bool {
    matches!(part.content, Content::Leaf) && part.media.is_kind("text")
}

/// Gives lines that end with LF alone their CR. A CR alone is left: it ends no line in mail (RFC 2046 4.1.1).
#[derive(Clone, Debug, Default)]
struct LineEnds {
    after_cr: bool,
}

impl LineEnds {
    /// Corrects what stands in `out` from `start` on, and follows what came before.
    fn correct(&mut self, start: usize, out: &mut Vec<u8>) {
        let mut before = self.after_cr;
        let fresh = out.get(start..).unwrap_or_default();
        let bare = fresh.iter().any(|octet| {
            let bare = *octet == b'\n' && !before;
            before = *octet == b'\r';
            bare
        });
        if !bare {
            self.after_cr = before;
            return;
        }
        for octet in out.split_off(start) {
            if octet == b'\n' && !self.after_cr {
                out.push(b'\r');
            }
            self.after_cr = octet == b'\r';
            out.push(octet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scanner, Structure};

    fn structure(header: &str, body: &str) -> Structure {
        let mut scanner = Scanner::new();
        scanner.push(format!("{header}\r\n\r\n{body}").as_bytes());
        scanner.finish()
    }

    /// What the only part of a message with this header comes to, however its body is cut.
    fn decoded(header: &str, body: &str) -> Option<String> {
        let structure = structure(header, body);
        let whole = run(&structure.message.root, body.as_bytes(), body.len().max(1))?;
        for size in 1..5 {
            assert_eq!(run(&structure.message.root, body.as_bytes(), size).as_ref(), Some(&whole), "{size}");
        }
        Some(String::from_utf8_lossy(&whole).into_owned())
    }

    fn run(part: &Part, body: &[u8], size: usize) -> Option<Vec<u8>> {
        let mut decoder = PartDecoder::new(part)?;
        let mut out = Vec::new();
        body.chunks(size).for_each(|piece| decoder.push(piece, &mut out));
        decoder.finish(&mut out);
        Some(out)
    }

    #[test]
    fn encodings_are_taken_off() {
        for (header, body, expected) in [
            ("Content-Transfer-Encoding: base64", "aGVsbG8g\r\nd29ybGQ=", "hello world"),
            ("Content-Transfer-Encoding: Quoted-Printable", "a=3Db=  \r\nc", "a=bc"),
            ("Content-Transfer-Encoding: 8bit", "a=3Db", "a=3Db"),
            ("Subject: none", "a=3Db", "a=3Db"),
            ("Content-Type: image/png\r\nContent-Transfer-Encoding: binary", "a\nb", "a\nb"),
        ] {
            assert_eq!(decoded(header, body).as_deref(), Some(expected), "{header}");
        }
        assert_eq!(decoded("Content-Transfer-Encoding: x-uuencode", "begin 644 a"), None);
    }

    #[test]
    fn lines_of_text_end_with_crlf() {
        assert_eq!(decoded("Subject: a", "a\nb\r\nc\rd\n\n").as_deref(), Some("a\r\nb\r\nc\rd\r\n\r\n"));
        // "a\nb\n"
        let base64 = "Content-Transfer-Encoding: base64";
        assert_eq!(decoded(base64, "YQpiCg==").as_deref(), Some("a\r\nb\r\n"));
        let image = "Content-Type: image/x-xpixmap\r\nContent-Transfer-Encoding: base64";
        assert_eq!(decoded(image, "YQpiCg==").as_deref(), Some("a\nb\n"));
    }

    #[test]
    fn what_needs_no_decoding_is_known() {
        let identity = |header| PartDecoder::is_identity_for(&structure(header, "").message.root);
        assert!(identity("Content-Type: image/png\r\nContent-Transfer-Encoding: binary"));
        assert!(identity("Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64"));
        assert!(!identity("Content-Type: image/png\r\nContent-Transfer-Encoding: base64"));
        assert!(!identity("Content-Type: text/plain"));
    }
}
