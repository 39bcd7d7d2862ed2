//! Notices, meetings and verdicts over networks of state machines, and peers that break the rules.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod common;
#[path = "common/network.rs"]
mod network;

use common::member;
use crdt::clock::{Millis, Timestamp};
use crdt::identity::{Incarnation, NodeSlot};
use crdt::notice::{Heard, LONGEST_NOTICE, Notice, Telling};
use crdt::record::Record;
use crdt::replica::Verdict;
use crdt::vector::{Sequence, Vector};
use network::Network;
use peerpost_replication::event::{Event, LinkId, Now, Output, Reason};
use peerpost_replication::frame::{ClusterId, Frame, FrameError, Hello, LENGTH_PREFIX};
use peerpost_replication::limits::{
    FORWARD_DELAY, MOST_KEEPING_BYTES, MOST_NOTICES, NOTICE_DELAY, NOTICE_WINDOW_BYTES, PROTOCOL_VERSION,
};
use peerpost_replication::{Identity, Replicator};

const MINUTE: u64 = 60_000;

fn slot(number: u8) -> NodeSlot {
    NodeSlot::new(number).unwrap()
}

#[test]
fn a_notice_reaches_everybody_promptly_and_once() {
    let mut network = Network::new(3);
    network.run(3_000);
    network.tell(0, vec![1; 100]);
    let took = network.run_until(MINUTE, Network::have_all_heard).unwrap();
    // One way of 10 ms, two accesses to a store of 2 ms, and the wait for others.
    assert!(took <= NOTICE_DELAY + 14, "{took} ms");
    network.run(2 * FORWARD_DELAY);
    let came: u64 = network.nodes.iter().map(|node| node.store.notices_came).sum();
    assert_eq!(came, 2, "nobody heard it twice");
}

#[test]
fn many_notices_of_a_moment_share_a_frame() {
    let mut network = Network::new(2);
    network.run(3_000);
    for number in 0..100u8 {
        network.tell(0, vec![number; 10]);
        network.run(u64::from(number % 10 == 0));
    }
    network.run(100);
    assert!(network.have_all_heard());
    assert!(network.nodes[0].notice_frames <= 2, "{} frames", network.nodes[0].notice_frames);
    // Of what was superseded within the moment nothing travels.
    let before = network.nodes[1].store.notices_came;
    for _ in 0..100 {
        network.tell(0, vec![200; 10]);
    }
    network.run(100);
    assert!(network.have_all_heard());
    assert_eq!(network.nodes[1].store.notices_came - before, 1);
}

#[test]
fn a_third_node_hears_over_a_relay_also_of_a_node_that_is_gone() {
    let mut network = Network::new(3);
    network.cut(0, 2);
    network.cut(1, 2);
    network.run(3_000);
    for number in 0..40u8 {
        network.tell(0, vec![number % 7; 2_000]);
    }
    network.run(1_000);
    network.cut(0, 1);
    network.restart(1);
    network.run(3_000);
    assert!(network.nodes[2].store.heard.is_empty());
    network.heal(1, 2);
    let took = network.run_until(MINUTE, |network| {
        network.nodes[2].store.notices == network.nodes[0].store.notices
            && network.nodes[2].store.heard == network.nodes[0].store.heard
    });
    assert!(took.unwrap() < 3_000, "{took:?} ms");
    assert_eq!(network.nodes[2].store.notices_came, 7, "what was superseded does not travel");
}

#[test]
fn a_peer_that_never_keeps_anything_costs_one_window() {
    let mut network = Network::new(2);
    network.nodes[1].apply_delay = 10 * MINUTE;
    for number in 0..200u8 {
        network.tell(0, vec![number; 10_000]);
    }
    for _ in 0..100 {
        network.run(100);
        let in_flight = network.status(0).peers[0].notice_bytes_in_flight;
        assert!(in_flight <= NOTICE_WINDOW_BYTES + 10_064, "{in_flight}");
    }
    assert!(network.status(0).peers[0].notice_bytes_in_flight > NOTICE_WINDOW_BYTES / 2);
    assert!(network.nodes[0].outputs_at_most < 100);
    assert_eq!(network.status(0).peers[0].last_error, None);
    network.nodes[1].apply_delay = 0;
    assert!(network.run_until(20 * MINUTE, Network::have_all_heard).is_some());
}

#[test]
fn the_longest_notice_travels() {
    let mut network = Network::new(2);
    for number in 0..5 {
        network.tell(0, vec![number; LONGEST_NOTICE]);
        network.tell(1, vec![number; LONGEST_NOTICE]);
    }
    assert!(network.run_until(MINUTE, Network::have_all_heard).is_some());
}

#[test]
fn nodes_that_meet_are_told_what_each_had() {
    let mut network = Network::new(2);
    network.run(3_000);
    network.cut(0, 1);
    network.run(3_000);
    assert!(network.nodes[0].store.meetings.is_empty() && network.nodes[1].store.meetings.is_empty());
    network.commit(1, None);
    network.tell(1, vec![1; 10]);
    let (vector, heard) = (network.nodes[1].store.vector.clone(), network.nodes[1].store.heard.clone());
    network.heal(0, 1);
    let met = |network: &Network| network.nodes[0].store.meetings.contains_key(&slot(1));
    network.run_until(MINUTE, met).unwrap();
    let meeting = &network.nodes[0].store.meetings[&slot(1)];
    assert_eq!((&meeting.vector, &Heard::from(meeting.heard.clone())), (&vector, &heard));
    // A link that breaks ends the meeting, and the next one begins another.
    network.kill(0, 1);
    network.run_until(MINUTE, |network| !met(network)).unwrap();
    network.run_until(MINUTE, met).unwrap();
}

#[test]
fn a_life_is_judged_once_its_first_record_is_here_and_again_on_each_link() {
    let mut network = Network::new(2);
    network.run(3_000);
    assert!(network.nodes[0].store.verdicts.is_empty(), "nothing is known of its life");
    network.commit(0, None);
    network.run(100);
    let life = network.nodes[0].incarnation;
    assert_eq!(network.nodes[0].store.verdicts, [(slot(1), life, Verdict::Confirmed)]);
    for _ in 0..5 {
        network.commit(0, None);
        network.run(1_000);
    }
    assert_eq!(network.nodes[0].store.verdicts.len(), 1, "what was said is not said again");
    network.kill(0, 1);
    network.run(3_000);
    assert_eq!(network.nodes[0].store.verdicts.len(), 2);
}

/// One node, told by hand what happens on its links.
struct Alone {
    node: Replicator,
    now: Now,
    vector: Vector,
}

fn life(number: u8) -> Incarnation {
    Incarnation([number; 16])
}

fn at(number: u8, milliseconds: u64) -> Timestamp {
    Timestamp::from_parts(Millis(1_790_000_000_000 + milliseconds), 0, slot(number))
}

impl Alone {
    /// Node 0, with links to peers 1 and 2.
    fn new() -> Alone {
        let identity = Identity { cluster: ClusterId([7; 16]), slot: slot(0), incarnation: life(0) };
        let node = Replicator::new(identity, Vector::new(), 1);
        let now = Now { steady: Millis(1_000), wall: Millis(1_790_000_000_000) };
        let mut alone = Alone { node, now, vector: Vector::new() };
        alone.handle(Event::Members((0..3).map(|number| member(number, "x:1")).collect()));
        for number in 1..3 {
            alone.handle(Event::Connected { slot: slot(number), link: link(number), dialled: true });
            let hello = Hello {
                version: PROTOCOL_VERSION,
                cluster: ClusterId([7; 16]),
                slot: slot(number),
                incarnation: life(number),
                vector: Vector::new(),
                heard: Heard::new(),
                wall: alone.now.wall,
                // They have links to each other.
                reachable: 0b110 ^ (1 << number),
            };
            alone.frame(number, Frame::Hello(hello));
        }
        alone
    }

    fn handle(&mut self, event: Event) -> Vec<Output> {
        self.node.handle(self.now, event);
        std::iter::from_fn(|| self.node.poll_output()).collect()
    }

    fn frame(&mut self, from: u8, frame: Frame) -> Vec<Output> {
        let octets = frame.encode().unwrap();
        let frame = Frame::decode(&octets[LENGTH_PREFIX..]).unwrap();
        self.handle(Event::Frame { link: link(from), frame })
    }

    fn wait(&mut self, milliseconds: u64) -> Vec<Output> {
        self.now.steady = self.now.steady.after(milliseconds);
        self.now.wall = self.now.wall.after(milliseconds);
        self.handle(Event::Timeout)
    }
}

fn link(number: u8) -> LinkId {
    LinkId(u64::from(number))
}

fn telling(number: u8, after: u64, until: u64, octets: usize) -> Telling {
    let after = if after == 0 { Timestamp::ZERO } else { at(number, after) };
    let notices = vec![Notice { at: at(number, until), bytes: vec![1; octets] }];
    Telling { slot: slot(number), after, until: at(number, until), notices }
}

fn broke(outputs: &[Output]) -> Option<&str> {
    outputs.iter().find_map(|output| match output {
        Output::Disconnect { reason: Reason::Protocol(why) | Reason::NoticesRefused(why), .. } => {
            Some(why.as_str())
        }
        _ => None,
    })
}

#[test]
fn a_peer_that_repeats_notices_or_sends_more_than_the_window_is_dropped() {
    let mut node = Alone::new();
    let first = node.frame(1, Frame::Notices { tellings: vec![telling(1, 0, 5, 10)] });
    assert!(first.iter().any(|output| matches!(output, Output::Keep { .. })), "{first:?}");
    let again = node.frame(1, Frame::Notices { tellings: vec![telling(1, 0, 5, 10)] });
    assert_eq!(broke(&again), Some("notices that came before"));

    let mut node = Alone::new();
    let mut sent = 0;
    for number in 1.. {
        let outputs =
            node.frame(1, Frame::Notices { tellings: vec![telling(1, number - 1, number, 60_000)] });
        sent += 60_000;
        if let Some(why) = broke(&outputs) {
            assert_eq!(why, "more notices than the window allows");
            break;
        }
        assert!(sent <= MOST_KEEPING_BYTES, "nothing holds it back");
    }
    assert!(sent > NOTICE_WINDOW_BYTES, "an honest peer may send a window");
}

#[test]
fn a_peer_whose_notices_the_store_refuses_is_dropped() {
    let mut node = Alone::new();
    node.frame(1, Frame::Notices { tellings: vec![telling(1, 3, 5, 10)] });
    let outputs = node.handle(Event::Kept { link: link(1), result: Err("a gap".into()) });
    assert_eq!(broke(&outputs), Some("a gap"));
}

#[test]
fn impossible_notices_are_no_frame() {
    let decode = |tellings: Vec<Telling>| {
        let octets = Frame::Notices { tellings }.encode().unwrap();
        Frame::decode(&octets[LENGTH_PREFIX..])
    };
    let descending = Telling {
        notices: vec![Notice { at: at(1, 4), bytes: vec![] }, Notice { at: at(1, 3), bytes: vec![] }],
        ..telling(1, 1, 9, 1)
    };
    let foreign = Telling { until: at(2, 9), ..telling(1, 1, 9, 1) };
    let many = Telling {
        notices: (0..=MOST_NOTICES as u64).map(|n| Notice { at: at(1, 2 + n), bytes: vec![] }).collect(),
        ..telling(1, 1, 9_999, 1)
    };
    let cases = [
        vec![],
        vec![telling(2, 0, 5, 1), telling(1, 0, 5, 1)],
        vec![telling(1, 0, 5, 1), telling(1, 5, 9, 1)],
        vec![telling(1, 5, 5, 1)],
        vec![descending],
        vec![foreign],
        vec![many],
        vec![telling(1, 0, 5, LONGEST_NOTICE + 1)],
        vec![telling(1, 0, 5, LONGEST_NOTICE), telling(2, 0, 5, LONGEST_NOTICE)],
    ];
    for tellings in cases {
        let told = format!("{:.200}", format!("{tellings:?}"));
        let error = decode(tellings).unwrap_err();
        assert!(matches!(error, FrameError::OverLimit(_) | FrameError::Notices(_)), "{told}: {error}");
    }
    let mut heard = Heard::new();
    heard.raise(slot(1), at(2, 5));
    let octets = Frame::Heard(heard).encode().unwrap();
    assert!(matches!(Frame::decode(&octets[LENGTH_PREFIX..]), Err(FrameError::Notices(_))));
}

/// A node leaves the notices of a third to that node's own link. While they were being read for a peer, more of them came to the
/// store: those alone would be a gap at the peer.
#[test]
fn what_came_to_the_store_while_it_was_read_is_not_sent_with_a_gap() {
    let mut node = Alone::new();
    let mut heard = Heard::new();
    heard.raise(slot(0), at(0, 5));
    heard.raise(slot(2), at(2, 5));
    node.handle(Event::Heard(heard));
    let outputs = node.wait(NOTICE_DELAY);
    let asked = outputs.iter().find_map(|output| match output {
        Output::ReadNotices { link: to, after, .. } if *to == link(1) => Some(after.clone()),
        _ => None,
    });
    assert_eq!(asked.unwrap().last(slot(2)), at(2, 5), "left to node 2");
    let tellings = vec![telling(0, 0, 5, 10), telling(2, 5, 8, 10)];
    let outputs = node.handle(Event::NoticesRead { link: link(1), tellings: Ok(tellings) });
    let sent = outputs.iter().find_map(|output| match output {
        Output::Send { frame: Frame::Notices { tellings }, .. } => Some(tellings.clone()),
        _ => None,
    });
    assert_eq!(sent.unwrap(), [telling(0, 0, 5, 10)]);
}

/// The same with records: a delta with a gap made the peer drop the link, and wait before it took the next one.
#[test]
fn records_that_came_while_the_log_was_read_are_not_sent_with_a_gap() {
    let mut node = Alone::new();
    node.vector.raise(life(0), Sequence(1));
    node.vector.raise(life(2), Sequence(1));
    let vector = node.vector.clone();
    let outputs = node.handle(Event::Committed(vector));
    let asked = outputs.iter().find_map(|output| match output {
        Output::ReadDelta { link: to, after, .. } if *to == link(1) => Some(after.clone()),
        _ => None,
    });
    assert_eq!(asked.unwrap().last(&life(2)), Sequence(1), "left to node 2");
    let record =
        |number, sequence| Record { incarnation: life(number), sequence: Sequence(sequence), bytes: vec![1] };
    let records = Ok(vec![record(0, 1), record(2, 2)]);
    let outputs = node.handle(Event::DeltaRead { link: link(1), records });
    let sent = outputs.iter().find_map(|output| match output {
        Output::Send { frame: Frame::Delta { records }, .. } => Some(records.clone()),
        _ => None,
    });
    assert_eq!(sent.unwrap(), [record(0, 1)]);
}
