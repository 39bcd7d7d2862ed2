//! Rules 1 and 3 to 6: who gives which number when.

use super::*;

pub const STORIES: &[Story] = &[
    Story { name: "a copy in the mailbox of its original", tell: copy_in_place },
    Story { name: "two placed, none shown yet", tell: placed_and_not_shown },
    Story { name: "a restart after the last message went", tell: restart_without_messages },
    Story { name: "mail where nobody looks", tell: nobody_looks },
    Story { name: "mail from a node without clients", tell: two_look_elsewhere },
    Story { name: "what is held, without a wait", tell: held_is_told },
    Story { name: "a body that is long in coming", tell: late_body },
    Story { name: "a small message after a large one", tell: small_after_large },
    Story { name: "announcements before records", tell: announced_first },
    Story { name: "announcements of a node where something waits", tell: announced_while_waiting },
    Story { name: "announcements before bodies", tell: announced_without_body },
    Story { name: "an announcement by way of a third node", tell: forwarded },
];

fn copy_in_place() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), deliver(0)])?;
    let before = world.rows(0, INBOX)?;
    world.tell(&[Step::Copy { node: 0, mailbox: INBOX, place: 0, to: INBOX }])?;
    world.calm_down()?;
    let after = world.rows(0, INBOX)?;
    expect(after.len() == 2 && after.starts_with(&before), || {
        format!("U3: {before:?} and a copy are {after:?}")
    })
}

fn placed_and_not_shown() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), deliver(0), carry_bare(0, 1)])?;
    // Each is placed above the other, while the body of the first one of all is still on its way.
    world.tell(&[deliver(1), carry(1, 0), deliver(1), Step::Bodies { node: 1 }])?;
    world.come_to_rest()
}

fn restart_without_messages() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), deliver(0), expunge(0), Step::Restart { node: 0, continues: false }])?;
    world.tell(&[Step::Glance { node: 0, mailbox: INBOX }])
}

fn nobody_looks() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), part(0)])?;
    for _ in 0..5 {
        world.tell(&[deliver(0), deliver(1)])?;
    }
    world.calm_down()?;
    world.tell(&[look(1)])?;
    world.calm_down()?;
    let in_vain = world.in_vain(0, INBOX)?;
    expect(in_vain == 0, || format!("U7: {in_vain} of 10 messages renumbered where one side looked"))
}

fn two_look_elsewhere() -> Checked {
    let mut world = World::new(3)?;
    world.tell(&[look(0), look(1), Step::Exchange])?;
    for _ in 0..4 {
        world.tell(&[deliver(2), carry(2, 1), carry(2, 0)])?;
    }
    world.calm_down()?;
    let in_vain = world.in_vain(0, INBOX)?;
    expect(in_vain == 0, || format!("cost: {in_vain} of 4 messages were placed twice"))
}

fn held_is_told() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), part(0), deliver(0), deliver(1), Step::HealAll])?;
    for _ in 0..3 {
        world.tell(&[Step::Exchange])?;
    }
    let (here, there) = (world.rows(0, INBOX)?, world.rows(1, INBOX)?);
    expect(here == there && here.len() == 2, || format!("U4: {here:?}, and without a word {there:?}"))
}

fn late_body() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange, part(0), deliver(0), deliver(1), Step::HealAll])?;
    world.tell(&[carry_bare(0, 1), carry(1, 0)])?;
    for _ in 0..5 {
        let append = Step::Append { node: 1, mailbox: INBOX, count: 1 };
        world.tell(&[append, carry(1, 0), carry_bare(0, 1), pass(3_000)])?;
    }
    world.tell(&[Step::Bodies { node: 1 }])?;
    world.calm_down()?;
    let in_vain = world.in_vain(0, INBOX)?;
    expect(in_vain <= 1, || format!("cost: a message without a body got {in_vain} UIDs in vain"))
}

fn small_after_large() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange, deliver(0), carry_bare(0, 1), deliver(0)])?;
    world.tell(&[carry(0, 1), pass(900), Step::Bodies { node: 1 }])?;
    world.calm_down()?;
    let in_vain = world.in_vain(0, INBOX)?;
    expect(in_vain == 0, || "cost: the large message was overtaken and renumbered".to_owned())
}

fn announced_first() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange])?;
    let announcements = Step::Carry { from: 0, to: 1, most: None, bodies: true, announcements_first: true };
    for _ in 0..5 {
        world.tell(&[deliver(0), announcements, Step::Exchange])?;
    }
    world.calm_down()?;
    let in_vain = world.in_vain(0, INBOX)?;
    expect(in_vain == 0, || format!("cost: {in_vain} of 5 messages renumbered that were announced"))
}

/// The body of one message never came to a node. What that node announced covered no record after it, and was adopted before
/// the placements were there that it had shown: all were late, given anew, and late again, without end.
fn announced_while_waiting() -> Checked {
    let mut world = World::new(3)?;
    world.tell(&[look(0), look(1), look(2), Step::Exchange, deliver(0), carry_bare(0, 1), carry(0, 2)])?;
    world.tell(&[pass(3_000)])?;
    let announcements = Step::Carry { from: 1, to: 2, most: None, bodies: true, announcements_first: true };
    for _ in 0..5 {
        world.tell(&[deliver(0), carry(0, 1), announcements, carry(0, 2), carry(2, 0)])?;
    }
    world.calm_down()?;
    let in_vain = world.in_vain(0, INBOX)?;
    expect(in_vain == 0, || format!("cost: {in_vain} of 6 messages renumbered that were announced"))
}

fn announced_without_body() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange])?;
    for _ in 0..5 {
        world.tell(&[deliver(0), carry_bare(0, 1), pass(300), Step::Bodies { node: 1 }, Step::Exchange])?;
    }
    world.calm_down()?;
    let in_vain = world.in_vain(0, INBOX)?;
    expect(in_vain == 0, || format!("cost: {in_vain} of 5 messages renumbered that were announced"))
}

fn forwarded() -> Checked {
    let mut world = World::new(3)?;
    world.tell(&[look(0), look(2), Step::Exchange])?;
    world.tell(&[Step::Cut { from: 0, to: 2, both_ways: true }, deliver(0), expunge(0)])?;
    for _ in 0..3 {
        world.tell(&[carry(0, 1), carry(1, 2), pass(700)])?;
    }
    let (there, here) = (world.view(0, INBOX)?.uid_next, world.view(2, INBOX)?.uid_next);
    expect(here >= there, || format!("U5: from UIDNEXT {there} to {here} by way of a third node"))
}
