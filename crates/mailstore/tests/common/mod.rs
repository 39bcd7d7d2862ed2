//! A node in memory, run in line.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::{Arc, Mutex};

use peerpost_mailstore as mailstore;

use mailstore::crdt::clock::Millis;
use mailstore::crdt::identity::{AccountId, MailboxId, NodeSlot};
use mailstore::crdt::notice::Telling;
use mailstore::identity::NodeIdentity;
use mailstore::inline::{self, Inline};
use mailstore::message::Scanner;
use mailstore::notices::HearError;
use mailstore::{Mailstore, NewMessage, Reply, Request, RequestError};
use storage::{SimulatedDisk, Storage};

pub const START: u64 = 1_790_000_000_000;

pub struct Node {
    pub disk: SimulatedDisk,
    pub store: Mailstore,
    pub inline: Inline,
    pub now: Millis,
    slot: u8,
    lives: u8,
}

pub fn open(disk: SimulatedDisk, slot: u8, life: u8, now: Millis) -> Node {
    let storage = Arc::new(Storage::open(Arc::new(disk.clone())).expect("the store opens"));
    let identity = NodeIdentity {
        cluster: [1; 16],
        slot: NodeSlot::new(slot).expect("a slot"),
        name: format!("node-{slot}"),
    };
    let mut counter = 0u8;
    let entropy = Box::new(move || {
        counter += 1;
        let mut name = [slot; 16];
        name[1] = life;
        name[2] = counter;
        name
    });
    let (store, inline) = inline::open(storage, identity, entropy, now).expect("the store is readable");
    Node { disk, store, inline, now, slot, lives: life }
}

impl Node {
    pub fn new(slot: u8) -> Node {
        open(SimulatedDisk::new(), slot, 0, Millis(START))
    }

    pub fn restart(self) -> Node {
        let (disk, slot, life, now) = (self.disk.clone(), self.slot, self.lives + 1, self.now);
        drop(self);
        open(disk, slot, life, now)
    }

    pub fn ask(&mut self, request: Request) -> Result<Reply, RequestError> {
        let slot = Arc::new(Mutex::new(None));
        let into = Arc::clone(&slot);
        self.store.submit(request, move |reply| *into.lock().expect("a lock") = Some(reply));
        self.run();
        slot.lock().expect("a lock").take().expect("an answer")
    }

    pub fn run(&mut self) {
        self.now = self.now.after(1);
        self.inline.run(self.now);
    }

    pub fn add_account(&mut self, name: &str) -> AccountId {
        self.ask(Request::AddAccount { name: name.into(), password: "hash".into() }).expect("added");
        AccountId::of_name(name)
    }

    pub fn inbox(&self, account: AccountId) -> MailboxId {
        MailboxId::of_default(account, "INBOX")
    }

    pub fn message(&self, octets: &[u8]) -> NewMessage {
        let mut writer = self.store.body_writer();
        writer.write(octets).expect("room");
        let mut scanner = Scanner::new();
        scanner.push(octets);
        NewMessage {
            body: writer.finish().expect("staged"),
            structure: Arc::new(scanner.finish()),
            flags: vec![],
            received: None,
        }
    }

    pub fn deliver(&mut self, account: AccountId, octets: &[u8]) -> bool {
        let message = self.message(octets);
        match self.ask(Request::Deliver {
            account,
            mailbox: "INBOX".into(),
            sender: "a@example.com".into(),
            message,
        }) {
            Ok(Reply::Delivered { duplicate }) => !duplicate,
            other => panic!("a delivery was answered with {other:?}"),
        }
    }

    pub fn look(&mut self, account: AccountId, mailbox: MailboxId) -> mailstore::Look {
        match self.ask(Request::Look { account, mailbox, lasting: true }) {
            Ok(Reply::Looked(look)) => look,
            other => panic!("a look was answered with {other:?}"),
        }
    }

    /// Passes on to `other` what nodes told of themselves.
    pub fn tell(&mut self, other: &mut Node) {
        loop {
            let tellings = self.store.notices_since(&other.store.heard(), 4 * 1024).expect("readable");
            if tellings.is_empty() {
                return;
            }
            other.hear(tellings).expect("a good telling");
        }
    }

    pub fn hear(&mut self, tellings: Vec<Telling>) -> Result<(), HearError> {
        let slot = Arc::new(Mutex::new(None));
        let into = Arc::clone(&slot);
        self.store.hear(tellings, move |result| *into.lock().expect("a lock") = Some(result));
        self.run();
        slot.lock().expect("a lock").take().expect("an answer")
    }

    /// Brings everything of `self` to `other`: notices, records, then bodies.
    pub fn sync_to(&mut self, other: &mut Node) {
        self.tell(other);
        loop {
            let delta = self.store.delta_since(&other.store.vector(), 64 * 1024).expect("readable");
            if delta.is_empty() {
                break;
            }
            other.store.apply_delta(delta, |applied| {
                applied.expect("a good delta");
            });
            other.run();
        }
        for (hash, size) in other.store.wanted_bodies(1000).expect("readable") {
            let Ok(body) = self.store.body(&hash) else { continue };
            let mut writer = other.store.body_writer();
            writer.write(&body.read(0..size).expect("readable")).expect("room");
            other.store.add_body(writer.finish().expect("staged"), |kept| kept.expect("kept"));
            other.run();
        }
    }
}

pub fn mail(number: u32) -> Vec<u8> {
    format!("From: a@example.com\r\nMessage-ID: <{number}@example.com>\r\nSubject: {number}\r\n\r\nbody {number}\r\n").into_bytes()
}
