//! Words of 128 bits for what states are told apart by, and what was worked out once under such a word.

#![allow(
    clippy::disallowed_types,
    reason = "hashed by a word that is a hash already, and never iterated over"
)]

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Debug, Write as _};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

/// A hash. Two states that differ have one word with a probability of about 2^-128 times their number squared.
pub type Word = u128;

/// A word for everything that the debug form of a value tells.
pub fn word_of(value: &impl Debug) -> Word {
    let mut text = Text(blake3::Hasher::new(), String::new());
    write!(text, "{value:?}").expect("a hash takes everything");
    text.0.update(text.1.as_bytes());
    first_half(&text.0.finalize())
}

/// A word for several.
pub fn join(words: &[Word]) -> Word {
    let mut hasher = blake3::Hasher::new();
    words.iter().for_each(|word| {
        hasher.update(&word.to_le_bytes());
    });
    first_half(&hasher.finalize())
}

fn first_half(hash: &blake3::Hash) -> Word {
    let octets = hash.as_bytes().first_chunk().expect("32 octets");
    Word::from_le_bytes(*octets)
}

/// Debug forms come in small pieces.
struct Text(blake3::Hasher, String);

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        const LONGEST: usize = 4096;
        self.1.push_str(text);
        if self.1.len() > LONGEST {
            self.0.update(self.1.as_bytes());
            self.1.clear();
        }
        Ok(())
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

/// One part of what was worked out.
type Shard<T> = Mutex<HashMap<Word, T, BuildHasherDefault<Plain>>>;

/// What was worked out, under a word for what it was worked out from.
pub struct Memory<T>(Vec<Shard<T>>);

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Memory((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl<T: Clone> Memory<T> {
    /// Works out at most a few times what belongs to a word: threads do not wait for each other.
    pub fn find(&self, word: Word, work_out: impl FnOnce() -> T) -> T {
        let known = lock(&self.0, word).get(&word).cloned();
        known.unwrap_or_else(|| {
            let new = work_out();
            lock(&self.0, word).entry(word).or_insert(new).clone()
        })
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().expect("no other thread has failed").len()).sum()
    }
}

/// What is shared by all worlds that have it.
pub type Shared<T> = Memory<Arc<T>>;
