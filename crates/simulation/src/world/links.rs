//! Replication between the nodes: what its state machines ask for is done on the simulated network and the real stores.

use crdt::identity::NodeSlot;
use crdt::record::Record;
use replication::event::{Departure, Event as Told, LinkId, Output};
use replication::limits::DIAL_LIMIT;

use super::readers::ANNOUNCING_MILLISECONDS;
use super::{Event, Violation, World};
use crate::network::Packet;

/// How many frames of a connection that was given up are still read, of a hundred.
const LATE_FRAMES: u64 = 70;
/// The longest that a read of the store takes, in milliseconds.
const READ_DELAY: u64 = 2;

impl World {
    /// Tells the replication of a node something, and does what it asks for.
    pub(super) fn tell(&mut self, node: usize, event: Told) -> Result<(), Violation> {
        let clocks = self.nodes[node].clocks(self.now);
        let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
        let line = line(node, &event);
        life.replicator.handle(clocks, event);
        let outputs: Vec<Output> = std::iter::from_fn(|| life.replicator.poll_output()).collect();
        if let Some(line) = line {
            self.note(line);
        }
        for output in outputs {
            self.obey(node, output)?;
        }
        self.check_power(node)
    }

    fn obey(&mut self, node: usize, output: Output) -> Result<(), Violation> {
        match output {
            Output::Dial { slot, address, key } => {
                let to: usize = address.parse().unwrap_or(usize::MAX);
                if self.nodes.get(to).is_none_or(|peer| peer.key() != key) {
                    let what = format!("n{node} dials slot {slot} at {address}");
                    return Err(Violation::new("members are where they say", what, vec![]));
                }
                let delay = 2 * self.network.latency(node, to) + self.network.latency(to, node);
                let life = self.nodes[node].lives;
                self.schedule(delay, Event::Handshake { from: node, life, to, slot });
            }
            Output::Send { link, frame } => {
                let packet = Packet::frame(&frame, self.now)
                    .map_err(|why| Violation::new("frames fit", format!("n{node} sends {why}"), vec![]))?;
                self.send(link, packet);
            }
            Output::Disconnect { link, reason } => {
                self.note(format!("n{node} closes link {link}: {reason}"));
                self.send(link, Packet::Close(Departure::Goodbye(reason)));
                self.network.give_up(link, self.now);
            }
            store => {
                let commits = matches!(
                    store,
                    Output::Apply { .. }
                        | Output::Keep { .. }
                        | Output::Met { .. }
                        | Output::Judge { .. }
                        | Output::Verdict { .. }
                        | Output::FinishBody { .. }
                        | Output::PeerLooks { .. }
                );
                if let Output::Apply { link, records } = &store {
                    self.count_records(node, *link, records);
                }
                let Some(life) = &mut self.nodes[node].life else { return Ok(()) };
                if let Some(event) = life.obey(store) {
                    let life = self.nodes[node].lives;
                    // One delay for all reads at a time: their answers keep the order in which they were asked for.
                    self.schedule(READ_DELAY, Event::Tell { node, life, event });
                }
                if commits {
                    self.kick(node);
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, link: LinkId, packet: Packet) {
        if let Some((at, other)) = self.network.send(self.now, link, &packet) {
            self.schedule_at(at, Event::Arrive { link: other, packet });
        }
    }

    /// Counts what came before: from the same peer, or by another way.
    fn count_records(&mut self, node: usize, link: LinkId, records: &[Record]) {
        let Some(peer) = self.network.end(link).map(|end| end.peer) else { return };
        for record in records {
            match self.came_from.insert((node, record.incarnation, record.sequence), peer) {
                None => {}
                Some(before) if before == peer => self.counts.repeated_records += 1,
                Some(_) => self.counts.doubled_records += 1,
            }
        }
    }

    pub(super) fn shake_hands(
        &mut self,
        from: usize,
        life: u64,
        to: usize,
        slot: NodeSlot,
    ) -> Result<(), Violation> {
        if self.nodes[from].lives != life || self.nodes[from].life.is_none() {
            return Ok(());
        }
        let cut = self.network.is_cut(from, to) || self.network.is_cut(to, from);
        if cut || self.nodes[to].life.is_none() {
            let event = Told::DialFailed { slot, why: "nobody answers".into() };
            self.schedule(DIAL_LIMIT, Event::Tell { node: from, life, event });
            return Ok(());
        }
        let (here, _) = self.network.connect(self.now, (from, life), (to, self.nodes[to].lives));
        self.send(here, Packet::Up);
        self.tell(from, Told::Connected { slot, link: here, dialled: true })
    }

    pub(super) fn arrive(&mut self, link: LinkId, packet: Packet) -> Result<(), Violation> {
        if let Packet::Frame(_, octets, _) = &packet
            && let Some((node, life)) = self.network.given_up(link, self.now).map(|end| (end.node, end.life))
            && self.nodes[node].lives == life
            && self.chance.percent(LATE_FRAMES)
            && let Ok(frame) = Packet::decode(octets)
        {
            self.counts.late_frames += 1;
            return self.tell(node, Told::Frame { link, frame });
        }
        match self.network.arrive(link, packet) {
            Some(packet) => self.take(link, packet),
            None => Ok(()),
        }
    }

    pub(super) fn release(&mut self, link: LinkId) -> Result<(), Violation> {
        for packet in self.network.release(link) {
            self.take(link, packet)?;
        }
        Ok(())
    }

    /// In which slot a node takes another to be, by its key.
    fn owner_of_key(&self, node: usize, peer: usize) -> Option<NodeSlot> {
        let key = self.nodes[peer].key();
        let members = self.nodes[node].life.as_ref()?.store.members();
        let known = members.borrow().iter().find(|member| member.key == key).map(|member| member.slot);
        // One that is no member under any slot is refused under the one that it has.
        known.or(self.nodes[peer].slot)
    }

    fn take(&mut self, link: LinkId, packet: Packet) -> Result<(), Violation> {
        let Some(end) = self.network.end(link) else { return Ok(()) };
        let (node, peer, since) = (end.node, end.peer, end.since);
        if end.life != self.nodes[node].lives {
            return Ok(());
        }
        let event = match packet {
            Packet::Up => match self.owner_of_key(node, peer) {
                Some(slot) => Told::Connected { slot, link, dialled: false },
                None => return Ok(()),
            },
            Packet::Frame(_, octets, sent) => match Packet::decode(&octets) {
                Ok(frame) => {
                    // On a new connection the first frames bring nothing of what was announced before.
                    if sent >= since.after(self.settings.distance * ANNOUNCING_MILLISECONDS) {
                        self.heard.entry((node, peer)).and_modify(|at| *at = sent.max(*at)).or_insert(sent);
                    }
                    Told::Frame { link, frame }
                }
                Err(why) => return Err(Violation::new("frames come back", why, vec![])),
            },
            Packet::Close(departure) => {
                self.network.close(link);
                Told::Disconnected { link, departure }
            }
        };
        self.tell(node, event)
    }
}

fn line(node: usize, event: &Told) -> Option<String> {
    match event {
        Told::Connected { slot, link, dialled } => {
            let how = if *dialled { "dialled" } else { "was dialled by" };
            Some(format!("n{node} {how} slot {slot}: link {link}"))
        }
        Told::Disconnected { link, departure } => Some(format!("n{node} lost link {link}: {departure:?}")),
        Told::Applied { result: Err(why), .. } => Some(format!("! n{node} refused a delta: {why}")),
        Told::Kept { result: Err(why), .. } => Some(format!("! n{node} refused notices: {why}")),
        Told::BodyStored { result: Err(why), .. } => Some(format!("n{node} did not store a body: {why}")),
        Told::BadFrame { why, .. } => Some(format!("! n{node} got a bad frame: {why}")),
        _ => None,
    }
}
