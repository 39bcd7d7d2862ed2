//! Frames from another node: what decodes is encoded again to a frame that means the same.

use replication::event::Reason;
use replication::frame::Frame;

/// Octets in front of each frame that tell its length.
const LENGTH: usize = 4;

/// The input is a frame without its length.
pub fn run(octets: &[u8]) {
    Reason::decode(octets);
    let Ok(frame) = Frame::decode(octets) else { return };
    let encoded = frame.encode().expect("what was decoded can be encoded");
    assert_eq!(Frame::decode(&encoded[LENGTH..]), Ok(frame));
}
