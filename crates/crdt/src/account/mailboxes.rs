//! What clients do to mailboxes and operators to accounts.

use super::Account;
use crate::fold::mailbox::Unit;
use crate::identity::{MailboxId, NodeSlot};
use crate::operation::{DefaultMailbox, DocumentId, Operation, Quota};
use crate::placement::surroundings::Ground;
use crate::writer::Writer;

/// The name of the mailbox that every account has (RFC 9051 section 5.1).
pub const INBOX: &str = "INBOX";
/// The separator of the mailbox hierarchy.
pub const SEPARATOR: char = '/';

impl Account {
    /// Creates the account: its default mailboxes follow from it, and are founded at once, so that they are the same everywhere.
    pub(crate) fn create(
        &mut self,
        writer: &mut Writer,
        founders: (&[NodeSlot], Ground),
        name: &str,
        password: &str,
        mailboxes: &[DefaultMailbox],
    ) {
        let document = DocumentId::Account(self.id());
        self.write(
            writer,
            document,
            Operation::CreateAccount { name: name.to_owned(), mailboxes: mailboxes.to_vec() },
        );
        self.write(writer, document, Operation::SetPassword(password.to_owned()));
        for mailbox in mailboxes {
            let subscribe = Operation::Subscribe { name: mailbox.name.clone(), subscribed: true };
            self.write(writer, document, subscribe);
            let id = MailboxId::of_default(self.id(), &mailbox.name);
            self.found_empty(writer, founders, id, &mailbox.name);
        }
    }

    /// Replaces the password.
    pub(crate) fn set_password(&mut self, writer: &mut Writer, password: &str) {
        self.write(writer, DocumentId::Account(self.id()), Operation::SetPassword(password.to_owned()));
    }

    /// Bounds what the account may hold.
    pub(crate) fn set_quota(&mut self, writer: &mut Writer, quota: Quota) {
        self.write(writer, DocumentId::Account(self.id()), Operation::SetQuota(quota));
    }

    /// Removes the account: neither its mailboxes nor its mail nor its subscriptions come back, should it be added again.
    pub(crate) fn remove_account(&mut self, writer: &mut Writer) {
        self.write(writer, DocumentId::Account(self.id()), Operation::RemoveAccount);
    }

    /// Creates a mailbox. `number` tells it from others that this life creates.
    ///
    /// It is founded at once: clients of two nodes that look at it before they have heard of each other's look are then told the
    /// same UIDVALIDITY.
    pub(crate) fn create_mailbox(
        &mut self,
        writer: &mut Writer,
        founders: (&[NodeSlot], Ground),
        number: u64,
        name: &str,
        special_use: Option<&str>,
    ) -> MailboxId {
        let mailbox = MailboxId::of_creation(writer.author().incarnation, number);
        let creation = Operation::CreateMailbox {
            mailbox,
            name: name.to_owned(),
            special_use: special_use.map(str::to_owned),
        };
        let inherited = self.inherited_by(name);
        self.write(writer, DocumentId::Account(self.id()), creation);
        if let Some(inherited) = inherited {
            self.inherit(writer, mailbox, &inherited);
        }
        self.found_empty(writer, founders, mailbox, name);
        mailbox
    }

    /// Deletes a mailbox and the mail that is known to be in it.
    pub(crate) fn delete_mailbox(&mut self, writer: &mut Writer, mailbox: MailboxId) {
        let Some(unit) = self.unit(mailbox).cloned() else { return };
        let entries = self.live_entries(mailbox);
        self.remove(writer, mailbox, &entries);
        for identity in unit.identities {
            self.take_annotations(writer, identity);
            self.take_rights(writer, identity);
            self.write(
                writer,
                DocumentId::Account(self.id()),
                Operation::DeleteMailbox { mailbox: identity },
            );
        }
    }

    /// What a rename of a mailbox gives it and its inferiors as names, with their identities.
    pub(crate) fn renames(&self, from: &str, to: &str) -> Vec<(Vec<MailboxId>, String)> {
        let prefix = format!("{from}{SEPARATOR}");
        let renamed = |name: &str| match name.strip_prefix(&prefix) {
            Some(inferior) => Some(format!("{to}{SEPARATOR}{inferior}")),
            None => (name == from).then(|| to.to_owned()),
        };
        let of_unit = |unit: &Unit| Some((unit.identities.clone(), renamed(&unit.name)?));
        self.units().iter().filter_map(of_unit).collect()
    }

    /// Renames mailboxes.
    pub(crate) fn rename_mailboxes(&mut self, writer: &mut Writer, renames: Vec<(Vec<MailboxId>, String)>) {
        for (mailboxes, name) in renames {
            let validity =
                mailboxes.iter().filter_map(|id| self.epoch(*id)).map(|epoch| epoch.validity).max();
            let rename = Operation::RenameMailbox { mailboxes, name, validity };
            self.write(writer, DocumentId::Account(self.id()), rename);
        }
    }

    /// Subscribes or unsubscribes a name.
    pub(crate) fn subscribe(&mut self, writer: &mut Writer, name: &str, subscribed: bool) {
        let known = self.head().subscriptions().any(|known| known == name);
        if known != subscribed {
            let subscribe = Operation::Subscribe { name: name.to_owned(), subscribed };
            self.write(writer, DocumentId::Account(self.id()), subscribe);
            self.dirty.listing = true;
        }
    }
}
