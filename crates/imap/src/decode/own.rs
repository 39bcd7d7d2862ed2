//! The grammar of what imap-codec does not know, whole enough to stand alone.

mod access;
pub(super) mod catenate;
pub(super) mod fetch;
mod list;
mod metadata;
mod multi_search;
mod notify;
mod resync;
pub(super) mod search;
mod sort;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mailstore::crdt::flag::{Flag, FlagChange};
use message::InternalDate;

use crate::command::{
    AppendForm, AppendMessage, CommandBody, Messages, Number, NumberSet, PartialRange, Password,
    SaslResponse, UidBatches,
};
use crate::mailbox_name::NameEncoding;

use super::cursor::{Cursor, Expected, Read};
use super::received;

/// Clients are seen that leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads a command from its name on.
pub(super) fn body(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<CommandBody> {
    let name = cursor.word("a command")?;
    let body = match name.as_str() {
        "CAPABILITY" => CommandBody::Capability,
        "NOOP" => CommandBody::Noop,
        "LOGOUT" => CommandBody::Logout,
        "STARTTLS" => CommandBody::StartTls,
        "NAMESPACE" => CommandBody::Namespace,
        "CHECK" => CommandBody::Check,
        "CLOSE" => CommandBody::Close,
        "UNSELECT" => CommandBody::Unselect,
        "UNAUTHENTICATE" => CommandBody::Unauthenticate,
        "IDLE" => CommandBody::Idle,
        "EXPUNGE" => CommandBody::Expunge { messages: None },
        _ => {
            // A command that is not known is told apart from one that lacks its arguments.
            if !TAKE_ARGUMENTS.contains(&name.as_str()) {
                return Err(unknown(&name));
            }
            cursor.space()?;
            with_arguments(cursor, &name, names)?
        }
    };
    cursor.end()?;
    Ok(body)
}

const TAKE_ARGUMENTS: [&str; 38] = [
    "APPEND",
    "AUTHENTICATE",
    "COMPRESS",
    "COPY",
    "CREATE",
    "DELETE",
    "DELETEACL",
    "ENABLE",
    "ESEARCH",
    "EXAMINE",
    "FETCH",
    "GETACL",
    "GETMETADATA",
    "GETQUOTA",
    "GETQUOTAROOT",
    "ID",
    "LIST",
    "LISTRIGHTS",
    "LOGIN",
    "LSUB",
    "MOVE",
    "MYRIGHTS",
    "NOTIFY",
    "RENAME",
    "REPLACE",
    "SEARCH",
    "SELECT",
    "SETACL",
    "SETMETADATA",
    "SETQUOTA",
    "SORT",
    "STATUS",
    "STORE",
    "SUBSCRIBE",
    "THREAD",
    "UID",
    "UIDBATCHES",
    "UNSUBSCRIBE",
];

fn unknown(name: &str) -> Expected {
    let name: String = name.chars().take(40).collect();
    Expected::Rule(format!("There is no command {name}").into())
}

fn with_arguments(cursor: &mut Cursor<'_>, name: &str, names: NameEncoding) -> Read<CommandBody> {
    match name {
        "LOGIN" => login(cursor),
        "AUTHENTICATE" => authenticate(cursor),
        "COMPRESS" => {
            Ok(CommandBody::Compress { mechanism: cursor.atom("a mechanism")?.to_ascii_uppercase() })
        }
        "ENABLE" => enable(cursor),
        "ID" => id(cursor),
        "SELECT" => select(cursor, names, false),
        "EXAMINE" => select(cursor, names, true),
        "CREATE" => list::create(cursor, names),
        "DELETE" => Ok(CommandBody::Delete { mailbox: cursor.mailbox(names)? }),
        "SUBSCRIBE" => Ok(CommandBody::Subscribe { mailbox: cursor.mailbox(names)? }),
        "UNSUBSCRIBE" => Ok(CommandBody::Unsubscribe { mailbox: cursor.mailbox(names)? }),
        "RENAME" => {
            let from = cursor.mailbox(names)?;
            cursor.space()?;
            Ok(CommandBody::Rename { from, to: cursor.mailbox(names)? })
        }
        "LIST" => list::list(cursor, names),
        "LSUB" => list::lsub(cursor, names),
        "STATUS" => list::status(cursor, names),
        "NOTIFY" => notify::notify(cursor, names),
        "ESEARCH" => multi_search::multi_search(cursor, names),
        "UIDBATCHES" => uid_batches(cursor),
        "GETACL" => Ok(CommandBody::GetAcl { mailbox: cursor.mailbox(names)? }),
        "MYRIGHTS" => Ok(CommandBody::MyRights { mailbox: cursor.mailbox(names)? }),
        "SETACL" => access::set(cursor, names),
        "DELETEACL" => access::delete(cursor, names),
        "LISTRIGHTS" => access::list(cursor, names),
        "GETQUOTA" => Ok(CommandBody::GetQuota { root: cursor.text("a quota root")? }),
        "GETQUOTAROOT" => Ok(CommandBody::GetQuotaRoot { mailbox: cursor.mailbox(names)? }),
        "SETQUOTA" => set_quota(cursor),
        "GETMETADATA" => metadata::get(cursor, names),
        "SETMETADATA" => metadata::set(cursor, names),
        "APPEND" => Err(Expected::Rule("APPEND needs a message, which is a literal".into())),
        "REPLACE" => Err(Expected::Rule("REPLACE needs a message, which is a literal".into())),
        "UID" => {
            let name = cursor.word("the name of a command with UIDs")?;
            cursor.space()?;
            if name == "REPLACE" {
                return with_arguments(cursor, &name, names);
            }
            if name == "EXPUNGE" {
                return Ok(CommandBody::Expunge { messages: Some(messages(cursor, true)?) });
            }
            on_messages(cursor, &name, names, true)
        }
        name => on_messages(cursor, name, names, false),
    }
}

fn on_messages(cursor: &mut Cursor<'_>, name: &str, names: NameEncoding, uid: bool) -> Read<CommandBody> {
    match name {
        "SEARCH" => search::search(cursor, uid).map(CommandBody::Search),
        "SORT" => sort::sort(cursor, uid).map(CommandBody::Sort),
        "THREAD" => sort::thread(cursor, uid).map(CommandBody::Thread),
        "FETCH" => fetch::fetch(cursor, uid),
        "STORE" => store(cursor, uid),
        "COPY" | "MOVE" => {
            let messages = messages(cursor, uid)?;
            cursor.space()?;
            let mailbox = cursor.mailbox(names)?;
            Ok(match name {
                "COPY" => CommandBody::Copy { messages, mailbox },
                _ => CommandBody::Move { messages, mailbox },
            })
        }
        _ => Err(unknown(name)),
    }
}

fn messages(cursor: &mut Cursor<'_>, uid: bool) -> Read<Messages> {
    fn set<N: Number>(cursor: &mut Cursor<'_>) -> Read<NumberSet<N>> {
        cursor.number_set()
    }
    if cursor.accept(b'$') {
        return Ok(Messages::Saved { uid });
    }
    Ok(if uid { Messages::Uids(set(cursor)?) } else { Messages::Sequence(set(cursor)?) })
}

/// `partial-range` of RFC 9394 section 4.
fn partial_range(cursor: &mut Cursor<'_>) -> Read<PartialRange> {
    const EXPECTED: &str = "a range such as 1:100 or -1:-100";
    let from_last = cursor.accept(b'-');
    let start = cursor.positive(EXPECTED)?;
    cursor.expect(b':', EXPECTED)?;
    if cursor.accept(b'-') != from_last {
        return Err(Expected::Grammar(EXPECTED));
    }
    Ok(PartialRange { start, end: cursor.positive(EXPECTED)?, from_last })
}

/// `uidbatches` of RFC 10022: a size and perhaps a range of batches.
fn uid_batches(cursor: &mut Cursor<'_>) -> Read<CommandBody> {
    const EXPECTED: &str = "a range of batches such as 1:10";
    let size = cursor.positive("the size of a batch")?;
    let mut part = None;
    if cursor.peek() == Some(b' ') {
        cursor.space()?;
        let first = cursor.positive(EXPECTED)?;
        cursor.expect(b':', EXPECTED)?;
        part = Some((first, cursor.positive(EXPECTED)?));
    }
    Ok(CommandBody::UidBatches(UidBatches { size, part }))
}

/// `setquota` of RFC 9208 section 7.
fn set_quota(cursor: &mut Cursor<'_>) -> Read<CommandBody> {
    cursor.text("a quota root")?;
    cursor.space()?;
    cursor.list(|cursor| {
        cursor.atom("a resource")?;
        cursor.space()?;
        cursor.number64("a limit")
    })?;
    Ok(CommandBody::SetQuota)
}

fn login(cursor: &mut Cursor<'_>) -> Read<CommandBody> {
    let name = cursor.text("a user name")?;
    cursor.space()?;
    Ok(CommandBody::Login { name, password: Password(cursor.text("a password")?) })
}

fn authenticate(cursor: &mut Cursor<'_>) -> Read<CommandBody> {
    let mechanism = cursor.atom("a SASL mechanism")?.to_ascii_uppercase();
    let initial_response = match cursor.accept(b' ') {
        true => Some(initial_response(cursor.until_space()).ok_or(Expected::Grammar("base64"))?),
        false => None,
    };
    Ok(CommandBody::Authenticate { mechanism, initial_response })
}

/// `initial-resp` of RFC 4959: base64, or `=` for an empty one.
fn initial_response(text: &[u8]) -> Option<SaslResponse> {
    let response = if text == b"=" { Ok(Vec::new()) } else { BASE64.decode(text) };
    response.ok().map(SaslResponse)
}

fn enable(cursor: &mut Cursor<'_>) -> Read<CommandBody> {
    let mut capabilities = Vec::new();
    loop {
        capabilities.push(cursor.atom("a capability")?.to_ascii_uppercase());
        if cursor.peek() != Some(b' ') || capabilities.len() >= super::MOST_LISTED {
            return Ok(CommandBody::Enable { capabilities });
        }
        cursor.space()?;
    }
}

/// `id-params-list` of RFC 2971 section 4.
fn id(cursor: &mut Cursor<'_>) -> Read<CommandBody> {
    if cursor.accept_word("NIL") {
        return Ok(CommandBody::Id { parameters: Vec::new() });
    }
    let parameters = cursor.list(|cursor| {
        let field = cursor.text("the name of a field")?;
        cursor.space()?;
        Ok((field, cursor.optional_text("the value of the field or NIL")?))
    })?;
    Ok(CommandBody::Id { parameters })
}

fn select(cursor: &mut Cursor<'_>, names: NameEncoding, read_only: bool) -> Read<CommandBody> {
    let mailbox = cursor.mailbox(names)?;
    let (mut condstore, mut resync) = (false, None);
    if cursor.accept_word(" (") {
        loop {
            match cursor.word("a parameter of SELECT")?.as_str() {
                "CONDSTORE" => condstore = true,
                "QRESYNC" if resync.is_none() => {
                    cursor.space()?;
                    resync = Some(resync::parameter(cursor)?);
                }
                other => return Err(Expected::Rule(format!("SELECT has no parameter {other} here").into())),
            }
            if cursor.accept(b')') {
                break;
            }
            cursor.space()?;
        }
    }
    Ok(CommandBody::Select { mailbox, read_only, condstore, resync })
}

fn store(cursor: &mut Cursor<'_>, uid: bool) -> Read<CommandBody> {
    let messages = messages(cursor, uid)?;
    cursor.space()?;
    let mut unchanged_since = None;
    if cursor.peek() == Some(b'(') {
        cursor.list(|cursor| {
            if !cursor.accept_word("UNCHANGEDSINCE ") || unchanged_since.is_some() {
                return Err(Expected::Grammar("UNCHANGEDSINCE"));
            }
            unchanged_since = Some(cursor.number64("a mod-sequence")?);
            Ok(())
        })?;
        cursor.space()?;
    }
    let change = match (cursor.accept(b'+'), cursor.accept(b'-')) {
        (true, false) => FlagChange::Add,
        (false, true) => FlagChange::Remove,
        (false, false) => FlagChange::Replace,
        (true, true) => return Err(Expected::Grammar("FLAGS")),
    };
    if !cursor.accept_word("FLAGS") {
        return Err(Expected::Grammar("FLAGS"));
    }
    let silent = cursor.accept_word(".SILENT");
    cursor.space()?;
    let flags = match cursor.peek() {
        Some(b'(') => flag_list(cursor)?,
        _ => bare_flags(cursor)?,
    };
    Ok(CommandBody::Store { messages, change, silent, flags, unchanged_since })
}

fn flag_list(cursor: &mut Cursor<'_>) -> Read<Vec<Flag>> {
    Ok(cursor.list(Cursor::flag)?.into_iter().flatten().collect())
}

/// Flags without their parentheses, which STORE allows.
fn bare_flags(cursor: &mut Cursor<'_>) -> Read<Vec<Flag>> {
    let mut flags = Vec::new();
    for _ in 0..super::MOST_LISTED {
        flags.extend(cursor.flag()?);
        if cursor.peek() != Some(b' ') {
            break;
        }
        cursor.space()?;
        if cursor.is_at_end() {
            break;
        }
    }
    Ok(flags)
}

/// Reads an APPEND or REPLACE (RFC 8508 section 5) from its name up to its first literal.
pub(super) fn append_start(
    cursor: &mut Cursor<'_>,
    size: Option<u64>,
    names: NameEncoding,
) -> Read<(Option<Messages>, String, AppendMessage)> {
    let uid = cursor.accept_word("UID ");
    let replaced = if cursor.accept_word("REPLACE ") {
        let replaced = message(cursor, uid)?;
        cursor.space()?;
        Some(replaced)
    } else if !uid && cursor.accept_word("APPEND ") {
        None
    } else {
        return Err(Expected::Grammar("APPEND or REPLACE"));
    };
    let mailbox = cursor.mailbox(names)?;
    Ok((replaced, mailbox, append_message(cursor, size)?))
}

/// The number of one message, or `*`.
fn message(cursor: &mut Cursor<'_>, uid: bool) -> Read<Messages> {
    let message = messages(cursor, uid)?;
    let single = match &message {
        Messages::Sequence(set) => matches!(set.ranges(), [(start, end)] if start == end),
        Messages::Uids(set) => matches!(set.ranges(), [(start, end)] if start == end),
        // RFC 8508 section 5: a number, not a set.
        Messages::Saved { .. } => false,
    };
    if single { Ok(message) } else { Err(Expected::Grammar("the number of one message")) }
}

/// `append-message` up to its literal, which may be missing: ` [flag-list SP] [date-time SP]`, or up to the parts of CATENATE.
pub(super) fn append_message(cursor: &mut Cursor<'_>, size: Option<u64>) -> Read<AppendMessage> {
    cursor.space()?;
    let mut flags = Vec::new();
    if cursor.peek() == Some(b'(') {
        flags = flag_list(cursor)?;
        cursor.space()?;
    }
    let mut date = None;
    if cursor.peek() == Some(b'"') {
        let text = cursor.astring("a date")?;
        let parsed = InternalDate::parse(&text).map_err(|error| Expected::Rule(error.to_string().into()))?;
        date = Some(received(parsed));
        cursor.space()?;
    }
    if cursor.accept_word("CATENATE (") {
        return Ok(AppendMessage { flags, received: date, size: 0, form: AppendForm::Catenate });
    }
    let form = append_form(cursor);
    let Some(size) = size.filter(|_| cursor.is_at_end()) else {
        return Err(Expected::Grammar("a flag list, a date or the literal of a message"));
    };
    Ok(AppendMessage { flags, received: date, size, form })
}

/// What stands directly before the size of the literal: nothing, `~`, or `UTF8 (~` of RFC 6855 section 4.
fn append_form(cursor: &mut Cursor<'_>) -> AppendForm {
    if cursor.accept_word("UTF8 (~") { AppendForm::Utf8 } else { literal_form(cursor) }
}

/// What stands directly before the size of the literal: nothing, or `~`.
fn literal_form(cursor: &mut Cursor<'_>) -> AppendForm {
    if cursor.accept(b'~') { AppendForm::Literal8 } else { AppendForm::Literal }
}
