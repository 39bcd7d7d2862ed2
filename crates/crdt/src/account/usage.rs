//! What an account holds, and how much it may hold (RFC 9208).
//!
//! Usage follows from the folded entries alone, so nodes that have the same operations count the same. Each node keeps the quota
//! by what it knows: two nodes that cannot hear each other may together accept more than it allows. That mail was accepted, so a
//! merge keeps all of it; until it is back below the quota nothing more is accepted.

use super::Account;
use crate::identity::EntryId;
use crate::operation::Quota;

/// What an account holds: everything that was accepted and not expunged, whether it is shown yet or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Usage {
    /// Messages; one that was delivered to two nodes counts once.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
}

impl Usage {
    /// Whether more messages of these sizes would be too many, once one of the size `freed` has gone. What does not grow is never too
    /// much: whoever is over the quota may still replace a message by a shorter one.
    pub fn exceeds(self, quota: Quota, freed: Option<u64>, sizes: impl Iterator<Item = u64>) -> bool {
        let after = sizes.fold(self.with(freed, None), |usage, size| usage.with(None, Some(size)));
        let over = |most: Option<u64>, before, after| after > before && most.is_some_and(|most| after > most);
        over(quota.octets, self.octets, after.octets) || over(quota.messages, self.messages, after.messages)
    }

    /// The same once a message of the one size is one of the other; none where there is none.
    pub(super) fn with(self, before: Option<u64>, now: Option<u64>) -> Self {
        let replace = |total: u64, before, now| total.saturating_sub(before).saturating_add(now);
        let count = |size: Option<u64>| u64::from(size.is_some());
        Usage {
            messages: replace(self.messages, count(before), count(now)),
            octets: replace(self.octets, before.unwrap_or(0), now.unwrap_or(0)),
        }
    }
}

impl Account {
    /// What it holds.
    pub fn usage(&self) -> Usage {
        // What the present batch has changed is counted for good once it is settled.
        let changed = self.touched.iter();
        changed.fold(self.usage, |usage, entry| {
            usage.with(self.counted.get(entry).copied(), self.counted_size(entry))
        })
    }

    /// Whether more messages of these sizes would be more than it may hold, once the message `freed` has gone.
    pub(crate) fn lacks_room(&self, freed: Option<EntryId>, sizes: impl Iterator<Item = u64>) -> bool {
        let (quota, freed) = (self.head.quota(), freed.and_then(|entry| self.counted_size(&entry)));
        quota != Quota::default() && self.usage().exceeds(quota, freed, sizes)
    }

    /// The size of a message as it counts: none where it does not.
    pub(super) fn counted_size(&self, entry: &EntryId) -> Option<u64> {
        let state = self.effective(entry)?;
        let counts = state.is_live() && !self.is_removed(&state) && !self.is_superseded_twin(entry);
        counts.then(|| state.facts().map(|facts| facts.size)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_too_much_is_told_before() {
        let usage = Usage { messages: 2, octets: 100 };
        let exceeds = |octets, messages, sizes: &[u64]| {
            usage.exceeds(Quota { octets, messages }, None, sizes.iter().copied())
        };
        assert!(!exceeds(None, None, &[u64::MAX, u64::MAX]));
        assert!(!exceeds(Some(110), Some(4), &[5, 5]));
        assert!(exceeds(Some(109), None, &[5, 5]));
        assert!(exceeds(None, Some(3), &[5, 5]));
        assert!(exceeds(Some(100), None, &[u64::MAX]));
        // What is over already stays, and may be moved and copied nowhere.
        assert!(!exceeds(Some(1), Some(1), &[]));
        assert!(exceeds(Some(1), Some(1), &[0]));
    }

    /// RFC 8508: a REPLACE is one thing, not an APPEND that has to find room beside what it replaces.
    #[test]
    fn a_replacement_takes_the_room_of_what_it_replaces() {
        let usage = Usage { messages: 2, octets: 100 };
        let exceeds = |octets, messages, size| {
            usage.exceeds(Quota { octets, messages }, Some(60), std::iter::once(size))
        };
        assert!(!exceeds(Some(100), Some(2), 60));
        assert!(exceeds(Some(100), Some(2), 61));
        assert!(!exceeds(Some(10), Some(1), 60), "over the quota already, and no more so than before");
        assert!(exceeds(Some(10), Some(1), 61));
    }
}
