//! How much may still be kept of a message that is being scanned.

use crate::limits::{ADDRESSES_COST_MAX, CONTENT_OCTETS_MAX, ENVELOPE_OCTETS_MAX};

/// A number of octets to be spent; what does not fit is not kept.
#[derive(Debug)]
pub(crate) struct Budget {
    remaining: usize,
}

/// The budgets of one message, apart, so that a long list of one kind does not cost the others.
#[derive(Debug)]
pub(crate) struct Budgets {
    /// `Content-*` fields of all parts.
    pub(crate) content: Budget,
    /// Envelope fields that hold no addresses.
    pub(crate) envelope: Budget,
    pub(crate) addresses: Budget,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            content: Budget::new(CONTENT_OCTETS_MAX),
            envelope: Budget::new(ENVELOPE_OCTETS_MAX),
            addresses: Budget::new(ADDRESSES_COST_MAX),
        }
    }
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
