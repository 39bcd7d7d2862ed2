//! The contents of one simulated file: live, durable, and the writes between the two.

use std::io;
use std::ops::Range;

use super::{ALLOCATION_BYTES, Chance, SECTOR_BYTES};

pub(super) type InodeNumber = u64;

/// A simulated file is held in memory twice, so it is kept small.
const MAX_FILE_BYTES: u64 = 1 << 32;

#[derive(Clone, Default)]
pub(super) struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync, in order.
    pending: Vec<Change>,
    /// Which blocks of 4096 bytes were ever written: a file that was only extended takes no room.
    allocated: Vec<bool>,
    /// Open handles, for which a file without a name lives on.
    pub(super) handles: u32,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    SetLength(usize),
}

impl Change {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Change::Write { offset, data } => write(contents, *offset, data),
            Change::SetLength(length) => {
                contents.truncate(*length);
                lengthen(contents, *length);
            }
        }
    }
}

fn write(contents: &mut Vec<u8>, offset: usize, data: &[u8]) {
    lengthen(contents, offset);
    let (over, beyond) = data.split_at(data.len().min(contents.len() - offset));
    if let Some(place) = contents.get_mut(offset..offset + over.len()) {
        place.copy_from_slice(over);
    }
    contents.extend_from_slice(beyond);
}

/// `Vec::resize` fills byte by byte in a test build, and simulations spend their time there.
fn lengthen(contents: &mut Vec<u8>, length: usize) {
    if contents.len() < length {
        contents.extend_from_slice(&vec![0; length - contents.len()]);
    }
}

/// Positions as memory knows them; refuses what no test needs.
fn position(offset: u64) -> io::Result<usize> {
    if offset > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a simulated file ends at 4 GiB"));
    }
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

impl Inode {
    pub(super) fn len(&self) -> u64 {
        self.live.len() as u64
    }

    pub(super) fn allocated(&self) -> u64 {
        let blocks = self.allocated.iter().filter(|block| **block).count();
        (blocks * ALLOCATION_BYTES) as u64
    }

    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let offset = position(offset)?;
        let bytes = self.live.get(offset..offset + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes as much as fits into `room` more bytes of allocation.
    pub(super) fn write(&mut self, offset: u64, data: &[u8], room: Option<u64>) -> io::Result<()> {
        let offset = position(offset)?;
        position((offset + data.len()) as u64)?;
        let fitting = self.allocate(offset..offset + data.len(), room);
        let written = data.get(..fitting).unwrap_or(data);
        let full = written.len() < data.len();
        self.change(Change::Write { offset, data: written.to_vec() });
        if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Takes blocks for the range, in order, until the room is used up; how many bytes of the range have blocks.
    fn allocate(&mut self, range: Range<usize>, room: Option<u64>) -> usize {
        let mut blocks_left = room.map(|bytes| bytes / ALLOCATION_BYTES as u64);
        let blocks = range.end.div_ceil(ALLOCATION_BYTES);
        if self.allocated.len() < blocks {
            self.allocated.resize(blocks, false);
        }
        for number in range.start / ALLOCATION_BYTES..blocks {
            let Some(block) = self.allocated.get_mut(number).filter(|block| !**block) else { continue };
            match &mut blocks_left {
                Some(0) => return (number * ALLOCATION_BYTES).saturating_sub(range.start),
                Some(left) => *left -= 1,
                None => {}
            }
            *block = true;
        }
        range.len()
    }

    pub(super) fn set_len(&mut self, length: u64) -> io::Result<()> {
        let length = position(length)?;
        self.allocated.truncate(length.div_ceil(ALLOCATION_BYTES));
        self.change(Change::SetLength(length));
        Ok(())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.durable);
        }
    }

    /// Lets no later sync make durable what is not so now.
    pub(super) fn forget_unsynced(&mut self) {
        self.pending.clear();
    }

    pub(super) fn corrupt(&mut self, offset: u64, bits: u8) -> io::Result<()> {
        self.sync();
        let offset = position(offset)?;
        for contents in [&mut self.live, &mut self.durable] {
            *contents.get_mut(offset).ok_or(io::ErrorKind::UnexpectedEof)? ^= bits;
        }
        Ok(())
    }

    pub(super) fn survivor(&self, chance: &mut Chance) -> Inode {
        let mut contents = self.durable.clone();
        for change in &self.pending {
            survive(change, &mut contents, chance);
        }
        let allocated = vec![true; contents.len().div_ceil(ALLOCATION_BYTES)];
        Inode { live: contents.clone(), durable: contents, pending: Vec::new(), allocated, handles: 0 }
    }
}

/// Keeps, loses or tears one change.
fn survive(change: &Change, contents: &mut Vec<u8>, chance: &mut Chance) {
    match (chance.next() % 4, change) {
        (0, _) => {}
        // The length arrived, the contents did not: what delayed allocation does to an append.
        (1, Change::Write { offset, data }) => {
            lengthen(contents, offset + data.len());
        }
        (2, Change::Write { offset, data }) => tear(*offset, data, contents, chance),
        (_, change) => change.apply(contents),
    }
}

/// Keeps some sectors of a write and loses others. A sector itself is written whole or not at all.
fn tear(offset: usize, data: &[u8], contents: &mut Vec<u8>, chance: &mut Chance) {
    let mut start = 0;
    while start < data.len() {
        let sector_end = ((offset + start) / SECTOR_BYTES + 1) * SECTOR_BYTES - offset;
        let end = sector_end.min(data.len());
        if chance.coin()
            && let Some(piece) = data.get(start..end)
        {
            write(contents, offset + start, piece);
        }
        start = end;
    }
}
