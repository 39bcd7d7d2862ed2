//! Mailboxes that came, went or got another name, subscriptions and annotations that changed (RFC 5465 sections 5.4 to 5.7).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mailstore::account::{AccountView, HIERARCHY_SEPARATOR, MailboxEntry, OTHER_USERS};
use mailstore::crdt::identity::MailboxId;
use mailstore::crdt::rights::Rights;

use super::super::metadata;
use super::Notices;
use super::groups::Groups;
use super::viewer::{Seen, Viewer};
use super::watched::Watched;
use crate::mailbox_name::NameEncoding;

/// A name of which a LIST is to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    /// Its name before.
    pub(super) before: Option<String>,
    /// Whether the mailbox stands, and the client may not know of it any more.
    pub(super) denied: bool,
}

impl Notices {
    /// The mailboxes, subscriptions and annotations are these now. Of the first two, those of which the client wants to hear are to be
    /// told; of the annotations that is done here, unless it is done elsewhere, which no spelling says.
    pub(super) fn take_names(
        &mut self,
        account: &Arc<AccountView>,
        spelling: Option<NameEncoding>,
        out: &mut Vec<u8>,
    ) {
        let before = self.own.known.clone();
        if Arc::ptr_eq(&before, account) {
            return;
        }
        if before.subscriptions != account.subscriptions
            && let Some(others) = &mut self.others
        {
            others.look_again();
        }
        let telling =
            Telling { groups: &self.groups, viewer: Viewer::of(account), accounts: [&before, account] };
        let mut lists = telling.take_changes(&mut self.own, account, spelling, out);
        for name in before.subscriptions.symmetric_difference(&account.subscriptions) {
            let is_own = !name.starts_with(OTHER_USERS) || account.mailboxes.contains_key(name);
            if self.groups.events(is_own, &[name.as_str()], &telling.accounts).subscriptions {
                lists
                    .entry(name.clone())
                    .or_insert_with(|| Listed { name: name.clone(), ..Listed::default() });
            }
        }
        self.listed.extend(lists.into_values());
    }

    /// The same of the other accounts that are watched.
    pub(super) fn take_shared_names(&mut self, spelling: NameEncoding, out: &mut Vec<u8>) {
        let (own, Some(others)) = (self.own.known.clone(), &mut self.others) else { return };
        let telling = Telling { groups: &self.groups, viewer: Viewer::of(&own), accounts: [&own, &own] };
        for (watched, now) in others.changing() {
            self.listed.extend(telling.take_changes(watched, &now, Some(spelling), out).into_values());
        }
    }
}

/// To whom changes are told.
struct Telling<'a> {
    groups: &'a Groups,
    viewer: Viewer,
    /// His own account, before and now.
    accounts: [&'a AccountView; 2],
}

impl Telling<'_> {
    /// What is to be told of an account by LIST, under the names. Changes of annotations are told at once.
    fn take_changes(
        &self,
        watched: &mut Watched,
        now: &Arc<AccountView>,
        spelling: Option<NameEncoding>,
        out: &mut Vec<u8>,
    ) -> BTreeMap<String, Listed> {
        let before = std::mem::replace(&mut watched.known, now.clone());
        if Arc::ptr_eq(&before, now) || self.groups.is_empty() {
            return BTreeMap::new();
        }
        if let Some(spelling) = spelling {
            self.write_annotations(&before, now, spelling, out);
        }
        let (seen_before, seen) = (self.viewer.seen(&before), self.viewer.seen(now));
        let mut lists = BTreeMap::new();
        for (name, before) in names_changed(&seen_before, &seen) {
            let entry = seen.get(name.as_str()).or_else(|| seen_before.get(name.as_str()));
            let Some(mailbox) = entry.map(|entry| entry.mailbox) else { continue };
            let stands = |entry: &MailboxEntry| entry.mailbox == mailbox && !now.removed;
            let denied = !seen.contains_key(name.as_str()) && now.mailboxes.values().any(stands);
            let names: Vec<&str> =
                [Some(&name), before.as_ref()].into_iter().flatten().map(String::as_str).collect();
            let events = self.groups.events(self.viewer.owns(now), &names, &self.accounts);
            let was_denied = watched.denied.remove(&mailbox);
            // RFC 5465 section 5.9: whoever is told that he has no access is told that he has it again.
            if events.names || events.concern_mailboxes() && (denied || was_denied) {
                if denied {
                    watched.denied.insert(mailbox);
                }
                lists.insert(name.clone(), Listed { name, before, denied });
            }
        }
        self.add_superiors(&seen, now, &mut lists);
        leave_out_inferiors(&mut lists);
        self.add_readable((&seen_before, &seen), now, &mut lists);
        lists
    }

    /// A mailbox that came or went concerns the one right above it, too (RFC 5465 section 5.4).
    fn add_superiors(&self, seen: &Seen<'_>, now: &AccountView, lists: &mut BTreeMap<String, Listed>) {
        let come_and_gone = lists.values().filter(|listed| listed.before.is_none());
        let superiors: BTreeSet<String> = come_and_gone
            .filter_map(|listed| listed.name.rsplit_once(HIERARCHY_SEPARATOR))
            .map(|(superior, _)| superior.to_owned())
            .filter(|superior| seen.contains_key(superior.as_str()))
            .collect();
        for name in superiors {
            if self.groups.events(self.viewer.owns(now), &[&name], &self.accounts).names {
                lists.entry(name.clone()).or_insert_with(|| Listed { name, ..Listed::default() });
            }
        }
    }

    /// Mailboxes of which the client stays to know, and of which it begins or ceases to be told what happens (RFC 5465 section 3.1).
    fn add_readable(
        &self,
        (before, seen): (&Seen<'_>, &Seen<'_>),
        now: &AccountView,
        lists: &mut BTreeMap<String, Listed>,
    ) {
        let reads = |entry: &MailboxEntry| self.viewer.rights(entry).contain(Rights::READ);
        for (name, entry) in seen {
            let is_changed = before.get(name).is_some_and(|known| reads(known) != reads(entry));
            let events = || self.groups.events(self.viewer.owns(now), &[name], &self.accounts);
            if is_changed && events().concern_mailboxes() {
                let name = name.clone().into_owned();
                lists.entry(name.clone()).or_insert_with(|| Listed { name, ..Listed::default() });
            }
        }
    }

    /// Tells the names of annotations that changed, as far as the client may read them.
    fn write_annotations(
        &self,
        before: &AccountView,
        now: &AccountView,
        spelling: NameEncoding,
        out: &mut Vec<u8>,
    ) {
        let is_own = self.viewer.owns(now);
        for (mailbox, names) in metadata::changed(before, now) {
            let Some(entry) = now.mailboxes.get(mailbox) else {
                if is_own && self.groups.iter().any(|group| group.events.account_annotations) {
                    metadata::write_changed((mailbox, spelling), &names, out);
                }
                continue;
            };
            let names: Vec<&str> =
                names.into_iter().filter(|name| metadata::is_readable(name, is_own)).collect();
            let told = self.groups.told(self.viewer, (now, mailbox, entry), self.accounts);
            if told.annotations && !names.is_empty() {
                let mailbox = self.viewer.name(now, mailbox);
                metadata::write_changed((&mailbox, spelling), &names, out);
            }
        }
    }
}

/// Whether a name is one of these or below one of them.
pub(in super::super) fn is_within(name: &str, tops: &[String]) -> bool {
    tops.iter().any(|top| {
        name.strip_prefix(top.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(HIERARCHY_SEPARATOR))
    })
}

/// That a mailbox was renamed tells of those below it as well: they have no LIST of their own (RFC 5465 section 5.4).
fn leave_out_inferiors(lists: &mut BTreeMap<String, Listed>) {
    let is_implied = |listed: &&Listed| {
        listed.name.match_indices(HIERARCHY_SEPARATOR).any(|(end, _)| {
            let (superior, below) = listed.name.split_at(end);
            let before = lists.get(superior).and_then(|superior| superior.before.as_ref());
            let before = before.map(|before| format!("{before}{below}"));
            before.is_some() && before == listed.before
        })
    };
    let implied: Vec<String> = lists.values().filter(is_implied).map(|listed| listed.name.clone()).collect();
    for name in implied {
        lists.remove(&name);
    }
}

/// Names that mean something else than before, with the names before of those mailboxes that were renamed.
fn names_changed(before: &Seen<'_>, now: &Seen<'_>) -> BTreeMap<String, Option<String>> {
    let is_changed = |name: &str, entry: &MailboxEntry, other: &Seen<'_>| {
        other.get(name).is_none_or(|there| there.mailbox != entry.mailbox)
    };
    let gone: Vec<(&str, MailboxId)> = before
        .iter()
        .filter(|(name, entry)| is_changed(name, entry, now))
        .map(|(name, entry)| (&**name, entry.mailbox))
        .collect();
    let new: Vec<(&str, MailboxId)> = now
        .iter()
        .filter(|(name, entry)| is_changed(name, entry, before))
        .map(|(name, entry)| (&**name, entry.mailbox))
        .collect();
    if gone.is_empty() && new.is_empty() {
        return BTreeMap::new();
    }
    let names_before: BTreeMap<MailboxId, &str> =
        before.iter().map(|(name, entry)| (entry.mailbox, &**name)).collect();
    let renamed: BTreeSet<MailboxId> =
        new.iter().map(|(_, mailbox)| *mailbox).filter(|id| names_before.contains_key(id)).collect();
    let mut changed = BTreeMap::new();
    for (name, mailbox) in gone {
        // Its LIST comes under the new name, or another mailbox has taken its name.
        if !renamed.contains(&mailbox) && !now.contains_key(name) {
            changed.insert(name.to_owned(), None);
        }
    }
    for (name, mailbox) in new {
        let old = names_before.get(&mailbox).map(|name| (*name).to_owned());
        // Two nodes may have made the same name at the same time; which of the mailboxes stands behind it is not for clients.
        if old.is_some() || !before.contains_key(name) {
            changed.insert(name.to_owned(), old);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstore::crdt::fold::access::{AccessList, Grantee};
    use mailstore::crdt::identity::AccountId;

    fn account(mailboxes: &[(&str, u8)]) -> AccountView {
        let entry = |id| MailboxEntry {
            mailbox: MailboxId([id; 16]),
            special_use: None,
            annotations: BTreeMap::new(),
            access: AccessList::private(Grantee::Anyone),
        };
        AccountView {
            account: AccountId([1; 16]),
            grantee: Grantee::Anyone,
            name: "alice".to_owned(),
            removed: false,
            mailboxes: mailboxes.iter().map(|(name, id)| ((*name).to_owned(), entry(*id))).collect(),
            subscriptions: BTreeSet::new(),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn changes_of_names_are_found() {
        let before = account(&[("a", 1), ("b", 2), ("b/c", 3), ("d", 4), ("e", 5), ("f", 6)]);
        let now = account(&[("a", 1), ("x", 2), ("x/c", 3), ("d", 7), ("g", 8), ("e", 6)]);
        let viewer = Viewer::of(&now);
        let changed: Vec<(String, Option<String>)> =
            names_changed(&viewer.seen(&before), &viewer.seen(&now)).into_iter().collect();
        let pair = |name: &str, old: Option<&str>| (name.to_owned(), old.map(str::to_owned));
        assert_eq!(
            changed,
            [pair("e", Some("f")), pair("g", None), pair("x", Some("b")), pair("x/c", Some("b/c")),],
            "d has other contents, the old e is hidden by the new one"
        );
        let (one, none) = (account(&[("a", 1)]), account(&[]));
        assert_eq!(names_changed(&viewer.seen(&one), &viewer.seen(&none)).len(), 1);
        assert!(names_changed(&viewer.seen(&now), &viewer.seen(&now)).is_empty());
    }
}
