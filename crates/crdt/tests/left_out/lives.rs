//! Rule 8: disks that are put back, and lives that nobody confirmed.

use peerpost_crdt::clock::Millis;
use peerpost_crdt::fold::entry::EntryState;
use peerpost_crdt::identity::{SegmentId, Validity};
use peerpost_crdt::placement::reach::LEAP;

use super::*;
use crate::walks::world::member;

pub const STORIES: &[Story] = &[
    Story { name: "a member holds more", tell: holds_more },
    Story { name: "a member holds more, two starts later", tell: starts_again },
    Story { name: "what came while rolled back", tell: came_while_rolled_back },
    Story { name: "what came while rolled back, and another start", tell: came_before_another_start },
    Story { name: "what came unconfirmed, and another start", tell: came_unconfirmed },
    Story { name: "a founding record, unconfirmed", tell: founded_unconfirmed },
    Story { name: "a memory image that is put back", tell: holds_other },
    Story { name: "a cold backup after another start", tell: sealed_twice },
    Story { name: "one member confirms in good faith", tell: in_good_faith },
    Story { name: "nobody can be asked", tell: nobody_to_ask },
    Story { name: "a cold backup started twice", tell: started_twice },
    Story { name: "an ordinary restart", tell: ordinary_restart },
    Story { name: "a restart while alone", tell: restart_alone },
    Story { name: "found out after all had confirmed", tell: found_out_late },
    Story { name: "a member is declared dead", tell: declared_dead },
    Story { name: "a busy life is lost", tell: busy_life_lost },
    Story { name: "a long life is lost", tell: long_life_lost },
    Story { name: "a life without the one before", tell: without_the_one_before },
];

const DAY: u64 = 24 * 60 * 60 * 1_000;

/// Node 1 shows a message at a UID of its own, tells `to` of it, and loses it.
fn lost_life(nodes: usize, to: &[u8]) -> Checked<World> {
    let mut world = World::new(nodes)?;
    let copy = world.nodes[1].disk.clone();
    world.tell(&[look(1), deliver(1)])?;
    for peer in to {
        world.tell(&[carry(1, *peer)])?;
    }
    world.put_back(1, &copy)?;
    Ok(world)
}

fn goes_on(world: &mut World) -> Checked {
    world.tell(&[look(1), deliver(1), pass(3_000), deliver(1), pass(700)])
}

fn holds_more() -> Checked {
    let mut world = lost_life(3, &[0])?;
    world.tell(&[carry(1, 0), carry(1, 2), judge(0, 1), judge(2, 1)])?;
    goes_on(&mut world)
}

/// The second life seals the first, of which nobody has anything to say.
fn starts_again() -> Checked {
    let mut world = lost_life(3, &[0])?;
    world.tell(&[Step::Restart { node: 1, continues: false }])?;
    world.tell(&[carry(1, 0), carry(1, 2), judge(0, 1), judge(2, 1)])?;
    goes_on(&mut world)
}

/// Clients were told of more than the first message, which the life that was rolled back gets and its successor has.
fn came_while_rolled_back() -> Checked {
    let mut world = World::new(2)?;
    let copy = world.nodes[1].disk.clone();
    world.tell(&[look(0), part(0), deliver(0), look(1), deliver(1), Step::HealAll, carry(1, 0)])?;
    world.put_back(1, &copy)?;
    world.tell(&[carry(1, 0), carry(0, 1), carry(1, 0), carry(0, 1), pass(700), look(1)])?;
    world.calm_down()
}

/// Nobody looked between the loss and the start, so that nothing was leapt over: what came in between was known to a firm life.
fn came_before_another_start() -> Checked {
    let mut world = World::new(2)?;
    let copy = world.nodes[1].disk.clone();
    world.tell(&[look(0), part(0), deliver(0), look(1), deliver(1), Step::HealAll, carry(1, 0)])?;
    world.put_back(1, &copy)?;
    world.calm_down()?;
    world.tell(&[Step::Restart { node: 1, continues: false }, Step::Exchange, Step::Exchange, look(1)])?;
    world.calm_down()
}

/// The witness is away: the life that was rolled back is never confirmed, and ends.
fn came_unconfirmed() -> Checked {
    let mut world = lost_life(3, &[2])?;
    world.tell(&[Step::Cut { from: 2, to: 1, both_ways: true }, look(0), deliver(0)])?;
    world.tell(&[carry(1, 0), carry(0, 1), Step::Restart { node: 1, continues: false }, pass(3_000), look(1)])
}

/// It leapt first, and gave all that the record numbers new UIDs; the life after it showed the numbers.
fn founded_unconfirmed() -> Checked {
    let mut world = World::new(3)?;
    world.tell(&[
        Step::Cut { from: 2, to: 1, both_ways: true },
        Step::Restart { node: 1, continues: false },
    ])?;
    world.tell(&[look(0), deliver(0), deliver(0), Step::Bump { node: 0, mailbox: INBOX }, carry(0, 1)])?;
    world.tell(&[pass(3_000), look(1)])?;
    let (there, here) = (world.rows(0, INBOX)?, world.rows(1, INBOX)?);
    expect(there == here && here.len() == 2, || {
        format!("cost: what a founding record numbers came as {here:?}")
    })
}

fn holds_other() -> Checked {
    let mut world = World::new(2)?;
    let image = world.nodes[1].clone();
    world.tell(&[deliver(1), carry(1, 0)])?;
    world.nodes[1] = image;
    world.tell(&[deliver(1), deliver_to(1, ARCHIVE)])?;
    let last = world.nodes[0].disk.vector();
    let life = world.nodes[1].life.author().incarnation;
    // As many records as the peer has, and other ones.
    world.nodes[1]
        .disk
        .log
        .get_mut(&life)
        .into_iter()
        .for_each(|log| log.truncate(last.last(&life).0 as usize));
    world.begin_life(1, false)?;
    world.tell(&[carry(1, 0)])?;
    let verdict = world.verdict(0, 1);
    expect(verdict.is_some_and(|verdict| verdict != Verdict::Confirmed), || {
        format!("U4: a life that wrote other records is judged {verdict:?}")
    })
}

fn sealed_twice() -> Checked {
    let mut world = World::new(3)?;
    let copy = world.nodes[1].disk.clone();
    world.tell(&[Step::Restart { node: 1, continues: false }, Step::Exchange, Step::Exchange])?;
    world.tell(&[look(1), deliver(1)])?;
    world.put_back(1, &copy)?;
    world.tell(&[carry(1, 0), carry(1, 2), judge(0, 1), judge(2, 1)])?;
    goes_on(&mut world)
}

fn in_good_faith() -> Checked {
    let mut world = lost_life(3, &[0])?;
    world.tell(&[Step::Cut { from: 0, to: 1, both_ways: true }, carry(1, 2), judge(2, 1)])?;
    goes_on(&mut world)
}

fn nobody_to_ask() -> Checked {
    let mut world = lost_life(2, &[0])?;
    world.tell(&[part(1)])?;
    goes_on(&mut world)
}

fn started_twice() -> Checked {
    let mut world = World::new(2)?;
    let copy = world.nodes[1].disk.clone();
    world.tell(&[part(1)])?;
    world.put_back(1, &copy)?;
    let twin = world.start_twin(1, &copy)? as u8;
    world.tell(&[pass(3_000), look(1), look(twin), deliver(1), deliver(twin)])
}

fn ordinary_restart() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[Step::Restart { node: 1, continues: false }, look(1), deliver(1), pass(200)])?;
    world.calm_down()?;
    let next = world.view(1, INBOX)?.uid_next;
    expect(next < Uid(LEAP) && next > Uid::FIRST, || {
        format!("cost: an ordinary restart led to UIDNEXT {next}")
    })
}

fn restart_alone() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), deliver(0), Step::Exchange, part(1)])?;
    world.tell(&[Step::Restart { node: 1, continues: false }, look(1), pass(2_500)])?;
    let (there, here) = (world.rows(0, INBOX)?, world.rows(1, INBOX)?);
    expect(there == here, || format!("cost: what was here before the start came as {here:?}"))
}

/// Whoever knows of the lost life joined after the copy was made: the disk does not know that it has to be asked.
fn found_out_late() -> Checked {
    let mut world = World::new(2)?;
    let copy = world.nodes[1].disk.clone();
    let Some(new) = world.join(0)? else { return violated("no slot") };
    world.tell(&[Step::Exchange, Step::Exchange, look(1), deliver(1), carry(1, new as u8)])?;
    world.put_back(1, &copy)?;
    world.tell(&[carry(1, 0), judge(0, 1)])?;
    world.tell(&[carry(1, new as u8), judge(new as u8, 1)])?;
    goes_on(&mut world)
}

fn declared_dead() -> Checked {
    let mut world = World::new(3)?;
    world.tell(&[look(0), look(2), Step::Exchange, part(2), deliver(2)])?;
    let announced = world.view(2, INBOX)?.uid_next;
    world.tell(&[Step::Kill { node: 2 }, Step::Bury { at: 0 }, Step::Exchange, deliver(0)])?;
    let rows = world.rows(0, INBOX)?;
    expect(rows.iter().all(|(uid, _)| *uid >= announced) && rows.len() == 1, || {
        format!("U5: UIDNEXT {announced} was announced by the dead member, and {rows:?} came after that")
    })
}

/// A member in the last slot, whose blocks lie 2^21 apart, and a mailbox of which nobody else knows.
fn in_the_last_slot() -> Checked<(World, MailboxId)> {
    let mut world = World::new(1)?;
    world.wake(0).create_mailbox(account(), "large", None).map_err(|error| Violation(error.to_string()))?;
    world.commit(0)?;
    let mailbox = world.mailbox(0, "large")?;
    world.glance(0, mailbox)?;
    let Some(slot) = NodeSlot::new(127) else { return violated("no slot 127") };
    world.wake(0).admit_member(member(slot));
    world.commit(0)?;
    world.add_node(slot)?;
    for _ in 0..3 {
        world.exchange()?;
    }
    world.pass(3_000)?;
    Ok((world, mailbox))
}

/// So many messages more, and up to where UIDs reach.
fn fill(world: &mut World, mailbox: MailboxId, count: u32) -> Checked<(Option<Validity>, Uid)> {
    for _ in 0..count {
        let new = world.new_message(1);
        world.wake(1).deliver(account(), mailbox, new).map_err(|error| Violation(error.to_string()))?;
    }
    world.glance(1, mailbox)?;
    let view = world.view_of(1, mailbox)?;
    Ok((view.validity, view.uid_next))
}

/// The disk is put back, nobody can be asked, and a message comes: it has to lie above what was announced.
fn comes_above(
    world: &mut World,
    mailbox: MailboxId,
    copy: &Disk,
    announced: &[(Option<Validity>, Uid)],
) -> Checked {
    world.tell(&[part(1)])?;
    world.put_back(1, copy)?;
    world.tell(&[part(1), pass(3_000)])?;
    let (validity, next) = fill(world, mailbox, 1)?;
    let new = Uid(next.0.saturating_sub(1));
    let before = announced.iter().filter(|(of, _)| *of == validity).map(|(_, next)| *next).max();
    expect(before.is_none_or(|before| new >= before), || {
        format!("U2: {new} was placed after a lost life had announced UIDNEXT {before:?}")
    })
}

fn busy_life_lost() -> Checked {
    let (mut world, mailbox) = in_the_last_slot()?;
    let copy = world.nodes[1].disk.clone();
    let mut announced = Vec::new();
    for _ in 0..20 {
        announced.push(fill(&mut world, mailbox, 64)?);
    }
    comes_above(&mut world, mailbox, &copy, &announced)
}

fn long_life_lost() -> Checked {
    let (mut world, mailbox) = in_the_last_slot()?;
    let copy = world.nodes[1].disk.clone();
    let mut announced = Vec::new();
    for _ in 0..18 {
        announced.push(fill(&mut world, mailbox, 64)?);
        world.now += 16 * DAY;
        world.nodes[1].stopped = None::<Millis>;
    }
    comes_above(&mut world, mailbox, &copy, &announced)
}

/// The life before created the mailbox that this one puts a message into, and the disk of both may be destroyed any time.
fn without_the_one_before() -> Checked {
    let mut world = World::new(2)?;
    let (node, mailbox) = (1, OTHER);
    world.tell(&[Step::Create { node, mailbox }, Step::Restart { node, continues: false }])?;
    world.tell(&[deliver_to(node, mailbox)])?;
    // Refused or not.
    let _ = world.hear_of_life(0, 1);
    let Some(account) = world.nodes[0].account() else { return violated("n0 has no account") };
    let of_segment = |(segment, entries): (&SegmentId, &[EntryState])| {
        let segment = *segment;
        (0..entries.len()).map(move |index| EntryId { segment, index: index as u16 }).collect::<Vec<_>>()
    };
    let named = account.segments().flat_map(of_segment).all(|entry| account.mailbox_of(&entry).is_some());
    expect(named, || "lost: a message is in a mailbox that nobody can name".to_owned())
}
