//! Commands of clients, MTAs and operators on one node.

use super::{Archive, ArchiveError, Replica};
use crate::account::mailboxes::{INBOX, SEPARATOR};
use crate::account::{Account, NewEntry, REDELIVERY_MILLISECONDS, Stored};
use crate::clock::{Millis, Timestamp};
use crate::flag::{Flag, FlagChange};
use crate::fold::access::Identifier;
use crate::fold::mailbox::Unit;
use crate::identity::{AccountId, EntryId, MailboxId, NodeSlot, Validity};
use crate::left_out::{LeftOut, leaves_out};
use crate::operation::{DefaultMailbox, FoundingReason, LONGEST_TEXT, Quota};
use crate::placement::surroundings::Surroundings;
use crate::rights::Rights;

/// Why a command did nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such account.
    #[error("there is no such account")]
    NoSuchAccount,
    /// There is no such mailbox.
    #[error("there is no such mailbox")]
    NoSuchMailbox,
    /// The name is taken.
    #[error("the name exists already")]
    AlreadyExists,
    /// An inferior mailbox would have too long a name.
    #[error("the name of a mailbox below it would be longer than {LONGEST_TEXT} octets")]
    NameTooLong,
    /// The account may hold no more (RFC 9208).
    #[error("the account may hold no more: its quota is used up")]
    OverQuota,
    /// INBOX cannot be deleted (RFC 9051 section 6.3.5).
    #[error("INBOX cannot be deleted")]
    Inbox,
    /// Nothing could be placed: the UIDVALIDITY values are used up.
    #[error("the mailbox has no UIDs left")]
    NoUids,
    /// Nothing may be placed: the disk was rolled back, and the node has no other slot yet.
    #[error(
        "this node was put back to an older state and gives no UIDs until another member gave it a new slot; use another node"
    )]
    RolledBack,
    /// The disk could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl<A: Archive> Replica<A> {
    /// Adds an account with its default mailboxes.
    pub fn add_account(
        &mut self,
        name: &str,
        password: &str,
        mailboxes: &[DefaultMailbox],
    ) -> Result<AccountId, CommandError> {
        let id = AccountId::of_name(name);
        let (members, ground) = (self.members(), self.ground());
        let account = self.account_mut(id)?;
        if account.head().exists() {
            return Err(CommandError::AlreadyExists);
        }
        with(self, id, |account, writer| {
            account.create(writer, (&members, ground), name, password, mailboxes);
        })?;
        self.settle(id);
        Ok(id)
    }

    /// Replaces a password.
    pub fn set_password(&mut self, id: AccountId, password: &str) -> Result<(), CommandError> {
        self.existing(id)?;
        with(self, id, |account, writer| account.set_password(writer, password))
    }

    /// Bounds what an account may hold. What it holds already stays.
    pub fn set_quota(&mut self, id: AccountId, quota: Quota) -> Result<(), CommandError> {
        self.existing(id)?;
        with(self, id, |account, writer| account.set_quota(writer, quota))
    }

    /// Removes an account.
    pub fn remove_account(&mut self, id: AccountId) -> Result<(), CommandError> {
        self.existing(id)?;
        with(self, id, |account, writer| account.remove_account(writer))?;
        self.settle(id);
        Ok(())
    }

    /// Accepts a delivery; the same delivery accepted before, here or elsewhere, is told by `false`.
    pub fn deliver(
        &mut self,
        id: AccountId,
        mailbox: MailboxId,
        new: NewEntry,
    ) -> Result<bool, CommandError> {
        let since = Timestamp::from_parts(
            Millis(self.writer.now().0.saturating_sub(REDELIVERY_MILLISECONDS)),
            0,
            NodeSlot::FIRST,
        );
        let public = self.public(id, mailbox)?;
        let account = self.existing(id)?;
        if new.delivery.is_some_and(|key| account.delivered(&key, since).is_some()) {
            return Ok(false);
        }
        check_quota(account, None, std::iter::once(new.size))?;
        let entry = with(self, id, |account, writer| account.add(writer, public, new))?;
        self.settle(id);
        if leaves_out(LeftOut::PlaceOnLook) {
            self.place_at_once(id, public, &[entry]);
        }
        Ok(true)
    }

    /// Changes flags.
    pub fn change_flags(
        &mut self,
        id: AccountId,
        mailbox: MailboxId,
        entries: &[EntryId],
        change: FlagChange,
        flags: &[Flag],
        unchanged_since: Option<u64>,
    ) -> Result<Stored, CommandError> {
        let public = self.public(id, mailbox)?;
        let stored = with(self, id, |account, writer| {
            account.change_flags(writer, public, entries, change, flags, unchanged_since)
        })?;
        self.settle(id);
        Ok(stored)
    }

    /// Expunges what carries \Deleted.
    pub fn expunge(
        &mut self,
        id: AccountId,
        mailbox: MailboxId,
        entries: &[EntryId],
    ) -> Result<(), CommandError> {
        let public = self.public(id, mailbox)?;
        with(self, id, |account, writer| account.expunge(writer, public, entries))?;
        self.settle(id);
        Ok(())
    }

    /// Expunges messages whatever flags they carry, as far as they still are where a client saw them.
    pub fn remove(
        &mut self,
        id: AccountId,
        mailbox: MailboxId,
        entries: &[EntryId],
    ) -> Result<(), CommandError> {
        let public = self.public(id, mailbox)?;
        with(self, id, |account, writer| account.remove(writer, public, entries))?;
        self.settle(id);
        Ok(())
    }

    /// Creates a mailbox, and superiors that are missing.
    pub fn create_mailbox(
        &mut self,
        id: AccountId,
        name: &str,
        special_use: Option<&str>,
    ) -> Result<MailboxId, CommandError> {
        if self.existing(id)?.unit_by_name(name).is_some() {
            return Err(CommandError::AlreadyExists);
        }
        self.create_superiors(id, name)?;
        let mailbox = self.create_one(id, name, special_use)?;
        self.settle(id);
        Ok(mailbox)
    }

    fn create_superiors(&mut self, id: AccountId, name: &str) -> Result<(), CommandError> {
        for (end, _) in name.match_indices(SEPARATOR) {
            let superior = name.get(..end).unwrap_or_default();
            if self.existing(id)?.unit_by_name(superior).is_none() {
                self.create_one(id, superior, None)?;
                self.settle(id);
            }
        }
        Ok(())
    }

    fn create_one(
        &mut self,
        id: AccountId,
        name: &str,
        special_use: Option<&str>,
    ) -> Result<MailboxId, CommandError> {
        let number = self.created_mailboxes;
        self.created_mailboxes += 1;
        let (members, ground) = (self.members(), self.ground());
        with(self, id, |account, writer| {
            account.create_mailbox(writer, (&members, ground), number, name, special_use)
        })
    }

    /// Deletes a mailbox and the mail that is known to be in it.
    pub fn delete_mailbox(&mut self, id: AccountId, mailbox: MailboxId) -> Result<(), CommandError> {
        let public = self.public(id, mailbox)?;
        if self.existing(id)?.unit(public).is_some_and(|unit| unit.name == INBOX) {
            return Err(CommandError::Inbox);
        }
        with(self, id, |account, writer| account.delete_mailbox(writer, public))?;
        self.settle(id);
        Ok(())
    }

    /// Renames a mailbox and its inferiors. INBOX stays and gives its messages to the new name (RFC 9051 section 6.3.6).
    pub fn rename_mailbox(&mut self, id: AccountId, from: &str, to: &str) -> Result<(), CommandError> {
        let account = self.existing(id)?;
        let source = account.unit_by_name(from).map(|unit| unit.public).ok_or(CommandError::NoSuchMailbox)?;
        if account.unit_by_name(to).is_some() {
            return Err(CommandError::AlreadyExists);
        }
        if from == INBOX {
            let target = self.create_mailbox(id, to, None)?;
            let entries = self.existing(id)?.live_entries(source);
            self.move_entries(id, source, &entries, target)?;
            return Ok(());
        }
        let renames = account.renames(from, to);
        let taken =
            |name: &String| account.unit_by_name(name).is_some_and(|unit| !is_renamed(&renames, unit));
        if renames.iter().any(|(_, name)| taken(name)) {
            return Err(CommandError::AlreadyExists);
        }
        if renames.iter().any(|(_, name)| name.len() > LONGEST_TEXT) {
            return Err(CommandError::NameTooLong);
        }
        self.create_superiors(id, to)?;
        with(self, id, |account, writer| account.rename_mailboxes(writer, renames))?;
        self.settle(id);
        Ok(())
    }

    /// Subscribes or unsubscribes a name.
    pub fn subscribe(&mut self, id: AccountId, name: &str, subscribed: bool) -> Result<(), CommandError> {
        self.existing(id)?;
        with(self, id, |account, writer| account.subscribe(writer, name, subscribed))
    }

    /// Gives annotations of a mailbox, or of the account, other values (RFC 5464); none takes one away.
    pub fn annotate(
        &mut self,
        id: AccountId,
        mailbox: Option<MailboxId>,
        changes: Vec<(String, Option<Vec<u8>>)>,
    ) -> Result<(), CommandError> {
        let mailbox = mailbox.map(|mailbox| self.public(id, mailbox)).transpose()?;
        self.existing(id)?;
        with(self, id, |account, writer| account.annotate(writer, mailbox, changes))
    }

    /// Gives and takes rights to a mailbox (RFC 4314); what is in neither set stays as it is.
    pub fn change_rights(
        &mut self,
        id: AccountId,
        mailbox: MailboxId,
        identifier: Identifier,
        given: Rights,
        taken: Rights,
    ) -> Result<(), CommandError> {
        let mailbox = self.public(id, mailbox)?;
        with(self, id, |account, writer| account.change_rights(writer, mailbox, identifier, (given, taken)))
    }

    /// Founds a new epoch because the operator asks for it: clients download the mailbox again.
    pub fn bump(&mut self, id: AccountId, mailbox: MailboxId) -> Result<Validity, CommandError> {
        self.check_ground()?;
        let public = self.public(id, mailbox)?;
        let (members, ground) = (self.members(), self.ground());
        let surroundings = Surroundings {
            looks: &self.looks,
            members: &members,
            known: &self.vector,
            ground,
            meeting_until: None,
            met: Timestamp::ZERO,
            policy: self.policy,
        };
        let state = self.accounts.get_mut(&id).ok_or(CommandError::NoSuchAccount)?;
        if !state.found(&mut self.writer, &surroundings, public, FoundingReason::Operator) {
            return Err(CommandError::NoUids);
        }
        let validity = state.epoch(public).map(|epoch| epoch.validity).ok_or(CommandError::NoUids)?;
        self.settle(id);
        Ok(validity)
    }

    pub(super) fn check_ground(&self) -> Result<(), CommandError> {
        if self.may_place() { Ok(()) } else { Err(CommandError::RolledBack) }
    }

    /// The account, if it exists and was not removed.
    pub fn existing(&mut self, id: AccountId) -> Result<&Account, CommandError> {
        let account = self.account(id)?.ok_or(CommandError::NoSuchAccount)?;
        if account.head().exists() { Ok(account) } else { Err(CommandError::NoSuchAccount) }
    }

    /// The public identity of a mailbox that a session may know by another.
    pub(super) fn public(&mut self, id: AccountId, mailbox: MailboxId) -> Result<MailboxId, CommandError> {
        self.existing(id)?.unit(mailbox).map(|unit| unit.public).ok_or(CommandError::NoSuchMailbox)
    }
}

fn is_renamed(renames: &[(Vec<MailboxId>, String)], unit: &Unit) -> bool {
    renames.iter().any(|(mailboxes, _)| mailboxes.contains(&unit.public))
}

/// Refuses what would be more than the account may hold, once the message `freed` has gone.
pub(super) fn check_quota(
    account: &Account,
    freed: Option<EntryId>,
    sizes: impl Iterator<Item = u64>,
) -> Result<(), CommandError> {
    if account.lacks_room(freed, sizes) { Err(CommandError::OverQuota) } else { Ok(()) }
}

/// Runs something on an account with the pen of this node.
pub(super) fn with<A: Archive, T>(
    replica: &mut Replica<A>,
    id: AccountId,
    run: impl FnOnce(&mut Account, &mut crate::writer::Writer) -> T,
) -> Result<T, CommandError> {
    let account = replica.accounts.get_mut(&id).ok_or(CommandError::NoSuchAccount)?;
    Ok(run(account, &mut replica.writer))
}
