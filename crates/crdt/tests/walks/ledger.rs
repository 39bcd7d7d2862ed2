//! What was accepted, and what clients did to it: what must be there at the end, and what must not.

use std::collections::{BTreeMap, BTreeSet};

use peerpost_crdt::identity::{EntryId, Incarnation, MailboxId};

use super::world::{Checked, violated};

/// Where it is written that something happened.
pub type Written = (Incarnation, u64);

/// A message that was accepted.
#[derive(Clone, Debug)]
struct Accepted {
    written: Written,
    delivery: Option<u8>,
}

#[derive(Clone, Default)]
pub struct Ledger {
    accepted: BTreeMap<EntryId, Accepted>,
    /// Mailboxes that clients created.
    created: BTreeMap<MailboxId, Written>,
    /// Some client expunged or deleted it, or may have.
    removed: BTreeSet<EntryId>,
    /// Clients expunged it, here.
    expunged: BTreeMap<EntryId, Written>,
    /// Some client moved it, or took a \Deleted off it: an expunge may have been void.
    saved: BTreeSet<EntryId>,
}

impl Ledger {
    pub fn accept(&mut self, entry: EntryId, delivery: Option<u8>, written: Written) {
        self.accepted.insert(entry, Accepted { written, delivery });
    }

    pub fn create(&mut self, mailbox: MailboxId, written: Written) {
        self.created.insert(mailbox, written);
    }

    pub fn remove(&mut self, entry: EntryId) {
        self.removed.insert(entry);
    }

    pub fn expunge(&mut self, entry: EntryId, written: Written) {
        self.removed.insert(entry);
        self.expunged.insert(entry, written);
    }

    pub fn save(&mut self, entry: EntryId) {
        self.saved.insert(entry);
    }

    /// Whether a client did something by which a message may disappear from a mailbox.
    pub fn may_leave(&self, entry: &EntryId) -> bool {
        self.removed.contains(entry) || self.saved.contains(entry)
    }

    pub fn is_delivery(&self, entry: &EntryId) -> bool {
        self.accepted.get(entry).is_some_and(|accepted| accepted.delivery.is_some())
    }

    /// Nothing that somebody still has is lost, and nothing that was expunged is back. Where the creation of a mailbox is lost with a
    /// disk, nobody knows the name under which to show what is in it.
    pub fn check(
        &self,
        visible: &BTreeSet<EntryId>,
        survives: &BTreeMap<Incarnation, u64>,
        mailbox_of: impl Fn(&EntryId) -> Option<MailboxId>,
    ) -> Checked {
        let kept = |(life, sequence): &Written| survives.get(life).is_some_and(|last| last >= sequence);
        let is_nowhere = |entry: &EntryId| {
            let created = mailbox_of(entry).and_then(|mailbox| self.created.get(&mailbox));
            created.is_some_and(|created| !kept(created))
        };
        let mut deliveries: BTreeMap<u8, bool> = BTreeMap::new();
        for (entry, accepted) in self.accepted.iter().filter(|(_, accepted)| kept(&accepted.written)) {
            let there = visible.contains(entry) || self.removed.contains(entry) || is_nowhere(entry);
            match accepted.delivery {
                Some(delivery) => *deliveries.entry(delivery).or_default() |= there,
                None if !there => return violated(format!("lost: {entry:?} was accepted")),
                None => {}
            }
        }
        if let Some((delivery, _)) = deliveries.iter().find(|(_, there)| !**there) {
            return violated(format!("lost: delivery {delivery} was accepted"));
        }
        for (entry, written) in &self.expunged {
            let void = self.saved.contains(entry) || self.is_delivery(entry) || !kept(written);
            if visible.contains(entry) && !void {
                return violated(format!("back: {entry:?} was expunged"));
            }
        }
        Ok(())
    }
}
