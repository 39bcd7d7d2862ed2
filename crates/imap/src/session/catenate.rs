//! What URLs of CATENATE point at (RFC 4469), copied into the message that is being appended. A part of any size is copied in
//! pieces, so that it is never in memory as a whole and holds nobody up.

use std::ops::Range;

use mailstore::crdt::identity::Uid;
use mailstore::crdt::rights::Rights;
use mailstore::crdt::view::MailboxView;
use mailstore::request::{Reply, Request, RequestError};
use mailstore::{Body, ReadError};

use super::answer::Answer;
use super::append::Appending;
use super::bodies::Bodies;
use super::fetch::{Octets, first_piece, octets, put_octets};
use super::selected::Selected;
use super::{Action, Running, Session};
use crate::command::FetchItem;
use crate::message_url::MessageUrl;

/// How many octets are copied before others get a turn.
const OCTETS_A_PIECE: u64 = 1024 * 1024;

/// A part that an APPEND waits for.
pub(super) enum Source {
    /// The mailbox of the URL is being looked at.
    Looking(Box<(String, MessageUrl)>),
    /// The account is being loaded whose mailbox the URL names.
    Opening(String),
    /// These octets of a message are being copied.
    Copying(Body, Range<u64>),
}

impl Session {
    /// Goes on with what a URL points at.
    pub(super) fn append_url(&mut self, mut appending: Appending, text: String, out: &mut Vec<u8>) -> Action {
        let Some(url) = MessageUrl::parse(&text) else {
            return self.fail(
                appending.tag(),
                bad_url(&text, "No message of this server has such a URL"),
                out,
            );
        };
        if let Some(account) = url.mailbox.as_ref().and_then(|name| self.unopened_owner(name)) {
            appending.source = Some(Source::Opening(text));
            self.running = Running::Append(appending);
            return Action::Ask(Request::OpenAccount { account });
        }
        if let Some(selected) = &mut self.selected {
            selected.access.refresh();
        }
        let readable = |selected: &&Selected| selected.access.rights().contain(Rights::READ);
        let selected = self.selected.as_ref().filter(readable);
        let meant = match &url.mailbox {
            Some(name) => self.permit(name, Rights::READ).map(|found| (found.account, found.mailbox())).ok(),
            None => selected.map(|selected| (selected.access.account, selected.mailbox)),
        };
        let Some((account, mailbox)) = meant else {
            return self.fail(appending.tag(), bad_url(&text, "There is no such mailbox"), out);
        };
        if let Some(selected) = selected.filter(|selected| selected.mailbox == mailbox) {
            let view = selected.told().clone();
            return self.append_from(appending, &text, &url, &view, out);
        }
        appending.source = Some(Source::Looking(Box::new((text, url))));
        self.running = Running::Append(appending);
        let look = Request::Look { account, mailbox, lasting: false };
        Action::Ask(self.permitted((account, mailbox), Rights::READ, look))
    }

    /// The account of a URL was loaded.
    pub(super) fn append_opened(
        &mut self,
        appending: Appending,
        url: String,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        match answer {
            Ok(_) => self.append_url(appending, url, out),
            Err(error) => self.fail(appending.tag(), Answer::refused(&error), out),
        }
    }

    /// The mailbox of a URL was looked at.
    pub(super) fn append_looked(
        &mut self,
        appending: Appending,
        text: &str,
        url: &MessageUrl,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        match answer {
            Ok(Reply::Looked(look)) => {
                let view = look.view.borrow().clone();
                self.append_from(appending, text, url, &view, out)
            }
            Ok(_) => self.fail(appending.tag(), Answer::misfit(), out),
            Err(RequestError::NoSuchMailbox(_) | RequestError::NotPermitted) => {
                self.fail(appending.tag(), bad_url(text, "There is no such mailbox"), out)
            }
            Err(error) => self.fail(appending.tag(), Answer::refused(&error), out),
        }
    }

    /// Begins to copy what the URL points at in this mailbox.
    fn append_from(
        &mut self,
        mut appending: Appending,
        text: &str,
        url: &MessageUrl,
        view: &MailboxView,
        out: &mut Vec<u8>,
    ) -> Action {
        let begun = self.source(text, url, view).and_then(|(octets, body)| {
            match octets {
                Octets::None => return Err(bad_url(text, "The message has no such part")),
                Octets::Known(octets) => {
                    appending.grow(octets.len() as u64, self.config.append_limit)?;
                    appending.take_stored(&octets)?;
                }
                Octets::Range(range) => {
                    appending.grow(range.end.saturating_sub(range.start), self.config.append_limit)?;
                    appending.source = Some(Source::Copying(body, range));
                }
            }
            Ok(())
        });
        match begun {
            Ok(()) => self.produce_append(appending, out),
            Err(refusal) => self.fail(appending.tag(), refusal, out),
        }
    }

    /// The octets that a URL means, as FETCH would tell them; a range is one of the body.
    fn source(&self, text: &str, url: &MessageUrl, view: &MailboxView) -> Result<(Octets, Body), Answer> {
        if url.validity.is_some_and(|validity| view.validity.map(|known| known.0) != Some(validity)) {
            return Err(bad_url(text, "The mailbox has another UIDVALIDITY"));
        }
        let Some(row) = view.rows.find(Uid(url.uid)) else {
            return Err(bad_url(text, "There is no such message"));
        };
        let item = FetchItem::Section { section: url.section.clone(), partial: url.partial, peek: true };
        let mut bodies = Bodies::new(&self.store);
        let hash = &row.facts.body;
        let read = bodies.structure(hash).and_then(|structure| {
            let body = bodies.body(hash)?;
            Ok((octets(&item, Some(&structure), &body)?, body))
        });
        read.map_err(unreadable)
    }

    /// Copies some more of what a URL points at; then the client may go on.
    pub(super) fn produce_append(&mut self, mut appending: Appending, out: &mut Vec<u8>) -> Action {
        match appending.copy() {
            Err(refusal) => self.fail(appending.tag(), refusal, out),
            Ok(complete) => {
                self.running = Running::Append(appending);
                if complete { Action::AcceptLiteral } else { Action::Continue }
            }
        }
    }
}

impl Appending {
    /// Copies a piece; whether that was all.
    fn copy(&mut self) -> Result<bool, Answer> {
        let Some(Source::Copying(body, mut rest)) = self.source.take() else { return Ok(true) };
        let end = rest.end.min(rest.start.saturating_add(OCTETS_A_PIECE));
        while rest.start < end {
            let piece = first_piece(&(rest.start..end));
            rest.start = piece.end;
            self.take_stored(&body.read(piece).map_err(unreadable)?)?;
        }
        let complete = rest.is_empty();
        if !complete {
            self.source = Some(Source::Copying(body, rest));
        }
        Ok(complete)
    }

    /// Takes octets of a message as FETCH would tell them.
    fn take_stored(&mut self, octets: &[u8]) -> Result<(), Answer> {
        let mut told = Vec::with_capacity(octets.len());
        put_octets(octets, &mut told);
        self.take(&told)
    }
}

fn unreadable(error: ReadError) -> Answer {
    tracing::error!(%error, "a message could not be read");
    Answer::no("SERVERBUG", format!("A part could not be read: {error}"))
}

/// RFC 4469 section 4.1: the URL that could not be processed, as the client wrote it, so far as a response code can hold it.
fn bad_url(url: &str, why: &str) -> Answer {
    let mut shown = String::with_capacity(url.len());
    for octet in url.bytes() {
        match octet {
            b' '..=b'~' if octet != b']' => shown.push(char::from(octet)),
            octet => shown.push_str(&format!("%{octet:02X}")),
        }
    }
    Answer::no(format!("BADURL {shown}"), why)
}
