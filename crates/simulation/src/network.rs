//! Paths between nodes that delay, and are cut in one direction or both; connections over them, as QUIC gives them:
//! octets sent into a cut path wait until it is whole again, and each stream keeps its order.
//!
//! What is lost is sent again, so that loss is delay, of everything behind it in the stream too. Within a stream nothing is
//! reordered or doubled, because QUIC does neither. It happens around streams: the two of a connection overtake each other,
//! what a connection delivered last may be read after the next one is up, and what was not acknowledged is sent again there.

use std::collections::{BTreeMap, VecDeque};

use crdt::clock::Millis;
use replication::event::{Departure, LinkId};
use replication::frame::{Channel, Frame, LENGTH_PREFIX};

use crate::chance::Chance;

/// How long a sender waits for an acknowledgement, beside the round trip, before it sends again, in milliseconds; doubles.
const FIRST_RESEND_MILLISECONDS: u64 = 20;
const LONGEST_RESEND_MILLISECONDS: u64 = 2_000;
/// How long frames that the system has delivered may wait for a node that has given their connection up, in milliseconds.
const LATE_MILLISECONDS: u64 = 300;

/// What travels on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    /// The dialler's handshake is done.
    Up,
    /// A frame, as octets, and when it was sent.
    Frame(Channel, Vec<u8>, Millis),
    /// The other side closed the connection. Overtakes what waits, and is lost where the path is cut.
    Close(Departure),
}

impl Packet {
    pub(crate) fn frame(frame: &Frame, now: Millis) -> Result<Packet, String> {
        Ok(Packet::Frame(frame.channel(), frame.encode().map_err(|error| error.to_string())?, now))
    }

    pub(crate) fn decode(octets: &[u8]) -> Result<Frame, String> {
        Frame::decode(octets.get(LENGTH_PREFIX..).unwrap_or_default()).map_err(|error| error.to_string())
    }

    fn stream(&self) -> usize {
        usize::from(matches!(self, Packet::Frame(Channel::Bodies, ..)))
    }
}

/// One direction between two nodes.
#[derive(Clone, Copy, Debug)]
struct Path {
    cut: bool,
    latency: u64,
    /// Of a hundred packets so many are lost.
    loss: u64,
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) node: usize,
    /// The life of the node that the end belongs to.
    pub(crate) life: u64,
    pub(crate) peer: usize,
    pub(crate) other: LinkId,
    pub(crate) open: bool,
    /// When the connection came up.
    pub(crate) since: Millis,
    /// When this side gave the connection up, if it did.
    given_up: Option<Millis>,
    /// For each stream: when the last packet towards this end arrives, and what waits for the path to be whole.
    arrives: [Millis; 2],
    waiting: [VecDeque<Packet>; 2],
}

pub(crate) struct Network {
    nodes: usize,
    paths: Vec<Path>,
    ends: BTreeMap<LinkId, End>,
    last_link: u64,
    chance: Chance,
    /// Packets that were sent again, and those that were on their way when their connection ended.
    pub(crate) lost: u64,
    pub(crate) cut_off: u64,
}

impl Network {
    pub(crate) fn new(nodes: usize, distance: u64, mut chance: Chance) -> Self {
        let mut network = Network {
            nodes,
            paths: vec![Path { cut: false, latency: 1, loss: 0 }; nodes * nodes],
            ends: BTreeMap::new(),
            last_link: 0,
            chance: chance.branch(),
            lost: 0,
            cut_off: 0,
        };
        for from in 0..nodes {
            for to in from + 1..nodes {
                let latency = distance * chance.between(1, 60);
                network.set_latency(from, to, latency);
            }
        }
        network
    }

    fn path(&mut self, from: usize, to: usize) -> &mut Path {
        let index = from * self.nodes + to;
        &mut self.paths[index]
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.paths[from * self.nodes + to].cut
    }

    pub(crate) fn latency(&self, from: usize, to: usize) -> u64 {
        self.paths[from * self.nodes + to].latency
    }

    pub(crate) fn set_latency(&mut self, a: usize, b: usize, latency: u64) {
        self.path(a, b).latency = latency;
        self.path(b, a).latency = latency;
    }

    pub(crate) fn set_loss(&mut self, a: usize, b: usize, loss: u64) {
        self.path(a, b).loss = loss;
        self.path(b, a).loss = loss;
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.path(from, to).cut = true;
    }

    /// Mends a direction; gives the ends whose packets can now go on.
    pub(crate) fn mend(&mut self, from: usize, to: usize) -> Vec<LinkId> {
        self.path(from, to).cut = false;
        let towards = |end: &End| end.open && (end.peer, end.node) == (from, to);
        self.ends.iter().filter(|(_, end)| towards(end)).map(|(link, _)| *link).collect()
    }

    /// Connects two nodes; gives the ends of the dialler and of the dialled.
    pub(crate) fn connect(&mut self, now: Millis, from: (usize, u64), to: (usize, u64)) -> (LinkId, LinkId) {
        let (here, there) = (LinkId(self.last_link + 1), LinkId(self.last_link + 2));
        self.last_link += 2;
        let end = |(node, life): (usize, u64), peer, other| End {
            node,
            life,
            peer,
            other,
            open: true,
            since: now,
            given_up: None,
            arrives: [Millis(0); 2],
            waiting: [VecDeque::new(), VecDeque::new()],
        };
        self.ends.insert(here, end(from, to.0, there));
        self.ends.insert(there, end(to, from.0, here));
        (here, there)
    }

    pub(crate) fn end(&self, link: LinkId) -> Option<&End> {
        self.ends.get(&link).filter(|end| end.open)
    }

    /// When a packet sent now from this end arrives, and at which end; none where the connection has ended here.
    pub(crate) fn send(&mut self, now: Millis, from: LinkId, packet: &Packet) -> Option<(Millis, LinkId)> {
        let end = self.end(from)?;
        let (other, path) = (end.other, self.paths[end.node * self.nodes + end.peer]);
        let mut arrival = now.after(path.latency + self.chance.below(1 + path.latency / 4));
        if matches!(packet, Packet::Close(_)) {
            return (!self.chance.percent(path.loss)).then_some((arrival, other));
        }
        let mut again = FIRST_RESEND_MILLISECONDS + 2 * path.latency;
        while again < LONGEST_RESEND_MILLISECONDS && self.chance.percent(path.loss) {
            self.lost += 1;
            arrival = arrival.after(again);
            again *= 2;
        }
        let receiver = self.ends.get_mut(&other)?;
        let arrives = receiver.arrives.get_mut(packet.stream())?;
        *arrives = arrival.max(*arrives);
        Some((*arrives, other))
    }

    /// A packet comes to an end: given back where it gets through now.
    pub(crate) fn arrive(&mut self, link: LinkId, packet: Packet) -> Option<Packet> {
        let Some(end) = self.end(link) else {
            self.cut_off += 1;
            return None;
        };
        let cut = self.is_cut(end.peer, end.node);
        if matches!(packet, Packet::Close(_)) {
            return (!cut).then_some(packet);
        }
        let waiting = self.ends.get_mut(&link)?.waiting.get_mut(packet.stream())?;
        if cut || !waiting.is_empty() {
            waiting.push_back(packet);
            return None;
        }
        Some(packet)
    }

    /// The node at this end if it gave the connection up a moment ago: what was delivered before it may be read now.
    pub(crate) fn given_up(&self, link: LinkId, now: Millis) -> Option<&End> {
        let end = self.ends.get(&link)?;
        let since = end.given_up.filter(|since| now <= since.after(LATE_MILLISECONDS));
        since.filter(|_| !self.is_cut(end.peer, end.node)).map(|_| end)
    }

    /// What waited at an end, if the path to it is whole.
    pub(crate) fn release(&mut self, link: LinkId) -> Vec<Packet> {
        let Some(end) = self.end(link) else { return vec![] };
        if self.is_cut(end.peer, end.node) {
            return vec![];
        }
        let Some(end) = self.ends.get_mut(&link) else { return vec![] };
        end.waiting.iter_mut().flat_map(std::mem::take).collect()
    }

    /// Ends a connection on this side.
    pub(crate) fn close(&mut self, link: LinkId) {
        if let Some(end) = self.ends.get_mut(&link) {
            end.open = false;
            let waiting: usize = end.waiting.iter().map(VecDeque::len).sum();
            self.cut_off += u64::try_from(waiting).unwrap_or_default();
            end.waiting.iter_mut().for_each(VecDeque::clear);
        }
    }

    /// The same where the node itself decided so.
    pub(crate) fn give_up(&mut self, link: LinkId, now: Millis) {
        self.close(link);
        if let Some(end) = self.ends.get_mut(&link) {
            end.given_up = Some(now);
        }
    }

    /// The open ends of a node.
    pub(crate) fn ends_of(&self, node: usize) -> Vec<LinkId> {
        self.ends.iter().filter(|(_, end)| end.open && end.node == node).map(|(link, _)| *link).collect()
    }

    /// The open ends of connections between two nodes, in either direction.
    pub(crate) fn ends_between(&self, a: usize, b: usize) -> Vec<LinkId> {
        let between = |end: &End| (end.node, end.peer) == (a, b) || (end.node, end.peer) == (b, a);
        self.ends.iter().filter(|(_, end)| end.open && between(end)).map(|(link, _)| *link).collect()
    }
}
