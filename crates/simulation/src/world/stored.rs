//! What a node holds of the account: read from its tables, where clients see nothing of it.

use std::collections::BTreeSet;

use crdt::account::Account;
use crdt::identity::{EntryId, MailboxId};
use mailstore::rows;

use super::{Violation, World, broken};

impl World {
    /// The account as a node would load it; none where it knows nothing of it.
    fn stored_account(&self, node: usize) -> Result<Option<Account>, String> {
        let state = &self.nodes[node];
        let (Some(life), Some(slot)) = (&state.life, state.slot) else { return Ok(None) };
        let reader = life.store.storage().reader().map_err(|error| error.to_string())?;
        let image = rows::read_account(&reader, self.account).map_err(|error| error.0)?;
        Ok(image.map(|image| Account::load(self.account, slot, image, state.wall(self.now))))
    }

    /// The mailboxes in which an entry waits on a node for octets that no disk holds any more. It waits for ever: whether somebody
    /// has them nobody can tell, so the node never says that what it shows there is all that there is, and issues values of
    /// HIGHESTMODSEQ of its own.
    pub(super) fn mailboxes_without_octets(&self, node: usize) -> Result<BTreeSet<MailboxId>, String> {
        if !self.ledger.has_lost_octets() {
            return Ok(BTreeSet::new());
        }
        let Some(account) = self.stored_account(node)? else { return Ok(BTreeSet::new()) };
        let of_entry = |entry: &EntryId| {
            let state = account.segment(&entry.segment).get(usize::from(entry.index))?;
            let is_lost = self.ledger.is_body_lost(&state.facts()?.body);
            let mailbox = state.mailbox().filter(|_| is_lost)?.value;
            account.unit(mailbox).map(|unit| unit.public)
        };
        Ok(account.absent().iter().filter_map(of_entry).collect())
    }

    /// Every mailbox has its present UIDVALIDITY for a reason that there was.
    pub(super) fn check_reasons(&self, node: usize) -> Result<(), Violation> {
        let account = self.stored_account(node).map_err(|why| broken(node, why))?;
        for (mailbox, state) in account.iter().flat_map(|account| account.mailbox_states()) {
            if let Some(epoch) = state.epoch() {
                self.ledger.check_reason(node, *mailbox, epoch.validity, epoch.reason)?;
            }
        }
        Ok(())
    }
}
