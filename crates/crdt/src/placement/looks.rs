//! Rule 3: who looks at which mailbox, here and on the nodes that can be reached. It decides who places a message.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Millis;
use crate::fold::mailbox::Unit;
use crate::identity::{AccountId, MailboxId, NodeSlot};

/// Mailboxes that are looked at on one node.
pub type LookedAt = BTreeSet<(AccountId, MailboxId)>;

/// Own looks and those of reachable peers.
#[derive(Clone, Debug, Default, Hash)]
pub struct Looks {
    own: BTreeMap<(AccountId, MailboxId), usize>,
    /// Looks that no session ends, and when each ends by itself.
    lingering: BTreeMap<(AccountId, MailboxId), Millis>,
    peers: BTreeMap<NodeSlot, LookedAt>,
    /// Whether peers are to be told of own looks that began or ended.
    changed: bool,
}

impl Looks {
    /// A session looks here.
    pub fn begin(&mut self, account: AccountId, mailbox: MailboxId) {
        let sessions = self.own.entry((account, mailbox)).or_default();
        *sessions += 1;
        self.changed |= *sessions == 1;
    }

    /// A session looks no more.
    pub fn end(&mut self, account: AccountId, mailbox: MailboxId) {
        let key = (account, mailbox);
        let Some(sessions) = self.own.get_mut(&key) else { return };
        *sessions -= 1;
        if *sessions == 0 {
            self.own.remove(&key);
            self.changed = true;
        }
    }

    /// Somebody looks for a moment, and may do so again soon: it counts as a look until then.
    pub(crate) fn linger(&mut self, account: AccountId, mailbox: MailboxId, until: Millis) {
        if self.lingering.insert((account, mailbox), until).is_none() {
            self.begin(account, mailbox);
        }
    }

    /// Ends the lingering looks whose time is over.
    pub(crate) fn end_lingering(&mut self, now: Millis) {
        let over = self.lingering.extract_if(.., |_, until| *until <= now);
        for ((account, mailbox), _) in over.collect::<Vec<_>>() {
            self.end(account, mailbox);
        }
    }

    /// When the next lingering look ends.
    pub(crate) fn lingering_until(&self) -> Option<Millis> {
        self.lingering.values().min().copied()
    }

    /// Whether own looks began or ended since this was asked last.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
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
