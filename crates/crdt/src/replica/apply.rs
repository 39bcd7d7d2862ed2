//! Records of other nodes: all of a delta is checked before anything of it is applied.

use std::collections::{BTreeMap, BTreeSet};

use super::{Archive, ArchiveError, Replica};
use crate::account::events::Event;
use crate::clock::{HybridClock, Stamp};
use crate::document::{self, Chain, ChangeError};
use crate::identity::{AccountId, BodyHash, EntryId, Incarnation, MailboxId, NodeSlot, SLOTS};
use crate::left_out::{LeftOut, leaves_out};
use crate::operation::{DocumentId, Operation, OperationError, Seal};
use crate::placement::founding::GREATEST_VALIDITY_LEAD_SECONDS;
use crate::record::Record;
use crate::vector::{Sequence, Vector};

/// What a delta brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// How many records were new.
    pub records: usize,
    /// Accounts that it concerned.
    pub accounts: BTreeSet<AccountId>,
}

/// Why nothing of a delta was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// Records are missing before one.
    #[error("record {sequence} of {incarnation} came while the last one here is {last}", sequence = .sequence.0, last = .last.0)]
    Gap {
        /// Whose record.
        incarnation: Incarnation,
        /// Its number.
        sequence: Sequence,
        /// What is here.
        last: Sequence,
    },
    /// Records of the life that it seals are missing.
    #[error("a life that seals {before} up to {sealed} came while its last record here is {last}", sealed = .sealed.0, last = .last.0)]
    LifeBefore {
        /// The life that it seals.
        before: Incarnation,
        /// The last record of that life.
        sealed: Sequence,
        /// What is here.
        last: Sequence,
    },
    /// The bytes are no record.
    #[error("record {sequence} of {incarnation} is malformed", sequence = .sequence.0)]
    Malformed {
        /// Whose record.
        incarnation: Incarnation,
        /// Its number.
        sequence: Sequence,
    },
    /// The change is none, or does not fit.
    #[error("record {sequence} of {incarnation}: {error}", sequence = .sequence.0)]
    Change {
        /// Whose record.
        incarnation: Incarnation,
        /// Its number.
        sequence: Sequence,
        /// What is wrong.
        error: ChangeError,
    },
    /// An operation is out of bounds.
    #[error("record {sequence} of {incarnation}: {error}", sequence = .sequence.0)]
    Operation {
        /// Whose record.
        incarnation: Incarnation,
        /// Its number.
        sequence: Sequence,
        /// What is wrong.
        error: OperationError,
    },
    /// An operation contradicts what its author may do.
    #[error("record {sequence} of {incarnation} is inconsistent: {what}", sequence = .sequence.0)]
    Inconsistent {
        /// Whose record.
        incarnation: Incarnation,
        /// Its number.
        sequence: Sequence,
        /// What is wrong.
        what: &'static str,
    },
    /// The author's clock is more than five minutes ahead.
    #[error(
        "a record of {incarnation} was stamped {ahead_seconds} s ahead of this node's clock: set the clocks right"
    )]
    ClockAhead {
        /// Whose record.
        incarnation: Incarnation,
        /// By how much.
        ahead_seconds: u64,
    },
    /// The disk could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// A record that was checked.
struct Ready {
    incarnation: Incarnation,
    sequence: Sequence,
    document: DocumentId,
    operations: Vec<(Stamp, Operation)>,
}

/// What the check of one delta builds up, while nothing is applied.
struct Checking {
    vector: Vector,
    chains: BTreeMap<(DocumentId, Incarnation), Chain>,
    lives: BTreeMap<Incarnation, NodeSlot>,
}

impl<A: Archive> Replica<A> {
    /// Applies what is new of a delta, in whatever order across nodes, each life's records in order and after those of the life that
    /// it seals.
    ///
    /// `body_is_here` tells for each new entry whether it can be shown; where it cannot, the entry waits for its body.
    pub fn apply(
        &mut self,
        records: Vec<Record>,
        body_is_here: impl Fn(&BodyHash) -> bool,
    ) -> Result<Applied, DeltaError> {
        let mut checking =
            Checking { vector: self.vector.clone(), chains: BTreeMap::new(), lives: BTreeMap::new() };
        let mut ready = Vec::new();
        let mut new = Vec::new();
        for record in records {
            // Whether a UID is its author's can only be told where the epoch is at hand.
            if let Some(account) = record.parts().and_then(|(document, _)| document.account()) {
                self.load(account)?;
            }
            if record.sequence <= checking.vector.last(&record.incarnation)
                || record.incarnation == self.author().incarnation
            {
                continue;
            }
            let checked = match self.check(&mut checking, &record) {
                Ok(checked) => checked,
                Err(error) => {
                    if leaves_out(LeftOut::AllIsChecked) {
                        ready.iter().for_each(|record| self.take_in(record, &body_is_here));
                    }
                    return Err(error);
                }
            };
            ready.push(checked);
            new.push(record);
        }
        // Everything that may fail comes before the first change.
        let accounts: BTreeSet<AccountId> =
            ready.iter().filter_map(|ready| ready.document.account()).collect();
        for account in &accounts {
            self.account_mut(*account)?;
        }
        self.vector = checking.vector;
        self.changed_chains.extend(checking.chains.keys().copied());
        self.chains.extend(checking.chains);
        for record in &ready {
            self.take_in(record, &body_is_here);
        }
        self.judge_itself(&new);
        if self.cluster_changed {
            let forked = self.cluster.forked();
            self.accounts.values_mut().for_each(|account| account.set_forked(&forked));
        }
        let applied = Applied { records: new.len(), accounts };
        self.foreign.extend(new);
        for account in &applied.accounts {
            self.settle(*account);
            if let Some(account) = self.accounts.get_mut(account) {
                account.arriving.clear();
            }
        }
        self.keep_standing();
        self.close_meetings();
        Ok(applied)
    }

    fn check(&self, checking: &mut Checking, record: &Record) -> Result<Ready, DeltaError> {
        let (incarnation, sequence) = (record.incarnation, record.sequence);
        let last = checking.vector.last(&incarnation);
        if sequence != last.next() && !leaves_out(LeftOut::GapsAreRefused) {
            return Err(DeltaError::Gap { incarnation, sequence, last });
        }
        let (document, change) = record.parts().ok_or(DeltaError::Malformed { incarnation, sequence })?;
        let chain = self.chain_end(checking, &document, &incarnation)?;
        let checked = document::check(incarnation, &chain, change).map_err(|error| DeltaError::Change {
            incarnation,
            sequence,
            error,
        })?;
        let inconsistent = |what| DeltaError::Inconsistent { incarnation, sequence, what };
        for (_, operation) in &checked.operations {
            operation.check(&document).map_err(|error| DeltaError::Operation {
                incarnation,
                sequence,
                error,
            })?;
        }
        if let Some((_, Operation::Start { seals: Some(seal), .. })) = checked.operations.first() {
            check_life_before(checking, seal)?;
        }
        let slot = self
            .slot_of(checking, record, &checked.operations)
            .ok_or(inconsistent("its life was never started"))?;
        for (stamp, operation) in &checked.operations {
            if stamp.timestamp.slot() != slot {
                return Err(inconsistent("an operation is stamped by another slot than its author's"));
            }
            if HybridClock::is_ahead(stamp.timestamp, self.writer.now()) {
                let ahead_seconds =
                    stamp.timestamp.millis().seconds().saturating_sub(self.writer.now().seconds());
                return Err(DeltaError::ClockAhead { incarnation, ahead_seconds });
            }
            self.check_right(&document, incarnation, slot, operation).map_err(inconsistent)?;
            self.check_past(*stamp, operation).map_err(inconsistent)?;
        }
        checking.vector.raise(incarnation, sequence);
        checking.chains.insert((document, incarnation), checked.chain);
        Ok(Ready { incarnation, sequence, document, operations: checked.operations })
    }

    fn chain_end(
        &self,
        checking: &Checking,
        document: &DocumentId,
        author: &Incarnation,
    ) -> Result<Chain, ArchiveError> {
        let key = (*document, *author);
        if let Some(chain) = checking.chains.get(&key).or_else(|| self.chains.get(&key)) {
            return Ok(*chain);
        }
        Ok(self.archive.chain(document, author)?.unwrap_or_default())
    }

    /// The slot of the record's author: the first record of a life says it.
    fn slot_of(
        &self,
        checking: &mut Checking,
        record: &Record,
        operations: &[(Stamp, Operation)],
    ) -> Option<NodeSlot> {
        let incarnation = record.incarnation;
        let known = checking.lives.get(&incarnation).copied().or_else(|| self.cluster.slot_of(&incarnation));
        let started = match operations.first() {
            Some((_, Operation::Start { slot, .. })) if record.sequence == Sequence(1) => Some(*slot),
            _ => None,
        };
        let slot = known.or(started)?;
        checking.lives.insert(incarnation, slot);
        Some(slot)
    }

    /// Checks that the author may write this: entries in its own segments, UIDs in its own blocks.
    fn check_right(
        &self,
        document: &DocumentId,
        author: Incarnation,
        slot: NodeSlot,
        operation: &Operation,
    ) -> Result<(), &'static str> {
        match (document, operation) {
            (DocumentId::Segment(_, segment), Operation::Add(_))
                if segment.incarnation != author && !leaves_out(LeftOut::SegmentsAreChecked) =>
            {
                Err("it adds to another's segment")
            }
            (DocumentId::Segment(account, _), Operation::Place { mailbox, validity, runs }) => {
                let owned = |uid| self.owns(*account, *mailbox, *validity, slot, uid);
                let all = runs.iter().flat_map(|run| run.iter()).all(|(_, uid)| owned(uid));
                if all || leaves_out(LeftOut::OwnersAreChecked) {
                    Ok(())
                } else {
                    Err("it places at a UID that another node owns")
                }
            }
            (DocumentId::Mailbox(..), Operation::Found { validity, .. })
                if validity.0 % u32::from(SLOTS) != u32::from(slot.number())
                    && !leaves_out(LeftOut::ValidityOfSlot) =>
            {
                Err("it founds a UIDVALIDITY of another slot")
            }
            (DocumentId::Cluster, Operation::Grant { inviter, .. })
                if *inviter != slot && !leaves_out(LeftOut::GrantsAreChecked) =>
            {
                Err("it grants another's slots")
            }
            _ => Ok(()),
        }
    }

    /// Checks that what the author claims to have seen can have been: moves and flags before its own writing, and a
    /// UIDVALIDITY that no clock is far from.
    fn check_past(&self, stamp: Stamp, operation: &Operation) -> Result<(), &'static str> {
        let validity = match operation {
            Operation::Expunge { moved, deleted, .. } => {
                let seen = deleted.unwrap_or(Stamp::ZERO).max(*moved);
                return if seen < stamp || leaves_out(LeftOut::PossiblePast) {
                    Ok(())
                } else {
                    Err("it expunges by something that comes after it")
                };
            }
            Operation::Found { validity, .. }
            | Operation::BearName { validity, .. }
            | Operation::Place { validity, .. }
            | Operation::Hold { validity, .. } => Some(*validity),
            Operation::RenameMailbox { validity, .. } => *validity,
            _ => None,
        };
        let latest = self.writer.now().seconds() + GREATEST_VALIDITY_LEAD_SECONDS;
        let far = validity.is_some_and(|validity| u64::from(validity.0) > latest);
        if far && !leaves_out(LeftOut::PossibleValidity) {
            Err("it names a UIDVALIDITY of the far future")
        } else {
            Ok(())
        }
    }

    /// Whether the slot owns the UID, as far as this node can tell: it may not have the founding record yet.
    fn owns(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        validity: crate::identity::Validity,
        slot: NodeSlot,
        uid: crate::identity::Uid,
    ) -> bool {
        let epoch = self
            .accounts
            .get(&account)
            .and_then(|account| account.epoch(mailbox))
            .filter(|epoch| epoch.validity == validity);
        epoch.is_none_or(|epoch| epoch.dealing.owns(slot, uid) || leaves_out(LeftOut::FoundersDeal))
    }

    fn take_in(&mut self, record: &Ready, body_is_here: &impl Fn(&BodyHash) -> bool) {
        let (incarnation, sequence) = (record.incarnation, record.sequence);
        if let Some(account) = record.document.account().and_then(|account| self.accounts.get_mut(&account)) {
            account.touched(incarnation, sequence);
            if account.arriving.iter().all(|(known, _)| *known != incarnation) {
                account.arriving.push((incarnation, sequence));
            }
        }
        for (stamp, operation) in &record.operations {
            self.writer.observe(stamp.timestamp);
            let Some(account) = record.document.account() else {
                self.cluster.fold(*stamp, operation);
                self.cluster_changed = true;
                continue;
            };
            let Some(account) = self.accounts.get_mut(&account) else { continue };
            account.fold(*stamp, &record.document, operation);
            if let (DocumentId::Segment(_, segment), Operation::Add(addition)) = (&record.document, operation)
            {
                let entry = EntryId { segment: *segment, index: addition.index };
                account.events.push(Event::Arrived { mailbox: addition.mailbox, entry });
                if !body_is_here(&addition.body) {
                    account.body_missing(entry);
                }
            }
        }
    }
}

/// Mail may be in a mailbox that a life before created: who has the one has to have the other, should the disk of both be lost.
fn check_life_before(checking: &Checking, seal: &Seal) -> Result<(), DeltaError> {
    let (before, sealed) = (seal.incarnation, seal.sequence);
    let last = checking.vector.last(&before);
    if last >= sealed || leaves_out(LeftOut::LivesInOrder) {
        Ok(())
    } else {
        Err(DeltaError::LifeBefore { before, sealed, last })
    }
}
