//! Rule 9, `uid.on_reorder` and `uid.reissue_limit`: when a merge would reissue so much that the operator prefers a bump.

use std::hash::{Hash, Hasher};

use super::admission::Circumstances;
#[cfg(doc)]
use super::surroundings::LARGE_MAILBOX;
use super::surroundings::{OnReorder, Surroundings};
use crate::account::Account;
use crate::clock::{Millis, Timestamp};
use crate::identity::EntryId;
use crate::left_out::{LeftOut, leaves_out};
use crate::operation::FoundingReason;
use crate::writer::Writer;

/// Reissues less than this apart count as those of one merge, in milliseconds: what each side has to reissue comes in turn.
const MERGE_MILLISECONDS: u64 = 10_000;
/// What was accepted longer ago than this did not come from a node that is in touch, in milliseconds.
const IN_TOUCH_MILLISECONDS: u64 = 60_000;

/// What a merge has made this node reissue in a mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merge {
    /// The meeting that it followed.
    met: Timestamp,
    /// When it last made this node reissue something.
    last: Millis,
    reissues: usize,
}

/// It decides nothing in mailboxes of at most [`LARGE_MAILBOX`] messages: two nodes that differ in it alone go on alike.
impl Hash for Merge {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Merge {
    /// Whether what is reissued now is of the same merge.
    fn goes_on(&self, met: Timestamp, now: Millis) -> bool {
        self.met == met && now < self.last.after(MERGE_MILLISECONDS)
    }
}

impl Account {
    /// Whether these reissues are not to be had, by the operator's will (rule 9). The placer alone decides how many are too many.
    pub(super) fn reason_to_bump(
        &mut self,
        writer: &Writer,
        surroundings: &Surroundings<'_>,
        circumstances: &Circumstances<'_>,
        reordered: &[EntryId],
    ) -> Option<FoundingReason> {
        if !reordered.is_empty()
            && surroundings.policy.on_reorder == OnReorder::Bump
            && !leaves_out(LeftOut::ReorderPolicy)
        {
            return Some(FoundingReason::Policy);
        }
        let merged = self.count_merged(writer, surroundings, reordered);
        if merged == 0 {
            return None;
        }
        let former = self.merges.get(&circumstances.mailbox);
        let former = former.filter(|merge| merge.goes_on(surroundings.met, circumstances.now));
        let reissues = merged + former.map_or(0, |merge| merge.reissues);
        let messages = self.count_live(circumstances.mailbox);
        let over = (circumstances.is_placer() || leaves_out(LeftOut::LimitIsThePlacers))
            && surroundings.policy.is_over_limit(reissues, messages)
            && !leaves_out(LeftOut::ReissueLimit);
        if !over {
            let merge = Merge { met: surroundings.met, last: circumstances.now, reissues };
            self.merges.insert(circumstances.mailbox, merge);
        }
        over.then_some(FoundingReason::ReissueLimit)
    }

    /// How many of these entries a merge brought: they were accepted before this node last met a peer, or so long ago that they
    /// came from beyond a cut between others. What two nodes that are in touch accept at the same time is none of it, however
    /// much that is.
    fn count_merged(&self, writer: &Writer, surroundings: &Surroundings<'_>, entries: &[EntryId]) -> usize {
        let present = writer.now().max(writer.last().millis());
        let is_merged = |entry: &&EntryId| {
            self.added(entry).is_some_and(|added| {
                let is_old = added.timestamp.millis().after(IN_TOUCH_MILLISECONDS) <= present;
                is_old || added.timestamp <= surroundings.met || leaves_out(LeftOut::LimitIsOfMerges)
            })
        };
        entries.iter().filter(is_merged).count()
    }
}
