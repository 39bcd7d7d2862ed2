//! Access control lists on two nodes, and messages that go from one account to another.

use peerpost_crdt::account::{Account, NewEntry};
use peerpost_crdt::clock::Millis;
use peerpost_crdt::fold::access::{AccessList, Grantee, Identifier};
use peerpost_crdt::identity::{AccountId, BodyHash, EmailId, EntryId, Incarnation, MailboxId, NodeSlot};
use peerpost_crdt::operation::DefaultMailbox;
use peerpost_crdt::record::Record;
use peerpost_crdt::replica::{Beginning, NoArchive, Replica};
use peerpost_crdt::rights::Rights;
use peerpost_crdt::view::ReceivedAt;
use peerpost_crdt::writer::Author;
use proptest::prelude::*;

const START: u64 = 1_790_000_000_000;

struct Pair {
    nodes: [Replica<NoArchive>; 2],
    logs: [Vec<Record>; 2],
    now: u64,
}

fn alice() -> AccountId {
    AccountId::of_name("alice")
}

fn bob() -> AccountId {
    AccountId::of_name("bob")
}

fn rights(letters: &str) -> Rights {
    Rights::parse(letters).expect("rights")
}

impl Pair {
    /// Alice and Bob, known to both nodes; Alice has a mailbox Project.
    fn new() -> (Self, MailboxId) {
        let node = |number: u8| {
            let slot = NodeSlot::new(number).expect("a slot");
            let author = Author { slot, incarnation: Incarnation([number + 1; 16]) };
            Replica::start(NoArchive, author, Beginning::default(), Millis(START))
        };
        let mut pair = Pair { nodes: [node(0), node(1)], logs: [vec![], vec![]], now: START };
        pair.add_account(0, "alice");
        pair.add_account(0, "bob");
        let project = pair.on(0).create_mailbox(alice(), "Project", None).expect("created");
        pair.meet();
        (pair, project)
    }

    fn add_account(&mut self, node: usize, name: &str) {
        let defaults = [DefaultMailbox { name: "INBOX".to_owned(), special_use: None }];
        self.on(node).add_account(name, "hash", &defaults).expect("added");
    }

    /// A node, a millisecond later; what it wrote before is committed.
    fn on(&mut self, node: usize) -> &mut Replica<NoArchive> {
        self.commit(node);
        self.now += 1;
        self.nodes[node].begin(Millis(self.now));
        &mut self.nodes[node]
    }

    fn commit(&mut self, node: usize) {
        self.logs[node].extend(self.nodes[node].commit().records);
    }

    fn bring(&mut self, from: usize, to: usize) {
        self.commit(from);
        let records = self.logs[from].clone();
        let vector = self.on(to).vector().clone();
        let missing = records.into_iter().filter(|record| record.sequence > vector.last(&record.incarnation));
        self.nodes[to].apply(missing.collect(), |_| true).expect("a delta of an honest node");
        self.commit(to);
    }

    fn meet(&mut self) {
        self.bring(0, 1);
        self.bring(1, 0);
    }

    fn account(&mut self, node: usize, account: AccountId) -> &Account {
        self.nodes[node].account(account).expect("no disk").expect("known")
    }

    fn grantee(&mut self, node: usize, account: AccountId) -> Grantee {
        self.account(node, account).grantee()
    }

    fn access(&mut self, node: usize, name: &str) -> AccessList {
        let account = self.account(node, alice());
        account.access(account.unit_by_name(name).expect("a mailbox"))
    }

    /// What Bob may do with a mailbox of Alice.
    fn bobs(&mut self, node: usize, name: &str) -> String {
        let grantee = self.grantee(node, bob());
        self.access(node, name).rights(grantee).to_string()
    }

    fn change(&mut self, node: usize, mailbox: MailboxId, given: &str, taken: &str) {
        let identifier = Identifier::of(self.grantee(node, bob()));
        let (given, taken) = (rights(given), rights(taken));
        self.on(node).change_rights(alice(), mailbox, identifier, given, taken).expect("changed");
    }

    /// Delivers into a mailbox of Alice.
    fn deliver(&mut self, node: usize, mailbox: MailboxId) -> EntryId {
        let new = NewEntry {
            body: BodyHash([self.now as u8; 32]),
            size: 1,
            received: ReceivedAt::default(),
            flags: vec![],
            email: None,
            delivery: None,
        };
        self.on(node).append(alice(), mailbox, vec![new]).expect("appended");
        let public = self.account(node, alice()).view(mailbox);
        public.rows.last().expect("a row").facts.entry
    }

    /// What Bob moves from Alice into his INBOX, without the removal at the end.
    fn copy_to_bob(&mut self, node: usize, from: MailboxId, entry: EntryId) {
        let inbox = MailboxId::of_default(bob(), "INBOX");
        let copied =
            self.on(node).copy_across_in_turn((alice(), from), &[entry], (bob(), inbox), Rights::ALL, true);
        let wanted = copied.expect("copied");
        self.nodes[node].place_wanted(&wanted);
        let placed = self.nodes[node].answer(&wanted).expect("at once").expect("placed");
        assert_eq!(placed.pairs.len(), 1);
    }

    fn shown(&mut self, node: usize, account: AccountId, mailbox: MailboxId) -> Vec<EmailId> {
        self.on(node).glance(account, mailbox).expect("no disk");
        self.commit(node);
        self.account(node, account).view(mailbox).rows.iter().map(|row| row.facts.email).collect()
    }
}

#[test]
fn what_is_given_and_taken_apart_comes_to_the_same() {
    let (mut pair, project) = Pair::new();
    pair.change(0, project, "lrs", "");
    pair.meet();
    pair.change(0, project, "", "r");
    pair.change(1, project, "i", "s");
    pair.meet();
    assert_eq!((pair.bobs(0, "Project"), pair.bobs(1, "Project")), ("li".to_owned(), "li".to_owned()));
    // The same right given on one side and taken on the other: the later counts, whoever hears first.
    pair.change(1, project, "", "i");
    pair.change(0, project, "ir", "");
    pair.meet();
    assert_eq!((pair.bobs(0, "Project"), pair.bobs(1, "Project")), ("lri".to_owned(), "lri".to_owned()));
}

#[test]
fn a_list_goes_with_its_mailbox_over_a_rename_and_goes_when_that_goes() {
    let (mut pair, project) = Pair::new();
    pair.change(0, project, "lr", "");
    pair.meet();
    pair.on(0).rename_mailbox(alice(), "Project", "Work").expect("renamed");
    pair.change(1, project, "w", "");
    pair.meet();
    assert_eq!((pair.bobs(0, "Work"), pair.bobs(1, "Work")), ("lrw".to_owned(), "lrw".to_owned()));
    // Mail that the deletion has not heard of brings the mailbox back for its owner alone.
    pair.on(0).delete_mailbox(alice(), project).expect("deleted");
    pair.deliver(1, project);
    pair.meet();
    for node in [0, 1] {
        assert_eq!(pair.bobs(node, "Work"), "");
        let owner = pair.grantee(node, alice());
        assert_eq!(pair.access(node, "Work").rights(owner), Rights::ALL);
    }
}

/// One name, created on both sides and shared on both.
#[test]
fn two_lists_of_one_name_become_one() {
    let (mut pair, _) = Pair::new();
    let one = pair.on(0).create_mailbox(alice(), "Twice", None).expect("created");
    let other = pair.on(1).create_mailbox(alice(), "Twice", None).expect("created");
    pair.change(0, one, "lrs", "");
    pair.change(1, other, "i", "s");
    pair.meet();
    assert_eq!((pair.bobs(0, "Twice"), pair.bobs(1, "Twice")), ("lri".to_owned(), "lri".to_owned()));
}

#[test]
fn a_new_mailbox_has_the_list_of_the_one_above() {
    let (mut pair, project) = Pair::new();
    pair.change(0, project, "lr", "");
    let owner = Identifier::of(pair.grantee(0, alice()));
    pair.on(0).change_rights(alice(), project, owner, Rights::NONE, rights("x")).expect("changed");
    pair.on(0).create_mailbox(alice(), "Project/a/b", None).expect("created");
    pair.on(0).create_mailbox(alice(), "Elsewhere", None).expect("created");
    pair.meet();
    for (name, bobs) in [("Project/a", "lr"), ("Project/a/b", "lr"), ("Elsewhere", "")] {
        assert_eq!(pair.bobs(1, name), bobs, "{name}");
    }
    let grantee = pair.grantee(1, alice());
    assert_eq!(pair.access(1, "Project/a/b").rights(grantee), Rights::ALL - rights("x"));
}

/// The second Bob is another one, also for a grant that was written where nobody had heard of the first one's end.
#[test]
fn an_account_added_again_inherits_nothing() {
    let (mut pair, project) = Pair::new();
    pair.change(0, project, "lr", "");
    pair.meet();
    pair.on(0).remove_account(bob()).expect("removed");
    pair.add_account(0, "bob");
    pair.change(1, project, "i", "");
    pair.meet();
    for node in [0, 1] {
        assert_eq!(pair.bobs(node, "Project"), "", "on node {node}");
    }
    pair.change(1, project, "l", "");
    pair.meet();
    assert_eq!((pair.bobs(0, "Project"), pair.bobs(1, "Project")), ("l".to_owned(), "l".to_owned()));
    // The second Alice shares nothing of the first one's.
    let inbox = MailboxId::of_default(alice(), "INBOX");
    pair.change(0, inbox, "lr", "");
    pair.on(0).remove_account(alice()).expect("removed");
    pair.add_account(0, "alice");
    pair.meet();
    assert_eq!((pair.bobs(0, "INBOX"), pair.bobs(1, "INBOX")), (String::new(), String::new()));
}

/// Added on two sides, an account is one, and what was given to it on either counts.
#[test]
fn an_account_added_on_two_sides_is_one_grantee() {
    let (mut pair, project) = Pair::new();
    let carol = AccountId::of_name("carol");
    for (node, given) in [(0, "lr"), (1, "i")] {
        pair.add_account(node, "carol");
        let identifier = Identifier::of(pair.grantee(node, carol));
        pair.on(node)
            .change_rights(alice(), project, identifier, rights(given), Rights::NONE)
            .expect("changed");
    }
    pair.meet();
    for node in [0, 1] {
        let grantee = pair.grantee(node, carol);
        assert_eq!(pair.access(node, "Project").rights(grantee), rights("lri"));
    }
}

/// What two nodes move at the same time from one account to another is one message.
#[test]
fn a_message_moved_on_two_sides_is_there_once() {
    let (mut pair, project) = Pair::new();
    let entry = pair.deliver(0, project);
    pair.meet();
    let email = pair.shown(0, alice(), project);
    for node in [0, 1] {
        pair.copy_to_bob(node, project, entry);
        pair.on(node).remove(alice(), project, &[entry]).expect("removed");
    }
    pair.meet();
    pair.meet();
    let inbox = MailboxId::of_default(bob(), "INBOX");
    for node in [0, 1] {
        assert_eq!(pair.shown(node, alice(), project), []);
        assert_eq!(pair.shown(node, bob(), inbox), email, "once, and with its EMAILID");
    }
}

/// A move that broke off before its original was removed, done again: it goes on with its copy while that is where it was put.
#[test]
fn a_move_that_broke_off_goes_on_with_its_copy() {
    let (mut pair, project) = Pair::new();
    let entry = pair.deliver(0, project);
    let inbox = MailboxId::of_default(bob(), "INBOX");
    pair.copy_to_bob(0, project, entry);
    pair.copy_to_bob(0, project, entry);
    assert_eq!(pair.shown(0, bob(), inbox).len(), 1);
    // Once the copy is expunged it is another message, which must not be taken for it.
    let copy = pair.account(0, bob()).view(inbox).rows.last().expect("a row").facts.entry;
    pair.on(0).remove(bob(), inbox, &[copy]).expect("removed");
    pair.copy_to_bob(0, project, entry);
    pair.on(0).remove(alice(), project, &[entry]).expect("removed");
    assert_eq!(pair.shown(0, bob(), inbox).len(), 1);
    pair.meet();
    assert_eq!(pair.shown(1, bob(), inbox).len(), 1);
}

proptest! {
    /// Whatever is written where, both nodes come to the same, and the owner keeps what he cannot lose.
    #[test]
    fn any_writes_on_two_nodes_converge(
        writes in prop::collection::vec((0..2usize, 0..4u8, 0..=2047u16, 0..=2047u16, any::<bool>()), 1..20),
    ) {
        let (mut pair, project) = Pair::new();
        for (node, who, given, taken, meets) in writes {
            let grantee = match who {
                0 => Grantee::Anyone,
                1 => pair.grantee(node, alice()),
                _ => pair.grantee(node, bob()),
            };
            let identifier = Identifier { grantee, negative: who == 3 };
            let bits = |bits: u16| Rights::try_from(bits).expect("eleven bits");
            pair.on(node).change_rights(alice(), project, identifier, bits(given), bits(taken)).expect("changed");
            if meets {
                pair.bring(node, 1 - node);
            }
        }
        pair.meet();
        prop_assert_eq!(pair.account(0, alice()).head().clone(), pair.account(1, alice()).head().clone());
        prop_assert_eq!(pair.access(0, "Project"), pair.access(1, "Project"));
        let owner = pair.grantee(0, alice());
        prop_assert!(pair.access(0, "Project").rights(owner).contain(Rights::OWNER_KEEPS));
    }
}
