//! APPEND (RFC 9051 section 6.3.12), also of several messages (RFC 3502): the octets go to the body store and through the
//! scanner as they arrive.

use std::sync::Arc;

use mailstore::crdt::flag::Flag;
use mailstore::crdt::identity::{AccountId, MailboxId};
use mailstore::crdt::view::ReceivedAt;
use mailstore::request::{MOST_MESSAGES_A_REQUEST, NewMessage, Reply, Request, RequestError};
use mailstore::{BodyWriter, StagedBody};
use message::Scanner;

use super::answer::Answer;
use super::put;
use super::{Action, Running, Session, Telling};
use crate::command::{AppendEvent, AppendForm, AppendMessage, Tag};

/// An APPEND of which some octets may have come.
pub(super) struct Appending {
    tag: Tag,
    account: AccountId,
    mailbox: MailboxId,
    done: Vec<NewMessage>,
    current: Option<Box<Incoming>>,
}

/// A message of which some octets may have come.
struct Incoming {
    writer: BodyWriter,
    scanner: Scanner,
    flags: Vec<Flag>,
    received: Option<ReceivedAt>,
    form: AppendForm,
}

impl Session {
    pub(super) fn append(&mut self, event: AppendEvent<'_>, out: &mut Vec<u8>) -> Action {
        if let AppendEvent::Start { tag, mailbox, message } = event {
            return self.append_start(tag, &mailbox, message, out);
        }
        let mut appending = match std::mem::take(&mut self.running) {
            Running::Append(appending) => appending,
            other => {
                self.running = other;
                return self.waiting();
            }
        };
        let refusal = match event {
            AppendEvent::Start { .. } => None,
            AppendEvent::Next(message) => self.append_message(&mut appending, message).err(),
            AppendEvent::Data(octets) => appending.take(octets).err(),
            AppendEvent::End => appending.end().err(),
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

    fn append_start(&mut self, tag: Tag, mailbox: &str, message: AppendMessage, out: &mut Vec<u8>) -> Action {
        let Some(view) = self.mailboxes() else {
            return self.fail(&tag, Answer::bad("Log in first").code("CLIENTBUG"), out);
        };
        let Some(entry) = view.find(mailbox) else {
            let text = "There is no such mailbox; create it first";
            return self.fail(&tag, Answer::no("TRYCREATE", text), out);
        };
        let (account, mailbox) = (view.account, entry.mailbox);
        let mut appending = Appending { tag, account, mailbox, done: Vec::new(), current: None };
        match self.append_message(&mut appending, message) {
            Err(refusal) => self.fail(&appending.tag, refusal, out),
            Ok(()) => {
                self.running = Running::Append(appending);
                Action::AcceptLiteral
            }
        }
    }

    fn append_message(&self, appending: &mut Appending, message: AppendMessage) -> Result<(), Answer> {
        if message.size > self.config.append_limit {
            let text = format!("A message may have at most {} octets here", self.config.append_limit);
            return Err(Answer::no("TOOBIG", text));
        }
        if message.size == 0 {
            return Err(Answer::no("CANNOT", "A message without a single octet is not stored"));
        }
        if appending.done.len() >= MOST_MESSAGES_A_REQUEST {
            let text = format!("At most {MOST_MESSAGES_A_REQUEST} messages can be appended at once");
            return Err(Answer::no("LIMIT", text));
        }
        let (writer, scanner) = (self.store.body_writer(), Scanner::new());
        let AppendMessage { flags, received, size: _, form } = message;
        appending.current = Some(Box::new(Incoming { writer, scanner, flags, received, form }));
        Ok(())
    }

    fn append_finish(&mut self, mut appending: Appending) -> Action {
        let messages = std::mem::take(&mut appending.done);
        let (account, mailbox) = (appending.account, appending.mailbox);
        self.running = Running::Append(appending);
        Action::Ask(Request::Append { account, mailbox, messages })
    }

    pub(super) fn append_answered(
        &mut self,
        appending: &Appending,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let answer = match answer {
            Ok(Reply::Appended { validity, uids, view }) => {
                if let Some(selected) = &mut self.selected {
                    selected.offer(&view);
                }
                match put::set_text(uids.iter().map(|uid| uid.0)) {
                    uids if uids.is_empty() => Answer::ok("Appended, and gone again"),
                    uids => Answer::ok("Appended").code(format!("APPENDUID {validity} {uids}")),
                }
            }
            Ok(_) => Answer::misfit(),
            Err(error) => Answer::refused_target(&error),
        };
        self.finish(&appending.tag, Telling::Everything, answer, out)
    }
}

impl Appending {
    fn take(&mut self, octets: &[u8]) -> Result<(), Answer> {
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
            AppendForm::Literal => Answer::bad(text),
            AppendForm::Literal8 => Answer::no("UNKNOWN-CTE", text),
        }
    }
}

fn not_kept(error: impl std::fmt::Display) -> Answer {
    Answer::no("UNAVAILABLE", format!("The message could not be kept: {error}"))
}
