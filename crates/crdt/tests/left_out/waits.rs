//! Rules 3, 4, 6 and 7: every courtesy ends. Who is waited for cannot do it, and the mail must not wait for that.

use super::*;

pub const STORIES: &[Story] = &[
    Story { name: "the first in turn has no body", tell: first_has_no_body },
    Story { name: "a lower body that does not come", tell: body_does_not_come },
    Story { name: "the placer hears nothing", tell: placer_is_deaf },
    Story { name: "a meeting that does not end", tell: endless_meeting },
    Story { name: "a reissue that comes late as well", tell: late_again },
    Story { name: "MAILBOXID after a bump", tell: another_object },
];

/// What a client of a node waits for.
fn expect_shown(world: &World, node: usize, count: usize, why: &str) -> Checked {
    let shown = world.rows(node, INBOX)?.len();
    expect(shown == count, || format!("waits: n{node} shows {shown} messages, not {count}, {why}"))
}

fn first_has_no_body() -> Checked {
    let mut world = World::new(3)?;
    world.tell(&[look(0), look(1), Step::Exchange, deliver(2), carry_bare(2, 0), carry(2, 1), pass(700)])?;
    expect_shown(&world, 1, 1, "while the first in turn lacks the body")
}

fn body_does_not_come() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange, deliver(0), carry_bare(0, 1), deliver(0)])?;
    world.tell(&[carry(0, 1), pass(2_500)])?;
    expect_shown(&world, 1, 1, "while a lower one has no body")
}

fn placer_is_deaf() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), part(0), deliver(0), deliver(1), Step::HealAll])?;
    world.tell(&[Step::Cut { from: 1, to: 0, both_ways: false }])?;
    for _ in 0..4 {
        world.tell(&[carry(0, 1), pass(700)])?;
    }
    expect_shown(&world, 1, 2, "while the placer hears nothing of it")
}

/// Of what the other had when they met, only the first record comes.
fn endless_meeting() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[
        look(0),
        look(1),
        part(0),
        pass(3_000),
        deliver(0),
        deliver(0),
        deliver(1),
        Step::HealAll,
    ])?;
    let first = Step::Carry { from: 0, to: 1, most: Some(1), bodies: true, announcements_first: false };
    world.tell(&[first, Step::Cut { from: 1, to: 0, both_ways: true }])?;
    for _ in 0..4 {
        world.tell(&[pass(700)])?;
    }
    expect_shown(&world, 1, 2, "while the meeting goes on")
}

fn another_object() -> Checked {
    let mut world = World::new(1)?;
    world.tell(&[look(0), deliver(0)])?;
    let before = world.view(0, INBOX)?;
    world.tell(&[Step::Bump { node: 0, mailbox: INBOX }, look(0)])?;
    let after = world.view(0, INBOX)?;
    expect(before.validity < after.validity, || "the story needs a bump".to_owned())?;
    expect(before.object != after.object, || {
        "rule 9: a mailbox that was bumped has the same MAILBOXID".to_owned()
    })
}

/// The first node reissues what the second could not show; meanwhile a client of the second is told a UID above. It is the turn of
/// the first again.
fn late_again() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange, part(0), deliver(0)])?;
    let late = world.rows(0, INBOX)?.first().map(|(_, entry)| *entry);
    for _ in 0..64 {
        world.tell(&[deliver(1)])?;
    }
    world.tell(&[Step::HealAll, carry(0, 1), pass(400), carry(1, 0)])?;
    world.tell(&[Step::Append { node: 1, mailbox: INBOX, count: 1 }, carry(0, 1), pass(200)])?;
    let shown = world.rows(1, INBOX)?;
    expect(!shown.iter().any(|(_, entry)| Some(*entry) == late), || {
        "cost: both nodes reissue at once what came late again".to_owned()
    })
}
