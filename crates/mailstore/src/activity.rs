//! What happens in the mailboxes of an account, for sessions that watch many of them without looking at any (RFC 5465).
//!
//! There is one picture of an account for all who watch it. However many mailboxes there are, a session keeps no more of it
//! than the number of what it saw last, and however slowly it comes to look, nothing piles up.

use std::collections::BTreeMap;

use crdt::identity::{MailboxId, Uid, Validity};
use crdt::view::MailboxView;

/// What happened in the mailboxes of an account since somebody began to watch it. Happenings are numbered from 1 on.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    count: u64,
    mailboxes: BTreeMap<MailboxId, Happened>,
}

/// The last happenings in one mailbox; 0 where there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Messages came or went, or all were numbered anew.
    pub messages: u64,
    /// Messages came, went or changed their flags.
    pub shown: u64,
    /// The same, or something waits to be shown when somebody looks.
    pub any: u64,
    /// How many happenings there were in this mailbox alone.
    times: u64,
    picture: Picture,
}

/// By which it is told whether messages came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Picture {
    validity: Option<Validity>,
    uid_next: Uid,
    messages: usize,
}

impl Picture {
    fn of(view: &MailboxView) -> Self {
        Picture { validity: view.validity, uid_next: view.uid_next, messages: view.rows.len() }
    }
}

impl Happened {
    /// Whether nothing else happened after `before` than that one command added so many messages.
    pub fn is_addition(&self, before: &Happened, added: usize) -> bool {
        let Picture { validity, messages, .. } = before.picture;
        let known = validity.is_none() || self.picture.validity == validity;
        known && self.times <= before.times + 1 && self.picture.messages == messages.saturating_add(added)
    }

    /// Whether nothing else ever happened in a mailbox that was made meanwhile than that one command added so many messages.
    pub fn is_first_addition(&self, added: usize) -> bool {
        self.times == 1 && self.picture.messages == added
    }
}

impl Activity {
    /// Nothing has happened since these views.
    pub(crate) fn beginning<'a>(views: impl Iterator<Item = &'a MailboxView>) -> Self {
        let none = |view| Happened { messages: 0, shown: 0, any: 0, times: 0, picture: Picture::of(view) };
        Activity { count: 0, mailboxes: views.map(|view| (view.mailbox, none(view))).collect() }
    }

    /// In each of these mailboxes something waits to be shown, or something changed, which the second says.
    pub(crate) fn tell<'a>(&mut self, views: impl Iterator<Item = (&'a MailboxView, bool)>) {
        self.count += 1;
        let count = self.count;
        for (view, changed) in views {
            let picture = Picture::of(view);
            let new = Happened { messages: count, shown: count, any: count, times: 0, picture };
            let happened = self.mailboxes.entry(view.mailbox).or_insert(new);
            happened.any = count;
            happened.times += 1;
            if changed {
                happened.shown = count;
            }
            if happened.picture != picture {
                (happened.messages, happened.picture) = (count, picture);
            }
        }
    }

    /// Forgets the mailboxes that are gone.
    pub(crate) fn keep(&mut self, exists: impl Fn(&MailboxId) -> bool) {
        self.mailboxes.retain(|mailbox, _| exists(mailbox));
    }

    /// The number of the last happening.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What happened in this mailbox.
    pub fn of(&self, mailbox: &MailboxId) -> Option<Happened> {
        self.mailboxes.get(mailbox).copied()
    }

    /// The mailboxes in which something happened after the happening of this number.
    pub fn since(&self, count: u64) -> impl Iterator<Item = (MailboxId, Happened)> + '_ {
        let mailboxes = self.mailboxes.iter().filter(move |(_, happened)| happened.any > count);
        mailboxes.map(|(mailbox, happened)| (*mailbox, *happened))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt::identity::AccountId;

    fn view(mailbox: u8, uid_next: u32) -> MailboxView {
        let view = MailboxView::unseen(AccountId([1; 16]), MailboxId([mailbox; 16]));
        MailboxView { uid_next: Uid(uid_next), ..view }
    }

    #[test]
    fn kinds_of_happenings_are_told_apart() {
        let mut activity = Activity::beginning([view(1, 5), view(2, 1)].iter());
        let since = |activity: &Activity, count| -> Vec<(u64, u64, u64)> {
            activity.since(count).map(|(_, last)| (last.messages, last.shown, last.any)).collect()
        };
        assert_eq!(since(&activity, 0), []);
        activity.tell([(&view(1, 5), false)].into_iter());
        assert_eq!(since(&activity, 0), [(0, 0, 1)], "something waits");
        activity.tell([(&view(1, 5), true)].into_iter());
        assert_eq!(since(&activity, 1), [(0, 2, 2)], "flags changed");
        activity.tell([(&view(1, 6), true), (&view(3, 2), false)].into_iter());
        assert_eq!(since(&activity, 2), [(3, 3, 3), (3, 3, 3)], "of a new mailbox nothing was known");
        assert_eq!(since(&activity, 3), []);
        activity.keep(|mailbox| *mailbox != view(1, 1).mailbox);
        assert_eq!((activity.count(), activity.of(&view(1, 1).mailbox)), (3, None));
    }

    #[test]
    fn an_addition_is_nothing_else() {
        let with = |messages: usize, times| {
            let picture = Picture { validity: None, uid_next: Uid(1), messages };
            // What happened in other mailboxes meanwhile does not matter.
            Happened { messages: 0, shown: 0, any: 10 * times, times, picture }
        };
        assert!(with(3, 8).is_addition(&with(1, 7), 2));
        assert!(!with(3, 9).is_addition(&with(1, 7), 2), "there was something before or after it");
        assert!(with(2, 1).is_first_addition(2));
        assert!(!with(2, 2).is_first_addition(2) && !with(3, 1).is_first_addition(2));
        assert!(!with(4, 8).is_addition(&with(1, 7), 2), "somebody else added one in the same moment");
    }
}
