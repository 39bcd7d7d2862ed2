//! Rows in which mailboxes themselves come, go and change their names. A session with such a mailbox open ends with BYE where
//! what it was shown is no more.

use crate::kit::imap::Client;
use crate::kit::message;
use crate::kit::wait::eventually;

use super::stage::{Row, Shown, Stage};

/// What clients told a node to do; the message that they gave it.
fn append(stage: &Stage, side: usize, mailbox: &str, id: &str) {
    stage.client(side).append(mailbox, "", &message(id, mailbox));
}

/// The names that both sides list, once they list the same: of these all and no others.
#[track_caller]
fn names_alike(stage: &Stage, there: &[&str], gone: &[&str]) {
    eventually(&format!("{there:?} are there, {gone:?} are not"), || {
        let names = [0, 1].map(|side| stage.names(side));
        let right = names.iter().all(|names| {
            there.iter().all(|name| names.contains(*name)) && gone.iter().all(|name| !names.contains(*name))
        });
        if right { Ok(()) } else { Err(format!("{names:?}")) }
    });
}

/// The session that was open all the time comes to what a new one is shown.
#[track_caller]
fn comes_to(watcher: &mut Client, shown: &Shown) {
    eventually("the open session", || {
        watcher.follow();
        let (told, wanted) = (watcher.view().uids(), shown.messages.keys().copied().collect::<Vec<_>>());
        if told == wanted { Ok(()) } else { Err(format!("told {told:?} of {wanted:?}")) }
    });
    assert_eq!(watcher.view().uid_validity, shown.uid_validity);
}

/// Both create a mailbox of one name, and clients put mail into it.
#[derive(Default)]
pub struct BothCreate {
    apart: Vec<Shown>,
    watchers: Vec<Client>,
}

impl Row for BothCreate {
    fn name(&self) -> &'static str {
        "both-create"
    }

    fn before(&mut self, _: &Stage) {}

    fn apart(&mut self, stage: &Stage, side: usize) {
        stage.client(side).ok("CREATE created");
        append(stage, side, "created", ["a1", "b1"][side]);
        self.apart.push(stage.shown(side, "created"));
        let mut watcher = stage.client(side);
        watcher.list("created");
        self.watchers.push(watcher);
    }

    /// The greater UIDVALIDITY stays for its side. The other side's clients are told: the session ends, and the next sees another
    /// UIDVALIDITY.
    fn after(&mut self, stage: &Stage) {
        let merged = stage.alike("created", &["a1", "b1"]);
        let validities = [0, 1].map(|side: usize| self.apart[side].uid_validity);
        assert_ne!(validities[0], validities[1]);
        assert_eq!(Some(merged.uid_validity), validities.iter().copied().max());
        for (watcher, validity) in self.watchers.iter_mut().zip(validities) {
            if validity == merged.uid_validity {
                comes_to(watcher, &merged);
            } else {
                assert!(watcher.is_bidden_farewell(), "a session with a UIDVALIDITY that is no more goes on");
            }
        }
    }
}

/// The first side deletes a mailbox, the second appends to it.
#[derive(Default)]
pub struct DeleteAndAppend {
    watcher: Option<Client>,
}

impl Row for DeleteAndAppend {
    fn name(&self) -> &'static str {
        "delete-and-append"
    }

    fn before(&mut self, stage: &Stage) {
        stage.prepare("deleted", &["1", "2"]);
        let mut watcher = stage.client(1);
        watcher.list("deleted");
        self.watcher = Some(watcher);
    }

    fn apart(&mut self, stage: &Stage, side: usize) {
        if side == 0 {
            stage.client(0).ok("DELETE deleted");
            assert!(!stage.names(0).contains("deleted"));
        } else {
            append(stage, 1, "deleted", "b1");
        }
    }

    /// It is there, with the message that the deleting client could not know of, and nothing else.
    fn after(&mut self, stage: &Stage) {
        let merged = stage.alike("deleted", &["b1"]);
        comes_to(self.watcher.as_mut().unwrap(), &merged);
    }
}

/// The first side renames a mailbox, the second appends to it.
#[derive(Default)]
pub struct RenameAndAppend {
    before: Option<Shown>,
    uid: u32,
    watchers: Vec<Client>,
}

impl Row for RenameAndAppend {
    fn name(&self) -> &'static str {
        "rename-and-append"
    }

    fn before(&mut self, stage: &Stage) {
        self.before = Some(stage.prepare("old-name", &["1", "2"]));
        for side in 0..2 {
            let mut watcher = stage.client(side);
            watcher.list("old-name");
            self.watchers.push(watcher);
        }
    }

    fn apart(&mut self, stage: &Stage, side: usize) {
        if side == 0 {
            stage.client(0).ok("RENAME old-name new-name");
        } else {
            append(stage, 1, "old-name", "b1");
            self.uid = stage.shown(1, "old-name").uid("b1");
        }
    }

    fn after(&mut self, stage: &Stage) {
        let merged = stage.alike("new-name", &["1", "2", "b1"]);
        names_alike(stage, &["new-name"], &["old-name"]);
        let before = self.before.as_ref().unwrap();
        assert_eq!(merged.uid_validity, before.uid_validity);
        assert_eq!(["1", "2"].map(|id| merged.uid(id)), ["1", "2"].map(|id| before.uid(id)));
        assert_eq!(merged.uid("b1"), self.uid);
        self.watchers.iter_mut().for_each(|watcher| comes_to(watcher, &merged));
    }
}

/// Both rename a mailbox, to different names; the second is the later.
#[derive(Default)]
pub struct BothRename {
    before: Option<Shown>,
}

impl Row for BothRename {
    fn name(&self) -> &'static str {
        "both-rename"
    }

    fn before(&mut self, stage: &Stage) {
        self.before = Some(stage.prepare("renamed", &["1", "2"]));
    }

    fn apart(&mut self, stage: &Stage, side: usize) {
        stage.client(side).ok(["RENAME renamed renamed-a", "RENAME renamed renamed-b"][side]);
    }

    fn after(&mut self, stage: &Stage) {
        names_alike(stage, &["renamed-b"], &["renamed", "renamed-a"]);
        let merged = stage.alike("renamed-b", &["1", "2"]);
        assert_eq!(Some(merged), self.before);
    }
}

/// The first side deletes a mailbox and creates it again, the second appends to the old one.
#[derive(Default)]
pub struct DeleteCreateAndAppend {
    again: Option<Shown>,
    watcher: Option<Client>,
}

impl Row for DeleteCreateAndAppend {
    fn name(&self) -> &'static str {
        "delete-create-and-append"
    }

    fn before(&mut self, stage: &Stage) {
        stage.prepare("again", &["1", "2"]);
        let mut watcher = stage.client(1);
        watcher.list("again");
        self.watcher = Some(watcher);
    }

    fn apart(&mut self, stage: &Stage, side: usize) {
        if side == 0 {
            let mut client = stage.client(0);
            client.ok("DELETE again");
            client.ok("CREATE again");
            append(stage, 0, "again", "a1");
            self.again = Some(stage.shown(0, "again"));
        } else {
            append(stage, 1, "again", "b1");
        }
    }

    /// The new one, with what both appended; what was deleted stays deleted. The session on the old one is told that it is no more.
    fn after(&mut self, stage: &Stage) {
        let merged = stage.alike("again", &["a1", "b1"]);
        let again = self.again.as_ref().unwrap();
        assert_eq!(merged.uid_validity, again.uid_validity);
        assert_eq!(merged.uid("a1"), again.uid("a1"));
        assert!(self.watcher.as_mut().unwrap().is_bidden_farewell());
    }
}
