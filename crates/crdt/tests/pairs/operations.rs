//! Everything that people can do, each on the same message, mailbox or account as all others.

use peerpost_crdt::flag::FlagChange;

use super::world::{MESSAGE, Refused, WORK, World};

/// Something that a user, an MTA or an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Deliver,
    Append,
    Copy,
    Move,
    Expunge,
    Set,
    Clear,
    SetDeleted,
    TakeDeletedOff,
    Replace,
    Create,
    Delete,
    Rename,
    Subscribe,
    Annotate,
    Share,
    Add,
    Password,
    AppPassword,
    Quota,
    Remove,
}

impl Operation {
    /// All, in the order of the document.
    pub const ALL: [Operation; 21] = [
        Operation::Deliver,
        Operation::Append,
        Operation::Copy,
        Operation::Move,
        Operation::Expunge,
        Operation::Set,
        Operation::Clear,
        Operation::SetDeleted,
        Operation::TakeDeletedOff,
        Operation::Replace,
        Operation::Create,
        Operation::Delete,
        Operation::Rename,
        Operation::Subscribe,
        Operation::Annotate,
        Operation::Share,
        Operation::Add,
        Operation::Password,
        Operation::AppPassword,
        Operation::Quota,
        Operation::Remove,
    ];

    /// What the document calls it.
    pub fn word(self) -> &'static str {
        match self {
            Operation::Deliver => "deliver",
            Operation::Append => "append",
            Operation::Copy => "copy",
            Operation::Move => "move",
            Operation::Expunge => "expunge",
            Operation::Set => "set",
            Operation::Clear => "clear",
            Operation::SetDeleted => "+\\Deleted",
            Operation::TakeDeletedOff => "-\\Deleted",
            Operation::Replace => "replace",
            Operation::Create => "create",
            Operation::Delete => "delete",
            Operation::Rename => "rename",
            Operation::Subscribe => "subscribe",
            Operation::Annotate => "annotate",
            Operation::Share => "share",
            Operation::Add => "add",
            Operation::Password => "password",
            Operation::AppPassword => "app password",
            Operation::Quota => "quota",
            Operation::Remove => "remove",
        }
    }

    /// Does it on a node. Where both sides do the same, `side` (0 or 1) tells apart what need not be equal.
    pub fn run(self, world: &mut World, node: usize, side: u8) -> Result<(), Refused> {
        match self {
            Operation::Deliver => world.deliver(node, WORK, b'd' + side),
            Operation::Append => world.append(node, WORK, b'a' + side, &[]),
            Operation::Copy => world.copy(node, MESSAGE, WORK, "Archive"),
            Operation::Move => {
                world.move_to(node, MESSAGE, WORK, if side == 0 { "Archive" } else { "Trash" })
            }
            Operation::Expunge => {
                world.store(node, FlagChange::Add, &["\\Deleted"])?;
                world.expunge(node)
            }
            Operation::Set => world.store(node, FlagChange::Add, &["\\Flagged"]),
            Operation::Clear => clear(world, node, "\\Flagged"),
            Operation::SetDeleted => world.store(node, FlagChange::Add, &["\\Deleted"]),
            Operation::TakeDeletedOff => clear(world, node, "\\Deleted"),
            Operation::Replace => {
                let keyword = if side == 0 { "$One" } else { "$Other" };
                world.store(node, FlagChange::Replace, &["\\Answered", keyword])
            }
            Operation::Create => world.create(node, "New"),
            Operation::Delete => world.delete(node, WORK),
            Operation::Rename => world.rename(node, WORK, if side == 0 { "One" } else { "Other" }),
            Operation::Subscribe => world.subscribe(node, WORK, true),
            Operation::Annotate => world.annotate(node, WORK, of_side(side)),
            Operation::Share => world.share(node, WORK, if side == 0 { "lrs" } else { "lri" }),
            Operation::Add => world.add_account(node, of_side(side)),
            Operation::Password => world.set_password(node, of_side(side)),
            Operation::AppPassword => world.add_app_password(node, side),
            Operation::Quota => world.set_quota(node, 100 + u64::from(side)),
            Operation::Remove => world.remove_account(node),
        }
    }

    /// Nodes on which all can be done that is to be done.
    pub fn world(of: [Operation; 2]) -> World {
        if of.contains(&Operation::Add) {
            return World::empty();
        }
        let mut flags = vec!["\\Seen"];
        // What one side sets cannot be set already; where it is not set already, the other side sets it before it takes it off.
        for (setter, clearer, flag) in [
            (Operation::Set, Operation::Clear, "\\Flagged"),
            (Operation::SetDeleted, Operation::TakeDeletedOff, "\\Deleted"),
        ] {
            if of.contains(&clearer) && !of.contains(&setter) {
                flags.push(flag);
            }
        }
        World::with_account(&flags)
    }
}

/// Takes a flag off that is set, or sets it before.
fn clear(world: &mut World, node: usize, flag: &str) -> Result<(), Refused> {
    if !world.has_flag(node, flag)? {
        world.store(node, FlagChange::Add, &[flag])?;
    }
    world.store(node, FlagChange::Remove, &[flag])
}

fn of_side(side: u8) -> &'static str {
    if side == 0 { "of one" } else { "of the other" }
}
