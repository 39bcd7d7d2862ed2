//! The names of things: nodes and their lives, accounts, mailboxes, segments, entries, bodies, UIDs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::left_out::{LeftOut, leaves_out};

/// The number of slots of a cluster; slots run from 0 to 127 and are never used twice.
pub const SLOTS: u8 = 128;

/// The place of a node in the cluster, 0 to 127. It decides which UIDs the node may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct NodeSlot(u8);

impl NodeSlot {
    /// The slot of the node that founds a cluster.
    pub const FIRST: NodeSlot = NodeSlot(0);

    /// A slot, unless the number is 128 or more.
    pub fn new(number: u8) -> Option<Self> {
        (number < SLOTS).then_some(NodeSlot(number))
    }

    /// The slot whose number is the low seven bits of `bits`.
    pub(crate) fn from_low_bits(bits: u64) -> Self {
        NodeSlot((bits & 0x7f) as u8)
    }

    /// The number, 0 to 127.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for NodeSlot {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        NodeSlot::new(number).ok_or("a slot is a number from 0 to 127")
    }
}

impl From<NodeSlot> for u8 {
    fn from(slot: NodeSlot) -> u8 {
        slot.0
    }
}

impl fmt::Display for NodeSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Declares a newtype over random or hashed bytes, shown as lower-case hexadecimal.
macro_rules! bytes_newtype {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// The length of this name in octets.
            pub const LENGTH: usize = $length;

            /// The name that these octets spell, if their number is right.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
                let digits: String =
                    self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect();
                f.write_str(&digits)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

bytes_newtype!(
    /// One life of a node, from a start to its end: a random number, so that a second life of the
    /// same disk can never sign as the first.
    Incarnation,
    16
);
bytes_newtype!(
    /// An account, named by the hash of its name: the same name added on two sides is one account.
    AccountId,
    16
);
bytes_newtype!(
    /// A mailbox; it keeps this identity when it is renamed.
    MailboxId,
    16
);
bytes_newtype!(
    /// The identity of content as accepted (RFC 8474 EMAILID); copies share it.
    EmailId,
    16
);
bytes_newtype!(
    /// The BLAKE3 hash of a body's octets, and thereby its name.
    BodyHash,
    32
);
bytes_newtype!(
    /// A password for one program or device, besides that of the account.
    AppPasswordId,
    16
);
bytes_newtype!(
    /// What an MTA offered to whom: equal keys are one delivery, retried at another node.
    DeliveryKey,
    16
);

impl AccountId {
    /// The identity of the account of this name. Names are compared without regard to ASCII case.
    pub fn of_name(name: &str) -> Self {
        AccountId(derive("peerpost account", &[name.to_ascii_lowercase().as_bytes()]))
    }
}

impl MailboxId {
    /// The identity of a mailbox that every account has from its creation on, such as INBOX.
    pub fn of_default(account: AccountId, name: &str) -> Self {
        MailboxId(derive("peerpost default mailbox", &[&account.0, name.as_bytes()]))
    }

    /// The identity of a mailbox that a node creates: no other creation has this incarnation and number.
    pub fn of_creation(incarnation: Incarnation, number: u64) -> Self {
        MailboxId(derive("peerpost created mailbox", &[&incarnation.0, &number.to_be_bytes()]))
    }
}

impl MailboxId {
    /// The object that clients are shown as MAILBOXID once a mailbox has another UIDVALIDITY than its first.
    pub fn of_epoch(mailbox: MailboxId, validity: Validity) -> Self {
        MailboxId(derive("peerpost mailbox epoch", &[&mailbox.0, &validity.0.to_be_bytes()]))
    }
}

impl EmailId {
    /// The identity of the content that was accepted as this entry.
    pub fn of_entry(entry: EntryId) -> Self {
        EmailId(derive(
            "peerpost email",
            &[&entry.segment.incarnation.0, &entry.segment.number.to_be_bytes(), &entry.index.to_be_bytes()],
        ))
    }
}

impl DeliveryKey {
    /// The key of a message offered by an MTA for one recipient.
    pub fn of_delivery(account: AccountId, mailbox: &str, sender: &str, body: &BodyHash) -> Self {
        DeliveryKey(derive(
            "peerpost delivery",
            &[&account.0, mailbox.as_bytes(), sender.as_bytes(), &body.0],
        ))
    }
}

impl DeliveryKey {
    /// The key of a message that is moved into an account from another one, by the entry that it leaves.
    pub fn of_move(account: AccountId, entry: EntryId) -> Self {
        let SegmentId { incarnation, number } = entry.segment;
        DeliveryKey(derive(
            "peerpost move between accounts",
            &[&account.0, &incarnation.0, &number.to_be_bytes(), &entry.index.to_be_bytes()],
        ))
    }
}

/// A 128-bit name from a context and length-delimited parts.
fn derive(context: &str, parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut name = [0; 16];
    hasher.finalize_xof().fill(&mut name);
    name
}

/// A run of entries of one account that one life of one node opened; nobody else writes new entries to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SegmentId {
    /// The life of the node that opened it.
    pub incarnation: Incarnation,
    /// Counts the segments that this incarnation opened, from 0.
    pub number: u32,
}

/// One message in one mailbox: flags, placements and expunges belong to the entry. Unique in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId {
    /// The segment that the entry belongs to, wherever it is moved inside its account.
    pub segment: SegmentId,
    /// The place in the segment, from 0.
    pub index: u16,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.segment.incarnation, self.segment.number, self.index)
    }
}

/// A UID of RFC 9051 section 2.3.1.1, 1 to 2^31 - 1 (signed integers exist among clients). As a UIDNEXT it may be 2^31.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Uid(pub u32);

impl Uid {
    /// The first UID of an epoch.
    pub const FIRST: Uid = Uid(1);
    /// The greatest UID that is ever given.
    pub const GREATEST: Uid = Uid(0x7fff_ffff);

    /// The number after this one, as UIDNEXT needs it.
    pub fn next(self) -> Uid {
        Uid(self.0.saturating_add(1))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A UIDVALIDITY, and thereby the name of one epoch of a mailbox. Congruent to its founder's slot modulo 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Validity(pub u32);

impl Validity {
    /// The value `rounds` times 128 later: it belongs to the same slot.
    pub fn later(self, rounds: u32) -> Option<Validity> {
        self.0.checked_add(rounds.checked_mul(u32::from(SLOTS))?).map(Validity)
    }

    /// The least value at or above both unix time in seconds and `known` + 1 that belongs to `slot`.
    ///
    /// Two nodes never choose the same value, whatever they know of each other.
    pub fn found(slot: NodeSlot, unix_seconds: u64, known: Option<Validity>) -> Option<Validity> {
        let least = known.map_or(1, |known| u64::from(known.0) + 1).max(unix_seconds);
        if leaves_out(LeftOut::ValidityOfSlot) {
            return u32::try_from(least).ok().map(Validity);
        }
        let slots = u64::from(SLOTS);
        let value = least + (u64::from(slot.number()) + slots - least % slots) % slots;
        u32::try_from(value).ok().filter(|value| *value > 0).map(Validity)
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_slots_never_found_the_same_validity() {
        for seconds in [0, 1, 127, 128, 1_790_000_000] {
            let a = Validity::found(NodeSlot(0), seconds, None);
            let b = Validity::found(NodeSlot(1), seconds, None);
            assert_ne!(a, b);
            assert_eq!(b.map(|v| v.0 % 128), Some(1));
            assert!(b.is_some_and(|v| u64::from(v.0) >= seconds));
        }
    }

    #[test]
    fn a_validity_rises_above_what_is_known() {
        let known = Validity(2_000_000_003);
        let next = Validity::found(NodeSlot(3), 1_000, Some(known));
        assert_eq!(next, Some(Validity(2_000_000_003 + 128)));
    }

    #[test]
    fn derived_names_do_not_run_together() {
        let a = MailboxId::of_default(AccountId([1; 16]), "ab");
        let b = MailboxId::of_default(AccountId([1; 16]), "abc");
        assert_ne!(a, b);
        assert_eq!(AccountId::of_name("Alice"), AccountId::of_name("alice"));
    }
}
