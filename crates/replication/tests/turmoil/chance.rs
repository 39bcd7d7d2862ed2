//! Everything random here, from one seed.

/// Seeded choices (SplitMix64, Steele and others 2014).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Chance(seed)
    }

    /// Choices of their own for a part: what happens elsewhere does not change them.
    pub fn branch(&mut self) -> Chance {
        Chance(self.next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn octets<const LENGTH: usize>(&mut self) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        octets
            .chunks_mut(8)
            .for_each(|chunk| chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]));
        octets
    }
}
