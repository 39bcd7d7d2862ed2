//! What the walks found in the rules themselves: each once was a failing seed, shortened to its story.

use super::*;

pub const STORIES: &[Story] = &[
    Story { name: "a witness is lost before it grants", tell: witness_is_lost },
    Story { name: "a value above all that were told", tell: value_above_all },
    Story { name: "a value before what it stands for", tell: value_before_records },
    Story { name: "moved away before the lost life looked", tell: moved_before_a_look },
    Story { name: "what lies below a leap", tell: below_a_leap },
    Story { name: "above a leap that was lost", tell: above_a_lost_leap },
];

/// Under the seed whose names of lives are needed.
fn walked(seed: u64, nodes: usize, steps: &[Step]) -> Checked {
    super::super::tell(seed, nodes, steps).map_err(Violation)
}

fn witness_is_lost() -> Checked {
    let steps = [
        Step::Backup { node: 0 },
        Step::Append { node: 0, mailbox: INBOX, count: 3 },
        carry(0, 1),
        Step::Join { at: 0, parted: true },
        Step::RollBack { copy: 0 },
        Step::Join { at: 2, parted: true },
        Step::Exchange,
        Step::Kill { node: 1 },
    ];
    walked(690, 2, &steps)
}

fn value_above_all() -> Checked {
    let look_at = |node| Step::Look { node, mailbox: WORK };
    let visit = |node| Step::Visit { client: 1, node, mailbox: WORK };
    let steps = [
        look_at(3),
        Step::Exchange,
        deliver_to(2, WORK),
        Step::Backup { node: 1 },
        look_at(1),
        Step::Exchange,
        Step::Exchange,
        Step::RollBack { copy: 0 },
        visit(1),
        visit(3),
    ];
    walked(15_596, 4, &steps)
}

fn value_before_records() -> Checked {
    let visit = |node| Step::Visit { client: 0, node, mailbox: INBOX };
    let steps = [
        look(1),
        deliver(1),
        deliver(0),
        carry(1, 0),
        Step::Flag { node: 0, mailbox: INBOX, place: 56, flag: 2, set: true },
        deliver(1),
        Step::Carry { from: 1, to: 0, most: Some(5), bodies: true, announcements_first: true },
        visit(0),
        Step::Carry { from: 0, to: 1, most: Some(5), bodies: false, announcements_first: false },
        visit(1),
    ];
    walked(513, 2, &steps)
}

/// The life that was lost had shown a message before it showed another, which somebody had moved away by then.
fn moved_before_a_look() -> Checked {
    let moved = |mailbox, place, to| Step::Move { node: 0, mailbox, place, to };
    let steps = [
        deliver_to(1, WORK),
        deliver_to(1, ARCHIVE),
        carry(1, 0),
        moved(WORK, 30, ARCHIVE),
        Step::Join { at: 0, parted: false },
        Step::Backup { node: 2 },
        Step::Move { node: 1, mailbox: WORK, place: 43, to: INBOX },
        Step::Exchange,
        Step::Copy { node: 2, mailbox: ARCHIVE, place: 45, to: ARCHIVE },
        Step::Exchange,
        Step::RollBack { copy: 0 },
        carry(2, 0),
        judge(0, 2),
        Step::Copy { node: 2, mailbox: ARCHIVE, place: 6, to: ARCHIVE },
    ];
    walked(24_389, 2, &steps)
}

/// Both lives leapt, the second not as far as the first. It heard of two messages of the first, of the third nobody had heard, and
/// placed the next one above the second.
fn above_a_lost_leap() -> Checked {
    let steps = [
        Step::Backup { node: 2 },
        deliver(2),
        Step::Restart { node: 2, continues: false },
        pass(121_809),
        Step::Flag { node: 2, mailbox: INBOX, place: 2, flag: 0, set: false },
        Step::Backup { node: 1 },
        carry(2, 0),
        deliver(2),
        Step::Kill { node: 1 },
        Step::Expunge { node: 1, mailbox: INBOX, place: 51 },
        deliver(0),
        Step::RollBack { copy: 0 },
        Step::Append { node: 1, mailbox: INBOX, count: 3 },
    ];
    walked(13_246, 3, &steps)
}

/// Both leap because of one loss, the second above what the first had leapt to.
fn below_a_leap() -> Checked {
    let mut world = World::new(2)?;
    world.tell(&[look(0), look(1), Step::Exchange])?;
    let Some(lost) = NodeSlot::new(9) else { return violated("no slot 9") };
    world.wake(0).bury(lost);
    world.commit(0)?;
    world.tell(&[carry(0, 1), deliver(0)])?;
    for _ in 0..8 {
        world.tell(&[carry(0, 1), carry(1, 0)])?;
    }
    let in_vain = world.in_vain(0, INBOX)?;
    expect(in_vain <= 1, || format!("cost: a message got {in_vain} UIDs below a leap"))
}
