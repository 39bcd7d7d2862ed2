//! Rule 3: who looks at which mailbox, here and on the nodes that can be reached. It decides who places a message.

use std::collections::{BTreeMap, BTreeSet};

use crate::fold::mailbox::Unit;
use crate::identity::{AccountId, MailboxId, NodeSlot};

/// Mailboxes that are looked at on one node.
pub type LookedAt = BTreeSet<(AccountId, MailboxId)>;

/// Own looks and those of reachable peers.
#[derive(Clone, Debug, Default, Hash)]
pub struct Looks {
    own: BTreeMap<(AccountId, MailboxId), usize>,
    peers: BTreeMap<NodeSlot, LookedAt>,
}

impl Looks {
    /// A session looks here. Tells whether it is the first.
    pub fn begin(&mut self, account: AccountId, mailbox: MailboxId) -> bool {
        let sessions = self.own.entry((account, mailbox)).or_default();
        *sessions += 1;
        *sessions == 1
    }

    /// A session looks no more. Tells whether it was the last.
    pub fn end(&mut self, account: AccountId, mailbox: MailboxId) -> bool {
        let key = (account, mailbox);
        let Some(sessions) = self.own.get_mut(&key) else {
            return false;
        };
        *sessions -= 1;
        let last = *sessions == 0;
        if last {
            self.own.remove(&key);
        }
        last
    }

    /// What is looked at here.
    pub fn own(&self) -> LookedAt {
        self.own.keys().copied().collect()
    }

    /// What is looked at here, of one account.
    pub fn own_of(&self, account: AccountId) -> impl Iterator<Item = MailboxId> + '_ {
        let first = (account, MailboxId([0; 16]));
        let last = (account, MailboxId([0xff; 16]));
        self.own.range(first..=last).map(|((_, mailbox), _)| *mailbox)
    }

    /// What a peer looks at; `None` when it cannot be reached.
    pub fn set_peer(&mut self, slot: NodeSlot, looked_at: Option<LookedAt>) {
        match looked_at {
            Some(looked_at) => self.peers.insert(slot, looked_at),
            None => self.peers.remove(&slot),
        };
    }

    /// The slots of reachable peers that look at a mailbox, under whichever identity they know it.
    pub fn peers_at<'a>(&'a self, account: AccountId, unit: &'a Unit) -> impl Iterator<Item = NodeSlot> + 'a {
        let looks =
            move |looked_at: &LookedAt| unit.identities.iter().any(|id| looked_at.contains(&(account, *id)));
        self.peers.iter().filter(move |(_, looked_at)| looks(looked_at)).map(|(slot, _)| *slot)
    }
}
