//! SELECT, EXAMINE, CLOSE, UNSELECT, and when CONDSTORE begins to count.

use mailstore::crdt::flag::Flag;
use mailstore::crdt::rights::Rights;
use mailstore::crdt::view::MailboxView;
use mailstore::request::{Look, Reply, Request, RequestError, modseq};

use super::access::Access;
use super::answer::Answer;
use super::expunge::Expunging;
use super::numbers::sequence;
use super::put::{self, put};
use super::selected::{Selected, entries};
use super::{Action, Running, Session, Telling, uid_only};
use crate::command::{Resync, Tag};

/// A SELECT or EXAMINE whose mailbox is being looked at.
pub(super) struct Selecting {
    tag: Tag,
    /// The name as the client spelled it.
    name: String,
    opening: Opening,
    access: Box<Access>,
}

/// How a mailbox is selected.
pub(super) struct Opening {
    pub(super) read_only: bool,
    /// Whether the CONDSTORE parameter was given.
    pub(super) condstore: bool,
    /// What the client knows of the mailbox.
    pub(super) resync: Option<Resync>,
}

impl Session {
    pub(super) fn select(&mut self, tag: Tag, mailbox: &str, opening: Opening, out: &mut Vec<u8>) -> Action {
        if opening.resync.is_some() && !self.qresync {
            return self.fail(&tag, Answer::bad("QRESYNC has to be enabled first").code("CLIENTBUG"), out);
        }
        if self.uid_only && opening.resync.as_ref().is_some_and(|resync| !resync.matches.is_empty()) {
            return self.fail(&tag, uid_only::refusal(), out);
        }
        // RFC 9051 section 6.3.2: whatever comes of it, the mailbox before is no longer selected.
        if self.selected.take().is_some() {
            Answer::ok("The mailbox before is closed").code("CLOSED").write_untagged(out);
        }
        self.condstore |= opening.condstore;
        let Some(grantee) = self.grantee() else { return self.waiting() };
        let found = match self.permit(mailbox, Rights::READ) {
            Ok(found) => found,
            Err(refusal) => return self.fail(&tag, refusal, out),
        };
        let (account, id) = (found.account, found.mailbox());
        let (name, access) = (mailbox.to_owned(), Box::new(Access::new(found, grantee)));
        self.running = Running::Select(Selecting { tag, name, opening, access });
        let look = Request::Look { account, mailbox: id, lasting: true };
        Action::Ask(self.permitted((account, id), Rights::READ, look))
    }

    pub(super) fn select_answered(
        &mut self,
        selecting: Selecting,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let Selecting { tag, name, opening, access } = selecting;
        match answer {
            Ok(Reply::Looked(look)) => self.selected_now((tag, &name), look, *access, &opening, out),
            Ok(_) => self.fail(&tag, Answer::misfit(), out),
            Err(error) => self.fail(&tag, Answer::refused(&error), out),
        }
    }

    fn selected_now(
        &mut self,
        (tag, name): (Tag, &str),
        look: Look,
        access: Access,
        opening: &Opening,
        out: &mut Vec<u8>,
    ) -> Action {
        let mut selected = Selected::new(look, access, opening.read_only, self.uid_only);
        let view = selected.told();
        let Some(validity) = view.validity else {
            let text = "The mailbox has no UIDVALIDITY yet; try again in a moment";
            return self.fail(&tag, Answer::no("UNAVAILABLE", text), out);
        };
        selected.write_flags(out);
        put!(out, "* {} EXISTS\r\n", view.rows.len());
        if self.enabled.rev2 {
            self.write_selected_name(name, out);
        } else {
            self.write_rev1_counts(view, out);
        }
        put!(out, "* OK [UIDVALIDITY {validity}] UIDs hold for this value\r\n");
        put!(out, "* OK [UIDNEXT {}] The next UID at least\r\n", view.uid_next);
        put!(out, "* OK [HIGHESTMODSEQ {}] The newest change\r\n", modseq(view.highest_modseq));
        put!(out, "* OK [MAILBOXID ({})] Kept over renames\r\n", put::mailbox_id_of(view));
        if self.enabled.rev2 {
            selected.tell_uids();
        }
        selected.hears = self.hears();
        let code = if selected.is_read_only() { "READ-ONLY" } else { "READ-WRITE" };
        self.selected = Some(selected);
        let answer = Answer::ok("Selected").code(code);
        match &opening.resync {
            // RFC 7162 section 3.2.5: of another UIDVALIDITY the client knows nothing.
            Some(resync) if resync.validity == validity => self.resynchronize(tag, resync, answer, out),
            _ => self.finish(&tag, Telling::Nothing, answer, out),
        }
    }

    /// RFC 9051 section 6.3.2: SELECT tells a LIST of its mailbox, with OLDNAME where the client spelled it in another way.
    fn write_selected_name(&self, given: &str, out: &mut Vec<u8>) {
        let name = self.canonical(given);
        let before = (name != given).then_some(given);
        self.write_named(&name, before, out);
    }

    /// RECENT and UNSEEN, which IMAP4rev2 has no more (RFC 9051 appendix E); UIDONLY has no UNSEEN, a sequence number.
    fn write_rev1_counts(&self, view: &MailboxView, out: &mut Vec<u8>) {
        put!(out, "* 0 RECENT\r\n");
        let unseen = view.rows.iter().position(|row| !row.flags.contains(&Flag::Seen));
        if let (Some(place), false) = (unseen, self.uid_only) {
            put!(out, "* OK [UNSEEN {}] The first without \\Seen\r\n", sequence(place));
        }
    }

    /// CLOSE expunges without telling (RFC 9051 section 6.4.1).
    pub(super) fn close(&mut self, tag: Tag, out: &mut Vec<u8>) -> Action {
        let Some(mut selected) = self.selected.take() else { return self.waiting() };
        selected.refresh();
        let deleted = |row: &&_| selected.current_newest(row).flags.contains(&Flag::Deleted);
        let candidates = entries(selected.told().rows.iter().filter(deleted));
        // RFC 4314 section 4: without the right to expunge it is closed all the same.
        if selected.usable(Rights::EXPUNGE).is_empty() || candidates.is_empty() || selected.ended().is_some()
        {
            return self.done(&tag, "Closed", out);
        }
        self.running = Running::Expunge(Expunging { tag, closing: true, cut: None });
        let (account, mailbox) = (selected.access.account, selected.mailbox);
        let expunge = Request::Expunge { account, mailbox, entries: candidates };
        Action::Ask(self.permitted((account, mailbox), Rights::EXPUNGE, expunge))
    }

    pub(super) fn unselect(&mut self, tag: &Tag, out: &mut Vec<u8>) -> Action {
        self.selected = None;
        self.done(tag, "No mailbox is selected now", out)
    }

    /// Takes note that the client knows CONDSTORE, and tells where it stands (RFC 7162 section 3.1).
    pub(super) fn enable_condstore(&mut self, out: &mut Vec<u8>) {
        if self.condstore {
            return;
        }
        self.condstore = true;
        if let Some(selected) = &self.selected {
            Answer::highest_modseq(modseq(selected.told().highest_modseq)).write_untagged(out);
        }
    }
}
