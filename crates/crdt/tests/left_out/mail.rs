//! Flags, expunges, moves and mailboxes.

use std::collections::BTreeSet;

use peerpost_crdt::flag::Flag;

use super::*;

pub const STORIES: &[Story] = &[
    Story { name: "two flags on two sides", tell: two_flags },
    Story { name: "a clock that is a day ahead", tell: a_day_ahead },
    Story { name: "expunged here, moved there", tell: expunged_and_moved },
    Story { name: "expunged here, \\Deleted taken off there", tell: expunged_and_kept },
    Story { name: "expunged here, read there", tell: expunged_and_read },
    Story { name: "moved here, moved there", tell: moved_twice },
    Story { name: "two mailboxes renamed to one name", tell: renamed_to_one },
    Story { name: "deleted here, mail there", tell: deleted_and_delivered },
    Story { name: "renamed here, renamed there", tell: renamed_twice },
    Story { name: "an expunge before its message", tell: expunge_comes_first },
];

/// Two nodes with clients and a message, \Deleted where wanted, and then a cut.
fn apart(deleted: bool) -> Checked<World> {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange, deliver(0)])?;
    if deleted {
        world.tell(&[flag(0, 2, true)])?;
    }
    world.calm_down()?;
    world.tell(&[part(0)])?;
    Ok(world)
}

/// 0 is \Seen, 1 \Flagged, 2 \Deleted.
fn flag(node: u8, flag: u8, set: bool) -> Step {
    Step::Flag { node, mailbox: INBOX, place: 0, flag, set }
}

fn messages(world: &World, name: u8, count: usize, what: &str) -> Checked {
    for node in 0..2 {
        let rows = world.rows(node, name)?;
        expect(rows.len() == count, || {
            format!("{what}: n{node} shows {} messages, not {count}", rows.len())
        })?;
    }
    Ok(())
}

fn two_flags() -> Checked {
    let mut world = apart(false)?;
    world.tell(&[flag(0, 0, true), flag(1, 1, true)])?;
    world.calm_down()?;
    let view = world.view(0, INBOX)?;
    let flags: BTreeSet<Flag> = view.rows.iter().flat_map(|row| row.flags.iter().cloned()).collect();
    expect(flags.len() == 2, || format!("lost: of \\Seen and \\Flagged there is {flags:?}"))
}

fn a_day_ahead() -> Checked {
    let mut world = World::new(2)?;
    world.nodes[1].off = 24 * 60 * 60 * 1_000;
    world.tell(&[look(0), deliver(1), carry(1, 0), deliver(0)])?;
    let ahead = world.view(0, INBOX)?.highest_modseq.millis();
    expect(ahead < world.clock(0).after(600_000), || format!("MODSEQ: {} is hours ahead", ahead.0))
}

fn expunged_and_moved() -> Checked {
    let mut world = apart(false)?;
    world.tell(&[expunge(0), Step::Move { node: 1, mailbox: INBOX, place: 0, to: ARCHIVE }])?;
    world.tell(&[Step::Look { node: 0, mailbox: ARCHIVE }, Step::Look { node: 1, mailbox: ARCHIVE }])?;
    world.calm_down()?;
    messages(&world, ARCHIVE, 1, "lost: expunged where it no longer was")
}

fn expunged_and_kept() -> Checked {
    let mut world = apart(true)?;
    world.tell(&[expunge(0), flag(1, 2, false)])?;
    world.calm_down()?;
    messages(&world, INBOX, 1, "lost: \\Deleted was taken off")
}

fn expunged_and_read() -> Checked {
    let mut world = apart(true)?;
    world.tell(&[expunge(0), flag(1, 0, true)])?;
    world.calm_down()?;
    messages(&world, INBOX, 0, "back: it was read elsewhere")
}

fn moved_twice() -> Checked {
    let mut world = apart(false)?;
    let to = |node, to| Step::Move { node, mailbox: INBOX, place: 0, to };
    world.tell(&[to(0, ARCHIVE), to(1, WORK)])?;
    for node in 0..2 {
        world.tell(&[Step::Look { node, mailbox: ARCHIVE }, Step::Look { node, mailbox: WORK }])?;
    }
    world.calm_down()?;
    messages(&world, ARCHIVE, 0, "twice: moved on two sides")?;
    messages(&world, WORK, 1, "lost: moved on two sides")
}

fn renamed_to_one() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[Step::Create { node: 0, mailbox: OTHER }, deliver_to(0, WORK), deliver_to(0, OTHER)])?;
    world.tell(&[Step::Exchange, Step::Exchange, part(0)])?;
    for (node, name) in [(0, WORK), (1, OTHER)] {
        let renamed = world.wake(node).rename_mailbox(account(), NAMES[usize::from(name)], "new");
        renamed.map_err(|error| Violation(error.to_string()))?;
        world.commit(node)?;
    }
    world.come_to_rest()
}

fn deleted_and_delivered() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[part(0), Step::Delete { node: 0, mailbox: WORK }, deliver_to(1, WORK)])?;
    world.come_to_rest()
}

fn renamed_twice() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[Step::Create { node: 0, mailbox: WORK }, Step::Exchange, part(0)])?;
    for (node, name) in [(0, "here"), (1, "there")] {
        world.now += 1;
        let renamed = world.wake(node).rename_mailbox(account(), NAMES[usize::from(WORK)], name);
        expect(renamed.is_ok(), || format!("renaming is refused: {renamed:?}"))?;
        world.commit(node)?;
    }
    world.calm_down()?;
    for node in 0..2 {
        expect(world.mailbox(node, "there").is_ok(), || {
            format!("U4: the later name is not there on n{node}")
        })?;
    }
    Ok(())
}

/// Of two nodes that are cut off from each other a third hears the one first that expunged what the other accepted.
fn expunge_comes_first() -> Checked {
    let mut world = World::new(3)?;
    world.tell(&[look(0), deliver(0), carry(0, 1), expunge(1)])?;
    world.hear_of_life(2, 1)?;
    world.tell(&[carry(0, 2), Step::Glance { node: 2, mailbox: INBOX }])?;
    let left = world.rows(2, INBOX)?.len();
    expect(left == 0, || "back: what was expunged on another node is there again".to_owned())
}
