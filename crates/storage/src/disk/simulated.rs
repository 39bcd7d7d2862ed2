//! A disk in memory that loses power, tears writes and runs out of room, all decided by seeds.
//!
//! It keeps two states: what programs see (live) and what a loss of power cannot take away (durable), with the
//! operations between the two in order. [`SimulatedDisk::survivor`] decides about each of those operations by itself:
//! kept, lost, or torn at sectors of 512 bytes. That is harsher than most file systems, which is the point.

mod inode;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Create, Disk, File};
use inode::{Inode, InodeNumber};
use names::Names;

/// What a loss of power may tear a write into.
const SECTOR_BYTES: usize = 512;
/// What a file takes room in.
const ALLOCATION_BYTES: usize = 4096;

/// A disk in memory. Clones are handles to the same disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
struct State {
    names: Names,
    inodes: BTreeMap<InodeNumber, Inode>,
    next_inode: InodeNumber,
    /// Changes so far: writes, changes of length, syncs, creations, renames, removals.
    operations: u64,
    /// The change at which power is lost.
    crash_at: Option<u64>,
    crashed: bool,
    /// Room for file contents, in bytes.
    capacity: Option<u64>,
    /// The change that fails, once, while the disk lives on.
    fail_at: Option<u64>,
    fail_next_sync: bool,
}

impl SimulatedDisk {
    /// An empty disk that works until told otherwise.
    #[must_use]
    pub fn new() -> SimulatedDisk {
        SimulatedDisk::from_state(State {
            names: Names::default(),
            inodes: BTreeMap::new(),
            next_inode: 1,
            operations: 0,
            crash_at: None,
            crashed: false,
            capacity: None,
            fail_at: None,
            fail_next_sync: false,
        })
    }

    fn from_state(state: State) -> SimulatedDisk {
        SimulatedDisk { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of a test inside the lock leaves plain data behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes made to this disk so far, in the unit of [`SimulatedDisk::crash_after`].
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Loses power in the change after the next `operations` ones: that change may happen in part, and from then on
    /// every call fails. Ask [`SimulatedDisk::survivor`] for what the power leaves.
    pub fn crash_after(&self, operations: u64) {
        let mut state = self.state();
        state.crash_at = Some(state.operations + operations);
    }

    /// Loses power now.
    pub fn crash(&self) {
        self.state().crashed = true;
    }

    /// Whether power has been lost.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// Gives the disk room for so many bytes of file contents in all; `None` for as much as there is memory.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes that file contents take now, in blocks of 4096.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Lets the change after the next `operations` ones fail, once: a write or a change of names may still have
    /// happened, a sync has not, and what it was to make durable never becomes so by a later one.
    pub fn fail_after(&self, operations: u64) {
        let mut state = self.state();
        state.fail_at = Some(state.operations + operations);
    }

    /// Lets the next [`File::sync_data`] fail, once, as [`SimulatedDisk::fail_after`] does.
    pub fn fail_next_sync(&self) {
        self.state().fail_next_sync = true;
    }

    /// The disk after a loss of power at this moment: what was synced, and of the rest what `seed` decides. This disk
    /// stays as it is, so that many survivors of one crash can be looked at.
    #[must_use]
    pub fn survivor(&self, seed: u64) -> SimulatedDisk {
        let state = self.state();
        let mut chance = Chance(seed);
        let names = state.names.survivor(&mut chance);
        let survive = |number| Some((number, state.inodes.get(&number)?.survivor(&mut chance)));
        let inodes = names.inodes().collect::<BTreeSet<_>>().into_iter().filter_map(survive).collect();
        let next_inode = state.next_inode;
        SimulatedDisk::from_state(State { names, inodes, next_inode, ..SimulatedDisk::new().state().clone() })
    }

    /// A disk of its own with the present contents: as an administrator's copy of the directory, or a rolled-back
    /// virtual machine. Everything in it is durable.
    #[must_use]
    pub fn snapshot(&self) -> SimulatedDisk {
        let mut state = self.state().clone();
        state.names.sync_all();
        state.inodes.values_mut().for_each(Inode::sync);
        state.inodes.values_mut().for_each(|inode| inode.handles = 0);
        state.collect();
        SimulatedDisk::from_state(State { crash_at: None, crashed: false, ..state })
    }

    /// Flips bits of one byte where it lies, durably and past every plan: a disk that rots.
    ///
    /// # Errors
    /// Where there is no such file, or no such byte in it.
    pub fn corrupt(&self, name: &str, offset: u64, bits: u8) -> io::Result<()> {
        let mut state = self.state();
        let number = state.names.find(name)?;
        state.inode(number)?.corrupt(offset, bits)
    }
}

impl Default for SimulatedDisk {
    fn default() -> SimulatedDisk {
        SimulatedDisk::new()
    }
}

impl State {
    fn used(&self) -> u64 {
        let inodes = self.names.inodes().collect::<BTreeSet<_>>();
        inodes.iter().filter_map(|number| self.inodes.get(number)).map(Inode::allocated).sum()
    }

    /// Forgets the files that nothing leads to any more.
    fn collect(&mut self) {
        let possible = self.names.possible_inodes();
        self.inodes.retain(|number, inode| inode.handles > 0 || possible.contains(number));
    }

    fn inode(&mut self, number: InodeNumber) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&number).ok_or_else(|| io::Error::other("the simulated file is gone"))
    }

    fn alive(&self) -> io::Result<()> {
        if self.crashed { Err(lost_power()) } else { Ok(()) }
    }

    /// Counts a change. A failing one still happens, unsynced, and its caller is told that it failed.
    fn change(&mut self) -> io::Result<Outcome> {
        self.alive()?;
        self.crashed = self.crash_at.is_some_and(|at| self.operations >= at);
        let fails = self.fail_at.take_if(|at| self.operations >= *at).is_some();
        self.operations += 1;
        Ok(if self.crashed || fails { Outcome::Fails } else { Outcome::Succeeds })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Succeeds,
    Fails,
}

impl Outcome {
    fn answer<T>(self, value: T) -> io::Result<T> {
        match self {
            Outcome::Succeeds => Ok(value),
            Outcome::Fails => Err(io::Error::other("the simulated disk failed")),
        }
    }
}

fn lost_power() -> io::Error {
    io::Error::other("the simulated disk has lost power")
}

impl Disk for SimulatedDisk {
    fn open(&self, name: &str, create: Create) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        state.alive()?;
        let number = match (state.names.find(name), create) {
            (Ok(_), Create::New) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(number), _) => number,
            (Err(error), Create::Never) => return Err(error),
            (Err(_), _) => {
                let outcome = state.change()?;
                let number = state.next_inode;
                state.names.link(name, number)?;
                state.next_inode += 1;
                state.inodes.insert(number, Inode::default());
                outcome.answer(number)?
            }
        };
        state.inode(number)?.handles += 1;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), number }))
    }

    fn create_directory(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let outcome = state.change()?;
        state.names.create_directory(name);
        outcome.answer(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let outcome = state.change()?;
        state.names.rename(from, to)?;
        outcome.answer(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let outcome = state.change()?;
        state.names.remove(name)?;
        outcome.answer(())
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        state.alive()?;
        state.names.list(directory)
    }

    fn sync_directory(&self, directory: &str) -> io::Result<()> {
        let mut state = self.state();
        let outcome = state.change()?;
        if outcome == Outcome::Succeeds {
            state.names.sync(directory);
            state.collect();
        }
        outcome.answer(())
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    number: InodeNumber,
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if let Ok(inode) = state.inode(self.number) {
            inode.handles = inode.handles.saturating_sub(1);
            if inode.handles == 0 {
                state.collect();
            }
        }
    }
}

impl File for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.alive()?;
        Ok(state.inode(self.number)?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.alive()?;
        state.inode(self.number)?.read(offset, buffer)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let outcome = state.change()?;
        let room = state.capacity.map(|capacity| capacity.saturating_sub(state.used()));
        let written = state.inode(self.number)?.write(offset, data, room);
        outcome.answer(())?;
        written
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let outcome = state.change()?;
        state.inode(self.number)?.set_len(length)?;
        outcome.answer(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let outcome = state.change()?;
        let outcome = if std::mem::take(&mut state.fail_next_sync) { Outcome::Fails } else { outcome };
        match outcome {
            Outcome::Succeeds => state.inode(self.number)?.sync(),
            Outcome::Fails if state.crashed => {}
            // What Linux does: the pages are taken for clean, and no later sync writes them.
            Outcome::Fails => state.inode(self.number)?.forget_unsynced(),
        }
        outcome.answer(())
    }
}

/// Seeded choices (splitmix64): no entropy of its own, no dependency.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

#[cfg(test)]
mod tests;
