//! What the tests of several nodes have in common.

use std::collections::BTreeMap;

use peerpost_crdt::identity::{EntryId, MailboxId, Uid, Validity};
use peerpost_crdt::replica::{NoArchive, Replica};

/// What one node's clients saw of one epoch.
#[derive(Clone, Default)]
struct Seen {
    visible: BTreeMap<Uid, EntryId>,
    announced: Option<Uid>,
}

/// Knows what clients saw, and nothing else.
#[derive(Clone, Default)]
pub struct Witness {
    /// U1, over all nodes and times.
    named: BTreeMap<(String, Validity, Uid), EntryId>,
    /// U2 and U3, for each node.
    seen: BTreeMap<(usize, MailboxId, Validity), Seen>,
    /// U6, for each node and name.
    validity: BTreeMap<(usize, String), Validity>,
}

impl Witness {
    /// Takes note of what a node shows now, and to whoever looks at `looks` under which name.
    pub fn observe(&mut self, node: usize, replica: &Replica<NoArchive>, looks: &[MailboxId]) {
        let Some(account) = replica.loaded().next() else { return };
        for unit in account.units() {
            let view = account.view(unit.public);
            let Some(validity) = view.validity else { continue };
            let seen = self.seen.entry((node, unit.public, validity)).or_default();
            let rows: BTreeMap<Uid, EntryId> =
                view.rows.iter().map(|row| (row.uid, row.facts.entry)).collect();
            for (uid, entry) in &rows {
                let named = *self.named.entry((unit.name.clone(), validity, *uid)).or_insert(*entry);
                assert_eq!(named, *entry, "U1: {} {validity} {uid} names two messages", unit.name);
                let known = seen.visible.get(uid);
                assert!(
                    known.is_none_or(|known| known == entry),
                    "U3: {uid} named another message on node {node}"
                );
                let new = known.is_none();
                assert!(
                    !new || seen.announced.is_none_or(|announced| *uid >= announced),
                    "U2: {uid} shown late on node {node}"
                );
            }
            assert!(
                seen.announced.is_none_or(|announced| view.uid_next >= announced),
                "UIDNEXT went back on node {node}"
            );
            assert!(rows.keys().all(|uid| *uid < view.uid_next), "UIDNEXT is not above what is visible");
            // Under a new name a mailbox shows its UIDVALIDITY to whoever looks for it there.
            if looks.contains(&unit.public) {
                let known = self.validity.entry((node, unit.name.clone())).or_insert(validity);
                assert!(validity >= *known, "U6: UIDVALIDITY of {} fell on node {node}", unit.name);
                *known = validity;
            }
            seen.visible = rows;
            seen.announced = Some(view.uid_next);
        }
    }
}
