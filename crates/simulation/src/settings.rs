//! What a simulation is made of.

use crate::chance::Chance;

/// The greatest skew of a wall clock in milliseconds: two clocks differ by less than the five minutes that are refused.
pub(crate) const GREATEST_SKEW: u64 = 140_000;

/// The size and the temper of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many nodes there are in the end.
    pub nodes: usize,
    /// How many of them join while the others run.
    pub joining: usize,
    /// How many clients begin at each node.
    pub clients_a_node: usize,
    /// For how many milliseconds clients work and faults happen.
    pub busy_milliseconds: u64,
    /// The mean time that a client thinks between two commands, in milliseconds.
    pub thinking_milliseconds: u64,
    /// The mean time between two faults, in milliseconds; 0 for none.
    pub fault_milliseconds: u64,
    /// The greatest skew of a wall clock, in milliseconds, ahead or behind; steps stay within it.
    pub skew_milliseconds: u64,
    /// Whether clients also create, rename and delete mailboxes.
    pub mailboxes_change: bool,
    /// Whether disks are put back to an older state, nodes lost for good, and members declared dead (rule 8).
    pub rollbacks: bool,
    /// How many times as far apart as in most runs the nodes are: up to 200 milliseconds, one way, in those.
    pub distance: u64,
}

impl Settings {
    /// Two to five nodes, of the temper that this seed gives.
    pub fn of_seed(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x5e77_1265);
        let nodes = match chance.below(100) {
            0..45 => 2,
            45..77 => 3,
            77..92 => 4,
            _ => 5,
        };
        let joining = if chance.percent(35) { 1 + chance.index((nodes - 1).min(2)) } else { 0 };
        let hot = chance.percent(20);
        Settings {
            nodes,
            joining,
            clients_a_node: 2,
            busy_milliseconds: if hot { 5_000 } else { chance.between(10_000, 25_000) },
            thinking_milliseconds: if hot { chance.between(20, 80) } else { chance.between(150, 700) },
            fault_milliseconds: if chance.percent(10) { 0 } else { chance.between(800, 5_000) },
            skew_milliseconds: if chance.percent(30) { GREATEST_SKEW } else { 3_000 },
            mailboxes_change: chance.percent(40),
            rollbacks: chance.percent(50),
            distance: if chance.percent(12) { 4 } else { 1 },
        }
    }
}
