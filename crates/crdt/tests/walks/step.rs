//! What can happen in a walk, as data. Nodes, messages and copies are counted modulo what there is, so that a step means
//! something whatever steps are left out before it.

use super::chance::Chance;

/// The mailboxes that a walk is about: two that every account has, two that come and go.
pub const NAMES: [&str; 4] = ["INBOX", "Archive", "work", "other"];
/// How many of them are there from the beginning to the end.
pub const DEFAULTS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Deliver {
        node: u8,
        mailbox: u8,
        delivery: Option<u8>,
    },
    Append {
        node: u8,
        mailbox: u8,
        count: u8,
    },
    /// An APPEND that is left to the placer where another node is.
    AppendInTurn {
        node: u8,
        mailbox: u8,
        count: u8,
    },
    Copy {
        node: u8,
        mailbox: u8,
        place: u8,
        to: u8,
    },
    Move {
        node: u8,
        mailbox: u8,
        place: u8,
        to: u8,
    },
    /// A MOVE that is left to the placer where another node is.
    MoveInTurn {
        node: u8,
        mailbox: u8,
        place: u8,
        to: u8,
    },
    Expunge {
        node: u8,
        mailbox: u8,
        place: u8,
    },
    Flag {
        node: u8,
        mailbox: u8,
        place: u8,
        flag: u8,
        set: bool,
    },
    Create {
        node: u8,
        mailbox: u8,
    },
    Delete {
        node: u8,
        mailbox: u8,
    },
    Rename {
        node: u8,
        mailbox: u8,
        to: u8,
    },
    Look {
        node: u8,
        mailbox: u8,
    },
    LookAway {
        node: u8,
    },
    Glance {
        node: u8,
        mailbox: u8,
    },
    Bump {
        node: u8,
        mailbox: u8,
    },
    /// A client goes to a node with what it knows.
    Visit {
        client: u8,
        node: u8,
        mailbox: u8,
    },
    /// What one node tells another; `most` records and announcements, or all.
    Carry {
        from: u8,
        to: u8,
        most: Option<u8>,
        bodies: bool,
        announcements_first: bool,
    },
    /// Everybody tells everybody.
    Exchange,
    /// Bodies that a node lacks.
    Bodies {
        node: u8,
    },
    Cut {
        from: u8,
        to: u8,
        both_ways: bool,
    },
    Heal {
        from: u8,
        to: u8,
    },
    /// One node and the others cannot talk.
    Part {
        node: u8,
    },
    HealAll,
    Pass {
        milliseconds: u64,
    },
    /// A clock is set; both what it is off and what it was before are minutes at most.
    SetClock {
        node: u8,
        off_seconds: i8,
    },
    StopClock {
        node: u8,
    },
    /// A life ends and another begins: in the same process or not.
    Restart {
        node: u8,
        continues: bool,
    },
    Backup {
        node: u8,
    },
    RollBack {
        copy: u8,
    },
    /// A node is gone for good; it may be declared so.
    Kill {
        node: u8,
    },
    Bury {
        at: u8,
    },
    Join {
        at: u8,
        parted: bool,
    },
}

/// What the steps of one walk are, drawn from its seed.
pub struct Plan {
    pub nodes: usize,
    /// Whether `uid.on_reorder` is "bump".
    pub bumps: bool,
    pub steps: Vec<Step>,
}

/// Draws a step of one kind.
type Kind = fn(&Weights, &mut Chance) -> Step;

/// What a walk is about: how likely each kind of step is.
struct Weights {
    mailboxes: u64,
    faults: u64,
    cuts: u64,
    clocks: u64,
    carries: u64,
    one_mailbox: bool,
    long: bool,
}

impl Plan {
    pub fn of_seed(seed: u64) -> Plan {
        let mut chance = Chance::new(seed);
        let nodes = [2, 2, 2, 3, 3, 4][chance.index(6)];
        let mut some = |percent, weight| if chance.percent(percent) { weight } else { 0 };
        let weights = Weights {
            mailboxes: some(40, 8),
            faults: some(55, 14),
            cuts: some(70, 8),
            clocks: some(25, 4),
            carries: 15 + some(50, 15),
            one_mailbox: some(60, 1) == 1,
            long: some(4, 1) == 1,
        };
        let bumps = chance.percent(8);
        let length = if chance.percent(5) { 40 + chance.index(80) } else { 8 + chance.index(30) };
        let steps = (0..length).map(|_| weights.step(&mut chance)).collect();
        Plan { nodes, bumps, steps }
    }
}

impl Weights {
    fn step(&self, chance: &mut Chance) -> Step {
        let kinds: [(u64, Kind); 8] = [
            (35, Self::of_mail),
            (15, Self::of_looks),
            (self.carries, Self::of_carrying),
            (8, Self::of_time),
            (self.mailboxes, Self::of_mailboxes),
            (self.cuts, Self::of_cuts),
            (self.clocks, Self::of_clocks),
            (self.faults, Self::of_faults),
        ];
        let total = kinds.iter().map(|(weight, _)| weight).sum();
        let mut drawn = chance.below(total);
        for (weight, kind) in kinds {
            if drawn < weight {
                return kind(self, chance);
            }
            drawn -= weight;
        }
        Step::Exchange
    }

    fn mailbox(&self, chance: &mut Chance) -> u8 {
        if self.one_mailbox && chance.percent(85) {
            return 0;
        }
        let names = if self.mailboxes > 0 { NAMES.len() } else { DEFAULTS + 1 };
        chance.index(names) as u8
    }

    fn of_mail(&self, chance: &mut Chance) -> Step {
        let (node, place) = (chance.below(12) as u8, chance.below(60) as u8);
        let (mailbox, to) = (self.mailbox(chance), self.mailbox(chance));
        // The upper numbers mean the same nodes as the lower ones.
        let in_turn = node >= 6;
        match chance.below(20) {
            0..8 => Step::Deliver { node, mailbox, delivery: None },
            8 => Step::Deliver { node, mailbox, delivery: Some(chance.below(3) as u8) },
            9..12 if in_turn => Step::AppendInTurn { node, mailbox, count: 1 + chance.below(3) as u8 },
            9..12 => Step::Append { node, mailbox, count: 1 + chance.below(3) as u8 },
            12 => Step::Copy { node, mailbox, place, to },
            13 | 14 if in_turn => Step::MoveInTurn { node, mailbox, place, to },
            13 | 14 => Step::Move { node, mailbox, place, to },
            15 | 16 => Step::Expunge { node, mailbox, place },
            _ => Step::Flag { node, mailbox, place, flag: chance.below(3) as u8, set: chance.percent(60) },
        }
    }

    fn of_looks(&self, chance: &mut Chance) -> Step {
        let (node, mailbox) = (chance.below(12) as u8, self.mailbox(chance));
        match chance.below(12) {
            0..5 => Step::Look { node, mailbox },
            5 => Step::LookAway { node },
            6..8 => Step::Glance { node, mailbox },
            _ => Step::Visit { client: chance.below(2) as u8, node, mailbox },
        }
    }

    fn of_carrying(&self, chance: &mut Chance) -> Step {
        let (from, to) = (chance.below(12) as u8, chance.below(12) as u8);
        match chance.below(10) {
            0 | 1 => Step::Exchange,
            2 => Step::Bodies { node: to },
            _ => Step::Carry {
                from,
                to,
                most: chance.percent(30).then(|| 1 + chance.below(5) as u8),
                bodies: chance.percent(80),
                announcements_first: chance.percent(20),
            },
        }
    }

    fn of_time(&self, chance: &mut Chance) -> Step {
        let milliseconds = match chance.below(20) {
            0..8 => 1 + chance.below(400),
            8..15 => 400 + chance.below(2_700),
            15..19 => 3_000 + chance.below(200_000),
            _ if self.long => (30 * 24 * 60 + chance.below(3_000)) * 60_000,
            _ => 600_000 + chance.below(600_000),
        };
        Step::Pass { milliseconds }
    }

    fn of_mailboxes(&self, chance: &mut Chance) -> Step {
        let node = chance.below(12) as u8;
        let mailbox = (DEFAULTS + chance.index(NAMES.len() - DEFAULTS)) as u8;
        let to = (DEFAULTS + chance.index(NAMES.len() - DEFAULTS)) as u8;
        match chance.below(8) {
            0..3 => Step::Create { node, mailbox },
            3..5 => Step::Rename { node, mailbox, to },
            5..7 => Step::Delete { node, mailbox },
            _ => Step::Bump { node, mailbox: self.mailbox(chance) },
        }
    }

    fn of_cuts(&self, chance: &mut Chance) -> Step {
        let (from, to) = (chance.below(12) as u8, chance.below(12) as u8);
        match chance.below(8) {
            0..3 => Step::Part { node: from },
            3 | 4 => Step::Cut { from, to, both_ways: chance.percent(50) },
            5 => Step::Heal { from, to },
            _ => Step::HealAll,
        }
    }

    fn of_clocks(&self, chance: &mut Chance) -> Step {
        let node = chance.below(12) as u8;
        match chance.below(3) {
            0 => Step::StopClock { node },
            _ => Step::SetClock { node, off_seconds: (chance.below(241) as i64 - 120) as i8 },
        }
    }

    fn of_faults(&self, chance: &mut Chance) -> Step {
        let node = chance.below(12) as u8;
        match chance.below(20) {
            0..6 => Step::Restart { node, continues: chance.percent(25) },
            6..11 => Step::Backup { node },
            11..15 => Step::RollBack { copy: chance.below(12) as u8 },
            15 => Step::Kill { node },
            16 => Step::Bury { at: node },
            _ => Step::Join { at: node, parted: chance.percent(50) },
        }
    }
}
