//! What clients and MTAs ask of a node.

use peerpost_crdt::account::NewEntry;
use peerpost_crdt::flag::{Flag, FlagChange};
use peerpost_crdt::identity::{BodyHash, DeliveryKey, EntryId, MailboxId, SegmentId};
use peerpost_crdt::replica::CommandError;
use peerpost_crdt::view::ReceivedAt;

use super::ledger::Written;
use super::step::{NAMES, Step};
use super::world::{Checked, World, account, violated};

/// How messages come into another mailbox.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Copy,
    Move,
    MoveInTurn,
}

impl World {
    /// One step of a client. Tells whether anything was done.
    pub fn mail(&mut self, step: Step) -> Checked {
        match step {
            Step::Deliver { node, mailbox, delivery } => self.deliver(self.node(node), mailbox, delivery),
            Step::Append { node, mailbox, count } => self.append(self.node(node), mailbox, count),
            Step::AppendInTurn { node, mailbox, count } => {
                self.append_in_turn(self.node(node), mailbox, count)
            }
            Step::Copy { node, mailbox, place, to } => {
                self.relocate(self.node(node), (mailbox, to), place, How::Copy)
            }
            Step::Move { node, mailbox, place, to } => {
                self.relocate(self.node(node), (mailbox, to), place, How::Move)
            }
            Step::MoveInTurn { node, mailbox, place, to } => {
                self.relocate(self.node(node), (mailbox, to), place, How::MoveInTurn)
            }
            Step::Expunge { node, mailbox, place } => self.expunge(self.node(node), mailbox, place),
            Step::Flag { node, mailbox, place, flag, set } => {
                self.flag(self.node(node), mailbox, place, (flag, set))
            }
            Step::Create { node, mailbox } => {
                let node = self.node(node);
                let (life, last) = self.written(node);
                let created = self.wake(node).create_mailbox(account(), NAMES[usize::from(mailbox)], None);
                self.commit(node)?;
                if let Ok(created) = created {
                    // The first record of its batch; the next founds it.
                    self.ledger.create(created, (life, last + 1));
                }
                Ok(())
            }
            Step::Delete { node, mailbox } => self.delete(self.node(node), mailbox),
            Step::Rename { node, mailbox, to } => {
                let node = self.node(node);
                let (from, to) = (NAMES[usize::from(mailbox)], NAMES[usize::from(to)]);
                let _ = self.wake(node).rename_mailbox(account(), from, to);
                self.commit(node)
            }
            Step::Bump { node, mailbox } => self.bump(self.node(node), mailbox),
            _ => self.look(step),
        }
    }

    fn look(&mut self, step: Step) -> Checked {
        let (Step::Look { node, mailbox } | Step::Glance { node, mailbox }) = step else {
            let Step::LookAway { node } = step else { return Ok(()) };
            let node = self.node(node);
            let first = self.nodes[node].life.looks().own().first().copied();
            if let Some((account, mailbox)) = first {
                self.wake(node).look_away(account, mailbox);
            }
            return self.commit(node);
        };
        let node = self.node(node);
        let Some(mailbox) = self.nodes[node].named(usize::from(mailbox)) else { return Ok(()) };
        if matches!(step, Step::Glance { .. }) {
            return self.glance(node, mailbox);
        }
        if self.wake(node).look(account(), mailbox).is_err() {
            return violated("no disk can fail here");
        }
        self.commit(node)
    }

    fn new_entry(&mut self, node: usize, delivery: Option<u8>) -> NewEntry {
        let number = delivery.map_or(1_000 + self.next_body, u64::from);
        self.next_body += 1;
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        let body = BodyHash(hash);
        self.nodes[node].disk.bodies.insert(body);
        let delivery = delivery.map(|delivery| DeliveryKey([delivery; 16]));
        NewEntry { body, size: 1, received: ReceivedAt::default(), flags: vec![], email: None, delivery }
    }

    /// The segment that a life fills, and how many entries it has.
    fn filled(&self, node: usize) -> (SegmentId, u16) {
        let incarnation = self.nodes[node].life.author().incarnation;
        let segment = SegmentId { incarnation, number: 0 };
        (segment, self.nodes[node].account().map_or(0, |state| state.segment(&segment).len() as u16))
    }

    fn accept(
        &mut self,
        node: usize,
        (segment, first): (SegmentId, u16),
        delivery: Option<u8>,
    ) -> Vec<EntryId> {
        let written = self.written(node);
        let entries = (first..self.filled(node).1).map(|index| EntryId { segment, index });
        let entries: Vec<EntryId> = entries.collect();
        entries.iter().for_each(|entry| self.ledger.accept(*entry, delivery, written));
        entries
    }

    /// The last record of a node.
    fn written(&self, node: usize) -> Written {
        let life = &self.nodes[node].life;
        (life.author().incarnation, life.sequence().0)
    }

    fn deliver(&mut self, node: usize, mailbox: u8, delivery: Option<u8>) -> Checked {
        let Some(mailbox) = self.nodes[node].named(usize::from(mailbox)) else { return Ok(()) };
        let (new, filled) = (self.new_entry(node, delivery), self.filled(node));
        if let Err(error) = self.wake(node).deliver(account(), mailbox, new) {
            return violated(format!("a delivery is refused: {error}"));
        }
        self.commit(node)?;
        self.accept(node, filled, delivery);
        Ok(())
    }

    fn append(&mut self, node: usize, mailbox: u8, count: u8) -> Checked {
        let Some(mailbox) = self.nodes[node].named(usize::from(mailbox)) else { return Ok(()) };
        let new: Vec<NewEntry> = (0..count).map(|_| self.new_entry(node, None)).collect();
        let filled = self.filled(node);
        let uids = match self.wake(node).append(account(), mailbox, new) {
            Ok((_, uids)) => uids,
            Err(CommandError::RolledBack) => return self.commit(node),
            Err(error) => return violated(format!("an APPEND is refused: {error}")),
        };
        self.commit_seen(node, Some(mailbox))?;
        self.accept(node, filled, None);
        if uids.len() != usize::from(count) {
            return violated(format!("an APPEND of {count} messages was answered with UIDs {uids:?}"));
        }
        Ok(())
    }

    fn append_in_turn(&mut self, node: usize, mailbox: u8, count: u8) -> Checked {
        let Some(mailbox) = self.nodes[node].named(usize::from(mailbox)) else { return Ok(()) };
        let new: Vec<NewEntry> = (0..count).map(|_| self.new_entry(node, None)).collect();
        let filled = self.filled(node);
        match self.wake(node).append_in_turn(account(), mailbox, new) {
            Ok(wanted) => self.nodes[node].unanswered.push((wanted, mailbox)),
            Err(CommandError::RolledBack) => {}
            Err(error) => return violated(format!("an APPEND is refused: {error}")),
        }
        self.commit(node)?;
        self.accept(node, filled, None);
        Ok(())
    }

    /// A message that a client sees.
    fn visible(&mut self, node: usize, mailbox: MailboxId, place: u8) -> Checked<Option<EntryId>> {
        self.glance(node, mailbox)?;
        let Some(state) = self.nodes[node].account() else { return Ok(None) };
        let rows = state.view(mailbox).rows;
        let row = rows.at(usize::from(place) % rows.len().max(1));
        Ok(row.map(|row| row.facts.entry))
    }

    fn relocate(&mut self, node: usize, (from, to): (u8, u8), place: u8, how: How) -> Checked {
        let (Some(from), Some(to)) =
            (self.nodes[node].named(usize::from(from)), self.nodes[node].named(usize::from(to)))
        else {
            return Ok(());
        };
        let Some(entry) = self.visible(node, from, place)? else { return Ok(()) };
        let filled = self.filled(node);
        let life = self.wake(node);
        let done = match how {
            How::Copy => life.copy(account(), from, &[entry], to).map(Some),
            How::Move => life.move_entries(account(), from, &[entry], to).map(Some),
            How::MoveInTurn => life.move_in_turn(account(), from, &[entry], to).map(|wanted| {
                self.nodes[node].unanswered.push((wanted, to));
                None
            }),
        };
        let placed = match done {
            Ok(placed) => placed,
            Err(CommandError::RolledBack) => return self.commit(node),
            Err(error) => return violated(format!("a COPY or MOVE is refused: {error}")),
        };
        self.commit_seen(node, placed.is_some().then_some(to))?;
        self.accept(node, filled, None);
        if how != How::Copy {
            // Within a mailbox it is a copy, and the original goes.
            match from == to {
                true => self.ledger.remove(entry),
                false => self.ledger.save(entry),
            }
        }
        match placed {
            Some(placed) if placed.pairs.len() != 1 => {
                violated(format!("a COPY or MOVE of {entry:?} was answered with {placed:?}"))
            }
            _ => Ok(()),
        }
    }

    fn expunge(&mut self, node: usize, mailbox: u8, place: u8) -> Checked {
        let Some(mailbox) = self.nodes[node].named(usize::from(mailbox)) else { return Ok(()) };
        let Some(entry) = self.visible(node, mailbox, place)? else { return Ok(()) };
        let life = self.wake(node);
        let deleted = [Flag::Deleted];
        let stored = life.change_flags(account(), mailbox, &[entry], FlagChange::Add, &deleted, None);
        if stored.is_err() || life.expunge(account(), mailbox, &[entry]).is_err() {
            return violated("an EXPUNGE is refused");
        }
        self.commit_seen(node, Some(mailbox))?;
        let written = self.written(node);
        self.ledger.expunge(entry, written);
        Ok(())
    }

    fn flag(&mut self, node: usize, mailbox: u8, place: u8, (flag, set): (u8, bool)) -> Checked {
        let Some(mailbox) = self.nodes[node].named(usize::from(mailbox)) else { return Ok(()) };
        let Some(entry) = self.visible(node, mailbox, place)? else { return Ok(()) };
        let flag = [Flag::Seen, Flag::Flagged, Flag::Deleted][usize::from(flag)].clone();
        if flag == Flag::Deleted && !set {
            self.ledger.save(entry);
        }
        let change = if set { FlagChange::Add } else { FlagChange::Remove };
        let stored = self.wake(node).change_flags(account(), mailbox, &[entry], change, &[flag], None);
        if stored.is_err() {
            return violated("a STORE is refused");
        }
        self.commit_seen(node, Some(mailbox))
    }

    fn delete(&mut self, node: usize, name: u8) -> Checked {
        let Some(mailbox) = self.nodes[node].named(usize::from(name)) else { return Ok(()) };
        let Some(state) = self.nodes[node].account() else { return Ok(()) };
        let identities = state.unit(mailbox).map(|unit| unit.identities.clone()).unwrap_or_default();
        let mut inside = Vec::new();
        for (segment, entries) in state.segments() {
            for (index, entry) in entries.iter().enumerate() {
                if entry.mailbox().is_some_and(|mailbox| identities.contains(&mailbox.value)) {
                    inside.push(EntryId { segment: *segment, index: index as u16 });
                }
            }
        }
        inside.into_iter().for_each(|entry| self.ledger.remove(entry));
        if let Err(error) = self.wake(node).delete_mailbox(account(), mailbox) {
            return violated(format!("a DELETE is refused: {error}"));
        }
        self.commit(node)
    }

    fn bump(&mut self, node: usize, name: u8) -> Checked {
        let Some(mailbox) = self.nodes[node].named(usize::from(name)) else { return Ok(()) };
        self.witness.asked_for = true;
        let _ = self.wake(node).bump(account(), mailbox);
        self.commit(node)
    }
}
