//! Who may do what with a mailbox (RFC 4314).
//!
//! Each right of an identifier is a last-writer-wins register of its own: what two nodes give and take apart holds side by
//! side, and where one gives what the other takes, the later counts. So a revocation is undone by nothing but a grant
//! of the same right that was written later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::identity::AccountId;
use crate::rights::Rights;

/// One life of an account, named by the removal before it: an account that is added again under the name of one that
/// was removed is another one. Adding one on two sides makes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Life(pub(crate) Option<Stamp>);

/// Who has rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Grantee {
    /// Every account.
    Anyone,
    /// An account, as long as it is not removed.
    Account(AccountId, Life),
}

/// What an entry of an access control list is kept under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identifier {
    /// Whom it is about.
    pub grantee: Grantee,
    /// Whether its rights are taken away, whoever gives them (RFC 4314 section 2: the identifier begins with `-`).
    pub negative: bool,
}

impl Identifier {
    /// The identifier that gives rights to somebody.
    pub fn of(grantee: Grantee) -> Self {
        Identifier { grantee, negative: false }
    }
}

/// The rights under one identifier: what was written last of each.
///
/// Uniting is commutative, associative and idempotent, as stamps are unique. A write stands for as long as it is the last
/// one of some right, so equal states are equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RightsRegister(Vec<Written>);

/// What one write says of rights that nothing later was written of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Written {
    stamp: Stamp,
    given: Rights,
    taken: Rights,
}

impl Written {
    fn of(self) -> Rights {
        self.given | self.taken
    }

    fn without(self, rights: Rights) -> Self {
        Written { given: self.given - rights, taken: self.taken - rights, ..self }
    }
}

impl RightsRegister {
    /// Gives and takes rights; those of which something later was written stay as they are.
    pub fn write(&mut self, stamp: Stamp, given: Rights, taken: Rights) {
        let later = self.0.iter().filter(|known| known.stamp >= stamp);
        let written_later = later.fold(Rights::NONE, |rights, known| rights | known.of());
        let new = Written { stamp, given, taken: taken - given }.without(written_later);
        for known in self.0.iter_mut().filter(|known| known.stamp < stamp) {
            *known = known.without(new.of());
        }
        self.0.push(new);
        self.0.retain(|known| !known.of().is_empty());
        self.0.sort_by_key(|known| known.stamp);
    }

    /// Takes in what another one knows.
    pub fn unite(&mut self, other: &RightsRegister) {
        for Written { stamp, given, taken } in &other.0 {
            self.write(*stamp, *given, *taken);
        }
    }

    /// The rights that were given and not taken. A right of which nothing was written is one of `default` or none.
    pub fn rights(&self, default: Rights) -> Rights {
        self.0.iter().fold(default, |rights, known| (rights | known.given) - known.taken)
    }

    /// Forgets what was written up to this moment.
    pub fn forget(&mut self, until: Option<Stamp>) {
        self.0.retain(|known| Some(known.stamp) > until);
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The access control list of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList {
    owner: Grantee,
    entries: BTreeMap<Identifier, Rights>,
}

impl AccessList {
    /// The list with these rights by identifier. Of the owner nothing needs to be written: he has all rights then.
    pub(crate) fn new(owner: Grantee, registers: &BTreeMap<Identifier, RightsRegister>) -> Self {
        let own = Identifier::of(owner);
        let mut entries = BTreeMap::from([(own, Rights::ALL)]);
        for (identifier, register) in registers {
            let default = if *identifier == own { Rights::ALL } else { Rights::NONE };
            entries.insert(*identifier, register.rights(default));
        }
        entries.retain(|identifier, rights| *identifier == own || !rights.is_empty());
        AccessList { owner, entries }
    }

    /// The list of a mailbox that nobody but its owner may do anything with.
    pub fn private(owner: Grantee) -> Self {
        AccessList::new(owner, &BTreeMap::new())
    }

    /// Whose mailbox it is.
    pub fn owner(&self) -> Grantee {
        self.owner
    }

    /// The entries; there is always one of the owner. One of an account that was removed since gives nobody anything.
    pub fn entries(&self) -> impl Iterator<Item = (Identifier, Rights)> + '_ {
        self.entries.iter().map(|(identifier, rights)| match self.is_own(identifier) {
            true => (*identifier, *rights | Rights::OWNER_KEEPS),
            false => (*identifier, *rights),
        })
    }

    /// What somebody may do: what is given to him or to anyone, less what is taken from him or from anyone. The owner
    /// always keeps [`Rights::OWNER_KEEPS`].
    pub fn rights(&self, grantee: Grantee) -> Rights {
        let union = |negative| {
            let of =
                |grantee| self.entries.get(&Identifier { grantee, negative }).copied().unwrap_or_default();
            of(grantee) | of(Grantee::Anyone)
        };
        let kept = if grantee == self.owner { Rights::OWNER_KEEPS } else { Rights::NONE };
        (union(false) - union(true)) | kept
    }

    /// What a mailbox below this one begins with: the entries, as far as they say anything.
    pub(crate) fn inherited(&self) -> impl Iterator<Item = (Identifier, Rights)> + '_ {
        let says = |(identifier, rights): &(&Identifier, &Rights)| {
            !self.is_own(identifier) || **rights != Rights::ALL
        };
        self.entries.iter().filter(says).map(|(identifier, rights)| (*identifier, *rights))
    }

    fn is_own(&self, identifier: &Identifier) -> bool {
        *identifier == Identifier::of(self.owner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{Millis, Timestamp};
    use crate::identity::{Incarnation, NodeSlot};

    fn stamp(n: u64) -> Stamp {
        Stamp {
            timestamp: Timestamp::from_parts(Millis(n), 0, NodeSlot::FIRST),
            incarnation: Incarnation([9; 16]),
        }
    }

    fn rights(letters: &str) -> Rights {
        Rights::parse(letters).expect("rights")
    }

    fn account(name: &str) -> Grantee {
        Grantee::Account(AccountId::of_name(name), Life::default())
    }

    fn list(entries: &[(Grantee, bool, &str)]) -> AccessList {
        let mut registers: BTreeMap<Identifier, RightsRegister> = BTreeMap::new();
        for (place, (grantee, negative, letters)) in entries.iter().enumerate() {
            let register =
                registers.entry(Identifier { grantee: *grantee, negative: *negative }).or_default();
            register.write(stamp(place as u64 + 1), rights(letters), Rights::ALL - rights(letters));
        }
        AccessList::new(account("alice"), &registers)
    }

    #[test]
    fn what_two_nodes_give_and_take_apart_holds_side_by_side() {
        let mut register = RightsRegister::default();
        register.write(stamp(1), rights("lr"), Rights::NONE);
        let (mut a, mut b) = (register.clone(), register);
        a.write(stamp(2), Rights::NONE, rights("r"));
        b.write(stamp(3), rights("i"), Rights::NONE);
        a.unite(&b);
        assert_eq!(a.rights(Rights::NONE), rights("li"), "the later grant of i does not bring r back");
    }

    #[test]
    fn of_a_grant_and_a_revocation_of_one_right_the_later_counts() {
        let mut register = RightsRegister::default();
        register.write(stamp(3), Rights::NONE, rights("r"));
        register.write(stamp(2), rights("lr"), Rights::NONE);
        assert_eq!(register.rights(Rights::NONE), rights("l"));
        register.write(stamp(4), rights("r"), Rights::NONE);
        assert_eq!(register.rights(Rights::NONE), rights("lr"));
    }

    #[test]
    fn what_was_written_before_a_removal_does_not_count() {
        let mut register = RightsRegister::default();
        register.write(stamp(1), rights("lr"), Rights::NONE);
        register.write(stamp(5), rights("i"), Rights::NONE);
        register.forget(Some(stamp(2)));
        assert_eq!(register.rights(Rights::NONE), rights("i"));
    }

    #[test]
    fn rights_are_united_and_negative_ones_taken_away() {
        let bob = account("bob");
        let list = list(&[(Grantee::Anyone, false, "lr"), (bob, false, "i"), (bob, true, "r")]);
        assert_eq!(list.rights(bob), rights("li"));
        assert_eq!(list.rights(account("carol")), rights("lr"));
        let other_life = Grantee::Account(AccountId::of_name("bob"), Life(Some(stamp(1))));
        assert_eq!(
            list.rights(other_life),
            rights("lr"),
            "what is given to anyone, and nothing of the first bob"
        );
    }

    #[test]
    fn the_owner_has_everything_until_it_is_taken_and_some_of_it_for_ever() {
        let alice = account("alice");
        assert_eq!(list(&[]).rights(alice), Rights::ALL);
        assert_eq!(list(&[(alice, false, "lr")]).rights(alice), rights("lra"));
        assert_eq!(
            list(&[(alice, false, "lrswipkxtea"), (alice, true, "lrswipkxtea")]).rights(alice),
            rights("la")
        );
        assert_eq!(list(&[(Grantee::Anyone, true, "a")]).rights(alice), Rights::ALL);
    }

    fn written() -> impl Strategy<Value = (u64, Rights, Rights)> {
        let rights = || (0..=u16::from(Rights::ALL)).prop_map(|bits| Rights::try_from(bits).expect("rights"));
        (1..8u64, rights(), rights())
    }

    /// Stamps are unique: what is written under one is always the same.
    fn apply(writes: &[(u64, Rights, Rights)]) -> RightsRegister {
        let mut register = RightsRegister::default();
        for (at, given, taken) in writes {
            register.write(stamp(*at), *given, *taken);
        }
        register
    }

    proptest! {
        #[test]
        fn any_order_and_repetition_makes_one_register(
            writes in prop::collection::vec(written(), 0..12),
            order in any::<u64>(),
        ) {
            let unique: BTreeMap<u64, (u64, Rights, Rights)> = writes.into_iter().map(|write| (write.0, write)).collect();
            let writes: Vec<_> = unique.into_values().collect();
            let mut shuffled: Vec<_> = writes.iter().chain(&writes).copied().collect();
            shuffled.sort_by_key(|(at, given, _)| order.wrapping_mul(at.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(u16::from(*given))));
            let register = apply(&writes);
            prop_assert_eq!(&apply(&shuffled), &register);
            let (left, right) = writes.split_at(writes.len() / 2);
            let mut united = apply(right);
            united.unite(&apply(left));
            prop_assert_eq!(&united, &register);
            for right in Rights::ALL.iter() {
                let last = writes.iter().rev().find(|(_, given, taken)| (*given | *taken).contain(right));
                let held = last.is_some_and(|(_, given, _)| given.contain(right));
                prop_assert_eq!(register.rights(Rights::NONE).contain(right), held);
            }
        }

        #[test]
        fn nobody_locks_the_owner_out(writes in prop::collection::vec((written(), any::<bool>(), any::<bool>()), 0..12)) {
            let alice = account("alice");
            let mut registers: BTreeMap<Identifier, RightsRegister> = BTreeMap::new();
            for ((at, given, taken), negative, anyone) in writes {
                let grantee = if anyone { Grantee::Anyone } else { alice };
                registers.entry(Identifier { grantee, negative }).or_default().write(stamp(at), given, taken);
            }
            prop_assert!(AccessList::new(alice, &registers).rights(alice).contain(Rights::OWNER_KEEPS));
        }
    }
}
