//! LMTP: the same replies and deliveries however the octets come, one reply for each recipient, no octet lost.

use std::sync::Arc;

use lmtp::{Accepted, Action, Failure, Session, Settings};

use crate::pieces;

/// The octets that a full disk takes.
const ROOM: usize = 100;
/// The octets that a message may have.
const LARGEST: u32 = 1000;

/// The first octet says how much room the store has, and what becomes of deliveries; the rest is what the MTA sends.
pub fn run(octets: &[u8]) {
    let Some((first, octets)) = octets.split_first().filter(|(_, rest)| !rest.is_empty()) else { return };
    // Where a message has a NUL and is too large, it depends on the pieces which of both is noticed first.
    let (first, largest) = if octets.contains(&0) { (first & !1, u32::MAX) } else { (*first, LARGEST) };
    let whole = talk(first, largest.into(), [octets].into_iter());
    assert_eq!(whole, talk(first, largest.into(), pieces::of(octets)));
    assert_eq!(whole, talk(first, largest.into(), octets.chunks(1)));
    assert!(whole.0.is_empty() || whole.0.ends_with("\r\n"));
}

/// What the MTA is sent, and the messages that were delivered.
fn talk<'a>(
    first: u8,
    largest_message: u64,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (String, Vec<String>) {
    let settings = Arc::new(Settings { host_name: "mx.test".to_owned(), largest_message });
    let mut session = Session::new(settings);
    let room = if first & 1 == 0 { usize::MAX } else { ROOM };
    let (mut sent, mut delivered) = (Vec::new(), Vec::new());
    let mut incoming: Option<Vec<u8>> = None;
    for piece in pieces {
        let mut input = piece;
        loop {
            match session.next(&mut input) {
                Action::Reply(reply) => reply.write_to(&mut sent),
                Action::Read => {
                    assert!(input.is_empty(), "input is left");
                    break;
                }
                Action::Find(address) if address.local.starts_with('n') => {
                    session.found(Err(Failure::UnknownRecipient));
                }
                Action::Find(_) => session.found(Ok(())),
                Action::Begin(octets) => assert!(incoming.replace(octets).is_none()),
                Action::Content(octets) => {
                    let message = incoming.as_mut().expect("a message has begun");
                    message.extend_from_slice(octets);
                    if message.len() > room {
                        incoming = None;
                        session.body_failed(Failure::DiskFull);
                    }
                }
                Action::Abandon => assert!(incoming.take().is_some()),
                Action::Deliver(envelope) => {
                    let message = incoming.take().expect("a message has begun");
                    assert!(!envelope.recipients.is_empty() && !message.contains(&0));
                    delivered.push(format!("{envelope:?}: {}", message.escape_ascii()));
                    let outcome = if first & 2 == 0 { Ok(Accepted::Stored) } else { Err(Failure::DiskFull) };
                    session.delivered(vec![outcome; envelope.recipients.len()]);
                }
                Action::Close => return (String::from_utf8(sent).expect("replies are text"), delivered),
            }
        }
    }
    (String::from_utf8(sent).expect("replies are text"), delivered)
}
