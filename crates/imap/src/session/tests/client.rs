//! A client that speaks with a session, and a store for both.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use auth::channel::ChannelBindings;
use auth::exchange::Question;
use auth::shell::{Authenticator, Settings};
use mailstore::Mailstore;
use mailstore::crdt::clock::Millis;
use mailstore::crdt::identity::{AccountId, NodeSlot};
use mailstore::identity::NodeIdentity;
use mailstore::inline::Inline;
use mailstore::password::PasswordCost;
use mailstore::request::{Reply, Request, RequestError};
use storage::{SimulatedDisk, Storage};

use crate::command::{AppendEvent, AppendForm, AppendMessage};
use crate::decode::{self, AppendStart};
use crate::feed::{Fed, Feed};
use crate::framing::Limits;
use crate::session::{Action, ConnectionInfo, Input, Session, SessionConfig};

pub(super) const TLS: ConnectionInfo = ConnectionInfo { tls: true, starttls: true, plaintext_allowed: false };
const START: Millis = Millis(1_790_000_000_000);

/// A small message.
pub(super) const MAIL: &str = concat!(
    "Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nFrom: Fred Foobar <foobar@example.com>\r\nSubject: afternoon meeting\r\n",
    "To: mooch@example.net\r\nMessage-Id: <B27397@example.com>\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n",
    "Hello Joe, do you think we can meet at 3:30 tomorrow?\r\n"
);

/// A store in memory, whose committer runs whenever something is asked.
#[derive(Clone)]
pub(super) struct Store {
    mailstore: Mailstore,
    committer: Rc<RefCell<Inline>>,
    now: Rc<Cell<Millis>>,
    pub(super) disk: SimulatedDisk,
    starts: u8,
    /// Whether a MOVE breaks off before its originals are removed.
    refuses_removals: Rc<Cell<bool>>,
    before: Rc<RefCell<Option<Before>>>,
}

/// What happens before a request reaches the store.
type Before = Box<dyn FnMut(&Request)>;

/// A store with the account `alice` of the password `secret`.
pub(super) fn store() -> Store {
    let store = Store::new(0);
    store.add_account("alice");
    store
}

impl Store {
    /// Adds an account of the password `secret`.
    pub(super) fn add_account(&self, name: &str) {
        let password = mailstore::password::hash("secret", [7; 16], PasswordCost::TEST).expect("a hash");
        let added = self.ask(Request::AddAccount { name: name.to_owned(), password });
        assert!(matches!(added, Ok(Reply::Done)), "{added:?}");
    }

    /// An empty store of the node of this slot.
    pub(super) fn new(slot: u8) -> Store {
        Store::open(SimulatedDisk::new(), slot, 0)
    }

    /// The store as it is after a restart of its node.
    pub(super) fn restarted(&self) -> Store {
        Store::open(self.disk.clone(), 0, self.starts + 1)
    }

    fn open(disk: SimulatedDisk, slot: u8, starts: u8) -> Store {
        let storage = Arc::new(Storage::open(Arc::new(disk.clone())).expect("a new disk"));
        let node = NodeSlot::new(slot).expect("a slot");
        let identity = NodeIdentity { cluster: [1; 16], slot: node, name: format!("node-{slot}") };
        let mut lives = slot + 2 * starts;
        let entropy = move || {
            lives += 100;
            [lives; 16]
        };
        let began = START.after(1_000_000 * u64::from(starts));
        let opened = mailstore::inline::open(storage, identity, Box::new(entropy), began);
        let (mailstore, committer) = opened.expect("a new store");
        let (committer, now) = (Rc::new(RefCell::new(committer)), Rc::new(Cell::new(began)));
        let (refuses_removals, before) = (Rc::default(), Rc::default());
        Store { mailstore, committer, now, disk, starts, refuses_removals, before }
    }

    /// Asks the store and waits.
    pub(super) fn ask(&self, request: Request) -> Result<Reply, RequestError> {
        let before = self.before.borrow_mut().take();
        if let Some(mut before) = before {
            before(&request);
            *self.before.borrow_mut() = Some(before);
        }
        if self.refuses_removals.get() && is_removal(&request) {
            return Err(RequestError::Storage("it broke off".to_owned()));
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        self.mailstore.submit(request, move |answer| sender.send(answer).expect("somebody waits"));
        self.pass(1);
        receiver.recv().expect("every request is answered")
    }

    /// Answers what a login needs to know, with a nonce that is always the same.
    fn authenticate(&self, question: Question) -> Result<auth::exchange::Answer, RequestError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let settings = Settings { entropy: Arc::new(|| Some([9; 16])), ..Settings::default() };
        let bindings = ChannelBindings { exporter: Some([5; 32]), end_point: None };
        let authenticator = Authenticator::new(self.mailstore.clone(), settings);
        runtime.block_on(authenticator.answer(question, &bindings))
    }

    /// Has every MOVE break off before its originals are removed.
    pub(super) fn refuse_removals(&self, refuse: bool) {
        self.refuses_removals.set(refuse);
    }

    /// Has something happen before each request reaches the store.
    pub(super) fn before_next_request(&self, before: impl FnMut(&Request) + 'static) {
        *self.before.borrow_mut() = Some(Box::new(before));
    }

    /// Whether the mailboxes of an account are loaded.
    pub(super) fn has_opened(&self, name: &str) -> bool {
        self.mailstore.account_view(&AccountId::of_name(name)).is_some()
    }

    /// Lets time pass, in milliseconds.
    pub(super) fn pass(&self, milliseconds: u64) {
        self.now.set(self.now.get().after(milliseconds));
        self.committer.borrow_mut().run(self.now.get());
    }

    /// Brings everything of this node to another: records, then bodies.
    pub(super) fn sync_to(&self, other: &Store) {
        loop {
            let delta = self.mailstore.delta_since(&other.mailstore.vector(), 64 * 1024).expect("readable");
            if delta.is_empty() {
                break;
            }
            other.mailstore.apply_delta(delta, |applied| drop(applied.expect("a good delta")));
            other.pass(1);
        }
        for (hash, size) in other.mailstore.wanted_bodies(1000).expect("readable") {
            let Ok(body) = self.mailstore.body(&hash) else { continue };
            let mut writer = other.mailstore.body_writer();
            writer.write(&body.read(0..size).expect("readable")).expect("room");
            other.mailstore.add_body(writer.finish().expect("staged"), |kept| kept.expect("kept"));
            other.pass(1);
        }
    }
}

fn is_removal(request: &Request) -> bool {
    match request {
        Request::Permitted { request, .. } => is_removal(request),
        request => matches!(request, Request::Remove { .. }),
    }
}

/// A client with its session.
pub(super) struct Client {
    pub(super) session: Session,
    store: Store,
    pub(super) now: Millis,
    pub(super) closed: bool,
    /// The most octets that were ever produced in one piece.
    pub(super) largest_piece: usize,
    /// How often a long answer let others have a turn.
    pub(super) turns: usize,
    /// How long each turn takes, in milliseconds.
    pub(super) pace: u64,
}

impl Client {
    pub(super) fn connect(store: &Store, connection: ConnectionInfo) -> (Client, String) {
        Client::connect_to(store, connection, SessionConfig::default())
    }

    /// A client of a node that an operator configured, its INBOX selected.
    pub(super) fn configured(store: &Store, config: SessionConfig) -> Client {
        let (mut client, _) = Client::connect_to(store, TLS, config);
        client.send("LOGIN alice secret");
        assert!(client.send("SELECT INBOX").contains("t OK [READ-WRITE]"));
        client
    }

    fn connect_to(store: &Store, connection: ConnectionInfo, config: SessionConfig) -> (Client, String) {
        let (mut out, now) = (Vec::new(), START);
        let config = Arc::new(config);
        let session = Session::new(config, store.mailstore.clone(), connection, now, &mut out);
        let client =
            Client { session, store: store.clone(), now, closed: false, largest_piece: 0, turns: 0, pace: 0 };
        (client, text(out))
    }

    pub(super) fn logged_in(store: &Store) -> Client {
        Client::logged_in_as(store, "alice")
    }

    pub(super) fn logged_in_as(store: &Store, name: &str) -> Client {
        // A login waits for the committer, which only runs when something is asked.
        let account = AccountId::of_name(name);
        store.ask(Request::OpenAccount { account }).expect("opened");
        let (mut client, _) = Client::connect(store, TLS);
        assert!(client.send(&format!("LOGIN {name} secret")).starts_with("t OK "));
        client
    }

    pub(super) fn selected(store: &Store, mailbox: &str) -> Client {
        let mut client = Client::logged_in(store);
        let answer = client.send(&format!("SELECT {mailbox}"));
        assert!(answer.contains("t OK [READ-WRITE]"), "{answer}");
        client
    }

    /// Sends a command under the tag `t` and returns all that comes until the session waits again.
    pub(super) fn send(&mut self, command: &str) -> String {
        let input = match decode::command(format!("t {command}").as_bytes(), self.session.name_encoding()) {
            Ok(command) => Input::Command(command),
            Err(error) => Input::Bad { tag: error.tag, text: error.text },
        };
        self.run(input)
    }

    pub(super) fn line(&mut self, line: &str) -> String {
        self.run(Input::Line(line.as_bytes()))
    }

    /// A client whose selected INBOX has two messages with these flags, of which one cannot be read.
    pub(super) fn with_damage(flags: &str) -> Client {
        let store = store();
        let mut client = Client::selected(&store, "INBOX");
        client.append("INBOX", flags, MAIL);
        client.append("INBOX", flags, &MAIL.replace("Hello", "Hallo"));
        store.disk.corrupt("packs/000001", 300, 1).expect("a pack");
        client
    }

    pub(super) fn append(&mut self, mailbox: &str, flags: &str, message: &str) -> String {
        let head = format!("APPEND {mailbox} {flags} \"17-Jul-1996 02:44:25 -0700\"");
        self.send_with(&head, &[message])
    }

    /// Sends an APPEND or REPLACE up to its first message, and these messages.
    pub(super) fn send_with(&mut self, head: &str, messages: &[&str]) -> String {
        let size = messages[0].len() as u64;
        let head = format!("t {head}{}", if head.ends_with('~') { "" } else { " " });
        let start = decode::append_start(head.as_bytes(), Some(size), self.session.name_encoding()).unwrap();
        let AppendStart { tag, mailbox, replaced, message, .. } = start;
        self.append_rest(AppendEvent::Start { tag, mailbox, replaced, message }, messages)
    }

    /// Appends a literal8.
    pub(super) fn append_binary(&mut self, mailbox: &str, message: &str) -> String {
        self.send_with(&format!("APPEND {mailbox} ~"), &[message])
    }

    pub(super) fn append_all(&mut self, mailbox: &str, messages: &[&str]) -> String {
        self.send_with(&format!("APPEND {mailbox}"), messages)
    }

    fn append_rest(&mut self, start: AppendEvent<'_>, messages: &[&str]) -> String {
        let mut out = Vec::new();
        let mut action = self.session.handle(self.now, Input::Append(start), &mut out);
        while let Action::Ask(request) = action {
            let answer = self.store.ask(request);
            action = self.session.handle(self.now, Input::Answered(answer), &mut out);
        }
        for (place, message) in messages.iter().enumerate() {
            let mut events: Vec<AppendEvent<'_>> = Vec::new();
            if place > 0 {
                let message = AppendMessage {
                    flags: Vec::new(),
                    received: None,
                    size: message.len() as u64,
                    form: AppendForm::Literal,
                };
                events.push(AppendEvent::Next(message));
            }
            events.extend(message.as_bytes().chunks(7).map(AppendEvent::Data));
            events.push(AppendEvent::End);
            for event in events {
                if !matches!(action, Action::AcceptLiteral) {
                    return text(out);
                }
                action = self.session.handle(self.now, Input::Append(event), &mut out);
            }
        }
        if matches!(action, Action::AcceptLiteral) {
            out.extend(self.run(Input::Append(AppendEvent::Finish)).into_bytes());
        }
        text(out)
    }

    /// Tells the session that something changed, if it wants to know.
    pub(super) fn changes(&mut self) -> String {
        let changed = {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let mut future = std::pin::pin!(self.session.changed());
            future.as_mut().poll(&mut context).is_ready()
        };
        if changed { self.run(Input::ViewChanged) } else { String::new() }
    }

    /// Lets time pass until the session wants to be called.
    pub(super) fn time_out(&mut self) -> String {
        self.now = self.session.poll_timeout().expect("there is always a deadline");
        self.run(Input::Timeout)
    }

    pub(super) fn shut_down(&mut self) -> String {
        self.run(Input::Shutdown)
    }

    /// Sends octets as they are and returns all that comes, with the plus signs for literals that are waited for.
    pub(super) fn wire(&mut self, octets: &str) -> String {
        let (mut feed, mut rest) = (Feed::new(Limits::default()), octets.as_bytes());
        feed.spell(self.session.name_encoding());
        let mut all = String::new();
        while let Some(fed) = feed.next(&mut rest) {
            match fed {
                Fed::Input(input) => {
                    let (text, action) = self.run_to(input);
                    all.push_str(&text);
                    if !matches!(action, Action::AcceptLiteral) {
                        feed.refuse();
                    } else if feed.accept() {
                        all.push_str("+\r\n");
                    }
                }
                Fed::Continue => all.push_str("+\r\n"),
                Fed::Line(_) | Fed::Fatal(_) => panic!("{fed:?}"),
            }
        }
        all
    }

    fn run(&mut self, input: Input<'_>) -> String {
        self.run_to(input).0
    }

    /// What comes until the session waits, and for what.
    fn run_to(&mut self, input: Input<'_>) -> (String, Action) {
        let (mut all, mut out) = (Vec::new(), Vec::new());
        let mut action = self.session.handle(self.now, input, &mut out);
        loop {
            self.largest_piece = self.largest_piece.max(out.len());
            all.append(&mut out);
            action = match action {
                Action::Ask(request) => {
                    let answer = self.store.ask(request);
                    self.session.handle(self.now, Input::Answered(answer), &mut out)
                }
                Action::Authenticate(question) => {
                    let answer = self.store.authenticate(question);
                    self.session.handle(self.now, Input::Authenticated(answer), &mut out)
                }
                Action::StartTls => self.session.handle(self.now, Input::TlsStarted, &mut out),
                Action::Continue => {
                    self.turns += 1;
                    self.now = self.now.after(self.pace);
                    self.session.produce(self.now, &mut out)
                }
                Action::Pause { until } => {
                    self.now = until;
                    self.session.produce(self.now, &mut out)
                }
                Action::Close => {
                    self.closed = true;
                    return (text(all), Action::Close);
                }
                Action::ReadLine | Action::WaitForInput | Action::Compress | Action::AcceptLiteral => {
                    return (text(all), action);
                }
            };
        }
    }
}

fn text(octets: Vec<u8>) -> String {
    String::from_utf8_lossy(&octets).into_owned()
}
