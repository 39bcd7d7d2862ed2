//! Two replicas of the `crdt` crate, and nothing else: they place messages, part, take mail on both sides with clients looking,
//! and merge. It prints what the clients of each side saw, before and after, and which UID was issued again and why.
//!
//! ```console
//! $ cargo run --example place_and_merge
//! ```

use std::collections::BTreeMap;

use crdt::account::NewEntry;
use crdt::account::events::Event;
use crdt::clock::Millis;
use crdt::identity::{AccountId, BodyHash, EntryId, Incarnation, MailboxId, NodeSlot};
use crdt::operation::{DefaultMailbox, Member};
use crdt::record::Record;
use crdt::replica::{Beginning, NoArchive, Replica};
use crdt::view::ReceivedAt;
use crdt::writer::Author;

/// One node: the pure core, and a log that a real node keeps on its disk.
struct Node {
    name: &'static str,
    replica: Replica<NoArchive>,
    log: Vec<Record>,
}

/// What the bodies say; the core knows only their hashes.
#[derive(Default)]
struct Subjects(BTreeMap<BodyHash, &'static str>);

impl Node {
    fn start(name: &'static str, number: u8, now: Millis) -> Self {
        let slot = NodeSlot::new(number).expect("a slot below 128");
        // A real node draws a random name for every life.
        let author = Author { slot, incarnation: Incarnation([number + 1; 16]) };
        Node { name, replica: Replica::start(NoArchive, author, Beginning::default(), now), log: Vec::new() }
    }

    /// Ends a batch. A real node makes it durable before it answers anybody.
    fn commit(&mut self, subjects: &Subjects) {
        let commit = self.replica.commit();
        self.log.extend(commit.records);
        let events: Vec<Event> = commit.accounts.into_iter().flat_map(|changed| changed.events).collect();
        for event in events {
            self.tell(&event, subjects);
        }
    }

    fn tell(&self, event: &Event, subjects: &Subjects) {
        let (name, subject) = (self.name, |entry: &EntryId| self.subject(entry, subjects));
        match event {
            Event::Arrived { entry, .. } => println!("  {name}: {:?} is here", subject(entry)),
            Event::Shown { entry, uid, .. } => {
                println!("  {name}: {:?} appears as UID {uid}", subject(entry))
            }
            Event::Held { entry, uid, .. } => println!(
                "  {name}: {:?} is held: UID {uid} came too late, the clients here were told a higher UIDNEXT",
                subject(entry)
            ),
            Event::Reissued { entry, from, to, .. } => {
                println!("  {name}: {:?} was UID {from} and is UID {to} now", subject(entry));
            }
            Event::Gone { entry, uid, .. } => println!("  {name}: {:?}, UID {uid}, is gone", subject(entry)),
            Event::Flagged { uid, .. } => println!("  {name}: UID {uid} has other flags"),
            Event::RightsChanged { .. } => println!("  {name}: somebody has other rights"),
            Event::Bumped { from, to, .. } => println!("  {name}: UIDVALIDITY {from} became {to}"),
        }
    }

    fn subject(&self, entry: &EntryId, subjects: &Subjects) -> &'static str {
        let account = self.replica.loaded().next();
        let state = account.and_then(|account| account.entry(entry));
        let body = state.and_then(|state| state.facts()).map(|facts| facts.body);
        body.and_then(|body| subjects.0.get(&body)).copied().unwrap_or("?")
    }

    /// Accepts a message, as LMTP would.
    fn deliver(&mut self, mailbox: MailboxId, subject: &'static str, subjects: &mut Subjects) {
        let mut hash = [0; 32];
        hash[0] = subjects.0.len() as u8 + 1;
        subjects.0.insert(BodyHash(hash), subject);
        let new = NewEntry {
            body: BodyHash(hash),
            size: subject.len() as u64,
            received: ReceivedAt::default(),
            flags: vec![],
            email: None,
            delivery: None,
        };
        self.replica.deliver(alice(), mailbox, new).expect("alice has this mailbox");
        self.commit(subjects);
    }

    /// Takes what it lacks of a peer, and hears where clients of the peer look.
    fn receive(&mut self, peer: &Node, subjects: &Subjects) -> usize {
        let vector = self.replica.vector();
        let missing = peer.log.iter().filter(|record| record.sequence > vector.last(&record.incarnation));
        let delta: Vec<Record> = missing.cloned().collect();
        let looks = peer.replica.looks().own();
        self.replica.set_peer_looks(peer.replica.author().slot, Some(looks));
        let applied = self.replica.apply(delta, |_body| true).expect("a delta of an honest node");
        self.commit(subjects);
        applied.records
    }

    fn print(&self, mailbox: MailboxId, subjects: &Subjects) {
        let Some(account) = self.replica.loaded().next() else { return };
        let view = account.view(mailbox);
        let validity = view.validity.map_or_else(|| "none".to_owned(), |validity| validity.to_string());
        println!("  {}: UIDVALIDITY {validity}, UIDNEXT {}", self.name, view.uid_next);
        for row in view.rows.iter() {
            println!("     UID {:>4}  {}", row.uid.0, subjects.0.get(&row.facts.body).unwrap_or(&"?"));
        }
    }
}

fn alice() -> AccountId {
    AccountId::of_name("alice")
}

/// Deltas go both ways until neither has anything that the other lacks.
fn meet(a: &mut Node, b: &mut Node, subjects: &Subjects) {
    while a.receive(b, subjects) + b.receive(a, subjects) > 0 {}
}

fn part(a: &mut Node, b: &mut Node) {
    a.replica.set_peer_looks(b.replica.author().slot, None);
    b.replica.set_peer_looks(a.replica.author().slot, None);
}

fn main() {
    // The core reads no clock: time is what it is told.
    let now = Millis(1_790_000_000_000);
    let mut subjects = Subjects::default();
    let inbox = MailboxId::of_default(alice(), "INBOX");
    let (mut a, mut b) = (Node::start("a", 0, now), Node::start("b", 1, now));
    for (slot, name) in [(0, "a"), (1, "b")] {
        let slot = NodeSlot::new(slot).expect("a slot below 128");
        let advertise = format!("{name}.example.com:7471");
        a.replica.admit_member(Member { slot, name: name.to_owned(), key: [0; 32], advertise });
    }
    let defaults = [DefaultMailbox { name: "INBOX".to_owned(), special_use: None }];
    a.replica.add_account("alice", "", &defaults).expect("alice is new");
    a.commit(&subjects);
    meet(&mut a, &mut b, &subjects);

    println!("Together. Clients look on both sides; one message comes in on each.");
    a.replica.look(alice(), inbox).expect("no disk");
    b.replica.look(alice(), inbox).expect("no disk");
    meet(&mut a, &mut b, &subjects);
    a.deliver(inbox, "Welcome", &mut subjects);
    meet(&mut a, &mut b, &subjects);
    b.deliver(inbox, "Agenda", &mut subjects);
    meet(&mut a, &mut b, &subjects);

    println!("\nApart. Each side takes mail, and shows it to its clients.");
    part(&mut a, &mut b);
    a.deliver(inbox, "Lunch?", &mut subjects);
    a.deliver(inbox, "Invoice", &mut subjects);
    b.deliver(inbox, "Dinner?", &mut subjects);
    println!("\nBefore the merge:");
    a.print(inbox, &subjects);
    b.print(inbox, &subjects);

    println!(
        "\nTogether again. What lies below the UIDNEXT that the other side has told its clients has to go up:"
    );
    meet(&mut a, &mut b, &subjects);
    println!("\nAfter the merge:");
    a.print(inbox, &subjects);
    b.print(inbox, &subjects);

    let rows = |node: &Node| {
        let view = node.replica.loaded().next().map(|account| account.view(inbox));
        let rows =
            view.map(|view| view.rows.iter().map(|row| (row.uid, row.facts.entry)).collect::<Vec<_>>());
        rows.unwrap_or_default()
    };
    assert_eq!(rows(&a), rows(&b), "both sides show the same");
    println!("\nBoth sides show the same. No UID named two messages at any time.");
}
