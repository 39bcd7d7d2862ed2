//! The exchange of notices over one link: what the peer has heard, what is on its way, and when more is due.

use std::collections::VecDeque;

use crdt::clock::Millis;
use crdt::identity::NodeSlot;
use crdt::left_out::{LeftOut, leaves_out};
use crdt::notice::{Heard, Telling};

use crate::frame::telling_bytes;
use crate::limits::{FORWARD_DELAY, NOTICE_BATCH_BYTES, NOTICE_DELAY, NOTICE_WINDOW_BYTES};

/// The notices of one link.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Up to when the peer has heard each node, durably, as far as it is known.
    theirs: Heard,
    /// What the peer was told that was heard here.
    told: Heard,
    /// Up to when the peer will have heard each node once everything on its way is kept there.
    sending: Heard,
    in_flight: VecDeque<(Heard, usize)>,
    pub(crate) in_flight_bytes: usize,
    /// Whether notices are being read for this peer.
    reading: bool,
    /// Whether they could not be read; tried again at the next ping.
    pub(crate) stalled: bool,
    /// Until when new notices wait for others that can share their frame.
    tell_at: Option<Millis>,
    /// Until when notices of third nodes are left to those.
    forward_at: Option<Millis>,
    /// Up to when the peer itself has passed on each node's notices.
    came: Heard,
    /// The sizes of what the store is keeping for us.
    keeping: VecDeque<usize>,
    pub(crate) keeping_bytes: usize,
}

impl Exchange {
    /// What is read for the peer now, if it is time: after what has been heard there, about so many octets.
    pub(crate) fn due(
        &mut self,
        now: Millis,
        own: &Heard,
        is_left: impl Fn(NodeSlot) -> bool,
    ) -> Option<(Heard, usize)> {
        let lacking = || own.iter().filter(|(slot, at)| *at > self.sending.last(*slot));
        let mine = lacking().any(|(slot, _)| !is_left(slot));
        let left = lacking().any(|(slot, _)| is_left(slot)) && !leaves_out(LeftOut::NoticesAreForwarded);
        self.tell_at = mine.then(|| self.tell_at.unwrap_or(now.after(NOTICE_DELAY)));
        self.forward_at = left.then(|| self.forward_at.unwrap_or(now.after(FORWARD_DELAY)));
        let tell = self.tell_at.is_some_and(|at| at <= now);
        let forward = self.forward_at.is_some_and(|at| at <= now);
        if !(tell || forward) || !self.may_send() {
            return None;
        }
        let mut after = self.sending.clone();
        own.iter()
            .filter(|(slot, _)| is_left(*slot) && !forward)
            .for_each(|(slot, at)| after.raise(slot, at));
        self.reading = true;
        Some((after, self.room()))
    }

    /// When [`Exchange::due`] has to be asked again, if nothing else happens.
    pub(crate) fn poll_timeout(&self) -> Option<Millis> {
        self.tell_at.into_iter().chain(self.forward_at).min().filter(|_| self.may_send())
    }

    fn may_send(&self) -> bool {
        !self.reading && !self.stalled && self.room() > 0
    }

    fn room(&self) -> usize {
        NOTICE_WINDOW_BYTES.saturating_sub(self.in_flight_bytes).min(NOTICE_BATCH_BYTES)
    }

    /// What was read: gives what can be sent, which is what goes on where the last one ended. More may have come to the store than
    /// this node's links know of yet.
    pub(crate) fn read(&mut self, tellings: Vec<Telling>) -> Vec<Telling> {
        self.reading = false;
        tellings.into_iter().filter(|telling| telling.after == self.sending.last(telling.slot)).collect()
    }

    /// Takes note that this is on its way to the peer.
    pub(crate) fn sent(&mut self, tellings: &[Telling]) {
        let ends = ends(tellings);
        let bytes = tellings.iter().map(telling_bytes).sum();
        self.sending.join(&ends);
        self.in_flight_bytes += bytes;
        self.in_flight.push_back((ends, bytes));
        (self.tell_at, self.forward_at) = (None, None);
        self.settle();
    }

    /// Takes note of what the peer has heard, and so of what has arrived.
    pub(crate) fn peer_heard(&mut self, heard: &Heard) {
        if !self.theirs.covers(heard) {
            // The third nodes' own links do their work: leave it to them for another while.
            self.forward_at = None;
        }
        self.theirs.join(heard);
        self.sending.join(heard);
        self.settle();
    }

    fn settle(&mut self) {
        while self.in_flight.front().is_some_and(|(ends, _)| self.theirs.covers(ends)) {
            let bytes = self.in_flight.pop_front().map_or(0, |(_, bytes)| bytes);
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(bytes);
        }
    }

    /// Takes note of what the peer passed on; `false` where it repeats itself.
    pub(crate) fn came(&mut self, tellings: &[Telling]) -> bool {
        let goes_on = tellings.iter().all(|telling| telling.after >= self.came.last(telling.slot));
        let ends = ends(tellings);
        let bytes = tellings.iter().map(telling_bytes).sum();
        self.came.join(&ends);
        self.peer_heard(&ends);
        self.keeping.push_back(bytes);
        self.keeping_bytes += bytes;
        goes_on
    }

    /// Takes note that the store is done with the oldest of what came.
    pub(crate) fn kept(&mut self) {
        let bytes = self.keeping.pop_front().unwrap_or(0);
        self.keeping_bytes = self.keeping_bytes.saturating_sub(bytes);
    }

    /// What of `own` the peer was not told yet; it counts as told from now on.
    pub(crate) fn news(&mut self, own: &Heard) -> Heard {
        let mut news = Heard::new();
        for (slot, at) in own.iter().filter(|(slot, at)| *at > self.told.last(*slot)) {
            news.raise(slot, at);
        }
        self.told.join(&news);
        news
    }
}

fn ends(tellings: &[Telling]) -> Heard {
    let mut ends = Heard::new();
    tellings.iter().for_each(|telling| ends.raise(telling.slot, telling.until));
    ends
}
