//! Nodes that find each other, and what then goes to and fro.

use crate::world::{World, seeds};

#[test]
fn two_nodes_link_up_and_have_each_others_mail() {
    for seed in seeds() {
        let mut world = World::new(seed, 2, 0);
        let took = world.until("linked", 2_000, |world| (0..2).all(|node| world.is_linked(node)));
        assert!(took > 0, "nobody is linked before the first packet");
        for number in 0..10 {
            world.deliver(0, 100 * number);
            world.deliver(1, 3_000);
            world.run(20);
        }
        // Fetched in pieces, and not in order: datagrams overtake each other.
        world.deliver(0, 400_000);
        world.run(100);
        assert_eq!(world.accepted(), 21);
        world.until("everything is on both sides", 5_000, |world| world.has_converged());
        world.settle(10_000);
    }
}

#[test]
fn three_nodes_have_everything_of_each_other() {
    for seed in seeds() {
        let mut world = World::new(seed, 3, 0);
        (0..3).for_each(|node| world.deliver(node, 10_000));
        world.until("linked", 3_000, |world| (0..3).all(|node| world.is_linked(node)));
        (0..3).for_each(|node| world.deliver(node, 80_000));
        world.settle(15_000);
        assert_eq!(world.accepted(), 3, "who does not run yet takes no mail");
    }
}
