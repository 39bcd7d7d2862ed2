//! Three nodes with one account, what can be done on them, and what they show.

use std::collections::{BTreeMap, BTreeSet};

use peerpost_crdt::account::NewEntry;
use peerpost_crdt::clock::Millis;
use peerpost_crdt::flag::{Flag, FlagChange};
use peerpost_crdt::fold::access::{Grantee, Identifier};
use peerpost_crdt::fold::app_password::AppPassword;
use peerpost_crdt::identity::{
    AccountId, AppPasswordId, BodyHash, DeliveryKey, EntryId, Incarnation, MailboxId, NodeSlot, Uid, Validity,
};
use peerpost_crdt::operation::{DefaultMailbox, Quota};
use peerpost_crdt::record::Record;
use peerpost_crdt::replica::{Beginning, NoArchive, Replica};
use peerpost_crdt::rights::Rights;
use peerpost_crdt::view::ReceivedAt;
use peerpost_crdt::writer::Author;

use crate::common::Witness;

const START: u64 = 1_790_000_000_000;
/// Two sides, and a third that hears of everything and does nothing.
pub const NODES: usize = 3;
const DEFAULTS: [&str; 3] = ["INBOX", "Archive", "Trash"];

/// The message on which both sides do something.
pub const MESSAGE: u8 = b'M';
/// Another one in the same mailbox, on which nobody does anything.
pub const BYSTANDER: u8 = b'N';
/// The mailbox that they are in.
pub const WORK: &str = "Work";

pub fn alice() -> AccountId {
    AccountId::of_name("alice")
}

pub fn flag(text: &str) -> Flag {
    Flag::parse(text).expect("a flag")
}

/// A message as a user knows it: its content, one letter, and its flags.
pub type Message = (char, BTreeSet<String>);

/// Everything that a user can tell, UIDs left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub password: String,
    pub quota: Quota,
    /// The identities of app passwords, each by its octet.
    pub app_passwords: BTreeSet<u8>,
    pub subscriptions: BTreeSet<String>,
    /// By mailbox.
    pub annotations: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// What anyone may do, by mailbox.
    pub rights: BTreeMap<String, Rights>,
    /// Sorted. A name that a node gave to a mailbox whose own was taken ends in `~` here, without the digits.
    pub mailboxes: BTreeMap<String, Vec<Message>>,
}

/// What clients of a node are shown, to the last number.
type Shown = BTreeMap<String, (Option<Validity>, Vec<(Uid, EntryId, Vec<Flag>)>)>;

/// The command was refused, and did nothing.
#[derive(Debug)]
pub struct Refused;

#[derive(Clone)]
pub struct World {
    nodes: Vec<Replica<NoArchive>>,
    logs: Vec<Vec<Record>>,
    now: u64,
    witness: Witness,
}

impl World {
    /// Nodes that know of each other, without any account.
    pub fn empty() -> Self {
        let node = |number: usize| {
            let slot = NodeSlot::new(number as u8).expect("a slot");
            let author = Author { slot, incarnation: Incarnation([number as u8 + 1; 16]) };
            Replica::start(NoArchive, author, Beginning::default(), Millis(START))
        };
        let nodes = (0..NODES).map(node).collect();
        let mut world = World { nodes, logs: vec![vec![]; NODES], now: START, witness: Witness::default() };
        world.spread();
        world
    }

    /// The account, equal on all nodes: two messages in [`WORK`], the first with these flags.
    pub fn with_account(flags: &[&str]) -> Self {
        let mut world = Self::empty();
        world.add_account(0, "at first").expect("a new account");
        world.create(0, WORK).expect("a new mailbox");
        let flags: Vec<Flag> = flags.iter().map(|text| flag(text)).collect();
        world.append(0, WORK, BYSTANDER, &[]).expect("appended");
        world.append(0, WORK, MESSAGE, &flags).expect("appended");
        world.spread();
        world
    }

    /// Clients on all nodes have every mailbox selected from now on.
    pub fn look_everywhere(&mut self) {
        for node in 0..NODES {
            let Some(account) = self.nodes[node].loaded().next() else { continue };
            let units: Vec<MailboxId> = account.units().iter().map(|unit| unit.public).collect();
            for mailbox in units {
                self.on(node).look(alice(), mailbox).expect("no disk");
                self.commit(node);
            }
        }
    }

    /// A node, a millisecond later; what it wrote before is committed.
    pub fn on(&mut self, node: usize) -> &mut Replica<NoArchive> {
        self.commit(node);
        self.now += 1;
        self.nodes[node].begin(Millis(self.now));
        &mut self.nodes[node]
    }

    fn commit(&mut self, node: usize) {
        self.logs[node].extend(self.nodes[node].commit().records);
        let looks: Vec<MailboxId> = self.nodes[node].looks().own().iter().map(|(_, id)| *id).collect();
        self.witness.observe(node, &self.nodes[node], &looks);
    }

    /// One way, everything that the receiver lacks, and what the sender's clients look at.
    pub fn send(&mut self, from: usize, to: usize) {
        self.commit(from);
        let (slot, looks) = (self.nodes[from].author().slot, self.nodes[from].looks().own());
        let vector = self.on(to).vector().clone();
        let missing = |record: &&Record| record.sequence > vector.last(&record.incarnation);
        let delta: Vec<Record> = self.logs[from].iter().filter(missing).cloned().collect();
        let node = &mut self.nodes[to];
        node.set_peer_looks(slot, Some(looks));
        node.apply(delta, |_| true).expect("a delta of an honest node");
        self.commit(to);
    }

    /// Nobody hears of anybody any more.
    pub fn part(&mut self) {
        for node in 0..NODES {
            for peer in (0..NODES).filter(|peer| *peer != node) {
                let slot = NodeSlot::new(peer as u8).expect("a slot");
                self.on(node).set_peer_looks(slot, None);
            }
            self.commit(node);
        }
    }

    /// Time passes, and everybody hears of everything, until nobody has anything to say.
    pub fn spread(&mut self) {
        for _ in 0..20 {
            let before: Vec<usize> = self.logs.iter().map(Vec::len).collect();
            for from in 0..NODES {
                (0..NODES).filter(|to| *to != from).for_each(|to| self.send(from, to));
            }
            self.now += 3000;
            for node in 0..NODES {
                self.on(node).handle_timeout();
                self.commit(node);
            }
            if self.logs.iter().map(Vec::len).eq(before) {
                return;
            }
        }
        panic!("the nodes do not come to rest");
    }

    /// What a user sees on a node; none without the account.
    pub fn picture(&self, node: usize) -> Option<Picture> {
        let account = self.nodes[node].loaded().next().filter(|account| account.head().exists())?;
        let message = |row: &peerpost_crdt::view::Row| {
            let flags = row.flags.iter().map(|flag| flag.to_string()).collect();
            (char::from(row.facts.body.0[0]), flags)
        };
        let mailbox = |unit: &peerpost_crdt::fold::mailbox::Unit| {
            let mut messages: Vec<Message> = account.view(unit.public).rows.iter().map(message).collect();
            messages.sort();
            let name = unit.name.find('~').map_or(unit.name.as_str(), |end| &unit.name[..=end]);
            (name.to_owned(), messages)
        };
        let annotations = |unit: &peerpost_crdt::fold::mailbox::Unit| {
            (unit.name.clone(), account.head().annotations().of(Some(&unit.identities)))
        };
        let annotations = account.units().iter().map(annotations);
        let rights = |unit: &peerpost_crdt::fold::mailbox::Unit| {
            (unit.name.clone(), account.access(unit).rights(Grantee::Anyone))
        };
        let rights = account.units().iter().map(rights);
        Some(Picture {
            password: account.head().password().unwrap_or_default().to_owned(),
            quota: account.head().quota(),
            app_passwords: account.head().app_passwords().map(|(_, one)| one.id.0[0]).collect(),
            annotations: annotations.filter(|(_, annotations)| !annotations.is_empty()).collect(),
            rights: rights.filter(|(_, rights)| !rights.is_empty()).collect(),
            subscriptions: account.head().subscriptions().map(str::to_owned).collect(),
            mailboxes: account.units().iter().map(mailbox).collect(),
        })
    }

    /// What clients of a node are shown, to the last number.
    pub fn shown(&self, node: usize) -> Shown {
        let Some(account) = self.nodes[node].loaded().next() else { return Shown::new() };
        let rows = |mailbox| {
            let view = account.view(mailbox);
            let row = |row: &peerpost_crdt::view::Row| {
                (row.uid, row.facts.entry, row.flags.iter().cloned().collect())
            };
            (view.validity, view.rows.iter().map(row).collect())
        };
        account.units().iter().map(|unit| (unit.name.clone(), rows(unit.public))).collect()
    }

    // --- what people do ---

    fn named(&self, node: usize, name: &str) -> Result<MailboxId, Refused> {
        let account = self.nodes[node].loaded().next().filter(|account| account.head().exists());
        account.and_then(|account| account.unit_by_name(name)).map(|unit| unit.public).ok_or(Refused)
    }

    /// The mailbox and a message in it, as a client on the node sees them.
    fn message(
        &mut self,
        node: usize,
        name: &str,
        content: u8,
    ) -> Result<(MailboxId, [EntryId; 1]), Refused> {
        let mailbox = self.named(node, name)?;
        self.on(node).glance(alice(), mailbox).expect("no disk");
        let view = self.nodes[node].loaded().next().ok_or(Refused)?.view(mailbox);
        let row = view.rows.iter().find(|row| row.facts.body.0[0] == content).ok_or(Refused)?;
        Ok((mailbox, [row.facts.entry]))
    }

    fn new_entry(content: u8, delivery: Option<DeliveryKey>) -> NewEntry {
        let body = BodyHash([content; 32]);
        NewEntry { body, size: 1, received: ReceivedAt::default(), flags: vec![], email: None, delivery }
    }

    pub fn deliver(&mut self, node: usize, name: &str, content: u8) -> Result<(), Refused> {
        let mailbox = self.named(node, name)?;
        let new = Self::new_entry(content, Some(DeliveryKey([content; 16])));
        self.on(node).deliver(alice(), mailbox, new).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn append(&mut self, node: usize, name: &str, content: u8, flags: &[Flag]) -> Result<(), Refused> {
        let mailbox = self.named(node, name)?;
        let new = NewEntry { flags: flags.to_vec(), ..Self::new_entry(content, None) };
        self.on(node).append(alice(), mailbox, vec![new]).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn copy(&mut self, node: usize, content: u8, from: &str, to: &str) -> Result<(), Refused> {
        let (mailbox, entries) = self.message(node, from, content)?;
        let target = self.named(node, to)?;
        self.on(node).copy(alice(), mailbox, &entries, target).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn move_to(&mut self, node: usize, content: u8, from: &str, to: &str) -> Result<(), Refused> {
        let (mailbox, entries) = self.message(node, from, content)?;
        let target = self.named(node, to)?;
        self.on(node).move_entries(alice(), mailbox, &entries, target).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    /// STORE on [`MESSAGE`] in [`WORK`].
    pub fn store(&mut self, node: usize, change: FlagChange, flags: &[&str]) -> Result<(), Refused> {
        self.store_on(node, MESSAGE, change, flags)
    }

    /// STORE on any message in [`WORK`].
    pub fn store_on(
        &mut self,
        node: usize,
        content: u8,
        change: FlagChange,
        flags: &[&str],
    ) -> Result<(), Refused> {
        let (mailbox, entries) = self.message(node, WORK, content)?;
        let flags: Vec<Flag> = flags.iter().map(|text| flag(text)).collect();
        let stored = self.on(node).change_flags(alice(), mailbox, &entries, change, &flags, None);
        stored.map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn has_flag(&mut self, node: usize, text: &str) -> Result<bool, Refused> {
        let (mailbox, [entry]) = self.message(node, WORK, MESSAGE)?;
        let view = self.nodes[node].loaded().next().ok_or(Refused)?.view(mailbox);
        Ok(view.rows.iter().any(|row| row.facts.entry == entry && row.flags.contains(&flag(text))))
    }

    /// EXPUNGE of [`MESSAGE`] in [`WORK`].
    pub fn expunge(&mut self, node: usize) -> Result<(), Refused> {
        let (mailbox, entries) = self.message(node, WORK, MESSAGE)?;
        self.on(node).expunge(alice(), mailbox, &entries).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn create(&mut self, node: usize, name: &str) -> Result<(), Refused> {
        self.on(node).create_mailbox(alice(), name, None).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn delete(&mut self, node: usize, name: &str) -> Result<(), Refused> {
        let mailbox = self.named(node, name)?;
        self.on(node).delete_mailbox(alice(), mailbox).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn rename(&mut self, node: usize, from: &str, to: &str) -> Result<(), Refused> {
        self.on(node).rename_mailbox(alice(), from, to).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn subscribe(&mut self, node: usize, name: &str, subscribed: bool) -> Result<(), Refused> {
        self.on(node).subscribe(alice(), name, subscribed).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn add_account(&mut self, node: usize, password: &str) -> Result<(), Refused> {
        let default = |name: &&str| DefaultMailbox { name: (*name).to_owned(), special_use: None };
        let defaults: Vec<DefaultMailbox> = DEFAULTS.iter().map(default).collect();
        self.on(node).add_account("alice", password, &defaults).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn annotate(&mut self, node: usize, name: &str, value: &str) -> Result<(), Refused> {
        let mailbox = self.named(node, name)?;
        let changes = vec![("/shared/comment".to_owned(), Some(value.as_bytes().to_vec()))];
        self.on(node).annotate(alice(), Some(mailbox), changes).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    /// Gives anyone these rights and no others.
    pub fn share(&mut self, node: usize, name: &str, rights: &str) -> Result<(), Refused> {
        let mailbox = self.named(node, name)?;
        let (identifier, rights) = (Identifier::of(Grantee::Anyone), Rights::parse(rights).expect("rights"));
        let taken = Rights::ALL - rights;
        self.on(node).change_rights(alice(), mailbox, identifier, rights, taken).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn set_quota(&mut self, node: usize, messages: u64) -> Result<(), Refused> {
        let quota = Quota { octets: None, messages: Some(messages) };
        self.on(node).set_quota(alice(), quota).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn add_app_password(&mut self, node: usize, id: u8) -> Result<(), Refused> {
        let new = AppPassword { id: AppPasswordId([id; 16]), label: "phone".to_owned(), digest: [id; 32] };
        self.on(node).add_app_password(alice(), new).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn remove_app_password(&mut self, node: usize, id: u8) -> Result<(), Refused> {
        self.on(node).remove_app_password(alice(), AppPasswordId([id; 16])).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn set_password(&mut self, node: usize, password: &str) -> Result<(), Refused> {
        self.on(node).set_password(alice(), password).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }

    pub fn remove_account(&mut self, node: usize) -> Result<(), Refused> {
        self.on(node).remove_account(alice()).map_err(|_| Refused)?;
        self.commit(node);
        Ok(())
    }
}
