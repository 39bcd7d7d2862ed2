//! Bodies: their bytes against their hashes, and what entries name against what is here or known to be missing.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crdt::account::Account;
use crdt::identity::{BodyHash, EntryId};
use crdt::replica::ArchiveError;
use crdt::view::Facts;
use storage::Table;

use super::account::place;
use super::{Remedy, Verification, VerifyStep};
use crate::rows::{self, failed};
use crate::structures;

impl Verification<'_> {
    /// Reads every body; those that are damaged are told with the messages that name them.
    pub(super) fn read_bodies(&mut self) -> Result<(), ArchiveError> {
        let progress = &mut self.progress;
        let damaged = self.storage.verify_bodies(|done| {
            (progress)(VerifyStep::Bodies { bodies: done.bodies, octets: done.bytes });
            ControlFlow::Continue(())
        });
        let damaged = damaged.map_err(failed)?;
        let named = |body: storage::DamagedBody| (BodyHash(*body.hash.as_bytes()), body.problem.to_string());
        self.damaged_bodies = damaged.into_iter().map(named).collect();
        Ok(())
    }

    /// Every body that a live entry names is here or on the list of missing ones, and the list names no other.
    pub(super) fn compare_bodies(&mut self, folded: &Account) -> Result<(), ArchiveError> {
        let mut absent = self.read_absent(folded)?;
        for (segment, entries) in folded.segments() {
            for (index, state) in entries.iter().enumerate() {
                let Some(facts) = state.facts() else { continue };
                let entry = EntryId { segment: *segment, index: index as u16 };
                let is_absent = absent.remove(&entry);
                self.compare_body(folded, &entry, facts, is_absent, state.is_live())?;
            }
        }
        for entry in absent {
            let what = format!(
                "table entries-absent: the message {entry} waits for a body, and the log does not know it"
            );
            if self.find_repairable(what) {
                self.batch.remove(Table::EntriesAbsent, rows::absent_key(&folded.id(), &entry));
            }
        }
        Ok(())
    }

    fn read_absent(&mut self, folded: &Account) -> Result<BTreeSet<EntryId>, ArchiveError> {
        let mut absent = BTreeSet::new();
        for row in self.reader.prefixed(Table::EntriesAbsent, &folded.id().0).map_err(failed)? {
            let (key, _) = row.map_err(failed)?;
            match key.get(16..).and_then(rows::parse_entry) {
                Some(entry) => {
                    absent.insert(entry);
                }
                None => {
                    self.find(
                        format!("table entries-absent: a key has {} octets", key.len()),
                        Remedy::JoinAnew,
                    );
                }
            }
        }
        Ok(absent)
    }

    fn compare_body(
        &mut self,
        folded: &Account,
        entry: &EntryId,
        facts: &Facts,
        is_absent: bool,
        is_live: bool,
    ) -> Result<(), ArchiveError> {
        let id = folded.id();
        let missing_key = rows::missing_key(&facts.body, &id, entry);
        let absent_key = rows::absent_key(&id, entry);
        let is_missing = self.reader.get(Table::BodiesMissing, &missing_key).map_err(failed)?.is_some();
        let length = self.reader.body_length(&structures::stored(&facts.body)).map_err(failed)?;
        let title = format!("the message {entry}{}: its body {}", place(folded, entry), facts.body);
        if let Some(length) = length {
            if length != facts.size {
                self.find(format!("{title} has {length} octets, and not {}", facts.size), Remedy::FetchBody);
            }
            if (is_absent || is_missing)
                && self.find_repairable(format!("{title} is here, and listed as missing"))
            {
                self.batch.remove(Table::BodiesMissing, missing_key);
                self.batch.remove(Table::EntriesAbsent, absent_key);
            }
        } else if is_live && !(is_absent && is_missing) {
            let what =
                format!("{title} is neither here nor listed as missing, so that no peer is asked for it");
            if self.find_repairable(what) {
                self.batch.put(Table::BodiesMissing, missing_key, facts.size.to_be_bytes());
                self.batch.put(Table::EntriesAbsent, absent_key, vec![]);
            }
        } else if is_absent != is_missing
            && self.find_repairable(format!("{title} is listed as missing by halves"))
        {
            self.batch.put(Table::BodiesMissing, missing_key, facts.size.to_be_bytes());
            self.batch.put(Table::EntriesAbsent, absent_key, vec![]);
        }
        if is_live && let Some(problem) = self.damaged_bodies.get(&facts.body) {
            let what = format!("{title} is damaged: {problem}");
            self.damaged_messages.insert(facts.body);
            self.find(what, Remedy::FetchBody);
        }
        Ok(())
    }
}
