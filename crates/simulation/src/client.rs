//! Clients: MTAs that deliver, sessions that look, append, flag, expunge, copy and move, and those that read by POP3.

pub(crate) mod cache;
pub(crate) mod pop;

use std::collections::BTreeMap;
use std::sync::Arc;

use crdt::clock::Millis;
use crdt::flag::{Flag, FlagChange};
use crdt::identity::{EntryId, MailboxId, Validity};
use crdt::vector::Vector;
use crdt::view::{Facts, MailboxView, Row};
use mailstore::Look;

use crate::chance::Chance;
use cache::Cache;
use pop::Pop;

/// How often it is an operator who asks for something, of a hundred times.
const OPERATOR_BUMPS: u64 = 15;

/// The number of a message: its octets follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u32);

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "m{}", self.0)
    }
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Deliver {
        message: Token,
        mailbox: String,
    },
    Append {
        messages: Vec<Token>,
        mailbox: MailboxId,
        flags: Vec<Flag>,
    },
    Store {
        mailbox: MailboxId,
        entries: Vec<EntryId>,
        change: FlagChange,
        flag: Flag,
    },
    Expunge {
        mailbox: MailboxId,
        entries: Vec<EntryId>,
    },
    Copy {
        from: MailboxId,
        entries: Vec<EntryId>,
        to: MailboxId,
    },
    Move {
        from: MailboxId,
        entries: Vec<EntryId>,
        to: MailboxId,
    },
    /// A message takes the place of another one.
    Replace {
        from: MailboxId,
        entry: EntryId,
        to: MailboxId,
        message: Token,
    },
    Look {
        mailbox: MailboxId,
        lasting: bool,
    },
    Create {
        name: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Delete {
        mailbox: MailboxId,
        name: String,
    },
    /// An operator gives a mailbox a new UIDVALIDITY.
    Bump {
        name: String,
    },
}

/// A lasting look, and what its client was told last.
pub(crate) struct Session {
    pub(crate) look: Look,
    /// The name that the client selected.
    pub(crate) name: String,
    pub(crate) told: Option<Arc<MailboxView>>,
    /// When, and what the node had then.
    pub(crate) told_at: Millis,
    pub(crate) vector: Vector,
    /// The UIDVALIDITY that the client was told; a session ends when it changes.
    pub(crate) validity: Option<Validity>,
    /// How often the disk of the node had been put back when it began.
    pub(crate) put_back: u32,
}

pub(crate) struct Client {
    pub(crate) node: usize,
    /// Whether it goes to another node now and then.
    pub(crate) roams: bool,
    /// Whether it reads by POP3.
    pub(crate) pops: bool,
    /// What it asked and was not answered yet.
    pub(crate) waiting: Option<(u64, Command)>,
    pub(crate) last_ticket: u64,
    pub(crate) sessions: BTreeMap<MailboxId, Session>,
    /// What it remembers of mailboxes that are not open, by name.
    pub(crate) caches: BTreeMap<String, Cache>,
    pub(crate) pop: Option<Pop>,
    /// The names that its command gives mailboxes to.
    pub(crate) arriving: Vec<String>,
    /// Deliveries whose outcome it does not know, or that were refused for a while: offered again, anywhere.
    pub(crate) retries: Vec<(Token, String)>,
    pub(crate) chance: Chance,
}

/// What a client could do next.
pub(crate) enum Wish {
    Command(Command),
    /// A message that has no number yet.
    DeliverNew(String),
    AppendNew {
        count: u64,
        mailbox: MailboxId,
        flags: Vec<Flag>,
    },
    ReplaceByNew {
        from: MailboxId,
        entry: EntryId,
        to: MailboxId,
    },
    LookAway(MailboxId),
    /// Reads the octets of a message that it was told of.
    Read(Arc<Facts>),
    /// Ends a POP3 session.
    HangUp,
    Roam,
    Nothing,
}

impl Client {
    pub(crate) fn new(node: usize, mut chance: Chance) -> Self {
        let (roams, pops) = (chance.percent(35), chance.percent(12));
        Client {
            node,
            roams,
            pops,
            waiting: None,
            last_ticket: 0,
            sessions: BTreeMap::new(),
            caches: BTreeMap::new(),
            pop: None,
            arriving: vec![],
            retries: vec![],
            chance,
        }
    }

    /// What this client wants now, given the mailboxes of the account by name.
    pub(crate) fn wish(&mut self, mailboxes: &[(String, MailboxId)], mailboxes_change: bool) -> Option<Wish> {
        if self.pops && self.roams && self.pop.is_none() && self.chance.percent(20) {
            return Some(Wish::Roam);
        }
        if self.pops && self.chance.percent(80) {
            return pop::wish(&mut self.pop, mailboxes, &mut self.chance);
        }
        let unlooked: Vec<MailboxId> =
            mailboxes.iter().map(|(_, id)| *id).filter(|id| !self.sessions.contains_key(id)).collect();
        let selects = self.sessions.is_empty() || self.chance.percent(12);
        if selects && let Some(mailbox) = self.chance.pick(&unlooked) {
            return Some(Wish::Command(Command::Look { mailbox: *mailbox, lasting: true }));
        }
        if !self.retries.is_empty() && self.chance.percent(50) {
            let at = self.chance.index(self.retries.len());
            let (message, mailbox) = self.retries.swap_remove(at);
            return Some(Wish::Command(Command::Deliver { message, mailbox }));
        }
        match self.chance.below(100) {
            0..30 => {
                let name = if self.chance.percent(80) { "INBOX" } else { "Work" };
                Some(Wish::DeliverNew(name.into()))
            }
            30..42 => {
                let mailbox = self.any(mailboxes)?;
                let flags = if self.chance.percent(30) { vec![Flag::Seen] } else { vec![] };
                Some(Wish::AppendNew { count: self.chance.between(1, 3), mailbox, flags })
            }
            42..44 => self.wish_to_replace(mailboxes),
            44..80 => self.wish_for_messages(mailboxes).map(Wish::Command),
            80..84 => self.wish_to_read(),
            84..90 => Some(Wish::Command(Command::Look { mailbox: self.any(mailboxes)?, lasting: false })),
            90..94 => {
                let open: Vec<MailboxId> = self.sessions.keys().copied().collect();
                self.chance.pick(&open).map(|mailbox| Wish::LookAway(*mailbox))
            }
            94 if mailboxes_change && self.chance.percent(OPERATOR_BUMPS) => {
                let (name, _) = self.chance.pick(mailboxes)?.clone();
                Some(Wish::Command(Command::Bump { name }))
            }
            94..97 if mailboxes_change => Some(Wish::Command(self.wish_for_mailbox(mailboxes))),
            97.. if self.roams => Some(Wish::Roam),
            _ => None,
        }
    }

    fn any(&mut self, mailboxes: &[(String, MailboxId)]) -> Option<MailboxId> {
        let at = self.chance.index(mailboxes.len());
        mailboxes.get(at).map(|(_, id)| *id)
    }

    /// Mailboxes other than the default ones come, are renamed and go.
    fn wish_for_mailbox(&mut self, mailboxes: &[(String, MailboxId)]) -> Command {
        let names = ["Work", "Lists", "Work/Old", "Done"];
        let mut name = || (*self.chance.pick(&names).unwrap_or(&"Work")).to_owned();
        let (from, to) = (name(), name());
        let there = mailboxes.iter().find(|(name, _)| *name == from).map(|(_, id)| *id);
        match (there, self.chance.below(100)) {
            (Some(mailbox), 0..35) => Command::Delete { mailbox, name: from },
            (Some(_), 35..75) if from != to => Command::Rename { from, to },
            _ => Command::Create { name: from },
        }
    }

    /// A command over messages that this client was told of.
    fn wish_for_messages(&mut self, mailboxes: &[(String, MailboxId)]) -> Option<Command> {
        let told: Vec<(MailboxId, Arc<MailboxView>)> = self
            .sessions
            .iter()
            .filter_map(|(id, session)| Some((*id, session.told.clone()?)))
            .filter(|(_, view)| !view.rows.is_empty())
            .collect();
        let (mailbox, view) = self.chance.pick(&told)?.clone();
        let deleted = |row: &&Row| row.flags.contains(&Flag::Deleted);
        match self.chance.below(10) {
            0..6 => {
                let flags = [Flag::Seen, Flag::Flagged, Flag::Deleted, Flag::Answered, Flag::parse("$Todo")?];
                let flag = self.chance.pick(&flags)?.clone();
                let change = match self.chance.below(10) {
                    0..7 => FlagChange::Add,
                    7..9 => FlagChange::Remove,
                    _ => FlagChange::Replace,
                };
                Some(Command::Store { mailbox, entries: self.some(view.rows.iter())?, change, flag })
            }
            6..8 => {
                let entries = self.some(view.rows.iter().filter(deleted))?;
                Some(Command::Expunge { mailbox, entries })
            }
            8 => {
                let entries = self.some(view.rows.iter())?;
                Some(Command::Copy { from: mailbox, entries, to: self.any(mailboxes)? })
            }
            _ => {
                let entries = self.some(view.rows.iter())?;
                let to = self.any(mailboxes).filter(|to| *to != mailbox)?;
                Some(Command::Move { from: mailbox, entries, to })
            }
        }
    }

    /// Drafts are replaced where they are, and when they are sent.
    fn wish_to_replace(&mut self, mailboxes: &[(String, MailboxId)]) -> Option<Wish> {
        let told: Vec<(MailboxId, EntryId)> = self
            .sessions
            .iter()
            .filter_map(|(id, session)| Some((*id, session.told.as_ref()?)))
            .flat_map(|(id, view)| view.rows.iter().map(move |row| (id, row.facts.entry)))
            .collect();
        let (from, entry) = *self.chance.pick(&told)?;
        let to = if self.chance.percent(60) { from } else { self.any(mailboxes)? };
        Some(Wish::ReplaceByNew { from, entry, to })
    }

    fn wish_to_read(&mut self) -> Option<Wish> {
        let told: Vec<&MailboxView> =
            self.sessions.values().filter_map(|session| session.told.as_deref()).collect();
        let rows = &self.chance.pick(&told)?.rows;
        rows.at(self.chance.index(rows.len())).map(|row| Wish::Read(Arc::clone(&row.facts)))
    }

    /// Up to four entries; none where there is none.
    fn some<'a>(&mut self, rows: impl Iterator<Item = &'a Row>) -> Option<Vec<EntryId>> {
        let mut entries: Vec<EntryId> = rows.map(|row| row.facts.entry).collect();
        let count = self.chance.between(1, 4);
        let mut chosen = Vec::new();
        while !entries.is_empty() && (chosen.len() as u64) < count {
            let at = self.chance.index(entries.len());
            chosen.push(entries.swap_remove(at));
        }
        (!chosen.is_empty()).then_some(chosen)
    }

    /// Ends a session; what it was told is remembered.
    pub(crate) fn close(&mut self, mailbox: MailboxId) {
        let Some(session) = self.sessions.remove(&mailbox) else { return };
        if let Some(view) = session.told {
            let (told_at, vector, put_back) = (session.told_at, session.vector, session.put_back);
            self.caches.insert(session.name, Cache { view, node: self.node, put_back, told_at, vector });
        }
    }

    /// Ends everything that belonged to a connection; gives the command that was never answered.
    pub(crate) fn disconnect(&mut self) -> Option<Command> {
        let open: Vec<MailboxId> = self.sessions.keys().copied().collect();
        open.into_iter().for_each(|mailbox| self.close(mailbox));
        self.pop = None;
        self.waiting.take().map(|(_, command)| command)
    }
}

/// The octets of a message.
pub(crate) fn octets(seed: u64, message: Token) -> Vec<u8> {
    let mut chance = Chance::new(seed ^ (u64::from(message.0) << 32));
    let mut text = format!(
        "From: a{0}@example.com\r\nTo: alice@example.com\r\nMessage-ID: <{0}.{seed}@example.com>\r\nSubject: message {0}\r\n\r\n",
        message.0
    )
    .into_bytes();
    // Most are small; some are of several pieces and arrive after smaller ones that left later.
    let lines = match chance.below(100) {
        0..85 => chance.between(1, 20),
        85..96 => chance.between(100, 600),
        _ => chance.between(1_000, 3_000),
    };
    for line in 0..lines {
        text.extend(
            format!("line {line} of message {}: {:016x}{:016x}\r\n", message.0, chance.next(), line).bytes(),
        );
    }
    text
}
