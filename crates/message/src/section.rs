//! Body sections (RFC 9051 6.4.5.1): which octets of the message a part number and a name mean.

use std::ops::Range;

use crate::structure::{Content, Message, Part, Structure};

/// A section of a message: a path of part numbers and what of the part is meant.
///
/// `HEADER.FIELDS` and `HEADER.FIELDS.NOT` are [`SectionText::Header`] given to [`crate::fields`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Section {
    /// Part numbers, from one; empty for the whole message.
    pub path: Vec<u32>,
    /// What of the part.
    pub text: SectionText,
}

/// What of a part is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SectionText {
    /// The body of the part; with no part number the whole message.
    Whole,
    /// The header of the message, with the empty line that ends it.
    Header,
    /// The text of the message, its header left out.
    Text,
    /// The MIME header of the part.
    Mime,
}

impl Section {
    /// The whole of a part; of the message where the path is empty.
    pub fn whole(path: &[u32]) -> Self {
        Self { path: path.to_vec(), text: SectionText::Whole }
    }
}

impl Structure {
    /// The octets of the message that a section means; `None` where there is no such section.
    ///
    /// A multipart in which no part was found has a part 1 that is empty, as its BODYSTRUCTURE says.
    pub fn section(&self, section: &Section) -> Option<Range<u64>> {
        if section.path.is_empty() {
            return match section.text {
                SectionText::Whole => Some(0..self.size),
                SectionText::Header => Some(self.message.root.header.clone()),
                SectionText::Text => Some(self.message.root.body.clone()),
                SectionText::Mime => None,
            };
        }
        match (self.descend(&section.path)?, section.text) {
            (Found::Part(part), SectionText::Whole) => Some(part.body.clone()),
            (Found::Part(part), SectionText::Mime) => Some(part.header.clone()),
            (Found::Part(part), SectionText::Header) => {
                part.message().map(|message| message.root.header.clone())
            }
            (Found::Part(part), SectionText::Text) => part.message().map(|message| message.root.body.clone()),
            (Found::Missing(at), SectionText::Whole | SectionText::Mime) => Some(at..at),
            (Found::Missing(_), SectionText::Header | SectionText::Text) => None,
        }
    }

    /// The part that a path of part numbers names; `None` for the empty path, too.
    pub fn part(&self, path: &[u32]) -> Option<&Part> {
        match self.descend(path)? {
            Found::Part(part) => Some(part),
            Found::Missing(_) => None,
        }
    }

    fn descend(&self, path: &[u32]) -> Option<Found<'_>> {
        let (first, rest) = path.split_first()?;
        let mut found = numbered(&self.message.root, *first)?;
        for number in rest {
            let Found::Part(part) = found else { return None };
            found = match &part.content {
                Content::Multipart(_) => numbered(part, *number)?,
                Content::Message(message) => numbered(&message.root, *number)?,
                Content::Leaf => return None,
            };
        }
        Some(found)
    }
}

impl Part {
    /// The message that this part contains.
    pub fn message(&self) -> Option<&Message> {
        match &self.content {
            Content::Message(message) => Some(message),
            Content::Leaf | Content::Multipart(_) => None,
        }
    }
}

enum Found<'a> {
    Part(&'a Part),
    /// The one empty part of a multipart in which none was found, and where it would be.
    Missing(u64),
}

/// The part of this number in a multipart; the body of anything else is its own part 1.
fn numbered(part: &Part, number: u32) -> Option<Found<'_>> {
    match &part.content {
        Content::Multipart(children) if children.is_empty() => {
            (number == 1).then_some(Found::Missing(part.body.start))
        }
        Content::Multipart(children) => {
            let index = usize::try_from(number.checked_sub(1)?).ok()?;
            children.get(index).map(Found::Part)
        }
        Content::Leaf | Content::Message(_) => (number == 1).then_some(Found::Part(part)),
    }
}
