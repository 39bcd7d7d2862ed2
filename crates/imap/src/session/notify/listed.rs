//! Mailboxes that came, went or got another name, subscriptions and annotations that changed (RFC 5465 sections 5.4 to 5.7).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mailstore::account::{AccountView, HIERARCHY_SEPARATOR, MailboxEntry};
use mailstore::crdt::identity::MailboxId;

use super::super::metadata;
use super::Notices;
use crate::mailbox_name::NameEncoding;

/// A name of which a LIST is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    /// Its name before.
    pub(super) before: Option<String>,
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
        let before = std::mem::replace(&mut self.known, account.clone());
        if Arc::ptr_eq(&before, account) || self.groups.is_empty() {
            return;
        }
        let accounts = [&*before, &**account];
        for (mailbox, names) in metadata::changed(&before, account) {
            let Some(spelling) = spelling else { break };
            let wanted = match mailbox {
                "" => self.groups.iter().any(|group| group.events.account_annotations),
                name => self.events(&[name], &accounts).annotations,
            };
            if wanted {
                metadata::write_changed((mailbox, spelling), &names, out);
            }
        }
        let changed = names_changed(&before, account).into_iter().filter(|(name, old)| {
            let names: Vec<&str> =
                [Some(name), old.as_ref()].into_iter().flatten().map(String::as_str).collect();
            self.events(&names, &accounts).names
        });
        let mut lists: BTreeMap<String, Option<String>> = changed.collect();
        for name in before.subscriptions.symmetric_difference(&account.subscriptions) {
            if self.events(&[name.as_str()], &accounts).subscriptions {
                lists.entry(name.clone()).or_default();
            }
        }
        self.listed.extend(lists.into_iter().map(|(name, before)| Listed { name, before }));
    }

    /// What the client did to these names itself it knows: it is not told of that (RFC 5465 section 5).
    pub(super) fn know(&mut self, account: &AccountView, is_own: impl Fn(&str) -> bool) {
        let mut known = AccountView::clone(&self.known);
        known.mailboxes.retain(|name, _| !is_own(name));
        known.subscriptions.retain(|name| !is_own(name));
        let mailboxes = account.mailboxes.iter().filter(|(name, _)| is_own(name));
        known.mailboxes.extend(mailboxes.map(|(name, entry)| (name.clone(), entry.clone())));
        known.subscriptions.extend(account.subscriptions.iter().filter(|name| is_own(name)).cloned());
        self.known = known.into();
    }
}

/// Whether a name is one of these or below one of them.
pub(in super::super) fn is_within(name: &str, tops: &[String]) -> bool {
    tops.iter().any(|top| {
        name.strip_prefix(top.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(HIERARCHY_SEPARATOR))
    })
}

/// Names that mean something else than before, with the names before of those mailboxes that were renamed.
fn names_changed(before: &AccountView, now: &AccountView) -> BTreeMap<String, Option<String>> {
    let is_changed = |name: &&String, entry: &MailboxEntry, other: &AccountView| {
        other.mailboxes.get(*name).is_none_or(|there| there.mailbox != entry.mailbox)
    };
    let gone: Vec<(&String, &MailboxEntry)> =
        before.mailboxes.iter().filter(|(name, entry)| is_changed(name, entry, now)).collect();
    let new: Vec<(&String, &MailboxEntry)> =
        now.mailboxes.iter().filter(|(name, entry)| is_changed(name, entry, before)).collect();
    if gone.is_empty() && new.is_empty() {
        return BTreeMap::new();
    }
    let names_before: BTreeMap<MailboxId, &String> =
        before.mailboxes.iter().map(|(name, entry)| (entry.mailbox, name)).collect();
    let renamed: BTreeSet<MailboxId> =
        new.iter().map(|(_, entry)| entry.mailbox).filter(|id| names_before.contains_key(id)).collect();
    let mut changed = BTreeMap::new();
    for (name, entry) in gone {
        // Its LIST comes under the new name, or another mailbox has taken its name.
        if !renamed.contains(&entry.mailbox) && !now.mailboxes.contains_key(name) {
            changed.insert(name.clone(), None);
        }
    }
    for (name, entry) in new {
        let old = names_before.get(&entry.mailbox).map(|name| (*name).clone());
        // Two nodes may have made the same name at the same time; which of the mailboxes stands behind it is not for clients.
        if old.is_some() || !before.mailboxes.contains_key(name) {
            changed.insert(name.clone(), old);
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
        let changed: Vec<(String, Option<String>)> = names_changed(&before, &now).into_iter().collect();
        let pair = |name: &str, old: Option<&str>| (name.to_owned(), old.map(str::to_owned));
        assert_eq!(
            changed,
            [pair("e", Some("f")), pair("g", None), pair("x", Some("b")), pair("x/c", Some("b/c")),],
            "d has other contents, the old e is hidden by the new one"
        );
        assert_eq!(names_changed(&account(&[("a", 1)]), &account(&[])).len(), 1);
        assert!(names_changed(&now, &now).is_empty());
    }
}
