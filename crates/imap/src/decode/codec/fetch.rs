//! Items and modifiers of FETCH.

use imap_codec::imap_types::command::FetchModifier;
use imap_codec::imap_types::core::{AString, Vec1};
use imap_codec::imap_types::fetch::{
    MacroOrMessageDataItemNames, MessageDataItemName, Part, Section as DecodedSection,
};

use crate::command::{FetchItem, Partial, Section, SectionText};

use super::super::MOST_LISTED;

pub(super) fn items(names: MacroOrMessageDataItemNames<'_>) -> Option<Vec<FetchItem>> {
    let names = match names {
        MacroOrMessageDataItemNames::Macro(name) => return name.expand().into_iter().map(item).collect(),
        MacroOrMessageDataItemNames::MessageDataItemNames(names) => names,
    };
    if names.len() > MOST_LISTED {
        return None;
    }
    let mut items = Vec::new();
    for name in names {
        let item = item(name)?;
        if !items.contains(&item) {
            items.push(item);
        }
    }
    (!items.is_empty()).then_some(items)
}

/// The modifiers, unless there is another one than CHANGEDSINCE.
pub(super) fn changed_since(modifiers: &[FetchModifier]) -> Option<Option<u64>> {
    match modifiers {
        [] => Some(None),
        [FetchModifier::ChangedSince(modseq)] => Some(Some(super::mod_sequence(modseq.get())?)),
        _ => None,
    }
}

fn item(name: MessageDataItemName<'_>) -> Option<FetchItem> {
    Some(match name {
        MessageDataItemName::Body => FetchItem::Body,
        MessageDataItemName::BodyStructure => FetchItem::BodyStructure,
        MessageDataItemName::Envelope => FetchItem::Envelope,
        MessageDataItemName::Flags => FetchItem::Flags,
        MessageDataItemName::InternalDate => FetchItem::InternalDate,
        MessageDataItemName::Rfc822 => FetchItem::Rfc822,
        MessageDataItemName::Rfc822Header => FetchItem::Rfc822Header,
        MessageDataItemName::Rfc822Size => FetchItem::Rfc822Size,
        MessageDataItemName::Rfc822Text => FetchItem::Rfc822Text,
        MessageDataItemName::Uid => FetchItem::Uid,
        MessageDataItemName::ModSeq => FetchItem::Modseq,
        MessageDataItemName::BodyExt { section, partial, peek } => FetchItem::Section {
            section: section_of(section)?,
            partial: partial.map(|(first, count)| Partial { first: first.into(), count: count.into() }),
            peek,
        },
        MessageDataItemName::Binary { .. } | MessageDataItemName::BinarySize { .. } => return None,
    })
}

fn section_of(section: Option<DecodedSection<'_>>) -> Option<Section> {
    let part = |part: Option<Part>| part.map(|part| part.0.as_ref().to_vec()).unwrap_or_default();
    Some(match section {
        None => Section { part: Vec::new(), text: SectionText::Whole },
        Some(DecodedSection::Part(at)) => Section { part: part(Some(at)), text: SectionText::Whole },
        Some(DecodedSection::Header(at)) => Section { part: part(at), text: SectionText::Header },
        Some(DecodedSection::HeaderFields(at, fields)) => {
            Section { part: part(at), text: SectionText::HeaderFields(field_names(&fields)?) }
        }
        Some(DecodedSection::HeaderFieldsNot(at, fields)) => {
            Section { part: part(at), text: SectionText::HeaderFieldsNot(field_names(&fields)?) }
        }
        Some(DecodedSection::Text(at)) => Section { part: part(at), text: SectionText::Text },
        Some(DecodedSection::Mime(at)) => Section { part: part(Some(at)), text: SectionText::Mime },
    })
}

fn field_names(fields: &Vec1<AString<'_>>) -> Option<Vec<String>> {
    let fields = fields.as_ref();
    if fields.len() > MOST_LISTED {
        return None;
    }
    fields.iter().map(super::text).collect()
}
