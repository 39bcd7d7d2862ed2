//! What of a node is durable, and a new life that begins from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use peerpost_crdt::account::{Account, AccountImage};
use peerpost_crdt::clock::{Millis, Timestamp};
use peerpost_crdt::document::{Chain, check};
use peerpost_crdt::fold::cluster::ClusterState;
use peerpost_crdt::identity::{AccountId, Incarnation, MailboxId, NodeSlot};
use peerpost_crdt::operation::{DocumentId, LogHash};
use peerpost_crdt::placement::announcement::Announcement;
use peerpost_crdt::placement::shown::{RowImage, ShownHead, ShownImage};
use peerpost_crdt::record::Record;
use peerpost_crdt::replica::{Archive, ArchiveError, Beginning, Commit, FirmEnd, Replica};
use peerpost_crdt::vector::{Sequence, Vector};

use super::word::Timed;

/// What a node told and heard of UIDs, the newest of each mailbox and node.
pub type Announced = BTreeMap<(MailboxId, NodeSlot), Announcement>;

/// Records by life and number.
pub type Records = BTreeMap<(Incarnation, Sequence), Record>;

/// What a node has committed.
#[derive(Clone, Default)]
pub struct Disk {
    account: Option<Arc<Account>>,
    cluster: ClusterState,
    vector: Vector,
    pub records: Arc<Records>,
    /// The operations of each record.
    pub contents: Arc<BTreeMap<(Incarnation, Sequence), Timed>>,
    chains: Arc<BTreeMap<(DocumentId, Incarnation), Chain>>,
    pub hashes: Arc<BTreeMap<Incarnation, LogHash>>,
    pub announced: Arc<Announced>,
    /// The last moment that was issued or observed.
    pub last: Timestamp,
    firm: Option<FirmEnd>,
    life: Option<Incarnation>,
}

impl Disk {
    /// A commit becomes durable.
    pub fn write(&mut self, replica: &Replica<Image>, commit: &Commit) {
        self.read(&commit.records);
        if !commit.records.is_empty() {
            Arc::make_mut(&mut self.records).extend(
                commit.records.iter().map(|record| ((record.incarnation, record.sequence), record.clone())),
            );
        }
        if !commit.chains.is_empty() {
            Arc::make_mut(&mut self.chains)
                .extend(commit.chains.iter().map(|(document, author, chain)| ((*document, *author), *chain)));
        }
        if !commit.hashes.is_empty() {
            Arc::make_mut(&mut self.hashes).extend(commit.hashes.iter().copied());
        }
        for announcement in &commit.announcements {
            let key = (announcement.mailbox, announcement.slot());
            let known = self.announced.get(&key);
            if known.is_none_or(|known| known.at < announcement.at) {
                Arc::make_mut(&mut self.announced).insert(key, announcement.clone());
            }
        }
        self.last = commit.last;
        if let Some(firm) = &commit.firm {
            self.firm.clone_from(firm);
        }
        self.life = Some(replica.author().incarnation);
    }

    /// Takes note of what records say, before the ends of their chains are moved.
    fn read(&mut self, records: &[Record]) {
        let mut chains: BTreeMap<(DocumentId, Incarnation), Chain> = BTreeMap::new();
        for record in records {
            let key = (record.incarnation, record.sequence);
            let (document, change) = record.parts().expect("a record of an honest node");
            let known = self.chains.get(&(document, record.incarnation)).copied().unwrap_or_default();
            let chain = chains.entry((document, record.incarnation)).or_insert(known);
            if self.contents.contains_key(&key) {
                continue;
            }
            let checked = check(record.incarnation, chain, change).expect("a record of an honest node");
            *chain = checked.chain;
            Arc::make_mut(&mut self.contents).insert(key, Timed::of(&(document, checked.operations)));
        }
    }

    /// Everything that is durable now: the accounts and the cluster are what the last commit has made of them.
    pub fn image(&self, replica: &Replica<Image>) -> Disk {
        Disk {
            account: replica.loaded().next().cloned().map(Arc::new),
            cluster: replica.cluster().clone(),
            vector: replica.vector().clone(),
            ..self.clone()
        }
    }

    /// What a new life on this disk knows.
    pub fn beginning(&self) -> Beginning {
        Beginning {
            vector: self.vector.clone(),
            cluster: self.cluster.clone(),
            last: self.last,
            predecessor: self.life,
            hashes: BTreeMap::clone(&self.hashes),
            firm: self.firm.clone(),
            continues: false,
        }
    }
}

/// What was durable when a life began.
#[derive(Clone, Default)]
pub struct Image(pub Arc<Disk>);

impl Archive for Image {
    fn account(&self, id: AccountId, here: NodeSlot, now: Millis) -> Result<Option<Account>, ArchiveError> {
        let account = self.0.account.as_ref().filter(|account| account.id() == id);
        Ok(account.map(|account| Account::load(id, here, image(account, &self.0.announced), now)))
    }

    fn chain(&self, document: &DocumentId, author: &Incarnation) -> Result<Option<Chain>, ArchiveError> {
        Ok(self.0.chains.get(&(*document, *author)).copied())
    }
}

fn image(account: &Account, announced: &Announced) -> AccountImage {
    AccountImage {
        head: account.head().clone(),
        mailboxes: account.mailbox_states().map(|(id, state)| (*id, state.clone())).collect(),
        segments: account.segments().map(|(id, entries)| (*id, entries.to_vec())).collect(),
        absent: account.absent().clone(),
        shown: account.units().iter().map(|unit| shown(account, unit.public)).collect(),
        announcements: announced.values().cloned().collect(),
        touched_by: account.touched_by().clone(),
    }
}

fn shown(account: &Account, mailbox: MailboxId) -> ShownImage {
    let view = account.view(mailbox);
    let row = |row: &peerpost_crdt::view::Row| RowImage {
        uid: row.uid,
        entry: row.facts.entry,
        modseq: row.modseq,
    };
    ShownImage {
        mailbox: view.mailbox,
        head: ShownHead {
            validity: view.validity,
            announced: view.uid_next,
            highest_modseq: view.highest_modseq,
            vanished_floor: view.vanished.floor(),
            reach: account.reach(mailbox),
        },
        rows: view.rows.iter().map(row).collect(),
        vanished: view.vanished.iter().collect(),
    }
}
