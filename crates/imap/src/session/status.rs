//! STATUS (RFC 9051 section 6.3.11).

use mailstore::crdt::flag::Flag;
use mailstore::crdt::rights::Rights;
use mailstore::crdt::view::MailboxView;
use mailstore::request::{Reply, Request, RequestError, modseq};

use super::answer::Answer;
use super::config::SessionConfig;
use super::put::{self, put};
use super::quota::STORAGE_UNIT;
use super::{Action, Running, Session};
use crate::command::{StatusItem, Tag};
use crate::encode;
use crate::mailbox_name::NameEncoding;

/// A STATUS whose mailbox is being looked at.
pub(super) struct Asking {
    tag: Tag,
    name: String,
    items: Vec<StatusItem>,
}

impl Session {
    pub(super) fn status(
        &mut self,
        tag: Tag,
        mailbox: &str,
        items: Vec<StatusItem>,
        out: &mut Vec<u8>,
    ) -> Action {
        if items.contains(&StatusItem::HighestModseq) {
            self.enable_condstore(out);
        }
        let found = match self.permit(mailbox, Rights::READ) {
            Ok(found) => found,
            Err(refusal) => return self.fail(&tag, refusal, out),
        };
        let (account, mailbox, name) = (found.account, found.mailbox(), self.canonical(mailbox));
        self.running = Running::Status(Asking { tag, name, items });
        let look = Request::Look { account, mailbox, lasting: false };
        Action::Ask(self.permitted((account, mailbox), Rights::READ, look))
    }

    pub(super) fn status_answered(
        &mut self,
        asking: &Asking,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        match answer {
            Ok(Reply::Looked(look)) => {
                let view = look.view.borrow().clone();
                write_status(&asking.name, &view, &asking.items, &self.config, self.name_encoding(), out);
                self.done(&asking.tag, "Completed", out)
            }
            Ok(_) => self.fail(&asking.tag, Answer::misfit(), out),
            Err(error) => self.fail(&asking.tag, Answer::refused(&error), out),
        }
    }
}

/// Appends `* STATUS name (...)`.
pub(super) fn write_status(
    name: &str,
    view: &MailboxView,
    items: &[StatusItem],
    config: &SessionConfig,
    spelling: NameEncoding,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"* STATUS ");
    encode::mailbox(name, spelling, out);
    out.extend_from_slice(b" (");
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(b' ');
        }
        put!(out, "{} ", item.as_str());
        match item {
            StatusItem::MailboxId => put!(out, "({})", put::mailbox_id_of(view)),
            item => put::number(count(*item, view, config), out),
        }
    }
    out.extend_from_slice(b")\r\n");
}

fn count(item: StatusItem, view: &MailboxView, config: &SessionConfig) -> u64 {
    let with = |flag: Flag| view.rows.iter().filter(|row| row.flags.contains(&flag)).count();
    match item {
        StatusItem::Messages => view.rows.len() as u64,
        StatusItem::Recent | StatusItem::MailboxId => 0,
        StatusItem::UidNext => view.uid_next.0.into(),
        // A look founds an epoch where there was none.
        StatusItem::UidValidity => view.validity.map_or(1, |validity| validity.0).into(),
        StatusItem::Unseen => (view.rows.len() - with(Flag::Seen)) as u64,
        StatusItem::Deleted => with(Flag::Deleted) as u64,
        StatusItem::DeletedStorage => {
            let deleted = view.rows.iter().filter(|row| row.flags.contains(&Flag::Deleted));
            deleted.map(|row| row.facts.size).sum::<u64>().div_ceil(STORAGE_UNIT)
        }
        StatusItem::Size => view.rows.iter().map(|row| row.facts.size).sum(),
        StatusItem::HighestModseq => modseq(view.highest_modseq),
        StatusItem::AppendLimit => config.append_limit,
    }
}
