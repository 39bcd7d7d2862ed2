//! Replication of one node with all its peers, as a state machine: events and time in, frames and deadlines out.
//!
//! Callers feed it with [`Replicator::handle`], then take every [`Replicator::poll_output`] until there is none, and
//! wake it with [`Event::Timeout`] at [`Replicator::poll_timeout`]. It reads no clock, no socket and no store.
//!
//! **What it holds in memory** is bounded by constants of [`crate::limits`]: what a peer lacks is never queued but read
//! from the log when the peer has acknowledged what was sent before. A slow peer costs one window, a dead one nothing.

mod bodies;
mod connection;
mod delta;
mod lives;
mod looks;
mod notices;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crdt::clock::Millis;
use crdt::identity::{Incarnation, NodeSlot};
use crdt::notice::Heard;
use crdt::operation::Member;
use crdt::vector::Vector;

use crate::event::{Event, LinkId, Now, Output, Reason};
use crate::fetch::Fetches;
use crate::frame::{ClusterId, Frame, LookedAt};
use crate::limits::SILENCE_LIMIT;
use crate::link::Link;
use crate::peer::{Jitter, Peer};

/// Who this node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its slot.
    pub slot: NodeSlot,
    /// Its life.
    pub incarnation: Incarnation,
}

/// The replication of one node.
#[derive(Debug)]
pub struct Replicator {
    identity: Identity,
    jitter: Jitter,
    peers: BTreeMap<NodeSlot, Peer>,
    links: BTreeMap<LinkId, Link>,
    /// What this node has, durably.
    vector: Vector,
    /// How often that grew.
    commits: u64,
    /// Up to when this node has heard each other, durably.
    heard: Heard,
    looks: BTreeSet<LookedAt>,
    fetches: Fetches,
    /// Whether the store shall be asked which bodies it lacks, and whether it is being asked.
    wanted: Wanted,
    /// Who sent the delta that was applied last: it is likely to have the bodies.
    latest_author: Option<NodeSlot>,
    next_nonce: u64,
    shutting_down: bool,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    asked: bool,
    ask_again: bool,
    /// Whether the store named as many as fit: there may be more.
    more: bool,
}

impl Replicator {
    /// The replication of a node that has `vector`. `seed` gives the random part of waiting times.
    pub fn new(identity: Identity, vector: Vector, seed: u64) -> Self {
        Replicator {
            identity,
            jitter: Jitter::new(seed),
            peers: BTreeMap::new(),
            links: BTreeMap::new(),
            vector,
            commits: 0,
            heard: Heard::new(),
            looks: BTreeSet::new(),
            fetches: Fetches::default(),
            wanted: Wanted { ask_again: true, ..Wanted::default() },
            latest_author: None,
            next_nonce: 0,
            shutting_down: false,
            outputs: VecDeque::new(),
        }
    }

    /// Takes note of something that happened at `now`.
    pub fn handle(&mut self, now: Now, event: Event) {
        match event {
            Event::Members(members) => self.handle_members(now, members),
            Event::Connected { slot, link, dialled } => self.handle_connected(now, slot, link, dialled),
            Event::DialFailed { slot, why } => self.handle_dial_failed(now, slot, why),
            Event::Disconnected { link, departure } => self.handle_disconnected(now, link, departure),
            Event::Frame { link, frame } => self.handle_frame(now, link, frame),
            Event::BadFrame { link, why } => self.fail(now, link, Reason::Protocol(why)),
            Event::Committed(vector) => self.handle_committed(&vector),
            Event::Heard(heard) => self.handle_heard(&heard),
            Event::NewLife(life) => self.handle_new_life(life),
            Event::Looks(looks) => self.handle_looks(looks),
            Event::DeltaRead { link, records } => self.handle_delta_read(link, records),
            Event::Applied { link, result } => self.handle_applied(now, link, result),
            Event::NoticesRead { link, tellings } => self.handle_notices_read(link, tellings),
            Event::Kept { link, result } => self.handle_kept(now, link, result),
            Event::Judged { link, life, verdict } => self.handle_judged(link, life, verdict),
            Event::WantedRead(list) => self.handle_wanted_read(list),
            Event::BodyRead { link, hash, offset, piece } => self.handle_body_read(link, hash, offset, piece),
            Event::BodyWritten { length } => self.fetches.written(length),
            Event::BodyStored { hash, result } => self.handle_body_stored(now, hash, &result),
            Event::Timeout => {}
            Event::Shutdown => self.handle_shutdown(),
        }
        if !self.shutting_down {
            self.fire_timers(now);
            self.pump(now.steady);
        }
        self.assert_bounds();
    }

    /// The next thing to do; in this order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Event::Timeout`] is due, by the steady clock.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let dials = self.peers.values().filter_map(Peer::dial_due);
        let silences = self.links.values().map(|link| link.heard.after(SILENCE_LIMIT));
        let pings = self.links.values().map(|link| link.next_ping);
        let forwards = self.links.values().filter(|link| link.may_send()).filter_map(|link| link.forward_at);
        let established = self.links.values().filter(|link| link.is_established());
        let notices = established.filter_map(|link| link.exchange.poll_timeout());
        let bodies = self.fetches.poll_timeout();
        let earliest = dials.chain(silences).chain(pings).chain(forwards).chain(notices).chain(bodies).min();
        earliest.filter(|_| !self.shutting_down)
    }

    /// What this node has, durably, as far as it was told.
    pub fn vector(&self) -> &Vector {
        &self.vector
    }

    pub(crate) fn parts(&self) -> (&BTreeMap<NodeSlot, Peer>, &BTreeMap<LinkId, Link>, &Fetches) {
        (&self.peers, &self.links, &self.fetches)
    }

    /// Adds, changes and removes peers.
    fn handle_members(&mut self, now: Now, members: Vec<Member>) {
        let own = members.iter().find(|member| member.slot == self.identity.slot).map(|member| member.key);
        let members = members.into_iter().filter(|member| {
            // A slot that this very node was given and does not live in yet is no peer.
            member.slot != self.identity.slot && Some(member.key) != own
        });
        let members: BTreeMap<NodeSlot, Member> = members.map(|member| (member.slot, member)).collect();
        let changed = |(slot, peer): (&NodeSlot, &Peer)| {
            let same_key = members.get(slot).is_some_and(|member| member.key == peer.member.key);
            (!same_key).then_some(*slot)
        };
        let changed: Vec<NodeSlot> = self.peers.iter().filter_map(changed).collect();
        for slot in changed {
            if let Some(link) = self.peers.get(&slot).and_then(|peer| peer.link) {
                self.close(now, link, Reason::NotMember);
            }
            self.peers.remove(&slot);
        }
        for (slot, member) in members {
            let courtesy = if slot < self.identity.slot { crate::limits::COURTESY_DELAY } else { 0 };
            match self.peers.get_mut(&slot) {
                Some(peer) => peer.member = member,
                None => {
                    let first = now.steady.after(courtesy + self.jitter.below(20));
                    self.peers.insert(slot, Peer::new(member, first));
                }
            }
        }
    }

    fn handle_shutdown(&mut self) {
        self.shutting_down = true;
        for link in std::mem::take(&mut self.links).into_keys() {
            self.outputs.push_back(Output::Disconnect { link, reason: Reason::ShuttingDown });
        }
        self.peers.values_mut().for_each(|peer| peer.link = None);
    }

    /// Frames of an established link, and the hello that establishes it.
    fn handle_frame(&mut self, now: Now, id: LinkId, frame: Frame) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.heard = now.steady;
        if let Some(peer) = self.peers.get_mut(&link.slot) {
            peer.last_seen = Some(now.wall);
        }
        match (link.is_established(), frame) {
            (false, Frame::Hello(hello)) => self.handle_hello(now, id, hello),
            (true, Frame::Hello(_)) => self.fail(now, id, Reason::Protocol("a second hello".into())),
            (false, _) => self.fail(now, id, Reason::Protocol("a frame before the hello".into())),
            (true, Frame::Vector(vector)) => link.peer_has(&vector),
            (true, Frame::Delta { records }) => self.handle_delta(now, id, records),
            (true, Frame::Looks { reset, started, ended, complete }) => {
                self.handle_peer_looks(id, reset, started, &ended, complete);
            }
            (true, Frame::BodyRequest { hash, offset }) => self.handle_body_request(now, id, hash, offset),
            (true, Frame::BodyPiece { hash, offset, total, bytes }) => {
                self.fetches.piece(id, (hash, offset, total), bytes, now.steady, &mut self.outputs);
            }
            (true, Frame::BodyAbsent { hash }) => self.fetches.absent(id, hash, &mut self.outputs),
            (true, Frame::BodyPresent { hash }) => self.fetches.present(id, hash),
            (true, Frame::Notices { tellings }) => self.handle_notices(now, id, tellings),
            (true, Frame::Heard(heard)) => link.exchange.peer_heard(&heard),
            (true, Frame::NewLife { life }) => self.handle_peer_life(id, life),
            (true, Frame::Verdict { life, verdict }) => self.handle_verdict(id, life, verdict),
            (true, Frame::Ping { nonce, wall, vector, heard, reachable }) => {
                link.peer_has(&vector);
                link.exchange.peer_heard(&heard);
                if link.reachable != reachable {
                    link.reachable = reachable;
                    link.forward_at = None;
                }
                self.outputs.push_back(Output::Send { link: id, frame: Frame::Pong { nonce } });
                self.check_clock(now, id, wall);
            }
            (true, Frame::Pong { nonce }) => {
                if let Some((_, sent)) = link.ping_sent.take_if(|(asked, _)| *asked == nonce) {
                    link.round_trip = Some(now.steady.0.saturating_sub(sent.0));
                }
            }
        }
    }

    /// Everything that became possible: notices and deltas first, then bodies.
    fn pump(&mut self, now: Millis) {
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.pump_notices(now, link);
            self.pump_delta(now, link);
            self.pump_verdict(link);
        }
        self.pump_bodies(now);
    }

    /// The bounds on memory, checked after every event.
    fn assert_bounds(&self) {
        use crate::limits::{
            DELTA_WINDOW_BYTES, LONGEST_FRAME, MOST_APPLYING_BYTES, MOST_ASKED_FOR, MOST_BODIES_SERVED,
            MOST_KEEPING_BYTES, MOST_LOOKS, MOST_WANTED,
        };
        debug_assert!(self.fetches.wanted() <= MOST_WANTED);
        for link in self.links.values() {
            debug_assert!(link.in_flight_bytes <= DELTA_WINDOW_BYTES + LONGEST_FRAME);
            debug_assert!(link.applying_bytes <= MOST_APPLYING_BYTES);
            debug_assert!(link.exchange.in_flight_bytes <= MOST_KEEPING_BYTES);
            debug_assert!(link.exchange.keeping_bytes <= MOST_KEEPING_BYTES);
            debug_assert!(link.serving <= MOST_BODIES_SERVED && link.asked_for.len() <= MOST_ASKED_FOR);
            debug_assert!(link.looks.len() <= MOST_LOOKS);
        }
    }
}
