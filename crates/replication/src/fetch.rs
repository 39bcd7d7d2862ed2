//! Which body is asked of whom: the order, the limits and the second tries of fetching bodies.
//!
//! Small bodies (of one piece) go before large ones. A body is asked of one peer at a time: first of the one that sent
//! the delta, then of the others in turn. What a large body has already is kept when its source goes away, and the next
//! source continues there. The store compares the hash of the whole with the name before anything is shown.

use std::collections::{BTreeMap, BTreeSet};

use crdt::clock::Millis;
use crdt::identity::{BodyHash, NodeSlot};

use crate::event::{BodyFailure, LinkId, Output};
use crate::frame::Frame;
use crate::limits::{
    BODY_PIECE_BYTES, BODY_STALL_LIMIT, BODY_WINDOW_BYTES, FIRST_BODY_RETRY, GREATEST_BODY_RETRY,
    LARGE_BODY_PIPELINE, MOST_BODY_REQUESTS, MOST_LARGE_BODIES, MOST_PARTIAL_BODIES, MOST_UNWRITTEN_BYTES,
    MOST_WANTED,
};

/// All bodies that are wanted here and on their way.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    wants: BTreeMap<BodyHash, Want>,
    /// Those that wait for a source, small before large, in the order in which the store named them.
    ready: BTreeSet<(Size, u64, BodyHash)>,
    timers: BTreeSet<(Millis, BodyHash)>,
    sources: BTreeMap<LinkId, Source>,
    next_order: u64,
    large_fetched: usize,
    unwritten: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Size {
    Small,
    Large,
}

#[derive(Debug)]
struct Want {
    size: u64,
    order: u64,
    /// Pieces here and handed to the store.
    received: u64,
    /// Pieces asked for, at least `received`.
    requested: u64,
    /// Who said that it is not there.
    absent: BTreeSet<NodeSlot>,
    /// Who is likely to have it.
    hint: Option<NodeSlot>,
    /// Whom the pieces here came from; `None` if from several.
    author: Option<LinkId>,
    rounds: u32,
    progress: Progress,
    timer: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Ready,
    Resting,
    Fetched(LinkId),
    Stored,
}

#[derive(Debug)]
struct Source {
    slot: NodeSlot,
    bytes: u64,
    requests: usize,
}

impl Want {
    fn pieces(&self) -> u64 {
        self.size.div_ceil(BODY_PIECE_BYTES).max(1)
    }

    fn class(&self) -> Size {
        if self.pieces() == 1 { Size::Small } else { Size::Large }
    }

    fn piece_length(&self, piece: u64) -> u64 {
        self.size.saturating_sub(piece.saturating_mul(BODY_PIECE_BYTES)).min(BODY_PIECE_BYTES)
    }
}

impl Source {
    fn has_room(&self, length: u64) -> bool {
        self.requests < MOST_BODY_REQUESTS && (self.bytes == 0 || self.bytes + length <= BODY_WINDOW_BYTES)
    }
}

impl Fetches {
    /// How many bodies are wanted, as far as they are known here.
    pub(crate) fn wanted(&self) -> usize {
        self.wants.len()
    }

    /// Octets asked of a peer and not here yet.
    pub(crate) fn bytes_in_flight(&self, link: LinkId) -> u64 {
        self.sources.get(&link).map_or(0, |source| source.bytes)
    }

    /// A peer can be asked from now on.
    pub(crate) fn link_up(&mut self, link: LinkId, slot: NodeSlot) {
        self.sources.insert(link, Source { slot, bytes: 0, requests: 0 });
        let resting: Vec<BodyHash> = self.having(Progress::Resting);
        for hash in resting {
            if let Some(want) = self.wants.get_mut(&hash) {
                want.absent.remove(&slot);
            }
            self.make_ready(hash);
        }
    }

    /// A peer cannot be asked any more; what it was asked for is asked of others.
    pub(crate) fn link_down(&mut self, link: LinkId, outputs: &mut impl Extend<Output>) {
        for hash in self.having(Progress::Fetched(link)) {
            self.interrupt(hash, outputs);
        }
        self.sources.remove(&link);
    }

    /// The store named what it lacks. `hint` sent the latest delta.
    pub(crate) fn want(
        &mut self,
        list: Vec<(BodyHash, u64)>,
        hint: Option<NodeSlot>,
        outputs: &mut impl Extend<Output>,
    ) {
        let named: BTreeSet<BodyHash> = list.iter().map(|(hash, _)| *hash).collect();
        let dropped = |(hash, want): (&BodyHash, &Want)| {
            let idle = matches!(want.progress, Progress::Ready | Progress::Resting);
            (idle && !named.contains(hash)).then_some(*hash)
        };
        let dropped: Vec<BodyHash> = self.wants.iter().filter_map(dropped).collect();
        for hash in dropped {
            self.forget(hash, outputs);
        }
        for (hash, size) in list {
            if self.wants.len() >= MOST_WANTED || self.wants.contains_key(&hash) {
                continue;
            }
            let order = self.next_order;
            self.next_order += 1;
            let want = Want {
                size,
                order,
                received: 0,
                requested: 0,
                absent: BTreeSet::new(),
                hint,
                author: None,
                rounds: 0,
                progress: Progress::Ready,
                timer: None,
            };
            self.ready.insert((want.class(), order, hash));
            self.wants.insert(hash, want);
        }
    }

    /// A piece came. Pieces that were not asked for, or out of turn, are ignored.
    pub(crate) fn piece(
        &mut self,
        link: LinkId,
        (hash, offset, total): (BodyHash, u64, u64),
        bytes: Vec<u8>,
        now: Millis,
        outputs: &mut impl Extend<Output>,
    ) {
        let Some(want) = self.wants.get_mut(&hash) else { return };
        let expected = want.received.saturating_mul(BODY_PIECE_BYTES);
        if want.progress != Progress::Fetched(link) || offset != expected || want.received >= want.requested {
            return;
        }
        let length = want.piece_length(want.received);
        if total != want.size || bytes.len() as u64 != length {
            return self.absent(link, hash, outputs);
        }
        want.author =
            if want.received == 0 { Some(link) } else { want.author.filter(|author| *author == link) };
        want.received += 1;
        let complete = want.received == want.pieces();
        let large = want.class() == Size::Large;
        if let Some(source) = self.sources.get_mut(&link) {
            source.bytes = source.bytes.saturating_sub(length);
            source.requests = source.requests.saturating_sub(1);
        }
        self.unwritten += length;
        outputs.extend([Output::WriteBody { hash, bytes }]);
        if complete {
            want.progress = Progress::Stored;
            self.large_fetched -= usize::from(large);
            self.set_timer(hash, None);
            outputs.extend([Output::FinishBody { hash }]);
        } else {
            self.set_timer(hash, Some(now.after(BODY_STALL_LIMIT)));
        }
    }

    /// A peer does not have what it was asked for, or something else under that name.
    pub(crate) fn absent(&mut self, link: LinkId, hash: BodyHash, outputs: &mut impl Extend<Output>) {
        let Some(want) = self.wants.get_mut(&hash) else { return };
        if want.progress != Progress::Fetched(link) {
            return;
        }
        want.absent.extend(self.sources.get(&link).map(|source| source.slot));
        self.interrupt(hash, outputs);
    }

    /// A body has arrived at a peer.
    pub(crate) fn present(&mut self, link: LinkId, hash: BodyHash) {
        let Some(slot) = self.sources.get(&link).map(|source| source.slot) else { return };
        let Some(want) = self.wants.get_mut(&hash) else { return };
        want.absent.remove(&slot);
        want.hint = Some(slot);
        if want.progress == Progress::Resting {
            self.make_ready(hash);
        }
    }

    /// The store wrote a piece.
    pub(crate) fn written(&mut self, length: u64) {
        self.unwritten = self.unwritten.saturating_sub(length);
    }

    /// The store took a body, or refused it. Gives the link to blame for a wrong body, if it is known.
    pub(crate) fn stored(
        &mut self,
        hash: BodyHash,
        result: &Result<(), BodyFailure>,
        now: Millis,
        outputs: &mut impl Extend<Output>,
    ) -> Option<LinkId> {
        let want = self.wants.get_mut(&hash).filter(|want| want.progress == Progress::Stored)?;
        let Err(failure) = result else {
            self.forget(hash, outputs);
            return None;
        };
        let author = want.author.take();
        want.received = 0;
        want.requested = 0;
        want.rounds = want.rounds.saturating_add(1);
        self.rest(hash, now);
        author.filter(|_| *failure == BodyFailure::WrongHash)
    }

    /// Asks for as much as the limits allow.
    pub(crate) fn poll(&mut self, now: Millis, outputs: &mut impl Extend<Output>) {
        if self.sources.is_empty() {
            return;
        }
        self.fire_timers(now, outputs);
        let ready: Vec<(Size, BodyHash)> = self.ready.iter().map(|(size, _, hash)| (*size, *hash)).collect();
        for (size, hash) in ready {
            if self.unwritten >= MOST_UNWRITTEN_BYTES
                || self.sources.values().all(|source| !source.has_room(BODY_PIECE_BYTES))
            {
                break;
            }
            if size == Size::Small || self.large_fetched < MOST_LARGE_BODIES {
                self.start(hash, now, outputs);
            }
        }
        let fetched = |(hash, want): (&BodyHash, &Want)| match want.progress {
            Progress::Fetched(link) if want.class() == Size::Large => Some((*hash, link)),
            _ => None,
        };
        if self.large_fetched > 0 {
            let fetched: Vec<(BodyHash, LinkId)> = self.wants.iter().filter_map(fetched).collect();
            for (hash, link) in fetched {
                self.ask_ahead(hash, link, outputs);
            }
        }
    }

    /// When [`Fetches::poll`] has something to do although nothing happened.
    pub(crate) fn poll_timeout(&self) -> Option<Millis> {
        self.timers.first().filter(|_| !self.sources.is_empty()).map(|(at, _)| *at)
    }

    fn having(&self, progress: Progress) -> Vec<BodyHash> {
        self.wants.iter().filter(|(_, want)| want.progress == progress).map(|(hash, _)| *hash).collect()
    }

    fn fire_timers(&mut self, now: Millis, outputs: &mut impl Extend<Output>) {
        while let Some((_, hash)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            match self.wants.get(&hash).map(|want| want.progress) {
                Some(Progress::Fetched(link)) => self.absent(link, hash, outputs),
                _ => self.make_ready(hash),
            }
            // Whatever became of it, this timer is spent.
            if self.timers.first().is_some_and(|(at, first)| *first == hash && *at <= now) {
                self.set_timer(hash, None);
            }
        }
    }

    /// Finds a source for a body and asks for its next piece.
    fn start(&mut self, hash: BodyHash, now: Millis, outputs: &mut impl Extend<Output>) {
        let Some(want) = self.wants.get_mut(&hash) else { return };
        let length = want.piece_length(want.received);
        let candidates = || self.sources.iter().filter(|(_, source)| !want.absent.contains(&source.slot));
        if candidates().next().is_none() {
            want.absent.clear();
            want.rounds = want.rounds.saturating_add(1);
            return self.rest(hash, now);
        }
        let best = candidates()
            .filter(|(_, source)| source.has_room(length))
            .min_by_key(|(link, source)| (want.hint != Some(source.slot), source.bytes, **link));
        let Some(link) = best.map(|(link, _)| *link) else { return };
        self.ready.remove(&(want.class(), want.order, hash));
        want.progress = Progress::Fetched(link);
        want.requested = want.received;
        self.large_fetched += usize::from(want.class() == Size::Large);
        self.set_timer(hash, Some(now.after(BODY_STALL_LIMIT)));
        self.ask(hash, link, outputs);
    }

    /// Keeps several pieces of a large body on their way; one at least, however busy the peer is.
    fn ask_ahead(&mut self, hash: BodyHash, link: LinkId, outputs: &mut impl Extend<Output>) {
        loop {
            let (Some(want), Some(source)) = (self.wants.get(&hash), self.sources.get(&link)) else { return };
            let ahead = want.requested - want.received;
            let room = source.has_room(want.piece_length(want.requested)) || (ahead == 0);
            let done = want.requested >= want.pieces() || ahead >= LARGE_BODY_PIPELINE;
            if done || !room || self.unwritten >= MOST_UNWRITTEN_BYTES {
                return;
            }
            self.ask(hash, link, outputs);
        }
    }

    fn ask(&mut self, hash: BodyHash, link: LinkId, outputs: &mut impl Extend<Output>) {
        let (Some(want), Some(source)) = (self.wants.get_mut(&hash), self.sources.get_mut(&link)) else {
            return;
        };
        source.bytes += want.piece_length(want.requested);
        source.requests += 1;
        let offset = want.requested.saturating_mul(BODY_PIECE_BYTES);
        want.requested += 1;
        outputs.extend([Output::Send { link, frame: Frame::BodyRequest { hash, offset } }]);
    }

    /// Takes a body away from its source.
    fn interrupt(&mut self, hash: BodyHash, outputs: &mut impl Extend<Output>) {
        let partial =
            self.wants.values().filter(|want| want.received > 0 && want.progress != Progress::Stored).count();
        let Some(want) = self.wants.get_mut(&hash) else { return };
        let Progress::Fetched(link) = want.progress else { return };
        if let Some(source) = self.sources.get_mut(&link) {
            let open = want.received..want.requested;
            source.requests = source.requests.saturating_sub((open.end - open.start) as usize);
            let bytes: u64 = open.map(|piece| want.piece_length(piece)).sum();
            source.bytes = source.bytes.saturating_sub(bytes);
        }
        want.requested = want.received;
        if want.received > 0 && partial > MOST_PARTIAL_BODIES {
            want.received = 0;
            want.requested = 0;
            outputs.extend([Output::AbandonBody { hash }]);
        }
        self.large_fetched -= usize::from(want.class() == Size::Large);
        self.make_ready(hash);
    }

    fn make_ready(&mut self, hash: BodyHash) {
        let Some(want) = self.wants.get_mut(&hash) else { return };
        if want.progress != Progress::Stored {
            want.progress = Progress::Ready;
            self.ready.insert((want.class(), want.order, hash));
            self.set_timer(hash, None);
        }
    }

    /// Lets a body wait before it is asked for again, longer each time.
    fn rest(&mut self, hash: BodyHash, now: Millis) {
        let Some(want) = self.wants.get_mut(&hash) else { return };
        let wait = FIRST_BODY_RETRY
            .saturating_mul(1 << want.rounds.saturating_sub(1).min(10))
            .min(GREATEST_BODY_RETRY);
        want.progress = Progress::Resting;
        self.ready.remove(&(want.class(), want.order, hash));
        self.set_timer(hash, Some(now.after(wait)));
    }

    fn forget(&mut self, hash: BodyHash, outputs: &mut impl Extend<Output>) {
        self.set_timer(hash, None);
        if let Some(want) = self.wants.remove(&hash) {
            self.ready.remove(&(want.class(), want.order, hash));
            if want.received > 0 && want.progress != Progress::Stored {
                outputs.extend([Output::AbandonBody { hash }]);
            }
        }
    }

    fn set_timer(&mut self, hash: BodyHash, at: Option<Millis>) {
        if let Some(want) = self.wants.get_mut(&hash) {
            if let Some(before) = std::mem::replace(&mut want.timer, at) {
                self.timers.remove(&(before, hash));
            }
            self.timers.extend(at.map(|at| (at, hash)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Millis = Millis(3_600_000);

    fn slot(number: u8) -> NodeSlot {
        NodeSlot::new(number).expect("a slot")
    }

    fn hash(number: u64) -> BodyHash {
        let mut name = [0; 32];
        name[..8].copy_from_slice(&number.to_be_bytes());
        BodyHash(name)
    }

    fn requests(outputs: &[Output]) -> Vec<(LinkId, BodyHash, u64)> {
        let request = |output: &Output| match output {
            Output::Send { link, frame: Frame::BodyRequest { hash, offset } } => {
                Some((*link, *hash, *offset))
            }
            _ => None,
        };
        outputs.iter().filter_map(request).collect()
    }

    fn polled(fetches: &mut Fetches, now: Millis) -> Vec<(LinkId, BodyHash, u64)> {
        let mut outputs = Vec::new();
        fetches.poll(now, &mut outputs);
        requests(&outputs)
    }

    #[test]
    fn small_bodies_go_first_and_the_window_bounds_both() {
        let mut fetches = Fetches::default();
        let mut list = vec![(hash(0), 100 * BODY_PIECE_BYTES)];
        list.extend((1..=1000).map(|number| (hash(number), 40_000)));
        fetches.want(list, None, &mut Vec::new());
        assert!(polled(&mut fetches, HOUR).is_empty(), "nobody to ask");
        fetches.link_up(LinkId(1), slot(1));
        let asked = polled(&mut fetches, HOUR);
        assert_eq!(asked[0].1, hash(1));
        assert!(fetches.bytes_in_flight(LinkId(1)) <= BODY_WINDOW_BYTES);
        assert!(asked.len() >= 50 && asked.len() <= MOST_BODY_REQUESTS);
        assert!(polled(&mut fetches, HOUR).is_empty());
    }

    #[test]
    fn a_large_body_continues_at_the_next_peer() {
        let mut fetches = Fetches::default();
        fetches.link_up(LinkId(1), slot(1));
        fetches.link_up(LinkId(2), slot(2));
        fetches.want(vec![(hash(1), 3 * BODY_PIECE_BYTES + 5)], Some(slot(2)), &mut Vec::new());
        let asked = polled(&mut fetches, HOUR);
        let expected: Vec<_> = (0..4).map(|piece| (LinkId(2), hash(1), piece * BODY_PIECE_BYTES)).collect();
        assert_eq!(asked, expected);
        let mut outputs = Vec::new();
        let total = 3 * BODY_PIECE_BYTES + 5;
        let whole = vec![0; BODY_PIECE_BYTES as usize];
        fetches.piece(LinkId(2), (hash(1), 0, total), whole.clone(), HOUR, &mut outputs);
        assert_eq!(outputs, [Output::WriteBody { hash: hash(1), bytes: whole.clone() }]);
        fetches.link_down(LinkId(2), &mut outputs);
        let asked = polled(&mut fetches, HOUR);
        assert_eq!(asked.first(), Some(&(LinkId(1), hash(1), BODY_PIECE_BYTES)));
        outputs.clear();
        for (piece, bytes) in [(1, whole.clone()), (2, whole), (3, vec![0; 5])] {
            fetches.piece(LinkId(1), (hash(1), piece * BODY_PIECE_BYTES, total), bytes, HOUR, &mut outputs);
        }
        assert_eq!(outputs.last(), Some(&Output::FinishBody { hash: hash(1) }));
        assert_eq!(fetches.bytes_in_flight(LinkId(1)), 0);
        // Two peers had a hand in it: nobody is blamed, and it starts again.
        let blamed = fetches.stored(hash(1), &Err(BodyFailure::WrongHash), HOUR, &mut outputs);
        assert_eq!(blamed, None);
        assert_eq!(polled(&mut fetches, HOUR), []);
        let retry = fetches.poll_timeout().expect("a retry");
        assert_eq!(polled(&mut fetches, retry)[0].2, 0);
    }

    #[test]
    fn an_absent_body_is_asked_of_the_others_and_then_again() {
        let mut fetches = Fetches::default();
        fetches.link_up(LinkId(1), slot(1));
        fetches.link_up(LinkId(2), slot(2));
        fetches.want(vec![(hash(1), 7)], Some(slot(2)), &mut Vec::new());
        assert_eq!(polled(&mut fetches, HOUR), [(LinkId(2), hash(1), 0)]);
        fetches.absent(LinkId(2), hash(1), &mut Vec::new());
        assert_eq!(polled(&mut fetches, HOUR), [(LinkId(1), hash(1), 0)]);
        fetches.absent(LinkId(1), hash(1), &mut Vec::new());
        assert_eq!(polled(&mut fetches, HOUR), []);
        fetches.present(LinkId(1), hash(1));
        assert_eq!(polled(&mut fetches, HOUR), [(LinkId(1), hash(1), 0)], "told that it arrived there");
        // Nothing comes: another peer is asked.
        let stalled = fetches.poll_timeout().expect("a deadline");
        assert_eq!(polled(&mut fetches, stalled), [(LinkId(2), hash(1), 0)]);
    }

    #[test]
    fn what_is_no_longer_wanted_is_forgotten() {
        let mut fetches = Fetches::default();
        fetches.want(vec![(hash(1), 7), (hash(2), 7)], None, &mut Vec::new());
        fetches.want(vec![(hash(2), 7)], None, &mut Vec::new());
        assert_eq!(fetches.wanted(), 1);
        assert!(fetches.ready.len() == 1 && fetches.timers.is_empty());
    }
}
