//! Everything at once, as a seed decides; and twice the same.

use crate::trace::Trace;
use crate::world::{World, seeds};

/// So many things happen.
const STEPS: usize = 60;

/// What a seed brings about in a cluster of two that a third node joins.
fn play(seed: u64) -> Trace {
    let mut world = World::new(seed, 2, 1);
    let mut is_invited = false;
    for _ in 0..STEPS {
        is_invited |= step(&mut world, is_invited);
        let milliseconds = world.chance.below(500) as u64;
        world.run(milliseconds);
    }
    world.mend_everything();
    if !is_invited {
        world.until("a token is given", 20_000, |world| world.invite(0, 2));
    }
    world.until("everybody has joined", 60_000, |world| world.life(2).is_some());
    world.settle(40_000);
    world.trace.clone()
}

/// One thing that happens; says whether it was the invitation.
fn step(world: &mut World, is_invited: bool) -> bool {
    let pairs = world.pairs();
    let (a, b) = pairs[world.chance.below(pairs.len())];
    let node = world.chance.below(world.machines.len());
    match world.chance.below(20) {
        0..=8 => {
            let length = world.chance.below(50_000);
            world.deliver(node, length);
        }
        9 => world.cut(a, b),
        10 => world.cut_one_way(a, b),
        11 => world.cut_one_way(b, a),
        12..=13 => world.mend(a, b),
        14 => {
            let thousandths = world.chance.below(80);
            world.lose(a, b, thousandths);
        }
        15 => {
            let milliseconds = 1 + world.chance.below(200) as u64;
            world.delay(a, b, milliseconds);
        }
        16 => world.look(node),
        17..=18 if world.is_running(node) => world.crash(node),
        17..=18 => world.start(node),
        _ if !is_invited => return world.invite(node % 2, 2),
        _ => {}
    }
    false
}

#[test]
fn whatever_happens_nothing_is_lost_and_a_seed_gives_one_trace() {
    for seed in seeds() {
        let (first, second) = (play(seed), play(seed));
        if let Some(difference) = first.difference(&second) {
            panic!("seed {seed} gave two traces, {difference}");
        }
    }
}
