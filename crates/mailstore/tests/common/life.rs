//! A busy life of two nodes that share an account, from one seed.
#![allow(dead_code, reason = "each test file uses a part of it")]

use peerpost_mailstore as mailstore;

use mailstore::crdt::account::Account;
use mailstore::crdt::clock::Millis;
use mailstore::crdt::flag::{Flag, FlagChange};
use mailstore::crdt::identity::{AccountId, EntryId, MailboxId};
use mailstore::{Look, Reply, Request, Storage, rows};

use crate::common::{Node, mail};

pub struct Life {
    pub nodes: Vec<Node>,
    pub account: AccountId,
    looks: Vec<Vec<Look>>,
    random: u64,
    mails: u32,
    names: u32,
}

impl Life {
    pub fn new(seed: u64) -> Life {
        let (mut a, mut b) = (Node::new(0), Node::new(1));
        let account = a.add_account("alice");
        a.sync_to(&mut b);
        let looks = vec![vec![], vec![]];
        Life {
            nodes: vec![a, b],
            account,
            looks,
            random: seed.wrapping_mul(2).wrapping_add(1),
            mails: 0,
            names: 0,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 33) as usize) % bound.max(1)
    }

    pub fn step(&mut self) {
        let node = self.below(2);
        match self.below(24) {
            0..=4 => self.deliver(node),
            5 => self.deliver_to_both(),
            6..=7 => self.append(node),
            8..=10 => self.change_flags(node),
            11..=12 => self.expunge(node),
            13 => self.relocate(node, true),
            14 => self.relocate(node, false),
            15 => self.change_mailboxes(node),
            16..=17 => self.look(node),
            18 => self.look_away(node),
            19..=20 => self.sync(node),
            21..=22 => self.wait(),
            _ => self.restart(node),
        }
    }

    pub fn mailboxes(&self, node: usize) -> Vec<(String, MailboxId)> {
        let image =
            rows::read_account(&self.nodes[node].store.storage().reader().expect("readable"), self.account);
        let image = image.expect("readable").expect("known");
        let account = Account::load(self.account, crdt::identity::NodeSlot::FIRST, image, Millis(0));
        account.units().iter().map(|unit| (unit.name.clone(), unit.public)).collect()
    }

    fn any_mailbox(&mut self, node: usize) -> (String, MailboxId) {
        let mailboxes = self.mailboxes(node);
        let place = if self.below(2) == 0 { 0 } else { self.below(mailboxes.len()) };
        let mut mailboxes = mailboxes;
        mailboxes.sort_by_key(|(name, _)| (name != "INBOX", name.clone()));
        mailboxes.swap_remove(place)
    }

    fn ask(&mut self, node: usize, request: Request) -> Option<Reply> {
        self.nodes[node].ask(request).ok()
    }

    fn any_entries(&mut self, node: usize, mailbox: MailboxId) -> Vec<EntryId> {
        let look = Request::Look { account: self.account, mailbox, lasting: false };
        let Some(Reply::Looked(look)) = self.ask(node, look) else { return vec![] };
        let entries: Vec<EntryId> = look.view.borrow().rows.iter().map(|row| row.facts.entry).collect();
        entries.into_iter().filter(|_| self.below(3) == 0).collect()
    }

    fn deliver(&mut self, node: usize) {
        self.mails += 1;
        let octets = mail(self.mails);
        self.nodes[node].deliver(self.account, &octets);
    }

    fn deliver_to_both(&mut self) {
        self.mails += 1;
        let octets = mail(self.mails);
        self.nodes.iter_mut().for_each(|node| {
            node.deliver(self.account, &octets);
        });
    }

    fn append(&mut self, node: usize) {
        let (_, mailbox) = self.any_mailbox(node);
        self.mails += 1;
        let mut message = self.nodes[node].message(&mail(self.mails));
        message.flags = vec![Flag::Seen, Flag::parse("$Label").expect("a keyword")];
        self.ask(node, Request::Append { account: self.account, mailbox, messages: vec![message] });
    }

    fn change_flags(&mut self, node: usize) {
        let (_, mailbox) = self.any_mailbox(node);
        let entries = self.any_entries(node, mailbox);
        let flags = ["\\Seen", "\\Flagged", "\\Deleted", "$Work"];
        let flags = vec![Flag::parse(flags[self.below(4)]).expect("a flag")];
        let change = [FlagChange::Add, FlagChange::Remove, FlagChange::Replace][self.below(3)];
        let account = self.account;
        self.ask(node, Request::Store { account, mailbox, entries, change, flags, unchanged_since: None });
    }

    fn expunge(&mut self, node: usize) {
        let (_, mailbox) = self.any_mailbox(node);
        let (account, entries) = (self.account, self.any_entries(node, mailbox));
        let (change, flags) = (FlagChange::Add, vec![Flag::Deleted]);
        let store = Request::Store {
            account,
            mailbox,
            entries: entries.clone(),
            change,
            flags,
            unchanged_since: None,
        };
        self.ask(node, store);
        self.ask(node, Request::Expunge { account, mailbox, entries });
    }

    fn relocate(&mut self, node: usize, is_move: bool) {
        let ((_, from), (_, to)) = (self.any_mailbox(node), self.any_mailbox(node));
        let (account, entries) = (self.account, self.any_entries(node, from));
        self.ask(
            node,
            match is_move {
                true => Request::Move { account, from, entries, to },
                false => Request::Copy { account, from, entries, to },
            },
        );
    }

    fn change_mailboxes(&mut self, node: usize) {
        let account = self.account;
        let (name, mailbox) = self.any_mailbox(node);
        self.names += 1;
        let new = ["Lists", "Lists/rust", "Family"][self.below(3)].to_owned();
        let request = match self.below(3) {
            0 => Request::CreateMailbox { account, name: new, special_use: None },
            1 if name != "INBOX" => {
                Request::RenameMailbox { account, from: name, to: format!("R{}", self.names) }
            }
            2 if name != "INBOX" => Request::DeleteMailbox { account, mailbox },
            _ if self.names.is_multiple_of(3) => Request::Annotate {
                account,
                mailbox: self.names.is_multiple_of(2).then_some(mailbox),
                changes: vec![("/shared/comment".to_owned(), Some(new.into_bytes()))],
            },
            _ => Request::Subscribe { account, name: new, subscribed: self.names.is_multiple_of(2) },
        };
        self.ask(node, request);
    }

    fn look(&mut self, node: usize) {
        let (_, mailbox) = self.any_mailbox(node);
        if self.looks[node].len() < 3 {
            let look = Request::Look { account: self.account, mailbox, lasting: true };
            if let Some(Reply::Looked(look)) = self.ask(node, look) {
                self.looks[node].push(look);
            }
        }
    }

    fn look_away(&mut self, node: usize) {
        self.looks[node].pop();
        self.nodes[node].run();
    }

    pub fn sync(&mut self, from: usize) {
        let [a, b] = &mut self.nodes[..] else { panic!("two nodes") };
        if from == 0 { a.sync_to(b) } else { b.sync_to(a) }
    }

    pub fn wait(&mut self) {
        for node in &mut self.nodes {
            node.now = node.now.after(2_500);
            node.run();
        }
    }

    fn restart(&mut self, node: usize) {
        self.looks[node].clear();
        let old = self.nodes.remove(node);
        self.nodes.insert(node, old.restart());
    }

    pub fn storage(&self, node: usize) -> &Storage {
        self.nodes[node].store.storage()
    }

    /// Both hear of everything, and have time to place it.
    pub fn merge(&mut self) {
        for _ in 0..3 {
            self.sync(0);
            self.sync(1);
            self.wait();
        }
    }
}
