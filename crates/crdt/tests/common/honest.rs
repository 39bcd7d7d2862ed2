//! Nodes that keep to the rules, whatever a hostile member sends them.

use peerpost_crdt::account::{Account, NewEntry};
use peerpost_crdt::clock::Millis;
use peerpost_crdt::identity::{BodyHash, Incarnation, NodeSlot, Uid, Validity};
use peerpost_crdt::operation::DefaultMailbox;
use peerpost_crdt::record::Record;
use peerpost_crdt::replica::{Beginning, DeltaError, NoArchive, Replica};
use peerpost_crdt::view::ReceivedAt;
use peerpost_crdt::writer::Author;

use super::hostile::{START, account, inbox};

/// A node that keeps to the rules.
pub struct Honest {
    pub replica: Replica<NoArchive>,
    pub log: Vec<Record>,
    now: u64,
}

impl Honest {
    pub fn start(slot: u8) -> Self {
        let author =
            Author { slot: NodeSlot::new(slot).expect("a slot"), incarnation: Incarnation([slot + 1; 16]) };
        let replica = Replica::start(NoArchive, author, Beginning::default(), Millis(START));
        Honest { replica, log: vec![], now: START }
    }

    /// The node that has made the account.
    pub fn first() -> Self {
        let mut honest = Self::start(0);
        let defaults = [DefaultMailbox { name: "INBOX".to_owned(), special_use: None }];
        honest.replica.add_account("alice", "hash", &defaults).expect("added");
        honest.commit();
        honest
    }

    pub fn commit(&mut self) -> usize {
        let records = self.replica.commit().records;
        let count = records.len();
        self.log.extend(records);
        self.now += 700;
        self.replica.begin(Millis(self.now));
        count
    }

    pub fn take(&mut self, records: &[Record]) -> Result<usize, DeltaError> {
        let vector = self.replica.vector().clone();
        let missing = records.iter().filter(|record| record.sequence > vector.last(&record.incarnation));
        let applied = self.replica.apply(missing.cloned().collect(), |_| true)?;
        self.commit();
        Ok(applied.records)
    }

    pub fn look(&mut self) {
        self.replica.glance(account(), inbox()).expect("no disk");
        self.commit();
    }

    pub fn account(&self) -> &Account {
        self.replica.loaded().next().expect("alice")
    }

    pub fn validity(&self) -> Validity {
        self.account().mailbox_state(&inbox()).and_then(|state| state.epoch()).expect("founded").validity
    }

    pub fn picture(&self) -> Vec<(Uid, BodyHash)> {
        self.account().view(inbox()).rows.iter().map(|row| (row.uid, row.facts.body)).collect()
    }

    pub fn deliver(&mut self, body: u8) {
        let new = NewEntry {
            body: BodyHash([body; 32]),
            size: 1,
            received: ReceivedAt::default(),
            flags: vec![],
            email: None,
            delivery: None,
        };
        // The account may have been removed by then.
        let _ = self.replica.deliver(account(), inbox(), new);
        self.commit();
    }
}
