//! What the client is sent.
//!
//! A deflater takes 380 KB, so all connections together have few ([`MOST_DEFLATERS`]), and each only while it has much to say (see
//! [`Deflating::rest`]). What is short, as all that many clients in IDLE are told at once, and what finds no deflater left, is sent in
//! stored blocks, as it is. A flush ends at a whole octet, so that a deflater or a stored block may go on there; the former only
//! does not refer to what was sent before.

use std::io;
use std::sync::Arc;

use flate2::{Compress, FlushCompress};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most deflaters of all connections together: 100 MB.
pub(in super::super) const MOST_DEFLATERS: usize = 256;
/// How hard a deflater tries: about the middle between speed and size.
pub(super) const LEVEL: u32 = 4;
/// How many compressed octets are collected before they are written.
const OUTPUT_OCTETS: usize = 16 * 1024;
/// Up to this length what is said at once is short.
const SHORT_OCTETS: usize = 512;
/// What stands before the octets of a stored block (RFC 1951 section 3.2.4).
const STORED_HEADER: usize = 5;

/// The direction to the client.
pub(in super::super) struct Deflating {
    deflaters: Arc<Semaphore>,
    deflater: Option<(Compress, OwnedSemaphorePermit)>,
    /// What was said since the last flush, as long as it is short and there is no deflater.
    held: Vec<u8>,
    /// Whether the deflater took octets that it did not give out yet.
    unflushed: bool,
    /// Compressed octets for the client; those up to `sent` are on their way.
    output: Vec<u8>,
    sent: usize,
}

impl Deflating {
    pub(super) fn new(deflaters: Arc<Semaphore>) -> Self {
        Deflating {
            deflaters,
            deflater: None,
            held: Vec::new(),
            unflushed: false,
            output: Vec::new(),
            sent: 0,
        }
    }

    /// What is to be written to the client now.
    pub(in super::super) fn unsent(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    /// So many octets of it were written.
    pub(in super::super) fn sent(&mut self, octets: usize) {
        self.sent = self.output.len().min(self.sent.saturating_add(octets));
        if self.deflater.is_none() && self.unsent().is_empty() {
            (self.output, self.sent) = (Vec::new(), 0);
        }
    }

    /// Compresses from the front of `octets`, once nothing is unsent; tells how many were taken.
    ///
    /// # Errors
    /// Where the deflater fails.
    pub(in super::super) fn deflate(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.deflater.is_none() {
            if self.held.len() + octets.len() <= SHORT_OCTETS {
                self.held.extend_from_slice(octets);
                return Ok(octets.len());
            }
            let room = self.deflaters.clone().try_acquire_owned().ok();
            self.deflater = room.map(|room| (Compress::new(flate2::Compression::new(LEVEL), false), room));
        }
        if self.deflater.is_none() {
            let most = OUTPUT_OCTETS - STORED_HEADER - self.held.len();
            let taken = octets.get(..most).unwrap_or(octets);
            self.store(taken);
            return Ok(taken.len());
        }
        self.clear();
        let held = std::mem::take(&mut self.held);
        if self.run(&held, FlushCompress::None)? != held.len() {
            return Err(io::Error::other("a deflater has no room for a short text"));
        }
        let taken = self.run(octets, FlushCompress::None)?;
        self.unflushed |= taken > 0 || !held.is_empty();
        Ok(taken)
    }

    /// Gives out what was taken, once nothing is unsent. Whether more has to be sent, and then more flushed.
    ///
    /// # Errors
    /// Where the deflater fails.
    pub(in super::super) fn flush(&mut self) -> io::Result<bool> {
        if !self.held.is_empty() {
            self.store(&[]);
            return Ok(true);
        }
        if !self.unflushed {
            return Ok(false);
        }
        self.clear();
        self.run(&[], FlushCompress::Sync)?;
        self.unflushed = self.output.len() == self.output.capacity();
        Ok(!self.output.is_empty())
    }

    /// Makes a stored block of what is held and of these octets, in place of the output, which was sent.
    fn store(&mut self, octets: &[u8]) {
        let length = u16::try_from(self.held.len() + octets.len()).unwrap_or(u16::MAX);
        let (low, high) = (length.to_le_bytes(), (!length).to_le_bytes());
        self.output = [&[0], &low[..], &high, &self.held, octets].concat();
        self.sent = 0;
        self.held = Vec::new();
    }

    fn clear(&mut self) {
        self.output.clear();
        self.output.reserve(OUTPUT_OCTETS);
        self.sent = 0;
    }

    /// Compresses behind what is in the output already; how many octets were taken.
    fn run(&mut self, octets: &[u8], flush: FlushCompress) -> io::Result<usize> {
        let Some((deflater, _)) = &mut self.deflater else { return Ok(0) };
        let before = deflater.total_in();
        deflater.compress_vec(octets, &mut self.output, flush).map_err(io::Error::other)?;
        Ok(usize::try_from(deflater.total_in().saturating_sub(before)).unwrap_or(usize::MAX))
    }

    /// Whether [`Self::rest`] would free memory.
    pub(in super::super) fn can_rest(&self) -> bool {
        self.deflater.is_some() && !self.unflushed && self.unsent().is_empty()
    }

    /// Gives back what a session does not need that says nothing.
    pub(in super::super) fn rest(&mut self) {
        if self.can_rest() {
            self.deflater = None;
            (self.output, self.sent) = (Vec::new(), 0);
        }
    }

    /// Whether it has a deflater, and how many octets it keeps besides.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (bool, usize) {
        (self.deflater.is_some(), self.output.capacity() + self.held.capacity())
    }
}
