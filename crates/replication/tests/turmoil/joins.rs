//! Nodes that join while the network and the inviter fail.

use crate::world::{World, seeds};

#[test]
fn a_node_joins_and_has_everything() {
    for seed in seeds() {
        let mut world = World::new(seed, 2, 1);
        (0..20).for_each(|_| {
            world.run(50);
            world.deliver(0, 5_000);
        });
        world.until("a token is given", 5_000, |world| world.invite(0, 2));
        world.until("it serves", 10_000, |world| world.life(2).is_some());
        world.deliver(2, 5_000);
        world.settle(20_000);
        assert!((0..3).all(|node| world.is_linked(node)), "it is a member like the others");
    }
}

#[test]
fn a_join_that_breaks_off_goes_on_with_the_same_token() {
    for seed in seeds() {
        let mut world = World::new(seed, 1, 1);
        world.run(100);
        (0..20).for_each(|_| world.deliver(0, 5_000));
        world.run(20);
        world.until("a token is given", 5_000, |world| world.invite(0, 1));
        let milliseconds = 50 + world.chance.below(200) as u64;
        world.run(milliseconds);
        world.cut(0, 1);
        world.run(1_000);
        world.mend(0, 1);
        let milliseconds = world.chance.below(1_000) as u64;
        world.run(milliseconds);
        let node = world.chance.below(2);
        world.crash(node);
        world.run(500);
        world.start(node);
        // It may have waited for an answer that never came.
        world.until("it serves", 45_000, |world| world.life(1).is_some());
        world.settle(20_000);
    }
}
