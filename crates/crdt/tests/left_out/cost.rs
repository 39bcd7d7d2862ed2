//! Courtesies that save UIDs and reissues: nothing breaks without them, it costs more.

use super::*;

pub const STORIES: &[Story] = &[
    Story { name: "three nodes meet, one by one", tell: meet },
    Story { name: "a mailbox that is busy on two nodes", tell: busy },
    Story { name: "clients append to a mailbox on two nodes", tell: appended },
    Story { name: "clients append on two nodes and select nothing", tell: unselected },
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

/// Two clients append at the same time, and each with its next message once it has the UID of the last, for `rounds` of 80 ms.
fn append_on_both(world: &mut World, rounds: usize) -> Checked {
    let mut appended = 0;
    for _ in 0..rounds {
        for node in 0..2 {
            if world.nodes[usize::from(node)].unanswered.is_empty() {
                world.tell(&[Step::AppendInTurn { node, mailbox: INBOX, count: 1 }])?;
                appended += 1;
            }
        }
        world.tell(&[pass(40), carry(0, 1), carry(1, 0), pass(40)])?;
    }
    world.calm_down()?;
    expect(appended > 60, || format!("cost: {appended} messages in {rounds} round trips"))?;
    below(world, 20, appended)
}

fn appended() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange])?;
    append_on_both(&mut world, 60)
}

fn unselected() -> Checked {
    append_on_both(&mut World::new(2)?, 60)
}
