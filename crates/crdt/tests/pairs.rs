//! What becomes of two operations that did not know of each other: all pairs, and the document that tells of them.
//!
//! Each pair is done on two nodes that are apart and were equal before, in either order of the clocks; then the nodes
//! meet, in either order, and a third hears of both, in either order. All must come to show the same to the last UID, and
//! it must be what `docs/concurrent-operations.md` says.

#![allow(clippy::panic, reason = "a test fails by panicking")]

mod common;
mod pairs {
    pub mod document;
    pub mod operations;
    pub mod outcome;
    pub mod stories;
    pub mod world;
}

use pairs::document;
use pairs::operations::Operation;
use pairs::outcome::{Outcome, expected};
use pairs::stories::{STORIES, told};
use pairs::world::{NODES, Picture, World};

/// All pairs, the first of each standing before the second in the list.
fn all_pairs() -> impl Iterator<Item = [Operation; 2]> {
    let from = |(place, one): (usize, Operation)| {
        Operation::ALL.into_iter().skip(place).map(move |other| [one, other])
    };
    Operation::ALL.into_iter().enumerate().flat_map(from)
}

/// In how many ways two operations that are apart can meet.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Whose clock is ahead.
    later: usize,
    /// Whose delta goes out first.
    speaks_first: usize,
    /// Whether clients have everything selected all the time.
    looked_at: bool,
}

impl Way {
    fn all() -> impl Iterator<Item = Way> {
        (0..8).map(|bits| Way { later: bits & 1, speaks_first: bits >> 1 & 1, looked_at: bits & 4 != 0 })
    }
}

/// Parts the sides, lets each do something, and lets them meet; what everybody shows then.
fn after_meeting(mut world: World, way: Way, mut act: impl FnMut(&mut World, usize)) -> Option<Picture> {
    if way.looked_at {
        world.look_everywhere();
        world.spread();
    }
    world.part();
    for side in [1 - way.later, way.later] {
        act(&mut world, side);
    }
    let (speaks, listens) = (way.speaks_first, 1 - way.speaks_first);
    world.send(speaks, 2);
    world.send(listens, 2);
    world.send(speaks, listens);
    world.send(listens, speaks);
    world.spread();
    world.look_everywhere();
    world.spread();
    for node in 1..NODES {
        assert_eq!(world.shown(0), world.shown(node), "{way:?}: nodes 0 and {node} differ");
        assert_eq!(world.picture(0), world.picture(node), "{way:?}: nodes 0 and {node} differ");
    }
    world.picture(0)
}

#[test]
fn every_pair_comes_to_what_its_cell_says() {
    let mut wrong = Vec::new();
    for of in all_pairs() {
        let outcome = expected(of[0], of[1]);
        if outcome == Outcome::Never {
            continue;
        }
        let wanted = [0, 1].map(|later| outcome.picture(of, later));
        for way in Way::all() {
            let shown = after_meeting(Operation::world(of), way, |world, side| {
                of[side].run(world, side, side as u8).expect("each side knows of itself alone");
            });
            let wanted = &wanted[way.later];
            if shown != *wanted {
                wrong.push(format!("{of:?} is to be {outcome:?}: {way:?}\n{wanted:?}\nshown\n{shown:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn pairs_that_never_meet_are_refused_in_every_state() {
    for of in all_pairs().filter(|of| expected(of[0], of[1]) == Outcome::Never) {
        for mut world in [World::empty(), World::with_account(&[])] {
            let done = of.map(|operation| operation.run(&mut world.clone(), 0, 0).is_ok());
            assert_ne!(done, [true, true], "{of:?}");
            world.spread();
        }
    }
}

#[test]
fn the_document_names_every_pair_and_what_the_test_proves() {
    let mut wrong = Vec::new();
    let table = document::pairs();
    for of in all_pairs() {
        let [row, column] = of.map(Operation::word);
        let words = expected(of[0], of[1]).words();
        let told = table.get(&(row.to_owned(), column.to_owned()));
        if told != Some(&words) {
            wrong.push(format!("{row} and {column}: the test proves \"{words}\", the table says {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), document::table_of_pairs());
    assert_eq!(table.len(), all_pairs().count(), "the table has cells that are no pair");
}

#[test]
fn every_story_ends_as_it_is_told() {
    let mut wrong = Vec::new();
    for story in STORIES {
        for way in Way::all() {
            let mut world = World::with_account(story.flags);
            (story.before)(&mut world, 0).expect("done before");
            world.spread();
            let shown = after_meeting(world, way, |world, side| {
                story.sides[side].1(world, side).expect("each side knows of itself alone");
            });
            let (shown, wanted) = (told(shown.as_ref()), story.shown[way.later]);
            if shown != wanted {
                let [one, other] = story.sides.map(|(words, _)| words);
                wrong.push(format!("{one} and {other}: {way:?}\nwanted {wanted}\nshown {shown}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_document_tells_every_story() {
    let plain = |text: &str| text.replace('`', "");
    let told: Vec<[String; 3]> = document::stories();
    let row = |story: &pairs::stories::Story| [story.sides[0].0, story.sides[1].0, story.outcome].map(plain);
    let wanted: Vec<[String; 3]> = STORIES.iter().map(row).collect();
    assert_eq!(told, wanted, "\n{}", document::table_of_stories());
}
