//! What a node knows of one peer, whether there is a link or not: when to dial it, and how far to trust it.

use crdt::clock::Millis;
use crdt::operation::Member;

use crate::event::LinkId;
use crate::limits::{FIRST_BACK_OFF, GREATEST_BACK_OFF, REDIAL_INTERVAL};

/// A member of the cluster other than this node.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) member: Member,
    /// The connection that counts.
    pub(crate) link: Option<LinkId>,
    /// Whether an attempt to dial is under way.
    pub(crate) dialling: bool,
    /// When to dial next, if there is no link by then.
    pub(crate) dial_at: Millis,
    /// Links that ended because the peer broke the protocol, since it was last trusted.
    pub(crate) failures: u32,
    /// Until when connections from it are refused.
    pub(crate) refused_until: Option<Millis>,
    /// Whether the store was told what is looked at there.
    pub(crate) looks_told: bool,
    /// When a frame last came, by the wall clock.
    pub(crate) last_seen: Option<Millis>,
    pub(crate) last_error: Option<String>,
}

impl Peer {
    pub(crate) fn new(member: Member, dial_at: Millis) -> Self {
        Peer {
            member,
            link: None,
            dialling: false,
            dial_at,
            failures: 0,
            refused_until: None,
            looks_told: false,
            last_seen: None,
            last_error: None,
        }
    }

    /// When this peer needs to be dialled; `None` while there is a link or an attempt.
    pub(crate) fn dial_due(&self) -> Option<Millis> {
        (self.link.is_none() && !self.dialling).then_some(self.dial_at)
    }

    /// Dials again after the ordinary interval.
    pub(crate) fn redial_soon(&mut self, now: Millis, jitter: &mut Jitter) {
        let earliest = self.refused_until.unwrap_or_default();
        self.dial_at = now.after(jitter.around(REDIAL_INTERVAL)).max(earliest);
    }

    /// Lets the peer wait, twice as long as the last time.
    pub(crate) fn back_off(&mut self, now: Millis, jitter: &mut Jitter) {
        let wait = FIRST_BACK_OFF.saturating_mul(1 << self.failures.min(10)).min(GREATEST_BACK_OFF);
        self.failures = self.failures.saturating_add(1);
        // Never above the greatest back-off: the random part only shortens.
        let until = now.after(wait - jitter.below(wait / 4));
        self.refused_until = Some(until);
        self.dial_at = until;
    }

    /// Whether connections from it are refused now.
    pub(crate) fn is_refused(&self, now: Millis) -> bool {
        self.refused_until.is_some_and(|until| now < until)
    }
}

/// The random part of waiting times, from a seed that is handed in (SplitMix64, Steele and others 2014).
#[derive(Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Jitter(seed)
    }

    /// A time within a quarter of `interval`.
    fn around(&mut self, interval: u64) -> u64 {
        interval - interval / 4 + self.below(interval / 2)
    }

    /// A number below `bound`; 0 where `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(bound).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt::identity::NodeSlot;

    #[test]
    fn back_off_grows_to_its_bound() {
        let member =
            Member { slot: NodeSlot::FIRST, name: "a".into(), key: [0; 32], advertise: "a:1".into() };
        let mut peer = Peer::new(member, Millis(0));
        let mut jitter = Jitter::new(7);
        let mut waits = Vec::new();
        for _ in 0..40 {
            peer.back_off(Millis(1000), &mut jitter);
            waits.push(peer.dial_at.0 - 1000);
        }
        assert!(waits[0] <= FIRST_BACK_OFF && waits[0] >= FIRST_BACK_OFF * 3 / 4);
        assert!(waits.iter().all(|wait| *wait <= GREATEST_BACK_OFF));
        assert!(waits[39] >= GREATEST_BACK_OFF * 3 / 4);
        assert!(peer.is_refused(Millis(1500)) && !peer.is_refused(Millis(60_000)));
    }
}
