//! The state of one entry.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::register::Latest;
use crate::clock::{Millis, Stamp};
use crate::flag::{Flag, FlagSet, MOST_FLAGS};
use crate::identity::{DeliveryKey, EntryId, MailboxId, Uid, Validity};
use crate::left_out::{LeftOut, leaves_out};
use crate::operation::Addition;
use crate::view::Facts;

/// The most flags of one entry that are kept, set or cleared: twice what a node allows itself, for each of two nodes.
///
/// Where concurrent changes leave more, the first in the order of flags are kept on every node.
pub const MOST_REGISTERS: usize = 4 * MOST_FLAGS;
/// The most expunges of one entry that are kept, each of a move of its own.
const MOST_EXPUNGES: usize = 64;

/// A UID in one epoch of one mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Placement {
    /// The epoch.
    pub validity: Validity,
    /// The UID.
    pub uid: Uid,
}

/// Greatest UIDs by mailbox and epoch, sorted. Placements of one epoch say nothing of another: a placement in an epoch
/// whose founding record is still on its way must not hide the one that counts until then.
type Uids = Vec<((MailboxId, Validity), Uid)>;

/// An expunge, as far as it matters: the move that it knew, and the latest \Deleted that one of its kind knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Expunged {
    moved: Stamp,
    /// `None` does not depend on \Deleted and is above all others.
    deleted: Option<Stamp>,
}

/// All that is known of one entry. Operations on it may arrive before the entry itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EntryState {
    accepted: Option<(MailboxId, Arc<Facts>, Option<DeliveryKey>)>,
    moved: Option<Latest<MailboxId>>,
    flags: Vec<(Flag, Latest<bool>)>,
    undeleted: Option<Stamp>,
    /// The latest \Deleted that an expunge went by. The flag is off from then on, should the message outlive the expunge.
    spent: Option<Stamp>,
    expunged: Vec<Expunged>,
    placements: Uids,
    held: Uids,
}

impl EntryState {
    /// What never changes; `None` until the entry itself has arrived.
    pub fn facts(&self) -> Option<&Arc<Facts>> {
        self.accepted.as_ref().map(|(_, facts, _)| facts)
    }

    /// What an MTA offered to whom.
    pub fn delivery(&self) -> Option<DeliveryKey> {
        self.accepted.as_ref().and_then(|(_, _, delivery)| *delivery)
    }

    /// The mailbox that the entry is in, and the stamp of the move that put it there.
    pub fn mailbox(&self) -> Option<Latest<MailboxId>> {
        let original = self.accepted.as_ref().map(|(mailbox, ..)| Latest::initial(*mailbox));
        self.moved.clone().or(original)
    }

    /// When it came into the mailbox that it is in: the wall time of the move that put it there, else of its acceptance. It follows
    /// from operations alone, so it is the same on every node that has them.
    pub fn saved(&self) -> Option<Millis> {
        let added = self.facts().map(|facts| facts.added);
        let moved = self.moved.as_ref().map(|moved| moved.stamp);
        added.map(|added| moved.unwrap_or(added).timestamp.millis())
    }

    /// Whether it is there and not expunged.
    ///
    /// An expunge holds while the entry is where the expunging client saw it, and unless \Deleted was taken off
    /// by somebody whom that client had not heard of.
    pub fn is_live(&self) -> bool {
        // A move may come before the entry itself, which may never come.
        let Some(mailbox) = self.mailbox().filter(|_| self.accepted.is_some()) else {
            return false;
        };
        let holds = |expunge: &Expunged| {
            let kept = matches!((self.undeleted, expunge.deleted), (Some(taken_off), Some(seen)) if taken_off > seen);
            let later = |(_, register): &(Flag, Latest<bool>)| Some(register.stamp) > expunge.deleted;
            let kept = kept || leaves_out(LeftOut::OnlyUndeletedRevives) && self.flags.iter().any(later);
            (expunge.moved == mailbox.stamp || leaves_out(LeftOut::ExpungeKnowsMove))
                && (!kept || leaves_out(LeftOut::ExpungeKnowsDeleted))
        };
        !self.expunged.iter().any(holds)
    }

    /// The flags that are set.
    pub fn flags(&self) -> FlagSet {
        let set = self.flags.iter().filter(|(flag, register)| self.is_set(flag, register));
        set.map(|(flag, _)| flag.clone()).collect()
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: &Flag) -> bool {
        self.register(flag).is_some_and(|register| self.is_set(flag, register))
    }

    /// A message that was moved while another client expunged it comes without the \Deleted that the expunge went by: it would
    /// be lost with the next CLOSE of the mailbox that it was moved to.
    fn is_set(&self, flag: &Flag, register: &Latest<bool>) -> bool {
        register.value && (*flag != Flag::Deleted || Some(register.stamp) > self.spent)
    }

    /// The stamp under which a flag was written last.
    pub fn flag_stamp(&self, flag: &Flag) -> Option<Stamp> {
        self.register(flag).map(|register| register.stamp)
    }

    /// How many flags are set or once were.
    pub fn flag_registers(&self) -> usize {
        self.flags.len()
    }

    fn register(&self, flag: &Flag) -> Option<&Latest<bool>> {
        let place = self.flags.binary_search_by(|(known, _)| known.cmp(flag)).ok()?;
        self.flags.get(place).map(|(_, register)| register)
    }

    /// The greatest UID in an epoch of a mailbox.
    pub fn placement(&self, mailbox: MailboxId, validity: Validity) -> Option<Uid> {
        if leaves_out(LeftOut::EpochsApart) {
            let here = self.placements.iter().filter(|((of, _), _)| *of == mailbox);
            return here.map(|(_, uid)| *uid).max();
        }
        find(&self.placements, mailbox, validity)
    }

    /// The greatest UID in an epoch of a mailbox at which some node could not show the entry.
    pub fn held(&self, mailbox: MailboxId, validity: Validity) -> Option<Uid> {
        find(&self.held, mailbox, validity)
    }

    /// The entry is accepted.
    pub fn add(&mut self, stamp: Stamp, entry: EntryId, addition: &Addition) {
        if self.accepted.is_some() {
            return;
        }
        let facts = Facts {
            added: stamp,
            entry,
            body: addition.body,
            size: addition.size,
            received: addition.received,
            email: addition.email,
        };
        self.accepted = Some((addition.mailbox, Arc::new(facts), addition.delivery));
        for flag in &addition.flags {
            self.write_flag(stamp, flag, true);
        }
    }

    /// A flag is set or cleared. Tells whether this is the write that counts, even where it leaves the flag as it was.
    pub fn write_flag(&mut self, stamp: Stamp, flag: &Flag, value: bool) -> bool {
        if *flag == Flag::Deleted && !value {
            self.undeleted = self.undeleted.max(Some(stamp));
        }
        match self.flags.binary_search_by(|(known, _)| known.cmp(flag)) {
            Ok(place) => {
                // A keyword is spelled as the write that counts spells it, on every node.
                let Some((known, register)) = self.flags.get_mut(place) else { return false };
                let counts = register.write(stamp, value);
                if counts {
                    known.clone_from(flag);
                }
                counts
            }
            Err(place) if place < MOST_REGISTERS => {
                self.flags.insert(place, (flag.clone(), Latest { stamp, value }));
                self.flags.truncate(MOST_REGISTERS);
                true
            }
            Err(_) => false,
        }
    }

    /// The entry goes to another mailbox.
    pub fn move_to(&mut self, stamp: Stamp, to: MailboxId) {
        match &mut self.moved {
            Some(register) => {
                register.write(stamp, to);
            }
            None => self.moved = Some(Latest { stamp, value: to }),
        }
        self.forget_past_expunges();
    }

    /// The entry is expunged by a client that knew this move and this \Deleted.
    pub fn expunge(&mut self, moved: Stamp, deleted: Option<Stamp>) {
        self.spent = self.spent.max(deleted);
        match self.expunged.binary_search_by_key(&moved, |expunge| expunge.moved) {
            Ok(place) => {
                if let Some(known) = self.expunged.get_mut(place) {
                    known.deleted = greater_deleted(known.deleted, deleted);
                }
            }
            Err(place) => self.expunged.insert(place, Expunged { moved, deleted }),
        }
        self.forget_past_expunges();
    }

    /// An expunge that knew an older move than the last one never counts again, since moves only rise.
    fn forget_past_expunges(&mut self) {
        if leaves_out(LeftOut::ExpungeKnowsMove) {
            return;
        }
        let last_move = self.moved.as_ref().map_or(Stamp::ZERO, |moved| moved.stamp);
        let past = self.expunged.partition_point(|expunge| expunge.moved < last_move);
        self.expunged.drain(..past.max(self.expunged.len().saturating_sub(MOST_EXPUNGES)));
    }

    /// The entry has a UID.
    pub fn place(&mut self, mailbox: MailboxId, placement: Placement) {
        raise(&mut self.placements, mailbox, placement);
    }

    /// Some node could not show the entry at this UID.
    pub fn hold(&mut self, mailbox: MailboxId, placement: Placement) {
        raise(&mut self.held, mailbox, placement);
    }

    /// Unites it with what another entry of the same delivery has gone through; its own facts and placements stay.
    pub fn unite(&mut self, other: &EntryState) {
        for (flag, register) in &other.flags {
            self.write_flag(register.stamp, flag, register.value);
        }
        self.undeleted = self.undeleted.max(other.undeleted);
        self.spent = self.spent.max(other.spent);
        if let Some(moved) = &other.moved {
            self.move_to(moved.stamp, moved.value);
        }
        for expunge in &other.expunged {
            self.expunge(expunge.moved, expunge.deleted);
        }
    }
}

/// An expunge that does not depend on \Deleted outranks every one that does.
fn greater_deleted(a: Option<Stamp>, b: Option<Stamp>) -> Option<Stamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        _ => None,
    }
}

fn find(uids: &Uids, mailbox: MailboxId, validity: Validity) -> Option<Uid> {
    let place = uids.binary_search_by_key(&(mailbox, validity), |(key, _)| *key).ok()?;
    uids.get(place).map(|(_, uid)| *uid)
}

fn raise(uids: &mut Uids, mailbox: MailboxId, placement: Placement) {
    match uids.binary_search_by_key(&(mailbox, placement.validity), |(key, _)| *key) {
        Ok(place) => {
            if let Some((_, known)) = uids.get_mut(place) {
                *known = match leaves_out(LeftOut::GreatestPlacement) {
                    true => placement.uid,
                    false => placement.uid.max(*known),
                };
            }
        }
        Err(place) => uids.insert(place, ((mailbox, placement.validity), placement.uid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::identity::{BodyHash, EmailId, Incarnation, NodeSlot, SegmentId};

    const INBOX: MailboxId = MailboxId([1; 16]);
    const ARCHIVE: MailboxId = MailboxId([2; 16]);

    fn stamp(n: u64) -> Stamp {
        Stamp {
            timestamp: Timestamp::from_parts(Millis(n), 0, NodeSlot::FIRST),
            incarnation: Incarnation([9; 16]),
        }
    }

    fn entry() -> EntryState {
        let id = EntryId { segment: SegmentId { incarnation: Incarnation([9; 16]), number: 0 }, index: 0 };
        let addition = Addition {
            index: 0,
            mailbox: INBOX,
            body: BodyHash([0; 32]),
            size: 1,
            received: Default::default(),
            flags: vec![],
            email: EmailId::of_entry(id),
            delivery: None,
        };
        let mut state = EntryState::default();
        state.add(stamp(1), id, &addition);
        state
    }

    #[test]
    fn a_deleted_taken_off_unheard_of_keeps_the_message_for_good() {
        let mut state = entry();
        state.write_flag(stamp(2), &Flag::Deleted, true);
        state.expunge(Stamp::ZERO, Some(stamp(2)));
        assert!(!state.is_live());
        state.write_flag(stamp(3), &Flag::Deleted, false);
        assert!(state.is_live());
        // Set again later, it waits for an expunge of its own: the old one must not strike now.
        state.write_flag(stamp(4), &Flag::Deleted, true);
        assert!(state.is_live());
        state.expunge(Stamp::ZERO, Some(stamp(4)));
        assert!(!state.is_live());
    }

    #[test]
    fn no_other_flag_revives_an_expunged_message() {
        let mut state = entry();
        state.write_flag(stamp(2), &Flag::Deleted, true);
        state.expunge(Stamp::ZERO, Some(stamp(2)));
        state.write_flag(stamp(9), &Flag::Flagged, true);
        assert!(!state.is_live());
    }

    #[test]
    fn a_message_that_moved_away_is_not_expunged_where_it_was() {
        let mut state = entry();
        state.expunge(Stamp::ZERO, None);
        assert!(!state.is_live());
        state.move_to(stamp(2), ARCHIVE);
        assert!(state.is_live());
        assert_eq!(state.mailbox().map(|m| m.value), Some(ARCHIVE));
        state.expunge(stamp(2), Some(stamp(1)));
        assert!(!state.is_live());
    }

    /// It came to the other mailbox marked \Deleted, and went with the next CLOSE there.
    #[test]
    fn a_message_that_moved_away_leaves_the_deleted_of_the_expunge_behind() {
        let mut orders = [entry(), entry()];
        let [up, down] = &mut orders;
        up.write_flag(stamp(2), &Flag::Deleted, true);
        up.expunge(Stamp::ZERO, Some(stamp(2)));
        up.move_to(stamp(3), ARCHIVE);
        down.move_to(stamp(3), ARCHIVE);
        down.expunge(Stamp::ZERO, Some(stamp(2)));
        down.write_flag(stamp(2), &Flag::Deleted, true);
        for mut state in orders {
            assert!(state.is_live() && !state.has(&Flag::Deleted) && state.flags().is_empty());
            state.write_flag(stamp(4), &Flag::Deleted, true);
            assert!(state.has(&Flag::Deleted), "marked anew");
            state.expunge(stamp(3), Some(stamp(4)));
            assert!(!state.is_live());
        }
    }

    #[test]
    fn an_expunge_that_knew_a_move_unheard_of_waits_for_it() {
        let mut state = entry();
        state.expunge(stamp(5), None);
        assert!(state.is_live());
        state.move_to(stamp(5), ARCHIVE);
        assert!(!state.is_live());
        state.move_to(stamp(6), INBOX);
        assert!(state.is_live());
    }

    /// Found by the walks: its node was lost for good, and it waited to be shown for ever.
    #[test]
    fn what_was_moved_and_never_came_is_not_there() {
        let mut state = EntryState::default();
        state.move_to(stamp(2), ARCHIVE);
        assert!(!state.is_live());
    }

    #[test]
    fn of_two_moves_the_later_wins_whatever_the_order() {
        let (mut a, mut b) = (entry(), entry());
        a.move_to(stamp(2), ARCHIVE);
        a.move_to(stamp(3), INBOX);
        b.move_to(stamp(3), INBOX);
        b.move_to(stamp(2), ARCHIVE);
        assert_eq!(a, b);
        assert_eq!(a.mailbox().map(|m| m.value), Some(INBOX));
    }

    #[test]
    fn a_message_is_saved_when_it_comes_into_its_mailbox() {
        let mut state = entry();
        assert_eq!(state.saved(), Some(Millis(1)));
        state.write_flag(stamp(2), &Flag::Seen, true);
        state.place(INBOX, Placement { validity: Validity(1), uid: Uid(9) });
        assert_eq!(state.saved(), Some(Millis(1)), "neither flags nor UIDs move it");
        state.move_to(stamp(5), ARCHIVE);
        state.move_to(stamp(4), ARCHIVE);
        assert_eq!(state.saved(), Some(Millis(5)), "the move that counts, whatever comes first");
        assert_eq!(EntryState::default().saved(), None);
    }

    #[test]
    fn placements_of_one_epoch_say_nothing_of_another() {
        let mut state = entry();
        state.place(INBOX, Placement { validity: Validity(1), uid: Uid(900) });
        state.place(INBOX, Placement { validity: Validity(2), uid: Uid(3) });
        state.place(INBOX, Placement { validity: Validity(1), uid: Uid(70) });
        assert_eq!(state.placement(INBOX, Validity(1)), Some(Uid(900)));
        assert_eq!(state.placement(INBOX, Validity(2)), Some(Uid(3)));
        assert_eq!(state.placement(ARCHIVE, Validity(1)), None);
    }

    /// The spelling that came first was kept, so that two nodes stored different states for the same operations.
    #[test]
    fn a_keyword_is_spelled_alike_whatever_the_order() {
        let spelled = |text: &str| Flag::parse(text).expect("a keyword");
        let (mut up, mut down) = (entry(), entry());
        let writes = [(stamp(2), "$junk"), (stamp(3), "$Junk"), (stamp(4), "$JUNK")];
        for (stamp, text) in writes {
            assert!(up.write_flag(stamp, &spelled(text), true), "it comes last, and counts");
            assert!(!up.write_flag(stamp, &spelled(text), true), "it was there already");
        }
        for (stamp, text) in writes.iter().rev() {
            down.write_flag(*stamp, &spelled(text), true);
        }
        let text = |state: &EntryState| state.flags().iter().map(Flag::to_string).collect::<Vec<_>>();
        assert_eq!(text(&up), ["$JUNK"]);
        assert_eq!(text(&down), ["$JUNK"]);
    }

    #[test]
    fn keywords_and_expunges_without_end_are_bounded_alike_in_any_order() {
        let keyword = |n: usize| Flag::parse(&format!("k{n:05}")).expect("a keyword");
        let (mut up, mut down) = (entry(), entry());
        for n in 0..2000usize {
            up.write_flag(stamp(n as u64 + 2), &keyword(n), true);
            up.expunge(stamp(n as u64 + 2), None);
        }
        for n in (0..2000usize).rev() {
            down.write_flag(stamp(n as u64 + 2), &keyword(n), true);
            down.expunge(stamp(n as u64 + 2), None);
        }
        assert_eq!(up, down);
        assert_eq!((up.flag_registers(), up.expunged.len()), (MOST_REGISTERS, MOST_EXPUNGES));
    }
}
