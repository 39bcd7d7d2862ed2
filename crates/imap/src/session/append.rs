//! APPEND (RFC 9051 section 6.3.12), also of several messages (RFC 3502) or put together of parts (RFC 4469), and what REPLACE has in
//! common with it: the octets go to the body store and through the scanner as they arrive.

use std::sync::Arc;

use mailstore::activity::Happened;
use mailstore::crdt::flag::Flag;
use mailstore::crdt::identity::{AccountId, MailboxId};
use mailstore::crdt::rights::Rights;
use mailstore::crdt::view::ReceivedAt;
use mailstore::request::{MOST_MESSAGES_A_REQUEST, NewMessage, Reply, Request, RequestError};
use mailstore::{BodyWriter, StagedBody};
use message::Scanner;

use super::access::{Opening, OpeningAppend};
use super::answer::Answer;
use super::catenate::Source;
use super::put;
use super::replace::Replaced;
use super::{Action, Running, Session, Telling, message_limit};
use crate::command::{AppendEvent, AppendForm, AppendMessage, Tag};

/// The most parts of one message that CATENATE puts together.
const MOST_PARTS: usize = 1_000;

/// An APPEND of which some octets may have come.
pub(super) struct Appending {
    tag: Tag,
    account: AccountId,
    mailbox: MailboxId,
    /// What the session may do there.
    rights: Rights,
    /// What it takes the place of.
    replaced: Option<Replaced>,
    done: Vec<NewMessage>,
    current: Option<Box<Incoming>>,
    /// What had happened in the mailbox before.
    mark: Option<Happened>,
    /// A part that is waited for.
    pub(super) source: Option<Source>,
}

/// A message of which some octets may have come.
struct Incoming {
    writer: BodyWriter,
    scanner: Scanner,
    flags: Vec<Flag>,
    received: Option<ReceivedAt>,
    /// Whether it is put together of parts.
    catenated: bool,
    /// The form of the literal that is coming in.
    form: AppendForm,
    /// How many octets it has with all that was announced so far.
    size: u64,
    /// Of how many parts it was put together so far.
    parts: usize,
}

impl Session {
    pub(super) fn append(&mut self, event: AppendEvent<'_>, out: &mut Vec<u8>) -> Action {
        if let AppendEvent::Start { tag, mailbox, replaced, message } = event {
            let start = OpeningAppend { tag, mailbox, replaced, message };
            if let Some(account) = self.unopened_owner(&start.mailbox) {
                self.running = Running::Opening(Opening::Append(Box::new(start)));
                return Action::Ask(Request::OpenAccount { account });
            }
            return self.append_start(start, out);
        }
        let mut appending = match std::mem::take(&mut self.running) {
            Running::Append(appending) => appending,
            other => {
                self.running = other;
                return self.waiting();
            }
        };
        let limit = self.config.append_limit;
        let refusal = match event {
            AppendEvent::Start { .. } => None,
            AppendEvent::Url(url) => return self.append_url(appending, url, out),
            AppendEvent::Text { size, form } => appending.text(size, form, limit).err(),
            AppendEvent::Close => appending.close().err(),
            AppendEvent::Next(message) => self.append_message(&mut appending, message).err(),
            AppendEvent::Data(octets) => appending.take(octets).err(),
            AppendEvent::End => appending.literal_end().err(),
            AppendEvent::Broken { text } => Some(Answer::bad(text)),
            AppendEvent::Finish => return self.append_finish(appending),
        };
        match refusal {
            // What was taken so far is dropped with `appending`: all messages are stored, or none.
            Some(refusal) => self.fail(&appending.tag, refusal, out),
            None => {
                self.running = Running::Append(appending);
                Action::AcceptLiteral
            }
        }
    }

    pub(super) fn append_start(&mut self, start: OpeningAppend, out: &mut Vec<u8>) -> Action {
        let OpeningAppend { tag, mailbox, replaced, message } = start;
        if self.login.is_none() {
            return self.fail(&tag, Answer::bad("Log in first").code("CLIENTBUG"), out);
        }
        if let Some(selected) = &mut self.selected {
            selected.access.refresh();
        }
        let replaced = match replaced.as_ref().map(|message| self.replaced(message)).transpose() {
            Ok(replaced) => replaced,
            Err(refusal) => return self.fail(&tag, refusal, out),
        };
        let found = match self.permit_target(&mailbox) {
            Ok(found) => found,
            Err(refusal) => return self.fail(&tag, refusal, out),
        };
        let (account, mailbox, rights) = (found.account, found.mailbox(), found.rights);
        let (done, current, source, mark) = (Vec::new(), None, None, None);
        let mut appending =
            Appending { tag, account, mailbox, rights, replaced, done, current, source, mark };
        match self.append_message(&mut appending, message) {
            Err(refusal) => self.fail(&appending.tag, refusal, out),
            Ok(()) => {
                self.running = Running::Append(appending);
                Action::AcceptLiteral
            }
        }
    }

    fn append_message(&self, appending: &mut Appending, message: AppendMessage) -> Result<(), Answer> {
        let AppendMessage { mut flags, received, size, form } = message;
        // RFC 4314 section 4: a flag that may not be changed there is left out, and the message is taken.
        flags.retain(|flag| appending.rights.contain(flag.right()));
        let catenated = form == AppendForm::Catenate;
        if size == 0 && !catenated {
            return Err(empty());
        }
        if appending.replaced.is_some() && !appending.done.is_empty() {
            return Err(Answer::bad("REPLACE takes one message"));
        }
        if appending.done.len() >= MOST_MESSAGES_A_REQUEST {
            let text = format!("At most {MOST_MESSAGES_A_REQUEST} messages can be appended at once");
            return Err(Answer::no("LIMIT", text));
        }
        let limit = self.config.message_limit;
        if appending.done.len() >= limit as usize {
            return Err(message_limit::refusal(limit));
        }
        let (writer, scanner) = (self.store.body_writer(), Scanner::new());
        let incoming = Incoming { writer, scanner, flags, received, catenated, form, size: 0, parts: 0 };
        appending.current = Some(Box::new(incoming));
        appending.grow(size, self.config.append_limit)
    }

    fn append_finish(&mut self, mut appending: Appending) -> Action {
        let mut messages = std::mem::take(&mut appending.done);
        let (account, mailbox, replaced) = (appending.account, appending.mailbox, appending.replaced);
        appending.mark = self.mark(mailbox);
        self.running = Running::Append(appending);
        let target = (account, mailbox);
        let within = replaced.filter(|replaced| replaced.account == account);
        Action::Ask(match (within, messages.pop()) {
            (Some(Replaced { mailbox: from, entry: replaced, .. }), Some(message)) => {
                let message = Box::new(message);
                let replace = Request::Replace { account, from, replaced, to: mailbox, message };
                let replace = self.permitted((account, from), Rights::MOVING, replace);
                self.permitted(target, Rights::INSERT, replace)
            }
            (_, last) => {
                messages.extend(last);
                self.permitted(target, Rights::INSERT, Request::Append { account, mailbox, messages })
            }
        })
    }

    pub(super) fn append_answered(
        &mut self,
        mut appending: Appending,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        match appending.source.take() {
            Some(Source::Looking(looking)) => {
                return self.append_looked(appending, &looking.0, &looking.1, answer, out);
            }
            Some(Source::Opening(url)) => return self.append_opened(appending, url, answer, out),
            Some(Source::Copying(..)) | None => {}
        }
        let Appending { tag, mailbox, mark, replaced, .. } = appending;
        let answer = match answer {
            Ok(Reply::Replaced { validity, uid, source }) => {
                self.pass_over(mailbox, mark, uid.into_iter());
                return self.replace_answered(&tag, (validity, uid), &source, out);
            }
            Ok(Reply::Appended { validity, uids, view }) => {
                if let Some(selected) = &mut self.selected {
                    selected.offer(&view);
                }
                self.pass_over(mailbox, mark, uids.iter().copied());
                if let Some(replaced) = replaced {
                    return self.replace_across(tag, replaced, (validity, uids.first().copied()));
                }
                match put::set_text(uids.iter().map(|uid| uid.0)) {
                    uids if uids.is_empty() => Answer::ok("Appended, and gone again"),
                    uids => Answer::ok("Appended").code(format!("APPENDUID {validity} {uids}")),
                }
            }
            Ok(_) => Answer::misfit(),
            Err(error) => Answer::refused_target(&error),
        };
        self.finish(&tag, Telling::Everything, answer, out)
    }
}

impl Appending {
    pub(super) fn tag(&self) -> &Tag {
        &self.tag
    }

    /// So many octets more are announced of the message.
    pub(super) fn grow(&mut self, octets: u64, limit: u64) -> Result<(), Answer> {
        let Some(incoming) = &mut self.current else { return Ok(()) };
        incoming.size = incoming.size.saturating_add(octets);
        incoming.parts += 1;
        if incoming.size > limit {
            return Err(Answer::no("TOOBIG", format!("A message may have at most {limit} octets here")));
        }
        if incoming.parts > MOST_PARTS {
            return Err(Answer::no("LIMIT", format!("At most {MOST_PARTS} parts can be put together")));
        }
        Ok(())
    }

    /// A part comes as a literal.
    fn text(&mut self, size: u64, form: AppendForm, limit: u64) -> Result<(), Answer> {
        if let Some(incoming) = &mut self.current {
            incoming.form = form;
        }
        self.grow(size, limit)
    }

    /// A literal is complete, which is a message or a part of one.
    fn literal_end(&mut self) -> Result<(), Answer> {
        match &self.current {
            Some(incoming) if incoming.catenated => Ok(()),
            _ => self.end(),
        }
    }

    /// A message that was put together is complete.
    fn close(&mut self) -> Result<(), Answer> {
        match &self.current {
            Some(incoming) if incoming.size == 0 => Err(empty()),
            _ => self.end(),
        }
    }

    pub(super) fn take(&mut self, octets: &[u8]) -> Result<(), Answer> {
        let Some(incoming) = &mut self.current else { return Ok(()) };
        if octets.contains(&0) {
            return Err(incoming.nul_refusal());
        }
        incoming.scanner.push(octets);
        incoming.writer.write(octets).map_err(not_kept)
    }

    fn end(&mut self) -> Result<(), Answer> {
        let Some(incoming) = self.current.take() else { return Ok(()) };
        let Incoming { writer, scanner, flags, received, .. } = *incoming;
        let body: StagedBody = writer.finish().map_err(not_kept)?;
        let structure = Arc::new(scanner.finish());
        self.done.push(NewMessage { body, structure, flags, received });
        Ok(())
    }
}

impl Incoming {
    /// The answer to a NUL octet. A literal has none (RFC 9051 section 9: `CHAR8`). In a literal8 it may stand, but a message
    /// with one is not stored: no BODY[] could tell its octets as they are, and to encode the part anew would change what its
    /// sender may have signed, and the size and hash by which the nodes know the message. RFC 3516 section 4.4 has an answer
    /// for that.
    fn nul_refusal(&self) -> Answer {
        let text = "A message may not contain NUL octets";
        match self.form {
            AppendForm::Literal | AppendForm::Catenate => Answer::bad(text),
            AppendForm::Literal8 | AppendForm::Utf8 => Answer::no("UNKNOWN-CTE", text),
        }
    }
}

fn empty() -> Answer {
    Answer::no("CANNOT", "A message without a single octet is not stored")
}

fn not_kept(error: impl std::fmt::Display) -> Answer {
    Answer::no("UNAVAILABLE", format!("The message could not be kept: {error}"))
}
