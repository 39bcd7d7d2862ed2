//! What becomes of two operations that did not know of each other, told by what one node would show after one or both.

use super::operations::Operation::{self, *};
use super::world::Picture;

/// What becomes of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As one after the other on one node, in whatever order.
    Both,
    /// As on one node this first, then the other.
    First(Operation),
    /// As if this alone had been done.
    Alone(Operation),
    /// As if the later, by the clock, alone had been done.
    Later,
    /// The flags of both replacements, and no others.
    United,
    /// The mailbox is there, with what came in meanwhile and nothing else.
    MailStays,
    /// No state allows both.
    Never,
}

/// What becomes of a pair; the first stands before the second in [`Operation::ALL`].
pub fn expected(one: Operation, other: Operation) -> Outcome {
    match (one, other) {
        (Add, Add) => Outcome::Later,
        (_, Add) | (Add, _) => Outcome::Never,
        (Annotate, Annotate) | (Share, Share) | (Password, Password) | (Quota, Quota) => Outcome::Later,
        (Remove, Remove) => Outcome::Both,
        (_, Remove) => Outcome::Alone(Remove),
        (Delete, Annotate | Share) => Outcome::Alone(Delete),
        (Rename, Annotate | Share) => Outcome::First(other),
        (_, Annotate | Share | AppPassword | Quota) => Outcome::Both,
        (_, Password) | (_, Subscribe) | (Create, _) | (_, Create) => Outcome::Both,
        (Deliver | Append, Delete) => Outcome::MailStays,
        (Deliver | Append, Rename) => Outcome::First(one),
        (Deliver | Append, _) => Outcome::Both,
        (Copy, Copy) => Outcome::Both,
        (Copy, _) => Outcome::First(Copy),
        (Move, Move) => Outcome::Later,
        (Move, Expunge) => Outcome::Alone(Move),
        (Move, Delete | Rename) => Outcome::First(Move),
        (Move, _) => Outcome::First(other),
        (Expunge, TakeDeletedOff) => Outcome::Alone(TakeDeletedOff),
        (Expunge, Expunge) => Outcome::Both,
        (Expunge, Rename) => Outcome::First(Expunge),
        (Expunge, Delete) => Outcome::Alone(Delete),
        (Expunge, _) => Outcome::Alone(Expunge),
        (Set, Clear) | (SetDeleted, TakeDeletedOff) => Outcome::Later,
        (Set | SetDeleted, Replace) => Outcome::First(Replace),
        (Replace, Replace) => Outcome::United,
        (Delete, Delete) => Outcome::Both,
        (Rename, Rename) => Outcome::Later,
        (_, Delete) | (Delete, Rename) => Outcome::Alone(Delete),
        (_, Rename) => Outcome::First(one),
        _ => Outcome::Both,
    }
}

impl Outcome {
    /// What the document calls it.
    pub fn words(self) -> String {
        match self {
            Outcome::Both => "both".to_owned(),
            Outcome::First(operation) => format!("{} first", operation.word()),
            Outcome::Alone(operation) => format!("{} alone", operation.word()),
            Outcome::Later => "the later".to_owned(),
            Outcome::United => "united".to_owned(),
            Outcome::MailStays => "mail stays".to_owned(),
            Outcome::Never => "never".to_owned(),
        }
    }

    /// What all nodes must show after `of[0]` on one side and `of[1]` on the other, of which the one at `later` came later.
    pub fn picture(self, of: [Operation; 2], later: usize) -> Option<Picture> {
        match self {
            Outcome::Both => {
                let either = one_after_the_other(of, &[0, 1]);
                assert_eq!(either, one_after_the_other(of, &[1, 0]), "the order makes a difference: {of:?}");
                either
            }
            Outcome::First(operation) => {
                let first = place(of, operation);
                one_after_the_other(of, &[first, 1 - first])
            }
            Outcome::Alone(operation) => one_after_the_other(of, &[place(of, operation)]),
            Outcome::Later => one_after_the_other(of, &[later]),
            Outcome::United => united(of),
            Outcome::MailStays => {
                let came_in = if of.contains(&Deliver) { 'd' } else { 'a' };
                let mut picture = one_after_the_other(of, &[place(of, Delete)])?;
                picture.mailboxes.insert("Work".to_owned(), vec![(came_in, Default::default())]);
                Some(picture)
            }
            Outcome::Never => unreachable!("there is no state in which both can be done"),
        }
    }
}

fn place(of: [Operation; 2], operation: Operation) -> usize {
    assert_ne!(of[0], of[1], "it has to be one of two");
    of.iter().position(|candidate| *candidate == operation).expect("one of the pair")
}

/// What one node shows alone, after what stands at these places; what is refused by then does nothing.
fn one_after_the_other(of: [Operation; 2], places: &[usize]) -> Option<Picture> {
    let mut world = Operation::world(of);
    for (number, place) in places.iter().enumerate() {
        let done = of[*place].run(&mut world, 0, *place as u8);
        assert!(done.is_ok() || number > 0, "{:?} alone was refused", of[*place]);
    }
    world.spread();
    world.look_everywhere();
    world.picture(0)
}

/// Replacements that do not know of each other: what either takes off is gone, what either sets is there.
fn united(of: [Operation; 2]) -> Option<Picture> {
    let mut picture = one_after_the_other(of, &[0])?;
    let other = one_after_the_other(of, &[1])?;
    for (name, messages) in &mut picture.mailboxes {
        for (message, other) in messages.iter_mut().zip(&other.mailboxes[name]) {
            message.1.extend(other.1.iter().cloned());
        }
    }
    Some(picture)
}
