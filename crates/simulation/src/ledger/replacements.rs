//! REPLACE (RFC 8508): the new message is there, or the old one, and never neither.

use std::collections::BTreeMap;

use crdt::flag::FlagSet;
use crdt::identity::EntryId;

use super::losses::{Records, What};
use super::{Ledger, Violation};
use crate::client::Token;

impl Ledger {
    /// A client asks that this message take the place of that entry.
    pub(super) fn replaces(&mut self, entry: EntryId, message: Token) {
        self.may_go(&entry);
        self.replacements.push((entry, message));
    }

    /// And was answered that it has.
    pub(super) fn has_replaced(&mut self, id: EntryId, records: &Records) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.expunges_answered += 1;
            self.stands_on(records, What::Expunged(id));
        }
    }

    /// At rest, whether it was answered or not. `count` is how many entries there are of each message.
    pub(super) fn check_replacements(
        &self,
        node: usize,
        count: &BTreeMap<Token, u32>,
        there: &BTreeMap<EntryId, &FlagSet>,
    ) -> Result<(), Violation> {
        for (id, new) in &self.replacements {
            let Some(old) = self.entries.get(id) else { continue };
            // Whatever else may have taken away one of the two excuses it.
            let is_excused = |message: &Token| {
                let mail = self.mail.get(message);
                mail.is_none_or(|mail| mail.delivered && mail.offered > 1) || self.may_be_deleted(*message)
            };
            let old_stays = old.expunges_asked == 1 && !old.lost && !old.moved && !is_excused(&old.message);
            let new_stays = self.mail.get(new).is_some_and(|mail| !mail.expunge_asked && !mail.body_lost);
            let neither = !there.contains_key(id) && count.get(new).is_none_or(|count| *count == 0);
            if neither && old_stays && new_stays && !is_excused(new) {
                let what = format!("n{node}: neither {} nor {new}, which was to replace it", old.message);
                let subjects = [old.message.to_string(), new.to_string()];
                return Err(Violation::new("REPLACE leaves one of the two", what, subjects));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crdt::identity::{AccountId, Incarnation, SegmentId};

    use super::super::Entry;
    use super::*;
    use crdt::vector::Sequence;

    #[test]
    fn neither_of_the_two_is_a_violation() {
        let mut ledger = Ledger::new(AccountId::of_name("alice"));
        let [old, new] = [1, 2].map(|octet| ledger.compose(false, |_| vec![octet]));
        let segment = SegmentId { incarnation: Incarnation([1; 16]), number: 0 };
        let id = EntryId { segment, index: 0 };
        ledger.entries.insert(id, Entry::new(old, (String::new(), 0, 0), Sequence(1)));
        ledger.replaces(id, new);
        let flags = FlagSet::default();
        let check = |ledger: &Ledger, old_is_there: bool, new_is_there: bool| {
            let there = old_is_there.then_some((id, &flags)).into_iter().collect();
            ledger.check_replacements(0, &BTreeMap::from([(new, u32::from(new_is_there))]), &there)
        };
        assert!(check(&ledger, true, false).is_ok() && check(&ledger, false, true).is_ok());
        assert!(check(&ledger, false, false).is_err());
        ledger.may_go(&id);
        assert!(check(&ledger, false, false).is_ok(), "somebody else expunged it");
    }
}
