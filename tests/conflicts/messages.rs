//! Rows in which clients on both sides change what is in one mailbox, with sessions that stay open all the time.

use crate::kit::imap::Client;
use crate::kit::message;
use crate::kit::wait::eventually;

use super::cache::Cache;
use super::stage::{Row, Shown, Stage};

/// A row in a mailbox with three messages: `1`, `2` and `3`.
pub struct InOneMailbox {
    /// Its name, and that of the row.
    pub mailbox: &'static str,
    /// Mailboxes that messages are moved to, behind the name of the mailbox itself.
    pub targets: &'static [&'static str],
    pub apart: [fn(&mut Actor); 2],
    /// What is in the mailbox, and in its targets, in the end.
    pub merged: &'static [&'static [&'static str]],
    pub check: fn(&Story),
    story: Story,
    watchers: Vec<Client>,
    /// What clients kept that were there before the cut, and those that were there while the nodes were apart.
    caches: [Vec<Cache>; 2],
}

/// What clients saw.
#[derive(Default)]
pub struct Story {
    /// Of the mailbox, by both.
    pub before: Option<Shown>,
    /// Of the mailbox, by each side.
    pub apart: Vec<Shown>,
    /// Of the mailbox and its targets.
    pub merged: Vec<Shown>,
    /// How many messages went away in the session that each side kept open, since the nodes met again.
    pub expunged: [usize; 2],
}

/// A client that changes the mailbox.
pub struct Actor {
    client: Client,
    mailbox: &'static str,
}

impl InOneMailbox {
    pub fn new(
        mailbox: &'static str,
        targets: &'static [&'static str],
        apart: [fn(&mut Actor); 2],
        merged: &'static [&'static [&'static str]],
        check: fn(&Story),
    ) -> Self {
        assert_eq!(merged.len(), 1 + targets.len(), "{mailbox}");
        let (story, watchers, caches) = Default::default();
        Self { mailbox, targets, apart, merged, check, story, watchers, caches }
    }

    fn target(&self, target: &str) -> String {
        format!("{}-{target}", self.mailbox)
    }

    /// The open session of a side comes to these UIDs.
    #[track_caller]
    fn watch(&mut self, side: usize, when: &str, shown: &Shown) {
        let (mailbox, watcher) = (self.mailbox, &mut self.watchers[side]);
        eventually(&format!("the open session on side {side} in {mailbox} {when}"), || {
            watcher.follow();
            let (told, wanted) = (watcher.view().uids(), shown.messages.keys().copied().collect::<Vec<_>>());
            if told == wanted { Ok(()) } else { Err(format!("told {told:?} of {wanted:?}")) }
        });
        assert_eq!(self.watchers[side].view().uid_validity, shown.uid_validity);
    }
}

impl Row for InOneMailbox {
    fn name(&self) -> &'static str {
        self.mailbox
    }

    fn before(&mut self, stage: &Stage) {
        self.story.before = Some(stage.prepare(self.mailbox, &["1", "2", "3"]));
        for target in self.targets {
            stage.prepare(&self.target(target), &[]);
        }
        for side in 0..2 {
            let mut watcher = stage.client(side);
            watcher.list(self.mailbox);
            assert_eq!(watcher.view().len(), 3);
            self.watchers.push(watcher);
            self.caches[side].push(Cache::fill(stage.client(side), self.mailbox));
        }
    }

    fn apart(&mut self, stage: &Stage, side: usize) {
        let mut client = stage.client(side);
        client.list(self.mailbox);
        (self.apart[side])(&mut Actor { client, mailbox: self.mailbox });
        let shown = stage.shown(side, self.mailbox);
        self.watch(side, "while apart", &shown);
        self.story.expunged[side] = self.watchers[side].view().expunged;
        self.story.apart.push(shown);
        self.caches[side].push(Cache::fill(stage.client(side), self.mailbox));
    }

    fn after(&mut self, stage: &Stage) {
        let targets = self.targets.iter().map(|target| self.target(target));
        let mailboxes: Vec<String> = [self.mailbox.to_owned()].into_iter().chain(targets).collect();
        for (mailbox, ids) in mailboxes.iter().zip(self.merged) {
            self.story.merged.push(stage.alike(mailbox, ids));
        }
        let merged = self.story.merged[0].clone();
        for side in 0..2 {
            self.watch(side, "after the merge", &merged);
            self.story.expunged[side] = self.watchers[side].view().expunged - self.story.expunged[side];
            self.story.is_honest(side);
            for (cache, when) in self.caches[side].iter().zip(["before the cut", "while apart"]) {
                for (now, how) in [(side, "back"), (1 - side, "moved")] {
                    let what = format!("filled {when} on side {side}, {how} after the merge");
                    cache.clone().comes_to(stage.client(now), self.mailbox, &merged, &what);
                }
            }
        }
        (self.check)(&self.story);
    }
}

impl Story {
    /// No UID that a side was shown names another message now, and UIDVALIDITY was kept.
    #[track_caller]
    fn is_honest(&self, side: usize) {
        let (apart, merged) = (&self.apart[side], &self.merged[0]);
        assert_eq!(apart.uid_validity, merged.uid_validity, "no reason to bump");
        for (uid, message) in &apart.messages {
            let now = merged.messages.get(uid);
            assert!(
                now.is_none_or(|now| now.email_id == message.email_id),
                "UID {uid}: {message:?}, {now:?}"
            );
        }
    }

    /// These messages of a side have the UIDs that its clients were told.
    #[track_caller]
    pub fn kept(&self, side: usize, ids: &[&str]) {
        for id in ids {
            assert_eq!(self.merged[0].uid(id), self.apart[side].uid(id), "{id} of side {side}");
        }
    }

    /// These messages of a side have other UIDs, above all that either side had shown; it is the same message.
    #[track_caller]
    pub fn renumbered(&self, side: usize, ids: &[&str]) {
        let shown = self.apart.iter().filter_map(|shown| shown.messages.keys().max()).max();
        for id in ids {
            let uid = self.merged[0].uid(id);
            assert!(Some(&uid) > shown, "{id} of side {side}: UID {uid}, {shown:?} was shown");
            assert_eq!(self.merged[0].email_id(id), self.apart[side].email_id(id));
        }
    }
}

impl Actor {
    pub fn append(&mut self, id: &str) {
        self.client.append(self.mailbox, "", &message(id, self.mailbox));
    }

    #[track_caller]
    fn uid(&mut self, id: &str) -> u32 {
        Shown::of(&mut self.client, self.mailbox).uid(id)
    }

    /// `change` as in `+FLAGS (\Seen)`.
    #[track_caller]
    pub fn store(&mut self, id: &str, change: &str) {
        let uid = self.uid(id);
        self.client.ok(&format!("UID STORE {uid} {change}"));
    }

    #[track_caller]
    pub fn expunge(&mut self, id: &str) {
        self.store(id, "+FLAGS (\\Deleted)");
        self.client.ok("EXPUNGE");
    }

    #[track_caller]
    pub fn move_to(&mut self, id: &str, target: &str) {
        let uid = self.uid(id);
        let mailbox = self.mailbox;
        self.client.ok(&format!("UID MOVE {uid} {mailbox}-{target}"));
    }
}
