//! Rules 1 and 2 where nodes join.

use super::*;

pub const STORIES: &[Story] = &[
    Story { name: "a node joins where another is apart", tell: join_below },
    Story { name: "two invite apart", tell: two_inviters },
    Story { name: "a disk that was put back invites again", tell: invites_again },
    Story { name: "a disk that was put back needs a slot", tell: takes_a_slot },
    Story { name: "a member has granted all its slots", tell: grants_all },
    Story { name: "a late member is apart", tell: late_member },
    Story { name: "the last of many takes turns with the first", tell: last_of_many },
];

/// A slot is granted whose number lies below that of a node which does not hear of it.
fn join_below() -> Checked {
    let mut world = World::new(2)?;
    let Some(high) = world.join(1)? else { return violated("node 1 has no slots") };
    world.tell(&[Step::Exchange, Step::Exchange, pass(3_000)])?;
    for other in [0, 1] {
        world.cut.extend([(high, other), (other, high)]);
    }
    let Some(low) = world.join(0)? else { return violated("node 0 has no slots") };
    world.cut.extend([(high, low), (low, high)]);
    world.tell(&[Step::Exchange, Step::Exchange])?;
    // The first record of the new life reaches the node that is apart, which so confirms it, and nothing else.
    let life = world.nodes[low].life.author().incarnation;
    let start: Vec<_> = world.nodes[low].disk.log.get(&life).into_iter().flatten().take(1).cloned().collect();
    if let Err(error) = world.wake(high).apply(start, |_| true) {
        return violated(error.to_string());
    }
    world.commit(high)?;
    if let Some(verdict) = world.verdict(high, low) {
        let slot = world.nodes[high].slot();
        world.wake(low).take_verdict(slot, verdict);
        world.commit(low)?;
    }
    expect(world.nodes[low].life.is_confirmed(), || "the story needs a confirmed life".to_owned())?;
    let (low, high) = (low as u8, high as u8);
    world.tell(&[look(low), look(high), deliver(high), deliver(low)])
}

fn distinct_slots(world: &World) -> Checked {
    let mut slots: Vec<_> = world.nodes.iter().map(|node| node.slot()).collect();
    slots.sort_unstable();
    let all = slots.clone();
    slots.dedup();
    expect(slots.len() == world.nodes.len(), || format!("U1: two machines in one slot: {all:?}"))
}

fn two_inviters() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[part(0)])?;
    world.join(0)?;
    world.join(1)?;
    distinct_slots(&world)
}

fn invites_again() -> Checked {
    let mut world = World::new(2)?;
    let copy = world.nodes[1].disk.clone();
    world.join(1)?;
    world.tell(&[part(1)])?;
    world.put_back(1, &copy)?;
    world.tell(&[part(1), pass(3_000)])?;
    world.join(1)?;
    distinct_slots(&world)
}

fn takes_a_slot() -> Checked {
    let mut world = World::new(2)?;
    let copy = world.nodes[1].disk.clone();
    world.join(1)?;
    world.tell(&[Step::Exchange])?;
    world.put_back(1, &copy)?;
    world.tell(&[carry(1, 0), judge(0, 1), pass(700)])?;
    distinct_slots(&world)?;
    world.tell(&[Step::Exchange, Step::Exchange, pass(700)])?;
    distinct_slots(&world)
}

fn grants_all() -> Checked {
    let mut world = World::new(2)?;
    while world.wake(1).grant().is_some() {}
    world.commit(1)?;
    world.tell(&[Step::Exchange, Step::Exchange])?;
    expect(world.wake(1).grant().is_some(), || "rule 2: node 1 can invite nobody any more".to_owned())
}

/// What a node spends of the UIDs of a mailbox that is older than it is, while it is apart.
fn late_member() -> Checked {
    let mut world = World::new(2)?;
    let Some(late) = world.join(1)? else { return violated("node 1 has no slots") };
    world.tell(&[Step::Exchange, Step::Exchange, part(late as u8), look(late as u8)])?;
    for _ in 0..3 {
        world.tell(&[Step::Append { node: late as u8, mailbox: INBOX, count: 64 }])?;
    }
    let spent = world.view(late, INBOX)?.uid_next.0;
    expect(spent < 1 << 16, || format!("cost: {spent} UIDs are spent for 192 messages"))
}

/// What two nodes spend that take turns in a mailbox in which the blocks of one lie far apart.
fn last_of_many() -> Checked {
    let mut world = World::new(3)?;
    let Some(last) = world.join(0)? else { return violated("node 0 has no slots") };
    world.tell(&[Step::Exchange, Step::Exchange, look(0), look(last as u8), Step::Exchange])?;
    for _ in 0..8 {
        for node in [0, last as u8] {
            // Out to whoever places it, and back, before the courtesy ends.
            world.tell(&[deliver(node), Step::Exchange, Step::Exchange, pass(700)])?;
        }
    }
    world.calm_down()?;
    let spent = world.view(0, INBOX)?.uid_next.0;
    expect(spent < 1 << 11, || format!("cost: {spent} UIDs are spent after 8 turns"))
}
