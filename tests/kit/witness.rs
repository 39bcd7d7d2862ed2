//! Remembers what any client was told, and panics when a promise of IMAP is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// A mailbox of an account in one life of its UIDs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch {
    pub account: String,
    pub mailbox: String,
    pub uid_validity: u32,
}

/// A moment; of two events one happened before the other only if it had ended when the other began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// Shared by all clients of a test, whatever node they talk to.
#[derive(Clone, Default)]
pub struct Witness {
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    now: u64,
    /// What each UID named, on any node. An EMAILID names content, so this is the message itself, not a copy of it.
    named: BTreeMap<(Epoch, u32), String>,
    /// What a client saw at once, for each node.
    listings: BTreeMap<(String, Epoch), Vec<Listed>>,
    /// Every UIDVALIDITY told, with the moment after, for each node, account and mailbox.
    validities: BTreeMap<(String, String, String), Vec<(Moment, u32)>>,
    /// Every UIDNEXT told, with the moment after, for each node.
    announced: BTreeMap<(String, Epoch), Vec<(Moment, u32)>>,
}

struct Listed {
    ended: Moment,
    uid_next: u32,
    uids: BTreeSet<u32>,
}

impl Witness {
    /// Now.
    pub fn moment(&self) -> Moment {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.now += 1;
        Moment(memory.now)
    }

    /// A client was told that a UID names this message. No UID may ever name two.
    #[track_caller]
    pub fn named(&self, epoch: &Epoch, uid: u32, email_id: &str) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let known = memory.named.entry((epoch.clone(), uid)).or_insert_with(|| email_id.to_owned());
        assert!(known == email_id, "alias: {epoch:?} UID {uid} named {known} and then {email_id}");
    }

    /// A client was told a UIDNEXT by a command that began at `began`. On a node neither it nor UIDVALIDITY goes back.
    #[track_caller]
    pub fn announced(&self, node: &str, epoch: &Epoch, uid_next: u32, began: Moment) {
        let ended = self.moment();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (node.to_owned(), epoch.account.clone(), epoch.mailbox.clone());
        let validities = memory.validities.entry(name).or_default();
        let before = validities.iter().filter(|(moment, _)| *moment < began).map(|(_, value)| *value).max();
        assert!(
            before.is_none_or(|before| before <= epoch.uid_validity),
            "{node}: UIDVALIDITY went back from {before:?} in {epoch:?}"
        );
        validities.push((ended, epoch.uid_validity));
        let announced = memory.announced.entry((node.to_owned(), epoch.clone())).or_default();
        let before = announced.iter().filter(|(moment, _)| *moment < began).map(|(_, value)| *value).max();
        assert!(
            before.is_none_or(|before| before <= uid_next),
            "{node}: UIDNEXT went back from {before:?} to {uid_next} in {epoch:?}"
        );
        announced.push((ended, uid_next));
    }

    /// A client saw the whole mailbox, by commands that began at `began`, of which the first announced `uid_next`. What was not
    /// there at an earlier listing must be at or above what that one announced.
    #[track_caller]
    pub fn listed(&self, node: &str, epoch: &Epoch, uid_next: u32, uids: &BTreeSet<u32>, began: Moment) {
        let ended = self.moment();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let listings = memory.listings.entry((node.to_owned(), epoch.clone())).or_default();
        for earlier in listings.iter().filter(|earlier| earlier.ended < began) {
            let below = uids.difference(&earlier.uids).find(|uid| **uid < earlier.uid_next);
            assert!(
                below.is_none(),
                "{node}: UID {below:?} appeared below the announced UIDNEXT {} in {epoch:?}",
                earlier.uid_next
            );
        }
        listings.push(Listed { ended, uid_next, uids: uids.clone() });
    }
}
