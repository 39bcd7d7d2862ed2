//! What goes wrong, and how it is mended.

use replication::event::Departure;

use super::{Event, Violation, World, broken};
use crate::network::Packet;

/// The most room that a full disk still has, in bytes.
const LAST_ROOM: u64 = 256 * 1024;

/// How often a disk is copied before a start, of a hundred, where disks are put back.
const BACKUPS: u64 = 30;
/// How long it takes until a node is started again that had no room to start, in milliseconds.
const STARTED_AGAIN_MILLISECONDS: u64 = 500;
/// How many faults are those of disks, of a hundred, where disks are put back.
const DISK_FAULTS: u64 = 25;

/// The end of a fault.
pub(super) enum Repair {
    Path {
        from: usize,
        to: usize,
    },
    Room {
        node: usize,
    },
    Loss {
        a: usize,
        b: usize,
    },
    Start {
        node: usize,
    },
    /// Somebody gives a node up that will not come back.
    Bury {
        node: usize,
    },
    /// Somebody copies the disk of a node.
    Copy {
        node: usize,
    },
    /// A node is about to die.
    PlanKill {
        node: usize,
    },
    /// A kill that no operation of the disk has met yet happens now.
    Kill {
        node: usize,
        life: u64,
    },
}

impl World {
    /// Something goes wrong; the next thing will later.
    pub(super) fn strike(&mut self) -> Result<(), Violation> {
        if self.resting {
            return Ok(());
        }
        let mean = self.settings.fault_milliseconds;
        let next = self.chance.between(mean / 4, mean * 2);
        self.schedule(next, Event::Fault);
        let node = self.chance.index(self.nodes.len());
        let other = (node + 1 + self.chance.index(self.nodes.len() - 1)) % self.nodes.len();
        if self.settings.rollbacks && self.chance.percent(DISK_FAULTS) {
            return self.strike_disk(node);
        }
        let longest = if self.chance.percent(50) { 1_500 } else { 12_000 };
        let lasts = self.chance.between(100, longest);
        match self.chance.below(100) {
            0..26 => {
                self.note(format!("! n{node} and n{other} are cut apart for {lasts} ms"));
                self.cut(node, other, lasts);
                self.cut(other, node, lasts);
                self.let_others_join();
            }
            26..30 => self.isolate(node, lasts),
            30..40 => {
                self.note(format!("! nothing gets from n{node} to n{other} for {lasts} ms"));
                self.cut(node, other, lasts);
            }
            40..50 => self.lose_connections(node, other),
            50..72 => self.plan_kill(node),
            72..80 => self.step_clock(node),
            80..88 => {
                let room = self.chance.below(LAST_ROOM);
                let disk = &self.nodes[node].disk;
                disk.set_capacity(Some(disk.used() + room));
                self.nodes[node].is_full = true;
                self.note(format!("! the disk of n{node} has {room} bytes left for {lasts} ms"));
                self.schedule(lasts, Event::Repair(Repair::Room { node }));
            }
            88..94 => {
                let loss = self.chance.between(2, 60);
                self.network.set_loss(node, other, loss);
                self.note(format!(
                    "! {loss} of 100 packets between n{node} and n{other} are lost for {lasts} ms"
                ));
                self.schedule(lasts, Event::Repair(Repair::Loss { a: node, b: other }));
            }
            _ => {
                let latency = self.settings.distance * self.chance.between(1, 200);
                self.network.set_latency(node, other, latency);
                self.note(format!("! n{node} and n{other} are {latency} ms apart"));
            }
        }
        Ok(())
    }

    /// Nobody reaches this node, and it reaches nobody.
    fn isolate(&mut self, node: usize, lasts: u64) {
        self.note(format!("! n{node} is alone for {lasts} ms"));
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            self.cut(node, other, lasts);
            self.cut(other, node, lasts);
        }
        self.let_others_join();
    }

    /// The members are cut into two groups, and operators add nodes meanwhile, on either side.
    pub(super) fn part(&mut self) {
        let members: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].joined).collect();
        if self.resting || members.len() < 2 {
            return;
        }
        let (here, there) = members.split_at(1 + self.chance.index(members.len() - 1));
        let lasts = self.chance.between(1_000, 12_000);
        self.note(format!("! n{here:?} and n{there:?} are parted for {lasts} ms"));
        for (a, b) in here.iter().flat_map(|a| there.iter().map(move |b| (*a, *b))) {
            self.cut(a, b, lasts);
            self.cut(b, a, lasts);
        }
        self.let_others_join();
    }

    /// Now and then operators add nodes just while others are parted, on both sides.
    fn let_others_join(&mut self) {
        let waiting = |node: &usize| !self.nodes[*node].joined && !self.joins.contains_key(node);
        let waiting: Vec<usize> = (0..self.nodes.len()).filter(waiting).collect();
        for node in waiting {
            if self.chance.percent(75) {
                let delay = self.chance.below(100);
                self.schedule(delay, Event::Join { node });
            }
        }
    }

    /// The wall clock of a node jumps, within the skew that this run allows.
    fn step_clock(&mut self, node: usize) {
        let most = self.settings.skew_milliseconds.cast_signed();
        let step = self.chance.between(0, 4_000).cast_signed() - 2_000;
        let far = self.chance.percent(40);
        let skew = if far {
            self.chance.between(0, 2 * most.unsigned_abs()).cast_signed() - most
        } else {
            (self.nodes[node].skew + step).clamp(-most, most)
        };
        let step = skew - self.nodes[node].skew;
        self.nodes[node].skew = skew;
        self.note(format!("! the clock of n{node} steps by {step} ms"));
    }

    fn cut(&mut self, from: usize, to: usize, lasts: u64) {
        self.counts.cuts += 1;
        self.network.cut(from, to);
        self.schedule(lasts, Event::Repair(Repair::Path { from, to }));
    }

    /// Both sides are told that their connections broke.
    fn lose_connections(&mut self, a: usize, b: usize) {
        self.note(format!("! the connections of n{a} and n{b} break"));
        for link in self.network.ends_between(a, b) {
            let packet = Packet::Close(Departure::Lost("broken".into()));
            self.schedule(0, Event::Arrive { link, packet });
        }
    }

    /// Power is lost at one of the next operations of the disk, or, where none comes, in a while.
    pub(super) fn plan_kill(&mut self, node: usize) {
        if self.nodes[node].life.is_none() {
            return;
        }
        let operations = self.chance.below(60);
        self.nodes[node].disk.crash_after(operations);
        let life = self.nodes[node].lives;
        let latest = self.chance.between(500, 3_000);
        self.schedule(latest, Event::Repair(Repair::Kill { node, life }));
    }

    pub(super) fn repair(&mut self, repair: Repair) -> Result<(), Violation> {
        match repair {
            Repair::Path { from, to } => {
                self.mend(from, to);
                Ok(())
            }
            Repair::Room { node } => {
                self.make_room(node);
                Ok(())
            }
            Repair::Loss { a, b } => {
                self.network.set_loss(a, b, 0);
                Ok(())
            }
            Repair::Start { node } => self.start(node),
            Repair::Bury { node } => self.bury(node),
            Repair::Copy { node } => self.back_up(node),
            Repair::PlanKill { node } => {
                self.plan_kill(node);
                Ok(())
            }
            Repair::Kill { node, life } => {
                let state = &self.nodes[node];
                if !self.resting && state.lives == life && state.life.is_some() {
                    state.disk.crash();
                    return self.die(node);
                }
                Ok(())
            }
        }
    }

    pub(super) fn make_room(&mut self, node: usize) {
        self.nodes[node].disk.set_capacity(None);
        self.nodes[node].is_full = false;
    }

    pub(super) fn mend(&mut self, from: usize, to: usize) {
        if self.network.is_cut(from, to) {
            self.note(format!("! n{from} reaches n{to} again"));
        }
        let latency = self.network.latency(from, to);
        for link in self.network.mend(from, to) {
            self.schedule(latency, Event::Release { link });
        }
    }

    /// Lets a node die if its disk has lost power.
    pub(super) fn check_power(&mut self, node: usize) -> Result<(), Violation> {
        let dead = self.nodes[node].disk.has_crashed() && self.nodes[node].life.is_some();
        if dead { self.die(node) } else { Ok(()) }
    }

    /// The process is gone. Its disk keeps what was synced and some of the rest, or, where only the process died, all.
    pub(super) fn die(&mut self, node: usize) -> Result<(), Violation> {
        self.counts.kills += 1;
        let (seed, power) = (self.chance.next(), self.chance.percent(70));
        let state = &mut self.nodes[node];
        state.life = None;
        state.disk = if power { state.disk.survivor(seed) } else { state.disk.snapshot() };
        state.disk.set_capacity(None);
        state.is_full = false;
        let how = if power { "loses power" } else { "is killed" };
        self.note(format!("! n{node} {how}"));
        self.end_life(node);
        let pause = if self.put_back(node)? { self.replacing() } else { self.chance.between(50, 5_000) };
        self.schedule(pause, Event::Repair(Repair::Start { node }));
        Ok(())
    }

    /// The process of a node is gone: its connections end, its clients are on their own.
    pub(super) fn end_life(&mut self, node: usize) {
        self.nodes[node].life = None;
        let told = self.chance.percent(50);
        for link in self.network.ends_of(node) {
            if told {
                // The system answers for the dead process: the peer hears of it at once.
                let departure = Departure::Lost("reset".into());
                if let Some((at, other)) =
                    self.network.send(self.now, link, &Packet::Close(departure.clone()))
                {
                    self.schedule_at(at, Event::Arrive { link: other, packet: Packet::Close(departure) });
                }
            }
            self.network.close(link);
        }
        self.disconnect_clients(node);
    }

    /// Starts a node; power may go again while it recovers.
    pub(super) fn start(&mut self, node: usize) -> Result<(), Violation> {
        if self.nodes[node].life.is_some() || self.nodes[node].gone {
            return Ok(());
        }
        if self.nodes[node].backup.is_none() && self.chance.percent(BACKUPS) {
            self.back_up(node)?;
        }
        if !self.resting && self.chance.percent(15) {
            let operations = self.chance.below(30);
            self.nodes[node].disk.crash_after(operations);
        }
        let now = self.now;
        let account = self.account;
        let state = &mut self.nodes[node];
        let started = state.start(now).and_then(|()| state.open_account(now, account));
        if state.disk.has_crashed() {
            return self.die(node);
        }
        if let Err(why) = &started
            && self.nodes[node].is_full
        {
            // An operator makes room, sooner or later.
            self.note(format!("! n{node} does not start: {why}"));
            self.nodes[node].life = None;
            self.schedule(STARTED_AGAIN_MILLISECONDS, Event::Repair(Repair::Start { node }));
            return Ok(());
        }
        started.map_err(|why| broken(node, why))?;
        self.note(format!("! n{node} starts"));
        if self.chance.percent(30) {
            self.verify(node)?;
        }
        self.committed(node)
    }
}
