//! Numbers that a seed chooses.

use std::env;

/// Set to a number to choose other events than the usual ones.
const VARIABLE: &str = "PEERPOST_STORM_SEED";

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// The seed of a test: the usual one, unless the environment names another. Prints it.
pub fn seed(usual: u64) -> u64 {
    let seed = env::var(VARIABLE).ok().and_then(|seed| seed.parse().ok()).unwrap_or(usual);
    println!("seed {seed}; {VARIABLE} chooses another");
    seed
}
