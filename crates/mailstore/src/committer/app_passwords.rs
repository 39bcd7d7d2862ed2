//! App passwords, within their bounds.

use crdt::fold::app_password::AppPassword;
use crdt::identity::AccountId;

use super::Committer;
use super::carry_out::explain;
use crate::names;
use crate::request::{MOST_APP_PASSWORDS, MOST_APP_PASSWORDS_EVER, Reply, RequestError};

impl Committer {
    pub(super) fn add_app_password(
        &mut self,
        account: AccountId,
        password: AppPassword,
    ) -> Result<Reply, RequestError> {
        names::label(&password.label)?;
        let head = self.replica.existing(account).map_err(|error| explain(error, ""))?.head();
        for (count, limit) in [
            (head.app_passwords().count(), MOST_APP_PASSWORDS),
            (head.app_passwords_ever(), MOST_APP_PASSWORDS_EVER),
        ] {
            if count >= limit {
                let (what, limit) = ("the number of app passwords", limit as u64);
                return Err(RequestError::OverLimit { what, limit });
            }
        }
        let added = self.replica.add_app_password(account, password);
        added.map(|()| Reply::Done).map_err(|error| explain(error, ""))
    }
}
