//! Nodes that lose power and come back on what their disks kept.

use crate::world::{World, seeds};

#[test]
fn a_node_comes_back_after_a_loss_of_power_with_what_it_accepted() {
    for seed in seeds() {
        let mut world = World::new(seed, 2, 0);
        world.until("linked", 2_000, |world| (0..2).all(|node| world.is_linked(node)));
        for _ in 0..3 {
            (0..2).for_each(|node| world.deliver(node, 30_000));
            // Some of it is on its way, some is not committed.
            let milliseconds = world.chance.below(60) as u64;
            world.run(milliseconds);
            world.crash(1);
            world.deliver(0, 1_000);
            let milliseconds = world.chance.below(4_000) as u64;
            world.run(milliseconds);
            world.start(1);
            world.until("linked again", 6_000, |world| (0..2).all(|node| world.is_linked(node)));
        }
        world.settle(15_000);
        assert!(world.accepted() >= 6);
    }
}

/// The one that stayed still has the old connection, and would wait for the end of the silence; the one that is back dials it anew.
#[test]
fn a_node_that_is_back_at_once_is_linked_before_the_silence_is_over() {
    for seed in seeds() {
        let mut world = World::new(seed, 2, 0);
        world.until("linked", 2_000, |world| (0..2).all(|node| world.is_linked(node)));
        world.crash(1);
        world.start(1);
        world.run(100);
        world.until("linked again", 2_000, |world| (0..2).all(|node| world.is_linked(node)));
    }
}
