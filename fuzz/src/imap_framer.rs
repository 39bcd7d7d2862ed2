//! The framer of IMAP: the same events however the octets come, and bounded memory.

use imap::framing::{Event, Framer, Limits};

use crate::pieces;

/// Small, so that every limit is reached.
const SMALL: Limits = Limits { line: 60, literal: 40, command: 100, swallow: 300 };
/// The longest message that is accepted.
const LONGEST_MESSAGE: u64 = 50;

/// The input is what a client sends.
pub fn run(octets: &[u8]) {
    for limits in [SMALL, Limits::default()] {
        let whole = frame([octets].into_iter(), limits);
        assert_eq!(whole, frame(pieces::of(octets), limits));
        assert_eq!(whole, frame(octets.chunks(1), limits));
    }
}

/// What a consumer sees, pieces of messages joined. It refuses long messages, and asks for a line after IDLE.
fn frame<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: Limits) -> Vec<String> {
    let mut framer = Framer::new(limits);
    let (mut seen, mut message) = (Vec::new(), Vec::new());
    for mut piece in pieces {
        while let Some(event) = framer.next(&mut piece) {
            match &event {
                Event::Command(text) => {
                    assert!(text.len() <= limits.command && !text.is_empty());
                    if text.ends_with(b"IDLE") {
                        framer.expect_line();
                    }
                }
                Event::AppendHead { text, size, .. } => {
                    assert!(text.len() <= limits.command);
                    match *size <= LONGEST_MESSAGE {
                        true => framer.accept(),
                        false => framer.refuse(),
                    }
                }
                Event::AppendData(data) => {
                    assert!(!data.is_empty());
                    message.extend_from_slice(data);
                    assert!(message.len() as u64 <= LONGEST_MESSAGE);
                    continue;
                }
                Event::AppendTail(text) | Event::Line(text) => assert!(text.len() <= limits.command),
                _ => {}
            }
            if !message.is_empty() {
                seen.push(format!("message {}", std::mem::take(&mut message).escape_ascii()));
            }
            seen.push(format!("{event:?}"));
        }
    }
    seen
}
