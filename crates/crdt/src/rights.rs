//! The rights of an access control list (RFC 4314 section 2.1).

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};

use serde::{Deserialize, Serialize};

/// A set of rights. Bits are given once and for all, as they are stored.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Rights(u16);

/// The letters of RFC 4314 section 2.1, each at the place of its bit.
const LETTERS: [char; 11] = ['l', 'r', 's', 'w', 'i', 'p', 'k', 'x', 't', 'e', 'a'];

impl Rights {
    /// No right.
    pub const NONE: Rights = Rights(0);
    /// `l`: the mailbox is listed, and its existence no secret.
    pub const LOOKUP: Rights = Rights(1);
    /// `r`: the mailbox can be selected and read.
    pub const READ: Rights = Rights(1 << 1);
    /// `s`: \Seen can be changed.
    pub const SEEN: Rights = Rights(1 << 2);
    /// `w`: flags other than \Seen and \Deleted can be changed.
    pub const WRITE: Rights = Rights(1 << 3);
    /// `i`: messages can be appended and copied into the mailbox.
    pub const INSERT: Rights = Rights(1 << 4);
    /// `p`: mail can be sent to the submission address of the mailbox, which IMAP does not enforce.
    pub const POST: Rights = Rights(1 << 5);
    /// `k`: mailboxes can be created below the mailbox.
    pub const CREATE: Rights = Rights(1 << 6);
    /// `x`: the mailbox can be deleted and renamed.
    pub const DELETE_MAILBOX: Rights = Rights(1 << 7);
    /// `t`: \Deleted can be changed.
    pub const DELETE_MESSAGES: Rights = Rights(1 << 8);
    /// `e`: messages can be expunged.
    pub const EXPUNGE: Rights = Rights(1 << 9);
    /// `a`: the access control list can be read and changed.
    pub const ADMINISTER: Rights = Rights(1 << 10);
    /// Those that it takes to read annotations (RFC 5464 section 3.3).
    pub const READ_ANNOTATIONS: Rights = Rights(Rights::LOOKUP.0 | Rights::READ.0);
    /// Every right.
    pub const ALL: Rights = Rights((1 << 11) - 1);
    /// Those of which each is needed for some flags.
    pub const FLAGS: Rights = Rights(Rights::SEEN.0 | Rights::WRITE.0 | Rights::DELETE_MESSAGES.0);
    /// Those of which one makes a mailbox more than readable (RFC 4314 section 5.2).
    pub const WRITING: Rights = Rights(Rights::FLAGS.0 | Rights::INSERT.0 | Rights::EXPUNGE.0);
    /// Those that it takes to move a message away (RFC 6851 section 4.6).
    pub const MOVING: Rights = Rights(Rights::DELETE_MESSAGES.0 | Rights::EXPUNGE.0);
    /// What the owner of a mailbox cannot lose: whoever has these can give himself every other.
    pub const OWNER_KEEPS: Rights = Rights(Rights::LOOKUP.0 | Rights::ADMINISTER.0);
    /// What the obsolete `c` stands for here (RFC 4314 section 2.1.1): `k` and `x`.
    pub const OBSOLETE_CREATE: Rights = Rights(Rights::CREATE.0 | Rights::DELETE_MAILBOX.0);
    /// What the obsolete `d` stands for here (RFC 4314 section 2.1.1): `t` and `e`.
    pub const OBSOLETE_DELETE: Rights = Rights(Rights::DELETE_MESSAGES.0 | Rights::EXPUNGE.0);

    /// The rights that these letters spell, the obsolete `c` and `d` among them; `None` where one of them is none.
    pub fn parse(letters: &str) -> Option<Rights> {
        let mut rights = Rights::NONE;
        for letter in letters.chars() {
            let place = LETTERS.iter().position(|known| *known == letter);
            rights = rights
                | match (place, letter) {
                    (Some(place), _) => Rights(1 << place),
                    (None, 'c') => Rights::OBSOLETE_CREATE,
                    (None, 'd') => Rights::OBSOLETE_DELETE,
                    (None, _) => return None,
                };
        }
        Some(rights)
    }

    /// Whether all of these are among them.
    pub fn contain(self, others: Rights) -> bool {
        self & others == others
    }

    /// Whether one of these is among them.
    pub fn intersect(self, others: Rights) -> bool {
        self & others != Rights::NONE
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Rights::NONE
    }

    /// The single rights, in the order of the RFC.
    pub fn iter(self) -> impl Iterator<Item = Rights> {
        (0..LETTERS.len()).map(|place| Rights(1 << place)).filter(move |right| self.contain(*right))
    }

    /// The rights as ACL and MYRIGHTS responses tell them: `c` and `d` stand with any right that they stand for
    /// (RFC 4314 section 2.1.1).
    pub fn with_obsolete(self) -> String {
        let mut letters = self.to_string();
        for (letter, members) in [('c', Rights::OBSOLETE_CREATE), ('d', Rights::OBSOLETE_DELETE)] {
            if self.intersect(members) {
                letters.push(letter);
            }
        }
        letters
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = |(place, letter): (usize, &char)| self.contain(Rights(1 << place)).then_some(*letter);
        let letters: String = LETTERS.iter().enumerate().filter_map(held).collect();
        f.write_str(&letters)
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}

impl BitOr for Rights {
    type Output = Rights;

    fn bitor(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}

impl BitAnd for Rights {
    type Output = Rights;

    fn bitand(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
}

impl Sub for Rights {
    type Output = Rights;

    fn sub(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }
}

impl TryFrom<u16> for Rights {
    type Error = &'static str;

    fn try_from(bits: u16) -> Result<Self, Self::Error> {
        let rights = Rights(bits);
        (rights - Rights::ALL).is_empty().then_some(rights).ok_or("there are eleven rights")
    }
}

impl From<Rights> for u16 {
    fn from(rights: Rights) -> u16 {
        rights.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_back_in_the_order_of_the_rfc() {
        let rights = Rights::parse("aetxkpiwsrl").expect("rights");
        assert_eq!((rights, rights.to_string().as_str()), (Rights::ALL, "lrswipkxtea"));
        assert_eq!(rights.iter().map(|right| right.to_string()).collect::<String>(), "lrswipkxtea");
        for bad in ["L", "z", "0", "l r", "\u{e4}"] {
            assert_eq!(Rights::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_obsolete_rights_stand_for_others() {
        assert_eq!(Rights::parse("c"), Rights::parse("kx"));
        assert_eq!(Rights::parse("lrd"), Rights::parse("lrte"));
        assert_eq!(Rights::parse("lre").map(Rights::with_obsolete).as_deref(), Some("lred"));
        assert_eq!(Rights::parse("lrk").map(Rights::with_obsolete).as_deref(), Some("lrkc"));
        assert_eq!(Rights::ALL.with_obsolete(), "lrswipkxteacd");
    }

    #[test]
    fn bits_that_are_no_right_are_refused() {
        assert_eq!(Rights::try_from(Rights::ALL.0), Ok(Rights::ALL));
        assert!(Rights::try_from(1 << 11).is_err());
    }
}
