//! What a simulation is made of.

use crate::chance::Chance;

/// The size and the temper of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many nodes.
    pub nodes: usize,
    /// How many clients begin at each node.
    pub clients_a_node: usize,
    /// For how many milliseconds clients work and faults happen.
    pub busy_milliseconds: u64,
    /// The mean time that a client thinks between two commands, in milliseconds.
    pub thinking_milliseconds: u64,
    /// The mean time between two faults, in milliseconds; 0 for none.
    pub fault_milliseconds: u64,
    /// Whether clients also create, rename and delete mailboxes.
    pub mailboxes_change: bool,
}

impl Settings {
    /// Two nodes, mostly, of the temper that this seed gives.
    pub fn of_seed(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x5e77_1265);
        let nodes = if chance.percent(75) { 2 } else { 3 };
        let hot = chance.percent(20);
        Settings {
            nodes,
            clients_a_node: 2,
            busy_milliseconds: if hot { 5_000 } else { chance.between(10_000, 25_000) },
            thinking_milliseconds: if hot { chance.between(20, 80) } else { chance.between(150, 700) },
            fault_milliseconds: if chance.percent(10) { 0 } else { chance.between(800, 5_000) },
            mailboxes_change: chance.percent(40),
        }
    }
}
