//! What a node has: for every incarnation, how many of its records.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::Incarnation;

/// Counts the records of one incarnation, from 1, without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The number after this one.
    pub fn next(self) -> Sequence {
        Sequence(self.0 + 1)
    }
}

/// For every incarnation the last record that a node has of it; everything before it is there too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Vector(BTreeMap<Incarnation, Sequence>);

impl Vector {
    /// The vector of a node that has nothing.
    pub fn new() -> Self {
        Vector::default()
    }

    /// The last record that is there of this incarnation; 0 where none is.
    pub fn last(&self, incarnation: &Incarnation) -> Sequence {
        self.0.get(incarnation).copied().unwrap_or_default()
    }

    /// Takes note that everything up to `sequence` of this incarnation is there.
    pub fn raise(&mut self, incarnation: Incarnation, sequence: Sequence) {
        if sequence > Sequence(0) {
            let last = self.0.entry(incarnation).or_default();
            *last = sequence.max(*last);
        }
    }

    /// Takes note that everything that `other` covers is there.
    pub fn join(&mut self, other: &Vector) {
        for (incarnation, sequence) in &other.0 {
            self.raise(*incarnation, *sequence);
        }
    }

    /// Forgets what there is of this incarnation from `sequence` on.
    pub(crate) fn end_before(&mut self, incarnation: &Incarnation, sequence: Sequence) {
        let before = Sequence(sequence.0.saturating_sub(1));
        if self.last(incarnation) > before {
            match before {
                Sequence(0) => self.0.remove(incarnation),
                before => self.0.insert(*incarnation, before),
            };
        }
    }

    /// Whether everything that `other` has is here.
    pub fn covers(&self, other: &Vector) -> bool {
        other.0.iter().all(|(incarnation, sequence)| self.last(incarnation) >= *sequence)
    }

    /// What of this vector is missing in `other`.
    pub(crate) fn beyond(&self, other: &Vector) -> Vector {
        let missing = self.0.iter().filter(|(incarnation, sequence)| **sequence > other.last(incarnation));
        Vector(missing.map(|(incarnation, sequence)| (*incarnation, *sequence)).collect())
    }

    /// How many records of this vector are missing in `other`.
    pub fn ahead_of(&self, other: &Vector) -> u64 {
        let missing = |(incarnation, sequence): (&Incarnation, &Sequence)| {
            sequence.0.saturating_sub(other.last(incarnation).0)
        };
        self.0.iter().map(missing).sum()
    }

    /// The incarnations and their last records, in order of incarnation.
    pub fn iter(&self) -> impl Iterator<Item = (Incarnation, Sequence)> + '_ {
        self.0.iter().map(|(incarnation, sequence)| (*incarnation, *sequence))
    }

    /// How many incarnations it names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covering_is_a_partial_order() {
        let (x, y) = (Incarnation([1; 16]), Incarnation([2; 16]));
        let mut a = Vector::new();
        a.raise(x, Sequence(3));
        let mut b = Vector::new();
        b.raise(y, Sequence(2));
        assert!(!a.covers(&b) && !b.covers(&a) && a.covers(&Vector::new()));
        assert_eq!(a.ahead_of(&b), 3);
        assert_eq!(a.beyond(&b), a);
        assert_eq!(a.beyond(&a), Vector::new());
        a.join(&b);
        assert!(a.covers(&b));
        a.raise(x, Sequence(1));
        assert_eq!(a.last(&x), Sequence(3));
    }
}
