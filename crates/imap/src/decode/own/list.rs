//! LIST with its extensions, LSUB, STATUS and CREATE.

use crate::command::{CommandBody, ListReturn, ListSelection, StatusItem};
use crate::mailbox_name::NameEncoding;

use super::super::cursor::{Cursor, Expected, Read};
use super::metadata;

/// `list` of RFC 5258 section 6: `LIST [(selection)] reference pattern-or-patterns [RETURN (options)]`.
pub(super) fn list(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<CommandBody> {
    let mut extended = false;
    let mut selection = ListSelection::default();
    if cursor.peek() == Some(b'(') {
        extended = true;
        cursor.list(|cursor| selection_option(cursor, &mut selection))?;
        cursor.space()?;
    }
    let reference = cursor.mailbox(names)?;
    cursor.space()?;
    let patterns = if cursor.peek() == Some(b'(') {
        extended = true;
        cursor.list(|cursor| cursor.pattern(names))?
    } else {
        vec![cursor.pattern(names)?]
    };
    if patterns.is_empty() {
        return Err(Expected::Grammar("at least one mailbox pattern"));
    }
    let mut returned = ListReturn::default();
    if cursor.accept_word(" RETURN ") {
        extended = true;
        cursor.list(|cursor| return_option(cursor, &mut returned))?;
    }
    if selection.recursive_match && !selection.subscribed && !selection.special_use {
        return Err(Expected::Rule("RECURSIVEMATCH needs another selection option beside it".into()));
    }
    returned.extended = extended;
    Ok(CommandBody::List { reference, patterns, selection, returned })
}

fn selection_option(cursor: &mut Cursor<'_>, selection: &mut ListSelection) -> Read<()> {
    match cursor.word("a selection option")?.as_str() {
        "SUBSCRIBED" => selection.subscribed = true,
        "RECURSIVEMATCH" => selection.recursive_match = true,
        "SPECIAL-USE" => selection.special_use = true,
        // There are no remote mailboxes: the option adds nothing.
        "REMOTE" => {}
        other => return Err(Expected::Rule(format!("LIST has no selection option {other} here").into())),
    }
    Ok(())
}

fn return_option(cursor: &mut Cursor<'_>, returned: &mut ListReturn) -> Read<()> {
    match cursor.word("a return option")?.as_str() {
        "SUBSCRIBED" => returned.subscribed = true,
        "CHILDREN" => returned.children = true,
        "SPECIAL-USE" => returned.special_use = true,
        "MYRIGHTS" => returned.my_rights = true,
        "STATUS" => {
            cursor.space()?;
            returned.status = status_items(cursor)?;
        }
        // RFC 9590 section 3.
        "METADATA" => {
            cursor.space()?;
            returned.metadata = metadata::entries(cursor)?;
        }
        other => return Err(Expected::Rule(format!("LIST has no return option {other} here").into())),
    }
    Ok(())
}

pub(super) fn lsub(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<CommandBody> {
    let reference = cursor.mailbox(names)?;
    cursor.space()?;
    Ok(CommandBody::Lsub { reference, pattern: cursor.pattern(names)? })
}

pub(super) fn status(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<CommandBody> {
    let mailbox = cursor.mailbox(names)?;
    cursor.space()?;
    Ok(CommandBody::Status { mailbox, items: status_items(cursor)? })
}

fn status_items(cursor: &mut Cursor<'_>) -> Read<Vec<StatusItem>> {
    let mut items = Vec::new();
    cursor.list(|cursor| {
        let name = cursor.word("a status item")?;
        let item = StatusItem::ALL.into_iter().find(|item| item.as_str() == name);
        let item = item.ok_or_else(|| Expected::Rule(format!("STATUS has no item {name} here").into()))?;
        if !items.contains(&item) {
            items.push(item);
        }
        Ok(())
    })?;
    if items.is_empty() { Err(Expected::Grammar("at least one status item")) } else { Ok(items) }
}

/// `create` of RFC 6154 section 6: `CREATE mailbox [(USE (uses))]`.
pub(super) fn create(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<CommandBody> {
    let mailbox = cursor.mailbox(names)?;
    let mut special_uses = Vec::new();
    if cursor.accept_word(" (") {
        if !cursor.accept_word("USE ") {
            return Err(Expected::Grammar("USE"));
        }
        special_uses = cursor.list(|cursor| {
            cursor.expect(b'\\', "a special use such as \\Archive")?;
            Ok(format!("\\{}", cursor.atom("a special use such as \\Archive")?))
        })?;
        cursor.expect(b')', "a closing parenthesis")?;
    }
    Ok(CommandBody::Create { mailbox, special_uses })
}
