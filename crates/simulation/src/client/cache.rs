//! What a client keeps of a mailbox between two connections, as one that knows QRESYNC does (RFC 7162 section 3.2.5).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crdt::clock::Millis;
use crdt::flag::FlagSet;
use crdt::identity::{EntryId, Uid};
use crdt::vector::Vector;
use crdt::view::{MailboxView, Row};

/// A mailbox as a client was told of it last: UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ, and the flags of each UID.
#[derive(Clone)]
pub(crate) struct Cache {
    /// What it was told.
    pub(crate) view: Arc<MailboxView>,
    /// By which node.
    pub(crate) node: usize,
    /// How often the disk of that node had been put back by then.
    pub(crate) put_back: u32,
    /// When.
    pub(crate) told_at: Millis,
    /// What that node had then. A client does not know it: it tells whether another node has merged it.
    pub(crate) vector: Vector,
}

/// What a client knows of one UID.
pub(crate) type Known = (EntryId, Arc<FlagSet>);

impl Cache {
    /// The cache after a resynchronisation with `view`: what vanished is dropped, what changed since a MODSEQ is taken over. The
    /// first UID that changed its message on the way is given in place of it.
    pub(crate) fn resynchronised(
        &self,
        view: &MailboxView,
        since: Since,
    ) -> Result<BTreeMap<u32, Known>, u32> {
        let mut known: BTreeMap<u32, Known> =
            self.view.rows.iter().map(|row| (row.uid.0, known(row))).collect();
        let names: Vec<RangeInclusive<Uid>> = known.keys().map(|uid| Uid(*uid)..=Uid(*uid)).collect();
        // The client names the UIDs that it knows. One from elsewhere may know some that were never shown here.
        let vanished = match since.elsewhere {
            true => view.not_visible(&names),
            false => view.vanished_since(since.modseq),
        };
        known.retain(|uid, _| vanished.iter().all(|range| !range.contains(&Uid(*uid))));
        for row in view.rows.iter().filter(|row| row.modseq.bits() > since.modseq) {
            let before = known.insert(row.uid.0, self::known(row));
            if before.is_some_and(|(entry, _)| entry != row.facts.entry) {
                return Err(row.uid.0);
            }
        }
        Ok(known)
    }
}

/// Up to when a client knows everything, as the node counts that it comes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since {
    pub(crate) modseq: u64,
    /// Whether the client brought a value of another node.
    pub(crate) elsewhere: bool,
}

/// What a client is told of a message.
pub(crate) fn known(row: &Row) -> Known {
    (row.facts.entry, Arc::clone(&row.flags))
}
