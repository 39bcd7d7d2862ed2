//! Networks that lose and delay.

use crate::world::{World, seeds};

#[test]
fn mail_gets_through_loss_and_delay() {
    for seed in seeds() {
        let mut world = World::new(seed, 2, 0);
        world.lose(0, 1, 30);
        world.delay(0, 1, 150);
        for _ in 0..10 {
            (0..2).for_each(|node| world.deliver(node, 20_000));
            world.run(300);
        }
        // It does not get any better.
        world.settle(40_000);
    }
}
