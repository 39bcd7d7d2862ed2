//! What operators see of replication.

use crdt::clock::Millis;
use serde::Serialize;

use crate::event::Now;
use crate::link::Link;
use crate::peer::Peer;
use crate::replicator::Replicator;

/// Replication at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Every member but this node, by slot.
    pub peers: Vec<PeerStatus>,
    /// Bodies that are named by entries and not here, as far as they are known to replication (at most 1024).
    pub bodies_wanted: usize,
}

/// One peer at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerStatus {
    /// Its slot.
    pub slot: u8,
    /// Its name.
    pub name: String,
    /// Where it is dialled.
    pub address: String,
    /// Since when there is a link, in milliseconds since 1970.
    pub connected_since: Option<Millis>,
    /// When a frame last came, in milliseconds since 1970; `null` if never in this life of this node.
    pub last_seen: Option<Millis>,
    /// The last round trip of a ping.
    pub round_trip_milliseconds: Option<u64>,
    /// Records that the peer is known to have and this node lacks.
    pub records_missing_here: u64,
    /// Records that this node has and the peer is not known to have; `null` while it was not heard.
    pub records_missing_there: Option<u64>,
    /// For how long the peer has lacked something.
    pub behind_milliseconds: u64,
    /// Octets of deltas sent and not acknowledged.
    pub delta_bytes_in_flight: usize,
    /// Octets of notices sent and not acknowledged.
    pub notice_bytes_in_flight: usize,
    /// Octets of bodies asked of the peer and not here.
    pub body_bytes_in_flight: u64,
    /// Why the link ended, or could not be had; `null` while it is up.
    pub last_error: Option<String>,
}

impl Replicator {
    /// How things stand at `now`.
    pub fn status(&self, now: Now) -> Status {
        let (peers, links, fetches) = self.parts();
        let status = |peer: &Peer| {
            let link = peer.link.and_then(|id| links.get(&id)).filter(|link| link.is_established());
            let behind =
                |link: &Link| link.behind_since.map_or(0, |since| now.steady.0.saturating_sub(since.0));
            PeerStatus {
                slot: peer.member.slot.number(),
                name: peer.member.name.clone(),
                address: peer.member.advertise.clone(),
                connected_since: link.map(|link| link.since.wall),
                last_seen: peer.last_seen,
                round_trip_milliseconds: link.and_then(|link| link.round_trip),
                records_missing_here: link.map_or(0, |link| link.theirs.ahead_of(self.vector())),
                records_missing_there: link.map(|link| self.vector().ahead_of(&link.theirs)),
                behind_milliseconds: link.map_or(0, behind),
                delta_bytes_in_flight: link.map_or(0, |link| link.in_flight_bytes),
                notice_bytes_in_flight: link.map_or(0, |link| link.exchange.in_flight_bytes),
                body_bytes_in_flight: peer.link.map_or(0, |id| fetches.bytes_in_flight(id)),
                last_error: peer.last_error.clone(),
            }
        };
        Status { peers: peers.values().map(status).collect(), bodies_wanted: fetches.wanted() }
    }
}
