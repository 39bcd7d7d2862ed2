//! LIST with its extensions (RFC 5258, 5819, 6154, 9051 section 6.3.9), and LSUB.

use std::collections::BTreeSet;

use mailstore::account::{HIERARCHY_SEPARATOR, OTHER_USERS};
use mailstore::crdt::rights::Rights;
use mailstore::request::{Reply, Request, RequestError};

use super::acl::write_my_rights;
use super::metadata::write_listed;
use super::pattern::Pattern;
use super::put::put;
use super::status::write_status;
use super::visible::{Listed, Visible};
use super::{Action, PIECE_OCTETS, Running, Session};
use crate::command::{ListReturn, ListSelection, StatusItem, Tag};
use crate::encode;
use crate::mailbox_name::NameEncoding;

/// How many steps of comparing names with patterns are made at a time.
const STEPS_A_PIECE: usize = 4_000_000;

/// A LIST or LSUB of which some lines may be told already.
pub(super) struct Listing {
    tag: Tag,
    response: &'static str,
    view: Visible,
    patterns: Vec<Pattern>,
    selection: ListSelection,
    returned: ListReturn,
    spelling: NameEncoding,
    /// Names to be considered, in descending order: the next one is the last.
    names: Vec<String>,
    /// Whose STATUS is being asked for.
    asked: Option<String>,
}

impl Session {
    pub(super) fn list(
        &mut self,
        tag: Tag,
        reference: &str,
        patterns: &[String],
        selection: ListSelection,
        returned: ListReturn,
        out: &mut Vec<u8>,
    ) -> Action {
        // RFC 9051 section 6.3.9: an empty pattern asks for the separator.
        if patterns.iter().all(|pattern| pattern.is_empty()) && !returned.extended {
            out.extend_from_slice(b"* LIST (\\Noselect) \"/\" \"\"\r\n");
            return self.done(&tag, "Completed", out);
        }
        if returned.status.contains(&StatusItem::HighestModseq) {
            self.enable_condstore(out);
        }
        let patterns: Vec<Pattern> =
            patterns.iter().map(|pattern| Pattern::new(reference, pattern)).collect();
        let others = patterns.iter().any(|pattern| pattern.reaches(OTHER_USERS));
        let Some(view) = self.visible(others) else { return self.waiting() };
        let names = candidates(&view, selection.subscribed);
        let spelling = self.name_encoding();
        let listing = Listing {
            tag,
            response: "LIST",
            view,
            patterns,
            selection,
            returned,
            spelling,
            names,
            asked: None,
        };
        self.produce_list(listing, out)
    }

    pub(super) fn lsub(&mut self, tag: Tag, reference: &str, pattern: &str, out: &mut Vec<u8>) -> Action {
        let Some(view) = self.visible(false) else { return self.waiting() };
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for name in view.subscriptions() {
            names.insert(name);
            names.extend(superiors(name));
        }
        let names = names.into_iter().rev().map(str::to_owned).collect();
        let listing = Listing {
            tag,
            response: "LSUB",
            patterns: vec![Pattern::new(reference, pattern)],
            selection: ListSelection::default(),
            returned: ListReturn::default(),
            spelling: self.name_encoding(),
            names,
            view,
            asked: None,
        };
        self.produce_list(listing, out)
    }

    pub(super) fn produce_list(&mut self, mut listing: Listing, out: &mut Vec<u8>) -> Action {
        let full = out.len().saturating_add(PIECE_OCTETS);
        let mut steps = 0;
        while let Some(name) = listing.names.pop() {
            steps += listing.patterns.iter().map(|pattern| pattern.cost(&name)).sum::<usize>();
            let listed = listing.write(&name, out);
            let found = listing.view.find(&name).filter(|_| listed);
            if let Some(found) = &found {
                if listing.returned.my_rights {
                    write_my_rights(&name, found.rights, listing.spelling, out);
                }
                write_listed(found, &name, listing.spelling, &listing.returned.metadata, out);
            }
            let readable = |found: &Listed<'_>| found.rights.contain(Rights::READ);
            let asked = found.filter(|found| readable(found) && !listing.returned.status.is_empty());
            if let Some((account, mailbox)) = asked.map(|found| (found.account, found.entry.mailbox)) {
                let look = Request::Look { account, mailbox, lasting: false };
                let request = self.permitted((account, mailbox), Rights::READ, look);
                listing.asked = Some(name);
                self.running = Running::List(listing);
                return Action::Ask(request);
            }
            if out.len() >= full || steps > STEPS_A_PIECE {
                self.running = Running::List(listing);
                return Action::Continue;
            }
        }
        self.done(&listing.tag, "Completed", out)
    }

    pub(super) fn list_answered(
        &mut self,
        mut listing: Listing,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        // RFC 5819 section 2: where there is no STATUS to be had, none is sent.
        if let (Some(name), Ok(Reply::Looked(look))) = (listing.asked.take(), answer) {
            let view = look.view.borrow().clone();
            let items = &listing.returned.status;
            write_status(&name, &view, items, &self.config, listing.spelling, out);
        }
        self.produce_list(listing, out)
    }

    /// Appends the LIST of a mailbox that a command was about, with the name under which the client knew it.
    pub(super) fn write_named(&self, name: &str, before: Option<&str>, out: &mut Vec<u8>) {
        if let Some(view) = self.visible(name.starts_with(OTHER_USERS)) {
            let unasked = Unasked { tell_subscribed: false, before, denied: None };
            write_unasked(&view, name, &unasked, self.name_encoding(), out);
        }
    }
}

impl Listing {
    /// Appends the line of a name, where there is one.
    fn write(&self, name: &str, out: &mut Vec<u8>) -> bool {
        if !self.matches(name) {
            return false;
        }
        if self.response == "LSUB" {
            return self.write_lsub(name, out);
        }
        let selected = self.selects(name);
        let inferior = self.selection.recursive_match && self.has_unlisted_inferior(name);
        if !selected && !inferior {
            return false;
        }
        let tell_subscribed = self.selection.subscribed || self.returned.subscribed;
        write_name(&self.view, name, tell_subscribed, self.spelling, out);
        if inferior && self.selection.subscribed {
            out.extend_from_slice(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
        }
        out.extend_from_slice(b"\r\n");
        true
    }

    /// RFC 9051 has no LSUB; RFC 3501 section 6.3.9: `%` shows superiors of what is subscribed as \Noselect.
    fn write_lsub(&self, name: &str, out: &mut Vec<u8>) -> bool {
        let subscribed = self.view.subscriptions().contains(name);
        if !subscribed && !self.patterns.iter().any(Pattern::has_level_wildcard) {
            return false;
        }
        put!(out, "* LSUB ({}) \"/\" ", if subscribed { "" } else { "\\Noselect" });
        encode::mailbox(name, self.spelling, out);
        out.extend_from_slice(b"\r\n");
        true
    }

    fn matches(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether the selection options take the name, whatever the patterns say.
    fn selects(&self, name: &str) -> bool {
        let has_special_use = || self.view.find(name).is_some_and(|listed| listed.special_use().is_some());
        (!self.selection.subscribed || self.view.subscriptions().contains(name))
            && (!self.selection.special_use || has_special_use())
    }

    /// RFC 5258 section 3.5: CHILDINFO speaks of inferiors that the answer does not list themselves.
    fn has_unlisted_inferior(&self, name: &str) -> bool {
        let mut all = self.view.inferiors(name).chain(self.view.subscribed_inferiors(name));
        all.any(|inferior| self.selects(inferior) && !self.matches(inferior))
    }
}

/// What a LIST says that nobody asked for.
pub(super) struct Unasked<'a> {
    pub(super) tell_subscribed: bool,
    /// The name under which the client knows the mailbox, where that is another.
    pub(super) before: Option<&'a str>,
    /// Whether the client may not know of the mailbox any more; none where nothing is said of access (RFC 5465 section 5.9).
    pub(super) denied: Option<bool>,
}

/// Appends the LIST of one mailbox that nobody asked for (RFC 9051 sections 6.3.2 and 6.3.9.7).
pub(super) fn write_unasked(
    view: &Visible,
    name: &str,
    unasked: &Unasked<'_>,
    spelling: NameEncoding,
    out: &mut Vec<u8>,
) {
    let unreadable = || view.find(name).is_some_and(|listed| !listed.rights.contain(Rights::READ));
    let no_access = unasked.denied.is_some_and(|denied| denied || unreadable());
    write_attributes(view, name, unasked.tell_subscribed, no_access.then_some("\\NoAccess"), out);
    encode::mailbox(name, spelling, out);
    if let Some(before) = unasked.before {
        out.extend_from_slice(b" (\"OLDNAME\" (");
        encode::mailbox(before, spelling, out);
        out.extend_from_slice(b"))");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends `* LIST (attributes) "/" name`.
fn write_name(view: &Visible, name: &str, tell_subscribed: bool, spelling: NameEncoding, out: &mut Vec<u8>) {
    write_attributes(view, name, tell_subscribed, None, out);
    encode::mailbox(name, spelling, out);
}

/// Appends `* LIST (attributes) "/" `, with one more attribute.
fn write_attributes(
    view: &Visible,
    name: &str,
    tell_subscribed: bool,
    more: Option<&'static str>,
    out: &mut Vec<u8>,
) {
    let listed = view.find(name);
    let children = view.inferiors(name).next().is_some();
    let mut attributes = vec![if children { "\\HasChildren" } else { "\\HasNoChildren" }];
    match &listed {
        Some(listed) => attributes.extend(listed.special_use()),
        // Clients that do not know RFC 5258 know the latter alone.
        None => attributes.extend(["\\NonExistent", "\\Noselect"]),
    }
    attributes.extend(more);
    if tell_subscribed && view.subscriptions().contains(name) {
        attributes.push("\\Subscribed");
    }
    put!(out, "* LIST ({}) \"/\" ", attributes.join(" "));
}

/// Every mailbox and every missing superior of one, where asked also subscribed names, in descending order.
fn candidates(view: &Visible, subscribed: bool) -> Vec<String> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let subscriptions = view.subscriptions().iter().filter(|_| subscribed).map(String::as_str);
    for name in view.names().chain(subscriptions) {
        names.insert(name);
        names.extend(superiors(name));
    }
    names.into_iter().rev().map(str::to_owned).collect()
}

/// `a` and `a/b` of `a/b/c`.
fn superiors(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices(HIERARCHY_SEPARATOR)
        .filter_map(|(place, _)| name.get(..place))
        .filter(|name| !name.is_empty())
}
