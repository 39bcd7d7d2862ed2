//! App passwords of an account: each is added once and removed once.
//!
//! The state is a join. Of one identity, being removed wins over being added, whichever comes first and however often; two that were
//! added apart have two identities, and both stay. What was removed is remembered by its identity, so that what a node hears late
//! does not bring it back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::identity::AppPasswordId;

/// A password for one program or device, made by the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AppPassword {
    /// Its identity, a random name.
    pub id: AppPasswordId,
    /// What the operator called it.
    pub label: String,
    /// The hash of the password. It is one that nobody guesses, so the hash need not be slow.
    pub digest: [u8; 32],
}

/// All that there were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AppPasswords(BTreeMap<AppPasswordId, State>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum State {
    Added { stamp: Stamp, label: String, digest: [u8; 32] },
    Removed,
}

impl AppPasswords {
    /// Takes in that one was added.
    pub(crate) fn add(&mut self, stamp: Stamp, new: &AppPassword) {
        let AppPassword { id, label, digest } = new.clone();
        match self.0.get(&id) {
            Some(State::Removed) => {}
            // Nobody adds one identity twice but a member that lies; the first counts, whichever is heard of first.
            Some(State::Added { stamp: known, .. }) if *known <= stamp => {}
            _ => drop(self.0.insert(id, State::Added { stamp, label, digest })),
        }
    }

    /// Takes in that one was removed.
    pub(crate) fn remove(&mut self, id: AppPasswordId) {
        self.0.insert(id, State::Removed);
    }

    /// Those that hold and were added after this moment, with the moment.
    pub fn after(&self, moment: Option<Stamp>) -> impl Iterator<Item = (Stamp, AppPassword)> {
        self.0.iter().filter_map(move |(id, state)| match state {
            State::Added { stamp, label, digest } if Some(*stamp) > moment => {
                Some((*stamp, AppPassword { id: *id, label: label.clone(), digest: *digest }))
            }
            _ => None,
        })
    }

    /// How many there ever were.
    pub fn count_ever(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{Millis, Timestamp};
    use crate::identity::{Incarnation, NodeSlot};

    #[derive(Clone, Debug)]
    enum Change {
        Add(u8, u8),
        Remove(u8),
    }

    fn stamp(number: u8) -> Stamp {
        let timestamp =
            Timestamp::from_parts(Millis(1_790_000_000_000 + u64::from(number)), 0, NodeSlot::FIRST);
        Stamp { timestamp, incarnation: Incarnation([1; 16]) }
    }

    fn id(number: u8) -> AppPasswordId {
        AppPasswordId([number; 16])
    }

    fn fold<'a>(changes: impl IntoIterator<Item = &'a Change>) -> AppPasswords {
        let mut state = AppPasswords::default();
        for change in changes {
            match change {
                Change::Add(name, at) => {
                    let new = AppPassword { id: id(*name), label: at.to_string(), digest: [*at; 32] };
                    state.add(stamp(*at), &new);
                }
                Change::Remove(name) => state.remove(id(*name)),
            }
        }
        state
    }

    #[test]
    fn those_of_an_account_that_was_removed_are_not_those_of_the_next() {
        let state = fold(&[Change::Add(1, 1), Change::Add(2, 3)]);
        let names = |moment| state.after(moment).map(|(_, one)| one.id).collect::<Vec<_>>();
        assert_eq!(names(None), [id(1), id(2)]);
        assert_eq!(names(Some(stamp(2))), [id(2)]);
        assert_eq!(names(Some(stamp(3))), []);
    }

    proptest! {
        /// Any order and any repetition give one state, in which nothing is that was removed, and everything else.
        #[test]
        fn removing_wins_and_nothing_else_is_lost(
            changes in prop::collection::vec(
                prop_oneof![(0..4u8, 0..9u8).prop_map(|(name, at)| Change::Add(name, at)), (0..4u8).prop_map(Change::Remove)],
                0..12,
            ),
            order in any::<prop::sample::Index>(),
        ) {
            let state = fold(&changes);
            let mut other = changes.clone();
            other.reverse();
            other.rotate_left(order.index(changes.len().max(1)).min(changes.len()));
            other.extend(changes.clone());
            prop_assert_eq!(&fold(&other), &state);
            for name in 0..4u8 {
                let added = changes.iter().any(|change| matches!(change, Change::Add(other, _) if *other == name));
                let removed = changes.iter().any(|change| matches!(change, Change::Remove(other) if *other == name));
                let holds = state.after(None).any(|(_, one)| one.id == id(name));
                prop_assert_eq!(holds, added && !removed);
            }
        }
    }
}
