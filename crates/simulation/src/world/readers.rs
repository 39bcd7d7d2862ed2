//! What clients are shown: sessions that stay, STATUS, pictures for POP3, and caches that are brought up to date.

use std::sync::Arc;

use crdt::identity::{BodyHash, MailboxId};
use crdt::operation::Member;
use crdt::replica::{CONFIRMATION_MILLISECONDS, Verdict};
use crdt::vector::Vector;
use crdt::view::{Facts, MailboxView};
use mailstore::Look;

use super::{Violation, World};
use crate::client::cache::{Cache, Since};
use crate::client::pop::Pop;
use crate::client::{Command, Session, octets};
use crate::ledger::Moved;

/// A node that announces something, or meets another, has told what it announced to those it is linked to within this time, in
/// milliseconds, times the distance.
pub(super) const ANNOUNCING_MILLISECONDS: u64 = 1_500;
/// A node does within this time what it could not do before its start was confirmed, in milliseconds.
const CONFIRMING_MILLISECONDS: u64 = 500;

impl World {
    /// A client selected a mailbox, asked for its STATUS, or logged in by POP3.
    pub(super) fn looked(
        &mut self,
        node: usize,
        client: usize,
        look: Look,
        lasting: bool,
    ) -> Result<(), Violation> {
        let view = look.view.borrow().clone();
        let name = self.name_of(node, view.mailbox).unwrap_or_default();
        if !name.is_empty() {
            let records = view.validity.map(|validity| self.records_of_founding(node, validity));
            let records = records.unwrap_or_default();
            self.counts.bumps += u64::from(self.ledger.selected(node, &name, &view, &records)?);
        }
        if lasting {
            let (validity, told_at) = (view.validity, self.now);
            let put_back = self.nodes[node].put_back;
            let session =
                Session { look, name, told: None, told_at, vector: Vector::new(), validity, put_back };
            self.clients[client].sessions.insert(view.mailbox, session);
        } else if self.clients[client].pops && self.clients[client].pop.is_none() {
            self.ledger.listed(&view)?;
            self.clients[client].pop = Some(Pop::new(&look));
            self.polls.push((client, look));
        } else {
            self.counts.polls += 1;
            self.polls.push((client, look));
        }
        // What it shows is looked at with all other sessions, once every answer of this commit was heard.
        Ok(())
    }

    /// Every client of a node is told what its mailboxes look like now.
    pub(super) fn look_around(&mut self, node: usize) -> Result<(), Violation> {
        for (client, look) in std::mem::take(&mut self.polls) {
            let view = look.view.borrow().clone();
            if let Some(name) = self.name_of(node, view.mailbox) {
                self.observe(node, &name, &view)?;
                self.compare_numbers(node, client, &name, &view)?;
            }
        }
        for client in 0..self.clients.len() {
            if self.clients[client].node != node {
                continue;
            }
            let open: Vec<MailboxId> = self.clients[client].sessions.keys().copied().collect();
            for mailbox in open {
                self.look_at(node, client, mailbox)?;
            }
        }
        Ok(())
    }

    fn look_at(&mut self, node: usize, client: usize, mailbox: MailboxId) -> Result<(), Violation> {
        let Some(session) = self.clients[client].sessions.get_mut(&mailbox) else { return Ok(()) };
        let first = session.told.is_none();
        if !first && !session.look.view.has_changed().unwrap_or(false) {
            return Ok(());
        }
        let view = session.look.view.borrow_and_update().clone();
        let name = session.name.clone();
        let ends = session.validity != view.validity || view.deleted || view.mailbox != mailbox;
        if ends {
            // As a session does: the client is told goodbye, and nothing of the new epoch under the old one.
            self.note(format!("c{client} n{node} BYE: {name} has changed"));
            self.clients[client].close(mailbox);
            self.kick(node);
            return Ok(());
        }
        let vector = self.nodes[node].life.as_ref().map(|life| life.store.vector()).unwrap_or_default();
        session.told = Some(Arc::clone(&view));
        (session.told_at, session.vector) = (self.now, vector);
        self.observe(node, &name, &view)?;
        if first { self.resynchronise(node, client, &name, &view) } else { Ok(()) }
    }

    /// A client comes back to a mailbox that it remembers, on the same node or on another.
    fn resynchronise(
        &mut self,
        node: usize,
        client: usize,
        name: &str,
        view: &MailboxView,
    ) -> Result<(), Violation> {
        let Some(cache) = self.clients[client].caches.remove(name) else { return Ok(()) };
        let Some(life) = &self.nodes[node].life else { return Ok(()) };
        let brought = cache.view.highest_modseq.bits();
        let modseq = life.store.modseq_from_client(view, brought);
        let since = Since { modseq, elsewhere: modseq != brought };
        let moved = self.moved(node, &cache, view.mailbox);
        self.counts.resyncs += 1;
        self.counts.moved_resyncs += u64::from(cache.node != node);
        self.counts.merged_resyncs += u64::from(cache.node != node && moved.merged);
        let place = format!("c{client} n{node} {name}, known from n{}", cache.node);
        if cache.node != node {
            let rows = cache.view.rows.len();
            self.note(format!("{place}: resynchronises {rows} messages since {modseq}"));
        }
        self.ledger.resynchronised(&place, &cache, view, since, moved)?;
        self.ledger.numbers(&place, &cache, view, moved)
    }

    /// What a STATUS tells, beside what the client remembers.
    fn compare_numbers(
        &mut self,
        node: usize,
        client: usize,
        name: &str,
        view: &MailboxView,
    ) -> Result<(), Violation> {
        let Some(cache) = self.clients[client].caches.get(name) else { return Ok(()) };
        let moved = self.moved(node, cache, view.mailbox);
        let place = format!("c{client} n{node} {name}, known from n{}", cache.node);
        self.ledger.numbers(&place, cache, view, moved)
    }

    /// What a node has of another that told a client something.
    fn moved(&self, node: usize, cache: &Cache, mailbox: MailboxId) -> Moved {
        let Some(life) = &self.nodes[node].life else { return Moved::default() };
        let merged = life.store.vector().covers(&cache.vector);
        let heard = self.heard.get(&(node, cache.node));
        let announcing = self.settings.distance * ANNOUNCING_MILLISECONDS;
        let heard = heard.is_some_and(|at| *at >= cache.told_at.after(announcing));
        let whole = merged && self.wanted(node).is_ok_and(|wanted| wanted.is_empty());
        // What a node told before its disk was put back it may not know.
        let remembered = cache.put_back == self.nodes[cache.node].put_back && self.is_settled(node);
        let announced = remembered && (cache.node == node || (heard && whole));
        let without_octets =
            self.mailboxes_without_octets(node).is_ok_and(|mailboxes| mailboxes.contains(&mailbox));
        Moved { merged, whole, announced, without_octets }
    }

    /// Whether a node shows what is new: not until its start is confirmed, or was waited for long enough; and one whose disk was
    /// put back not before it lives in another slot (rule 8).
    fn is_settled(&self, node: usize) -> bool {
        let state = &self.nodes[node];
        let Some(life) = &state.life else { return false };
        let verdicts = life.store.verdicts();
        let confirmed = |member: &Member| {
            member.key == state.key() || verdicts.get(&member.slot) == Some(&Verdict::Confirmed)
        };
        let waited = self.now >= state.started.after(CONFIRMATION_MILLISECONDS + CONFIRMING_MILLISECONDS);
        let by_all = life.store.cluster().borrow().living().all(confirmed);
        state.is_member() && !self.is_put_back(node) && (waited || by_all)
    }

    /// The bodies that a node waits for, those left out that no disk holds any more.
    pub(super) fn wanted(&self, node: usize) -> Result<Vec<BodyHash>, String> {
        let Some(life) = &self.nodes[node].life else { return Err("it is gone".into()) };
        let wanted = life.store.wanted_bodies(usize::MAX).map_err(|error| error.to_string())?;
        let wanted = wanted.into_iter().map(|(body, _)| body);
        Ok(wanted.filter(|body| !self.ledger.is_body_lost(body)).collect())
    }

    /// A client reads a message that it was told of, even where it is gone by now.
    pub(super) fn read(&mut self, node: usize, client: usize, facts: &Facts) -> Result<(), Violation> {
        let Some(life) = &self.nodes[node].life else { return Ok(()) };
        let read = life.store.find_body(&facts.body).map_err(|error| error.to_string());
        let read = read.and_then(|body| body.ok_or_else(|| "it is not here".to_owned()));
        let read = read.and_then(|body| body.read(0..body.len()).map_err(|error| error.to_string()));
        self.counts.reads += 1;
        if self.nodes[node].disk.has_crashed() {
            return self.check_power(node);
        }
        let message = self.ledger.message(&facts.body);
        let text = message.map_or("m?".to_owned(), |message| message.to_string());
        let fail = |why: String| {
            let what = format!("c{client} n{node} cannot read {text}: {why}");
            Err(Violation::new("what was shown can be read", what, [text.clone()]))
        };
        match read {
            Ok(octets) if message.is_some_and(|message| octets == self::octets(self.seed, message)) => Ok(()),
            Ok(octets) => fail(format!("{} other octets", octets.len())),
            Err(why) => fail(why),
        }
    }

    /// A POP3 client goes.
    pub(super) fn hang_up(&mut self, client: usize) {
        self.clients[client].pop = None;
        self.counts.pop_sessions += 1;
    }

    /// The names that a command gives mailboxes or UIDVALIDITYs to, as far as its node knows.
    pub(super) fn arrivals(&self, node: usize, command: &Command) -> Vec<String> {
        let there = self.mailboxes(node);
        let (name, mut names) = match command {
            Command::Create { name } => (name, vec![]),
            Command::Rename { from, to } => {
                let below = there.iter().filter_map(|(name, _)| name.strip_prefix(from.as_str()));
                let below = below.filter(|rest| rest.starts_with('/'));
                (to, below.map(|rest| format!("{to}{rest}")).collect())
            }
            Command::Bump { name } => return vec![name.clone()],
            _ => return vec![],
        };
        names.push(name.clone());
        let superiors = name.match_indices('/').filter_map(|(end, _)| name.get(..end));
        let missing = superiors.filter(|superior| there.iter().all(|(name, _)| name != superior));
        names.extend(missing.map(str::to_owned));
        names
    }
}
