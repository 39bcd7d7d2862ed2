//! Commands of operators about app passwords.

use super::commands::{CommandError, with};
use super::{Archive, Replica};
use crate::fold::app_password::AppPassword;
use crate::identity::{AccountId, AppPasswordId};

impl<A: Archive> Replica<A> {
    /// Adds an app password to an account.
    pub fn add_app_password(&mut self, id: AccountId, new: AppPassword) -> Result<(), CommandError> {
        self.existing(id)?;
        with(self, id, |account, writer| account.add_app_password(writer, new))
    }

    /// Removes an app password, on every node and for ever. Tells whether it was there.
    pub fn remove_app_password(
        &mut self,
        id: AccountId,
        password: AppPasswordId,
    ) -> Result<bool, CommandError> {
        let known = self.existing(id)?.head().app_passwords().any(|(_, known)| known.id == password);
        if known {
            with(self, id, |account, writer| account.remove_app_password(writer, password))?;
        }
        Ok(known)
    }
}
