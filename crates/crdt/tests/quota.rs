//! A quota on two nodes that hear of each other now and then (RFC 9208): each keeps it by what it knows, nothing that was accepted is
//! lost to it, and both count the same once they have the same.

#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use peerpost_crdt::account::{NewEntry, Usage};
use peerpost_crdt::clock::Millis;
use peerpost_crdt::flag::{Flag, FlagChange};
use peerpost_crdt::identity::{AccountId, BodyHash, DeliveryKey, EntryId, Incarnation, MailboxId, NodeSlot};
use peerpost_crdt::operation::{DefaultMailbox, Quota};
use peerpost_crdt::record::Record;
use peerpost_crdt::replica::{Beginning, CommandError, NoArchive, Replica};
use peerpost_crdt::view::ReceivedAt;
use peerpost_crdt::writer::Author;
use proptest::prelude::*;

const START: u64 = 1_790_000_000_000;

#[derive(Clone, Copy, Debug)]
enum Action {
    /// Of octets that both nodes may be offered.
    Deliver(u8),
    Append,
    Replace(usize),
    Copy(usize),
    Move(usize),
    Expunge(usize),
    SetQuota {
        octets: Option<u64>,
        messages: Option<u64>,
    },
    /// The node hears of everything that the other one has.
    Hear,
}

fn actions() -> impl Strategy<Value = Vec<(usize, Action)>> {
    let most = |most: u64| prop::option::weighted(0.8, 0..most);
    let action = prop_oneof![
        4 => (0..12u8).prop_map(Action::Deliver),
        3 => Just(Action::Append),
        2 => (0..8usize).prop_map(Action::Replace),
        2 => (0..8usize).prop_map(Action::Copy),
        1 => (0..8usize).prop_map(Action::Move),
        3 => (0..8usize).prop_map(Action::Expunge),
        1 => (most(900), most(8)).prop_map(|(octets, messages)| Action::SetQuota { octets, messages }),
        3 => Just(Action::Hear),
    ];
    prop::collection::vec((0..2usize, action), 1..80)
}

struct World {
    account: AccountId,
    nodes: [Replica<NoArchive>; 2],
    logs: [Vec<Record>; 2],
    now: Millis,
    next: u64,
    /// What was appended and copied, and not expunged.
    kept: BTreeSet<EntryId>,
}

impl World {
    fn new() -> Self {
        let start = |slot: u8| {
            let slot = NodeSlot::new(slot).expect("a slot");
            let author = Author { slot, incarnation: Incarnation([slot.number() + 1; 16]) };
            Replica::start(NoArchive, author, Beginning::default(), Millis(START))
        };
        let mut world = World {
            account: AccountId::of_name("alice"),
            nodes: [start(0), start(1)],
            logs: [vec![], vec![]],
            now: Millis(START),
            next: 0,
            kept: BTreeSet::new(),
        };
        let defaults =
            ["INBOX", "Archive"].map(|name| DefaultMailbox { name: name.to_owned(), special_use: None });
        world.nodes[0].add_account("alice", "hash", &defaults).expect("added");
        world.commit(0);
        world.hear(1);
        world
    }

    fn commit(&mut self, node: usize) {
        let records = self.nodes[node].commit().records;
        self.logs[node].extend(records);
    }

    fn hear(&mut self, node: usize) {
        let vector = self.nodes[node].vector().clone();
        let log = self.logs[1 - node].iter();
        let delta =
            log.filter(|record| record.sequence > vector.last(&record.incarnation)).cloned().collect();
        self.nodes[node].begin(self.now);
        self.nodes[node].apply(delta, |_| true).expect("a delta of an honest node");
        self.commit(node);
    }

    fn mailbox(&mut self, node: usize, name: &str) -> MailboxId {
        let account = self.nodes[node].existing(self.account).expect("alice");
        account.unit_by_name(name).expect("a default mailbox").public
    }

    fn usage(&mut self, node: usize) -> Usage {
        self.nodes[node].existing(self.account).expect("alice").usage()
    }

    fn quota(&mut self, node: usize) -> Quota {
        self.nodes[node].existing(self.account).expect("alice").head().quota()
    }

    fn seen(&mut self, node: usize, mailbox: MailboxId) -> Vec<(EntryId, u64)> {
        self.nodes[node].glance(self.account, mailbox).expect("no disk");
        let view = self.nodes[node].existing(self.account).expect("alice").view(mailbox);
        view.rows.iter().map(|row| (row.facts.entry, row.facts.size)).collect()
    }

    fn new_entry(&mut self, delivery: Option<u8>) -> NewEntry {
        self.next += 1;
        let number = delivery.map_or(1000 + self.next, u64::from);
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        NewEntry {
            body: BodyHash(hash),
            size: 1 + number * 37 % 200,
            received: ReceivedAt::default(),
            flags: vec![],
            email: None,
            delivery: delivery.map(|delivery| DeliveryKey([delivery; 16])),
        }
    }

    fn act(&mut self, node: usize, action: Action) {
        self.now = self.now.after(1);
        self.nodes[node].begin(self.now);
        let (account, inbox) = (self.account, self.mailbox(node, "INBOX"));
        let archive = self.mailbox(node, "Archive");
        match action {
            Action::Hear => self.hear(node),
            Action::SetQuota { octets, messages } => {
                self.nodes[node].set_quota(account, Quota { octets, messages }).expect("set");
            }
            Action::Deliver(number) => {
                let new = self.new_entry(Some(number));
                let size = new.size;
                self.accept(node, (size, None), |replica| match replica.deliver(account, inbox, new) {
                    Ok(false) => None,
                    result => Some(result.map(drop)),
                });
            }
            Action::Append => {
                let new = self.new_entry(None);
                let size = new.size;
                self.accept(node, (size, None), |replica| {
                    Some(replica.append_in_turn(account, inbox, vec![new]).map(drop))
                });
            }
            Action::Replace(place) => {
                let Some((entry, old)) = self.seen(node, inbox).get(place).copied() else { return };
                let new = self.new_entry(None);
                let size = new.size;
                // Where it is refused the old one stays.
                let kept = self.kept.clone();
                self.kept.remove(&entry);
                let done = self.accept(node, (size, Some(old)), |replica| {
                    Some(replica.replace(account, (inbox, entry), inbox, new).map(drop))
                });
                if !done {
                    self.kept = kept;
                }
            }
            Action::Copy(place) => {
                let Some((entry, size)) = self.seen(node, inbox).get(place).copied() else { return };
                self.accept(node, (size, None), |replica| {
                    Some(replica.copy_in_turn(account, inbox, &[entry], archive).map(drop))
                });
            }
            Action::Move(place) => {
                let Some((entry, _)) = self.seen(node, inbox).get(place).copied() else { return };
                let before = self.usage(node);
                self.nodes[node]
                    .move_entries(account, inbox, &[entry], archive)
                    .expect("a move needs no room");
                assert_eq!(self.usage(node), before);
            }
            Action::Expunge(place) => {
                let Some((entry, size)) = self.seen(node, archive).get(place).copied() else { return };
                let before = self.usage(node);
                let deleted = [Flag::Deleted];
                self.nodes[node]
                    .change_flags(account, archive, &[entry], FlagChange::Add, &deleted, None)
                    .expect("stored");
                self.nodes[node].expunge(account, archive, &[entry]).expect("expunged");
                let after = Usage { messages: before.messages - 1, octets: before.octets - size };
                assert_eq!(self.usage(node), after);
                self.kept.remove(&entry);
            }
        }
        self.commit(node);
    }

    /// Something that adds a message of this size, and takes away one of another: refused exactly where the node knows that it would
    /// be too much. `None` where the message is there already. Whether it was done.
    fn accept(
        &mut self,
        node: usize,
        (size, freed): (u64, Option<u64>),
        command: impl FnOnce(&mut Replica<NoArchive>) -> Option<Result<(), CommandError>>,
    ) -> bool {
        let (before, quota) = (self.usage(node), self.quota(node));
        let known = self.live(node);
        let wanted = Usage {
            messages: before.messages + 1 - u64::from(freed.is_some()),
            octets: before.octets + size - freed.unwrap_or(0),
        };
        let beyond =
            |most: Option<u64>, before, wanted| wanted > before && most.is_some_and(|most| wanted > most);
        let too_much = beyond(quota.octets, before.octets, wanted.octets)
            || beyond(quota.messages, before.messages, wanted.messages);
        let result = command(&mut self.nodes[node]);
        let done = matches!(result, Some(Ok(())));
        let expected = match result {
            None => before,
            Some(Err(CommandError::OverQuota)) => {
                assert!(too_much, "refused although {wanted:?} is within {quota:?}");
                before
            }
            Some(Err(error)) => panic!("{error}"),
            Some(Ok(())) => {
                assert!(!too_much, "accepted although {wanted:?} is beyond {quota:?}");
                wanted
            }
        };
        assert_eq!(self.usage(node), expected);
        self.commit(node);
        let mut new = self.live(node);
        // Of a message that is delivered on both nodes one entry is shown in the end.
        new.retain(|entry| !known.contains(entry) && self.is_only(node, entry));
        self.kept.extend(new);
        done
    }

    fn is_only(&self, node: usize, entry: &EntryId) -> bool {
        let account = self.nodes[node].loaded().next().expect("alice");
        let state = account.segment(&entry.segment).get(usize::from(entry.index)).expect("an entry");
        state.delivery().is_none()
    }

    /// What is there of messages, shown or not.
    fn live(&mut self, node: usize) -> BTreeSet<EntryId> {
        let mailboxes = [self.mailbox(node, "INBOX"), self.mailbox(node, "Archive")];
        mailboxes.into_iter().flat_map(|mailbox| self.seen(node, mailbox)).map(|(entry, _)| entry).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_quota_is_kept_and_loses_nothing(actions in actions()) {
        let mut world = World::new();
        for (node, action) in actions {
            world.act(node, action);
        }
        for _ in 0..4 {
            world.now = world.now.after(60_000);
            for node in 0..2 {
                world.hear(node);
                world.live(node);
                world.commit(node);
            }
        }
        for node in 0..2 {
            let mailboxes = ["INBOX", "Archive"].map(|name| world.mailbox(node, name));
            let seen: Vec<(EntryId, u64)> =
                mailboxes.into_iter().flat_map(|mailbox| world.seen(node, mailbox)).collect();
            let count = Usage {
                messages: seen.len() as u64,
                octets: seen.iter().map(|(_, size)| size).sum(),
            };
            prop_assert_eq!(world.usage(node), count);
            let seen: BTreeSet<EntryId> = seen.into_iter().map(|(entry, _)| entry).collect();
            prop_assert!(world.kept.is_subset(&seen), "node {} lost something", node);
            prop_assert_eq!(world.quota(node), world.quota(0));
        }
        prop_assert_eq!(world.usage(0), world.usage(1));
    }
}
