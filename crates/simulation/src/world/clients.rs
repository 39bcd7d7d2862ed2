//! What clients ask of the nodes, and what they are answered and shown.

use std::sync::Arc;

use crdt::flag::Flag;
use crdt::identity::{MailboxId, NodeSlot, SLOTS, Validity};
use crdt::view::MailboxView;
use mailstore::{NewMessage, Reply, Request, RequestError};
use message::Scanner;

use super::{Event, Violation, World};
use crate::client::{Command, Token, Wish, octets};
use crate::ledger::Records;

/// How long a client waits before it knocks at a dead node again, in milliseconds.
const KNOCK_MILLISECONDS: u64 = 400;

impl World {
    /// A client does its next thing, and thinks.
    pub(super) fn wake(&mut self, client: usize) -> Result<(), Violation> {
        if self.resting {
            return Ok(());
        }
        let mean = self.settings.thinking_milliseconds;
        let pause = self.clients[client].chance.between(1, mean * 2);
        let node = self.clients[client].node;
        if self.nodes[node].life.is_none() {
            self.knock_elsewhere(client);
            self.schedule(KNOCK_MILLISECONDS, Event::Wake { client });
            return Ok(());
        }
        self.schedule(pause, Event::Wake { client });
        if self.clients[client].waiting.is_some() {
            return Ok(());
        }
        let mailboxes = self.mailboxes(node);
        let changing = self.settings.mailboxes_change;
        let wish = self.clients[client].wish(&mailboxes, changing);
        if let Some(entry) = self.clients[client].pop.as_ref().and_then(|pop| pop.mistaken) {
            let message = self.ledger.names(&[entry]);
            let what = format!("c{client} n{node}: a number of {message} means another message");
            return Err(Violation::new("POP3 numbers mean what was listed", what, [message]));
        }
        match wish {
            None => Ok(()),
            Some(Wish::Command(command)) => self.give(client, command),
            Some(Wish::DeliverNew(mailbox)) => {
                let message = self.compose(true);
                self.give(client, Command::Deliver { message, mailbox })
            }
            Some(Wish::AppendNew { count, mailbox, flags }) => {
                let messages = (0..count).map(|_| self.compose(false)).collect();
                self.give(client, Command::Append { messages, mailbox, flags })
            }
            Some(Wish::ReplaceByNew { from, entry, to }) => {
                let message = self.compose(false);
                self.give(client, Command::Replace { from, entry, to, message })
            }
            Some(Wish::LookAway(mailbox)) => {
                self.clients[client].close(mailbox);
                self.kick(node);
                Ok(())
            }
            Some(Wish::Read(facts)) => self.read(node, client, &facts),
            Some(Wish::HangUp) => {
                self.hang_up(client);
                Ok(())
            }
            Some(Wish::Nothing) => Ok(()),
            Some(Wish::Roam) => {
                self.roam(client);
                Ok(())
            }
        }
    }

    fn compose(&mut self, delivered: bool) -> Token {
        let seed = self.seed;
        self.ledger.compose(delivered, |message| octets(seed, message))
    }

    fn knock_elsewhere(&mut self, client: usize) {
        if self.clients[client].roams || self.nodes[self.clients[client].node].gone {
            self.roam(client);
        }
    }

    /// Goes to another node.
    fn roam(&mut self, client: usize) {
        let from = self.clients[client].node;
        self.clients[client].disconnect();
        self.kick(from);
        let others = self.nodes.len() - 1;
        let to = (from + 1 + self.clients[client].chance.index(others)) % self.nodes.len();
        self.clients[client].node = to;
        self.note(format!("c{client} goes from n{from} to n{to}"));
    }

    /// Gives a command to the client's node.
    fn give(&mut self, client: usize, command: Command) -> Result<(), Violation> {
        let node = self.clients[client].node;
        let text = self.describe(node, &command);
        self.note(format!("c{client} n{node} {text}"));
        self.counts.commands += 1;
        self.ledger.asked(&command);
        let arriving = self.arrivals(node, &command);
        self.ledger.arrives(&arriving);
        self.clients[client].arriving = arriving;
        match self.request(node, &command) {
            Ok(request) => {
                let state = &mut self.clients[client];
                state.last_ticket += 1;
                state.waiting = Some((state.last_ticket, command));
                let ticket = state.last_ticket;
                if let Some(life) = &self.nodes[node].life {
                    life.submit(client, ticket, request);
                }
                self.kick(node);
            }
            Err(why) => {
                // Its octets were not even taken in.
                self.note(format!("c{client} is refused: {why}"));
                self.refused(client, command);
            }
        }
        self.check_power(node)
    }

    fn refused(&mut self, client: usize, command: Command) {
        self.ledger.refused(&command);
        let arriving = std::mem::take(&mut self.clients[client].arriving);
        self.ledger.does_not_arrive(&arriving);
        if let Command::Deliver { message, mailbox } = command {
            self.clients[client].retries.push((message, mailbox));
        }
    }

    fn request(&self, node: usize, command: &Command) -> Result<Request, String> {
        let account = self.account;
        Ok(match command.clone() {
            Command::Deliver { message, mailbox } => Request::Deliver {
                account,
                mailbox,
                sender: "a@example.com".into(),
                message: self.take_in(node, message, vec![])?,
            },
            Command::Append { messages, mailbox, flags } => {
                let messages = messages.into_iter().map(|message| self.take_in(node, message, flags.clone()));
                Request::Append { account, mailbox, messages: messages.collect::<Result<_, _>>()? }
            }
            Command::Store { mailbox, entries, change, flag } => {
                Request::Store { account, mailbox, entries, change, flags: vec![flag], unchanged_since: None }
            }
            Command::Expunge { mailbox, entries } => Request::Expunge { account, mailbox, entries },
            Command::Copy { from, entries, to } => Request::Copy { account, from, entries, to },
            Command::Move { from, entries, to } => Request::Move { account, from, entries, to },
            Command::Replace { from, entry, to, message } => {
                let message = Box::new(self.take_in(node, message, vec![])?);
                Request::Replace { account, from, replaced: entry, to, message }
            }
            Command::Look { mailbox, lasting } => Request::Look { account, mailbox, lasting },
            Command::Create { name } => Request::CreateMailbox { account, name, special_use: None },
            Command::Rename { from, to } => Request::RenameMailbox { account, from, to },
            Command::Bump { name } => Request::Bump { account, mailbox: name },
            Command::Delete { mailbox, .. } => Request::DeleteMailbox { account, mailbox },
        })
    }

    fn take_in(&self, node: usize, message: Token, flags: Vec<Flag>) -> Result<NewMessage, String> {
        let octets = octets(self.seed, message);
        let life = self.nodes[node].life.as_ref().ok_or("the node is gone")?;
        let mut writer = life.store.body_writer();
        writer.write(&octets).map_err(|error| error.to_string())?;
        let mut scanner = Scanner::new();
        scanner.push(&octets);
        let body = writer.finish().map_err(|error| error.to_string())?;
        Ok(NewMessage { body, structure: Arc::new(scanner.finish()), flags, received: None })
    }

    /// A client hears what became of its command.
    pub(super) fn answered(
        &mut self,
        node: usize,
        client: usize,
        ticket: u64,
        result: Result<Reply, RequestError>,
    ) -> Result<(), Violation> {
        let waits = self.clients[client].waiting.as_ref().is_some_and(|(asked, _)| *asked == ticket);
        if !waits {
            return Ok(());
        }
        let Some((_, command)) = self.clients[client].waiting.take() else { return Ok(()) };
        match result {
            Err(why) => {
                self.note(format!("c{client} n{node} no: {why}"));
                self.refused(client, command);
                Ok(())
            }
            Ok(reply) => self.succeeded(node, client, &command, reply),
        }
    }

    fn succeeded(
        &mut self,
        node: usize,
        client: usize,
        command: &Command,
        reply: Reply,
    ) -> Result<(), Violation> {
        let target = match command {
            Command::Append { mailbox, .. } => Some(*mailbox),
            Command::Copy { to, .. } | Command::Move { to, .. } | Command::Replace { to, .. } => Some(*to),
            _ => None,
        };
        let target = target.and_then(|mailbox| self.name_of(node, mailbox));
        self.note(format!("c{client} n{node} ok: {}", describe_reply(&reply)));
        let records = self.records_behind(node, &reply);
        self.ledger.accepted_by(command, &reply, target.as_deref(), &records)?;
        match reply {
            Reply::Looked(look) => {
                let lasting = matches!(command, Command::Look { lasting: true, .. });
                self.looked(node, client, look, lasting)
            }
            Reply::Appended { view, .. } | Reply::Stored { view, .. } | Reply::View(view) => {
                self.show(node, &view)
            }
            Reply::Copied { source, .. } => self.show(node, &source),
            Reply::Replaced { source, .. } => {
                self.counts.replacements += 1;
                self.show(node, &source)
            }
            Reply::Done
            | Reply::Created(_)
            | Reply::Bumped(_)
            | Reply::Delivered { .. }
            | Reply::Usage { .. }
            | Reply::Watched(_) => Ok(()),
        }
    }

    /// The records that an answer stands on: what was there already may be another node's.
    fn records_behind(&self, node: usize, reply: &Reply) -> Records {
        let Some(life) = &self.nodes[node].life else { return vec![] };
        match reply {
            Reply::Delivered { duplicate: true } => life.store.vector().iter().collect(),
            Reply::Bumped(validity) => self.records_of_founding(node, *validity),
            _ => {
                let author = life.store.incarnation();
                vec![(author, life.store.vector().last(&author))]
            }
        }
    }

    /// The records of the lives that can have founded an epoch: its UIDVALIDITY names their slot.
    pub(super) fn records_of_founding(&self, node: usize, validity: Validity) -> Records {
        let Some(life) = &self.nodes[node].life else { return vec![] };
        let (cluster, vector) = (life.store.cluster(), life.store.vector());
        let by = |slot: NodeSlot| u32::from(slot.number()) == validity.0 % u32::from(SLOTS);
        let founders = cluster.borrow();
        let founders = founders.lives().filter(|(_, slot, _)| by(*slot));
        founders.map(|(life, ..)| (*life, vector.last(life))).collect()
    }

    /// A view that came with an answer.
    fn show(&mut self, node: usize, view: &MailboxView) -> Result<(), Violation> {
        match self.name_of(node, view.mailbox) {
            Some(name) => self.observe(node, &name, view),
            None => Ok(()),
        }
    }

    pub(super) fn observe(&mut self, node: usize, name: &str, view: &MailboxView) -> Result<(), Violation> {
        let vector = self.nodes[node].life.as_ref().map(|life| life.store.vector()).unwrap_or_default();
        if let Some(line) = self.ledger.observe(node, name, view, &vector)? {
            self.note(line);
        }
        Ok(())
    }

    /// The clients of a node that died lose what they held; MTAs will offer again what was not answered.
    pub(super) fn disconnect_clients(&mut self, node: usize) {
        for client in self.clients.iter_mut().filter(|client| client.node == node) {
            if let Some(Command::Deliver { message, mailbox }) = client.disconnect() {
                client.retries.push((message, mailbox));
            }
        }
    }

    fn describe(&self, node: usize, command: &Command) -> String {
        let name = |mailbox: &MailboxId| self.name_of(node, *mailbox).unwrap_or_else(|| mailbox.to_string());
        let names = |entries: &[_]| self.ledger.names(entries);
        match command {
            Command::Deliver { message, mailbox } => format!("delivers {message} to {mailbox}"),
            Command::Append { messages, mailbox, .. } => {
                let messages: Vec<String> = messages.iter().map(Token::to_string).collect();
                format!("appends {} to {}", messages.join(" "), name(mailbox))
            }
            Command::Store { mailbox, entries, change, flag } => {
                format!("stores {change:?} {flag} on {} in {}", names(entries), name(mailbox))
            }
            Command::Expunge { mailbox, entries } => {
                format!("expunges {} in {}", names(entries), name(mailbox))
            }
            Command::Copy { from, entries, to } => {
                format!("copies {} from {} to {}", names(entries), name(from), name(to))
            }
            Command::Move { from, entries, to } => {
                format!("moves {} from {} to {}", names(entries), name(from), name(to))
            }
            Command::Replace { from, entry, to, message } => {
                format!("replaces {} in {} by {message} in {}", names(&[*entry]), name(from), name(to))
            }
            Command::Look { mailbox, lasting } => {
                format!("{} {}", if *lasting { "selects" } else { "asks the status of" }, name(mailbox))
            }
            Command::Create { name } => format!("creates {name}"),
            Command::Rename { from, to } => format!("renames {from} to {to}"),
            Command::Delete { name, .. } => format!("deletes {name}"),
            Command::Bump { name } => format!("asks for a new UIDVALIDITY of {name}"),
        }
    }
}

fn describe_reply(reply: &Reply) -> String {
    match reply {
        Reply::Delivered { duplicate } => if *duplicate { "known" } else { "stored" }.into(),
        Reply::Appended { validity, uids, .. } => format!("appended as {validity}:{uids:?}"),
        Reply::Copied { validity, pairs, gone, .. } => {
            let uids: Vec<u32> = pairs.iter().map(|(_, uid)| uid.0).collect();
            format!("now {validity}:{uids:?}, {} gone", gone.len())
        }
        Reply::Stored { modified, gone, .. } => format!("{} modified, {} gone", modified.len(), gone.len()),
        Reply::Bumped(validity) => format!("UIDVALIDITY {validity}"),
        _ => "done".into(),
    }
}
