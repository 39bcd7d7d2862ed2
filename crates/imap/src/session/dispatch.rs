//! Which command is whose: what the client says, and what the store answers, go to the family of commands that knows about it.

use mailstore::account::OTHER_USERS;
use mailstore::crdt::clock::Millis;
use mailstore::crdt::rights::Rights;
use mailstore::request::{Reply, RequestError};

use super::answer::Answer;
use super::{Action, Running, Session, access, fetch, metadata, put, select, store, uid_only};
use crate::command::{Command, CommandBody, Tag};

/// The most lines that are no commands before a login.
const MOST_BAD_COMMANDS: u32 = 10;

impl Session {
    pub(super) fn command(&mut self, now: Millis, command: Command, out: &mut Vec<u8>) -> Action {
        let Command { tag, body } = command;
        match body {
            CommandBody::Capability => self.capability(&tag, out),
            CommandBody::Noop | CommandBody::Check => self.done(&tag, "Completed", out),
            CommandBody::Logout => self.logout(&tag, out),
            CommandBody::Id { parameters } => self.id(&tag, &parameters, out),
            CommandBody::StartTls => self.start_tls(&tag, out),
            CommandBody::Login { name, password } => self.log_in(now, tag, (name, password.0), out),
            CommandBody::Authenticate { mechanism, initial_response } => {
                self.authenticate(now, tag, &mechanism, initial_response, out)
            }
            body if self.login.is_some() => self.command_logged_in(now, tag, body, out),
            _ => self.fail(&tag, Answer::bad("Log in first").code("CLIENTBUG"), out),
        }
    }

    pub(super) fn command_logged_in(
        &mut self,
        now: Millis,
        tag: Tag,
        body: CommandBody,
        out: &mut Vec<u8>,
    ) -> Action {
        if let Some(account) = self.unopened(&body) {
            return self.open_first(account, tag, body);
        }
        match body {
            CommandBody::Unauthenticate => self.unauthenticate(&tag, out),
            CommandBody::Compress { mechanism } => self.compress(&tag, &mechanism, out),
            CommandBody::Enable { capabilities } => self.enable(&tag, &capabilities, out),
            CommandBody::Namespace => {
                put::put!(out, "* NAMESPACE ((\"\" \"/\")) ((\"{OTHER_USERS}\" \"/\")) NIL\r\n");
                self.done(&tag, "Completed", out)
            }
            CommandBody::Select { mailbox, read_only, condstore, resync } => {
                let opening = select::Opening { read_only, condstore, resync };
                self.select(tag, &mailbox, opening, out)
            }
            CommandBody::Create { mailbox, special_uses } => self.create(tag, &mailbox, special_uses, out),
            CommandBody::Delete { mailbox } => self.delete(tag, &mailbox, out),
            CommandBody::Rename { from, to } => self.rename(tag, &from, &to, out),
            CommandBody::GetAcl { mailbox } => self.get_acl(&tag, &mailbox, out),
            CommandBody::SetAcl { mailbox, identifier, change } => {
                self.set_acl(tag, &mailbox, &identifier, change, out)
            }
            CommandBody::DeleteAcl { mailbox, identifier } => {
                self.delete_acl(tag, &mailbox, &identifier, out)
            }
            CommandBody::ListRights { mailbox, identifier } => {
                self.list_rights(&tag, &mailbox, &identifier, out)
            }
            CommandBody::MyRights { mailbox } => self.my_rights(&tag, &mailbox, out),
            CommandBody::Subscribe { mailbox } => self.subscribe(tag, &mailbox, true),
            CommandBody::Unsubscribe { mailbox } => self.subscribe(tag, &mailbox, false),
            CommandBody::List { reference, patterns, selection, returned } => {
                self.list(tag, &reference, &patterns, selection, returned, out)
            }
            CommandBody::Lsub { reference, pattern } => self.lsub(tag, &reference, &pattern, out),
            CommandBody::Status { mailbox, items } => self.status(tag, &mailbox, items, out),
            CommandBody::MultiSearch(asked) => self.multi_search(tag, asked, out),
            CommandBody::GetMetadata { mailbox, names, depth, longest } => {
                let wanted = metadata::Wanted { names, depth, longest };
                self.get_metadata(&tag, &mailbox, &wanted, out)
            }
            CommandBody::SetMetadata { mailbox, changes } => self.set_metadata(tag, &mailbox, changes, out),
            CommandBody::GetQuota { root } => self.quota(tag, &root, out),
            CommandBody::GetQuotaRoot { mailbox } => self.quota_root(tag, &mailbox, out),
            CommandBody::SetQuota => self.set_quota(&tag, out),
            CommandBody::Idle => self.idle(now, tag, out),
            CommandBody::Notify(notify) => self.notify(tag, notify, out),
            body if self.selected.is_some() => self.command_selected(tag, body, out),
            _ => self.fail(&tag, Answer::bad("Select a mailbox first").code("CLIENTBUG"), out),
        }
    }

    fn command_selected(&mut self, tag: Tag, body: CommandBody, out: &mut Vec<u8>) -> Action {
        if let Some(selected) = &mut self.selected {
            selected.refresh();
            if !selected.access.rights().contain(Rights::READ) {
                return self.fail(&tag, access::no_permission(Rights::READ), out);
            }
        }
        if self.uid_only && uid_only::takes_sequence_numbers(&body) {
            return self.fail(&tag, uid_only::refusal(), out);
        }
        match body {
            CommandBody::Close => self.close(tag, out),
            CommandBody::Unselect => self.unselect(&tag, out),
            CommandBody::Expunge { messages } => self.expunge(tag, messages.as_ref(), out),
            CommandBody::UidBatches(asked) => self.uid_batches(tag, asked, out),
            CommandBody::Search(search) => self.search(tag, search, out),
            CommandBody::Sort(sort) => self.sort(tag, sort, out),
            CommandBody::Thread(thread) => self.thread(tag, thread, out),
            CommandBody::Fetch { messages, items, changed_since, vanished, partial } => {
                let changed_since = changed_since.map(|since| self.since(since));
                let wish = fetch::Wish { items, changed_since, vanished, partial };
                self.fetch(tag, &messages, wish, out)
            }
            CommandBody::Store { messages, change, silent, flags, unchanged_since } => {
                let unchanged_since = unchanged_since.map(|since| self.unchanged_since(since));
                let wish = store::Wish { change, flags, silent, unchanged_since };
                self.store(tag, &messages, wish, out)
            }
            CommandBody::Copy { messages, mailbox } => self.copy(tag, &messages, &mailbox, false, out),
            CommandBody::Move { messages, mailbox } => self.copy(tag, &messages, &mailbox, true, out),
            _ => self.fail(&tag, Answer::bad("This command is not known here"), out),
        }
    }

    pub(super) fn answered(&mut self, answer: Result<Reply, RequestError>, out: &mut Vec<u8>) -> Action {
        match std::mem::take(&mut self.running) {
            Running::Select(selecting) => self.select_answered(selecting, answer, out),
            Running::Mailbox(changing) => self.mailbox_answered(changing, answer, out),
            Running::Rights(tag) => self.rights_answered(&tag, answer, out),
            Running::Opening(opening) => self.opened(opening, &answer, out),
            Running::Quota(asking) => self.quota_answered(&asking, answer, out),
            Running::Metadata(changing) => self.metadata_answered(changing, answer, out),
            Running::List(listing) => self.list_answered(listing, answer, out),
            Running::Status(asking) => self.status_answered(&asking, answer, out),
            Running::Append(appending) => self.append_answered(appending, answer, out),
            Running::Replace(replacing) => self.replaced_across(&replacing, answer, out),
            Running::MultiSearch(multi) => self.multi_search_answered(multi, answer, out),
            Running::Fetch(fetching) => self.fetch_answered(fetching, answer, out),
            Running::Store(storing) => self.store_answered(&storing, answer, out),
            Running::Copy(copying) => self.copy_answered(copying, answer, out),
            Running::Expunge(expunging) => self.expunge_answered(&expunging, answer, out),
            Running::Notify(setting) => self.notify_answered(setting, answer, out),
            Running::Notices => self.notices_answered(answer, out),
            other => {
                self.running = other;
                self.waiting()
            }
        }
    }

    /// A line that is no command. Whoever cannot send one before logging in speaks another protocol.
    pub(super) fn bad(&mut self, tag: Option<&Tag>, text: String, out: &mut Vec<u8>) -> Action {
        let answer = Answer::bad(text);
        let action = match tag {
            Some(tag) => self.fail(tag, answer, out),
            None => {
                answer.write_untagged(out);
                self.waiting()
            }
        };
        self.bad_commands += 1;
        if self.login.is_none() && self.bad_commands >= MOST_BAD_COMMANDS {
            return self.bye("This is IMAP", out);
        }
        action
    }

    pub(super) fn line(&mut self, now: Millis, line: &[u8], out: &mut Vec<u8>) -> Action {
        match std::mem::take(&mut self.running) {
            Running::Sasl(attempt) => self.sasl_line(now, attempt, line, out),
            Running::Idle(idling) => self.idle_line(&idling, line, out),
            other => {
                self.running = other;
                self.waiting()
            }
        }
    }
}
