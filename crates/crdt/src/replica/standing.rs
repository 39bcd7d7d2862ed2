//! Rule 8: whether this life continues where the last one on this disk ended, as far as the other members can tell.
//!
//! A disk that is put back to an older state has lost placements that clients saw. Every start is a new life that seals its
//! predecessor; the other members confirm it, or know better. A life that was found out yields: it places nothing more in
//! its slot, and the member that found it out gives it another one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Archive, Replica};
use crate::clock::{GREATEST_SKEW_MILLISECONDS, Millis, Timestamp};
use crate::identity::{Incarnation, NodeSlot};
use crate::left_out::{LeftOut, leaves_out};
use crate::operation::{Member, Operation};
use crate::placement::reach::LEAP_WINDOW_MILLISECONDS;
use crate::placement::surroundings::Ground;
use crate::record::Record;
use crate::vector::Sequence;

/// For how long after its start a life waits for the other members before it shows or places anything new, in milliseconds.
pub const CONFIRMATION_MILLISECONDS: u64 = 2_000;

/// What a peer says of a life whose first record it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// The peer knows nothing that speaks against it.
    Confirmed,
    /// The peer holds more of the life before than this one sealed: the disk was rolled back.
    HoldsMore {
        /// The last record of the life before that the peer holds.
        held: Sequence,
    },
    /// The peer holds other records of the life before under the same numbers.
    OtherHash,
    /// Another life has sealed the same life before: one disk was started twice.
    SealedTwice {
        /// The other life.
        other: Incarnation,
    },
}

/// How a life stands with the other members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// Every member has confirmed it, or there was no other.
    Confirmed,
    /// Members have not answered yet: nothing new is shown or placed.
    Waiting,
    /// Not every member has confirmed it: it leaps in every mailbox before it shows or places anything new.
    Unconfirmed,
    /// Its disk was rolled back: it gives no UIDs until it has another slot.
    RolledBack,
}

/// What is known of the present life.
#[derive(Clone, Debug, Hash)]
pub(super) struct Standing {
    start: Timestamp,
    until: Millis,
    confirmed_by: BTreeSet<NodeSlot>,
    confirmed: bool,
    /// Whether records are here that the disk had lost: whoever brought them will say so, but not before they are taken in.
    found_out: bool,
    long_asleep: bool,
}

impl Standing {
    /// A life begins at `start`. `last` is the last moment that the disk knows of; `continues` says that the life before ended in
    /// this very process, on ground that was firm.
    pub(super) fn new(start: Timestamp, now: Millis, last: Timestamp, continues: bool) -> Self {
        let asleep = last.millis().after(LEAP_WINDOW_MILLISECONDS) < now;
        Standing {
            start,
            until: now.after(if leaves_out(LeftOut::WaitForConfirmation) {
                0
            } else {
                CONFIRMATION_MILLISECONDS
            }),
            confirmed_by: BTreeSet::new(),
            confirmed: continues,
            found_out: false,
            long_asleep: asleep && last > Timestamp::ZERO,
        }
    }
}

impl<A: Archive> Replica<A> {
    /// What a peer says of this life.
    pub fn take_verdict(&mut self, slot: NodeSlot, verdict: Verdict) {
        if verdict == Verdict::Confirmed {
            self.standing.confirmed_by.insert(slot);
        } else {
            // Even where it was confirmed before: the peer may have heard of the lost records only now.
            self.yield_to(slot);
        }
        self.keep_standing();
        self.admit_where_looked_at();
    }

    /// What this node says of a life; none while it does not have the first records of that life and of those that it continues
    /// in its slot.
    ///
    /// A life stands on all of them: the second start of a disk that was rolled back seals the first one, which nobody may have
    /// judged.
    pub fn judge(&self, life: &Incarnation) -> Option<Verdict> {
        let slot = self.cluster.slot_of(life)?;
        let mut judged = *life;
        // Honest lives never come round to themselves; others end with the last one that is known.
        for _ in self.cluster.lives() {
            let verdict = self.judge_one(&judged);
            if verdict != Verdict::Confirmed {
                return Some(verdict);
            }
            let Some(before) = self.cluster.seal(&judged).map(|seal| seal.incarnation) else { break };
            if self.cluster.slot_of(&before)? != slot || leaves_out(LeftOut::AllLivesJudged) {
                break;
            }
            judged = before;
        }
        Some(Verdict::Confirmed)
    }

    /// What there is to say of a life, those before it aside.
    fn judge_one(&self, life: &Incarnation) -> Verdict {
        let rival = self.cluster.rival(life).filter(|_| !leaves_out(LeftOut::SealedTwice));
        if let Some(other) = rival {
            return Verdict::SealedTwice { other };
        }
        let Some(seal) = self.cluster.seal(life) else { return Verdict::Confirmed };
        let held = self.vector.last(&seal.incarnation);
        let hash = self.hashes.get(&seal.incarnation).copied().unwrap_or_default();
        if held > seal.sequence && !leaves_out(LeftOut::PeerHoldsMore) {
            Verdict::HoldsMore { held }
        } else if held == seal.sequence
            && held > Sequence(0)
            && hash != seal.hash
            && !leaves_out(LeftOut::PeerHoldsOther)
        {
            Verdict::OtherHash
        } else {
            Verdict::Confirmed
        }
    }

    /// The slot in which this node has to go on, with a new life, if it was given another one.
    pub fn successor(&self) -> Option<NodeSlot> {
        self.cluster.successor(&self.author().incarnation)
    }

    /// Until when members are waited for before anything new is shown or placed; none where that is settled.
    pub fn waits_until(&self) -> Option<Millis> {
        match self.ground() {
            Ground::Waiting { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Whether every member has confirmed this life.
    pub fn is_confirmed(&self) -> bool {
        matches!(self.ground(), Ground::Firm { .. })
    }

    /// How this life stands with the other members.
    pub fn confirmation(&self) -> Confirmation {
        match self.ground() {
            Ground::Firm { .. } => Confirmation::Confirmed,
            Ground::Waiting { .. } => Confirmation::Waiting,
            Ground::Unconfirmed { .. } => Confirmation::Unconfirmed,
            Ground::RolledBack => Confirmation::RolledBack,
        }
    }

    /// Whether this node may give UIDs: not while its disk is one that was rolled back and it has no other slot yet.
    pub fn may_place(&self) -> bool {
        self.ground() != Ground::RolledBack
    }

    /// Values of this slot between these two were issued by a life that nobody confirmed, or that this disk does not know, or by
    /// nobody.
    ///
    /// The clock of a life that is lost may have run ahead of the present one, though not further than members let each other
    /// differ. Until every member has confirmed this life, its own values may be those as well.
    pub fn unknown_values(&self) -> (Timestamp, Timestamp) {
        let start = self.standing.start;
        if leaves_out(LeftOut::LostValues) {
            return (start, start);
        }
        let certain = self.is_confirmed() || leaves_out(LeftOut::LostClockAhead);
        let ahead = if certain { 0 } else { 2 * GREATEST_SKEW_MILLISECONDS };
        (self.firm_end.last, Timestamp::from_parts(start.millis().after(ahead), 0, start.slot()).max(start))
    }

    /// The first moment of this life.
    pub fn began(&self) -> Timestamp {
        self.standing.start
    }

    /// Declares a member dead: it never comes back under its slot, and everybody leaps over what it may have placed.
    pub fn bury(&mut self, slot: NodeSlot) {
        if slot != self.author().slot && self.cluster.retired_by(slot).is_none() {
            self.write_cluster(Operation::Bury { slot });
            self.keep_standing();
        }
    }

    pub(super) fn ground(&self) -> Ground {
        let own = self.author();
        let loss = match leaves_out(LeftOut::LossIsLeapt) {
            true => Timestamp::ZERO,
            false => self.cluster.latest_loss(),
        };
        let yielded = self.cluster.witness(&own.incarnation).is_some();
        let is_lost = yielded || self.cluster.retired_by(own.slot).is_some();
        if (is_lost || self.standing.found_out) && !leaves_out(LeftOut::RolledBackRests) {
            return Ground::RolledBack;
        }
        if self.standing.confirmed {
            return Ground::Firm { loss };
        }
        let (until, start) = (self.standing.until, self.standing.start.max(loss));
        if self.writer.now() < until {
            Ground::Waiting { until, start, loss }
        } else {
            let long_asleep = self.standing.long_asleep && !leaves_out(LeftOut::LongAsleepFounds);
            Ground::Unconfirmed { start, loss, long_asleep }
        }
    }

    /// Judges this life itself: above what a lost life had placed it must not go on placing, since that one may have placed more.
    pub(super) fn judge_itself(&mut self, records: &[Record]) {
        let own = self.author();
        let of_slot = |life: &Incarnation| self.cluster.slot_of(life) == Some(own.slot);
        let is_news = |record: &Record| record.incarnation != own.incarnation && of_slot(&record.incarnation);
        // Where it is alone nobody could say so, or give it another slot.
        let is_alone = self.cluster.living().all(|member| member.slot == own.slot);
        if is_alone || !self.cluster_changed && !records.iter().any(is_news) {
            return;
        }
        let verdict = self.judge(&own.incarnation);
        self.standing.found_out |= verdict.is_some_and(|verdict| verdict != Verdict::Confirmed)
            && !leaves_out(LeftOut::JudgesItself);
    }

    /// Draws the consequences of what is known of lives and members.
    pub(super) fn keep_standing(&mut self) {
        let own = self.author();
        let by = |slot: NodeSlot| slot == own.slot || self.standing.confirmed_by.contains(&slot);
        // A member that was given another slot speaks from its old one until it has heard of it.
        let by_former = |slot: NodeSlot| self.cluster.not_yet_moved(slot).is_some_and(by);
        let confirmed = |member: &Member| by(member.slot) || by_former(member.slot);
        let by_all = self.cluster.living().all(confirmed);
        let by_some = !self.standing.confirmed_by.is_empty() && leaves_out(LeftOut::EveryMemberConfirms);
        self.standing.confirmed |= by_all || by_some;
        if let Some(witness) = self.cluster.retired_by(own.slot) {
            self.yield_to(witness);
        }
        if self.is_confirmed() || leaves_out(LeftOut::WitnessGrants) {
            self.serve_yields();
            self.share_reserve();
        }
    }

    /// This life gives its slot up, and asks a member for another one.
    fn yield_to(&mut self, witness: NodeSlot) {
        let own = self.author();
        if leaves_out(LeftOut::WitnessGrants) && self.cluster.witness(&own.incarnation).is_none() {
            self.write_cluster(Operation::Yield { witness: own.slot });
        }
        if witness != own.slot && self.cluster.witness(&own.incarnation).is_none() {
            self.write_cluster(Operation::Yield { witness });
        }
    }

    /// Gives lives that asked for it another slot; only a confirmed life may give any (rule 2).
    fn serve_yields(&mut self) {
        let own = self.author().slot;
        let asking: Vec<Incarnation> = self.cluster.yielded_to(own).collect();
        for life in asking {
            let before = self.cluster.slot_of(&life).and_then(|slot| self.cluster.member(slot)).cloned();
            let Some(before) = before else { continue };
            // Where none is left the life goes on asking: `status` says so.
            let Some((slot, _)) = self.grant() else { continue };
            self.write_cluster(Operation::Admit(Member { slot, ..before }));
            self.write_cluster(Operation::Succeed { life, slot });
        }
    }

    /// Hands slots over to members that have none left to grant (rule 2): each may be the only one that can be reached.
    fn share_reserve(&mut self) {
        let inviter = self.author().slot;
        if leaves_out(LeftOut::ReserveIsHandedOver) {
            return;
        }
        // Each leaves half of the reserve, so there are few.
        while let Some((slot, reserve)) = self.cluster.next_handover(inviter) {
            self.write_cluster(Operation::Grant { inviter, slot, reserve });
        }
    }
}
