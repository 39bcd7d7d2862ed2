//! What a member sends that obeys no rule but the form: it may be refused, it may do harm to its own mail, but no node panics,
//! loops or fills its memory over it, and honest nodes stay alike.

#[path = "common/honest.rs"]
mod honest;
#[path = "common/hostile.rs"]
mod hostile;

use std::collections::BTreeSet;

use honest::Honest;
use hostile::*;
use peerpost_crdt::account::Account;
use peerpost_crdt::clock::{Millis, Stamp, Timestamp};
use peerpost_crdt::identity::{Incarnation, NodeSlot, Uid, Validity};
use peerpost_crdt::operation::{DocumentId, Operation, PlacedRun};
use peerpost_crdt::replica::DeltaError;
use proptest::prelude::*;

#[test]
fn two_messages_placed_at_one_uid_end_at_two() {
    let (mut a, mut b) = (Honest::first(), Honest::start(2));
    b.take(&a.log.clone()).expect("honest");
    let (mut hostile, first) = Hostile::start(1);
    let validity = a.validity();
    let own = (1..2000u32)
        .find(|uid| {
            a.account()
                .mailbox_state(&inbox())
                .and_then(|state| state.epoch())
                .is_some_and(|epoch| epoch.dealing.owns(NodeSlot::new(1).expect("a slot"), Uid(*uid)))
        })
        .expect("an own block");
    let both =
        vec![add(0, inbox(), None), add(1, inbox(), None), place(0, validity, own), place(1, validity, own)];
    let delta = [first, hostile.write(in_segment(2), both)];
    for _ in 0..4 {
        a.take(&delta).expect("well formed");
        a.look();
        b.take(&delta).expect("well formed");
        b.look();
        let (of_a, of_b) = (a.log.clone(), b.log.clone());
        a.take(&of_b).expect("honest");
        b.take(&of_a).expect("honest");
    }
    let uids: BTreeSet<Uid> = a.picture().iter().map(|(uid, _)| *uid).collect();
    assert_eq!(uids.len(), 2);
    assert_eq!(a.picture(), b.picture());
}

#[test]
fn placements_in_an_epoch_that_is_not_founded_yet_hide_nothing_and_make_no_node_restless() {
    let mut a = Honest::first();
    a.replica.look(account(), inbox()).expect("no disk");
    a.deliver(7);
    let before = a.picture();
    let (mut hostile, first) = Hostile::start(1);
    let to_come = Validity(a.validity().0 + 128);
    let placed = hostile.write(in_segment(1), vec![place(0, to_come, 500)]);
    a.take(&[first, placed]).expect("well formed");
    assert_eq!(a.picture(), before);
    let written = a.log.len();
    a.look();
    assert_eq!((a.picture(), a.log.len()), (before, written), "it places again and again");
}

#[test]
fn a_name_that_has_borne_a_validity_nobody_knows_is_founded_above_it_once() {
    let mut a = Honest::first();
    let (mut hostile, first) = Hostile::start(1);
    let known = Validity(a.validity().0 + 100_000);
    let rename = Operation::RenameMailbox {
        mailboxes: vec![inbox()],
        name: "INBOX".to_owned(),
        validity: Some(known),
    };
    a.take(&[first, hostile.write(DocumentId::Account(account()), vec![rename])]).expect("well formed");
    a.look();
    let founded = a.validity();
    assert!(founded > known);
    a.look();
    assert_eq!(a.validity(), founded, "it founds again and again");
}

#[test]
fn what_cannot_have_been_is_refused() {
    let mut a = Honest::first();
    let far = Validity(u32::MAX);
    let late = Stamp {
        timestamp: Timestamp::from_parts(Millis(START + 1_000_000), 0, NodeSlot::FIRST),
        incarnation: Incarnation([1; 16]),
    };
    let expunge = |moved, deleted| Operation::Expunge { entries: [0].into_iter().collect(), moved, deleted };
    let rename =
        Operation::RenameMailbox { mailboxes: vec![inbox()], name: "x".to_owned(), validity: Some(far) };
    let others = vec![PlacedRun { index: 0, count: 1, uid: Uid(1) }];
    let others = Operation::Place { mailbox: inbox(), validity: a.validity(), runs: others };
    for (document, operation) in [
        (in_segment(2), expunge(late, None)),
        (in_segment(2), expunge(Stamp::ZERO, Some(late))),
        (in_segment(2), place(0, far, 64)),
        (in_segment(2), others),
        (in_segment(1), add(0, inbox(), None)),
        (DocumentId::Account(account()), rename),
    ] {
        let (mut hostile, first) = Hostile::start(1);
        let refused = a.take(&[first, hostile.write(document, vec![operation.clone()])]);
        assert!(matches!(refused, Err(DeltaError::Inconsistent { .. })), "{operation:?}: {refused:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_member_writes_honest_nodes_go_on(
        written in prop::collection::vec(operation(), 1..60),
        looks in any::<bool>(),
    ) {
        let mut a = Honest::first();
        if looks {
            a.replica.look(account(), inbox()).expect("no disk");
        }
        a.deliver(200);
        let (mut hostile, first) = Hostile::start(1);
        a.take(&[first]).expect("a first record");
        for (document, operation) in written {
            let before = hostile.clone();
            let record = hostile.write(document, vec![operation]);
            if a.take(&[record]).is_err() {
                hostile = before;
            }
            a.look();
            a.replica.handle_timeout();
            a.commit();
        }
        a.deliver(201);
        a.look();
        a.deliver(202);
        a.look();
        prop_assert!(a.account().view(inbox()).rows.len() < 100);
    }

    #[test]
    fn the_fold_does_not_depend_on_order_repetition_or_batching(
        operations in prop::collection::vec(operation(), 1..80),
        order in any::<u64>(),
        twice in 0..20usize,
    ) {
        // Only the first of what one author writes to one place of a segment is accepted: authors write in order.
        let mut added = BTreeSet::new();
        let stamped: Vec<_> = operations
            .into_iter()
            .enumerate()
            .filter(|(_, (document, operation))| match operation {
                Operation::Add(addition) => added.insert((*document, addition.index)),
                _ => true,
            })
            .map(|(n, (document, operation))| {
                let slot = NodeSlot::new((n % 3) as u8).expect("a slot");
                let timestamp = Timestamp::from_parts(Millis(START + n as u64), 0, slot);
                (Stamp { timestamp, incarnation: Incarnation([(n % 3) as u8 + 1; 16]) }, document, operation)
            })
            .collect();
        let mut shuffled = stamped.clone();
        shuffled.extend(stamped.iter().take(twice).cloned());
        let mut seed = order | 1;
        for place in (1..shuffled.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(place, (seed >> 33) as usize % (place + 1));
        }
        let fold = |operations: Vec<_>| {
            Account::refold(account(), operations.into_iter().map(Ok::<_, std::convert::Infallible>)).expect("folded")
        };
        let (one, other) = (fold(stamped), fold(shuffled));
        prop_assert_eq!(one.head(), other.head());
        prop_assert_eq!(one.units(), other.units());
        prop_assert!(one.mailbox_states().eq(other.mailbox_states()));
        for ((id, mine), (_, theirs)) in one.segments().zip(other.segments()) {
            prop_assert_eq!(mine, theirs, "segment {:?}", id);
            for index in 0..mine.len() as u16 {
                let entry = peerpost_crdt::identity::EntryId { segment: *id, index };
                prop_assert_eq!(one.mailbox_of(&entry), other.mailbox_of(&entry));
                prop_assert_eq!(one.entries_of_delivery(&entry), other.entries_of_delivery(&entry));
            }
        }
        prop_assert_eq!(one.segments().count(), other.segments().count());
    }
}
