//! How often what a simulation is there for has happened: a fault that never occurs proves nothing.

use std::fmt;

/// What happened in one run, or in many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events and deadlines.
    pub steps: u64,
    /// Commands that clients gave.
    pub commands: u64,
    /// Messages that were accepted.
    pub accepted: u64,
    /// Views that clients were shown.
    pub views: u64,
    /// Nodes that were killed or lost power.
    pub kills: u64,
    /// Disks that were put back to an older state.
    pub rollbacks: u64,
    /// Nodes that were lost with their disks.
    pub lost_nodes: u64,
    /// Members that were declared dead, rightly or not.
    pub burials: u64,
    /// Nodes that were given another slot.
    pub moves: u64,
    /// Nodes that joined a running cluster.
    pub joins: u64,
    /// Of them, those that were invited while two members were cut apart.
    pub joins_while_parted: u64,
    /// Paths that were cut, each direction for itself.
    pub cuts: u64,
    /// Packets that were sent again because they were lost.
    pub lost_packets: u64,
    /// Packets that were on their way when their connection ended.
    pub cut_off_packets: u64,
    /// Frames of a connection that the node had given up already.
    pub late_frames: u64,
    /// Records that came from a peer that had sent them before.
    pub repeated_records: u64,
    /// Records that came from a second peer.
    pub doubled_records: u64,
    /// STATUS.
    pub polls: u64,
    /// POP3 sessions that came to their end.
    pub pop_sessions: u64,
    /// Messages that took the place of another one.
    pub replacements: u64,
    /// Bodies that clients read.
    pub reads: u64,
    /// Caches that were brought up to date.
    pub resyncs: u64,
    /// Of them, those that another node had filled.
    pub moved_resyncs: u64,
    /// Of those, the ones of whose old node the new one had everything.
    pub merged_resyncs: u64,
    /// New values of UIDVALIDITY that a client met at a name that it knew by another.
    pub bumps: u64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Counts) -> Counts {
        let mut sum = self;
        sum.named_mut().into_iter().zip(other.named()).for_each(|((_, ours), (_, theirs))| *ours += theirs);
        sum
    }

    fn named_mut(&mut self) -> [(&'static str, &mut u64); 25] {
        [
            ("steps", &mut self.steps),
            ("commands", &mut self.commands),
            ("accepted", &mut self.accepted),
            ("views", &mut self.views),
            ("kills", &mut self.kills),
            ("rollbacks", &mut self.rollbacks),
            ("nodes lost", &mut self.lost_nodes),
            ("burials", &mut self.burials),
            ("other slots", &mut self.moves),
            ("joins", &mut self.joins),
            ("joins while parted", &mut self.joins_while_parted),
            ("cuts", &mut self.cuts),
            ("lost packets", &mut self.lost_packets),
            ("packets cut off", &mut self.cut_off_packets),
            ("late frames", &mut self.late_frames),
            ("records repeated", &mut self.repeated_records),
            ("records from two peers", &mut self.doubled_records),
            ("polls", &mut self.polls),
            ("POP3 sessions", &mut self.pop_sessions),
            ("replacements", &mut self.replacements),
            ("reads", &mut self.reads),
            ("resyncs", &mut self.resyncs),
            ("after a move", &mut self.moved_resyncs),
            ("after a merge", &mut self.merged_resyncs),
            ("bumps", &mut self.bumps),
        ]
    }

    fn named(mut self) -> [(&'static str, u64); 25] {
        self.named_mut().map(|(name, count)| (name, *count))
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.named().map(|(name, count)| format!("{count} {name}"));
        f.write_str(&texts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up() {
        let one = Counts { commands: 3, bumps: 1, ..Counts::default() };
        let sum = one.plus(Counts { commands: 4, ..Counts::default() });
        assert_eq!(sum, Counts { commands: 7, bumps: 1, ..Counts::default() });
        assert!(sum.to_string().contains("7 commands"));
    }
}
