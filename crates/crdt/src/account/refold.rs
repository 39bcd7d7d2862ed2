//! An account made of its operations alone, with nothing shown: what `verify` compares the stored rows with.

use super::Account;
use super::dirty::Dirty;
use crate::clock::{Millis, Stamp};
use crate::fold::entry::EntryState;
use crate::identity::{AccountId, EntryId, MailboxId, Uid};
use crate::operation::{DocumentId, Operation};

impl Account {
    /// Folds operations from the first on, in whatever order they come. They have passed [`Operation::check`].
    ///
    /// # Errors
    ///
    /// The first that `operations` gives.
    pub fn refold<E>(
        id: AccountId,
        operations: impl IntoIterator<Item = Result<(Stamp, DocumentId, Operation), E>>,
    ) -> Result<Self, E> {
        let mut account = Account::new(id);
        for operation in operations {
            let (stamp, document, operation) = operation?;
            account.fold(stamp, &document, &operation);
        }
        account.reindex(Millis(0));
        account.dirty = Dirty::default();
        Ok(account)
    }

    /// The mailbox, by its public identity, in which an entry is to be seen; none where it is expunged, or where another
    /// entry of the same delivery is seen in its place.
    pub fn mailbox_of(&self, entry: &EntryId) -> Option<MailboxId> {
        self.target(entry)
    }

    /// The entries of the same delivery, this one included, the one that is seen first; none where no MTA delivered it.
    pub fn entries_of_delivery(&self, entry: &EntryId) -> &[EntryId] {
        self.twins_of(entry)
    }

    /// The entry's UID in the current epoch of a mailbox; none where it is unplaced.
    pub fn uid_of(&self, entry: &EntryId, mailbox: MailboxId) -> Option<Uid> {
        self.current_uid(entry, mailbox)
    }

    /// What is folded of an entry.
    pub fn entry(&self, entry: &EntryId) -> Option<&EntryState> {
        self.state(entry)
    }
}
