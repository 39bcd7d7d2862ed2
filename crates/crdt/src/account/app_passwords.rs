//! Passwords of single programs and devices.

use super::{Account, AccountHead};
use crate::clock::Stamp;
use crate::fold::app_password::AppPassword;
use crate::identity::AppPasswordId;
use crate::operation::{DocumentId, Operation};
use crate::writer::Writer;

impl AccountHead {
    /// The app passwords that hold, with the moment at which each was added; those of an account that was removed are not those
    /// of one that is added under its name.
    pub fn app_passwords(&self) -> impl Iterator<Item = (Stamp, AppPassword)> {
        self.app_passwords.after(self.removed)
    }

    /// How many app passwords there ever were, those that were removed included.
    pub fn app_passwords_ever(&self) -> usize {
        self.app_passwords.count_ever()
    }
}

impl Account {
    /// Adds an app password.
    pub(crate) fn add_app_password(&mut self, writer: &mut Writer, new: AppPassword) {
        self.write(writer, DocumentId::Account(self.id()), Operation::AddAppPassword(new));
    }

    /// Removes an app password, for ever.
    pub(crate) fn remove_app_password(&mut self, writer: &mut Writer, id: AppPasswordId) {
        self.write(writer, DocumentId::Account(self.id()), Operation::RemoveAppPassword(id));
    }
}
