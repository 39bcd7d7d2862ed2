//! The one module that names imap-codec, and turns what it decodes into our own commands.
//!
//! Whatever it refuses, or decodes into something that we do not offer, gives `None`: then our own grammar has the word, and
//! the text of the error. Its quirks are off, so it is strict.

mod fetch;
mod search;

use imap_codec::imap_types::command::{
    Command as Decoded, CommandBody as Body, SelectParameter, StoreModifier,
};
use imap_codec::imap_types::core::{AString, IString, NString};
use imap_codec::imap_types::flag::{Flag as DecodedFlag, StoreResponse, StoreType};
use imap_codec::imap_types::mailbox::{ListMailbox, Mailbox};
use imap_codec::imap_types::sequence::{SeqOrUid, Sequence, SequenceSet as DecodedSet};
use imap_codec::imap_types::status::StatusDataItemName;
use imap_codec::{CommandCodec, decode::Decoder};
use mailstore::crdt::flag::{Flag, FlagChange};

use crate::command::{
    Bound, Command, CommandBody, ListReturn, ListSelection, Messages, Number, NumberSet, Password,
    SaslResponse, StatusItem, Tag,
};
use crate::mailbox_name::NameEncoding;

use super::{MOST_LISTED, cursor};

/// The command, if imap-codec knows it and we offer it.
pub(super) fn command(text: &[u8], names: NameEncoding) -> Option<Command> {
    let mut line = Vec::with_capacity(text.len() + b"\r\n".len());
    line.extend_from_slice(text);
    line.extend_from_slice(b"\r\n");
    let (rest, Decoded { tag, body }) = CommandCodec::default().decode(&line).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let tag = Tag::new(tag.as_ref().as_bytes())?;
    let body = plain(&body).or_else(|| on_mailboxes(&body, names)).or_else(|| on_messages(body, names))?;
    Some(Command { tag, body })
}

/// Commands about the connection.
fn plain(body: &Body<'_>) -> Option<CommandBody> {
    Some(match body {
        Body::Capability => CommandBody::Capability,
        Body::Noop => CommandBody::Noop,
        Body::Logout => CommandBody::Logout,
        Body::StartTLS => CommandBody::StartTls,
        Body::Namespace => CommandBody::Namespace,
        Body::Check => CommandBody::Check,
        Body::Close => CommandBody::Close,
        Body::Unselect => CommandBody::Unselect,
        Body::Idle => CommandBody::Idle,
        Body::Login { username, password } => {
            CommandBody::Login { name: text(username)?, password: Password(text(password.declassify())?) }
        }
        Body::Authenticate { mechanism, initial_response } => CommandBody::Authenticate {
            mechanism: mechanism.as_ref().to_ascii_uppercase(),
            initial_response: initial_response
                .as_ref()
                .map(|response| SaslResponse(response.declassify().to_vec())),
        },
        Body::Enable { capabilities } => CommandBody::Enable {
            capabilities: capabilities
                .as_ref()
                .iter()
                .map(|name| name.to_string().to_ascii_uppercase())
                .collect(),
        },
        Body::Id { parameters } => {
            CommandBody::Id { parameters: id(parameters.as_deref().unwrap_or_default())? }
        }
        _ => return None,
    })
}

/// Commands about mailboxes by name.
fn on_mailboxes(body: &Body<'_>, names: NameEncoding) -> Option<CommandBody> {
    let name = |mailbox| mailbox_name(mailbox, names);
    Some(match body {
        Body::Select { mailbox, parameters } => select(name(mailbox)?, false, parameters)?,
        Body::Examine { mailbox, parameters } => select(name(mailbox)?, true, parameters)?,
        Body::Create { mailbox } => CommandBody::Create { mailbox: name(mailbox)?, special_uses: Vec::new() },
        Body::Delete { mailbox } => CommandBody::Delete { mailbox: name(mailbox)? },
        Body::Rename { from, to } => CommandBody::Rename { from: name(from)?, to: name(to)? },
        Body::Subscribe { mailbox } => CommandBody::Subscribe { mailbox: name(mailbox)? },
        Body::Unsubscribe { mailbox } => CommandBody::Unsubscribe { mailbox: name(mailbox)? },
        Body::List { reference, mailbox_wildcard } => CommandBody::List {
            reference: name(reference)?,
            patterns: vec![pattern(mailbox_wildcard, names)?],
            selection: ListSelection::default(),
            returned: ListReturn::default(),
        },
        Body::Lsub { reference, mailbox_wildcard } => {
            CommandBody::Lsub { reference: name(reference)?, pattern: pattern(mailbox_wildcard, names)? }
        }
        Body::Status { mailbox, item_names } => {
            CommandBody::Status { mailbox: name(mailbox)?, items: status_items(item_names)? }
        }
        _ => return None,
    })
}

/// Commands about messages of the selected mailbox.
fn on_messages(body: Body<'_>, names: NameEncoding) -> Option<CommandBody> {
    Some(match body {
        Body::Expunge => CommandBody::Expunge { messages: None },
        Body::ExpungeUid { sequence_set } => {
            CommandBody::Expunge { messages: Some(messages(&sequence_set, true)?) }
        }
        Body::Copy { sequence_set, mailbox, uid } => CommandBody::Copy {
            messages: messages(&sequence_set, uid)?,
            mailbox: mailbox_name(&mailbox, names)?,
        },
        Body::Move { sequence_set, mailbox, uid } => CommandBody::Move {
            messages: messages(&sequence_set, uid)?,
            mailbox: mailbox_name(&mailbox, names)?,
        },
        Body::Store { sequence_set, kind, response, flags, uid, modifiers } => CommandBody::Store {
            messages: messages(&sequence_set, uid)?,
            change: match kind {
                StoreType::Replace => FlagChange::Replace,
                StoreType::Add => FlagChange::Add,
                StoreType::Remove => FlagChange::Remove,
            },
            silent: response == StoreResponse::Silent,
            flags: store_flags(&flags)?,
            unchanged_since: match modifiers.as_slice() {
                [] => None,
                [StoreModifier::UnchangedSince(modseq)] => Some(mod_sequence(*modseq)?),
                _ => return None,
            },
        },
        Body::Fetch { sequence_set, macro_or_item_names, uid, modifiers } => CommandBody::Fetch {
            messages: messages(&sequence_set, uid)?,
            items: fetch::items(macro_or_item_names)?,
            changed_since: fetch::changed_since(&modifiers)?,
            vanished: false,
            partial: None,
        },
        Body::Search { charset, criteria, uid } => {
            CommandBody::Search(search::search(charset.as_ref(), criteria.as_ref(), uid)?)
        }
        _ => return None,
    })
}

fn text(text: &AString<'_>) -> Option<String> {
    String::from_utf8(text.as_ref().to_vec()).ok()
}

fn mailbox_name(mailbox: &Mailbox<'_>, names: NameEncoding) -> Option<String> {
    match mailbox {
        Mailbox::Inbox => Some("INBOX".to_owned()),
        Mailbox::Other(other) => names.decode(other.as_ref()).ok(),
    }
}

fn pattern(pattern: &ListMailbox<'_>, names: NameEncoding) -> Option<String> {
    match pattern {
        ListMailbox::Token(token) => names.decode(token.as_ref()).ok(),
        ListMailbox::String(string) => names.decode(string.as_ref()).ok(),
    }
}

fn id(parameters: &[(IString<'_>, NString<'_>)]) -> Option<Vec<(String, Option<String>)>> {
    if parameters.len() > MOST_LISTED {
        return None;
    }
    let lossy = |value: &IString<'_>| String::from_utf8_lossy(value.as_ref()).into_owned();
    parameters
        .iter()
        .map(|(field, value)| {
            let field = String::from_utf8(field.as_ref().to_vec()).ok()?;
            Some((field, value.0.as_ref().map(lossy)))
        })
        .collect()
}

fn select(mailbox: String, read_only: bool, parameters: &[SelectParameter]) -> Option<CommandBody> {
    let known = parameters.iter().all(|parameter| *parameter == SelectParameter::CondStore);
    let condstore = !parameters.is_empty();
    known.then_some(CommandBody::Select { mailbox, read_only, condstore, resync: None })
}

fn status_items(names: &[StatusDataItemName]) -> Option<Vec<StatusItem>> {
    let mut items = Vec::new();
    for name in names {
        let item = match name {
            StatusDataItemName::Messages => StatusItem::Messages,
            StatusDataItemName::Recent => StatusItem::Recent,
            StatusDataItemName::UidNext => StatusItem::UidNext,
            StatusDataItemName::UidValidity => StatusItem::UidValidity,
            StatusDataItemName::Unseen => StatusItem::Unseen,
            StatusDataItemName::Deleted => StatusItem::Deleted,
            StatusDataItemName::HighestModSeq => StatusItem::HighestModseq,
            StatusDataItemName::DeletedStorage => StatusItem::DeletedStorage,
        };
        if !items.contains(&item) {
            items.push(item);
        }
    }
    (!items.is_empty()).then_some(items)
}

fn store_flags(flags: &[DecodedFlag<'_>]) -> Option<Vec<Flag>> {
    if flags.len() > MOST_LISTED {
        return None;
    }
    let flags: Option<Vec<Option<Flag>>> =
        flags.iter().map(|flag| cursor::flag(&flag.to_string()).ok()).collect();
    Some(flags?.into_iter().flatten().collect())
}

/// RFC 7162 section 7: a mod-sequence has 63 bits, of which imap-codec does not know.
fn mod_sequence(number: u64) -> Option<u64> {
    (number < 1 << 63).then_some(number)
}

fn messages(set: &DecodedSet, uid: bool) -> Option<Messages> {
    Some(if uid { Messages::Uids(number_set(set)?) } else { Messages::Sequence(number_set(set)?) })
}

fn number_set<N: Number>(set: &DecodedSet) -> Option<NumberSet<N>> {
    let bound = |bound: SeqOrUid| match bound {
        SeqOrUid::Value(number) => Bound::Number(N::of(number.get())),
        SeqOrUid::Asterisk => Bound::Last,
    };
    let range = |sequence: &Sequence| match *sequence {
        Sequence::Single(only) => (bound(only), bound(only)),
        Sequence::Range(start, end) => (bound(start), bound(end)),
    };
    NumberSet::new(set.0.as_ref().iter().map(range).collect())
}
