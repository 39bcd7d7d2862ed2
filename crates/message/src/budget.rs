//! How much may still be kept of a message that is being scanned.

/// A number of octets to be spent; what does not fit is not kept.
#[derive(Debug)]
pub(crate) struct Budget {
    remaining: usize,
}

impl Budget {
    pub(crate) fn new(octets: usize) -> Self {
        Self { remaining: octets }
    }

    /// Takes `octets` and says true, or takes nothing and says false.
    pub(crate) fn take(&mut self, octets: usize) -> bool {
        match self.remaining.checked_sub(octets) {
            Some(remaining) => {
                self.remaining = remaining;
                true
            }
            None => false,
        }
    }
}
