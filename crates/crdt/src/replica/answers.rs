//! APPEND, COPY, MOVE and REPLACE, whose answers name UIDs (RFC 4315): where nothing else is known they are placed at once.
//!
//! In ordered mode (rule 7) they are left to the placer for half a second as everything else is: were each node to place its own
//! at once, nearly all that clients append on two nodes at the same time would be reissued. So such a command has two steps. The
//! first accepts the messages; the second, [`Replica::answer`], tells their UIDs once there are any. What the commands without
//! "in turn" accept is placed at once in any case.

use std::collections::BTreeSet;

use super::commands::{CommandError, check_quota, with};
use super::{Archive, Replica};
use crate::account::{Account, MessageCopies, MessageCopy, NewEntry, Relocated};
use crate::clock::Millis;
use crate::identity::{AccountId, EntryId, MailboxId, Uid, Validity};
use crate::left_out::{LeftOut, leaves_out};
use crate::placement::admission::{COURTESY_MILLISECONDS, Eagerness};
use crate::rights::Rights;

/// For how long a mailbox in ordered mode counts as looked at after a command whose answer names UIDs, in milliseconds: a client
/// that appends need not have selected it.
const LINGERING_MILLISECONDS: u64 = 10_000;

/// Messages that were accepted, and of which a client is to be told the UIDs.
#[derive(Clone, Debug)]
pub struct Wanted {
    account: AccountId,
    mailbox: MailboxId,
    relocated: Relocated,
    until: Millis,
}

impl Wanted {
    /// Until when they are left to the placer.
    pub fn until(&self) -> Millis {
        self.until
    }

    /// What the client named, or appended, in its order.
    pub fn sources(&self) -> impl Iterator<Item = EntryId> + '_ {
        self.relocated.pairs.iter().map(|(source, _)| *source)
    }

    fn targets(&self) -> impl Iterator<Item = EntryId> + '_ {
        self.relocated.pairs.iter().map(|(_, target)| *target)
    }
}

/// What became of an APPEND, COPY or MOVE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// UIDVALIDITY of the target.
    pub validity: Validity,
    /// The entries that the client named, or appended, and the UIDs in the target, ascending. Entries that were taken out again
    /// before they had a UID are left out.
    pub pairs: Vec<(EntryId, Uid)>,
    /// No longer in the source.
    pub gone: Vec<EntryId>,
}

impl<A: Archive> Replica<A> {
    /// Accepts messages that a client appends: they are visible at once, under the UIDs returned.
    pub fn append(
        &mut self,
        id: AccountId,
        mailbox: MailboxId,
        new: Vec<NewEntry>,
    ) -> Result<(Validity, Vec<Uid>), CommandError> {
        let wanted = self.accept(id, mailbox, new, None)?;
        let placed = self.answer_at_once(&wanted)?;
        Ok((placed.validity, placed.pairs.into_iter().map(|(_, uid)| uid).collect()))
    }

    /// Copies messages: the copies are visible at once.
    pub fn copy(
        &mut self,
        id: AccountId,
        from: MailboxId,
        entries: &[EntryId],
        to: MailboxId,
    ) -> Result<Placed, CommandError> {
        self.check_room(id, from, entries)?;
        let wanted = self.relocate(id, (from, to), entries, Account::copy)?;
        let placed = self.answer_at_once(&wanted);
        self.settle(id);
        placed
    }

    /// Moves messages: they are visible in the target at once.
    pub fn move_entries(
        &mut self,
        id: AccountId,
        from: MailboxId,
        entries: &[EntryId],
        to: MailboxId,
    ) -> Result<Placed, CommandError> {
        let wanted = self.relocate(id, (from, to), entries, Account::move_entries)?;
        let placed = self.answer_at_once(&wanted);
        self.settle(id);
        placed
    }

    /// Accepts messages that a client appends.
    pub fn append_in_turn(
        &mut self,
        id: AccountId,
        mailbox: MailboxId,
        new: Vec<NewEntry>,
    ) -> Result<Wanted, CommandError> {
        let wanted = self.accept(id, mailbox, new, None)?;
        Ok(self.leave_to_placer(wanted))
    }

    /// Copies messages.
    pub fn copy_in_turn(
        &mut self,
        id: AccountId,
        from: MailboxId,
        entries: &[EntryId],
        to: MailboxId,
    ) -> Result<Wanted, CommandError> {
        self.check_room(id, from, entries)?;
        let wanted = self.relocate(id, (from, to), entries, Account::copy)?;
        let wanted = self.leave_to_placer(wanted);
        self.settle(id);
        Ok(wanted)
    }

    /// Moves messages.
    pub fn move_in_turn(
        &mut self,
        id: AccountId,
        from: MailboxId,
        entries: &[EntryId],
        to: MailboxId,
    ) -> Result<Wanted, CommandError> {
        let wanted = self.relocate(id, (from, to), entries, Account::move_entries)?;
        let wanted = self.leave_to_placer(wanted);
        self.settle(id);
        Ok(wanted)
    }

    /// Replaces a message by one that a client appends, in whichever mailbox (RFC 8508): the new one is visible at once, and where
    /// it is the old one is not any more, in one and the same batch. So it is not left to the placer even in ordered mode.
    ///
    /// An old message that is no longer in its mailbox stays where it went.
    pub fn replace(
        &mut self,
        id: AccountId,
        (from, replaced): (MailboxId, EntryId),
        mailbox: MailboxId,
        new: NewEntry,
    ) -> Result<Wanted, CommandError> {
        let from = self.public(id, from)?;
        let goes = self.existing(id)?.target(&replaced) == Some(from);
        let wanted = self.accept(id, mailbox, vec![new], goes.then_some(replaced))?;
        let placed = self.answer_at_once(&wanted);
        if placed.is_ok_and(|placed| !placed.pairs.is_empty()) {
            with(self, id, |account, writer| account.remove(writer, from, &[replaced]))?;
        }
        self.settle(id);
        Ok(wanted)
    }

    /// Copies messages of one account into a mailbox of another, or of the same: with those of their flags that take one of
    /// these rights. The copies keep their EMAILIDs.
    ///
    /// `moving`: the originals are to be removed, once this is durable, by [`Replica::remove`]. No node ever sees a message
    /// gone from the one account that is not in the other.
    pub fn copy_across_in_turn(
        &mut self,
        (source, from): (AccountId, MailboxId),
        entries: &[EntryId],
        (target, to): (AccountId, MailboxId),
        flags: Rights,
        moving: bool,
    ) -> Result<Wanted, CommandError> {
        self.check_ground()?;
        let (from, to) = (self.public(source, from)?, self.public(target, to)?);
        let MessageCopies { copies, gone } = self.existing(source)?.copies(from, entries);
        // What is moved within an account takes no more room there.
        if source != target || !moving {
            check_quota(self.existing(target)?, None, copies.iter().map(|copy| copy.new.size))?;
        }
        let pairs = with(self, target, |account, writer| {
            let add = |mut copy: MessageCopy| {
                copy.new.flags.retain(|flag| flags.contain(flag.right()));
                let of = copy.of;
                let added = match moving {
                    true => account.add_moved(writer, to, copy),
                    false => account.add_copy(writer, to, copy),
                };
                (of, added)
            };
            copies.into_iter().map(add).collect()
        })?;
        let wanted = self.wanted(target, to, Relocated { pairs, gone });
        let wanted = self.leave_to_placer(wanted);
        self.settle(target);
        Ok(wanted)
    }

    /// Shows what is wanted as far as its turn has come; to be called in every batch until [`Replica::answer`] has answered.
    pub fn place_wanted(&mut self, wanted: &Wanted) {
        let public = self.target_of(wanted);
        if self.now() < wanted.until {
            self.admit(wanted.account, public, Eagerness::InTurn);
        } else {
            self.place_at_once(wanted.account, public, &wanted.targets().collect::<Vec<_>>());
        }
    }

    /// What to answer; none while the placer has time to give UIDs.
    pub fn answer(&mut self, wanted: &Wanted) -> Option<Result<Placed, CommandError>> {
        let public = self.target_of(wanted);
        let placed = self.placed(wanted, public);
        let is_settled =
            placed.as_ref().is_ok_and(|placed| placed.pairs.len() == wanted.relocated.pairs.len());
        (is_settled || wanted.until <= self.now()).then_some(placed)
    }

    fn answer_at_once(&mut self, wanted: &Wanted) -> Result<Placed, CommandError> {
        self.place_wanted(wanted);
        self.placed(wanted, wanted.mailbox)
    }

    /// Accepts messages; `freed` goes in the same batch.
    fn accept(
        &mut self,
        id: AccountId,
        mailbox: MailboxId,
        new: Vec<NewEntry>,
        freed: Option<EntryId>,
    ) -> Result<Wanted, CommandError> {
        self.check_ground()?;
        let mailbox = self.public(id, mailbox)?;
        check_quota(self.existing(id)?, freed, new.iter().map(|new| new.size))?;
        let pairs = with(self, id, |account, writer| {
            let add = |new| account.add(writer, mailbox, new);
            new.into_iter().map(add).map(|entry| (entry, entry)).collect()
        })?;
        Ok(self.wanted(id, mailbox, Relocated { pairs, gone: vec![] }))
    }

    fn relocate(
        &mut self,
        id: AccountId,
        (from, to): (MailboxId, MailboxId),
        entries: &[EntryId],
        relocate: impl Fn(&mut Account, &mut crate::writer::Writer, MailboxId, &[EntryId], MailboxId) -> Relocated,
    ) -> Result<Wanted, CommandError> {
        self.check_ground()?;
        let (from, to) = (self.public(id, from)?, self.public(id, to)?);
        let relocated = with(self, id, |account, writer| relocate(account, writer, from, entries, to))?;
        Ok(self.wanted(id, to, relocated))
    }

    /// Refuses a copy that would be more than the account may hold.
    fn check_room(
        &mut self,
        id: AccountId,
        from: MailboxId,
        entries: &[EntryId],
    ) -> Result<(), CommandError> {
        let from = self.public(id, from)?;
        let account = self.existing(id)?;
        let copied = entries.iter().filter(|entry| account.target(entry) == Some(from));
        check_quota(account, None, copied.filter_map(|entry| Some(account.state(entry)?.facts()?.size)))
    }

    fn wanted(&self, account: AccountId, mailbox: MailboxId, relocated: Relocated) -> Wanted {
        Wanted { account, mailbox, relocated, until: self.now() }
    }

    /// In ordered mode, what another node is to place waits for it.
    fn leave_to_placer(&mut self, mut wanted: Wanted) -> Wanted {
        let (id, mailbox, now) = (wanted.account, wanted.mailbox, self.now());
        let Some(account) = self.accounts.get(&id).filter(|account| account.is_ordered(mailbox, now)) else {
            return wanted;
        };
        if !leaves_out(LeftOut::AnswersLinger) {
            self.looks.linger(id, mailbox, now.after(LINGERING_MILLISECONDS));
        }
        let here = self.author().slot;
        if account.placer(mailbox, &self.looks, here) != Some(here) && !leaves_out(LeftOut::AnswersWait) {
            wanted.until = now.after(COURTESY_MILLISECONDS);
        }
        wanted
    }

    /// Makes entries visible at once.
    pub(super) fn place_at_once(&mut self, id: AccountId, mailbox: MailboxId, entries: &[EntryId]) {
        let wanted: BTreeSet<EntryId> = entries.iter().copied().collect();
        if !leaves_out(LeftOut::AppendIsALook) {
            self.admit(id, mailbox, Eagerness::Now(&wanted));
        }
    }

    /// The target by its public identity, which may be another one than it was.
    fn target_of(&self, wanted: &Wanted) -> MailboxId {
        let account = self.accounts.get(&wanted.account);
        account.and_then(|account| account.unit(wanted.mailbox)).map_or(wanted.mailbox, |unit| unit.public)
    }

    fn placed(&mut self, wanted: &Wanted, public: MailboxId) -> Result<Placed, CommandError> {
        let account = self.existing(wanted.account)?;
        let validity = account.shown_validity(public).ok_or(CommandError::NoUids)?;
        let shown = |(source, target): &(EntryId, EntryId)| {
            account.shown_at(target).filter(|(at, _)| *at == public).map(|(_, uid)| (*source, uid))
        };
        let mut pairs: Vec<(EntryId, Uid)> = wanted.relocated.pairs.iter().filter_map(shown).collect();
        pairs.sort_by_key(|(_, uid)| *uid);
        Ok(Placed { validity, pairs, gone: wanted.relocated.gone.clone() })
    }
}
