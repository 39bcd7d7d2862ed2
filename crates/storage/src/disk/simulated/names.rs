//! The names of a simulated disk: live, durable, and the changes between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::Chance;
use super::inode::InodeNumber;

/// Stands for a directory where a file would have its inode.
const DIRECTORY: InodeNumber = 0;

#[derive(Clone, Default)]
pub(super) struct Names {
    live: BTreeMap<String, InodeNumber>,
    durable: BTreeMap<String, InodeNumber>,
    /// Since the last sync of their directory, in order.
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Link { name: String, number: InodeNumber },
    Remove { name: String },
    Rename { from: String, to: String, number: InodeNumber },
}

impl Change {
    fn directory(&self) -> &str {
        match self {
            Change::Link { name, .. } | Change::Remove { name } => directory_of(name),
            Change::Rename { to, .. } => directory_of(to),
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, InodeNumber>) {
        match self {
            Change::Link { name, number } => {
                names.insert(name.clone(), *number);
            }
            Change::Remove { name } => {
                names.remove(name);
            }
            Change::Rename { from, to, number } => {
                names.remove(from);
                names.insert(to.clone(), *number);
            }
        }
    }
}

fn directory_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no {name:?} on the simulated disk"))
}

impl Names {
    pub(super) fn find(&self, name: &str) -> io::Result<InodeNumber> {
        match self.live.get(name) {
            None | Some(&DIRECTORY) => Err(not_found(name)),
            Some(number) => Ok(*number),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    pub(super) fn link(&mut self, name: &str, number: InodeNumber) -> io::Result<()> {
        self.directory_exists(directory_of(name))?;
        self.change(Change::Link { name: name.to_owned(), number });
        Ok(())
    }

    pub(super) fn create_directory(&mut self, name: &str) {
        if !self.live.contains_key(name) {
            self.change(Change::Link { name: name.to_owned(), number: DIRECTORY });
        }
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let number = self.find(from)?;
        self.directory_exists(directory_of(to))?;
        self.change(Change::Rename { from: from.to_owned(), to: to.to_owned(), number });
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.find(name)?;
        self.change(Change::Remove { name: name.to_owned() });
        Ok(())
    }

    fn directory_exists(&self, directory: &str) -> io::Result<()> {
        let exists = directory.is_empty() || self.live.get(directory) == Some(&DIRECTORY);
        if exists { Ok(()) } else { Err(not_found(directory)) }
    }

    pub(super) fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.directory_exists(directory)?;
        let inside = |name: &&String| directory_of(name) == directory;
        let own = |name: &String| name.rsplit_once('/').map_or(name.clone(), |(_, own)| own.to_owned());
        Ok(self.live.keys().filter(inside).map(own).collect())
    }

    pub(super) fn sync(&mut self, directory: &str) {
        let (synced, pending) =
            std::mem::take(&mut self.pending).into_iter().partition(|change| change.directory() == directory);
        self.pending = pending;
        let synced: Vec<Change> = synced;
        synced.iter().for_each(|change| change.apply(&mut self.durable));
    }

    pub(super) fn sync_all(&mut self) {
        self.pending.clear();
        self.durable = self.live.clone();
    }

    /// The inodes that names lead to now.
    pub(super) fn inodes(&self) -> impl Iterator<Item = InodeNumber> {
        self.live.values().copied().filter(|number| *number != DIRECTORY)
    }

    /// The inodes that names lead to, or may lead to after a loss of power.
    pub(super) fn possible_inodes(&self) -> BTreeSet<InodeNumber> {
        let pending = self.pending.iter().filter_map(|change| match change {
            Change::Link { number, .. } | Change::Rename { number, .. } => Some(*number),
            Change::Remove { .. } => None,
        });
        self.inodes().chain(self.durable.values().copied()).chain(pending).collect()
    }

    pub(super) fn survivor(&self, chance: &mut Chance) -> Names {
        let mut names = self.durable.clone();
        for change in &self.pending {
            if chance.coin() {
                change.apply(&mut names);
            }
        }
        let directories: Vec<String> =
            names.iter().filter(|(_, number)| **number == DIRECTORY).map(|(name, _)| name.clone()).collect();
        let reachable = |name: &str| {
            let directory = directory_of(name);
            directory.is_empty() || directories.iter().any(|known| known == directory)
        };
        names.retain(|name, _| reachable(name));
        Names { live: names.clone(), durable: names, pending: Vec::new() }
    }
}
