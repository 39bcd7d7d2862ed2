//! What goes wrong, and how it is mended.

use replication::event::Departure;

use super::{Event, Violation, World, broken};
use crate::network::Packet;

/// The most room that a full disk still has, in bytes.
const LAST_ROOM: u64 = 256 * 1024;

/// The end of a fault.
pub(super) enum Repair {
    Path {
        from: usize,
        to: usize,
    },
    Room {
        node: usize,
    },
    Start {
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
        let longest = if self.chance.percent(50) { 1_500 } else { 12_000 };
        let lasts = self.chance.between(100, longest);
        match self.chance.below(100) {
            0..28 => {
                self.note(format!("! n{node} and n{other} are cut apart for {lasts} ms"));
                self.cut(node, other, lasts);
                self.cut(other, node, lasts);
            }
            28..40 => {
                self.note(format!("! nothing gets from n{node} to n{other} for {lasts} ms"));
                self.cut(node, other, lasts);
            }
            40..50 => self.lose_connections(node, other),
            50..75 => self.plan_kill(node),
            75..85 => {
                let step = self.chance.between(0, 4_000).cast_signed() - 2_000;
                self.nodes[node].skew += step;
                self.note(format!("! the clock of n{node} steps by {step} ms"));
            }
            85..93 => {
                let room = self.chance.below(LAST_ROOM);
                let disk = &self.nodes[node].disk;
                disk.set_capacity(Some(disk.used() + room));
                self.note(format!("! the disk of n{node} has {room} bytes left for {lasts} ms"));
                self.schedule(lasts, Event::Repair(Repair::Room { node }));
            }
            _ => {
                let latency = self.chance.between(1, 200);
                self.network.set_latency(node, other, latency);
                self.note(format!("! n{node} and n{other} are {latency} ms apart"));
            }
        }
        Ok(())
    }

    fn cut(&mut self, from: usize, to: usize, lasts: u64) {
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
    fn plan_kill(&mut self, node: usize) {
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
                self.nodes[node].disk.set_capacity(None);
                Ok(())
            }
            Repair::Start { node } => self.start(node),
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
        self.kills += 1;
        let (seed, power) = (self.chance.next(), self.chance.percent(70));
        let state = &mut self.nodes[node];
        state.life = None;
        state.disk = if power { state.disk.survivor(seed) } else { state.disk.snapshot() };
        state.disk.set_capacity(None);
        let how = if power { "loses power" } else { "is killed" };
        self.note(format!("! n{node} {how}"));
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
        let pause = self.chance.between(50, 5_000);
        self.schedule(pause, Event::Repair(Repair::Start { node }));
        Ok(())
    }

    /// Starts a node; power may go again while it recovers.
    pub(super) fn start(&mut self, node: usize) -> Result<(), Violation> {
        if self.nodes[node].life.is_some() {
            return Ok(());
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
        started.map_err(|why| broken(node, why))?;
        self.note(format!("! n{node} starts"));
        if self.chance.percent(30) {
            self.verify(node)?;
        }
        self.committed(node)
    }
}
