//! STORE and UID STORE (RFC 9051 section 6.4.6), also conditional (RFC 7162 section 3.1.3).

use std::collections::BTreeSet;

use mailstore::crdt::flag::{Flag, FlagChange, FlagSet};
use mailstore::crdt::identity::EntryId;
use mailstore::crdt::rights::Rights;
use mailstore::crdt::view::Row;
use mailstore::request::{Reply, Request, RequestError};

use super::access::no_permission;
use super::answer::Answer;
use super::message_limit::{self, Cut};
use super::numbers::{places, rows, sequence};
use super::selected::{Change, Items, Selected};
use super::{Action, Running, Session, Telling, put};
use crate::command::{Messages, Tag};

/// What a client wants of the flags.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) change: FlagChange,
    pub(super) flags: Vec<Flag>,
    pub(super) silent: bool,
    pub(super) unchanged_since: Option<u64>,
}

/// A STORE under way.
pub(super) struct Storing {
    tag: Tag,
    uid: bool,
    wish: Wish,
    /// The messages as they were told, with their places.
    targets: Vec<(usize, Row)>,
    /// Where it stops, if it is not about all that were named.
    cut: Option<Cut>,
}

impl Session {
    pub(super) fn store(
        &mut self,
        tag: Tag,
        messages: &Messages,
        mut wish: Wish,
        out: &mut Vec<u8>,
    ) -> Action {
        if wish.unchanged_since.is_some() {
            self.enable_condstore(out);
        }
        let Some(selected) = &self.selected else { return self.waiting() };
        let needed = match wish.restrict(selected) {
            Ok(needed) => needed,
            Err(refusal) => return self.fail(&tag, refusal, out),
        };
        let (account, mailbox) = (selected.access.account, selected.mailbox);
        let told = selected.told();
        let (places, cut) = match places(messages, selected) {
            Ok(places) => Cut::of(places, told, self.config.message_limit),
            Err(answer) => return self.fail(&tag, answer, out),
        };
        let targets: Vec<(usize, Row)> =
            rows(&places, told).map(|(place, row)| (place, selected.current(row).clone())).collect();
        let uid = messages.by_uid();
        if targets.is_empty() {
            return self.finish(&tag, Telling::for_numbers(uid), Answer::ok("No message was meant"), out);
        }
        let request = Request::Store {
            account,
            mailbox,
            entries: targets.iter().map(|(_, row)| row.facts.entry).collect(),
            change: wish.change,
            flags: wish.flags.clone(),
            unchanged_since: wish.unchanged_since.map(|since| self.unchanged_since(since)),
        };
        self.running = Running::Store(Storing { tag, uid, wish, targets, cut });
        Action::Ask(self.permitted((account, mailbox), needed, request))
    }

    pub(super) fn store_answered(
        &mut self,
        storing: &Storing,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let telling = Telling::for_numbers(storing.uid);
        let (modified, gone) = match answer {
            Ok(Reply::Stored { modified, gone, view }) => {
                let Some(selected) = &mut self.selected else { return self.waiting() };
                selected.offer(&view);
                let left_alone = modified.iter().chain(&gone).copied().collect();
                storing.tell(selected, &left_alone, self.condstore, out);
                (modified, gone)
            }
            Ok(_) => return self.finish(&storing.tag, telling, Answer::misfit(), out),
            Err(error) => return self.finish(&storing.tag, telling, Answer::refused(&error), out),
        };
        let answer = message_limit::told(storing.cut, storing.outcome(&modified, &gone), out);
        self.finish(&storing.tag, telling, answer, out)
    }
}

impl Wish {
    /// Leaves only what the rights to the mailbox allow, and tells which of them it takes. RFC 4314 section 4: a STORE fails only where
    /// none of its flags may be changed.
    fn restrict(&mut self, selected: &Selected) -> Result<Rights, Answer> {
        selected.check(Rights::NONE)?;
        let usable = selected.usable(Rights::FLAGS);
        let of = |flags: &[Flag]| flags.iter().fold(Rights::NONE, |rights, flag| rights | flag.right());
        let asked = match self.change {
            FlagChange::Replace | FlagChange::ReplaceWithin(_) => Rights::FLAGS,
            FlagChange::Add | FlagChange::Remove => of(&self.flags),
        };
        if !asked.is_empty() && !asked.intersect(usable) {
            return Err(no_permission(asked));
        }
        self.flags.retain(|flag| usable.contain(flag.right()));
        if asked == Rights::FLAGS && usable != Rights::FLAGS && self.change == FlagChange::Replace {
            self.change = FlagChange::ReplaceWithin(usable);
        }
        Ok(asked & usable)
    }
}

impl Storing {
    pub(super) fn tag(&self) -> &Tag {
        &self.tag
    }

    /// Tells the flags of the targets as the client wants them, and those of other messages that changed meanwhile.
    fn tell(
        &self,
        selected: &mut Selected,
        left_alone: &BTreeSet<EntryId>,
        condstore: bool,
        out: &mut Vec<u8>,
    ) {
        let mut changes = selected.take_flag_changes(condstore);
        for (_, before) in &self.targets {
            if left_alone.contains(&before.facts.entry) {
                continue;
            }
            if !self.wish.silent {
                changes.insert(before.uid, Change::Flags);
                continue;
            }
            let Some(now) = selected.flags_told().rows.find(before.uid) else { continue };
            let expected = after(&before.flags, &self.wish);
            if *now.flags != expected {
                // Somebody else changed them, too: `.SILENT` does not cover that.
                changes.insert(before.uid, Change::Flags);
            } else if condstore && now.modseq != before.modseq {
                // RFC 7162 section 3.1.3: the MODSEQ is told, silent or not.
                changes.insert(before.uid, Change::Stamp);
            } else {
                changes.remove(&before.uid);
            }
        }
        let items = Items { uid: self.uid || condstore, modseq: condstore };
        selected.tell(&changes, items, out);
    }

    fn outcome(&self, modified: &[EntryId], gone: &[EntryId]) -> Answer {
        if !modified.is_empty() {
            let modified: BTreeSet<EntryId> = modified.iter().copied().collect();
            let left = self.targets.iter().filter(|(_, row)| modified.contains(&row.facts.entry));
            let number = |(place, row): &(usize, Row)| if self.uid { row.uid.0 } else { sequence(*place) };
            let code = format!("MODIFIED {}", put::set_text(left.map(number)));
            return Answer::ok("Some messages were changed meanwhile and are left alone").code(code);
        }
        // RFC 2180 section 4.2: by UID a message that is gone is passed over.
        if !gone.is_empty() && !self.uid {
            return Answer::no("EXPUNGEISSUED", "Some of the messages are gone; the others are changed");
        }
        Answer::ok("Stored")
    }
}

/// The flags that a message has after the change, if nobody else touches it.
fn after(before: &FlagSet, wish: &Wish) -> FlagSet {
    let named = |flag: &&Flag| wish.flags.contains(flag);
    match wish.change {
        FlagChange::Add => before.iter().chain(&wish.flags).cloned().collect(),
        FlagChange::Remove => before.iter().filter(|flag| !named(flag)).cloned().collect(),
        FlagChange::Replace => wish.flags.iter().cloned().collect(),
        FlagChange::ReplaceWithin(rights) => {
            let kept = before.iter().filter(|flag| !rights.contain(flag.right()));
            kept.chain(&wish.flags).cloned().collect()
        }
    }
}
