//! Rules 1 to 9 on random walks: `PEERPOST_WALKS=a..b` chooses the seeds, `cargo run --release --example walks` takes many.

#[path = "walks/mod.rs"]
mod walks;

use walks::Step::{self, *};

/// The seeds that every run of the tests takes.
const SEEDS: std::ops::Range<u64> = 0..1_000;

#[test]
fn random_walks_keep_the_invariants() {
    let given = std::env::var("PEERPOST_WALKS").ok();
    let parsed = given.as_deref().and_then(|text| {
        let (first, end) = text.split_once("..")?;
        Some(first.parse().ok()?..end.parse().ok()?)
    });
    let seeds = parsed.unwrap_or(SEEDS);
    let (mut walked, mut failed) = (walks::Walked::default(), Vec::new());
    for seed in seeds {
        match walks::walk(seed) {
            Ok(one) => walked.add(one),
            Err(story) => failed.push(story),
        }
    }
    println!("{walked:?}");
    failed.truncate(3);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let all = [walked.steps, walked.records, walked.bumps, walked.rolled_back];
    assert!(given.is_some() || all.iter().all(|count| *count > 0), "the walks went nowhere: {walked:?}");
}

fn holds(seed: u64, nodes: usize, steps: &[Step]) {
    assert_eq!(walks::tell(seed, nodes, steps), Ok(()));
}

fn carry(from: u8, to: u8, most: Option<u8>, bodies: bool) -> Step {
    Carry { from, to, most, bodies, announcements_first: false }
}

/// The second life sealed the first, which nobody had judged, and everybody confirmed it.
#[test]
fn a_rolled_back_disk_that_starts_twice_is_found_out() {
    let steps = [
        Backup { node: 0 },
        Deliver { node: 0, mailbox: 2, delivery: None },
        Visit { client: 1, node: 0, mailbox: 2 },
        Exchange,
        RollBack { copy: 0 },
        Restart { node: 0, continues: false },
    ];
    holds(658, 2, &steps);
}

/// The node that was asked for another slot was lost before it gave one: the other waited for ever.
#[test]
fn whoever_buries_a_witness_gives_the_slots_that_it_was_asked_for() {
    let steps = [
        Backup { node: 0 },
        Append { node: 0, mailbox: 0, count: 3 },
        carry(0, 1, None, true),
        Join { at: 0, parted: true },
        RollBack { copy: 0 },
        Join { at: 2, parted: true },
        Exchange,
        Kill { node: 1 },
    ];
    holds(690, 2, &steps);
}

/// Two nodes that were both rolled back asked each other, and nobody asked the third.
#[test]
fn two_that_ask_each_other_for_slots_get_them_from_a_third() {
    let steps = [
        Backup { node: 1 },
        Deliver { node: 1, mailbox: 0, delivery: None },
        carry(1, 0, None, true),
        RollBack { copy: 0 },
        Backup { node: 0 },
        Join { at: 0, parted: false },
        RollBack { copy: 1 },
        carry(1, 2, None, true),
        carry(2, 0, None, true),
    ];
    holds(82_430, 2, &steps);
}

/// The client came from a life whose disk was put back. Its value lay above all that the third node had heard of that slot, and was
/// taken for one that had seen as much.
#[test]
fn a_value_above_all_that_a_peer_told_says_nothing() {
    let steps = [
        Look { node: 3, mailbox: 2 },
        Exchange,
        Deliver { node: 2, mailbox: 2, delivery: None },
        Backup { node: 1 },
        Look { node: 1, mailbox: 2 },
        Exchange,
        Exchange,
        RollBack { copy: 0 },
        Visit { client: 1, node: 1, mailbox: 2 },
        Visit { client: 1, node: 3, mailbox: 2 },
    ];
    holds(15_596, 4, &steps);
}

/// The first node had given a message a new UID, which the second had not heard of: there the client found neither.
#[test]
fn a_value_counts_once_everything_that_was_visible_at_it_is_visible_here() {
    let steps = [
        Look { node: 1, mailbox: 0 },
        Deliver { node: 1, mailbox: 0, delivery: None },
        Deliver { node: 0, mailbox: 0, delivery: None },
        carry(1, 0, None, true),
        Flag { node: 0, mailbox: 0, place: 56, flag: 2, set: true },
        Deliver { node: 1, mailbox: 0, delivery: None },
        Carry { from: 1, to: 0, most: Some(5), bodies: true, announcements_first: true },
        Visit { client: 0, node: 0, mailbox: 0 },
        carry(0, 1, Some(5), false),
        Visit { client: 0, node: 1, mailbox: 0 },
    ];
    holds(513, 2, &steps);
}

/// What the life in between had got from others was taken for what it had shown.
#[test]
fn a_node_in_another_slot_leaps_before_it_shows_what_it_got_while_rolled_back() {
    let steps = [
        Backup { node: 1 },
        Deliver { node: 1, mailbox: 0, delivery: None },
        Exchange,
        Look { node: 1, mailbox: 0 },
        Look { node: 0, mailbox: 0 },
        RollBack { copy: 0 },
    ];
    holds(8_629, 2, &steps);
}

/// The node that both had asked had no slots left, and nobody else gave them any.
#[test]
fn whoever_has_slots_left_gives_them_where_the_witness_has_none() {
    let steps = [
        Join { at: 0, parted: false },
        Backup { node: 10 },
        Restart { node: 1, continues: true },
        Join { at: 0, parted: true },
        Backup { node: 10 },
        Append { node: 6, mailbox: 0, count: 3 },
        Exchange,
        Join { at: 0, parted: true },
        Join { at: 5, parted: true },
        RollBack { copy: 11 },
        carry(8, 6, Some(5), true),
        RollBack { copy: 6 },
    ];
    holds(83_717, 2, &steps);
}

/// The life that was lost had shown a message before it showed another, which somebody had moved away by then. What was known at
/// the start was shown though a peer had said that it knew better.
#[test]
fn what_a_rolled_back_disk_knew_waits_for_those_who_know_better() {
    let steps = [
        Deliver { node: 5, mailbox: 2, delivery: None },
        Deliver { node: 11, mailbox: 1, delivery: None },
        carry(9, 6, None, true),
        Move { node: 2, mailbox: 2, place: 30, to: 1 },
        Join { at: 8, parted: false },
        Backup { node: 2 },
        Move { node: 10, mailbox: 2, place: 43, to: 0 },
        Exchange,
        Copy { node: 5, mailbox: 1, place: 45, to: 1 },
        Exchange,
        RollBack { copy: 5 },
        carry(2, 0, None, true),
        carry(0, 2, Some(0), true),
        Copy { node: 2, mailbox: 1, place: 6, to: 1 },
    ];
    holds(24_389, 2, &steps);
}

/// The announcement that the client had seen was replaced by one of more than had arrived: only that one can be adopted.
#[test]
fn an_announcement_in_place_of_another_is_adopted_when_all_of_it_is_here() {
    let steps = [
        Append { node: 8, mailbox: 0, count: 1 },
        Deliver { node: 10, mailbox: 0, delivery: None },
        Exchange,
        Append { node: 5, mailbox: 0, count: 1 },
        Move { node: 1, mailbox: 0, place: 53, to: 0 },
        Visit { client: 1, node: 0, mailbox: 0 },
        carry(10, 9, Some(2), true),
        Expunge { node: 11, mailbox: 0, place: 4 },
        Look { node: 3, mailbox: 0 },
        carry(3, 2, Some(1), true),
        Visit { client: 1, node: 5, mailbox: 0 },
        carry(1, 2, None, true),
        carry(0, 2, None, true),
        Visit { client: 1, node: 2, mailbox: 0 },
    ];
    holds(33_693, 3, &steps);
}

/// The life that began after the rollback took what its predecessor, of which nobody knew yet, had issued for values of its own.
#[test]
fn values_stay_unknown_until_a_life_is_confirmed() {
    let steps = [
        Backup { node: 0 },
        Deliver { node: 6, mailbox: 0, delivery: None },
        Exchange,
        Visit { client: 0, node: 6, mailbox: 0 },
        RollBack { copy: 9 },
        Restart { node: 2, continues: true },
        Visit { client: 0, node: 4, mailbox: 0 },
    ];
    holds(11_656, 2, &steps);
}

/// It was given a slot, and began another life before it heard of it. Whom it asked for one waited for the member in the first.
#[test]
fn a_slot_that_was_given_in_vain_is_nobodys() {
    let steps = [
        Backup { node: 4 },
        Append { node: 8, mailbox: 0, count: 2 },
        Exchange,
        RollBack { copy: 0 },
        Restart { node: 9, continues: false },
        Part { node: 6 },
        Exchange,
        HealAll,
        Join { at: 2, parted: true },
        Cut { from: 6, to: 10, both_ways: false },
        Restart { node: 0, continues: false },
        Exchange,
        Restart { node: 2, continues: false },
    ];
    holds(15_782, 4, &steps);
}

/// The one thing that is known is where the leap of the second life led, which may be below that of the first.
#[test]
fn the_order_of_two_lives_that_both_leapt_is_not_had_where_nobody_knows_of_the_first_leap() {
    let steps = [
        Deliver { node: 6, mailbox: 0, delivery: None },
        Exchange,
        Backup { node: 3 },
        Restart { node: 0, continues: false },
        Append { node: 8, mailbox: 0, count: 1 },
        Restart { node: 3, continues: true },
        Glance { node: 11, mailbox: 0 },
        Exchange,
        Restart { node: 11, continues: false },
        Join { at: 1, parted: true },
        Join { at: 5, parted: false },
        Copy { node: 9, mailbox: 0, place: 37, to: 0 },
        RollBack { copy: 8 },
        Append { node: 9, mailbox: 0, count: 1 },
    ];
    holds(5_432, 4, &steps);
}

/// A body was waited for at the node that the client came from. It had seen effects of records that came there later, which the
/// next node had not heard of, though of all that was visible before the body it had.
#[test]
fn a_value_counts_once_everything_that_may_have_been_visible_at_it_is_visible_here() {
    let steps = [
        Deliver { node: 0, mailbox: 0, delivery: None },
        Append { node: 7, mailbox: 0, count: 2 },
        Deliver { node: 6, mailbox: 0, delivery: None },
        Look { node: 1, mailbox: 0 },
        carry(4, 1, None, false),
        Copy { node: 8, mailbox: 0, place: 37, to: 0 },
        Append { node: 5, mailbox: 0, count: 3 },
        Deliver { node: 7, mailbox: 0, delivery: None },
        Exchange,
        Deliver { node: 8, mailbox: 0, delivery: None },
        Pass { milliseconds: 576 },
        Deliver { node: 10, mailbox: 0, delivery: None },
        Flag { node: 0, mailbox: 0, place: 8, flag: 0, set: false },
        Move { node: 6, mailbox: 0, place: 38, to: 0 },
        Exchange,
        Flag { node: 6, mailbox: 0, place: 45, flag: 0, set: true },
        Copy { node: 2, mailbox: 0, place: 9, to: 0 },
        Move { node: 3, mailbox: 0, place: 32, to: 0 },
        Carry { from: 3, to: 10, most: None, bodies: true, announcements_first: true },
        Visit { client: 1, node: 3, mailbox: 0 },
        Deliver { node: 10, mailbox: 0, delivery: None },
        carry(2, 0, Some(4), false),
        Visit { client: 1, node: 4, mailbox: 0 },
    ];
    holds(131_265, 4, &steps);
}

/// It had leapt, though not as far as the life that was lost, two of whose placements came back to it: it placed the next one where
/// that life had placed a third, of which nobody knew.
#[test]
fn a_life_that_gets_what_its_disk_has_lost_places_nothing_above_it() {
    let steps = [
        Backup { node: 5 },
        Deliver { node: 11, mailbox: 0, delivery: None },
        Restart { node: 11, continues: false },
        Pass { milliseconds: 121_809 },
        Flag { node: 5, mailbox: 0, place: 2, flag: 0, set: false },
        Backup { node: 1 },
        carry(5, 6, None, true),
        Deliver { node: 5, mailbox: 0, delivery: None },
        Kill { node: 10 },
        Expunge { node: 7, mailbox: 0, place: 51 },
        Deliver { node: 10, mailbox: 0, delivery: None },
        RollBack { copy: 2 },
        Append { node: 9, mailbox: 0, count: 3 },
    ];
    holds(13_246, 3, &steps);
}

/// The disk was put back, the node went on in another slot where nobody looked, and started once more: what had come in between
/// counted as known before the start, and was shown below what clients of the lost life had been told.
#[test]
fn a_start_does_not_spare_the_leap_over_a_loss_before_it() {
    let steps = [
        Backup { node: 5 },
        Deliver { node: 8, mailbox: 0, delivery: None },
        Exchange,
        Backup { node: 10 },
        Append { node: 7, mailbox: 0, count: 3 },
        Move { node: 6, mailbox: 0, place: 10, to: 0 },
        Exchange,
        Deliver { node: 9, mailbox: 0, delivery: None },
        RollBack { copy: 7 },
        Exchange,
        Exchange,
        Pass { milliseconds: 612 },
        RollBack { copy: 0 },
        Carry { from: 6, to: 8, most: Some(5), bodies: true, announcements_first: false },
        Exchange,
        Restart { node: 10, continues: false },
    ];
    holds(46_239, 4, &steps);
}

/// A client had a mailbox open that was renamed elsewhere, and bumped here before that was heard of: the name did not remember its
/// UIDVALIDITY, and went to another mailbox with a lesser one.
#[test]
fn a_name_remembers_what_is_open_when_it_comes_to_it() {
    let steps = [
        Join { at: 4, parted: false },
        Bump { node: 7, mailbox: 2 },
        Look { node: 3, mailbox: 2 },
        Create { node: 2, mailbox: 3 },
        Rename { node: 4, mailbox: 2, to: 3 },
    ];
    holds(279_175, 3, &steps);
}

/// Whoever accepted the message and moved it in its next life was lost, and only the move had been told.
#[test]
fn a_message_of_which_only_a_move_survives_is_not_waited_for() {
    let steps = [
        Join { at: 6, parted: false },
        Join { at: 2, parted: false },
        Deliver { node: 7, mailbox: 0, delivery: None },
        Look { node: 11, mailbox: 0 },
        Restart { node: 3, continues: false },
        Move { node: 11, mailbox: 0, place: 3, to: 1 },
        carry(7, 10, Some(3), true),
        Kill { node: 11 },
    ];
    holds(367_432, 2, &steps);
}
