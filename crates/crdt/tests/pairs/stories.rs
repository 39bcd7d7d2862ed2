//! Pairs that need more words than a cell has.

use peerpost_crdt::flag::FlagChange::{Add, Remove, Replace};

use super::world::{MESSAGE, Picture, Refused, WORK, World};

type Act = fn(&mut World, usize) -> Result<(), Refused>;

/// What two sides do apart, and what becomes of it.
pub struct Story {
    /// What both knew: the flags of the message, and what happened before.
    pub flags: &'static [&'static str],
    pub before: Act,
    /// What each side does, and how the document tells it.
    pub sides: [(&'static str, Act); 2],
    /// What the document says of the outcome.
    pub outcome: &'static str,
    /// What everybody shows, as [`told`] tells it: where the first side was later, and where the second was.
    pub shown: [&'static str; 2],
}

const NOTHING: Act = |_, _| Ok(());

/// Mailboxes with their messages and flags; empty default mailboxes, and what is so from the start, left out.
pub fn told(picture: Option<&Picture>) -> String {
    let Some(picture) = picture else { return "no account".to_owned() };
    let defaults = ["Archive", "INBOX", "Trash"];
    let mut words = Vec::new();
    for (name, messages) in &picture.mailboxes {
        let message = |(content, flags): &super::world::Message| {
            format!("{content}{}", flags.iter().map(String::as_str).collect::<String>())
        };
        if !messages.is_empty() || !defaults.contains(&name.as_str()) {
            let messages: Vec<String> = messages.iter().map(message).collect();
            words.push(format!("{name}[{}]", messages.join(" ")));
        }
    }
    let missing = defaults.iter().filter(|name| !picture.mailboxes.contains_key(**name));
    words.extend(missing.map(|name| format!("no:{name}")));
    let subscribed = picture.subscriptions.iter().filter(|name| !defaults.contains(&name.as_str()));
    words.extend(subscribed.map(|name| format!("subscribed:{name}")));
    if picture.password != "at first" {
        words.push(format!("password:{}", picture.password));
    }
    words.extend(picture.app_passwords.iter().map(|id| format!("app:{id}")));
    words.join(" ")
}

fn add_again(world: &mut World, node: usize) -> Result<(), Refused> {
    world.remove_account(node)?;
    world.add_account(node, "again")
}

pub const STORIES: &[Story] = &[
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("deliver", |world, node| world.deliver(node, WORK, b'd')),
            ("deliver the same message (an MTA that got no answer)", |world, node| {
                world.deliver(node, WORK, b'd')
            }),
        ],
        outcome: "one message",
        shown: ["Work[M N d]"; 2],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("set `\\Seen`", |world, node| world.store(node, Add, &["\\Seen"])),
            ("set `\\Answered` and a keyword", |world, node| {
                world.store(node, Add, &["\\Answered", "$Work"])
            }),
        ],
        outcome: "all are set",
        shown: ["Work[M$Work\\Answered\\Seen N]"; 2],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("set `\\Deleted`", |world, node| world.store(node, Add, &["\\Deleted"])),
            ("move", |world, node| world.move_to(node, MESSAGE, WORK, "Archive")),
        ],
        outcome: "moved, with `\\Deleted`",
        shown: ["Archive[M\\Deleted] Work[N]"; 2],
    },
    Story {
        flags: &["\\Deleted"],
        before: NOTHING,
        sides: [
            ("expunge", |world, node| world.expunge(node)),
            ("move", |world, node| world.move_to(node, MESSAGE, WORK, "Archive")),
        ],
        outcome: "moved, without the `\\Deleted` that the expunge went by",
        shown: ["Archive[M] Work[N]"; 2],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("set `\\Deleted`, expunge", |world, node| {
                world.store(node, Add, &["\\Deleted"])?;
                world.expunge(node)
            }),
            ("move away and back", |world, node| {
                world.move_to(node, MESSAGE, WORK, "Archive")?;
                world.move_to(node, MESSAGE, "Archive", WORK)
            }),
        ],
        outcome: "the message stays, without `\\Deleted`",
        shown: ["Work[M N]"; 2],
    },
    Story {
        flags: &["\\Deleted"],
        before: NOTHING,
        sides: [
            ("expunge", |world, node| world.expunge(node)),
            ("take `\\Deleted` off and set it again", |world, node| {
                world.store(node, Remove, &["\\Deleted"])?;
                world.store(node, Add, &["\\Deleted"])
            }),
        ],
        outcome: "the message stays, with `\\Deleted`, until it is expunged again",
        shown: ["Work[M\\Deleted N]"; 2],
    },
    Story {
        flags: &["\\Deleted"],
        before: NOTHING,
        sides: [
            ("expunge", |world, node| world.expunge(node)),
            ("replace all flags, without `\\Deleted`", |world, node| {
                world.store(node, Replace, &["\\Flagged"])
            }),
        ],
        outcome: "the message stays",
        shown: ["Work[M\\Flagged N]"; 2],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("move", |world, node| world.move_to(node, MESSAGE, WORK, "Archive")),
            ("move to the same mailbox", |world, node| world.move_to(node, MESSAGE, WORK, "Archive")),
        ],
        outcome: "it is there once",
        shown: ["Archive[M] Work[N]"; 2],
    },
    Story {
        flags: &[],
        before: |world, node| world.append(node, "INBOX", b'i', &[]),
        sides: [
            ("delete a mailbox", |world, node| world.delete(node, WORK)),
            ("move a message into it", |world, node| world.move_to(node, b'i', "INBOX", WORK)),
        ],
        outcome: "the mailbox is there, with that message alone",
        shown: ["Work[i]"; 2],
    },
    Story {
        flags: &[],
        before: |world, node| world.append(node, "INBOX", b'i', &[]),
        sides: [
            ("delete a mailbox", |world, node| world.delete(node, WORK)),
            ("copy a message into it", |world, node| world.copy(node, b'i', "INBOX", WORK)),
        ],
        outcome: "the mailbox is there, with the copy alone",
        shown: ["INBOX[i] Work[i]"; 2],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("delete a mailbox", |world, node| world.delete(node, WORK)),
            ("rename it and append to it", |world, node| {
                world.rename(node, WORK, "Play")?;
                world.append(node, "Play", b'a', &[])
            }),
        ],
        outcome: "it is there under the new name, with the new message alone",
        shown: ["Play[a]"; 2],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("delete a mailbox and create it again", |world, node| {
                world.delete(node, WORK)?;
                world.create(node, WORK)
            }),
            ("append to it", |world, node| world.append(node, WORK, b'a', &[])),
        ],
        outcome: "one mailbox, with the new message; the deleted ones stay deleted",
        shown: ["Work[a]"; 2],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("delete a mailbox", |world, node| world.delete(node, WORK)),
            ("create one below it", |world, node| world.create(node, "Work/Old")),
        ],
        outcome: "the one below is there; its superior is only a name",
        shown: ["Work/Old[]"; 2],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("rename a mailbox", |world, node| world.rename(node, WORK, "Play")),
            ("create one below it", |world, node| world.create(node, "Work/Old")),
        ],
        outcome: "renamed; the new one stays below the old name",
        shown: ["Play[M N] Work/Old[]"; 2],
    },
    Story {
        flags: &[],
        before: |world, node| world.create(node, "Play"),
        sides: [
            ("rename a mailbox", |world, node| world.rename(node, WORK, "New")),
            ("rename another to the same name", |world, node| world.rename(node, "Play", "New")),
        ],
        outcome: "both are there; the later has `~` and digits behind its name",
        shown: ["New[] New~[M N]", "New[M N] New~[]"],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("rename a mailbox", |world, node| world.rename(node, WORK, "New")),
            ("create one of the new name", |world, node| world.create(node, "New")),
        ],
        outcome: "both are there; the later has `~` and digits behind its name",
        shown: ["New[] New~[M N]", "New[M N] New~[]"],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("create a mailbox and append to it", |world, node| {
                world.create(node, "New")?;
                world.append(node, "New", b'a', &[])
            }),
            ("create one of the same name and append to it", |world, node| {
                world.create(node, "New")?;
                world.append(node, "New", b'b', &[])
            }),
        ],
        outcome: "one mailbox, with both messages",
        shown: ["New[a b] Work[M N]"; 2],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("deliver, and move it", |world, node| {
                world.deliver(node, WORK, b'd')?;
                world.move_to(node, b'd', WORK, "Archive")
            }),
            ("deliver the same message, and flag it", |world, node| {
                world.deliver(node, WORK, b'd')?;
                world.store_on(node, b'd', Add, &["\\Flagged"])
            }),
        ],
        outcome: "one message, moved and flagged",
        shown: ["Archive[d\\Flagged] Work[M N]"; 2],
    },
    Story {
        flags: &[],
        before: |world, node| world.append(node, "INBOX", b'i', &[]),
        sides: [
            ("rename INBOX", |world, node| world.rename(node, "INBOX", "Old")),
            ("deliver to INBOX", |world, node| world.deliver(node, "INBOX", b'd')),
        ],
        outcome: "INBOX is there, with what came in; what was in it is in the other",
        shown: ["INBOX[d] Old[i] Work[M N]"; 2],
    },
    Story {
        flags: &[],
        before: |world, node| world.create(node, "Work/Old"),
        sides: [
            ("rename a mailbox with one below it", |world, node| world.rename(node, WORK, "Play")),
            ("append to the one below", |world, node| world.append(node, "Work/Old", b'a', &[])),
        ],
        outcome: "both are renamed, with the new message",
        shown: ["Play[M N] Play/Old[a]"; 2],
    },
    Story {
        flags: &[],
        before: |world, node| world.create(node, "Play"),
        sides: [
            ("rename a mailbox to below another", |world, node| world.rename(node, WORK, "Play/Work")),
            ("rename that one to below the first", |world, node| world.rename(node, "Play", "Work/Play")),
        ],
        outcome: "both are renamed",
        shown: ["Play/Work[M N] Work/Play[]"; 2],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("delete a mailbox", |world, node| world.delete(node, WORK)),
            ("delete it, too, and create it again", |world, node| {
                world.delete(node, WORK)?;
                world.create(node, WORK)
            }),
        ],
        outcome: "it is there, and empty",
        shown: ["Work[]"; 2],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("create a mailbox and append to it", |world, node| {
                world.create(node, "New")?;
                world.append(node, "New", b'a', &[])
            }),
            ("create one of the same name, and delete it", |world, node| {
                world.create(node, "New")?;
                world.delete(node, "New")
            }),
        ],
        outcome: "it is there, with the message",
        shown: ["New[a] Work[M N]"; 2],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("subscribe", |world, node| world.subscribe(node, WORK, true)),
            ("subscribe and unsubscribe", |world, node| {
                world.subscribe(node, WORK, true)?;
                world.subscribe(node, WORK, false)
            }),
        ],
        outcome: "the later",
        shown: ["Work[M N] subscribed:Work", "Work[M N]"],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("remove the account and add it again", add_again),
            ("deliver", |world, node| world.deliver(node, "INBOX", b'd')),
        ],
        outcome: "what was delivered before the removal went with it, what was delivered after is there",
        shown: ["password:again", "INBOX[d] password:again"],
    },
    Story {
        flags: &[],
        before: NOTHING,
        sides: [
            ("remove the account and add it again", add_again),
            ("create a mailbox and subscribe to it", |world, node| {
                world.create(node, "New")?;
                world.subscribe(node, "New", true)
            }),
        ],
        outcome: "what was done before the removal went with it, what was done after counts",
        shown: ["password:again", "New[] subscribed:New password:again"],
    },
    Story {
        flags: &[],
        before: |world, node| world.delete(node, "Trash"),
        sides: [
            ("remove the account", |world, node| world.remove_account(node)),
            ("remove the account and add it again", add_again),
        ],
        outcome: "the later of removal and addition; an account that is there has all its default mailboxes",
        shown: ["no account", "password:again"],
    },
    Story {
        flags: &[],
        before: |world, node| world.add_app_password(node, 1),
        sides: [
            ("take an app password away", |world, node| world.remove_app_password(node, 1)),
            ("add another, and change the password", |world, node| {
                world.add_app_password(node, 2)?;
                world.set_password(node, "changed")
            }),
        ],
        outcome: "the other is there, the first one is gone, and the new password holds",
        shown: ["Work[M N] password:changed app:2"; 2],
    },
    Story {
        flags: &[],
        before: |world, node| world.add_app_password(node, 1),
        sides: [
            ("remove the account and add it again", add_again),
            ("add an app password", |world, node| world.add_app_password(node, 2)),
        ],
        outcome: "what was there before the removal went with it, what was added after holds",
        shown: ["password:again", "password:again app:2"],
    },
];
