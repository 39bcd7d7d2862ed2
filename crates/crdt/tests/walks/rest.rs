//! The end of a walk: all links are up, all clocks are right, everybody looks, and time passes.

use std::collections::{BTreeMap, BTreeSet};

use peerpost_crdt::clock::{Millis, Timestamp};
use peerpost_crdt::identity::{EntryId, Uid, Validity};

use super::step::NAMES;
use super::world::{Checked, World, account, violated};

/// Rounds until which there has to be rest, and how many without any change count as rest.
const MOST_ROUNDS: usize = 80;
const QUIET_ROUNDS: usize = 3;

/// What clients see of one node: of each mailbox UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ, and messages with their flags.
type Picture = BTreeMap<String, (Option<Validity>, Uid, Timestamp, BTreeMap<Uid, Shown>)>;

/// A message, when it was saved, and its flags.
type Shown = (EntryId, Millis, Vec<String>);

/// Of one node: how many records it has, how many messages wait, and what it announced.
type State = (u64, usize, Vec<(Uid, Timestamp)>);

impl World {
    pub fn come_to_rest(&mut self) -> Checked {
        self.cut.clear();
        for node in self.living() {
            self.nodes[node].off = 0;
            self.nodes[node].stopped = None;
        }
        // What a clock ran ahead is waited for.
        self.pass(300_000)?;
        self.exchange()?;
        let first = self.living()[0];
        self.bury(first)?;
        let mut quiet = 0;
        for _ in 0..MOST_ROUNDS {
            let before = self.state();
            self.look_everywhere()?;
            self.exchange()?;
            for node in self.living() {
                self.bring_bodies(node, usize::MAX)?;
            }
            self.pass(700)?;
            quiet = if self.state() == before { quiet + 1 } else { 0 };
            if quiet == QUIET_ROUNDS {
                return self.check_rest();
            }
        }
        violated("U4: the nodes do not come to rest")
    }

    /// What changes as long as there is no rest.
    fn state(&self) -> Vec<State> {
        let of_node = |node: usize| {
            let at = &self.nodes[node];
            let records = at.disk.log.values().map(|records| records.len() as u64).sum();
            let views = at.disk.kept.shown.values();
            let pending = at.account().map_or(0, |account| account.pending());
            let seen = |shown: &super::disk::Shown| (shown.head.announced, shown.head.highest_modseq);
            (records, pending, views.map(seen).collect())
        };
        self.living().into_iter().map(of_node).collect()
    }

    fn look_everywhere(&mut self) -> Checked {
        for node in self.living() {
            let units = self.nodes[node]
                .account()
                .map_or(vec![], |state| state.units().iter().map(|unit| unit.public).collect());
            let looks = self.nodes[node].life.looks().own();
            for mailbox in units {
                if !looks.contains(&(account(), mailbox)) && self.wake(node).look(account(), mailbox).is_err()
                {
                    return violated("no disk can fail here");
                }
            }
            self.commit(node)?;
        }
        Ok(())
    }

    fn picture(&self, node: usize) -> Picture {
        let Some(state) = self.nodes[node].account() else { return Picture::new() };
        let of_unit = |unit: &peerpost_crdt::fold::mailbox::Unit| {
            let view = state.view(unit.public);
            let row = |row: &peerpost_crdt::view::Row| {
                (
                    row.uid,
                    (row.facts.entry, row.saved, row.flags.iter().map(|flag| flag.to_string()).collect()),
                )
            };
            let rows = view.rows.iter().map(row).collect();
            (unit.name.clone(), (view.validity, view.uid_next, view.highest_modseq, rows))
        };
        state.units().iter().map(of_unit).collect()
    }

    fn check_rest(&mut self) -> Checked {
        if self.is_out_of_slots() {
            return Ok(());
        }
        let living = self.living();
        let first = self.picture(living[0]);
        for node in &living {
            let pending = self.nodes[*node].account().map_or(0, |account| account.pending());
            if pending > 0 {
                return violated(format!("U4: {pending} messages wait on n{node} for good"));
            }
            let picture = self.picture(*node);
            for (name, there) in &picture {
                if first.get(name) != Some(there) {
                    let here = first.get(name);
                    return violated(format!(
                        "U4: n{node} shows {name} as {there:?}, n{} as {here:?}",
                        living[0]
                    ));
                }
            }
            if picture.len() != first.len() {
                return violated(format!("U4: n{node} lacks mailboxes of n{}", living[0]));
            }
        }
        let visible: BTreeSet<EntryId> =
            first.values().flat_map(|(.., rows)| rows.values().map(|(entry, ..)| *entry)).collect();
        let survives = self.survives();
        let state = self.nodes[living[0]].account();
        let mailbox_of = |entry: &EntryId| Some(state?.entry(entry)?.mailbox()?.value);
        self.ledger.check(&visible, &survives, mailbox_of)?;
        for node in living {
            for name in 0..NAMES.len() {
                for client in 0..self.clients.len() {
                    self.visit(client, node, name)?;
                }
            }
        }
        Ok(())
    }
}
