//! Lives: a node that has the first record of a peer's life tells the peer what it has to say of it.

use crdt::identity::Incarnation;
use crdt::replica::Verdict;
use crdt::vector::Sequence;

use super::Replicator;
use crate::event::{LinkId, Output};
use crate::frame::Frame;

impl Replicator {
    /// This node has begun a new life without a new process.
    pub(super) fn handle_new_life(&mut self, life: Incarnation) {
        if life == self.identity.incarnation {
            return;
        }
        self.identity.incarnation = life;
        for link in self.links.keys() {
            self.outputs.push_back(Output::Send { link: *link, frame: Frame::NewLife { life } });
        }
    }

    /// A peer has.
    pub(super) fn handle_peer_life(&mut self, id: LinkId, life: Incarnation) {
        if let Some(link) = self.links.get_mut(&id) {
            link.incarnation = Some(life);
            link.verdict = None;
            link.judged_at = None;
        }
    }

    /// Has the life of a peer judged once its first record is here, and again after more has come.
    pub(super) fn pump_verdict(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(life) = link.incarnation else { return };
        if link.judged_at.is_none() && self.vector.last(&life) > Sequence(0) {
            link.judged_at = Some(self.commits);
            self.outputs.push_back(Output::Judge { link: id, life });
        }
    }

    pub(super) fn handle_judged(&mut self, id: LinkId, life: Incarnation, verdict: Option<Verdict>) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.incarnation == Some(life)) else {
            return;
        };
        let Some(verdict) = verdict.filter(|verdict| link.verdict != Some(*verdict)) else { return };
        link.verdict = Some(verdict);
        self.outputs.push_back(Output::Send { link: id, frame: Frame::Verdict { life, verdict } });
    }

    pub(super) fn handle_verdict(&mut self, id: LinkId, life: Incarnation, verdict: Verdict) {
        let Some(link) = self.links.get(&id) else { return };
        self.outputs.push_back(Output::Verdict { slot: link.slot, life, verdict });
    }
}
