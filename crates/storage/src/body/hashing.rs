//! Hashes a body as it streams: the whole, and each block of it.

use super::{BLOCK_BYTES, BodyHash};

/// The first eight bytes of a block's BLAKE3. Guards against a disk that errs; the body's own hash guards against
/// those who lie, before the body is taken in.
pub(crate) type BlockChecksum = u64;

pub(crate) fn block_checksum(block: &[u8]) -> BlockChecksum {
    first_eight(&blake3::hash(block))
}

fn first_eight(hash: &blake3::Hash) -> BlockChecksum {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    BlockChecksum::from_le_bytes(bytes)
}

/// The hashes of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hashes {
    pub(crate) hash: BodyHash,
    pub(crate) length: u64,
    /// One for each block; none for a body of a single block, whose hash says it all.
    pub(crate) checksums: Vec<BlockChecksum>,
}

/// Takes a body in pieces of any size.
#[derive(Default)]
pub(crate) struct Hashing {
    whole: blake3::Hasher,
    block: blake3::Hasher,
    block_fill: usize,
    length: u64,
    checksums: Vec<BlockChecksum>,
}

impl Hashing {
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn update(&mut self, mut data: &[u8]) {
        self.whole.update(data);
        self.length = self.length.saturating_add(data.len() as u64);
        while !data.is_empty() {
            let (piece, rest) = data.split_at(data.len().min(BLOCK_BYTES - self.block_fill));
            self.block.update(piece);
            self.block_fill += piece.len();
            if self.block_fill == BLOCK_BYTES {
                self.end_block();
            }
            data = rest;
        }
    }

    fn end_block(&mut self) {
        self.checksums.push(first_eight(&self.block.finalize()));
        self.block.reset();
        self.block_fill = 0;
    }

    pub(crate) fn finish(mut self) -> Hashes {
        if self.block_fill > 0 {
            self.end_block();
        }
        if self.length <= BLOCK_BYTES as u64 {
            self.checksums.clear();
        }
        let hash = BodyHash::from_bytes(*self.whole.finalize().as_bytes());
        Hashes { hash, length: self.length, checksums: self.checksums }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_matter() {
        let body: Vec<u8> = (0..3 * BLOCK_BYTES + 17).map(|at| u8::try_from(at % 251).unwrap()).collect();
        for size in [1000, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, body.len()] {
            let mut hashing = Hashing::default();
            body.chunks(size).for_each(|piece| hashing.update(piece));
            let hashes = hashing.finish();
            assert_eq!(hashes.hash, BodyHash::of(&body));
            assert_eq!(hashes.length, body.len() as u64);
            assert_eq!(hashes.checksums, body.chunks(BLOCK_BYTES).map(block_checksum).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_body_of_one_block_needs_no_checksums() {
        for length in [0, 1, BLOCK_BYTES] {
            let mut hashing = Hashing::default();
            hashing.update(&vec![7; length]);
            assert!(hashing.finish().checksums.is_empty());
        }
    }
}
