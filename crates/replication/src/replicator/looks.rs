//! Look gossip: which mailboxes clients look at, and where.

use std::collections::BTreeSet;

use super::Replicator;
use crate::event::{LinkId, Output};
use crate::frame::{Frame, LookedAt};
use crate::limits::{MOST_LOOKS, MOST_LOOKS_A_FRAME};

impl Replicator {
    /// Tells every peer what changed.
    pub(super) fn handle_looks(&mut self, looks: BTreeSet<LookedAt>) {
        // A mailbox that is told stays told while it is looked at, also where there are more than can be told.
        let mut told: BTreeSet<LookedAt> = self.looks.intersection(&looks).copied().collect();
        let room = MOST_LOOKS.saturating_sub(told.len());
        told.extend(looks.difference(&self.looks).take(room).copied().collect::<Vec<_>>());
        let started: Vec<LookedAt> = told.difference(&self.looks).copied().collect();
        let ended: Vec<LookedAt> = self.looks.difference(&told).copied().collect();
        self.looks = told;
        if started.is_empty() && ended.is_empty() {
            return;
        }
        let frames = frames(false, &started, &ended);
        for link in self.links.keys() {
            let sends = frames.iter().map(|frame| Output::Send { link: *link, frame: frame.clone() });
            self.outputs.extend(sends);
        }
    }

    /// Tells a new link everything.
    pub(super) fn send_all_looks(&mut self, link: LinkId) {
        let all: Vec<LookedAt> = self.looks.iter().copied().collect();
        let sends = frames(true, &all, &[]).into_iter().map(|frame| Output::Send { link, frame });
        self.outputs.extend(sends);
    }

    pub(super) fn handle_peer_looks(
        &mut self,
        id: LinkId,
        reset: bool,
        started: Vec<LookedAt>,
        ended: &[LookedAt],
        complete: bool,
    ) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if reset {
            link.looks.clear();
        }
        for look in ended {
            link.looks.remove(look);
        }
        let room = MOST_LOOKS.saturating_sub(link.looks.len());
        link.looks.extend(started.into_iter().take(room));
        if complete && let Some(peer) = self.peers.get_mut(&link.slot) {
            peer.looks_told = true;
            let looks = Some(link.looks.clone());
            self.outputs.push_back(Output::PeerLooks { slot: link.slot, looks });
        }
    }
}

/// A change of looks in frames of bounded size, the last of them marked.
fn frames(reset: bool, started: &[LookedAt], ended: &[LookedAt]) -> Vec<Frame> {
    let frame = |reset, started: &[LookedAt], ended: &[LookedAt]| Frame::Looks {
        reset,
        started: started.to_vec(),
        ended: ended.to_vec(),
        complete: false,
    };
    let mut frames: Vec<Frame> = Vec::new();
    frames.extend(ended.chunks(MOST_LOOKS_A_FRAME).map(|ended| frame(false, &[], ended)));
    frames.extend(started.chunks(MOST_LOOKS_A_FRAME).map(|started| frame(false, started, &[])));
    if frames.is_empty() {
        frames.push(frame(false, &[], &[]));
    }
    if let Some(Frame::Looks { reset: first, .. }) = frames.first_mut() {
        *first = reset;
    }
    if let Some(Frame::Looks { complete, .. }) = frames.last_mut() {
        *complete = true;
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt::identity::{AccountId, MailboxId};

    #[test]
    fn many_looks_take_several_frames() {
        let look = |n: u32| {
            let mut name = [0; 16];
            name[..4].copy_from_slice(&n.to_be_bytes());
            (AccountId(name), MailboxId(name))
        };
        let all: Vec<LookedAt> = (0..10_000).map(look).collect();
        let frames = frames(true, &all, &[]);
        let marks = |frame: &Frame| match frame {
            Frame::Looks { reset, complete, .. } => (*reset, *complete),
            _ => unreachable!("only looks"),
        };
        assert_eq!(
            frames.iter().map(marks).collect::<Vec<_>>(),
            [(true, false), (false, false), (false, true)]
        );
        assert!(frames.iter().all(|frame| frame.encode().is_ok()));
        assert_eq!(super::frames(true, &[], &[]).len(), 1);
    }
}
