//! ESEARCH (RFC 7377): one search of several mailboxes, one after the other, each in pieces as any other search.

use std::collections::VecDeque;
use std::sync::Arc;

use mailstore::account::{HIERARCHY_SEPARATOR, canonical_name};
use mailstore::crdt::identity::{AccountId, MailboxId};
use mailstore::crdt::rights::Rights;
use mailstore::crdt::view::MailboxView;
use mailstore::request::{Reply, Request, RequestError};

use super::super::answer::Answer;
use super::super::bodies::Bodies;
use super::super::progress::Progress;
use super::super::visible::{Listed, Visible};
use super::super::{Action, Running, Session, Telling, uid_only};
use super::found::{Correlator, Report};
use super::gather::{Gather, Gathered};
use super::test::{asks_modseq, asks_sequence};
use super::{Pictures, Searching, bad_charset};
use crate::command::{MultiSearch, Search, SearchCharset, SearchSource, Tag};

/// An ESEARCH that is not through yet.
pub(in super::super) struct MultiSearching {
    tag: Tag,
    search: Search,
    /// What is still to be searched.
    mailboxes: VecDeque<Source>,
    /// The mailbox that is being searched, or looked at for that.
    name: String,
    current: Option<Box<Searching>>,
    searched: usize,
    progress: Progress,
    failure: Option<Answer>,
}

/// A mailbox that is to be searched.
#[derive(Clone)]
struct Source {
    name: String,
    account: AccountId,
    mailbox: MailboxId,
}

impl Session {
    pub(in super::super) fn multi_search(
        &mut self,
        tag: Tag,
        asked: MultiSearch,
        out: &mut Vec<u8>,
    ) -> Action {
        let MultiSearch { sources, search } = asked;
        let Some(view) = self.visible(true) else { return self.waiting() };
        let selected = self.selected.as_ref().map(|selected| Source {
            name: selected.access.full_name(),
            account: selected.access.account,
            mailbox: selected.mailbox,
        });
        let sources = sources.unwrap_or_else(|| vec![SearchSource::Selected]);
        let refusal = match mailboxes(&view, &sources, selected.as_ref()) {
            Ok(mailboxes) => match self.multi_refusal(&search, &mailboxes, selected.as_ref()) {
                None => return self.begin_multi_search(tag, search, mailboxes, out),
                Some(refusal) => refusal,
            },
            Err(refusal) => refusal,
        };
        self.save(search.returned, &[]);
        self.fail(&tag, refusal, out)
    }

    /// What of one mailbox means nothing in several.
    fn multi_refusal(
        &self,
        search: &Search,
        mailboxes: &VecDeque<Source>,
        selected: Option<&Source>,
    ) -> Option<Answer> {
        let refusal = self.charset_refusal().filter(|_| search.charset != SearchCharset::Unstated);
        if refusal.is_some() {
            return refusal;
        }
        if let SearchCharset::Unsupported(name) = &search.charset {
            return Some(bad_charset(name));
        }
        let by_number = asks_sequence(&search.key);
        if by_number && self.uid_only {
            return Some(uid_only::refusal());
        }
        let saves = search.returned.is_some_and(|returned| returned.save);
        let only_selected = mailboxes
            .iter()
            .all(|source| selected.is_some_and(|selected| selected.mailbox == source.mailbox));
        let text = "Sequence numbers and SAVE are for the selected mailbox alone";
        ((by_number || saves) && !only_selected).then(|| Answer::bad(text).code("CLIENTBUG"))
    }

    fn begin_multi_search(
        &mut self,
        tag: Tag,
        search: Search,
        mailboxes: VecDeque<Source>,
        out: &mut Vec<u8>,
    ) -> Action {
        if asks_modseq(&search.key) {
            self.enable_condstore(out);
        }
        let condstore = self.condstore;
        if let Some(selected) = &mut self.selected {
            selected.tell_flags(condstore, out);
        }
        // Where nothing is found, `$` stands for nothing.
        self.save(search.returned, &[]);
        let progress = Progress::new(self.last_heard);
        let (name, current, searched, failure) = (String::new(), None, 0, None);
        let multi = MultiSearching { tag, search, mailboxes, name, current, searched, progress, failure };
        self.next_mailbox(Box::new(multi), out)
    }

    /// Begins with the next mailbox.
    fn next_mailbox(&mut self, mut multi: Box<MultiSearching>, out: &mut Vec<u8>) -> Action {
        let Some(Source { name, account, mailbox }) = multi.mailboxes.pop_front() else {
            let telling = Telling::for_numbers(!asks_sequence(&multi.search.key));
            let answer = multi.failure.unwrap_or_else(|| Answer::ok("Completed"));
            return self.finish(&multi.tag, telling, answer, out);
        };
        multi.name = name;
        // In the selected mailbox UIDs mean what the client was told.
        if let Some(selected) = self.selected.as_ref().filter(|selected| selected.mailbox == mailbox) {
            let pictures = Pictures::of(selected);
            return self.begin_mailbox(multi, pictures);
        }
        let look = Request::Look { account, mailbox, lasting: false };
        let request = self.permitted((account, mailbox), Rights::READ, look);
        self.running = Running::MultiSearch(multi);
        Action::Ask(request)
    }

    pub(in super::super) fn multi_search_answered(
        &mut self,
        mut multi: Box<MultiSearching>,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        match answer {
            Ok(Reply::Looked(look)) => {
                let view = look.view.borrow().clone();
                return self.begin_mailbox(multi, Pictures::alone(view));
            }
            // It was deleted meanwhile, or may not be read any more.
            Err(RequestError::NoSuchMailbox(_) | RequestError::NotPermitted) => {}
            Ok(_) => tracing::error!("the store answered a look with something else"),
            Err(error) => {
                multi.failure.get_or_insert_with(|| Answer::refused(&error));
            }
        }
        self.next_mailbox(multi, out)
    }

    fn begin_mailbox(&mut self, mut multi: Box<MultiSearching>, pictures: Pictures) -> Action {
        if let Some(validity) = pictures.told.validity {
            let names = self.name_encoding();
            let correlator = Correlator { mailbox: multi.name.clone(), validity, names };
            let report = Report {
                uid: true,
                returned: multi.search.returned,
                asks_modseq: asks_modseq(&multi.search.key),
                correlator: Some(correlator),
            };
            let gather = Gather::Places(Vec::new());
            let key = multi.search.key.clone();
            multi.current = Some(Box::new(self.searching(multi.tag.clone(), key, report, pictures, gather)));
        }
        self.running = Running::MultiSearch(multi);
        Action::Continue
    }

    pub(in super::super) fn produce_multi_search(
        &mut self,
        mut multi: Box<MultiSearching>,
        out: &mut Vec<u8>,
    ) -> Action {
        let total = multi.searched + multi.mailboxes.len() + 1;
        multi.progress.tell(self.last_heard, &multi.tag, multi.searched, total, out);
        if let Some(mut current) = multi.current.take() {
            // What is gathered are numbers alone, which cannot be too much.
            if let Ok(false) = current.look(&mut Bodies::new(&self.store)) {
                multi.current = Some(current);
                self.running = Running::MultiSearch(multi);
                return Action::Continue;
            }
            let Searching { report, gather, failure, .. } = *current;
            if let Gathered::Listed(name, found) = gather.finish()
                && !found.is_empty()
            {
                report.write(name, &multi.tag, &found, out);
                self.save(report.returned, if failure.is_none() { &found } else { &[] });
            }
            multi.failure = multi.failure.or(failure);
        }
        multi.searched += 1;
        self.next_mailbox(multi, out)
    }
}

impl MultiSearching {
    pub(in super::super) fn tag(&self) -> &Tag {
        &self.tag
    }
}

/// The mailboxes that these sources name, each once, in the order of their names, the session's own before those of others. What
/// does not exist, or cannot be read, is passed over (RFC 7377 section 2.2).
fn mailboxes(
    view: &Visible,
    sources: &[SearchSource],
    selected: Option<&Source>,
) -> Result<VecDeque<Source>, Answer> {
    if sources.contains(&SearchSource::Selected) && selected.is_none() {
        return Err(Answer::bad("Select a mailbox first").code("CLIENTBUG"));
    }
    let wanted = |name: &str, listed: &Listed<'_>| {
        let is_source = |source: &SearchSource| match source {
            SearchSource::Selected => selected.is_some_and(|source| source.mailbox == listed.entry.mailbox),
            SearchSource::Inboxes => name == "INBOX",
            SearchSource::Personal => listed.is_own,
            SearchSource::Subscribed => view.subscriptions().contains(name),
            SearchSource::Subtree(roots) => roots.iter().any(|root| below(name, root).is_some()),
            SearchSource::SubtreeOne(roots) => {
                let near = |rest: &str| !rest.contains(HIERARCHY_SEPARATOR);
                roots.iter().any(|root| below(name, root).is_some_and(near))
            }
            SearchSource::Mailboxes(names) => names.iter().any(|named| canonical_name(named) == name),
        };
        listed.rights.contain(Rights::READ) && sources.iter().any(is_source)
    };
    let found = |name: &str| {
        let listed = view.find(name).filter(|listed| wanted(name, listed))?;
        Some(Source { name: name.to_owned(), account: listed.account, mailbox: listed.entry.mailbox })
    };
    let mut mailboxes: VecDeque<Source> = view.names().filter_map(found).collect();
    // One that may be read and is not listed can be selected nevertheless.
    if let Some(selected) = selected.filter(|_| sources.contains(&SearchSource::Selected))
        && !mailboxes.iter().any(|source| source.mailbox == selected.mailbox)
    {
        mailboxes.push_back(selected.clone());
    }
    Ok(mailboxes)
}

/// What of a name follows that of the mailbox above it; nothing where it is that mailbox itself. Everything is below the empty
/// name.
fn below<'a>(name: &'a str, root: &str) -> Option<&'a str> {
    let root = canonical_name(root);
    if root.is_empty() {
        return Some(name);
    }
    match name.strip_prefix(root.as_ref())? {
        "" => Some(""),
        rest => rest.strip_prefix(HIERARCHY_SEPARATOR),
    }
}

impl Pictures {
    /// A mailbox that is not selected: what it is now.
    fn alone(view: Arc<MailboxView>) -> Self {
        Pictures { flags: view.clone(), told: view, saved: Vec::new() }
    }
}
