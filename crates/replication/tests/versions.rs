//! Nodes that speak different versions of the protocol exchange nothing, and say why: the older one would not understand what the
//! newer one writes.

#![allow(clippy::unwrap_used, reason = "test")]

mod common;

use common::member;
use crdt::clock::Millis;
use crdt::identity::{Incarnation, NodeSlot};
use crdt::notice::Heard;
use crdt::vector::Vector;
use peerpost_replication::event::{Event, LinkId, Now, Output, Reason};
use peerpost_replication::frame::{ClusterId, Frame, Hello};
use peerpost_replication::limits::PROTOCOL_VERSION;
use peerpost_replication::{Identity, Replicator};

#[test]
fn a_peer_of_another_version_is_refused_and_told_why() {
    let slot = |number| NodeSlot::new(number).unwrap();
    let cluster = ClusterId([7; 16]);
    for other in [PROTOCOL_VERSION - 1, PROTOCOL_VERSION + 1] {
        let identity = Identity { cluster, slot: slot(0), incarnation: Incarnation([1; 16]) };
        let mut node = Replicator::new(identity, Vector::new(), 1);
        let now = Now { steady: Millis(1_000), wall: Millis(1_790_000_000_000) };
        let hello = Hello {
            version: other,
            cluster,
            slot: slot(1),
            incarnation: Incarnation([2; 16]),
            vector: Vector::new(),
            heard: Heard::new(),
            wall: now.wall,
            reachable: 0,
        };
        let link = LinkId(1);
        node.handle(now, Event::Members((0..2).map(|number| member(number, "x:1")).collect()));
        node.handle(now, Event::Connected { slot: slot(1), link, dialled: true });
        while node.poll_output().is_some() {}
        node.handle(now, Event::Frame { link, frame: Frame::Hello(hello) });
        let outputs: Vec<Output> = std::iter::from_fn(|| node.poll_output()).collect();
        let expected = Reason::OtherVersion(PROTOCOL_VERSION, other);
        let refused =
            |output: &Output| matches!(output, Output::Disconnect { reason, .. } if *reason == expected);
        assert!(outputs.iter().any(refused), "{outputs:?}");
        assert!(!expected.is_harmless(), "it is not dialled again at once");
        let gives = |output: &Output| matches!(output, Output::ReadDelta { .. } | Output::Apply { .. });
        assert!(!outputs.iter().any(gives), "{outputs:?}");
    }
}
