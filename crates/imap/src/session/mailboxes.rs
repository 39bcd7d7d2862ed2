//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 sections 6.3.4 to 6.3.8).

use mailstore::account::{HIERARCHY_SEPARATOR, canonical_name};
use mailstore::crdt::identity::MailboxId;
use mailstore::request::{Reply, Request, RequestError};

use super::answer::Answer;
use super::list::write_unasked;
use super::{Action, Running, Session, Telling, put};
use crate::command::Tag;

/// The special uses of RFC 6154 that a mailbox can be made for; \All and \Flagged would be views of other mailboxes.
const SPECIAL_USES: [&str; 5] = ["\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"];

/// A change of the mailboxes under way.
pub(super) struct Changing {
    tag: Tag,
    /// The mailbox that shall be gone.
    deleted: Option<MailboxId>,
    /// Of which name a client with IMAP4rev2 is told a LIST.
    listed: Option<Listed>,
    /// The names that change, with all below them.
    names: Vec<String>,
}

/// A name that a client with IMAP4rev2 is told a LIST of (RFC 9051 section 6.3.9.7).
struct Listed {
    name: String,
    /// The name that it replaces: OLDNAME.
    before: Option<String>,
}

impl Listed {
    /// The name, with the client's own spelling where that is another.
    fn spelled(name: &str, given: &str) -> Self {
        Listed { name: name.to_owned(), before: (name != given).then(|| given.to_owned()) }
    }
}

impl Session {
    pub(super) fn create(
        &mut self,
        tag: Tag,
        mailbox: &str,
        special_uses: Vec<String>,
        out: &mut Vec<u8>,
    ) -> Action {
        // RFC 9051 section 6.3.4: a separator at the end announces inferiors, which every mailbox may have.
        let given = mailbox.strip_suffix(HIERARCHY_SEPARATOR).unwrap_or(mailbox);
        let name = canonical_name(given).into_owned();
        if let Some(refusal) = line_refusal(&name) {
            return self.fail(&tag, refusal, out);
        }
        let mut uses = special_uses.iter().map(|wish| {
            SPECIAL_USES
                .iter()
                .find(|known| known.eq_ignore_ascii_case(wish))
                .map(|known| (*known).to_owned())
        });
        let special_use = match (uses.next(), uses.next()) {
            (None, _) => None,
            (Some(Some(known)), None) => Some(known),
            _ => {
                let text = format!("A mailbox has one special use of {}", SPECIAL_USES.join(" "));
                return self.fail(&tag, Answer::no("USEATTR", text), out);
            }
        };
        let listed = Some(Listed::spelled(&name, given)).filter(|listed| listed.before.is_some());
        self.change(tag, listed, vec![name.clone()], |account| Request::CreateMailbox {
            account,
            name,
            special_use,
        })
    }

    pub(super) fn delete(&mut self, tag: Tag, mailbox: &str, out: &mut Vec<u8>) -> Action {
        let found = self.mailboxes().and_then(|view| view.find(mailbox).map(|entry| entry.mailbox));
        let listed = Listed::spelled(&canonical_name(mailbox), mailbox);
        let Some(mailbox) = found else {
            return self.fail(&tag, Answer::no("NONEXISTENT", "There is no such mailbox"), out);
        };
        let names = vec![listed.name.clone()];
        let action =
            self.change(tag, Some(listed), names, |account| Request::DeleteMailbox { account, mailbox });
        if let Running::Mailbox(changing) = &mut self.running {
            changing.deleted = Some(mailbox);
        }
        action
    }

    pub(super) fn rename(&mut self, tag: Tag, from: &str, to: &str, out: &mut Vec<u8>) -> Action {
        let (from, to) = (canonical_name(from).into_owned(), canonical_name(to).into_owned());
        if to.is_empty() || to.ends_with(HIERARCHY_SEPARATOR) {
            return self.fail(&tag, Answer::no("CANNOT", "The new name has an empty part"), out);
        }
        if let Some(refusal) = line_refusal(&to) {
            return self.fail(&tag, refusal, out);
        }
        // INBOX gives away its messages and keeps its name (RFC 9051 section 6.3.6).
        let listed = (from != "INBOX").then(|| Listed::spelled(&to, &from));
        self.change(tag, listed, vec![from.clone(), to.clone()], |account| Request::RenameMailbox {
            account,
            from,
            to,
        })
    }

    pub(super) fn subscribe(&mut self, tag: Tag, mailbox: &str, subscribed: bool) -> Action {
        let name = canonical_name(mailbox).into_owned();
        self.change(tag, None, vec![name.clone()], |account| Request::Subscribe { account, name, subscribed })
    }

    fn change(
        &mut self,
        tag: Tag,
        listed: Option<Listed>,
        names: Vec<String>,
        request: impl FnOnce(mailstore::crdt::identity::AccountId) -> Request,
    ) -> Action {
        let Some(account) = self.account() else { return self.waiting() };
        self.running = Running::Mailbox(Changing { tag, deleted: None, listed, names });
        Action::Ask(request(account))
    }

    pub(super) fn mailbox_answered(
        &mut self,
        changing: Changing,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        if answer.is_ok() {
            self.write_listed(changing.listed.as_ref(), out);
            self.pass_over_names(&changing.names);
        }
        let answer = match answer {
            Ok(Reply::Created(mailbox)) => {
                Answer::ok("Created").code(format!("MAILBOXID ({})", put::mailbox_id(mailbox)))
            }
            Ok(_) => {
                self.forget_deleted(changing.deleted, out);
                Answer::ok("Completed")
            }
            Err(error) => Answer::refused(&error),
        };
        self.finish(&changing.tag, Telling::Everything, answer, out)
    }

    fn write_listed(&self, listed: Option<&Listed>, out: &mut Vec<u8>) {
        if let (true, Some(Listed { name, before }), Some(view)) =
            (self.enabled.rev2, listed, self.mailboxes())
        {
            write_unasked(&view, name, before.as_deref(), false, self.name_encoding(), out);
        }
    }

    /// A client that deletes the mailbox it has selected knows that it is gone: no BYE for it.
    fn forget_deleted(&mut self, deleted: Option<MailboxId>, out: &mut Vec<u8>) {
        if deleted.is_some() && self.selected.as_ref().map(|selected| selected.mailbox) == deleted {
            self.selected = None;
            Answer::ok("The selected mailbox is gone").code("CLOSED").write_untagged(out);
        }
    }
}

/// The NO for a name with a separator of lines or paragraphs (RFC 6855 section 3, RFC 9051 section 5.1). Control characters the
/// store refuses.
fn line_refusal(name: &str) -> Option<Answer> {
    let text = "The name of a mailbox may not have a separator of lines or paragraphs";
    name.contains(['\u{2028}', '\u{2029}']).then(|| Answer::no("CANNOT", text))
}
