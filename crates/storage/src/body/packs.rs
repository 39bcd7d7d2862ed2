//! The packs: files of records, each a header and a body.
//!
//! A record is its magic (8 bytes), the body's length (8, little-endian), the body's hash (32), and the body. The
//! index in the tables leads to bodies; the headers are there so that a pack can be understood without it.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::BodyHash;
use crate::disk::{Create, Disk, File};

/// Where packs are, below the store's directory.
pub(crate) const PACKS_DIRECTORY: &str = "packs";

/// A shared pack that has grown so far is not appended to any more.
pub(crate) const PACK_LIMIT_BYTES: u64 = 256 * 1024 * 1024;

pub(crate) const RECORD_HEADER_BYTES: usize = 48;

/// Packs kept open for readers.
const OPEN_PACKS: usize = 128;

const MAGIC: [u8; 8] = *b"PPbody\x01\n";

/// The header of a record.
pub(crate) fn record_header(hash: &BodyHash, length: u64) -> [u8; RECORD_HEADER_BYTES] {
    let mut header = [0; RECORD_HEADER_BYTES];
    let fields =
        MAGIC.iter().chain(&length.to_le_bytes()).chain(hash.as_bytes()).copied().collect::<Vec<u8>>();
    header.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    header
}

/// The name of a pack's file.
pub(crate) fn pack_name(number: u64) -> String {
    format!("{PACKS_DIRECTORY}/{number:06}")
}

/// The number in the name of a pack's file, without its directory.
pub(crate) fn pack_number(name: &str) -> Option<u64> {
    let plain = name.len() >= 6 && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|number| plain && *number > 0)
}

/// The directory of packs.
pub(crate) struct Packs {
    disk: Arc<dyn Disk>,
    next: AtomicU64,
    /// The most recently used last.
    open: Mutex<VecDeque<(u64, Arc<dyn File>)>>,
}

impl Packs {
    /// `next` is the first number that no pack has had.
    pub(crate) fn new(disk: Arc<dyn Disk>, next: u64) -> Packs {
        Packs { disk, next: AtomicU64::new(next), open: Mutex::default() }
    }

    /// Creates a pack. Its name is not durable before [`Packs::sync_names`].
    pub(crate) fn create(&self) -> io::Result<(u64, Arc<dyn File>)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let file = self.disk.open(&pack_name(number), Create::New)?;
        Ok((number, file))
    }

    pub(crate) fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_directory(PACKS_DIRECTORY)
    }

    /// A handle for reading and, for the committer, appending.
    pub(crate) fn open(&self, number: u64) -> io::Result<Arc<dyn File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let known = open.iter().position(|(known, _)| *known == number).and_then(|at| open.remove(at));
        let entry = match known {
            Some(entry) => entry,
            None => (number, self.disk.open(&pack_name(number), Create::Never)?),
        };
        let file = Arc::clone(&entry.1);
        open.push_back(entry);
        if open.len() > OPEN_PACKS {
            open.pop_front();
        }
        Ok(file)
    }

    /// Removes a pack that nothing leads to, as well as that can be done: what is left over is swept at the next open.
    pub(crate) fn discard(&self, number: u64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|(open, _)| *open != number);
        if let Err(error) = self.disk.remove(&pack_name(number)) {
            tracing::debug!(pack = number, %error, "an unused pack stays until the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_match() {
        for number in [1, 42, 999_999, 1_000_000, u64::MAX] {
            assert_eq!(pack_number(pack_name(number).strip_prefix("packs/").unwrap()), Some(number));
        }
        for name in ["", "1", "00001x", "000000", "+00001", "99999999999999999999999"] {
            assert_eq!(pack_number(name), None, "{name}");
        }
    }

    #[test]
    fn a_header_says_what_follows() {
        let hash = BodyHash::of(b"body");
        let header = record_header(&hash, 4);
        assert_eq!(&header[..8], &MAGIC);
        assert_eq!(&header[8..16], &4u64.to_le_bytes());
        assert_eq!(&header[16..], hash.as_bytes());
    }
}
