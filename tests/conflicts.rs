//! Both nodes change while they are apart: what clients see before, during and after, row by row as `docs/conflicts.md` has them.
//!
//! Rows share nodes and one cut, each in mailboxes of its own. Every client checks that what it is told is legal where it
//! comes, and a witness that no UID ever names two messages.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod conflicts {
    pub mod cache;
    pub mod mailboxes;
    pub mod messages;
    pub mod stage;
}
mod kit;

use conflicts::mailboxes::{BothCreate, BothRename, DeleteAndAppend, DeleteCreateAndAppend, RenameAndAppend};
use conflicts::messages::{Actor, InOneMailbox, Story};
use conflicts::stage::{Row, play};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conflicts.md");

fn rows_of_appends() -> Vec<Box<dyn Row>> {
    vec![
        Box::new(two_and_three_appended()),
        Box::new(two_and_two_appended()),
        Box::new(one_equal_and_one_other_appended()),
        Box::new(expunged_and_appended()),
    ]
}

fn rows_of_flags_and_moves() -> Vec<Box<dyn Row>> {
    vec![
        Box::new(flags_on_both_sides()),
        Box::new(expunged_and_flagged()),
        Box::new(moved_to_two_mailboxes()),
        Box::new(moved_and_flagged()),
        Box::new(moved_and_expunged()),
    ]
}

fn rows_of_mailboxes() -> Vec<Box<dyn Row>> {
    vec![
        Box::new(BothCreate::default()),
        Box::new(DeleteAndAppend::default()),
        Box::new(RenameAndAppend::default()),
        Box::new(BothRename::default()),
        Box::new(DeleteCreateAndAppend::default()),
    ]
}

#[test]
fn messages_come_and_go_on_both_sides() {
    play(rows_of_appends());
}

#[test]
fn flags_expunges_and_moves_meet() {
    play(rows_of_flags_and_moves());
}

#[test]
fn mailboxes_are_created_deleted_and_renamed_on_both_sides() {
    play(rows_of_mailboxes());
}

/// The document has all rows that are played, and no others; and what it says of this store is not what it must never say.
#[test]
fn the_document_has_every_row() {
    let text = std::fs::read_to_string(DOCUMENT).unwrap();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = text.lines().map(cells).filter(|cells| cells.len() == 7).skip(2).collect();
    let told: Vec<&str> = rows.iter().map(|cells| cells[5].trim_matches('`')).collect();
    let all = [rows_of_appends(), rows_of_flags_and_moves(), rows_of_mailboxes()];
    let played: Vec<&str> = all.iter().flatten().map(|row| row.name()).collect();
    assert_eq!(told, played);
    for cells in &rows {
        for never in ["lost", "ghost", "not noticed", "someone steps in"] {
            assert!(!cells[4].to_lowercase().contains(never), "{never:?} in {:?}", cells[4]);
        }
    }
}

fn append(actor: &mut Actor, ids: &[&str]) {
    ids.iter().for_each(|id| actor.append(id));
}

/// The first side's new messages lie below what the second has announced, so they go up; nothing else does.
fn the_first_gives_way(story: &Story, first: &[&str], second: &[&str]) {
    story.kept(0, &["3"]);
    story.kept(1, second);
    story.renumbered(0, first);
    assert_eq!(story.expunged[0], first.len(), "in the open session of the first side");
}

fn two_and_three_appended() -> InOneMailbox {
    InOneMailbox::new(
        "two-and-three",
        &[],
        [|actor| append(actor, &["a1", "a2"]), |actor| append(actor, &["b1", "b2", "b3"])],
        &[&["1", "2", "3", "a1", "a2", "b1", "b2", "b3"]],
        |story| {
            the_first_gives_way(story, &["a1", "a2"], &["b1", "b2", "b3"]);
            assert_eq!(story.expunged[1], 0);
        },
    )
}

fn two_and_two_appended() -> InOneMailbox {
    InOneMailbox::new(
        "two-and-two",
        &[],
        [|actor| append(actor, &["a1", "a2"]), |actor| append(actor, &["b1", "b2"])],
        &[&["1", "2", "3", "a1", "a2", "b1", "b2"]],
        |story| {
            the_first_gives_way(story, &["a1", "a2"], &["b1", "b2"]);
            assert_eq!(story.expunged[1], 0);
        },
    )
}

/// Both clients were told that their copy was stored, each with a UID; so both copies are there.
fn one_equal_and_one_other_appended() -> InOneMailbox {
    InOneMailbox::new(
        "one-equal",
        &[],
        [|actor| append(actor, &["equal", "a1"]), |actor| append(actor, &["equal", "b1"])],
        &[&["1", "2", "3", "equal", "equal", "a1", "b1"]],
        |story| {
            story.kept(1, &["b1"]);
            story.renumbered(0, &["a1"]);
            assert_eq!(story.expunged, [2, 0]);
        },
    )
}

fn expunged_and_appended() -> InOneMailbox {
    InOneMailbox::new(
        "expunged-and-appended",
        &[],
        [
            |actor| {
                actor.expunge("1");
                actor.append("a1");
            },
            |actor| {
                actor.expunge("2");
                actor.append("b1");
            },
        ],
        &[&["3", "a1", "b1"]],
        |story| {
            story.kept(0, &["3"]);
            story.kept(1, &["3", "b1"]);
            story.renumbered(0, &["a1"]);
            // What the other side expunged; on the first side its own message went up, too.
            assert_eq!(story.expunged, [2, 1]);
        },
    )
}

/// The fourth command pair: set on both sides, then cleared on the second, which is the later.
fn flags_on_both_sides() -> InOneMailbox {
    InOneMailbox::new(
        "flags",
        &[],
        [
            |actor| {
                actor.store("1", "+FLAGS (\\Seen)");
                actor.store("2", "+FLAGS (\\Flagged)");
                actor.store("3", "+FLAGS (\\Seen)");
            },
            |actor| {
                actor.store("1", "+FLAGS (\\Answered)");
                actor.store("2", "+FLAGS (kwB)");
                actor.store("3", "+FLAGS (\\Seen)");
                actor.store("3", "-FLAGS (\\Seen)");
            },
        ],
        &[&["1", "2", "3"]],
        |story| {
            let flags = ["1", "2", "3"].map(|id| story.merged[0].flags(id));
            assert_eq!(flags, ["\\Answered \\Seen", "\\Flagged kwB", ""]);
            assert_eq!(story.expunged, [0, 0]);
        },
    )
}

fn expunged_and_flagged() -> InOneMailbox {
    InOneMailbox::new(
        "expunged-and-flagged",
        &[],
        [|actor| actor.expunge("2"), |actor| actor.store("2", "+FLAGS (\\Flagged)")],
        &[&["1", "3"]],
        |story| {
            story.kept(1, &["1", "3"]);
            assert_eq!(story.expunged, [0, 1]);
        },
    )
}

fn moved_to_two_mailboxes() -> InOneMailbox {
    InOneMailbox::new(
        "moved-twice",
        &["x", "y"],
        [|actor| actor.move_to("2", "x"), |actor| actor.move_to("2", "y")],
        &[&["1", "3"], &[], &["2"]],
        |story| assert_eq!(story.expunged, [0, 0]),
    )
}

fn moved_and_flagged() -> InOneMailbox {
    InOneMailbox::new(
        "moved-and-flagged",
        &["x"],
        [|actor| actor.move_to("2", "x"), |actor| actor.store("2", "+FLAGS (\\Flagged)")],
        &[&["1", "3"], &["2"]],
        |story| {
            assert_eq!(story.merged[1].flags("2"), "\\Flagged");
            assert_eq!(story.expunged, [0, 1]);
        },
    )
}

/// It comes without the \Deleted that the expunge went by: it would be lost with the next CLOSE of the mailbox.
fn moved_and_expunged() -> InOneMailbox {
    InOneMailbox::new(
        "moved-and-expunged",
        &["x"],
        [|actor| actor.move_to("2", "x"), |actor| actor.expunge("2")],
        &[&["1", "3"], &["2"]],
        |story| {
            assert_eq!(story.merged[1].flags("2"), "");
            assert_eq!(story.expunged, [0, 0]);
        },
    )
}
