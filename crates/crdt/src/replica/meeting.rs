//! Two nodes that meet again exchange vectors and announcements before either reissues anything (rule 6).

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use super::{Archive, ArchiveError, Replica};
use crate::clock::{HybridClock, Millis, Timestamp};
use crate::identity::NodeSlot;
use crate::left_out::{LeftOut, leaves_out};
use crate::placement::announcement::Announcement;
use crate::vector::Vector;

/// For how long what a peer brings to a meeting is waited for, in milliseconds.
pub const MEETING_MILLISECONDS: u64 = 2_000;

/// What a peer had when its link came up: until all of it is here, too little is known to choose UIDs well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Meeting {
    /// Its records.
    pub vector: Vector,
    /// Up to which moment it had heard what each node tells of itself.
    pub heard: BTreeMap<NodeSlot, Timestamp>,
}

/// Meetings that are not over, and what this node has heard of the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Meetings {
    open: BTreeMap<NodeSlot, (Meeting, Millis)>,
    heard: BTreeMap<NodeSlot, Timestamp>,
    /// What either side of the last meeting had told clients by its beginning was accepted up to then.
    pub(super) met: Timestamp,
}

/// When nodes met decides how much a merge may reissue of a large mailbox, as [`crate::placement::limit::Merge`] does, and is left out
/// as that is.
impl Hash for Meetings {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Meetings { open, heard, met: _ } = self;
        (open, heard).hash(state);
    }
}

impl Meetings {
    /// Until when something is still waited for.
    pub(super) fn until(&self, now: Millis) -> Option<Millis> {
        self.open.values().map(|(_, until)| *until).filter(|until| now < *until).max()
    }

    /// Ends the meetings that brought everything. Tells whether there was one.
    fn close(&mut self, vector: &Vector) -> bool {
        let before = self.open.len();
        let heard = &self.heard;
        self.open.retain(|_, (meeting, _)| {
            let all_heard =
                meeting.heard.iter().all(|(slot, at)| heard.get(slot).is_some_and(|known| known >= at));
            !(all_heard && vector.covers(&meeting.vector))
        });
        self.open.len() < before
    }
}

impl<A: Archive> Replica<A> {
    /// A link to a peer is up, or gone.
    pub fn meet(&mut self, slot: NodeSlot, meeting: Option<Meeting>) {
        let own = self.author().slot;
        match meeting {
            Some(mut meeting) => {
                meeting.heard.remove(&own);
                let told =
                    meeting.heard.values().copied().filter(|at| !HybridClock::is_ahead(*at, self.now()));
                let present = Timestamp::from_parts(self.now(), 0, own).max(self.writer.last());
                self.meetings.met = told.fold(present, Timestamp::max);
                let ends = !leaves_out(LeftOut::MeetingEnds);
                let until = self.now().after(if ends { MEETING_MILLISECONDS } else { u64::MAX / 4 });
                self.meetings.open.insert(slot, (meeting, until));
            }
            None => drop(self.meetings.open.remove(&slot)),
        }
        self.close_meetings();
    }

    /// What every node tells of itself is here up to these moments.
    pub fn set_heard(&mut self, heard: BTreeMap<NodeSlot, Timestamp>) {
        self.meetings.heard = heard;
        self.close_meetings();
    }

    /// Takes in what peers announced; of several of one node for one mailbox the newest counts.
    ///
    /// That includes what peers know of this very node from a life that its disk has lost: others have adopted it, and take
    /// nothing for new that is not later.
    pub fn hear(&mut self, announcements: Vec<Announcement>) -> Result<(), ArchiveError> {
        let own = self.author();
        let valid = |announcement: &Announcement| {
            announcement.incarnation != own.incarnation && announcement.is_valid(self.writer.now())
        };
        let announcements: Vec<Announcement> = announcements.into_iter().filter(valid).collect();
        let mut concerned = Vec::new();
        for announcement in announcements {
            self.writer.observe(announcement.at.max(announcement.modseq));
            let account = announcement.account;
            self.load(account)?;
            let Some(state) = self.accounts.get_mut(&account) else { continue };
            if state.hear(announcement.clone()) {
                if !leaves_out(LeftOut::Forwarding) {
                    self.announcements.push(announcement.clone());
                }
                if announcement.slot() == own.slot {
                    state.tell_again(announcement.mailbox);
                }
                concerned.push(account);
            }
        }
        concerned.dedup();
        for account in concerned {
            if self.accounts.get(&account).is_some_and(|state| !state.fallen.is_empty()) {
                self.with_surroundings(account, |account, writer, surroundings| {
                    account.adopt_fallen(writer, surroundings);
                });
            }
            self.settle(account);
        }
        Ok(())
    }

    /// When a meeting is over, what waited for it can be done.
    pub(super) fn close_meetings(&mut self) {
        if self.meetings.close(&self.vector) {
            self.admit_where_looked_at();
        }
    }
}
