//! Entries that are not shown as they should be, and which records they wait to show the effects of.

use crate::clock::Millis;
use crate::identity::{Incarnation, Uid};
use crate::left_out::{LeftOut, leaves_out};
use crate::placement::admission::{BODY_WAIT_MILLISECONDS, COURTESY_MILLISECONDS};
use crate::vector::{Sequence, Vector};

/// Since when an entry waits, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pending {
    since: Millis,
    /// The UID that it has, and since when: whoever gave it that had the turn to do so, and the next turn begins there.
    uid: Option<Uid>,
    turn_since: Millis,
    /// The first records, by author, whose effects on it may not be visible; `None` after a start: any may be among them.
    causes: Option<Vec<(Incarnation, Sequence)>>,
    /// The UID that it had, with its body here, when the present life began.
    known_at_start: Option<Uid>,
}

impl Pending {
    pub(crate) fn new(since: Millis, uid: Option<Uid>, causes: Option<Vec<(Incarnation, Sequence)>>) -> Self {
        Pending { since, uid, turn_since: since, causes, known_at_start: None }
    }

    /// The entry has this UID now.
    pub(crate) fn set_uid(&mut self, uid: Option<Uid>, now: Millis) {
        if self.uid != uid {
            self.uid = uid;
            self.turn_since = if leaves_out(LeftOut::TurnBeginsAnew) { self.since } else { now };
        }
    }

    /// Until when others are left to place it, or to give it another UID.
    pub(crate) fn turn_until(&self) -> Millis {
        self.turn_since.after(COURTESY_MILLISECONDS)
    }

    /// Until when its body may still be on its way.
    pub(crate) fn body_until(&self) -> Millis {
        self.since.after(BODY_WAIT_MILLISECONDS)
    }

    /// When the present life began, the entry had this UID, and its body was here.
    pub(crate) fn set_known_at_start(&mut self, uid: Uid) {
        self.known_at_start = Some(uid);
    }

    /// Whether the entry had this UID, with its body here, when the present life began.
    pub(crate) fn was_known_at_start(&self, uid: Uid) -> bool {
        self.known_at_start == Some(uid)
    }

    /// More records came whose effects are not visible.
    pub(crate) fn add(&mut self, more: &[(Incarnation, Sequence)]) {
        let Some(causes) = &mut self.causes else { return };
        for (incarnation, sequence) in more {
            match causes.iter_mut().find(|(known, _)| known == incarnation) {
                Some((_, first)) => *first = *sequence.min(first),
                None => causes.push((*incarnation, *sequence)),
            }
        }
    }

    /// Whether one of these records may be among the causes.
    pub(crate) fn may_be_effect_of(&self, records: &Vector) -> bool {
        let Some(causes) = &self.causes else { return true };
        causes.iter().any(|(incarnation, first)| records.last(incarnation) >= *first)
    }

    /// Takes the causes, and what came after them, out of `visible`; everything where they are not known.
    pub(crate) fn end_before(&self, visible: &mut Vector) {
        match &self.causes {
            Some(causes) => {
                causes.iter().for_each(|(incarnation, first)| visible.end_before(incarnation, *first));
            }
            None => *visible = Vector::new(),
        }
    }

    /// Whether its body may still be on its way.
    pub(crate) fn awaits_body(&self, now: Millis) -> bool {
        now < self.body_until()
    }
}
