//! A store in memory with one account and three messages. It is built once and again after something was written to it, so that
//! every input finds the same one.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};

use auth::bearer::Hint;
use auth::exchange::{Answer, Question};
use auth::oauth::policy::TokenError;
use mailstore::crdt::clock::Millis;
use mailstore::crdt::identity::{AccountId, MailboxId, NodeSlot};
use mailstore::crdt::view::MailboxView;
use mailstore::identity::NodeIdentity;
use mailstore::inline::Inline;
use mailstore::message::Scanner;
use mailstore::password::{PasswordCost, ScramKeys};
use mailstore::request::{Authenticated, Reply, Request, RequestError};
use mailstore::{Mailstore, NewMessage};
use storage::{SimulatedDisk, Storage};

/// When every session begins.
pub const START: Millis = Millis(1_790_000_000_000);
/// The account.
pub const NAME: &str = "alice";
/// Its password.
pub const PASSWORD: &str = "secret";
/// The token that its issuer finds good.
pub const GOOD_TOKEN: &str = "good";
/// The rounds of SCRAM's keys: as few as are allowed.
const ROUNDS: u32 = 4096;
/// What the server adds to a nonce of SCRAM.
const NONCE: [u8; 16] = [9; 16];
/// What the channel is bound by.
pub const BOUND: [u8; 32] = [5; 32];

/// The messages of INBOX.
const MESSAGES: [&str; 3] = [
    "Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nFrom: Fred <foobar@example.com>\r\nSubject: one\r\nMessage-Id: <1@x>\r\n\r\nHello\r\n",
    "Subject: Re: one\r\nReferences: <1@x>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na=\r\n--b\r\nContent-Type: \
     message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b--\r\n",
    "bare\n\n.\n.\r",
];

#[derive(Clone)]
pub struct Store {
    pub mailstore: Mailstore,
    committer: Rc<RefCell<Inline>>,
    now: Rc<RefCell<Millis>>,
    authenticated: Authenticated,
    written: Rc<RefCell<bool>>,
}

/// The store, as it was when it was new.
pub fn fresh() -> Store {
    thread_local!(static STORE: RefCell<Option<Store>> = const { RefCell::new(None) });
    STORE.with(|kept| {
        let mut kept = kept.borrow_mut();
        match kept.as_ref().filter(|store| !*store.written.borrow()) {
            Some(store) => store.clone(),
            None => kept.insert(Store::new()).clone(),
        }
    })
}

impl Store {
    fn new() -> Store {
        let storage = Arc::new(Storage::open(Arc::new(SimulatedDisk::new())).expect("a new disk"));
        let slot = NodeSlot::new(0).expect("a slot");
        let identity = NodeIdentity { cluster: [1; 16], slot, name: "fuzz".to_owned() };
        let mut lives = 0u8;
        let entropy = move || {
            lives = lives.wrapping_add(1);
            [lives; 16]
        };
        let (mailstore, committer) =
            mailstore::inline::open(storage, identity, Box::new(entropy), START).expect("a new store");
        let committer = Rc::new(RefCell::new(committer));
        let now = Rc::new(RefCell::new(START));
        let (mailstore, authenticated) = Self::with_account(mailstore, &committer, &now);
        let store = Store { mailstore, committer, now, authenticated, written: Rc::default() };
        for message in MESSAGES {
            store.deliver(message.as_bytes());
        }
        // What a first look does is done.
        let (account, mailbox) = (store.account(), store.inbox());
        let looked = store.ask(Request::Look { account, mailbox, lasting: false });
        assert!(matches!(looked, Ok(Reply::Looked(_))), "{looked:?}");
        *store.written.borrow_mut() = false;
        store
    }

    fn with_account(
        mailstore: Mailstore,
        committer: &RefCell<Inline>,
        now: &RefCell<Millis>,
    ) -> (Mailstore, Authenticated) {
        let password = mailstore::password::hash(PASSWORD, [7; 16], PasswordCost::TEST).expect("a hash");
        mailstore.submit(Request::AddAccount { name: NAME.to_owned(), password }, drop);
        committer.borrow_mut().run(*now.borrow());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let authenticated = runtime.block_on(mailstore.authenticate(NAME, PASSWORD)).expect("she is here");
        (mailstore, authenticated)
    }

    /// Answers what a login needs to know: passwords and keys of SCRAM without the cost of their hashes, tokens by their
    /// text, a nonce and a channel that are always the same.
    pub fn answer(&self, question: Question) -> Result<Answer, RequestError> {
        let logged_in = || Ok(Answer::LoggedIn(self.authenticated.clone()));
        match question {
            Question::Password { name, password } if name == NAME && password == PASSWORD => logged_in(),
            Question::LogIn { name } if name == NAME => logged_in(),
            Question::Password { name, .. } | Question::LogIn { name } => {
                Err(RequestError::NoSuchAccount(name))
            }
            Question::Keys { name, binding } => {
                static KEYS: OnceLock<ScramKeys> = OnceLock::new();
                let derive =
                    || ScramKeys::derive(PASSWORD, [7; 16], ROUNDS).expect("as many rounds as are allowed");
                let keys = match name.as_str() {
                    NAME => KEYS.get_or_init(derive).clone(),
                    _ => ScramKeys::decoy(b"", &name, ROUNDS),
                };
                Ok(Answer::Keys { keys, nonce: NONCE, bound: binding.map(|_| BOUND.to_vec()) })
            }
            Question::Token { token, name } => {
                let error = match token.0.as_str() {
                    GOOD_TOKEN if name.as_deref().is_none_or(|name| name == NAME) => return logged_in(),
                    "expired" => TokenError::Expired,
                    "scope" => TokenError::Scope,
                    "down" => TokenError::Unavailable,
                    _ => TokenError::Invalid("it is not the good one"),
                };
                Ok(Answer::TokenRefused { error, hint: Hint::default() })
            }
        }
    }

    /// Asks the store and waits.
    pub fn ask(&self, request: Request) -> Result<Reply, RequestError> {
        let writes = !matches!(request, Request::Look { .. });
        *self.written.borrow_mut() |= writes;
        let (sender, receiver) = mpsc::channel();
        self.mailstore.submit(request, move |answer| sender.send(answer).expect("somebody waits"));
        // Time stands still for who only looks, so that a store that goes on being used is still like a new one.
        let now = self.now.borrow().after(u64::from(writes));
        *self.now.borrow_mut() = now;
        self.committer.borrow_mut().run(now);
        receiver.recv().expect("every request is answered")
    }

    /// What the store would answer to POP3's QUIT, which costs much where it is real: the messages are gone, and are not.
    pub fn pretend(&self, request: Request) -> Result<Reply, RequestError> {
        let (account, mailbox) = (self.account(), self.inbox());
        let view = Arc::new(MailboxView::unseen(account, mailbox));
        match request {
            Request::Store { .. } => Ok(Reply::Stored { modified: Vec::new(), gone: Vec::new(), view }),
            Request::Expunge { .. } => Ok(Reply::View(view)),
            other => self.ask(other),
        }
    }

    pub fn account(&self) -> AccountId {
        self.authenticated.account
    }

    pub fn inbox(&self) -> MailboxId {
        self.authenticated.view.borrow().find("INBOX").expect("every account has one").mailbox
    }

    fn deliver(&self, octets: &[u8]) {
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
}
