//! Links: dialling, the hello, pings, cuts, and what happens when a peer breaks the protocol.

use crdt::clock::{GREATEST_SKEW_MILLISECONDS, Millis};
use crdt::identity::NodeSlot;
use crdt::left_out::{LeftOut, leaves_out};
use crdt::replica::Meeting;
use tracing::{error, info, warn};

use super::Replicator;
use crate::event::{Departure, LinkId, Now, Output, Reason};
use crate::frame::{Frame, Hello};
use crate::limits::{FRESH_LIMIT, PING_INTERVAL, PROTOCOL_VERSION, SILENCE_LIMIT, TRUST_AFTER};
use crate::link::Link;

impl Replicator {
    pub(super) fn handle_connected(&mut self, now: Now, slot: NodeSlot, id: LinkId, dialled: bool) {
        let refuse = |reason| Output::Disconnect { link: id, reason };
        if self.shutting_down {
            return self.outputs.push_back(refuse(Reason::ShuttingDown));
        }
        let Some(peer) = self.peers.get_mut(&slot) else {
            return self.outputs.push_back(refuse(Reason::NotMember));
        };
        peer.dialling &= !dialled;
        if peer.is_refused(now.steady) {
            return self.outputs.push_back(refuse(Reason::BackingOff));
        }
        if let Some(old) = peer.link {
            if self.old_link_stays(now, old, dialled) {
                return self.outputs.push_back(refuse(Reason::Duplicate));
            }
            self.close(now, old, Reason::Duplicate);
        }
        if let Some(peer) = self.peers.get_mut(&slot) {
            peer.link = Some(id);
        }
        let mut link = Link::new(slot, dialled, now);
        link.told = self.vector.clone();
        link.exchange.news(&self.heard);
        self.links.insert(id, link);
        let hello = Hello {
            version: PROTOCOL_VERSION,
            cluster: self.identity.cluster,
            slot: self.identity.slot,
            incarnation: self.identity.incarnation,
            vector: self.vector.clone(),
            heard: self.heard.clone(),
            wall: now.wall,
            reachable: self.reachable(),
        };
        self.outputs.push_back(Output::Send { link: id, frame: Frame::Hello(hello) });
        self.send_all_looks(id);
    }

    /// Of two connections between the same nodes the one that the lower slot dialled stays, if it is alive; else the
    /// newer one. Both sides decide alike.
    fn old_link_stays(&self, now: Now, old: LinkId, new_dialled: bool) -> bool {
        let Some(old) = self.links.get(&old) else { return false };
        let here_is_lower = self.identity.slot < old.slot;
        let old_by_lower = old.dialled == here_is_lower;
        let new_by_lower = new_dialled == here_is_lower;
        old_by_lower && !new_by_lower && now.steady < old.heard.after(FRESH_LIMIT)
    }

    pub(super) fn handle_hello(&mut self, now: Now, id: LinkId, hello: Hello) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let slot = link.slot;
        if hello.version != PROTOCOL_VERSION {
            return self.fail(now, id, Reason::OtherVersion(PROTOCOL_VERSION, hello.version));
        }
        if hello.cluster != self.identity.cluster {
            return self.fail(now, id, Reason::OtherCluster);
        }
        if hello.slot != slot && !self.may_be_in(slot, hello.slot) {
            return self.fail(now, id, Reason::Protocol("a hello of another slot than the key's".into()));
        }
        if !self.check_clock(now, id, hello.wall) {
            return;
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        link.incarnation = Some(hello.incarnation);
        link.reachable = hello.reachable;
        link.peer_has(&hello.vector);
        link.exchange.peer_heard(&hello.heard);
        let here = hello.vector.ahead_of(&self.vector);
        let there = self.vector.ahead_of(&hello.vector);
        if let Some(peer) = self.peers.get_mut(&slot) {
            peer.last_error = None;
            info!(%slot, name = %peer.member.name, missing_here = here, missing_there = there, "a link is up");
        }
        let meeting = match leaves_out(LeftOut::MeetingIsTold) {
            true => Meeting::default(),
            false => Meeting { vector: hello.vector, heard: hello.heard.into() },
        };
        self.outputs.push_back(Output::Met { slot, meeting: Some(meeting) });
        self.fetches.link_up(id, slot);
        self.ping_all_now(now.steady);
    }

    /// Whether the peer whose key is that of one slot may still live in another: its disk may be a copy from before it was given
    /// the slot, and it hears over this link that it has to go on elsewhere.
    fn may_be_in(&self, slot: NodeSlot, lives_in: NodeSlot) -> bool {
        let key = self.peers.get(&slot).map(|peer| peer.member.key);
        let others = self.peers.get(&lives_in).is_some_and(|peer| Some(peer.member.key) != key);
        lives_in != self.identity.slot && !others
    }

    /// Drops the link of a peer whose clock is far off. Gives whether it is right.
    pub(super) fn check_clock(&mut self, now: Now, id: LinkId, theirs: Millis) -> bool {
        let difference = now.wall.0.abs_diff(theirs.0);
        if difference > GREATEST_SKEW_MILLISECONDS {
            if let Some(link) = self.links.get(&id) {
                let (slot, seconds) = (link.slot, difference / 1000);
                error!(%slot, seconds, "the clocks of this node and a peer differ by more than five minutes");
            }
            self.fail(now, id, Reason::ClockSkew(difference / 1000));
        }
        difference <= GREATEST_SKEW_MILLISECONDS
    }

    pub(super) fn handle_dial_failed(&mut self, now: Now, slot: NodeSlot, why: String) {
        let Some(peer) = self.peers.get_mut(&slot) else { return };
        peer.dialling = false;
        peer.redial_soon(now.steady, &mut self.jitter);
        if peer.link.is_none() && peer.last_error.as_ref() != Some(&why) {
            info!(%slot, address = %peer.member.advertise, %why, "a peer cannot be reached; dialling goes on");
            peer.last_error = Some(why);
        }
    }

    pub(super) fn handle_disconnected(&mut self, now: Now, id: LinkId, departure: Departure) {
        let Some(slot) = self.links.get(&id).map(|link| link.slot) else { return };
        self.forget_link(now, id);
        let Some(peer) = self.peers.get_mut(&slot) else { return };
        match departure {
            Departure::Goodbye(reason) if reason.is_harmless() => {
                info!(%slot, %reason, "a peer closed the link");
                peer.last_error = Some(reason.to_string());
            }
            Departure::Goodbye(reason) => {
                warn!(%slot, %reason, "a peer refused the link");
                peer.last_error = Some(reason.to_string());
                peer.back_off(now.steady, &mut self.jitter);
            }
            Departure::Lost(why) => {
                // A peer that lets nobody in is dialled twice a second: one line is enough.
                if peer.last_error.as_ref() != Some(&why) {
                    info!(%slot, %why, "a link was lost");
                    peer.last_error = Some(why);
                }
            }
        }
    }

    /// Drops the link of a peer that broke the protocol, and lets it wait.
    pub(super) fn fail(&mut self, now: Now, id: LinkId, reason: Reason) {
        let Some(slot) = self.links.get(&id).map(|link| link.slot) else { return };
        warn!(%slot, %reason, "the link of a peer is dropped");
        self.close(now, id, reason);
        if let Some(peer) = self.peers.get_mut(&slot) {
            peer.back_off(now.steady, &mut self.jitter);
        }
    }

    /// Closes a link; the peer is dialled again soon.
    pub(super) fn close(&mut self, now: Now, id: LinkId, reason: Reason) {
        let Some(slot) = self.links.get(&id).map(|link| link.slot) else { return };
        if let Some(peer) = self.peers.get_mut(&slot) {
            peer.last_error = Some(reason.to_string());
        }
        self.outputs.push_back(Output::Disconnect { link: id, reason });
        self.forget_link(now, id);
    }

    fn forget_link(&mut self, now: Now, id: LinkId) {
        let Some(link) = self.links.remove(&id) else { return };
        self.fetches.link_down(id, &mut self.outputs);
        if let Some(peer) = self.peers.get_mut(&link.slot)
            && peer.link == Some(id)
        {
            peer.link = None;
            peer.redial_soon(now.steady, &mut self.jitter);
            if link.is_established() {
                self.outputs.push_back(Output::Met { slot: link.slot, meeting: None });
            }
            if std::mem::take(&mut peer.looks_told) {
                self.outputs.push_back(Output::PeerLooks { slot: link.slot, looks: None });
            }
        }
        self.ping_all_now(now.steady);
    }

    /// Cuts silent links, pings the others, dials.
    pub(super) fn fire_timers(&mut self, now: Now) {
        let silent = |link: &Link| link.heard.after(SILENCE_LIMIT) <= now.steady;
        let cut: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| silent(link)).map(|(id, _)| *id).collect();
        for id in cut {
            if let Some(link) = self.links.get(&id) {
                info!(slot = %link.slot, "a link is silent and counts as cut");
            }
            self.close(now, id, Reason::Silent);
        }
        let due: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.next_ping <= now.steady).map(|(id, _)| *id).collect();
        for id in due {
            self.ping(now, id);
        }
        for (slot, peer) in &mut self.peers {
            if peer.dial_due().is_some_and(|at| at <= now.steady) {
                peer.dialling = true;
                self.outputs.push_back(Output::Dial {
                    slot: *slot,
                    address: peer.member.advertise.clone(),
                    key: peer.member.key,
                });
            }
        }
    }

    fn ping(&mut self, now: Now, id: LinkId) {
        let reachable = self.reachable();
        let Some(link) = self.links.get_mut(&id) else { return };
        link.next_ping = now.steady.after(PING_INTERVAL);
        link.stalled = false;
        link.exchange.stalled = false;
        // What came since may speak against the life of the peer.
        link.judged_at = link.judged_at.filter(|judged| link.verdict.is_some() && *judged == self.commits);
        if !link.is_established() {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&link.slot)
            && link.since.steady.after(TRUST_AFTER) <= now.steady
        {
            peer.failures = 0;
        }
        // An unanswered ping stays the one that is measured: the round trip of a slow link is not made to look short.
        if link.ping_sent.is_none() {
            link.ping_sent = Some((self.next_nonce, now.steady));
        }
        let (vector, heard) = (link.news(&self.vector), link.exchange.news(&self.heard));
        let frame = Frame::Ping { nonce: self.next_nonce, wall: now.wall, vector, heard, reachable };
        self.next_nonce += 1;
        self.outputs.push_back(Output::Send { link: id, frame });
    }

    /// Tells all peers at once who can be reached now.
    fn ping_all_now(&mut self, now: Millis) {
        self.links.values_mut().for_each(|link| link.next_ping = now);
    }

    fn reachable(&self) -> u128 {
        let established = self.links.values().filter(|link| link.is_established());
        established.fold(0, |bits, link| bits | bit(link.slot))
    }
}

/// The bit of a slot in a set of slots.
pub(super) fn bit(slot: NodeSlot) -> u128 {
    1u128.checked_shl(u32::from(slot.number())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use crdt::identity::Incarnation;
    use crdt::operation::Member;
    use crdt::vector::Vector;

    use super::*;
    use crate::Identity;
    use crate::event::Event;
    use crate::frame::ClusterId;

    const CLUSTER: ClusterId = ClusterId([9; 16]);
    const NOW: Now = Now { steady: Millis(1_000), wall: Millis(1_790_000_000_000) };

    fn slot(number: u8) -> NodeSlot {
        NodeSlot::new(number).expect("a slot")
    }

    fn member(number: u8, key: u8) -> Member {
        Member { slot: slot(number), name: format!("n{key}"), key: [key; 32], advertise: "there".into() }
    }

    /// What node 0 makes of a hello that says `says`, over a link with the key of slot `of`.
    fn is_refused(members: Vec<Member>, of: u8, says: u8) -> bool {
        let identity = Identity { cluster: CLUSTER, slot: slot(0), incarnation: Incarnation([1; 16]) };
        let mut replicator = Replicator::new(identity, Vector::new(), 1);
        let link = LinkId(1);
        replicator.handle(NOW, Event::Members(members));
        replicator.handle(NOW, Event::Connected { slot: slot(of), link, dialled: false });
        let hello = Hello {
            version: PROTOCOL_VERSION,
            cluster: CLUSTER,
            slot: slot(says),
            incarnation: Incarnation([2; 16]),
            vector: Vector::new(),
            heard: crdt::notice::Heard::new(),
            wall: NOW.wall,
            reachable: 0,
        };
        replicator.handle(NOW, Event::Frame { link, frame: Frame::Hello(hello) });
        let outputs: Vec<Output> = std::iter::from_fn(|| replicator.poll_output()).collect();
        outputs.iter().any(|output| matches!(output, Output::Disconnect { .. }))
    }

    /// A disk that is put back to a copy from before its node was given slot 65 says that it lives in slot 1. Without a link it
    /// would never hear that it has to go on elsewhere, and its mail would reach nobody.
    #[test]
    fn a_peer_may_say_that_it_lives_in_a_slot_that_it_has_left() {
        let members = vec![member(0, 1), member(2, 3), member(65, 2)];
        assert!(!is_refused(members.clone(), 65, 65));
        assert!(!is_refused(members.clone(), 65, 1));
        assert!(is_refused(members.clone(), 65, 2), "the slot of another member");
        assert!(is_refused(members, 65, 0), "the slot of this node");
    }

    /// While a node has not moved yet, the slot that it was given is no peer: it would dial itself.
    #[test]
    fn a_node_does_not_dial_itself_in_another_slot() {
        let identity = Identity { cluster: CLUSTER, slot: slot(1), incarnation: Incarnation([1; 16]) };
        let mut replicator = Replicator::new(identity, Vector::new(), 1);
        replicator.handle(NOW, Event::Members(vec![member(0, 1), member(1, 2), member(65, 2)]));
        let later = Now { steady: Millis(5_000), ..NOW };
        replicator.handle(later, Event::Timeout);
        let dialled = std::iter::from_fn(|| replicator.poll_output()).filter_map(|output| match output {
            Output::Dial { slot, .. } => Some(slot.number()),
            _ => None,
        });
        assert_eq!(dialled.collect::<Vec<_>>(), [0]);
    }
}
