//! MODSEQ: clients that come back, to this node or another, after what happened meanwhile.

use super::*;

pub const STORIES: &[Story] = &[
    Story { name: "merged and not visible", tell: merged_and_invisible },
    Story { name: "values of two lives in one slot", tell: two_lives },
    Story { name: "a value of a life that is lost", tell: lost_value },
    Story { name: "a start with the clock behind", tell: clock_behind },
    Story { name: "bodies that do not come", tell: waiting_on_both },
    Story { name: "flags while nobody looked", tell: accepted_before },
];

fn visit(node: u8) -> Step {
    Step::Visit { client: 0, node, mailbox: INBOX }
}

fn read(node: u8) -> Step {
    Step::Flag { node, mailbox: INBOX, place: 0, flag: 0, set: true }
}

fn merged_and_invisible() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange, deliver(0)])?;
    world.calm_down()?;
    world.tell(&[deliver(0), carry_bare(0, 1), read(1), visit(1), carry(1, 0), pass(50), visit(0)])
}

/// Two lives run from one copy; the client is at the one that did not see the message, and goes to a node that knows the other.
fn two_lives() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), Step::Exchange, deliver(0)])?;
    world.calm_down()?;
    let copy = world.nodes[1].disk.clone();
    let twin = world.start_twin(1, &copy)?;
    let other = twin as u8;
    world.tell(&[Step::Restart { node: 1, continues: false }, Step::Exchange, Step::Exchange])?;
    world.tell(&[deliver(0), carry(0, 1), look(1), carry(1, 0), pass(3_000)])?;
    world.tell(&[look(other), read(other), visit(other), pass(10), read(1), carry(1, 0)])?;
    // The other life is heard of, and then something more of this one.
    let life = world.nodes[twin].life.author().incarnation;
    let start: Vec<_> =
        world.nodes[twin].disk.log.get(&life).into_iter().flatten().take(1).cloned().collect();
    if let Err(error) = world.wake(0).apply(start, |_| true) {
        return violated(error.to_string());
    }
    world.commit(0)?;
    world.tell(&[Step::Flag { node: 1, mailbox: INBOX, place: 0, flag: 1, set: true }, carry(1, 0), visit(0)])
}

fn lost_value() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(1), deliver(1), part(1)])?;
    let copy = world.nodes[1].disk.clone();
    world.tell(&[expunge(1), visit(1)])?;
    world.put_back(1, &copy)?;
    world.tell(&[part(1), visit(1)])
}

fn clock_behind() -> Checked {
    let mut world = World::new(1)?;
    world.tell(&[look(0), deliver(0), visit(0), Step::SetClock { node: 0, off_seconds: -100 }])?;
    world.tell(&[Step::Restart { node: 0, continues: false }, look(0), deliver(0), visit(0)])
}

fn accepted_before() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), deliver(0), Step::Exchange, deliver(1), pass(100), read(0), visit(0)])?;
    world.tell(&[carry(1, 0), pass(700), visit(0)])
}

fn waiting_on_both() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange, part(0), deliver(0), deliver(1), Step::HealAll])?;
    let mut values = Vec::new();
    for _ in 0..20 {
        world.tell(&[carry_bare(0, 1), carry_bare(1, 0), pass(1_000)])?;
        values.push(world.view(0, INBOX)?.highest_modseq);
    }
    values.dedup();
    expect(values.len() < 10, || format!("cost: {} values of HIGHESTMODSEQ in 20 rounds", values.len()))
}
