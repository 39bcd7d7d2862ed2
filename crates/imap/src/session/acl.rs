//! GETACL, SETACL, DELETEACL, LISTRIGHTS and MYRIGHTS (RFC 4314 section 3).
//!
//! Identifiers are the names of accounts, and `anyone`; with a `-` before it one takes rights away. The owner of a mailbox has
//! all rights as long as nobody takes any from him, and keeps `l` and `a` in any case.

use mailstore::crdt::fold::access::{Grantee, Identifier};
use mailstore::crdt::rights::Rights;
use mailstore::names::ANYONE;
use mailstore::request::{Reply, Request, RequestError};

use super::access::{Found, nonexistent};
use super::answer::Answer;
use super::{Action, Running, Session, Telling};
use crate::command::{RightsChange, Tag};
use crate::encode;
use crate::mailbox_name::NameEncoding;

/// The rights of which one suffices for MYRIGHTS (RFC 4314 section 4).
const TELLING: [Rights; 6] = [
    Rights::LOOKUP,
    Rights::READ,
    Rights::INSERT,
    Rights::CREATE,
    Rights::DELETE_MAILBOX,
    Rights::ADMINISTER,
];

impl Session {
    pub(super) fn get_acl(&mut self, tag: &Tag, mailbox: &str, out: &mut Vec<u8>) -> Action {
        let found = match self.permit(mailbox, Rights::ADMINISTER) {
            Ok(found) => found,
            Err(refusal) => return self.fail(tag, refusal, out),
        };
        out.extend_from_slice(b"* ACL ");
        encode::mailbox(&self.canonical(mailbox), self.name_encoding(), out);
        for (identifier, rights) in found.entry.access.entries() {
            // Whoever was removed has no rights, and no name any more.
            if let Some(name) = self.identifier_name(&identifier) {
                out.push(b' ');
                encode::astring(name.as_bytes(), out);
                out.push(b' ');
                encode::astring(rights.with_obsolete().as_bytes(), out);
            }
        }
        out.extend_from_slice(b"\r\n");
        self.done(tag, "Completed", out)
    }

    pub(super) fn my_rights(&mut self, tag: &Tag, mailbox: &str, out: &mut Vec<u8>) -> Action {
        let may = |found: &Found| TELLING.iter().any(|right| found.rights.contain(*right));
        let Some(found) = self.find(mailbox).filter(may) else {
            return self.fail(tag, nonexistent(), out);
        };
        write_my_rights(&self.canonical(mailbox), found.rights, self.name_encoding(), out);
        self.done(tag, "Completed", out)
    }

    pub(super) fn list_rights(
        &mut self,
        tag: &Tag,
        mailbox: &str,
        identifier: &str,
        out: &mut Vec<u8>,
    ) -> Action {
        let asked = self.permit(mailbox, Rights::ADMINISTER).and_then(|found| {
            let known = self.identifier(identifier).ok_or_else(|| unknown(identifier))?;
            Ok((found, known))
        });
        let (found, known) = match asked {
            Ok(asked) => asked,
            Err(refusal) => return self.fail(tag, refusal, out),
        };
        let is_owner = known == Identifier::of(found.entry.access.owner());
        let required = if is_owner { Rights::OWNER_KEEPS } else { Rights::NONE };
        out.extend_from_slice(b"* LISTRIGHTS ");
        encode::mailbox(&self.canonical(mailbox), self.name_encoding(), out);
        out.push(b' ');
        encode::astring(identifier.as_bytes(), out);
        out.push(b' ');
        encode::astring(required.to_string().as_bytes(), out);
        let single = (Rights::ALL - required).iter().map(|right| right.to_string());
        for right in single.chain(["c".to_owned(), "d".to_owned()]) {
            out.push(b' ');
            out.extend_from_slice(right.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        self.done(tag, "Completed", out)
    }

    pub(super) fn set_acl(
        &mut self,
        tag: Tag,
        mailbox: &str,
        identifier: &str,
        change: RightsChange,
        out: &mut Vec<u8>,
    ) -> Action {
        let changed = self.permit(mailbox, Rights::ADMINISTER).and_then(|found| {
            let known = self.identifier(identifier).ok_or_else(|| unknown(identifier))?;
            Ok((found, known))
        });
        match changed {
            Ok((found, known)) => self.change_rights(tag, &found, known, change),
            Err(refusal) => self.fail(&tag, refusal, out),
        }
    }

    pub(super) fn delete_acl(
        &mut self,
        tag: Tag,
        mailbox: &str,
        identifier: &str,
        out: &mut Vec<u8>,
    ) -> Action {
        match (self.permit(mailbox, Rights::ADMINISTER), self.identifier(identifier)) {
            (Ok(found), Some(known)) => {
                self.change_rights(tag, &found, known, RightsChange::Replace(Rights::NONE))
            }
            (Ok(_), None) => self.done(&tag, "There was nothing to delete", out),
            (Err(refusal), _) => self.fail(&tag, refusal, out),
        }
    }

    fn change_rights(
        &mut self,
        tag: Tag,
        found: &Found,
        identifier: Identifier,
        change: RightsChange,
    ) -> Action {
        let (account, mailbox) = (found.account, found.mailbox());
        let (given, taken) = (change.given(), change.taken());
        let request = Request::ChangeRights { account, mailbox, identifier, given, taken };
        self.running = Running::Rights(tag);
        Action::Ask(self.permitted((account, mailbox), Rights::ADMINISTER, request))
    }

    pub(super) fn rights_answered(
        &mut self,
        tag: &Tag,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let answer = match answer {
            Ok(_) => Answer::ok("Completed"),
            Err(error) => Answer::refused(&error),
        };
        self.finish(tag, Telling::Everything, answer, out)
    }

    /// Whom a client means; none where there is no such account.
    fn identifier(&self, text: &str) -> Option<Identifier> {
        let (name, negative) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let grantee = match name.eq_ignore_ascii_case(ANYONE) {
            true => Grantee::Anyone,
            false => self.store.grantee(name)?,
        };
        Some(Identifier { grantee, negative })
    }

    fn identifier_name(&self, identifier: &Identifier) -> Option<String> {
        let name = match &identifier.grantee {
            Grantee::Anyone => ANYONE.to_owned(),
            Grantee::Account(account, life) => self.store.grantee_name(account, life)?,
        };
        Some(if identifier.negative { format!("-{name}") } else { name })
    }
}

fn unknown(identifier: &str) -> Answer {
    let name: String = identifier.chars().take(100).collect();
    Answer::no(
        "CANNOT",
        format!("There is no account {name}, and rights are given to accounts and to anyone"),
    )
}

/// Appends `* MYRIGHTS mailbox rights`.
pub(super) fn write_my_rights(name: &str, rights: Rights, spelling: NameEncoding, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* MYRIGHTS ");
    encode::mailbox(name, spelling, out);
    out.push(b' ');
    encode::astring(rights.with_obsolete().as_bytes(), out);
    out.extend_from_slice(b"\r\n");
}
