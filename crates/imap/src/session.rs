//! One IMAP connection as a state machine (RFC 9051, RFC 3501): commands and answers of the store go in, responses and
//! the next thing to do come out. It holds no socket and reads no clock.
//!
//! The shell calls [`Session::handle`] with each input, writes `out` to the client and does what the returned [`Action`]
//! says; after [`Action::Continue`] it calls [`Session::produce`]. One file for each family of commands is below.

mod access;
mod acl;
mod answer;
mod append;
mod bodies;
mod catenate;
mod compress;
mod config;
mod copy;
mod enabled;
mod expunge;
mod fetch;
mod idle;
mod list;
mod login;
mod mailboxes;
mod message_limit;
mod metadata;
mod notify;
mod numbers;
mod pattern;
mod progress;
mod put;
mod quota;
mod replace;
mod resync;
mod seam;
mod search;
mod select;
mod selected;
mod status;
mod store;
mod uid_batches;
mod uid_only;
mod visible;

use std::sync::Arc;

use mailstore::Mailstore;
use mailstore::account::{AccountView, OTHER_USERS};
use mailstore::crdt::clock::Millis;
use mailstore::crdt::identity::AccountId;
use mailstore::crdt::rights::Rights;
use mailstore::request::{Reply, RequestError};
use tokio::sync::watch;

use crate::command::{Command, CommandBody, Tag};
use answer::Answer;
use enabled::Enabled;
use notify::Notices;
use selected::{Departing, Selected};

pub use config::{ConnectionInfo, SessionConfig};
pub use progress::INTERVAL as PROGRESS_INTERVAL;
pub use seam::{Action, Input};

/// About how many octets are produced before they are handed to the client.
const PIECE_OCTETS: usize = 64 * 1024;
/// The most lines that are no commands before a login.
const MOST_BAD_COMMANDS: u32 = 10;

/// The state of one connection.
pub struct Session {
    config: Arc<SessionConfig>,
    store: Mailstore,
    connection: ConnectionInfo,
    /// Whether the connection is compressed (RFC 4978); a login does not change it.
    compressed: bool,
    login: Option<Login>,
    selected: Option<Selected>,
    /// Whether CONDSTORE was enabled, by whichever command (RFC 7162 section 3.1).
    condstore: bool,
    /// Whether QRESYNC was enabled; then CONDSTORE was, too (RFC 7162 section 3.2.3).
    qresync: bool,
    /// Whether UIDONLY was enabled: sequence numbers are neither told nor taken (RFC 9586).
    uid_only: bool,
    enabled: Enabled,
    /// What the client knows of annotations, once METADATA was enabled (RFC 5464 section 4.1): it is told what changes.
    annotated: Option<Arc<AccountView>>,
    /// What the client wants to hear of; `None` until it uses NOTIFY.
    notices: Option<Box<Notices>>,
    running: Running,
    now: Millis,
    last_heard: Millis,
    wrong_passwords: u32,
    bad_commands: u32,
    /// Why the session ends after the current command.
    ending: Option<&'static str>,
}

/// Whose session it is.
struct Login {
    account: AccountId,
    view: watch::Receiver<Arc<AccountView>>,
}

/// The command that is not yet answered, and what it waits for.
#[derive(Default)]
enum Running {
    #[default]
    Nothing,
    /// AUTHENTICATE waits for a line.
    Sasl(Box<login::Attempt>),
    /// Whoever knows accounts was asked.
    Authenticating(Box<login::Attempt>),
    /// A password was wrong, or a token, and the answer is held back.
    WrongPassword(Box<(Tag, Answer)>),
    Select(select::Selecting),
    Mailbox(mailboxes::Changing),
    /// An access control list is being changed.
    Rights(Tag),
    /// An account is being loaded that a command is about.
    Opening(access::Opening),
    Metadata(metadata::Changing),
    Quota(quota::Asking),
    List(list::Listing),
    Status(status::Asking),
    Append(append::Appending),
    Replace(replace::Replacing),
    Fetch(Box<fetch::Fetching>),
    Search(search::Searching),
    MultiSearch(Box<search::MultiSearching>),
    Store(store::Storing),
    Copy(copy::Copying),
    Expunge(expunge::Expunging),
    Idle(idle::Idling),
    Notify(notify::Setting),
    /// What happened is being told.
    Notices,
}

/// What of the selected mailbox is told before a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    /// EXPUNGE, EXISTS and flags.
    Everything,
    /// Flags: during FETCH, STORE and SEARCH no EXPUNGE is allowed (RFC 9051 section 7.5.1).
    Flags,
    /// EXISTS and flags, while no command runs and SELECTED-DELAYED holds (RFC 5465 section 6.1).
    Additions,
    /// What a command did that takes messages away, and everything.
    Departures,
    /// Nothing.
    Nothing,
}

impl Telling {
    /// What a command that takes UIDs or sequence numbers allows.
    fn for_numbers(uid: bool) -> Self {
        if uid { Telling::Everything } else { Telling::Flags }
    }
}

impl Session {
    /// A session on a new connection; `out` receives the greeting.
    pub fn new(
        config: Arc<SessionConfig>,
        store: Mailstore,
        connection: ConnectionInfo,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Self {
        let session = Session {
            config,
            store,
            connection,
            compressed: false,
            login: None,
            selected: None,
            condstore: false,
            qresync: false,
            uid_only: false,
            enabled: Enabled::default(),
            annotated: None,
            notices: None,
            running: Running::Nothing,
            now,
            last_heard: now,
            wrong_passwords: 0,
            bad_commands: 0,
            ending: None,
        };
        let greeting = format!("{} is ready", session.config.node);
        Answer::ok(greeting).code(session.capabilities()).write_untagged(out);
        session
    }

    /// Takes in what happened; appends what the client is told of it.
    pub fn handle(&mut self, now: Millis, input: Input<'_>, out: &mut Vec<u8>) -> Action {
        self.now = now;
        match input {
            Input::Command(_) | Input::Bad { .. } | Input::Append(_) | Input::Line(_) | Input::TlsStarted => {
                self.last_heard = now;
            }
            _ => {}
        }
        match input {
            Input::Command(command) => self.command(now, command, out),
            Input::Bad { tag, text } => self.bad(tag.as_ref(), text, out),
            Input::Append(event) => self.append(event, out),
            Input::Line(line) => self.line(now, line, out),
            Input::TlsStarted => {
                self.connection.tls = true;
                Action::WaitForInput
            }
            Input::Answered(answer) => self.answered(answer, out),
            Input::Authenticated(result) => self.authenticated(now, result, out),
            Input::ViewChanged => self.view_changed(out),
            Input::Timeout => self.timeout(now, out),
            Input::Shutdown => self.shutdown(out),
        }
    }

    /// Goes on with a long answer, or after a pause: about 64 KiB are appended at a time.
    pub fn produce(&mut self, now: Millis, out: &mut Vec<u8>) -> Action {
        (self.now, self.last_heard) = (now, now);
        match std::mem::take(&mut self.running) {
            Running::Fetch(fetching) => self.produce_fetch(fetching, out),
            Running::Search(searching) => self.produce_search(searching, out),
            Running::MultiSearch(multi) => self.produce_multi_search(multi, out),
            Running::List(listing) => self.produce_list(listing, out),
            Running::Append(appending) => self.produce_append(appending, out),
            Running::WrongPassword(held) => self.wrong_password(&held.0, held.1, out),
            Running::Notices => self.notice(out),
            Running::Notify(setting) => self.next_first(setting, out),
            other => {
                self.running = other;
                self.waiting()
            }
        }
    }

    /// When to hand in [`Input::Timeout`], while the action is [`Action::WaitForInput`] or [`Action::ReadLine`], or a
    /// literal is being read.
    pub fn poll_timeout(&self) -> Option<Millis> {
        Some(self.retry_at().map_or(self.silent_until(), |retry| retry.min(self.silent_until())))
    }

    /// When something is due because the client says nothing.
    fn silent_until(&self) -> Millis {
        match &self.running {
            Running::Idle(idling) => idling.next_notice(),
            _ if self.login.is_some() => self.last_heard.after(self.config.silence_timeout),
            _ => self.last_heard.after(self.config.login_timeout),
        }
    }

    /// When something is to be tried again that could not be told.
    fn retry_at(&self) -> Option<Millis> {
        let waits = matches!(self.running, Running::Nothing | Running::Idle(_));
        self.notices.as_ref().filter(|_| waits)?.retry_at()
    }

    /// Comes back when something changed that the session wants to know now: then hand in [`Input::ViewChanged`]. Awaited
    /// while the action is [`Action::WaitForInput`] or [`Action::ReadLine`]; may be dropped and called again at any time.
    pub async fn changed(&mut self) {
        if self.has_notices() {
            return;
        }
        let idle = matches!(self.running, Running::Idle(_));
        let told = idle || self.notices.as_ref().is_some_and(|notices| notices.pushes());
        let account = async {
            // A view without its store changes no more.
            match &mut self.login {
                Some(login) => match login.view.changed().await {
                    Ok(()) => {}
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        let mailbox = async {
            match &mut self.selected {
                Some(selected) => selected.changed(told).await,
                _ => std::future::pending().await,
            }
        };
        let notices = async {
            match &mut self.notices {
                Some(notices) => notices.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = account => {}
            () = mailbox => {}
            () = notices => {}
        }
    }

    fn command(&mut self, now: Millis, command: Command, out: &mut Vec<u8>) -> Action {
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

    fn command_logged_in(&mut self, now: Millis, tag: Tag, body: CommandBody, out: &mut Vec<u8>) -> Action {
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

    fn answered(&mut self, answer: Result<Reply, RequestError>, out: &mut Vec<u8>) -> Action {
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
    fn bad(&mut self, tag: Option<&Tag>, text: String, out: &mut Vec<u8>) -> Action {
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

    fn line(&mut self, now: Millis, line: &[u8], out: &mut Vec<u8>) -> Action {
        match std::mem::take(&mut self.running) {
            Running::Sasl(attempt) => self.sasl_line(now, attempt, line, out),
            Running::Idle(idling) => self.idle_line(&idling, line, out),
            other => {
                self.running = other;
                self.waiting()
            }
        }
    }

    /// What the session waits for while nothing is being produced.
    fn waiting(&self) -> Action {
        match &self.running {
            Running::Idle(_) | Running::Sasl(_) => Action::ReadLine,
            Running::Append(_) => Action::AcceptLiteral,
            _ => Action::WaitForInput,
        }
    }

    /// Something changed while no command runs, or during IDLE.
    fn view_changed(&mut self, out: &mut Vec<u8>) -> Action {
        let telling = match &self.notices {
            _ if matches!(self.running, Running::Idle(_)) => Telling::Everything,
            Some(notices) => notices.telling(),
            None => Telling::Nothing,
        };
        if telling != Telling::Nothing {
            self.tell(telling, out);
            if let Some(highest) = self.highest_due() {
                highest.write_untagged(out);
            }
        }
        self.find_ending();
        match self.ending {
            Some(reason) => self.bye(reason, out),
            None => self.notice(out),
        }
    }

    fn timeout(&mut self, now: Millis, out: &mut Vec<u8>) -> Action {
        if self.retry_at().is_some_and(|retry| retry <= now) {
            return self.retry_notices(out);
        }
        if now < self.silent_until() {
            return self.waiting();
        }
        match &mut self.running {
            Running::Idle(idling) => {
                idling.notify(now, &self.config, out);
                Action::ReadLine
            }
            // In the middle of a literal the client would not hear a BYE.
            Running::Append(_) => Action::Close,
            _ => self.bye("Nothing was heard for too long", out),
        }
    }

    fn shutdown(&mut self, out: &mut Vec<u8>) -> Action {
        match &self.running {
            Running::Fetch(fetching) if fetching.is_within_message() => Action::Close,
            _ => self.bye("The node is shutting down; connect again, or to another node", out),
        }
    }

    /// Answers a command that nothing more is to be said of.
    fn done(&mut self, tag: &Tag, text: &str, out: &mut Vec<u8>) -> Action {
        self.finish(tag, Telling::Everything, Answer::ok(text), out)
    }

    /// Answers a command that was not carried out.
    fn fail(&mut self, tag: &Tag, answer: Answer, out: &mut Vec<u8>) -> Action {
        self.finish(tag, Telling::Nothing, answer, out)
    }

    /// Tells what changed, answers the command, and says BYE where the session cannot go on.
    fn finish(&mut self, tag: &Tag, telling: Telling, answer: Answer, out: &mut Vec<u8>) -> Action {
        self.running = Running::Nothing;
        self.tell(telling, out);
        match self.highest_due() {
            // RFC 7162 section 3.2.7 wants it in the tagged OK of EXPUNGE.
            Some(highest) if answer.is_plain_ok() => answer.with_code_of(highest).write(tag, out),
            Some(highest) => {
                highest.write_untagged(out);
                answer.write(tag, out);
            }
            None => answer.write(tag, out),
        }
        self.find_ending();
        match self.ending {
            Some(reason) => self.bye(reason, out),
            None => Action::WaitForInput,
        }
    }

    fn tell(&mut self, telling: Telling, out: &mut Vec<u8>) {
        if matches!(telling, Telling::Everything | Telling::Departures) {
            self.tell_annotated(out);
        }
        let departing = self.departing();
        let Some(selected) = &mut self.selected else { return };
        if telling != Telling::Nothing {
            selected.tell_rights(out);
        }
        match telling {
            Telling::Everything => selected.tell_everything(self.condstore, departing, out),
            Telling::Departures => {
                selected.tell_messages(departing, out);
                selected.tell_everything(self.condstore, departing, out);
            }
            Telling::Additions => selected.tell_additions(self.condstore, out),
            Telling::Flags => selected.tell_flags(self.condstore, out),
            Telling::Nothing => {}
        }
    }

    /// HIGHESTMODSEQ with its code, where the client takes another value for it than everything it was told
    /// (RFC 7162 sections 3.2 and 6).
    fn highest_due(&mut self) -> Option<Answer> {
        let selected = self.selected.as_mut().filter(|_| self.condstore)?;
        selected.highest_due(self.qresync).map(Answer::highest_modseq)
    }

    /// How messages that are gone are told.
    fn departing(&self) -> Departing {
        if self.qresync || self.uid_only { Departing::Vanished } else { Departing::Expunge }
    }

    /// Finds out whether account and mailbox are still what the client was told.
    fn find_ending(&mut self) {
        if let Some(login) = &mut self.login
            && login.view.borrow_and_update().removed
        {
            self.ending = Some("The account was removed");
        }
        if let Some(selected) = &mut self.selected {
            selected.refresh();
            self.ending = self.ending.or(selected.ended());
        }
    }

    fn bye(&mut self, reason: &str, out: &mut Vec<u8>) -> Action {
        answer::bye(reason, out);
        Action::Close
    }

    /// The account of the session; `None` before login.
    fn account(&self) -> Option<AccountId> {
        self.login.as_ref().map(|login| login.account)
    }

    /// The mailboxes and subscriptions of the account now.
    fn mailboxes(&self) -> Option<Arc<AccountView>> {
        self.login.as_ref().map(|login| login.view.borrow().clone())
    }
}

#[cfg(test)]
mod tests;
