//! Words of 128 bits for what states are told apart by, and what was worked out once under such a word.

#![allow(
    clippy::disallowed_types,
    reason = "hashed by a word that is a hash already, and never iterated over"
)]

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use peerpost_crdt::clock::{Millis, Timestamp};

use super::node::START;

/// A hash. Two states that differ have one word with a probability of about 2^-128 times their number squared.
pub type Word = u128;

/// A word for a value.
pub fn word_of(value: &impl Hash) -> Word {
    OCTETS.with_borrow_mut(|octets| {
        octets.0.clear();
        value.hash(octets);
        first_half(&blake3::hash(&octets.0))
    })
}

/// A word for several.
pub fn join(words: &[Word]) -> Word {
    word_of(&words)
}

/// A word for a value without its moments, and these, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timed {
    pub word: Word,
    pub moments: Vec<Timestamp>,
}

impl Timed {
    pub fn of(value: &impl Hash) -> Self {
        OCTETS.with_borrow_mut(|octets| {
            octets.0.clear();
            let mut timed = TimedOctets { octets, moments: Vec::new() };
            value.hash(&mut timed);
            let moments = timed.moments;
            Timed { word: first_half(&blake3::hash(&octets.0)), moments }
        })
    }
}

/// The same as [`Octets`], moments apart. A number is taken for a moment by its size: nothing else that a node counts in 64 bits comes
/// near it.
struct TimedOctets<'a> {
    octets: &'a mut Octets,
    moments: Vec<Timestamp>,
}

impl Hasher for TimedOctets<'_> {
    fn write(&mut self, octets: &[u8]) {
        self.octets.write(octets);
    }

    fn write_u64(&mut self, number: u64) {
        let moment = Timestamp::from_bits(number).filter(|moment| moment.millis() >= Millis(START));
        match moment {
            Some(moment) => self.moments.push(moment),
            None => self.octets.write_u64(number),
        }
        self.octets.write_u8(u8::from(moment.is_some()));
    }

    fn finish(&self) -> u64 {
        unreachable!("nobody asks for so short a hash")
    }
}

fn first_half(hash: &blake3::Hash) -> Word {
    let octets = hash.as_bytes().first_chunk().expect("32 octets");
    Word::from_le_bytes(*octets)
}

thread_local! {
    static OCTETS: RefCell<Octets> = RefCell::default();
}

/// What a value gives to be hashed, all of it.
#[derive(Default)]
struct Octets(Vec<u8>);

impl Hasher for Octets {
    fn write(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    fn finish(&self) -> u64 {
        unreachable!("nobody asks for so short a hash")
    }
}

/// A word is a hash already.
#[derive(Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn write(&mut self, octets: &[u8]) {
        self.0 = octets.first_chunk().map_or(0, |octets| u64::from_le_bytes(*octets));
    }

    fn write_u128(&mut self, word: u128) {
        self.0 = word as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Into so many parts a set is divided, so that threads seldom wait for each other.
const SHARDS: usize = 64;

fn lock<T>(shards: &[Mutex<T>], word: Word) -> MutexGuard<'_, T> {
    let shard = &shards[(word >> 100) as usize % SHARDS];
    shard.lock().expect("no other thread has failed")
}

/// The words that were met.
pub struct Known(Vec<Mutex<HashSet<Word, BuildHasherDefault<Plain>>>>);

impl Default for Known {
    fn default() -> Self {
        Known((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Known {
    /// Tells whether it is new.
    pub fn insert(&self, word: Word) -> bool {
        lock(&self.0, word).insert(word)
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().expect("no other thread has failed").len()).sum()
    }
}

/// What was worked out lately, under a word for what it was worked out from.
///
/// It may be forgotten, and is then worked out again: what is explored does not depend on it, and the nodes of all states would
/// not fit into memory.
pub struct Memory<T> {
    shards: Vec<Mutex<Lately<T>>>,
    worked_out: AtomicU64,
}

type Words<T> = HashMap<Word, T, BuildHasherDefault<Plain>>;

/// One part of it: of two generations the older one goes when the younger one is full.
struct Lately<T> {
    young: Words<T>,
    old: Words<T>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        let empty = || Mutex::new(Lately { young: Words::default(), old: Words::default() });
        Memory { shards: (0..SHARDS).map(|_| empty()).collect(), worked_out: AtomicU64::new(0) }
    }
}

impl<T: Clone> Lately<T> {
    fn get(&mut self, word: Word) -> Option<T> {
        if let Some(known) = self.young.get(&word) {
            return Some(known.clone());
        }
        let known = self.old.remove(&word)?;
        self.insert(word, known.clone());
        Some(known)
    }

    fn insert(&mut self, word: Word, new: T) {
        const MOST: usize = 20_000 / SHARDS;
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(word, new);
    }
}

impl<T: Clone> Memory<T> {
    /// Works out what belongs to a word, unless it is known: threads do not wait for each other.
    pub fn find(&self, word: Word, work_out: impl FnOnce() -> T) -> T {
        let known = lock(&self.shards, word).get(word);
        known.unwrap_or_else(|| {
            let new = work_out();
            self.worked_out.fetch_add(1, Relaxed);
            let mut lately = lock(&self.shards, word);
            // Another thread may have been faster: all share one.
            lately.get(word).unwrap_or_else(|| {
                lately.insert(word, new.clone());
                new
            })
        })
    }

    /// How often something was worked out.
    pub fn worked_out(&self) -> u64 {
        self.worked_out.load(Relaxed)
    }
}

/// What is shared by all worlds that have it.
pub type Shared<T> = Memory<Arc<T>>;
