//! What peers tell beside the log: what nodes tell of themselves, what peers had when they were met, what they say of this life.

use std::collections::BTreeSet;

use crdt::identity::{Incarnation, NodeSlot};
use crdt::left_out::{LeftOut, leaves_out};
use crdt::notice::Telling;
use crdt::replica::{ArchiveError, Commit, Meeting, Verdict};
use crdt::vector::Sequence;
use storage::Batch;

use super::{Committer, Outcome};
use crate::job::Answer;
use crate::notices::{HearError, Judged, Told};

impl Committer {
    /// Keeps what a peer passed on. Answered once it is durable.
    pub(super) fn hear(
        &mut self,
        tellings: Vec<Telling>,
        answer: Answer<(), HearError>,
        batch: &mut Batch,
    ) -> Outcome {
        let now = self.replica.now();
        let taken = match self.storage.reader() {
            Ok(reader) => self.notices.hear(batch, &reader, now, tellings),
            Err(error) => Err(ArchiveError(error.to_string()).into()),
        };
        let heard = taken.and_then(|taken| {
            for (slot, judged) in taken.verdicts {
                self.take_verdict(slot, judged.life, judged.verdict);
            }
            Ok(self.replica.hear(taken.announcements)?)
        });
        self.replica.set_heard(self.notices.heard().clone().into());
        Box::new(move |finished| {
            let durable = finished.map(|_| ()).map_err(|error| ArchiveError(error.to_string()));
            answer(heard.and_then(|()| Ok(durable?)));
        })
    }

    /// A link to a peer has come up, or gone.
    pub(super) fn meet(&mut self, slot: NodeSlot, meeting: Option<Meeting>) {
        match meeting {
            Some(meeting) => {
                if let Some(at) = meeting.heard.get(&self.notices.slot()) {
                    self.notices.observe(*at, self.replica.now());
                }
                self.meetings.insert(slot, meeting.clone());
                self.replica.meet(slot, Some(meeting));
            }
            None => {
                self.meetings.remove(&slot);
                self.replica.meet(slot, None);
            }
        }
        self.published.set_meetings(self.meetings.clone());
    }

    /// What this node has to say of lives that began with this batch: also those hear it to whom there is no link.
    pub(super) fn verdicts(&self, commit: &Commit) -> Vec<Told> {
        if leaves_out(LeftOut::VerdictsTravel) {
            return vec![];
        }
        let own = self.replica.author().slot;
        let begun = commit.records.iter().filter(|record| record.sequence == Sequence(1));
        let mut begun: BTreeSet<Incarnation> = begun.map(|record| record.incarnation).collect();
        if !begun.is_empty() {
            // Those that have ended wait for no verdict; a node that joins hears of all lives that there were, in any order.
            for seal in self.replica.cluster().lives().filter_map(|(_, _, seal)| seal) {
                begun.remove(&seal.incarnation);
            }
        }
        let judged = begun.into_iter().filter_map(|life| {
            let slot = self.replica.cluster().slot_of(&life).filter(|slot| *slot != own)?;
            Some(Told::Verdict(Judged { slot, life, verdict: self.replica.judge(&life)? }))
        });
        judged.collect()
    }

    /// A peer says something of a life of this node; of lives that have ended nothing matters.
    pub(super) fn take_verdict(&mut self, slot: NodeSlot, life: Incarnation, verdict: Verdict) {
        if life != self.replica.author().incarnation {
            return;
        }
        if verdict != Verdict::Confirmed {
            tracing::error!(%slot, ?verdict, "a peer says that the disk of this node was rolled back");
        }
        self.replica.take_verdict(slot, verdict);
        self.published.set_verdict(slot, verdict);
    }
}
