//! GETMETADATA, SETMETADATA, what is told of changes (RFC 5464), and annotations in answers of LIST (RFC 9590).
//!
//! Annotations of no mailbox are those of the account. Whoever a mailbox is shared with reads its shared ones, and writes them with the
//! right `w`; private ones are its owner's alone, and nobody else can have any of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mailstore::account::AccountView;
use mailstore::crdt::identity::MailboxId;
use mailstore::crdt::operation::LONGEST_ANNOTATION;
use mailstore::crdt::rights::Rights;
use mailstore::request::{Reply, Request, RequestError};

use super::access::{Found, no_permission};
use super::answer::Answer;
use super::visible::Listed;
use super::{Action, Running, Session, Telling};
use crate::command::{Depth, EntryName, Tag};
use crate::encode;
use crate::mailbox_name::NameEncoding;

/// What the names of annotations begin with that everybody reads who reads the mailbox.
const SHARED: &str = "/shared/";

/// What GETMETADATA asks for.
pub(super) struct Wanted {
    pub(super) names: Vec<EntryName>,
    pub(super) depth: Depth,
    pub(super) longest: Option<u64>,
}

/// Names and values; none takes an annotation away.
type Changes = Vec<(String, Option<Vec<u8>>)>;

/// A SETMETADATA under way.
pub(super) struct Changing {
    tag: Tag,
    mailbox: Option<MailboxId>,
    /// The changes, where the client is to be told of others' alone.
    own: Changes,
}

impl Session {
    pub(super) fn get_metadata(
        &mut self,
        tag: &Tag,
        mailbox: &str,
        wanted: &Wanted,
        out: &mut Vec<u8>,
    ) -> Action {
        let Some(view) = self.mailboxes() else { return self.waiting() };
        let name = self.canonical(mailbox);
        let annotations = match name.is_empty() {
            true => view.annotations.clone(),
            false => match self.permit(mailbox, Rights::READ_ANNOTATIONS) {
                Ok(found) => readable(&found.entry.annotations, found.is_own),
                Err(refusal) => return self.fail(tag, refusal, out),
            },
        };
        let (told, longer): (Vec<_>, Vec<_>) =
            wanted.find(&annotations).into_iter().partition(|(_, value)| wanted.takes(*value));
        let longest = longer.iter().filter_map(|(_, value)| Some(value.as_ref()?.len())).max();
        write_metadata((&name, self.name_encoding()), &told, out);
        let answer = Answer::ok("Completed");
        let answer = match longest {
            // RFC 5464 section 4.2.1.
            Some(longest) => answer.code(format!("METADATA LONGENTRIES {longest}")),
            None => answer,
        };
        self.finish(tag, Telling::Everything, answer, out)
    }

    pub(super) fn set_metadata(
        &mut self,
        tag: Tag,
        mailbox: &str,
        changes: Vec<(EntryName, Option<Vec<u8>>)>,
        out: &mut Vec<u8>,
    ) -> Action {
        let found = match mailbox.is_empty() {
            true => None,
            false => match self.permit(mailbox, Rights::READ_ANNOTATIONS) {
                Ok(found) => Some(found),
                Err(refusal) => return self.fail(&tag, refusal, out),
            },
        };
        let is_shared = |name: &EntryName| name.as_str().starts_with(SHARED);
        if let Some(found) = &found {
            if !found.is_own && !changes.iter().all(|(name, _)| is_shared(name)) {
                let text = "You cannot have private annotations of a mailbox of another user";
                return self.fail(&tag, Answer::no("METADATA NOPRIVATE", text), out);
            }
            if !found.rights.contain(Rights::WRITE) && changes.iter().any(|(name, _)| is_shared(name)) {
                return self.fail(&tag, no_permission(Rights::WRITE), out);
            }
        }
        if changes
            .iter()
            .any(|(_, value)| value.as_ref().is_some_and(|value| value.len() > LONGEST_ANNOTATION))
        {
            let text = format!("The value of an annotation may have {LONGEST_ANNOTATION} octets");
            return self.fail(&tag, Answer::no(format!("METADATA MAXSIZE {LONGEST_ANNOTATION}"), text), out);
        }
        let changes: Changes =
            changes.into_iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect();
        let own =
            if self.annotated.is_some() || self.notices.is_some() { changes.clone() } else { Changes::new() };
        let mailbox = found.as_ref().map(Found::mailbox);
        self.running = Running::Metadata(Changing { tag, mailbox, own });
        let Some(own) = self.account() else { return self.waiting() };
        Action::Ask(match found {
            None => Request::Annotate { account: own, mailbox: None, changes },
            Some(found) => {
                let annotate = Request::Annotate { account: found.account, mailbox, changes };
                let rights = Rights::READ_ANNOTATIONS | Rights::WRITE;
                self.permitted((found.account, found.mailbox()), rights, annotate)
            }
        })
    }

    pub(super) fn metadata_answered(
        &mut self,
        changing: Changing,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let answer = match answer {
            Ok(_) => {
                self.know_changes(changing.mailbox, &changing.own);
                Answer::ok("Completed")
            }
            Err(error @ RequestError::OverLimit { .. }) => Answer::no("METADATA TOOMANY", error.to_string()),
            Err(error) => Answer::refused(&error),
        };
        self.finish(&changing.tag, Telling::Everything, answer, out)
    }

    /// From now on the client is told which annotations change.
    pub(super) fn enable_metadata(&mut self) {
        if self.annotated.is_none() {
            self.annotated = self.mailboxes();
        }
    }

    /// RFC 5464 section 4.3: a client is not told of what it changed itself.
    fn know_changes(&mut self, mailbox: Option<MailboxId>, changes: &Changes) {
        let noticed = self.notices.as_mut().and_then(|notices| notices.known_of(mailbox));
        for view in noticed.into_iter().chain(&mut self.annotated) {
            learn(Arc::make_mut(view), mailbox, changes);
        }
    }

    /// Tells the names of annotations that others have changed (RFC 5464 section 4.4.2).
    pub(super) fn tell_annotated(&mut self, out: &mut Vec<u8>) {
        let Some(now) = self.mailboxes().filter(|_| self.annotated.is_some()) else { return };
        let Some(known) = self.annotated.replace(Arc::clone(&now)) else { return };
        if Arc::ptr_eq(&known, &now) {
            return;
        }
        for (mailbox, names) in changed(&known, &now) {
            write_changed((mailbox, self.name_encoding()), &names, out);
        }
    }
}

/// Takes changes of the annotations of a mailbox or the account over.
fn learn(view: &mut AccountView, mailbox: Option<MailboxId>, changes: &Changes) {
    let known = match mailbox {
        Some(mailbox) => {
            let mut entries = view.mailboxes.values_mut();
            entries.find(|entry| entry.mailbox == mailbox).map(|entry| &mut entry.annotations)
        }
        None => Some(&mut view.annotations),
    };
    let Some(known) = known else { return };
    for (name, value) in changes {
        match value {
            Some(value) => known.insert(name.clone(), value.clone()),
            None => known.remove(name),
        };
    }
}

/// The names of annotations that are others than before: of each mailbox, and under an empty name of the account.
pub(super) fn changed<'a>(before: &'a AccountView, now: &'a AccountView) -> Vec<(&'a str, Vec<&'a str>)> {
    let none = BTreeMap::new();
    let before_of: BTreeMap<MailboxId, &BTreeMap<String, Vec<u8>>> =
        before.mailboxes.values().map(|entry| (entry.mailbox, &entry.annotations)).collect();
    let mailboxes = now
        .mailboxes
        .iter()
        .map(|(name, entry)| (name.as_str(), before_of.get(&entry.mailbox).copied(), &entry.annotations));
    let of_all = std::iter::once(("", Some(&before.annotations), &now.annotations)).chain(mailboxes);
    let mut changed = Vec::new();
    for (mailbox, before, now) in of_all {
        let known = |name: &str| before.unwrap_or(&none).get(name);
        let gone = before.into_iter().flatten().map(|(name, _)| name).filter(|name| !now.contains_key(*name));
        let new = now.iter().filter(|(name, value)| known(name) != Some(value)).map(|(name, _)| name);
        let names: BTreeSet<&str> = gone.chain(new).map(String::as_str).collect();
        if !names.is_empty() {
            changed.push((mailbox, names.into_iter().collect()));
        }
    }
    changed
}

/// Whether the session reads an annotation of a mailbox that it may read: each of its own, and the shared ones of others.
pub(super) fn is_readable(name: &str, is_own: bool) -> bool {
    is_own || name.starts_with(SHARED)
}

/// The annotations of a mailbox that the session reads: all, if the mailbox is its own, or the shared ones.
fn readable(annotations: &BTreeMap<String, Vec<u8>>, is_own: bool) -> BTreeMap<String, Vec<u8>> {
    let readable = |(name, _): &(&String, &Vec<u8>)| is_readable(name, is_own);
    annotations.iter().filter(readable).map(|(name, value)| (name.clone(), value.clone())).collect()
}

impl Wanted {
    /// Whether the value is as short as it shall be.
    fn takes(&self, value: Option<&Vec<u8>>) -> bool {
        let octets = value.map_or(0, |value| value.len() as u64);
        self.longest.is_none_or(|longest| octets <= longest)
    }

    /// What there is of it, each once. What is asked for by its name alone, and is not there, has no value.
    fn find<'a>(
        &'a self,
        annotations: &'a BTreeMap<String, Vec<u8>>,
    ) -> BTreeMap<&'a str, Option<&'a Vec<u8>>> {
        let named = self.names.iter().filter(|_| self.depth == Depth::Zero);
        let mut found: BTreeMap<&str, Option<&Vec<u8>>> = named.map(|name| (name.as_str(), None)).collect();
        for (name, value) in annotations {
            if self.names.iter().any(|asked| self.depth.reaches(asked, name)) {
                found.insert(name, Some(value));
            }
        }
        found
    }
}

/// Appends what a LIST with METADATA asks for of one mailbox; what is not there has no value.
pub(super) fn write_listed(
    listed: &Listed<'_>,
    name: &str,
    spelling: NameEncoding,
    names: &[EntryName],
    out: &mut Vec<u8>,
) {
    if listed.rights.contain(Rights::READ_ANNOTATIONS) {
        let annotations = readable(&listed.entry.annotations, listed.is_own);
        let asked = names.iter().map(EntryName::as_str).collect::<BTreeSet<&str>>();
        let told: Vec<_> = asked.into_iter().map(|name| (name, annotations.get(name))).collect();
        write_metadata((name, spelling), &told, out);
    }
}

/// Appends `* METADATA mailbox (name value ...)` (RFC 5464 section 4.4.1), unless there is nothing to tell.
fn write_metadata(
    (mailbox, spelling): (&str, NameEncoding),
    told: &[(&str, Option<&Vec<u8>>)],
    out: &mut Vec<u8>,
) {
    if told.is_empty() {
        return;
    }
    out.extend_from_slice(b"* METADATA ");
    encode::mailbox(mailbox, spelling, out);
    for (place, (name, value)) in told.iter().enumerate() {
        out.extend_from_slice(if place == 0 { b" (" } else { b" " });
        encode::astring(name.as_bytes(), out);
        out.push(b' ');
        encode::nstring8(value.map(Vec::as_slice), out);
    }
    out.extend_from_slice(b")\r\n");
}

/// Appends `* METADATA mailbox name ...` (RFC 5464 section 4.4.2).
pub(super) fn write_changed((mailbox, spelling): (&str, NameEncoding), names: &[&str], out: &mut Vec<u8>) {
    out.extend_from_slice(b"* METADATA ");
    encode::mailbox(mailbox, spelling, out);
    for name in names {
        out.push(b' ');
        encode::astring(name.as_bytes(), out);
    }
    out.extend_from_slice(b"\r\n");
}
