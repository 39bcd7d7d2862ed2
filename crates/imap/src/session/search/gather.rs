//! What is kept of the messages that were found, until all were looked at.

use mailstore::ReadError;

use super::candidate::Candidate;
use super::found::Found;
use super::sort::Sorting;
use super::thread::{Forest, Threading};

/// What is being made of the messages that are found.
pub(super) enum Gather {
    /// Their numbers in the order of the mailbox.
    Places(Vec<Found>),
    /// Another order.
    Sorted(Sorting),
    /// Threads.
    Threads(Box<Threading>),
}

/// What was made of them.
pub(super) enum Gathered {
    /// Messages in their order, and the name of the response that lists them.
    Listed(&'static str, Vec<Found>),
    Threads(Forest),
}

impl Gather {
    /// Takes a message that was found.
    pub(super) fn take(&mut self, found: Found, candidate: &mut Candidate<'_, '_>) -> Result<(), ReadError> {
        match self {
            Gather::Places(all) => all.push(found),
            Gather::Sorted(sorting) => return sorting.take(found, candidate),
            Gather::Threads(threading) => return threading.take(found, candidate),
        }
        Ok(())
    }

    /// About what is kept of texts and identifiers.
    pub(super) fn octets(&self) -> usize {
        match self {
            Gather::Places(_) => 0,
            Gather::Sorted(sorting) => sorting.octets(),
            Gather::Threads(threading) => threading.octets(),
        }
    }

    pub(super) fn finish(self) -> Gathered {
        match self {
            Gather::Places(all) => Gathered::Listed("SEARCH", all),
            Gather::Sorted(sorting) => Gathered::Listed("SORT", sorting.finish()),
            Gather::Threads(threading) => Gathered::Threads(threading.finish()),
        }
    }
}
