//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 sections 6.3.4 to 6.3.8).

use mailstore::account::{HIERARCHY_SEPARATOR, canonical_name};
use mailstore::crdt::identity::{AccountId, MailboxId};
use mailstore::crdt::rights::Rights;
use mailstore::request::{Reply, Request, RequestError};

use super::access::nonexistent;
use super::answer::Answer;
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
        let name = self.canonical(given);
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
        let superior = match self.may_create(given) {
            Ok(superior) => superior,
            Err(refusal) => return self.fail(&tag, refusal, out),
        };
        let Some((account, local)) = self.local_name(given) else { return self.waiting() };
        if special_use.is_some() && Some(account) != self.account() {
            // RFC 6154 section 2: a special use is one for whoever looks.
            let text = "A mailbox of another user has no special use";
            return self.fail(&tag, Answer::no("USEATTR", text), out);
        }
        let listed = Some(Listed::spelled(&name, given)).filter(|listed| listed.before.is_some());
        let names = vec![name];
        let name = canonical_name(local).into_owned();
        let request = Request::CreateMailbox { account, name, special_use };
        let request = match superior {
            Some(superior) => self.permitted((account, superior.mailbox()), Rights::CREATE, request),
            None => request,
        };
        self.change(tag, listed, names, request)
    }

    pub(super) fn delete(&mut self, tag: Tag, mailbox: &str, out: &mut Vec<u8>) -> Action {
        let found = match self.permit(mailbox, Rights::DELETE_MAILBOX) {
            Ok(found) => found,
            Err(refusal) => return self.fail(&tag, refusal, out),
        };
        let listed = Listed::spelled(&self.canonical(mailbox), mailbox);
        let names = vec![listed.name.clone()];
        let (account, mailbox) = (found.account, found.mailbox());
        let delete = Request::DeleteMailbox { account, mailbox };
        let request = self.permitted((account, mailbox), Rights::DELETE_MAILBOX, delete);
        let action = self.change(tag, Some(listed), names, request);
        if let Running::Mailbox(changing) = &mut self.running {
            changing.deleted = Some(mailbox);
        }
        action
    }

    pub(super) fn rename(&mut self, tag: Tag, from: &str, to: &str, out: &mut Vec<u8>) -> Action {
        if to.is_empty() || to.ends_with(HIERARCHY_SEPARATOR) {
            return self.fail(&tag, Answer::no("CANNOT", "The new name has an empty part"), out);
        }
        if let Some(refusal) = line_refusal(to) {
            return self.fail(&tag, refusal, out);
        }
        // INBOX gives away its messages and keeps its name (RFC 9051 section 6.3.6).
        let (name, before) = (self.canonical(to), self.canonical(from));
        let keeps_name = self.local_name(&before).is_some_and(|(_, local)| local == "INBOX");
        let listed = (!keeps_name).then(|| Listed::spelled(&name, &before));
        match self.rename_request(from, to) {
            Ok(request) => self.change(tag, listed, vec![before, name], request),
            Err(refusal) => self.fail(&tag, refusal, out),
        }
    }

    /// RFC 4314 section 4: it takes `x` for what is renamed, and so for all that is below, and `k` for what is above the new name.
    fn rename_request(&self, from: &str, to: &str) -> Result<Request, Answer> {
        // A name of nothing may have inferiors: the store says what becomes of it.
        let (account, local) = self.local_name(from).ok_or_else(nonexistent)?;
        let found = match self.find(from) {
            None if Some(account) == self.account() => None,
            _ => Some(self.permit(from, Rights::DELETE_MAILBOX)?),
        };
        let superior = self.may_create(to)?;
        let (target, to) = self.local_name(to).ok_or_else(nonexistent)?;
        if target != account {
            let text =
                "A mailbox cannot be renamed into another account; create one there and move the messages";
            return Err(Answer::no("CANNOT", text));
        }
        let (from, to) = (canonical_name(local).into_owned(), canonical_name(to).into_owned());
        self.check_inferiors(account, &from)?;
        let request = Request::RenameMailbox { account, from, to };
        let request = match superior {
            Some(superior) => self.permitted((account, superior.mailbox()), Rights::CREATE, request),
            None => request,
        };
        match found {
            Some(found) => Ok(self.permitted((account, found.mailbox()), Rights::DELETE_MAILBOX, request)),
            None => Ok(request),
        }
    }

    fn check_inferiors(&self, account: AccountId, name: &str) -> Result<(), Answer> {
        let view = self.store.account_view(&account).map(|view| view.borrow().clone());
        let (Some(view), Some(grantee)) = (view, self.grantee()) else { return Ok(()) };
        let below = format!("{name}{HIERARCHY_SEPARATOR}");
        let mut inferiors =
            view.mailboxes.range(below.clone()..).take_while(|(name, _)| name.starts_with(&below));
        match inferiors.all(|(_, entry)| entry.access.rights(grantee).contain(Rights::DELETE_MAILBOX)) {
            true => Ok(()),
            false => Err(Answer::no("NOPERM", "You may not rename what is below the mailbox")),
        }
    }

    pub(super) fn subscribe(&mut self, tag: Tag, mailbox: &str, subscribed: bool) -> Action {
        let Some(account) = self.account() else { return self.waiting() };
        let name = self.canonical(mailbox);
        self.change(tag, None, vec![name.clone()], Request::Subscribe { account, name, subscribed })
    }

    fn change(&mut self, tag: Tag, listed: Option<Listed>, names: Vec<String>, request: Request) -> Action {
        self.running = Running::Mailbox(Changing { tag, deleted: None, listed, names });
        Action::Ask(request)
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
        if let (true, Some(Listed { name, before })) = (self.enabled.rev2, listed) {
            self.write_named(name, before.as_deref(), out);
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
