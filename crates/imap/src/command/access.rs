//! What SETACL asks for (RFC 4314 section 3.1).

use mailstore::crdt::rights::Rights;

/// How SETACL changes the rights of an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightsChange {
    /// These and no others.
    Replace(Rights),
    /// `+`: these as well.
    Add(Rights),
    /// `-`: these no more.
    Remove(Rights),
}

impl RightsChange {
    /// `mod-rights` of RFC 4314 section 7; `None` where a letter is no right.
    pub fn parse(text: &str) -> Option<Self> {
        let (change, letters): (fn(Rights) -> RightsChange, &str) = match text.split_at_checked(1) {
            Some(("+", letters)) => (RightsChange::Add, letters),
            Some(("-", letters)) => (RightsChange::Remove, letters),
            _ => (RightsChange::Replace, text),
        };
        Rights::parse(letters).map(change)
    }

    /// What is given.
    pub fn given(self) -> Rights {
        match self {
            RightsChange::Replace(rights) | RightsChange::Add(rights) => rights,
            RightsChange::Remove(_) => Rights::NONE,
        }
    }

    /// What is taken.
    pub fn taken(self) -> Rights {
        match self {
            RightsChange::Replace(rights) => Rights::ALL - rights,
            RightsChange::Add(_) => Rights::NONE,
            RightsChange::Remove(rights) => rights,
        }
    }
}
