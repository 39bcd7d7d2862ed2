//! Commits: bodies first, synced; then one transaction of the tables that names them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::plan::{BodyPlan, SmallBody};
use super::{Storage, lock, open};
use crate::batch::{Batch, BodyChange};
use crate::body::BodyHash;
use crate::body::location::{PackKind, PackState};
use crate::body::packs::{PACK_LIMIT_BYTES, Packs};
use crate::body::writer::{Contents, StagedBody};
use crate::disk::{Create, File, is_full};
use crate::error::CommitError;
use crate::left_out::{LeftOut, leaves_out};
use crate::reader::Reader;
use crate::tables::{Changes, TablesError};

/// Written and removed again to learn whether a full disk has room by now: room for a commit of the usual size.
pub(super) const PROBE_FILE: &str = "probe";
const PROBE_BYTES: usize = 1 << 20;

/// What commits keep between them.
pub(super) struct Committer {
    appending: Option<Appending>,
    /// The disk had no room the last time the tables needed some.
    full: bool,
}

/// The shared pack that bodies are appended to.
#[derive(Clone)]
pub(super) struct Appending {
    pub(super) number: u64,
    pub(super) file: Arc<dyn File>,
    /// As committed; the file may be longer.
    pub(super) state: PackState,
}

impl Committer {
    pub(super) fn new(appending: Option<Appending>) -> Committer {
        Committer { appending, full: false }
    }
}

impl Storage {
    /// Makes a batch durable: all of it, or nothing. When this returns, everything in it will survive a loss of power.
    ///
    /// The batch is used up even where this fails; bodies in it are forgotten then.
    ///
    /// # Errors
    /// After [`CommitError::Stopped`] alone it is unknown whether the batch is kept.
    pub fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut committer = lock(&self.committer);
        let result = self.commit_alone(&mut committer, batch);
        if matches!(result, Err(CommitError::DiskFull(_))) {
            lock(&self.statistics).batches_without_room += 1;
        }
        result
    }

    fn commit_alone(&self, committer: &mut Committer, batch: Batch) -> Result<(), CommitError> {
        let entry_bytes = batch.check()?;
        let reader = self.reader()?;
        self.probe_for_room(committer)?;
        let Batch { mut changes, bodies } = batch;
        let mut plan = self.plan(&reader, committer, bodies)?;
        drop(reader);
        plan.add_to(&mut changes)?;
        if !changes.is_empty() {
            let committed = self.commit_tables(&changes);
            if committed.is_ok() || self.stopped.get().is_some() {
                plan.keep_singles();
            }
            committer.full |= matches!(committed, Err(CommitError::DiskFull(_)));
            committed?;
        }
        if let Some(appending) = &mut committer.appending {
            appending.state = plan.pack(appending.number).unwrap_or(appending.state);
        }
        let mut statistics = lock(&self.statistics);
        statistics.commits += 1;
        statistics.entry_bytes_committed += entry_bytes;
        plan.count(&mut statistics);
        Ok(())
    }

    /// A transaction that finds the disk full costs a new open of the tables, so while it is full none is tried.
    fn probe_for_room(&self, committer: &mut Committer) -> Result<(), CommitError> {
        if !committer.full {
            return Ok(());
        }
        let probe = || {
            let file = self.disk.open(PROBE_FILE, Create::IfMissing)?;
            file.write_at(0, &vec![0xA5; PROBE_BYTES])?;
            file.sync_data()
        };
        let probed = probe();
        let removed = self.disk.remove(PROBE_FILE);
        probed
            .and(removed)
            .map_err(|error| CommitError::disk("write a file to see if there is room", &error))?;
        committer.full = false;
        Ok(())
    }

    /// Writes what is to be written of the bodies, and says how the tables are to change.
    fn plan(
        &self,
        reader: &Reader,
        committer: &mut Committer,
        bodies: BTreeMap<BodyHash, BodyChange>,
    ) -> Result<BodyPlan, CommitError> {
        let mut plan = BodyPlan::default();
        let mut small = Vec::new();
        for (hash, change) in bodies {
            let indexed = reader.location(&hash)?;
            let body = match (change, &indexed) {
                (BodyChange::Add(_), Some(_)) => {
                    plan.known += 1;
                    continue;
                }
                (BodyChange::Remove, _) => None,
                (BodyChange::Add(body) | BodyChange::Repair(body), _) => Some(body),
            };
            if let Some(location) = indexed {
                plan.forget(reader, hash, &location)?;
            }
            match body.map(|StagedBody { hashes, contents }| (hashes, contents)) {
                Some((hashes, Contents::Memory(bytes))) => small.push((hashes, bytes)),
                Some((hashes, Contents::Pack(single))) => plan.take_single(&hashes, single),
                None => {}
            }
        }
        if !small.is_empty() {
            self.append(committer, &mut plan, small)?;
        }
        Ok(plan)
    }

    /// Appends small bodies to the shared pack, in one write and one sync. Until the tables name them, the committed
    /// end of the pack stays where it is, and the next commit writes over them.
    fn append(
        &self,
        committer: &mut Committer,
        plan: &mut BodyPlan,
        bodies: Vec<SmallBody>,
    ) -> Result<(), CommitError> {
        let usable = |appending: &Appending| appending.state.end < PACK_LIMIT_BYTES;
        // Put back below where the pack can still be trusted.
        let current = committer.appending.take().filter(usable);
        let is_new = current.is_none();
        let appending = match current {
            Some(appending) => appending,
            None => create_shared_pack(&self.packs)?,
        };
        let end = appending.state.end;
        let records = plan.append(appending.number, appending.state, bodies);
        let failed = |error: &io::Error| {
            if is_new {
                self.packs.discard(appending.number);
            }
            CommitError::disk(format!("append to pack {:06}", appending.number), error)
        };
        if let Err(error) = appending.file.write_at(end, &records) {
            // Not synced and not named: cut what arrived, to give the room back, and go on from the same end.
            if !is_new && appending.file.set_len(end).is_ok() && is_full(error.kind()) {
                committer.appending = Some(appending.clone());
            }
            return Err(failed(&error));
        }
        // After a failed sync nobody knows what became of the pack's tail: the next commit begins a new pack.
        if !leaves_out(LeftOut::Bodies) {
            appending.file.sync_data().map_err(|error| failed(&error))?;
        }
        if is_new {
            self.packs.sync_names().map_err(|error| failed(&error))?;
        }
        committer.appending = Some(appending);
        Ok(())
    }

    fn commit_tables(&self, changes: &Changes) -> Result<(), CommitError> {
        let committed = self.read_tables(|tables| tables.commit(changes));
        let failure = match committed.unwrap_or(Err(TablesError::Closed)) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        tracing::error!(?failure, "a commit failed");
        let (reason, full) = match failure {
            TablesError::Full(reason) => (reason, true),
            TablesError::Interrupted(reason) => (reason, false),
            TablesError::Closed => ("the tables were closed".to_owned(), false),
            TablesError::Damaged(reason) => return Err(CommitError::Damaged(reason)),
            TablesError::SyncFailed(reason) => return Err(self.stop(reason)),
        };
        // The transaction may have become whole before what failed failed: only the tables know.
        match self.holds(changes) {
            Ok(true) => Ok(()),
            Ok(false) if full => Err(CommitError::DiskFull(reason)),
            Ok(false) => Err(CommitError::Disk { action: format!("write {}", open::TABLES_FILE), reason }),
            Err(error) => Err(self.stop(format!("{reason}; and then: {error}"))),
        }
    }

    /// Whether the tables, opened again, hold every one of these changes.
    fn holds(&self, changes: &Changes) -> Result<bool, CommitError> {
        let reader = self.reader()?;
        for (place, entries) in changes {
            for (key, value) in entries {
                if reader.snapshot().get(*place, key).map_err(crate::ReadError::from)? != *value {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn stop(&self, reason: String) -> CommitError {
        CommitError::Stopped(self.stopped.get_or_init(|| reason).clone())
    }
}

fn create_shared_pack(packs: &Packs) -> Result<Appending, CommitError> {
    let (number, file) = packs.create().map_err(|error| CommitError::disk("create a pack", &error))?;
    Ok(Appending { number, file, state: PackState::empty(PackKind::Shared) })
}
