//! Rule 9: UIDVALIDITY, founding records, and the end of the UIDs.

use peerpost_crdt::identity::Validity;
use peerpost_crdt::placement::surroundings::OnReorder;

use super::*;

pub const STORIES: &[Story] = &[
    Story { name: "one name born on two sides", tell: born_twice },
    Story { name: "bumped on two sides", tell: bumped_twice },
    Story { name: "bumped while the other side delivers", tell: bumped_and_delivered },
    Story { name: "bumped on two sides at once", tell: bumped_at_once },
    Story { name: "an older mailbox comes to a name", tell: older_comes },
    Story { name: "a name that another mailbox leaves", tell: name_is_left },
    Story { name: "a founding record and nothing else", tell: record_alone },
    Story { name: "an APPEND before the bodies of a numbering", tell: append_before_bodies },
    Story { name: "a placement before its founding record", tell: placement_first },
    Story { name: "a cold backup started twice, and bumped", tell: founded_twice },
    Story { name: "two bumps within a second", tell: two_bumps },
    Story { name: "uid.on_reorder", tell: on_reorder },
    Story { name: "uid.reissue_limit", tell: reissue_limit },
    Story { name: "uid.reissue_limit, and a placer that hears nothing", tell: limit_of_another },
    Story { name: "uid.reissue_limit, and a large mailbox that is busy", tell: busy_and_large },
    Story { name: "a hundred starts alone", tell: many_leaps },
];

fn look_at(node: u8, mailbox: u8) -> Step {
    Step::Look { node, mailbox }
}

fn create(node: u8, mailbox: u8) -> Step {
    Step::Create { node, mailbox }
}

fn born_twice() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[part(0), create(1, OTHER), deliver_to(1, OTHER), look_at(1, OTHER), pass(200_000)])?;
    world.tell(&[create(0, OTHER), deliver_to(0, OTHER), look_at(0, OTHER)])?;
    let greater = world.view(0, OTHER)?.validity.max(world.view(1, OTHER)?.validity);
    world.calm_down()?;
    world.tell(&[look_at(0, OTHER), look_at(1, OTHER)])?;
    world.calm_down()?;
    for node in 0..2 {
        let (validity, rows) = (world.view(node, OTHER)?.validity, world.rows(node, OTHER)?);
        expect(rows.len() == 2, || format!("lost: mail of a mailbox created on two sides: {rows:?}"))?;
        expect(validity == greater, || {
            format!("rule 9: the greater side had {greater:?} and was bumped to {validity:?}")
        })?;
    }
    Ok(())
}

fn bumped_twice() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange, part(0)])?;
    let bump = |node| Step::Bump { node, mailbox: INBOX };
    world.tell(&[bump(0), pass(2_000), bump(1)])?;
    let greater = world.view(0, INBOX)?.validity.max(world.view(1, INBOX)?.validity);
    world.calm_down()?;
    let (here, there) = (world.view(0, INBOX)?.validity, world.view(1, INBOX)?.validity);
    expect((here, there) == (greater, greater), || {
        format!("U6: after concurrent bumps to at most {greater:?} there are {here:?} and {there:?}")
    })
}

/// Each side gives the number 1, in epochs of its own; the message that has it in the new one comes later than its number.
fn bumped_and_delivered() -> Checked {
    let mut world = World::new(3)?;
    world.tell(&[look(0), part(0), deliver(0), deliver(1), carry(1, 2)])?;
    world.tell(&[Step::Bump { node: 2, mailbox: INBOX }, look(2), Step::HealAll])?;
    world.hear_of_life(0, 2)?;
    world.come_to_rest()
}

fn bumped_at_once() -> Checked {
    let mut world = World::new(2)?;
    let bump = |node| Step::Bump { node, mailbox: INBOX };
    world.tell(&[look(0), look(1), part(0), deliver(0), deliver(1), bump(0), bump(1)])?;
    world.come_to_rest()
}

fn older_comes() -> Checked {
    let mut world = World::new(1)?;
    world.tell(&[create(0, OTHER), look_at(0, OTHER), pass(200_000), look_at(0, WORK)])?;
    world.tell(&[
        Step::Delete { node: 0, mailbox: WORK },
        Step::Rename { node: 0, mailbox: OTHER, to: WORK },
    ])?;
    world.tell(&[Step::Glance { node: 0, mailbox: WORK }])
}

fn named<T, E: std::fmt::Display>(result: Result<T, E>) -> Checked<T> {
    result.map_err(|error| Violation(error.to_string()))
}

fn name_is_left() -> Checked {
    let mut world = World::new(2)?;
    for name in ["late", "later"] {
        named(world.wake(0).create_mailbox(account(), name, None))?;
        world.commit(0)?;
    }
    world.tell(&[Step::Exchange, Step::Exchange, part(0), pass(1_000)])?;
    // Both go to one name, apart. "late" is bumped under its old name by the side that has not heard of it.
    named(world.wake(0).rename_mailbox(account(), "late", NAMES[usize::from(OTHER)]))?;
    world.commit(0)?;
    let late = world.mailbox(1, "late")?;
    named(world.wake(1).bump(account(), late))?;
    world.witness.asked_for = true;
    world.glance(1, late)?;
    named(world.wake(1).rename_mailbox(account(), "later", NAMES[usize::from(OTHER)]))?;
    world.commit(1)?;
    world.tell(&[Step::HealAll, Step::Exchange, Step::Exchange, Step::Glance { node: 0, mailbox: OTHER }])?;
    // The one that has the name goes; the other one, with its lesser UIDVALIDITY, comes to it.
    world.tell(&[Step::Delete { node: 0, mailbox: OTHER }, Step::Glance { node: 0, mailbox: OTHER }])
}

fn record_alone() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange])?;
    for _ in 0..5 {
        world.tell(&[deliver(0), deliver(1), Step::Exchange])?;
    }
    world.calm_down()?;
    world.tell(&[Step::Bump { node: 0, mailbox: INBOX }])?;
    world.tell(&[Step::Carry { from: 0, to: 1, most: Some(1), bodies: true, announcements_first: false }])?;
    world.calm_down()?;
    let in_vain = world.in_vain(0, INBOX)?;
    expect(in_vain == 0, || format!("cost: {in_vain} of 10 messages were renumbered after a bump"))
}

fn append_before_bodies() -> Checked {
    let mut world = World::new(2)?;
    for _ in 0..130 {
        world.tell(&[deliver(0)])?;
    }
    world.tell(&[Step::Bump { node: 0, mailbox: INBOX }, look(0)])?;
    world.hear_of_life(1, 0)?;
    world.tell(&[Step::Append { node: 1, mailbox: INBOX, count: 1 }])
}

fn placement_first() -> Checked {
    let mut world = World::new(3)?;
    world.tell(&[look(0), look(1), look(2), Step::Exchange])?;
    for _ in 0..10 {
        world.tell(&[deliver(0)])?;
    }
    world.calm_down()?;
    world.tell(&[Step::Bump { node: 0, mailbox: INBOX }, carry(0, 2), deliver(2)])?;
    // What node 2 wrote comes before what node 0 wrote.
    world.hear_of_life(1, 2)?;
    world.calm_down()?;
    let in_vain = world.in_vain(0, INBOX)?;
    expect(in_vain == 0, || format!("cost: {in_vain} of 11 messages were renumbered after a bump"))
}

fn founded_twice() -> Checked {
    let mut world = World::new(2)?;
    let copy = world.nodes[1].disk.clone();
    world.tell(&[part(1)])?;
    world.put_back(1, &copy)?;
    let twin = world.start_twin(1, &copy)? as u8;
    let bump = |node| Step::Bump { node, mailbox: INBOX };
    world.tell(&[part(1), pass(3_000), deliver(1), deliver(twin), bump(1), bump(twin)])?;
    world.tell(&[look(1), look(twin)])
}

fn two_bumps() -> Checked {
    let mut world = World::new(1)?;
    world.tell(&[look(0), Step::Bump { node: 0, mailbox: INBOX }])?;
    let before = world.view(0, INBOX)?.validity;
    world.tell(&[Step::Bump { node: 0, mailbox: INBOX }])?;
    let after = world.view(0, INBOX)?.validity;
    expect(after > before, || format!("U6: a bump led from {before:?} to {after:?}"))
}

fn on_reorder() -> Checked {
    let mut world = World::new(2)?.under(2, OnReorder::Bump);
    world.tell(&[look(0), look(1), Step::Exchange, part(0), deliver(0), deliver(1)])?;
    let before = world.view(0, INBOX)?.validity;
    world.calm_down()?;
    let after = world.view(0, INBOX)?.validity;
    expect(after > before, || format!("rule 9: a merge reordered, and UIDVALIDITY is still {after:?}"))
}

/// While they are apart the first of two nodes gets most of what is in a large mailbox then, and the second so much that all of it comes
/// late there.
fn large_on_two_sides() -> Checked<(World, MailboxId)> {
    let mut world = World::new(2)?;
    named(world.wake(0).create_mailbox(account(), "large", None))?;
    world.commit(0)?;
    let mailbox = world.mailbox(0, "large")?;
    world.glance(0, mailbox)?;
    world.tell(&[Step::Exchange, Step::Exchange])?;
    for node in 0..2 {
        named(world.wake(node).look(account(), mailbox))?;
        world.commit(node)?;
    }
    world.tell(&[Step::Exchange, part(0), pass(3_000)])?;
    for node in [1, 0] {
        for _ in 0..(if node == 0 { 600 } else { 420 }) {
            let new = world.new_message(node);
            named(world.wake(node).deliver(account(), mailbox, new))?;
        }
        world.commit(node)?;
    }
    Ok((world, mailbox))
}

fn reissue_limit() -> Checked {
    let (mut world, mailbox) = large_on_two_sides()?;
    let before: Option<Validity> = world.view_of(0, mailbox)?.validity;
    world.calm_down()?;
    let after = world.view_of(0, mailbox)?.validity;
    expect(after > before, || "rule 9: most of a large mailbox was renumbered".to_owned())
}

/// The placer hears nothing; it would decide as well once it does, and the mailbox would be bumped twice.
fn limit_of_another() -> Checked {
    let (mut world, mailbox) = large_on_two_sides()?;
    let before = world.view_of(1, mailbox)?.validity;
    world.tell(&[Step::HealAll])?;
    for _ in 0..4 {
        world.tell(&[carry(0, 1), pass(700)])?;
    }
    expect(world.view_of(1, mailbox)?.rows.len() == 1_020, || "the story needs a reissue".to_owned())?;
    let after = world.view_of(1, mailbox)?.validity;
    expect(after == before, || "rule 9: another node than the placer bumped a mailbox".to_owned())
}

/// A mailbox of a thousand messages was bumped though no link had been cut: what the nodes reissued as they both appended to it was
/// added up until it was half of it.
fn busy_and_large() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange])?;
    let inbox = world.mailbox(0, "INBOX")?;
    for node in 0..2 {
        for _ in 0..520 {
            let new = world.new_message(node);
            named(world.wake(node).deliver(account(), inbox, new))?;
        }
        world.commit(node)?;
    }
    world.tell(&[Step::Exchange, Step::Exchange])?;
    let before = world.view(0, INBOX)?.validity;
    for _ in 0..160 {
        let append = |node| Step::Append { node, mailbox: INBOX, count: 4 };
        world.tell(&[append(0), append(1), pass(40), carry(0, 1), carry(1, 0), pass(40)])?;
    }
    expect(world.in_vain(0, INBOX)? > 600, || "the story needs reissues".to_owned())?;
    let after = world.view(0, INBOX)?.validity;
    expect(after == before, || "rule 9: nodes that were in touch bumped a mailbox".to_owned())
}

fn many_leaps() -> Checked {
    let mut world = World::new(2)?;
    named(world.wake(1).create_mailbox(account(), "large", None))?;
    world.commit(1)?;
    let mailbox = world.mailbox(1, "large")?;
    world.tell(&[part(1)])?;
    for _ in 0..130 {
        world.tell(&[Step::Restart { node: 1, continues: false }, part(1), pass(3_000)])?;
        let new = world.new_message(1);
        named(world.wake(1).deliver(account(), mailbox, new))?;
        world.glance(1, mailbox)?;
        let next = world.view_of(1, mailbox)?.uid_next;
        expect(next.0 <= 1 << 31, || format!("U8: UIDNEXT is {next}"))?;
    }
    Ok(())
}
