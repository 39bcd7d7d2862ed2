//! GETACL, SETACL, DELETEACL, LISTRIGHTS and MYRIGHTS (RFC 4314 section 7).

use crate::command::{CommandBody, RightsChange};
use crate::mailbox_name::NameEncoding;

use super::super::cursor::{Cursor, Expected, Read};

/// `setacl`
pub(super) fn set(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<CommandBody> {
    let (mailbox, identifier) = mailbox_and_identifier(cursor, names)?;
    cursor.space()?;
    let rights = cursor.text("rights such as lrs, +i or -w")?;
    // RFC 4314 section 3.1: a right that is not known is an error, not passed over.
    let change = RightsChange::parse(&rights).ok_or_else(|| {
        Expected::Rule("The rights are lrswipkxtea, in small letters, with + or - before them".into())
    })?;
    Ok(CommandBody::SetAcl { mailbox, identifier, change })
}

/// `deleteacl`
pub(super) fn delete(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<CommandBody> {
    let (mailbox, identifier) = mailbox_and_identifier(cursor, names)?;
    Ok(CommandBody::DeleteAcl { mailbox, identifier })
}

/// `listrights`
pub(super) fn list(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<CommandBody> {
    let (mailbox, identifier) = mailbox_and_identifier(cursor, names)?;
    Ok(CommandBody::ListRights { mailbox, identifier })
}

fn mailbox_and_identifier(cursor: &mut Cursor<'_>, names: NameEncoding) -> Read<(String, String)> {
    let mailbox = cursor.mailbox(names)?;
    cursor.space()?;
    Ok((mailbox, cursor.text("an identifier")?))
}

#[cfg(test)]
mod tests {
    use mailstore::crdt::rights::Rights;

    use super::*;
    use crate::decode::command;

    fn body(text: &str) -> Option<CommandBody> {
        let decoded = command(format!("t {text}").as_bytes(), NameEncoding::ModifiedUtf7);
        decoded.ok().map(|command| command.body)
    }

    fn set(change: RightsChange) -> Option<CommandBody> {
        Some(CommandBody::SetAcl { mailbox: "INBOX".to_owned(), identifier: "bob".to_owned(), change })
    }

    #[test]
    fn the_commands_of_the_rfc() {
        let rights = Rights::parse("lrs").expect("rights");
        assert_eq!(body("SETACL INBOX bob lrs"), set(RightsChange::Replace(rights)));
        assert_eq!(body("setacl inbox \"bob\" +lrs"), set(RightsChange::Add(rights)));
        assert_eq!(body("SETACL {5+}\r\nINBOX bob \"-lrs\""), set(RightsChange::Remove(rights)));
        assert_eq!(body("SETACL INBOX bob \"\""), set(RightsChange::Replace(Rights::NONE)));
        let (mailbox, identifier) = ("Entw\u{fc}rfe".to_owned(), "-anyone".to_owned());
        assert_eq!(
            body("DELETEACL Entw&APw-rfe -anyone"),
            Some(CommandBody::DeleteAcl { mailbox: mailbox.clone(), identifier: identifier.clone() })
        );
        assert_eq!(
            body("LISTRIGHTS Entw&APw-rfe -anyone"),
            Some(CommandBody::ListRights { mailbox: mailbox.clone(), identifier })
        );
        assert_eq!(body("GETACL Entw&APw-rfe"), Some(CommandBody::GetAcl { mailbox: mailbox.clone() }));
        assert_eq!(body("MYRIGHTS Entw&APw-rfe"), Some(CommandBody::MyRights { mailbox }));
    }

    #[test]
    fn what_is_no_right_is_refused() {
        for bad in [
            "SETACL INBOX bob lrz",
            "SETACL INBOX bob L",
            "SETACL INBOX bob 0",
            "SETACL INBOX bob +-l",
            "SETACL INBOX bob lr s",
            "SETACL INBOX bob",
            "DELETEACL INBOX",
            "LISTRIGHTS INBOX",
            "MYRIGHTS",
            "GETACL INBOX bob",
        ] {
            assert_eq!(body(bad), None, "{bad}");
        }
    }
}
