//! Links that are cut, both ways or one, and mended.

use crate::world::{World, seeds};

/// A cut is noticed within the time without a sign after which a link is given up, and a little.
const NOTICED: u64 = 3_500;
/// A mended link is in use within an attempt to dial that was under way, and the next one.
const RECONNECTED: u64 = 5_000;

fn linked(world: &mut World) -> bool {
    (0..world.machines.len()).all(|node| world.is_linked(node))
}

#[test]
fn who_is_cut_off_goes_on_alone_and_everything_meets_afterwards() {
    for seed in seeds() {
        let mut world = World::new(seed, 3, 0);
        world.until("linked", 3_000, linked);
        world.cut(0, 1);
        world.cut(0, 2);
        world.until("the cut is noticed", NOTICED, |world| world.is_alone(0) && !world.is_linked(1));
        for _ in 0..5 {
            (0..3).for_each(|node| world.deliver(node, 2_000));
            world.run(100);
        }
        assert_eq!(world.accepted(), 15);
        assert!(!world.has_converged());
        world.mend(0, 1);
        world.mend(0, 2);
        world.until("linked again", RECONNECTED, linked);
        world.settle(15_000);
    }
}

#[test]
fn a_third_node_passes_on_what_two_cannot_tell_each_other() {
    for seed in seeds() {
        let mut world = World::new(seed, 3, 0);
        world.until("linked", 3_000, linked);
        world.cut(0, 1);
        world.until("the cut is noticed", NOTICED, |world| !world.is_linked(0) && !world.is_linked(1));
        (0..2).for_each(|node| world.deliver(node, 100_000));
        world.settle(15_000);
        assert!(!world.is_linked(0), "the link is cut to the end");
    }
}

#[test]
fn a_link_that_carries_one_way_alone_is_given_up_and_mended() {
    for seed in seeds() {
        let mut world = World::new(seed, 2, 0);
        world.until("linked", 2_000, linked);
        world.cut_one_way(0, 1);
        world.until("both notice", 2 * NOTICED, |world| world.is_alone(0) && world.is_alone(1));
        (0..2).for_each(|node| world.deliver(node, 5_000));
        // Every attempt to dial gets half way.
        world.run(3_000);
        assert!(world.is_alone(0) && world.is_alone(1));
        world.mend(0, 1);
        world.until("linked again", RECONNECTED, linked);
        world.settle(15_000);
    }
}
