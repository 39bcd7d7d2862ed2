//! COPY and MOVE with their UID forms (RFC 9051 sections 6.4.7 and 6.4.8), and COPYUID (RFC 4315).

use std::collections::BTreeMap;

use mailstore::activity::Happened;
use mailstore::crdt::identity::{EntryId, MailboxId, Uid, Validity};
use mailstore::crdt::rights::Rights;
use mailstore::request::{Reply, Request, RequestError};

use super::answer::Answer;
use super::message_limit::{self, Cut};
use super::numbers::{places, rows};
use super::{Action, Running, Session, Telling, put};
use crate::command::{Messages, Tag};

/// A COPY or MOVE under way.
pub(super) struct Copying {
    tag: Tag,
    moving: bool,
    uid: bool,
    /// Where a MOVE stops, if it is not about all that were named.
    cut: Option<Cut>,
    sources: BTreeMap<EntryId, Uid>,
    to: MailboxId,
    mark: Option<Happened>,
    /// Whether the originals of a MOVE are removed after they were copied, as between two accounts.
    in_two_steps: bool,
    /// Whether that is being done.
    removing: bool,
}

impl Session {
    pub(super) fn copy(
        &mut self,
        tag: Tag,
        messages: &Messages,
        mailbox: &str,
        moving: bool,
        out: &mut Vec<u8>,
    ) -> Action {
        let Some(selected) = &self.selected else { return self.waiting() };
        let told = selected.told().clone();
        let limit = self.config.message_limit;
        let (places, cut) = match places(messages, selected) {
            Ok(places) => Cut::of(places, &told, limit),
            Err(answer) => return self.fail(&tag, answer, out),
        };
        if moving && let Err(refusal) = selected.check(Rights::MOVING) {
            return self.fail(&tag, refusal, out);
        }
        if !moving && cut.is_some() {
            return self.fail(&tag, message_limit::refusal(limit), out);
        }
        let target = match self.permit_target(mailbox) {
            Ok(target) => target,
            Err(refusal) => return self.fail(&tag, refusal, out),
        };
        let entries: Vec<EntryId> = rows(&places, &told).map(|(_, row)| row.facts.entry).collect();
        if entries.is_empty() {
            return self.done(&tag, "No message was meant", out);
        }
        let (account, from, to) = (selected.access.account, selected.mailbox, target.mailbox());
        let sources = rows(&places, &told).map(|(_, row)| (row.facts.entry, row.uid)).collect();
        let (uid, mark) = (messages.by_uid(), self.mark(to));
        // Within an account a message is moved, not copied, and its flags go with it whatever they are.
        let flags = target.rights & Rights::FLAGS;
        let within = target.account == account && flags == Rights::FLAGS;
        let request = match (within, moving) {
            (true, true) => Request::Move { account, from, entries, to },
            (true, false) => Request::Copy { account, from, entries, to },
            (false, _) => {
                let target = target.account;
                Request::CopyAcross { account, from, entries, target, to, flags, moving }
            }
        };
        let reading = if moving { Rights::READ | Rights::MOVING } else { Rights::READ };
        let request = self.permitted((account, from), reading, request);
        let request = self.permitted((target.account, to), Rights::INSERT, request);
        let (in_two_steps, removing) = (!within, false);
        let copying = Copying { tag, moving, uid, cut, sources, to, mark, in_two_steps, removing };
        self.running = Running::Copy(copying);
        Action::Ask(request)
    }

    pub(super) fn copy_answered(
        &mut self,
        copying: Copying,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let answer = match answer {
            Ok(Reply::Copied { validity, pairs, gone, source }) => {
                if let Some(selected) = &mut self.selected {
                    selected.offer(&source);
                }
                self.pass_over(copying.to, copying.mark, pairs.iter().map(|(_, uid)| *uid));
                let answer = copying.outcome(validity, &pairs, &gone, out);
                if copying.moving && copying.in_two_steps && !pairs.is_empty() {
                    return self.remove_moved(copying, pairs.into_iter().map(|(entry, _)| entry).collect());
                }
                message_limit::told(copying.cut, answer, out)
            }
            Ok(Reply::View(source)) if copying.removing => {
                if let Some(selected) = &mut self.selected {
                    selected.offer(&source);
                }
                message_limit::told(copying.cut, Answer::ok("Completed"), out)
            }
            Err(error) if copying.removing => {
                let text = format!("The messages were copied, and the originals are still there: {error}");
                Answer::refused(&error).saying(text)
            }
            Ok(_) => Answer::misfit(),
            Err(error) => Answer::refused_target(&error),
        };
        let telling = if copying.moving { Telling::Departures } else { Telling::Everything };
        self.finish(&copying.tag, telling, answer, out)
    }
}

impl Session {
    /// The copies are durable: now the originals may go. Whatever happens in between, a message is in both places rather than in
    /// none; a MOVE that is tried again then finds its own copies.
    fn remove_moved(&mut self, copying: Copying, entries: Vec<EntryId>) -> Action {
        let Some(selected) = &self.selected else { return self.waiting() };
        let (account, mailbox) = (selected.access.account, selected.mailbox);
        let remove = Request::Remove { account, mailbox, entries };
        let request = self.permitted((account, mailbox), Rights::MOVING, remove);
        self.running = Running::Copy(Copying { removing: true, ..copying });
        Action::Ask(request)
    }
}

impl Copying {
    pub(super) fn tag(&self) -> &Tag {
        &self.tag
    }

    fn outcome(
        &self,
        validity: Validity,
        pairs: &[(EntryId, Uid)],
        gone: &[EntryId],
        out: &mut Vec<u8>,
    ) -> Answer {
        if pairs.is_empty() {
            return if gone.is_empty() || self.uid {
                Answer::ok("No message was there any more")
            } else {
                Answer::no("EXPUNGEISSUED", "The messages are gone")
            };
        }
        let known = pairs.iter().filter_map(|(entry, to)| Some((self.sources.get(entry)?.0, to.0)));
        let sources = put::set_text(known.clone().map(|(from, _)| from));
        let targets = put::set_text(known.map(|(_, to)| to));
        let code = format!("COPYUID {validity} {sources} {targets}");
        if self.moving {
            // RFC 6851 section 4.3: before the EXPUNGEs, so that the client can tell which messages they are.
            Answer::ok("Moved").code(code).write_untagged(out);
            return Answer::ok("Completed");
        }
        Answer::ok("Copied").code(code)
    }
}
