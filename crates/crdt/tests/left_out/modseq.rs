//! MODSEQ: clients that come back, to this node or another, after what happened meanwhile.

use peerpost_crdt::clock::Timestamp;
use peerpost_crdt::flag::{Flag, FlagChange};
use peerpost_crdt::placement::announcement::Announcement;
use peerpost_crdt::vector::Vector;

use super::*;

pub const STORIES: &[Story] = &[
    Story { name: "merged and not visible", tell: merged_and_invisible },
    Story { name: "values of two lives in one slot", tell: two_lives },
    Story { name: "a value of a life that is lost", tell: lost_value },
    Story { name: "a value of a life that is lost, with its clock ahead", tell: lost_value_ahead },
    Story { name: "a start with the clock behind", tell: clock_behind },
    Story { name: "bodies that do not come", tell: waiting_on_both },
    Story { name: "flags while nobody looked", tell: accepted_before },
    Story { name: "read, and not read after all", tell: set_and_taken_off },
    Story { name: "expunged where something waits", tell: beyond_what_waits },
    Story { name: "adopted from a life that is lost", tell: adopted_and_lost },
    Story { name: "told by a life that is lost, and by its successor", tell: told_and_lost },
    Story { name: "told while something waited", tell: told_while_waiting },
    Story { name: "told where something waits since a start", tell: told_since_a_start },
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

/// What the lost life issued lies above the start of the next.
fn lost_value_ahead() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(1), deliver(1), part(1)])?;
    let copy = world.nodes[1].disk.clone();
    world.tell(&[Step::SetClock { node: 1, off_seconds: 120 }, expunge(1), visit(1)])?;
    world.tell(&[Step::SetClock { node: 1, off_seconds: 0 }])?;
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

/// Both changes come in one delta, so that the second node never shows the flag that the client saw at the first.
fn set_and_taken_off() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange, deliver(0)])?;
    world.calm_down()?;
    let unread = Step::Flag { node: 0, mailbox: INBOX, place: 0, flag: 0, set: false };
    world.tell(&[read(0), visit(0), unread, carry(0, 1), visit(1)])
}

/// At the second node a body is waited for, and effects of records that came after it are visible. The client has seen them there,
/// and the first node has heard of the message alone.
fn beyond_what_waits() -> Checked {
    let mut world = World::new(3)?;
    world.tell(&[look(0), look(1), look(2), Step::Exchange, deliver(0)])?;
    world.calm_down()?;
    world.tell(&[deliver(2), carry(2, 0), expunge(2), carry_bare(2, 1), visit(1)])?;
    world.carry_announcements(1, 0, usize::MAX)?;
    world.tell(&[visit(0)])
}

/// The first node adopted what the second had announced, whose disk was put back since: what it announces after that is less.
fn adopted_and_lost() -> Checked {
    let mut world = World::new(3)?;
    world.tell(&[look(0), look(2), Step::Exchange, Step::Exchange])?;
    let view = world.view(0, INBOX)?;
    let Some(validity) = view.validity else { return violated("INBOX was never founded") };
    let at =
        |seconds: u64| Timestamp::from_parts(world.clock(1).after(seconds * 1_000), 0, world.nodes[1].slot());
    let visible = world.nodes[0].account().map(|state| state.touched_by().clone()).unwrap_or_default();
    let of_second = |at, uid_next, modseq| Announcement {
        account: account(),
        mailbox: view.mailbox,
        incarnation: world.nodes[1].life.author().incarnation,
        at,
        validity,
        uid_next,
        modseq,
        visible: visible.clone(),
        beyond: Vector::new(),
    };
    let (lost, later) =
        (of_second(at(60), Uid(65), at(60)), of_second(at(61), view.uid_next, view.highest_modseq));
    for announcement in [lost, later] {
        if world.wake(0).hear(vec![announcement]).is_err() {
            return violated("no disk can fail here");
        }
        world.glance(0, view.mailbox)?;
    }
    world.carry_announcements(0, 2, usize::MAX)?;
    world.glance(2, view.mailbox)?;
    let (here, there) = (world.view(0, INBOX)?.uid_next, world.view(2, INBOX)?.uid_next);
    expect(here == there && here == Uid(65), || {
        format!("U5: n0 tells clients UIDNEXT {here}, and n2 has heard of {there} only")
    })
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

/// What a node announced last of INBOX.
fn announced(world: &World, node: usize) -> Checked<Announcement> {
    let inbox = world.mailbox(node, NAMES[usize::from(INBOX)])?;
    let told = world.nodes[node].disk.kept.announcements.get(&(inbox, world.nodes[node].slot()));
    told.cloned().ok_or_else(|| Violation(format!("n{node} has announced nothing")))
}

/// A node tells its values while a message waits that nobody has placed. It is expunged before it is shown, so that nothing becomes
/// visible; for the others the values stand for less than they show until they are told again.
fn told_while_waiting() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(1), deliver(0), carry_bare(0, 1), deliver(1), pass(700), deliver(1)])?;
    let before = announced(&world, 1)?;
    expect(!before.beyond.is_empty(), || "the story needs something that waits".to_owned())?;
    let inbox = world.mailbox(0, NAMES[usize::from(INBOX)])?;
    let waiting: Vec<EntryId> = world.nodes[1]
        .account()
        .map(|account| account.absent().iter().copied().collect())
        .unwrap_or_default();
    let node = world.wake(0);
    let marked = node.change_flags(account(), inbox, &waiting, FlagChange::Add, &[Flag::Deleted], None);
    let expunged = node.expunge(account(), inbox, &waiting);
    expect(marked.is_ok() && expunged.is_ok(), || "no disk can fail here".to_owned())?;
    world.commit(0)?;
    world.tell(&[carry_bare(0, 1)])?;
    let after = announced(&world, 1)?;
    expect(after.beyond.is_empty(), || {
        "U5: what was told while something waited stands for less for good".to_owned()
    })
}

/// Found by the simulation, seed 1767: a message waits for octets that do not come, and its node starts again. Another message came
/// and went there, of which only an announcement tells.
fn told_since_a_start() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), deliver(0), pass(700), carry_bare(0, 1)])?;
    world.tell(&[Step::Restart { node: 1, continues: false }, Step::LookAway { node: 0 }])?;
    world.tell(&[carry_bare(1, 0), carry_bare(0, 1), pass(3_000), look(1), deliver(1), pass(700)])?;
    world.tell(&[expunge(1), carry_bare(1, 0), pass(700), look(0), carry_bare(1, 0)])?;
    let (here, there) = (world.view(0, INBOX)?.uid_next, world.view(1, INBOX)?.uid_next);
    expect(here >= there, || format!("U5: UIDNEXT is {} where a client was told {}", here.0, there.0))
}

/// Found by the walks, 680272: a client was told of a message that was expunged at once. The other node, where nobody looked, had
/// heard both when the disk was put back, and then heard of less.
fn told_and_lost() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[Step::Glance { node: 1, mailbox: ARCHIVE }, deliver_to(1, ARCHIVE)])?;
    let copy = world.nodes[1].disk.clone();
    world.tell(&[Step::Visit { client: 0, node: 1, mailbox: ARCHIVE }])?;
    world.tell(&[Step::Expunge { node: 1, mailbox: ARCHIVE, place: 0 }, Step::Exchange])?;
    world.put_back(1, &copy)?;
    world.come_to_rest()
}
