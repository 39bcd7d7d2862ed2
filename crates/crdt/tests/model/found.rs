//! What the model found, each as the steps that led to it.

use super::world::Step::{self, *};
use super::world::{Left, Setting, World};
use super::{NOTHING, PAIR};

/// Goes through the steps, and to rest.
fn replay(setting: Setting, steps: &[Step]) {
    let mut world = World::new(setting);
    steps.iter().for_each(|step| world.go(*step));
    world.check_rest();
}

fn hear(to: usize, from: usize) -> Step {
    Receive { to, from }
}

/// A life showed a message, told so with a new HIGHESTMODSEQ, and the other node adopted that, and so told nothing itself. Then the
/// disk was put back to before that. The next life showed the same, under another value, and told it at a moment that was
/// not later: the other node passed it over, and the node itself took nothing from others that was told in its own slot. So each
/// kept its value for ever.
#[test]
fn equal_rows_have_equal_modseqs() {
    let left = Left { deliveries: 3, crashes: 1, rollbacks: 1, bumps: 1, ..NOTHING };
    let steps = [
        Deliver(0),
        Crash(1),
        hear(1, 0),
        Save(1),
        Bump(0),
        hear(1, 0),
        hear(0, 1),
        hear(1, 0),
        hear(0, 1),
        RollBack(1),
        hear(1, 0),
        hear(0, 1),
        hear(1, 0),
    ];
    replay(Setting { left, ..PAIR }, &steps);
}
