//! A client that speaks with a session, and a store for both.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use auth::channel::ChannelBindings;
use auth::exchange::Question;
use auth::shell::{Authenticator, Settings};
use mailstore::crdt::clock::Millis;
use mailstore::crdt::flag::{Flag, FlagChange};
use mailstore::crdt::identity::{AccountId, EntryId, MailboxId, NodeSlot};
use mailstore::crdt::view::MailboxView;
use mailstore::identity::NodeIdentity;
use mailstore::inline::Inline;
use mailstore::message::Scanner;
use mailstore::password::PasswordCost;
use mailstore::request::{Reply, Request, RequestError};
use mailstore::{Mailstore, NewMessage};
use storage::{SimulatedDisk, Storage};

use crate::framing::Framer;
use crate::lengths::Lengths;
use crate::session::{Action, ConnectionInfo, Input, Session, SessionConfig};

pub(super) const TLS: ConnectionInfo = ConnectionInfo { tls: true, stls: false, plaintext_allowed: false };
const START: Millis = Millis(1_790_000_000_000);

/// A store in memory, whose committer runs whenever something is asked.
#[derive(Clone)]
pub(super) struct Store {
    mailstore: Mailstore,
    committer: Rc<RefCell<Inline>>,
    now: Rc<Cell<Millis>>,
    lengths: Arc<Lengths>,
    pub(super) disk: SimulatedDisk,
}

/// A small message with its own text.
pub(super) fn mail(id: &str) -> String {
    format!("Subject: {id}\r\nMessage-ID: <{id}@example.com>\r\n\r\nThis is {id}.\r\n")
}

/// A store with the account `alice` of the password `secret`.
pub(super) fn store() -> Store {
    let store = Store::new(0);
    let password = mailstore::password::hash("secret", [7; 16], PasswordCost::TEST).expect("a hash");
    let added = store.ask(Request::AddAccount { name: "alice".to_owned(), password });
    assert!(matches!(added, Ok(Reply::Done)), "{added:?}");
    store
}

impl Store {
    /// An empty store of the node of this slot.
    pub(super) fn new(slot: u8) -> Store {
        let disk = SimulatedDisk::new();
        let storage = Arc::new(Storage::open(Arc::new(disk.clone())).expect("a new disk"));
        let node = NodeSlot::new(slot).expect("a slot");
        let identity = NodeIdentity { cluster: [1; 16], slot: node, name: format!("node-{slot}") };
        let mut lives = slot;
        let entropy = move || {
            lives = lives.wrapping_add(100);
            [lives; 16]
        };
        let opened = mailstore::inline::open(storage, identity, Box::new(entropy), START);
        let (mailstore, committer) = opened.expect("a new store");
        let (committer, now) = (Rc::new(RefCell::new(committer)), Rc::new(Cell::new(START)));
        Store { mailstore, committer, now, lengths: Arc::default(), disk }
    }

    /// Asks the store and waits.
    pub(super) fn ask(&self, request: Request) -> Result<Reply, RequestError> {
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

    /// Lets time pass, in milliseconds.
    pub(super) fn pass(&self, milliseconds: u64) {
        self.now.set(self.now.get().after(milliseconds));
        self.committer.borrow_mut().run(self.now.get());
    }

    pub(super) fn account(&self) -> AccountId {
        self.mailstore.account("alice").expect("she is here")
    }

    /// The id of the mailbox of this name.
    pub(super) fn mailbox(&self, name: &str) -> MailboxId {
        let view = self.mailstore.account_view(&self.account()).expect("it is at hand");
        view.borrow().find(name).expect("a mailbox").mailbox
    }

    /// What a client of this node is shown now; `lasting` is dropped at once.
    pub(super) fn look(&self) -> Arc<MailboxView> {
        let request =
            Request::Look { account: self.account(), mailbox: self.mailbox("INBOX"), lasting: true };
        match self.ask(request) {
            Ok(Reply::Looked(look)) => look.view.borrow().clone(),
            other => panic!("a look: {other:?}"),
        }
    }

    /// A message comes in.
    pub(super) fn deliver(&self, octets: &[u8]) {
        let mut writer = self.mailstore.body_writer();
        writer.write(octets).expect("room");
        let mut scanner = Scanner::new();
        scanner.push(octets);
        let message = NewMessage {
            body: writer.finish().expect("staged"),
            structure: Arc::new(scanner.finish()),
            flags: vec![],
            received: None,
        };
        let (account, mailbox, sender) = (self.account(), "INBOX".to_owned(), "joe@example.org".to_owned());
        let delivered = self.ask(Request::Deliver { account, mailbox, sender, message });
        assert!(matches!(delivered, Ok(Reply::Delivered { .. })), "{delivered:?}");
    }

    /// An IMAP client deletes messages of INBOX.
    pub(super) fn expunge(&self, entries: &[EntryId]) {
        let (account, mailbox, entries) = (self.account(), self.mailbox("INBOX"), entries.to_vec());
        let (change, flags, unchanged_since) = (FlagChange::Add, vec![Flag::Deleted], None);
        self.ask(Request::Store {
            account,
            mailbox,
            entries: entries.clone(),
            change,
            flags,
            unchanged_since,
        })
        .expect("flagged");
        self.ask(Request::Expunge { account, mailbox, entries }).expect("expunged");
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

/// A client with its session.
pub(super) struct Client {
    pub(super) session: Session,
    framer: Framer,
    store: Store,
    pub(super) now: Millis,
    pub(super) closed: bool,
    /// The most octets that were ever produced in one piece.
    pub(super) largest_piece: usize,
}

impl Client {
    pub(super) fn connect(store: &Store, connection: ConnectionInfo) -> (Client, String) {
        let (mut out, now) = (Vec::new(), START);
        let (config, lengths) = (Arc::new(SessionConfig::default()), Arc::clone(&store.lengths));
        let session = Session::new(config, store.mailstore.clone(), lengths, connection, now, &mut out);
        let (store, framer) = (store.clone(), Framer::default());
        (Client { session, framer, store, now, closed: false, largest_piece: 0 }, text(out))
    }

    pub(super) fn logged_in(store: &Store) -> Client {
        let (mut client, _) = Client::connect(store, TLS);
        assert!(client.send("USER alice").starts_with("+OK "));
        let answer = client.send("PASS secret");
        assert!(answer.starts_with("+OK "), "{answer}");
        client
    }

    /// Sends a line and returns all that comes until the session waits again.
    pub(super) fn send(&mut self, line: &str) -> String {
        text(self.feed(format!("{line}\r\n").as_bytes()))
    }

    /// A command that must be answered by a list; its lines, without the last.
    #[track_caller]
    pub(super) fn list(&mut self, command: &str) -> Vec<String> {
        let answer = self.send(command);
        let lines = answer.strip_prefix("+OK ").and_then(|rest| rest.strip_suffix("\r\n.\r\n"));
        let lines = lines.or_else(|| answer.strip_prefix("+OK ")?.strip_suffix(".\r\n"));
        let lines = lines.unwrap_or_else(|| panic!("{command}: {answer}"));
        lines.split("\r\n").skip(1).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// What UIDL tells, in the order of the numbers.
    #[track_caller]
    pub(super) fn unique_ids(&mut self) -> Vec<String> {
        let lines = self.list("UIDL");
        lines.iter().map(|line| line.split(' ').nth(1).expect("two words").to_owned()).collect()
    }

    /// Sends octets, whatever they are.
    pub(super) fn feed(&mut self, mut octets: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        while !self.closed
            && let Some(event) = self.framer.next(&mut octets, self.session.longest_line())
        {
            all.extend(self.run(Input::from(&event)));
        }
        all
    }

    /// Lets time pass until the session wants to be called.
    pub(super) fn time_out(&mut self) -> String {
        self.now = self.session.poll_timeout();
        text(self.run(Input::Timeout))
    }

    pub(super) fn shut_down(&mut self) -> String {
        text(self.run(Input::Shutdown))
    }

    pub(super) fn run(&mut self, input: Input<'_>) -> Vec<u8> {
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
                Action::StartTls => {
                    self.framer = Framer::default();
                    self.session.handle(self.now, Input::TlsStarted, &mut out)
                }
                Action::Continue => self.session.produce(self.now, &mut out),
                Action::Pause { until } => {
                    self.now = until;
                    self.session.produce(self.now, &mut out)
                }
                Action::Close => {
                    self.closed = true;
                    return all;
                }
                Action::WaitForInput => return all,
            };
        }
    }
}

pub(super) fn text(octets: Vec<u8>) -> String {
    String::from_utf8_lossy(&octets).into_owned()
}
