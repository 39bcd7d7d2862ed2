//! Courtesies that save UIDs and reissues: nothing breaks without them, it costs more.

use super::*;

pub const STORIES: &[Story] = &[
    Story { name: "three nodes meet, one by one", tell: meet },
    Story { name: "a mailbox that is busy on two nodes", tell: busy },
];

/// What a load may cost: with the rules it costs less than half of it.
fn below(world: &World, bound: usize, messages: usize) -> Checked {
    let in_vain = world.in_vain(0, INBOX)?;
    expect(in_vain < bound, || format!("cost: {in_vain} UIDs in vain for {messages} messages"))
}

/// A node hears that its messages are late before it hears of what they are late for.
fn meet() -> Checked {
    let mut world = World::new(3)?;
    world.tell(&[look(0), look(1), look(2), Step::Exchange, part(0)])?;
    for _ in 0..4 {
        world.tell(&[deliver(0)])?;
    }
    for _ in 0..70 {
        world.tell(&[deliver(1)])?;
    }
    world.tell(&[pass(3_000), carry(1, 2), Step::HealAll, carry(0, 2), judge(2, 0)])?;
    world.hear_of_life(0, 2)?;
    world.calm_down()?;
    below(&world, 8, 74)
}

fn busy() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange])?;
    for _ in 0..40 {
        world.tell(&[deliver(0), deliver(1), pass(40), carry(0, 1), carry(1, 0), pass(40)])?;
    }
    world.calm_down()?;
    below(&world, 20, 80)
}
