//! What of a peer is no operation: one in a document of another kind, or with a field out of bounds.

use super::runs::{are_placements, is_numbering};
use super::{
    DefaultMailbox, DocumentId, LARGEST_BODY, LONGEST_ANNOTATION, LONGEST_TEXT, MOST_IDENTITIES, Operation,
    SEGMENT_ENTRIES,
};
use crate::flag::MOST_FLAGS;
use crate::fold::entry::MOST_REGISTERS;

/// Why an operation is not accepted from a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// It stands in a document of another kind.
    #[error("an operation stands in a document that it does not belong to")]
    WrongDocument,
    /// A count, length or number is out of bounds.
    #[error("an operation has a field out of bounds: {0}")]
    OutOfBounds(&'static str),
}

impl Operation {
    /// Checks that the operation belongs to the document and that all its fields are within bounds.
    pub fn check(&self, document: &DocumentId) -> Result<(), OperationError> {
        if !self.belongs_to(document) {
            return Err(OperationError::WrongDocument);
        }
        match self.field_out_of_bounds() {
            Some(field) => Err(OperationError::OutOfBounds(field)),
            None => Ok(()),
        }
    }

    fn belongs_to(&self, document: &DocumentId) -> bool {
        use Operation::*;
        match self {
            Start { .. } | Admit(_) | Grant { .. } => matches!(document, DocumentId::Cluster),
            Yield { .. } | Succeed { .. } | Bury { .. } => matches!(document, DocumentId::Cluster),
            CreateAccount { .. } | SetPassword(_) | SetQuota(_) | RemoveAccount => {
                matches!(document, DocumentId::Account(_))
            }
            AddAppPassword(_) | RemoveAppPassword(_) => matches!(document, DocumentId::Account(_)),
            CreateMailbox { .. } | RenameMailbox { .. } | DeleteMailbox { .. } => {
                matches!(document, DocumentId::Account(_))
            }
            Subscribe { .. } | BearName { .. } | Annotate { .. } | ChangeRights { .. } => {
                matches!(document, DocumentId::Account(_))
            }
            Found { .. } => matches!(document, DocumentId::Mailbox(..)),
            Add(_) | ChangeFlags { .. } | Move { .. } | Expunge { .. } | Place { .. } | Hold { .. } => {
                matches!(document, DocumentId::Segment(..))
            }
        }
    }

    fn field_out_of_bounds(&self) -> Option<&'static str> {
        use Operation::*;
        let long = |text: &str| text.len() > LONGEST_TEXT;
        let bad_name = |name: &str| name.is_empty() || long(name) || name.chars().any(char::is_control);
        match self {
            Start { .. } | Grant { .. } | RemoveAccount | SetQuota(_) | DeleteMailbox { .. } => None,
            Yield { .. } | Succeed { .. } | Bury { .. } => None,
            Admit(member) => (long(&member.name) || long(&member.advertise)).then_some("member"),
            CreateAccount { name, mailboxes } => {
                let bad = |mailbox: &DefaultMailbox| {
                    bad_name(&mailbox.name) || mailbox.special_use.as_deref().is_some_and(long)
                };
                (bad_name(name) || mailboxes.len() > 32 || mailboxes.iter().any(bad)).then_some("account")
            }
            SetPassword(hash) => long(hash).then_some("password"),
            AddAppPassword(new) => bad_name(&new.label).then_some("label"),
            RemoveAppPassword(_) => None,
            CreateMailbox { name, special_use, .. } => {
                (bad_name(name) || special_use.as_deref().is_some_and(long)).then_some("mailbox")
            }
            RenameMailbox { mailboxes, name, .. } => {
                (bad_name(name) || mailboxes.is_empty() || mailboxes.len() > MOST_IDENTITIES)
                    .then_some("name")
            }
            Subscribe { name, .. } | BearName { name, .. } => bad_name(name).then_some("name"),
            ChangeRights { given, taken, .. } => {
                ((*given | *taken).is_empty() || given.intersect(*taken)).then_some("rights")
            }
            Annotate { name, value, .. } => {
                let long = value.as_ref().is_some_and(|value| value.len() > LONGEST_ANNOTATION);
                (bad_name(name) || long).then_some("annotation")
            }
            Found { validity, name, members, numbering, .. } => {
                (validity.0 == 0 || bad_name(name) || members.len() > 128 || !is_numbering(numbering))
                    .then_some("founding record")
            }
            Add(addition) => {
                let large = addition.size > LARGEST_BODY;
                (addition.index >= SEGMENT_ENTRIES || addition.flags.len() > MOST_FLAGS || large)
                    .then_some("addition")
            }
            ChangeFlags { entries, set, clear } => {
                let many = set.len() > MOST_FLAGS || clear.len() > MOST_REGISTERS;
                (!entries.is_valid() || many).then_some("flags")
            }
            Move { entries, .. } | Expunge { entries, .. } => (!entries.is_valid()).then_some("entries"),
            Place { validity, runs, .. } | Hold { validity, runs, .. } => {
                (validity.0 == 0 || !are_placements(runs)).then_some("placements")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::AccountId;

    #[test]
    fn an_operation_in_a_foreign_document_is_refused() {
        let operation = Operation::RemoveAccount;
        assert_eq!(operation.check(&DocumentId::Cluster), Err(OperationError::WrongDocument));
        assert_eq!(operation.check(&DocumentId::Account(AccountId([0; 16]))), Ok(()));
    }
}
