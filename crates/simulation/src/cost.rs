//! What the placement of UIDs costs clients: messages that they see again under another UID, and UIDs that are spent.
//!
//! [`measure`] plays a load on whole nodes without faults, and a cut where the load has one. Nothing is asserted of the cost; that
//! the nodes agree at the end, and show exactly what was accepted and not expunged, is.

use std::collections::{BTreeMap, BTreeSet};

use crdt::identity::{EntryId, Uid, Validity};
use crdt::view::MailboxView;

pub use crate::world::cost::measure;

/// What arrives, how fast and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// A message every 100 seconds on each node, for 5,000 seconds.
    Quiet,
    /// Twenty messages a second on each node, for 15 seconds.
    Hot,
    /// As hot, and clients append the messages where there are any.
    Appended,
    /// As quiet, for two hours, in the middle of which the first node and the rest are cut apart for one.
    HourApart,
}

impl Load {
    /// The mean time between two messages on one node, in milliseconds.
    pub(crate) fn interval(self) -> u64 {
        match self {
            Load::Quiet | Load::HourApart => 100_000,
            Load::Hot | Load::Appended => 50,
        }
    }

    /// For how long messages arrive, in milliseconds.
    pub(crate) fn duration(self) -> u64 {
        match self {
            Load::Quiet => 5_000_000,
            Load::Hot | Load::Appended => 15_000,
            Load::HourApart => 7_200_000,
        }
    }

    /// When the first node is cut from the rest, and when the cut is mended, in milliseconds.
    pub(crate) fn cut(self) -> Option<(u64, u64)> {
        (self == Load::HourApart).then_some((1_800_000, 5_400_000))
    }
}

/// One cell of the table of costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What arrives.
    pub load: Load,
    /// How many nodes.
    pub nodes: usize,
    /// Whether clients look at every node, or at the first one only.
    pub clients_everywhere: bool,
}

/// What one run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// How many nodes there were.
    pub nodes: u64,
    /// How many messages were delivered or appended.
    pub messages: u64,
    /// How often clients of a node saw a message again under another UID, over all nodes.
    pub reissues: u64,
    /// How many UIDVALIDITYs were given up.
    pub bumps: u64,
    /// The highest UID at the end.
    pub highest_uid: u64,
    /// How many live messages of one side lay, when the cut was mended, below the UIDNEXT that the other side had announced.
    pub forced: u64,
    /// How many new UIDs messages that had been seen under another were seen under since then. A message that changes
    /// its UID twice counts twice, one that changes it on several nodes once.
    pub reissued: u64,
}

impl Cost {
    /// How often, on average, a client of a node saw a message again under another UID.
    pub fn reissues_per_message_and_node(&self) -> f64 {
        self.reissues as f64 / (self.messages.max(1) * self.nodes.max(1)) as f64
    }

    /// The highest UID over the number of messages.
    pub fn uids_per_message(&self) -> f64 {
        self.highest_uid as f64 / self.messages.max(1) as f64
    }

    /// Reissued messages over forced ones; 0 where nothing was reissued, infinite where something was without need.
    pub fn times_the_forced(&self) -> f64 {
        if self.reissued == 0 { 0.0 } else { self.reissued as f64 / self.forced as f64 }
    }

    /// Both costs taken together.
    #[must_use]
    pub fn plus(&self, other: &Cost) -> Cost {
        Cost {
            nodes: self.nodes.max(other.nodes),
            messages: self.messages + other.messages,
            reissues: self.reissues + other.reissues,
            bumps: self.bumps + other.bumps,
            highest_uid: self.highest_uid + other.highest_uid,
            forced: self.forced + other.forced,
            reissued: self.reissued + other.reissued,
        }
    }
}

/// What the clients of one node remember of a mailbox.
#[derive(Clone, Debug)]
struct Memory {
    validity: Option<Validity>,
    announced: Uid,
    /// Every message ever seen, and where last.
    seen: BTreeMap<EntryId, Uid>,
    /// What is visible now.
    visible: BTreeMap<EntryId, Uid>,
}

/// Counts what clients see. It knows views and nothing of rules.
pub(crate) struct Tally {
    memories: Vec<Memory>,
    /// New UIDs of messages that had another one, since the cut was mended.
    renumbered: BTreeSet<(EntryId, Uid)>,
    pub(crate) cost: Cost,
}

impl Tally {
    pub(crate) fn new(nodes: usize) -> Self {
        let memory =
            Memory { validity: None, announced: Uid::FIRST, seen: BTreeMap::new(), visible: BTreeMap::new() };
        Tally {
            memories: vec![memory; nodes],
            renumbered: BTreeSet::new(),
            cost: Cost { nodes: nodes as u64, ..Cost::default() },
        }
    }

    /// A client of this node is shown this.
    pub(crate) fn observe(&mut self, node: usize, view: &MailboxView) {
        let Some(memory) = self.memories.get_mut(node) else { return };
        if memory.validity != view.validity {
            self.cost.bumps += u64::from(memory.validity.is_some());
            memory.validity = view.validity;
            memory.announced = Uid::FIRST;
        }
        // What is new lies above everything announced before (U2, which others check).
        for row in view.rows.from(memory.announced) {
            if memory.seen.insert(row.facts.entry, row.uid).is_some() {
                self.cost.reissues += 1;
                self.renumbered.insert((row.facts.entry, row.uid));
            }
        }
        memory.announced = view.uid_next;
        memory.visible = view.rows.iter().map(|row| (row.facts.entry, row.uid)).collect();
    }

    /// The cut between the first node and the rest is about to be mended: what of the messages that are not `expunged` has to
    /// be renumbered, whatever the rules.
    pub(crate) fn mended(&mut self, expunged: &BTreeSet<EntryId>) {
        let (first, rest) = self.memories.split_at(1.min(self.memories.len()));
        let forced = forced(first, rest, expunged).chain(forced(rest, first, expunged));
        self.cost.forced = forced.collect::<BTreeSet<_>>().len() as u64;
        self.renumbered.clear();
    }

    /// What it cost in all.
    pub(crate) fn finish(&self) -> Cost {
        let highest = self.memories.iter().map(|memory| memory.announced.0 - 1).max().unwrap_or(0);
        Cost { highest_uid: u64::from(highest), reissued: self.renumbered.len() as u64, ..self.cost }
    }

    /// What clients see on each node now.
    pub(crate) fn visible(&self) -> impl Iterator<Item = &BTreeMap<EntryId, Uid>> {
        self.memories.iter().map(|memory| &memory.visible)
    }
}

/// Messages that one side shows below the UIDNEXT of the other, which does not show them there.
fn forced<'a>(
    side: &'a [Memory],
    other: &'a [Memory],
    expunged: &'a BTreeSet<EntryId>,
) -> impl Iterator<Item = EntryId> + 'a {
    let announced = other.iter().map(|memory| memory.announced).max().unwrap_or(Uid::FIRST);
    let shown =
        move |entry: &EntryId, uid: &Uid| other.iter().any(|node| node.visible.get(entry) == Some(uid));
    side.iter()
        .flat_map(|memory| &memory.visible)
        .filter(move |(entry, uid)| **uid < announced && !expunged.contains(entry) && !shown(entry, uid))
        .map(|(entry, _)| *entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(load: Load, clients_everywhere: bool, seed: u64) -> Cost {
        let scenario = Scenario { load, nodes: 2, clients_everywhere };
        measure(scenario, seed).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"))
    }

    #[test]
    fn an_hour_apart_costs_nothing_where_one_side_looks() {
        let cost = play(Load::HourApart, false, 1);
        assert!(cost.messages > 80, "{cost:?}");
        assert_eq!((cost.reissues, cost.forced, cost.reissued, cost.bumps), (0, 0, 0, 0), "{cost:?}");
    }

    #[test]
    fn an_hour_apart_with_clients_on_both_sides_costs_at_least_what_is_forced() {
        let cost = play(Load::HourApart, true, 1);
        assert!(cost.forced > 0 && cost.reissued >= cost.forced && cost.bumps == 0, "{cost:?}");
    }

    #[test]
    fn a_run_costs_the_same_twice() {
        assert_eq!(play(Load::Quiet, true, 3), play(Load::Quiet, true, 3));
    }
}
