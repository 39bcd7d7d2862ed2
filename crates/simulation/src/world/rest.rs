//! The end: everything is mended, everybody looks at everything, and what then stands is compared.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crdt::identity::MailboxId;
use crdt::replica::Confirmation;
use mailstore::{Look, Reply, Request, rows, verify};

use super::faults::Repair;
use super::{Event, Violation, World, broken};
use crate::ledger::Rest;
use crate::node::Node;

/// How long the nodes may take to agree once nothing stands in their way, in milliseconds.
const PATIENCE: u64 = 120_000;
/// How long they have to go on agreeing.
const CALM: u64 = 5_000;
/// How often they are compared meanwhile.
const INTERVAL: u64 = 500;

impl World {
    pub(super) fn come_to_rest(&mut self) -> Result<(), Violation> {
        self.resting = true;
        self.note("! everything is mended");
        self.take_away_the_removed()?;
        self.mend_everything()?;
        let end = self.now.after(PATIENCE);
        let mut calm_since = None;
        let mut looks: Vec<Looks> = (0..self.nodes.len()).map(|_| Looks::default()).collect();
        loop {
            let until = self.now.after(INTERVAL);
            while self.step(until)? {}
            self.now = until;
            self.bury_the_gone()?;
            let differs = match self.look_everywhere(&mut looks)? {
                None => self.doubt()?,
                differs => differs,
            };
            match (differs, calm_since) {
                (None, None) => calm_since = Some(self.now),
                (None, Some(since)) if self.now >= since.after(CALM) => break,
                (None, Some(_)) => {}
                (Some(violation), _) if self.now >= end => {
                    // Who is not sure of its life shows nothing new: that is often why.
                    let doubt = self.doubt()?.map(|doubt| format!("; {}", doubt.what)).unwrap_or_default();
                    return Err(Violation { what: violation.what + &doubt, ..violation });
                }
                (Some(_), _) => calm_since = None,
            }
        }
        let rests = self.rests(&looks)?;
        for rest in &rests {
            self.ledger.check_rest(rest)?;
            self.check_reasons(rest.node)?;
        }
        self.check_stores()?;
        drop(looks);
        self.check_restart(&rests)
    }

    fn mend_everything(&mut self) -> Result<(), Violation> {
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                self.mend(from, to);
                self.network.set_loss(from, to, 0);
            }
            self.make_room(from);
            self.nodes[from].disk.crash_after(u64::MAX / 2);
            if !self.nodes[from].joined && !self.joins.contains_key(&from) {
                self.schedule(0, Event::Join { node: from });
            }
            if self.nodes[from].joined && !self.nodes[from].gone && self.nodes[from].life.is_none() {
                self.schedule(0, Event::Repair(Repair::Start { node: from }));
            }
        }
        Ok(())
    }

    /// Looks at every mailbox on every node; tells how they differ, if they do.
    fn look_everywhere(&mut self, looks: &mut [Looks]) -> Result<Option<Violation>, Violation> {
        for (node, looks) in looks.iter_mut().enumerate() {
            if looks.life != self.nodes[node].lives {
                *looks = Looks { life: self.nodes[node].lives, ..Looks::default() };
            }
            if self.nodes[node].life.is_none() {
                continue;
            }
            for (_, mailbox) in self.mailboxes(node) {
                if let Entry::Vacant(place) = looks.of.entry(mailbox) {
                    place.insert(self.look_once(node, mailbox)?);
                }
            }
            self.committed(node)?;
            for (mailbox, look) in &mut looks.of {
                let view = look.view.borrow_and_update().clone();
                if let Some(name) = self.name_of(node, *mailbox) {
                    self.observe(node, &name, &view)?;
                }
            }
        }
        self.difference(looks)
    }

    /// The nodes that are not sure of their present lives, although everybody can tell them.
    fn doubt(&mut self) -> Result<Option<Violation>, Violation> {
        let mut doubts = Vec::new();
        for node in 0..self.nodes.len() {
            let wall = self.nodes[node].wall(self.now);
            let Some(life) = &mut self.nodes[node].life else { continue };
            let store = life.store.clone();
            let standing = life.ask(wall, store.confirmation()).map_err(|why| broken(node, why))?;
            if standing != Confirmation::Confirmed {
                let verdicts = store.verdicts();
                doubts.push(format!("n{node} is {standing:?} at rest, {verdicts:?}"));
            }
        }
        let violation = Violation::new("every life is confirmed in the end", doubts.join(", "), vec![]);
        Ok((!doubts.is_empty()).then_some(violation))
    }

    fn look_once(&mut self, node: usize, mailbox: MailboxId) -> Result<Look, Violation> {
        let wall = self.nodes[node].wall(self.now);
        let account = self.account;
        let Some(life) = &mut self.nodes[node].life else { return Err(broken(node, "it is gone".into())) };
        let store = life.store.clone();
        match life.ask(wall, store.ask(Request::Look { account, mailbox, lasting: true })) {
            Ok(Reply::Looked(look)) => Ok(look),
            other => Err(broken(node, format!("a look was answered with {other:?}"))),
        }
    }

    fn rests(&self, looks: &[Looks]) -> Result<Vec<Rest>, Violation> {
        let mut without_octets = BTreeSet::new();
        for node in (0..self.nodes.len()).filter(|node| !self.nodes[*node].gone) {
            without_octets.extend(self.mailboxes_without_octets(node).map_err(|why| broken(node, why))?);
        }
        let rest = |(node, looks): (usize, &Looks)| {
            let named = self.mailboxes(node).into_iter();
            let views = named.filter_map(|(name, id)| Some((name, looks.of.get(&id)?.view.borrow().clone())));
            Rest { node, mailboxes: views.collect(), without_octets: without_octets.clone() }
        };
        Ok(looks.iter().enumerate().filter(|(node, _)| !self.nodes[*node].gone).map(rest).collect())
    }

    fn difference(&self, looks: &[Looks]) -> Result<Option<Violation>, Violation> {
        let vector = |node: &Node| (node.number, node.life.as_ref().map(|life| life.store.vector()));
        let vectors: Vec<_> = self.nodes.iter().filter(|node| !node.gone).map(vector).collect();
        let Some((first, of_first)) = vectors.first() else { return Ok(None) };
        if let Some((node, _)) = vectors.iter().find(|(_, vector)| vector.is_none() || vector != of_first) {
            let what = format!("n{node} and n{first} have other records");
            return Ok(Some(Violation::new("U4 convergence", what, vec![])));
        }
        let rests = self.rests(looks)?;
        let Some((first, others)) = rests.split_first() else { return Ok(None) };
        Ok(others.iter().find_map(|rest| self.ledger.difference(first, rest)))
    }

    /// Digests are equal, nothing is missing, every body is whole.
    fn check_stores(&mut self) -> Result<(), Violation> {
        let mut digests = BTreeMap::new();
        for node in (0..self.nodes.len()).filter(|node| !self.nodes[*node].gone) {
            let Some(life) = &self.nodes[node].life else { return Err(broken(node, "it is gone".into())) };
            let storage = life.store.storage();
            let reader = storage.reader().map_err(|error| broken(node, error.to_string()))?;
            let digest = rows::digest(&reader, &self.account).map_err(|error| broken(node, error.0))?;
            digests.insert(digest, node);
            let wanted = self.wanted(node).map_err(|why| broken(node, why))?;
            if !wanted.is_empty() {
                return Err(broken(node, format!("bodies are missing at rest: {wanted:?}")));
            }
            self.verify(node)?;
        }
        if digests.len() > 1 {
            let what = format!("the digests of the account differ: {digests:?}");
            return Err(Violation::new("U4 convergence", what, vec![]));
        }
        Ok(())
    }

    /// What `peerpost verify` does.
    pub(super) fn verify(&self, node: usize) -> Result<(), Violation> {
        let Some(life) = &self.nodes[node].life else { return Ok(()) };
        let findings = verify::verify(life.store.storage(), &mut |_| {});
        let findings = findings.map_err(|error| broken(node, error.0))?;
        match findings.first() {
            None => Ok(()),
            Some(first) => {
                let what = format!("n{node}: {} findings, first {first:?}", findings.len());
                Err(Violation::new("verify is clean", what, vec![]))
            }
        }
    }

    /// What was shown is on the disk: a node that is started anew, alone, shows it again.
    fn check_restart(&mut self, before: &[Rest]) -> Result<(), Violation> {
        for rest in before {
            let node = rest.node;
            self.nodes[node].life = None;
            self.nodes[node].disk = self.nodes[node].disk.snapshot();
            let (now, account) = (self.now, self.account);
            let state = &mut self.nodes[node];
            state
                .start(now)
                .and_then(|()| state.open_account(now, account))
                .map_err(|why| broken(node, why))?;
            let mut looks = BTreeMap::new();
            for (_, mailbox) in self.mailboxes(node) {
                looks.insert(mailbox, self.look_once(node, mailbox)?);
            }
            let mailboxes = self.mailboxes(node).into_iter();
            let views =
                mailboxes.filter_map(|(name, id)| Some((name, looks.get(&id)?.view.borrow().clone())));
            let without_octets = rest.without_octets.clone();
            let again = Rest { node, mailboxes: views.collect(), without_octets };
            if let Some(difference) = self.ledger.difference(rest, &again) {
                let what = format!("after a restart {}", difference.what);
                return Err(Violation::new("what was shown is durable", what, difference.subjects));
            }
        }
        Ok(())
    }
}

/// Looks that last to the end of a life.
#[derive(Default)]
struct Looks {
    life: u64,
    of: BTreeMap<MailboxId, Look>,
}
