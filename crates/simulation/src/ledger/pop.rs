//! What UIDL tells: one message has one name for ever, on every node (RFC 1939 section 7), so that it is downloaded once.

use crdt::view::MailboxView;

use super::{Ledger, Violation};
use crate::client::pop::uidl;

impl Ledger {
    /// A client that has logged in by POP3 is told this list.
    pub(crate) fn listed(&mut self, view: &MailboxView) -> Result<(), Violation> {
        for row in view.rows.iter() {
            let told = uidl(view, row);
            let known = self.uidls.entry(row.facts.entry).or_insert_with(|| told.clone()).clone();
            if known != told {
                let message = self.message(&row.facts.body).map(|message| message.to_string());
                let what = format!("{} was {known} and is {told}", message.as_deref().unwrap_or("m?"));
                return Err(Violation::new("UIDL never changes", what, message));
            }
        }
        Ok(())
    }
}
