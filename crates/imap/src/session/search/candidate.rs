//! A message that is being searched, and how far its texts have been read: a long one is read in several turns.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use mailstore::crdt::view::Row;
use mailstore::{Body, ReadError};
use message::{Needle, Scope, Structure, TextSearch};

use super::super::bodies::Bodies;

/// A text that is looked for.
#[derive(Debug)]
pub(super) struct TextTest {
    /// Tells it from the other ones of a search.
    pub(super) number: usize,
    pub(super) place: Place,
    needle: Needle,
}

/// Where a text is looked for.
#[derive(Debug)]
pub(super) enum Place {
    Field(String),
    Body,
    Everywhere,
}

/// Why it is not known whether a message passes.
pub(super) enum Unsettled {
    /// Its turn is over before it was read to its end.
    Later,
    Unreadable(ReadError),
}

/// What is known of the texts of a message from the turns before.
#[derive(Default)]
pub(super) struct ReadSoFar {
    /// By the numbers of the tests.
    found: BTreeMap<usize, bool>,
    open: Option<Box<TextSearch>>,
}

/// A message that is being tested; what was read of it serves all tests.
pub(super) struct Candidate<'a, 'b> {
    pub(super) place: usize,
    pub(super) row: Row,
    pub(super) structure: Option<Arc<Structure>>,
    /// How many octets may yet be read in this turn.
    pub(super) octets: u64,
    pub(super) read: ReadSoFar,
    body: Option<Body>,
    bodies: &'a mut Bodies<'b>,
}

impl From<ReadError> for Unsettled {
    fn from(error: ReadError) -> Self {
        Unsettled::Unreadable(error)
    }
}

impl TextTest {
    pub(super) fn new(place: Place, text: &str) -> Self {
        TextTest { number: 0, place, needle: Needle::new(text) }
    }

    fn scope(&self) -> Scope<'_> {
        match &self.place {
            Place::Field(name) => Scope::Field(name),
            Place::Body => Scope::Body,
            Place::Everywhere => Scope::Text,
        }
    }
}

impl<'a, 'b> Candidate<'a, 'b> {
    pub(super) fn new(
        (place, row): (usize, Row),
        read: ReadSoFar,
        octets: u64,
        bodies: &'a mut Bodies<'b>,
    ) -> Self {
        Candidate { place, row, structure: None, octets, read, body: None, bodies }
    }

    pub(super) fn structure(&mut self) -> Result<Arc<Structure>, ReadError> {
        match &self.structure {
            Some(structure) => Ok(structure.clone()),
            None => {
                let structure = self.bodies.structure(&self.row.facts.body)?;
                Ok(self.structure.insert(structure).clone())
            }
        }
    }

    /// Whether the text is there. Tests come in the same order each turn, so that an open search is of the first that is not settled.
    pub(super) fn contains(&mut self, test: &TextTest) -> Result<bool, Unsettled> {
        if let Some(found) = self.read.found.get(&test.number) {
            return Ok(*found);
        }
        let structure = self.structure()?;
        let body = match self.body.take() {
            Some(body) => body,
            None => self.bodies.body(&self.row.facts.body)?,
        };
        let body = self.body.insert(body);
        let open = self.read.open.take();
        let mut search =
            open.unwrap_or_else(|| Box::new(TextSearch::new(&structure, &test.needle, test.scope())));
        match search.run(|range: Range<u64>| body.read(range), &test.needle, &mut self.octets)? {
            Some(found) => {
                self.read.found.insert(test.number, found);
                Ok(found)
            }
            None => {
                self.read.open = Some(search);
                Err(Unsettled::Later)
            }
        }
    }
}
